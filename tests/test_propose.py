"""What is proposed to mend the book: the exact change, who must look at it, and by what name it goes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from correction_samples import MORNING, difference, explained, fill, held, term

from recon_core.explanation import Difference, Explanation, Proposal
from recon_core.propose import propose

EVENING = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)


def proposed(gap: Difference, explanation: Explanation, **more: Any) -> Proposal | None:
    given: dict[str, Any] = {"method": "average", "fills": None, "lots": False, "episode_first_seen": None, "as_of": EVENING}
    return propose(gap, explanation, **(given | more))


def change(gap: Difference, explanation: Explanation, **more: Any) -> Proposal:
    found = proposed(gap, explanation, **more)
    assert found is not None
    return found


MISSED = difference(held("100", "10"), held("150", "11"))
BOUGHT = explained(term("50", "13"))


def test_a_missed_purchase_updates_quantity_and_entry_price_and_nothing_else():
    found = change(MISSED, BOUGHT)
    assert (found.kind, found.key) == ("update", ("b", "A", "AAPL", "NET"))
    assert found.before is not None
    assert found.after is not None
    assert found.before["quantity"] == "100"
    changed = {name: found.after[name] for name in found.after if found.after[name] != found.before[name]}
    assert changed == {"quantity": "150", "avg_price": "11", "updated_at": "2026-11-20T21:00:00Z"}
    assert (found.automatic, found.review) == (True, "")


def test_a_position_that_is_closed_at_the_broker_is_deleted():
    found = change(difference(held("100", "10"), None), explained(term("-100", "12")))
    assert (found.kind, found.after) == ("delete", None)
    assert found.pnl.realised == 200
    assert found.automatic


def test_a_zero_row_at_the_broker_is_closed_too():
    assert change(difference(held("100", "10"), held("0")), explained(term("-100", "12"))).kind == "delete"


def test_what_only_the_broker_has_is_entered_at_its_price_and_a_person_looks():
    found = change(difference(None, held("-5", "10.25", asset_class="us_equity")), explained(term("-5", "10.20")))
    assert (found.kind, found.before) == ("insert", None)
    assert found.after == {
        "broker": "b", "account": "A", "symbol": "AAPL", "leg": "NET", "asset_class": "us_equity", "currency": "USD",
        "quantity": "-5", "avg_price": "10.25", "multiplier": None, "isin": None, "cusip": None,
        "updated_at": "2026-11-20T21:00:00Z", "opened_at": "2026-11-20T14:30:00Z",
    }  # fmt: skip
    assert found.review == "new in the book, entered at 10.25: check how the position came about"


def test_without_a_price_of_the_brokers_the_entry_is_computed():
    assert (change(difference(held("100", "10"), held("150")), BOUGHT).after or {})["avg_price"] == "11"
    found = change(difference(held("100"), held("150")), BOUGHT)
    assert (found.after or {})["avg_price"] is None
    assert "the entry price is not known: the book's stays" in found.review


def test_entry_prices_that_are_far_apart_are_shown_both():
    found = change(difference(held("100", "10"), held("150", "12")), BOUGHT)
    assert found.review == "the broker's entry price is 12, the evidence makes it 11"
    assert found.automatic  # it is a question of price, not of what is held


def test_currency_and_multiplier_follow_the_broker_where_both_sides_say_them():
    book = held("100", "10", currency="GBX", multiplier=Decimal(1))
    found = change(difference(book, held("150", "11", currency="GBP", multiplier=Decimal(10))), BOUGHT)
    after = found.after or {}
    assert (after["currency"], after["multiplier"]) == ("GBP", "10")
    assert "currency GBX becomes GBP; multiplier 1 becomes 10" in found.review
    silent = change(difference(held("100", "10"), held("150", "11", multiplier=Decimal(10))), BOUGHT)
    assert (silent.after or {})["multiplier"] is None  # the book does not keep it


def test_nothing_is_proposed_for_what_is_not_explained_or_only_unsettled():
    assert proposed(MISSED, Explanation(status="PARTLY", cause="MISSED_FILL", residual=Decimal(-10), terms=BOUGHT.terms)) is None
    assert proposed(MISSED, Explanation(status="UNEXPLAINED", cause="UNEXPLAINED", residual=Decimal(-50))) is None
    assert proposed(MISSED, explained(term("50", "13", cause="UNSETTLED"))) is None


@pytest.mark.case("F09")
def test_of_missed_and_unsettled_the_missed_alone_is_corrected():
    gap = difference(held("100", "10"), held("150", "11"))
    found = change(gap, explained(term("20", "13"), term("30", "9", hours=1, cause="UNSETTLED")))
    assert (found.after or {})["quantity"] == "120"
    assert (found.after or {})["avg_price"] == "10.5"  # (100 x 10 + 20 x 13) / 120, not the broker's of 150
    assert found.review == "what is unsettled stays as it is until it clears"


def test_a_doubtful_explanation_is_never_applied_by_itself():
    found = change(MISSED, replace(BOUGHT, doubt="evidence is not complete: page 3 failed"))
    assert (found.automatic, found.review) == (False, "evidence is not complete: page 3 failed")


def test_a_book_that_keeps_lots_is_not_changed_by_itself():
    assert not change(MISSED, BOUGHT, lots=True).automatic


def test_an_unknown_profit_is_said_and_the_change_is_offered_all_the_same():
    found = change(difference(held("100", "10"), held("50", "10")), explained(term("-50", id="x7")))
    assert (found.pnl.realised, found.review, found.automatic) == (None, "fill x7 has no price", True)


def test_the_id_is_that_of_the_change_and_not_of_the_run():
    first = change(MISSED, BOUGHT)
    again = change(MISSED, BOUGHT, episode_first_seen=EVENING, as_of=EVENING + timedelta(days=1))
    assert first.id == again.id
    touched = replace(MISSED, book=held("100", "10", updated_at=MORNING))
    assert change(touched, BOUGHT).id == first.id  # that a row was confirmed is no other change of it
    assert first.id[0] == "C"


@pytest.mark.case("H06")
def test_another_change_another_position_and_another_episode_are_another_correction():
    others = [
        change(difference(held("100", "10"), held("160", "11")), explained(term("60", "13"))),
        change(difference(held("100", "10.5"), held("150", "11")), BOUGHT),
        change(replace(MISSED, account="B"), BOUGHT),
        change(MISSED, BOUGHT, episode_first_seen=EVENING - timedelta(days=3)),
    ]
    assert len({found.id for found in (change(MISSED, BOUGHT), *others)}) == 5


def test_numbers_of_the_change_are_exact():
    whole = "12345678901.123456789012345678"
    found = change(difference(held("1", "1"), held(whole, "1")), explained(term("12345678900.123456789012345678", "1")))
    assert (found.after or {})["quantity"] == whole


def test_first_in_first_out_reaches_the_proposal():
    own = [fill("60", "10", -5), fill("40", "15", -4)]
    found = change(difference(held("100", "12"), held("30", "15")), explained(term("-70", "20")), method="fifo", fills=own)
    assert (found.pnl.method, found.pnl.realised) == ("fifo", 650)


def test_a_split_without_a_price_at_the_broker_keeps_what_the_position_cost():
    split = term("300", kind="split", hours=None, cause="CORPORATE_ACTION", on=date(2026, 11, 20))
    assert (change(difference(held("100", "100"), held("400")), explained(split)).after or {})["avg_price"] == "25"
