"""Which quantities add up to a sum, against every set there is."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recon_core.subsets import EFFORT, MOST_TIES, adding_up

DUST = Decimal("0.000000000000000001")
small = st.integers(-6, 6).map(Decimal)
dusty = st.sampled_from([Decimal(2), Decimal("0.5"), DUST, 7 * DUST, Decimal("12345678901234567890.5"), Decimal("-3")])


def decimals(*values: str) -> list[Decimal]:
    return [Decimal(value) for value in values]


def every_set(quantities: Sequence[Decimal], wanted: Decimal) -> list[tuple[int, ...]]:
    """All places that add up, slowly; a quantity of 0 is no member of a set."""
    places = [place for place, quantity in enumerate(quantities) if quantity]
    whole = [int(quantity / DUST) for quantity in quantities]
    sets = [chosen for size in range(len(places) + 1) for chosen in combinations(places, size)]
    return [chosen for chosen in sets if sum(whole[place] for place in chosen) == int(wanted / DUST)]


@pytest.mark.parametrize("numbers", [small, dusty])
@pytest.mark.parametrize("effort", [EFFORT, 1 << 24], ids=["whole", "half"])
def test_the_fewest_and_the_last_are_chosen_and_all_others_counted(numbers, effort, whole_context):
    @settings(max_examples=150, deadline=None)
    @given(st.lists(numbers, max_size=9), st.data())
    def check(quantities, data):
        some = data.draw(st.lists(st.sampled_from(range(len(quantities))), unique=True)) if quantities else []
        wanted = sum((quantities[place] for place in some), Decimal(0)) + data.draw(st.sampled_from(decimals("0", "0", "1")))
        sets = every_set(quantities, wanted)
        found = adding_up(quantities, wanted, effort=effort)
        assert found.exhaustive
        if not sets:
            assert found.places is None
            return
        best = min(sets, key=lambda chosen: (len(chosen), [-place for place in reversed(chosen)]))
        assert found.places == best
        assert found.ties == min(len(sets) - 1, MOST_TIES)

    check()


@pytest.fixture
def whole_context():
    from decimal import localcontext

    with localcontext() as context:
        context.prec = 120
        yield


def test_of_more_than_a_hundred_sets_the_fewest_are_chosen_all_the_same():
    found = adding_up(decimals("3", *["1"] * 12, "2", *["-1"] * 3), Decimal(5))
    assert found.places == (0, 13)
    assert found.ties == MOST_TIES


def test_nothing_adds_up_to_nothing():
    assert adding_up([], Decimal(0)).places == ()
    assert adding_up(decimals("5", "0", "-5"), Decimal(0)) == ((), 1, True)


SECRET = [Decimal(place * place * place + 1).scaleb(-18) + place for place in range(1, 61)]
"""Sixty numbers of many digits: no two sets of them are looked for in all of 2^60."""


@pytest.mark.parametrize(
    "places",
    [range(60), [7], [7, 30], range(20, 60), range(33), [*range(11), *range(12, 60)], [*range(11), *range(12, 40), *range(41, 60)]],
    ids=["all", "one", "two", "from some time on", "up to some time", "all but one", "all but two"],
)
def test_where_not_all_can_be_tried_the_sets_are_that_a_person_would_try(places):
    found = adding_up(SECRET, sum(SECRET[place] for place in places))
    assert found == (tuple(places), 0, False)


def test_what_a_person_would_not_try_is_not_found_and_that_is_said():
    assert adding_up(SECRET, SECRET[3] + SECRET[20] + SECRET[41]) == (None, 0, False)
    assert adding_up(SECRET, sum(SECRET) + 1) == (None, 0, True)


def test_sets_that_a_person_would_try_are_counted_once_each():
    assert adding_up([*SECRET, SECRET[7]], SECRET[7]) == ((60,), 1, False)
    assert adding_up([*SECRET, Decimal(-1), Decimal(1)], sum(SECRET)).ties >= 1
