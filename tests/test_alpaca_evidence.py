"""What happened in an Alpaca account, from a real server on loopback that speaks the documented shapes of its APIs."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from alpaca_samples import ADAPTER, SECRETS, account, alpaca, booked, fill, row
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loopback import Loopback, Reply, as_json, serving

from recon_core.errors import AuthError, BrokerError, MalformedError, RequestError, ThrottledError, TransientError
from recon_core.evidence import MOVEMENT_KINDS, Evidence, Fill, Movement
from recon_core.http import Http, Received
from recon_core.model import Ask, Feed, FeedStatus
from recon_core.recording import Replay, read_recording

SINCE = datetime(2026, 11, 18, 21, tzinfo=UTC)
ACTIVITIES = "/v2/account/activities"
ACTIONS = "/v1/corporate-actions"
NOTHING = {"corporate_actions": {}, "next_page_token": None}


def broker(*pages: Any, held: Any = (), actions: Any = NOTHING, stated: Any = None):
    """A server with these pages of activities; a value is sent as JSON, a Reply as it is, a tuple of ``actions`` one by one."""

    def reply(value: Any) -> Reply:
        return value if isinstance(value, Reply) else as_json(value)

    return serving(
        {
            ACTIVITIES: [reply(page) for page in pages or ([],)],
            "/v2/account": reply(account() if stated is None else stated),
            "/v2/positions": reply(list(held) if isinstance(held, tuple) else held),
            ACTIONS: [reply(page) for page in (actions if isinstance(actions, tuple) else (actions,))],
        }
    )


def told(server: Loopback, since: datetime | None = SINCE, **options: Any) -> Evidence:
    return asyncio.run(alpaca(server, **options).evidence(Ask(since=since)))


def evidence(*rows: dict[str, Any], since: datetime | None = SINCE, **more: Any) -> Evidence:
    with broker(list(rows), **more) as server:
        return told(server, since)


def only(*rows: dict[str, Any], **more: Any) -> Movement:
    """The one movement that these rows are."""
    found = evidence(*rows, **more)
    (movement,) = found.movements
    assert not found.fills
    return movement


def asked(server: Loopback, path: str) -> list[dict[str, str]]:
    """The params of the questions for ``path``."""
    parts = [urlsplit(request.path) for request in server.requests]
    return [{key: values[0] for key, values in parse_qs(part.query).items()} for part in parts if part.path == path]


def actions_of(**by_type: Any) -> dict[str, Any]:
    return {"corporate_actions": by_type, "next_page_token": None}


# Fills


@pytest.mark.parametrize(
    ("side", "quantity"),
    [("buy", "10.5"), ("sell", "-10.5"), ("sell_short", "-10.5"), ("sell_short_exempt", "-10.5")],
)
def test_a_fill_is_signed_by_its_side_and_of_this_execution_alone(side, quantity):
    row = fill(qty="10.5", side=side, cum_qty="99", leaves_qty="7", price="410.123456789", type="partial_fill")
    found = evidence(row)
    assert (found.complete, found.reason, found.since, found.movements) == (True, "", SINCE, ())
    assert found.fills == (
        Fill(
            id="20261119093000123::fill-0001",
            symbol="MSFT",
            quantity=Decimal(quantity),
            price=Decimal("410.123456789"),
            traded_at=datetime(2026, 11, 19, 14, 30, 0, 123456, UTC),
            account="PA3X7",
            currency="USD",
            order_id="order-1",
            source="GET /v2/account/activities: page 1: row 1",
            raw=json.dumps(row),
        ),
    )


def test_a_coin_has_the_symbol_of_its_position_and_the_pair_beside_it():
    (found,) = evidence(fill(symbol="BTC/USD", qty="0.000000000000000001")).fills
    assert (found.symbol, found.raw_symbol, found.asset_class, found.multiplier) == ("BTCUSD", "BTC/USD", "crypto", 1)
    assert (f"{found.quantity:f}", found.currency) == ("0.000000000000000001", "USD")


def test_a_fill_of_a_coin_for_a_coin_is_in_that_coin_and_noted():
    found = evidence(fill(symbol="ETH/BTC"))
    assert (found.fills[0].symbol, found.fills[0].currency) == ("ETHBTC", "BTC")
    assert found.notes == ("a fill of ETH/BTC moves two coins, and the position of neither has its name",)


def test_a_class_share_keeps_its_point_and_an_option_has_its_multiplier():
    found = evidence(fill(1, "BRK.B"), fill(2, "AAPL261218C00250000"), fill(3, "AAPL1261218C00250000")).fills
    assert [(each.symbol, each.asset_class, each.multiplier) for each in found] == [
        ("BRK.B", None, None),
        ("AAPL261218C00250000", "us_option", 100),
        ("AAPL1261218C00250000", "us_option", None),
    ]


def test_the_configured_account_name_stands_for_the_number_and_another_account_is_not_taken_for_this_one():
    with broker([fill(1, account_id="5f2c"), booked("CSD", account_id="other")]) as server:
        found = told(server, account="MAIN")
    assert (found.fills[0].account, found.movements[0].account) == ("MAIN", "other")


@pytest.mark.parametrize(("side", "type_name"), [("cross", "fill"), (..., "fill"), ("buy", "trade_bust")])
def test_a_fill_of_an_unknown_kind_is_kept_unsigned_and_the_evidence_is_not_complete(side, type_name):
    found = evidence(fill(side=side, type=type_name))
    (movement,) = found.movements
    assert (found.fills, found.complete, movement.kind, movement.quantity) == ((), False, "unclassified", None)
    assert "qty 10" in movement.said
    assert "is not known: kept as unclassified" in found.reason


def test_the_money_of_an_account_in_a_local_currency_is_not_guessed():
    found = evidence(fill(), booked("CSD", net_amount="5", currency="GBP"), stated=account(currency="EUR"))
    assert (found.fills[0].currency, found.movements[0].currency) == (None, "GBP")


# Kinds


@pytest.mark.parametrize(
    ("activity", "kind", "quantity"),
    [
        (booked("SPLIT", activity_sub_type="FSPLIT", symbol="NVDA", qty="90"), "split", "90"),
        (booked("SPLIT", activity_sub_type="RSPLIT", symbol="NVDA", qty="-90"), "reverse_split", "-90"),
        (booked("SPLIT", symbol="NVDA", qty="90"), "split", "90"),
        (booked("SSP", symbol="NVDA", qty="90"), "split", "90"),
        (booked("RSPLIT", symbol="NVDA", qty="-90"), "reverse_split", "-90"),
        (booked("SPIN", symbol="GEV", qty="5"), "spin_off", "5"),
        (booked("SSO", symbol="GEV", qty="5"), "spin_off", "5"),
        (booked("MA", activity_sub_type="SCMA", symbol="X", qty="-5", net_amount="40"), "merger", "-5"),
        (booked("CMA", symbol="X", qty="-5"), "merger", "-5"),
        (booked("NC", activity_sub_type="SNC", symbol="FB", qty="-5"), "symbol_change", "-5"),
        (booked("SC", symbol="FB", qty="-5"), "symbol_change", "-5"),
        (booked("REO", activity_sub_type="REOSC", symbol="X", qty="-5"), "merger", "-5"),
        (booked("REORG", activity_sub_type="WRM", symbol="X", qty="-5"), "removal", "-5"),
        (booked("REORG", symbol="X", qty="-5"), "removal", "-5"),
        (booked("REORG", activity_sub_type="XYZ", symbol="X", qty="-5"), "unclassified", "-5"),
        (booked("VOF", activity_sub_type="VTND", symbol="X", qty="-5"), "merger", "-5"),
        (booked("VOF", activity_sub_type="VWRT", symbol="X", qty="5"), "exercise", "5"),
        (booked("VOF", symbol="X", qty="5"), "unclassified", "5"),
        (booked("DIV", activity_sub_type="SDIV", symbol="X", qty="0.5"), "stock_dividend", "0.5"),
        (booked("DIV", symbol="X", qty="0.5", net_amount=...), "stock_dividend", "0.5"),
        (booked("DIV", activity_sub_type="CDIV", symbol="T", qty="2", net_amount="1.02", per_share_amount="0.51"), "cash", None),
        (booked("DIV", activity_sub_type="SDIV", symbol="T", qty="2", net_amount="1.02", per_share_amount="0.51"), "cash", None),
        (booked("DIVNRA", symbol="T", qty="2", net_amount="-0.3", per_share_amount="-0.15"), "cash", None),
        (booked("ACATS", symbol="X", qty="5"), "transfer", "5"),
        (booked("JNLS", symbol="X", qty="-0.5"), "transfer", "-0.5"),
        (booked("JNL", symbol="X", qty="-0.5"), "transfer", "-0.5"),
        (booked("JNL", net_amount="5"), "cash", None),
        (booked("OCT", symbol="BTC/USD", qty="1.5"), "transfer", "1.5"),
        (booked("FOPT", symbol="X", qty="5"), "transfer", "5"),
        (booked("OPASN", symbol="AAPL261218C00250000", qty="2"), "assignment", "2"),
        (booked("OPEXC", symbol="AAPL261218C00250000", qty="-2"), "exercise", "-2"),
        (booked("OPXRC", symbol="AAPL261218C00250000", qty="-2"), "exercise", "-2"),
        (booked("OPEXP", symbol="AAPL261218C00250000", qty="-2"), "expiry", "-2"),
        (booked("OPTRD", symbol="AAPL", qty="200", net_amount="-30000", price="150"), "delivery", "200"),
        (booked("OPCA", activity_sub_type="SPLIT.FSPLIT", symbol="AAPL261218C00250000", qty="-2"), "split", "-2"),
        (booked("OPCA", activity_sub_type="DIV.CDIV", symbol="AAPL261218C00250000", qty="-2"), "unclassified", "-2"),
        (booked("OPCSH", net_amount="12.5"), "cash", None),
        (booked("CFEE", symbol="ETHUSD", qty="-0.000195", price="1884.5"), "fee_in_kind", "-0.000195"),
        (booked("CFEE", net_amount="-0.25"), "cash", None),
        (booked("FEE", symbol="ETH/USD", qty="-0.1"), "fee_in_kind", "-0.1"),
        (booked("FEE", net_amount="-0.02", qty="100"), "cash", None),
        (booked("CSD", net_amount="33324.35"), "cash", None),
        (booked("CSW", net_amount="-5"), "cash", None),
        (booked("JNLC", net_amount="-5"), "cash", None),
        (booked("INT", net_amount="-5"), "cash", None),
        (booked("CSD", symbol="X", qty="7"), "unclassified", "7"),
        (booked("MEM", symbol="X", qty="7"), "unclassified", "7"),
        (booked("NEXT_YEARS_TYPE", activity_sub_type="ANY", symbol="X", qty="7", net_amount="3"), "unclassified", "7"),
    ],
    ids=lambda value: f"{value['activity_type']}-{value.get('activity_sub_type', '')}" if isinstance(value, dict) else None,
)
def test_every_type_is_a_movement_of_its_kind_and_what_was_paid_in_money_moves_nothing(activity, kind, quantity):
    found = only(activity)
    assert found.kind in MOVEMENT_KINDS
    assert (found.kind, found.quantity) == (kind, None if quantity is None else Decimal(quantity))
    assert found.amount == (Decimal(activity["net_amount"]) if "net_amount" in activity else None)
    assert found.said.startswith(activity["activity_type"])


def test_an_unknown_type_is_kept_with_the_brokers_own_words_and_noted():
    activity = booked("NEXT", activity_sub_type="SUB", description="Next Thing", symbol="X", qty="7", cusip="037833100")
    found = evidence(activity, booked("NEXT", 2, activity_sub_type="SUB"))
    movement = found.movements[0]
    assert (movement.said, movement.cusip) == ("NEXT SUB: Next Thing", "037833100")
    assert found.complete
    assert found.notes == ("activities of type NEXT SUB are not known: unclassified",)


@pytest.mark.parametrize(("side", "quantity"), [("buy", 7), ("sell_short", -7), ("cross", None), (5, None)])
def test_an_unknown_trade_is_signed_by_its_side_where_that_is_known(side, quantity):
    assert only(booked("EXTRD", symbol="X", qty="7", side=side)).quantity == quantity


@pytest.mark.parametrize(
    ("description", "said"), [("a\nb\u202e\tc", "NEXT: a b c"), (["x"], "NEXT: ['x']"), ("x" * 300, "NEXT: " + "x" * 200 + "...")]
)
def test_free_text_decides_nothing_and_is_told_in_one_line(description, said):
    assert only(booked("NEXT", description=description)).said == said


@pytest.mark.case("F07")
def test_an_exercise_and_its_delivery_under_one_id_are_two_movements_that_name_each_other():
    found = evidence(
        booked("OPEXC", symbol="AAPL261218C00150000", qty="-2", net_amount="0"),
        booked("OPTRD", symbol="AAPL", qty="200", net_amount="-30000", price="150"),
    )
    assert [(each.kind, each.symbol, each.quantity, each.amount, each.related) for each in found.movements] == [
        ("exercise", "AAPL261218C00150000", -2, 0, "AAPL"),
        ("delivery", "AAPL", 200, -30000, "AAPL261218C00150000"),
    ]
    stamp = "20261119000000000::booked-0001"
    assert [each.id for each in found.movements] == [f"{stamp} OPEXC AAPL261218C00150000", f"{stamp} OPTRD AAPL"]
    assert found.complete


def test_the_two_rows_of_a_name_change_share_their_group_and_name_each_other():
    found = evidence(booked("NC", 1, symbol="FB", qty="-10", group_id="g"), booked("NC", 2, symbol="META", qty="10", group_id="g"))
    assert [(each.symbol, each.quantity, each.related, each.group) for each in found.movements] == [
        ("FB", -10, "META", "g"),
        ("META", 10, "FB", "g"),
    ]


def test_in_a_group_of_three_symbols_none_names_another():
    rows = (booked("SPIN", number, symbol=symbol, qty="1", group_id="g") for number, symbol in enumerate("ABC"))
    assert [each.related for each in evidence(*rows).movements] == [None, None, None]


# Status


def test_a_corrected_row_is_as_valid_as_an_executed_one():
    found = only(booked("JNLS", symbol="X", qty="5", status="correct"))
    assert (found.kind, found.quantity, found.said) == ("transfer", 5, "JNLS correct")


@pytest.mark.parametrize("order", [1, -1])
def test_a_canceled_row_takes_back_the_one_of_its_id(order):
    rows = [booked("SPLIT", symbol="X", qty="30"), booked("SPLIT", symbol="X", qty="30", status="canceled")]
    found = evidence(*rows[::order])
    (movement,) = found.movements
    assert (movement.kind, movement.quantity, movement.amount, found.complete) == ("unclassified", None, None, True)
    assert movement.said == "SPLIT canceled qty 30 net_amount 0"
    assert "neither it nor 20261119000000000::booked-0001 counts" in found.notes[0]


def test_a_canceled_row_takes_back_the_only_one_alike_in_its_group():
    found = evidence(
        booked("SPLIT", 1, symbol="X", qty="30", group_id="g"),
        booked("SPLIT", 2, symbol="X", qty="-30", group_id="g", status="canceled"),
        booked("SPLIT", 3, symbol="X", qty="40", group_id="h"),
    )
    assert [(each.kind, each.quantity) for each in found.movements] == [("unclassified", None), ("split", 40)]
    assert found.complete


@pytest.mark.parametrize(
    "others",
    [
        [booked("SPLIT", 1, symbol="X", qty="30")],
        [booked("SPLIT", 1, symbol="X", qty="30", group_id="g"), booked("SPLIT", 3, symbol="X", qty="30", group_id="g")],
    ],
)
def test_where_it_is_not_certain_what_a_canceled_row_takes_back_both_are_kept(others):
    found = evidence(*others, booked("SPLIT", 2, symbol="X", qty="-30", group_id="g", status="canceled"))
    assert sorted(each.quantity for each in found.movements if each.quantity is not None) == [30] * len(others)
    assert len(found.movements) == len(others) + 1
    assert not found.complete
    assert "whether it takes back 20261119000000000::booked-0001" in found.reason


def test_rows_without_a_group_are_not_of_one_group():
    found = evidence(booked("JNLS", 1, symbol="X", qty="3"), booked("JNLS", 2, symbol="X", qty="3", status="canceled"))
    assert ([each.quantity for each in found.movements], found.complete) == ([3, None], False)


def test_a_canceled_row_of_a_key_that_two_rows_have_takes_back_neither():
    rows = [booked("SPLIT", symbol="X", qty=qty) for qty in ("-10", "40")]
    found = evidence(*rows, booked("SPLIT", symbol="X", qty="99", status="canceled"))
    assert [each.quantity for each in found.movements] == [-10, 40, None]
    assert "whether it takes back" in found.reason


def test_one_row_is_taken_back_once():
    canceled = [booked("JNLS", number, symbol="X", qty="3", group_id="g", status="canceled") for number in (2, 3)]
    found = evidence(booked("JNLS", 1, symbol="X", qty="3", group_id="g"), *canceled)
    assert [each.quantity for each in found.movements] == [None, None]
    assert ["neither it nor" in note for note in found.notes] == [True, False]


def test_rows_that_hold_no_number_are_not_alike():
    found = evidence(booked("NEXT", 1, net_amount=...), booked("NEXT", 2, net_amount=..., status="canceled"))
    assert (len(found.movements), found.complete) == (2, True)


def test_a_canceled_row_that_nothing_is_like_counts_for_nothing_and_is_kept():
    found = evidence(booked("SPLIT", symbol="X", qty="30", status="canceled"), booked("SPLIT", 2, symbol="X", qty="31"))
    assert [(each.kind, each.quantity) for each in found.movements] == [("unclassified", None), ("split", 31)]
    assert found.complete
    assert "is canceled, and counts for nothing" in found.notes[0]


@pytest.mark.parametrize(("status", "complete"), [("pending", True), ("queued", False)])
def test_a_row_that_did_not_happen_yet_is_kept_and_moves_nothing(status, complete):
    found = evidence(booked("JNLS", symbol="X", qty="30", status=status))
    (movement,) = found.movements
    assert (movement.kind, movement.quantity, found.complete) == ("unclassified", None, complete)
    assert movement.said == f"JNLS {status} qty 30 net_amount 0"


# Identity


@pytest.mark.case("E01")
def test_a_row_that_comes_twice_is_taken_once_and_noted():
    found = evidence(fill(), fill())
    assert (len(found.fills), found.complete) == (1, True)
    assert "came twice" in found.notes[0]


def test_two_rows_of_one_key_that_differ_are_both_kept_and_the_evidence_is_not_complete():
    found = evidence(booked("SPLIT", symbol="X", qty="-10"), booked("SPLIT", symbol="X", qty="40"))
    assert [each.quantity for each in found.movements] == [-10, 40]
    assert len({each.id for each in found.movements}) == 2
    assert "stands twice with different contents" in found.reason


def test_two_fills_alike_but_for_their_ids_are_two():
    assert len(evidence(fill(1), fill(2)).fills) == 2


# Time


def test_activities_are_asked_for_from_days_before_and_of_all_types():
    with broker([]) as server:
        told(server)
        told(server, None)
    first, second = asked(server, ACTIVITIES)
    assert first == {"direction": "asc", "page_size": "100", "after": "2026-11-13T21:00:00Z"}
    assert second == {"direction": "asc", "page_size": "100"}
    assert not [request for request in server.requests if "orders" in request.path or "status" in request.path]
    assert {request.method for request in server.requests} == {"GET"}


@pytest.mark.parametrize(
    ("activity", "kept"),
    [
        (fill(), True),
        (fill(id="20261118155959000::x", transaction_time="2026-11-18T20:59:59Z"), False),
        (fill(id="20261118160000000::x", transaction_time="2026-11-18T21:00:00Z"), True),
        (fill(id="20261118155959000::x", transaction_time="2026-11-18T21:00:00Z"), True),
        (fill(id="20261118163000000::x", transaction_time="2026-11-18T20:30:00Z"), True),  # booked late
        (fill(id="no-stamp", transaction_time="2026-11-18T20:30:00Z"), True),  # when it was booked is not known
        (booked("SPLIT", date="2026-11-18", created_at="2026-11-18T20:00:00Z"), True),  # that day has not ended
        (booked("SPLIT", date="2026-11-17", created_at="2026-11-18T20:00:00Z"), False),
        (booked("SPLIT", date="2026-11-17", created_at="2026-11-18T21:00:00Z"), True),  # booked late
        (booked("SPLIT", date="2026-11-17"), True),  # when it was booked is not known
        (booked("SPLIT", date="2026-11-17", created_at="yesterday"), True),
        (booked("SPLIT", date="2026-08-17", created_at="2026-11-19T10:00:00Z"), True),
    ],
)
def test_left_out_is_only_what_happened_and_was_booked_before(activity, kept):
    found = evidence(activity)
    assert (len(found.fills) + len(found.movements) == 1) is kept
    everything = evidence(activity, since=None)
    assert len(everything.fills) + len(everything.movements) == 1


@pytest.mark.case("G06")
def test_the_stamp_of_an_id_is_of_new_york_in_summer_too():
    since = datetime(2026, 7, 10, 13, 30, tzinfo=UTC)
    assert len(evidence(fill(id="20260710093000000::x", transaction_time="2026-07-10T13:29:59Z"), since=since).fills) == 1
    assert not evidence(fill(id="20260710092959000::x", transaction_time="2026-07-10T13:29:59Z"), since=since).fills


@pytest.mark.case("G06")
def test_in_the_hour_that_comes_twice_a_row_may_be_of_the_later_one():
    since = datetime(2026, 11, 1, 6, tzinfo=UTC)
    assert evidence(fill(id="20261101013000000::x", transaction_time="2026-11-01T05:30:00Z"), since=since).fills


@pytest.mark.parametrize(
    ("more", "day"),
    [
        ({"date": "2026-11-19T00:00:00Z"}, date(2026, 11, 19)),
        ({"date": ..., "created_at": "2026-11-20T01:00:00Z"}, date(2026, 11, 20)),
        ({"date": ...}, date(2026, 11, 19)),
    ],
)
def test_the_day_of_a_movement_is_its_own_else_of_its_booking_else_of_its_id(more, day):
    assert only(booked("NEXT", **more)).occurred_on == day


# Pages


def test_pages_are_asked_for_by_the_last_id_until_one_is_not_full():
    rows = [fill(number) for number in range(1, 251)]
    with broker(rows[:100], rows[100:200], rows[200:]) as server:
        found = told(server)
    assert [each.id for each in found.fills] == [each["id"] for each in rows]
    assert found.complete
    assert [params.get("page_token") for params in asked(server, ACTIVITIES)] == [None, rows[99]["id"], rows[199]["id"]]
    assert {params["after"] for params in asked(server, ACTIVITIES)} == {"2026-11-13T21:00:00Z"}
    assert found.fills[100].source == "GET /v2/account/activities: page 2: row 1"


def test_an_empty_page_ends_the_pages_too():
    rows = [fill(number) for number in range(1, 101)]
    with broker(rows, []) as server:
        found = told(server)
    assert (len(found.fills), found.complete, len(asked(server, ACTIVITIES))) == (100, True, 2)


@pytest.mark.case("A08")
@pytest.mark.parametrize(
    ("second", "says"),
    [
        ([fill(number) for number in range(1, 101)], "page 2 is the same as an earlier one"),
        ([*(fill(number) for number in range(101, 200)), fill(100)], "followed by itself"),
        (as_json({"message": "internal server error"}, 500), "page 2 could not be had"),
        (Reply(b"[", 200), "page 2 could not be had"),
    ],
)
def test_pages_that_do_not_end_are_evidence_that_is_not_complete(second, says):
    with broker([fill(number) for number in range(1, 101)], second) as server:
        found = told(server)
    assert len(found.fills) >= 100
    assert not found.complete
    assert says in found.reason


@pytest.mark.case("A07")
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (as_json({"code": 40110000, "message": "access key verification failed"}, 401), AuthError),
        (as_json({"code": 42910000, "message": "too many requests"}, 429), ThrottledError),
        (as_json({"code": 40010001, "message": "invalid activity type"}, 422), RequestError),
        (as_json({"code": 50010000, "message": "internal server error"}, 500), TransientError),
        (as_json({"message": "no activities"}), MalformedError),
        (Reply(b"null"), MalformedError),
        (as_json([None]), MalformedError),
    ],
)
def test_an_answer_that_fails_is_an_error_and_never_no_evidence(reply, error):
    with broker(reply) as server, pytest.raises(error) as caught:
        told(server)
    assert ACTIVITIES in str(caught.value)
    assert not [secret for secret in SECRETS.values() if secret in str(caught.value)]


@pytest.mark.parametrize(
    ("activity", "says"),
    [
        (fill(qty="1e3"), "row 1: field qty: '1e3' is in scientific notation"),
        (fill(price=...), "row 1: field price is missing"),
        (fill(transaction_time="2026-11-19 14:30"), "row 1: field transaction_time is '2026-11-19 14:30' where a time"),
        (fill(id=None), "row 1: field id is None where a text is due"),
        (booked("SPLIT", qty="NaN"), "row 1: field qty: 'NaN' is not a finite number"),
        (booked("SPLIT", date="19.11.2026"), "row 1: field date is '19.11.2026' where a date"),
        (booked("SPLIT", date=..., id="x"), "row 1: field date is missing"),
        (booked(7), "row 1: field activity_type is 7 where a text is due"),
    ],
)
def test_a_row_that_cannot_be_read_names_page_row_and_field(activity, says):
    with broker([activity]) as server, pytest.raises(MalformedError) as caught:
        told(server)
    assert f"GET /v2/account/activities: page 1: {says}" in str(caught.value)


# Corporate actions

COIN_FEE = booked("CFEE", 2, symbol="SOLUSD", qty="-0.1")


def test_corporate_actions_are_asked_for_what_is_held_or_was_moved():
    held = (row("MSFT "), row("BTCUSD", asset_class="crypto"), row("AAPL1261218C00250000", asset_class="us_option"))
    with broker([fill(1, "TSLA"), fill(2, "ETH/USD"), booked("SPIN", symbol="GEV", qty="1"), COIN_FEE], held=held) as server:
        assert told(server).complete
    assert asked(server, ACTIONS) == [
        {"symbols": "AAPL,GEV,MSFT,TSLA", "start": "2026-11-13", "end": "2026-11-25", "limit": "1000"}
    ]


def test_without_a_since_corporate_actions_are_asked_for_since_the_first_fill():
    with broker([fill(transaction_time="2026-03-02T15:00:00Z"), fill(2)]) as server:
        told(server, None)
    assert asked(server, ACTIONS)[0]["start"] == "2026-02-25"
    with broker([fill(transaction_time="0001-01-01T15:00:00Z")]) as server:
        assert told(server, None).complete


def test_many_symbols_are_asked_for_in_parts_and_none_are_not_asked_for():
    with broker([], held=tuple(row(f"S{number:03}") for number in range(450))) as server:
        assert told(server).complete
    parts = [params["symbols"].split(",") for params in asked(server, ACTIONS)]
    assert [len(part) for part in parts] == [200, 200, 50]
    assert len({symbol for part in parts for symbol in part}) == 450
    with broker([]) as server:
        assert told(server).complete
    assert asked(server, ACTIONS) == []


@pytest.mark.parametrize(
    ("type_name", "action", "expected"),
    [
        ("forward_splits", {"symbol": "X", "old_rate": 1, "new_rate": 4}, ("split", "X", 1, 4, None, None)),
        ("reverse_splits", {"symbol": "X", "old_rate": 50, "new_rate": 1}, ("reverse_split", "X", 50, 1, None, None)),
        (
            "unit_splits",
            {"old_symbol": "X", "old_rate": 1, "new_rate": 1, "new_symbol": "Y", "alternate_symbol": "Z"},
            ("split", "X", 1, 1, None, "Y"),
        ),
        ("stock_dividends", {"symbol": "X", "rate": Decimal("0.05")}, ("stock_dividend", "X", 1, Decimal("1.05"), None, None)),
        ("cash_dividends", {"symbol": "X", "rate": Decimal("0.1")}, ("cash", "X", None, None, Decimal("0.1"), None)),
        (
            "spin_offs",
            {"source_symbol": "X", "source_rate": Decimal("19.35"), "new_symbol": "Y", "new_rate": 1},
            ("spin_off", "X", Decimal("19.35"), 1, None, "Y"),
        ),
        ("cash_mergers", {"acquiree_symbol": "X", "rate": Decimal("5.37")}, ("merger", "X", None, None, Decimal("5.37"), None)),
        (
            "stock_and_cash_mergers",
            {
                "acquiree_symbol": "X",
                "acquiree_rate": 1,
                "acquirer_symbol": "Y",
                "acquirer_rate": Decimal("0.7733"),
                "cash_rate": Decimal("7.8"),
            },
            ("merger", "X", 1, Decimal("0.7733"), Decimal("7.8"), "Y"),
        ),
        ("redemptions", {"symbol": "X", "rate": 10}, ("liquidation", "X", None, None, 10, None)),
        ("name_changes", {"old_symbol": "X", "new_symbol": "Y"}, ("symbol_change", "X", None, None, None, "Y")),
        ("worthless_removals", {"symbol": "X"}, ("removal", "X", None, None, None, None)),
        (
            "rights_distributions",
            {"source_symbol": "X", "new_symbol": "X.R", "rate": 2},
            ("spin_off", "X", 1, 2, None, "X.R"),
        ),
        ("next_years_type", {"symbol": "X", "new_rate": 3}, ("unclassified", "X", None, 3, None, None)),
    ],
)
def test_every_type_of_corporate_action_is_read_exactly_and_an_unknown_one_is_kept(type_name, action, expected):
    body = {"id": "ca-1", "process_date": "2026-11-20", **action}
    raw = json.dumps(actions_of(**{type_name: [body]}), default=lambda number: f"number {number}")
    reply = Reply(re.sub('"number ([0-9.]+)"', r"\1", raw))
    found = evidence(held=(row("X"),), actions=reply)
    (each,) = found.corporate_actions
    assert (each.kind, each.symbol, each.old_rate, each.new_rate, each.cash_per_unit, each.new_symbol) == expected
    assert (each.id, each.process_date, found.complete) == ("ca-1", date(2026, 11, 20), True)
    assert each.said == " ".join(filter(None, (type_name, action.get("alternate_symbol"))))


def test_a_split_that_changes_the_cusip_names_both_and_all_its_days():
    split = {
        "id": "ca-1",
        "symbol": "X",
        "old_rate": 50,
        "new_rate": 1,
        "old_cusip": "037833100",
        "new_cusip": "037833209",
        "ex_date": "2026-11-19",
        "process_date": "2026-11-20",
        "payable_date": "2026-11-18",
    }
    (found,) = evidence(held=(row("X"),), actions=actions_of(reverse_splits=[split])).corporate_actions
    assert (found.cusip, found.new_cusip) == ("037833100", "037833209")
    assert (found.ex_date, found.process_date, found.payable_date) == (date(2026, 11, 19), date(2026, 11, 20), date(2026, 11, 18))


def test_pages_of_corporate_actions_are_read_to_the_end():
    def page(number: int, token: str | None) -> dict[str, Any]:
        action = {"id": f"ca-{number}", "symbol": "X", "rate": 1, "process_date": "2026-11-20"}
        return {**actions_of(cash_dividends=[action]), "next_page_token": token}

    with broker([], held=(row("X"),), actions=(page(1, "t1"), page(2, "t2"), page(3, None))) as server:
        found = told(server)
    assert ([each.id for each in found.corporate_actions], found.complete) == (["ca-1", "ca-2", "ca-3"], True)
    assert [params.get("page_token") for params in asked(server, ACTIONS)] == [None, "t1", "t2"]


@pytest.mark.parametrize(
    ("actions", "says"),
    [
        (as_json({"message": "subscription does not permit"}, 403), "subscription does not permit"),
        (as_json({"message": "oops"}, 500), "GET"),
        (as_json([]), "an object is due"),
        (as_json({}), "field corporate_actions is missing"),
        (as_json(actions_of(forward_splits=[{"id": "1"}])), "forward_splits: row 1: field symbol is missing"),
        (as_json(actions_of(forward_splits={})), "an array is due"),
        (as_json({**actions_of(), "next_page_token": 7}), "field next_page_token is 7"),
        ((as_json({**actions_of(), "next_page_token": "t"}), as_json({}, 500)), "page 2 could not be had"),
    ],
)
def test_corporate_actions_that_fail_leave_the_activities_and_say_so(actions, says):
    found = evidence(fill(), actions=actions)
    assert len(found.fills) == 1
    assert not found.complete
    assert says in found.reason
    assert not [secret for secret in SECRETS.values() if secret in found.reason]


def test_positions_that_fail_leave_what_activities_name_and_say_what_is_missing():
    action = {"id": "1", "symbol": "MSFT", "rate": 1}
    found = evidence(fill(), held=as_json({"message": "oops"}, 500), actions=actions_of(cash_dividends=[action]))
    assert (len(found.fills), len(found.corporate_actions), found.complete) == (1, 1, False)
    assert found.reason.startswith("corporate actions of what is held are not known: ")


def test_one_part_of_the_symbols_that_fails_leaves_the_others():
    held = tuple(row(f"S{number:03}") for number in range(201))
    action = {"id": "1", "symbol": "S001", "rate": 1}
    with broker([], held=held, actions=(as_json(actions_of(cash_dividends=[action])), as_json({}, 403))) as server:
        found = told(server)
    assert (len(found.corporate_actions), found.complete) == (1, False)


# A recording

RECORDED = Path(__file__).parent / "cases" / "brokers" / "alpaca" / "evidence"


def replayed() -> tuple[Feed, Evidence]:
    recording = read_recording(RECORDED)
    made = ADAPTER(
        "alpaca-live",
        settings={"value_tolerance_pct": 1, **recording.options},
        secret=SECRETS.__getitem__,
        folder=Path(),
        clock=lambda: recording.at,
        http=Http(answering=Replay(recording)),
    )
    return asyncio.run(made.positions(Ask())), asyncio.run(made.evidence(Ask(since=SINCE)))


def test_the_recording_is_read_again_to_the_same_positions_and_evidence():
    feed, found = replayed()
    assert feed.status is FeedStatus.COMPLETE
    assert [(each.symbol, f"{each.quantity}") for each in feed.positions] == [
        ("NVDA", "100"),
        ("BRK.B", "0.123456789"),
        ("TSLA", "-5"),
        ("BTCUSD", "0.0234567890123456"),
        ("AAPL", "200"),
        ("AAPL261218C00250000", "-2"),
    ]
    (total,) = feed.control_totals
    valued = sum(each.quantity * (each.market_price or 0) * (each.multiplier or 0) for each in feed.positions)
    assert round(valued, 2) == total.stated
    assert (found.complete, found.reason, len(found.notes)) == (True, "", 2)
    assert [(each.symbol, f"{each.quantity}", f"{each.price}") for each in found.fills] == [
        ("TSLA", "-5", "260"),
        ("BTCUSD", "0.0235", "88000.123456789"),
        ("BRK.B", "0.123456789", "479.12"),
    ]
    assert [(each.kind, each.symbol, each.quantity and f"{each.quantity:f}") for each in found.movements] == [
        ("fee_in_kind", "BTCUSD", "-0.0000432109876544"),
        ("split", "NVDA", "90"),
        ("exercise", "AAPL261120C00150000", "-2"),
        ("delivery", "AAPL", "200"),
        ("cash", "AAPL", None),
        ("unclassified", "XYZ", None),
        ("unclassified", "XYZ", "1"),
    ]
    assert [(each.kind, each.symbol, each.old_rate, each.new_rate) for each in found.corporate_actions] == [
        ("split", "NVDA", 1, 10),
        ("cash", "AAPL", None, None),
    ]


def test_what_a_coins_fills_and_fee_come_to_is_its_position():
    feed, found = replayed()
    (held,) = (each.quantity for each in feed.positions if each.symbol == "BTCUSD")
    moved = [each.quantity or 0 for each in (*found.fills, *found.movements) if each.symbol == "BTCUSD"]
    assert sum(moved) == held


# Any document

WORDS = ["", " ", "FILL", "SPLIT", "DIV", "canceled", "executed", "buy", "short", "1", "-1e400", "9" * 400, "0001-01-01"]
KEYS = ["id", "symbol", "qty", "corporate_actions", "message"]
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    PLAIN | st.sampled_from(WORDS) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def nearly(draw: st.DrawFn, *samples: dict[str, Any]) -> Any:
    """A document as Alpaca sends it in which some fields hold anything."""
    rows = [dict(draw(st.sampled_from(samples))) for _ in range(draw(st.integers(1, 3)))]
    for each in rows:
        for name in draw(st.lists(st.sampled_from(sorted(each)), max_size=2)):
            each[name] = draw(JSON)
    return rows


def answered(documents: dict[str, Any]) -> Http:
    """A client that has these answers without a network."""

    def answer(method: str, url: str, params: Any) -> Received:
        path = urlsplit(url).path
        raw = json.dumps(documents[path]).encode()
        headers = {"Date": "Fri, 20 Nov 2026 21:05:00 GMT", "Content-Type": "application/json"}
        return Received(method, url, dict(params), 200, headers, raw, "", len(raw))

    return Http(deadline_seconds=5, backoff_seconds=0.001, answering=answer)


ROWS = nearly(
    row(),
    fill(),
    booked("SPLIT", symbol="X", qty="1", created_at="2026-11-19T01:00:00Z", group_id="g", activity_sub_type="RSPLIT"),
    booked("DIV", symbol="X", qty="1", status="canceled", account_id="a", cusip="037833100", currency="USD", per_share_amount="1"),
)
ACTION = {
    "id": "1",
    "symbol": "X",
    "old_rate": 1,
    "new_rate": "2",
    "rate": 2,
    "ex_date": "2026-11-20",
    "process_date": "2026-11-20",
}
ANNOUNCED = nearly(ACTION).flatmap(
    lambda rows: st.sampled_from(["forward_splits", "stock_dividends", "x"]).map(lambda name: actions_of(**{name: rows}))
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.fixed_dictionaries(
        {
            "/v2/positions": nearly(row(), row("TSLA", side="short"), row("BTCUSD", asset_class="crypto")) | JSON,
            "/v2/account": nearly(account()).map(lambda rows: rows[0]) | JSON,
            ACTIVITIES: ROWS | JSON,
            ACTIONS: ANNOUNCED | JSON,
        }
    ),
    st.sampled_from([SINCE, None]),
)
def test_whatever_the_answers_hold_only_errors_of_a_broker_are_raised(documents, since):
    class Server:
        url = "http://127.0.0.1:9"

    for question in ("positions", "evidence"):
        with suppress(BrokerError):
            asyncio.run(getattr(alpaca(Server(), answered(documents)), question)(Ask(since=since)))


def test_the_adapter_says_what_it_can_tell():
    assert set(ADAPTER.capabilities) == {"positions", "cash", "fills", "movements", "corporate_actions", "control_totals"}
    assert ADAPTER.live
