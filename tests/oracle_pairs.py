"""The oracle's first half: from rows to pairs, and how far the silence of a feed can be believed."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Any

from recon_core.config.policy import Policy
from recon_core.config.settings import BrokerSettings
from recon_core.model import Feed, FeedStatus, Position

Key = tuple[str, str, str, str]
"""Broker, account, symbol, leg."""

HUNDREDTHS = {"GBX": "GBP", "GBp": "GBP", "ILA": "ILS", "ZAC": "ZAR", "ZAc": "ZAR"}
SYNONYMS = {"us_equity": ("us_equity", "stock"), "crypto": ("crypto", "coin"), "us_option": ("us_option", "option")}
"""The asset classes that the tests use, and other spellings that a book may have of them."""


@dataclass(frozen=True)
class Inputs:
    """All that a comparison depends on. ``book`` rows go with the broker that they name.

    ``typed`` says how the engine is given the rows (as a file of typed columns, not as texts), which must change nothing.
    """

    book: tuple[tuple[str, Position], ...]
    feeds: tuple[tuple[BrokerSettings, Feed], ...]
    policy: Policy
    as_of: datetime
    now: datetime
    fx: Mapping[str, Decimal]
    book_lots: bool = False
    typed: bool = False


@dataclass(frozen=True)
class Pair:
    """One key on both sides; ``at_broker`` is None where the broker's silence proves nothing."""

    key: Key
    book: Position | None
    broker: Position | None
    in_book: bool
    at_broker: bool | None
    price: Decimal | None
    multiplier: Decimal | None
    fx_rate: Decimal | None
    untouched: timedelta | None

    @property
    def difference(self) -> Decimal | None:
        """Book minus broker, an absent side as 0; None where the broker's side is unproven."""
        if self.at_broker is None:
            return None
        return (self.book.quantity if self.book else Decimal(0)) - (self.broker.quantity if self.broker else Decimal(0))

    @property
    def unit_value(self) -> Decimal | None:
        """What one unit is worth in base currency."""
        return product(product(self.price, self.multiplier), self.fx_rate)


# --- arithmetic


def product(a: Decimal | None, b: Decimal | None) -> Decimal | None:
    """The product, cut at 18 decimals; None where a factor is unknown or 10^19 or more, or the result is 10^20 or more."""
    if a is None or b is None or max(abs(a), abs(b)) >= 10**19:
        return None
    exact = (a * b).quantize(Decimal("1e-18"), ROUND_DOWN)
    return exact if abs(exact) < 10**20 else None


def money(value: Decimal | None) -> Decimal | None:
    """An amount without its sign, rounded half up to 4 decimals."""
    return None if value is None else abs(value).quantize(Decimal("0.0001"), ROUND_HALF_UP)


def size(value: Decimal | None) -> Decimal | None:
    return None if value is None else abs(value)


def exceeds(value: Decimal | None, limit: Decimal | None) -> bool | None:
    return None if value is None or limit is None else value > limit


def both(*parts: bool | None) -> bool | None:
    if any(part is False for part in parts):
        return False
    return None if None in parts else True


def first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


# --- from rows to pairs


def unused(feed: Feed) -> bool:
    return feed.status in (FeedStatus.FAILED, FeedStatus.NOT_READY)


def repeats(inputs: Inputs) -> bool:
    """Whether a key stands in several rows (not of quantity 0) of a side that is not declared to hold lots."""
    sides: list[list[tuple[Any, ...]]] = []
    if not inputs.book_lots:
        sides.append([(name, row.account, row.symbol, row.leg) for name, row in inputs.book if row.quantity])
    for _, feed in inputs.feeds:
        if not unused(feed) and not feed.lots:
            sides.append([(row.account, row.symbol, row.leg) for row in feed.positions if row.quantity])
    return any(len(set(keys)) < len(keys) for keys in sides)


def pairs_of(inputs: Inputs) -> list[Pair]:
    book_rows: dict[Key, list[Position]] = defaultdict(list)
    broker_rows: dict[Key, list[Position]] = defaultdict(list)
    for settings, feed in inputs.feeds:
        for name, row in inputs.book:
            if name == settings.alias and row.quantity:
                book_rows[_key(settings, row)].append(row)
        for row in () if unused(feed) else feed.positions:
            if row.quantity:
                broker_rows[_key(settings, row)].append(row)
    book = {key: total for key, rows in book_rows.items() if (total := _one(rows)) is not None}
    broker = {key: total for key, rows in broker_rows.items() if (total := _one(rows)) is not None}
    return [_pair(inputs, key, book.get(key), broker.get(key)) for key in sorted(book.keys() | broker.keys())]


def _key(settings: BrokerSettings, row: Position) -> Key:
    assert row.account is not None
    leg = "NET" if settings.legs == "net" else row.leg
    return settings.alias, settings.accounts.get(row.account, row.account), row.symbol, leg


