"""What the book holds, by broker and account: one pass over its rows, in which a bad one or an unknown broker ends the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from recon_core.errors import BookError
from recon_core.feed_times import AHEAD
from recon_core.scratch import machine_gave_out
from recon_core.sql import identifier, quoted
from recon_core.tables.faults import FAULT_BITS, together
from recon_core.tables.mounting import Mounted


@dataclass(frozen=True, slots=True)
class BookAccount:
    """One account of the book at one broker: how many positions (not 0) it holds there."""

    account: str | None
    positions: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What the book holds, by broker, and the latest time that it speaks of (not one still to come).

    ``faults`` are the note bits of all its rows together: none of them is at fault.
    """

    accounts: Mapping[str, tuple[BookAccount, ...]]
    rows: int
    positions: int
    latest: datetime | None
    faults: int

    def positions_at(self, brokers: Sequence[str]) -> int:
        """How many positions (not 0) the book holds at these brokers."""
        return sum(entry.positions for alias in brokers for entry in self.accounts.get(alias, ()))


def survey(connection: duckdb.DuckDBPyConnection, book: Mounted, brokers: Sequence[str], source: str, now: datetime) -> Survey:
    """One pass over the book's rows. Raises BookError for a row that is no position, or whose broker is not configured."""
    limit = quoted(f"{(now + AHEAD).astimezone(UTC):%Y-%m-%d %H:%M:%S}")
    rows = _read(
        connection,
        source,
        f"SELECT broker, account, count(*), count_if(quantity <> 0), count_if(fault & {FAULT_BITS} <> 0), bit_or(fault)::UBIGINT, "
        f"max(updated_at) FILTER (WHERE updated_at <= TIMESTAMP {limit}) "
        f"FROM {identifier(book.name)} GROUP BY broker, account ORDER BY broker, account",
    )
    if any(row[4] for row in rows):
        raise BookError("\n".join(f"book {source}: {fault}" for fault in book.describe_faults(connection, limit=20)))
    unknown = sorted({str(row[0]) for row in rows if row[0] not in brokers})
    if unknown:
        raise BookError(
            f"book {source}: broker {', '.join(unknown)} is in the book and not in recon.yaml (which has {', '.join(brokers)})"
        )
    accounts: dict[str, list[BookAccount]] = {}
    for row in rows:
        accounts.setdefault(row[0], []).append(BookAccount(row[1], row[3]))
    stamps = [row[6].replace(tzinfo=UTC) for row in rows if row[6] is not None]
    return Survey(
        {alias: tuple(found) for alias, found in accounts.items()},
        sum(row[2] for row in rows),
        sum(row[3] for row in rows),
        max(stamps, default=None),
        together(row[5] for row in rows),
    )


def _read(connection: duckdb.DuckDBPyConnection, source: str, query: str) -> list[tuple[Any, ...]]:
    try:
        return connection.execute(query).fetchall()
    except duckdb.PermissionException:
        raise
    except duckdb.Error as error:
        if gave_out := machine_gave_out(error):
            raise gave_out from None
        raise BookError(f"book {source}: cannot be read: {str(error).partition(chr(10))[0]}") from None
