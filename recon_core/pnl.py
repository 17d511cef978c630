"""What a correction means in money: the missed events played through the lots of a position, in the order of time.

Every amount is in the position's currency, the multiplier included; profit is positive. The constants say what each kind of
event does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import NamedTuple

from recon_core.evidence import Fill
from recon_core.explanation import EXACT, Difference, Explanation, ProfitAndLoss, Term
from recon_core.lots import Holding, Method, as_decimal
from recon_core.written_numbers import plain

SCALES = ("split", "reverse_split", "stock_dividend", "announced")
"""What changes the number of units and not what they cost together."""

CARRIES = ("symbol_change", "merger", "spin_off", "transfer")
"""What brings units or takes them away with what they cost, unless money came instead."""

ENDS = ("expiry", "exercise", "assignment", "removal", "fee_in_kind")
"""What closes units for the money that came with it: mostly none."""

DERIVED = re.compile(r"option|future|^opt$|^fut$|^fop$", re.IGNORECASE)
"""The asset classes whose multiplier is not 1 where nobody says it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What comes of all that was missed: ``price`` is the average cost of the position then (None: flat, or not known).

    ``notes`` say what stands in the way of a figure, or is to be known with it.
    """

    pnl: ProfitAndLoss
    price: Decimal | None
    notes: tuple[str, ...]


def profit_and_loss(
    difference: Difference, explanation: Explanation, *, method: Method, fills: Sequence[Fill] | None
) -> ProfitAndLoss:
    """The money that the events of an explanation made, as far as the book does not have them. Unsettled ones make none.

    ``fills`` are the book's own of this position, from its opening on; where they do not add up to it, or there are none (None),
    the book's average price stands for one lot. With them a missed fill is played in its place, so that what the book's later
    fills realise from there on is counted anew.
    """
    return outcome(difference, explanation, method=method, fills=fills).pnl


def outcome(difference: Difference, explanation: Explanation, *, method: Method, fills: Sequence[Fill] | None) -> Outcome:
    """The same, with the entry price that comes of it."""
    return _Replay(difference, explanation, method, fills).outcome()


Happen = Callable[[Holding, bool], None]
"""What an event does to a holding; second, whether nothing happens after it."""


class _Event(NamedTuple):
    """Something that happens to a holding, and when."""

    at: datetime
    id: str
    happen: Happen


class _Replay:
    """One position, played once without and once with what was missed."""

    def __init__(self, difference: Difference, explanation: Explanation, method: Method, fills: Sequence[Fill] | None) -> None:
        self._book, self._reported = difference.book, difference.reported
        self._method: Method = method
        self._terms = [term for term in explanation.terms if term.cause != "UNSETTLED"]
        self._whole = explanation.explained and len(self._terms) == len(explanation.terms)
        self._notes: list[str] = []
        self._known = True
        self._currency = self._currency_of_all()
        self._multiplier = self._multiplier_of_all()
        self._history = self._own(fills)

    def outcome(self) -> Outcome:
        booked = [_traded(fill) for fill in self._history or ()]
        never = {term.id for term in self._terms if term.kind == "book_fill"} & {event.id for event in booked}
        kept = [event for event in booked if event.id not in never]
        missed = [event for event in self._missed() if event.id not in never]
        before, after = self._played(booked), self._played([*kept, *missed])
        realised = None
        if before.realised is not None and after.realised is not None:
            realised = self._money(after.realised - before.realised)
        if realised is None and not self._notes:
            self._notes.append("a price or a cost that the profit takes is not known")
        own = [term for term in self._terms if term.currency in (None, self._currency)]
        with localcontext(EXACT):
            pnl = ProfitAndLoss(
                method=self._method,
                currency=self._currency,
                realised=realised,
                cash_in_lieu=sum((term.amount for term in own if term.amount and _in_lieu(term)), Decimal(0)),
                fees=sum((-term.fee if term.kind == "book_fill" else term.fee for term in own if term.fee), Decimal(0)),
            )
        price = after.price
        return Outcome(pnl, None if price is None else as_decimal(price), tuple(dict.fromkeys(self._notes)))

    def _played(self, events: Sequence[_Event]) -> Holding:
        holding = Holding(self._method)
        if self._history is None and self._book is not None:
            price = self._book.avg_price
            holding.open(Fraction(self._book.quantity), None if price is None else Fraction(price))
        ordered = sorted(events, key=lambda event: event[:2])
        for event in ordered:
            event.happen(holding, event is ordered[-1])
        return holding

    def _money(self, realised: Fraction) -> Decimal | None:
        """What lots realised, as money; None where that cannot be said."""
        if not realised:
            return Decimal(0)
        return as_decimal(realised * self._multiplier) if self._known and self._multiplier is not None else None

    def _missed(self) -> Iterator[_Event]:
        """The terms as events; rows of one event that only move units around are one."""
        together: dict[tuple[bool, str], list[Term]] = {}
        for term in self._terms:
            if term.kind in SCALES or term.kind in CARRIES:
                scales = term.kind in SCALES
                together.setdefault((scales, term.event or f"{term.kind} {term.on}"), []).append(term)
            elif term.quantity:
                yield _Event(_moment(term), term.id, self._single(term))
        for (scales, _), terms in together.items():
            happen = self._scaled(terms) if scales else self._carried(terms)
            yield _Event(min(map(_moment, terms)), min(term.id for term in terms), happen)

    def _single(self, term: Term) -> Happen:
        quantity, price = Fraction(term.quantity), self._price(term)
        if term.kind == "book_fill":
            return lambda holding, _: holding.take_back(-quantity, price)
        if term.kind in ENDS:
            came = price if term.amount else Fraction(0)
            return lambda holding, _: holding.open(holding.close(quantity, came), None)
        if price is None:
            self._notes.append(f"{term.kind} {term.id} has no price")
        return lambda holding, _: holding.trade(quantity, price)

    def _price(self, term: Term) -> Fraction | None:
        """What a unit was traded at: as stated, else as the money that came for it says."""
        if term.price is not None and term.kind not in ENDS:
            return Fraction(term.price)
        return self._paid(term.amount, Fraction(term.quantity))

    def _paid(self, amount: Decimal | None, quantity: Fraction) -> Fraction | None:
        if not amount or not quantity or not self._multiplier:
            return None
        return -Fraction(amount) / (quantity * self._multiplier)

    def _scaled(self, terms: Sequence[Term]) -> Happen:
        change, money = _sum(term.quantity for term in terms), _sum(term.amount or Decimal(0) for term in terms)

        def happen(holding: Holding, last: bool) -> None:
            held = holding.quantity
            after = held + change
            if not held:
                holding.open(change, None)
            elif (after > 0) == (held > 0) and after:
                holding.scale(change, self._fraction(holding, after, last=last) if money else Fraction(0))
            elif money and not after:  # less than one unit would have been left
                holding.close(change, Fraction(0))
            else:
                holding.carry(change, None)

        return happen

    def _fraction(self, holding: Holding, after: Fraction, *, last: bool) -> Fraction | None:
        """The part of a unit that was paid in money: what the broker's own cost of the units leaves of the cost before."""
        cost, reported = holding.cost, self._reported
        if last and self._whole and cost is not None and reported is not None and reported.avg_price:
            price = Fraction(reported.avg_price)
            fraction = cost / price - after
            rounding = abs(after) * _half_a_place(reported.avg_price) / price
            if abs(fraction) <= rounding:
                return Fraction(0)
            if 0 < fraction / after < 1 / abs(after):
                return fraction
        self._notes.append("how much of a unit was paid in money is not known, and so not what it had cost")
        return None

    def _carried(self, terms: Sequence[Term]) -> Happen:
        change, money = _sum(term.quantity for term in terms), _sum(term.amount or Decimal(0) for term in terms)
        kinds, stated = {term.kind for term in terms}, {term.price for term in terms if term.price is not None}
        price = Fraction(stated.pop()) if kinds == {"transfer"} and len(stated) == 1 else None

        def happen(holding: Holding, _: bool) -> None:
            held = holding.quantity
            if not money or kinds == {"transfer"}:
                holding.carry(change, price)
            elif kinds == {"merger"} and held * change < 0 and self._multiplier:
                holding.open(holding.close(change, -money / (change * self._multiplier)), None)
            else:
                self._notes.append("what the part that was paid in money had cost is not known")
                holding.carry(change, None)
                holding.realised = None

        return happen

    def _currency_of_all(self) -> str | None:
        """The currency of every amount; where there are several, no sum of them is known."""
        sides = [side.currency for side in (self._reported, self._book) if side and side.currency]
        paid = [term.currency for term in self._terms if term.currency and (term.price or term.amount or term.fee)]
        found = list(dict.fromkeys([*sides, *paid]))
        if len(found) > 1:
            self._unknown(f"its amounts are in {' and '.join(found)}")
        return found[0] if found else None

    def _multiplier_of_all(self) -> Fraction | None:
        """What turns a unit into money: as the broker says it, else the book; 1 of what is neither option nor future."""
        told = [self._reported and self._reported.multiplier, *(term.multiplier for term in self._terms)]
        stated = list(dict.fromkeys(each for each in told if each))
        own = self._book and self._book.multiplier
        if len(stated) > 1:
            self._unknown(f"the broker says multipliers of {' and '.join(map(plain, stated))}")
        elif stated and own and own != stated[0]:
            self._notes.append(f"the book's multiplier is {plain(own)}, the broker's {plain(stated[0])}")
        if stated or own:
            return Fraction(stated[0] if stated else own or 1)
        classes = [side.asset_class or "" for side in (self._reported, self._book) if side]
        if any(map(DERIVED.search, classes)):
            self._unknown("its multiplier is not known")
            return None
        return Fraction(1)

    def _own(self, fills: Sequence[Fill] | None) -> Sequence[Fill] | None:
        """The book's fills, where they are all that made its position."""
        held = Fraction(self._book.quantity) if self._book else Fraction(0)
        if fills is not None and _sum(fill.quantity for fill in fills) == held:
            return fills
        if held and self._book and self._book.avg_price is None:
            self._notes.append("the book has no entry price")
        elif held and fills:
            self._notes.append("the book's own fills do not add up to its position: its entry price stands for all of it")
        return None

    def _unknown(self, why: str) -> None:
        self._known = False
        self._notes.append(why)


def _traded(fill: Fill) -> _Event:
    quantity, price = Fraction(fill.quantity), Fraction(fill.price)
    return _Event(fill.traded_at, fill.id, lambda holding, _: holding.trade(quantity, price))


def _moment(term: Term) -> datetime:
    """When a term happened. Of a day alone: what changes the units of a holding before all trades of it, the rest after them."""
    if term.at is not None:
        return term.at
    return datetime.combine(term.on, time.min if term.kind in SCALES else time.max, UTC)


def _in_lieu(term: Term) -> bool:
    return term.kind in SCALES or term.kind in ("symbol_change", "spin_off", "cash")


def _sum(numbers: Iterable[Decimal]) -> Fraction:
    return sum(map(Fraction, numbers), Fraction(0))


def _half_a_place(price: Decimal) -> Fraction:
    """Half a unit of the last decimal that a price is written with: by so much it may be rounded."""
    exponent = price.normalize(EXACT).as_tuple().exponent
    return Fraction(1, 2) * Fraction(10) ** min(int(exponent), 0)
