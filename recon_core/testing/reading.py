"""One reading of a feed by an adapter, from a server on loopback or from files, in bounded time and with made-up secrets."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from recon_core.brokers import Broker
from recon_core.http import Http
from recon_core.model import Ask, Feed
from recon_core.testing import certificates
from recon_core.testing.fault import Fault
from recon_core.testing.fault_server import Asked, Exchange, FaultServer

GRACE_SECONDS = 1.0
"""How far past its deadline an adapter may end."""

MOST_BYTES = 8 * 1024 * 1024
"""The limit of a body in a trial; no recording comes near it, and a body without end is refused the sooner."""

ALIAS = "trial"


@dataclass(frozen=True, slots=True)
class Setting:
    """What stays the same in all trials of an adapter. ``at`` is the time of the recording, which the clock tells."""

    adapter: type[Broker]
    options: Mapping[str, Any]
    secrets: Mapping[str, str] = field(repr=False)
    at: datetime
    as_of: datetime | None
    deadline_seconds: float


@dataclass(frozen=True, slots=True)
class Told:
    """What a trial tells the adapter: the answers of its broker, the documents in its folder (by name), and a fault.

    ``beside`` are answers that are given where they are asked for, and are not distorted.
    """

    exchanges: Sequence[Exchange]
    documents: Mapping[str, bytes] = field(default_factory=dict)
    modified: Mapping[str, datetime] = field(default_factory=dict)
    fault: Fault | None = None
    target: int = 0
    clock_ahead: timedelta = timedelta(0)
    beside: Sequence[Exchange] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of it: a feed or an error, after how many seconds, and what the server was asked.

    ``late`` says that it did not end within its deadline and the grace; ``served`` are the places of the answers that it was given,
    ``methods`` those by which the broker was asked when it was recorded, ``crashed`` is what went wrong in the server itself,
    ``answered`` anything else that was returned.
    """

    feed: Feed | None
    error: BaseException | None
    late: bool
    seconds: float
    asked: Sequence[Asked]
    strayed: Sequence[Asked]
    methods: frozenset[str] = frozenset()
    served: frozenset[int] = frozenset()
    crashed: str = ""
    answered: str = ""

    def said(self) -> str:
        """Everything that the adapter said, as it might be printed or logged."""
        texts = "".join(traceback.format_exception(self.error)) + repr(self.error) if self.error else ""
        return texts + (repr(self.feed) if self.feed else "")

    def message(self) -> str:
        """What it raised, in a line."""
        return f"{type(self.error).__name__}: {str(self.error) or '(no message)'}".splitlines()[0] if self.error else ""


def read(setting: Setting, told: Told, folder: Path) -> Reading:
    """Let the adapter read once, its documents in ``folder``."""
    for name, raw in told.documents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
        if stamp := told.modified.get(name):
            os.utime(path, (stamp.timestamp(), stamp.timestamp()))
    with FaultServer([*told.exchanges, *told.beside], told.fault, told.target) as server:
        return _read(setting, told, folder, server)


def _read(setting: Setting, told: Told, folder: Path, server: FaultServer) -> Reading:
    most = setting.deadline_seconds + GRACE_SECONDS
    kept: dict[str, Any] = {}

    def work() -> None:
        began = time.monotonic()
        try:
            kept["answer"] = _asked(setting, told, folder, server, most)
        except BaseException as error:  # whatever it raises, sys.exit included, is what the trial is about
            kept["error"] = error
        kept["seconds"] = time.monotonic() - began

    thread = threading.Thread(target=work, name=f"trial of {setting.adapter.name}", daemon=True)
    thread.start()
    thread.join(most + GRACE_SECONDS)
    answer, error, seconds = kept.get("answer"), kept.get("error"), kept.get("seconds", most + GRACE_SECONDS)
    feed = answer if isinstance(answer, Feed) else None
    other = "" if feed is not None or "answer" not in kept else type(answer).__name__
    late = seconds > most or isinstance(error, _TooLate)
    return Reading(
        feed=feed,
        error=error,
        late=late,
        seconds=seconds,
        asked=tuple(server.asked),
        strayed=tuple(server.strayed),
        methods=frozenset(exchange.method for exchange in server.exchanges),
        served=frozenset(server.served),
        crashed="; ".join(server.crashed),
        answered=other,
    )


class _TooLate(Exception):  # noqa: N818  # not an error of the adapter's
    """The trial was ended from outside."""


def _asked(setting: Setting, told: Told, folder: Path, server: FaultServer, most: float) -> object:
    largest = max((len(exchange.body) for exchange in told.exchanges), default=0)
    http = Http(
        deadline_seconds=setting.deadline_seconds,
        max_bytes=max(MOST_BYTES, 2 * largest),
        backoff_seconds=0.005,
        authorities=certificates.authority_file() if told.fault and told.fault.over_tls else None,
    )
    now = setting.at + told.clock_ahead
    broker = setting.adapter(
        ALIAS,
        settings=_settings(setting, server),
        secret=setting.secrets.__getitem__,
        folder=folder,
        clock=lambda: now,
        http=http,
        given=setting.secrets.keys(),
    )
    answer = broker.positions(Ask(setting.as_of))
    return asyncio.run(_within(answer, most)) if inspect.isawaitable(answer) else answer


async def _within(answer: Any, seconds: float) -> object:
    try:
        async with asyncio.timeout(seconds) as limit:
            return await answer
    except TimeoutError as error:
        if limit.expired():
            raise _TooLate from error
        raise


def _settings(setting: Setting, server: FaultServer) -> dict[str, Any]:
    """The options, every address of a broker among them turned into the server's."""
    defaults = {name: schema.get("default") for name, schema in setting.adapter.options.items()}
    options = {name: _here(value, server.url) for name, value in (defaults | dict(setting.options)).items()}
    if options.get("base_url", "") is None:
        options["base_url"] = server.url  # without it, a library asks the addresses that it knows
    if isinstance(options.get("path"), str):
        options["path"] = Path(options["path"]).name  # the documents lie in the folder of the trial
    return options


def _here(value: Any, url: str) -> Any:
    if not isinstance(value, str) or not re.match(r"https?://", value):
        return value
    parts = urlsplit(value)
    return url + value[len(f"{parts.scheme}://{parts.netloc}") :]
