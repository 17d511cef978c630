"""Under which two names a position that is broken was known: they carry its episode on when one of the names goes.

No verdict depends on them: what is wrong here makes a break look younger or older than it is, and nothing else.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from recon_core.state.database import Database


class Names(NamedTuple):
    """What the book (``ours``) and the broker (``theirs``) called one position, and the identifiers that it had then."""

    broker: str
    account: str
    theirs: str
    ours: str
    isin: str | None = None
    cusip: str | None = None


_OPEN = """SELECT 1 FROM episodes e WHERE e.resolved_at IS NULL
    AND e.broker = names.broker AND e.account = names.account AND e.symbol IN (names.theirs, names.ours)"""


def known(database: Database) -> list[Names]:
    """All that are remembered, in their order."""
    return [Names(*row) for row in database.execute(f"SELECT {', '.join(Names._fields)} FROM names ORDER BY 1, 2, 3, 4")]


def remember(database: Database, found: Collection[Names], brokers: Collection[str]) -> None:
    """Keep the names of ``brokers`` under one of which an episode is open, and forget all others. In a transaction."""
    broken = "SELECT DISTINCT broker, account, symbol FROM episodes WHERE resolved_at IS NULL"
    still = set(database.execute(broken)) if found else set()
    rows = [
        each
        for each in found
        if each.broker in brokers and any((each.broker, each.account, symbol) in still for symbol in (each.theirs, each.ours))
    ]
    database.upsert("names", Names._fields, rows, key=Names._fields[:4], update=("isin", "cusip"))
    database.execute(f"DELETE FROM names WHERE NOT EXISTS ({_OPEN})")
