"""Alpaca's corporate actions, as its market data announces them. Part of the adapter in alpaca.py."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from recon_core import CorporateAction, Record

PLACE = "GET /v1/corporate-actions"
KINDS = {
    "forward_splits": "split",
    "reverse_splits": "reverse_split",
    "unit_splits": "split",
    "stock_dividends": "stock_dividend",
    "cash_dividends": "cash",
    "spin_offs": "spin_off",
    "cash_mergers": "merger",
    "stock_mergers": "merger",
    "stock_and_cash_mergers": "merger",
    "redemptions": "liquidation",
    "partial_calls": "liquidation",
    "name_changes": "symbol_change",
    "worthless_removals": "removal",
    "rights_distributions": "spin_off",
    "reorganizations": "merger",
}
IN_MONEY = ("cash_dividends", "cash_mergers", "redemptions", "partial_calls")  # whose rate is money for a unit
ALSO_SAID = ("sub_type", "alternate_symbol")
MOST_DIGITS = 30  # of a rate that a sum can be made of


def read_corporate_actions(body: Any, place: str) -> list[CorporateAction]:
    """The actions of one page, which has an array for each type. Raises MalformedError that names type, row and field."""
    by_type = Record(body, place).record("corporate_actions")
    return [
        _action(kind, record)
        for kind in by_type.value
        if by_type.has(kind)
        for record in Record.each(by_type.value[kind], f"{place}: {kind}")
    ]


def next_page(body: Any) -> dict[str, str] | None:
    """What the next page is asked with; None where this is the last."""
    token = Record(body, PLACE).text_or_none("next_page_token")
    return {"page_token": token} if token else None


def _action(kind: str, record: Record) -> CorporateAction:
    rate = _number(record, "rate")
    old_rate = _number(record, "old_rate", "source_rate", "acquiree_rate")
    new_rate = _number(record, "new_rate", "acquirer_rate")
    cash = _number(record, "cash_rate")
    if rate is not None and kind in IN_MONEY:
        cash = rate
    elif rate is not None and kind == "stock_dividends":
        old_rate, new_rate = Decimal(1), 1 + rate
    elif rate is not None and kind == "rights_distributions":
        old_rate, new_rate = Decimal(1), rate
    return CorporateAction(
        id=record.text("id"),
        kind=KINDS.get(kind, "unclassified"),
        symbol=_text(record, "symbol", "old_symbol", "source_symbol", "acquiree_symbol") or record.text("symbol"),
        ex_date=record.day_or_none("ex_date"),
        process_date=record.day_or_none("process_date"),
        payable_date=record.day_or_none("payable_date"),
        old_rate=old_rate,
        new_rate=new_rate,
        cash_per_unit=cash,
        new_symbol=_text(record, "new_symbol", "acquirer_symbol"),
        cusip=_text(record, "cusip", "old_cusip", "source_cusip", "acquiree_cusip"),
        new_cusip=_text(record, "new_cusip", "acquirer_cusip"),
        isin=_text(record, "isin", "old_isin", "source_isin", "acquiree_isin"),
        new_isin=_text(record, "new_isin", "acquirer_isin"),
        said=" ".join(filter(None, (kind, *(_text(record, name) for name in ALSO_SAID)))),
        source=record.place,
        raw=record.raw,
    )


def _text(record: Record, *names: str) -> str | None:
    return next((text for name in names if (text := record.text_or_none(name))), None)


def _number(record: Record, *names: str) -> Decimal | None:
    for name in names:
        number = record.number_or_none(name)
        if number is not None and number.adjusted() > MOST_DIGITS:
            raise record.wrong(name, "a rate")
        if number is not None:
            return number
    return None
