"""The Alpaca adapter against a real server on loopback that speaks the documented shapes of its Trading API."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from alpaca_samples import SECRETS, account, alpaca, row
from loopback import Loopback, Reply, as_json, serving

from recon_core.errors import AuthError, BrokerError, MalformedError, NotReadyError, ThrottledError, TransientError
from recon_core.evidence import Cash
from recon_core.http import Http
from recon_core.model import Ask, Feed, FeedStatus

NOW = Ask()
AS_OF = datetime(2026, 11, 20, 21, 5, tzinfo=UTC)


def broker(positions: Any, stated: Any = None):
    """A server that answers the two paths; a value is sent as JSON, a Reply as it is."""

    def reply(value: Any) -> Reply:
        return value if isinstance(value, Reply) else as_json(value)

    return serving({"/v2/positions": reply(positions), "/v2/account": reply(account() if stated is None else stated)})


def read(server: Loopback, ask: Ask = NOW, **settings: Any) -> Feed:
    return asyncio.run(alpaca(server, **settings).positions(ask))


def refusal(error: type[BrokerError], positions: Any, stated: Any = None, ask: Ask = NOW) -> str:
    with broker(positions, stated) as server, pytest.raises(error) as caught:
        read(server, ask)
    assert type(caught.value) is error
    assert not [secret for secret in SECRETS.values() if secret in str(caught.value)]
    return str(caught.value)


def value_of(feed: Feed) -> Decimal:
    return sum((p.quantity * (p.market_price or 0) * (p.multiplier or 0) for p in feed.positions), Decimal(0))


def test_positions_of_every_kind_are_read_exactly():
    rows = [
        row("MSFT ", "10"),
        row("BRK.B", "0.123456789", current_price="480.5", avg_entry_price="479.123456789012"),
        row("TSLA", "-5", side="short", current_price="250", avg_entry_price="260"),
        row("BTCUSD", "0.000000000000000001", asset_class="crypto", current_price="90000.1234567890123456"),
        row("AAPL261218C00250000", "-2", side="short", asset_class="us_option", current_price="3.15", avg_entry_price="2.9"),
    ]
    with broker(rows, account("4159.32", "-1880", account_number="PA3X7")) as server:
        feed = read(server)
    assert (feed.status, feed.basis, feed.as_of) == (FeedStatus.COMPLETE, "trade", AS_OF)
    assert feed.accounts == ("PA3X7",)
    assert feed.coverage == ("us_equity", "us_option", "crypto")
    assert [(p.symbol, str(p.quantity), p.multiplier) for p in feed.positions] == [
        ("MSFT", "10", 1),
        ("BRK.B", "0.123456789", 1),
        ("TSLA", "-5", 1),
        ("BTCUSD", "1E-18", 1),
        ("AAPL261218C00250000", "-2", 100),
    ]
    assert {(p.account, p.currency, p.leg) for p in feed.positions} == {("PA3X7", "USD", "NET")}
    assert [p.raw_symbol for p in feed.positions] == ["MSFT ", None, None, None, None]
    assert feed.positions[1].avg_price == Decimal("479.123456789012")
    assert feed.positions[3].market_price == Decimal("90000.1234567890123456")
    assert feed.notes == ()


def test_a_quantity_of_more_digits_than_pythons_arithmetic_holds_is_read_exactly():
    written = "123456789012345.123456789012345678"
    with broker([row("AAPL", f"-{written}", side="short"), row("MSFT", written)]) as server:
        assert [f"{position.quantity:f}" for position in read(server).positions] == [f"-{written}", written]


def test_the_money_of_the_account_is_told_in_its_currency():
    with broker([row()], account(currency="EUR", cash="-12.345")) as server:
        assert read(server, account="MAIN").cash == (Cash(currency="EUR", amount=Decimal("-12.345"), account="MAIN"),)
    with broker([row()], account(cash=...)) as server:
        assert read(server).cash == ()


def test_values_of_an_account_in_a_local_currency_are_read_in_it_and_those_in_dollars_are_not():
    with broker(
        [row(usd={"current_price": "445.3", "avg_entry_price": "430"})], account(currency="EUR", usd={"cash": "1"})
    ) as server:
        (position,) = read(server).positions
    assert (position.currency, position.market_price, position.avg_price) == ("EUR", 410, Decimal("400.25"))


def test_positions_and_account_are_asked_at_the_same_time():
    with broker(Reply(b"[]", stall="before"), Reply(b"{}", stall="before")) as server:
        with pytest.raises(TransientError, match="/v2/positions"):
            asyncio.run(alpaca(server, Http(deadline_seconds=0.5)).positions(NOW))
        assert {request.path for request in server.requests} == {"/v2/positions", "/v2/account"}


@pytest.mark.parametrize("qty", ["5", "-5", "+5"])
def test_a_short_is_negative_whatever_the_sign_of_its_quantity(qty):
    with broker([row("TSLA", qty, side="short")], account("0", "-2050")) as server:
        (position,) = read(server).positions
    assert position.quantity == -5


@pytest.mark.parametrize(("side", "qty"), [("long", "-5"), ("flat", "5"), ("", "5"), (None, "5")])
def test_a_side_that_says_neither_long_nor_short_is_refused(side, qty):
    assert "row 1 (TSLA)" in refusal(MalformedError, [row("TSLA", qty, side=side)])


def test_an_explicit_zero_row_is_kept_as_evidence():
    with broker([row(), row("TSLA", "0", current_price=None)], account()) as server:
        feed = read(server)
    assert [(p.symbol, p.quantity) for p in feed.positions] == [("MSFT", 10), ("TSLA", 0)]
    assert len(feed.control_totals) == 1


def test_an_asset_class_that_is_new_passes_through_as_text():
    with broker([row("BTC-PERP", asset_class="crypto_perp")]) as server:
        feed = read(server)
    assert [(p.asset_class, p.multiplier) for p in feed.positions] == [("crypto_perp", None)]
    assert feed.control_totals == ()
    assert feed.notes == ("market value not compared with the account's: no price or multiplier for BTC-PERP",)


def test_an_adjusted_option_has_no_multiplier_and_a_note_says_so():
    with broker([row("AAPL1261218C00250000", asset_class="us_option")]) as server:
        feed = read(server)
    assert feed.positions[0].multiplier is None
    assert any("AAPL1261218C00250000: not a standard option" in note for note in feed.notes)


def test_a_halted_symbol_without_a_price_is_held_and_the_total_is_not_compared():
    with broker([row(), row("HALT", current_price=None, market_value=None)]) as server:
        feed = read(server)
    assert feed.status is FeedStatus.COMPLETE
    assert feed.positions[1].market_price is None
    assert feed.control_totals == ()
    assert feed.notes == ("market value not compared with the account's: no price or multiplier for HALT",)


def test_prices_are_in_the_currency_of_the_account():
    with broker([row(usd={"market_value": "5100"})], account(currency="EUR")) as server:
        assert read(server).positions[0].currency == "EUR"


def test_the_configured_account_name_stands_for_the_number():
    with broker([row()]) as server:
        feed = read(server, account="MAIN")
    assert (feed.accounts, feed.positions[0].account, feed.control_totals[0].account) == (("MAIN",), "MAIN", "MAIN")


def test_an_account_that_is_blocked_is_noted_and_its_positions_stand():
    with broker([row()], account(status="ACCOUNT_CLOSED", trading_blocked=True)) as server:
        feed = read(server)
    assert feed.status is FeedStatus.COMPLETE
    assert feed.notes == ("account PA3X7: status ACCOUNT_CLOSED", "account PA3X7: trading_blocked")


@pytest.mark.case("A06")
def test_an_empty_list_with_no_value_at_the_account_proves_it_flat():
    with broker([], account("0", "0")) as server:
        feed = read(server)
    (total,) = feed.control_totals
    assert (feed.status, feed.positions, feed.accounts) == (FeedStatus.COMPLETE, (), ("PA3X7",))
    assert (total.kind, total.stated, total.tolerance, total.account) == ("market_value", 0, 0, "PA3X7")


@pytest.mark.case("A06")
@pytest.mark.parametrize(("long", "short"), [("10000", "0"), ("0", "-10000"), ("10000", "-10000")])
@pytest.mark.parametrize("rows", [[], [row(qty="0")]])
def test_an_empty_list_is_not_flat_where_the_account_states_a_value(rows, long, short):
    with broker(rows, account(long, short)) as server:
        feed = read(server)
    assert feed.status is FeedStatus.PARTIAL
    assert (feed.accounts, feed.control_totals) == ((), ())  # a total in which long and short cancel proves nothing
    assert f"states {long} long and {short} short" in feed.reason


@pytest.mark.case("A07")
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (as_json({"code": 40110000, "message": "access key verification failed"}, 401), AuthError),
        (as_json({"code": 40310000, "message": "forbidden"}, 403), AuthError),
        (as_json({"code": 42910000, "message": "too many requests"}, 429), ThrottledError),
        (as_json({"code": 50010000, "message": "internal server error"}, 500), TransientError),
        (Reply("<html>Bad gateway</html>", 200, {"Content-Type": "text/html"}), MalformedError),
        (Reply(b""), MalformedError),
        (Reply(b'[{"symbol": "MSFT", "qty": "1"', promised=900), MalformedError),
        (Reply(b'[{"symbol": "MSFT", "qty": NaN}]'), MalformedError),
        (Reply(b'[{"symbol": "MSFT", "qty": "1", "qty": "2"}]'), MalformedError),
    ],
)
@pytest.mark.parametrize("path", ["/v2/positions", "/v2/account"])
def test_an_answer_that_fails_is_an_error_and_never_an_empty_account(path, reply, error):
    message = refusal(error, reply if path == "/v2/positions" else [row()], reply if path == "/v2/account" else None)
    assert path in message


@pytest.mark.case("A07")
def test_a_broker_that_hangs_is_a_timeout_and_never_an_empty_account():
    with broker(Reply(b"[]", stall="before")) as server, pytest.raises(TransientError, match="/v2/positions"):
        asyncio.run(alpaca(server, Http(deadline_seconds=0.2)).positions(Ask()))


def test_refused_keys_say_what_to_check():
    message = refusal(AuthError, as_json({"message": f"key {SECRETS['key_id']} {SECRETS['secret_key']} is unknown"}, 401))
    assert '"key *** *** is unknown"' in message
    assert "paper and live keys differ" in message


@pytest.mark.case("A11")
@pytest.mark.parametrize(("long", "agrees"), [("4100", True), ("4141", True), ("4142", False), ("9000", False)])
def test_the_market_value_of_the_account_is_the_control_total(long, agrees):
    with broker([row()], account(long)) as server:
        feed = read(server)
    (total,) = feed.control_totals
    assert (total.kind, total.stated, total.source) == ("market_value", Decimal(long), "GET /v2/account")
    assert (abs(value_of(feed) - total.stated) <= total.tolerance) is agrees


@pytest.mark.case("A11")
def test_the_control_total_is_net_of_shorts_and_its_tolerance_is_of_the_gross():
    rows = [row(), row("TSLA", "-10", side="short", current_price="400"), row("SPY261218P00600000", "1", asset_class="us_option")]
    with broker(rows, account("45100", "-4000")) as server:
        feed = read(server, value_tolerance_pct=Decimal("0.5"))
    (total,) = feed.control_totals
    assert total.stated == value_of(feed) == 41100
    assert total.tolerance == Decimal("245.5")


def test_a_cent_a_row_allows_for_the_accounts_own_rounding():
    with broker([row("DUST", "0.000001", asset_class="crypto", current_price="1")], account("0", "0")) as server:
        feed = read(server)
    assert feed.control_totals[0].tolerance == Decimal("0.01")


@pytest.mark.case("E01")
def test_one_symbol_twice_is_refused_with_both_rows_and_assets():
    message = refusal(MalformedError, [row("AAPL"), row(), row("AAPL ", "7", asset_id="other-id")])
    assert "row 3: AAPL stands in row 1 too (asset_id id-of-AAPL there, other-id here)" in message


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            {"code": 40410000, "message": "position does not exist"},
            "an array of positions is due, got dict 'position does not exist'",
        ),
        ({}, "an array of positions is due, got dict"),
        (Reply(b"null"), "an array of positions is due, got NoneType"),
        ("null", "an array of positions is due, got str"),
        ([None], "row 1: an object is due, got nothing"),
        ([row(), [row("TSLA")]], "row 2: an object is due, got list"),
    ],
)
def test_what_is_no_array_of_positions_is_refused(body, says):
    assert says in refusal(MalformedError, body)


@pytest.mark.parametrize("field", ["symbol", "qty", "side", "asset_class", "avg_entry_price"])
@pytest.mark.parametrize("value", [..., None, ""])
def test_a_missing_field_names_row_and_field(field, value):
    message = refusal(MalformedError, [row("TSLA"), row(**{field: value})])
    assert "GET /v2/positions: row 2" in message
    assert f"field {field}" in message


@pytest.mark.case("B09")
@pytest.mark.parametrize(
    "written", ["NaN", "None", "", " ", "1,000", "(100)", "1e3", "1_000", "٣", "Infinity", "0x10", "5\n5", True, {}]
)
@pytest.mark.parametrize("field", ["qty", "avg_entry_price", "current_price"])
def test_a_number_that_is_none_is_refused(field, written):
    message = refusal(MalformedError, [row(**{field: written})])
    said = f": '{written}' is" if isinstance(written, str) and "\n" not in written else ""
    assert f"GET /v2/positions: row 1 (MSFT): field {field}{said}" in message


def test_a_number_sent_as_a_json_number_is_read_exactly():
    with broker(
        Reply(b'[{"symbol":"X","qty":0.10,"side":"long","asset_class":"us_equity","avg_entry_price":3,"current_price":41000}]')
    ) as server:
        (position,) = read(server).positions
    assert (str(position.quantity), position.avg_price) == ("0.10", 3)


@pytest.mark.parametrize("field", ["account_number", "currency", "long_market_value", "short_market_value"])
def test_an_account_that_does_not_say_what_is_needed_is_refused(field):
    message = refusal(MalformedError, [row()], account(**{field: ...}))
    assert f"GET /v2/account: field {field} is missing" in message


@pytest.mark.case("G03")
def test_a_past_day_cannot_be_asked_for():
    message = refusal(NotReadyError, [row()], ask=Ask(as_of=AS_OF - timedelta(hours=12, seconds=1)))
    assert "tells only what is held now (2026-11-20 21:05 UTC), not what was held at 2026-11-20 09:04 UTC" in message


@pytest.mark.parametrize("hours", [-12, 0, 1])
def test_a_run_within_twelve_hours_is_answered(hours):
    with broker([row()]) as server:
        assert read(server, Ask(as_of=AS_OF + timedelta(hours=hours))).as_of == AS_OF


@pytest.mark.case("G04")
def test_an_answer_without_a_date_is_refused_and_our_clock_is_not_used():
    assert "no Date header" in refusal(MalformedError, as_json([row()], Date=None))


@pytest.mark.case("J07")
def test_only_get_is_ever_sent_and_keys_travel_in_headers_alone():
    with broker([row()]) as server:
        read(server)
    asked = {(request.method, request.path) for request in server.requests}
    assert asked == {("GET", "/v2/positions"), ("GET", "/v2/account")}
    assert len(server.requests) == 2
    for request in server.requests:
        assert request.headers["apca-api-key-id"] == SECRETS["key_id"]
        assert request.headers["apca-api-secret-key"] == SECRETS["secret_key"]


def test_the_feed_carries_the_hash_of_the_answer_and_no_secret():
    with broker([row()]) as server:
        first, again = read(server), read(server)
    assert first == again
    assert len(first.sha256 or "") == 64
    assert not [secret for secret in SECRETS.values() if secret in repr(first)]
