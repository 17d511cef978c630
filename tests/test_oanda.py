"""The OANDA adapter against a real server on loopback that speaks the documented shapes of its v20 API."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
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

ADAPTER = load_host().brokers["oanda"]
RECORDED = Path(__file__).parent / "cases" / "brokers" / "oanda"
AS_OF = datetime(2026, 11, 20, 21, 5, tzinfo=UTC)
ACCOUNT = "001-001-1234567-001"
OTHER = "001-001-1234567-002"
NOW = Ask()
TYPES = {"EUR_USD": "CURRENCY", "GBP_JPY": "CURRENCY", "DE30_EUR": "CFD", "XAU_USD": "METAL"}


def side(units: str = "0", price: str | None = None, **more: Any) -> dict[str, Any]:
    """One side of a position as OANDA writes it: without a price where nothing is open."""
    full = {"units": units, "averagePrice": price, "pl": "-44.6272", "resettablePL": "0.0000", "unrealizedPL": "-0.0738", **more}
    return {name: value for name, value in full.items() if value is not ... and (name != "averagePrice" or value)}


def row(instrument: str, long: Any = None, short: Any = None, **more: Any) -> dict[str, Any]:
    """A position; a side that is not given is not open."""
    full = {"instrument": instrument, "long": long or side(), "short": short or side(), "pl": "0.0", "unrealizedPL": "0.0", **more}
    return {name: value for name, value in full.items() if value is not ...}


def held(*rows: Any, last: str = "2327") -> dict[str, Any]:
    return {"positions": list(rows), "lastTransactionID": last}


def summary(count: Any, name: str = ACCOUNT, last: str = "2327", **more: Any) -> dict[str, Any]:
    full = {
        "id": name,
        "currency": "CHF",
        "balance": "10250.1234",
        "NAV": "10249.0000",
        "openPositionCount": count,
        "openTradeCount": 9,
        "hedgingEnabled": False,
        "lastTransactionID": last,
        **more,
    }
    return {"account": {name: value for name, value in full.items() if value is not ...}, "lastTransactionID": last}


def instruments() -> dict[str, Any]:
    listed = [{"name": name, "type": kind, "displayName": name.replace("_", "/")} for name, kind in TYPES.items()]
    return {"instruments": listed, "lastTransactionID": "2327"}


@contextmanager
def broker(positions: Any, stated: Any = None, **replies: Any):
    """A server with one account; a value is sent as JSON, a Reply as it is. ``replies`` add paths, ``_`` for ``/``."""
    told = {
        "/accounts": {"accounts": [{"id": ACCOUNT, "tags": []}]},
        f"/accounts/{ACCOUNT}/openPositions": positions,
        f"/accounts/{ACCOUNT}/summary": stated,
        f"/accounts/{ACCOUNT}/instruments": instruments(),
        **replies,
    }
    with serving({path: value if isinstance(value, Reply) else as_json(value) for path, value in told.items()}) as server:
        yield server


def adapter(url: str, **settings: Any) -> Broker:
    return ADAPTER(
        "oanda-live",
        settings={"base_url": url, "account": None, **settings},
        secret={"token": TOKEN}.__getitem__,
        folder=Path(),
        clock=lambda: datetime.now(UTC),
        http=Http(deadline_seconds=5, backoff_seconds=0.001),
    )


def read(server: Loopback, ask: Ask = NOW, **settings: Any) -> Feed:
    return asyncio.run(adapter(server.url + "/", **settings).positions(ask))


def refusal(error: type[BrokerError], positions: Any, stated: Any = None, ask: Ask = NOW) -> str:
    with broker(positions, summary(1) if stated is None else stated) as server, pytest.raises(error) as caught:
        read(server, ask)
    assert type(caught.value) is error
    assert TOKEN not in str(caught.value)
    return str(caught.value)


def agrees(feed: Feed) -> list[bool]:
    """Whether the rows of each account are as many as it states."""
    return [total.stated == sum(position.account == total.account for position in feed.positions) for total in feed.control_totals]


def test_positions_of_every_kind_are_read_exactly():
    rows = [
        row("EUR_USD", short=side("-100", "1.09843")),
        row("DE30_EUR", long=side("0.5", "10678.3")),
        row("XAU_USD", long=side("10.000000000000000001", "2650.123456789012")),
        row("BRENT.OIL", long=side("3", "70")),
    ]
    with broker(held(*rows), summary(4)) as server:
        feed = read(server)
    assert (feed.status, feed.basis, feed.as_of, feed.accounts) == (FeedStatus.COMPLETE, "trade", AS_OF, (ACCOUNT,))
    assert [(p.symbol, str(p.quantity), p.leg, p.currency, p.asset_class, str(p.avg_price)) for p in feed.positions] == [
        ("EUR_USD", "-100", "NET", "USD", "forex", "1.09843"),
        ("DE30_EUR", "0.5", "NET", "EUR", "cfd", "10678.3"),
        ("XAU_USD", "10.000000000000000001", "NET", "USD", "metal", "2650.123456789012"),
        ("BRENT.OIL", "3", "NET", None, None, "70"),
    ]
    assert {(p.account, p.multiplier, p.market_price) for p in feed.positions} == {(ACCOUNT, 1, None)}
    assert agrees(feed) == [True]
    assert [(cash.currency, cash.amount, cash.account) for cash in feed.cash] == [("CHF", Decimal("10250.1234"), ACCOUNT)]
    assert feed.notes == (
        f"account {ACCOUNT}: up to transaction 2327",
        f"account {ACCOUNT}: BRENT.OIL: the currency of its price is not known",
    )


@pytest.mark.case("E05", "E06")
def test_both_sides_open_are_two_legs_and_neither_is_netted_away():
    rows = [row("EUR_USD", side("300", "1.1"), side("-300", "1.2")), row("GBP_JPY", short=side("-5", "190"))]
    with broker(held(*rows), summary(2)) as server:
        feed = read(server)
    assert [(p.symbol, p.leg, p.quantity, p.avg_price) for p in feed.positions] == [
        ("EUR_USD", "LONG", 300, Decimal("1.1")),
        ("EUR_USD", "SHORT", -300, Decimal("1.2")),
        ("GBP_JPY", "NET", -5, 190),
    ]
    assert agrees(feed) == [True]


def test_an_instrument_without_anything_open_is_kept_as_zero_and_has_no_price():
    with broker(held(row("EUR_USD"), row("GBP_JPY", side("1", "190"))), summary(1)) as server:
        feed = read(server)
    assert [(p.symbol, p.leg, p.quantity, p.avg_price) for p in feed.positions] == [
        ("EUR_USD", "NET", 0, None),
        ("GBP_JPY", "NET", 1, 190),
    ]
    assert agrees(feed) == [True]


@pytest.mark.case("A06")
@pytest.mark.parametrize(("count", "proven"), [(0, True), (3, False)])
def test_an_empty_list_is_flat_only_where_the_summary_counts_no_position(count, proven):
    with broker(held(), summary(count)) as server:
        feed = read(server)
    assert (feed.positions, agrees(feed), feed.control_totals[0].kind) == ((), [proven], "rows")


@pytest.mark.case("A11")
@pytest.mark.parametrize(("count", "proven"), [(1, False), (2, True), (3, False)])
def test_the_number_of_open_positions_is_the_control_total(count, proven):
    rows = [row("EUR_USD", side("300", "1.1"), side("-200", "1.2")), row("GBP_JPY", short=side("-5", "190"))]
    with broker(held(*rows), summary(count)) as server:
        assert agrees(read(server)) == [proven]


def test_an_account_that_traded_between_the_two_questions_says_so():
    with broker(held(row("EUR_USD", side("1", "1"))), summary(2, last="2329")) as server:
        feed = read(server)
    assert agrees(feed) == [False]
    assert "its summary is of transaction 2329: it traded between the two questions" in feed.notes[1]


def test_what_is_held_stands_where_the_types_of_instruments_are_not_told():
    with broker(
        held(row("EUR_USD", side("1", "1"))), summary(1), **{f"/accounts/{ACCOUNT}/instruments": as_json({}, 404)}
    ) as server:
        feed = read(server)
    assert (feed.status, feed.positions[0].asset_class) == (FeedStatus.COMPLETE, None)
    assert "asset classes are not known" in feed.notes[1]


@pytest.mark.case("A09")
def test_each_account_of_the_token_is_asked_and_one_that_fails_makes_the_feed_partial_and_is_named():
    replies = {
        "/accounts": {"accounts": [{"id": ACCOUNT}, {"id": OTHER}]},
        f"/accounts/{OTHER}/openPositions": as_json({"errorMessage": "gone"}, 503),
    }
    with broker(held(row("EUR_USD", side("1", "1"))), summary(1), **replies) as server:
        feed = read(server)
        only = read(server, account=ACCOUNT)
        asked = read(server, Ask(accounts=(ACCOUNT,)))
    assert (feed.status, feed.accounts, len(feed.positions)) == (FeedStatus.PARTIAL, (ACCOUNT,), 1)
    assert len(feed.unread) == 1
    assert feed.unread[0] in feed.reason
    assert f"account {OTHER}: GET" in feed.reason
    assert (only.status, asked.status) == (FeedStatus.COMPLETE, FeedStatus.COMPLETE)
    assert f"account {OTHER}: not asked, for recon.yaml names others" in asked.notes


@pytest.mark.case("A07")
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (as_json({"errorMessage": "Insufficient authorization to perform request."}, 401), AuthError),
        (as_json({"errorMessage": "too many requests"}, 429), ThrottledError),
        (as_json({"errorMessage": "maintenance"}, 503), TransientError),
        (as_json({"errorMessage": "Invalid value specified for 'accountID'"}), MalformedError),
        (Reply("<html>", 200, {"Content-Type": "text/html"}), MalformedError),
        (Reply(b""), MalformedError),
        (Reply(b'{"positions": [', promised=900), MalformedError),
    ],
)
@pytest.mark.parametrize("path", ["openPositions", "summary"])
def test_an_answer_that_fails_is_an_error_and_never_an_empty_account(path, reply, error):
    message = refusal(error, reply if path == "openPositions" else held(), reply if path == "summary" else summary(0))
    assert path in message


@pytest.mark.parametrize(
    "answer", [{}, [], {"accounts": []}, {"accounts": None}, {"accounts": [{}]}, {"accounts": [{"id": "../pricing"}]}]
)
def test_a_list_that_names_no_account_is_refused(answer):
    with broker(held(), summary(0), **{"/accounts": answer}) as server, pytest.raises(MalformedError):
        read(server)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"positions": None, "lastTransactionID": "1"},
        {"positions": {}, "lastTransactionID": "1"},
        {"positions": []},
        held(None),
        held({}),
        held(row("EUR_USD", long=...)),
        held(row("EUR_USD", long={"pl": "0"})),
        held(row("EUR_USD", short=side("5", "1"))),
        held(row("EUR_USD", long=side("-5", "1"))),
        held(row(" ", side("1", "1"))),
    ],
)
def test_what_is_no_list_of_positions_is_refused(body):
    assert "openPositions" in refusal(MalformedError, body)


@pytest.mark.case("B09")
@pytest.mark.parametrize("written", ["NaN", "", " ", "1,000", "(100)", "1e3", "Infinity", None, True, {}])
def test_units_that_are_no_number_are_refused(written):
    message = refusal(MalformedError, held(row("GBP_JPY", side("1", "1")), row("EUR_USD", side(written, "1"))))
    assert "openPositions: positions: row 2 (EUR_USD): long: field units" in message


@pytest.mark.case("E01")
def test_one_instrument_twice_is_refused_with_both_rows():
    one = row("EUR_USD", side("1", "1"))
    assert "row 3 (EUR_USD): EUR_USD stands in row 1 too" in refusal(MalformedError, held(one, row("GBP_JPY"), one))


@pytest.mark.parametrize("field", ["openPositionCount", "currency", "balance"])
def test_a_summary_that_does_not_say_what_is_needed_is_refused(field):
    assert f"summary: account: field {field} is missing" in refusal(MalformedError, held(), summary(0, **{field: ...}))


def test_a_summary_of_another_account_is_refused():
    assert "field id" in refusal(MalformedError, held(), summary(0, OTHER))


@pytest.mark.case("G03")
def test_a_past_day_cannot_be_asked_for():
    message = refusal(NotReadyError, held(), summary(0), Ask(as_of=AS_OF - timedelta(hours=12, seconds=1)))
    assert "tells only what is held now" in message


@pytest.mark.case("G04")
def test_an_answer_without_a_date_is_refused_and_our_clock_is_not_used():
    assert "no Date header" in refusal(MalformedError, as_json(held(), Date=None), summary(0))


@pytest.mark.case("J07")
def test_only_get_is_ever_sent_and_the_token_travels_in_headers_alone():
    with broker(held(row("EUR_USD", side("1", "1"))), summary(1)) as server:
        read(server)
    assert [request.path.rpartition("/")[2] for request in server.requests] == [
        "accounts",
        "openPositions",
        "summary",
        "instruments",
    ]
    for request in server.requests:
        assert request.method == "GET"
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert request.headers["accept-datetime-format"] == "RFC3339"
        assert TOKEN not in request.path


@pytest.mark.case("A11")
def test_a_run_finds_nothing_missing_where_the_summary_counts_more_than_the_list_has(tmp_path: Path):
    deployment = Deployment(tmp_path)
    deployment.book(
        [book_row("EUR_USD", "-100", "1.09843", account=ACCOUNT), book_row("GBP_JPY", "5", account=ACCOUNT, currency="JPY")]
    )
    reports = []
    for count in (1, 2):
        with broker(held(row("EUR_USD", short=side("-100", "1.09843"))), summary(count)) as server:
            config = f"""version: 1
