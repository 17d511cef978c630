"""Why book and broker differ: evidence of the broker's, and the explanation that it must give. Cases F01 to F10."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from explain_samples import AS_OF, TODAY, action, days, difference, explained, explained_all, fill, hours, moved, told

from recon_core.explain import explain


def names(explanation):
    return [term.id for term in explanation.terms]


def outcome(explanation):
    return explanation.status, explanation.cause, str(explanation.residual)


# -- fills


@pytest.mark.case("F01")
def test_one_missed_fill_explains_the_break_exactly():
    found = explained(
        difference("100", "150"), fills=[fill("100", "f1", hours(72)), fill("50", "f2", hours(5), price="187.20", order_id="o1")]
    )
    assert outcome(found) == ("EXPLAINED", "MISSED_FILL", "0")
    assert names(found) == ["f2"]
    assert (found.ties, found.inferred, found.diverged_on) == (0, False, TODAY)
    assert found.why == "the broker bought 50 at 187.2 on 2026-11-20 16:00 UTC (fill f2), which the book does not have"


def test_a_missed_sale_and_a_position_that_the_book_lacks_are_explained():
    assert names(explained(difference("100", None), fills=[fill("-100", "f1")])) == ["f1"]
    assert names(explained(difference(None, "-7"), fills=[fill("-3", "f1"), fill("-4", "f2")])) == ["f1", "f2"]


@pytest.mark.case("F02")
def test_a_fill_that_explains_a_part_leaves_the_rest_as_residual():
    found = explained(difference("100", "160"), fills=[fill("40", "f1")])
    assert outcome(found) == ("PARTLY", "MISSED_FILL", "-20")
    assert "that leaves -20" in found.why
    assert outcome(explained(difference("100", "110"), fills=[fill("50", "f1")])) == ("UNEXPLAINED", "UNEXPLAINED", "-10")


@pytest.mark.case("F03")
def test_one_fill_does_not_explain_two_breaks():
    accounts = [difference("0", "50", account="MAIN"), difference("0", "50", account="HEDGE")]
    first, second = explained_all(accounts, fills=[fill("50", "f1", account="HEDGE")])
    assert (first.status, names(second)) == ("UNEXPLAINED", ["f1"])
    legs = [difference("0", "50", leg="LONG"), difference("-50", "0", leg="SHORT")]
    assert [each.status for each in explained_all(legs, fills=[fill("50", "f1")])] == ["UNEXPLAINED", "UNEXPLAINED"]


def test_a_fill_without_a_leg_moves_the_leg_that_must_move_that_way():
    legs = [difference("0", "50", leg="LONG"), difference("0", "-20", leg="SHORT")]
    long, short = explained_all(legs, fills=[fill("50", "f1"), fill("-20", "f2")])
    assert (names(long), names(short)) == (["f1"], ["f2"])
    long, short = explained_all(legs, fills=[fill("50", "f1", leg="LONG"), fill("-20", "f2", leg="SHORT")])
    assert (names(long), names(short)) == (["f1"], ["f2"])
    assert explained(difference("0", "50"), fills=[fill("50", "f1", leg="LONG")], legs="net").explained
    assert not explained(difference("0", "50"), fills=[fill("50", "f1", leg="LONG")]).explained


@pytest.mark.case("F04")
def test_the_order_of_evidence_decides_nothing():
    fills = [fill(str(number % 5 * 10 - 15), f"f{number:02}", hours(2)) for number in range(12)]
    movements = [moved("transfer", "25", "t1", days(1)), moved("transfer", "25", "t2", days(1))]
    one = difference("0", "45")
    first = explained(one, fills=fills, movements=movements)
    assert first.explained
    for seed in range(20):
        shuffled = random.Random(seed).sample(fills, len(fills)), random.Random(seed).sample(movements, len(movements))
        assert explained(one, fills=shuffled[0], movements=shuffled[1]) == first


def test_of_several_sets_the_fewest_then_the_latest_is_named_and_the_others_are_counted():
    fills = [fill("50", "f1", hours(9)), fill("50", "f2", hours(3)), fill("20", "f3", hours(2)), fill("30", "f4", hours(1))]
    found = explained(difference("0", "50"), fills=fills)
    assert (names(found), found.ties) == (["f2"], 2)
    assert found.doubt == "2 other sets of rows add up to the same: which it was, quantities cannot tell"
    assert names(explained(difference("0", "50"), fills=[fill("50", "b"), fill("50", "a")])) == ["b"]


def test_what_was_agreed_is_not_looked_at_again_unless_nothing_later_explains():
    one = difference("0", "50", agreed_at=hours(24))
    fills = [fill("50", "old", hours(30)), fill("20", "f1", hours(3)), fill("30", "f2", hours(2))]
    found = explained(one, fills=fills)
    assert (names(found), found.ties) == (["f1", "f2"], 0)
    late = explained(one, fills=fills[:2])
    assert names(late) == ["old"]
    assert (late.explained, late.certain, late.diverged_on) == (True, False, None), "an equality since then was proven"
    assert late.doubt.startswith("1 row of it older than the last agreement (2026-11-19 21:00 UTC)")
    assert not explained(one, fills=[fill("50", "f1", hours(-1))]).explained, "what happens after the run"


def test_a_row_that_came_twice_counts_once_and_one_that_contradicts_itself_not_at_all():
    twice = [fill("50", "f1", source="page 1: row 1"), fill("50", "f1", source="page 2: row 9")]
    assert (names(explained(difference("0", "50"), fills=twice)), explained(difference("0", "50"), fills=twice).ties) == (["f1"], 0)
    doubtful = explained(difference("0", "50"), fills=[fill("50", "f1"), fill("40", "f1")])
    assert doubtful.status == "UNEXPLAINED"
    assert "rows of MAIN with the id f1 contradict each other: none of them counts" in doubtful.why
    accounts = [difference("0", "50"), difference("0", "40", account="HEDGE")]
    both = explained_all(accounts, fills=[fill("50", "f1"), fill("40", "f1", account="HEDGE")])
    assert [each.status for each in both] == ["EXPLAINED", "EXPLAINED"], "ids are of an account"


def test_a_row_that_names_no_account_is_the_one_that_does():
    fills = [fill("50", "f1", account="U1"), fill("50", "f1", account=None)]
    accounts = {"accounts": {"U1": "MAIN"}, "account": "MAIN"}
    for some in (fills, fills[::-1]):
        assert outcome(explained(difference("0", "100"), fills=some, **accounts)) == ("PARTLY", "MISSED_FILL", "-50")


def test_one_id_of_two_symbols_is_two_rows():
    fills = [fill("50", "f1"), fill("40", "f1", symbol="MSFT")]
    assert explained(difference("0", "50"), fills=fills).certain


@pytest.mark.parametrize(
    ("more", "doubt"),
    [
        ({"complete": False, "reason": "page 3 failed"}, "evidence is not complete: page 3 failed"),
        ({"movements": [moved("unclassified", "50")], "fills": []}, "the broker booked it as something that is not known here"),
        (
            {"fills": [fill("50", "f1"), fill("9", "f2"), fill("8", "f2")]},
            "rows of MAIN with the id f2 contradict each other: none of them counts",
        ),
        ({"fills": [fill("50", "f1"), fill("9", "f2", symbol="KO"), fill("8", "f2", symbol="KO")]}, ""),
    ],
)
def test_what_speaks_against_an_explanation_is_its_doubt(more, doubt):
    found = explained(difference("0", "50"), **({"fills": [fill("50")]} | more))
    assert (found.status, found.doubt, found.certain) == ("EXPLAINED", doubt, not doubt)


def test_too_many_rows_to_try_are_a_doubt():
    quantities = [str(3**number) for number in range(1, 75)]
    one = difference("0", str(3**10 + 3**40))
    found = explained(one, fills=[fill(quantity, f"f{quantity}") for quantity in quantities])
    assert (found.status, found.doubt) == ("EXPLAINED", "there are too many rows to try every combination of them")


def test_a_part_is_no_doubt():
    assert not explained(difference("0", "60"), fills=[fill("50", "f1"), fill("50", "f2")], complete=False).doubt


def test_a_movement_of_the_day_before_midnight_in_utc_is_later_than_an_agreement_after_it():
    one = difference("0", "50", agreed_at=AS_OF.replace(hour=0, minute=30))
    found = explained(one, movements=[moved("transfer", "50", on=days(1))])
    assert (found.certain, found.diverged_on) == (True, TODAY), "that day was not over in New York"
    noon = replace(one, agreed_at=AS_OF.replace(hour=12))
    assert not explained(noon, movements=[moved("transfer", "50", on=days(1))]).certain


def test_evidence_is_known_by_account_alias_identifier_symbol_and_form():
    accounts = {"accounts": {"U1": "MAIN"}}
    assert explained(difference("0", "5"), fills=[fill("5", account="U1")], **accounts).explained
    assert explained(difference("0", "5"), fills=[fill("5", account=None)], account="MAIN").explained
    nameless = explained(difference("0", "5"), fills=[fill("5", account=None)])
    assert not nameless.explained
    assert "1 row without an account, and none is configured: not counted" in nameless.why
    assert explained(difference("0", "5"), fills=[fill("5", symbol="APPL US")], aliases={"APPL US": "AAPL"}).explained
    isin = {"ours": {"isin": "US0378331005"}}
    assert explained(difference("0", "5", **isin), fills=[fill("5", symbol="APC", isin="US0378331005")]).explained
    assert explained(difference("0", "5", **isin), fills=[fill("5", symbol="APC", cusip="037833100")]).explained
    assert not explained(difference("0", "5", **isin), fills=[fill("5", isin="US5949181045")]).explained
    assert explained(difference("0", "5", "BRK.B"), fills=[fill("5", symbol="BRK B")]).explained
    option = difference("0", "5", "AAPL241213C00250000")
    assert explained(option, fills=[fill("5", symbol="AAPL  241213C00250000")]).explained
    assert not explained(option, fills=[fill("5", symbol="AAPL  241213C00260000")]).explained


def test_an_identifier_of_two_positions_is_told_apart_by_the_symbol_or_not_at_all():
    lines = [
        difference("0", "5", "VUSA", ours={"isin": "IE00B3XXRP09", "currency": "GBP"}),
        difference("0", "5", "VUSD", ours={"isin": "IE00B3XXRP09", "currency": "USD"}),
    ]
    first, second = explained_all(lines, fills=[fill("5", symbol="VUSD", isin="IE00B3XXRP09", currency="USD")])
    assert [first.explained, second.explained] == [False, True]
    assert not explained(lines[0], fills=[fill("5", symbol="VUSD", isin="IE00B3XXRP09", currency="USD")]).explained
    both = explained_all(lines, fills=[fill("5", symbol="other", isin="IE00B3XXRP09")])
    assert [each.explained for each in both] == [False, False]


SAP = {"isin": "DE0007164600", "currency": "EUR"}


def test_a_row_of_a_listing_that_is_held_and_not_broken_is_about_that_one():
    one, rows = difference("150", "100", "SAP.PA", ours=SAP, theirs=SAP), [fill("-50", symbol="SAP.DE", **SAP)]
    for held in ({("MAIN", "SAP.DE", "NET")}, {("MAIN", "SAP.DE", "LONG")}):
        assert explained(one, fills=rows, held=frozenset(held)).status == "UNEXPLAINED"
        assert (
            explained(one, movements=[moved("transfer", "-50", symbol="SAP.DE", **SAP)], held=frozenset(held)).status != "EXPLAINED"
        )
    other = explained(one, fills=rows, held=frozenset({("HEDGE", "SAP.DE", "NET"), ("MAIN", "SAP.PA", "SHORT")}))
    assert other.certain, "of another account, or of the same name"
    assert explained(one, fills=[fill("-50", symbol="SAP.PA", **SAP)], held=frozenset({("MAIN", "SAP.DE", "NET")})).certain


def test_a_spelling_of_what_is_held_and_not_broken_is_about_that_one():
    one = difference("0", "5", "BRKB", ours={"isin": "US0846707026"})
    rows = [fill("5", symbol="BRK B", isin="US0846707026")]
    assert explained(one, fills=rows).certain
    assert not explained(one, fills=rows, held=frozenset({("MAIN", "BRK.B", "NET")})).explained


def test_an_identifier_under_a_name_that_nobody_holds_is_said_with_that_name():
    one = difference("150", "100", "SAP.PA", ours=SAP, theirs=SAP)
    found = explained(one, fills=[fill("-50", symbol="SAPG", **SAP)])
    assert (found.certain, found.terms[0].called) == (True, "SAPG")
    assert "(fill f1, there called SAPG)" in found.why
    booked = explained(one, movements=[moved("transfer", "-50", symbol="SAPG", **SAP)])
    assert "transfer (m1, there called SAPG)" in booked.why
    plain = explained(one, fills=[fill("-50", symbol="SAP FP", **SAP)], aliases={"SAP FP": "SAP.PA"})
    assert (plain.certain, plain.terms[0].called) == (True, "")


def test_an_announcement_is_of_every_listing():
    one = difference("100", "400", "SAP.PA", ours=SAP, theirs=SAP)
    split = action("split", symbol="SAP.DE", isin=SAP["isin"], old_rate="1", new_rate="4")
    assert explained(one, corporate_actions=[split], held=frozenset({("MAIN", "SAP.DE", "NET")})).certain


def test_a_row_without_a_leg_that_may_be_of_the_leg_that_agrees_is_a_doubt():
    short, held = difference("-50", "-70", leg="SHORT"), frozenset({("MAIN", "AAPL", "LONG")})
    sold, doubt = [fill("-20")], "a row that names no leg may be of the LONG one, which agrees"
    found = explained(short, fills=sold, held=held)
    assert (found.explained, found.doubt) == (True, doubt)
    assert explained(short, movements=[moved("transfer", "-20")], held=held).doubt == doubt
    assert explained(short, fills=sold).certain
    assert explained(short, fills=[fill("-20", leg="SHORT")], held=held).certain
    assert explained(short, fills=sold, book_fills=[BEFORE], held=held).certain, "what the long leg did the book would have"


# -- the book's own fills and orders

BEFORE = fill("1", "x1", hours(2_000), symbol="KO")
"""A fill of the book's own from long ago, so that it is known since when there are any."""


