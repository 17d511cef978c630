"""What the live breaks add up to, by firm, broker and account, which of them halt, and what is silenced: all in SQL."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import duckdb

from recon_core.config.policy import Policy
from recon_core.engine import named_rows
from recon_core.expressions import columns_of, compile_expression
from recon_core.model import Halting, Scope, Tally, Total
from recon_core.sql import quoted

_SCOPE_KEYS: dict[Scope, str] = {"firm": "", "broker": "broker", "account": "broker, account"}

_IN_INCIDENTS = "(SELECT * FROM breaks LEFT JOIN grouped USING (place))"
_INCIDENTS = """,
            count(DISTINCT coalesce(incident, id)) FILTER (WHERE live) AS break_incidents,
            count(DISTINCT CASE WHEN missing THEN
                (incident, CASE WHEN incident IS NULL THEN (broker, account, symbol, leg) END) END) AS missing_incidents"""
"""What breaks and missing positions come to where those of one incident are one; see ``incidents.group`` for ``grouped``."""


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
        f", count(*) FILTER (WHERE {spoken}) AS n{place}, arg_min(id, place, 100) FILTER (WHERE {spoken}) AS b{place}"
        for place, spoken in enumerate(_spoken_of(entry.when) for entry in here)
    )
    counted, incidents, breaks = "break_total AS break_count, missing_total AS missing_count", "", "breaks"
    if policy.count == "incidents":
        counted, incidents, breaks = "break_incidents AS break_count, missing_incidents AS missing_count", _INCIDENTS, _IN_INCIDENTS
    summed = f"""
        SELECT {keys + ", " if keys else ""}count(*) FILTER (WHERE live) AS break_total,
            count(*) FILTER (WHERE live AND halts) AS halting_count,
            count(DISTINCT CASE WHEN missing THEN (broker, account, symbol, leg) END) AS missing_total{incidents},
            coalesce(sum(impact) FILTER (WHERE live AND counts), 0)::DECIMAL(38,4) AS known_impact,
            count(*) FILTER (WHERE live AND counts AND impact IS NULL) AS unknown_count{", " + kinds if kinds else ""}{behind}
        FROM {breaks} {group}"""
    whole = f"SELECT *, {counted}, CASE WHEN unknown_count = 0 THEN known_impact END AS total_impact FROM ({summed})"
    # Where no break is, a quotient of two zeros is no doubt: nothing is there to be escalated.
    known = "CASE WHEN break_count = 0 THEN false END"
    tripped = "".join(
        f", coalesce(TRY({compile_expression(entry.when, {})}), {known}) AS t{place}" for place, entry in enumerate(here)
    )
    rows = named_rows(connection.execute(f"SELECT *{tripped} FROM ({whole})"))
    return [
        Total(
            scope=scope,
            broker=row.get("broker"),
            account=row.get("account"),
            break_count=row["break_total"],
            missing_count=row["missing_total"],
            halting_count=row["halting_count"],
            total_impact=row["total_impact"],
            known_impact=row["known_impact"],
            unknown_count=row["unknown_count"],
            counts={name: row[f"count_{name}"] for name in policy.rules},
            tripped={entry.name: row[f"t{place}"] for place, entry in enumerate(here)},
            behind={entry.name: (row[f"n{place}"], tuple(row[f"b{place}"] or ())) for place, entry in enumerate(here)},
            as_incidents=(row["break_count"], row["missing_count"]) if incidents else None,
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
    rows = named_rows(
        connection.execute(
            f"""SELECT type, rule, halt_source{keys}, count(*) AS count,
                    arg_min(id, place, 100) AS ids, arg_min(symbol, place, 5) AS symbols
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


def tallies(connection: duckdb.DuckDBPyConnection) -> tuple[Tally, ...]:
    """The tallies of all accounts, by broker, account and type."""
    rows = connection.execute(
        """SELECT broker, account, type, count(*), CASE WHEN count(impact) = count(*) THEN sum(impact)::DECIMAL(38,4) END
           FROM breaks WHERE live GROUP BY broker, account, type ORDER BY broker, account, type"""
    ).fetchall()
    return tuple(Tally(*row) for row in rows)


def rule_impacts(connection: duckdb.DuckDBPyConnection, policy: Policy) -> dict[str, Decimal | None]:
    """What the live breaks of each rule add up to, whether they count or not; None where one is unknown."""
    rows = connection.execute(
        "SELECT type, CASE WHEN count(impact) = count(*) THEN sum(impact) END FROM breaks WHERE live GROUP BY type"
    ).fetchall()
    found: dict[str, Decimal | None] = dict.fromkeys(policy.rules, Decimal(0))
    return found | dict(rows)
