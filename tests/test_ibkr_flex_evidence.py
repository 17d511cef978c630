"""What the IBKR Flex adapter says happened, from real files."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flex_samples import adapter, corporate_action, response, statement, tag, trade, transfer

from recon_core import Ask, Evidence, MalformedError

NOW = Ask()
CLOSE = datetime(2026, 11, 20, 21, tzinfo=UTC)
NOTHING = (tag("Trades"), tag("Transfers"), tag("CorporateActions"))


def evidence_of(folder: Path, *sections: str, since: datetime | None = None, ask: Ask | None = None, **more: Any) -> Evidence:
    (folder / "flex.xml").write_text(response(statement(*sections, **more)))
    return asyncio.run(adapter(folder, given=(), path="flex.xml").evidence(ask or Ask(since=since)))


def test_only_executions_are_fills(tmp_path):
    trades = tag(
        "Trades",
        tag("AssetSummary", levelOfDetail="ASSET_SUMMARY", quantity="10"),
        tag("SymbolSummary", symbol="MSFT", levelOfDetail="SYMBOL_SUMMARY", quantity="10"),
        tag("Order", symbol="MSFT", levelOfDetail="ORDER", quantity="10"),
        trade(levelOfDetail="ORDER", tradeID="", transactionID="", ibExecID=""),
        trade(),
        trade("TSLA", "-2.5", tradeID="5002", transactionID="9002", notes="", currency="EUR"),
        tag("Lot", symbol="MSFT", quantity="10", levelOfDetail="CLOSED_LOT"),
    )
    found = evidence_of(tmp_path, trades, *NOTHING[1:])
    assert found.complete
    assert [(f.id, f.symbol, f.quantity, f.price, f.currency, f.fee, f.fee_currency) for f in found.fills] == [
        ("9001", "MSFT", 10, Decimal("405.5"), "USD", Decimal("1.005"), "USD"),
        ("9002", "TSLA", Decimal("-2.5"), Decimal("405.5"), "EUR", Decimal("1.005"), "USD"),
    ]
    assert found.fills[0].traded_at == datetime(2026, 11, 20, 15, 15, 2, tzinfo=UTC)
    assert (found.fills[0].settles_on, found.fills[0].order_id, found.fills[0].asset_class) == (date(2026, 11, 23), "31", "equity")
    assert found.movements == ()


@pytest.mark.case("F04")
def test_fills_that_are_alike_are_not_one(tmp_path):
    alike = [trade(quantity="100", tradeID=str(number), transactionID=str(number)) for number in range(8)]
    unnamed = [trade(quantity="100", tradeID="", transactionID="", ibExecID="") for _ in range(3)]
    found = evidence_of(tmp_path, tag("Trades", *alike, *unnamed), *NOTHING[1:])
    assert sum(fill.quantity for fill in found.fills) == 1100
    assert len({fill.id for fill in found.fills}) == 11


@pytest.mark.parametrize(
    ("more", "quantity"),
    [
        ({"quantity": "-10", "buySell": "BUY (Ca.)"}, -10),
        ({"quantity": "10", "buySell": "BUY (Ca.)"}, -10),
        ({"quantity": "10", "buySell": "SELL (Ca.)"}, 10),
        ({"quantity": "-10", "buySell": "BUY", "transactionType": "TradeCancel"}, -10),
        ({"quantity": "-10", "buySell": ...}, -10),
    ],
)
def test_a_cancelled_trade_is_taken_back(tmp_path, more, quantity):
    found = evidence_of(tmp_path, tag("Trades", trade(), trade(**more)), *NOTHING[1:])
    assert [fill.quantity for fill in found.fills] == [10, quantity]
    assert len({fill.id for fill in found.fills}) == 2


def test_a_purchase_of_less_than_nothing_is_refused(tmp_path):
    with pytest.raises(MalformedError, match="contradict"):
        evidence_of(tmp_path, tag("Trades", trade(quantity="-10", buySell="BUY")), *NOTHING[1:])


def test_a_trade_may_have_its_time_apart_or_none(tmp_path):
    apart = trade(dateTime=..., tradeTime="093015")
    dateless = trade(dateTime=..., transactionID="2")
    found = evidence_of(tmp_path, tag("Trades", apart, dateless), *NOTHING[1:])
    assert [fill.traded_at for fill in found.fills] == [datetime(2026, 11, 20, 14, 30, 15, tzinfo=UTC), CLOSE]


@pytest.mark.case("F07")
@pytest.mark.parametrize(
    ("notes", "kind"),
    [("A", "assignment"), ("Ex", "exercise"), ("C;AEx", "exercise"), ("MEx", "exercise"), ("Ep", "expiry"), ("Zz", "unclassified")],
)
def test_an_option_that_ends_is_no_fill(tmp_path, notes, kind):
    option = {"assetCategory": "OPT", "multiplier": "100", "underlyingConid": "272093", "underlyingSymbol": "MSFT"}
    ended = trade("MSFT  261120P00400000", "2", transactionType="BookTrade", notes=notes, tradePrice="0", **option)
    shares = trade(
        "MSFT", "200", transactionType="BookTrade", notes=notes, tradePrice="400", transactionID="9002", netCash="-80000"
    )
    found = evidence_of(tmp_path, tag("Trades", ended, shares), *NOTHING[1:])
    assert found.fills == ()
    first, second = found.movements
    assert (first.kind, first.symbol, first.quantity, first.related) == (kind, "MSFT261120P00400000", 2, "MSFT")
    if kind in ("assignment", "exercise"):
        assert (second.kind, second.quantity, second.price, second.amount) == ("delivery", 200, 400, -80000)
        assert first.group == second.group is not None
    assert first.said == f"BookTrade {notes}"


def test_a_fraction_that_is_paid_out_is_a_liquidation(tmp_path):
    found = evidence_of(
        tmp_path, tag("Trades", trade(quantity="-0.4", transactionType="FracShare", proceeds="162.2")), *NOTHING[1:]
    )
    assert [(m.kind, m.quantity, m.amount) for m in found.movements] == [("liquidation", Decimal("-0.4"), Decimal("162.2"))]


@pytest.mark.case("F08")
@pytest.mark.parametrize(
    ("quantity", "direction", "change"), [("100", "IN", 100), ("-100", "IN", -100), ("-100", "OUT", -100), ("100", "OUT", -100)]
)
def test_a_transfer_moves_what_no_trade_tells_of(tmp_path, quantity, direction, change):
    cash = transfer("--", "0", cashTransfer="-250.5", assetCategory="CASH")
    found = evidence_of(
        tmp_path, tag("Trades"), tag("Transfers", transfer("MSFT", quantity, direction), cash), tag("CorporateActions")
    )
    assert [(m.kind, m.symbol, m.quantity, m.amount) for m in found.movements] == [
        ("transfer", "MSFT", change, None),
        ("transfer", None, None, Decimal("-250.5")),
    ]
    assert found.movements[0].said.startswith(f"ACATS {direction}")


@pytest.mark.case("F05", "F06")
def test_splits_are_booked_as_ibkr_books_them_and_announced_with_their_ratio(tmp_path):
    forward = "XYZ(US0000000001) SPLIT 4 FOR 1 (XYZ, XYZ CORP, US0000000001)"
    reverse = "GCM(CA0000000001) SPLIT 1 FOR 25 ({}, GCM CORP, {})"
    actions = tag(
        "CorporateActions",
        corporate_action("XYZ", "-300", "FS", forward),
        corporate_action("GCM.OLD", "-12000", "RS", reverse.format("GCM.OLD", "CA0000000001"), conid="1"),
        corporate_action("GCM", "480", "RS", reverse.format("GCM", "CA0000000002"), conid="2"),
    )
    found = evidence_of(tmp_path, *NOTHING[:2], actions)
    assert [(m.kind, m.symbol, m.quantity, m.related) for m in found.movements] == [
        ("split", "XYZ", -300, None),
        ("reverse_split", "GCM.OLD", -12000, "GCM"),
        ("reverse_split", "GCM", 480, None),
    ]
    assert found.movements[1].group == found.movements[2].group
    assert {m.occurred_on for m in found.movements} == {date(2026, 11, 20)}
    assert [(a.kind, a.symbol, a.new_rate, a.old_rate, a.isin) for a in found.corporate_actions] == [
        ("split", "XYZ", 4, 1, "US0000000001"),
        ("reverse_split", "GCM", 1, 25, "CA0000000001"),
    ]


@pytest.mark.case("F05")
def test_details_and_their_summary_are_one_event_and_a_reversal_is_another(tmp_path):
    words = "XYZ(US1) SPLIT 2 FOR 1 (XYZ, XYZ CORP, US1)"
    rows = [
        corporate_action("XYZ", "100", "FS", words, levelOfDetail="SUMMARY", actionID="7"),
        corporate_action("XYZ", "60", "FS", words, levelOfDetail="DETAIL", actionID="7", transactionID="1"),
        corporate_action("XYZ", "40", "FS", words, levelOfDetail="DETAIL", actionID="7", transactionID="2"),
        corporate_action("XYZ", "-100", "FS", words, levelOfDetail="SUMMARY", actionID="8"),
    ]
    found = evidence_of(tmp_path, *NOTHING[:2], tag("CorporateActions", *rows))
    assert [m.quantity for m in found.movements] == [60, 40, -100]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("SO", "spin_off"),
        ("SD", "stock_dividend"),
        ("HI", "stock_dividend"),
        ("TC", "merger"),
        ("TO", "merger"),
        ("IC", "symbol_change"),
        ("DW", "removal"),
        ("BM", "expiry"),
        ("RI", "unclassified"),
        ("??", "unclassified"),
    ],
)
def test_a_corporate_action_keeps_what_ibkr_says_of_it(tmp_path, code, kind):
    row = corporate_action(
        "XYZ.TEN", "-1000", code, "XYZ(US1) MERGED FOR USD 30.60 PER SHARE (XYZ.TEN, XYZ, US1)", proceeds="30600"
    )
    (movement,) = evidence_of(tmp_path, *NOTHING[:2], tag("CorporateActions", row)).movements
    assert (movement.kind, movement.quantity, movement.amount, movement.related) == (kind, -1000, 30600, "XYZ")
    assert movement.said == f"{code} XYZ(US1) MERGED FOR USD 30.60 PER SHARE (XYZ.TEN, XYZ, US1)".strip()


def test_cash_transactions_move_money_alone(tmp_path):
    row = {"currency": "USD", "amount": "-2.07", "type": "Withholding Tax", "description": "US TAX", "dateTime": "20261120;202000"}
    cash = tag("CashTransactions", tag("CashTransaction", symbol="MSFT", **row), tag("CashTransaction", **row))
    found = evidence_of(tmp_path, *NOTHING, cash)
    assert [(m.kind, m.symbol, m.quantity, m.amount, m.said) for m in found.movements] == [
        ("cash", "MSFT", None, Decimal("-2.07"), "Withholding Tax US TAX"),
        ("cash", None, None, Decimal("-2.07"), "Withholding Tax US TAX"),
    ]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("XYZ(US1) SPLIT 4 FOR 1 (XYZ, XYZ, US1)", "split"),
        ("XYZ(US1) SPLIT 1 FOR 25 (XYZ, XYZ, US1)", "reverse_split"),
        ("XYZ(US1) TENDERED TO US2 1 FOR 1 (XYZ, XYZ, US1)", "merger"),
        ("XYZ(US1) SOMETHING ELSE", "unclassified"),
    ],
)
def test_a_corporate_action_without_its_type_is_known_by_its_words(tmp_path, words, kind):
    (movement,) = evidence_of(tmp_path, *NOTHING[:2], tag("CorporateActions", corporate_action("XYZ", "3", ..., words))).movements
    assert movement.kind == kind


@pytest.mark.parametrize("missing", ["Trades", "Transfers", "CorporateActions"])
def test_evidence_without_a_section_is_not_complete(tmp_path, missing):
    found = evidence_of(tmp_path, *(section for section in NOTHING if missing not in section))
    assert not found.complete
    assert f"no section {missing} for account U1: tick it" in found.reason


def test_trades_without_executions_are_not_complete(tmp_path):
    found = evidence_of(tmp_path, tag("Trades", tag("Order", symbol="MSFT", quantity="10", levelOfDetail="ORDER")), *NOTHING[1:])
    assert not found.complete
    assert "tick Executions" in found.reason


def test_evidence_is_of_the_time_that_was_asked_for(tmp_path):
    trades = tag("Trades", trade(), trade(transactionID="2", dateTime="20261118;100000", tradeDate="20261118"))
    since = datetime(2026, 11, 19, tzinfo=UTC)
    found = evidence_of(tmp_path, trades, *NOTHING[1:], since=since, day="20261120")
    assert [fill.id for fill in found.fills] == ["9001"]
    assert "begin on 2026-11-20" in found.reason
    late = evidence_of(tmp_path, trades, *NOTHING[1:], ask=Ask(as_of=datetime(2026, 11, 24, 21, tzinfo=UTC)))
    assert "end on 2026-11-20, before 2026-11-24" in late.reason


def test_events_that_two_statements_tell_of_are_one(tmp_path):
    week = statement(tag("Trades", trade(), trade(transactionID="2")), *NOTHING[1:], since="20261116")
    day = statement(tag("Trades", trade()), *NOTHING[1:], day="20261119")
    (tmp_path / "flex.xml").write_text(response(day, week))
    found = asyncio.run(adapter(tmp_path, given=(), path="flex.xml").evidence(NOW))
    assert sorted(fill.id for fill in found.fills) == ["2", "9001"]


def test_days_between_two_statements_are_missed(tmp_path):
    texts = [statement(*NOTHING, since=day, day=day) for day in ("20261116", "20261120")]
    (tmp_path / "flex.xml").write_text(response(*texts))
    found = asyncio.run(adapter(tmp_path, given=(), path="flex.xml").evidence(NOW))
    assert "nothing is said of the days between 2026-11-16 and 2026-11-20" in found.reason