@pytest.mark.parametrize(
    ("begin", "row", "status", "doubtful"),
    [
        (30, 20, "EXPLAINED", False), (24, 20, "EXPLAINED", False),
        (10, 5, "EXPLAINED", False), (10, 20, "EXPLAINED", True), (10, 10, "EXPLAINED", False),
        (40, 30, "EXPLAINED", True), (26, 30, "UNEXPLAINED", False), (10, 30, "UNEXPLAINED", False),
    ],
)  # fmt: skip
def test_a_fill_is_known_by_id_to_be_missed_from_the_first_of_the_books_own_on(begin, row, status, doubtful):
    """Asked for since 24 hours: what is older is looked at last, and what is older than the book's own fills, too, not at all."""
    own = fill("1", "x1", hours(begin), symbol="KO")
    one = difference("50", "100", agreed_at=hours(24))
    found = explained(one, fills=[fill("50", "f1", hours(row))], book_fills=[own], since=hours(24), complete=True)
    assert (found.status, bool(found.doubt)) == (status, doubtful)


def test_a_fill_from_before_the_books_own_begin_is_not_certain_beside_one_that_is():
    own = fill("1", "x1", hours(10), symbol="KO")
    fills = [fill("30", "f1", hours(20)), fill("50", "f2", hours(5))]
    found = explained(difference("50", "100"), fills=fills, book_fills=[own], since=hours(24))
    assert (names(found), found.certain) == (["f2"], True)
    both = explained(difference("50", "130"), fills=fills, book_fills=[own], since=hours(24))
    assert names(both) == ["f1", "f2"]
    assert both.doubt.startswith("fill f1 is older than the first of the book's own fills")


