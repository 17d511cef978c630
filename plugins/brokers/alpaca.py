"""Alpaca: positions of one account over the Trading API v2 (docs.alpaca.markets, read 2026-11)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from recon_core import Ask, AuthError, Broker, ControlTotal, Feed, MalformedError, NotReadyError, Position, hookimpl

if TYPE_CHECKING:
    from recon_core.http import Answer

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)", re.ASCII)
STANDARD_OPTION = re.compile(r"[A-Z]{1,6}\d{6}[CP]\d{8}", re.ASCII)  # OCC without blanks; adjusted roots end in a digit
PER_UNIT = {"us_equity": Decimal(1), "crypto": Decimal(1)}
STANDARD_DELIVERABLE = Decimal(100)
CENT = Decimal("0.01")
LIVE_FOR = timedelta(hours=12)  # from the close past midnight, but never as far as the next session's fills
BLOCKS = ("account_blocked", "trading_blocked", "transfers_blocked", "trade_suspended_by_user")


class Alpaca(Broker):
    """Positions that one account holds at Alpaca now.

    Credentials   an API key pair (``key_id``, ``secret_key``); paper and live accounts have separate pairs and hosts
    Proof         one array without pages, read whole; its market value against long_market_value + short_market_value
    As of         the Date header of the answer. Yesterday's holdings cannot be asked for: run at or after the close
    Basis         trade date: a fill shows at once
    Quirks        numbers are strings; a short has side "short" whatever the sign of qty; prices of halted symbols are null;
                  positions name neither account nor currency (``/v2/account`` does); symbols may end in a blank; options have
                  one price a share, and 100 shares a contract unless a digit in the root says that it was adjusted
    """

    name = "alpaca"
    options = {
        "base_url": {
            "type": "string",
            "pattern": "^https?://",
            "default": "https://api.alpaca.markets",
            "description": "Host of the Trading API; a paper account is at https://paper-api.alpaca.markets.",
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

    async def positions(self, ask: Ask) -> Feed:
        """All positions, priced in the account's currency. PARTIAL where the list is empty and the account states a value."""
        held = await self._get("/v2/positions")
        stated = await self._get("/v2/account")
        if held.date is None:
            raise MalformedError("GET /v2/positions: the answer has no Date header, so what time it is of is not known (a proxy?)")
        if ask.as_of is not None and held.date - ask.as_of > LIVE_FOR:
            raise NotReadyError(
                f"Alpaca tells only what is held now ({held.date:%Y-%m-%d %H:%M} UTC), not what was held at"
                f" {ask.as_of:%Y-%m-%d %H:%M %Z}: run within {LIVE_FOR.total_seconds() / 3600:g} hours of that time"
            )
        account = _Account(stated.body)
        name = self.settings.get("account") or account.number
        positions = _read(held.body, name, account.currency)
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
        if gross and not any(position.quantity for position in positions):
            # Long and short values may cancel to a total of 0, which would prove an account flat that is not.
            reason = (
                f"GET /v2/positions lists nothing, but GET /v2/account states {account.long_value} long and"
                f" {account.short_value} short: run again, and ask Alpaca if it stays"
            )
            return Feed.partial(positions, reason=reason, **more)
        return Feed.complete(positions, accounts=(name,), control_totals=totals, coverage=self.coverage, **more)

    async def _get(self, path: str) -> Answer:
        keys = {"APCA-API-KEY-ID": self.secret("key_id"), "APCA-API-SECRET-KEY": self.secret("secret_key")}
        try:
            return await self.http.get_json(self.settings["base_url"].rstrip("/") + path, headers=keys)
        except AuthError as error:
            raise AuthError(
                f"{error}; check the secrets key_id and secret_key, and that base_url is theirs: paper and live keys differ"
            ) from error


