"""From the pairs that ``scan`` kept to breaks: who broke which rule, how badly, and in which words.

Nothing here runs per position in Python, and nothing touches disk, clock or network.
"""

from __future__ import annotations

import duckdb

from recon_core.columns import EXPLAINED_COLUMNS, FOUND_COLUMNS, KEY_COLUMNS, MONEY, PAIR_COLUMNS
from recon_core.config.policy import ActiveRule, Policy
from recon_core.errors import excerpt
from recon_core.expressions import cannot_fail, columns_of, compile_expression
from recon_core.pairs import Comparison, derived, joined
from recon_core.scan import answer, predicate
from recon_core.selecting import selected, selection
from recon_core.sql import quoted
from recon_core.tuning import Tuned, tuned


def find(connection: duckdb.DuckDBPyConnection, comparison: Comparison, policy: Policy, *, explained: bool = False) -> None:
    """Make ``found``, a row a break before any is silenced, from ``hits`` (see ``scan``).

    Columns: the pair's, ``type, rule, related, severity, impact, halts, halt_source, counts, detail``, and EXPLAINED_COLUMNS.
    ``rule`` is the rule's place in the policy, ``halt_source`` the override (from 1) that set its halt, 0 for the rule's own
    entry. ``explained`` says that there is the table ``explained`` of those columns by key.
    """
    fired = _fired(connection, len(policy.rules))
    asked = [(place, rule) for place, rule in enumerate(policy.rules.values()) if place in fired or not predicate(rule)]
    if asked:  # planning a query that finds nothing costs more than all else on a small book
        connection.execute(f"CREATE OR REPLACE TEMP TABLE hit_pairs AS {derived(comparison, 'SELECT * FROM hits')}")
    queries = [_NO_BREAKS]
    for place, rule in asked:
        tuning = tuned(policy, rule)
        broken = "SELECT *, NULL AS related FROM hit_pairs WHERE"
        if rule.when:
            queries.append(_breaks(place, rule, tuning, explained, f"{broken} {answer(place)}"))
            if tuning.undetermined_breaks != "false":
                unknown = f"{broken} {answer(place)} IS NULL AND {tuning.undetermined_breaks}"
                queries.append(_breaks(place, rule, tuning, explained, unknown, undetermined=True))
        else:
            some = f"SELECT * FROM hit_pairs WHERE {answer(place)}"
            selected(connection, some if rule.among else derived(comparison, joined(comparison)), place, rule, tuning)
            queries.append(_breaks(place, rule, tuning, explained, f"SELECT * FROM {selection(place)}"))
    connection.execute(f"CREATE OR REPLACE TEMP TABLE found AS {' UNION ALL '.join(queries)}")


_VALUED = """CASE
    WHEN impact IS NULL THEN CASE
        WHEN price IS NULL THEN '; no price known'
        WHEN multiplier IS NULL THEN '; multiplier unknown'
        WHEN currency IS NULL THEN '; currency unknown'
        WHEN fx_rate IS NULL THEN '; no rate for ' || currency
        ELSE '; too large to value' END
    WHEN at_average AND impact > 0 THEN '; valued at the average price'
    ELSE '' END"""
"""What a reader must know of an impact, after the detail of a break."""

_NO_BREAKS = f"SELECT {', '.join(f'CAST(NULL AS {kind}) AS {name}' for name, kind in FOUND_COLUMNS.items())} WHERE false"


def _fired(connection: duckdb.DuckDBPyConnection, rules: int) -> set[int]:
    """The places of the rules that some hit broke, or left without an answer."""
    asked = ", ".join(f"bool_or(coalesce({answer(place)}, true))" for place in range(rules))
    found = connection.execute(f"SELECT {asked or 'NULL'} FROM hits").fetchone() or ()
    return {place for place, fired in enumerate(found) if fired}


def _breaks(place: int, rule: ActiveRule, tuning: Tuned, explained: bool, pairs: str, *, undetermined: bool = False) -> str:
    """SQL of a rule's breaks over the pairs that it found."""
    columns = ", ".join(PAIR_COLUMNS)
    if undetermined:
        impact, detail = "NULL", "'cannot be judged: a value that the rule needs is unknown'"
    else:
        impact = f"abs(round(TRY({compile_expression(rule.impact, tuning.literals)})::DECIMAL(38,18), 4))"
        detail = tuning.detail
    if columns_of(rule.impact) & {"unit_value", "price"} and not undetermined:
        detail = f"{detail} || {_VALUED}"
    if rule.when and not undetermined and not cannot_fail(rule.when, PAIR_COLUMNS, rule.params):
        failed = quoted(f"cannot be judged, for this has no value here: {excerpt(rule.when)}")
        detail = f"CASE WHEN TRY({compile_expression(rule.when, tuning.literals)}) IS NULL THEN {failed} ELSE {detail} END"
    kind = "'" + rule.type + "'"
    return f"""
        SELECT {columns}, type, {place} AS rule, related, severity, impact, {tuning.halts} AS halts,
            {tuning.halt_source} AS halt_source, {tuning.counts} AS counts, {detail} AS detail, {", ".join(EXPLAINED_COLUMNS)}
        FROM (SELECT *, {tuning.severity} AS severity, TRY({impact})::{MONEY} AS impact
              FROM (SELECT *, {kind} AS type FROM ({_with_explanation(pairs) if explained else _without_explanation(pairs)})))"""


def _with_explanation(pairs: str) -> str:
    """SQL of pairs with EXPLAINED_COLUMNS, as far as they were looked into."""
    same = " AND ".join(f"e.{key} = p.{key}" for key in KEY_COLUMNS)
    known = ", ".join(_unknown(f"coalesce(e.{name}, {unexplained})", name) for name, unexplained in _UNEXPLAINED.items())
    return f"SELECT p.*, {known} FROM ({pairs}) p LEFT JOIN explained e ON {same}"


def _without_explanation(pairs: str) -> str:
    return f"SELECT *, {', '.join(_unknown(unexplained, name) for name, unexplained in _UNEXPLAINED.items())} FROM ({pairs})"


def _unknown(sql: str, name: str) -> str:
    return f"CASE WHEN quantity_difference <> 0 THEN {sql} END AS {name}"


_UNEXPLAINED = {"explained": "false", "residual": "quantity_difference", "cause": "'UNEXPLAINED'"}
"""SQL of EXPLAINED_COLUMNS where nothing was looked into."""
