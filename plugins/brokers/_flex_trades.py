"""Rows of the section Trades: what was executed, and what exercise, assignment and expiry booked."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

from recon_core import Fill, MalformedError, Movement

from ._flex_positions import ASSET_CLASSES, price_per_unit, symbol_of
from ._flex_reader import Row, Statement

_BOOKED = {"A": "assignment", "EX": "exercise", "AEX": "exercise", "MEX": "exercise", "EP": "expiry"}
_OPTIONS = ("OPT", "FOP", "WAR", "IOPT", "FSOPT", "FSFOP")
_TELLING = (
    *("symbol", "conid", "dateTime", "tradeDate", "tradeTime", "reportDate", "date", "type", "buySell", "quantity"),
    *("tradePrice", "amount", "currency", "cashTransfer", "description"),
)


class Numbering:
    """Ids of rows: IBKR's own, or what the row says and which of its like it is."""

    def __init__(self) -> None:
        self._given: dict[str, int] = {}

    def __call__(self, row: Row, *names: str) -> str:
        found = row.said(*names)
        if found is None:
            found = "/".join(row.said(name) or "" for name in _TELLING)
        self._given[found] = self._given.get(found, 0) + 1
        return found if self._given[found] == 1 else f"{found}#{self._given[found]}"


def trade(row: Row, statement: Statement, number: Numbering) -> Fill | Movement:
    """A fill; a movement where IBKR booked what nobody traded: an exercise, an assignment, an expiry and the shares of it."""
    category = (row.said("assetCategory") or "").upper()
    symbol, raw = symbol_of(row, category, "Symbol")
    kind, words = row.said("transactionType") or "", row.said("notes", "code") or ""
    quantity = _signed(row, cancelled=kind.endswith("Cancel"))
    moment = row.moment_or_none("dateTime") or row.moment_or_none("tradeDate")
    if moment is None:
        raise row.wrong("tradeDate", "a date")
    clock = row.said("tradeTime")
    if moment[1] and clock is not None:
        moment = (_at(row, moment[0], clock), False)
    account, currency = row.said("accountId") or statement.account, row.said("currency")
    multiplier, identity = row.amount("multiplier"), number(row, "transactionID", "tradeID", "ibExecID")
    price = price_per_unit(category, row.amount("tradePrice", "price"), quantity, multiplier, row.amount("tradeMoney"))
    settles_on, order = row.day_of("settleDateTarget", "settleDate"), row.said("ibOrderID", "orderID")
    if kind in ("BookTrade", "FracShare", "FracShareCancel", "Adjustment") or price is None:
        codes = [_BOOKED[code.strip().upper()] for code in re.split("[;,]", words) if code.strip().upper() in _BOOKED]
        booked = codes[0] if codes else "liquidation" if kind == "FracShare" and quantity < 0 else "unclassified"
        if booked in ("assignment", "exercise") and category not in _OPTIONS:
            booked = "delivery"
        underlying = row.said("conid" if booked == "delivery" else "underlyingConid")
        return Movement(
            id=identity,
            kind=booked,
            occurred_on=row.day_of("tradeDate") or moment[0].date(),
            symbol=symbol,
            raw_symbol=raw,
            quantity=quantity,
            price=price,
            amount=row.amount("netCash", "proceeds"),
            account=account,
            currency=currency,
            settles_on=settles_on,
            order_id=order,
            related=None if booked == "delivery" else row.said("underlyingSymbol"),
            group=f"{moment[0].date()} {underlying}" if codes and underlying else None,
            isin=row.said("isin"),
            cusip=row.said("cusip"),
            said=" ".join(filter(None, (kind, words))),
            source=row.place,
            raw=row.raw,
        )
    fee, paid_in = row.amount("ibCommission", "commission"), row.said("ibCommissionCurrency", "commissionCurrency")
    return Fill(
        id=identity,
        symbol=symbol,
        raw_symbol=raw,
        quantity=quantity,
        price=price,
        traded_at=moment[0],
        account=account,
        currency=currency,
        settles_on=settles_on,
        order_id=order,
        fee=None if fee is None else -fee,
        fee_currency=paid_in,
        asset_class=ASSET_CLASSES.get(category, category.lower()) or None,
        multiplier=multiplier,
        isin=row.said("isin"),
        cusip=row.said("cusip"),
        source=row.place,
        raw=row.raw,
    )


def _signed(row: Row, *, cancelled: bool) -> Decimal:
    """What a trade changes the position by: a purchase more, a sale less, and the other way round where it is cancelled."""
    quantity, side = row.amount("quantity"), (row.said("buySell") or "").upper()
    if quantity is None:
        raise row.wrong("quantity", "a number")
    cancelled = cancelled or "(CA.)" in side
    bought = True if side.startswith("BUY") else False if side.startswith("SELL") else None
    if bought is None:
        return quantity  # signed by itself
    if not cancelled and quantity and bought != (quantity > 0):
        raise MalformedError(f"{row.place}: buySell {side} and quantity {quantity} contradict each other")
    return abs(quantity) if bought != cancelled else -abs(quantity)


def _at(row: Row, day: datetime, clock: str) -> datetime:
    found = re.fullmatch(r"([01]\d|2[0-3]):?([0-5]\d):?([0-5]\d)", clock, re.ASCII)
    if found is None:
        raise row.wrong("tradeTime", "a time (160000)")
    return day.replace(hour=int(found[1]), minute=int(found[2]), second=int(found[3]))
