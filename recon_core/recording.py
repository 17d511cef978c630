"""A recording: all that a broker answered once, kept in a folder, from which an adapter reads again without the network.

``recording.json`` names the adapter, its options, the time, each question with its answer's file, and the files that were read.
It holds no secret: what is one is masked, in questions and answers alike.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from recon_core.documents import Document
from recon_core.errors import ConfigError, RequestError
from recon_core.http import Received
from recon_core.redaction import MASK, redacted
from recon_core.regular_file import read_regular

NAME = "recording.json"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Recording:
    """What an adapter was asked and what it got. ``at`` is the clock's time then, ``as_of`` what a person asked for."""

    adapter: str
    at: datetime
    as_of: datetime | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    exchanges: tuple[Received, ...] = ()
    documents: tuple[Document, ...] = ()


class Replay:
    """Answers questions from a recording: each with the answer to the same question, repeated ones in their order.

    A question is the same by its method, its address without the host, and its params; a masked param fits any value.
    """

    def __init__(self, recording: Recording) -> None:
        self._waiting = list(recording.exchanges)
        self._used: list[Received] = []

    def __call__(self, method: str, url: str, params: Mapping[str, str]) -> Received:
        """The answer. Raises RequestError where the recording has none."""
        for found in self._waiting:
            if same_question(found, method, url, params):
                self._waiting.remove(found)
                self._used.append(found)
                return found
        for found in reversed(self._used):
            if same_question(found, method, url, params):
                return found
        raise RequestError(f"{method} {_path(url)}: the recording has no answer to this question")


def same_question(recorded: Received, method: str, url: str, params: Mapping[str, str]) -> bool:
    """Whether a recorded answer is one to this question."""
    asked, known = _query(url, params), _query(recorded.url, recorded.params)
    if (recorded.method, _path(recorded.url)) != (method, _path(url)) or set(known) != set(asked):
        return False
    return all(value in (MASK, asked[name]) for name, value in known.items())


def _query(url: str, params: Mapping[str, str]) -> dict[str, str]:
    query = url.partition("#")[0].partition("?")[2]  # an address that is none has parts, too, and is asked by nobody
    return {**dict(parse_qsl(query, keep_blank_values=True)), **params}


def _path(url: str) -> str:
    return re.sub(r"^[a-z]+://[^/]*", "", url.partition("?")[0]) or "/"


def write_recording(folder: Path, recording: Recording) -> Path:
    """Keep a recording in ``folder``, which may not hold one yet. Raises ConfigError where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / NAME).exists():
            raise ConfigError(f"{folder}: holds a recording already: name another folder, or remove it")
        exchanges = []
        for number, received in enumerate(recording.exchanges, 1):
            raw = _without_secrets(received.raw)
            name = f"{number:03}-{re.sub('[^A-Za-z0-9]+', '-', _path(redacted(received.url))).strip('-')[:60] or 'root'}.body"
            _write(folder / name, raw)
            exchanges.append(
                {
                    "method": received.method,
                    "url": received.url,
                    "params": received.params,
                    "status": received.status,
                    "headers": received.headers,
                    "body": name,
                    "sha256": hashlib.sha256(raw).hexdigest(),
                    "cut": received.cut,
                }
            )
        documents = []
        for number, document in enumerate(recording.documents, 1):
            raw = _without_secrets(document.raw)
            name = f"d{number:02}-{re.sub('[^A-Za-z0-9._-]+', '-', document.name)[-80:]}"
            _write(folder / name, raw)
            documents.append(
                {
                    "name": document.name,
                    "body": name,
                    "sha256": hashlib.sha256(raw).hexdigest(),
                    "modified": document.modified.isoformat(),
                }
            )
        written = {
            "version": VERSION,
            "adapter": recording.adapter,
            "at": recording.at.isoformat(),
            "as_of": recording.as_of and recording.as_of.isoformat(),
            "options": recording.options,
            "exchanges": exchanges,
            "documents": documents,
        }
        _write(folder / NAME, (json.dumps(_masked(written), indent=2, default=_number) + "\n").encode())  # last: then it is whole
    except OSError as error:
        raise ConfigError(f"{folder}: the recording cannot be written: {error.strerror or error}") from None
    return folder / NAME


def _write(path: Path, raw: bytes) -> None:
    """A file for its owner's eyes: positions are nobody else's business."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())


