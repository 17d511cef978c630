"""Tradier: positions and history of accounts over the Brokerage API v1 (docs.tradier.com, read 2026-11)."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Decimal, DecimalException, localcontext
from itertools import chain
from typing import TYPE_CHECKING, Any

from recon_core import (
    Ask,
    AuthError,
    Broker,
    BrokerError,
    Cash,
    ControlTotal,
    Evidence,
    Feed,
    Fill,
    MalformedError,
    Movement,
    NotReadyError,
    Position,
    Record,
    hookimpl,
)

from ._accounts import each_account
from ._tradier_history import NOTHING, events, happened, kind_of

if TYPE_CHECKING:
    from datetime import datetime

    from recon_core.http import Answer

ACCOUNT = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)
PRICE_STEP = Decimal("1e-12")
LIVE_FOR = timedelta(hours=12)  # from the close past midnight, but never as far as the next session's fills
PAGE_ROWS = 100


class Tradier(Broker):
    """Positions that the accounts of one user hold at Tradier now.

    Credentials   an access token (``token``) that does not expire; sandbox tokens have a host of their own
    Proof         one list without pages, read whole, of each account of the token; beside it the account's balances: a side
                  (long or short, stock or option) that has a value there and no row here is missing. More cannot be compared,
                  for positions have no prices. An account that cannot be read makes the feed PARTIAL,
                  and what is absent in the others is absent all the same
    As of         the Date header of the answer. Yesterday's holdings cannot be asked for: run at or after the close
    Basis         trade date: a fill shows at once, a split perhaps the next day
    Evidence      the account's history, which is made overnight: what happened today is not in it. It has a day and no time, and
                  no ids, so that an event is known by what it says
    Quirks        an account without positions is the text "null", one position is an object, several are an array; cost_basis is
                  of the whole position, so that the average price is cost_basis / (quantity x multiplier), rounded to 12 decimals
                  half to even; there is no currency: Tradier's accounts are in USD; options are OCC symbols without blanks, of
                  100 shares unless a digit in the root says that the contract was adjusted; class shares are written BRK/B
    """

    name = "tradier"
    options = {
        "base_url": {
            "type": "string",
            "pattern": "^https?://",
            "default": "https://api.tradier.com/v1",
            "description": "Where the API is; the sandbox is at https://sandbox.tradier.com/v1.",
        },
        "account": {
            "type": "string",
            "pattern": "^[A-Za-z0-9_-]{1,40}$",
            "description": "Number of the one account to ask for; without it, those that recon.yaml names, else all of the token.",
        },
    }
    secrets = ("token",)
    capabilities = ("positions", "cash", "fills", "movements", "control_totals")
    live = True

    async def positions(self, ask: Ask) -> Feed:
        """All positions of each account. PARTIAL where an account cannot be read, or lacks what its balances state."""
        numbers, notes = await self._accounts(ask)
        read, unread = await each_account(numbers, lambda number: self._account(number, ask))
        more: dict[str, Any] = {
            "as_of": min(account.as_of for account in read),
            "basis": "trade",
            "accounts": tuple(account.number for account in read if not account.trouble),
            "control_totals": tuple(total for account in read for total in account.totals),
            "cash": tuple(cash for account in read for cash in account.cash),
            "notes": (*notes, *(note for account in read for note in account.notes)),
        }
        positions = [position for account in read for position in account.positions]
        unread |= {account.number: account.trouble for account in read if account.trouble}
        if unread:
            return Feed.partial(positions, reason="; ".join(unread.values()), unread=tuple(unread), **more)
        return Feed.complete(positions, **more)

    async def evidence(self, ask: Ask) -> Evidence:
        """The history of each account since the day of ``ask.since``; never complete, for today is not in it."""
        numbers, notes = await self._accounts(ask)
        fills: list[Fill] = []
        movements: list[Movement] = []
        reasons = ["Tradier makes its history overnight: what happened since is not in it"]
        for number in numbers:
            try:
                told, trouble = await self._history(number, ask.since)
            except BrokerError as error:
                if len(numbers) == 1:
                    raise
                reasons.append(f"account {number}: {error}")
                continue
            reasons += [trouble] if trouble else []
            traded, moved = happened(told, number)
            fills += traded
            movements += moved
        return Evidence(
            fills=fills,
            movements=movements,
            since=ask.since,
            complete=False,
            reason="; ".join(reasons),
            notes=(*notes, "the history has days without times: a fill is given at 00:00 UTC of its day"),
        )

    async def _accounts(self, ask: Ask) -> tuple[list[str], list[str]]:
        """The accounts to ask, and remarks on those that are not asked or not active."""
        if self.settings.get("account"):
            return [self.settings["account"]], []
        answer = await self._get("/user/profile")
        profile = Record(answer.body, "GET /user/profile").record("profile")
        rows = profile.value.get("account")
        if rows in NOTHING or rows == []:
            raise MalformedError("GET /user/profile: names no account; does the token belong to a brokerage account?")
        listed = Record.each(rows if isinstance(rows, list) else [rows], f"{profile.place}: account")
        theirs = [_account_number(record) for record in listed]
        wanted = list(dict.fromkeys(ask.accounts or theirs))
        for number in wanted:
            if not ACCOUNT.fullmatch(number):
                raise MalformedError(f"account {number!r} is no account number of Tradier (accounts, expect_accounts)")
        notes = [f"account {number}: not asked, for recon.yaml names others" for number in theirs if number not in wanted]
        notes += [
            f"account {number}: status {record.value['status']}"
            for number, record in zip(theirs, listed, strict=True)
            if number in wanted and isinstance(record.value.get("status"), str) and record.value["status"] != "active"
        ]
        return wanted, notes

    async def _account(self, number: str, ask: Ask) -> _Account:
        held = await self._get(f"/accounts/{number}/positions")
        stated = await self._get(f"/accounts/{number}/balances")
        if held.date is None:
            raise MalformedError(f"GET /accounts/{number}/positions: the answer has no Date header, so its time is not known")
        if ask.as_of is not None and held.date - ask.as_of > LIVE_FOR:
            raise NotReadyError(
                f"Tradier tells only what is held now ({held.date:%Y-%m-%d %H:%M} UTC), not what was held at"
                f" {ask.as_of:%Y-%m-%d %H:%M %Z}: run within {LIVE_FOR.total_seconds() / 3600:g} hours of that time"
            )
        return _Account(number, held.date, held.body, stated.body)

    async def _history(self, number: str, since: datetime | None) -> tuple[list[Record], str]:
        """The events of an account, and why some may be missing."""
        path = f"/accounts/{number}/history"
        params = {"page": "1", "limit": str(PAGE_ROWS)} | ({"start": f"{since:%Y-%m-%d}"} if since else {})
        asked = 1

        def following(answer: Answer) -> dict[str, str] | None:
            nonlocal asked
            if len(events(answer.body, f"GET {path}: page {asked}")) < PAGE_ROWS:
                return None
            asked += 1
            return {"page": str(asked)}

        pages = await self.http.get_pages(
            self.settings["base_url"].rstrip("/") + path, following, headers=self._headers(), params=params
        )
        rows = (events(answer.body, f"GET {path}: page {number}") for number, answer in enumerate(pages.answers, 1))
        return list(chain.from_iterable(rows)), pages.trouble

    async def _get(self, path: str) -> Answer:
        try:
            return await self.http.get_json(self.settings["base_url"].rstrip("/") + path, headers=self._headers())
        except AuthError as error:
            raise AuthError(
                f"{error}; check the secret token, and that base_url is its host: sandbox tokens have another"
            ) from error

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret('token')}", "Accept": "application/json"}  # it sends XML unasked


class _Account:
    """What one account holds, and what its balances say of that."""

    def __init__(self, number: str, as_of: datetime, held: Any, stated: Any) -> None:
        self.number = number
        self.as_of = as_of
        self.positions = _positions(held, number)
        place = f"GET /accounts/{number}/balances"
        balances = Record(stated, place).record("balances")
        if balances.has("account_number") and balances.identifier("account_number") != number:
            raise MalformedError(f"{place}: answers for account {balances.identifier('account_number')}")
        money = balances.number_or_none("total_cash")
        self.cash = () if money is None else (Cash(currency="USD", amount=money, account=number),)
        unnamed = [position.symbol for position in self.positions if position.asset_class is None]
        adjusted = [position.symbol for position in self.positions if position.asset_class and position.multiplier is None]
        self.notes = [f"account {number}: {symbol} is neither a stock's nor an option's symbol" for symbol in unnamed]
        self.notes += [
            f"account {number}: {symbol}: not a standard option (adjusted?), so what a contract delivers is not known"
            for symbol in adjusted
        ]
        missing = self._missing(balances)
        self.trouble = (
            f"account {number}: GET /accounts/{number}/positions lists {', '.join(missing)}: run again, and ask Tradier if it stays"
            if missing
            else ""
        )
        flat = not self.positions and not missing
        source = f"GET /accounts/{number}/balances"
        self.totals = (ControlTotal("market_value", Decimal(0), account=number, source=source),) if flat else ()

    def _missing(self, balances: Record) -> list[str]:
        """The sides that have a value and no row. A position whose symbol tells no class may be of either kind."""
        held = [(position.asset_class, position.quantity > 0) for position in self.positions if position.quantity]
        found = []
        for long, name in ((True, "long"), (False, "short")):
            value, classes = balances.number(f"{name}_market_value"), [asset_class for asset_class, side in held if side is long]
            if value and not classes:
                found.append(f"nothing {name}, and its balances state {name}_market_value {value}")
                continue
            for asset_class, kind in (("us_equity", "stock"), ("us_option", "option")):
                worth = balances.number_or_none(f"{kind}_{name}_value")
                if worth and asset_class not in classes and None not in classes:
                    found.append(f"no {name} {kind}, and its balances state {kind}_{name}_value {worth}")
        return found


def _positions(body: Any, account: str) -> list[Position]:
    """The positions of an answer, in its order. Raises MalformedError that names row and field."""
    place = f"GET /accounts/{account}/positions"
    answer = Record(body, place)
    if "positions" not in answer.value:
        raise answer.wrong("positions", 'an object, null or "null"')
    if answer.value["positions"] in NOTHING:
        return []
    section = answer.record("positions")
    if "position" not in section.value:
        raise section.wrong("position", "an object or an array")
    rows = section.value["position"]
    positions: list[Position] = []
    first: dict[str, int] = {}
    for number, record in enumerate(Record.each(rows if isinstance(rows, list) else [rows], place), 1):
        position = _position(record, account)
        if first.setdefault(position.symbol, number) != number:
            raise MalformedError(
                f"{record.place}: {position.symbol} stands in row {first[position.symbol]} too; which one is held is not known"
            )
        positions.append(position)
    return positions


def _position(record: Record, account: str) -> Position:
    symbol = record.text("symbol")
    record.place += f" ({symbol})"
    quantity = record.number("quantity")
    asset_class, multiplier = kind_of(symbol)
    return Position(
        account=account,
        symbol=symbol,
        asset_class=asset_class,
        currency="USD",
        quantity=quantity,
        avg_price=_average(record, quantity, multiplier),
        multiplier=multiplier,
        opened_at=record.moment("date_acquired") if record.text_or_none("date_acquired") not in NOTHING else None,
    )


def _average(record: Record, quantity: Decimal, multiplier: Decimal | None) -> Decimal | None:
    """The average price of one unit, to 12 decimals half to even; None where the cost, or what a unit is, is not known."""
    cost = record.number_or_none("cost_basis")
    if cost is None or not quantity or multiplier is None:
        return None
    try:
        with localcontext() as context:
            context.prec = 200
            return (cost / (quantity * multiplier)).quantize(PRICE_STEP, ROUND_HALF_EVEN)
    except DecimalException:
        raise record.wrong("cost_basis", "a cost that gives a price") from None


def _account_number(record: Record) -> str:
    number = record.identifier("account_number")
    if not ACCOUNT.fullmatch(number):
        raise record.wrong("account_number", "an account number")
    return number


@hookimpl
def recon_register_brokers() -> list[type[Broker]]:
    """The adapter of this file."""
    return [Tradier]
