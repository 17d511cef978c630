"""What is known of single venues beyond what ccxt says of all alike, and the exchange object for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from recon_core import RequestError
from recon_core_ccxt.emptiness import Elsewhere, nowhere, of_binance, of_bybit, of_kraken, of_okx
from recon_core_ccxt.wire import Wire

BALANCES = ("spot", "margin", "funding", "savings", "trading", "unified")
"""Wallets that hold coins."""

POSITIONS = ("positions", "swap", "future", "option")
"""Wallets that hold contracts; ``positions`` is whatever the venue lists without being told a type."""


@dataclass(frozen=True, slots=True)
class Wallet:
    """One account type: ``kind``, for contracts ``sub`` (linear, inverse) and ``settle``, the coin that they settle in."""

    name: str
    kind: str
    sub: str = ""
    settle: str = ""

    @classmethod
    def named(cls, name: str) -> Wallet:
        """``swap:linear:USDC``, taken apart."""
        kind, _, rest = name.partition(":")
        sub, _, settle = rest.partition(":")
        return cls(name, kind, sub, settle)

    @property
    def holds_coins(self) -> bool:
        """Whether its holdings are coins, not contracts."""
        return self.kind in BALANCES

    @property
    def params(self) -> dict[str, Any]:
        """What ccxt is told."""
        named = {"type": "" if self.kind == "positions" else self.kind, "subType": self.sub, "settleCoin": self.settle}
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True, slots=True)
class Venue:
    """``envelope`` says whether a document is a success of this venue; ``elsewhere`` asks what else says that a wallet is empty.

    ``catalogue`` names the parts of the list of markets that a wallet needs, ``params`` what ccxt is told of it; ``currencies``
    whether names of coins need a list of their own. ``held`` is the field of what is held, where ccxt takes another (equity) for
    the total: by the field of the coin's name. ``cursor`` is the field of the next page's mark and the param that takes it.
    ``apart``: swaps and futures are asked for apart, elsewhere together. ``options`` are ccxt's own.
    """

    envelope: Callable[[Any], bool] | None = None
    elsewhere: Elsewhere = nowhere
    catalogue: Callable[[Wallet], tuple[str, ...]] | None = None
    params: Callable[[Wallet], dict[str, Any]] = lambda wallet: wallet.params
    currencies: bool = True
    held: Mapping[str, str] = field(default_factory=dict)
    cursor: tuple[str, str] | None = None
    apart: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    fills_count: Callable[[Any], Any] = lambda _: None


def _of_bybit(wallet: Wallet) -> tuple[str, ...]:
    if wallet.holds_coins:
        return ("spot",)
    return ("option",) if wallet.kind == "option" else (wallet.sub or "linear",)


def _of_okx(wallet: Wallet) -> tuple[str, ...]:
    if wallet.holds_coins:
        return ("spot",)
    return (wallet.kind,) if wallet.kind != "positions" else ("spot", "swap", "future", "option")


def _okx_params(wallet: Wallet) -> dict[str, Any]:
    kinds = {"swap": "SWAP", "future": "FUTURES", "option": "OPTION"}
    if wallet.holds_coins:
        return {"type": "funding"} if wallet.kind == "funding" else {}
    return {"instType": kinds[wallet.kind]} if wallet.kind in kinds else {}


VENUES = {
    "binance": Venue(
        envelope=lambda d: (
            isinstance(d, list)
            or any(isinstance(d.get(name), list) for name in ("balances", "assets", "userAssets", "symbols", "optionSymbols"))
        ),
        elsewhere=of_binance,
        catalogue=lambda wallet: ("spot",) if wallet.holds_coins else (wallet.sub or "linear",),
        currencies=False,
        options={"fetchMargins": False, "leverageBrackets": {}},  # lists that no position needs
    ),
    "kraken": Venue(
        envelope=lambda d: isinstance(d, dict) and d.get("error") == [] and isinstance(d.get("result"), dict | list),
        elsewhere=of_kraken,
        params=lambda _: {},
        fills_count=lambda d: d["result"].get("count"),
    ),
    "bybit": Venue(
        envelope=lambda d: isinstance(d, dict) and d.get("retCode") == 0 and isinstance(d.get("result"), dict),
        elsewhere=of_bybit,
        catalogue=_of_bybit,
        currencies=False,
        cursor=("nextPageCursor", "cursor"),  # ccxt's own "paginate" asks for a since that positions do not have, and ends early
    ),
    "okx": Venue(
        envelope=lambda d: isinstance(d, dict) and d.get("code") == "0" and isinstance(d.get("data"), list),
        elsewhere=of_okx,
        catalogue=_of_okx,
        params=_okx_params,
        currencies=False,
        held={"ccy": "cashBal"},
        apart=True,
    ),
}
UNKNOWN = Venue()


def exchange_of(name: str, credentials: Mapping[str, str], options: Mapping[str, Any], wire: Wire) -> Any:
    """The exchange of ccxt, which asks through ``wire`` and gives numbers as texts. Call it within the event loop."""
    import asyncio

    try:
        if not name.isidentifier() or name in ("base", "abstract"):
            raise ImportError
        theirs = getattr(import_module(f"ccxt.async_support.{name}"), name)
    except (ImportError, AttributeError):
        raise RequestError(
            f"exchange: ccxt knows no {name!r}; its ids are listed by `python -c 'import ccxt; print(ccxt.exchanges)'`"
        ) from None

    class Exchange(theirs):  # type: ignore[misc, valid-type]  # a class that is known by its name
        """The exchange, with our transport, and a record of which names of coins it made which codes of."""

        async def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
            return await wire.ask(self, url, method, headers, body)

        def safe_currency_code(self, currencyId: Any, currency: Any = None) -> Any:  # noqa: N803  # as ccxt calls it
            code = super().safe_currency_code(currencyId, currency)
            if code is not None and currencyId is not None:
                self.coin_names.setdefault(code, {}).setdefault(str(currencyId))
            return code

    Exchange.__name__ = name  # ccxt shows and compares it
    Exchange.coin_names = {}  # the class is made for this one exchange
    exchange = Exchange({**credentials, "enableRateLimit": wire.http.answering is None, "asyncio_loop": asyncio.get_running_loop()})
    exchange.number = str
    exchange.options = exchange.deep_extend(exchange.options, dict(options))
    return exchange
