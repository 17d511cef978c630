"""Drives the real engine, from mounted rows to the decision, and says what it found in the oracle's words."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
from oracle import Opinion, Sum
from oracle_pairs import Inputs
from oracle_rules import Finding

from recon_core.book.survey import survey
from recon_core.brokers import Broker
from recon_core.collect import BrokerAnswer
from recon_core.config.load import load_policy
from recon_core.config.policy import Policy
from recon_core.decide import Doubt, decide
from recon_core.feeds import ProvenFeed, prove, unique
from recon_core.host import load_host
from recon_core.kernel import HERE, Kernel
from recon_core.match import find
from recon_core.model import POSITION_COLUMNS, Feed, Position, Relation, Total
from recon_core.sides import compare
from recon_core.silence import silence
from recon_core.sql import identifier
from recon_core.tables.files import read_file
from recon_core.tables.mounting import Mounted, duplicate_rows, mount
from recon_core.totals import halting, totals

ROOT = Path(__file__).parent.parent


@cache
def runbook(*further: str) -> Policy:
    """The policy that comes with the project, with ``further`` rules at their own defaults below its five."""
    import tempfile

    text = (ROOT / "policies.yaml").read_text(encoding="utf-8")
    listed = "".join(f"\n  {name}: {{}}" for name in further)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "policies.yaml"
        path.write_text(text.replace("\nescalation:", f"{listed}\nescalation:", 1), encoding="utf-8")
        return load_policy(path, load_host(ROOT / "plugins").rules, display="policies.yaml")


def kernel(connection: duckdb.DuckDBPyConnection, inputs: Inputs, *, judge: Kernel = HERE, folder: Path | None = None) -> Opinion:
    """What the engine finds for ``inputs``, pairs judged by ``judge``; it leaves its tables behind in the connection.

    Sources that are ``typed`` are Parquet files where there is a ``folder`` for them.
    """
    policy = inputs.policy
    brokers, book_rows = [alias for alias, _ in inputs.book], [row for _, row in inputs.book]
    relation = given(connection, "book_given", book_rows, brokers, typed=inputs.typed)
    if folder is not None and inputs.typed:
        relation = _parquet(connection, relation, folder, book=True)
    book = mount(connection, "book_rows", relation, book=True)
    held = survey(connection, book, [settings.alias for settings, _ in inputs.feeds], "book", inputs.now)
    feeds = [
        prove(
            connection,
            BrokerAnswer(settings, Broker, _bulk(connection, f"feed_{number}_given", feed, folder) if inputs.typed else feed),
            name=f"feed_{number}",
            book=held.accounts.get(settings.alias, ()),
            as_of=inputs.as_of,
            asked=False,
            now=inputs.now,
            delivered={},
        )
        for number, (settings, feed) in enumerate(inputs.feeds)
    ]
    book = book.as_noted(connection, held.faults)
    comparison = compare(book, held, feeds, policy, book_lots=inputs.book_lots, fx=inputs.fx, as_of=inputs.as_of, now=inputs.now)
    summed = inputs.book_lots or any(feed.feed.lots or feed.answer.settings.legs == "net" for feed in feeds)
    rows = None if summed else (held.positions_at(comparison.brokers), sum(feed.positions for feed in feeds))
    scanned = judge.scan(connection, comparison, policy, rows, by_hash=len(book_rows) % 2 == 0)  # every other case as many rows are
    if scanned.duplicates or (summed and _repeats(connection, inputs, book, feeds)):
        return Opinion(duplicates=True)
    find(connection, comparison, policy)
    silence(connection, policy, inputs.as_of.date())
    sums = totals(connection, policy)
    doubts = [
        Doubt(feed.alias, str(feed.status), feed.reason, () if feed.everywhere else feed.unproven_accounts)
        for feed in feeds
        if not feed.proven
    ]
    findings = _findings(connection)
    decision = decide(policy, halting(connection, policy.scope), sums, doubts)
    assert decision.halt == bool(decision.reasons)
    return Opinion(
        duplicates=False,
        pairs=scanned.pairs,
        unproven=scanned.unproven,
        findings=frozenset(findings),
        worst=tuple((finding.type, *finding.key) for finding in findings if not finding.superseded_by),
        undetermined=scanned.undetermined,
        sums={_scope(total): _sum(total) for total in sums},
        reasons=tuple(sorted((reason.policy, reason.scope, reason.break_count) for reason in decision.reasons)),
        require=tuple(sorted(decision.require)),
    )


def given(
    connection: duckdb.DuckDBPyConnection, name: str, rows: Sequence[Position], brokers: Sequence[str] | None, *, typed: bool
) -> Relation:
    """``rows`` as a source: with just the columns that some row has a value for, and a broker column where ``brokers`` are.

    As texts, or ``typed`` as Parquet is: with decimals of the fewest digits that hold them all.
    """
    columns = [column for column in POSITION_COLUMNS if column == "quantity" or any(_said(row, column) for row in rows)]
    if all(row.leg == "NET" for row in rows):
        columns = [column for column in columns if column != "leg"]
    columns += [column for column in ("account", "symbol") if column not in columns]
    values = [[_text(getattr(row, column)) for row in rows] for column in columns]
    types = [_fitting(rows, column) if typed else "VARCHAR" for column in columns]
    if brokers is not None:
        columns, values, types = [*columns, "broker"], [*values, list(brokers)], [*types, "VARCHAR"]
    chosen = [f"CAST(unnest(CAST(? AS VARCHAR[])) AS {kind}) AS {column}" for column, kind in zip(columns, types, strict=True)]
    if not typed:
        chosen.insert(0, f"unnest(range(1, {len(rows) + 1})) AS source_row")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {identifier(name)} AS SELECT {', '.join(chosen)}", values)
    return Relation(f"SELECT * FROM {identifier(name)}", name=name, typed=typed)


_WIDEST = {"quantity": 18, "avg_price": 12, "market_price": 12, "multiplier": 6}


def _said(row: Position, column: str) -> bool:
    return getattr(row, column) is not None


def _text(value: Any) -> str | None:
    return None if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)


def _fitting(rows: Sequence[Position], column: str) -> str:
    """The type that a file of these rows would have for a column."""
    if column not in _WIDEST:
        return "TIMESTAMPTZ" if column in ("updated_at", "opened_at") else "VARCHAR"
    texts = [_text(getattr(row, column)) or "0" for row in rows]
    parts = [text.lstrip("-").partition(".") for text in texts]
    places = max((len(digits.rstrip("0")) for _, _, digits in parts), default=0)
    whole = max((len(digits) for digits, _, _ in parts), default=1)
    return f"DECIMAL({max(whole + places, 1)},{places})" if whole + places <= 38 else f"DECIMAL(38,{_WIDEST[column]})"


def _bulk(connection: duckdb.DuckDBPyConnection, name: str, feed: Feed, folder: Path | None) -> Feed:
    """The same feed as a file adapter would return it."""
    relation = given(connection, name, feed.positions, None, typed=True)
    return feed.but(positions=(), relation=_parquet(connection, relation, folder, book=False) if folder else relation)


def _parquet(connection: duckdb.DuckDBPyConnection, relation: Relation, folder: Path, *, book: bool) -> Relation:
    """The same rows in a file of their own."""
    path = folder / f"{relation.name}.parquet"
    connection.execute(f"COPY ({relation.query}) TO '{path}' (FORMAT parquet)")
    return read_file(path, {}, book=book).relation


def _repeats(connection: duckdb.DuckDBPyConnection, inputs: Inputs, book: Mounted, feeds: list[ProvenFeed]) -> bool:
    """Whether the slow search, which a run makes where rows are summed, finds a key in several rows."""
    in_book = not inputs.book_lots and bool(duplicate_rows(connection, book, book=True))
    return in_book or any(unique(connection, feed) != feed for feed in feeds)


def _findings(connection: duckdb.DuckDBPyConnection) -> list[Finding]:
    """The breaks in the order of the report."""
    rows = connection.execute(
        "SELECT type, [broker, account, symbol, leg], impact, severity, halts, halt_source, counts, "
        "coalesce(in_book <> at_broker, false), suppressed_by, superseded_by, live FROM breaks ORDER BY place"
    ).fetchall()
    found = [Finding(row[0], tuple(row[1]), *row[2:10]) for row in rows]
    assert [finding.live for finding in found] == [row[10] for row in rows]
    assert len(set(found)) == len(found)
    return found


def _scope(total: Total) -> tuple[str, ...]:
    return tuple(name for name in (total.broker, total.account) if name is not None)


def _sum(total: Total) -> Sum:
    return Sum(
        breaks=total.break_count,
        missing=total.missing_count,
        halting=total.halting_count,
        impact=total.total_impact,
        known=total.known_impact,
        unknown=total.unknown_count,
        counts=total.counts,
    )
