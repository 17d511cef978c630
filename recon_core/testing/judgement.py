"""What a run would make of a feed: proven against a book that holds what the undistorted feed told, by the engine's own proof."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import duckdb

from recon_core.book.survey import BookAccount
from recon_core.brokers import Broker
from recon_core.collect import BrokerAnswer
from recon_core.config.settings import BrokerSettings
from recon_core.engine import connect
from recon_core.feeds import ProvenFeed, prove, unique
from recon_core.model import POSITION_COLUMNS, Feed, FeedStatus
from recon_core.sql import identifier
from recon_core.testing.reading import ALIAS


@dataclass(frozen=True, slots=True)
class Judged:
    """A feed after proof. ``rows`` are its positions by the columns of a position; empty where none may be used."""

    feed: Feed
    status: FeedStatus
    reason: str
    rows: tuple[tuple[Any, ...], ...] = ()
    accounts: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether a run would believe every absence in it."""
        return self.status is FeedStatus.COMPLETE

    def holdings(self) -> list[tuple[str, str, str, Decimal]]:
        """Account, symbol, leg and quantity of every row."""
        places = [POSITION_COLUMNS.index(name) for name in ("account", "symbol", "leg", "quantity")]
        return sorted((str(row[places[0]]), *(row[place] for place in places[1:])) for row in self.rows)

    def proof(self) -> tuple[Any, ...]:
        """What is held, of when, and what proves it."""
        feed = self.feed
        totals = sorted((total.kind, total.account or "", total.stated) for total in feed.control_totals)
        return (self.holdings(), self.accounts, feed.as_of, feed.basis, feed.lots, totals)

    def stated(self) -> tuple[Any, ...]:
        """All that two readings of the same must have in common."""
        return (self.rows, tuple(sorted(self.feed.coverage)), self.proof())


class Judge:
    """Judges the feeds of one adapter. ``base`` is the undistorted one, once there is one."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, adapter: type[Broker], now: datetime) -> None:
        self._connection, self._adapter, self._now = connection, adapter, now
        self.base: Judged | None = None

    def judged(self, feed: Feed, now: datetime | None = None) -> Judged:
        """What a run would make of ``feed``, whose book holds the positions of ``base``."""
        if feed.status is not FeedStatus.COMPLETE:
            return Judged(feed, feed.status, feed.reason)  # proof makes no feed better
        if self.base and now in (None, self._now) and feed.relation is None and _told(feed) == _told(self.base.feed):
            return replace(self.base, feed=feed)  # proof takes four times as long as a reading
        proven = self._proven(feed, now or self._now)
        rows: Sequence[tuple[Any, ...]] = ()
        if proven.mounted is not None:
            columns = ", ".join(POSITION_COLUMNS)
            rows = self._connection.execute(f"SELECT {columns} FROM {identifier(proven.mounted.name)} ORDER BY ALL").fetchall()
        return Judged(feed, proven.status, proven.reason, tuple(rows), proven.accounts)

    def _proven(self, feed: Feed, now: datetime) -> ProvenFeed:
        as_of = self.base.feed.as_of if self.base else feed.as_of
        proven = prove(
            self._connection,
            BrokerAnswer(BrokerSettings(ALIAS, self._adapter.name), self._adapter, feed),
            name="trial",
            book=self._book(),
            as_of=as_of or now,
            asked=False,
            now=now,
            delivered={},
        )
        return unique(self._connection, proven)

    def _book(self) -> list[BookAccount]:
        held: dict[str | None, int] = {}
        place = POSITION_COLUMNS.index("account"), POSITION_COLUMNS.index("quantity")
        for row in self.base.rows if self.base else ():
            if row[place[1]]:
                held[row[place[0]]] = held.get(row[place[0]], 0) + 1
        return [BookAccount(account, count) for account, count in held.items()]


def _told(feed: Feed) -> Feed:
    return feed.but(sha256=None, notes=())


@contextmanager
def judging(adapter: type[Broker], now: datetime) -> Iterator[Judge]:
    """A judge with a database of its own."""
    with connect() as connection:
        yield Judge(connection, adapter, now)
