"""What came in answer to a question: judged by its head and its bytes, and believed or refused. Pure: no network."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin, urlsplit

from recon_core.errors import AuthError, BrokerError, MalformedError, RequestError, ThrottledError, TransientError, excerpt
from recon_core.http.question import Question, without_query
from recon_core.strict_json import read_json
from recon_core.strict_xml import read_xml

_RETRIED = frozenset({408, 425, 429})  # and every 5xx
_KEPT_HEADERS = ("Date", "Content-Type", "Content-Encoding", "Retry-After", "Location", "X-Request-ID")
_ERRORS = ("error", "errors", "fault", "errorMessage")
"""What a document is called in which a broker tells of an error with a status of 200."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole, believable answer: ``raw`` are its bytes, ``sha256`` their hash.

    ``body`` is the JSON document with exact numbers (int or Decimal), or the root element of the XML. ``date`` is the server's
    Date header (aware), None where it sent none; ``request_id`` its X-Request-ID, for support.
    """

    body: Any = field(repr=False)
    raw: bytes = field(repr=False)
    sha256: str
    date: datetime | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """What came in answer to a question, believable or not: the evidence. ``raw`` is cut off where the status is an error.

    ``cut`` says that a body of data ended before it was whole, or was not read on: cut off, over the limit, or late.
    ``params`` and ``headers`` (those that bear on what is believed) may hold secrets until they are redacted.
    """

    method: str
    url: str = field(repr=False)
    params: Mapping[str, str] = field(repr=False)
    status: int
    headers: Mapping[str, str] = field(repr=False)
    raw: bytes = field(repr=False)
    sha256: str
    size: int
    cut: bool = False


Answering = Callable[[str, str, Mapping[str, str]], Received]
"""Gives the recorded answer to a question (method, address, params) in place of the network. Raises BrokerError."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A write that was taken: the ``status`` (2xx). It says that the request arrived, not that anything was done."""

    status: int


@dataclass(frozen=True, slots=True)
class Form:
    """What an answer is to be: its name, what it accepts, which content types say so, and what reads its bytes."""

    name: str
    accept: str
    fits: Callable[[str], bool]
    read: Callable[[bytes, str], Any]


JSON = Form(
    "JSON",
    "application/json",
    lambda kind: kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json")),
    lambda raw, place: _no_error(read_json(raw, place), place),
)
XML = Form(
    "XML", "application/xml", lambda kind: kind in ("application/xml", "text/xml", "text/plain") or kind.endswith("+xml"), read_xml
)


def believed(question: Question, headers: Mapping[str, str], received: Received, form: Form) -> Answer:
    """The answer of a 200 whose whole body was received. Raises MalformedError for what is no document of its form."""
    _check_head(question, headers, form)
    return Answer(
        body=form.read(received.raw, question.place),
        raw=received.raw,
        sha256=received.sha256,
        date=_http_date(headers.get("Date", "")),
        request_id=question.printable(headers.get("X-Request-ID", "")) or None,
    )


def received_of(question: Question, status: int, headers: Mapping[str, str], raw: bytes, *, cut: bool = False) -> Received:
    """What came, as evidence; ``headers`` ignore case."""
    kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
    digest = hashlib.sha256(raw).hexdigest()
    return Received(question.method, question.url, question.params, status, kept, raw, digest, len(raw), cut)


def _no_error(body: Any, place: str) -> Any:
    """The document, unless it tells of an error under a status that says there is none."""
    for name in _ERRORS if isinstance(body, dict) else ():
        if body.get(name):
            raise MalformedError(f"{place}: answered 200 with an {name}: {excerpt(str(body[name]), 120)}; nothing was compared")
    return body


def _check_head(question: Question, headers: Mapping[str, str], form: Form) -> None:
    """Refuses an answer whose head does not say that it is of the form that is due, as text that can be read as it is."""
    kind, _, parameters = headers.get("Content-Type", "").lower().partition(";")
    kind = kind.strip()
    if not form.fits(kind):
        shown = question.printable(kind) or "nothing that names its type"
        raise MalformedError(f"{question.place}: answered {shown} where {form.name} is due (a login or a proxy's page?)")
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]+)", parameters)
    if form is JSON and charset and charset[1] not in ("utf-8", "utf8", "us-ascii"):
        raise MalformedError(f"{question.place}: JSON in {question.printable(charset[1])}; it must be UTF-8")


class Again(Exception):  # noqa: N818  # not an error: it carries one
    """An attempt failed with ``error`` and another may help, after ``pause`` seconds where the server said so."""

    def __init__(self, error: BrokerError, pause: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.pause = pause


def refusal(question: Question, status: int, headers: Mapping[str, str], raw: bytes) -> Exception:
    """What to raise for an answer other than 200; ``raw`` is the begin of its body. ``Again`` where another attempt may help."""
    text = f"{question.place}: {status} {_phrase(status)}".rstrip()
    if status < 300:
        return MalformedError(f"{text}: not the whole content; only 200 proves it")
    if status < 400:
        try:
            target = without_query(urlsplit(urljoin(question.url, headers.get("Location", ""))))
        except ValueError:
            target = "no address"
        said = f"{text}: points to {question.printable(target)}; not followed, for the keys would go there too"
        return RequestError(said)
    if said := _said(question, headers, raw):
        text += f': "{said}"'
    if request_id := question.printable(headers.get("X-Request-ID", "")):
        text += f" (request id {request_id})"
    if status in (401, 403):
        return AuthError(text)
    pause = _retry_after(headers)
    if pause is not None:
        text += f"; it asks to wait {pause:g} s"
    if status == 429:
        return Again(ThrottledError(text), pause)
    if status in _RETRIED or status >= 500:
        return Again(TransientError(text), pause)
    return RequestError(text)


def _said(question: Question, headers: Mapping[str, str], raw: bytes) -> str:
    """The broker's own words in an error body; empty where it has none, or a page for browsers."""
    text = raw.decode("utf-8", "replace")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return question.printable(text) if headers.get("Content-Type", "").startswith("text/plain") else ""
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    words = [body.get(key) for key in ("message", "error_description", "error", "detail")] if isinstance(body, dict) else [body]
    return question.printable(next((word for word in words if isinstance(word, str)), ""))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait; a date is measured from the server's own clock."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    until, now = _http_date(text), _http_date(headers.get("Date", ""))
    return max(0.0, (until - now).total_seconds()) if until and now else None


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
