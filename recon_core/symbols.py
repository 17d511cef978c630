"""How brokers spell instruments: one table of forms, each of which is read into the same key and written again from it.

The forms, with what they are read as:

    class share   BRK.B  BRK B  BRK/B  BRK-B                 a root and a class of one letter
    option        AAPL  241213C00250000 (OCC, padded)        root, day, call or put, strike
                  AAPL241213C00250000  O:AAPL241213C00250000  .AAPL241213C250
                  AAPL 13DEC24 250 C
    pair          BTC/USD  BTC-USD  BTC_USD  BTC.USD  BTCUSD  what is priced, and in which currency
                  XXBTZUSD  XBT/USD                           (Kraken's own names of coins and currencies)
    coin          BTC  XBT  XXBT
    future        ESZ25  /ESZ25  ESZ2025;  ESZ5  /ESZ5        root, month, year, or the last digit of it

A root that ends in a digit (AAPL1) is an adjusted option and another instrument. What fits no form is its own key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from recon_core.written_numbers import without_zeros

KRAKEN: Mapping[str, str] = {
    **{f"X{coin}": coin for coin in ("ETC", "ETH", "LTC", "MLN", "REP", "XLM", "XMR", "XRP", "ZEC")},
    **{f"Z{money}": money for money in ("AUD", "CAD", "CHF", "EUR", "GBP", "JPY", "USD")},
    "XXBT": "BTC",
    "XBT": "BTC",
    "XXDG": "DOGE",
    "XDG": "DOGE",
}
"""Kraken's own names. The first letter is no rule (XTZ is Tezos): only these are what they seem."""

_MONEY = ("USDT", "USDC", "FDUSD", "USD", "EUR", "GBP", "JPY", "CHF", "CAD", "AUD", "NZD", "BTC", "ETH")
# fmt: off
_COINS = frozenset((
    "AAVE", "ADA", "ALGO", "ARB", "ATOM", "AUD", "AVAX", "BAT", "BCH", "BNB", "BTC", "CAD", "CHF", "CRV", "DOGE", "DOT",
    "ETC", "ETH", "EUR", "FIL", "GBP", "GRT", "JPY", "LDO", "LINK", "LTC", "MKR", "MLN", "NEAR", "NZD", "OP", "PEPE",
    "RENDER", "REP", "SHIB", "SOL", "SUI", "SUSHI", "TON", "TRUMP", "TRX", "UNI", "USD", "USDC", "USDT", "XLM", "XMR",
    "XRP", "XTZ", "YFI", "ZEC",
))
# fmt: on
"""What may stand before a currency without a sign between: anything else might be a share."""

_ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]", re.ASCII)
_CUSIP = re.compile(r"[A-Z0-9*@#]{8}[0-9]", re.ASCII)
_CUSIP_SIGNS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ*@#"
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_SHARE = re.compile(r"([A-Z]{1,5})[. /-]([A-Z])")
_OCC = re.compile(r"(?:O:)?([A-Z]{1,5}\d?) *(\d{6})([CP])(\d{8})")
_DOTTED = re.compile(r"\.([A-Z]{1,5}\d?)(\d{6})([CP])(\d+(?:\.\d{1,3})?)")
_TOLD = re.compile(r"([A-Z]{1,5}\d?) +(\d{2})([A-Z]{3})(\d{2}) +(\d+(?:\.\d{1,3})?) +([CP])")
_PARTED = re.compile(r"([A-Z0-9]{2,10})[/_.-]([A-Z]{3,5})")
_FUTURE = re.compile(r"/?([A-Z0-9]{1,3}[A-Z]|[A-Z])([FGHJKMNQUVXZ])(\d{1,2}|20\d{2})")


def key_of(symbol: str) -> str:
    """What a symbol stands for, the same for all its spellings; the symbol itself, in capitals, where it fits no form."""
    text = symbol.upper()
    if text in KRAKEN:
        return KRAKEN[text]
    if text.isalnum():  # most symbols: what needs a look at all is seen by the end
        if text[-9:-8] in ("C", "P") and (found := _option(text)):
            return found
        return (text.endswith(_MONEY) and _joined(text)) or (text[-1:].isdigit() and _future(text)) or text
    text = " ".join(text.split())
    return _option(text) or _parted(text) or _share(text) or _future(text) or text


def form_of(symbol: str) -> str:
    """The key of a symbol as far as every spelling tells it: a future that is written ``ESZ5`` does not say in which decade."""
    key = key_of(symbol)
    return f"{key.rpartition(':')[0]}:{key[-1]}" if key.startswith("future:") else key


