"""What an exchange says elsewhere where a wallet lists nothing but money: an empty list is also what a fault looks like.

Each function gives the name of a figure and how much of it the list leaves open, which is 0 where nothing else is held; None where
the exchange has no such figure. (Their documentation, read 2026-11.)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from recon_core import Cash
from recon_core_ccxt.proof import added, number_or_none

if TYPE_CHECKING:
    from recon_core_ccxt.venues import Wallet

ROUNDED = Decimal("0.01")
"""Worths are rounded; one below this is none."""

Figure = tuple[str, Decimal]
Elsewhere = Callable[[Any, "Wallet", Any, Sequence[Cash]], Awaitable[Figure | None]]
"""Given the exchange, the wallet, the document that lists no coin or contract, and the money that it lists."""


async def nowhere(exchange: Any, wallet: Wallet, document: Any, cash: Sequence[Cash]) -> Figure | None:
    """Of an exchange that nothing is known of."""
    return None


async def of_binance(exchange: Any, wallet: Wallet, document: Any, cash: Sequence[Cash]) -> Figure | None:
    """The margin of all positions. Its coins have no such figure: it lists those of which nothing is held, too."""
    if wallet.kind not in ("swap", "future") or exchange.options.get("portfolioMargin"):
        return None
    if wallet.sub == "inverse":
        return _sum("positionInitialMargin", _rows(await exchange.dapiPrivateGetAccount({}), "assets"))
    return _figure("totalPositionInitialMargin", await exchange.fapiPrivateV3GetAccount({}))


async def of_bybit(exchange: Any, wallet: Wallet, document: Any, cash: Sequence[Cash]) -> Figure | None:
    """The equity beside the coins; for contracts, the margin of positions that settle in the wallet's coin."""
    if wallet.holds_coins:
        account = _first(document, "result", "list")
        return _rest("totalEquity", account, "usdValue", _rows(account, "coin"))
    account = _first(await exchange.privateGetV5AccountWalletBalance({"accountType": "UNIFIED"}), "result", "list")
    coins = [coin for coin in _rows(account, "coin") if wallet.settle in ("", coin.get("coin"))]
    if coins:
        return _sum("totalPositionIM", coins)
    of_all = _figure("totalInitialMargin", account)  # of other coins and of orders, too
    return of_all if of_all and of_all[1] == 0 else None


async def of_kraken(exchange: Any, wallet: Wallet, document: Any, cash: Sequence[Cash]) -> Figure | None:
    """The worth of all balances, in the one money that is listed; for margin positions, their margin."""
    if not wallet.holds_coins:
        return _figure("m", (await exchange.privatePostTradeBalance({})).get("result"))
    if len(cash) > 1:
        return None
    asked = {"asset": exchange.currency(cash[0].currency)["id"]} if cash else {}
    worth = _figure("eb", (await exchange.privatePostTradeBalance(asked)).get("result"))
    return worth and ("eb", _rounded(added((worth[1], *(-each.amount for each in cash)))))


async def of_okx(exchange: Any, wallet: Wallet, document: Any, cash: Sequence[Cash]) -> Figure | None:
    """The equity beside the coins, the worth of the funding account, and for contracts the list that risk is worked out of."""
    if wallet.kind == "funding":
        return None if cash else _figure("funding", _first(await exchange.privateGetAssetAssetValuation({}), "data").get("details"))
    if wallet.holds_coins:
        account = _first(document, "data")
        return _rest("totalEq", account, "eqUsd", _rows(account, "details"))
    risk = _first(await exchange.privateGetAccountAccountPositionRisk({}), "data")
    kind = {"swap": "SWAP", "future": "FUTURES", "option": "OPTION"}.get(wallet.kind)
    rows = [row for row in _rows(risk, "posData") if kind in (None, row.get("instType"))]
    return ("posData", Decimal(len(rows))) if isinstance(risk.get("posData"), list) else None


def _figure(name: str, record: Any) -> Figure | None:
    stated = number_or_none(record.get(name), name) if isinstance(record, Mapping) else None
    return None if stated is None else (name, stated)


def _sum(name: str, records: Sequence[Mapping[str, Any]]) -> Figure | None:
    """The sum over all records, None where one does not state it."""
    known = [abs(figure[1]) for record in records if (figure := _figure(name, record))]
    return (name, added(known)) if records and len(known) == len(records) else None


def _rest(name: str, account: Mapping[str, Any], worth: str, rows: Sequence[Mapping[str, Any]]) -> Figure | None:
    """What is left of an account's worth without the rows that it lists."""
    whole, listed = _figure(name, account), _sum(worth, rows) if rows else (worth, Decimal(0))
    return (name, _rounded(added((whole[1], -listed[1])))) if whole and listed else None


def _rounded(worth: Decimal) -> Decimal:
    return worth if abs(worth) >= ROUNDED else Decimal(0)


def _first(document: Any, *path: str) -> Mapping[str, Any]:
    """The first record of the list at ``path``; an empty one where there is none."""
    for name in path[:-1]:
        document = document.get(name) if isinstance(document, Mapping) else None
    return next(iter(_rows(document, path[-1])), {})


def _rows(record: Any, name: str) -> list[Mapping[str, Any]]:
    rows = record.get(name) if isinstance(record, Mapping) else None
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
