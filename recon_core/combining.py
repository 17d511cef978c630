"""Which terms of a position explain its difference: all that are known by id to be missing, and of the others those that fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction

from recon_core.announced import Announced, decimal_of
from recon_core.bookings import OF_AN_ISSUER
from recon_core.explanation import Difference, Term
from recon_core.subsets import MOST_TIES, AddingUp, adding_up
from recon_core.terms import order

_NEAR = timedelta(days=1)
"""So near to its day a split may be before or after a trade: an evening's in New York is of the next day in UTC."""

_MIDNIGHTS = timedelta(minutes=15)
"""The days of all time zones begin at multiples of it."""

Item = tuple[Term, ...]
"""Terms that stand or fall together."""


@dataclass(frozen=True, slots=True)
class Found:
    """The terms that were found (none: nothing fits), how many other sets fit, and whether all were tried."""

    terms: tuple[Term, ...] = ()
    ties: int = 0
    exhaustive: bool = True


@dataclass(frozen=True, slots=True)
class _Way:
    """One reading of what is on file: what is certain, what was announced, and what may be added to it.

    ``moment`` is from when on units are those after the event.
    """

    items: Sequence[Item]
    fixed: Sequence[Term] = ()
    event: Announced | None = None
    moment: datetime | None = None

    def before(self, term: Term) -> bool:
        """Whether it moved units of before the event."""
        if self.event is None or self.moment is None:
            return False
        return term.at < self.moment if term.at else term.on < self.event.term.on

    def scale(self, item: Sequence[Term]) -> Fraction | None:
        """What a unit of it is today; None where the event leaves nothing of it that could be reckoned with."""
        before = [self.before(term) for term in item]
        if self.event is None or not any(before):
            return Fraction(1)
        return self.event.ratio if all(before) else None


