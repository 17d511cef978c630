"""Pairs and rules to hits: one vectorised pass over the join finds the pairs that break a rule, or may.

Nothing here runs per position in Python, and nothing touches disk, clock or network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from recon_core.columns import PAIR_COLUMNS
from recon_core.config.policy import ActiveRule, Policy
from recon_core.engine import named_rows
from recon_core.expressions import cannot_fail, columns_of, compile_expression
from recon_core.pairs import HASH, Comparison, derived, joined, joined_by_hash, keys, only_at_broker, raw_columns
from recon_core.tuning import Tuned, tuned

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


def scan(
    connection: duckdb.DuckDBPyConnection,
    comparison: Comparison,
    policy: Policy,
    rows: tuple[int, int] | None,
    *,
    by_hash: bool = False,
) -> Scan:
    """Join both sides, run every rule's predicate over every pair, and keep the pairs that need a second look as ``hits``.

    ``rows`` are how many rows (not 0) book and feeds were read with; None where some were summed on the way. With a and b
    rows of one key a join gives ab, so that over all matched keys 2ab - a - b is 0 exactly when every key is unique;
    duplicates among unmatched keys are counted in the hits. ``by_hash`` joins by hashes of the keys (see ``joined_by_hash``),
    and again by the keys themselves where a key seems to repeat: so do two keys of one hash.
    """
    for as_carried in (True, False):
        try:
            if by_hash:
                found = _by_hash(connection, comparison, policy, rows, as_carried=as_carried)
                if not found.duplicates:
                    return found
            return _by_keys(connection, comparison, policy, rows, as_carried=as_carried)
        except (duckdb.DataError, duckdb.InvalidInputException):
            if not as_carried:  # in the widest types, what fails is a value of its own, and guarded
                raise
    raise AssertionError("the second time round ends the loop")


def _by_keys(
    connection: duckdb.DuckDBPyConnection, comparison: Comparison, policy: Policy, rows: tuple[int, int] | None, *, as_carried: bool
) -> Scan:
    counted = _judged(connection, comparison, policy, joined(comparison), raw_columns(comparison), as_carried=as_carried)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE hits AS {_HITS}")
    return _scan(connection, comparison, policy, rows, counted)


def _by_hash(
    connection: duckdb.DuckDBPyConnection, comparison: Comparison, policy: Policy, rows: tuple[int, int] | None, *, as_carried: bool
) -> Scan:
    """All pairs without the names of those that only brokers have, and then those again, with their names."""
    raw = raw_columns(comparison)
    counted = _judged(
        connection, comparison, policy, joined_by_hash(comparison), [*raw, HASH], as_carried=as_carried, named="in_book"
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE every_hit AS {_HITS}")
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE hits AS SELECT * EXCLUDE ({HASH}) FROM every_hit WHERE b_quantity IS NOT NULL"
    )
    if counted["pairs"] > counted["in_book"]:
        lone = f"SELECT {HASH} FROM every_hit WHERE b_quantity IS NULL"
        others = _judged(connection, comparison, policy, only_at_broker(comparison, lone), raw, as_carried=as_carried)
        connection.execute(f"INSERT INTO hits BY NAME {_HITS}")
        counted |= {name: counted[name] + number for name, number in others.items() if name.startswith("u")}
    connection.execute("DROP TABLE every_hit")
    return _scan(connection, comparison, policy, rows, counted)


def _judged(
    connection: duckdb.DuckDBPyConnection,
    comparison: Comparison,
    policy: Policy,
    relation: str,
    kept: Sequence[str],
    *,
    as_carried: bool,
    named: str = "true",
) -> dict[str, Any]:
    """Run every predicate over ``relation``, which is as ``joined`` returns it, and make ``scanned``, which holds the hits.

    Returns what was counted: ``pairs``, ``in_book``, ``at_broker``, ``unproven``, and ``u...`` by a rule's place how many
    pairs it could not judge, of those that are ``named`` (an SQL condition).
    """
    rules = list(policy.rules.values())
    tunings = {rule.type: tuned(policy, rule) for rule in rules}
    proven = not comparison.unproven
    columns = range(-(-max(len(rules), 1) // BITS))
    wanted = [f"m{number} & {_wanted(rules, tunings, number)} <> 0" for number in columns]
    counts = [
        "count(*) AS pairs",
        "count(b_quantity) AS in_book",
        "count(f_quantity) AS at_broker",
        f"{'0' if proven else 'count(*) FILTER (WHERE at_broker IS NULL)'} AS unproven",
        *(
            f"count(*) FILTER (WHERE m{place // BITS} & {1 << (place % BITS + BITS)} <> 0 AND {named}) AS u{place}"
            for place, rule in enumerate(rules)
            if may_be_undetermined(rule, proven=proven)
        ),
    ]
    packed = ", ".join(f"{name} := {name}" for name in (*kept, *(f"m{number}" for number in columns)))
    masks = _masks(rules, tunings, proven=proven, guarded=not as_carried)
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE scanned AS
            SELECT {", ".join(counts)},
                list(struct_pack({packed})) FILTER (WHERE {" OR ".join((*wanted, "(in_book <> at_broker)"))}) AS hits
            FROM (SELECT *, {", ".join(masks)} FROM ({derived(comparison, relation, as_carried=as_carried)}))"""
    )
    (counted,) = named_rows(connection.execute("SELECT * EXCLUDE (hits) FROM scanned"))
    return counted


_HITS = "SELECT unnest(hits, max_depth := 2) FROM scanned"


def _scan(
    connection: duckdb.DuckDBPyConnection,
    comparison: Comparison,
    policy: Policy,
    rows: tuple[int, int] | None,
    counted: Mapping[str, Any],
) -> Scan:
    connection.execute("DROP TABLE scanned")
    total, in_book, at_broker, unproven = (int(counted[name]) for name in ("pairs", "in_book", "at_broker", "unproven"))
    undetermined = {name: int(counted.get(f"u{place}", 0)) for place, name in enumerate(policy.rules)}
    repeated = _repeated(connection, comparison, total, in_book, at_broker, unproven, rows)
    return Scan(total, in_book, at_broker, unproven, undetermined, repeated)


def predicate(rule: ActiveRule) -> str:
    """What the first pass asks of each pair for a rule: its ``when``, or what narrows its ``select``."""
    return rule.when or rule.among


def may_be_undetermined(rule: ActiveRule, *, proven: bool) -> bool:
    """Whether a rule's predicate can be NULL: not where it asks only which side holds the position, and both are proven."""
    return bool(rule.when) and not (proven and columns_of(rule.when) <= {"in_book", "at_broker"})


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
