"""OANDA: positions and transactions of accounts over the v20 REST API (developer.oanda.com, read 2026-11)."""

from __future__ import annotations

import re
from datetime import UTC, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from recon_core import (
    Ask,
    AuthError,
    Broker,
    BrokerError,
    Cash,
    ControlTotal,
    Evidence,
    Feed,
    MalformedError,
    NotReadyError,
    Position,
    Record,
    hookimpl,
)

from ._accounts import each_account
from ._oanda_transactions import INSTRUMENT, Transactions

if TYPE_CHECKING:
    from datetime import datetime

    from recon_core.http import Answer

ACCOUNT = re.compile(r"[A-Za-z0-9-]{1,60}", re.ASCII)
HOSTS = ("*.oanda.com",)
CLASSES = {"CURRENCY": "forex"}
LIVE_FOR = timedelta(hours=12)  # from the close past midnight, but never as far as the next session's fills
PAGE_ROWS = "1000"


class Oanda(Broker):
    """Positions that the v20 accounts of one token hold at OANDA now.

    Credentials   a personal access token (``token``) that does not expire; practice tokens have a host of their own
    Proof         one list without pages, read whole, of each account of the token, and the number of open positions that the
                  account's summary states. An account that cannot be read makes the feed PARTIAL, and what is absent in the others
                  is absent all the same
    As of         the Date header of the answer; lastTransactionID, which says up to which transaction, is in the notes. Yesterday's
                  holdings cannot be asked for: run at or after the close
    Basis         trade date: a fill shows at once
    Evidence      the account's transactions: an ORDER_FILL is a fill, and the profit, financing and commission that it books are
                  cash of their own; a margin closeout is a liquidation; orders move nothing and are counted in the notes
    Quirks        units are strings; those of the short side are negative already; an instrument with both sides open (hedging) has
                  a leg LONG and a leg SHORT, else one NET; averagePrice is missing where units are 0; prices are in the
                  instrument's quote currency (EUR_USD: USD), money is in the account's; there is no market price
    """

    name = "oanda"
    options = {
        "base_url": {
            "type": "string",
            "pattern": "^https?://",
            "default": "https://api-fxtrade.oanda.com/v3",
            "description": "Where the API is; practice accounts are at https://api-fxpractice.oanda.com/v3.",
        },
        "account": {
            "type": "string",
            "pattern": "^[A-Za-z0-9-]{1,60}$",
            "description": "Id of the one account to ask for; without it, those that recon.yaml names, else all of the token.",
        },
    }
    secrets = ("token",)
    capabilities = ("positions", "cash", "fills", "movements", "control_totals")
    live = True

    async def positions(self, ask: Ask) -> Feed:
        """All open positions of each account. PARTIAL where an account cannot be read."""
        names, notes = await self._accounts(ask)
        read, unread = await each_account(names, lambda name: self._account(name, ask))
        positions = [position for account in read for position in account.positions]
        more: dict[str, Any] = {
            "as_of": min(account.as_of for account in read),
            "basis": "trade",
            "accounts": tuple(account.name for account in read),
            "control_totals": tuple(account.total for account in read),
            "cash": tuple(account.cash for account in read),
            "notes": (*notes, *(note for account in read for note in account.notes)),
        }
        if unread:
            return Feed.partial(positions, reason="; ".join(unread.values()), unread=tuple(unread), **more)
        return Feed.complete(positions, **more)

    async def evidence(self, ask: Ask) -> Evidence:
        """The transactions of each account since ``ask.since``, or since it was opened."""
        names, notes = await self._accounts(ask)
        found = Transactions()
        reasons: list[str] = []
        for name in names:
            try:
                trouble = await self._transactions(name, ask.since, found)
                reasons += [f"account {name}: {trouble}"] if trouble else []
            except BrokerError as error:
                if len(names) == 1:
                    raise
                reasons.append(f"account {name}: {error}")
        return Evidence(
            fills=found.fills,
            movements=found.movements,
            since=ask.since,
            complete=not reasons,
            reason="; ".join(reasons),
            notes=(*notes, *found.notes()),
        )

    async def _accounts(self, ask: Ask) -> tuple[list[str], list[str]]:
        """The accounts to ask, and remarks on those that are not asked."""
        if self.settings.get("account"):
            return [self.settings["account"]], []
        answer = await self._get("/accounts")
        theirs = [record.text("id") for record in Record(answer.body, "GET /accounts").records("accounts")]
        if not theirs:
            raise MalformedError("GET /accounts: names no account; is base_url the host of this token?")
        wanted = list(dict.fromkeys(ask.accounts or theirs))
        for name in wanted:
            if not ACCOUNT.fullmatch(name):
                raise MalformedError(f"GET /accounts: {name!r} is no account id")
        return wanted, [f"account {name}: not asked, for recon.yaml names others" for name in theirs if name not in wanted]

    async def _account(self, name: str, ask: Ask) -> _Account:
        held = await self._get(f"/accounts/{name}/openPositions")
        stated = await self._get(f"/accounts/{name}/summary")
        if held.date is None:
            raise MalformedError(f"GET /accounts/{name}/openPositions: the answer has no Date header, so its time is not known")
        if ask.as_of is not None and held.date - ask.as_of > LIVE_FOR:
            raise NotReadyError(
                f"OANDA tells only what is held now ({held.date:%Y-%m-%d %H:%M} UTC), not what was held at"
                f" {ask.as_of:%Y-%m-%d %H:%M %Z}: run within {LIVE_FOR.total_seconds() / 3600:g} hours of that time"
            )
        rows = Record(held.body, f"GET /accounts/{name}/openPositions").records("positions")
        notes: list[str] = []
        classes: dict[str, str] = {}
        if rows:
            try:
                classes = await self._classes(name)
            except BrokerError as error:  # what is held stands without its class
                notes.append(f"account {name}: asset classes are not known: {error}")
        return _Account(name, held.date, held.body, stated.body, classes, notes)

    async def _classes(self, name: str) -> dict[str, str]:
        """The asset class of each instrument that the account may trade."""
        answer = await self._get(f"/accounts/{name}/instruments")
        listed = Record(answer.body, f"GET /accounts/{name}/instruments").records("instruments")
        types = {record.text("name"): record.text("type") for record in listed}
        return {instrument: CLASSES.get(kind, kind.lower()) for instrument, kind in types.items()}

    async def _transactions(self, name: str, since: datetime | None, found: Transactions) -> str:
        """Add an account's transactions to ``found``; why some may be missing."""
        path = f"/accounts/{name}/transactions"
        summary = Record((await self._get(f"/accounts/{name}/summary")).body, f"GET /accounts/{name}/summary").record("account")
        currency = summary.text("currency")
        hedging = summary.value.get("hedgingEnabled") is True
        start = {"from": f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"} if since else {}
        index = Record((await self._get(path, {**start, "pageSize": PAGE_ROWS})).body, f"GET {path}")
        addresses = index.value.get("pages")
        if not isinstance(addresses, list) or not all(isinstance(address, str) for address in addresses):
            raise index.wrong("pages", "an array of addresses")
        seen: set[str] = set()
        for number, address in enumerate(addresses, 1):
            url, _, query = self.http.handed(address, hosts=HOSTS, like=self.settings["base_url"]).partition("?")
            try:
                answer = await self.http.get_json(url, headers=self._headers(), params=dict(parse_qsl(query)))
            except AuthError:
                raise
            except BrokerError as error:
                return f"page {number} of {len(addresses)} of its transactions could not be had: {error}"
            place = f"GET {path}: page {number}"
            self.digests[place] = answer.sha256  # its address is another
            for record in Record(answer.body, place).records("transactions"):
                identity = record.identifier("id")
                if identity not in seen:
                    found.add(record, name, currency, hedging=hedging)
                seen.add(identity)
        count = index.number("count")
        return "" if count == len(seen) else f"GET {path} states {count} transactions, its pages have {len(seen)}"

    async def _get(self, path: str, params: dict[str, str] | None = None) -> Answer:
        try:
            url = self.settings["base_url"].rstrip("/") + path
            return await self.http.get_json(url, headers=self._headers(), params=params)
        except AuthError as error:
            raise AuthError(
                f"{error}; check the secret token, and that base_url is its host: practice tokens have another"
            ) from error

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret('token')}", "Accept-Datetime-Format": "RFC3339"}


