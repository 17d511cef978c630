"""Alpaca's account and its positions, read from its answers. Part of the adapter in alpaca.py."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from recon_core import MalformedError, Position, Record

from ._alpaca_symbols import multiplier_of

MOST_DIGITS = 24  # before the point of an amount of money; sums of more would not be exact
BLOCKS = ("account_blocked", "trading_blocked", "transfers_blocked", "trade_suspended_by_user")


class Account:
    """What /v2/account states; values are in the account's own currency, a short value is negative."""

    def __init__(self, body: Any) -> None:
        record = Record(body, "GET /v2/account")
        self.id = record.text_or_none("id")
        self.number = record.text("account_number")
        self.currency = record.text("currency")
        self.long_value = _money(record, "long_market_value")
        self.short_value = -abs(_money(record, "short_market_value"))
        self.cash = _money(record, "cash") if record.has("cash") else None
        self.status = str(record.value.get("status", "not stated"))
        self.blocks = [name for name in BLOCKS if record.value.get(name) is True]

    def notes(self) -> list[str]:
        """What a person should know of the account's state; the positions stand regardless."""
        found = [f"account {self.number}: status {self.status}"] if self.status != "ACTIVE" else []
        return found + [f"account {self.number}: {name}" for name in self.blocks]


def read_positions(body: Any, account: str, currency: str) -> list[Position]:
    """The positions of an answer, in its order. Raises MalformedError that names row and field."""
    rows: dict[str, tuple[int, Any]] = {}
    positions = []
    for number, record in enumerate(rows_of(body), 1):
        position = _position(record, account, currency)
        first, asset = rows.setdefault(position.symbol, (number, record.value.get("asset_id")))
        if first != number:
            raise MalformedError(
                f"{record.place}: {position.symbol} stands in row {first} too (asset_id {asset} there,"
                f" {record.value.get('asset_id')} here); which one is held is not known"
            )
        positions.append(position)
    return positions


def rows_of(body: Any) -> list[Record]:
    said = f" {body['message']!r}" if isinstance(body, dict) and "message" in body else ""
    place = "GET /v2/positions"
    if not isinstance(body, list):
        raise MalformedError(f"{place}: an array of positions is due, got {type(body).__name__}{said}; nothing was compared")
    return Record.each(body, place)


def _position(record: Record, account: str, currency: str) -> Position:
    symbol = record.text("symbol")
    raw = record.value["symbol"]
    record = Record(record.value, f"{record.place} ({symbol})")
    side = record.text("side")
    quantity = record.number("qty")
    if side not in ("long", "short") or (side == "long" and quantity < 0):
        raise MalformedError(f"{record.place}: side {side!r} with qty {quantity} says neither long nor short; nothing was compared")
    asset_class = record.text("asset_class")
    return Position(
        account=account,
        symbol=symbol,
        raw_symbol=raw if raw != symbol else None,
        asset_class=asset_class,
        currency=currency,
        # Not -abs(...), which rounds to the digits of Python's arithmetic.
        quantity=quantity.copy_abs().copy_negate() if side == "short" and quantity else quantity,
        avg_price=record.number("avg_entry_price"),
        market_price=record.number("current_price") if record.has("current_price") else None,
        multiplier=multiplier_of(asset_class, symbol),
    )


def _money(record: Record, name: str) -> Decimal:
    amount = record.number(name)
    if amount.adjusted() > MOST_DIGITS:
        raise record.wrong(name, "an amount of money")
    return amount
