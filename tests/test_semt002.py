"""The semt002 adapter against ISO 20022 custody reports, in the shapes of several versions of the message."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from message_files import adapter, feed_of, held, no_cut_is_complete, nothing_escapes

from recon_core.errors import IncompleteError, MalformedError, NotReadyError
from recon_core.model import Ask, FeedStatus

APPLE, MSFT, BOND = "US0378331005", "US5949181045", "XS0987654321"
AMOUNT = '<PricDtls><Tp><Cd>MRKT</Cd></Tp><Val><Amt Ccy="USD">187.25</Amt></Val></PricDtls>'
RATE = "<PricDtls><Tp><Cd>MRKT</Cd></Tp><Val><Rate>98.75</Rate></Val></PricDtls>"
UNIT = "<Qty><Qty><Qty><Unit>{}</Unit></Qty></Qty></Qty>"
FACE = "<Qty><Qty><Qty><FaceAmt>{}</FaceAmt></Qty></Qty></Qty>"
read = partial(feed_of, "semt002")


def balance(
    isin: str = APPLE,
    quantity: object = 100,
    *,
    side: str = "LONG",
    form: str = UNIT,
    instrument: str | None = None,
    price: str = AMOUNT,
    worth: str = "",
    place: str = "",
    more: str = "",
    name: str = "BalForAcct",
) -> str:
    """A balance, with the available part and the breakdown that are not to be added up."""
    sign = "<Sgn>false</Sgn>" if worth.startswith("-") else ""
    parts = [f"<{name}>", place and f"<SfkpgPlc><Id><TpAndId><Tp>NCSD</Tp><Id>{place}</Id></TpAndId></Id></SfkpgPlc>"]
    parts += [f"<FinInstrmId>{instrument or f'<ISIN>{isin}</ISIN><Desc>NAME</Desc>'}</FinInstrmId>"]
    parts += [f"<AggtBal><ShrtLngInd>{side}</ShrtLngInd>{form.replace('{}', str(quantity))}</AggtBal>"]
    parts += [f"<AvlblBal><ShrtLngInd>LONG</ShrtLngInd>{UNIT.format(40)}</AvlblBal>", price]
    parts += [worth and f'<AcctBaseCcyAmts><HldgVal><Amt Ccy="USD">{worth.lstrip("-")}</Amt>{sign}</HldgVal></AcctBaseCcyAmts>']
    parts += [f"<BalBrkdwn><SubBalTp><Cd>BLOK</Cd></SubBalTp><Qty><Qty><Unit>60</Unit></Qty></Qty></BalBrkdwn>{more}</{name}>"]
    return "".join(parts)


def sub_account(name: str, *balances: str, active: str = "") -> str:
    """Details of a sub-account."""
    flag = active and f"<ActvtyInd>{active}</ActvtyInd>"
    inside = "".join(each.replace("BalForAcct>", "BalForSubAcct>") for each in balances)
    return f"<SubAcctDtls><SfkpgAcct><Id>{name}</Id></SfkpgAcct>{flag}{inside}</SubAcctDtls>"


def totals(page: str = "", statement: str = "", currency: str = "USD") -> str:
    """What the page and the statement are worth."""
    shown = {"TtlHldgsValOfPg": page, "TtlHldgsValOfStmt": statement}
    inside = "".join(f'<{name}><Amt Ccy="{currency}">{value}</Amt></{name}>' for name, value in shown.items() if value)
    return f"<AcctBaseCcyTtlAmts>{inside}</AcctBaseCcyTtlAmts>"


def document(
    *parts: str,
    page: object = 1,
    last: str = "true",
    identifier: str = "STMT-1",
    date: str = "<Dt>2026-11-20</Dt>",
    update: str = "COMP",
    basis: str = "TRAD",
    active: str = "true",
    account: str = "S 02500",
    version: str = "11",
    report: str = "SctiesBalCtdyRpt",
    head: str = "",
) -> bytes:
    """A whole document; '' leaves an element out."""
    paging = page and f"<Pgntn><PgNb>{page}</PgNb>{last and f'<LastPgInd>{last}</LastPgInd>'}</Pgntn>"
    general = f"{identifier and f'<StmtId>{identifier}</StmtId>'}<StmtDtTm>{date}</StmtDtTm><Frqcy><Cd>DAIL</Cd></Frqcy>"
    general += f"{update and f'<UpdTp><Cd>{update}</Cd></UpdTp>'}<StmtBsis><Cd>{basis}</Cd></StmtBsis>"
    general += f"{active and f'<ActvtyInd>{active}</ActvtyInd>'}<SubAcctInd>false</SubAcctInd>"
    owner = account and f"<SfkpgAcct><Id>{account}</Id></SfkpgAcct>"
    body = f"<{report}>{paging}<StmtGnlDtls>{general}</StmtGnlDtls>{owner}{''.join(parts)}</{report}>"
    space = f"urn:iso:std:iso:20022:tech:xsd:semt.002.001.{version}"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}<Document xmlns="{space}">{body}</Document>\n'.encode()


def test_a_balance_is_a_position_with_its_exact_fields(tmp_path: Path) -> None:
    feed = read(tmp_path, document(balance(quantity="1234.123456789012345678")))
    (position,) = feed.positions
    assert (position.account, position.symbol, position.isin, position.raw_symbol) == ("S 02500", APPLE, APPLE, None)
    assert position.quantity == Decimal("1234.123456789012345678")
    assert (position.market_price, position.currency) == (Decimal("187.25"), "USD")
    assert (feed.status, feed.basis, feed.date_only, feed.lots) == (FeedStatus.COMPLETE, "trade", True, False)
    assert (feed.as_of, feed.accounts, feed.control_totals) == (datetime(2026, 11, 20, tzinfo=UTC), ("S 02500",), ())


def test_available_balances_and_breakdowns_are_never_added_up(tmp_path: Path) -> None:
    feed = read(tmp_path, document(balance(), balance(MSFT, 0)))
    assert held(feed) == {("S 02500", APPLE): "100", ("S 02500", MSFT): "0"}


@pytest.mark.case("B07")
def test_shor_is_short(tmp_path: Path) -> None:
    assert held(read(tmp_path, document(balance(quantity="12.5", side="SHOR", worth="-2340")))) == {("S 02500", APPLE): "-12.5"}


@pytest.mark.parametrize(("side", "quantity"), [("LONG", -5), ("SHOR", -5), ("", 5), ("NONE", 5)])
def test_a_side_that_is_not_clear_is_refused(tmp_path: Path, side: str, quantity: int) -> None:
    with pytest.raises(MalformedError, match=r"sign of its own|LONG or SHOR, is due"):
        read(tmp_path, document(balance(quantity=quantity, side=side)))


@pytest.mark.parametrize(
    ("version", "form"),
    [
        ("02", "<Qty><Qty><Unit>{}</Unit></Qty></Qty>"),
        ("04", "<Qty><Unit>{}</Unit></Qty>"),
        ("11", UNIT),
        ("12", "<Qty><Qty><Qty><DgtlTknUnit>{}</DgtlTknUnit></Qty></Qty></Qty>"),
    ],
)
def test_the_quantity_is_found_however_a_version_nests_it(tmp_path: Path, version: str, form: str) -> None:
    assert held(read(tmp_path, document(balance(form=form), version=version))) == {("S 02500", APPLE): "100"}


def test_a_wrapped_document_and_the_accounting_report_are_read_alike(tmp_path: Path) -> None:
    inner = document(balance(), report="SctiesBalAcctgRpt").partition(b"\n")[2]
    wrapped = b'<BizMsgEnvlp xmlns="urn:x"><Hdr><AppHdr/></Hdr><Body>' + inner + b"</Body></BizMsgEnvlp>"
    assert held(read(tmp_path, wrapped)) == {("S 02500", APPLE): "100"}


def test_several_reports_in_one_envelope_are_pages_of_one(tmp_path: Path) -> None:
    inside = b"".join(page.partition(b"\n")[2] for page in pages((1, "false"), (2, "true")))
    feed = read(tmp_path, b"<Batch>" + inside + b"</Batch>")
    assert (feed.status, len(feed.positions)) == (FeedStatus.COMPLETE, 2)


@pytest.mark.case("C03")
def test_a_face_amount_is_priced_per_cent_so_that_the_product_is_money(tmp_path: Path) -> None:
    cfi = "<ClssfctnTp><ClssfctnFinInstrm>DBFTFB</ClssfctnFinInstrm></ClssfctnTp>"
    attributes = f"<FinInstrmAttrbts><DnmtnCcy>EUR</DnmtnCcy>{cfi}</FinInstrmAttrbts>"
    (position,) = read(tmp_path, document(balance(BOND, 20000, form=FACE, price=RATE, more=attributes))).positions
    assert (position.quantity, position.market_price, position.currency) == (20000, Decimal("98.75"), "EUR")
    assert position.multiplier is not None
    assert position.quantity * Decimal("98.75") * position.multiplier == 19750
    assert position.asset_class == "DBFTFB"


@pytest.mark.parametrize(("form", "price"), [(FACE, AMOUNT), (UNIT, RATE)])
def test_a_price_that_does_not_fit_the_quantity_is_left_out_and_said(tmp_path: Path, form: str, price: str) -> None:
    feed = read(tmp_path, document(balance(form=form, price=price)))
    assert feed.positions[0].market_price is None
    assert "left out" in feed.notes[0]


def test_the_face_counts_where_an_amortised_value_stands_beside_it(tmp_path: Path) -> None:
    form = "<Qty><Qty><Qty><OrgnlAndCurFace><FaceAmt>{}</FaceAmt><AmtsdVal>480</AmtsdVal></OrgnlAndCurFace></Qty></Qty></Qty>"
    assert held(read(tmp_path, document(balance(BOND, 500, form=form, price="")))) == {("S 02500", BOND): "500"}
    for wrong in ("", UNIT + UNIT):
        with pytest.raises(MalformedError, match="quantities"):
            read(tmp_path, document(balance(form=wrong)))


@pytest.mark.parametrize(
    ("instrument", "symbol", "isin", "cusip"),
    [
        (f"<ISIN>{APPLE}</ISIN><OthrId><Id>AAPL</Id><Tp><Cd>TIKR</Cd></Tp></OthrId>", "AAPL", APPLE, None),
        ("<OthrId><Id>037833100</Id><Tp><Cd>CUSP</Cd></Tp></OthrId>", "037833100", None, "037833100"),
        ("<OthrId><Id>0263494</Id><Tp><Cd>SEDL</Cd></Tp></OthrId>", "0263494", None, None),
        ("<Desc>A FUND OF NO NUMBER</Desc>", "A FUND OF NO NUMBER", None, None),
    ],
)
@pytest.mark.case("D02")
def test_an_instrument_is_named_as_it_is_identified(
    tmp_path: Path, instrument: str, symbol: str, isin: str | None, cusip: str | None
) -> None:
    (position,) = read(tmp_path, document(balance(instrument=instrument))).positions
    assert (position.symbol, position.isin, position.cusip) == (symbol, isin, cusip)
    with pytest.raises(MalformedError, match="without an instrument"):
        read(tmp_path, document(balance(instrument=" ")))


@pytest.mark.parametrize(
    ("stated", "basis"), [("TRAD", "trade"), ("SETT", "settlement"), ("CONT", "settlement"), ("XXXX", "unknown")]
)
@pytest.mark.case("F09")
def test_the_basis_is_as_stated(tmp_path: Path, stated: str, basis: str) -> None:
    feed = read(tmp_path, document(balance(), basis=stated))
    assert feed.basis == basis
    assert bool(feed.notes) is (stated == "CONT")


@pytest.mark.parametrize(
    ("date", "timezone", "as_of", "date_only"),
    [
        ("<Dt>2026-11-20</Dt>", None, "2026-11-20T00:00:00+00:00", True),
        ("<Dt>2026-11-20</Dt>", "America/New_York", "2026-11-20T00:00:00-05:00", True),
        ("<DtTm>2026-11-20T21:30:00</DtTm>", "Europe/Zurich", "2026-11-20T20:30:00+00:00", False),
        ("<DtTm>2026-11-20T21:30:00.500-05:00</DtTm>", None, "2026-11-21T02:30:00.500000+00:00", False),
    ],
)
@pytest.mark.case("G06")
def test_the_time_is_the_payloads_own(tmp_path: Path, date: str, timezone: str | None, as_of: str, date_only: bool) -> None:
    feed = read(tmp_path, document(balance(), date=date), timezone=timezone)
    assert feed.as_of is not None
    assert (feed.as_of.isoformat(), feed.date_only) == (as_of, date_only)


@pytest.mark.parametrize(
    "date", ["", "<Dt>2026-13-20</Dt>", "<DtTm>2026-11-20T21:30:00</DtTm>", "<DtTm>0001-01-01T00:00:00+05:00</DtTm>"]
)
@pytest.mark.case("G04")
def test_a_time_that_is_not_said_is_refused(tmp_path: Path, date: str) -> None:
    with pytest.raises(MalformedError, match=r"StmtDtTm|timezone|no time of this world"):
        read(tmp_path, document(balance(), date=date))


@pytest.mark.case("E07")
def test_several_accounts_are_each_their_own(tmp_path: Path) -> None:
    feed = read(tmp_path, document(balance()), document(balance(), account="S 2", identifier="STMT-2"))
    assert held(feed) == {("S 02500", APPLE): "100", ("S 2", APPLE): "100"}
    assert (feed.status, feed.accounts, feed.lots) == (FeedStatus.COMPLETE, ("S 02500", "S 2"), False)


def test_a_sub_account_is_an_account(tmp_path: Path) -> None:
    parts = (sub_account("SUB-1", balance()), sub_account("SUB-2", balance(MSFT, 7)), sub_account("SUB-3", active="false"))
    feed = read(tmp_path, document(*parts))
    assert held(feed) == {("SUB-1", APPLE): "100", ("SUB-2", MSFT): "7"}
    assert [(total.account, total.stated) for total in feed.control_totals] == [("SUB-3", 0)]


@pytest.mark.case("E03", "E04")
def test_an_account_and_its_sub_accounts_are_not_taken_for_both(tmp_path: Path) -> None:
    payload = document(balance(), sub_account("SUB-1", balance(quantity=60)), sub_account("SUB-2", balance(quantity=40)))
    with pytest.raises(MalformedError, match="say in `sub_accounts`"):
        read(tmp_path, payload)
    assert held(read(tmp_path, payload, sub_accounts="breakdown")) == {("S 02500", APPLE): "100"}
    assert len(read(tmp_path, payload, sub_accounts="separate").positions) == 3
    with pytest.raises(MalformedError, match="no breakdown"):
        read(tmp_path, document(balance(), sub_account("SUB-1", balance(MSFT))), sub_accounts="breakdown")


@pytest.mark.case("E02")
def test_one_holding_at_two_places_is_in_parts(tmp_path: Path) -> None:
    feed = read(tmp_path, document(balance(place="CUSTUS33"), balance(quantity=5, place="CUSTUS44")))
    assert (feed.lots, [position.quantity for position in feed.positions]) == (True, [100, 5])


@pytest.mark.case("E01")
def test_one_holding_twice_at_a_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="twice"):
        read(tmp_path, document(balance(), balance()))


def pages(*shapes: tuple[object, str]) -> list[bytes]:
    """Pages with a balance each, of these numbers and LastPgInd."""
    isins = (APPLE, MSFT, BOND)
    return [document(balance(isin), page=number, last=last) for isin, (number, last) in zip(isins, shapes, strict=False)]


def test_all_pages_are_one_statement_in_any_order_of_files(tmp_path: Path) -> None:
    feed = read(tmp_path, *reversed(pages((1, "false"), ("00002", "0"), (3, "true"))))
    assert (feed.status, len(feed.positions)) == (FeedStatus.COMPLETE, 3)


@pytest.mark.case("A08")
@pytest.mark.parametrize(
    "shapes",
    [
        [(1, "false")],
        [(2, "true")],
        [(1, "")],
        [("", "")],
        [("one", "true")],
        [(1, "false"), (3, "true")],
        [(1, "true"), (2, "false")],
        [(1, "true"), (2, "true")],
        [(1, "false"), (1, "true")],
    ],
)
def test_pages_that_are_not_all_leave_the_feed_partial(tmp_path: Path, shapes: list[tuple[object, str]]) -> None:
    feed = read(tmp_path, *pages(*shapes))
    assert (feed.status, len(feed.positions)) == (FeedStatus.PARTIAL, len(shapes))
    assert "not all pages" in feed.reason


@pytest.mark.parametrize("changed", [{"identifier": "STMT-2"}, {"date": "<Dt>2026-11-19</Dt>"}, {"basis": "SETT"}])
def test_pages_of_two_statements_are_not_one(tmp_path: Path, changed: dict[str, str]) -> None:
    feed = read(tmp_path, pages((1, "false"))[0], document(balance(MSFT), page=2, **changed))
    assert feed.status is FeedStatus.PARTIAL
    assert "several statements" in feed.reason


@pytest.mark.parametrize("update", ["DELT", "", "PART"])
def test_a_statement_of_changes_is_refused(tmp_path: Path, update: str) -> None:
    with pytest.raises(IncompleteError, match="no full statement"):
        read(tmp_path, document(balance(), update=update))


@pytest.mark.case("A06")
def test_activity_false_is_flat(tmp_path: Path) -> None:
    feed = read(tmp_path, document(active="false"))
    assert (feed.status, feed.positions, feed.accounts) == (FeedStatus.COMPLETE, (), ("S 02500",))
    (total,) = feed.control_totals
    assert (total.kind, total.stated, total.account) == ("rows", 0, "S 02500")


@pytest.mark.case("A06")
@pytest.mark.parametrize(("active", "last"), [("true", "true"), ("", "true"), ("false", "false")])
def test_no_balance_without_that_proves_nothing(tmp_path: Path, active: str, last: str) -> None:
    feed = read(tmp_path, document(active=active, last=last))
    assert (feed.status, feed.control_totals) == (FeedStatus.PARTIAL, ())


def test_activity_false_beside_balances_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="says that nothing is held, and lists holdings"):
        read(tmp_path, document(balance(), active="false"))


@pytest.mark.case("A11")
def test_totals_that_hold_are_a_proof_and_others_leave_the_feed_partial(tmp_path: Path) -> None:
    parts = (balance(worth="18725"), balance(MSFT, 5, side="SHOR", worth="-125"))
    for stated, status in (
        (totals("18600", "18600"), "COMPLETE"),
        (totals("", "18850"), "PARTIAL"),
        (totals("1", "18600"), "PARTIAL"),
    ):
        assert read(tmp_path, document(*parts, stated)).status == status


def test_the_total_of_the_statement_is_of_all_its_pages(tmp_path: Path) -> None:
    first = document(balance(worth="18725"), totals("18725"), last="false")
    for total, status in (("18850.00", FeedStatus.COMPLETE), ("18725", FeedStatus.PARTIAL)):
        last = document(balance(MSFT, worth="125"), totals("125", total), page=2)
        assert read(tmp_path, first, last).status is status


def test_a_total_that_cannot_be_compared_is_said(tmp_path: Path) -> None:
    feed = read(tmp_path, document(balance(worth="18725"), totals("", "17000", currency="EUR")))
    assert feed.status is FeedStatus.COMPLETE
    assert "in EUR not compared" in feed.notes[0]


@pytest.mark.parametrize("written", ["1,000", "1e3", "NaN", "", "(5)", "9" * 99])
@pytest.mark.case("B09")
def test_a_number_that_is_none_is_refused(tmp_path: Path, written: str) -> None:
    with pytest.raises(MalformedError):
        read(tmp_path, document(balance(quantity=written)))


BOMB = '<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'


@pytest.mark.parametrize(
    "head", [BOMB, '<!DOCTYPE d SYSTEM "file:///etc/passwd">', '<!DOCTYPE d PUBLIC "x" "http://127.0.0.1:9/">']
)
def test_a_document_type_is_refused(tmp_path: Path, head: str) -> None:
    with pytest.raises(MalformedError, match="document type or entities"):
        read(tmp_path, document(balance(), head=head))


@pytest.mark.parametrize("payload", [b"<html><body>Login</body></html>", b"<Document/>", b"{}", document(balance()) * 2])
def test_what_is_no_report_is_refused(tmp_path: Path, payload: bytes) -> None:
    with pytest.raises(MalformedError):
        read(tmp_path, payload)


def test_an_account_without_a_name_has_the_one_of_the_options(tmp_path: Path) -> None:
    assert held(read(tmp_path, document(balance(), account=""), account="MAIN")) == {("MAIN", APPLE): "100"}


@pytest.mark.case("A08")
def test_a_file_cut_anywhere_is_never_complete_with_less(tmp_path: Path) -> None:
    no_cut_is_complete(lambda raw: read(tmp_path, raw), document(balance(), balance(MSFT)))


def test_no_bytes_raise_anything_but_broker_errors(tmp_path: Path) -> None:
    payload = document(
        balance(worth="18725"), balance(BOND, form=FACE, price=RATE), totals("18725", "18725"), sub_account("S", balance(MSFT))
    )
    nothing_escapes(lambda raw: read(tmp_path, raw), payload, seed=6, count=200)
    nothing_escapes(lambda raw: read(tmp_path, raw), b"<a>" * 100_000, seed=7, count=3)


def test_no_file_and_an_empty_one_prove_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError):
        adapter("semt002", tmp_path).positions(Ask())
    with pytest.raises(MalformedError):
        read(tmp_path, b"")
