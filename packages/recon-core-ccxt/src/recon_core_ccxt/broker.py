"""ccxt: coins and contracts held at any of its exchanges, one account type after the other (ccxt 4.5, read 2026-11)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from recon_core import (
    Ask,
    Broker,
    BrokerError,
    Cash,
    Evidence,
    Feed,
    MalformedError,
    NotReadyError,
    RequestError,
    ThrottledError,
    TransientError,
    hookimpl,
)

if TYPE_CHECKING:
    from recon_core_ccxt.reading import Read
    from recon_core_ccxt.venues import Venue, Wallet
    from recon_core_ccxt.wire import Wire

LIVE_FOR = timedelta(hours=12)
ATTEMPTS = 3
MOST_PAGES = 100
COINS_OR_CONTRACTS = (
    "^(spot|margin|funding|savings|trading|unified|(positions|swap|future|option)(:(linear|inverse)(:[A-Z0-9]+)?)?)$"
)
CREDENTIALS = {
    "api_key": "apiKey",
    "secret": "secret",
    "password": "password",
    "uid": "uid",
    "token": "token",
    "private_key": "privateKey",
    "wallet_address": "walletAddress",
}
"""Our names of credentials, and ccxt's."""

Taken = TypeVar("Taken")


class Ccxt(Broker):
    """Coins and contracts held at an exchange that ccxt speaks to.

    Credentials   a read-only API key (``api_key``, ``secret``); some exchanges want a ``password``, ``uid`` or ``token``, too
    Proof         every answer is one whole, strict JSON document and a success of the venue; no row of it is lost; every quantity
                  is a number of the answer; no page is missing. Where nothing is held, another figure must say so, which is
                  known of Binance (contracts), Bybit, Kraken and OKX; elsewhere the feed is PARTIAL then
    As of         the Date header of the oldest answer about a wallet. Only what is held now can be asked for
    Basis         trade date: a fill shows at once
    Quirks        one wallet that fails makes all PARTIAL; a coin that is owed counts against what is owned; fiat money is cash, not
                  a position; coins of several wallets are added up; an inverse contract has no multiplier, for its value is not
                  quantity x price; ccxt keeps only one of several names of one coin (Kraken's XBT and XBT.F): PARTIAL then
    """

    name = "ccxt"
    options = {
        "exchange": {
            "type": "string",
            "minLength": 1,
            "description": "The exchange, by its id in ccxt: kraken, okx, bybit, binance.",
        },
        "wallets": {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {
                "type": "string",
                "pattern": COINS_OR_CONTRACTS,
            },
            "description": "Account types to read, each asked for by itself: spot, margin, funding, savings, trading or unified for"
            " coins; swap, future or option for contracts, followed by :linear or :inverse and :COIN that they settle in"
            " where the exchange keeps them apart; positions for whatever it lists by itself. Name all that may hold something.",
        },
        "account": {"type": "string", "minLength": 1, "description": "Name to give the account; without it, the exchange's id."},
        "base_url": {
            "type": "string",
            "pattern": "^https?://",
            "description": "In place of scheme and host of every address of the exchange: a proxy, a sandbox.",
        },
        "exchange_options": {
            "type": "object",
            "default": {},
            "description": "`options` of the exchange in ccxt, such as {portfolioMargin: true}.",
        },
    }
    required = ("exchange", "wallets")
    secrets = ("api_key", "secret")
    optional_secrets = ("password", "uid", "token", "private_key", "wallet_address")
    coverage = ("crypto", "crypto_margin", "crypto_swap", "crypto_future", "crypto_option")
    capabilities = ("positions", "cash", "fills")
    live = True
    deadline_seconds = 60
    _last = ""
    """The error before another attempt, for the message when time is up."""

    async def positions(self, ask: Ask) -> Feed:
        """All wallets. PARTIAL where one of them fails, or where an answer does not prove that it is all."""
        return await self._within_deadline(lambda: self._positions(ask))

    async def evidence(self, ask: Ask) -> Evidence:
        """Fills since ``ask.since``, where the exchange tells those of all markets. Complete only where it counts them."""
        return await self._within_deadline(lambda: self._evidence(ask))

    async def _positions(self, ask: Ask) -> Feed:
        from recon_core_ccxt.reading import Read, cash_together, together
        from recon_core_ccxt.venues import Wallet
        from recon_core_ccxt.wire import Wire

        read, dates, asked, failures = Read(), list[datetime](), dict[str, str](), list[BrokerError]()
        wallets = [Wallet.named(name) for name in self.settings["wallets"]]
        async with Wire(self.http, self.settings.get("base_url") or "") as wire:
            exchange, venue = await self._exchange(wire, wallets)
            for wallet in wallets:
                try:
                    found = await self._persist(wire, partial(self._wallet, exchange, venue, wire, wallet, asked, dates))
                except BrokerError as error:
                    failures.append(error)
                    read.troubles.append(f"{wallet.name}: {error}")
                    continue
                for name in ("positions", "cash", "notes", "troubles"):
                    getattr(read, name).extend(getattr(found, name))
        if len(failures) == len(wallets):
            raise failures[0]
        as_of = min(dates)
        if ask.as_of is not None and as_of - ask.as_of > LIVE_FOR:
            raise NotReadyError(
                f"{self.settings['exchange']} tells only what is held now ({as_of:%Y-%m-%d %H:%M} UTC), not what was held at"
                f" {ask.as_of:%Y-%m-%d %H:%M %Z}: run within {LIVE_FOR.total_seconds() / 3600:g} hours of that time"
            )
        held = together(read.positions)
        more: dict[str, Any] = {
            "as_of": as_of.astimezone(UTC),
            "basis": "trade",
            "accounts": (self._account,),
            "coverage": _coverage(wallets, venue),
            "cash": tuple(cash_together(read.cash)),
            "notes": tuple(dict.fromkeys(read.notes)),
        }
        if read.troubles:
            return Feed.partial(held, reason="; ".join(dict.fromkeys(read.troubles)), **more)
        return Feed.complete(held, **more)

    async def _wallet(
        self, exchange: Any, venue: Venue, wire: Wire, wallet: Wallet, asked: dict[str, str], dates: list[datetime]
    ) -> Read:
        """What one wallet holds."""
        from recon_core_ccxt import proof, reading

        place = f"{exchange.id} {wallet.name}"
        wire.begin()
        exchange.coin_names.clear()
        params = venue.params(wallet)
        if wallet.holds_coins:
            unified = await exchange.fetch_balance(params)
            kept: list[Any] = []
        else:
            unified = await self._pages(exchange, venue, wire, params)
            kept = [entry.get("info") for entry in unified]
        _refused(wire)
        if not wire.answers:
            raise MalformedError(f"{place}: ccxt asked the exchange nothing; nothing was compared")
        last = wire.answers[-1]
        if last.date is None:
            raise MalformedError(f"{place}: the answer has no Date header, so what time it is of is not known (a proxy?)")
        earlier = asked.setdefault(last.question, wallet.name)
        if earlier != wallet.name:
            raise RequestError(f"{place}: {exchange.id} is asked the same as for {earlier}: leave one of them out of `wallets`")
        documents = [answer.document for answer in wire.answers]
        if wallet.holds_coins:
            read = reading.balances(unified, documents, exchange.coin_names, venue.held, place, self._account)
        else:
            proof.no_row_lost(documents[-1:] if venue.cursor is None else documents, kept, place)
            read = reading.contracts(unified, exchange.markets or {}, place, self._account)
        read.troubles += [f"{place}: {each}" for each in (proof.unread(wire.answers), proof.narrowed(wire.answers, params)) if each]
        if not read.positions:
            read.troubles += await self._nothing(exchange, venue, wallet, last.document, read.cash)
            _refused(wire)
        dates.append(last.date)
        return read

    async def _nothing(self, exchange: Any, venue: Venue, wallet: Wallet, document: Any, cash: list[Cash]) -> list[str]:
        """Why it is not proven that nothing is held where the document lists none; empty where another figure says so, too."""
        from recon_core_ccxt.proof import is_empty

        place = f"{exchange.id} {wallet.name}"
        if not cash and not is_empty(document):
            raise MalformedError(f"{place}: ccxt found nothing in an answer that does not say that there is nothing")
        told = venue.envelope is not None and venue.envelope(document)
        figure = await venue.elsewhere(exchange, wallet, document, cash) if told else None
        if figure is not None and figure[1] != 0:
            raise MalformedError(f"{place}: lists nothing, and {figure[0]} tells of {figure[1]:f} more; nothing was compared")
        return [] if figure else [f"{place}: nothing is held, it seems, but nothing else that {exchange.id} says proves it"]

    async def _pages(self, exchange: Any, venue: Venue, wire: Wire, params: dict[str, Any]) -> list[dict[str, Any]]:
        """The contracts of all pages."""
        from recon_core_ccxt.proof import next_page

        found, seen = list[dict[str, Any]](), set[str]()
        while True:
            found += await exchange.fetch_positions(None, params)
            further = next_page(wire.answers[-1].document) if venue.cursor and wire.answers else None
            if further is None or venue.cursor is None or further[1] in seen or len(seen) == MOST_PAGES:
                return found
            seen.add(further[1])
            params = params | {venue.cursor[1]: further[1]}

    async def _exchange(self, wire: Wire, wallets: list[Wallet]) -> tuple[Any, Venue]:
        """The exchange of ccxt, its markets loaded."""
        import asyncio

        from recon_core_ccxt.venues import UNKNOWN, VENUES, exchange_of

        name = self.settings["exchange"]
        venue = VENUES.get(name, UNKNOWN)
        given = {theirs: self.secret(ours) for ours, theirs in CREDENTIALS.items() if self.has_secret(ours)}
        await asyncio.to_thread(__import__, "ccxt.async_support")  # takes a second, in which the deadline goes on
        exchange = exchange_of(name, given, {**venue.options, **(self.settings.get("exchange_options") or {})}, wire)
        if venue.catalogue is not None:
            wanted = sorted({part for wallet in wallets for part in venue.catalogue(wallet)})
            exchange.options["fetchMarkets"] = {**_options(exchange.options.get("fetchMarkets")), "types": wanted}
        if not venue.currencies:
            exchange.has["fetchCurrencies"] = False
        await self._persist(wire, lambda: exchange.load_markets_helper(True))
        if not exchange.markets:
            raise MalformedError(f"{name}: lists no market at all, so no answer of it can be believed")
        for answer in wire.answers:
            if venue.envelope is not None and not venue.envelope(answer.document):
                raise MalformedError(f"{name}: {answer.path}: not the list that is due; without it names may be others'")
        for error in wire.refused:
            if isinstance(error, MalformedError | TransientError | ThrottledError):
                raise error
        return exchange, venue

    async def _persist(self, wire: Wire, call: Callable[[], Awaitable[Taken]]) -> Taken:
        """The call, made again where that may help: signed anew each time, while the deadline allows."""
        import asyncio

        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await _spoken(call, self.settings["exchange"])
            except TransientError as error:
                if attempt == ATTEMPTS:
                    raise
                self._last = str(error)
                wire.begin()
                await asyncio.sleep(self.http.backoff_seconds * 2 ** (attempt - 1))
        raise AssertionError("the last attempt returns or raises")

    async def _within_deadline(self, call: Callable[[], Awaitable[Taken]]) -> Taken:
        import asyncio

        seconds = self.http.deadline_seconds
        try:
            async with asyncio.timeout(seconds):
                return await call()
        except TimeoutError:
            said = f"; the last error: {self._last}" if self._last else ""
            raise TransientError(
                f"{self.settings['exchange']}: no whole answer within the feed's deadline of {seconds:g} s{said}"
            ) from None

    async def _evidence(self, ask: Ask) -> Evidence:
        from recon_core_ccxt.fills import fill
        from recon_core_ccxt.venues import Wallet
        from recon_core_ccxt.wire import Wire

        name, since = self.settings["exchange"], ask.since
        async with Wire(self.http, self.settings.get("base_url") or "") as wire:
            exchange, venue = await self._exchange(wire, [Wallet.named(each) for each in self.settings["wallets"]])
            wire.begin()
            if not exchange.has.get("fetchMyTrades"):
                return Evidence(since=since, complete=False, reason=f"ccxt cannot ask {name} for fills")
            try:
                moment = None if since is None else int(since.timestamp() * 1000)
                unified = await _spoken(lambda: exchange.fetch_my_trades(None, moment), name)
                _refused(wire)
            except RequestError as error:
                if wire.answers or wire.refused:
                    raise
                return Evidence(since=since, complete=False, reason=f"{name} tells fills only market by market: {error}")
            place = f"{name} fills"
            if len(wire.answers) == 1:
                self.digests[place] = wire.answers[0].sha256
            fills = [
                fill(entry, exchange.markets, f"{place}: row {order}", self._account) for order, entry in enumerate(unified, 1)
            ]
            count = venue.fills_count(wire.answers[-1].document) if wire.answers else None
            if count is not None and str(count) == str(len(fills)):
                return Evidence(fills=fills, since=since)
            reason = f"{name}: one page of {len(fills)} fills was read, and nothing says that it is all"
            return Evidence(fills=fills, since=since, complete=False, reason=reason)

    @property
    def _account(self) -> str:
        return str(self.settings.get("account") or self.settings["exchange"])


