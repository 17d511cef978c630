"""One instrument under two names: what the sides hold alone is brought together by ISIN, by CUSIP, and by the forms of symbols.

Symbols that are equal are one instrument already. Only of what is left over on both sides of an account one name is taken for
another, where exactly one position of either side has an identity: where two could be meant, nothing is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import duckdb

from recon_core.feeds import ProvenFeed
from recon_core.pairs import Comparison, joined, keys
from recon_core.sql import identifier, quoted
from recon_core.symbols import cusip_of, differ, form_of, isin_of

TABLE = "identities"
SHOWN = 5
FORM = "the form of the symbol"


class Lone(NamedTuple):
    """A position that one side holds alone."""

    broker: str
    account: str
    symbol: str
    isin: str | None
    cusip: str | None


@dataclass(frozen=True, slots=True)
class Identity:
    """A symbol of the broker's that is one of the book's under another name, and by what that is known.

    ``isin`` and ``cusip`` are those that either side gives.
    """

    broker: str
    account: str
    theirs: str
    ours: str
    by: str
    isin: str | None
    cusip: str | None


def identified(connection: duckdb.DuckDBPyConnection, comparison: Comparison) -> tuple[list[Identity], dict[str, list[str]]]:
    """The symbols that are one instrument, from ``hits``; second, by broker, remarks on names that could not be told apart."""
    ours, theirs = _lone(connection, comparison)
    if not ours or not theirs:
        return [], {}
    found: list[Identity] = []
    remarks: dict[str, list[str]] = {}
    for place in sorted(ours.keys() & theirs.keys()):
        matched, said = _matched(ours[place], theirs[place])
        found += matched
        remarks.setdefault(place[0], []).extend(said)
    return found, remarks


def renamed(
    connection: duckdb.DuckDBPyConnection,
    feeds: Sequence[ProvenFeed],
    found: Sequence[Identity],
    remarks: Mapping[str, Sequence[str]],
) -> tuple[list[ProvenFeed], list[Identity]]:
    """The feeds with the symbols that the book uses, and notes of what was renamed; second, what was."""
    found = [each for feed in feeds for each in _free(connection, feed, [one for one in found if one.broker == feed.alias])]
    if found:
        names = ("broker", "account", "theirs", "ours")
        columns = ", ".join(f"unnest(CAST(? AS VARCHAR[])) AS i_{name}" for name in names)
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {TABLE} AS SELECT {columns}", [[getattr(each, name) for each in found] for name in names]
        )
    return [_renamed(connection, feed, [each for each in found if each.broker == feed.alias], remarks) for feed in feeds], found


def _free(connection: duckdb.DuckDBPyConnection, feed: ProvenFeed, found: Sequence[Identity]) -> list[Identity]:
    """Those whose name the feed does not use itself in that account, for another leg of it."""
    if feed.mounted is None or not found:
        return []
    used = set(
        connection.execute(
            f"SELECT DISTINCT {feed.account_sql}, symbol FROM {identifier(feed.mounted.lean)} "
            "WHERE quantity <> 0 AND symbol IN (SELECT unnest(CAST(? AS VARCHAR[])))",
            [[each.ours for each in found]],
        ).fetchall()
    )
    return [each for each in found if (each.account, each.ours) not in used]


def _renamed(
    connection: duckdb.DuckDBPyConnection, feed: ProvenFeed, found: Sequence[Identity], remarks: Mapping[str, Sequence[str]]
) -> ProvenFeed:
    notes = tuple(remarks.get(feed.alias, ()))
    if feed.mounted is None or not found:
        return replace(feed, notes=(*feed.notes, *notes)) if notes else feed
    name = f"{feed.mounted.name} renamed"
    query = (
        "SELECT given.* REPLACE (coalesce(i_ours, symbol) AS symbol, coalesce(i_theirs, raw_symbol) AS raw_symbol) "
        f"FROM {identifier(feed.mounted.lean)} AS given LEFT JOIN {TABLE} ON i_theirs = symbol "
        f"AND i_broker = {quoted(feed.alias)} AND i_account = {feed.account_sql}"
    )
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {identifier(name)} AS {query}")
    told = tuple(_told(by, [each for each in found if each.by == by]) for by in dict.fromkeys(each.by for each in found))
    present = feed.mounted.columns_present | {"raw_symbol"}
    views = (*feed.mounted.views, (name, query))
    mounted = replace(feed.mounted, lean=name, columns_present=present, views=views, tables=(TABLE,))
    return replace(feed, mounted=mounted, notes=(*feed.notes, *told, *notes))


def _told(by: str, found: Sequence[Identity]) -> str:
    shown = ", ".join(f"{each.theirs} is {each.ours}" for each in found[:SHOWN])
    more = f" and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
    return f"the book's by {by}: {shown}{more}"


Places = dict[tuple[str, str], list[Lone]]


def _lone(connection: duckdb.DuckDBPyConnection, comparison: Comparison) -> tuple[Places, Places]:
    """What either side holds alone, by broker and account; each symbol once."""
    there = keys(comparison)
    broker = "coalesce(b_broker, f_broker)" if "broker" in there else quoted(comparison.brokers[0])
    columns = [f"{broker} AS broker", "coalesce(b_account, f_account) AS account", "coalesce(b_symbol, f_symbol) AS symbol"]
    for name in ("isin", "cusip"):
        sides = [f"{side}_{name}" for side, has in (("b", comparison.book), ("f", comparison.feeds)) if name in has.columns]
        columns.append(f"coalesce({', '.join(sides)}) AS {name}" if sides else f"CAST(NULL AS VARCHAR) AS {name}")
    chosen = f"SELECT DISTINCT b_quantity IS NOT NULL AS held, {', '.join(columns)}"
    query = f"{chosen} FROM hits WHERE (b_quantity IS NULL) <> (f_quantity IS NULL)"
    both = connection.execute("SELECT count_if(b_quantity IS NULL), count_if(f_quantity IS NULL) FROM hits").fetchone() or (0, 0)
    if not both[0] or not (both[1] or comparison.unproven):
        return {}, {}
    if comparison.unproven:  # what an unproven feed does not have is no hit; of accounts alone that have something to match
        place = ", ".join(f"f_{name}" for name in there if name in ("broker", "account"))
        accounts = f"({place.replace('f_', 'b_')}) IN (SELECT ({place}) FROM hits WHERE b_quantity IS NULL)"
        query += f" UNION {chosen} FROM ({joined(comparison)}) WHERE f_quantity IS NULL AND {accounts}"
    places: tuple[Places, Places] = ({}, {})
    for held, *lone in connection.execute(f"{query} ORDER BY ALL").fetchall():
        row = Lone._make(lone)
        places[0 if held else 1].setdefault((row.broker, row.account), []).append(row)
    return places


def _matched(ours: Sequence[Lone], theirs: Sequence[Lone]) -> tuple[list[Identity], list[str]]:
    """Pairs of names of one account, the surest identity first; second, remarks on those of which several could be meant."""
    found: list[Identity] = []
    remarks: list[str] = []
    left, right = ({row.symbol: row for row in side} for side in (ours, theirs))
    for by, key in (("ISIN", _isin), ("CUSIP", _cusip), (FORM, _form)):
        mine, yours = _by_key(left, key), _by_key(right, key)
        for identity in sorted(mine.keys() & yours.keys()):
            book, broker = mine[identity], yours[identity]
            alone = len(book) == len(broker) == 1
            if (by == FORM and not alone) or (alone and _contradict(left[book[0]], right[broker[0]])):
                continue
            if alone:
                one, other = left[book[0]], right[broker[0]]
                isin, cusip = (of(one) or of(other) for of in (_isin, _cusip))
                found.append(Identity(one.broker, one.account, other.symbol, one.symbol, by, isin, cusip))
            else:
                names = [" and ".join(side) for side in (book, broker)]
                remarks.append(
                    f"{by} {identity} is {names[0]} in the book, {names[1]} here: which is which is not known (`aliases`)"
                )
            for side, symbols in ((left, book), (right, broker)):
                for symbol in symbols:
                    del side[symbol]
    return found, remarks


def _by_key(rows: Mapping[str, Lone], key: Callable[[Lone], str | None]) -> dict[str, list[str]]:
    """The symbols by an identity that they have."""
    found: dict[str, list[str]] = {}
    for symbol, row in rows.items():
        if identity := key(row):
            found.setdefault(identity, []).append(symbol)
    return found


def _isin(row: Lone) -> str | None:
    return isin_of(row.isin)


def _cusip(row: Lone) -> str | None:
    return cusip_of(row.isin, row.cusip)


def _form(row: Lone) -> str:
    return form_of(row.symbol)


def _contradict(one: Lone, other: Lone) -> bool:
    """Whether identifiers that both have say that they are two instruments."""
    if differ(one.symbol, other.symbol):
        return True
    return any(mine and yours and mine != yours for mine, yours in ((_isin(one), _isin(other)), (_cusip(one), _cusip(other))))
