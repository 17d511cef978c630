"""The breaks one by one, worst first: what the report lists of them, and all of them for breaks.parquet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from recon_core.columns import PAIR_COLUMNS
from recon_core.config.policy import Policy
from recon_core.engine import named_rows
from recon_core.sql import quoted
from recon_core.written_numbers import without_zeros

LISTED = 10_000
"""How many breaks the report lists, worst first; breaks.parquet holds all."""


def worst(connection: duckdb.DuckDBPyConnection, limit: int) -> list[dict[str, Any]]:
    """The first ``limit`` breaks, worst first, superseded ones left out; numbers as plain text."""
    found = named_rows(
        connection.execute(f"SELECT {_printed()} FROM full_breaks WHERE superseded_by IS NULL AND place <= {limit} ORDER BY place")
    )
    for entry in found:
        for name in _NUMBERS:
            entry[name] = without_zeros(entry[name])
    return found


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
    numbers = "".join(f", {name}::VARCHAR AS {name}" for name in _NUMBERS)
    return f"""id, type, severity, broker, account, symbol, leg, related, asset_class, currency, impact::VARCHAR AS impact, detail,
        halts AND live AS halts, suppressed_by, round(hours_untouched, 2)::DECIMAL(18,2)::VARCHAR AS hours_untouched{numbers}"""


def parquet_query(policy: Policy, accepted: Sequence[str]) -> str:
    """SQL of every break for breaks.parquet, the superseded ones included, exact and in the order of the report.

    ``accepted`` are the reasons of the breaks accepted by id, in the order that ``silence`` had them. Reads
    ``aged``: by ``place`` ``episode``, ``first_seen`` and ``open_days``.
    """
    columns = ", ".join(name for name in PAIR_COLUMNS)
    given = (*(entry.reason for entry in policy.suppress), *accepted)
    reasons = " ".join(f"WHEN {place} THEN {quoted(reason)}" for place, reason in enumerate(given))
    why = f"CASE suppressed_by {reasons} END" if reasons else "CAST(NULL AS VARCHAR)"
    return f"""SELECT id, type, severity, {columns}, related::VARCHAR AS related, impact, halts AND live AS halts, counts,
        {why} AS suppressed, superseded_by, detail, episode, first_seen, open_days
        FROM full_breaks LEFT JOIN aged USING (place) ORDER BY place"""
