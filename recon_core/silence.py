"""Which breaks are silenced, and by whom: suppression by the policy, superseding by another rule. All in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import duckdb

from recon_core.acceptance import accept
from recon_core.columns import NARROW_COLUMNS
from recon_core.config.policy import Policy
from recon_core.expressions import literal
from recon_core.model import SEVERITIES
from recon_core.sql import quoted
from recon_core.state.suppressions import Accepted
from recon_core.tuning import condition

WORST_FIRST = """
    suppressed_by IS NOT NULL, halts DESC, impact IS NULL DESC, impact DESC, severity_rank DESC, type, broker, account, symbol, leg
"""
"""The one order of breaks everywhere: what halts, then what nobody can price, then by money."""

_IDENTITY = """'B' || sha256(CASE
    WHEN contains(concat(broker, account, symbol), chr(31))
    THEN concat_ws(chr(31), type, length(broker), length(account), broker, account, symbol, leg)
    ELSE concat_ws(chr(31), type, broker, account, symbol, leg) END)[1:16]"""
"""A break's id, from its type and position alone; where a name holds the separator, lengths say where each name ends."""


def silence(
    connection: duckdb.DuckDBPyConnection, policy: Policy, today: date, accepted: Sequence[Accepted] = ()
) -> tuple[tuple[Accepted, str], ...]:
    """Make ``breaks`` from ``found``: ids, suppression on the day ``today``, superseding, order.

    ``accepted`` are the breaks that a person accepted by id; returns those that are no longer what was accepted, and why.
    Columns beside NARROW_COLUMNS: ``id``, ``suppressed_by`` (place in the policy's list, and then in ``accepted``),
    ``superseded_by`` (a type), ``live`` (neither of the two), ``missing`` (one side has no position, and the break counts),
    ``place`` (worst first). The view ``full_breaks`` has those of ``worded``, too: wide rows are sorted and copied by none.
    """
    active = [(place, entry) for place, entry in enumerate(policy.suppress) if today <= entry.until]
    cases, known = "", " AND impact IS NOT NULL"  # what nobody can price is not accepted unseen
    for place, entry in active:
        bound = f" AND coalesce(impact <= {literal(entry.max_impact)}, false)" if entry.max_impact is not None else known
        kind = f" AND type GLOB {quoted(entry.match.type)}" if entry.match.type is not None else ""
        cases += f" WHEN {condition(entry.match)}{kind}{bound} THEN {place}"
    suppressed = f"CASE{cases} END" if cases else "CAST(NULL AS INTEGER)"
    ranks = " ".join(f"WHEN '{name}' THEN {rank}" for rank, name in enumerate(SEVERITIES))
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE marked AS
            SELECT rowid AS found_row, {", ".join(NARROW_COLUMNS)}, {_IDENTITY} AS id, {suppressed}::INTEGER AS suppressed_by,
                CASE severity {ranks} END AS severity_rank
            FROM found"""
    )
    ended = accept(connection, accepted, len(policy.suppress))
    claims = _claims(policy)
    if claims:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE marked AS {_superseded(claims)}")
    over = "" if claims else ", CAST(NULL AS VARCHAR) AS superseded_by"
    last = "superseded_by IS NOT NULL, " if claims else ""
    connection.execute(  # what is sorted is narrow: the rest is joined to it by its row
        f"""CREATE OR REPLACE TEMP TABLE breaks AS
            SELECT m.*{over}, suppressed_by IS NULL AND superseded_by IS NULL AS live,
                in_book <> at_broker AND counts AND suppressed_by IS NULL AND superseded_by IS NULL AS missing, place
            FROM marked m JOIN (SELECT found_row, row_number() OVER (ORDER BY {last}{WORST_FIRST}) AS place FROM marked)
                USING (found_row)"""
    )
    connection.execute("CREATE OR REPLACE TEMP VIEW full_breaks AS SELECT * FROM breaks JOIN worded USING (found_row)")
    return ended


def _superseded(claims: Sequence[tuple[str, str]]) -> str:
    """``marked`` with ``superseded_by``: the type of a live break on the same position that silences it and halts no less.

    ``claims`` are pairs of types, of which the first silences the second.
    """
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


def expired(policy: Policy, today: date) -> list[str]:
    """Suppressions that ended, in words."""
    return [
        f"{policy.path}:{entry.line}: suppression ended on {entry.until}: {entry.reason}"
        for entry in policy.suppress
        if today > entry.until
    ]