def combined(difference: Difference, terms: Sequence[Term], events: Sequence[Announced], *, by_id: bool, effort: int) -> Found:
    """The terms that leave nothing of the difference; with ``by_id`` all fills among them, and what else fits beside."""
    wanted = difference.quantity_difference.copy_negate()
    exhaustive = True
    for fixed, items in _readings(terms, by_id=by_id):
        found: list[tuple[tuple[int, bool, list[int]], tuple[Term, ...], int]] = []
        for event in (None, *events):
            moments = _moments(event, terms)
            sets: dict[tuple[int, ...], tuple[_Way, int]] = {}
            for moment in moments:
                way = _Way(items, fixed, event, moment)
                chosen, ties, tried = _fitting(way, wanted, effort // len(moments))
                exhaustive = exhaustive and tried
                if chosen is not None:
                    sets.setdefault(chosen, (way, ties))
            for chosen, (way, ties) in sets.items():  # another set at another moment is a tie
                rank = (len(chosen) + (event is not None), event is not None, [-place for place in reversed(chosen)])
                found.append((rank, _terms(way, [items[place] for place in chosen]), ties))
        if found:
            best = min(found, key=lambda each: each[0])
            return Found(best[1], min(sum(ties + 1 for _, _, ties in found) - 1, MOST_TIES), exhaustive)
    return Found(exhaustive=exhaustive)


def partly(difference: Difference, terms: Sequence[Term], events: Sequence[Announced], *, by_id: bool) -> Found:
    """What leaves less of the difference than all of it: what is certain, and one or all of what else the broker booked.

    Where an event was announced only what is certain and surely later: what it makes of the rest does not add up.
    """
    wanted = difference.quantity_difference.copy_negate()
    if events:
        last = max(_day(event.term) for event in events) + _NEAR
        terms = [term for term in terms if by_id and _is_certain(term) and term.at is not None and term.at >= last]
    fixed = [term for term in terms if by_id and _is_certain(term)]
    items = [item for item in items_of([term for term in terms if not (by_id and _is_certain(term))]) if _is_named(item)]
    sets = [fixed] if fixed else []
    sets += [[*fixed, *item] for item in reversed(items)]
    if len(items) > 1:
        sets.append([*fixed, *(term for item in items for term in item)])
    if not sets:
        return Found()
    left = [abs(wanted - _sum(chosen)) for chosen in sets]
    least = min(left)
    if least >= abs(wanted):
        return Found()
    return Found(tuple(sorted(sets[left.index(least)], key=order)), left.count(least) - 1)


def items_of(terms: Sequence[Term]) -> list[Item]:
    """The terms in the order of time, those of one event together, at its last."""
    if not any(term.event for term in terms):  # nearly always, and of fills there may be thousands
        return [(term,) for term in sorted(terms, key=order)]
    together: dict[str | int, list[Term]] = {}
    for place, term in enumerate(terms):
        together.setdefault(term.event or place, []).append(term)
    return sorted((tuple(sorted(item, key=order)) for item in together.values()), key=lambda item: order(item[-1]))


def _readings(terms: Sequence[Term], *, by_id: bool) -> Iterator[tuple[Sequence[Term], Sequence[Item]]]:
    """What is certain and what may be, the likeliest first.

    Of an issuer's events one that takes another back leaves neither, unless only so something fits. A fill that the book alone has
    may be one that its position does not hold.
    """
    certain = [term for term in terms if by_id and _is_certain(term)]
    known = [term for term in certain if term.kind != "book_fill"]
    raw = items_of([term for term in terms if not (by_id and _is_certain(term))])
    standing = _standing(raw)
    for fixed in (certain, known) if len(known) < len(certain) else (certain,):
        yield fixed, standing
        if len(standing) < len(raw):
            yield fixed, raw


def _standing(items: Sequence[Item]) -> list[Item]:
    """The items without those that take each other back."""
    open_to: dict[tuple[str, Decimal], list[int]] = {}
    gone: set[int] = set()
    for place, item in enumerate(items):
        kind, moved = item[0].kind, _sum(item)
        if kind not in OF_AN_ISSUER or not moved:
            continue
        if earlier := open_to.get((kind, -moved)):
            gone |= {place, earlier.pop()}
        else:
            open_to.setdefault((kind, moved), []).append(place)
    return [item for place, item in enumerate(items) if place not in gone]


def _fitting(way: _Way, wanted: Decimal, effort: int) -> AddingUp:
    """The places of the items to add in one reading."""
    if way.event is not None:
        wanted -= way.event.term.quantity
    for term in way.fixed:
        scale = way.scale((term,))
        value = decimal_of(Fraction(term.quantity) * scale) if scale is not None else None
        if value is None:
            return AddingUp(None)
        wanted -= value
    scaled = []
    for item in way.items:
        scale = way.scale(item)
        value = (_sum(item) if scale == 1 else decimal_of(Fraction(_sum(item)) * scale)) if scale is not None else None
        scaled.append(value if value is not None else Decimal(0))  # of which none is ever chosen
    return adding_up(scaled, wanted, effort=effort)


def _moments(event: Announced | None, terms: Sequence[Term]) -> list[datetime | None]:
    """From when on units may be those after an event: the beginning of its day in UTC, and beside each trade of about that time."""
    if event is None:
        return [None]
    begin = _day(event.term)
    near = {term.at for term in terms if event.ratio and term.at is not None and abs(term.at - begin) < _NEAR}
    parted = {at - (at - begin) % _MIDNIGHTS + step for at in near for step in (timedelta(0), _MIDNIGHTS)}
    return [begin, *sorted(parted - {begin})]


def _day(term: Term) -> datetime:
    """The beginning, in UTC, of the day that an event was announced for."""
    return datetime.combine(term.on, time.min, UTC)


def _terms(way: _Way, chosen: Sequence[Item]) -> tuple[Term, ...]:
    """The terms of a reading; an announced event with what it makes of the units that were missed before it.

    Where it was not at the beginning of its day in UTC it has the time from which on its units are the new ones.
    """
    terms = [*way.fixed, *(term for item in chosen for term in item)]
    if way.event is not None:
        before = sum(
            (Fraction(term.quantity) * (way.event.ratio - 1) for term in terms if way.event.ratio and way.before(term)),
            Fraction(0),
        )
        quantity = way.event.term.quantity + (decimal_of(before) or Decimal(0))
        at = way.moment if way.moment != _day(way.event.term) else None
        terms.append(replace(way.event.term, quantity=quantity, at=at))
    return tuple(sorted(terms, key=order))


def _is_certain(term: Term) -> bool:
    """Of terms that are known by id: whether it is."""
    return term.kind in ("fill", "book_fill") and not term.doubt


def _is_named(item: Item) -> bool:
    return all(term.cause != "UNCLASSIFIED" for term in item)


def _sum(terms: Sequence[Term]) -> Decimal:
    return terms[0].quantity if len(terms) == 1 else sum((term.quantity for term in terms), Decimal(0))
