"""What may be wrong with a row of positions: one bit for each kind, and the words for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import IntFlag
from functools import reduce
from operator import or_

from recon_core.errors import excerpt
from recon_core.tables.timestamps import why_no_time
from recon_core.written_numbers import why_no_number

FAULT_BITS = (1 << 16) - 1
FLOAT_ROUNDED, PRICE_ROUNDED = 1 << 16, 1 << 17
"""Notes, above the faults: a binary float had more decimals than are believed; a price had more than 12, rounded half-even."""
KEY_PADDED = 1 << 18
"""A note of no interest to people: a key of the row is not as the source has it, but trimmed, or nothing where it was empty."""


class Fault(IntFlag):
    """The bits of the ``fault`` column below 2^16. Any of them means that the row cannot be believed."""

    BROKER = 1
    SYMBOL = 2
    LEG = 4
    QUANTITY_MISSING = 8
    QUANTITY_WRONG = 16
    QUANTITY_FINE = 32
    QUANTITY_LARGE = 64
    AVG_PRICE = 128
    MARKET_PRICE = 256
    MULTIPLIER = 512
    UPDATED_AT = 1024
    OPENED_AT = 2048
    IDENTIFIER = 4096
    PROBLEM = 8192


def reason(fault: Fault, values: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Each bad column and, in words, what is wrong with it; ``values`` are the source's own texts by position column."""
    match fault:
        case Fault.BROKER | Fault.SYMBOL:
            column = str(fault.name).lower()
            yield column, f"the {column} is empty"
        case Fault.LEG:
            yield "leg", f"'{_shown(values, 'leg')}' is none of NET, LONG, SHORT"
        case Fault.QUANTITY_MISSING:
            yield "quantity", "the quantity is empty"
        case Fault.QUANTITY_WRONG:
            yield "quantity", why_no_number(_text(values, "quantity"))
        case Fault.QUANTITY_FINE:
            yield "quantity", f"'{_shown(values, 'quantity')}' has more than 18 decimals; a quantity is not rounded"
        case Fault.QUANTITY_LARGE:
            yield "quantity", f"'{_shown(values, 'quantity')}' is too large; a quantity is below 10^19"
        case Fault.AVG_PRICE | Fault.MARKET_PRICE | Fault.MULTIPLIER:
            column = str(fault.name).lower()
            yield column, _bad_figure(column, _text(values, column))
        case Fault.UPDATED_AT | Fault.OPENED_AT:
            column = str(fault.name).lower()
            yield column, why_no_time(_text(values, column))
        case Fault.IDENTIFIER:
            for column in ("account", "symbol", "isin", "cusip"):
                text = (values.get(column) or "").strip()
                if "E+" in text and text.replace("E+", "").replace(".", "").isdigit():
                    yield column, f"'{excerpt(text)}' is an identifier that a spreadsheet turned into a number; export it as text"
        case Fault.PROBLEM:
            yield "problem", excerpt(_text(values, "problem"), 400)


def together(faults: Iterable[int | None]) -> int:
    """The bits of several ``fault`` values in one."""
    return reduce(or_, (bits or 0 for bits in faults), 0)


def source_notes(found: int) -> tuple[str, ...]:
    """What the note bits of a source's ``fault`` column say, in words."""
    notes = []
    if found & FLOAT_ROUNDED:
        notes.append("quantities are binary floats, rounded")
    if found & PRICE_ROUNDED:
        notes.append("prices have more than 12 decimals, rounded half-even")
    return tuple(notes)


def _bad_figure(column: str, raw: str) -> str:
    explained = why_no_number(raw)
    plain = raw.strip().lstrip("+-").replace(".", "", 1).isdigit()
    if not plain:
        return explained
    if column == "multiplier":
        return f"'{excerpt(raw)}' is no multiplier: above 0, below 10^12, at most 6 decimals"
    return f"'{excerpt(raw)}' is too large; a price is below 10^26"


def _shown(values: Mapping[str, str | None], column: str) -> str:
    return excerpt(_text(values, column))


def _text(values: Mapping[str, str | None], column: str) -> str:
    return values.get(column) or ""