def test_where_the_book_has_no_fill_at_all_none_is_known_by_id():
    fills = [fill("50", "f1", hours(3)), fill("20", "f2", hours(4)), fill("-20", "f3", hours(5))]
    assert names(explained(difference("100", "150"), fills=fills, book_fills=[])) == ["f1"]


@pytest.mark.parametrize(
    ("theirs", "ours", "other"),
    [
        ("ETH/USDT", "BTC/USDT", True), ("ETH/USDT", "ETHUSDT", False), ("BRK B", "BRK.B", False), ("ESZ5", "ESZ25", False),
        ("ESZ25", "ESZ35", True), ("AAPL US", "AAPL", False), ("AAPL", "MSFT", True), ("AAPL", "KO", True), ("AAPL", "APC", False),
    ],
)  # fmt: skip
def test_one_id_of_two_symbols_is_two_executions_and_another_spelling_is_not(theirs, ours, other):
    """MSFT is a position that does not differ, KO what another row is about; nobody knows of APC."""
    one = difference("100", "101", theirs if theirs != "AAPL US" else "AAPL")
    fills = [fill("1", "777", hours(3), symbol=theirs), fill("9", "778", hours(3), symbol="KO")]
    found = explained(
        one, fills=fills, book_fills=[BEFORE, fill("1", "777", hours(3), symbol=ours)],
        aliases={"AAPL US": "AAPL"}, held=frozenset({("MAIN", "MSFT", "NET")}),
    )  # fmt: skip
    assert found.explained == other