class _Account:
    """What /v2/account states; values are in the account's own currency, a short value is negative."""

    def __init__(self, body: Any) -> None:
        place = "GET /v2/account"
        record = _record(body, place)
        self.number = _text(record, "account_number", place)
        self.currency = _text(record, "currency", place)
        self.long_value = _number(record, "long_market_value", place)
        self.short_value = -abs(_number(record, "short_market_value", place))
        self.status = str(record.get("status", "not stated"))
        self.blocks = [name for name in BLOCKS if record.get(name) is True]

    def notes(self) -> list[str]:
        """What a person should know of the account's state; the positions stand regardless."""
        found = [f"account {self.number}: status {self.status}"] if self.status != "ACTIVE" else []
        return found + [f"account {self.number}: {name}" for name in self.blocks]


def _read(body: Any, account: str, currency: str) -> list[Position]:
    """The positions of an answer, in its order. Raises MalformedError that names row and field."""
    place = "GET /v2/positions"
    if not isinstance(body, list):
        said = f" {body['message']!r}" if isinstance(body, dict) and "message" in body else ""
        raise MalformedError(f"{place}: an array of positions is due, got {type(body).__name__}{said}; nothing was compared")
    rows: dict[str, tuple[int, Any]] = {}
    positions = []
    for number, item in enumerate(body, 1):
        where = f"{place}: row {number}"
        record = _record(item, where)
        position = _position(record, where, account, currency)
        first, asset = rows.setdefault(position.symbol, (number, record.get("asset_id")))
        if first != number:
            raise MalformedError(
                f"{where}: {position.symbol} stands in row {first} too (asset_id {asset} there, {record.get('asset_id')} here);"
                " which one is held is not known"
            )
        positions.append(position)
    return positions


def _position(record: Mapping[str, Any], where: str, account: str, currency: str) -> Position:
    raw = _text(record, "symbol", where)
    symbol = raw.strip()
    where = f"{where} ({symbol})"
    side = _text(record, "side", where)
    quantity = _number(record, "qty", where)
    if side not in ("long", "short") or (side == "long" and quantity < 0):
        raise MalformedError(f"{where}: side {side!r} with qty {quantity} says neither long nor short; nothing was compared")
    asset_class = _text(record, "asset_class", where)
    if asset_class == "us_option":
        multiplier = STANDARD_DELIVERABLE if STANDARD_OPTION.fullmatch(symbol) else None
    else:
        multiplier = PER_UNIT.get(asset_class)
    return Position(
        account=account,
        symbol=symbol,
        raw_symbol=raw if raw != symbol else None,
        asset_class=asset_class,
        currency=currency,
        quantity=-abs(quantity) if side == "short" else quantity,
        avg_price=_number(record, "avg_entry_price", where),
        market_price=None if record.get("current_price") is None else _number(record, "current_price", where),
        multiplier=multiplier,
    )


def _some(symbols: list[str]) -> str:
    more = f" and {len(symbols) - 5} more" if len(symbols) > 5 else ""
    return ", ".join(symbols[:5]) + more


def _record(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise MalformedError(f"{where}: an object is due, got {type(value).__name__}; nothing was compared")
    return value


def _text(record: Mapping[str, Any], name: str, where: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise MalformedError(f"{where}: field {name} {_found(record, name)} where a text is due; nothing was compared")
    return value


def _number(record: Mapping[str, Any], name: str, where: str) -> Decimal:
    """A decimal written as text (or as a JSON number, read exactly); "1,000", "1e3", "NaN" and "" are refused."""
    value = record.get(name)
    written = str(value) if isinstance(value, str | int | Decimal) else ""
    if not NUMBER.fullmatch(written):
        raise MalformedError(f"{where}: field {name} {_found(record, name)} where a number is due; nothing was compared")
    return Decimal(written)


def _found(record: Mapping[str, Any], name: str) -> str:
    return f"is {str(record[name])[:40]!r}" if name in record else "is missing"


@hookimpl
def recon_register_brokers() -> list[type[Broker]]:
    """The adapter of this file."""
    return [Alpaca]
