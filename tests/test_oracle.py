"""The engine against the oracle: on random inputs, and on the catalogue's cases, where what both must say is written down.

Every example goes through ``judged``, which asserts that the two agree before the test asserts what they agree on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, assume, given, seed, settings
from oracle import Opinion, opinion
from oracle_kernel import kernel, runbook
from oracle_pairs import Inputs
from oracle_rules import Finding
from oracle_samples import AS_OF, LARGE, NOW, SMALL, WIDE, Size, inputs

from recon_core import pairs
from recon_core.config.policy import Halt, Match, Override, Policy
from recon_core.config.settings import BrokerSettings
from recon_core.engine import connect
from recon_core.listing import worst
from recon_core.model import Feed, Position

FIVE = runbook()
SIX = runbook("CURRENCY_MISMATCH")
Judged = Callable[..., Opinion]


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as opened:
        opened.execute("SET threads = 1")  # of tables this small, several only get in each other's way
        yield opened


@pytest.fixture
def judged(connection: duckdb.DuckDBPyConnection) -> Judged:
    """Judges book rows against one broker's rows (None: a feed that failed), by the engine and by the oracle."""

    def judge(
        book: Sequence[Position], broker: Sequence[Position] | None, *, policy: Policy = FIVE, legs: str = "keep", **more: Any
    ) -> Opinion:
        lots, feed_lots = more.pop("book_lots", False), more.pop("feed_lots", False)
        feed = Feed.complete(broker or (), as_of=AS_OF, accounts=("MAIN", "HEDGE"), lots=feed_lots)
        if broker is None:
            feed = Feed.unavailable(feed.status.FAILED, "no answer")
        case = Inputs(
            book=tuple(("prime", each) for each in book),
            feeds=((BrokerSettings("prime", "sample", legs=legs), feed),),
            policy=policy,
            as_of=AS_OF,
            now=NOW,
            fx=more.pop("fx", {}),
            book_lots=lots,
            typed=more.pop("typed", False),
        )
        assert not more
        found = kernel(connection, case)
        assert found == opinion(case)
        return found

    return judge


def row(symbol: str = "AAPL", quantity: str = "100", **more: Any) -> Position:
    """A position of account MAIN; figures as texts."""
    figures = {name: Decimal(more.pop(name)) for name in ("avg_price", "market_price", "multiplier") if name in more}
    return Position(symbol=symbol, quantity=Decimal(quantity), account=more.pop("account", "MAIN"), **figures, **more)


def tuned(kind: str, policy: Policy = FIVE, **changes: Any) -> Policy:
    """The policy with something else about one rule; ``params`` are added to its own."""
    rule = policy.rules[kind]
    params = dict(rule.params) | {name: Decimal(value) for name, value in changes.pop("params", {}).items()}
    return replace(policy, rules=dict(policy.rules) | {kind: replace(rule, params=params, **changes)})


def types(found: Opinion) -> list[str]:
    """The types of the breaks that are not silenced."""
    return sorted(finding.type for finding in found.findings if finding.live)


def only(found: Opinion) -> Finding:
    (finding,) = found.findings
    return finding


def total(found: Opinion) -> Decimal | None:
    assert found.sums is not None
    return found.sums[()].impact


def tripped(found: Opinion, escalation: str) -> bool:
    return any(f"escalation.{escalation}." in line for line, _, _ in found.reasons)


# --- random inputs


def agree(connection: duckdb.DuckDBPyConnection, number: int, size: Size, examples: int) -> None:
    """Assert that engine and oracle say the same of random inputs, each with a policy of its own; the same for the same sources."""
    policies: set[str] = set()

    @seed(number)
    @settings(
        max_examples=examples, deadline=None, database=None, report_multiple_bugs=False, suppress_health_check=list(HealthCheck)
    )
    @given(inputs(size))
    def same(case: Inputs) -> None:
        policy = repr(case.policy)
        assume(policy not in policies)  # half of what hypothesis draws is a copy, whole or in part, of what it drew before
        assert kernel(connection, case) == opinion(case)
        policies.add(policy)

    same()
    assert len(policies) == examples


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_engine_and_oracle_agree_on_a_few_positions_under_a_few_rules(connection, part, request):
    """With the two tests below: 2,000 random books, feeds and policies, or, without ``--faults``, the first 240 of them.

    Most without DuckDB's optimizer, a third of the time: the answer must not depend on it.
    """
    connection.execute("PRAGMA enable_optimizer" if part < 2 else "PRAGMA disable_optimizer")
    try:
        agree(connection, part, SMALL, examples=235 if request.config.getoption("--faults") else 25)
    finally:
        connection.execute("PRAGMA enable_optimizer")