def test_of_two_fills_with_one_id_the_one_of_the_symbol_is_meant():
    ours = [fill("1", "777", hours(3), symbol="AAPL"), fill("1", "777", hours(3), symbol="APC")]
    found = explained(difference("101", "100", "APC"), fills=[fill("1", "777", hours(3))], book_fills=[BEFORE, *ours])
    assert found.cause == "PHANTOM"


def test_with_the_books_own_fills_the_missed_ones_are_found_by_id():
    fills = [fill("50", f"f{number}", hours(9 - number)) for number in range(4)]
    one = difference("150", "200")
    found = explained(one, fills=fills, book_fills=[each for each in fills if each.id != "f1"])
    assert (names(found), found.ties) == (["f1"], 0)
    assert explained(one, fills=fills).ties == 3, "by quantity alone it could be any of the four"


def test_fills_missed_by_id_that_do_not_make_up_the_difference_explain_a_part():
    fills = [fill("50", "f1"), fill("30", "f2"), fill("7", "f3")]
    found = explained(difference("7", "100"), fills=fills, book_fills=[fills[2]])
    assert outcome(found) == ("PARTLY", "MISSED_FILL", "-13")
    assert names(found) == ["f1", "f2"]
    moves = explained(difference("7", "100"), fills=fills, book_fills=[fills[2]], movements=[moved("transfer", "13")])
    assert (moves.causes, moves.cause) == (("MISSED_FILL", "TRANSFER"), "MISSED_FILL")


def test_a_fill_of_an_order_of_which_the_book_has_others_is_partial():
    fills = [fill("60", "f1", order_id="o1"), fill("40", "f2", order_id="o1")]
    assert explained(difference("60", "100"), fills=fills, book_fills=fills[:1]).cause == "PARTIAL_FILL"
    assert explained(difference("60", "100"), fills=fills).cause == "PARTIAL_FILL"
    assert explained(difference("0", "100"), fills=fills).cause == "MISSED_FILL"


def test_a_fill_of_no_order_of_ours_is_a_manual_trade():
    fills = [fill("60", "f1", order_id="o1")]
    found = explained(difference("0", "60"), fills=fills, book_orders=frozenset({"o2"}))
    assert found.cause == "MANUAL_TRADE"
    assert "by an order that is none of ours (o1)" in found.why
    assert explained(difference("0", "60"), fills=fills, book_orders=frozenset({"o1"})).cause == "MISSED_FILL"
    assert explained(difference("0", "60"), fills=fills).cause == "MISSED_FILL", "where orders are not configured"


def test_a_fill_of_the_books_that_complete_evidence_does_not_know_is_a_phantom():
    ours = [fill("10", "f1", hours(50)), fill("50", "x9", hours(9))]
    found = explained(difference("60", "10"), fills=ours[:1], book_fills=ours)
    assert outcome(found) == ("EXPLAINED", "PHANTOM", "0")
    assert (found.terms[0].kind, found.terms[0].quantity, found.inferred) == ("book_fill", Decimal(-50), True)
    assert not explained(difference("60", "10"), fills=ours[:1], book_fills=ours, complete=False, reason="page 2").explained
    assert not explained(difference("60", "10"), fills=ours[:1], book_fills=ours, since=hours(5)).explained


def test_an_execution_that_both_sides_tell_otherwise_is_two_terms():
    found = explained(difference("50", "40"), fills=[fill("40", "f1")], book_fills=[fill("50", "f1")])
    assert outcome(found) == ("EXPLAINED", "PHANTOM", "0")
    assert sorted(term.kind for term in found.terms) == ["book_fill", "fill"]


def test_ids_of_another_kind_are_not_compared():
    fills = [fill("10", f"f{number}", hours(number)) for number in range(3)]
    ours = [replace(each, id=f"order-{number}") for number, each in enumerate(fills)]
    found = explained(difference("0", "20"), fills=fills, book_fills=ours)
    assert found.ties == 2


def test_orders_of_another_kind_are_not_compared():
    fills = [fill("10", f"f{number}", order_id=f"o{number}") for number in range(3)]
    found = explained(difference("0", "30"), fills=fills, book_orders=frozenset({"ours-1"}))
    assert found.cause == "MISSED_FILL"
    assert explained(difference("0", "30"), fills=fills, book_orders=frozenset({"ours-1", "o2"})).causes == (
        "MANUAL_TRADE", "MISSED_FILL",
    )  # fmt: skip


