"""The transactions of OANDA accounts: which are fills, which move cash alone, and which nothing."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import Any

from recon_core import Fill, Movement, Record

INSTRUMENT = re.compile(r"[A-Z0-9]+_([A-Z]{3})", re.ASCII)
"""The name of an instrument; its group is the currency that the price is in."""

MARGIN_CLOSEOUT = "MARGIN_CLOSEOUT"

MONEY = {
    "TRANSFER_FUNDS": "amount",
    "DAILY_FINANCING": "financing",
    "DIVIDEND_ADJUSTMENT": "dividendAdjustment",
}
"""Types that move money alone, and the field that says how much, in the account's currency."""

MOVES_NOTHING = re.compile(
    r"CREATE|CLOSE|REOPEN|CLIENT_CONFIGURE|RESET_RESETTABLE_PL|DELAYED_TRADE_CLOSURE|MARGIN_CALL_(ENTER|EXTEND|EXIT)"
    r"|(ORDER|TRADE)_CLIENT_EXTENSIONS_MODIFY|ORDER_CANCEL|[A-Z_]+_REJECT"
    r"|(MARKET|FIXED_PRICE|LIMIT|STOP|MARKET_IF_TOUCHED|TAKE_PROFIT|STOP_LOSS|GUARANTEED_STOP_LOSS|TRAILING_STOP_LOSS)_ORDER"
)
"""Types of transactions that change neither a position nor cash: orders are not fills."""


class Transactions:
    """What the transactions of accounts tell: fills, movements, and how many that move nothing."""

    def __init__(self) -> None:
        self.fills: list[Fill] = []
        self.movements: list[Movement] = []
        self.idle: Counter[str] = Counter()

    def add(self, record: Record, account: str, currency: str, *, hedging: bool) -> None:
        """Take in one transaction; ``currency`` is the account's."""
        kind = record.text("type")
        identity = f"{account}-{record.identifier('id')}"
        record.place += f" ({kind} {record.identifier('id')})"
        if MOVES_NOTHING.fullmatch(kind):
            self.idle[kind] += 1
            return
        when = record.moment("time")
        words = [kind, *(record.text_or_none(name) for name in ("reason", "fundingReason", "comment"))]
        common: dict[str, Any] = {
            "occurred_on": when.date(),
            "account": account,
            "symbol": record.text_or_none("instrument"),
            "said": " ".join(word for word in words if word),
            "source": record.place,
            "raw": record.raw,
        }
        if kind == "ORDER_FILL":
            self._filled(record, identity, when, common, currency, hedging=hedging)
        elif kind in MONEY:
            self.movements.append(
                Movement(id=identity, kind="cash", amount=record.number(MONEY[kind]), currency=currency, **common)
            )
        else:
            self.movements.append(
                Movement(
                    id=identity,
                    kind="unclassified",
                    quantity=record.number_or_none("units"),
                    amount=record.number_or_none("amount"),
                    currency=currency,
                    **common,
                )
            )

    def notes(self) -> list[str]:
        """What is left out: orders and the like."""
        counted = ", ".join(f"{count} {kind}" for kind, count in sorted(self.idle.items()))
        return [f"transactions that move neither position nor cash are left out: {counted}"] if counted else []

    def _filled(
        self, record: Record, identity: str, when: datetime, common: dict[str, Any], currency: str, *, hedging: bool
    ) -> None:
        symbol, units = record.text("instrument"), record.number("units")
        price = record.number("fullVWAP" if record.has("fullVWAP") else "price")
        quoted = INSTRUMENT.fullmatch(symbol)
        order = record.text_or_none("orderID")
        quote = quoted[1] if quoted else None
        if MARGIN_CLOSEOUT in (record.text_or_none("reason") or ""):
            self.movements.append(
                Movement(id=identity, kind="liquidation", quantity=units, price=price, currency=quote, order_id=order, **common)
            )
        else:
            self.fills.append(
                Fill(
                    id=identity,
                    symbol=symbol,
                    quantity=units,
                    price=price,
                    traded_at=when,
                    account=common["account"],
                    currency=quote,
                    order_id=order,
                    multiplier=Decimal(1),
                    leg=_leg(record, units) if hedging else "NET",
                    source=record.place,
                    raw=common["raw"],
                )
            )
        costs = [record.number_or_none(name) or Decimal(0) for name in ("commission", "guaranteedExecutionFee")]
        gains = [record.number_or_none(name) or Decimal(0) for name in ("pl", "financing")]
        booked = sum(gains, Decimal(0)) - sum(costs, Decimal(0))
        if booked:
            self.movements.append(
                Movement(
                    id=f"{identity}-cash", kind="cash", amount=booked, currency=currency, group=identity, order_id=order, **common
                )
            )


def _leg(record: Record, units: Decimal) -> str:
    """Which leg of a hedging account a fill changes: NET where it both closes and opens."""
    opens = record.has("tradeOpened")
    closes = bool(record.value.get("tradesClosed")) or record.has("tradeReduced")
    if opens == closes:
        return "NET"
    return "LONG" if (units > 0) == opens else "SHORT"
