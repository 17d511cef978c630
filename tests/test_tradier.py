"""The Tradier adapter against a real server on loopback that speaks the documented shapes of its Brokerage API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from canaries import TOKEN
from deployment import Deployment, book_row, types
from loopback import Loopback, Reply, as_json, serving

from recon_core.brokers import Broker
from recon_core.errors import AuthError, BrokerError, MalformedError, NotReadyError, ThrottledError, TransientError
from recon_core.evidence import Evidence
from recon_core.host import load_host
from recon_core.http import Http
from recon_core.model import Ask, Feed, FeedStatus
from recon_core.recording import Replay, read_recording

ADAPTER = load_host().brokers["tradier"]
RECORDED = Path(__file__).parent / "cases" / "brokers" / "tradier"
AS_OF = datetime(2026, 11, 20, 21, 5, tzinfo=UTC)
NOW = Ask()


def row(symbol: str = "MSFT", quantity: Any = 10.0, cost: Any = 4002.5, **more: Any) -> dict[str, Any]:
    """A position as Tradier writes it; a field set to ... is left out."""
    full = {"cost_basis": cost, "date_acquired": "2026-08-12T20:09:01.437Z", "id": 507, "quantity": quantity, "symbol": symbol}
    return {name: value for name, value in {**full, **more}.items() if value is not ...}


def held(*rows: Any) -> dict[str, Any]:
    """An answer of positions, by its number of rows in the shape that Tradier gives it."""
    return {"positions": "null" if not rows else {"position": rows[0] if len(rows) == 1 else list(rows)}}


def balances(number: str = "6YA00001", long: Any = 4100.0, short: Any = 0.0, **more: Any) -> dict[str, Any]:
    """An answer of balances; by default all that is long is stock."""
    full = {
        "account_number": number,
        "account_type": "margin",
        "long_market_value": long,
        "short_market_value": short,
        "stock_long_value": long,
        "option_long_value": 0,
        "option_short_value": short,
        "total_cash": 250.75,
        "total_equity": 9000.01,
        **more,
    }
    return {"balances": {name: value for name, value in full.items() if value is not ...}}


def profile(*numbers: str, **more: Any) -> dict[str, Any]:
    """An answer of the user's profile: one account is an object, several an array."""
    accounts = [{"account_number": number, "status": "active", "type": "margin", **more} for number in numbers]
    return {"profile": {"id": "id-x", "name": "A Person", "account": accounts[0] if len(accounts) == 1 else accounts}}


def broker(positions: Any, stated: Any = None, **accounts: tuple[Any, Any]):
    """A server with one account, or (by number) with several; a value is sent as JSON, a Reply as it is."""
    told = accounts or {"6YA00001": (positions, balances() if stated is None else stated)}
    replies = {"/user/profile": profile(*told)}
    for number, (rows, worth) in told.items():
        replies |= {f"/accounts/{number}/positions": rows, f"/accounts/{number}/balances": worth}
    return server_of(replies)


def server_of(replies: Mapping[str, Any]):
    return serving({path: value if isinstance(value, Reply) else as_json(value) for path, value in replies.items()})


def adapter(url: str, **settings: Any) -> Broker:
    return ADAPTER(
        "tradier-live",
        settings={"base_url": url, "account": None, **settings},
        secret={"token": TOKEN}.__getitem__,
        folder=Path(),
        clock=lambda: datetime.now(UTC),
        http=Http(deadline_seconds=5, backoff_seconds=0.001),
    )


def read(server: Loopback, ask: Ask = NOW, **settings: Any) -> Feed:
    return asyncio.run(adapter(server.url + "/", **settings).positions(ask))


def refusal(error: type[BrokerError], positions: Any, stated: Any = None, ask: Ask = NOW) -> str:
    with broker(positions, stated) as server, pytest.raises(error) as caught:
        read(server, ask)
    assert type(caught.value) is error
    assert TOKEN not in str(caught.value)
    return str(caught.value)