def _masked(value: Any) -> Any:
    """The same with secrets masked in its texts: a number that a secret happens to be stays a number."""
    if isinstance(value, Mapping):
        return {name: _masked(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(each) for each in value]
    return redacted(value) if isinstance(value, str) else value


def _number(value: object) -> object:
    """A number of an option; a binary float writes the digits that people write, and is read back as a Decimal."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)


def _without_secrets(raw: bytes) -> bytes:
    """The bytes, with secrets masked where a text holds any."""
    text = raw.decode("utf-8", "surrogateescape")
    masked = redacted(text)
    return raw if masked == text else masked.encode("utf-8", "surrogateescape")


def read_recording(folder: Path) -> Recording:
    """The recording in ``folder``. Raises ConfigError for one that is not there, damaged or of another version."""
    place = folder / NAME
    try:
        written = json.loads(read_regular(place), parse_float=Decimal, parse_int=Decimal)
        if written["version"] != VERSION:
            raise ConfigError(f"{place}: version {written['version']}, and this program reads {VERSION}")
        names = [str(entry["name"]) for entry in written.get("documents") or ()]
        if len(set(names)) < len(names) or any(Path(name).name != name or name in ("", "..") for name in names):
            raise ConfigError(f"{place}: documents {', '.join(names)[:200]}: each must have a plain name of its own")
        return Recording(
            adapter=str(written["adapter"]),
            at=_aware(written["at"]),
            as_of=_aware(written["as_of"]) if written.get("as_of") else None,
            options=dict(written.get("options") or {}),
            exchanges=tuple(_received(folder, entry) for entry in written.get("exchanges") or ()),
            documents=tuple(_document(folder, entry) for entry in written.get("documents") or ()),
        )
    except OSError as error:
        raise ConfigError(f"{place}: cannot be read: {error.strerror or error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{place}: not a recording: {type(error).__name__} {error}") from None


def _received(folder: Path, entry: Mapping[str, Any]) -> Received:
    raw = _body(folder, entry)
    return Received(
        method=str(entry.get("method", "GET")),
        url=str(entry["url"]),
        params={str(key): str(value) for key, value in (entry.get("params") or {}).items()},
        status=int(entry.get("status", 200)),
        headers={str(key): str(value) for key, value in (entry.get("headers") or {}).items()},
        raw=raw,
        sha256=hashlib.sha256(raw).hexdigest(),
        size=len(raw),
        cut=bool(entry.get("cut")),
    )


def _document(folder: Path, entry: Mapping[str, Any]) -> Document:
    raw = _body(folder, entry)
    return Document(Path(entry["name"]), raw, hashlib.sha256(raw).hexdigest(), _aware(entry["modified"]))


def _body(folder: Path, entry: Mapping[str, Any]) -> bytes:
    name = str(entry["body"])
    if Path(name).name != name:
        raise ConfigError(f"{folder / NAME}: {name!r} is no file of this folder")
    raw = read_regular(folder / name)
    if "sha256" in entry and hashlib.sha256(raw).hexdigest() != entry["sha256"]:
        raise ConfigError(f"{folder / name}: not the bytes that were recorded (sha256)")
    return raw


def _aware(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return found


def put_down(folder: Path, documents: Iterable[Document]) -> list[Path]:
    """The recorded files under their own names in ``folder``, with their times: where an adapter reads files itself."""
    placed = []
    for document in documents:
        path = folder / document.name
        path.write_bytes(document.raw)
        os.utime(path, (document.modified.timestamp(),) * 2)
        placed.append(path)
    return placed
