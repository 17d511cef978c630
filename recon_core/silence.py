"""Which breaks are silenced, by whom, and what the rest add up to: suppression, superseding, totals, all in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import duckdb

from recon_core.columns import PAIR_COLUMNS
from recon_core.config.policy import Policy, Scope
from recon_core.expressions import columns_of, compile_expression, literal
from recon_core.sql import quoted
from recon_core.tuning import condition

WORST_FIRST = """
    suppressed_by IS NOT NULL, halts DESC, impact IS NULL DESC, impact DESC, severity_rank DESC, type, broker, account, symbol, leg
"""
"""The one order of breaks everywhere: what halts, then what nobody can price, then by money."""

_SCOPE_KEYS: dict[Scope, str] = {"firm": "", "broker": "broker", "account": "broker, account"}


@dataclass(frozen=True, slots=True)
class Total:
    """What the breaks of one scope add up to, silenced ones left out. ``total_impact`` is None where one is unknown."""

    scope: Scope
    broker: str | None
    account: str | None
    break_count: int
    missing_count: int
    halting_count: int
    total_impact: Decimal | None
    known_impact: Decimal
    unknown_count: int
    counts: Mapping[str, int]
    tripped: Mapping[str, bool | None]
    behind: Mapping[str, tuple[int, tuple[str, ...]]]
    """By escalation, how many breaks its predicate speaks of, and the ids of the worst 100."""

    @property
    def name(self) -> str:
        """The scope as a person reads it."""
        return {"firm": "firm", "broker": f"broker {self.broker}", "account": f"account {self.broker}/{self.account}"}[self.scope]


@dataclass(frozen=True, slots=True)
class Halting:
    """The breaks of one rule that halt in one scope, by the policy entry that says so (0: the rule's own)."""

    type: str
    source: int
    scope: str
    count: int
    breaks: tuple[str, ...]
    symbols: tuple[str, ...]


def silence(connection: duckdb.DuckDBPyConnection, policy: Policy, today: date) -> None:
    """Make ``breaks`` from ``found``: ids, suppression on the day ``today``, superseding, order.

    Columns beside those of ``found``: ``id``, ``suppressed_by`` (place in the policy's list), ``superseded_by`` (a type),
    ``live`` (neither of the two), ``missing`` (one side has no position, and the break counts), ``place`` (worst first).
    """
    active = [(place, entry) for place, entry in enumerate(policy.suppress) if today <= entry.until]
    cases, known = "", " AND impact IS NOT NULL"  # what nobody can price is not accepted unseen
    for place, entry in active:
        bound = f" AND coalesce(impact <= {literal(entry.max_impact)}, false)" if entry.max_impact is not None else known
        kind = f" AND type GLOB {quoted(entry.match.type)}" if entry.match.type is not None else ""
        cases += f" WHEN {condition(entry.match)}{kind}{bound} THEN {place}"
    suppressed = f"CASE{cases} END" if cases else "CAST(NULL AS INTEGER)"
    ranks = " ".join(f"WHEN '{name}' THEN {rank}" for rank, name in enumerate(("info", "warning", "high", "critical")))
    identity = "'B' || sha256(concat_ws(chr(31), type, broker, account, symbol, leg))[1:16]"
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE marked AS
            SELECT *, {identity} AS id, {suppressed}::INTEGER AS suppressed_by, CASE severity {ranks} END AS severity_rank
            FROM found"""
    )
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE breaks AS
            SELECT *, suppressed_by IS NULL AND superseded_by IS NULL AS live,
                in_book <> at_broker AND counts AND suppressed_by IS NULL AND superseded_by IS NULL AS missing,
                row_number() OVER (ORDER BY superseded_by IS NOT NULL, {WORST_FIRST}) AS place
            FROM ({_superseded(policy)})"""
    )


