"""Pairs and rules to breaks: one vectorised pass over the join finds the broken pairs, a second one judges them.

Nothing here runs per position in Python, and nothing touches disk, clock or network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from recon_core.columns import KEY_COLUMNS, MONEY, PAIR_COLUMNS
from recon_core.config.policy import ActiveRule, Policy
from recon_core.engine import deadline, named_rows
from recon_core.errors import PluginError, excerpt
from recon_core.expressions import cannot_fail, columns_of, compile_expression, compile_select
from recon_core.pairs import Comparison, derived, joined, keys, raw_columns
from recon_core.sql import identifier, quoted
from recon_core.tuning import Tuned, tuned

SELECT_SECONDS = 120.0
"""How long the ``select`` of one rule may take, which is many times what a self-join of ten million pairs does."""

BITS = 30
"""Rules a mask column holds: their fired bits below, their undetermined bits above."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What the first pass counted. ``duplicates`` says that some key stands in several rows of one side."""

    pairs: int
    in_book: int
    at_broker: int
    unproven: int
    undetermined: Mapping[str, int]
    duplicates: bool

    @property
    def matched(self) -> int:
        """Pairs that both sides hold."""
        return self.in_book + self.at_broker - self.pairs


def scan(connection: duckdb.DuckDBPyConnection, comparison: Comparison, policy: Policy, rows: tuple[int, int] | None) -> Scan:
    """Join both sides, run every rule's predicate over every pair, and keep the pairs that need a second look as ``hits``.

    ``rows`` are how many rows (not 0) book and feeds were read with; None where some were summed on the way. With a and b
    rows of one key a join gives ab, so that over all matched keys 2ab - a - b is 0 exactly when every key is unique;
    duplicates among unmatched keys are counted in the hits.
    """
    rules = list(policy.rules.values())
    tunings = {rule.type: tuned(policy, rule) for rule in rules}
    columns = -(-max(len(rules), 1) // BITS)
    wanted = [f"m{number} & {_wanted(rules, tunings, number)} <> 0" for number in range(columns)]
    wanted.append("(in_book <> at_broker)")
    counts = [
        f"count(*) FILTER (WHERE m{place // BITS} & {1 << (place % BITS + BITS)} <> 0) AS u{place}"
        for place, rule in enumerate(rules)
        if may_be_undetermined(rule, proven=not comparison.unproven)
    ]
    raw = raw_columns(comparison)
    kept = ", ".join([*raw, *(f"m{number}" for number in range(columns))])
    unproven = "count(*) FILTER (WHERE at_broker IS NULL)" if comparison.unproven else "0"
    for as_carried in (True, False):
        masks = _masks(rules, tunings, proven=not comparison.unproven, guarded=not as_carried)
        pairs = f"SELECT *, {', '.join(masks)} FROM ({derived(comparison, joined(comparison), as_carried=as_carried)})"
        try:
            connection.execute(
                f"""CREATE OR REPLACE TEMP TABLE scanned AS
                    SELECT count(*) AS pairs, count(b_quantity) AS in_book, count(f_quantity) AS at_broker,
                        {unproven} AS unproven, {"".join(f"{count}, " for count in counts)}
                        list(struct_pack({_packed(kept)})) FILTER (WHERE {" OR ".join(wanted)}) AS hits
                    FROM ({pairs})"""
            )
            break
        except (duckdb.DataError, duckdb.InvalidInputException):
            if not as_carried:  # in the widest types, what fails is a value of its own, and guarded
                raise
    connection.execute("CREATE OR REPLACE TEMP TABLE hits AS SELECT unnest(hits, max_depth := 2) FROM scanned")
    (counted,) = named_rows(connection.execute("SELECT * EXCLUDE (hits) FROM scanned"))
    connection.execute("DROP TABLE scanned")
    undetermined = {rule.type: int(counted.get(f"u{place}", 0)) for place, rule in enumerate(rules)}
    total, in_book, at_broker = (int(counted[name]) for name in ("pairs", "in_book", "at_broker"))
    unproven_pairs = int(counted["unproven"])
    repeated = _repeated(connection, comparison, total, in_book, at_broker, unproven_pairs, rows)
    return Scan(total, in_book, at_broker, unproven_pairs, undetermined, repeated)


def predicate(rule: ActiveRule) -> str:
    """What the first pass asks of each pair for a rule: its ``when``, or what narrows its ``select``."""
    return rule.when or rule.among


def may_be_undetermined(rule: ActiveRule, *, proven: bool) -> bool:
    """Whether a rule's predicate can be NULL: not where it asks only which side holds the position, and both are proven."""
    return bool(rule.when) and not (proven and columns_of(rule.when) <= {"in_book", "at_broker"})


def find(connection: duckdb.DuckDBPyConnection, comparison: Comparison, policy: Policy) -> None:
    """Make ``found``, a row a break before any is silenced, from ``hits`` (see ``scan``).

    Columns: the pair's, ``type, rule, related, severity, impact, halts, halt_source, counts, detail``. ``rule`` is the
    rule's place in the policy, ``halt_source`` the override (from 1) that set its halt, 0 for the rule's own entry.
    """
    fired = _fired(connection, len(policy.rules))
    asked = [(place, rule) for place, rule in enumerate(policy.rules.values()) if place in fired or not predicate(rule)]
    if asked:  # planning a query that finds nothing costs more than all else on a small book
        connection.execute(f"CREATE OR REPLACE TEMP TABLE hit_pairs AS {derived(comparison, 'SELECT * FROM hits')}")
    queries = [_NO_BREAKS]
    for place, rule in asked:
        tuning = tuned(policy, rule)
        mask, bit = f"m{place // BITS}", 1 << place % BITS
        if rule.when:
            queries.append(_breaks(place, rule, tuning, f"SELECT *, NULL AS related FROM hit_pairs WHERE {mask} & {bit} <> 0"))
            if tuning.undetermined_breaks != "false":
                doubt = f"{mask} & {bit << BITS} <> 0 AND {tuning.undetermined_breaks}"
                unknown = f"SELECT *, NULL AS related FROM hit_pairs WHERE {doubt}"
                queries.append(_breaks(place, rule, tuning, unknown, undetermined=True))
        else:
            queries.append(_breaks(place, rule, tuning, _selected(connection, comparison, place, rule, tuning, mask, bit)))
    connection.execute(f"CREATE OR REPLACE TEMP TABLE found AS {' UNION ALL '.join(queries)}")


def _selected(
    connection: duckdb.DuckDBPyConnection, comparison: Comparison, place: int, rule: ActiveRule, tuning: Tuned, mask: str, bit: int
) -> str:
    """SQL of the pairs that a rule's ``select`` names, with the further columns that it returns."""
    columns = ", ".join(PAIR_COLUMNS)
    if rule.among:
        seen = f"SELECT {columns} FROM hit_pairs WHERE {mask} & {bit} <> 0"
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
    "halts": "BOOLEAN", "halt_source": "INTEGER", "counts": "BOOLEAN", "detail": "VARCHAR",
}  # fmt: skip
_NO_BREAKS = f"SELECT {', '.join(f'CAST(NULL AS {kind}) AS {name}' for name, kind in _BREAK_SHAPE.items())} WHERE false"


