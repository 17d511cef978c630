"""A second opinion on profit: each unit a list entry with its own cost, in slow Python that shares nothing with the engine."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from fractions import Fraction

from correction_samples import MORNING, difference, explained, fill, held, term
from hypothesis import given, settings
from hypothesis import strategies as st

from recon_core.evidence import Fill
from recon_core.explanation import Term
from recon_core.lots import Method
from recon_core.pnl import outcome

WIDE = Context(prec=300, rounding=ROUND_HALF_EVEN)
PRICES = st.decimals("0.0001", "999", places=4)


class Units:
    """The units that are held: the cost of each, the oldest first."""

    def __init__(self, method: Method) -> None:
        self.method = method
        self.costs: list[Fraction] = []
        self.side = 1
        self.realised = Fraction(0)

    def trade(self, quantity: int, price: Decimal) -> None:
        side = 1 if quantity > 0 else -1
        for _ in range(abs(quantity)):
            if self.costs and self.side != side:
                cost = self.costs.pop(0)
                self.realised += self.side * (Fraction(price) - cost)
                continue
            self.side = side
            self.costs.append(Fraction(price))
            if self.method == "average":
                self.costs = [sum(self.costs) / len(self.costs)] * len(self.costs)

    def split(self, times: int) -> None:
        self.costs = [cost / times for cost in self.costs for _ in range(times)]

    @property
    def quantity(self) -> int:
        return self.side * len(self.costs)

    @property
    def price(self) -> Decimal | None:
        return rounded(sum(self.costs) / len(self.costs)) if self.costs else None


def rounded(number: Fraction) -> Decimal:
    return WIDE.quantize(WIDE.divide(Decimal(number.numerator), Decimal(number.denominator)), Decimal("1e-12"))


TRADES = st.tuples(st.integers(-12, 12).filter(bool), PRICES)
SPLITS = st.tuples(st.sampled_from(["split"]), st.integers(2, 4))
FEES = st.decimals("-1", "5", places=2)
METHODS = st.sampled_from(["average", "fifo"])


def rows_of_a_split(quantity: int, times: int, hours: int, *, moved: bool) -> list[Term]:
    """What a broker books: the units that come, or all of them out and in again."""
    parts = [-quantity, quantity * times] if moved else [quantity * (times - 1)]
    at = MORNING + timedelta(hours=hours)
    return [
        term(str(part), kind="split", cause="CORPORATE_ACTION", hours=hours, event=f"split {hours}", id=f"s{hours}{part}", at=at)
        for part in parts
    ]


@settings(max_examples=200, deadline=None)
@given(
    opening=st.tuples(st.integers(-12, 12), PRICES),
    events=st.lists(st.one_of(TRADES, SPLITS), min_size=1, max_size=8),
    fees=st.lists(FEES, min_size=8, max_size=8),
    method=METHODS,
    multiplier=st.sampled_from([1, 10, 100]),
    moved=st.booleans(),
    order=st.randoms(use_true_random=False),
)
def test_missed_events_realise_what_units_counted_one_by_one_do(opening, events, fees, method, multiplier, moved, order):
    units = Units(method)
    if opening[0]:
        units.trade(*opening)
    book = held(str(opening[0]), str(opening[1]), multiplier=Decimal(multiplier)) if opening[0] else None
    terms: list[Term] = []
    for hours, (what, how) in enumerate(events):
        if what == "split":
            terms += rows_of_a_split(units.quantity, how, hours, moved=moved) if units.quantity else []
            units.split(how)
        else:
            terms.append(term(str(what), str(how), hours=hours, fee=str(fees[hours]), multiplier=str(multiplier)))
            units.trade(what, how)
    order.shuffle(terms)
    if not terms:
        return
    reported = held(str(units.quantity), multiplier=Decimal(multiplier)) if units.quantity else None
    found = outcome(difference(book, reported), explained(*terms), method=method, fills=None)
    assert found.pnl.realised == rounded(units.realised * multiplier)
    assert found.price == units.price
    assert found.pnl.fees == sum((each.fee for each in terms if each.fee is not None), Decimal(0))
    assert found.notes == ()


@settings(max_examples=200, deadline=None)
@given(
    trades=st.lists(st.tuples(TRADES, st.booleans()), min_size=1, max_size=10),
    split=st.one_of(st.none(), st.tuples(st.integers(0, 9), st.integers(2, 4))),
    method=METHODS,
)
def test_in_its_place_among_the_books_own_fills_a_missed_one_changes_what_later_ones_realise(trades, split, method):
    truth, booked = Units(method), Units(method)
    own: list[Fill] = []
    terms: list[Term] = []
    for hours, ((quantity, price), missed) in enumerate(trades):
        if split and split[0] == hours and truth.quantity:
            terms += rows_of_a_split(truth.quantity, split[1], hours, moved=False)
            terms = [replace(each, at=each.at - timedelta(minutes=1)) if each.kind == "split" else each for each in terms]
            truth.split(split[1])
        truth.trade(quantity, price)
        if missed:
            terms.append(term(str(quantity), str(price), hours=hours))
        else:
            own.append(fill(str(quantity), str(price), hours))
            booked.trade(quantity, price)
    if not terms:
        return
    book = held(str(booked.quantity), str(booked.price)) if booked.quantity else None
    reported = held(str(truth.quantity)) if truth.quantity else None
    found = outcome(difference(book, reported), explained(*terms), method=method, fills=own)
    assert found.pnl.realised == rounded(truth.realised - booked.realised)
    assert found.price == truth.price


def test_a_history_of_thousands_of_fills_is_played_through_exactly():
    own = [fill(str(quantity), f"10.{place % 97:02}", place) for place, quantity in enumerate([7, -3, 5, -2, 6, -8] * 500)]
    quantity = cost = Decimal(0)
    with localcontext(WIDE):  # 300 digits, where a fraction would have thousands
        for each in own:
            if each.quantity < 0:
                cost += cost / quantity * each.quantity
            else:
                cost += each.quantity * each.price
            quantity += each.quantity
        expected = (quantity * Decimal("11.11") - cost).quantize(Decimal("1e-12"))
    gap = difference(held(str(quantity), "10"), None)
    missed = explained(term(str(-quantity), "11.11", hours=len(own)))
    assert outcome(gap, missed, method="average", fills=own).pnl.realised == expected
