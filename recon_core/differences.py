"""What is known of the positions whose quantities differ: both sides of each in full, and until when they agreed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

import duckdb

from recon_core.book import Book
from recon_core.columns import KEY_COLUMNS, PRICE
from recon_core.engine import named_rows
from recon_core.explanation import Difference, Key
from recon_core.feeds import ProvenFeed
from recon_core.instruments import Held
from recon_core.model import Position
from recon_core.pairs import VALUE_COLUMNS, Comparison, derived, side_column
from recon_core.sql import identifier, quoted
from recon_core.state.agreements import Agreements
from recon_core.tables.mounting import Mounted
from recon_core.written_numbers import plain

MOST = 10_000
"""How many positions of a run are looked into, the greatest differences in money first."""


def differing(connection: duckdb.DuckDBPyConnection, comparison: Comparison, brokers: Sequence[str]) -> list[dict[str, Any]]:
    """Hits of some brokers whose quantities differ: keys, rate, and the columns of both sides as ``b_...`` and ``f_...``.

    What nobody can price is first, then by money. ``found`` is how many there are; up to MOST are returned.
    """
    sides = ", ".join(f"{side_column(comparison, side, name)} AS {side}_{name}" for side in "bf" for name in VALUE_COLUMNS)
    worth = "TRY(abs(quantity_difference)::DOUBLE * unit_value::DOUBLE)"
    return named_rows(
        connection.execute(
            f"""SELECT {", ".join(KEY_COLUMNS)}, fx_rate, {sides}, count(*) OVER () AS found
                FROM ({derived(comparison, "SELECT * FROM hits")})
                WHERE quantity_difference <> 0 AND broker IN ({", ".join(map(quoted, brokers))})
                ORDER BY {worth} DESC NULLS FIRST, {", ".join(KEY_COLUMNS)} LIMIT {MOST}"""
        )
    )


def differences_of(
    connection: duckdb.DuckDBPyConnection,
    rows: Sequence[Mapping[str, Any]],
    feeds: Mapping[str, ProvenFeed],
    book: Book,
    known: Agreements,
    book_basis: str,
) -> list[Difference]:
    """The ``rows`` that ``differing`` found, with all that is known of both sides; ``known`` says until when they agreed."""
    netted = [alias for alias, feed in feeds.items() if feed.answer.settings.legs == "net"]
    unnamed = " ".join(f"WHEN {quoted(alias)} THEN {quoted(feed.book_account)}" for alias, feed in feeds.items())
    ours = _described(connection, book.mounted, "broker", f"coalesce(account, CASE broker {unnamed} END)", netted, rows)
    theirs: dict[Key, dict[str, Any]] = {}
    for alias, feed in feeds.items():
        if feed.mounted is not None:
            its = [row for row in rows if row["broker"] == alias]
            theirs |= _described(connection, feed.mounted, quoted(alias), feed.account_sql, netted, its)
    places = {alias: _price_places(connection, feed.mounted) for alias, feed in feeds.items() if feed.mounted is not None}
    return [
        Difference(
            broker=row["broker"],
            account=row["account"],
            symbol=row["symbol"],
            leg=row["leg"],
            book=_position(row, "b", ours),
            reported=_position(row, "f", theirs),
            fx_rate=row["fx_rate"],
            agreed_at=known.last(_key(row)),
            settlement_lag=_lag(feeds[row["broker"]].feed.basis, book_basis),
            price_places=places.get(row["broker"]),
        )
        for row in rows
    ]


def _key(row: Mapping[str, Any]) -> Key:
    return row["broker"], row["account"], row["symbol"], row["leg"]


def _described(
    connection: duckdb.DuckDBPyConnection,
    mounted: Mounted,
    broker: str,
    account: str,
    netted: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
) -> dict[Key, dict[str, Any]]:
    """What the join does not carry of positions of a source: since when they are held, and its own name of each."""
    wanted = [name for name in ("opened_at", "raw_symbol") if name in mounted.columns_present]
    if not wanted:
        return {}
    leg = f"CASE WHEN {broker} IN ({', '.join(map(quoted, netted))}) THEN 'NET' ELSE leg END" if netted else "leg"
    first = ", ".join(f"min({name}) AS {name}" for name in wanted)
    found = named_rows(
        connection.execute(
            f"""SELECT {broker} AS broker, {account} AS account, symbol, {leg} AS leg, {first} FROM {identifier(mounted.lean)}
                WHERE quantity <> 0 AND symbol IN (SELECT unnest(CAST(? AS VARCHAR[]))) GROUP BY ALL""",
            [list({row["symbol"] for row in rows})],
        )
    )
    return {_key(row): {name: row[name] for name in wanted} for row in found}


def held_besides(
    connection: duckdb.DuckDBPyConnection, book: Book, feed: ProvenFeed, rows: Sequence[Mapping[str, Any]], names: Collection[str]
) -> frozenset[Held]:
    """What either side holds at a broker and does not differ, of the positions that go by one of ``names``."""
    leg = "'NET'" if feed.answer.settings.legs == "net" else "leg"
    sides = [(book.mounted, f"coalesce(account, {quoted(feed.book_account)})", f"broker = {quoted(feed.alias)} AND ")]
    sides += [(feed.mounted, feed.account_sql, "")] if feed.mounted is not None else []
    broken = {_key(row)[1:] for row in rows if row["broker"] == feed.alias}
    held: set[Held] = set()
    for mounted, account, here in sides:
        called = ["symbol", *(["raw_symbol"] if "raw_symbol" in mounted.columns_present else [])]
        asked = " OR ".join(f"trim({name}) IN (SELECT unnest($names))" for name in called)
        chosen = f"SELECT DISTINCT {account}, {leg}, {', '.join(called)} FROM {identifier(mounted.lean)}"
        found = connection.execute(f"{chosen} WHERE {here}quantity <> 0 AND ({asked})", {"names": sorted(names)}).fetchall()
        held |= {
            (whose, name.strip(), leg)
            for whose, leg, symbol, *raw in found
            if (whose, symbol, leg) not in broken
            for name in (symbol, *raw)
            if name
        }
    return frozenset(held)


def _price_places(connection: duckdb.DuckDBPyConnection, mounted: Mounted) -> int | None:
    """How many decimals the entry prices of a feed have at most: types and files keep zeros, or drop them. None: it has none."""
    if "avg_price" not in mounted.columns_present:
        return None
    decimals = f"rtrim(split_part(CAST(CAST(avg_price AS {PRICE}) AS VARCHAR), '.', 2), '0')"
    found = connection.execute(f"SELECT max(length({decimals})) FROM {identifier(mounted.lean)}").fetchone()
    return found[0] if found else None


def _position(row: Mapping[str, Any], side: str, described: Mapping[Key, Mapping[str, Any]]) -> Position | None:
    """One side of a difference; None where it does not hold the position."""
    if row[f"{side}_quantity"] is None:
        return None
    values = {name: row[f"{side}_{name}"] for name in VALUE_COLUMNS} | dict(described.get(_key(row), {}))
    return Position(
        account=row["account"],
        symbol=row["symbol"],
        leg=row["leg"],
        **{name: _value(value) for name, value in values.items()},
    )


def _value(value: Any) -> Any:
    """A value of DuckDB's: a number without the zeros of its type, a time in UTC."""
    if isinstance(value, Decimal):
        return Decimal(plain(value))
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def _lag(reported: str, book: str) -> Literal["book", "broker"] | None:
    """Which side counts a trade only once it is settled, where the other has it at once."""
    if reported == "unknown" or reported == book:
        return None
    return "book" if book == "settlement" else "broker"