book: {{file: book.csv}}
brokers: {{prime: {{adapter: oanda, secrets: {{token: env:TOKEN}}, options: {{base_url: "{server.url}"}}}}}}
"""
            deployment.write("recon.yaml", config)
            reports.append(json.loads(deployment.run("--json", "--as-of", "2026-11-20T21:05:00Z", TOKEN=TOKEN).stdout))
    whole, lacking = reports
    assert (whole["feeds"][0]["status"], types(whole)) == ("COMPLETE", ["MISSING_AT_BROKER"])
    assert (lacking["feeds"][0]["status"], types(lacking)) == ("PARTIAL", [])


def fill(identity: str, instrument: str = "EUR_USD", units: str = "100", **more: Any) -> dict[str, Any]:
    """An ORDER_FILL as OANDA writes it."""
    full = {
        "id": identity,
        "accountID": ACCOUNT,
        "time": "2026-11-18T09:15:30.123456789Z",
        "type": "ORDER_FILL",
        "orderID": "6410",
        "instrument": instrument,
        "units": units,
        "price": "1.09",
        "fullVWAP": "1.09012",
        "reason": "MARKET_ORDER",
        "pl": "0.0000",
        "financing": "0.0000",
        "commission": "0.0000",
        **more,
    }
    return {name: value for name, value in full.items() if value is not ...}


def other(identity: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"id": identity, "time": "2026-11-18T22:00:00.000000000Z", "type": kind, **more}


def happened(*pages: Any, count: int | None = None, since: datetime | None = None, hedging: bool = False, index: Any = None):
    """The evidence of pages of transactions, and what the server was asked."""
    listed = [entry for page in pages if isinstance(page, list) for entry in page]
    told = {
        "/accounts": as_json({"accounts": [{"id": ACCOUNT}]}),
        f"/accounts/{ACCOUNT}/summary": as_json(summary(0, hedgingEnabled=hedging)),
        f"/accounts/{ACCOUNT}/transactions/idrange": [
            page if isinstance(page, Reply) else as_json({"transactions": page, "lastTransactionID": "9"}) for page in pages
        ],
    }
    with serving(told) as server:
        where = f"{server.url}/accounts/{ACCOUNT}/transactions"
        addresses = [f"{where}/idrange?from={number}01&to={number}99" for number in range(1, len(pages) + 1)]
        found = {"count": len(listed) if count is None else count, "pageSize": 1000, "pages": addresses, "lastTransactionID": "9"}
        server.replies[f"/accounts/{ACCOUNT}/transactions"] = [as_json(found if index is None else index)]
        evidence = asyncio.run(adapter(server.url).evidence(Ask(since=since)))
    assert isinstance(evidence, Evidence)
    return evidence, [request.path for request in server.requests]


def test_an_order_fill_is_a_fill_signed_by_its_units_and_what_it_books_is_cash_of_its_own():
    evidence, paths = happened(
        [fill("6411", units="-100", pl="-12.5", financing="-0.25", commission="1.0")], since=datetime(2026, 11, 16, 9, tzinfo=UTC)
    )
    (sold,) = evidence.fills
    assert (sold.id, sold.account, sold.symbol, sold.quantity) == (f"{ACCOUNT}-6411", ACCOUNT, "EUR_USD", -100)
    assert (sold.price, sold.currency, sold.order_id, sold.leg) == (Decimal("1.09012"), "USD", "6410", "NET")
    assert sold.traded_at == datetime(2026, 11, 18, 9, 15, 30, 123456, UTC)
    (cash,) = evidence.movements
    assert (cash.kind, cash.amount, cash.currency, cash.quantity) == ("cash", Decimal("-13.75"), "CHF", None)
    assert (evidence.complete, evidence.reason) == (True, "")
    assert paths[2].endswith("transactions?from=2026-11-16T09%3A00%3A00Z&pageSize=1000")
    assert paths[3].endswith("transactions/idrange?from=101&to=199")


def test_a_margin_closeout_is_a_liquidation_and_says_so():
    evidence, _ = happened([fill("6411", units="-100", reason="MARKET_ORDER_MARGIN_CLOSEOUT")])
    (movement,) = evidence.movements
    assert (movement.kind, movement.quantity, movement.price) == ("liquidation", -100, Decimal("1.09012"))
    assert "MARGIN_CLOSEOUT" in movement.said
    assert evidence.fills == []


@pytest.mark.case("E05")
@pytest.mark.parametrize(
    ("units", "trades", "leg"),
    [
        ("100", {"tradeOpened": {"tradeID": "1"}}, "LONG"),
        ("-100", {"tradeOpened": {"tradeID": "1"}}, "SHORT"),
        ("-100", {"tradesClosed": [{"tradeID": "1"}]}, "LONG"),
        ("100", {"tradeReduced": {"tradeID": "1"}}, "SHORT"),
        ("100", {"tradeOpened": {"tradeID": "2"}, "tradesClosed": [{"tradeID": "1"}]}, "NET"),
    ],
)
def test_a_fill_of_a_hedging_account_is_of_the_leg_that_it_opens_or_closes(units, trades, leg):
    evidence, _ = happened([fill("6411", units=units, **trades)], hedging=True)
    assert [each.leg for each in evidence.fills] == [leg]


@pytest.mark.case("F08")
def test_transfers_financing_and_dividends_are_cash_and_what_is_not_known_is_kept():
    evidence, _ = happened(
        [
            other("1", "TRANSFER_FUNDS", amount="500.00", fundingReason="CLIENT_FUNDING", comment="wire"),
            other("2", "DAILY_FINANCING", financing="-1.2345", positionFinancings=[]),
            other("3", "DIVIDEND_ADJUSTMENT", instrument="DE30_EUR", dividendAdjustment="2.5"),
            other("4", "SOMETHING_NEW", instrument="EUR_USD", units="7", amount="3"),
            other("5", "ANOTHER_THING"),
        ]
    )
    assert [(m.kind, m.symbol, m.quantity, m.amount, m.currency) for m in evidence.movements] == [
        ("cash", None, None, 500, "CHF"),
        ("cash", None, None, Decimal("-1.2345"), "CHF"),
        ("cash", "DE30_EUR", None, Decimal("2.5"), "CHF"),
        ("unclassified", "EUR_USD", 7, 3, "CHF"),
        ("unclassified", None, None, None, "CHF"),
    ]
    assert evidence.movements[0].said == "TRANSFER_FUNDS CLIENT_FUNDING wire"
    assert evidence.movements[0].occurred_on == date(2026, 11, 18)


def test_orders_move_nothing_and_are_counted():
    orders = [other(str(n), kind) for n, kind in enumerate(("MARKET_ORDER", "MARKET_ORDER", "ORDER_CANCEL", "LIMIT_ORDER_REJECT"))]
    evidence, _ = happened(orders)
    assert (evidence.fills, evidence.movements, evidence.complete) == ([], [], True)
    assert "1 LIMIT_ORDER_REJECT, 2 MARKET_ORDER, 1 ORDER_CANCEL" in evidence.notes[0]


@pytest.mark.case("A08")
def test_every_page_is_read_and_one_that_is_missing_is_said():
    evidence, paths = happened([fill("1"), fill("2")], [fill("3"), fill("2")], count=3)
    assert (len(evidence.fills), evidence.complete, len(paths)) == (3, True, 5)
    lost, _ = happened([fill("1")], as_json({}, 503), count=2)
    assert (len(lost.fills), lost.complete) == (1, False)
    assert "page 2 of 2 of its transactions could not be had" in lost.reason
    short, _ = happened([fill("1")], count=5)
    assert "states 5 transactions, its pages have 1" in short.reason


def test_no_transaction_at_all_is_complete():
    evidence, _ = happened()
    assert (evidence.fills, evidence.movements, evidence.complete) == ([], [], True)


@pytest.mark.parametrize("address", ["https://oanda.example.org/v3/x", "http://api-fxtrade.oanda.com/v3/x", "https://[", "/v3/x"])
def test_the_token_goes_to_no_other_host(address):
    with pytest.raises(BrokerError, match="the answer"):
        happened(index={"count": 1, "pages": [address]})


@pytest.mark.parametrize("pages", [None, "x", [1], {}])
def test_pages_that_are_no_addresses_are_refused(pages):
    with pytest.raises(MalformedError, match="field pages"):
        happened(index={"count": 1, "pages": pages})


def test_the_recording_is_read_again_to_the_same_positions():
    recording = read_recording(RECORDED)
    made = ADAPTER(
        "oanda-live",
        settings={"base_url": "https://api-fxtrade.oanda.com/v3", "account": None} | dict(recording.options),
        secret={"token": TOKEN}.__getitem__,
        folder=Path(),
        clock=lambda: recording.at,
        http=Http(answering=Replay(recording)),
    )
    feed = asyncio.run(made.positions(NOW))
    assert (feed.status, agrees(feed)) == (FeedStatus.COMPLETE, [True])
    assert [(p.symbol, p.leg, str(p.quantity), str(p.avg_price), p.asset_class) for p in feed.positions] == [
        ("EUR_USD", "LONG", "300", "1.08512", "forex"),
        ("EUR_USD", "SHORT", "-200", "1.09843", "forex"),
        ("GBP_JPY", "NET", "-5000", "190.123", "forex"),
        ("DE30_EUR", "NET", "0.5", "18678.3", "cfd"),
        ("XAU_USD", "NET", "10", "2650.45", "metal"),
    ]
