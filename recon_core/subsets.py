"""Which of several exact quantities add up to a sum. Pure integers inside, so that nothing is rounded.

All sets are tried, by the sums that can be reached at all: as the bits of one number where the quantities are round enough, else
as a set. Where that takes more than ``effort`` bits, only the sets that a person would try are: all, one, two, all but one or two,
and all up to or from some time on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import accumulate, chain, islice
from math import gcd
from typing import Any, NamedTuple

MOST_TIES = 100
EFFORT = 1 << 27
"""Bits: 16 MB of them, made in some milliseconds. A sum in a set costs as much time as some thousand bits."""

BITS_OF_A_SUM = 1 << 11

Chosen = tuple[int, ...]
_Taken = tuple[int, "_Taken"] | None
"""A place and those before it: sets that begin alike share their beginning."""


class AddingUp(NamedTuple):
    """The places of the chosen quantities (None: no set was found), how many other sets were, and whether all were tried."""

    places: Chosen | None
    ties: int = 0
    exhaustive: bool = True


def adding_up(quantities: Sequence[Decimal], wanted: Decimal, *, effort: int = EFFORT) -> AddingUp:
    """The quantities that add up to ``wanted``: the fewest, and of as few the last ones. Other sets are counted up to 100.

    ``quantities`` are in the order of time; one of 0 is never chosen. Nothing at all adds up to 0.
    """
    places = [place for place in reversed(range(len(quantities))) if quantities[place]]
    weights, rest = _whole([quantities[place] for place in places], wanted)
    total, low = sum(weights), sum(weight for weight in weights if weight < 0)
    if rest is None or not low <= rest <= total - low:
        return AddingUp(None)
    layers = _layers(weights, low, effort)
    found = list(islice(_tried(weights, rest), MOST_TIES + 1)) if layers is None else _all(weights, rest, layers)
    if found:
        best, ties = min(found, key=lambda chosen: (len(chosen), chosen)), len(found) - 1
    elif found is None and layers is not None:
        best, ties = _fewest(weights, rest, low, effort) or _first(weights, rest, layers), MOST_TIES
    else:
        return AddingUp(None, exhaustive=layers is not None)
    return AddingUp(tuple(sorted(places[place] for place in best)), ties, layers is not None)


def _whole(quantities: Sequence[Decimal], wanted: Decimal) -> tuple[list[int], int | None]:
    """The same in the greatest common unit; None where ``wanted`` is no multiple of it."""
    ratios = [quantity.as_integer_ratio() for quantity in (*quantities, wanted)]
    scale = 1
    for _, below in ratios:
        scale = scale * below // gcd(scale, below)
    *weights, rest = (above * (scale // below) for above, below in ratios)
    unit = gcd(*weights) or 1
    return [weight // unit for weight in weights], rest // unit if rest % unit == 0 else None


class _Bits:
    """Sums as the bits of a number: bit 0 is the sum ``low``."""

    __slots__ = ("_bits", "_bytes", "_low")

    def __init__(self, bits: int, low: int) -> None:
        self._bits, self._low = bits, low
        self._bytes: bytes | None = None

    @property
    def size(self) -> int:
        """How many bits it takes, or as much effort."""
        return self._bits.bit_length()

    def has(self, total: int) -> bool:
        """Whether it is one of them."""
        if self._bytes is None:  # a bit of a long number is found by copying it whole
            self._bytes = self._bits.to_bytes((self._bits.bit_length() + 7) // 8, "little")
        place = total - self._low
        return 0 <= place < len(self._bytes) * 8 and bool(self._bytes[place >> 3] >> (place & 7) & 1)

    def joined(self, other: Any, weight: int) -> _Bits:
        """These sums, and those of ``other`` with ``weight`` more."""
        more = other._bits << weight if weight > 0 else other._bits >> -weight
        return _Bits(self._bits | more, self._low)


class _Set(frozenset[int]):
    """Sums one by one: quantities with many digits have few."""

    __slots__ = ()

    @property
    def size(self) -> int:
        """How many bits it takes, or as much effort."""
        return len(self) * BITS_OF_A_SUM

    def has(self, total: int) -> bool:
        """Whether it is one of them."""
        return total in self

    def joined(self, other: Any, weight: int) -> _Set:
        """These sums, and those of ``other`` with ``weight`` more."""
        return _Set(chain(self, (total + weight for total in other)))


Sums = _Bits | _Set


def _nothing(low: int, *, bits: bool, empty: bool = False) -> Sums:
    """The sum of nothing, which is 0; with ``empty`` no sum at all."""
    if bits:
        return _Bits(0 if empty else 1 << -low, low)
    return _Set() if empty else _Set((0,))


def _fits(weights: Sequence[int], effort: int) -> bool:
    return (sum(map(abs, weights)) + 1) * len(weights) <= effort


def _layers(weights: Sequence[int], low: int, effort: int) -> list[Sums] | None:
    """For each place the sums of the quantities from there on, the sum of nothing last; None where they are too many."""
    layers = [_nothing(low, bits=_fits(weights, effort))]
    for weight in reversed(weights):
        layers.append(layers[-1].joined(layers[-1], weight))
        effort -= layers[-1].size
        if effort < 0:
            return None
    return layers[::-1]


def _all(weights: Sequence[int], wanted: int, layers: Sequence[Sums]) -> list[Chosen] | None:
    """Every set; None where there are more than are counted. A step is taken only where a set is reached by it, so that so many
    beginnings are as many sets."""
    ways: list[tuple[int, _Taken]] = [(wanted, None)] if layers[0].has(wanted) else []
    for place, weight in enumerate(weights):
        after = layers[place + 1]
        ways = [
            (left, taken if left == rest else (place, taken))
            for rest, taken in ways
            for left in (rest - weight, rest)
            if after.has(left)
        ]
        if len(ways) > MOST_TIES + 1:
            return None
    return [_unlinked(taken) for _, taken in ways]


def _unlinked(taken: _Taken) -> Chosen:
    places = []
    while taken is not None:
        place, taken = taken
        places.append(place)
    return tuple(reversed(places))


def _first(weights: Sequence[int], wanted: int, layers: Sequence[Sums]) -> Chosen:
    """The set that takes every place it can, from the first on."""
    chosen = []
    for place, weight in enumerate(weights):
        if layers[place + 1].has(wanted - weight):
            wanted -= weight
            chosen.append(place)
    return tuple(chosen)


def _fewest(weights: Sequence[int], wanted: int, low: int, effort: int) -> Chosen | None:
    """The set of the fewest, and of those the one with the first places; None where that takes too much."""
    bits = _fits(weights, effort)
    tables: list[list[Sums]] = [[_nothing(low, bits=bits)] * (len(weights) + 1)]  # by how many, by place
    while not tables[-1][0].has(wanted):
        effort -= sum(sums.size for sums in tables[-1])
        if effort < 0:
            return None
        row = [_nothing(low, bits=bits, empty=True)]
        for place in reversed(range(len(weights))):
            row.append(row[-1].joined(tables[-1][place + 1], weights[place]))
        tables.append(row[::-1])
    chosen: list[int] = []
    place = 0
    while len(chosen) < len(tables) - 1:
        if tables[len(tables) - 2 - len(chosen)][place + 1].has(wanted - weights[place]):
            wanted -= weights[place]
            chosen.append(place)
        place += 1
    return tuple(chosen)


def _tried(weights: Sequence[int], wanted: int) -> Iterator[Chosen]:
    """The sets that a person would try, each once."""
    everything, total = range(len(weights)), sum(weights)
    sums = list(accumulate(weights, initial=0))
    without: Callable[[Chosen], Chosen] = lambda out: tuple(place for place in everything if place not in out)  # noqa: E731
    tried = chain(
        [tuple(everything)] if total == wanted else [],
        _few(weights, wanted),
        (without(out) for out in _few(weights, total - wanted)),
        (tuple(everything[:place]) for place, some in enumerate(sums) if some == wanted),
        (tuple(everything[place:]) for place, some in enumerate(sums) if total - some == wanted),
    )
    seen: set[Chosen] = set()
    for chosen in tried:
        if chosen not in seen:
            seen.add(chosen)
            yield chosen


def _few(weights: Sequence[int], wanted: int) -> Iterator[Chosen]:
    """The sets of one and of two."""
    by_weight = defaultdict(list)
    for place, weight in enumerate(weights):
        by_weight[weight].append(place)
    yield from ((place,) for place in by_weight.get(wanted, ()))
    for place, weight in enumerate(weights):
        yield from ((place, other) for other in by_weight.get(wanted - weight, ()) if other > place)