def test_a_fill_from_before_the_books_own_begin_is_not_known_to_be_missed():
    one = difference("50", "100", agreed_at=hours(24))
    fills = [fill("50", "old", hours(40)), fill("50", "f1", hours(20))]
    assert not explained(one, fills=fills, book_fills=fills[1:], since=hours(24)).explained
    assert names(explained(one, fills=fills, book_fills=[replace(fills[1], id="f0", traded_at=hours(41))], since=hours(24))) == [
        "f1"
    ]


def test_where_the_book_has_every_fill_that_is_said():
    fills = [fill("50", "f1")]
    found = explained(difference("0", "50"), fills=fills, book_fills=fills, since=hours(72))
    assert outcome(found) == ("UNEXPLAINED", "UNEXPLAINED", "-50")
    assert found.why == "the book's own fills have all that the broker tells of it since 2026-11-17 21:00 UTC"


def test_two_accounts_of_the_broker_that_are_one_in_the_book_have_ids_of_their_own():
    fills = [fill("50", "1", account="U1"), fill("40", "1", account="U2")]
    found = explained(difference("0", "90"), fills=fills, accounts={"U1": "MAIN", "U2": "MAIN"})
    assert names(found) == ["1", "1"]
    assert found.explained


# -- what settles later


def unsettled(lag, book, reported, **more):
    return difference(book, reported, settlement_lag=lag), [
        fill("50", "f1", hours(5), settles_on=TODAY + timedelta(days=1), **more)
    ]


@pytest.mark.case("F09")
@pytest.mark.parametrize(("lag", "book", "reported"), [("broker", "150", "100"), ("book", "100", "150")])
def test_an_unsettled_trade_explains_until_the_day_it_must_clear(lag, book, reported):
    one, fills = unsettled(lag, book, reported)
    found = explained(one, fills=fills)
    assert outcome(found) == ("EXPLAINED", "UNSETTLED", "0")
    assert found.clears_on == date(2026, 11, 21)
    assert f"the {lag} does not count it before" in found.why
    later = explained(one, fills=fills, as_of=AS_OF + timedelta(days=1))
    assert later.cause != "UNSETTLED"


@pytest.mark.case("F09")
def test_a_trade_that_does_not_clear_is_no_explanation_any_more():
    one, fills = unsettled("broker", "150", "100")
    found = explained(one, fills=fills, as_of=AS_OF + timedelta(days=1))
    assert outcome(found) == ("UNEXPLAINED", "UNEXPLAINED", "50")
    assert "it was to clear on 2026-11-21: the broker bought 50 at 10 on 2026-11-20 16:00 UTC (fill f1)" in found.why
    missed = explained(unsettled("book", "100", "150")[0], fills=fills, as_of=AS_OF + timedelta(days=1))
    assert missed.cause == "MISSED_FILL", "once it has settled the book should have it"


def test_an_unsettled_trade_that_the_book_does_not_have_either_makes_no_difference():
    one, fills = unsettled("broker", "150", "100")
    assert explained(one, fills=fills, book_fills=fills).cause == "UNSETTLED"
    assert not explained(one, fills=fills, book_fills=[BEFORE]).explained
    assert not explained(replace(one, settlement_lag=None), fills=fills).explained


# -- what the broker booked besides fills


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("transfer", "TRANSFER"),
        ("liquidation", "CLOSED_BY_BROKER"),
        ("removal", "CLOSED_BY_BROKER"),
        ("fee_in_kind", "FEE_IN_KIND"),
        ("unclassified", "UNCLASSIFIED"),
        ("delivery", "UNCLASSIFIED"),
        ("spin_off", "CORPORATE_ACTION"),
        ("merger", "CORPORATE_ACTION"),
        ("symbol_change", "SYMBOL_CHANGE"),
    ],
)
@pytest.mark.case("F08")
def test_a_movement_explains_by_its_kind(kind, cause):
    found = explained(difference("10", "7"), movements=[moved(kind, "-3", said="as the broker said")])
    assert outcome(found) == ("EXPLAINED", cause, "0")
    assert "the broker booked -3 on 2026-11-20" in found.why
    assert "as the broker said" in found.why


def test_money_and_rows_without_a_quantity_explain_nothing():
    rows = [moved("cash", "-3", amount="5"), moved("unclassified", None, "m2")]
    assert explained(difference("10", "7"), movements=rows).status == "UNEXPLAINED"


def test_an_unclassified_row_explains_no_part():
    assert explained(difference("10", "5"), movements=[moved("unclassified", "-3")]).status == "UNEXPLAINED"
    assert explained(difference("10", "5"), movements=[moved("transfer", "-3")]).status == "PARTLY"


SPLITS = {
    "one row": [moved("split", "300")],
    "out and in": [moved("split", "-100", "m1", group="e"), moved("split", "400", "m2", group="e")],
    "out and in without a group": [moved("split", "-100", "m1"), moved("split", "400", "m2")],
    "reversed and booked anew": [
        moved("split", "300", "m1", days(5)), moved("split", "-300", "m2", days(2)), moved("split", "300", "m3", days(1)),
    ],
    "reversed within its group": [
        moved("split", "300", "m1", days(5), group="e"), moved("split", "-300", "m2", days(2), group="e"),
        moved("split", "300", "m3", days(1), group="e"),
    ],
    "in halves": [moved("split", "150", "m1"), moved("split", "150", "m2")],
    "in halves of two days": [moved("split", "150", "m1", days(1)), moved("split", "150", "m2")],
}  # fmt: skip