def differ(one: str, other: str) -> bool:
    """Whether two symbols of one form say that they are two instruments: futures that both name their year in full."""
    years = [key.rpartition(":")[2] for key in (key_of(one), key_of(other)) if key.startswith("future:")]
    return len(years) == 2 and all(len(year) == 2 for year in years) and years[0] != years[1]


def forms_of(symbol: str) -> dict[str, str]:
    """All spellings of an instrument by the name of the form, each with the same key; of a symbol of no form itself, ``plain``."""
    key = key_of(symbol)
    kind, _, rest = key.partition(":")
    parts = rest.split(":")
    if kind == "share":
        return {name: f"{parts[0]}{sign}{parts[1]}" for name, sign in (("dot", "."), ("blank", " "), ("slash", "/"), ("dash", "-"))}
    if kind == "option":
        root, day, right, strike = parts
        thousandths = f"{int(Decimal(strike) * 1000):08}"
        stamp = f"{day[4:]}{_MONTHS[int(day[2:4]) - 1]}{day[:2]}"
        return {
            "padded": f"{root:<6}{day}{right}{thousandths}",
            "compact": f"{root}{day}{right}{thousandths}",
            "prefixed": f"O:{root}{day}{right}{thousandths}",
            "dotted": f".{root}{day}{right}{strike}",
            "told": f"{root} {stamp} {strike} {right}",
        }
    if kind == "pair":
        return {"slash": "/".join(parts), "dash": "-".join(parts), "underscore": "_".join(parts), "dot": ".".join(parts)} | (
            {"joined": "".join(parts)} if _joined("".join(parts)) == key else {}
        )
    if kind == "future":
        return {"plain": "".join(parts), "slashed": f"/{''.join(parts)}"}
    return {"plain": symbol}


def isin_of(text: str | None) -> str | None:
    """An ISIN in capitals; None for what has not the shape or the check digit of one, such as a placeholder."""
    isin = (text or "").strip().upper()
    if not _ISIN.fullmatch(isin):
        return None
    digits = [int(digit) for sign in isin for digit in str(int(sign, 36))]
    doubled = [digit * 2 if place % 2 else digit for place, digit in enumerate(reversed(digits))]
    return isin if sum(digit // 10 + digit % 10 for digit in doubled) % 10 == 0 else None


def cusip_of(isin: str | None, cusip: str | None) -> str | None:
    """A CUSIP: as it is given, else that within an ISIN of the United States or Canada; None where neither is a real one."""
    text = (cusip or "").strip().upper()
    if not text:
        whole = isin_of(isin) or ""
        text = whole[2:11] if whole[:2] in ("US", "CA") else ""
    if not _CUSIP.fullmatch(text) or not text.strip("0"):
        return None
    values = [_CUSIP_SIGNS.index(sign) * (2 if place % 2 else 1) for place, sign in enumerate(text[:8])]
    return text if (10 - sum(value // 10 + value % 10 for value in values) % 10) % 10 == int(text[8]) else None


def _share(text: str) -> str | None:
    found = _SHARE.fullmatch(text)
    return f"share:{found[1]}:{found[2]}" if found else None


def _option(text: str) -> str | None:
    if found := _OCC.fullmatch(text):
        root, day, right, strike = found[1], found[2], found[3], Decimal(found[4]) / 1000
    elif found := _DOTTED.fullmatch(text):
        root, day, right, strike = found[1], found[2], found[3], Decimal(found[4])
    elif (found := _TOLD.fullmatch(text)) and found[3] in _MONTHS:
        day = f"{found[4]}{_MONTHS.index(found[3]) + 1:02}{found[2]}"
        root, right, strike = found[1], found[6], Decimal(found[5])
    else:
        return None
    try:
        date(2000 + int(day[:2]), int(day[2:4]), int(day[4:]))
    except ValueError:
        return None
    if strike >= 100_000:
        return None
    return f"option:{root}:{day}:{right}:{without_zeros(f'{strike:f}')}"


def _parted(text: str) -> str | None:
    found = _PARTED.fullmatch(text)
    base, money = (KRAKEN.get(name, name) for name in found.groups()) if found else ("", "")
    return f"pair:{base}:{money}" if money in _MONEY else None


def _joined(text: str) -> str | None:
    for money in _MONEY:
        base = text.removesuffix(money)
        for name in (base, base.removesuffix("Z")) if base != text else ():
            coin = KRAKEN.get(name, name)
            if coin in _COINS and coin != money:
                return f"pair:{coin}:{money}"
    return None


def _future(text: str) -> str | None:
    found = _FUTURE.fullmatch(text)
    return f"future:{found[1]}:{found[2]}:{found[3][-2:]}" if found else None
