"""How the reports write a value: a text that can hide nothing, money that is never rounded, and how many there are."""

from __future__ import annotations

import re
from typing import Any

_PLAIN_NUMBER = re.compile(r"(-?)(\d+)(?:\.(\d+))?", re.ASCII)
# Letters that print nothing: they are "printable" to Python, and make two symbols look the same.
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u2800\u3164\uffa0")


def visible(value: Any) -> str:
    """``value`` as one line of text that can neither hide anything nor move a cursor.

    Control characters, ANSI escapes, newlines, changes of direction and blanks other than the space are spelt out
    (``\\n``, ``\\x1b``, ``\\u202e``, ``\\xa0``). None is a dash.
    """
    if value is None:
        return "-"
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() and c not in _BLANK_LETTERS else c.encode("unicode_escape").decode("ascii") for c in text)


def money(amount: str | None) -> str:
    """An amount or a price with thousands separators and at least two decimals, never rounded; None is ``unknown``."""
    if amount is None:
        return "unknown"
    number = _PLAIN_NUMBER.fullmatch(amount)
    if number is None:
        return visible(amount)
    sign, whole, fraction = number[1], number[2], (number[3] or "").rstrip("0").ljust(2, "0")
    return f"{sign}{int(whole):,}.{fraction}"


def count(number: int, noun: str) -> str:
    """``1 break``, ``1,234 breaks``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