@pytest.mark.slow
@pytest.mark.parametrize("part", range(2))
def test_engine_and_oracle_agree_on_more_positions_under_most_rules(connection, part, request):
    agree(connection, part, LARGE, examples=45 if request.config.getoption("--faults") else 12)


@pytest.mark.slow
def test_engine_and_oracle_agree_on_several_brokers(connection, request):
    agree(connection, 0, WIDE, examples=30 if request.config.getoption("--faults") else 16)


# --- absence


@pytest.mark.case("A01")
def test_a_row_only_in_the_book_is_missing_at_the_broker(judged):
    finding = only(judged([row(market_price="10")], []))
    assert (finding.type, finding.impact, finding.halts) == ("MISSING_AT_BROKER", 1000, True)


@pytest.mark.case("A02")
def test_a_row_only_at_the_broker_is_missing_in_the_book(judged):
    finding = only(judged([], [row(market_price="10")]))
    assert (finding.type, finding.impact, finding.halts) == ("MISSING_IN_DB", 1000, True)


@pytest.mark.case("A03", "A04", "A05")
@pytest.mark.parametrize(("book", "broker"), [([], []), (["0"], ["0"]), (["0"], []), ([], ["0.000"])])
def test_flat_is_the_same_as_no_row_on_either_side(judged, book, broker):
    found = judged([row(quantity=quantity) for quantity in book], [row(quantity=quantity) for quantity in broker])
    assert (found.pairs, found.findings, found.reasons) == (0, frozenset(), ())


# --- numbers


@pytest.mark.case("B01")
@pytest.mark.parametrize(("book", "broker"), [("100.000000000000000001", "100"), ("100", "100.000000000000000001")])
def test_one_unit_in_the_last_place_is_a_break_in_both_directions(judged, book, broker):
    finding = only(judged([row(quantity=book)], [row(quantity=broker, market_price="10")]))
    assert (finding.type, finding.impact, finding.halts) == ("QUANTITY_MISMATCH", 0, False)


@pytest.mark.case("B02")
def test_lots_of_a_tenth_and_two_tenths_are_three_tenths(judged):
    assert not judged([row(quantity="0.1"), row(quantity="0.2")], [row(quantity="0.3")], book_lots=True).findings


@pytest.mark.case("B03")
def test_dust_of_eighteen_decimals_is_kept_to_its_last_digit(judged):
    dust = "0.123456789012345678"
    assert not judged([row(quantity=dust)], [row(quantity=dust)]).findings
    assert types(judged([row(quantity=dust)], [row(quantity="0.123456789012345679")])) == ["QUANTITY_MISMATCH"]


@pytest.mark.case("B04")
@pytest.mark.parametrize(
    ("book", "broker", "halts"),
    [
        ("110", "100", False),
        ("110.000000000000000001", "100", True),
        ("90", "100", False),
        ("89.999999999999999999", "100", True),
        ("100", "110", False),  # 9.09 % of the broker's 110
        ("100", "90", True),  # 11.11 % of the broker's 90
        ("1100000000000000", "1000000000000000", False),
        ("1100000000000000.000000000000000001", "1000000000000000", True),
    ],
)
def test_only_more_than_ten_percent_of_the_brokers_quantity_halts(judged, book, broker, halts):
    assert only(judged([row(quantity=book)], [row(quantity=broker)])).halts is halts


@pytest.mark.case("B05")
def test_a_base_of_zero_is_no_division_but_a_missing_position_or_a_price_that_differs(judged):
    assert types(judged([row(quantity="5")], [row(quantity="0")])) == ["MISSING_AT_BROKER"]
    assert types(judged([row(avg_price="0.01")], [row(avg_price="0")])) == ["PRICE_MISMATCH"]
    assert not judged([row(avg_price="0")], [row(avg_price="0")]).findings


@pytest.mark.case("B06")
def test_one_share_against_two_halts_unless_the_policy_has_a_floor_in_money(judged):
    book, broker = [row(quantity="1")], [row(quantity="2", market_price="4")]
    assert only(judged(book, broker)).halts
    floor = Halt("above_pct 10 and above_impact 250", above_pct=Decimal(10), above_impact=Decimal(250))
    assert not only(judged(book, broker, policy=tuned("QUANTITY_MISMATCH", halt=floor))).halts


