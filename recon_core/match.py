"""From the pairs that ``scan`` kept to breaks: who broke which rule, how badly, and in which words.

Nothing here runs per position in Python, and nothing touches disk, clock or network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from recon_core.columns import FOUND_COLUMNS, KEY_COLUMNS, MONEY, NARROW_COLUMNS, PAIR_COLUMNS
from recon_core.config.policy import ActiveRule, Policy
from recon_core.errors import excerpt
from recon_core.expressions import cannot_fail, columns_of, compile_expression, literal
from recon_core.pairs import Comparison, derived, joined
from recon_core.scan import answer, predicate
from recon_core.selecting import selected, selection
from recon_core.sql import quoted
from recon_core.tuning import Tuned, tuned


def find(connection: duckdb.DuckDBPyConnection, comparison: Comparison, policy: Policy, *, explained: bool = False) -> None:
    """Make ``found``, a row a break before any is silenced, from ``hits`` (see ``scan``).

    Columns: NARROW_COLUMNS and two of its own. ``rule`` is the rule's place in the policy, ``halt_source`` the override (from 1)
    that set its halt, 0 for the rule's own entry. The view ``worded`` has by ``found_row`` (rowid of ``found``) the rest of
    the pair's columns and ``detail``, which are made where they are read. ``explained`` says that there is the table ``explained``
    of EXPLAINED_COLUMNS by key.
    """
    fired = _fired(connection, len(policy.rules))
    asked = [(place, rule) for place, rule in enumerate(policy.rules.values()) if place in fired or not predicate(rule)]
    # Planning a query that finds nothing costs more than all else on a small book.
    pairs = derived(comparison, "SELECT * FROM hits") if asked else _none(PAIR_COLUMNS)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE hit_pairs AS {pairs}")
    queries, details, selections = [_none(_OWN | {name: FOUND_COLUMNS[name] for name in NARROW_COLUMNS})], "", list[str]()
    for place, rule in asked:
        tuning = tuned(policy, rule)
        broken = "SELECT rowid AS pair_row, *, NULL AS related FROM hit_pairs WHERE"
        if rule.when:
            details += f" WHEN {place} THEN {_detail(rule, tuning)}"
            queries.append(_breaks(place, rule, tuning, explained, f"{broken} {answer(place)}"))
            if tuning.undetermined_breaks != "false":
                unknown = f"{broken} {answer(place)} IS NULL AND {tuning.undetermined_breaks}"
                queries.append(_breaks(place, rule, tuning, explained, unknown, undetermined=True))
        else:
            some = f"SELECT * FROM hit_pairs WHERE {answer(place)}"
            selected(connection, some if rule.among else derived(comparison, joined(comparison)), place, rule, tuning)
            queries.append(_breaks(place, rule, tuning, explained, f"SELECT rowid AS pair_row, * FROM {selection(place)}"))
            own = [*_OF_PAIR, "related"]
            selections.append(_worded(f"rule = {place}", selection(place), own, _detail(rule, tuning)))
    connection.execute(f"CREATE OR REPLACE TEMP TABLE found AS {' UNION ALL '.join(queries)}")
    of_pairs = f"CASE rule{details} END" if details else "NULL"
    chosen = " AND ".join(f"rule <> {place}" for place, rule in asked if not rule.when) or "true"
    worded = " UNION ALL ".join((_worded(chosen, "hit_pairs", _OF_PAIR, of_pairs), *selections))
    connection.execute(f"CREATE OR REPLACE TEMP VIEW worded AS {worded}")


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

_OWN = {"pair_row": "BIGINT", "unjudged": "BOOLEAN"}
"""What ``found`` has beside: the pair's rowid in ``hit_pairs``, or in what the rule selected; whether the rule gave no answer."""

_OF_PAIR = [name for name in NARROW_COLUMNS if name in PAIR_COLUMNS]


def _none(columns: Mapping[str, str]) -> str:
    """SQL of no row that has columns of these types."""
    return f"SELECT {', '.join(f'CAST(NULL AS {kind}) AS {name}' for name, kind in columns.items())} WHERE false"


def _fired(connection: duckdb.DuckDBPyConnection, rules: int) -> set[int]:
    """The places of the rules that some hit broke, or left without an answer."""
    asked = ", ".join(f"bool_or(coalesce({answer(place)}, true))" for place in range(rules))
    found = connection.execute(f"SELECT {asked or 'NULL'} FROM hits").fetchone() or ()
    return {place for place, fired in enumerate(found) if fired}


def _breaks(place: int, rule: ActiveRule, tuning: Tuned, explained: bool, pairs: str, *, undetermined: bool = False) -> str:
    """SQL of a rule's breaks over the pairs that it found."""
    impact = f"abs(round(TRY({compile_expression(rule.impact, tuning.literals)})::DECIMAL(38,18), 4))"
    kind = "'" + rule.type + "'"
    said = {
        "unjudged": literal(undetermined),
        "rule": str(place),
        "halts": tuning.halts,
        "halt_source": tuning.halt_source,
        "counts": tuning.counts,
    }
    columns = ", ".join(f"{said[name]} AS {name}" if name in said else name for name in (*_OWN, *NARROW_COLUMNS))
    impact = "NULL" if undetermined else impact
    return f"""
        SELECT {columns}
        FROM (SELECT *, {tuning.severity} AS severity, TRY({impact})::{MONEY} AS impact
              FROM (SELECT *, {kind} AS type FROM ({_with_explanation(pairs) if explained else _without_explanation(pairs)})))"""


def _detail(rule: ActiveRule, tuning: Tuned) -> str:
    """SQL of what is said of a rule's break that it could judge, over the pair and NARROW_COLUMNS."""
    detail = tuning.detail
    if columns_of(rule.impact) & {"unit_value", "price"}:
        detail = f"{detail} || {_VALUED}"
    if rule.when and not cannot_fail(rule.when, PAIR_COLUMNS, rule.params):
        failed = quoted(f"cannot be judged, for this has no value here: {excerpt(rule.when)}")
        detail = f"CASE WHEN TRY({compile_expression(rule.when, tuning.literals)}) IS NULL THEN {failed} ELSE {detail} END"
    return detail


def _worded(breaks: str, pairs: str, known: Sequence[str], detail: str) -> str:
    """SQL of the breaks that an SQL condition chooses, with the rest of the columns of their pairs, which the table ``pairs`` has.

    ``known`` are the columns that ``found`` has as well.
    """
    wide = ", ".join(f"{name}::{kind} AS {name}" for name, kind in PAIR_COLUMNS.items() if name not in known)
    return f"""
        SELECT found_row, {wide},
            CASE WHEN unjudged THEN 'cannot be judged: a value that the rule needs is unknown' ELSE {detail} END::VARCHAR AS detail
        FROM (SELECT f.*, p.* EXCLUDE (pair_row, {", ".join(known)})
              FROM (SELECT rowid AS found_row, * FROM found WHERE {breaks}) f
              JOIN (SELECT rowid AS pair_row, * FROM {pairs}) p ON f.pair_row = p.pair_row)"""


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