def _one(rows: Sequence[Position]) -> Position | None:
    """Rows of one key as one position; None where they add up to nothing."""
    if len(rows) == 1:
        return rows[0]
    quantity = sum((row.quantity for row in rows), Decimal(0))
    if not quantity:
        return None
    stamps = [row.updated_at for row in rows if row.updated_at]
    return replace(
        rows[0],
        quantity=quantity,
        avg_price=_average(rows, quantity),
        updated_at=min(stamps, default=None),
        market_price=max((row.market_price for row in rows if row.market_price is not None), default=None),
        **{name: _least(rows, name) for name in ("asset_class", "currency", "multiplier")},
    )


def _least(rows: Sequence[Position], name: str) -> Any:
    """The smallest that any lot says, so that the order of the lots changes nothing."""
    return min((value for row in rows if (value := getattr(row, name)) is not None), default=None)


def _average(rows: Sequence[Position], quantity: Decimal) -> Decimal | None:
    """The price weighted by quantity; unknown where a lot has none, or where lots of both signs make it meaningless."""
    if len({row.quantity > 0 for row in rows}) > 1:
        return None
    if len({row.avg_price for row in rows}) == 1:
        return rows[0].avg_price
    worths = [product(row.quantity, row.avg_price) for row in rows]
    known = [worth for worth in worths if worth is not None]
    worth = sum(known, Decimal(0))
    if len(known) < len(worths) or abs(worth) >= 10**20:
        return None
    return (worth / quantity).quantize(Decimal("1e-12"), ROUND_HALF_UP)


def _pair(inputs: Inputs, key: Key, book: Position | None, broker: Position | None) -> Pair:
    policy = inputs.policy

    def either(name: str) -> Any:
        return first(broker and getattr(broker, name), book and getattr(book, name))

    def priced(name: str) -> Any:
        return first(*(getattr(side, name) or None for side in (broker, book) if side))  # a price of 0 prices nothing

    asset_class, settings, feed = either("asset_class"), *_feed(inputs, key[0])
    assumed = None
    if not any(row.currency for _, row in inputs.book) and (unused(feed) or not any(row.currency for row in feed.positions)):
        assumed = policy.base_currency
    derivative = asset_class is not None and re.search(r"option|future|^opt$|^fut$|^fop$", asset_class.lower())
    touched = book.updated_at if book else None
    present: bool | None = broker is not None
    if broker is None and _silent(inputs, settings, feed, key[1], asset_class):
        present = None
    return Pair(
        key=key,
        book=book,
        broker=broker,
        in_book=book is not None,
        at_broker=present,
        price=first(priced("market_price"), priced("avg_price") if policy.price_fallback else None),
        multiplier=first(either("multiplier"), None if derivative else Decimal(1)),
        fx_rate=_rate(policy.base_currency, inputs.fx, first(either("currency"), assumed)),
        untouched=inputs.as_of - touched if touched is not None and touched <= inputs.now else None,
    )


def _feed(inputs: Inputs, alias: str) -> tuple[BrokerSettings, Feed]:
    return next((settings, feed) for settings, feed in inputs.feeds if settings.alias == alias)


def _rate(base: str, fx: Mapping[str, Decimal], currency: str | None) -> Decimal | None:
    """Base currency for one unit of ``currency``; pence and their like are hundredths of what has a rate."""
    rates = {base: Decimal(1), **fx}
    if currency in rates:
        return rates[currency]
    major = rates.get(HUNDREDTHS.get(currency or "", ""))
    return None if major is None else major / 100


# --- how far a feed is believed


def whole(feed: Feed) -> bool:
    """Whether nothing speaks against the whole feed: its own status, and its control totals of rows."""
    stated = all(total.stated == len(feed.positions) for total in feed.control_totals)
    return feed.status is FeedStatus.COMPLETE and stated


def unproven_accounts(inputs: Inputs, settings: BrokerSettings, feed: Feed) -> list[str]:
    """The accounts that the book holds something in, or that are expected, and of which the feed says nothing at all."""
    rows = Counter(row.account for name, row in inputs.book if name == settings.alias and row.quantity)
    wanted = {account for account in rows if account}
    if whole(feed) and feed.control_totals and not feed.positions:
        wanted = set()  # the broker states that there is nothing
    named = [*(row.account or "" for row in feed.positions), *feed.accounts]
    answered = {settings.accounts.get(name, name) for name in named}
    return sorted((wanted | set(settings.expect_accounts)) - answered)


def _silent(inputs: Inputs, settings: BrokerSettings, feed: Feed, account: str, asset_class: str | None) -> bool:
    """Whether an absence in this account, of this asset class, proves nothing."""
    if not whole(feed) or account in unproven_accounts(inputs, settings, feed):
        return True
    covered = {name for group in feed.coverage for name in SYNONYMS[group]}
    return bool(covered) and asset_class is not None and asset_class.lower() not in covered