@pytest.mark.case("F05")
@pytest.mark.parametrize("rows", SPLITS.values(), ids=SPLITS)
def test_a_split_explains_however_it_is_booked(rows):
    found = explained(difference("100", "400"), movements=rows)
    assert outcome(found) == ("EXPLAINED", "CORPORATE_ACTION", "0")
    assert (found.ties, found.inferred) == (0, False)
    short = [replace(row, quantity=-row.quantity) for row in rows]
    assert outcome(explained(difference("-100", "-400"), movements=short)) == ("EXPLAINED", "CORPORATE_ACTION", "0")


def test_a_split_that_was_taken_back_explains_what_the_book_still_has():
    rows = [moved("split", "300", "m1", days(5)), moved("split", "-300", "m2", days(2))]
    assert names(explained(difference("400", "100"), movements=rows)) == ["m2"]


@pytest.mark.case("F06")
@pytest.mark.parametrize(("held", "after", "sign"), [("105", "10", 1), ("-105", "-10", -1)])
def test_a_reverse_split_pays_the_fraction_in_cash(held, after, sign):
    one = difference(held, after)
    rates = {"old_rate": "10", "new_rate": "1", "cash_per_unit": "1.20"}
    found = explained(one, corporate_actions=[action("reverse_split", **rates)])
    assert outcome(found) == ("EXPLAINED", "CORPORATE_ACTION", "0")
    assert (found.terms[0].kind, found.terms[0].amount, found.event) == ("announced", Decimal(6) * sign, "ca1")
    booked = [
        moved("reverse_split", held.replace("105", "-105").replace("--", ""), "m1", symbol="AAPL.OLD", related="AAPL", group="e"),
        moved("reverse_split", after, "m2", group="e"),
        moved("cash", None, "m3", group="e", amount=str(6 * sign)),
    ]
    rows = explained(one, movements=booked, corporate_actions=[action("reverse_split", **rates)])
    assert outcome(rows) == ("EXPLAINED", "CORPORATE_ACTION", "0")
    assert names(rows) == ["m1", "m2", "m3"], "what the broker booked goes before what was announced"
    assert rows.ties == 0


OPTION = "AAPL261120P00200000"


@pytest.mark.case("F07")
@pytest.mark.parametrize(
    ("kind", "contracts", "shares", "cause"), [("exercise", "-2", "-200", "EXERCISE"), ("assignment", "2", "200", "ASSIGNMENT")]
)
@pytest.mark.parametrize("group", ["g1", None])
def test_an_option_and_the_shares_it_delivers_have_one_cause(kind, contracts, shares, cause, group):
    option = difference(str(-int(contracts)), None, OPTION)
    stock = difference("0", shares)
    rows = [moved(kind, contracts, "m1", symbol=OPTION, group=group), moved("delivery", shares, "m2", group=group, price="200")]
    both = explained_all([option, stock], movements=rows)
    assert [outcome(each) for each in both] == [("EXPLAINED", cause, "0")] * 2
    assert both[0].event == both[1].event == group


@pytest.mark.case("F07")
def test_an_option_that_expires_or_is_removed_then_has_expired():
    for kind in ("expiry", "removal"):
        found = explained(difference("3", None, OPTION), movements=[moved(kind, "-3", symbol=OPTION)])
        assert outcome(found) == ("EXPLAINED", "OPTION_EXPIRY", "0")
    early = explained(difference("3", None, OPTION), movements=[moved("removal", "-3", on=days(3), symbol=OPTION)])
    assert early.cause == "CLOSED_BY_BROKER"


def test_deliveries_of_one_day_are_told_apart():
    rows = [moved("delivery", "100", "m1", group="g"), moved("delivery", "-200", "m2", group="g")]
    assert names(explained(difference("0", "100"), movements=rows)) == ["m1"]


# -- what was announced


def test_an_announced_split_explains_what_it_makes_of_the_books_quantity():
    split = action("split", on=days(2), old_rate="1", new_rate="4", said="forward_splits")
    found = explained(difference("100", "400"), corporate_actions=[split])
    assert outcome(found) == ("EXPLAINED", "CORPORATE_ACTION", "0")
    assert (found.diverged_on, found.event, found.inferred) == (days(2), "ca1", False)
    assert "300 by what was announced for 2026-11-18 (ca1: forward_splits 4 for 1)" in found.why


def test_what_an_announcement_and_a_fill_both_explain_is_a_tie():
    split = action("split", old_rate="1", new_rate="4")
    found = explained(difference("100", "400"), corporate_actions=[split], fills=[fill("300", "f1")])
    assert (names(found), found.ties) == (["f1"], 1)


def test_units_missed_before_a_split_are_split_and_later_ones_are_not():
    split = action("split", on=days(2), old_rate="1", new_rate="4")
    fills = [fill("50", "f1", hours(90)), fill("7", "f2", hours(5))]
    found = explained(difference("100", "607"), fills=fills, corporate_actions=[split])
    assert {term.id: term.quantity for term in found.terms} == {"f1": Decimal(50), "ca1": Decimal(450), "f2": Decimal(7)}
    by_id = explained(difference("100", "607"), fills=fills, corporate_actions=[split], book_fills=[BEFORE])
    assert by_id.terms == found.terms


EX_DATE = datetime(2026, 11, 19, tzinfo=UTC)
NEAR = {"corporate_actions": [action("split", on=EX_DATE.date(), old_rate="1", new_rate="4")]}