@pytest.mark.case("B07")
def test_a_short_against_a_long_of_the_same_size_differs_by_twice_the_size(judged):
    finding = only(judged([row(quantity="-100")], [row(quantity="100", market_price="10")]))
    assert (finding.type, finding.impact, finding.halts) == ("QUANTITY_MISMATCH", 2000, True)


@pytest.mark.case("B08")
@pytest.mark.parametrize(("book", "breaks"), [("-105", 0), ("-95", 0), ("-105.000000000000000001", 1), ("-94.9", 1), ("100", 1)])
def test_a_tolerance_holds_for_shorts_as_for_longs(judged, book, breaks):
    policy = tuned("QUANTITY_MISMATCH", params={"tolerance": 5})
    assert len(judged([row(quantity=book)], [row(quantity="-100", market_price="1")], policy=policy).findings) == breaks


@pytest.mark.case("B11")
def test_swapping_the_sides_swaps_the_labels_and_the_signs_and_nothing_else(judged, connection):
    ours = [row("AAPL", "100"), row("MSFT", "-7.5"), row("BTC", "0.000000000000000003"), row("VOD", "12"), row("ES", "0")]
    theirs = [row("AAPL", "103"), row("MSFT", "7.5"), row("BTC", "1"), row("TSLA", "-5"), row("ES", "2")]
    ours, theirs = ([replace(each, market_price=Decimal("187.2")) for each in side] for side in (ours, theirs))

    def listed(book: list[Position], broker: list[Position]) -> set[tuple[str, ...]]:
        judged(book, broker)
        return {(each["type"], each["symbol"], each["quantity_difference"], each["impact"]) for each in worst(connection, 99)}

    labels = {"MISSING_IN_DB": "MISSING_AT_BROKER", "MISSING_AT_BROKER": "MISSING_IN_DB"}
    as_it_is = listed(ours, theirs)
    assert len(as_it_is) == 6
    mirrored = {(labels.get(kind, kind), symbol, str(-Decimal(apart)), worth) for kind, symbol, apart, worth in as_it_is}
    assert {(kind, symbol, str(Decimal(apart)), worth) for kind, symbol, apart, worth in listed(theirs, ours)} == mirrored


def test_quantities_too_large_to_value_or_to_compare_in_percent_are_breaks_of_unknown_impact(judged):
    book, broker = [row(quantity="9" * 19, market_price="1000000")], [row(quantity="-" + "9" * 19, market_price="1000000")]
    finding = only(judged(book, broker))
    assert (finding.type, finding.impact, finding.halts) == ("QUANTITY_MISMATCH", None, True)


@pytest.mark.parametrize(
    ("book", "broker", "expected"),
    [
        ({"avg_price": "123456.789012345678"}, {"avg_price": "123456.789012345678"}, []),
        ({"avg_price": "123456.789012345678"}, {"avg_price": "120000"}, ["PRICE_MISMATCH"]),
        ({"quantity": "9" * 18}, {"quantity": "-" + "9" * 18}, ["QUANTITY_MISMATCH"]),
        ({"quantity": "103", "market_price": "99999999.5", "multiplier": "2.5"}, {}, []),
    ],
    ids=["equal prices", "other prices", "opposite quantities", "value within the limit"],
)
def test_figures_that_fill_the_narrow_decimals_of_a_file_are_compared_as_exactly_as_any(judged, book, broker, expected):
    within = tuned("QUANTITY_MISMATCH", params={"tolerance": 5, "tolerance_value": 10**9})
    policy = tuned("PRICE_MISMATCH", within, params={"tolerance_pct": "1.25"})
    found = judged([row(**book)], [row(**broker)], policy=policy, typed=True)
    assert types(found) == expected
    assert found.undetermined is not None
    assert found.undetermined["PRICE_MISMATCH"] == (not broker.get("avg_price"))


# --- prices, currencies, units


@pytest.mark.case("C01")
@pytest.mark.parametrize(("price", "breaks"), [("101", 0), ("99", 0), ("101.000000000001", 1), ("98.999999999999", 1), ("-100", 1)])
def test_a_price_one_percent_apart_matches_and_the_next_step_does_not(judged, price, breaks):
    assert len(judged([row(avg_price=price)], [row(avg_price="100")]).findings) == breaks


