"""Breaks with one cause, shown as one: a corporate action, a missing mapping, a wrong ratio, a dead feed, a lost account. In SQL.

Each break belongs to one incident at most, to the first that fits of event, mapping, ratio, feed and account. What an incident
claims can be read off the positions; its action is a suggestion where to look first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import duckdb

from recon_core.book.survey import Survey
from recon_core.engine import named_rows
from recon_core.incident_wording import action, title
from recon_core.pairs import Comparison, Side
from recon_core.scan import Scan
from recon_core.sql import quoted

if TYPE_CHECKING:
    from recon_core.explanation import Explanation, Key

Kind = Literal["event", "mapping", "ratio", "feed", "account"]
SEVERAL = 3
"""From how many positions on that go wrong alike one cause is more likely than chance."""
IDS = 100
"""How many breaks an incident names, worst first."""

_FIGURES = "impact IS DISTINCT FROM 0"
"""Of a break: it is about how much is held or what it cost, not about a row's age or currency."""

_ID = """'I' || sha256(concat_ws(chr(31), kind, length(broker), length(scope), length(about), broker, scope, about))[1:16]"""
"""An incident's id, from its cause and its scope alone: it stays while breaks join it and leave it."""

_NARROW: tuple[Kind, ...] = ("mapping", "account")
"""Of one account each; the others may span those of a broker."""


@dataclass(frozen=True, slots=True)
class Incident:
    """Breaks with one cause. ``account`` is None where they are in several, ``breaks`` are the ids of the worst ``IDS`` of them.

    ``impact`` is the gross sum of those that count, in base currency, None where one is unknown. ``action`` says what to do first.
    """

    id: str
    kind: Kind
    title: str
    broker: str
    account: str | None
    breaks: tuple[str, ...]
    break_count: int
    impact: Decimal | None
    action: str


def group(
    connection: duckdb.DuckDBPyConnection,
    comparison: Comparison,
    held: Survey,
    scanned: Scan,
    explanations: Mapping[Key, Explanation],
) -> None:
    """Make ``grouped`` from ``breaks`` (see ``silence``): by ``place`` the ``incident`` of each live break that has one.

    Columns beside them: ``kind``, and ``about``, what tells the cause from others of its kind.
    """
    connection.execute("CREATE OR REPLACE TEMP TABLE grouped (place BIGINT, kind VARCHAR, about VARCHAR, incident VARCHAR)")
    counted = connection.execute(
        f"""SELECT count(*) FILTER (WHERE live), count(*) FILTER (WHERE live AND related IS NOT NULL),
            count(*) FILTER (WHERE live AND in_book AND at_broker AND {_FIGURES}) FROM breaks"""
    ).fetchone()
    live, naming_two, on_both_sides = counted or (0, 0, 0)
    if live:  # planning a query that finds nothing costs more than all else on a small book
        _take(connection, "event", _events(connection, explanations), at_least=2)
    if naming_two:
        _take(connection, "mapping", _MAPPINGS, at_least=1)
    if on_both_sides >= SEVERAL:
        _ratios(connection)
    if live >= SEVERAL:
        feeds, accounts = _all_broken(connection, comparison, held, scanned)
        _take(connection, "feed", feeds, at_least=SEVERAL)
        _take(connection, "account", accounts, at_least=2)


def gathered(connection: duckdb.DuckDBPyConnection, limit: int) -> tuple[Incident, ...]:
    """The incidents of ``grouped``, the one with the worst break first; at most ``limit``."""
    if not connection.execute("SELECT 1 FROM grouped LIMIT 1").fetchone():  # planning what finds nothing costs, as in ``group``
        return ()
    rows = named_rows(
        connection.execute(
            f"""SELECT incident, any_value(kind) AS kind, any_value(about) AS about, any_value(broker) AS broker,
                    CASE WHEN count(DISTINCT account) = 1 THEN any_value(account) END AS account,
                    count(*) AS count, arg_min(id, place, {IDS}) AS ids, list_sort(list(DISTINCT symbol))[1:3] AS symbols,
                    count(DISTINCT symbol) AS symbol_count, count(DISTINCT account) AS accounts,
                    count(DISTINCT (account, symbol, leg)) AS positions,
                    count(DISTINCT CASE WHEN NOT at_broker THEN (account, symbol, leg) END) AS only_in_book,
                    count(DISTINCT CASE WHEN NOT in_book THEN (account, symbol, leg) END) AS only_at_broker,
                    max(related) AS related, min_by(symbol, (related IS NULL, place)) AS mapped,
                    CASE WHEN count(*) FILTER (WHERE counts AND impact IS NULL) = 0
                        THEN coalesce(sum(impact) FILTER (WHERE counts), 0)::DECIMAL(38,4) END AS impact
                FROM (SELECT g.incident, g.kind, g.about, b.* FROM grouped g JOIN breaks b USING (place))
                GROUP BY incident ORDER BY min(place) LIMIT {limit}"""
        )
    )
    return tuple(
        Incident(
            id=row["incident"],
            kind=row["kind"],
            title=title(row),
            broker=row["broker"],
            account=row["account"],
            breaks=tuple(row["ids"]),
            break_count=row["count"],
            impact=row["impact"],
            action=action(row),
        )
        for row in rows
    )


