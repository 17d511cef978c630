"""From the mounted book and the proven feeds to the two sides of the comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import duckdb

from recon_core.book.survey import Survey
from recon_core.config.policy import Policy
from recon_core.elapsed import Intervals
from recon_core.feeds import ProvenFeed
from recon_core.pairs import CARRIED, VALUE_COLUMNS, Comparison, Side, Source, side_query
from recon_core.sql import identifier, quoted
from recon_core.tables.mounting import Mounted


def compare(
    book: Mounted,
    held: Survey,
    feeds: Sequence[ProvenFeed],
    policy: Policy,
    *,
    book_lots: bool,
    fx: Mapping[str, Decimal],
    as_of: datetime,
    now: datetime,
    closed: Intervals = (),
) -> Comparison:
    """What ``match`` compares: the book's rows of the brokers in ``feeds`` against every feed that may be used.

    ``held`` is the survey of the book: what no row of it needs is not asked of ten million.
    ``closed`` are the hours before ``as_of`` in which a position need not be confirmed.
    """
    brokers = tuple(feed.alias for feed in feeds)
    netted = [feed.alias for feed in feeds if feed.answer.settings.legs == "net"]
    usable = [feed for feed in feeds if feed.mounted is not None]
    legs = "leg" in book.columns_present or any("leg" in feed.mounted.columns_present for feed in usable if feed.mounted)
    unnamed = {feed.alias: feed.book_account for feed in feeds}
    several = len(brokers) > 1
    return Comparison(
        book=_book_side(book, held, brokers, netted, unnamed, legs=legs, lots=book_lots),
        feeds=_broker_side(usable, several=several, legs=legs),
        brokers=brokers,
        as_of=as_of,
        now=now,
        base_currency=policy.base_currency,
        fx=fx,
        price_fallback=policy.price_fallback,
        unproven=_unproven(feeds),
        assumed_currency=tuple(
            feed.alias
            for feed in feeds
            if "currency" not in book.columns_present and not (feed.mounted and "currency" in feed.mounted.columns_present)
        ),
        closed=closed,
        sources=(
            _book_source(book, held, brokers, unnamed),
            *(_source(feed, feed.mounted) for feed in usable if feed.mounted),
        ),
    )


def _book_source(book: Mounted, held: Survey, brokers: Sequence[str], unnamed: Mapping[str, str]) -> Source:
    account = f"coalesce(account, {_by_broker(unnamed)})"
    where = f"quantity <> 0 AND broker IN ({_list(brokers)})"
    owned = f"SELECT broker, {account} AS account FROM {identifier(book.lean)} WHERE {where}"
    return Source(book, None, owned, held.positions_at(brokers), {}, unnamed)


def _source(feed: ProvenFeed, mounted: Mounted) -> Source:
    whose = f"{quoted(feed.alias)} AS broker, {feed.account_sql} AS account"
    owned = f"SELECT {whose} FROM {identifier(mounted.lean)} WHERE quantity <> 0"
    accounts = feed.answer.settings.accounts
    return Source(mounted, feed.alias, owned, feed.positions, accounts, {feed.alias: feed.row_account})


def _book_side(
    book: Mounted,
    held: Survey,
    brokers: Sequence[str],
    netted: Sequence[str],
    unnamed: Mapping[str, str],
    *,
    legs: bool,
    lots: bool,
) -> Side:
    columns = [name for name in _values(book.columns_present) if name not in book.constants]
    named = all(entry.account is not None for alias in brokers for entry in held.accounts.get(alias, ()))
    account = "account" if named else f"coalesce(account, {_by_broker(unnamed)})"
    nonzero = ["quantity <> 0"] if held.rows != held.positions else []

    def rows(chosen: Sequence[str], leg: str, *, summed: bool) -> str:
        return side_query(
            book.lean,
            columns,
            broker="broker" if len(brokers) > 1 else None,
            keys_from={"account": account, "leg": leg},
            legs=legs,
            summed=summed,
            where=nonzero + ([f"broker IN ({_list(chosen)})"] if set(held.accounts) - set(chosen) else []),
        )

    kept = [alias for alias in brokers if alias not in netted]
    queries = [rows(kept, "leg", summed=lots)] if kept or not netted else []
    queries += [rows(netted, "'NET'", summed=True)] if netted else []
    return Side(" UNION ALL ".join(f"({query})" for query in queries), frozenset(columns), legs, book.constants)


def _broker_side(feeds: Sequence[ProvenFeed], *, several: bool, legs: bool) -> Side:
    present: set[str] = {"quantity"}
    for feed in feeds:
        present |= set(_values(feed.mounted.columns_present if feed.mounted else ()))
    constants = _shared([feed.mounted.constants for feed in feeds if feed.mounted])
    columns = [name for name in VALUE_COLUMNS if name in present and name not in constants]
    queries = []
    for feed in feeds:
        if feed.mounted is None:
            continue
        net = feed.answer.settings.legs == "net"
        queries.append(
            side_query(
                feed.mounted.lean,
                columns,
                broker=quoted(feed.alias) if several else None,
                keys_from={"account": feed.account_sql, "leg": "'NET'" if net else "leg"},
                legs=legs,
                summed=feed.feed.lots or net,
                where=["quantity <> 0"],
            )
        )
    if not queries:
        keys = [*(["broker"] if several else []), "account", "symbol", *(["leg"] if legs else [])]
        nothing = [f"CAST(NULL AS VARCHAR) AS {key}" for key in keys]
        nothing += [f"CAST(NULL AS {CARRIED[name]}) AS {name}" for name in columns]
        queries.append(f"SELECT {', '.join(nothing)} WHERE false")
    return Side(" UNION ALL ".join(f"({query})" for query in queries), frozenset(columns), legs, constants)


def _shared(constants: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What is the same constant in all of them."""
    return (
        {name: text for name, text in constants[0].items() if all(one.get(name) == text for one in constants)} if constants else {}
    )