@pytest.mark.case("C05")
def test_currencies_that_differ_are_said_in_place_of_a_comparison_of_prices(judged):
    book, broker = row(avg_price="100", currency="EUR"), row(avg_price="108", currency="USD")
    found = judged([book], [broker], policy=SIX)
    assert types(found) == ["CURRENCY_MISMATCH"]
    assert {(each.type, each.superseded_by) for each in found.findings} == {
        ("CURRENCY_MISMATCH", None),
        ("PRICE_MISMATCH", "CURRENCY_MISMATCH"),
    }
    ((line, scope, count),) = found.reasons
    assert (line.partition(": ")[2], scope, count) == ("rules.CURRENCY_MISMATCH.halt: always", "firm", 1)


@pytest.mark.case("C06")
@pytest.mark.parametrize(
    ("book", "prices", "breaks"),
    [
        ("150", {"market_price": "10"}, 0),
        ("200", {"market_price": "10"}, 0),
        ("200.00001", {"market_price": "10"}, 1),
        ("150", {}, 1),
    ],
)
def test_a_loosened_tolerance_does_not_hide_a_break_of_value_or_of_unknown_value(judged, book, prices, breaks):
    policy = tuned("QUANTITY_MISMATCH", params={"tolerance": 1000})
    assert len(judged([row(quantity=book)], [row(quantity="100", **prices)], policy=policy).findings) == breaks


@pytest.mark.case("C07")
def test_the_price_of_lots_is_their_average_by_quantity_rounded_to_twelve_decimals(judged):
    lots = [row(quantity="1", avg_price="10"), row(quantity="2", avg_price="10.01")]
    exactly = tuned("PRICE_MISMATCH", params={"tolerance_pct": 0})
    assert not judged(lots, [row(quantity="3", avg_price="10.006666666667")], book_lots=True, policy=exactly).findings
    assert types(judged(lots, [row(quantity="3", avg_price="10.006666666666")], book_lots=True, policy=exactly)) == [
        "PRICE_MISMATCH"
    ]
    assert not judged(lots, [row(quantity="3", avg_price="10.05")], book_lots=True).findings  # a few cents


def test_an_average_is_unknown_where_one_lot_is_too_large_to_value(judged):
    lots = [row(quantity="1000000000000000", avg_price="1000000"), row(quantity="1", avg_price="1")]
    finding = only(judged(lots, [], book_lots=True))
    assert (finding.type, finding.impact) == ("MISSING_AT_BROKER", None)


@pytest.mark.parametrize("price", ["99999", "50000"], ids=["of one price", "of two prices"])
def test_lots_that_together_are_too_large_to_value_are_no_error(judged, price):
    lots = [row(quantity="900000000000000", avg_price=each) for each in ("99999", price)]
    found = judged([row(quantity="1800000000000000", avg_price="99999")], lots, feed_lots=True)
    assert not found.findings
    assert found.undetermined is not None
    assert found.undetermined["PRICE_MISMATCH"] == (price == "50000")


def test_a_broker_of_lots_beside_one_without_keeps_each_price_in_its_column(connection):
    held = row(avg_price="10", market_price="12", currency="USD")
    lots = [replace(held, quantity=Decimal(60)), replace(held, quantity=Decimal(40))]
    case = Inputs(
        book=(("alpha", held), ("beta", held)),
        feeds=(
            (BrokerSettings("alpha", "sample"), Feed.complete([held], as_of=AS_OF)),
            (BrokerSettings("beta", "sample"), Feed.complete(lots, as_of=AS_OF, lots=True)),
        ),
        policy=FIVE,
        as_of=AS_OF,
        now=NOW,
        fx={},
    )
    found = kernel(connection, case)
    assert found == opinion(case)
    assert not found.findings


@pytest.mark.parametrize(("fx", "base", "impact"), [({}, "GBP", "10"), ({"GBP": Decimal("1.123456789012")}, "USD", "11.2346")])
def test_pence_are_hundredths_of_pounds_also_of_the_base_currency_itself(judged, fx, base, impact):
    policy = replace(FIVE, base_currency=base)
    assert only(judged([row(market_price="10", currency="GBX")], [], policy=policy, fx=fx)).impact == Decimal(impact)


def test_the_hundredth_of_a_rate_of_twelve_decimals_is_not_rounded(judged):
    finding = only(
        judged([row("VOD", "1000000000000", currency="GBX", market_price="1")], [], fx={"GBP": Decimal("1.123456789012")})
    )
    assert finding.impact == Decimal("11234567890.12")