def test_positions_of_every_kind_are_read_exactly():
    rows = [
        row("MSFT", 10.0, 4002.5),
        row("BRK/B", 2, 961.24691358),
        row("TSLA", -5.0, -1300.0),
        row("AAPL261218C00250000", -2.0, -580.0),
        row("SPY261218P00600000", 3.0, 1000.0),
    ]
    exact = Reply(json.dumps(held(*rows)).replace('"quantity": 2,', '"quantity": 2.000000000000000001,'))
    stated = balances(long=6000, short=-1900, option_long_value=900, stock_long_value=5100, option_short_value=-640)
    with broker(exact, stated) as server:
        feed = read(server)
    assert (feed.status, feed.basis, feed.as_of) == (FeedStatus.COMPLETE, "trade", AS_OF)
    assert feed.accounts == ("6YA00001",)
    assert [(p.symbol, str(p.quantity), p.asset_class, p.multiplier) for p in feed.positions] == [
        ("MSFT", "10.0", "us_equity", 1),
        ("BRK/B", "2.000000000000000001", "us_equity", 1),
        ("TSLA", "-5.0", "us_equity", 1),
        ("AAPL261218C00250000", "-2.0", "us_option", 100),
        ("SPY261218P00600000", "3.0", "us_option", 100),
    ]
    assert [p.avg_price for p in feed.positions] == [
        Decimal("400.25"), Decimal("480.623456790000"), 260, Decimal("2.9"), Decimal("3.333333333333")
    ]  # fmt: skip
    assert {(p.account, p.currency, p.leg, p.market_price) for p in feed.positions} == {("6YA00001", "USD", "NET", None)}
    assert feed.positions[0].opened_at == datetime(2026, 8, 12, 20, 9, 1, 437000, UTC)
    assert (feed.notes, feed.control_totals) == ((), ())
    assert [(cash.currency, cash.amount, cash.account) for cash in feed.cash] == [("USD", Decimal("250.75"), "6YA00001")]


@pytest.mark.parametrize(
    ("quantity", "cost", "price"),
    [
        (3, 0.0000000000015, "0.000000000000"),  # half of the last place goes to the even side
        (3, 0.0000000000045, "0.000000000002"),
        (7, 1, "0.142857142857"),
        (-3, -2, "0.666666666667"),
        (1, 0, "0"),
    ],
)
def test_the_average_price_is_rounded_half_to_even(quantity, cost, price):
    with broker(held(row("X", quantity, cost)), balances(short=-1 if quantity < 0 else 0, option_short_value=0)) as server:
        (position,) = read(server, account="6YA00001").positions
    assert position.avg_price == Decimal(price)


@pytest.mark.parametrize(("quantity", "cost"), [(0, 100), (5, None), (5, ...)])
def test_a_price_that_the_cost_does_not_give_is_not_made_up(quantity, cost):
    with broker(held(row(), row("X", quantity, cost))) as server:
        feed = read(server)
    assert (feed.positions[1].quantity, feed.positions[1].avg_price) == (quantity, None)


def test_an_adjusted_option_has_no_multiplier_and_no_price_and_a_note_says_so():
    with broker(held(row("AAPL1261218C00250000", 1.0, 290.0)), balances(stock_long_value=0, option_long_value=4100)) as server:
        feed = read(server)
    assert [(p.asset_class, p.multiplier, p.avg_price) for p in feed.positions] == [("us_option", None, None)]
    assert "AAPL1261218C00250000: not a standard option" in feed.notes[0]


def test_a_symbol_of_another_form_is_held_and_its_class_is_not_guessed():
    with broker(held(row("37045V100", 1.0, 290.0)), balances(option_long_value=10)) as server:
        feed = read(server)
    assert feed.status is FeedStatus.COMPLETE
    assert [(p.symbol, p.asset_class, p.multiplier, p.avg_price) for p in feed.positions] == [("37045V100", None, None, None)]
    assert "37045V100 is neither a stock's nor an option's symbol" in feed.notes[0]


@pytest.mark.case("A06")
@pytest.mark.parametrize("nothing", [{"positions": "null"}, {"positions": None}, {"positions": {"position": []}}])
def test_an_empty_account_is_flat_where_its_balances_state_no_value(nothing):
    with broker(nothing, balances(long=0, short=0)) as server:
        feed = read(server)
    (total,) = feed.control_totals
    assert (feed.status, feed.positions, feed.accounts) == (FeedStatus.COMPLETE, (), ("6YA00001",))
    assert (total.kind, total.stated, total.account) == ("market_value", 0, "6YA00001")


