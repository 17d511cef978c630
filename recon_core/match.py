"""From the pairs that ``scan`` kept to breaks: who broke which rule, how badly, and in which words.

Nothing here runs per position in Python, and nothing touches disk, clock or network.
"""

from __future__ import annotations

import duckdb

from recon_core.columns import EXPLAINED_COLUMNS, KEY_COLUMNS, MONEY, PAIR_COLUMNS
from recon_core.config.policy import ActiveRule, Policy
from recon_core.engine import deadline
from recon_core.errors import PluginError, excerpt
from recon_core.expressions import cannot_fail, columns_of, compile_expression, compile_select
from recon_core.pairs import Comparison, derived, joined
from recon_core.scan import answer, predicate
from recon_core.sql import identifier, quoted
from recon_core.tuning import Tuned, tuned

SELECT_SECONDS = 120.0
"""How long the ``select`` of one rule may take, which is many times what a self-join of ten million pairs does."""


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
            queries.append(_breaks(place, rule, tuning, explained, _selected(connection, comparison, place, rule, tuning)))
    connection.execute(f"CREATE OR REPLACE TEMP TABLE found AS {' UNION ALL '.join(queries)}")


def _selected(connection: duckdb.DuckDBPyConnection, comparison: Comparison, place: int, rule: ActiveRule, tuning: Tuned) -> str:
    """SQL of the pairs that a rule's ``select`` names, with the further columns that it returns."""
    columns = ", ".join(PAIR_COLUMNS)
    if rule.among:
        seen = f"SELECT {columns} FROM hit_pairs WHERE {answer(place)}"
        connection.execute(f"CREATE OR REPLACE TEMP VIEW pairs AS {seen}")
    else:
        connection.execute(
            f"CREATE OR REPLACE TEMP VIEW pairs AS SELECT {columns} FROM ({derived(comparison, joined(comparison))})"
        )
    kept, keys_of = f"selected_{place}", ", ".join(KEY_COLUMNS)
    late = PluginError(f"rule {rule.type}: its select ran longer than {SELECT_SECONDS:g} seconds")
    try:
        with deadline(connection, SELECT_SECONDS, late):
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {kept} AS {compile_select(rule.select, tuning.literals)}")
        counts = f"SELECT count(*), count(DISTINCT ({keys_of})) FROM {kept}"
        count, distinct = connection.execute(counts).fetchone() or (0, 0)
        named = f"SELECT count(*) FROM (SELECT DISTINCT {keys_of} FROM {kept}) s SEMI JOIN pairs p USING ({keys_of})"
        (found,) = connection.execute(named).fetchone() or (0,)
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        raise PluginError(f"rule {rule.type}: its select fails: {str(error).partition(chr(10))[0]}") from None
    if found != distinct:
        raise PluginError(f"rule {rule.type}: its select returns {distinct - found} keys of no pair that it saw")
    if count != distinct:
        raise PluginError(f"rule {rule.type}: its select returns {count} rows for {distinct} pairs; one row a pair is due")
    own = [row[0] for row in connection.execute(f"DESCRIBE {kept}").fetchall()]
    taken = sorted(set(own) & (set(_BREAK_SHAPE) - set(PAIR_COLUMNS) - {"related"}))
    if taken:
        raise PluginError(f"rule {rule.type}: its select returns {', '.join(taken)}, which the engine sets")
    extra = ", ".join(f"s.{identifier(name)}" for name in own if name not in PAIR_COLUMNS)
    related = "" if "related" in own else ", NULL AS related"
    same = " AND ".join(f"p.{key} = s.{key}" for key in KEY_COLUMNS)
    source = "hit_pairs" if rule.among else "pairs"
    if not rule.among:  # the view of all pairs is replaced by the next rule's
        connection.execute(f"CREATE OR REPLACE TEMP TABLE named_{place} AS SELECT p.* FROM pairs p SEMI JOIN {kept} s ON {same}")
        source = f"named_{place}"
    return f"SELECT p.*{', ' + extra if extra else ''}{related} FROM {source} p JOIN {kept} s ON {same}"


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

_BREAK_SHAPE = PAIR_COLUMNS | {
    "type": "VARCHAR", "rule": "INTEGER", "related": "VARCHAR", "severity": "VARCHAR", "impact": MONEY,
    "halts": "BOOLEAN", "halt_source": "INTEGER", "counts": "BOOLEAN", "detail": "VARCHAR", **EXPLAINED_COLUMNS,
}  # fmt: skip
_NO_BREAKS = f"SELECT {', '.join(f'CAST(NULL AS {kind}) AS {name}' for name, kind in _BREAK_SHAPE.items())} WHERE false"


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
