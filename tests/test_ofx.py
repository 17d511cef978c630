"""The OFX adapter against investment statements, SGML 1.x and XML 2.x, in the shapes of the specification."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from message_files import adapter, feed_of, held, no_cut_is_complete, nothing_escapes

from recon_core import Cash, Evidence
from recon_core.errors import AuthError, MalformedError, NotReadyError, RequestError
from recon_core.model import Ask, FeedStatus

HEADER = "OFXHEADER:100\r\nDATA:OFXSGML\r\nVERSION:103\r\nSECURITY:NONE\r\nENCODING:USASCII\r\nCHARSET:1252\r\n\r\n"
XML = '<?xml version="1.0" encoding="UTF-8"?>\n<?OFX OFXHEADER="200" VERSION="211" SECURITY="NONE"?>\n'
read = partial(feed_of, "ofx")


def secid(unique: str, kind: str = "CUSIP") -> str:
    """What names a security."""
    return f"<SECID><UNIQUEID>{unique}<UNIQUEIDTYPE>{kind}</SECID>"


def holding(
    unique: str = "037833100",
    units: object = 100,
    *,
    side: str = "LONG",
    kind: str = "STOCK",
    price: object = "187.25",
    value: object = None,
    held_in: str = "CASH",
    unique_kind: str = "CUSIP",
    more: str = "",
) -> str:
    """A position; its tags are not closed, as in most files."""
    inside = f"{secid(unique, unique_kind)}<HELDINACCT>{held_in}<POSTYPE>{side}<UNITS>{units}<UNITPRICE>{price}"
    inside += f"{f'<MKTVAL>{value}' if value is not None else ''}<DTPRICEASOF>20261120160000.000[-5:EST]{more}<MEMO>"
    return f"<POS{kind}><INVPOS>{inside}</INVPOS></POS{kind}>"


def security(unique: str, ticker: str, kind: str = "STOCK", more: str = "") -> str:
    """An entry of the security list."""
    return f"<{kind}INFO><SECINFO>{secid(unique)}<SECNAME>A &amp; B\n<TICKER>{ticker}</SECINFO>{more}</{kind}INFO>"


def statement(
    *positions: str,
    account: str = "0123",
    as_of: str = "20261120",
    status: int = 0,
    listed: bool = True,
    transactions: str = "",
    cash: str = "5000.25",
    currency: str = "USD",
    body: bool = True,
) -> str:
    """The answer about one account."""
    said = f"<STATUS><CODE>{status}<SEVERITY>{'INFO' if status == 0 else 'ERROR'}<MESSAGE>as asked</STATUS>"
    inside = f"<DTASOF>{as_of}<CURDEF>{currency}<INVACCTFROM><BROKERID>broker.example<ACCTID>{account}</INVACCTFROM>{transactions}"
    inside += f"<INVPOSLIST>{''.join(positions)}</INVPOSLIST>" if listed else ""
    inside += f"<INVBAL><AVAILCASH>{cash}<MARGINBALANCE>0<SHORTBALANCE>0</INVBAL>" if cash else ""
    return f"<INVSTMTTRNRS><TRNUID>1{said}{f'<INVSTMTRS>{inside}</INVSTMTRS>' if body else ''}</INVSTMTTRNRS>"


def document(*statements: str, securities: str = "", signon: int | None = 0, header: str = HEADER) -> bytes:
    """A whole file."""
    status = "" if signon is None else f"<STATUS><CODE>{signon}<SEVERITY>INFO<MESSAGE>sign on</STATUS>"
    head = f"<SIGNONMSGSRSV1><SONRS>{status}<DTSERVER>20261121030000[-5:EST]<LANGUAGE>ENG</SONRS></SIGNONMSGSRSV1>"
    body = f"<INVSTMTMSGSRSV1>{''.join(statements)}</INVSTMTMSGSRSV1>" if statements else ""
    listed = f"<SECLISTMSGSRSV1><SECLIST>{securities}</SECLIST></SECLISTMSGSRSV1>" if securities else ""
    return f"{header}<OFX>{head}{body}{listed}</OFX>\r\n".encode("cp1252")


def as_xml(raw: bytes, head: str = XML) -> bytes:
    """The same document as OFX 2.x: every tag is closed."""
    text = raw.decode("cp1252")
    text = re.sub(
        r"<([A-Z0-9]+)>([^<]+)(?=<)", lambda found: f"<{found[1]}>{found[2]}</{found[1]}>" if found[2].strip() else found[0], text
    )
    return (head + text[text.index("<OFX>") :].replace("<MEMO><", "<MEMO></MEMO><")).encode()


SECURITIES = security("037833100", "AAPL") + security("594918104", "MSFT")


@pytest.mark.parametrize("shape", [lambda raw: raw, as_xml], ids=["SGML", "XML"])
def test_a_row_is_a_position_with_its_exact_fields(tmp_path: Path, shape) -> None:
    feed = read(
        tmp_path, shape(document(statement(holding(units="12.123456789012345678", value="2270.12")), securities=SECURITIES))
    )
    (position,) = feed.positions
    assert (position.account, position.symbol, position.cusip, position.raw_symbol) == ("0123", "AAPL", "037833100", "037833100")
    assert (position.quantity, position.market_price) == (Decimal("12.123456789012345678"), Decimal("187.25"))
    assert (position.currency, position.asset_class, position.multiplier, position.leg) == ("USD", "equity", 1, "NET")
    assert position.avg_price is None
    assert (feed.status, feed.basis, feed.date_only, feed.lots, feed.notes) == (FeedStatus.COMPLETE, "unknown", True, False, ())
    assert (feed.as_of, feed.accounts) == (datetime(2026, 11, 20, tzinfo=UTC), ("0123",))
    assert feed.cash == (Cash(currency="USD", amount=Decimal("5000.25"), account="0123"),)


@pytest.mark.case("B07")
@pytest.mark.parametrize("units", ["40", "-40"])
def test_a_short_row_is_short_whatever_its_sign(tmp_path: Path, units: str) -> None:
    feed = read(tmp_path, document(statement(holding(units=units, side="SHORT", value="7490"))))
    assert held(feed) == {("0123", "037833100"): "-40"}
    assert feed.notes == ()


@pytest.mark.parametrize(("units", "side"), [(-5, "LONG"), (5, ""), (5, "FLAT")])
def test_a_row_that_is_neither_is_refused(tmp_path: Path, units: int, side: str) -> None:
    with pytest.raises(MalformedError, match=r"neither long nor short|POSTYPE is open"):
        read(tmp_path, document(statement(holding(units=units, side=side))))


@pytest.mark.case("E05")
def test_a_file_that_would_take_too_much_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="larger than the limit of 16,777,216 bytes"):
        read(tmp_path, document(statement(holding())) + b" " * (16 << 20))


def test_a_security_held_both_ways_has_two_legs(tmp_path: Path) -> None:
    feed = read(tmp_path, document(statement(holding(), holding(units=30, side="SHORT", held_in="SHORT"), holding("594918104"))))
    legs = [(position.symbol, position.leg, position.quantity) for position in feed.positions]
    assert legs == [("037833100", "LONG", 100), ("037833100", "SHORT", -30), ("594918104", "NET", 100)]
    assert feed.lots is False


@pytest.mark.case("E02")
@pytest.mark.parametrize(
    "second", [holding(units=5, held_in="MARGIN"), holding(units=5, more="<INV401KSOURCE>MATCH")], ids=["HELDINACCT", "401k source"]
)
def test_parts_of_one_holding_are_to_be_added_up(tmp_path: Path, second: str) -> None:
    feed = read(tmp_path, document(statement(holding(), second)))
    assert (feed.lots, [position.quantity for position in feed.positions]) == (True, [100, 5])


@pytest.mark.case("E01")
def test_rows_that_nothing_tells_apart_are_lots_only_by_option(tmp_path: Path) -> None:
    payload = document(statement(holding(), holding()))
    with pytest.raises(MalformedError, match="say `lots: true`"):
        read(tmp_path, payload)
    feed = read(tmp_path, payload, lots=True)
    assert (feed.lots, len(feed.positions)) == (True, 2)


@pytest.mark.case("C03")
def test_a_bond_is_priced_per_cent_so_that_the_product_is_money(tmp_path: Path) -> None:
    feed = read(tmp_path, document(statement(holding("912810TM0", 20000, kind="DEBT", price="98.75", value="19750"))))
    (position,) = feed.positions
    assert (position.market_price, position.multiplier, position.asset_class) == (Decimal("98.75"), Decimal("0.01"), "bond")
    assert feed.notes == ()


@pytest.mark.case("C03")
def test_an_option_has_the_multiplier_of_the_security_list_or_none(tmp_path: Path) -> None:
    row = holding("OPT1", 2, side="SHORT", kind="OPT", price="1.5", value="300")
    info = security("OPT1", "AAPL  261218C00250000", "OPT", "<OPTTYPE>CALL<STRIKEPRICE>250<DTEXPIRE>20261218<SHPERCTRCT>100")
    (position,) = read(tmp_path, document(statement(row), securities=info)).positions
    assert (position.symbol, position.raw_symbol) == ("AAPL261218C00250000", "AAPL  261218C00250000")
    assert (position.quantity, position.multiplier, position.asset_class) == (-2, 100, "option")
    assert read(tmp_path, document(statement(row))).positions[0].multiplier is None


def test_a_value_that_is_not_the_product_is_said(tmp_path: Path) -> None:
    feed = read(tmp_path, document(statement(holding("912810TM0", 20, kind="DEBT", price="987.5", value="19750"))))
    assert "MKTVAL is 19750, and UNITS x UNITPRICE x 0.01 is 197.5" in feed.notes[0]


def test_an_unknown_kind_of_row_is_kept(tmp_path: Path) -> None:
    (position,) = read(tmp_path, document(statement(holding(kind="COIN")))).positions
    assert (position.asset_class, position.multiplier, position.quantity) == ("coin", None, 100)


@pytest.mark.case("C05")
def test_the_currency_is_the_rows_own_but_not_where_it_came_from(tmp_path: Path) -> None:
    own = holding(more="<CURRENCY><CURRATE>1.1<CURSYM>EUR</CURRENCY>")
    origin = holding("594918104", more="<ORIGCURRENCY><CURRATE>1.1<CURSYM>EUR</ORIGCURRENCY>")
    feed = read(tmp_path, document(statement(own, origin)))
    assert [position.currency for position in feed.positions] == ["EUR", "USD"]
    assert feed.cash[0].currency == "USD"


def test_an_isin_is_one_and_names_it_where_the_option_says_so(tmp_path: Path) -> None:
    info = security("US0378331005", "AAPL").replace("CUSIP", "ISIN")
    payload = document(statement(holding("US0378331005", unique_kind="ISIN")), securities=info)
    assert [(p.symbol, p.isin, p.cusip) for p in read(tmp_path, payload).positions] == [("AAPL", "US0378331005", None)]
    assert read(tmp_path, payload, symbol="isin").positions[0].symbol == "US0378331005"


@pytest.mark.case("D06")
def test_a_security_with_two_tickers_has_none(tmp_path: Path) -> None:
    info = (
        security("037833100", "AAPL") + security("037833100", "AAPL") + security("594918104", "MSFT") + security("594918104", "MSF")
    )
    feed = read(tmp_path, document(statement(holding(), holding("594918104")), securities=info))
    assert [position.symbol for position in feed.positions] == ["AAPL", "594918104"]


@pytest.mark.parametrize(
    ("written", "timezone", "as_of", "date_only"),
    [
        ("20261120", None, "2026-11-20T00:00:00+00:00", True),
        ("20261120", "America/New_York", "2026-11-20T00:00:00-05:00", True),
        ("20261120160000.000[-5:EST]", None, "2026-11-20T16:00:00-05:00", False),
        ("20261120160000[+5.5:IST]", None, "2026-11-20T16:00:00+05:30", False),
        ("20261120160000[0]", None, "2026-11-20T16:00:00+00:00", False),
        ("202611201600", None, "2026-11-20T16:00:00+00:00", False),
        ("20261120160000", "Europe/Zurich", "2026-11-20T16:00:00+01:00", False),
    ],
)
@pytest.mark.case("G06")
def test_the_time_is_the_payloads_own(tmp_path: Path, written: str, timezone: str | None, as_of: str, date_only: bool) -> None:
    feed = read(tmp_path, document(statement(holding(), as_of=written)), timezone=timezone)
    assert feed.as_of is not None
    assert (feed.as_of.isoformat(), feed.date_only) == (as_of, date_only)


@pytest.mark.parametrize("written", ["", "20261320", "20261120[99:X]", "00000000", "yesterday"])
@pytest.mark.case("G04")
def test_a_time_that_is_none_is_refused(tmp_path: Path, written: str) -> None:
    payload = document(statement(holding())).replace(b"<DTASOF>20261120", f"<DTASOF>{written}</DTASOF>".encode())
    with pytest.raises(MalformedError, match=r"DTASOF: .* is no OFX time"):
        read(tmp_path, payload)


@pytest.mark.case("E07")
def test_several_accounts_are_of_the_oldest_time(tmp_path: Path) -> None:
    feed = read(tmp_path, document(statement(holding()), statement(holding(units=7), account="9", as_of="20261119")))
    assert held(feed) == {("0123", "037833100"): "100", ("9", "037833100"): "7"}
    assert (feed.status, feed.accounts, feed.as_of) == (FeedStatus.COMPLETE, ("0123", "9"), datetime(2026, 11, 19, tzinfo=UTC))


@pytest.mark.case("E04")
def test_two_statements_of_one_account_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="account 0123 has two statements"):
        read(tmp_path, document(statement(holding())), document(statement(holding(), as_of="20261119")))


@pytest.mark.case("A06")
def test_an_empty_position_list_is_flat_and_a_missing_one_proves_nothing(tmp_path: Path) -> None:
    flat = read(tmp_path, document(statement()))
    assert (flat.status, flat.positions, flat.accounts) == (FeedStatus.COMPLETE, (), ("0123",))
    missing = read(tmp_path, document(statement(listed=False)))
    assert (missing.status, missing.positions, missing.accounts) == (FeedStatus.PARTIAL, (), ())
    assert "no position list" in missing.reason


@pytest.mark.case("A09")
def test_one_account_refused_of_two_leaves_the_feed_partial(tmp_path: Path) -> None:
    feed = read(tmp_path, document(statement(holding()), statement(status=2003, body=False)))
    assert (feed.status, len(feed.positions)) == (FeedStatus.PARTIAL, 1)
    assert "statement 2: refused with status 2003" in feed.reason


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (document(statement(holding()), signon=15500), AuthError),
        (document(statement(holding()), signon=15000), AuthError),
        (document(statement(holding()), signon=2000), RequestError),
        (document(signon=15500), AuthError),
        (document(statement(holding(), status=2003)), RequestError),
        (document(statement(body=False, status=2003), statement(body=False, status=2003)), RequestError),
        (document(statement(holding()), signon=None), MalformedError),
        (document(), MalformedError),
        (document(statement(body=False)), MalformedError),
    ],
)
@pytest.mark.case("A07")
def test_a_refusal_is_an_error_and_no_empty_account(tmp_path: Path, payload: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read(tmp_path, payload)


def test_a_tag_with_a_value_may_be_closed_or_not_and_names_may_be_small(tmp_path: Path) -> None:
    closed = document(statement(holding())).replace(b"<UNITS>100", b"<units> 100 </units>\r\n")
    assert held(read(tmp_path, closed)) == {("0123", "037833100"): "100"}


def test_letters_are_of_the_code_page_that_the_header_names(tmp_path: Path) -> None:
    assert held(read(tmp_path, document(statement(holding(), account="Mü–1")))) == {("Mü–1", "037833100"): "100"}
    unicode = document(statement(holding(), account="Mü1"), header=HEADER.replace("USASCII", "UTF-8"))
    assert held(read(tmp_path, unicode.decode("cp1252").encode())) == {("Mü1", "037833100"): "100"}
    with pytest.raises(MalformedError, match="says that it is UTF-8"):
        read(tmp_path, unicode)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"</INVPOSLIST>", b""),
        (b"<INVPOSLIST>", b""),
        (b"</INVPOS>", b"</POSSTOCK>"),
        (b"<ACCTID>0123", b""),
        (b"<UNITS>100", b""),
        (b"<UNITS>100", b"<UNITS>1,000"),
        (b"<UNITS>100", b"<UNITS>" + b"9" * 99),
        (b"<UNIQUEID>037833100", b""),
        (b"<INVPOS>", b"stray text<INVPOS>"),
        (b"</OFX>", b"</OFX><OFX></OFX>"),
        (b"<OFX>", b"<!DOCTYPE x><OFX>"),
        (b"<INVPOS>", b"<A>" * 60 + b"<INVPOS>"),
        (b"OFX>", b"HTML>"),
    ],
)
@pytest.mark.case("B09")
def test_a_document_that_cannot_be_meant_is_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    with pytest.raises(MalformedError):
        read(tmp_path, document(statement(holding())).replace(old, new))


def test_a_document_type_in_xml_is_refused(tmp_path: Path) -> None:
    bomb = XML + '<!DOCTYPE OFX [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
    for head in (bomb, XML + '<!DOCTYPE OFX SYSTEM "file:///etc/passwd">'):
        with pytest.raises(MalformedError, match="document type or entities"):
            read(tmp_path, as_xml(document(statement(holding())), head))


@pytest.mark.case("A08")
@pytest.mark.parametrize("shape", [lambda raw: raw, as_xml], ids=["SGML", "XML"])
def test_a_file_cut_anywhere_is_never_complete_with_less(tmp_path: Path, shape) -> None:
    payload = document(statement(holding(), holding("594918104")), statement(account="9"), securities=SECURITIES)
    no_cut_is_complete(lambda raw: read(tmp_path, raw), shape(payload))


def test_no_bytes_raise_anything_but_broker_errors(tmp_path: Path) -> None:
    payload = document(
        statement(holding(), holding("594918104", kind="DEBT"), transactions=listed(*EVERYTHING)), securities=SECURITIES
    )

    def everything(raw: bytes) -> None:
        read(tmp_path, raw)
        adapter("ofx", tmp_path).evidence(Ask())

    nothing_escapes(everything, payload, seed=8, count=200)
    nothing_escapes(everything, as_xml(payload), seed=9)


def test_no_file_and_an_empty_one_prove_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError):
        adapter("ofx", tmp_path).positions(Ask())
    with pytest.raises(MalformedError):
        read(tmp_path, b"")


def traded(fitid: str, more: str = "") -> str:
    """The head of a transaction."""
    return f"<INVTRAN><FITID>{fitid}<DTTRADE>20261118103000[-5:EST]<DTSETTLE>20261119{more}<MEMO>words</INVTRAN>"


def listed(*rows: str, start: str = "20261101") -> str:
    """A transaction list."""
    return f"<INVTRANLIST><DTSTART>{start}<DTEND>20261120{''.join(rows)}</INVTRANLIST>"


def order(kind: str, fitid: str, units: object, *, name: str = "STOCK", more: str = "") -> str:
    """A purchase or a sale."""
    money = f"<UNITS>{units}<UNITPRICE>187.25<COMMISSION>1.50<FEES>0.02<TOTAL>-1874.02<SUBACCTSEC>CASH<SUBACCTFUND>CASH"
    return f"<{kind}{name}><INV{kind}>{traded(fitid, more)}{secid('037833100')}{money}</INV{kind}><{kind}TYPE>{kind}</{kind}{name}>"


def moved(name: str, fitid: str, more: str, *, secured: bool = True) -> str:
    """Any other transaction."""
    return f"<{name}>{traded(fitid)}{secid('037833100') if secured else ''}<SUBACCTSEC>CASH{more}</{name}>"


EVERYTHING = [
    order("BUY", "B1", 10),
    order("SELL", "S1", -4),
    order("BUY", "R1", 10, more="<REVERSALFITID>B1"),
    moved("REINVEST", "D1", "<INCOMETYPE>DIV<TOTAL>-18.7<UNITS>0.1<UNITPRICE>187"),
    moved("SPLIT", "P1", "<OLDUNITS>10<NEWUNITS>40<NUMERATOR>4<DENOMINATOR>1<FRACCASH>3.5"),
    moved("SPLIT", "P2", "<OLDUNITS>40<NEWUNITS>4<NUMERATOR>1<DENOMINATOR>10"),
    moved("TRANSFER", "T1", "<UNITS>5<TFERACTION>OUT<POSTYPE>LONG"),
    moved("TRANSFER", "T2", "<UNITS>5<TFERACTION>OUT<POSTYPE>SHORT"),
    moved("CLOSUREOPT", "C1", "<OPTACTION>ASSIGN<UNITS>2<SHPERCTRCT>100<RELFITID>B1"),
    moved("CLOSUREOPT", "C2", "<OPTACTION>EXPIRE<UNITS>-3<SHPERCTRCT>100"),
    moved("INCOME", "I1", "<INCOMETYPE>DIV<TOTAL>12.34"),
    "<INVBANKTRAN><STMTTRN><TRNTYPE>CREDIT<DTPOSTED>20261118<TRNAMT>100<FITID>K1<MEMO>wire</STMTTRN><SUBACCTFUND>CASH</INVBANKTRAN>",
    moved("JRNLSEC", "J1", "<SUBACCTTO>MARGIN<UNITS>7"),
]


def evidence(folder: Path, *rows: str, start: str = "20261101", since: datetime | None = None) -> Evidence:
    """What the adapter tells of these transactions."""
    payload = document(statement(holding(), transactions=listed(*rows, start=start)), securities=SECURITIES)
    found = adapter("ofx", folder, payload).evidence(Ask(since=since))
    assert isinstance(found, Evidence)
    return found


@pytest.mark.case("F01")
def test_purchases_and_sales_are_fills_signed_by_what_they_change(tmp_path: Path) -> None:
    found = evidence(tmp_path, *EVERYTHING)
    assert [(fill.id, fill.quantity, fill.price) for fill in found.fills] == [
        ("B1", 10, Decimal("187.25")),
        ("S1", -4, Decimal("187.25")),
        ("D1", Decimal("0.1"), Decimal(187)),
    ]
    bought = found.fills[0]
    assert (bought.symbol, bought.cusip, bought.account, bought.currency) == ("AAPL", "037833100", "0123", "USD")
    assert (bought.traded_at.isoformat(), bought.settles_on, bought.fee) == (
        "2026-11-18T10:30:00-05:00",
        date(2026, 11, 19),
        Decimal("1.52"),
    )
    assert (found.complete, found.reason, found.since) == (True, "", datetime(2026, 11, 1, tzinfo=UTC))


@pytest.mark.case("F05", "F06", "F07", "F08")
def test_everything_else_is_a_movement_and_nothing_is_dropped(tmp_path: Path) -> None:
    found = evidence(tmp_path, *EVERYTHING)
    shown = {entry.id: (entry.kind, entry.quantity, entry.amount, entry.group) for entry in found.movements}
    assert shown == {
        "R1": ("unclassified", -10, Decimal("-1874.02"), "B1"),
        "P1": ("split", 30, Decimal("3.5"), None),
        "P2": ("reverse_split", -36, None, None),
        "T1": ("transfer", -5, None, None),
        "T2": ("transfer", 5, None, None),
        "C1": ("assignment", 2, None, "B1"),
        "C2": ("expiry", -3, None, None),
        "I1": ("cash", None, Decimal("12.34"), None),
        "K1": ("cash", None, 100, None),
        "J1": ("unclassified", None, None, None),
    }
    assert len(found.fills) + len(found.movements) == len(EVERYTHING)
    assert {entry.occurred_on for entry in found.movements} == {date(2026, 11, 18)}
    assert next(entry.said for entry in found.movements if entry.id == "C1") == "CLOSUREOPT ASSIGN words"


def test_evidence_is_since_the_time_asked_for_and_says_where_it_begins_later(tmp_path: Path) -> None:
    before, after = datetime(2026, 11, 18, 15, tzinfo=UTC), datetime(2026, 11, 18, 16, tzinfo=UTC)
    assert len(evidence(tmp_path, *EVERYTHING, since=before).fills) == 3
    assert evidence(tmp_path, *EVERYTHING, since=after).fills == ()
    assert [entry.id for entry in evidence(tmp_path, *EVERYTHING, since=after).movements] == ["K1"]  # it has a day and no time
    late = evidence(tmp_path, start="20261119", since=before)
    assert (late.complete, late.reason) == (
        False,
        "page-1.msg: statement 1: its transactions begin on 2026-11-19, later than asked for",
    )


def test_a_statement_without_transactions_does_not_say_that_there_were_none(tmp_path: Path) -> None:
    found = adapter("ofx", tmp_path, document(statement(holding()))).evidence(Ask())
    assert isinstance(found, Evidence)
    assert (found.complete, found.fills) == (False, ())
    assert "no transaction list" in found.reason