@pytest.mark.case("A06")
@pytest.mark.parametrize(("long", "short", "side"), [(4100, 0, "long"), (0, -100, "short"), (100, -100, "long")])
@pytest.mark.parametrize("rows", [(), (row(quantity=0),)])
def test_an_empty_account_is_not_flat_where_its_balances_state_a_value(rows, long, short, side):
    with broker(held(*rows), balances(long=long, short=short)) as server:
        feed = read(server)
    assert feed.status is FeedStatus.PARTIAL
    assert (feed.accounts, feed.control_totals) == ((), ())
    assert f"nothing {side}, and its balances state {side}_market_value" in feed.reason


@pytest.mark.case("A11")
@pytest.mark.parametrize(
    ("rows", "stated", "missing"),
    [
        ((row(),), {"short": -50}, "nothing short"),
        ((row("TSLA", -1, -9),), {"short": -50, "option_short_value": 0}, "nothing long"),
        ((row(),), {"option_long_value": 12}, "no long option"),
        ((row("SPY261218P00600000", 1),), {}, "no long stock"),
        ((row(), row("TSLA", -1, -9)), {"short": -50}, "no short option"),
    ],
)
def test_a_side_that_has_a_value_and_no_row_makes_the_feed_partial(rows, stated, missing):
    with broker(held(*rows), balances(**stated)) as server:
        feed = read(server)
    assert feed.status is FeedStatus.PARTIAL
    assert missing in feed.reason
    assert len(feed.positions) == len(rows)


@pytest.mark.case("A09")
def test_each_account_of_the_token_is_asked_and_one_that_fails_makes_the_feed_partial_and_is_named():
    told = {
        "A1": (held(row("MSFT")), balances("A1")),
        "A2": (as_json({"fault": {"faultstring": "backend down"}}, 503), balances("A2")),
        "A3": (held(row("MSFT", -1, -2)), balances("A3", 0, -4)),
    }
    told["A3"][1]["balances"]["option_short_value"] = 0
    with broker(None, None, **told) as server:
        feed = read(server)
    assert feed.status is FeedStatus.PARTIAL
    assert (feed.accounts, feed.unread) == (("A1", "A3"), ("A2",))
    assert "account A2: GET" in feed.reason
    assert [(p.account, p.quantity) for p in feed.positions] == [("A1", 10), ("A3", -1)]


@pytest.mark.case("A07")
def test_where_no_account_can_be_read_the_error_is_that_of_the_first():
    told = {number: (as_json({}, 503), balances(number)) for number in ("A1", "A2")}
    with broker(None, None, **told) as server, pytest.raises(TransientError, match="/accounts/A1/positions"):
        read(server)


def test_only_the_accounts_that_are_asked_for_are_read_and_the_others_are_named():
    told = {number: (held(row()), balances(number)) for number in ("A1", "A2")}
    with broker(None, None, **told) as server:
        feed = read(server, Ask(accounts=("A2",)))
        assert read(server, account="A1").accounts == ("A1",)
    assert (feed.status, feed.accounts) == (FeedStatus.COMPLETE, ("A2",))
    assert feed.notes == ("account A1: not asked, for recon.yaml names others",)


def test_an_account_that_is_not_active_is_noted_and_read():
    replies = {
        "/user/profile": profile("A1", status="closed"),
        "/accounts/A1/positions": held(),
        "/accounts/A1/balances": balances("A1", 0),
    }
    with server_of(replies) as server:
        feed = read(server)
    assert (feed.status, feed.notes) == (FeedStatus.COMPLETE, ("account A1: status closed",))


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {},
        {"profile": "null"},
        {"profile": {}},
        {"profile": {"account": []}},
        {"profile": {"account": "null"}},
        {"profile": {"account": {}}},
        {"profile": {"account": {"account_number": "../../orders"}}},
    ],
)
def test_a_profile_that_names_no_account_is_refused(answer):
    with server_of({"/user/profile": answer}) as server, pytest.raises(MalformedError):
        read(server)


@pytest.mark.parametrize("body", [[], "null", {}, {"position": []}, {"positions": []}, {"positions": {}}, {"positions": "none"},
                                  {"positions": {"position": "null"}}, {"positions": {"position": [None]}}])  # fmt: skip