def uneven_lots(connection: duckdb.DuckDBPyConnection, mounted: Mounted, *, book: bool, limit: int = 5) -> list[str]:
    """Lots that cannot be added up, each position as a text: of several currencies or multipliers, or past 10^19 together."""
    keys = "broker, account, symbol" if book else "account, symbol"
    tests = {
        "currencies": "count(DISTINCT currency) > 1 OR count(currency) NOT IN (0, count(*))",
        "multipliers": "count(DISTINCT multiplier) > 1 OR count(multiplier) NOT IN (0, count(*))",
        "quantity": "abs(sum(quantity::DOUBLE)) >= 1e19",
    }
    cases = " ".join(f"WHEN {test} THEN {quoted(what)}" for what, test in tests.items())
    judged = f"SELECT {keys}, CASE {cases} END AS what FROM {identifier(mounted.name)} WHERE quantity <> 0 GROUP BY {keys}"
    rows = connection.execute(f"SELECT * FROM ({judged}) WHERE what IS NOT NULL ORDER BY ALL LIMIT {limit}").fetchall()
    said = {
        "currencies": "its rows to be added up differ in their currencies",
        "multipliers": "its rows to be added up differ in their multipliers",
        "quantity": "its rows add up past 10^19",
    }
    return [f"{' '.join(text for text in key if text)}: {said[what]}" for *key, what in rows]


def _values(present: Sequence[str] | frozenset[str]) -> list[str]:
    return [name for name in VALUE_COLUMNS if name in present or name == "quantity"]


def _unproven(feeds: Sequence[ProvenFeed]) -> str:
    """SQL condition over broker, account and asset_class: true where an absence at the broker proves nothing."""
    several = len(feeds) > 1
    conditions = []
    for feed in feeds:
        silent = []
        if feed.everywhere:
            silent.append("true")
        elif feed.unproven_accounts:
            silent.append(f"account IN ({_list(feed.unproven_accounts)})")
        if feed.covered and not feed.everywhere:
            silent.append(f"coalesce(lower(asset_class) NOT IN ({_list(feed.covered)}), false)")
        if silent:
            here = f"broker = {quoted(feed.alias)} AND " if several else ""
            conditions.append(f"({here}({' OR '.join(silent)}))")
    return " OR ".join(conditions)


def _by_broker(unnamed: Mapping[str, str]) -> str:
    names = set(unnamed.values())
    if len(names) == 1:
        return quoted(names.pop())
    cases = " ".join(f"WHEN {quoted(alias)} THEN {quoted(account)}" for alias, account in unnamed.items())
    return f"CASE broker {cases} END"


def _list(names: Sequence[str]) -> str:
    return ", ".join(map(quoted, names)) or "NULL"
