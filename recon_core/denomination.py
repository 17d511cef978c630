"""In what the amounts of a correction are: their currency, what turns a unit into money, and the fees that were paid."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from recon_core.explanation import EXACT, Difference, Term
from recon_core.symbols import key_of
from recon_core.written_numbers import plain

DERIVED = re.compile(r"option|future|swap|perp|cfd|warrant|^opt$|^fut$|^fop$", re.IGNORECASE)
"""The asset classes whose multiplier nobody can tell who does not say it."""


@dataclass(frozen=True, slots=True)
class Denomination:
    """The currency of every amount (None: nobody says it), and the multiplier (None: not known) that turns a unit into money.

    ``doubts`` say why no sum of the amounts is known, ``notes`` what is to be known with one.
    """

    currency: str | None
    multiplier: Fraction | None
    doubts: tuple[str, ...]
    notes: tuple[str, ...]


def denomination(difference: Difference, terms: Sequence[Term]) -> Denomination:
    """In what the amounts of a position are, as its two sides and the terms of its explanation say."""
    doubts, notes = list[str](), list[str]()
    currency = _currency(difference, terms, doubts)
    multiplier = _multiplier(difference, terms, doubts, notes)
    return Denomination(currency, multiplier, tuple(doubts), tuple(notes))


def fees_of(terms: Sequence[Term], currency: str | None) -> dict[str | None, Decimal]:
    """What was paid, by currency (``currency`` where a term names none); negative: what is paid back."""
    fees: dict[str | None, Decimal] = {}
    for term in terms:
        if term.fee:
            paid_in = (term.currency or currency) if term.fee_currency is None else term.fee_currency
            paid = term.fee.copy_negate() if term.kind == "book_fill" else term.fee
            fees[paid_in] = EXACT.add(fees.get(paid_in, Decimal(0)), paid)
    return fees


def _currency(difference: Difference, terms: Sequence[Term], doubts: list[str]) -> str | None:
    """The currency of every amount; where there are several, no sum of them is known."""
    sides = [side.currency for side in (difference.reported, difference.book) if side and side.currency]
    paid = [term.currency for term in terms if term.currency and (term.price or term.amount or term.fee)]
    found = list(dict.fromkeys([*sides, *paid]))
    if len(found) > 1:
        doubts.append(f"its amounts are in {' and '.join(found)}")
    return found[0] if found else None


def _multiplier(difference: Difference, terms: Sequence[Term], doubts: list[str], notes: list[str]) -> Fraction | None:
    """What turns a unit into money: as the broker says it, else the book; 1 of what class and symbol call no derivative."""
    reported, book = difference.reported, difference.book
    told = [reported and reported.multiplier, *(term.multiplier for term in terms)]
    stated = list(dict.fromkeys(each for each in told if each))
    own = book and book.multiplier
    if len(stated) > 1:
        doubts.append(f"the broker says multipliers of {' and '.join(map(plain, stated))}")
    elif stated and own and own != stated[0]:
        notes.append(f"the book's multiplier is {plain(own)}, the broker's {plain(stated[0])}")
    if stated or own:
        return Fraction(stated[0] if stated else own or 1)
    classes = [each.asset_class or "" for each in (reported, book, *terms) if each]
    if any(map(DERIVED.search, classes)) or key_of(difference.symbol).startswith(("option:", "future:")):
        doubts.append("its multiplier is not known, and so not what it means in money")
        return None
    return Fraction(1)
