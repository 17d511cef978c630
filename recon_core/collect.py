"""Asks every broker for its positions, several at the same time; what goes wrong at one is its own feed's status."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from recon_core.brokers import Broker
from recon_core.config.settings import BrokerSettings
from recon_core.errors import BrokerError, IncompleteError, NotReadyError
from recon_core.model import Ask, Feed, FeedStatus, Position


class Answer(NamedTuple):
    """What one broker answered, and whom we asked."""

    settings: BrokerSettings
    adapter: type[Broker]
    feed: Feed


def collect(
    brokers: Iterable[BrokerSettings],
    adapters: Mapping[str, type[Broker]],
    as_of: datetime | None,
    *,
    folder: Path,
    clock: Callable[[], datetime],
    secret: Callable[[str], str],
    progress: Callable[[str], None] = lambda _: None,
) -> list[Answer]:
    """The feed of every broker, in the order given. Never raises for a broker: a failure is a FAILED feed with its reason.

    ``as_of`` is the time that a person asked for, None: now. ``secret`` turns a reference (``env:NAME``, ``file:PATH``) into
    its value.
    """
    chosen = list(brokers)
    feeds: dict[str, Feed] = {}
    waiting: dict[str, Awaitable[Feed]] = {}
    for settings in chosen:
        progress(f"asking {settings.alias}")
        answer = _ask(settings, adapters[settings.adapter], as_of, folder, clock, secret)
        if inspect.isawaitable(answer):
            waiting[settings.alias] = answer
        else:
            feeds[settings.alias] = answer
    if waiting:
        feeds |= _gather(waiting)
    return [Answer(settings, adapters[settings.adapter], feeds[settings.alias]) for settings in chosen]


def _ask(
    settings: BrokerSettings,
    adapter: type[Broker],
    as_of: datetime | None,
    folder: Path,
    clock: Callable[[], datetime],
    secret: Callable[[str], str],
) -> Feed | Awaitable[Feed]:
    try:
        broker = adapter(
            settings.alias,
            settings={name: spec.get("default") for name, spec in adapter.options.items()} | dict(settings.options),
            secret=lambda name: secret(settings.secrets[name]),
            folder=folder,
            clock=clock,
        )
        answer = broker.positions(Ask(as_of, _asked_accounts(settings)))
    except Exception as error:  # whatever an adapter does is its own feed's failure
        return _unavailable(error)
    return _guarded(answer) if inspect.isawaitable(answer) else _checked(answer)


async def _guarded(answer: Awaitable[Feed]) -> Feed:
    try:
        return _checked(await answer)
    except Exception as error:  # as above
        return _unavailable(error)


def _gather(waiting: Mapping[str, Awaitable[Feed]]) -> dict[str, Feed]:
    import asyncio

    async def all_of_them() -> dict[str, Feed]:
        found = await asyncio.gather(*waiting.values())
        return dict(zip(waiting, found, strict=True))

    work: Coroutine[Any, Any, dict[str, Feed]] = all_of_them()
    return asyncio.run(work)


def _asked_accounts(settings: BrokerSettings) -> tuple[str, ...]:
    """The accounts that the book expects, as the broker names them."""
    theirs = {ours: name for name, ours in settings.accounts.items()}
    return tuple(theirs.get(name, name) for name in settings.expect_accounts) or tuple(settings.accounts)


def _checked(answer: object) -> Feed:
    """What an adapter returned, its time in UTC; a FAILED feed where it is no feed of positions."""
    if not isinstance(answer, Feed):
        return Feed.unavailable(FeedStatus.FAILED, f"the adapter returned {type(answer).__name__}, not a Feed")
    strange = next((type(entry).__name__ for entry in answer.positions if not isinstance(entry, Position)), None)
    if strange:
        return Feed.unavailable(FeedStatus.FAILED, f"the adapter returned {strange} among its positions, not Position")
    if answer.as_of is None:
        return answer
    if answer.as_of.tzinfo is None:
        return Feed.unavailable(FeedStatus.FAILED, f"the adapter's as_of {answer.as_of} has no time zone")
    return answer.but(as_of=answer.as_of.astimezone(UTC))


def _unavailable(error: Exception) -> Feed:
    if isinstance(error, NotReadyError):
        return Feed.unavailable(FeedStatus.NOT_READY, str(error))
    if isinstance(error, IncompleteError):
        return Feed.partial((), reason=str(error))
    if isinstance(error, BrokerError):
        return Feed.unavailable(FeedStatus.FAILED, str(error))
    return Feed.unavailable(FeedStatus.FAILED, f"the adapter raised {type(error).__name__}: {error}")
