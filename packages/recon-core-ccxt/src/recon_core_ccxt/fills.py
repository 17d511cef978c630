"""Fills out of what ccxt made of an exchange's trades."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from recon_core import Fill, MalformedError
from recon_core_ccxt.proof import number, number_or_none, numbers_in


def fill(entry: Mapping[str, Any], markets: Mapping[str, Mapping[str, Any]], place: str, account: str) -> Fill:
    """One execution, its quantity a number of the row that it was read from."""
    side, symbol, stamp = entry.get("side"), entry.get("symbol"), entry.get("timestamp")
    if side not in ("buy", "sell") or not symbol or not isinstance(stamp, int) or not entry.get("id"):
        raise MalformedError(f"{place}: without id, symbol, side or time; nothing was compared")
    quantity, price = (number(entry.get(field), f"{place}: {field}") for field in ("amount", "price"))
    if quantity not in numbers_in(entry.get("info")):
        raise MalformedError(f"{place}: ccxt says {quantity:f}, which its row does not hold; nothing was compared")
    market = markets.get(symbol) or {}
    told = entry.get("fee") or {}
    fee = number_or_none(told.get("cost"), place)
    return Fill(
        id=str(entry["id"]),
        symbol=symbol,
        quantity=-quantity if side == "sell" else quantity,
        price=price,
        traded_at=datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=stamp),
        account=account,
        currency=market.get("quote"),
        order_id=str(entry["order"]) if entry.get("order") else None,
        fee=fee,
        fee_currency=told.get("currency") or (None if fee is None else ""),
        asset_class="crypto" if market.get("type") == "spot" else f"crypto_{market['type']}" if market.get("type") else None,
        multiplier=Decimal(1) if market.get("type") == "spot" else None,
        raw_symbol=str(market["id"]) if market.get("id") else None,
        source=place,
        raw=json.dumps(entry.get("info"), default=str, ensure_ascii=False),
    )
