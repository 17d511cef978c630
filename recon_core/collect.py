"""Asks every broker for its positions, several at the same time; what goes wrong at one is its own feed's status."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from recon_core.brokers import Broker
from recon_core.config.settings import BrokerSettings
from recon_core.errors import BrokerError, IncompleteError, NotReadyError
from recon_core.model import Ask, Feed, FeedStatus
from recon_core.redaction import redacted

DEADLINE_SECONDS = 300.0
"""How long all brokers together may take; one that has not answered by then is FAILED, and the others are judged."""


class BrokerAnswer(NamedTuple):
    """What one broker answered, and whom we asked."""

    settings: BrokerSettings
    adapter: type[Broker]
    feed: Feed


@dataclass(frozen=True)
class Asked:
    """Brokers that are being asked; ``answers`` waits for them."""

    asking: Sequence[tuple[BrokerSettings, type[Broker], _Asking]]
    until: float

    def answers(self) -> list[BrokerAnswer]:
        """The feed of every broker, in the order given. Never raises for a broker: a failure is a FAILED feed with its reason."""
        return [BrokerAnswer(settings, adapter, asking.feed(self.until)) for settings, adapter, asking in self.asking]


def ask(
    brokers: Iterable[BrokerSettings],
    adapters: Mapping[str, type[Broker]],
    as_of: datetime | None,
    *,
    folder: Path,
    clock: Callable[[], datetime],
    secret: Callable[[str], str],
) -> Asked:
    """Begin to ask every broker for its positions, and do not wait.

    ``as_of`` is the time that a person asked for, None: now. ``secret`` turns a reference (``env:NAME``, ``file:PATH``) into
    its value.
    """
    asking = []
    for settings in brokers:
        adapter = adapters[settings.adapter]
        asking.append((settings, adapter, _Asking(settings, adapter, as_of, folder, clock, secret)))
    for _, _, thread in asking:
        thread.start()
    return Asked(asking, time.monotonic() + DEADLINE_SECONDS)


class _Asking(threading.Thread):
    """One broker being asked, in a thread of its own: what it raises, or that it never ends, harms no other."""

    def __init__(
        self,
        settings: BrokerSettings,
        adapter: type[Broker],
        as_of: datetime | None,
        folder: Path,
        clock: Callable[[], datetime],
        secret: Callable[[str], str],
    ) -> None:
        super().__init__(name=f"broker {settings.alias}", daemon=True)
        self._settings, self._adapter, self._as_of = settings, adapter, as_of
        self._folder, self._clock, self._secret = folder, clock, secret
        self._feed: Feed | None = None

    def feed(self, until: float) -> Feed:
        """The answer, waited for until ``until`` (monotonic seconds)."""
        self.join(max(until - time.monotonic(), 0))
        return self._feed or Feed.unavailable(FeedStatus.FAILED, f"no answer within {DEADLINE_SECONDS:g} seconds")

    def run(self) -> None:
        try:
            self._feed = _checked(self._positions())
        except BaseException as error:  # whatever an adapter does, sys.exit included, is its own feed's failure
            self._feed = _unavailable(error)

    def _positions(self) -> object:
        settings, adapter = self._settings, self._adapter
        broker = adapter(
            settings.alias,
            settings={name: spec.get("default") for name, spec in adapter.options.items()} | dict(settings.options),
            secret=lambda name: self._secret(settings.secrets[name]),
            folder=self._folder,
            clock=self._clock,
        )
        answer = broker.positions(Ask(self._as_of, _asked_accounts(settings)))
        return _awaited(answer) if inspect.isawaitable(answer) else answer


def _awaited(answer: Awaitable[Feed]) -> Feed:
    import asyncio

    async def of_it() -> Feed:
        return await answer

    return asyncio.run(of_it())


def _asked_accounts(settings: BrokerSettings) -> tuple[str, ...]:
    """The accounts that the book expects, as the broker names them."""
    theirs = {ours: name for name, ours in settings.accounts.items()}
    return tuple(theirs.get(name, name) for name in settings.expect_accounts) or tuple(settings.accounts)


def _checked(answer: object) -> Feed:
    """What an adapter returned, its time in UTC; a FAILED feed where it is none."""
    if not isinstance(answer, Feed):
        return Feed.unavailable(FeedStatus.FAILED, f"the adapter returned {type(answer).__name__}, not a Feed")
    as_of = answer.as_of and answer.as_of.astimezone(UTC)
    return answer.but(as_of=as_of, reason=redacted(answer.reason), notes=tuple(map(redacted, answer.notes)))


def _unavailable(error: BaseException) -> Feed:
    try:
        said = redacted(str(error).encode("utf-8", "backslashreplace").decode())
    except Exception:  # an exception that cannot even be printed
        said = "(no message)"
    if isinstance(error, NotReadyError):
        return Feed.unavailable(FeedStatus.NOT_READY, said)
    if isinstance(error, IncompleteError):
        return Feed.partial((), reason=said)
    if isinstance(error, BrokerError):
        return Feed.unavailable(FeedStatus.FAILED, said)
    return Feed.unavailable(FeedStatus.FAILED, f"the adapter raised {type(error).__name__}: {said}")