def _superseded(policy: Policy) -> str:
    """``marked`` with ``superseded_by``: the type of a live break on the same position that silences it and halts no less."""
    claims = _claims(policy)
    if not claims:
        return "SELECT *, CAST(NULL AS VARCHAR) AS superseded_by FROM marked"
    values = ", ".join(f"({quoted(winner)}, {quoted(loser)})" for winner, loser in claims)
    return f"""
        WITH claims(winner, loser) AS (VALUES {values}),
        winners AS (
            SELECT broker, account, leg, unnest([symbol, related]) AS symbol, winner, loser, halts
            FROM marked JOIN claims ON type = winner WHERE suppressed_by IS NULL),
        lost AS (
            SELECT m.id, min(w.winner) AS superseded_by
            FROM marked m JOIN winners w
              ON m.type = w.loser AND m.broker = w.broker AND m.account = w.account AND m.leg = w.leg AND m.symbol = w.symbol
             AND w.halts >= m.halts
            GROUP BY m.id)
        SELECT m.*, l.superseded_by FROM marked m LEFT JOIN lost l USING (id)"""


def _claims(policy: Policy) -> list[tuple[str, str]]:
    """Who silences whom. A claim that closes a circle is left out, or two rules would silence each other and nothing be left."""
    silences: dict[str, set[str]] = {name: set() for name in policy.rules}
    for name, rule in policy.rules.items():
        for loser in rule.supersedes:
            reached, waiting = set[str](), [loser]
            while waiting:
                current = waiting.pop()
                reached.add(current)
                waiting += silences.get(current, set()) - reached
            if loser in silences and name not in reached:
                silences[name].add(loser)
    return [(winner, loser) for winner, losers in silences.items() for loser in sorted(losers)]


def totals(connection: duckdb.DuckDBPyConnection, policy: Policy) -> list[Total]:
    """The totals of the firm, of each broker and of each account with live breaks, and which escalations they trip."""
    found: list[Total] = []
    for scope in ("firm", "broker", "account"):
        if scope == "firm" or scope == policy.scope or any(entry.per == scope for entry in policy.escalation):
            found += _totals_of(connection, policy, scope)
    return found


def _totals_of(connection: duckdb.DuckDBPyConnection, policy: Policy, scope: Scope) -> list[Total]:
    keys = _SCOPE_KEYS[scope]
    group = f"GROUP BY {keys} ORDER BY {keys}" if keys else ""
    kinds = ", ".join(f"count(*) FILTER (WHERE live AND type = {quoted(name)}) AS count_{name}" for name in policy.rules)
    here = [entry for entry in policy.escalation if entry.per == scope]
    behind = "".join(
        f", count(*) FILTER (WHERE {spoken}) AS n{place}, list(id ORDER BY place) FILTER (WHERE {spoken})[1:100] AS b{place}"
        for place, spoken in enumerate(_spoken_of(entry.when) for entry in here)
    )
    summed = f"""
        SELECT {keys + ", " if keys else ""}count(*) FILTER (WHERE live) AS break_count,
            count(*) FILTER (WHERE live AND halts) AS halting_count,
            count(DISTINCT CASE WHEN missing THEN concat_ws(chr(31), broker, account, symbol, leg) END) AS missing_count,
            coalesce(sum(impact) FILTER (WHERE live AND counts), 0)::DECIMAL(38,4) AS known_impact,
            count(*) FILTER (WHERE live AND counts AND impact IS NULL) AS unknown_count{", " + kinds if kinds else ""}{behind}
        FROM breaks {group}"""
    whole = f"SELECT *, CASE WHEN unknown_count = 0 THEN known_impact END AS total_impact FROM ({summed})"
    tripped = "".join(f", TRY({compile_expression(entry.when, {})}) AS t{place}" for place, entry in enumerate(here))
    rows = _rows(connection.execute(f"SELECT *{tripped} FROM ({whole})"))
    return [
        Total(
            scope=scope,
            broker=row.get("broker"),
            account=row.get("account"),
            break_count=row["break_count"],
            missing_count=row["missing_count"],
            halting_count=row["halting_count"],
            total_impact=row["total_impact"],
            known_impact=row["known_impact"],
            unknown_count=row["unknown_count"],
            counts={name: row[f"count_{name}"] for name in policy.rules},
            tripped={entry.name: row[f"t{place}"] for place, entry in enumerate(here)},
            behind={entry.name: (row[f"n{place}"], tuple(row[f"b{place}"] or ())) for place, entry in enumerate(here)},
        )
        for row in rows
    ]


def _spoken_of(when: str) -> str:
    """SQL condition for the breaks that an escalation's predicate speaks of."""
    named = columns_of(when)
    if named <= {"missing_count"}:
        return "missing"
    return "live AND counts" if named <= {"missing_count", "total_impact"} else "live"


