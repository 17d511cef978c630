"""How a number may be written: the patterns that SQL and Python share, and why a text fits none of them."""

from __future__ import annotations

import re
from collections.abc import Collection
from decimal import Decimal
from typing import NamedTuple, overload

from recon_core.errors import MalformedError, excerpt

STRICT = r"[+-]?(\d+(\.\d*)?|\.\d+)"
_SCIENTIFIC = r"[+-]?(\d+(\.\d*)?|\.\d+)[eE][+-]?\d+"
BLANKS = " \t\r\n\u00a0\u202f\u2007"
"""What is trimmed from both ends of a text: the spaces that exports put around values."""

CURRENCIES = "$€£¥₹"
"""The signs that may stand beside an amount of money."""


class Patterns(NamedTuple):
    """Regular expressions that a whole text fits: a number with a sign or none, one in parentheses, one with a minus behind."""

    signed: str
    parentheses: str
    trailing_minus: str


def patterns(decimal: str, thousands: str | None, *, money: bool) -> Patterns:
    """What a source writes that has ``decimal`` before its decimals and ``thousands`` between groups of digits (None: nothing).

    ``money`` may have a currency sign.
    """
    currency = f"[{CURRENCIES}]?" if money else ""
    point, whole = re.escape(decimal), r"\d+"
    if thousands:
        group = re.escape(thousands)
        whole = rf"(?:\d{{1,3}}(?:{group}\d{{2,3}})*{group}\d{{3}}|\d+)"
    core = rf"(?:{whole}(?:{point}\d*)?|{point}\d+)"
    return Patterns(
        f"(?:[+-]?{currency}|{currency}[+-]?){core}", rf"\({currency}{core}\)|{currency}\({core}\)", f"{currency}{core}-"
    )


def read_number(
    text: object,
    place: str = "",
    *,
    decimal: str = ".",
    thousands: str | None = None,
    negative: Collection[str] = (),
    money: bool = False,
) -> Decimal:
    """The number that ``text`` is, exactly and with all its decimals, by the rules that the engine reads files by.

    Unless told otherwise it takes digits, a sign before them and a point among them, and refuses what ``Decimal`` would take or
    a reader might guess at: ``1_000``, ``1,000``, ``1e3``, ``NaN``, ``(100)``. ``decimal``, ``thousands`` and ``negative``
    (``parentheses``, ``trailing_minus``) are the options of a file; ``money`` allows a currency sign, as a file's prices do.
    Raises MalformedError, which says what is wrong with the text, after ``place`` (where it stands).
    """
    said = f"{place}: " if place else ""
    if not isinstance(text, str):
        raise MalformedError(f"{said}{excerpt(repr(text))} is {type(text).__name__}, and a number written as text is due")
    written = text.strip(BLANKS)
    if thousands == " ":
        written = written.translate({0x00A0: " ", 0x202F: " "})
    forms = patterns(decimal, thousands, money=money)
    minus = ""
    if not re.fullmatch(forms.signed, written, re.ASCII):
        behind = [form for form in ("parentheses", "trailing_minus") if form in negative]
        if not any(re.fullmatch(getattr(forms, form), written, re.ASCII) for form in behind):
            misfit = f"'{excerpt(text)}' does not fit decimal {decimal!r}"
            raise MalformedError(said + (why_no_number(text) if decimal == "." else misfit))
        minus = "-"
    bare = written.translate(dict.fromkeys(map(ord, f"{CURRENCIES}()"))).replace(thousands or "", "").replace(decimal, ".")
    return Decimal(minus + bare.rstrip("-"))


def why_no_number(raw: str) -> str:
    """In words, why a text is refused as a number, and what mends it."""
    text = raw.strip(BLANKS)
    shown = f"'{excerpt(raw)}'"
    if re.fullmatch(_SCIENTIFIC, text):
        return f"{shown} is in scientific notation: digits may be lost"
    if text.casefold().lstrip("+-") in ("nan", "inf", "infinity"):
        return f"{shown} is not a finite number"
    if text.endswith("%"):
        return f"{shown} is a percentage, not a number"
    if re.fullmatch(r"\(.*\)", text):
        return f"{shown} is not a number (if parentheses mean minus, say `negative: [parentheses]`)"
    if re.fullmatch(r"[\d.,]+-", text):
        return f"{shown} is not a number (if a minus may trail, say `negative: [trailing_minus]`)"
    if re.fullmatch(r"[+-]?\d[\d.,' _\u00a0\u202f]*", text):
        return f"{shown} is not a number (are `decimal` and `thousands` set as the source writes them?)"
    return f"{shown} is not a number"


def plain(number: Decimal | None) -> str:
    """A number as a person writes it: no exponent, no trailing zeros."""
    if number is None:
        return "unknown"
    return without_zeros(f"{number:f}")


@overload
def without_zeros(text: str) -> str: ...


@overload
def without_zeros(text: str | None) -> str | None: ...


def without_zeros(text: str | None) -> str | None:
    """A number in digits without the zeros at the end of its fraction; None where there is none."""
    return text.rstrip("0").rstrip(".") if text is not None and "." in text else text