def test_what_is_no_list_of_positions_is_refused(body):
    assert "/accounts/6YA00001/positions" in refusal(MalformedError, body)


@pytest.mark.parametrize("field", ["symbol", "quantity"])
@pytest.mark.parametrize("value", [..., None, "", True, {}])
def test_a_missing_field_names_row_and_field(field, value):
    message = refusal(MalformedError, held(row("TSLA"), row(**{field: value})))
    assert "GET /accounts/6YA00001/positions: row 2" in message
    assert f"field {field}" in message


@pytest.mark.case("B09")
@pytest.mark.parametrize("written", ["NaN", "None", " ", "1,000", "(100)", "1e3", "1_000", "Infinity", "0x10"])
def test_a_quantity_that_is_no_number_is_refused(written):
    assert "row 1 (MSFT): field quantity" in refusal(MalformedError, held(row(quantity=written)))


def test_a_cost_that_no_price_can_be_made_of_is_refused():
    assert "field cost_basis" in refusal(MalformedError, held(row(cost="9" * 400)))


@pytest.mark.case("E01")
def test_one_symbol_twice_is_refused_with_both_rows():
    assert "row 3 (AAPL): AAPL stands in row 1 too" in refusal(MalformedError, held(row("AAPL"), row(), row(" AAPL")))


@pytest.mark.parametrize("field", ["long_market_value", "short_market_value"])
def test_balances_that_do_not_say_what_is_needed_are_refused(field):
    assert f"balances: field {field} is missing" in refusal(MalformedError, held(row()), balances(**{field: ...}))


def test_balances_of_another_account_are_refused():
    assert "answers for account A2" in refusal(MalformedError, held(row()), balances("A2"))


@pytest.mark.case("A07")
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (as_json({"fault": {"faultstring": "Invalid Access Token"}}, 401), AuthError),
        (as_json({"message": "too many requests"}, 429), ThrottledError),
        (as_json({"fault": {"faultstring": "oops"}}), MalformedError),
        (as_json({"errors": {"error": "Backside Error"}}), MalformedError),
        (Reply("<positions>null</positions>", 200, {"Content-Type": "application/xml"}), MalformedError),
        (Reply(b""), MalformedError),
        (Reply(b'{"positions": {"position": [', promised=900), MalformedError),
    ],
)
@pytest.mark.parametrize("path", ["positions", "balances"])
def test_an_answer_that_fails_is_an_error_and_never_an_empty_account(path, reply, error):
    message = refusal(error, reply if path == "positions" else held(), reply if path == "balances" else balances(long=0))
    assert path in message


@pytest.mark.case("G03")
def test_a_past_day_cannot_be_asked_for():
    message = refusal(NotReadyError, held(row()), ask=Ask(as_of=AS_OF - timedelta(hours=12, seconds=1)))
    assert "tells only what is held now" in message


@pytest.mark.case("G04")
def test_an_answer_without_a_date_is_refused_and_our_clock_is_not_used():
    assert "no Date header" in refusal(MalformedError, as_json(held(row()), Date=None))


@pytest.mark.case("J07")
def test_only_get_is_ever_sent_as_json_and_the_token_travels_in_headers_alone():
    with broker(held(row())) as server:
        read(server)
    assert [request.path for request in server.requests] == [
        "/user/profile", "/accounts/6YA00001/positions", "/accounts/6YA00001/balances"
    ]  # fmt: skip
    for request in server.requests:
        assert request.method == "GET"
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert request.headers["accept"] == "application/json"


