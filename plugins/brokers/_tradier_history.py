"""The history of a Tradier account: what its events say was traded, and what else was booked."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from decimal import Decimal
from typing import Any

from recon_core import Fill, Movement, Record

OPTION = re.compile(r"[A-Z]{1,6}\d?\d{6}[CP]\d{8}", re.ASCII)  # OCC without blanks; an adjusted root ends in a digit
STANDARD_OPTION = re.compile(r"[A-Z]{1,6}\d{6}[CP]\d{8}", re.ASCII)
STOCK = re.compile(r"[A-Z]{1,6}([/.][A-Z]{1,3})?", re.ASCII)
STANDARD_DELIVERABLE = Decimal(100)
NOTHING = (None, "null")
"""How Tradier writes that there is nothing: null, or the text "null"."""

MONEY = ("dividend", "interest", "fee", "tax", "ach", "wire", "check")
BOOKED = ("journal", "adjustment")
OPTION_EVENTS = {"assign": "assignment", "exerc": "exercise", "expir": "expiry", "optexp": "expiry"}


def kind_of(symbol: str) -> tuple[str | None, Decimal | None]:
    """The asset class and multiplier that a symbol's form tells; None where it does not."""
    if OPTION.fullmatch(symbol):
        return "us_option", STANDARD_DELIVERABLE if STANDARD_OPTION.fullmatch(symbol) else None
    return ("us_equity", Decimal(1)) if STOCK.fullmatch(symbol) else (None, None)


def events(body: Any, place: str) -> list[Record]:
    """The events of one page. Raises MalformedError for what is none."""
    answer = Record(body, place)
    if "history" not in answer.value:
        raise answer.wrong("history", 'an object, null or "null"')
    if answer.value["history"] in NOTHING:
        return []
    rows = answer.record("history").value.get("event")
    if rows in NOTHING:
        return []
    return Record.each(rows if isinstance(rows, list) else [rows], place)


def _digest(event: Record) -> str:
    written = json.dumps(event.value, sort_keys=True, default=str)
    return hashlib.sha256(written.encode()).hexdigest()[:20]


def _happened(event: Record, account: str, identity: str) -> Fill | Movement:
    """One event of the history: its details are an object that is mostly, but not always, called as its type."""
    kind = _word(event, "type")
    event.place += f" ({kind or 'without a type'})"
    nested = [value for value in event.value.values() if isinstance(value, dict)]
    details = Record(nested[0] if len(nested) == 1 else event.value.get(kind) or {}, event.place)
    symbol = _word(details, "symbol")
    when = event.moment("date")
    amount = event.number_or_none("amount")
    quantity = details.number_or_none("quantity")
    if kind == "trade" and symbol and quantity:
        asset_class, multiplier = kind_of(symbol)
        return Fill(
            id=identity,
            account=account,
            symbol=symbol,
            quantity=quantity,
            price=details.number("price"),
            traded_at=when,
            currency="USD",
            fee=details.number_or_none("commission"),
            asset_class=asset_class,
            multiplier=multiplier,
            source=event.place,
            raw=event.raw,
        )
    words = (kind, _word(details, "option_type"), _word(details, "trade_type"), _word(details, "description"))
    said = " ".join(word for word in words if word)
    moved = _movement_kind(kind, said.lower(), quantity, amount)
    return Movement(
        id=identity,
        kind=moved,
        occurred_on=when.date(),
        account=account,
        symbol=symbol or None,
        quantity=None if moved == "cash" else quantity or None,
        amount=amount,
        currency="USD",
        price=details.number_or_none("price"),
        said=said,
        source=event.place,
        raw=event.raw,
    )


def _movement_kind(kind: str, said: str, quantity: Decimal | None, amount: Decimal | None) -> str:
    """What an event is: money alone where no units move. What a journal or an adjustment of units means, it does not say."""
    if kind == "option":
        return next((moved for word, moved in OPTION_EVENTS.items() if word in said), "unclassified")
    if kind == "transfer":
        return "transfer"
    if (kind in MONEY and amount) or (kind in BOOKED and amount and not quantity):
        return "cash"
    return "unclassified"


def _word(record: Record, name: str) -> str:
    """A text; empty where there is none, or the text "null"."""
    found = record.text_or_none(name)
    return "" if found in NOTHING else found or ""


def happened(found: list[Record], account: str) -> tuple[list[Fill], list[Movement]]:
    """The events of an account as fills and movements, each with an id of its own that is the same whenever it is asked for."""
    fills: list[Fill] = []
    movements: list[Movement] = []
    seen: Counter[str] = Counter()
    for event in found:
        digest = _digest(event)
        seen[digest] += 1  # two events of one day that say the same are two
        told = _happened(event, account, f"{account}-{digest}-{seen[digest]}")
        if isinstance(told, Fill):
            fills.append(told)
        else:
            movements.append(told)
    return fills, movements
