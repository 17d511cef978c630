"""The IBKR Flex adapter against a real server on loopback that speaks the Flex Web Service, and against real files."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from canaries import TOKEN
from deployment import Deployment, book_row
from flex_samples import (
    adapter,
    begun,
    corporate_action,
    open_positions,
    position,
    refused,
    response,
    statement,
    tag,
    trade,
    transfer,
    worth,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback import Loopback, Reply, serving

from recon_core import (
    Ask,
    AuthError,
    BrokerError,
    Feed,
    FeedStatus,
    MalformedError,
    NotReadyError,
    RequestError,
    ThrottledError,
    TransientError,
)
from recon_core.http import Http
from recon_core.recording import Replay, read_recording

NOW = Ask()
FRIDAY = Ask(as_of=datetime(2026, 11, 20, 21, 5, tzinfo=UTC))
CLOSE = datetime(2026, 11, 20, 21, tzinfo=UTC)
RECORDED = Path(__file__).parent / "cases" / "brokers" / "ibkr_flex"
XML = {"Content-Type": "text/xml"}
LOT = {"levelOfDetail": "LOT", "openDateTime": "20260301;093000"}


def service(*answers: str | Reply, send: str | Reply | list[str | Reply] | None = None, url: str | None = None) -> Any:
    """A server that begins a statement and then gives these answers in order."""
    stack = ExitStack()
    server = stack.enter_context(serving({}))

    def reply(value: str | Reply) -> Reply:
        return value if isinstance(value, Reply) else Reply(value, 200, XML)

    sent = send if isinstance(send, list) else [begun(url or f"{server.url}/flex/GetStatement") if send is None else send]
    server.replies = {"/flex/SendRequest": [*map(reply, sent)], "/flex/GetStatement": [*map(reply, answers)]}
    return stack, server


def read(*answers: str | Reply, ask: Ask = NOW, **more: Any) -> Feed:
    return ask_service(*answers, ask=ask, **more)[0]


def ask_service(
    *answers: str | Reply, ask: Ask = NOW, send: Any = None, url: str | None = None, **options: Any
) -> tuple[Feed, Loopback]:
    stack, server = service(*answers, send=send, url=url)
    with stack:
        broker = adapter(base_url=f"{server.url}/flex/", query_id="4711", **options)
        return asyncio.run(broker.positions(ask)), server


def refusal(error: type[BrokerError], *answers: str | Reply, **more: Any) -> str:
    with pytest.raises(error) as caught:
        read(*answers, **more)
    assert type(caught.value) is error
    assert TOKEN not in str(caught.value)
    return str(caught.value)


def of_file(folder: Path, text: str | bytes, ask: Ask = NOW, **options: Any) -> Feed:
    (folder / "flex.xml").write_bytes(text.encode() if isinstance(text, str) else text)
    return asyncio.run(adapter(folder, given=(), path="flex.xml", **options).positions(ask))


def one(*rows: str, net: str | None = None, **more: Any) -> str:
    """A response of one statement with these positions."""
    return response(statement(open_positions(*rows), *([] if net is None else [net]), **more))


# The Flex Web Service


@pytest.mark.case("E07", "B03")
def test_positions_of_every_kind_are_read_exactly():
    rows = [
        position("MSFT", "10", isin="US5949181045", cusip="594918104"),
        position(" BRK B ", "0.123456789012345678", "480.5"),
        position("TSLA", "-5", "250", costBasisPrice="260"),
        position("AAPL  261218C00250000", "-2", "3.15", "-630", assetCategory="OPT", multiplier="100", costBasisPrice="2.9"),
        position("BMW", "7", "80", fxRateToBase="1.08", currency="EUR"),
        position("ESZ6", "1", "6800.25", "340012.5", assetCategory="FUT", multiplier="50"),
        position("T 4 1/4", "10000", "98.5", "9850", assetCategory="BOND", costBasisPrice="99.25", costBasisMoney="9925"),
        position("BTC-PERP", "0.5", "90000", "45000", assetCategory="NEWKIND"),
    ]
    feed, server = ask_service(one(*rows))
    assert (feed.status, feed.basis, feed.as_of, feed.date_only) == (FeedStatus.COMPLETE, "trade", CLOSE, True)
    assert feed.accounts == ("U1",)
    assert [(p.symbol, str(p.quantity), p.asset_class, p.currency, p.multiplier) for p in feed.positions] == [
        ("MSFT", "10", "equity", "USD", 1),
        ("BRK B", "0.123456789012345678", "equity", "USD", 1),
        ("TSLA", "-5", "equity", "USD", 1),
        ("AAPL261218C00250000", "-2", "option", "USD", 100),
        ("BMW", "7", "equity", "EUR", 1),
        ("ESZ6", "1", "future", "USD", 50),
        ("T 4 1/4", "10000", "bond", "USD", 1),
        ("BTC-PERP", "0.5", "newkind", "USD", 1),
    ]
    assert [p.raw_symbol for p in feed.positions][1:4] == [" BRK B ", None, "AAPL  261218C00250000"]
    assert (feed.positions[0].isin, feed.positions[0].cusip, feed.positions[1].isin) == ("US5949181045", "594918104", None)
    assert (feed.positions[6].market_price, feed.positions[6].avg_price) == (Decimal("0.985"), Decimal("0.9925"))
    assert {(p.account, p.leg) for p in feed.positions} == {("U1", "NET")}
    assert [request.path for request in server.requests] == [
        f"/flex/SendRequest?t={TOKEN}&q=4711&v=3",
        f"/flex/GetStatement?t={TOKEN}&q=7788990011&v=3",
    ]
    assert {request.headers["user-agent"] for request in server.requests} == {"recon-core"}


def test_a_statement_that_is_still_made_is_asked_for_again():
    making = refused("1019", "Statement generation in progress. Please try again shortly.", "Warn")
    busy = refused("1018", "Too many requests have been made from this token.")
    feed, server = ask_service(making, busy, making, one(position()), send=None)
    assert (feed.status, len(server.requests)) == (FeedStatus.COMPLETE, 5)


@pytest.mark.parametrize("code", ["1001", "1004", "1005", "1006", "1007", "1008", "1009", "1018", "1019", "1021"])
def test_what_may_pass_is_tried_again_from_the_start(code):
    stack, server = service(one(position()))
    with stack:
        server.replies["/flex/SendRequest"].insert(0, Reply(refused(code), 200, XML))
        feed = asyncio.run(adapter(base_url=f"{server.url}/flex", query_id="4711").positions(NOW))
    assert (feed.status, len(server.requests)) == (FeedStatus.COMPLETE, 3)


@pytest.mark.case("A07")
@pytest.mark.parametrize(
    ("code", "error", "advice"),
    [
        ("1001", TransientError, "base_url"),
        ("1003", NotReadyError, "not available yet"),
        ("1004", NotReadyError, "run again later"),
        ("1005", NotReadyError, "run again later"),
        ("1006", NotReadyError, "run again later"),
        ("1007", NotReadyError, "run again later"),
        ("1008", NotReadyError, "run again later"),
        ("1009", TransientError, "run again later"),
        ("1010", AuthError, "Activity Flex query"),
        ("1011", AuthError, "enable the Flex Web Service"),
        ("1012", AuthError, "has expired"),
        ("1013", AuthError, "addresses"),
        ("1014", RequestError, "check query_id"),
        ("1015", AuthError, "not valid"),
        ("1016", RequestError, "account"),
        ("1017", RequestError, "run again"),
        ("1018", ThrottledError, "ten a minute"),
        ("1019", NotReadyError, "deadline_seconds"),
        ("1020", RequestError, "some minutes"),
        ("1021", TransientError, "run again later"),
        ("1999", TransientError, "not documented"),
    ],
)
@pytest.mark.parametrize("at_the_start", [True, False])
def test_every_error_code_says_what_a_person_should_do(code, error, advice, at_the_start):
    answer = refused(code, f"said of {TOKEN}")
    more: dict[str, Any] = {"send": answer} if at_the_start else {}
    said = refusal(error, answer, poll_seconds=9, **more)
    assert f"IBKR answers {code}: said of ***" in said
    assert advice in said


def test_patience_ends_with_the_deadline_of_the_feed():
    stack, server = service(refused("1019"))
    http = Http(deadline_seconds=3, backoff_seconds=0.001)
    broker = adapter(base_url=f"{server.url}/flex", query_id="4711", http=http, poll_seconds=0.8)
    with stack, pytest.raises(NotReadyError, match=r"asked \d+ times within 3 s"):
        asyncio.run(broker.positions(NOW))


@pytest.mark.parametrize("status", ["Fail", "fail"])
def test_a_failure_without_a_code_is_one(status):
    assert "Fail without a code" in refusal(
        TransientError, f"<FlexStatementResponse><Status>{status}</Status></FlexStatementResponse>"
    )


@pytest.mark.parametrize(
    "answer",
    [
        tag("FlexQueryResponse", "<ErrorCode>1012</ErrorCode><ErrorMessage>Token has expired.</ErrorMessage>", type="AF"),
        tag("FlexQueryResponse", "<FlexStatements><x><ErrorCode> 1012 </ErrorCode></x></FlexStatements>", type="AF"),
    ],
)
def test_an_error_below_the_root_of_a_statement_is_an_error(answer):
    assert "1012" in refusal(AuthError, answer)


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (Reply("<html><body>Log in</body></html>", 200, {"Content-Type": "text/html"}), MalformedError, "text/html"),
        (Reply("<html><body>Log in</body></html>", 200, XML), MalformedError, "<html>"),
        (Reply(b"", 200, XML), MalformedError, "empty body"),
        (Reply("<FlexQueryResponse", 200, XML), MalformedError, "not whole XML"),
        (Reply('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', 200, XML), MalformedError, "document type"),
        (Reply("no", 401, {"Content-Type": "text/plain"}), AuthError, "401"),
        (Reply("no", 404, {"Content-Type": "text/plain"}), RequestError, "404"),
        (Reply("no", 503, {"Content-Type": "text/plain"}), TransientError, "503"),
        (begun("https://ndcdyn.interactivebrokers.com/x"), MalformedError, "<FlexQueryResponse> is due"),
        (response(), MalformedError, "no FlexStatement"),
        (tag("FlexQueryResponse", type="AF"), MalformedError, "no FlexStatement"),
        (response(statement(open_positions()), kind="TCF"), RequestError, "Trade Confirmation"),
    ],
)
def test_what_is_no_statement_is_refused(answer, error, said):
    assert said in refusal(error, answer)


@pytest.mark.parametrize(
    "url",
    [
        "https://gdcdyn.interactivebrokers.com.evil.example/x",
        "https://evil.example/GetStatement",
        "http://gdcdyn.interactivebrokers.com/x",
        "http://127.0.0.1:1/flex/GetStatement",
        "file:///etc/passwd",
        "https://[",
    ],
)
def test_the_token_is_sent_to_no_other_host(url):
    stack, server = service(one(position()), url=url)
    with stack, pytest.raises(RequestError) as caught:
        asyncio.run(adapter(base_url=f"{server.url}/flex", query_id="4711").positions(NOW))
    assert len(server.requests) == 1
    assert TOKEN not in str(caught.value)


def test_a_start_without_a_reference_is_refused_and_one_without_an_address_is_asked_at_the_same_host():
    assert "ReferenceCode" in refusal(
        MalformedError, send="<FlexStatementResponse><Status>Success</Status></FlexStatementResponse>"
    )
    plain = "<FlexStatementResponse><Status>Success</Status><ReferenceCode>7</ReferenceCode></FlexStatementResponse>"
    assert read(one(position()), send=plain).status is FeedStatus.COMPLETE


@pytest.mark.parametrize("options", [{}, {"query_id": "4711", "path": "flex.xml"}])
def test_one_of_query_and_path_must_be_given(options):
    with pytest.raises(RequestError, match="exactly one of query_id"):
        asyncio.run(adapter(**options).positions(NOW))


def test_a_query_without_a_token_says_so():
    with pytest.raises(AuthError, match="needs token"):
        asyncio.run(adapter(given=(), query_id="4711").positions(NOW))


def test_evidence_after_positions_asks_the_network_no_second_time():
    stack, server = service(one(position()))
    with stack:
        broker = adapter(base_url=f"{server.url}/flex", query_id="4711")
        asyncio.run(broker.positions(NOW))
        asyncio.run(broker.evidence(NOW))
    assert len(server.requests) == 2


# Wholeness


@pytest.mark.case("A06")
def test_a_missing_section_is_a_fault_of_the_query_and_no_empty_account(tmp_path):
    text = response(statement(worth("0")))
    assert "tick Open Positions" in refusal(RequestError, text)
    with pytest.raises(RequestError, match="no section OpenPositions"):
        of_file(tmp_path, text)


@pytest.mark.case("A06")
def test_a_section_of_one_account_that_is_missing_fails_the_feed():
    text = response(statement(open_positions(position())), statement(account="U2"))
    assert "account U2" in refusal(RequestError, text)


@pytest.mark.case("A06")
@pytest.mark.parametrize("net", [[], [worth("0")]])
def test_an_empty_section_proves_the_account_flat(net):
    feed = read(response(statement(open_positions(), *net)))
    assert (feed.status, feed.positions, feed.accounts) == (FeedStatus.COMPLETE, (), ("U1",))


@pytest.mark.case("A06", "A11")
@pytest.mark.parametrize("rows", [(), (position("MSFT", "0"),)])
def test_an_empty_section_beside_a_net_asset_value_proves_nothing(rows):
    feed = read(one(*rows, net=worth("4100")))
    assert (feed.status, feed.accounts) == (FeedStatus.PARTIAL, ())
    assert "has 4100 of securities" in feed.reason


@pytest.mark.case("A11")
def test_the_net_asset_value_is_met_in_base_currency():
    rows = [position(), position("BMW", "10", "80", currency="EUR", fxRateToBase="1.0812")]
    assert read(one(*rows, net=worth("4964.96"))).status is FeedStatus.COMPLETE
    feed = read(one(*rows, net=worth("4900")))
    assert feed.status is FeedStatus.PARTIAL
    assert "4900 of securities" in feed.reason
    assert "worth 4964.96" in feed.reason
    assert read(one(*rows, net=worth("4900")), value_tolerance_pct=2).status is FeedStatus.COMPLETE


def test_the_net_asset_value_is_a_control_total_where_all_is_in_base_currency():
    bond = position("T 4 1/4", "10000", "98.5", "9850", assetCategory="BOND")
    zero = position("GONE", "0", "1")
    (total,) = read(one(position(), bond, zero, net=worth("4100", bonds="9850"))).control_totals
    assert (total.kind, total.stated, total.account, total.tolerance) == ("market_value", 13950, "U1", Decimal("13.97"))
    (flat,) = read(one(net=worth("0"))).control_totals
    assert (flat.stated, flat.tolerance) == (0, 0)
    euro = position("BMW", "10", "80", currency="EUR", fxRateToBase="1.08")
    future = position("ESZ6", "1", "6800", "340000", assetCategory="FUT", multiplier="50")
    assert read(one(position(), euro, net=worth("4964"))).control_totals == ()
    assert read(one(position(), future, net=worth())).control_totals == ()


@pytest.mark.case("A11")
def test_a_long_and_a_short_that_cancel_in_the_net_are_still_missed():
    net = worth("0", stockLong="10000", stockShort="-10000", optionsLong="0", optionsShort="0")
    feed = read(one(net=net))
    assert feed.status is FeedStatus.PARTIAL
    assert "10000 of long securities" in feed.reason
    rows = [position("A", "100", "100"), position("B", "-100", "100")]
    assert read(one(*rows, net=net)).status is FeedStatus.COMPLETE


def test_what_is_not_in_the_net_asset_value_is_not_looked_for_there():
    rows = [position(), position("ESZ6", "1", "6800", "340000", assetCategory="FUT", multiplier="50")]
    assert read(one(*rows, net=worth("4100"))).status is FeedStatus.COMPLETE


def test_a_value_in_base_currency_needs_no_rate():
    row = position("BMW", "10", "80", currency="EUR", fxRateToBase="", positionValueInBase="864.96")
    assert read(one(row, net=worth("864.96"))).notes == ()


@pytest.mark.parametrize(
    ("row", "net", "said"),
    [
        (position(fxRateToBase=...), worth(), "no positionValue, fxRateToBase or total of the category of MSFT"),
        (position(assetCategory="FOP"), worth(), "total of the category of MSFT"),
        (position(), worth(stock=...), "total of the category of MSFT"),
        (position(), worth(reportDate="20261119"), "0 times for 2026-11-20"),
        (position(), worth(slbDirectSecuritiesLent="100"), "lent or borrowed"),
        (
            position(),
            tag("EquitySummaryInBase", tag("EquitySummaryByReportDateInBase", reportDate="20261120")),
            "no part of it such as Stock",
        ),
        (position(), None, "tick Net Asset Value"),
    ],
)
def test_a_total_that_cannot_be_compared_is_a_note(row, net, said):
    feed = read(one(row, net=net))
    assert feed.status is FeedStatus.COMPLETE
    assert [note for note in feed.notes if said in note]


def test_fewer_statements_than_announced_are_partial():
    feed = read(response(statement(open_positions(position())), count=2))
    assert feed.status is FeedStatus.PARTIAL
    assert "2 statements are announced and 1 are there" in feed.reason
    assert read(response(statement(open_positions(position())), count="many")).status is FeedStatus.COMPLETE


def test_something_else_among_the_positions_is_no_flat_account():
    assert "<Position>" in refusal(MalformedError, one(tag("Position", symbol="MSFT")))


# Grain


@pytest.mark.case("E03")
@pytest.mark.parametrize("summary_first", [True, False])
def test_a_summary_and_its_lots_are_counted_once(summary_first):
    lots = [position(quantity="4", **LOT), position(quantity="6", **LOT)]
    summary = [position(quantity="10")]
    feed = read(one(*(summary + lots if summary_first else lots + summary), net=worth()))
    assert [(p.symbol, p.quantity) for p in feed.positions] == [("MSFT", 10)]
    assert (feed.status, feed.notes) == (FeedStatus.COMPLETE, ())


@pytest.mark.case("E02", "C07")
def test_lots_alone_are_one_position_at_their_average_price():
    lots = [
        position(quantity="1.5", costBasisPrice="100", **LOT),
        position(quantity="2.25", costBasisPrice="110", **LOT),
        position("TSLA", "-1", "250", costBasisPrice="240", **LOT),
        position("TSLA", "-2", "250", costBasisPrice="250", **LOT),
    ]
    feed = read(one(*lots))
    assert [(p.symbol, p.quantity, p.avg_price, p.market_price) for p in feed.positions] == [
        ("MSFT", Decimal("3.75"), Decimal("106"), 410),
        ("TSLA", -3, Decimal("246.666666666667"), 250),
    ]
    assert not feed.lots


@pytest.mark.case("E02", "E03")
def test_lots_in_one_account_and_summaries_in_another_are_each_read_as_they_are():
    lots = [position(quantity="4", **LOT), position(quantity="6", **LOT)]
    summaries = [position(quantity="5", accountId="U2"), position(quantity="5", accountId="U2", **LOT)]
    feed = read(response(statement(open_positions(*lots)), statement(open_positions(*summaries), account="U2")))
    assert [(p.account, p.quantity) for p in feed.positions] == [("U1", 10), ("U2", 5)]
    assert feed.accounts == ("U1", "U2")


@pytest.mark.case("E02")
def test_rows_without_a_level_are_lots_and_a_note_says_so():
    rows = [
        position(quantity=quantity, levelOfDetail=..., openDateTime=opened)
        for quantity, opened in (("4", "20260301"), ("6", "20260302"))
    ]
    feed = read(one(*rows))
    assert [p.quantity for p in feed.positions] == [10]
    assert any("added up as lots" in note for note in feed.notes)
    (single,) = read(one(position(levelOfDetail=...))).positions
    assert single.quantity == 10


@pytest.mark.case("E03")
def test_rows_without_a_level_are_not_doubled():
    summary = position(quantity="10", levelOfDetail=...)
    dated = [position(quantity=quantity, levelOfDetail=..., openDateTime="20260301") for quantity in ("4", "6")]
    assert [p.quantity for p in read(one(summary, *dated)).positions] == [10]
    undated = [position(quantity=quantity, levelOfDetail=...) for quantity in ("4", "6")]
    assert "tick Level of Detail" in refusal(RequestError, one(summary, *undated))


def test_lots_that_do_not_add_up_to_their_summary_are_a_note():
    feed = read(one(position(quantity="10"), position(quantity="4", **LOT)))
    assert [p.quantity for p in feed.positions] == [10]
    assert any("do not add up" in note for note in feed.notes)


@pytest.mark.case("E03")
def test_lots_and_rows_of_an_unknown_level_are_not_added_up():
    for level in ("", "FOO"):
        rows = [position(quantity="10", levelOfDetail=level), position(quantity="10", **LOT)]
        assert f"levelOfDetail '{level}', 'LOT'" in refusal(MalformedError, one(*rows))
    feed = read(one(position(quantity="10", levelOfDetail="FOO"), position(quantity="10")))
    assert [p.quantity for p in feed.positions] == [10]


@pytest.mark.case("E01")
def test_a_summary_twice_is_refused_and_models_are_added_up():
    assert "summary twice" in refusal(MalformedError, one(position(), position()))
    feed = read(one(position(quantity="4", model="A"), position(quantity="6", model="B")))
    assert [p.quantity for p in feed.positions] == [10]


def test_one_symbol_for_two_instruments_of_an_account_is_refused():
    said = refusal(MalformedError, one(position(conid="1"), position(conid="2", assetCategory="CFD")))
    assert "MSFT is conid 1 (STK) and conid 2 (CFD)" in said


@pytest.mark.case("E07")
def test_accounts_of_rows_are_their_own_or_the_statement_s():
    rows = [position(accountId=...), position(accountId="U9"), position("TSLA", accountId="")]
    feed = read(response(statement(open_positions(*rows))))
    assert [(p.account, p.symbol) for p in feed.positions] == [("U1", "MSFT"), ("U9", "MSFT"), ("U1", "TSLA")]
    assert feed.accounts == ("U1", "U9")


# Rows


@pytest.mark.parametrize(("side", "quantity"), [("Long", "-10"), ("Short", "10")])
def test_a_side_against_the_sign_is_refused(side, quantity):
    assert "OpenPosition 1 (MSFT)" in refusal(MalformedError, one(position(quantity=quantity, side=side)))


@pytest.mark.parametrize("more", [{"side": ...}, {"side": ""}, {"side": "Sideways"}])
def test_the_sign_alone_says_the_side_where_nothing_else_does(more):
    assert read(one(position(quantity="-10", **more))).positions[0].quantity == -10


@pytest.mark.case("B09")
@pytest.mark.parametrize("written", ["NaN", "None", "", "1,000", "(100)", "1e3", "--", "9" * 40, "0x10", "1.5.2"])
def test_a_quantity_that_is_no_number_is_refused(written):
    assert "OpenPosition 1 (MSFT)" in refusal(
        MalformedError, one(position(value="1").replace('position="10"', f'position="{written}"'))
    )


@pytest.mark.parametrize("name", ["symbol", "position"])
def test_an_attribute_that_was_not_ticked_is_named(name):
    assert f"no attribute {name}: tick it" in refusal(RequestError, one(position(**{name: ...})))


@pytest.mark.case("A05")
def test_a_row_of_zero_is_kept():
    assert [p.quantity for p in read(one(position(quantity="0"))).positions] == [0]


def test_attributes_that_are_blank_or_missing_are_not_known():
    names = (
        "currency",
        "multiplier",
        "markPrice",
        "costBasisPrice",
        "assetCategory",
        "conid",
        "positionValue",
        "isin",
        "reportDate",
    )
    for blank in ("", ..., "--"):
        (held,) = read(one(position(**dict.fromkeys(names, blank)))).positions
        assert (held.quantity, held.currency, held.multiplier, held.market_price, held.avg_price) == (10, None, None, None, None)
        assert (held.asset_class, held.isin) == (None, None)


@pytest.mark.case("C03")
@pytest.mark.parametrize("category", ["STK", "OPT", "FUT"])
def test_a_value_that_is_not_position_times_price_names_the_row(category):
    said = refusal(MalformedError, one(position(value="41000", assetCategory=category)))
    assert "OpenPosition 1 (MSFT)" in said
    assert "positionValue 41000" in said
    assert read(one(position(value="4100.09"))).status is FeedStatus.COMPLETE


def test_the_price_of_an_unknown_category_that_does_not_give_its_value_is_left_out():
    feed = read(one(position(value="41000", assetCategory="ODD")))
    assert feed.positions[0].market_price is None
    assert any("markPrice is left out" in note for note in feed.notes)


def test_what_is_unknown_or_odd_elsewhere_does_not_matter():
    odd = tag("ChangeInNAV", mtm="n/a", fromDate="31/12/2026", levelOfDetail="ODD") + tag(
        "SecuritiesInfo", tag("SecurityInfo", x="\u00e9")
    )
    feed = read(response(statement(odd, open_positions(position(zzz="1", strike="n/a")), whenGenerated="never")))
    assert feed.status is FeedStatus.COMPLETE


def test_cash_is_read_by_currency_and_its_sum_is_left_out():
    cash = tag(
        "CashReport",
        tag("CashReportCurrency", currency="BASE_SUMMARY", endingCash="1500"),
        tag("CashReportCurrency", currency="USD", endingCash="900.505", endingSettledCash="-12"),
        tag("CashReportCurrency", currency="EUR", endingCash="0.01"),
    )
    feed = read(response(statement(open_positions(position()), cash)))
    assert [(c.account, c.currency, str(c.amount), c.settled) for c in feed.cash] == [
        ("U1", "USD", "900.505", -12),
        ("U1", "EUR", "0.01", None),
    ]


# Time


@pytest.mark.case("G06")
@pytest.mark.parametrize(
    ("written", "as_of", "date_only"),
    [
        ("20261120", CLOSE, True),
        ("2026-11-20", CLOSE, True),
        ("20261120;202500", datetime(2026, 11, 21, 1, 25, tzinfo=UTC), False),
        ("2026-11-20, 20:25:00", datetime(2026, 11, 21, 1, 25, tzinfo=UTC), False),
        ("2026-11-20 20:25:00", datetime(2026, 11, 21, 1, 25, tzinfo=UTC), False),
        ("2026-11-20;20:25:00 EST", datetime(2026, 11, 21, 1, 25, tzinfo=UTC), False),
        ("20260720", datetime(2026, 7, 20, 20, tzinfo=UTC), True),
    ],
)
def test_the_time_of_a_statement(written, as_of, date_only):
    feed = read(one(position(reportDate=written), day=written))
    assert (feed.as_of, feed.date_only) == (as_of, date_only)


@pytest.mark.parametrize("written", ["20/11/2026", "11/20/2026", "20-NOV-26", "20.11.2026"])
def test_a_date_that_two_countries_read_differently_is_refused(written):
    assert "Date Format" in refusal(RequestError, one(position(), day=written))
    assert "Date Format" in refusal(RequestError, one(position(reportDate=written)))


@pytest.mark.case("G04")
@pytest.mark.parametrize("written", ["", ..., "20261340", "20261120;256100", "soon", "99991231", "2026-1-2"])
def test_a_day_that_is_none_is_refused(written):
    assert "toDate" in refusal(MalformedError, one(position(), day=written))


def test_the_time_zone_is_the_option_s():
    feed = read(one(position()), timezone="Asia/Hong_Kong")
    assert feed.as_of == datetime(2026, 11, 20, 8, tzinfo=UTC)
    assert "no IANA time zone" in refusal(MalformedError, one(position()), timezone="Mars/Olympus")


@pytest.mark.case("G03", "G07")
def test_the_statement_of_yesterday_is_not_ready():
    said = refusal(NotReadyError, one(position(reportDate="20261119"), day="20261119"), ask=FRIDAY)
    assert "is of 2026-11-19, and 2026-11-20 was asked for" in said
    said = refusal(NotReadyError, one(position(reportDate="20261119")), ask=FRIDAY)
    assert "is of 2026-11-19" in said
    assert "end on 2026-11-23" in refusal(NotReadyError, one(position(reportDate="20261123"), day="20261123"), ask=FRIDAY)


@pytest.mark.case("G01")
def test_friday_s_statement_is_that_of_the_weekend():
    for day in (21, 22):
        assert read(one(position()), ask=Ask(as_of=datetime(2026, 11, day, 18, tzinfo=UTC))).as_of == CLOSE
    refusal(NotReadyError, one(position()), ask=Ask(as_of=datetime(2026, 11, 23, 21, tzinfo=UTC)))
    feed = read(one(position(), day="20261122"))
    assert feed.as_of == CLOSE
    saturday = one(position(reportDate="20261121"), day="20261121")
    assert len(read(saturday, ask=Ask(as_of=datetime(2026, 11, 22, 18, tzinfo=UTC))).positions) == 1


@pytest.mark.parametrize(
    ("written", "symbol"),
    [
        ("AAPL  261218C00250000", "AAPL261218C00250000"),
        ("AAPL1 261218P00250000", "AAPL1261218P00250000"),
        ("SPXW  261218P06800500", "SPXW261218P06800500"),
        ("GOOGLE261218P00250000", "GOOGLE261218P00250000"),
        ("ANET 18DEC26 115 P", "ANET 18DEC26 115 P"),
        ("AAPL 261218C00250000", "AAPL 261218C00250000"),
        ("A B   261218C00250000", "A B   261218C00250000"),
    ],
)
def test_only_the_symbol_of_an_exact_occ_option_loses_its_blanks(written, symbol):
    (held,) = read(one(position(written, "1", "3", "300", assetCategory="OPT", multiplier="100"))).positions
    assert (held.symbol, held.raw_symbol) == (symbol, written if written != symbol else None)


def test_the_day_that_is_asked_for_is_found_among_several():
    days = [
        statement(open_positions(position(quantity=str(day), reportDate=f"202611{day}")), day=f"202611{day}")
        for day in (18, 20, 19)
    ]
    assert read(response(*days)).positions[0].quantity == 20
    asked = Ask(as_of=datetime(2026, 11, 19, 21, tzinfo=UTC))
    assert read(response(*days), ask=asked).positions[0].quantity == 19


@pytest.mark.case("A09", "G03")
@pytest.mark.parametrize("ask", [NOW, FRIDAY])
def test_an_account_of_another_day_is_left_out_and_said(ask):
    old = statement(open_positions(position(accountId="U2", reportDate="20261119")), account="U2", day="20261119")
    feed = read(response(statement(open_positions(position())), old), ask=ask)
    assert (feed.status, feed.as_of) == (FeedStatus.PARTIAL, CLOSE)
    assert [p.account for p in feed.positions] == ["U1"]
    assert "account U2: its statement is of 2026-11-19" in feed.reason


def test_positions_of_several_days_or_a_later_one_are_refused():
    assert "several days" in refusal(MalformedError, one(position(), position("TSLA", reportDate="20261119")))
    assert "ends on 2026-11-20" in refusal(MalformedError, one(position(reportDate="20261121")))


@pytest.mark.case("E01")
def test_two_statements_of_one_account_and_day_are_refused():
    each = statement(open_positions(position()))
    assert "same account and day" in refusal(MalformedError, response(each, each))
    other = statement(open_positions(position(accountId="U1")), account="U2")
    assert "account U1 is in several statements" in refusal(MalformedError, response(each, other))


def test_a_statement_made_before_the_close_is_of_that_time():
    feed = read(one(position(), whenGenerated="20261120;103000"))
    assert any("before the close" in note for note in feed.notes)
    assert (feed.as_of, feed.date_only) == (datetime(2026, 11, 20, 15, 30, tzinfo=UTC), False)


# Files


def test_a_file_is_read_without_any_credential(tmp_path):
    feed = of_file(tmp_path, one(position(), net=worth()), FRIDAY)
    assert (feed.status, feed.as_of, len(feed.positions), feed.notes) == (FeedStatus.COMPLETE, CLOSE, 1, ())
    assert feed.sha256 is not None


def test_the_file_of_the_day_is_found_by_its_name(tmp_path):
    for day in ("20261119", "20261120"):
        (tmp_path / f"U1.{day}.xml").write_text(one(position(quantity=day[-2:], reportDate=day), day=day))
    broker = adapter(tmp_path, given=(), path="U1.{date:%Y%m%d}.xml")
    assert asyncio.run(broker.positions(Ask(as_of=datetime(2026, 11, 19, 22, tzinfo=UTC)))).positions[0].quantity == 19
    newest = adapter(tmp_path, given=(), path="U1.{date:%Y%m%d}.xml")
    assert asyncio.run(newest.positions(NOW)).positions[0].quantity == 20
    missing = adapter(tmp_path, given=(), path="U1.{date:%Y%m%d}.xml")
    with pytest.raises(NotReadyError):
        asyncio.run(missing.positions(Ask(as_of=datetime(2026, 11, 18, 22, tzinfo=UTC))))


def test_files_of_several_accounts_are_one_feed(tmp_path):
    for account in ("U1", "U2"):
        (tmp_path / f"{account}.xml").write_text(response(statement(open_positions(position(accountId=account)), account=account)))
    feed = asyncio.run(adapter(tmp_path, given=(), path="U*.xml").positions(NOW))
    assert (feed.accounts, len(feed.positions), feed.sha256) == (("U1", "U2"), 2, None)


def test_a_run_compares_a_delivered_statement_with_the_book(tmp_path):
    deployment = Deployment(tmp_path)
    rows = [("MSFT", "10", "400.25"), ("AAPL261218C00250000", "-2", "2.9"), ("GONE", "1", "5")]
    deployment.book([book_row(*row, account="U1", broker="ibkr") for row in rows])
    option = position("AAPL  261218C00250000", "-2", "3.15", "-630", assetCategory="OPT", multiplier="100", costBasisPrice="2.9")
    deployment.write("U1.20261120.xml", one(position(), option, net=worth("4100", "-630")))
    deployment.write(
        "recon.yaml",
        "version: 1\nbook: {file: book.csv}\nbrokers: {ibkr: {adapter: ibkr_flex, options: {path: 'U1.{date:%Y%m%d}.xml'}}}\n",
    )
    report = deployment.report()
    (feed,) = report["feeds"]
    assert (feed["status"], feed["positions"], feed["reason"]) == ("COMPLETE", 2, "")
    assert [(each["type"], each["symbol"]) for each in report["discrepancies"]] == [("MISSING_AT_BROKER", "GONE")]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"", MalformedError),
        (b"\n", MalformedError),
        (refused("1019").encode(), NotReadyError),
        (one(position())[:-30].encode(), MalformedError),
        (b'"U1",2026-11-20,MSFT,10\n', MalformedError),
    ],
)
def test_a_file_that_is_no_statement_is_refused(tmp_path, text, error):
    with pytest.raises(error, match=r"flex\.xml"):
        of_file(tmp_path, text)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_encoding_of_a_file_does_not_matter(tmp_path, encoding):
    assert of_file(tmp_path, one(position()).encode(encoding)).status is FeedStatus.COMPLETE


# Anything at all

SEED = response(
    statement(
        open_positions(position(), position("TSLA", "-5", "250"), position(quantity="4", **LOT)),
        worth("2850"),
        tag("CashReport", tag("CashReportCurrency", currency="USD", endingCash="1")),
        tag("Trades", trade(), trade(transactionType="BookTrade", notes="A")),
        tag("Transfers", transfer("MSFT", "1")),
        tag("CorporateActions", corporate_action("XYZ", "3", "FS", "XYZ(US1) SPLIT 4 FOR 1 (XYZ)")),
    )
)
WORDS = st.sampled_from(
    [
        "",
        "--",
        "NaN",
        "1e9",
        "-1",
        "0",
        "9" * 29,
        "9" * 400000,
        "0." + "0" * 29 + "1",
        "20/11/2026",
        "00000000",
        "22001231;235959",
        "é",
        "1 for 2",
    ]
)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_whatever_the_bytes_are_only_errors_of_a_broker_come_out(tmp_path_factory, data):
    text = SEED
    for _ in range(data.draw(st.integers(1, 3))):
        spots = [index for index, sign in enumerate(text) if sign == '"']
        begin = data.draw(st.integers(0, len(spots) // 2 - 1)) * 2
        text = text[: spots[begin] + 1] + data.draw(WORDS) + text[spots[begin + 1] :]
    raw = text.encode()
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw = raw[:at] + data.draw(st.binary(max_size=4)) + raw[at + data.draw(st.integers(0, 40)) :]
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "flex.xml").write_bytes(raw)
    broker = adapter(folder, given=(), path="flex.xml")
    for method in (broker.positions, broker.evidence):
        with suppress(BrokerError):
            asyncio.run(method(Ask(since=CLOSE)))


# The recording


def test_the_recording_gives_the_same_positions_again():
    recording = read_recording(RECORDED)
    options = {**recording.options, "poll_seconds": Decimal(str(recording.options["poll_seconds"]))}
    broker = adapter(http=Http(answering=Replay(recording)), **options)
    feed = asyncio.run(broker.positions(Ask(recording.as_of)))
    assert (feed.status, feed.as_of, feed.notes) == (FeedStatus.COMPLETE, CLOSE, ())
    assert [(p.account, p.symbol, str(p.quantity)) for p in feed.positions] == [
        ("U1", "MSFT", "10"),
        ("U1", "BRK B", "0.1234"),
        ("U1", "TSLA", "-5"),
        ("U1", "AAPL261218C00250000", "-2"),
        ("U2", "BMW", "7.5"),
    ]
