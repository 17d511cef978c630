"""How Alpaca names instruments, and what one unit of each is. Part of the adapter in alpaca.py."""

from __future__ import annotations

import re
from decimal import Decimal

STANDARD_OPTION = re.compile(r"([A-Z]{1,6})\d{6}[CP]\d{8}", re.ASCII)  # OCC without blanks; adjusted roots end in a digit
ANY_OPTION = re.compile(r"([A-Z]{1,6})\d?\d{6}[CP]\d{8}", re.ASCII)
PAIR = re.compile(r"([A-Z0-9]+)/([A-Z0-9]+)", re.ASCII)  # no class share is written so: it is BRK.B
PER_UNIT = {"us_equity": Decimal(1), "crypto": Decimal(1)}
STANDARD_DELIVERABLE = Decimal(100)


def multiplier_of(asset_class: str | None, symbol: str) -> Decimal | None:
    """Money per unit of price; None where Alpaca does not say what a unit delivers."""
    if asset_class == "us_option":
        return STANDARD_DELIVERABLE if STANDARD_OPTION.fullmatch(symbol) else None
    return PER_UNIT.get(asset_class or "")


def asset_class_of(raw: str) -> str | None:
    """The class that a symbol of an activity tells by itself: of a pair of coins and of an option. Else it does not say."""
    if PAIR.fullmatch(raw):
        return "crypto"
    return "us_option" if ANY_OPTION.fullmatch(raw) else None


def as_position(raw: str) -> str:
    """The symbol as positions write it: a coin is ``BTC/USD`` in activities and ``BTCUSD`` in positions."""
    return raw.replace("/", "") if PAIR.fullmatch(raw) else raw


def quote_of(raw: str) -> str | None:
    """What a pair of coins is priced in."""
    pair = PAIR.fullmatch(raw)
    return pair[2] if pair else None


def issue_of(symbol: str) -> str:
    """The symbol whose issuer acts: of an option its root, which is what an adjusted one is named after, too."""
    option = ANY_OPTION.fullmatch(symbol)
    return option[1] if option else symbol
