"""Positions out of what ccxt made of one wallet, each number held against the answers that it came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from recon_core import Cash, MalformedError, Position
from recon_core_ccxt.proof import added, number, number_or_none, numbers_in, rows_in, signed_size

FIAT = frozenset(
    ("USD", "EUR", "GBP", "JPY", "CHF", "CAD", "AUD", "NZD", "SGD", "HKD", "KRW", "TRY", "BRL", "PLN", "CZK", "SEK", "NOK", "DKK",
     "ZAR", "INR", "MXN", "AED", "ARS", "CNY", "TWD", "THB")
)  # fmt: skip
"""Money, which is told as cash and not as a position."""


@dataclass
class Read:
    """What one wallet holds. ``troubles`` are reasons why it may not be all."""

    positions: list[Position] = field(default_factory=list)
    cash: list[Cash] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


def balances(
    unified: Mapping[str, Any],
    documents: Sequence[Any],
    coins: Mapping[str, Sequence[str]],
    held: Mapping[str, str],
    place: str,
    account: str,
) -> Read:
    """The coins of a wallet: all that is owned, locked in orders or not, less what is owed.

    ``coins`` are the venue's names that ccxt made each code of, ``held`` the venue's own field of what is held (see Venue).
    """
    read, known = Read(), numbers_in(list(documents))
    for code in sorted({*unified.get("total", {}), *unified.get("free", {})}):
        where = f"{place}: {code}"
        entry = unified.get(code)
        if not isinstance(entry, Mapping):
            raise MalformedError(f"{where}: an object is due, got {type(entry).__name__}; nothing was compared")
        quantity = _owned(entry, known, where, read)
        names = list(coins.get(code, ()))
        rows = [row for array in _arrays(documents) for row in array if any(row.get(key) in names for key in held or _NAMES)]
        if len(names) > 1:
            read.troubles.append(f"{where}: {' and '.join(names)} are one coin to ccxt, which keeps only the last of them")
        elif len(rows) > 1:
            read.troubles.append(
                f"{where}: {len(rows)} rows of the answer are one coin to ccxt, which keeps only the last or a sum"
            )
        for key, own in held.items():
            if len(rows) == 1 and rows[0].get(key) in names and (stated := number_or_none(rows[0].get(own), where)) is not None:
                if stated != quantity:
                    read.notes.append(
                        f"{where}: {own} {stated:f} is what is held; ccxt's total {quantity:f} counts open profit too"
                    )
                quantity = stated
        if debt := number_or_none(entry.get("debt"), where):
            read.notes.append(f"{where}: {debt:f} of it is owed, and left out")
            quantity = added((quantity, -debt))
        if code in FIAT:
            read.cash.append(Cash(currency=code, amount=quantity, account=account))
        else:
            raw = names[0] if names and names[0] != code else None
            read.positions.append(
                Position(
                    account=account, symbol=code, quantity=quantity, asset_class="crypto", multiplier=Decimal(1), raw_symbol=raw
                )
            )
    return read


_NAMES = ("asset", "coin", "ccy", "currency", "currencyCoin", "tokenId")


def _arrays(documents: Sequence[Any]) -> list[list[Any]]:
    return [rows for document in documents for rows in rows_in(document)]


def _owned(entry: Mapping[str, Any], known: set[Decimal], where: str, read: Read) -> Decimal:
    """Total of a coin: stated as it is, or the exact sum of what is free and what is used, both stated."""
    free, used, total = (number_or_none(entry.get(name), f"{where}: {name}") for name in ("free", "used", "total"))
    if total is None:
        if free is None:
            raise MalformedError(f"{where}: ccxt tells neither a total nor what is free; nothing was compared")
        read.troubles.append(f"{where}: only what is free is told, not what is locked in orders")
        total = free
    if free is not None and used is not None and added((free, used)) != total:
        raise MalformedError(f"{where}: free {free:f} and used {used:f} do not add up to the total {total:f}; nothing was compared")
    if total not in known and not ({free, used} <= known):
        raise MalformedError(f"{where}: ccxt says {total:f}, which the answer does not hold (a sum of rows?); nothing was compared")
    return total


def contracts(unified: Sequence[Mapping[str, Any]], markets: Mapping[str, Mapping[str, Any]], place: str, account: str) -> Read:
    """The contracts of a wallet, signed by their side. Rows of hedge mode are legs of their own."""
    read = Read()
    for order, entry in enumerate(unified, 1):
        read.positions.append(_contract(entry, markets, f"{place}: position {order}", account, read))
    return read


def _contract(entry: Mapping[str, Any], markets: Mapping[str, Mapping[str, Any]], where: str, account: str, read: Read) -> Position:
    symbol, row, side = entry.get("symbol"), entry.get("info"), entry.get("side")
    if not isinstance(symbol, str) or not symbol or not isinstance(row, dict):
        raise MalformedError(f"{where}: names no market, or not the row that it was read from; nothing was compared")
    where = f"{where} ({symbol})"
    market = markets.get(symbol) or {}
    size = number_or_none(entry.get("contractSize"), where)
    quantity = abs(number(entry.get("contracts"), f"{where}: contracts"))
    quantity = _stated(quantity, size, row, where)
    if closed := number_or_none(
        row.get("vol_closed"), where
    ):  # Kraken's margin positions: what was opened, and what is closed of it
        quantity = added((quantity, -closed))
    signed = signed_size(row)
    if quantity and side not in ("long", "short"):
        raise MalformedError(
            f"{where}: side {side!r} with {quantity:f} contracts says neither long nor short; nothing was compared"
        )
    if signed is not None and signed < 0 and side == "long":
        raise MalformedError(f"{where}: ccxt says long, and the row says {signed:f}; nothing was compared")
    hedged = entry.get("hedged") is True
    avg, mark = (_price(entry.get(name), row, name, where, read) for name in ("entryPrice", "markPrice"))
    if market.get("inverse"):
        read.notes.append(
            f"{symbol}: an inverse contract, worth {market.get('contractSize')} {market.get('quote')} whatever the price: it has no"
            " multiplier, for quantity x price would be no value"
        )
    elif not market:
        read.notes.append(
            f"{symbol}: not among the markets that {where.partition(':')[0]} lists, so its currency and size are not known"
        )
    kind = market.get("type")
    return Position(
        account=account,
        symbol=symbol,
        raw_symbol=str(market["id"]) if market.get("id") else None,
        quantity=-quantity if side == "short" else quantity,
        leg=("LONG" if side == "long" else "SHORT") if hedged and side in ("long", "short") else "NET",
        asset_class=f"crypto_{'margin' if kind == 'spot' else kind}" if kind else None,
        currency=market.get("quote") or market.get("settle"),
        avg_price=avg,
        market_price=mark,
        multiplier=None if market.get("inverse") or not market else (Decimal(1) if kind == "spot" else size),
    )


def _stated(quantity: Decimal, size: Decimal | None, row: Mapping[str, Any], where: str) -> Decimal:
    """The number of contracts, where the row states it, or states units that are so many contracts exactly."""
    known = {abs(each) for each in numbers_in(row)}
    if quantity in known or (size and quantity * size in known):
        return quantity
    raise MalformedError(f"{where}: ccxt says {quantity:f} contracts, which its row does not hold; nothing was compared")


def _price(text: object, row: Mapping[str, Any], name: str, where: str, read: Read) -> Decimal | None:
    """A price, where its row states it; one that ccxt made is left out, for no one said it."""
    price = number_or_none(text, f"{where}: {name}")
    if price is None or price == 0:
        return None
    if price not in numbers_in(row):
        read.notes.append(f"{where}: {name} {price:f} is ccxt's own, not the venue's: left out")
        return None
    return price


def together(positions: list[Position]) -> list[Position]:
    """The positions, coins that several wallets hold added up."""
    coins: dict[str, Position] = {}
    rest = []
    for position in positions:
        if position.asset_class != "crypto":
            rest.append(position)
        elif position.symbol in coins:
            first = coins[position.symbol]
            coins[position.symbol] = replace(first, quantity=added((first.quantity, position.quantity)))
        else:
            coins[position.symbol] = position
    return [*coins.values(), *rest]


def cash_together(cash: list[Cash]) -> list[Cash]:
    """The money, that of several wallets added up."""
    found: dict[str, Cash] = {}
    for entry in cash:
        first = found.get(entry.currency)
        found[entry.currency] = replace(first, amount=added((first.amount, entry.amount))) if first else entry
    return list(found.values())
