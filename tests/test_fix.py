"""The FIX adapter against files of position reports, tag=value and FIXML, in the shapes of the specification."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from message_files import adapter, feed_of, held, mangled, no_cut_is_complete, nothing_escapes, outcome

from recon_core.errors import AuthError, IncompleteError, MalformedError, NotReadyError, RequestError
from recon_core.model import Ask, ControlTotal, FeedStatus

Fields = dict[object, object]


def message(fields: list[tuple[int, object]], *, kind: str = "AP", checksum: int | None = None, length: int | None = None) -> bytes:
    """A whole FIX message around these fields."""
    head = [(35, kind), (49, "CLEARER"), (56, "FIRM"), (34, 7), (52, "20261120-21:05:00.123")]
    body = b"".join(b"%d=%s\x01" % (tag, str(value).encode()) for tag, value in [*head, *fields] if value is not ...)
    text = b"8=FIX.4.4\x019=%d\x01" % (len(body) if length is None else length) + body
    return text + b"10=%03d\x01" % (sum(text) % 256 if checksum is None else checksum)


def report(
    symbol: object = "MSFT",
    long: object = 100,
    short: object = 0,
    *,
    identifier: object = None,
    request: object = "R1",
    total: object = 1,
    account: object = "00123",
    kind: object = "FIN",
    quantities: list[tuple[int, object]] | None = None,
    more: tuple[tuple[int, object], ...] = (),
    day: object = "20261120",
    **frame: int,
) -> bytes:
    """One position report; ... leaves a field out."""
    fields: list[tuple[int, object]] = [(721, identifier or f"P-{symbol}"), (710, request), (724, 0), (727, total), (728, 0)]
    fields += [(715, day), (1, account), (581, 1), (55, symbol), (15, "USD"), *more, (730, "410.5"), (731, 1)]
    fields += quantities if quantities is not None else [(702, 1), (703, kind), (704, long), (705, short)]
    return message(fields, **frame)


read = partial(feed_of, "fix")


def test_a_report_is_a_position_with_its_exact_fields(tmp_path: Path) -> None:
    feed = read(tmp_path, report(long="0.123456789012345678"))
    (position,) = feed.positions
    assert (position.account, position.symbol, position.currency) == ("00123", "MSFT", "USD")
    assert (position.quantity, position.market_price) == (Decimal("0.123456789012345678"), Decimal("410.5"))
    assert (feed.status, feed.basis, feed.date_only, feed.lots) == (FeedStatus.COMPLETE, "trade", True, False)
    assert feed.as_of == datetime(2026, 11, 20, tzinfo=UTC)
    assert feed.accounts == ("00123",)
    assert feed.control_totals == (ControlTotal("rows", Decimal(1), source="727"),)


def test_long_less_short_is_the_quantity_to_the_last_of_thirty_digits(tmp_path: Path) -> None:
    feed = read(tmp_path, report(long="1234567890123456789012.123456789", short="0.000000001"))
    assert feed.positions[0].quantity == Decimal("1234567890123456789012.123456788")


@pytest.mark.parametrize("short", ["40", "-40"])
def test_a_short_quantity_is_short_whatever_its_sign(tmp_path: Path, short: str) -> None:
    assert held(read(tmp_path, report(long=0, short=short))) == {("00123", "MSFT"): "-40"}


def test_a_long_quantity_below_zero_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="below zero"):
        read(tmp_path, report(long=-5))


@pytest.mark.case("E05")
def test_legs_are_net_or_apart_as_the_option_says(tmp_path: Path) -> None:
    payload = report(long=35, short=20)
    assert held(read(tmp_path, payload)) == {("00123", "MSFT"): "15"}
    legs = read(tmp_path, payload, legs="split").positions
    assert [(position.leg, position.quantity) for position in legs] == [("LONG", 35), ("SHORT", -20)]


@pytest.mark.case("A05")
def test_a_position_of_zero_is_kept(tmp_path: Path) -> None:
    assert held(read(tmp_path, report(long=0))) == {("00123", "MSFT"): "0"}


def test_of_several_quantities_one_type_counts_and_none_are_added(tmp_path: Path) -> None:
    several = [(702, 3), (703, "SOD"), (704, 35), (703, "FIN"), (704, 20), (705, 10), (703, "IAS"), (704, 10)]
    assert held(read(tmp_path, report(quantities=several))) == {("00123", "MSFT"): "10"}
    assert held(read(tmp_path, report(quantities=several), position_types=["SOD"])) == {("00123", "MSFT"): "35"}


def test_a_report_without_the_type_of_the_others_leaves_the_feed_partial(tmp_path: Path) -> None:
    other = report("IBM", total=2, kind="TQ")
    feed = read(tmp_path, report(total=2), other)
    assert feed.status is FeedStatus.PARTIAL
    assert "IBM): no quantity of type FIN" in feed.reason
    assert held(feed) == {("00123", "MSFT"): "100"}


def test_types_that_no_one_asked_for_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match=r"of the types SOD: say which one in `position_types`"):
        read(tmp_path, report(kind="SOD"))


def test_one_type_twice_in_a_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="which one is held is not known"):
        read(tmp_path, report(quantities=[(702, 2), (703, "FIN"), (704, 1), (703, "FIN"), (704, 1)]))


def test_fewer_quantities_than_stated_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="702 states 2"):
        read(tmp_path, report(quantities=[(702, 2), (703, "FIN"), (704, 1)]))


def test_tickets_without_a_type_are_lots(tmp_path: Path) -> None:
    tickets = [
        report(1, total=2, identifier=name, quantities=[(702, 1), (704, long), (705, 0)]) for name, long in (("a", 10), ("b", 5))
    ]
    feed = read(tmp_path, *tickets)
    assert (feed.status, feed.lots) == (FeedStatus.COMPLETE, True)
    assert [position.quantity for position in feed.positions] == [10, 5]


def test_the_price_is_what_was_paid_where_the_option_says_so(tmp_path: Path) -> None:
    (position,) = read(tmp_path, report(), price_is="average").positions
    assert (position.market_price, position.avg_price) == (None, Decimal("410.5"))


@pytest.mark.case("C03")
@pytest.mark.parametrize(("stated", "multiplier"), [((), "0.01"), (((231, "10"),), "0.10")])
def test_a_price_in_per_cent_has_a_multiplier_that_makes_money(tmp_path: Path, stated: tuple, multiplier: str) -> None:
    (position,) = read(tmp_path, report(more=((423, 1), *stated))).positions
    assert (position.market_price, position.multiplier) == (Decimal("410.5"), Decimal(multiplier))


@pytest.mark.parametrize(
    ("symbol", "more", "named"),
    [
        ("AAPL", [(461, "OCASPS"), (541, "20261218"), (202, "250"), (231, "100")], "AAPL261218C00250000"),
        ("AAPL", [(461, "OXASPS"), (200, "20261218"), (201, "0"), (202, "250.5")], "AAPL261218P00250500"),
        ("AAPL", [(461, "OPASPS"), (200, "202612"), (202, "250")], "AAPL 202612 P250"),
        ("ES", [(461, "FFICSX"), (200, "202612")], "ESZ6"),
        ("ESZ6", [(461, "FFICSX"), (200, "202612")], "ESZ6"),
        ("[N/A]", [(48, "US5949181045"), (22, "4")], "US5949181045"),
        ("BRK.B", [(454, 1), (455, "US0846707026"), (456, "4")], "BRK.B"),
    ],
)
@pytest.mark.case("D01")
def test_instruments_that_share_a_root_are_told_apart(tmp_path: Path, symbol: str, more: list, named: str) -> None:
    (position,) = read(tmp_path, report(symbol, more=tuple(more))).positions
    assert position.symbol == named
    assert position.raw_symbol == (None if symbol in (named, "[N/A]") else symbol)


def test_identifiers_keep_their_zeros(tmp_path: Path) -> None:
    (position,) = read(tmp_path, report(more=((48, "037833100"), (22, "1"), (454, 1), (455, "US0378331005"), (456, "4")))).positions
    assert (position.cusip, position.isin) == ("037833100", "US0378331005")
    assert read(tmp_path, report(more=((48, "US0378331005"), (22, "4"))), symbol="isin").positions[0].symbol == "US0378331005"


def test_an_account_is_named_by_its_party_or_by_the_option(tmp_path: Path) -> None:
    parties = ((453, 2), (448, "99999"), (447, "D"), (452, "4"), (448, "C-7"), (447, "D"), (452, "38"))
    assert held(read(tmp_path, report(account=..., more=parties))) == {("C-7", "MSFT"): "100"}
    assert held(read(tmp_path, report(account=...), account="HOUSE")) == {("HOUSE", "MSFT"): "100"}


@pytest.mark.case("E07")
def test_several_accounts_have_requests_of_their_own(tmp_path: Path) -> None:
    feed = read(tmp_path, report() + report(account="B", request="R2", long=7))
    assert held(feed) == {("00123", "MSFT"): "100", ("B", "MSFT"): "7"}
    assert (feed.status, feed.accounts) == (FeedStatus.COMPLETE, ("00123", "B"))


@pytest.mark.case("A08")
@pytest.mark.parametrize(
    ("payloads", "said"),
    [
        ([report(total=2)], "727 states 2 reports, 1 are there"),
        ([report(), report("IBM")], "727 states 1 reports, 2 are there"),
        ([report(total=...)], "no report states how many there are"),
        ([report(total=2), report("IBM", request="R2", account="B")], "request 'R1': 727 states 2 reports, 1 are there"),
    ],
)
def test_a_count_that_is_not_met_leaves_the_feed_partial(tmp_path: Path, payloads: list[bytes], said: str) -> None:
    feed = read(tmp_path, *payloads)
    assert (feed.status, feed.control_totals) == (FeedStatus.PARTIAL, ())
    assert said in feed.reason


def test_counts_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="contradict"):
        read(tmp_path, report(total=2), report("IBM", total=3))


def test_a_report_that_came_twice_counts_once(tmp_path: Path) -> None:
    feed = read(tmp_path, report(), report())
    assert (feed.status, len(feed.positions)) == (FeedStatus.COMPLETE, 1)
    assert "counts once" in feed.notes[0]


@pytest.mark.case("E01")
def test_a_report_that_came_twice_and_differs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="came twice and differs"):
        read(tmp_path, report(), report(long=5))


@pytest.mark.case("E04")
def test_two_snapshots_of_one_account_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="one snapshot is due"):
        read(tmp_path, report(), report(request="R2"))


def none_found(*, count: object = 0, **fields: object) -> bytes:
    """The report that says that nothing is held."""
    return message([(721, "N"), (710, "R1"), (727, count), (728, 2), (715, "20261120"), (1, fields.get("account", "00123"))])


@pytest.mark.case("A06")
def test_no_positions_found_is_flat(tmp_path: Path) -> None:
    feed = read(tmp_path, none_found())
    assert (feed.status, feed.positions, feed.accounts) == (FeedStatus.COMPLETE, (), ("00123",))
    assert feed.control_totals[0] == ControlTotal("rows", Decimal(0), account="00123", source="728=2, 727=0")


@pytest.mark.case("A06")
@pytest.mark.parametrize("kind", ["AP", "AO"])
def test_no_count_or_no_result_is_not_flat(tmp_path: Path, kind: str) -> None:
    assert read(tmp_path, none_found(count=...)).status is FeedStatus.PARTIAL
    silent = message([(721, "N"), (710, "R1"), (727, 0), (728, 0), (715, "20261120"), (1, "A")], kind="AO")
    assert read(tmp_path, silent).status is FeedStatus.PARTIAL
    with pytest.raises(MalformedError, match="contradict"):
        read(tmp_path, none_found(), report(total=0))


def test_the_acknowledgement_states_the_count(tmp_path: Path) -> None:
    announced = message([(721, "K"), (710, "R1"), (727, 2), (728, 0), (715, "20261120"), (1, "00123")], kind="AO")
    assert read(tmp_path, announced, report(total=...)).status is FeedStatus.PARTIAL
    assert read(tmp_path, announced, report(total=...) + report("IBM", total=...)).status is FeedStatus.COMPLETE


def test_an_account_that_is_only_acknowledged_is_not_proven(tmp_path: Path) -> None:
    announced = message([(721, "K"), (710, "R1"), (727, 1), (728, 0), (715, "20261120"), (1, "ALL")], kind="AO")
    feed = read(tmp_path, announced, report())
    assert (feed.status, feed.accounts) == (FeedStatus.COMPLETE, ("00123",))


@pytest.mark.parametrize(("result", "error"), [("1", RequestError), ("3", AuthError), ("99", RequestError)])
def test_a_refusal_is_an_error_and_no_empty_account(tmp_path: Path, result: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="unknown account"):
        read(tmp_path, message([(710, "R1"), (727, 0), (728, result), (58, "unknown account")], kind="AO"))
    with pytest.raises(RequestError, match="not now"):
        read(tmp_path, message([(45, 3), (58, "not now")], kind="3"))


def test_unsolicited_updates_are_no_snapshot(tmp_path: Path) -> None:
    update = report("IBM", request=..., more=((325, "Y"),))
    with pytest.raises(IncompleteError, match="no snapshot"):
        read(tmp_path, update)
    feed = read(tmp_path, report(), update)
    assert held(feed) == {("00123", "MSFT"): "100"}
    assert (feed.status, feed.notes) == (FeedStatus.COMPLETE, ("1 unsolicited updates (325=Y) left out",))


def test_other_messages_of_a_log_are_passed_over(tmp_path: Path) -> None:
    with pytest.raises(IncompleteError, match="1 messages, 0 unsolicited"):
        read(tmp_path, message([], kind="0"))
    assert read(tmp_path, message([(98, 0)], kind="A") + report()).status is FeedStatus.COMPLETE


def test_trades_in_a_report_are_no_positions(tmp_path: Path) -> None:
    trade = message([(721, "T"), (710, "R1"), (724, 1), (727, 2), (728, 0), (715, "20261120"), (1, "00123"), (55, "IBM")])
    feed = read(tmp_path, report(total=2), trade)
    assert (feed.status, held(feed)) == (FeedStatus.COMPLETE, {("00123", "MSFT"): "100"})
    assert feed.notes == ("1 reports are no positions (724) and are left out",)


@pytest.mark.parametrize("separator", [b"|", b"^A"])
def test_separators_and_the_words_of_a_log_do_not_matter(tmp_path: Path, separator: bytes) -> None:
    lines = [
        b"2026-11-20 21:05:00,123 incoming <- " + part.replace(b"\x01", separator)
        for part in (report(total=2), report("IBM", total=2))
    ]
    feed = read(tmp_path, b"\r\n".join(lines))
    assert held(feed) == {("00123", "MSFT"): "100", ("00123", "IBM"): "100"}
    assert feed.status is FeedStatus.COMPLETE


@pytest.mark.parametrize(
    ("frame", "said"), [({"checksum": 1}, "checksum"), ({"length": 90}, "body length"), ({"length": 9**9}, "body")]
)
def test_a_wrong_checksum_or_length_is_refused(tmp_path: Path, frame: dict[str, int], said: str) -> None:
    with pytest.raises(MalformedError, match=said):
        read(tmp_path, report(**frame))


def test_any_byte_that_changed_is_seen(tmp_path: Path) -> None:
    raw = report(long=100)
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        feed = outcome(lambda payload: read(tmp_path, payload), changed)
        assert feed is None or feed.status is not FeedStatus.COMPLETE, at


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ([(55, "X"), (55, "Y")], "field 55 stands in it twice"),
        ([(721, "N"), (727, "one"), (728, 0)], "727: 'one' is not a number"),
        ([(721, "N"), (727, 1), (1, "A"), (715, "20261340"), (55, "X"), (704, 1)], "715='20261340' is no time"),
        (
            [(721, "N"), (727, 1), (1, "A"), (715, "20261120"), (702, 1), (703, "TQ"), (704, "1,000"), (55, "X")],
            "704: '1,000' is not a number",
        ),
        ([(721, "N"), (727, 1), (1, "A"), (715, "20261120"), (702, 1), (703, "TQ"), (704, 1)], "neither a symbol"),
    ],
)
@pytest.mark.case("B09")
def test_a_field_that_cannot_be_meant_is_named(tmp_path: Path, fields: list, said: str) -> None:
    with pytest.raises(MalformedError, match=said):
        read(tmp_path, message(fields))


@pytest.mark.case("G04")
def test_the_time_is_the_payloads_own(tmp_path: Path) -> None:
    feed = read(tmp_path, report(day=...))
    assert (feed.as_of, feed.date_only) == (datetime(2026, 11, 20, 21, 5, 0, 123000, tzinfo=UTC), False)


def test_several_business_dates_are_refused(tmp_path: Path) -> None:
    later = message([(721, "L"), (710, "R2"), (727, 0), (728, 2), (715, "20261121"), (1, "B")])
    with pytest.raises(MalformedError, match="several business dates"):
        read(tmp_path, report(), later)


def test_the_business_date_is_of_the_zone_given(tmp_path: Path) -> None:
    feed = read(tmp_path, report(), timezone="America/Chicago")
    assert feed.as_of is not None
    assert (feed.as_of.isoformat(), feed.date_only) == ("2026-11-20T00:00:00-06:00", True)
    with pytest.raises(MalformedError, match="no IANA time zone"):
        read(tmp_path, report(), timezone="Mars/Crater")


@pytest.mark.case("A08")
def test_a_file_cut_anywhere_is_never_complete_with_less(tmp_path: Path) -> None:
    no_cut_is_complete(lambda raw: read(tmp_path, raw), report(total=2) + report("IBM", total=2))
    no_cut_is_complete(lambda raw: read(tmp_path, raw), batch(posting(), posting("IBM"), total=2))


def test_no_bytes_raise_anything_but_broker_errors(tmp_path: Path) -> None:
    nothing_escapes(lambda raw: read(tmp_path, raw), report(total=2) + report("IBM", total=2), seed=1)
    nothing_escapes(lambda raw: read(tmp_path, raw), batch(posting(), posting("IBM"), total=2), seed=2)


def test_no_value_of_a_field_raises_anything_but_broker_errors(tmp_path: Path) -> None:
    body = report(more=((200, "202612"), (202, "250"), (461, "OC"), (231, "1")))
    start, stop = body.index(b"35="), body.index(b"10=")
    for changed in mangled(body[start:stop], seed=3, count=800):
        text = b"8=FIX.4.4\x019=%d\x01" % (len(changed) + 1) + changed + b"\x01"
        outcome(lambda raw: read(tmp_path, raw), text + b"10=%03d\x01" % (sum(text) % 256))


def test_no_file_and_an_empty_one_prove_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError):
        adapter("fix", tmp_path).positions(Ask())
    with pytest.raises(MalformedError):
        read(tmp_path, b"")
    with pytest.raises(MalformedError, match="no FIX message"):
        read(tmp_path, b"nothing today\n")


def posting(symbol: str = "AAPL", long: object = 35, short: object = 0, *, more: str = "", qty: str = "") -> str:
    """One FIXML position report."""
    return (
        f'<PosRpt RptID="5-{symbol}" Rslt="0" BizDt="2026-11-20" Acct="A-1" AcctTyp="1" SetPx="47.5" ReqTyp="0" Ccy="USD" {more}>'
        f'<Hdr Snt="2026-11-20T21:30:47-05:00" SID="OCC"/><Pty ID="OCC" R="21"/><Qty Typ="SOD" Long="1" Short="2"/>'
        f'{qty or f"""<Qty Typ="FIN" Long="{long}" Short="{short}"/>"""}<Amt Typ="FMTM" Amt="0.00"/>'
        f'<Instrmt Sym="{symbol}" ID="US0378331005" Src="4" CFI="OCASPS" MatDt="2026-12-18" StrkPx="47.50" Mult="100"/>'
        "</PosRpt>"
    )


def batch(*reports: str, total: object = None, head: str = "") -> bytes:
    """A FIXML document with a batch that states how many messages it has."""
    stated = "" if total is None else f' TotMsg="{total}"'
    space = "http://www.fixprotocol.org/FIXML-5-0-SP2"
    return f'<?xml version="1.0"?>{head}<FIXML xmlns="{space}"><Batch ID="B7"{stated}>{"".join(reports)}</Batch></FIXML>'.encode()


def test_a_fixml_batch_is_read_as_the_messages_are(tmp_path: Path) -> None:
    feed = read(tmp_path, batch(posting(), posting("IBM", 0, 20), total=2))
    assert held(feed) == {("A-1", "AAPL261218C00047500"): "35", ("A-1", "IBM261218C00047500"): "-20"}
    assert (feed.status, feed.as_of, feed.date_only) == (FeedStatus.COMPLETE, datetime(2026, 11, 20, tzinfo=UTC), True)
    assert {(position.multiplier, position.asset_class, position.market_price) for position in feed.positions} == {
        (Decimal(100), "option", Decimal("47.5"))
    }


@pytest.mark.case("A08")
def test_a_fixml_batch_without_its_count_or_short_of_it_is_partial(tmp_path: Path) -> None:
    assert read(tmp_path, batch(posting())).status is FeedStatus.PARTIAL
    assert "states 3 reports, 1 are there" in read(tmp_path, batch(posting(), total=3)).reason
    assert read(tmp_path, batch(posting(more='TotRpts="1" ReqID="R"'))).status is FeedStatus.COMPLETE


def test_fixml_with_a_document_type_is_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE FIXML [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    for head in (bomb, '<!DOCTYPE FIXML SYSTEM "http://127.0.0.1:9/x.dtd">'):
        with pytest.raises(MalformedError, match="document type or entities"):
            read(tmp_path, batch(posting(), total=1, head=head))
    with pytest.raises(MalformedError, match="FIXML is due"):
        read(tmp_path, b"<html><body>Login</body></html>")