# --- grain


@pytest.mark.case("E02")
def test_lots_are_added_up_where_the_source_declares_them_and_a_fault_where_not(judged):
    lots, whole = [row(quantity="60"), row(quantity="40")], [row(quantity="100")]
    assert not judged(lots, whole, book_lots=True).findings
    assert not judged(whole, lots, feed_lots=True).findings
    assert judged(lots, whole).duplicates
    assert judged(whole, lots).duplicates
    assert judged(lots, []).duplicates


def test_a_key_that_repeats_in_the_book_is_found_where_the_feed_has_failed_too(judged):
    assert judged([row(), row()], None).duplicates


@pytest.mark.case("E05")
def test_hedge_legs_equal_in_net_and_wrong_in_legs_break_unless_the_broker_nets(judged):
    book = [row(quantity="100", leg="LONG"), row(quantity="-50", leg="SHORT")]
    broker = [row(quantity="80", leg="LONG"), row(quantity="-30", leg="SHORT")]
    assert {finding.key[3] for finding in judged(book, broker).findings} == {"LONG", "SHORT"}
    assert not judged(book, broker, legs="net").findings


@pytest.mark.case("E06")
def test_legs_that_cancel_are_flat_only_at_a_broker_that_nets(judged):
    book = [row(quantity="100", leg="LONG"), row(quantity="-100", leg="SHORT")]
    assert types(judged(book, [])) == ["MISSING_AT_BROKER"] * 2
    assert judged(book, [], legs="net").pairs == 0


@pytest.mark.case("E07")
def test_one_symbol_in_two_accounts_is_two_positions(judged):
    book = [row(quantity="100"), row(quantity="50", account="HEDGE")]
    broker = [row(quantity="50"), row(quantity="100", account="HEDGE")]
    assert not judged(book, book).findings
    assert types(judged(book, broker)) == ["QUANTITY_MISMATCH"] * 2


# --- the join of many rows, by hashes of their keys


@pytest.mark.parametrize("of_one_hash", ["0::UBIGINT", "hash(symbol) % 2"])
@pytest.mark.parametrize("more", [{}, {"feed_lots": True}, {"legs": "net"}], ids=str)
def test_keys_of_one_hash_are_told_apart_by_the_keys_themselves(
    judged: Judged, monkeypatch: pytest.MonkeyPatch, of_one_hash: str, more: dict[str, Any]
) -> None:
    monkeypatch.setattr(pairs, "key_hash", lambda _: of_one_hash)
    every = [row(symbol) for symbol in "ABCDEF"]  # an even number, which the test's kernel joins by hash
    assert types(judged(every, every[:-1], **more)) == ["MISSING_AT_BROKER"]
    assert types(judged(every[:2], every[:1], **more)) == ["MISSING_AT_BROKER"]


def test_a_key_that_repeats_is_found_by_its_hash_too(judged: Judged) -> None:
    once, twice = [row("A"), row("B")], [row("A"), row("A", "7")]
    assert judged(twice, once).duplicates
    assert judged(once, twice).duplicates


# --- feeds in doubt


@pytest.mark.parametrize(("pattern", "halts"), [("MAIN", True), ("[MH]*", False), ("HEDGE", True), ("*", False)])
def test_an_override_for_accounts_decides_of_a_feed_in_doubt_where_it_covers_every_account_of_it(connection, pattern, halts):
    case = Inputs(
        book=(("prime", row()), ("prime", row(account="HEDGE"))),
        feeds=((BrokerSettings("prime", "sample"), Feed.complete([], as_of=AS_OF)),),
        policy=replace(FIVE, overrides=(Override(Match(account=pattern), {}, "warn", 99),)),
        as_of=AS_OF,
        now=NOW,
        fx={},
    )
    found = kernel(connection, case)
    assert found == opinion(case)
    assert bool(found.reasons) is halts


# --- time


@pytest.mark.case("G04", "G05")
@pytest.mark.parametrize("touched", [None, NOW + timedelta(microseconds=1)])
def test_a_row_without_a_time_or_of_the_future_is_neither_fresh_nor_stale(judged, touched):
    book, broker = [row(updated_at=touched)], [row()]
    found = judged(book, broker)
    assert not found.findings
    assert found.undetermined is not None
    assert found.undetermined["STALE_POSITION"] == 1
    strict = judged(book, broker, policy=tuned("STALE_POSITION", undetermined="break"))
    assert (only(strict).type, only(strict).impact) == ("STALE_POSITION", None)