def near(quantity, number, at):
    """A fill so many hours after the beginning of the split's day in UTC."""
    return fill(quantity, number, EX_DATE + timedelta(hours=at))


@pytest.mark.parametrize("own", [None, [BEFORE]])
@pytest.mark.parametrize(
    ("reported", "fills", "split"),
    [
        ("440", [near("10", "f1", 0.5)], "330"),  # an evening's in New York
        ("410", [near("10", "f1", -3)], "300"),  # a morning's in Tokyo
        ("455", [near("10", "f1", -4), near("3", "f2", 1), near("3", "f3", 15)], "339"),
        ("410", [near("10", "f1", 30)], "300"),
    ],
)
def test_a_trade_about_the_time_of_a_split_is_before_or_after_it_as_adds_up(reported, fills, split, own):
    found = explained(difference("100", reported), fills=fills, book_fills=own, **NEAR)
    assert found.certain, found.doubt
    assert {term.id: str(term.quantity) for term in found.terms}["ca1"] == split
    assert len(found.terms) == len(fills) + 1


def test_the_split_stands_among_the_trades_where_it_adds_up():
    found = explained(difference("100", "440"), fills=[near("10", "f1", 0.5)], **NEAR)
    assert [term.id for term in sorted(found.terms, key=lambda term: term.at)] == ["f1", "ca1"]


def test_trades_that_add_up_before_a_split_and_others_after_it_are_a_doubt():
    fills = [near("10", "f1", 0.5), near("40", "f2", 2)]
    found = explained(difference("100", "440"), fills=fills, **NEAR)
    assert (found.explained, found.ties, found.certain) == (True, 1, False)
    assert not explained(difference("100", "440"), fills=[near("10", "f1", -30)], **NEAR).ties


@pytest.mark.parametrize("own", [None, [BEFORE]])
def test_beside_a_split_that_does_not_add_up_no_row_from_before_it_is_named_in_part(own):
    split = {"corporate_actions": [action("split", on=EX_DATE.date(), old_rate="1", new_rate="3")]}
    for hour in (-30, -3, 0.5, 20):
        found = explained(difference("100", "440"), fills=[near("10", "f1", hour)], book_fills=own, **split)
        assert outcome(found) == ("UNEXPLAINED", "UNEXPLAINED", "-340")
    later = explained(difference("100", "440"), fills=[near("10", "f1", 25)], book_fills=own, **split)
    assert outcome(later) == (("PARTLY", "MISSED_FILL", "-330") if own else ("UNEXPLAINED", "UNEXPLAINED", "-340"))


@pytest.mark.case("F10")
def test_a_wrong_ratio_explains_nothing():
    for rates in ({"old_rate": "1", "new_rate": "3"}, {"old_rate": "4", "new_rate": "1"}, {"old_rate": "1", "new_rate": "4.1"}):
        found = explained(difference("100", "400"), corporate_actions=[action("split", **rates)])
        assert outcome(found) == ("UNEXPLAINED", "UNEXPLAINED", "-300")
    for day in (TODAY + timedelta(days=1), None):
        later = action("split", on=day, old_rate="1", new_rate="4")
        assert not explained(difference("100", "400"), corporate_actions=[later]).explained


@pytest.mark.case("F10")
def test_an_announcement_does_not_explain_beside_the_booking_of_the_same_event():
    split = action("split", on=days(1), old_rate="1", new_rate="4")
    found = explained(difference("100", "400"), corporate_actions=[split], movements=[moved("split", "200")])
    assert outcome(found) == ("PARTLY", "CORPORATE_ACTION", "-100")


def test_a_change_of_symbol_explains_both_positions_or_none():
    change = action("symbol_change", symbol="FB", new_symbol="META")
    old, new = difference("100", None, "FB"), difference(None, "100", "META")
    both = explained_all([old, new], corporate_actions=[change])
    assert [outcome(each) for each in both] == [("EXPLAINED", "SYMBOL_CHANGE", "0")] * 2
    assert [each.event for each in both] == ["ca1", "ca1"]
    assert not explained(old, corporate_actions=[change]).explained
    fewer = explained_all([old, difference(None, "90", "META")], corporate_actions=[change])
    assert [each.status for each in fewer] == ["UNEXPLAINED", "UNEXPLAINED"]
    booked = [moved("symbol_change", "-100", "m1", symbol="FB"), moved("symbol_change", "100", "m2", symbol="META")]
    rows = explained_all([old, new], corporate_actions=[change], movements=booked)
    assert [names(each) for each in rows] == [["m1"], ["m2"]]


def test_a_merger_moves_units_and_money():
    merger = action("merger", symbol="TWTR", new_symbol="X", old_rate="2", new_rate="1", cash_per_unit="54.20")
    old, new = difference("101", None, "TWTR"), difference("10", "60", "X")
    both = explained_all([old, new], corporate_actions=[merger])
    assert [outcome(each) for each in both] == [("EXPLAINED", "CORPORATE_ACTION", "0")] * 2
    assert both[0].terms[0].amount == Decimal("5474.20")
    cash = explained(old, corporate_actions=[action("merger", symbol="TWTR", cash_per_unit="54.20")])
    assert (cash.cause, cash.terms[0].amount) == ("CORPORATE_ACTION", Decimal("5474.20"))
    assert not explained(old, corporate_actions=[action("merger", symbol="TWTR")]).explained, "into nothing and for nothing"
    assert not explained(old, corporate_actions=[action("liquidation", symbol="TWTR", cash_per_unit="9")]).explained
    assert not explained(old, corporate_actions=[merger]).explained