def _fired(connection: duckdb.DuckDBPyConnection, rules: int) -> set[int]:
    """The places of the rules that some hit fired, or left undetermined."""
    masks = ", ".join(f"coalesce(bit_or(m{number}), 0)" for number in range(-(-max(rules, 1) // BITS)))
    found = connection.execute(f"SELECT {masks} FROM hits").fetchone() or ()
    return {place for place in range(rules) if found[place // BITS] & (1 << place % BITS | 1 << place % BITS + BITS)}


def _breaks(place: int, rule: ActiveRule, tuning: Tuned, pairs: str, *, undetermined: bool = False) -> str:
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
            {tuning.halt_source} AS halt_source, {tuning.counts} AS counts, {detail} AS detail
        FROM (SELECT *, {tuning.severity} AS severity, TRY({impact})::{MONEY} AS impact
              FROM (SELECT *, {kind} AS type FROM ({pairs})))"""


def _masks(rules: Sequence[ActiveRule], tunings: Mapping[str, Tuned], *, proven: bool, guarded: bool) -> list[str]:
    """SQL of the mask columns: per rule a bit where its predicate is true, and one where it cannot be judged.

    Where the broker's side is unproven nothing is called undetermined: the feed's own status says it once. ``guarded`` judges
    each pair whose arithmetic gives out by itself; else the query fails as a whole, so that it can be asked in wider types.
    """
    masks: list[list[str]] = [[] for _ in range(-(-max(len(rules), 1) // BITS))]
    for place, rule in enumerate(rules):
        if not predicate(rule):
            continue
        bit = 1 << place % BITS
        compiled = compile_expression(predicate(rule), tunings[rule.type].literals)
        unknown = f"{bit << BITS}" if proven else f"CASE WHEN at_broker IS NULL THEN 0 ELSE {bit << BITS} END"
        if guarded and not cannot_fail(predicate(rule), PAIR_COLUMNS, rule.params):
            compiled = f"TRY({compiled})"
            # Nothing unknown and yet no answer: the arithmetic gave out, which is doubt, and no want of a value.
            given = " AND ".join(f"{name} IS NOT NULL" for name in sorted(columns_of(predicate(rule)))) or "true"
            unknown = f"CASE WHEN {given} THEN {bit} ELSE {unknown} END"
        if not may_be_undetermined(rule, proven=proven):
            masks[place // BITS].append(f"CASE WHEN {compiled} THEN {bit} ELSE 0 END")
        else:
            masks[place // BITS].append(f"CASE {compiled} WHEN true THEN {bit} WHEN false THEN 0 ELSE {unknown} END")
    return [f"CAST({' | '.join(parts) or '0'} AS BIGINT) AS m{number}" for number, parts in enumerate(masks)]


def _wanted(rules: Sequence[ActiveRule], tunings: Mapping[str, Tuned], number: int) -> int:
    """The bits of one mask that make a pair a hit."""
    bits = 0
    for place, rule in enumerate(rules):
        if place // BITS == number:
            bits |= 1 << place % BITS
            if tunings[rule.type].undetermined_breaks != "false":
                bits |= 1 << place % BITS + BITS
    return bits


def _packed(names: str) -> str:
    return ", ".join(f"{name} := {name}" for name in names.split(", "))


def _repeated(
    connection: duckdb.DuckDBPyConnection,
    comparison: Comparison,
    pairs: int,
    in_book: int,
    at_broker: int,
    unproven: int,
    rows: tuple[int, int] | None,
) -> bool:
    """Whether some key stands in several rows of one side; ``rows`` and the counts as in ``scan``."""
    matched = in_book + at_broker - pairs
    only_book, only_broker = pairs - at_broker, pairs - in_book
    if rows is not None and (rows[0] - only_book != matched or rows[1] - only_broker != matched):
        return True
    by_key = ", ".join(f"coalesce(b_{key}, f_{key})" for key in keys(comparison))
    seen = ["hits"]
    if unproven:  # pairs that are no hits; the price of a second join, where a feed has failed
        seen.append(f"({joined(comparison)}) WHERE f_quantity IS NULL")
    found = [
        connection.execute(f"SELECT 1 FROM {rows_of} GROUP BY {by_key} HAVING count(*) > 1 LIMIT 1").fetchone() for rows_of in seen
    ]
    return any(found)
