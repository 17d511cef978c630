"""Alpaca: positions and account activities of one account over the Trading API v2, corporate actions over the Market Data API.

Read from docs.alpaca.markets, 2026-11.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from recon_core import (
    Ask,
    AuthError,
    Broker,
    BrokerError,
    Cash,
    ControlTotal,
    CorporateAction,
    Evidence,
    Feed,
    MalformedError,
    NotReadyError,
    Record,
    hookimpl,
)

from ._alpaca_activities import PLACE, Activities, Holder, read_activities
from ._alpaca_corporate_actions import PLACE as CORPORATE_ACTIONS
from ._alpaca_corporate_actions import next_page, read_corporate_actions
from ._alpaca_positions import Account, read_positions, rows_of
from ._alpaca_symbols import issue_of

if TYPE_CHECKING:
    from recon_core.http import Answer, Pages

CENT = Decimal("0.01")
LIVE_FOR = timedelta(hours=12)  # from the close past midnight, but never as far as the next session's fills
MARGIN = timedelta(days=5)  # Alpaca filters by when a row was booked: late rows of long weekends are between
NO_EARLIER = date(2000, 1, 1)  # than Alpaca is
PAGE = 100  # the most that a page of activities holds
SYMBOLS = 200  # that fit into one address

Answered = TypeVar("Answered")


class Alpaca(Broker):
    """Positions that one account holds at Alpaca now, and what happened in it.

    Credentials   an API key pair (``key_id``, ``secret_key``); paper and live accounts have separate pairs and hosts
    Proof         one array without pages, read whole; its market value against long_market_value + short_market_value.
                  Activities are read page by page, until one is not full
    As of         the Date header of the answer. Yesterday's holdings cannot be asked for: run at or after the close
    Basis         trade date: a fill shows at once
    Quirks        numbers are strings; a short has side "short" whatever the sign of qty; prices of halted symbols are null;
                  positions name neither account nor currency (``/v2/account`` does: an account in a local currency has all
                  values in it, the block ``usd`` is not read); symbols may end in a blank; options have one price a share, and
                  100 shares a contract unless a digit in the root says that it was adjusted; a coin is BTCUSD in positions
                  and BTC/USD in activities, both are read as BTCUSD. Activities are of all types, for the names grow monthly:
                  one that is not known is unclassified, with Alpaca's words. Status "correct" is as valid as "executed";
                  "canceled" counts for nothing, and takes back the row that has its id or is alike in its group: where that is
                  not certain both are kept, and the evidence is not complete. The qty of a payment is what it was paid for.
                  Orders are not asked for: a fill holds all that explains a position, and a list of orders by status or
                  time misses those that were filled later. Paper accounts do not see splits and dividends
    """

    name = "alpaca"
    options = {
        "base_url": {
            "type": "string",
            "pattern": "^https?://",
            "default": "https://api.alpaca.markets",
            "description": "Host of the Trading API; a paper account is at https://paper-api.alpaca.markets.",
        },
        "data_url": {
            "type": "string",
            "pattern": "^https?://",
            "default": "https://data.alpaca.markets",
            "description": "Host of the Market Data API, which tells of corporate actions. It is asked with the same keys.",
        },
        "account": {
            "type": "string",
            "minLength": 1,
            "description": "Name to give the account; without it, the account number that Alpaca states.",
        },
        "value_tolerance_pct": {
            "type": "number",
            "minimum": 0,
            "maximum": 100,
            "default": 1,
            "description": "How far the sum of the positions may be from the market value that the account states, in percent of"
            " its long plus short value. Prices move between the two requests: a percent is more than they do in a second, and"
            " less than a missing position of any weight.",
        },
    }
    secrets = ("key_id", "secret_key")
    coverage = ("us_equity", "us_option", "crypto")
    capabilities = ("positions", "cash", "fills", "movements", "corporate_actions", "control_totals")
    live = True

    async def positions(self, ask: Ask) -> Feed:
        """All positions, priced in the account's currency. PARTIAL where the list is empty and the account states a value."""
        held, stated = await _together(self._get("/v2/positions"), self._get("/v2/account"))
        if held.date is None:
            raise MalformedError("GET /v2/positions: the answer has no Date header, so what time it is of is not known (a proxy?)")
        if ask.as_of is not None and held.date - ask.as_of > LIVE_FOR:
            raise NotReadyError(
                f"Alpaca tells only what is held now ({held.date:%Y-%m-%d %H:%M} UTC), not what was held at"
                f" {ask.as_of:%Y-%m-%d %H:%M %Z}: run within {LIVE_FOR.total_seconds() / 3600:g} hours of that time"
            )
        account = Account(stated.body)
        name = self.settings.get("account") or account.number
        positions = read_positions(held.body, name, account.currency)
        gross = account.long_value - account.short_value
        tolerance = max(gross * Decimal(str(self.settings["value_tolerance_pct"])) / 100, CENT * len(positions))
        notes = account.notes()
        unvalued = [p.symbol for p in positions if p.quantity and (p.market_price is None or p.multiplier is None)]
        totals: tuple[ControlTotal, ...] = ()
        if unvalued:
            notes.append(f"market value not compared with the account's: no price or multiplier for {_some(unvalued)}")
        else:
            net = account.long_value + account.short_value
            totals = (ControlTotal("market_value", net, account=name, tolerance=tolerance, source="GET /v2/account"),)
        notes += [
            f"{position.symbol}: not a standard option (adjusted?), so what a contract delivers is not known"
            for position in positions
            if position.asset_class == "us_option" and position.multiplier is None
        ]
        more: dict[str, Any] = {"as_of": held.date, "basis": "trade", "sha256": held.sha256, "notes": tuple(notes)}
        if account.cash is not None:
            more["cash"] = (Cash(currency=account.currency, amount=account.cash, account=name),)
        if gross and not any(position.quantity for position in positions):
            # Long and short values may cancel to a total of 0, which would prove an account flat that is not.
            reason = (
                f"GET /v2/positions lists nothing, but GET /v2/account states {account.long_value} long and"
                f" {account.short_value} short: run again, and ask Alpaca if it stays"
            )
            return Feed.partial(positions, reason=reason, **more)
        return Feed.complete(positions, accounts=(name,), control_totals=totals, coverage=self.coverage, **more)

    async def evidence(self, ask: Ask) -> Evidence:
        """Activities since ``ask.since`` (None: all there are), and corporate actions of what is held or was moved.

        Left out is only what is known to have happened and been booked before: a row of an earlier day that was booked later
        is kept, and so is one of the days before (MARGIN) that does not say when it was booked.
        """
        params = {"direction": "asc", "page_size": str(PAGE)}  # what is booked meanwhile comes at the end, and moves no page
        if ask.since is not None:
            params["after"] = f"{(ask.since - MARGIN).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        pages, stated = await _together(self._pages("/v2/account/activities", params), self._get("/v2/account"))
        account = Account(stated.body)
        # Activities name no currency; whether those of an account in a local one are in it is not documented.
        currency = account.currency if account.currency == "USD" else None
        holder = Holder(self.settings.get("account") or account.number, account.id, currency)
        found = read_activities([answer.body for answer in pages.answers], ask.since, holder)
        troubles = [pages.trouble, *found.troubles]
        actions = await self._corporate_actions(ask, found, troubles)
        reasons = [trouble for trouble in troubles if trouble]
        return Evidence(
            fills=tuple(found.fills),
            movements=tuple(found.movements),
            corporate_actions=tuple(actions),
            since=ask.since,
            complete=not reasons,
            reason="; ".join(reasons[:5]) + (f"; and {len(reasons) - 5} more" if len(reasons) > 5 else ""),
            notes=tuple(found.notes),
        )

    async def _corporate_actions(self, ask: Ask, found: Activities, troubles: list[str]) -> list[CorporateAction]:
        """The actions around the days since ``ask.since``, some of which are not booked yet. What fails is told to ``troubles``."""
        symbols = {issue_of(fill.symbol) for fill in found.fills}
        symbols |= {issue_of(movement.symbol) for movement in found.movements if movement.symbol}
        coins = {fill.symbol for fill in found.fills if fill.asset_class == "crypto"}
        coins |= {movement.symbol for movement in found.movements if movement.symbol and movement.kind == "fee_in_kind"}
        try:
            for record in rows_of((await self._get("/v2/positions")).body):
                (coins if record.value.get("asset_class") == "crypto" else symbols).add(issue_of(record.text("symbol")))
        except BrokerError as error:
            troubles.append(f"corporate actions of what is held are not known: {error}")
        today = _day(self.clock())
        days = [_day(fill.traded_at) for fill in found.fills] + [movement.occurred_on for movement in found.movements]
        start = _day(ask.since) if ask.since else max(min(days, default=today), NO_EARLIER)
        period = {"start": str(start - MARGIN), "end": str(today + MARGIN), "limit": "1000"}
        actions: dict[str, CorporateAction] = {}
        number = 0
        for chosen in _chunks(sorted(symbols - coins)):
            try:
                pages = await self._pages(
                    "/v1/corporate-actions", {"symbols": ",".join(chosen), **period}, host=self.settings["data_url"]
                )
                for answer in pages.answers:
                    place = f"{CORPORATE_ACTIONS}: page {(number := number + 1)}"
                    self.digests[place] = answer.sha256
                    actions |= {f"{action.id} {action.said}": action for action in read_corporate_actions(answer.body, place)}
                troubles.append(pages.trouble)
            except BrokerError as error:
                troubles.append(f"corporate actions are not known: {error}")
        return list(actions.values())

    async def _get(self, path: str) -> Answer:
        return await self._asked(self.http.get_json(self._address(path), headers=self._keys()))

    async def _pages(self, path: str, params: Mapping[str, str], host: str = "") -> Pages:
        following = next_page if host else _after_last_row
        address = self._address(path, host)
        return await self._asked(
            self.http.get_pages(address, lambda answer: following(answer.body), headers=self._keys(), params=params)
        )

    def _address(self, path: str, host: str = "") -> str:
        return (host or self.settings["base_url"]).rstrip("/") + path

    def _keys(self) -> dict[str, str]:
        return {"APCA-API-KEY-ID": self.secret("key_id"), "APCA-API-SECRET-KEY": self.secret("secret_key")}

    async def _asked(self, answer: Awaitable[Answered]) -> Answered:
        try:
            return await answer
        except AuthError as error:
            raise AuthError(
                f"{error}; check the secrets key_id and secret_key, and that base_url is theirs: paper and live keys differ"
            ) from error


def _after_last_row(body: Any) -> dict[str, str] | None:
    """A full page is followed by what comes after its last row."""
    rows = Record.each(body, PLACE)
    return {"page_token": rows[-1].text("id")} if len(rows) >= PAGE else None


async def _together(first: Awaitable[Answered], second: Awaitable[Answer]) -> tuple[Answered, Answer]:
    """Both answers, asked for at the same time. Where both fail, the first tells, whichever was faster."""
    import asyncio

    answers = await asyncio.gather(first, second, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers[0], answers[1]  # type: ignore[return-value]  # neither is an exception


def _chunks(symbols: list[str]) -> list[list[str]]:
    return [symbols[start : start + SYMBOLS] for start in range(0, len(symbols), SYMBOLS)]


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()


def _some(symbols: list[str]) -> str:
    more = f" and {len(symbols) - 5} more" if len(symbols) > 5 else ""
    return ", ".join(symbols[:5]) + more


@hookimpl
def recon_register_brokers() -> list[type[Broker]]:
    """The adapter of this file."""
    return [Alpaca]