@pytest.mark.parametrize(("age", "breaks"), [(timedelta(hours=24), 1), (timedelta(hours=24, microseconds=-1), 0)])
def test_twenty_four_hours_are_stale_and_a_microsecond_less_is_not(judged, age, breaks):
    assert len(judged([row(updated_at=AS_OF - age)], [row()]).findings) == breaks


# --- halt


@pytest.mark.case("I01")
@pytest.mark.parametrize(
    ("apart", "worth", "halts"), [("100", "1000", False), ("100.00001", "1000.0001", True), ("100.001", "1000.01", True)]
)
def test_a_thousand_dollars_do_not_halt_and_the_smallest_step_above_does(judged, apart, worth, halts):
    found = judged([row(quantity=f"{10000 + Decimal(apart)}")], [row(quantity="10000", market_price="10")])
    assert (total(found), tripped(found, "financial-impact"), bool(found.reasons)) == (Decimal(worth), halts, halts)


@pytest.mark.case("I02")
@pytest.mark.parametrize(("missing", "halts"), [(2, False), (3, True)])
def test_two_missing_positions_do_not_escalate_and_three_do(judged, missing, halts):
    found = judged([row(f"S{number}", "1", market_price="1") for number in range(missing)], [])
    assert tripped(found, "missing-positions") is halts
    assert found.require == (("full manual reconciliation",) if halts else ())


@pytest.mark.case("I08")
def test_impact_is_added_up_gross_so_that_a_long_cannot_pay_for_a_short(judged):
    book = [row("UP", "100500", market_price="100"), row("DOWN", "98800", market_price="100")]
    broker = [row("UP", "100000", market_price="100"), row("DOWN", "100000", market_price="100")]
    assert total(judged(book, broker)) == 50_000 + 120_000


@pytest.mark.case("I09")
@pytest.mark.parametrize(
    ("facts", "changes"),
    [
        ({}, {}),
        ({"market_price": "1", "currency": "XXX"}, {}),
        ({"market_price": "1", "asset_class": "us_option"}, {}),
        ({"avg_price": "1"}, {"price_fallback": False}),
    ],
    ids=["no price", "no rate", "no multiplier", "no market price"],
)
def test_what_nobody_can_price_is_unknown_and_exceeds_every_limit(judged, facts, changes):
    policy = replace(tuned("QUANTITY_MISMATCH", halt=Halt("above_impact", above_impact=Decimal(10**12))), **changes)
    found = judged([row(quantity="101", **facts)], [row(**facts)], policy=policy)
    assert only(found).impact is None
    assert only(found).halts
    assert total(found) is None
    assert tripped(found, "financial-impact")


# --- several rules


def claiming(*claims: tuple[str, str], policy: Policy = FIVE) -> Policy:
    """The policy in which each first rule silences the second."""
    for winner, loser in claims:
        policy = tuned(winner, policy, supersedes=(loser,))
    return policy


BOTH = [row(quantity="105", avg_price="120")], [row(quantity="100", avg_price="100")]


@pytest.mark.case("J05")
def test_of_two_rules_that_claim_one_pair_the_superseding_one_alone_counts(judged):
    assert types(judged(*BOTH)) == ["PRICE_MISMATCH", "QUANTITY_MISMATCH"]
    found = judged(*BOTH, policy=claiming(("PRICE_MISMATCH", "QUANTITY_MISMATCH")))
    assert types(found) == ["PRICE_MISMATCH"]
    assert total(found) == 0


@pytest.mark.case("J05")
def test_a_break_that_halts_is_not_silenced_by_one_that_does_not(judged):
    halting = tuned("QUANTITY_MISMATCH", halt=Halt("always", always=True))
    found = judged(*BOTH, policy=claiming(("PRICE_MISMATCH", "QUANTITY_MISMATCH"), policy=halting))
    assert types(found) == ["PRICE_MISMATCH", "QUANTITY_MISMATCH"]


@pytest.mark.case("J05")
def test_two_rules_that_claim_each_other_leave_one_break_standing(judged):
    circle = claiming(("PRICE_MISMATCH", "QUANTITY_MISMATCH"), ("QUANTITY_MISMATCH", "PRICE_MISMATCH"))
    assert types(judged(*BOTH, policy=circle)) == ["QUANTITY_MISMATCH"]  # the policy names it first
