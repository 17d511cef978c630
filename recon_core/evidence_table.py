"""All that brokers told of what happened, row by row with where it was read: what evidence.parquet holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb

from recon_core.evidence import CorporateAction, Fill, Movement, digest_of
from recon_core.feeds import ProvenFeed
from recon_core.inquiry import digests
from recon_core.redaction import redacted
from recon_core.tables.mounting import load_texts
from recon_core.written_numbers import plain

if TYPE_CHECKING:
    from recon_core.explanation import Explanation, Key

COLUMNS = (
    "broker",
    "row",
    "kind",
    "id",
    "account",
    "symbol",
    "leg",
    "quantity",
    "price",
    "amount",
    "fee",
    "fee_currency",
    "currency",
    "at",
    "on",
    "settles_on",
    "order_id",
    "group",
    "related",
    "isin",
    "cusip",
    "raw_symbol",
    "asset_class",
    "multiplier",
    "ex_date",
    "process_date",
    "payable_date",
    "old_rate",
    "new_rate",
    "cash_per_unit",
    "new_symbol",
    "new_isin",
    "new_cusip",
    "explains",
    "said",
    "source",
    "sha256",
    "raw",
)
"""All texts: numbers exact, times in UTC. ``row`` is fill, movement or corporate_action, ``account`` the book's name, ``explains``
the position that the row is a part of the explanation of: account, symbol, and leg where it is not NET."""


def evidence_query(connection: duckdb.DuckDBPyConnection, feeds: Sequence[ProvenFeed], found: Mapping[Key, Explanation]) -> str:
    """SQL of all rows that brokers told, in the order in which they told them."""
    explains = {
        (key[0], term.id, term.source): " ".join(part for part in key[1:] if part != "NET")
        for key, explanation in found.items()
        for term in explanation.terms
    }
    rows = [row for feed in feeds for row in _rows(feed, explains)]
    load_texts(connection, "told", COLUMNS, [[[row.get(column) for row in rows] for column in COLUMNS]])
    return "SELECT * EXCLUDE (source_row) FROM told ORDER BY source_row"


def _rows(feed: ProvenFeed, explains: Mapping[tuple[str, str, str], str]) -> Iterator[dict[str, str | None]]:
    told = feed.answer.told
    if told is None:
        return
    places, accounts = digests(told), feed.answer.settings.accounts
    every: Iterable[Fill | Movement | CorporateAction] = (
        *told.evidence.fills,
        *told.evidence.movements,
        *told.evidence.corporate_actions,
    )
    for each in every:
        row = {name: _text(getattr(each, name)) for name in COLUMNS if hasattr(each, name)}
        account = row.get("account")
        yield (
            row
            | _when(each)
            | {
                "broker": feed.alias,
                "account": None if account is None else accounts.get(account, account),
                "explains": explains.get((feed.alias, each.id, each.source)),
                "sha256": digest_of(each.source, places),
            }
        )


def _when(each: Fill | Movement | CorporateAction) -> dict[str, str | None]:
    """What the row is, and its time and day."""
    if isinstance(each, Fill):
        at = each.traded_at.astimezone(UTC)
        return {"row": "fill", "kind": "fill", "at": _text(at), "on": _text(at.date())}
    if isinstance(each, Movement):
        return {"row": "movement", "on": _text(each.occurred_on)}
    return {"row": "corporate_action", "on": _text(each.ex_date or each.process_date)}


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else redacted(str(value))