def membership(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> dict[str, str]:
    """By id of a break, of those in ``names``, the id of its incident."""
    rows = connection.execute(
        "SELECT id, incident FROM grouped JOIN breaks USING (place) SEMI JOIN (SELECT unnest($1) AS id) USING (id)", [list(names)]
    )
    return dict(rows.fetchall())


def _take(connection: duckdb.DuckDBPyConnection, kind: Kind, members: str, *, at_least: int) -> None:
    """Group the breaks that ``members`` names (SQL of ``place`` and ``about``; empty: none) and no incident has yet.

    An incident of fewer than ``at_least`` positions is none.
    """
    if not members:
        return
    scope = "account" if kind in _NARROW else "''"
    connection.execute(
        f"""INSERT INTO grouped BY NAME
            WITH taken AS (
                SELECT place, '{kind}' AS kind, broker, account, {scope} AS scope, about, symbol, leg
                FROM ({members}) JOIN breaks USING (place) ANTI JOIN grouped USING (place) WHERE live),
            enough AS (
                SELECT broker, scope, about, {_ID} AS incident FROM taken GROUP BY kind, broker, scope, about
                HAVING count(DISTINCT (account, symbol, leg)) >= {at_least})
            SELECT place, kind, about, incident FROM taken JOIN enough USING (broker, scope, about)"""
    )


def _events(connection: duckdb.DuckDBPyConnection, explanations: Mapping[Key, Explanation]) -> str:
    """The breaks that one event explains: all of the difference, and without a doubt."""
    told = [(*key, found.event, found.cause) for key, found in explanations.items() if found.event is not None and found.certain]
    if not told:
        return ""
    columns = ("broker", "account", "symbol", "leg", "event", "cause")
    listed = ", ".join(f"unnest(${number}) AS {name}" for number, name in enumerate(columns, 1))
    connection.execute(f"CREATE OR REPLACE TEMP TABLE events AS SELECT {listed}", [list(part) for part in zip(*told, strict=True)])
    why = "first(e.cause) OVER (PARTITION BY broker, event ORDER BY account, symbol, leg)"
    return f"""SELECT place, concat_ws(chr(31), event, {why}) AS about
        FROM breaks JOIN events e USING (broker, account, symbol, leg) WHERE {_FIGURES}"""


_MAPPINGS = """
    SELECT b.place, min(concat_ws(chr(31), m.leg, length(m.symbol), m.symbol, m.related)) AS about
    FROM breaks b JOIN breaks m
      ON b.broker = m.broker AND b.account = m.account AND b.leg = m.leg AND b.symbol IN (m.symbol, m.related)
    WHERE m.live AND m.related IS NOT NULL AND m.in_book AND NOT m.at_broker AND b.in_book <> b.at_broker
    GROUP BY b.place"""
"""A break that says of a position in the book that another at the broker is the same instrument, with the breaks of both."""

_FACTORS = f"""
    CREATE OR REPLACE TEMP TABLE factors AS
    WITH sized AS (
        SELECT place, quantity_difference = 0 AS level, book_quantity = -broker_quantity AS opposite,
            (book_quantity > 0) = (broker_quantity > 0) AS one_way, abs(book_quantity) > abs(broker_quantity) AS more_in_book,
            greatest(abs(book_quantity), abs(broker_quantity)) AS more, least(abs(book_quantity), abs(broker_quantity)) AS less,
            abs(book_avg_price)::DOUBLE AS ours, nullif(abs(broker_avg_price), 0)::DOUBLE AS theirs, multiplier
        FROM full_breaks WHERE live AND in_book AND at_broker AND {_FIGURES}
    ), whole AS (
        SELECT *, CASE WHEN level THEN greatest(ours / theirs, TRY(theirs / ours)) ELSE more::DOUBLE / less::DOUBLE END AS r
        FROM sized WHERE CASE WHEN level OR opposite THEN true WHEN one_way THEN more % less = 0 END
    ), rounded AS (
        SELECT *, CASE
            WHEN NOT level THEN round(r)
            WHEN abs(r - 10) <= r / 100 THEN 10 WHEN abs(r - 100) <= r / 100 THEN 100 WHEN abs(r - 1000) <= r / 100 THEN 1000
            WHEN multiplier > 1 AND abs(r - multiplier) <= r / 100 THEN multiplier END AS k
        FROM whole
    )
    SELECT place, CASE WHEN opposite THEN 'sign' WHEN level THEN 'price' ELSE 'quantity' END AS what, k::BIGINT AS k,
        CASE WHEN CASE WHEN level THEN ours > theirs ELSE more_in_book END THEN 'book' ELSE 'broker' END AS larger,
        multiplier > 1 AND k = multiplier AS by_lot
    FROM rounded WHERE opposite OR k BETWEEN 2 AND 10000"""
"""Of breaks that both sides hold the factor between them: of quantities exactly, of prices (on equal quantities) to one percent."""


def _ratios(connection: duckdb.DuckDBPyConnection) -> None:
    """Group the breaks that differ by one factor, and of the others those that differ by their own multiplier."""
    connection.execute(_FACTORS)
    by_factor = "CASE WHEN what = 'sign' THEN what ELSE concat_ws(chr(31), what, k, larger) END"
    _take(connection, "ratio", f"SELECT place, {by_factor} AS about FROM factors", at_least=SEVERAL)
    by_lot = "SELECT place, concat_ws(chr(31), what, 'multiplier', larger) AS about FROM factors WHERE by_lot AND what <> 'sign'"
    _take(connection, "ratio", by_lot, at_least=SEVERAL)


def _all_broken(connection: duckdb.DuckDBPyConnection, comparison: Comparison, held: Survey, scanned: Scan) -> tuple[str, str]:
    """The breaks of brokers of which no position is held alike on both sides, and of accounts of which every position is one break.

    Positions are counted only where so many are broken that it may be: at ten million positions counting takes time.
    """
    broken = connection.execute(
        """SELECT broker, account, type, count(*) FILTER (WHERE in_book), count(*) FILTER (WHERE at_broker)
           FROM breaks WHERE superseded_by IS NULL GROUP BY broker, account, type"""
    ).fetchall()
    apart = connection.execute(
        """SELECT broker, count(*) FILTER (WHERE in_book), count(*) FILTER (WHERE at_broker) FROM (
               SELECT DISTINCT broker, account, symbol, leg, in_book, at_broker FROM breaks WHERE quantity_difference <> 0)
           GROUP BY broker"""
    ).fetchall()
    booked: Mapping[tuple[str, str], int] = {
        (alias, entry.account or ""): entry.positions for alias, entries in held.accounts.items() for entry in entries
    }
    counted = held.positions_at(comparison.brokers) == scanned.in_book and all(account for _, account in booked)
    wanted = {broker for broker, account, _, ours, _ in broken if not counted or ours == booked.get((broker, account), 0)}
    wanted |= {broker for broker, ours, _ in apart if not counted or ours == sum(_of(booked, broker))}
    if not wanted:
        return "", ""
    booked = booked if counted else _positions(connection, comparison, comparison.book, wanted)
    reported = _positions(connection, comparison, comparison.feeds, wanted)
    feeds = [broker for broker, ours, theirs in apart if (ours, theirs) == (sum(_of(booked, broker)), sum(_of(reported, broker)))]
    accounts = [
        (broker, account, kind)
        for broker, account, kind, ours, theirs in broken
        if (ours, theirs) == (booked.get((broker, account), 0), reported.get((broker, account), 0)) and ours + theirs >= SEVERAL
    ]
    return (
        f"SELECT place, '' AS about FROM breaks WHERE broker IN ({', '.join(map(quoted, feeds))}) AND {_FIGURES}" if feeds else "",
        _every_position(connection, accounts),
    )


def _every_position(connection: duckdb.DuckDBPyConnection, accounts: Sequence[tuple[str, str, str]]) -> str:
    if not accounts:
        return ""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE every_position AS SELECT unnest($1) AS broker, unnest($2) AS account, unnest($3) AS type",
        [list(part) for part in zip(*accounts, strict=True)],
    )
    return "SELECT place, type AS about FROM breaks JOIN every_position USING (broker, account, type) WHERE superseded_by IS NULL"


def _positions(
    connection: duckdb.DuckDBPyConnection, comparison: Comparison, side: Side, brokers: Iterable[str]
) -> dict[tuple[str, str], int]:
    """How many positions one side has of each account of these brokers."""
    named = "broker" if len(comparison.brokers) != 1 else f"{quoted(comparison.brokers[0])} AS broker"
    among = ", ".join(map(quoted, sorted(brokers)))
    held = f"SELECT {named}, account FROM ({side.query})"
    rows = connection.execute(f"SELECT broker, account, count(*) FROM ({held}) WHERE broker IN ({among}) GROUP BY ALL").fetchall()
    return {(broker, account): count for broker, account, count in rows}


def _of(counts: Mapping[tuple[str, str], int], broker: str) -> list[int]:
    return [count for (alias, _), count in counts.items() if alias == broker]
