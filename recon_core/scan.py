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
    duplicates among unmatched keys are counted in the hits. ``by_hash`` joins by hashes of the keys (see ``joined_by_hash``)
    where ``rows`` are known, and again by the keys themselves where a key seems to repeat: so do two keys of one hash.
    """

    def either_way(*, as_carried: bool) -> Scan:
        if by_hash and rows is not None:
            found = _by_hash(connection, comparison, policy, rows, as_carried=as_carried)
            if not found.duplicates:
                return found
        return _by_keys(connection, comparison, policy, rows, as_carried=as_carried)

    try:
        return either_way(as_carried=True)
    except (duckdb.DataError, duckdb.InvalidInputException):
        return either_way(as_carried=False)  # in the widest types, what fails is a value of its own, and guarded


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
    counted = _judged(connection, comparison, policy, joined_by_hash(comparison), [*raw, HASH], as_carried=as_carried)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE every_hit AS {_HITS}")
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE hits AS SELECT * EXCLUDE ({HASH}) FROM every_hit WHERE b_quantity IS NOT NULL"
    )
    if counted["pairs"] > counted["in_book"]:
        lone = "FROM every_hit WHERE b_quantity IS NULL"
        named = _judged(
            connection, comparison, policy, only_at_broker(comparison, f"SELECT {HASH} {lone}"), raw, as_carried=as_carried
        )
        connection.execute(f"INSERT INTO hits BY NAME {_HITS}")
        if counts := _undetermined(policy, comparison):
            (unnamed,) = named_rows(connection.execute(f"SELECT {_listed(counts)} {lone}"))
            counted |= {name: counted[name] - unnamed[name] + named[name] for name in counts}
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
) -> dict[str, Any]:
    """Ask every rule about every pair of ``relation``, which is as ``joined`` returns it; ``scanned`` then holds the hits.

    A hit has the columns ``kept``, and of each rule the answer (see ``answer``). Returns what was counted: ``pairs``,
    ``in_book``, ``at_broker``, ``unproven``, and of rules that may have no answer how often (``undetermined_...``).
    """
    rules = list(policy.rules.values())
    tunings = [tuned(policy, rule) for rule in rules]
    proven = not comparison.unproven
    asked = {
        answer(place): _asked(rule, tuning, proven=proven, guarded=not as_carried)
        for place, (rule, tuning) in enumerate(zip(rules, tunings, strict=True))
    }
    counts = {
        "pairs": "count(*)",
        "in_book": "count(b_quantity)",
        "at_broker": "count(f_quantity)",
        "unproven": "0" if proven else "count(*) FILTER (WHERE at_broker IS NULL)",
    } | _undetermined(policy, comparison)
    doubts = [f"{answer(place)} IS NULL" for place, tuning in enumerate(tunings) if tuning.undetermined_breaks != "false"]
    packed = ", ".join(f"{name} := {name}" for name in (*kept, *asked))
    hit = " OR ".join((*asked, *doubts, "in_book <> at_broker"))
    scanned = f"{_listed(counts)}, list(struct_pack({packed})) FILTER (WHERE {hit}) AS hits"
    answers = "".join(f", {sql} AS {name}" for name, sql in asked.items())
    pairs = derived(comparison, relation, as_carried=as_carried, asked=scanned + answers)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE scanned AS SELECT {scanned} FROM (SELECT *{answers} FROM ({pairs}))")
    (found,) = named_rows(connection.execute("SELECT * EXCLUDE (hits) FROM scanned"))
    return found


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
    undetermined = {name: int(counted.get(f"undetermined_{place}", 0)) for place, name in enumerate(policy.rules)}
    repeated = _repeated(connection, comparison, total, in_book, at_broker, unproven, rows)
    return Scan(total, in_book, at_broker, unproven, undetermined, repeated)


def predicate(rule: ActiveRule) -> str:
    """What the first pass asks of each pair for a rule: its ``when``, or what narrows its ``select``."""
    return rule.when or rule.among


def may_be_undetermined(rule: ActiveRule, *, proven: bool) -> bool:
    """Whether a rule's predicate can be NULL: not where it asks only which side holds the position, and both are proven."""
    return bool(rule.when) and not (proven and columns_of(rule.when) <= {"in_book", "at_broker"})


def answer(place: int) -> str:
    """The column in ``hits`` of what the rule at this place of the policy says: true is broken, NULL that it cannot be judged."""
    return f"rule_{place}"


def _undetermined(policy: Policy, comparison: Comparison) -> dict[str, str]:
    """By name SQL of how many pairs a rule could not judge, for the rules where that can be."""
    proven = not comparison.unproven
    return {
        f"undetermined_{place}": f"count(*) - count({answer(place)})"
        for place, rule in enumerate(policy.rules.values())
        if may_be_undetermined(rule, proven=proven)
    }


def _asked(rule: ActiveRule, tuning: Tuned, *, proven: bool, guarded: bool) -> str:
    """SQL of a rule's answer about a pair.

    Where the broker's side is unproven nothing is called undetermined: the feed's own status says it once. ``guarded`` judges
    each pair whose arithmetic gives out by itself; else the query fails as a whole, so that it can be asked in wider types.
    """
    if not predicate(rule):
        return "false"
    compiled = compile_expression(predicate(rule), tuning.literals)
    unknown = "" if proven else "WHEN at_broker IS NULL THEN false"
    if guarded and not cannot_fail(predicate(rule), PAIR_COLUMNS, rule.params):
        compiled = f"TRY({compiled})"
        # Nothing unknown and yet no answer: the arithmetic gave out, which is doubt, and no want of a value.
        given = " AND ".join(f"{name} IS NOT NULL" for name in sorted(columns_of(predicate(rule)))) or "true"
        unknown = f"WHEN {given} THEN true {unknown}"
    if not may_be_undetermined(rule, proven=proven):
        return f"coalesce({compiled}, false)"
    return f"coalesce({compiled}, CASE {unknown} END)" if unknown else f"({compiled})"


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


def _listed(columns: Mapping[str, str]) -> str:
    """What a SELECT returns, from SQL by name."""
    return ", ".join(f"{sql} AS {name}" for name, sql in columns.items())