@pytest.mark.case("A09")
def test_a_run_finds_what_is_missing_in_an_account_that_was_read_and_nothing_in_one_that_was_not(tmp_path: Path):
    told = {
        "A1": (held(row("MSFT"), row("TSLA", -5, -1300)), balances("A1", 4100, -1250, option_short_value=0)),
        "A2": (held(), balances("A2", 0)),
    }
    deployment = Deployment(tmp_path)
    book = [book_row("MSFT", "10", "400.25", account="A1"), book_row("TSLA", "-4", "260", account="A1")]
    deployment.book([*book, book_row("SOLD", "2", account="A1"), book_row("GONE", "1", account="A2")])

    def report() -> dict[str, Any]:
        config = f"""version: 1
book: {{file: book.csv}}
brokers: {{prime: {{adapter: tradier, secrets: {{token: env:TOKEN}}, options: {{base_url: "{server.url}"}}}}}}
"""
        deployment.write("recon.yaml", config)
        return json.loads(deployment.run("--json", "--as-of", "2026-11-20T21:05:00Z", TOKEN=TOKEN).stdout)

    with broker(None, None, **told) as server:
        whole = report()
        server.replies["/accounts/A2/positions"] = [as_json({}, 503)]
        lacking = report()
    assert [feed["status"] for feed in (*whole["feeds"], *lacking["feeds"])] == ["COMPLETE", "PARTIAL"]
    missing = [
        [entry["symbol"] for entry in found["discrepancies"] if entry["type"] == "MISSING_AT_BROKER"] for found in (whole, lacking)
    ]
    assert [sorted(symbols) for symbols in missing] == [["GONE", "SOLD"], ["SOLD"]]
    assert sorted(types(lacking)) == ["MISSING_AT_BROKER", "QUANTITY_MISMATCH"]
    assert lacking["feeds"][0]["unproven_accounts"] == ["A2"]
    assert (lacking["verdict"], lacking["decision"]["halt"]) == ("incomplete", True)
    assert any("feed prime is PARTIAL: account A2: " in reason["detail"] for reason in lacking["decision"]["reasons"])


def trade(symbol: str, quantity: Any, price: Any, amount: Any, day: str = "2026-11-18", **more: Any) -> dict[str, Any]:
    """A trade of the history."""
    details = {"commission": 0.35, "description": "A COMPANY", "price": price, "quantity": quantity, "symbol": symbol, **more}
    return {"amount": amount, "date": f"{day}T00:00:00Z", "type": "trade", "trade": {"trade_type": "Equity", **details}}


def event(kind: str, amount: Any = 0, *, under: str = "", **details: Any) -> dict[str, Any]:
    """Any other event of the history; its details stand ``under`` another name than its type, where that is given."""
    return {"amount": amount, "date": "2026-11-18T00:00:00Z", "type": kind, under or kind: details}


def happened(*pages: Any, since: datetime | None = None) -> tuple[Evidence, Loopback]:
    replies = {"/user/profile": profile("A1"), "/accounts/A1/history": [as_json({"history": page}) for page in pages]}
    with serving({path: reply if isinstance(reply, list) else as_json(reply) for path, reply in replies.items()}) as server:
        return asyncio.run(adapter(server.url).evidence(Ask(since=since))), server


def test_trades_are_fills_signed_by_what_they_change():
    evidence, server = happened(
        {"event": [trade("MSFT", -3.0, 410.5, 1231.15), trade("SPY261218P00600000", 1, 1.29, -129.35)]},
        since=datetime(2026, 11, 16, 9, tzinfo=UTC),
    )
    sold, bought = evidence.fills
    assert (sold.symbol, sold.quantity, sold.price, sold.fee, sold.currency) == (
        "MSFT",
        -3,
        Decimal("410.5"),
        Decimal("0.35"),
        "USD",
    )
    assert (sold.account, sold.traded_at, sold.asset_class) == ("A1", datetime(2026, 11, 18, tzinfo=UTC), "us_equity")
    assert (bought.quantity, bought.asset_class, bought.multiplier) == (1, "us_option", 100)
    assert server.requests[-1].path == "/accounts/A1/history?page=1&limit=100&start=2026-11-16"
    assert not evidence.complete
    assert "overnight" in evidence.reason


