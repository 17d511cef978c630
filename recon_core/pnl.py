"""What a correction means in money: the missed events played through the lots of a position, in the order of time.

Every amount is in the position's currency, the multiplier included; profit is positive. The constants say what each kind of
event does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import NamedTuple

from recon_core.denomination import denomination, fees_of
from recon_core.evidence import Fill
from recon_core.explanation import EXACT, Difference, Explanation, ProfitAndLoss, Term
from recon_core.lots import Holding, Method, as_decimal
from recon_core.written_numbers import plain

SCALES = ("split", "reverse_split", "stock_dividend")
"""What changes the number of units and not what they cost together."""

CARRIES = ("symbol_change", "merger", "spin_off", "transfer")
"""What brings units or takes them away with what they cost, unless money came instead."""

ENDS = ("expiry", "exercise", "assignment", "removal", "fee_in_kind")
"""What closes units for the money that came with it: mostly none."""

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


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
        self._difference, self._book, self._reported = difference, difference.book, difference.reported
        self._method: Method = method
        self._terms = [term for term in explanation.terms if term.cause != "UNSETTLED"]
        self._whole = explanation.explained and len(self._terms) == len(explanation.terms)
        told = denomination(difference, self._terms)
        self._currency, self._multiplier, self._known = told.currency, told.multiplier, not told.doubts
        self._notes = [*told.doubts, *told.notes]
        self._in_lieu = Decimal(0)
        self._own = [term for term in self._terms if term.currency in (None, self._currency)]
        self._history = self._own_history(fills)

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
        fees = fees_of(self._terms, self._currency)
        paid = fees.pop(self._currency, Decimal(0))
        for currency in sorted(each for each in fees if each is not None):
            told = (
                f"fees of {plain(fees[currency])} {currency or 'in a currency that nobody says'} are not in the profit, which is in"
            )
            self._notes.append(f"{told} {self._currency or 'no known currency'}: its total is not known")
        pnl = ProfitAndLoss(
            method=self._method,
            currency=self._currency,
            realised=realised,
            cash_in_lieu=self._in_lieu,
            fees=paid,
            all_fees=not fees,
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
        """The terms as events; the rows of one that moves units around, and the money of them, are one."""
        together: dict[str, list[Term]] = {}
        events = {term.event for term in self._terms if term.event and _family(term) in (*SCALES, *CARRIES)}
        for term in self._terms:
            if _family(term) in (*SCALES, *CARRIES) or (term.event in events and term.kind == "cash"):
                together.setdefault(term.event or f"{term.kind} {term.on}", []).append(term)
            elif term.quantity:
                yield _Event(self._moment(term), term.id, self._single(term))
            else:
                self._keep(self._paid_for([term]))
        for terms in together.values():
            scales = any(_family(term) in SCALES for term in terms)
            happen = self._scaled(terms) if scales else self._carried(terms)
            yield _Event(min(map(self._moment, terms)), min(term.id for term in terms), happen)

    def _keep(self, money: Decimal) -> None:
        """Money that came for a part of a unit, or for nothing that was closed."""
        self._in_lieu = EXACT.add(self._in_lieu, money)

    def _paid_for(self, terms: Sequence[Term]) -> Decimal:
        with localcontext(EXACT):
            return sum((term.amount for term in terms if term.amount and term in self._own), Decimal(0))

    def _moment(self, term: Term) -> datetime:
        """When a term happened. Of a day alone: what changes the units of a holding before all trades of it, the rest after them.

        What the book has and never was is undone in what the book's row says, or else after all of its history.
        """
        if term.kind == "book_fill":
            return FIRST if self._history is None else LAST
        if term.at is not None:
            return term.at
        return datetime.combine(term.on, time.min if _family(term) in SCALES else time.max, UTC)

    def _single(self, term: Term) -> Happen:
        quantity, price = Fraction(term.quantity), self._price(term)
        if term.kind == "book_fill":
            return lambda holding, _: holding.take_back(-quantity, price)
        if _family(term) in ENDS:
            came = price if term.amount else Fraction(0)
            return lambda holding, _: holding.open(holding.close(quantity, came), None)
        if price is None:
            self._notes.append(f"{term.kind} {term.id} has no price")
        return lambda holding, _: holding.trade(quantity, price)

    def _price(self, term: Term) -> Fraction | None:
        """What a unit was traded at: as stated, else as the money that came for it says."""
        if term.price is not None and _family(term) not in ENDS:
            return Fraction(term.price)
        return self._per_unit(term.amount, Fraction(term.quantity))

    def _per_unit(self, amount: Decimal | None, quantity: Fraction) -> Fraction | None:
        if not amount or not quantity or not self._multiplier:
            return None
        return -Fraction(amount) / (quantity * self._multiplier)

    def _scaled(self, terms: Sequence[Term]) -> Happen:
        change, money = _sum(term.quantity for term in terms), self._paid_for(terms)
        ratio = next((term.ratio for term in terms if term.ratio is not None), None)

        def happen(holding: Holding, last: bool) -> None:
            self._keep(money)
            held = holding.quantity
            after = held + change
            left = None if ratio is None or not held else held * ratio - after
            if not held:
                holding.open(change, None)
            elif (after > 0) == (held > 0) and after:
                holding.scale(change, self._fraction(holding, after, left, last=last) if money or left else Fraction(0))
                if left and not money:
                    self._unknown("the money for a part of a unit is not known")
            elif money and not after:  # less than one unit would have been left
                holding.close(change, Fraction(0))
            else:
                holding.carry(change, None)

        return happen

    def _fraction(self, holding: Holding, after: Fraction, left: Fraction | None, *, last: bool) -> Fraction | None:
        """The part of a unit that was paid in money, always more than none: what the announced ratio leaves of the units, else what
        the broker's own cost of them leaves of the cost before, where that is more than its price may be rounded by."""
        cost, reported = holding.cost, self._reported
        if left and 0 < left / after < 1 / abs(after):
            return left
        if last and self._whole and cost is not None and reported is not None and reported.avg_price:
            price = Fraction(reported.avg_price)
            fraction = cost / price - after
            rounding = abs(after) * self._half_a_place(reported.avg_price) / price
            if rounding < abs(fraction) and 0 < fraction / after < 1 / abs(after):
                return fraction
        self._notes.append("how much of a unit was paid in money is not known, and so not what it had cost")
        return None

    def _half_a_place(self, price: Decimal) -> Fraction:
        """Half a unit of the last decimal that the feed's prices are written with: by so much one may be rounded."""
        places = self._difference.price_places
        written = -int(price.as_tuple().exponent) if places is None else places
        return Fraction(1, 2 * 10 ** max(written, 0))

    def _carried(self, terms: Sequence[Term]) -> Happen:
        change, money = _sum(term.quantity for term in terms), self._paid_for(terms)
        families, stated = {_family(term) for term in terms}, {term.price for term in terms if term.price is not None}
        moved = families == {"transfer"}
        price = Fraction(stated.pop()) if moved and len(stated) == 1 else None

        def happen(holding: Holding, _: bool) -> None:
            if not money or moved:
                holding.carry(change, price)
            elif "merger" in families and holding.quantity * change < 0 and self._multiplier:
                holding.open(holding.close(change, -Fraction(money) / (change * self._multiplier)), None)
            else:
                self._keep(money)
                self._notes.append("what the part that was paid in money had cost is not known")
                holding.carry(change, None)
                holding.realised = None

        return happen

    def _own_history(self, fills: Sequence[Fill] | None) -> Sequence[Fill] | None:
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


def _family(term: Term) -> str:
    """The kind of a term, of what was announced the one that does to a holding what it does."""
    if term.kind != "announced":
        return term.kind
    if term.ratio is not None:
        return "split"
    return "removal" if term.cause == "CLOSED_BY_BROKER" else "merger"


def _sum(numbers: Iterable[Decimal]) -> Fraction:
    return sum(map(Fraction, numbers), Fraction(0))