def test_a_spin_off_is_reckoned_from_what_the_book_holds_of_its_parent():
    spun = action("spin_off", symbol="GE", new_symbol="GEV", old_rate="4", new_rate="1")
    parent, new = difference("101", "111", "GE"), difference(None, "25", "GEV")
    both = explained_all([parent, new], corporate_actions=[spun], fills=[fill("10", symbol="GE")])
    assert [each.cause for each in both] == ["MISSED_FILL", "CORPORATE_ACTION"]
    assert not explained(new, corporate_actions=[spun]).explained


def test_the_same_event_announced_twice_is_one():
    events = [action("split", id=name, old_rate="1", new_rate="4") for name in ("ca1", "ca2")]
    assert explained(difference("100", "400"), corporate_actions=events).ties == 0


# -- what no record says


def priced(book, at, reported, price, **more):
    return difference(book, reported, ours={"avg_price": at} | more, theirs={"avg_price": price})


def test_a_split_is_inferred_from_quantity_and_price_and_said_to_be():
    found = explained(priced("100", "40", "400", "10.04"))
    assert outcome(found) == ("EXPLAINED", "CORPORATE_ACTION", "0")
    assert (found.inferred, found.diverged_on) == (True, None)
    assert "as after a split of 4 for 1" in found.why
    assert explained(priced("-300", "10", "-20", "150")).cause == "CORPORATE_ACTION"


@pytest.mark.case("F10")
@pytest.mark.parametrize(
    "sides",
    [
        ("100", "40", "400", "40"), ("100", "40", "401", "9.98"), ("100", "40", "400", "10.06"), ("100", "40", "2100", "1.9"),
        ("100", "40", "-400", "10"), ("100", "40", "400", "0"),
    ],
)  # fmt: skip
def test_nothing_is_inferred_where_prices_or_ratio_do_not_say_so(sides):
    assert explained(priced(*sides)).status == "UNEXPLAINED"


def test_nothing_is_inferred_beside_an_event_on_file():
    wrong = action("split", old_rate="1", new_rate="3")
    assert explained(priced("100", "40", "400", "10"), corporate_actions=[wrong]).status == "UNEXPLAINED"
    assert not explained(priced("100", "40", "400", "10"), movements=[moved("split", "200")]).explained


def test_what_nothing_made_is_a_phantom():
    one = difference("50", None, ours={"opened_at": hours(48), "avg_price": "9"})
    found = explained(one, since=hours(72))
    assert outcome(found) == ("EXPLAINED", "PHANTOM", "0")
    assert (found.inferred, found.diverged_on) == (True, days(2))
    assert "the broker's evidence is complete back to 2026-11-17 21:00 UTC, and nothing in it made the position" in found.why


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"since": hours(24)}, "the book has it since 2026-11-18 21:00 UTC, before what was asked for"),
        ({"complete": False, "reason": "page 3 failed"}, "evidence is not complete: page 3 failed"),
        ({"fills": [fill("50", account=None)]}, "1 row without an account"),
        ({"fills": [fill("50", "f1", hours(40)), fill("40", "f1", hours(40))]}, "contradict each other"),
        ({"fills": [fill("7", "f1", hours(40))]}, "1 row that the broker has moves the position, and no set of them adds up"),
    ],
)
def test_a_phantom_is_not_claimed_where_something_may_have_made_it(more, why):
    found = explained(difference("50", None, ours={"opened_at": hours(48)}), **more)
    assert found.status == "UNEXPLAINED"
    assert why in found.why


def test_what_the_broker_once_had_is_no_phantom():
    one = difference("50", None, ours={"opened_at": hours(48)}, agreed_at=hours(24))
    assert "the broker still had it on 2026-11-19 21:00 UTC" in explained(one).why
    assert "the book does not say since when" in explained(difference("50", None)).why
    assert not explained(difference("50", "20", ours={"opened_at": hours(48)})).explained


def test_a_broker_without_evidence_leaves_it_unexplained():
    one = difference("0", "5")
    found = explain([one], {}, as_of=AS_OF)[one.key]
    assert (found.status, found.why) == ("UNEXPLAINED", "the broker gives no evidence")


def test_each_broker_explains_its_own():
    ours = [difference("0", "5"), difference("0", "5", broker="other")]
    found = explain(
        ours, {name: told(name, fills=fills) for name, fills in {"prime": [], "other": [fill("5")]}.items()}, as_of=AS_OF
    )
    assert [found[each.key].explained for each in ours] == [False, True]


def test_terms_say_where_they_were_read_and_from_which_bytes():
    fills = [fill("5", source="GET /fills: page 10: row 3")]
    digests = {"GET /fills: page 1": "aa", "GET /fills: page 10": "bb", "GET /fills": "cc"}
    assert explained(difference("0", "5"), fills=fills, digests=digests).terms[0].sha256 == "bb"
    assert explained(difference("0", "5"), fills=fills, digests={"GET /fills: page 1": "aa"}).terms[0].sha256 is None


def test_numbers_of_all_digits_are_exact():
    big, dust = "12345678901234567890.123456789012345678", "0.000000000000000001"
    found = explained(difference("0", big), fills=[fill(big, "f1"), fill(dust, "f2")])
    assert names(found) == ["f1"]
    assert not explained(difference(dust, big), fills=[fill(big, "f1")]).explained