@pytest.mark.case("F07")
@pytest.mark.parametrize(
    ("written", "kind", "quantity", "amount"),
    [
        (event("option", option_type="OPTEXP", description="Expired", quantity=-1.0), "expiry", -1, 0),
        (event("option", option_type="OPTASN", description="Assignment", quantity=1.0), "assignment", 1, 0),
        (event("option", option_type="OPTEXC", description="Exercise", quantity=-1.0), "exercise", -1, 0),
        (event("option", option_type="OPTXYZ", description="Something", quantity=-1.0), "unclassified", -1, 0),
        (event("dividend", 0.12, under="adjustment", description="GE", quantity=0.0), "cash", None, Decimal("0.12")),
        (event("dividend", 42.5, under="adjustment", description="GE", quantity=10), "cash", None, Decimal("42.5")),
        (event("dividend", 0, under="adjustment", description="STOCK DIV", quantity=10), "unclassified", 10, 0),
        (event("ach", -100, description="ACH"), "cash", None, -100),
        (event("journal", 5, description="JNL", quantity=0), "cash", None, 5),
        (event("journal", 0, description="NAME CHANGE", quantity=-7, symbol="OLD"), "unclassified", -7, 0),
        (event("adjustment", 0, description="4:1 SPLIT", quantity=30), "unclassified", 30, 0),
        (event("transfer", 0, description="ACAT", quantity=5, symbol="GE"), "transfer", 5, 0),
        (event("new_type", 1, description="?"), "unclassified", None, 1),
        ({"amount": 0, "date": "2026-11-18T06:20:06.110Z", "symbol": "null", "description": "null"}, "unclassified", None, 0),
        (event("trade", 1, quantity=0, symbol="GE"), "unclassified", None, 1),
    ],
)  # fmt: skip
def test_other_events_are_movements_and_none_is_dropped(written, kind, quantity, amount):
    evidence, _ = happened({"event": written})
    (movement,) = evidence.movements
    assert (movement.kind, movement.quantity, movement.amount) == (kind, quantity, amount)
    assert (movement.occurred_on, movement.account) == (date(2026, 11, 18), "A1")
    assert evidence.fills == []


def test_the_same_event_has_the_same_id_whenever_it_is_asked_for_and_two_alike_are_two():
    one, other = trade("GE", 1, 10, -10), trade("GE", 2, 10, -20)
    first, _ = happened({"event": [one, other, one]})
    again, _ = happened({"event": [one, trade("F", 1, 10, -10), one, other]})
    identities = [fill.id for fill in first.fills]
    assert len(set(identities)) == 3
    assert set(identities) < {fill.id for fill in again.fills}


def test_the_history_is_read_to_its_last_page():
    full = {"event": [trade("GE", number + 1, 10, -10) for number in range(100)]}
    evidence, server = happened(full, {"event": trade("GE", 101, 10, -10)})
    assert len(evidence.fills) == 101
    assert [request.path.partition("?")[2] for request in server.requests[1:]] == ["page=1&limit=100", "page=2&limit=100"]
    exact, _ = happened(full, "null")
    assert len(exact.fills) == 100
    ignored, _ = happened(full)
    assert "same as an earlier one" in ignored.reason


@pytest.mark.parametrize("nothing", ["null", None, {"event": None}, {}])
def test_a_history_without_events_is_none(nothing):
    evidence, _ = happened(nothing)
    assert (evidence.fills, evidence.movements) == ([], [])


@pytest.mark.parametrize(
    "page", [[], "x", {"event": ["x"]}, {"event": {"type": "trade"}}, {"event": {"type": 5, "date": "2026-11-18T00:00:00Z"}}]
)
def test_a_history_that_cannot_be_read_is_refused(page):
    with pytest.raises(MalformedError, match="GET /accounts/A1/history"):
        happened(page)


def test_the_recording_is_read_again_to_the_same_positions():
    recording = read_recording(RECORDED)
    made = ADAPTER(
        "tradier-live",
        settings={"base_url": "https://api.tradier.com/v1", "account": None} | dict(recording.options),
        secret={"token": TOKEN}.__getitem__,
        folder=Path(),
        clock=lambda: recording.at,
        http=Http(answering=Replay(recording)),
    )
    feed = asyncio.run(made.positions(NOW))
    assert feed.status is FeedStatus.COMPLETE
    assert [(p.account, p.symbol, str(p.quantity), str(p.avg_price)) for p in feed.positions] == [
        ("6YA00001", "MSFT", "10.0", "400.250000000000"),
        ("6YA00001", "BRK/B", "0.5", "480.500000000000"),
        ("6YA00001", "TSLA", "-5.0", "260.000000000000"),
        ("6YA00001", "AAPL261218C00250000", "-2.0", "2.900000000000"),
        ("6YA00002", "SPY", "1.0", "600.000000000000"),
    ]
