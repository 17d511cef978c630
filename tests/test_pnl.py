"""What a correction means in money: every figure computed by hand, the sum beside it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from correction_samples import difference, explained, fill, held, term

from recon_core.evidence import Fill
from recon_core.explanation import Term
from recon_core.lots import Method
from recon_core.model import Position
from recon_core.pnl import Outcome, outcome, profit_and_loss

METHODS: tuple[Method, ...] = ("average", "fifo")


def played(
    book: Position | None,
    *terms: Term,
    reported: Position | None = None,
    method: Method = "average",
    fills: list[Fill] | None = None,
) -> Outcome:
    return outcome(difference(book, reported), explained(*terms), method=method, fills=fills)


def realised(book: Position | None, *terms: Term, **more: Any) -> str | None:
    found = played(book, *terms, **more).pnl.realised
    return None if found is None else f"{found.normalize():f}"


@pytest.mark.parametrize("method", METHODS)
def test_a_missed_sale_of_a_long_realises_its_price_over_the_entry(method):
    # 40 x (187.20 - 150.05) = 40 x 37.15
    assert realised(held("100", "150.05"), term("-40", "187.20"), method=method) == "1486"


@pytest.mark.parametrize("method", METHODS)
def test_a_missed_cover_of_a_short_realises_the_entry_over_its_price(method):
    # sold 30 at 50.25, bought back 10 at 40.5: 10 x 9.75
    assert realised(held("-30", "50.25"), term("10", "40.5"), method=method) == "97.5"


@pytest.mark.parametrize("method", METHODS)
def test_a_missed_purchase_realises_nothing_and_moves_the_average(method):
    found = played(held("100", "10"), term("50", "13"), method=method)
    assert found.pnl.realised == 0
    assert found.price == Decimal(11)  # (100 x 10 + 50 x 13) / 150 = 1650 / 150


def test_a_loss_is_negative():
    assert realised(held("100", "10"), term("-100", "9.99")) == "-1"  # 100 x -0.01


def test_a_sale_through_zero_closes_the_long_and_opens_a_short_at_its_price():
    found = played(held("10", "20"), term("-25", "22"))
    assert found.pnl.realised == 20  # 10 x (22 - 20); the other 15 are sold short
    assert found.price == 22


def test_a_purchase_through_zero_closes_the_short_and_opens_a_long_at_its_price():
    found = played(held("-10", "20"), term("25", "22"))
    assert found.pnl.realised == -20  # 10 x (20 - 22)
    assert found.price == 22


def test_after_zero_what_came_before_costs_nothing_any_more():
    # 10 at 20 sold at 22 with 15 short, 5 of them bought back at 21: 10 x 2 + 5 x 1
    assert realised(held("10", "20"), term("-25", "22"), term("5", "21", hours=1)) == "25"


def test_the_average_takes_no_notice_of_which_units_were_bought_first():
    own = [fill("60", "10", -5), fill("40", "15", -4)]
    # average (60 x 10 + 40 x 15) / 100 = 12; 70 x (20 - 12)
    assert realised(held("100", "12"), term("-70", "20"), fills=own) == "560"


def test_first_in_first_out_closes_the_oldest_units_of_the_books_own_fills():
    own = [fill("60", "10", -5), fill("40", "15", -4)]
    found = played(held("100", "12"), term("-70", "20"), fills=own, method="fifo")
    assert found.pnl.realised == 650  # 60 x (20 - 10) + 10 x (20 - 15)
    assert found.price == 15


def test_first_in_first_out_of_a_short():
    own = [fill("-60", "10", -5), fill("-40", "15", -4)]
    # bought back 70 at 8: 60 x (10 - 8) + 10 x (15 - 8)
    assert realised(held("-100", "12"), term("70", "8"), fills=own, method="fifo") == "190"


def test_first_in_first_out_without_fills_takes_the_books_average_for_one_lot_that_is_older():
    found = played(held("100", "10"), term("50", "13"), term("-120", "14", hours=1), method="fifo")
    assert found.pnl.realised == 420  # 100 x (14 - 10) + 20 x (14 - 13)
    assert found.price == 13


def test_fills_that_do_not_add_up_to_the_book_are_not_taken_for_its_history():
    found = played(held("100", "10"), term("-50", "13"), method="fifo", fills=[fill("60", "1", -5)])
    assert found.pnl.realised == 150  # 50 x (13 - 10)
    assert found.notes == ("the book's own fills do not add up to its position: its entry price stands for all of it",)


def test_a_purchase_missed_before_a_booked_sale_counts_that_sale_anew():
    own = [fill("100", "10", -5), fill("-50", "12", 5)]
    found = played(held("50", "10"), term("100", "11"), fills=own)
    # booked: 50 x (12 - 10) = 100; in truth the average was (1000 + 1100) / 200 = 10.5: 50 x 1.5 = 75
    assert found.pnl.realised == -25
    assert found.price == Decimal("10.5")
    assert realised(held("50", "10"), term("100", "11"), fills=own, method="fifo") == "0"  # of the first 100


def test_a_third_of_a_cost_is_a_third():
    # 3 for 2 of 100 at 10: 150 for 1000; all sold at 10 is 1500 - 1000, to the last place
    split = term("50", kind="split", hours=None, cause="CORPORATE_ACTION")
    assert realised(held("100", "10"), split, term("-150", "10", hours=1)) == "500"
    # 50 of them: 50 x 10 - 1000 / 3 = 166.666...
    assert realised(held("100", "10"), split, term("-50", "10", hours=1)) == "166.666666666667"
    assert played(held("100", "10"), split).price == Decimal("6.666666666667")


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_a_fill_and_a_split_is_that_of_time(method):
    split = term("150", kind="split", hours=None, cause="CORPORATE_ACTION", on=date(2026, 11, 21))
    before = played(held("100", "10"), term("50", "13"), split, method=method)
    assert before.price == Decimal("5.5")  # 1650 for 300
    split = term("100", kind="split", hours=None, cause="CORPORATE_ACTION", on=date(2026, 11, 20))
    after = played(held("100", "10"), term("50", "6"), split, method=method)
    assert after.price == Decimal("5.2")  # 200 for 1000, 50 for 300: 1300 / 250


@pytest.mark.parametrize("method", METHODS)
def test_a_sale_after_a_split_that_was_missed_with_it(method):
    split = term("300", kind="split", hours=None, cause="CORPORATE_ACTION")
    # 400 at 25 after 4 for 1 of 100 at 100: 40 x (30 - 25)
    assert realised(held("100", "100"), split, term("-40", "30", hours=2), method=method) == "200"


@pytest.mark.case("F05")
@pytest.mark.parametrize("rows", [["300"], ["-100", "400"], ["400", "-100"], ["150", "150"]])
def test_a_split_realises_nothing_however_it_is_booked(rows):
    terms = [
        term(row, kind="split", hours=None, cause="CORPORATE_ACTION", id=str(number), event="e") for number, row in enumerate(rows)
    ]
    found = played(held("100", "100"), *terms)
    assert (found.pnl.realised, found.price) == (0, 25)


def test_a_split_of_lots_keeps_what_each_cost():
    own = [fill("60", "10", -50), fill("40", "15", -49)]
    split = term("100", kind="split", hours=None, cause="CORPORATE_ACTION")
    # lots of 120 at 5 and 80 at 7.5; sold 150 at 9: 120 x 4 + 30 x 1.5
    assert realised(held("100", "12"), split, term("-150", "9"), fills=own, method="fifo") == "525"


@pytest.mark.case("F06")
def test_a_reverse_split_with_cash_in_lieu_realises_what_the_fraction_had_cost():
    # 105 at 10 are 10.5 at 100: half a unit, which had cost 50, is paid with 48
    reverse = term("-95", kind="reverse_split", hours=None, cause="CORPORATE_ACTION", amount="48")
    pnl = played(held("105", "10"), reverse, reported=held("10", "100")).pnl
    assert (pnl.realised, pnl.cash_in_lieu, pnl.total) == (-50, 48, -2)


@pytest.mark.case("F06")
def test_a_reverse_split_of_a_short_with_cash_in_lieu():
    # short 105 at 10 is short 10.5 at 100: half a unit, sold for 50, is bought back for 48
    reverse = term("95", kind="reverse_split", hours=None, cause="CORPORATE_ACTION", amount="-48")
    pnl = played(held("-105", "10"), reverse, reported=held("-10", "100")).pnl
    assert (pnl.realised, pnl.cash_in_lieu, pnl.total) == (50, -48, 2)


def test_cash_in_lieu_of_less_than_one_unit_ends_the_position():
    reverse = term("-5", kind="reverse_split", hours=None, cause="CORPORATE_ACTION", amount="48")
    pnl = played(held("5", "10"), reverse).pnl
    assert (pnl.realised, pnl.total) == (-50, -2)  # half of a unit of 100


@pytest.mark.parametrize(
    ("entry", "left_at", "places"),
    [
        ("10", "105", None),  # 1,050 for 10 units at 105: no part of one is missing, and yet 48 came for one
        ("10", "104.96", 1),  # 0.004 of a unit is missing, and 104.96 may be 105.01
        ("1", "10", 0),  # half a unit is missing, and 10 may be 10.5
    ],
)
def test_a_fraction_that_the_brokers_rounding_may_hide_is_not_known(entry, left_at, places):
    reverse = term("-95", kind="reverse_split", hours=None, cause="CORPORATE_ACTION", amount="48")
    gap = difference(held("105", entry), held("10", left_at), price_places=places)
    found = outcome(gap, explained(reverse), method="average", fills=None)
    assert (found.pnl.realised, found.pnl.total) == (None, None)
    assert "how much of a unit" in found.notes[0]


@pytest.mark.case("F06")
@pytest.mark.parametrize(("sign", "expected"), [(1, (-5, 6, 1)), (-1, (5, -6, -1))])
def test_a_round_entry_price_of_a_feed_that_writes_cents_is_exact(sign, expected):
    # 105 at 1 are 10.5 at 10: half a unit, which had cost 5, is paid with 6
    book, left = held(str(105 * sign), "1"), held(str(10 * sign), "10")
    reverse = term(str(-95 * sign), kind="reverse_split", hours=None, cause="CORPORATE_ACTION", amount=str(6 * sign))
    pnl = outcome(difference(book, left, price_places=2), explained(reverse), method="average", fills=None).pnl
    assert (pnl.realised, pnl.cash_in_lieu, pnl.total) == expected
    written = outcome(difference(book, held(str(10 * sign), "10.00")), explained(reverse), method="average", fills=None).pnl
    assert written == pnl
    unwritten = outcome(difference(book, left), explained(reverse), method="average", fills=None).pnl
    assert (unwritten.realised, unwritten.total) == (None, None)  # 10 may be 9.5


@pytest.mark.case("F06")
@pytest.mark.parametrize("sign", [1, -1])
def test_an_announced_ratio_comes_before_the_brokers_entry_price(sign):
    ratio = announced(str(-95 * sign), ratio=Fraction(1, 10), amount=str(6 * sign))
    for price in ("10", "10.5", "10.4"):
        pnl = played(held(str(105 * sign), "1"), ratio, reported=held(str(10 * sign), price)).pnl
        assert (pnl.realised, pnl.total) == (-5 * sign, sign)


def test_where_nobody_says_what_fraction_was_paid_the_profit_is_not_known():
    reverse = term("-95", kind="reverse_split", hours=None, cause="CORPORATE_ACTION", amount="48")
    for reported in (held("10"), held("10", "90"), held("10", "120")):
        found = played(held("105", "10"), reverse, reported=reported)
        assert (found.pnl.realised, found.pnl.total, found.pnl.cash_in_lieu) == (None, None, 48)
        assert "how much of a unit" in found.notes[0]


def test_the_money_for_a_fraction_may_be_a_row_of_its_own():
    reverse = term("-95", kind="reverse_split", hours=None, cause="CORPORATE_ACTION", event="e")
    money = term("0", kind="cash", hours=None, cause="CORPORATE_ACTION", event="e", amount="48")
    pnl = played(held("105", "10"), money, reverse, reported=held("10", "100")).pnl
    assert (pnl.realised, pnl.cash_in_lieu, pnl.total) == (-50, 48, -2)


def announced(quantity: str, **more: Any) -> Term:
    return term(quantity, kind="announced", hours=None, **({"cause": "CORPORATE_ACTION", "event": "e"} | more))


@pytest.mark.case("F06")
def test_an_announced_ratio_says_which_fraction_was_paid_where_the_broker_has_no_entry_price():
    # 105 / 10 = 10.5: half of what a unit of 100 had cost
    pnl = played(held("105", "10"), announced("-95", ratio=Fraction(1, 10), amount="48"), reported=held("10")).pnl
    assert (pnl.realised, pnl.cash_in_lieu, pnl.total) == (-50, 48, -2)
    unpaid = played(held("105", "10"), announced("-95", ratio=Fraction(1, 10)), reported=held("10"))
    assert (unpaid.pnl.realised, unpaid.notes) == (None, ("the money for a part of a unit is not known",))
    whole = played(held("100", "10"), announced("300", ratio=Fraction(4)))
    assert (whole.pnl.realised, whole.price) == (0, Decimal("2.5"))


def test_an_announced_merger_pays_or_carries_and_what_is_worthless_is_lost():
    paid = played(held("100", "10"), announced("-100", amount="1250")).pnl
    assert (paid.realised, paid.cash_in_lieu) == (250, 0)
    assert realised(held("100", "10"), announced("-100")) == "0"
    assert realised(held("100", "10"), announced("-100", cause="CLOSED_BY_BROKER")) == "-1000"
    arrived = played(held("10", "10"), announced("5"))  # a spin-off of what is held already: what it cost is not known
    assert (arrived.pnl.realised, arrived.price) == (0, None)


def test_fees_are_what_was_paid_and_taken_back():
    pnl = played(held("100", "10"), term("-10", "12", fee="1.25"), term("-10", "12", hours=1, fee="-0.15")).pnl
    assert (pnl.realised, pnl.fees, pnl.total) == (40, Decimal("1.10"), Decimal("38.90"))


def test_a_multiplier_turns_units_into_money():
    # 2 contracts of 100: 2 x (3.40 - 1.15) x 100
    assert realised(held("5", "1.15", multiplier=Decimal(100)), term("-2", "3.40", multiplier="100")) == "450"
    assert realised(held("5", "1.15", asset_class="us_option"), term("-2", "3.40", multiplier="100")) == "450"


def test_an_option_without_a_multiplier_is_not_priced():
    found = played(held("5", "1.15", asset_class="us_option"), term("-2", "3.40"))
    assert found.pnl.realised is None
    assert found.notes == ("its multiplier is not known, and so not what it means in money",)


@pytest.mark.parametrize("asset_class", ["crypto_swap", "perpetual", "CFD", "warrant", "futures", "us_option"])
def test_a_derivative_that_only_the_evidence_or_the_book_knows_for_one_is_not_priced(asset_class):
    of_the_book = played(held("2", "30000", asset_class=asset_class), term("-2", "31000"))
    of_the_fill = played(held("2", "30000"), term("-2", "31000", asset_class=asset_class))
    for found in (of_the_book, of_the_fill):
        assert (found.pnl.realised, found.pnl.total) == (None, None)
        assert found.notes == ("its multiplier is not known, and so not what it means in money",)


@pytest.mark.case("F07")
@pytest.mark.parametrize("symbol", ["AAPL261120C00250000", "AAPL  261120C00250000", ".AAPL261120C250", "ESZ26", "/CLF7"])
def test_a_symbol_of_an_option_or_a_future_has_no_multiplier_but_the_one_that_is_said(symbol):
    ended = term("-2", kind="expiry", hours=None, cause="OPTION_EXPIRY")
    unsaid = outcome(difference(held("2", "3"), None, symbol=symbol), explained(ended), method="average", fills=None)
    assert (unsaid.pnl.realised, unsaid.notes) == (None, ("its multiplier is not known, and so not what it means in money",))
    sold = term("-2", "5", multiplier="100")
    said = outcome(difference(held("2", "3"), None, symbol=symbol), explained(sold), method="average", fills=None)
    assert (said.pnl.realised, said.notes) == (400, ())  # 2 x (5 - 3) x 100


def test_a_broker_of_two_multipliers_is_not_believed():
    found = played(held("5", "1"), term("-2", "3", multiplier="100"), term("-2", "3", hours=1, multiplier="10"))
    assert found.pnl.realised is None
    assert found.notes == ("the broker says multipliers of 100 and 10",)


@pytest.mark.case("F07")
@pytest.mark.parametrize(("quantity", "expected"), [("3", "-450"), ("-3", "450")])
def test_an_option_that_expires_loses_its_premium_or_keeps_it(quantity, expected):
    # 3 x 1.50 x 100
    book = held(quantity, "1.50", multiplier=Decimal(100))
    ended = term(str(-int(quantity)), kind="expiry", hours=None, cause="OPTION_EXPIRY")
    assert realised(book, ended) == expected


@pytest.mark.case("F07")
def test_an_assignment_ends_the_option_at_nothing_and_delivers_shares_at_the_strike():
    # short 2 puts at 4.00: the premium of 800 is kept; 200 shares come at 150
    put = held("-2", "4", multiplier=Decimal(100))
    assert realised(put, term("2", "150", kind="assignment", hours=None, cause="ASSIGNMENT")) == "800"
    shares = played(None, term("200", "150", kind="delivery", hours=None, cause="ASSIGNMENT"))
    assert (shares.pnl.realised, shares.price) == (0, 150)
    # called away instead: 100 held at 120 go at the strike of 150
    assert realised(held("100", "120"), term("-100", "150", kind="delivery", hours=None, cause="ASSIGNMENT")) == "3000"


def test_an_exercise_that_is_settled_in_cash_realises_the_money():
    # 2 calls at 10 become 2,500: 2,500 - 2 x 10 x 100
    book = held("2", "10", multiplier=Decimal(100))
    assert realised(book, term("-2", kind="exercise", hours=None, cause="EXERCISE", amount="2500")) == "500"


def test_a_liquidation_without_a_price_is_priced_by_its_money():
    # 30 sold for 451.50 are 15.05 each: 30 x (15.05 - 16)
    closed = term("-30", kind="liquidation", hours=None, cause="CLOSED_BY_BROKER", amount="451.50")
    assert realised(held("30", "16"), closed) == "-28.5"


def test_a_transfer_takes_units_with_their_cost_and_brings_them_at_theirs():
    out = played(held("100", "10"), term("-40", "13", kind="transfer", hours=None, cause="TRANSFER"))
    assert (out.pnl.realised, out.price) == (0, 10)
    into = played(held("100", "10"), term("100", "12", kind="transfer", hours=None, cause="TRANSFER"))
    assert (into.pnl.realised, into.price) == (0, 11)


def test_a_merger_for_money_realises_it_and_one_for_units_carries_the_cost():
    # 100 at 10 for 1,250
    assert realised(held("100", "10"), term("-100", kind="merger", hours=None, cause="CORPORATE_ACTION", amount="1250")) == "250"
    assert realised(held("100", "10"), term("-100", kind="merger", hours=None, cause="CORPORATE_ACTION")) == "0"


def test_a_change_of_symbol_realises_nothing():
    assert realised(held("100", "10"), term("-100", kind="symbol_change", hours=None, cause="SYMBOL_CHANGE")) == "0"


def test_a_fee_in_units_costs_what_they_had_cost():
    # 0.001 x 60,000
    fee = term("-0.001", kind="fee_in_kind", hours=None, cause="FEE_IN_KIND")
    assert realised(held("1", "60000"), fee) == "-60"


def test_a_fill_of_the_book_that_never_was_is_taken_out_of_its_history():
    own = [fill("100", "10", -5), fill("-50", "14", -4, "ghost")]
    ghost = term("50", "14", hours=-4, kind="book_fill", id="ghost", cause="PHANTOM", fee="2")
    pnl = played(held("50", "10"), ghost, fills=own).pnl
    assert (pnl.realised, pnl.fees, pnl.total) == (-200, -2, -198)  # 50 x (14 - 10) was never made, and its fee never paid


def test_a_whole_row_that_never_was_realises_nothing():
    row = term("-50", "10", kind="book_fill", id="the book's row", cause="PHANTOM", hours=-9)
    assert played(held("50", "10"), row).pnl.realised == 0
    assert played(held("50", "10"), row, fills=[fill("50", "10", -5)]).pnl.realised == 0


@pytest.mark.parametrize(
    ("quantity", "gone", "price", "expected", "left"),
    [
        ("100", "-50", "13", "0", "7"),  # bought 50 at 13 of 100 at 10: (1000 - 650) / 50 are left
        ("50", "50", "14", "-200", "10"),  # sold 50 at 14 that had cost 10: 50 x 4 was never made
        ("-50", "-50", "8", "-100", "10"),  # bought back 50 at 8 that were sold at 10
        ("50", "-50", None, "0", None),  # all of it: no price is needed
    ],
)
def test_a_fill_that_never_was_is_undone_where_the_book_has_no_history(quantity, gone, price, expected, left):
    ghost = term(gone, price, kind="book_fill", cause="PHANTOM")
    found = played(held(quantity, "10"), ghost)
    assert found.pnl.realised == Decimal(expected)
    assert found.price == (None if left is None else Decimal(left))


def test_an_unknown_price_is_needed_only_where_units_close():
    assert played(held("100", "10"), term("50")).pnl.realised == 0
    closing = played(held("100", "10"), term("-50", id="x7"))
    assert (closing.pnl.realised, closing.pnl.total, closing.notes) == (None, None, ("fill x7 has no price",))
    unpriced = played(held("100"), term("-50", "12"))
    assert (unpriced.pnl.realised, unpriced.notes) == (None, ("the book has no entry price",))
    assert played(held("100"), term("50", "12")).price is None


def test_amounts_of_two_currencies_are_not_added():
    found = played(held("100", "10"), term("-50", "12", currency="EUR", fee="1"))
    assert (found.pnl.realised, found.pnl.fees, found.pnl.currency) == (None, 0, "USD")
    assert found.notes[0] == "its amounts are in USD and EUR"


def test_a_fee_in_another_currency_leaves_the_total_unknown_and_says_how_much_it_was():
    sold, more = term("-10", "12", fee="0.002", fee_currency="BNB"), term("-10", "12", hours=1, fee="1.25", fee_currency="USD")
    found = played(held("100", "10"), sold, more)
    assert (found.pnl.realised, found.pnl.fees, found.pnl.total) == (40, Decimal("1.25"), None)
    assert found.notes == ("fees of 0.002 BNB are not in the profit, which is in USD: its total is not known",)
    none = played(held("100", "10"), term("-10", "12", fee="0", fee_currency="BNB"))
    assert (none.pnl.total, none.notes) == (20, ())


def test_a_fee_of_which_nobody_says_the_currency_is_not_taken_for_the_positions_own():
    found = played(held("100", "10"), term("-10", "12", fee="0.002", fee_currency=""))
    assert (found.pnl.realised, found.pnl.fees, found.pnl.total) == (20, 0, None)
    told = "fees of 0.002 in a currency that nobody says are not in the profit, which is in USD: its total is not known"
    assert found.notes == (told,)


def test_what_is_unsettled_makes_no_money_yet():
    assert realised(held("100", "10"), term("-10", "12"), term("-50", "12", hours=1, cause="UNSETTLED")) == "20"


def test_eighteen_decimals_lose_nothing():
    # 12345678901.123456789012345678 x (2 - 1), rounded to twelve decimals at the end
    whole = "12345678901.123456789012345678"
    assert realised(held(whole, "1"), term(f"-{whole}", "2")) == "12345678901.123456789012"


def test_the_result_is_rounded_half_to_even_once():
    # 0.5 x 0.000000000001 and 1.5 x 0.000000000001
    assert realised(held("1", "1"), term("-0.5", "1.000000000001")) == "0"
    assert realised(held("2", "1"), term("-1.5", "1.000000000001")) == "0.000000000002"


def test_profit_and_loss_is_that_of_the_outcome():
    gap = difference(held("100", "150.05"), held("60", "150.05"))
    pnl = profit_and_loss(gap, explained(term("-40", "187.20")), method="average", fills=None)
    assert (pnl.method, pnl.currency, pnl.realised) == ("average", "USD", 1486)
