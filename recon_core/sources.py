"""The two sides of a run before anything is compared: what the brokers answer, and the book that belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb

from recon_core.book import Book, open_book
from recon_core.collect import BrokerAnswer, ask, maker
from recon_core.config.credentials import secret_value
from recon_core.config.load import Configuration
from recon_core.config.settings import Settings
from recon_core.errors import ConfigError, StateError
from recon_core.host import Host
from recon_core.model import FeedStatus
from recon_core.snapshots import Snapshot, as_snapshot, book_of, close_of, may_be_wanted, outdated, wanted


@dataclass(frozen=True, slots=True)
class Sources:
    """The book, mounted, and the answers in the order of recon.yaml; ``remarks`` say who was not asked, and why.

    ``snapshot`` says that the book is as it was at an earlier close.
    """

    book: Book
    answers: list[BrokerAnswer]
    remarks: tuple[str, ...]
    snapshot: bool = False


def gather(
    connection: duckdb.DuckDBPyConnection,
    configuration: Configuration[Host],
    *,
    as_of: datetime | None,
    named: Sequence[str],
    clock: Callable[[], datetime],
    progress: Callable[[str], None],
    snapshots: Sequence[Snapshot],
    trouble: StateError | None,
    earlier: Sequence[BrokerAnswer] | None,
) -> Sources:
    """Ask the brokers that are ``named`` (none: all that are due together), and open the book that they are compared with.

    The book is read while they are asked, or once they have answered: where ``earlier`` answers still hold (those brokers are not
    asked again), and where it may be a snapshot of the day that a statement is of. Raises ConfigError for a broker that cannot be
    asked with the others, BookError where the book cannot be read.
    """
    settings = configuration.settings
    chosen = _chosen(settings, named)
    kept = {answer.settings.alias: answer for answer in earlier or ()}
    rest = [alias for alias in chosen if alias not in kept]
    progress(f"asking {', '.join(rest)}")
    asked = ask(
        [settings.brokers[alias] for alias in rest],
        configuration.host.brokers,
        as_of,
        maker(folder=settings.folder, clock=clock, secret=lambda reference: secret_value(reference, settings.folder)),
    )
    late = may_be_wanted(settings, chosen, chosen=bool(named))
    book = _book(connection, settings, as_of) if earlier is None and not late else None
    fresh = iter(asked.answers())
    answers = [kept[alias] if alias in kept else next(fresh) for alias in chosen]
    kept_book = None
    if book is None:
        now = clock()
        day, needed = wanted(settings, chosen, chosen=bool(named), answers=answers, now=now)
        if needed and trouble is not None:  # that the store cannot be read does not say that there is no snapshot
            raise trouble
        kept_book = None if day is None else book_of(settings, snapshots, day, close_of(settings, answers, day), needed=needed)
        if day is None or kept_book is None:
            book = _book(connection, settings, as_of)
        else:
            book = as_snapshot(open_book(connection, kept_book, settings.folder, broker_names=list(settings.brokers)), day)
            answers = answers if as_of else [_timely(settings, answer, now) for answer in answers]
    return Sources(book, answers, () if named else tuple(_not_asked(settings, chosen)), kept_book is not None)


def _book(connection: duckdb.DuckDBPyConnection, settings: Settings, as_of: datetime | None) -> Book:
    return open_book(connection, settings.book, settings.folder, broker_names=list(settings.brokers), as_of=as_of)


def _timely(settings: Settings, answer: BrokerAnswer, now: datetime) -> BrokerAnswer:
    """The answer, NOT_READY where it is of an earlier close than the one that is due."""
    late = outdated(settings, answer, now)
    return answer._replace(feed=answer.feed.but(status=FeedStatus.NOT_READY, reason=late)) if late else answer


def _chosen(settings: Settings, named: Sequence[str]) -> list[str]:
    """The brokers to ask: those named, else all but those that are due by themselves (all, where every one is)."""
    known = list(settings.brokers)
    unknown = [alias for alias in named if alias not in known]
    if unknown:
        raise ConfigError(f"--broker {', '.join(unknown)}: not in {settings.path}, which has {', '.join(known)}")
    together = [alias for alias in known if settings.brokers[alias].due is None] or known
    found = [alias for alias in known if alias in named] if named else together
    late = [alias for alias in found if settings.brokers[alias].due]
    if late and len(late) < len(found):
        others = ", ".join(alias for alias in found if alias not in late)
        raise ConfigError(f"--broker: {', '.join(late)} is due by itself, with the book of its statement's day: run {others} apart")
    return found


def _not_asked(settings: Settings, chosen: Sequence[str]) -> Iterator[str]:
    for alias, broker in settings.brokers.items():
        if broker.due and alias not in chosen:
            yield f"{alias} was not asked: it is due by itself at {broker.due:%H:%M} (recon-core run --broker {alias})"