async def _spoken(call: Callable[[], Awaitable[Taken]], name: str) -> Taken:
    """What the call returns; errors of ccxt, and of its code at a document that it does not expect, as ours."""
    from recon_core_ccxt.wire import kind_of

    try:
        return await call()
    except BrokerError:
        raise
    except Exception as error:  # its text may repeat addresses with their signatures
        raise kind_of(error)(f"{name}: ccxt gave up with {type(error).__name__}; nothing was compared") from None


def _refused(wire: Wire) -> None:
    """Raises what went wrong and was swallowed."""
    if wire.refused:
        raise wire.refused[0]


def _options(found: Any) -> dict[str, Any]:
    return dict(found) if isinstance(found, dict) else {}


def _coverage(wallets: list[Wallet], venue: Venue) -> tuple[str, ...]:
    """The classes that these wallets tell of."""
    found = list[str]()
    for wallet in wallets:
        if wallet.holds_coins:
            found.append("crypto")
        elif wallet.kind == "positions":
            found += Ccxt.coverage[1:]
        elif wallet.kind == "option" or venue.apart:
            found.append(f"crypto_{wallet.kind}")
        else:
            found += ["crypto_swap", "crypto_future"]
    return tuple(dict.fromkeys(found))


@hookimpl
def recon_register_brokers() -> list[type[Broker]]:
    """The adapter of this distribution."""
    return [Ccxt]