def halting(connection: duckdb.DuckDBPyConnection, scope: Scope) -> list[Halting]:
    """The live breaks that halt, by rule, policy entry and scope; at most 100 ids of each, worst first."""
    keys = f", {_SCOPE_KEYS[scope]}" if _SCOPE_KEYS[scope] else ""
    rows = _rows(
        connection.execute(
            f"""SELECT type, rule, halt_source{keys}, count(*) AS count,
                    list(id ORDER BY place)[1:100] AS ids, list(symbol ORDER BY place)[1:5] AS symbols
                FROM breaks WHERE live AND halts GROUP BY type, rule, halt_source{keys} ORDER BY rule, halt_source{keys}"""
        )
    )
    return [
        Halting(
            row["type"],
            row["halt_source"],
            {
                "firm": "firm",
                "broker": f"broker {row.get('broker')}",
                "account": f"account {row.get('broker')}/{row.get('account')}",
            }[scope],
            row["count"],
            tuple(row["ids"]),
            tuple(row["symbols"]),
        )
        for row in rows
    ]


class Silenced(NamedTuple):
    """How many breaks are silenced, and what the suppressed ones, where they count, are known to be worth."""

    suppressed: int
    superseded: int
    suppressed_impact: Decimal


def silenced(connection: duckdb.DuckDBPyConnection) -> Silenced:
    """What ``silence`` silenced."""
    row = connection.execute(
        """SELECT count(*) FILTER (WHERE suppressed_by IS NOT NULL AND superseded_by IS NULL),
            count(*) FILTER (WHERE superseded_by IS NOT NULL),
            coalesce(sum(impact) FILTER (WHERE suppressed_by IS NOT NULL AND superseded_by IS NULL AND counts), 0)::DECIMAL(38,4)
           FROM breaks"""
    ).fetchone()
    return Silenced(*(row or (0, 0, Decimal(0))))


def rule_impacts(connection: duckdb.DuckDBPyConnection, policy: Policy) -> dict[str, Decimal | None]:
    """What the live breaks of each rule add up to, whether they count or not; None where one is unknown."""
    rows = connection.execute(
        "SELECT type, CASE WHEN count(impact) = count(*) THEN sum(impact) END FROM breaks WHERE live GROUP BY type"
    ).fetchall()
    found: dict[str, Decimal | None] = dict.fromkeys(policy.rules, Decimal(0))
    return found | dict(rows)


def worst(connection: duckdb.DuckDBPyConnection, limit: int) -> list[dict[str, Any]]:
    """The first ``limit`` breaks, worst first, superseded ones left out; numbers as plain text."""
    return _rows(connection.execute(f"SELECT {_printed()} FROM breaks WHERE superseded_by IS NULL ORDER BY place LIMIT {limit}"))


_NUMBERS = (
    "book_quantity",
    "broker_quantity",
    "quantity_difference",
    "difference_pct",
    "book_avg_price",
    "broker_avg_price",
    "price",
)


def _printed() -> str:
    numbers = "".join(f", CASE WHEN {name} IS NOT NULL THEN plain_text({name}) END AS {name}" for name in _NUMBERS)
    return f"""id, type, severity, broker, account, symbol, leg, related, asset_class, currency, impact::VARCHAR AS impact, detail,
        halts AND live AS halts, suppressed_by, round(hours_untouched, 2)::DECIMAL(18,2)::VARCHAR AS hours_untouched{numbers}"""


def parquet_query(policy: Policy) -> str:
    """SQL of every break for breaks.parquet, the superseded ones included, exact and in the order of the report."""
    columns = ", ".join(name for name in PAIR_COLUMNS)
    reasons = " ".join(f"WHEN {place} THEN {quoted(entry.reason)}" for place, entry in enumerate(policy.suppress))
    why = f"CASE suppressed_by {reasons} END" if reasons else "CAST(NULL AS VARCHAR)"
    return f"""SELECT id, type, severity, {columns}, related::VARCHAR AS related, impact, halts AND live AS halts, counts,
        {why} AS suppressed, superseded_by, detail FROM breaks ORDER BY place"""


def expired(policy: Policy, today: date) -> list[str]:
    """Suppressions that ended, in words."""
    return [
        f"{policy.path}:{entry.line}: suppression ended on {entry.until}: {entry.reason}"
        for entry in policy.suppress
        if today > entry.until
    ]


def _rows(cursor: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