class _Account:
    """What one account holds, and what its summary says of that."""

    def __init__(self, name: str, as_of: datetime, held: Any, stated: Any, classes: dict[str, str], notes: list[str]) -> None:
        self.name = name
        self.as_of = as_of
        answer = Record(held, f"GET /accounts/{name}/openPositions")
        rows = answer.records("positions")
        self.positions = [position for record in rows for position in _sides(record, name, classes)]
        summary = Record(stated, f"GET /accounts/{name}/summary").record("account")
        if summary.has("id") and summary.text("id") != name:
            raise summary.wrong("id", f"account {name}")
        first: dict[str, int] = {}
        for number, record in enumerate(rows, 1):
            symbol = record.text("instrument")
            if first.setdefault(symbol, number) != number:
                raise MalformedError(f"{record.place}: {symbol} stands in row {first[symbol]} too; which one is held is not known")
        # It counts instruments, whatever their sides; rows of nothing open are none of them.
        opened = {position.symbol for position in self.positions if position.quantity}
        stated_rows = summary.number("openPositionCount") + len(self.positions) - len(opened)
        self.total = ControlTotal("rows", stated_rows, account=name, source=f"openPositionCount of GET /accounts/{name}/summary")
        self.cash = Cash(currency=summary.text("currency"), amount=summary.number("balance"), account=name)
        last = answer.identifier("lastTransactionID")
        self.notes = [f"account {name}: up to transaction {last}", *notes]
        after = summary.value.get("lastTransactionID", last)
        if after != last:
            self.notes.append(f"account {name}: its summary is of transaction {after}: it traded between the two questions")
        self.notes += [
            f"account {name}: {symbol}: the currency of its price is not known"
            for symbol in dict.fromkeys(position.symbol for position in self.positions if position.currency is None)
        ]


def _sides(record: Record, account: str, classes: dict[str, str]) -> list[Position]:
    """The one or two positions in an instrument: both legs where both are open."""
    symbol = record.text("instrument")
    record.place += f" ({symbol})"
    quoted = INSTRUMENT.fullmatch(symbol)
    long, short = record.record("long"), record.record("short")
    bought, sold = long.number("units"), short.number("units")
    if bought < 0:
        raise long.wrong("units", "0 or more")
    if sold > 0:
        raise short.wrong("units", "0 or less")
    both = bool(bought and sold)
    sides = [("LONG", long, bought), ("SHORT", short, sold)] if both else [("NET", short if sold else long, bought or sold)]
    return [
        Position(
            account=account,
            symbol=symbol,
            leg=leg,  # type: ignore[arg-type]  # one of the three
            asset_class=classes.get(symbol),
            currency=quoted[1] if quoted else None,
            quantity=units,
            avg_price=side.number_or_none("averagePrice"),
            multiplier=Decimal(1),
        )
        for leg, side, units in sides
    ]


@hookimpl
def recon_register_brokers() -> list[type[Broker]]:
    """The adapter of this file."""
    return [Oanda]
