"""The MT535 adapter against files of SWIFT statements of holdings, in the shapes of the standard."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from message_files import adapter, feed_of, held, no_cut_is_complete, nothing_escapes

from recon_core.errors import IncompleteError, MalformedError, NotReadyError
from recon_core.model import Ask, ControlTotal, FeedStatus

APPLE, MSFT, BOND = "US0378331005", "US5949181045", "XS0987654321"
read = partial(feed_of, "mt535")


def holding(
    isin: str = APPLE,
    balance: str = "UNIT/100,",
    *,
    instrument: str | None = None,
    price: str = ":90B::MRKT//ACTU/USD187,25",
    worth: str = "",
    attributes: str = "",
    more: str = "",
) -> str:
    """A FIN sequence, with the balances and the breakdown that are not to be added up."""
    lines = [":16R:FIN", f":35B:{instrument or f'ISIN {isin}'}", "/XX/NAME OF IT", "SHS: CLASS=A"]
    lines += [":16R:FIA", ":12A::CLAS/ISIT/SHS", *filter(None, [attributes]), ":16S:FIA"]
    lines += filter(
        None, [price, ":98A::PRIC//20261119", f":93B::AGGR//{balance}", ":93B::AVAI//UNIT/40,", ":93B::NAVL//UNIT/60,", more]
    )
    lines += filter(None, [worth and f":19A::HOLD//{worth}"])
    lines += [":16R:SUBBAL", ":93B::AGGR//UNIT/25,", ":94F::SAFE//CUST/CUSTUS33", ":16S:SUBBAL"]
    lines += [":16R:SUBBAL", ":93B::AGGR//UNIT/75,", ":94F::SAFE//CUST/CUSTUS44", ":16S:SUBBAL", ":16S:FIN"]
    return "\r\n".join(lines)


def safe(*holdings: str, account: str = "", place: str = "", active: str = "") -> str:
    """A SUBSAFE sequence."""
    head = [account and f":97A::SAFE//{account}", place and f":94F::SAFE//NCSD/{place}", active and f":17B::ACTI//{active}"]
    return "\r\n".join([":16R:SUBSAFE", *filter(None, head), *holdings, ":16S:SUBSAFE"])


def message(
    *parts: str,
    page: str = "1/ONLY",
    reference: str = "STMT20261120",
    update: str = "COMP",
    basis: str = "TRAD",
    stat: str = ":98A::STAT//20261120",
    account: str = "S 02500",
    active: str = "Y",
    totals: str = "",
    kind: str = "535",
    function: str = "NEWM",
) -> bytes:
    """A whole message; an argument of '' leaves its line out."""
    lines = [
        f"{{1:F01CUSTUS33AXXX0000000000}}{{2:O{kind}2105261120FIRMUS33AXXX00000000002611202105N}}{{3:{{108:REF}}}}{{4:",
        ":16R:GENL",
    ]
    lines += [page and f":28E:{page}", ":13A::STAT//324", f":20C::SEME//{reference}", f":23G:{function}", stat]
    lines += [":22F::SFRE//DAIL", update and f":22F::CODE//{update}", ":22F::STTY//CUST", basis and f":22F::STBA//{basis}"]
    lines += [account and f":97A::SAFE//{account}", active and f":17B::ACTI//{active}", ":17B::CONS//N", ":16S:GENL", *parts]
    lines += [totals and f":16R:ADDINFO\r\n{totals}\r\n:16S:ADDINFO", "-}{5:{CHK:123456789ABC}}"]
    return "\r\n".join(filter(None, lines)).encode()


def test_a_holding_is_a_position_with_its_exact_fields(tmp_path: Path) -> None:
    feed = read(tmp_path, message(safe(holding(balance="UNIT/1234,123456789012345678"))))
    (position,) = feed.positions
    assert (position.account, position.symbol, position.isin) == ("S 02500", APPLE, APPLE)
    assert position.quantity == Decimal("1234.123456789012345678")
    assert (position.market_price, position.currency) == (Decimal("187.25"), "USD")
    assert (feed.status, feed.basis, feed.date_only, feed.lots) == (FeedStatus.COMPLETE, "trade", True, False)
    assert (feed.as_of, feed.accounts, feed.control_totals) == (datetime(2026, 11, 20, tzinfo=UTC), ("S 02500",), ())


def test_balances_and_sub_balances_are_never_added_up(tmp_path: Path) -> None:
    assert held(read(tmp_path, message(safe(holding(), holding(MSFT, "UNIT/0,"))))) == {
        ("S 02500", APPLE): "100",
        ("S 02500", MSFT): "0",
    }


@pytest.mark.case("B07")
def test_n_is_below_zero(tmp_path: Path) -> None:
    assert held(read(tmp_path, message(safe(holding(balance="UNIT/N12,5"))))) == {("S 02500", APPLE): "-12.5"}


@pytest.mark.case("C03")
def test_a_face_amount_is_priced_per_cent_so_that_the_product_is_money(tmp_path: Path) -> None:
    (position,) = read(
        tmp_path,
        message(safe(holding(BOND, "FAMT/20000,", price=":90A::MRKT//PRCT/98,75", attributes=":11A::DENO//EUR"))),
    ).positions
    assert (position.quantity, position.market_price, position.currency) == (20000, Decimal("98.75"), "EUR")
    assert position.multiplier is not None
    assert position.quantity * Decimal("98.75") * position.multiplier == 19750


@pytest.mark.parametrize(
    ("balance", "price"),
    [("FAMT/20000,", ":90B::MRKT//ACTU/USD98,75"), ("UNIT/20,", ":90A::MRKT//PRCT/98,75"), ("UNIT/20,", ":90A::MRKT//DISC/1,")],
)
def test_a_price_that_does_not_fit_the_quantity_is_left_out_and_said(tmp_path: Path, balance: str, price: str) -> None:
    feed = read(tmp_path, message(safe(holding(balance=balance, price=price))))
    assert feed.positions[0].market_price is None
    assert "left out" in feed.notes[0]


def test_the_face_counts_where_an_amortised_value_stands_beside_it(tmp_path: Path) -> None:
    both = holding(BOND, "FAMT/500,", price="", more=":93B::AGGR//AMOR/480,")
    assert held(read(tmp_path, message(safe(both)))) == {("S 02500", BOND): "500"}
    with pytest.raises(MalformedError, match="2 aggregate balances"):
        read(tmp_path, message(safe(holding(more=":93B::AGGR//UNIT/99,"))))


@pytest.mark.parametrize(
    ("instrument", "symbol", "cusip"),
    [
        (f"ISIN {APPLE}\r\n/TS/AAPL", "AAPL", None),
        ("/US/037833100\r\nAPPLE: INC=X", "037833100", "037833100"),
        ("/US/AGGR_AVAI\r\nAGGR=300, AVAI:=200", "AGGR_AVAI", None),
        ("/TS/BRK.B", "BRK.B", None),
        ("SOME FUND OF NO NUMBER", "SOME FUND OF NO NUMBER", None),
    ],
)
@pytest.mark.case("D02")
def test_an_instrument_is_named_as_it_is_identified(tmp_path: Path, instrument: str, symbol: str, cusip: str | None) -> None:
    (position,) = read(tmp_path, message(safe(holding(instrument=instrument)))).positions
    assert (position.symbol, position.cusip) == (symbol, cusip)


def test_the_isin_names_it_where_the_option_says_so(tmp_path: Path) -> None:
    payload = message(safe(holding(instrument=f"ISIN {APPLE}\r\n/TS/AAPL")))
    assert [(p.symbol, p.raw_symbol) for p in read(tmp_path, payload).positions] == [("AAPL", APPLE)]
    assert [(p.symbol, p.raw_symbol) for p in read(tmp_path, payload, symbol="isin").positions] == [(APPLE, None)]


@pytest.mark.parametrize(
    ("stated", "basis"), [("TRAD", "trade"), ("SETT", "settlement"), ("CONT", "settlement"), ("XXXX", "unknown")]
)
@pytest.mark.case("F09")
def test_the_basis_is_as_stated(tmp_path: Path, stated: str, basis: str) -> None:
    feed = read(tmp_path, message(safe(holding()), basis=stated))
    assert feed.basis == basis
    assert bool(feed.notes) is (stated == "CONT")


@pytest.mark.parametrize(
    ("stat", "timezone", "as_of", "date_only"),
    [
        (":98A::STAT//20261120", None, "2026-11-20T00:00:00+00:00", True),
        (":98A::STAT//20261120", "America/New_York", "2026-11-20T00:00:00-05:00", True),
        (":98C::STAT//20261120213000", "Europe/Zurich", "2026-11-20T20:30:00+00:00", False),
        (":98E::STAT//20261120213000,123/N0500", None, "2026-11-21T02:30:00+00:00", False),
        (":98E::STAT//20261120213000/02", None, "2026-11-20T19:30:00+00:00", False),
    ],
)
@pytest.mark.case("G06")
def test_the_time_is_the_payloads_own(tmp_path: Path, stat: str, timezone: str | None, as_of: str, date_only: bool) -> None:
    feed = read(tmp_path, message(safe(holding()), stat=stat), timezone=timezone)
    assert feed.as_of is not None
    assert (feed.as_of.isoformat(), feed.date_only) == (as_of, date_only)


@pytest.mark.parametrize("stat", [":98A::PREP//20261120", ":98A::STAT//20261320", ":98C::STAT//20261120213000", ":98A::STAT//0001"])
@pytest.mark.case("G04")
def test_a_time_that_is_not_said_is_refused(tmp_path: Path, stat: str) -> None:
    with pytest.raises(MalformedError, match=r"98a STAT|timezone"):
        read(tmp_path, message(safe(holding()), stat=stat))


@pytest.mark.case("E07")
def test_several_accounts_are_each_their_own(tmp_path: Path) -> None:
    feed = read(tmp_path, message(safe(holding())) + b"\r\n" + message(safe(holding()), account="S 2", reference="OTHER"))
    assert held(feed) == {("S 02500", APPLE): "100", ("S 2", APPLE): "100"}
    assert (feed.status, feed.accounts, feed.lots) == (FeedStatus.COMPLETE, ("S 02500", "S 2"), False)


def test_a_sub_account_that_is_named_is_an_account(tmp_path: Path) -> None:
    feed = read(
        tmp_path, message(safe(holding(), account="SUB-1"), safe(holding(), account="SUB-2"), safe(account="SUB-3", active="N"))
    )
    assert held(feed) == {("SUB-1", APPLE): "100", ("SUB-2", APPLE): "100"}
    assert feed.accounts == ("S 02500", "SUB-1", "SUB-2")
    assert [(total.account, total.stated) for total in feed.control_totals] == [("SUB-3", 0)]


@pytest.mark.case("E02")
def test_one_holding_at_two_places_is_in_parts(tmp_path: Path) -> None:
    feed = read(tmp_path, message(safe(holding(), place="CUSTUS33"), safe(holding(balance="UNIT/5,"), place="CUSTUS44")))
    assert (feed.lots, [position.quantity for position in feed.positions]) == (True, [100, 5])


@pytest.mark.case("E01")
def test_one_holding_twice_at_a_place_is_refused(tmp_path: Path) -> None:
    for parts in ((safe(holding(), holding()),), (safe(holding()), safe(holding()))):
        with pytest.raises(MalformedError, match="twice"):
            read(tmp_path, message(*parts))


def test_sub_accounts_of_one_name_in_two_accounts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="stands in account 001 twice"):
        read(tmp_path, message(safe(holding(), account="001")), message(safe(holding(), account="001", place="X"), account="S 2"))


def pages(*shapes: str, **changed: object) -> list[bytes]:
    """Pages with a holding each, of these 28E."""
    isins = (APPLE, MSFT, BOND)
    return [message(safe(holding(isin)), page=shape, **changed) for isin, shape in zip(isins, shapes, strict=False)]


def test_all_pages_are_one_statement_in_any_order_of_files(tmp_path: Path) -> None:
    feed = read(tmp_path, *reversed(pages("1/MORE", "00002/MORE", "3/LAST")))
    assert (feed.status, len(feed.positions)) == (FeedStatus.COMPLETE, 3)


@pytest.mark.case("A08")
@pytest.mark.parametrize(
    "shapes",
    [
        ("1/MORE",),
        ("2/LAST",),
        ("1/MORE", "2/MORE"),
        ("1/MORE", "3/LAST"),
        ("1/LAST", "2/MORE"),
        ("1/ONLY", "2/LAST"),
        ("1/MORE", "1/LAST"),
    ],
)
def test_pages_that_are_not_all_leave_the_feed_partial(tmp_path: Path, shapes: tuple[str, ...]) -> None:
    feed = read(tmp_path, *pages(*shapes))
    assert (feed.status, len(feed.positions)) == (FeedStatus.PARTIAL, len(shapes))
    assert "account S 02500: " in feed.reason


@pytest.mark.parametrize(
    "changed", [{"reference": "ANOTHER"}, {"stat": ":98A::STAT//20261119"}, {"basis": "SETT"}], ids=["SEME", "STAT", "STBA"]
)
def test_pages_of_two_statements_are_not_one(tmp_path: Path, changed: dict[str, str]) -> None:
    first, second = pages("1/MORE")[0], message(safe(holding(MSFT)), page="2/LAST", **changed)
    feed = read(tmp_path, first, second)
    assert feed.status is FeedStatus.PARTIAL
    assert "several statements" in feed.reason


def test_the_same_page_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="twice"):
        read(tmp_path, message(safe(holding())), message(safe(holding())))


def test_a_page_missing_in_one_account_is_said_of_that_account(tmp_path: Path) -> None:
    feed = read(tmp_path, message(safe(holding())), message(safe(holding()), account="S 2", page="1/MORE"))
    assert "S 2" in feed.reason
    assert "S 02500" not in feed.reason


def test_a_statement_of_changes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IncompleteError, match="changes only"):
        read(tmp_path, message(safe(holding()), update="DELT"), assume_complete=True)


def test_a_statement_that_does_not_say_that_it_is_full_is_one_only_by_option(tmp_path: Path) -> None:
    payload = message(safe(holding()), update="")
    with pytest.raises(IncompleteError, match="assume_complete"):
        read(tmp_path, payload)
    assert read(tmp_path, payload, assume_complete=True).status is FeedStatus.COMPLETE
    with pytest.raises(IncompleteError, match="'PART'"):
        read(tmp_path, message(safe(holding()), update="PART"), assume_complete=True)


@pytest.mark.case("A06")
def test_activity_n_is_flat(tmp_path: Path) -> None:
    feed = read(tmp_path, message(active="N"))
    assert (feed.status, feed.positions, feed.accounts) == (FeedStatus.COMPLETE, (), ("S 02500",))
    (total,) = feed.control_totals
    assert (total.kind, total.stated, total.account) == ("rows", 0, "S 02500")


@pytest.mark.case("A06")
@pytest.mark.parametrize("active", ["Y", ""])
def test_no_holding_without_activity_n_proves_nothing(tmp_path: Path, active: str) -> None:
    for parts in ((), (safe(),)):
        feed = read(tmp_path, message(*parts, active=active))
        assert (feed.status, feed.control_totals) == (FeedStatus.PARTIAL, ())
        assert "does not say that nothing is held" in feed.reason


def test_activity_n_on_a_page_that_is_not_the_last_is_not_flat(tmp_path: Path) -> None:
    assert read(tmp_path, message(active="N", page="1/MORE")).status is FeedStatus.PARTIAL


def test_activity_n_beside_holdings_is_refused(tmp_path: Path) -> None:
    for payload in (message(safe(holding()), active="N"), message(safe(holding(), account="SUB", active="N"))):
        with pytest.raises(MalformedError, match="says that nothing is held, and lists holdings"):
            read(tmp_path, payload)


@pytest.mark.case("A11")
@pytest.mark.parametrize("totals", [":19A::HOLS//USD18825,", ":19A::HOLP//USD18825,\r\n:19A::HOLS//USD18825,01"])
def test_totals_that_hold_are_a_proof(tmp_path: Path, totals: str) -> None:
    parts = safe(holding(worth="USD18725,"), holding(MSFT, worth="USD100,"))
    feed = read(tmp_path, message(parts, totals=totals))
    assert (feed.status, feed.notes) == (FeedStatus.COMPLETE, ())


@pytest.mark.case("A11")
@pytest.mark.parametrize("totals", [":19A::HOLS//USD99999,", ":19A::HOLP//USD1,", ":19A::HOLS//NUSD18725,"])
def test_a_total_that_does_not_hold_leaves_the_feed_partial(tmp_path: Path, totals: str) -> None:
    feed = read(tmp_path, message(safe(holding(worth="USD18725,")), totals=totals))
    assert feed.status is FeedStatus.PARTIAL
    assert "add up to 18725" in feed.reason


def test_the_total_of_the_statement_is_of_all_its_pages(tmp_path: Path) -> None:
    first = message(safe(holding(worth="USD18725,")), page="1/MORE", totals=":19A::HOLP//USD18725,")
    for total, status in (("18600", FeedStatus.COMPLETE), ("18725", FeedStatus.PARTIAL)):
        last = message(
            safe(holding(MSFT, worth="NUSD125,")), page="2/LAST", totals=f":19A::HOLP//NUSD125,\r\n:19A::HOLS//USD{total},"
        )
        assert read(tmp_path, first, last).status is status


def test_a_total_that_cannot_be_compared_is_said(tmp_path: Path) -> None:
    feed = read(tmp_path, message(safe(holding(worth="USD18725,")), totals=":19A::HOLS//EUR17000,"))
    assert feed.status is FeedStatus.COMPLETE
    assert "in EUR not compared" in feed.notes[0]


@pytest.mark.parametrize(
    "written", ["UNIT/1.234,5", "UNIT/1,234,5", "UNIT/-5,", "UNIT/", "UNIT/NaN", "UNIT/1e3", "UNIT/" + "9" * 99]
)
@pytest.mark.case("B09")
def test_a_number_that_is_none_is_refused(tmp_path: Path, written: str) -> None:
    with pytest.raises(MalformedError, match="93B AGGR"):
        read(tmp_path, message(safe(holding(balance=written))))


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (message(safe(holding()), kind="536"), "is an MT536"),
        (message(safe(holding()), page=""), "28E ''"),
        (message(safe(holding()), page="2/ONLY"), "the only one"),
        (message(safe(holding()), function="CANC"), "23G 'CANC'"),
        (message(safe(holding()).removesuffix("\r\n:16S:SUBSAFE")), "SUBSAFE does not end"),
        (message(":16S:FIN"), "is open where 16S"),
        (message(safe(":16R:FIN\r\n:93B::AGGR//UNIT/1,\r\n:16S:FIN")), "names no instrument"),
        (message(safe(":16R:FIN\r\n:35B:ISIN US0378331005\r\n:16S:FIN")), "0 aggregate balances"),
        (message(*[":16R:LINK"] * 30), "is open where 16R"),
        (message(safe(holding()))[:-30] + message(safe(holding())), "is not whole"),
        (message(safe(holding())) + b"\r\n{1:F01CUST}{2:O535", "is not whole"),
        (b"<html>Login</html>", "is not whole"),
    ],
)
def test_what_is_no_whole_statement_is_refused(tmp_path: Path, payload: bytes, said: str) -> None:
    with pytest.raises(MalformedError, match=said):
        read(tmp_path, payload)


def test_an_account_without_a_name_has_the_one_of_the_options(tmp_path: Path) -> None:
    assert held(read(tmp_path, message(safe(holding()), account=""), account="MAIN")) == {("MAIN", APPLE): "100"}
    payload = message(safe(holding())).replace(b":97A::SAFE//S 02500", b":97B::SAFE/SCOM/CEND/S-9")
    assert held(read(tmp_path, payload)) == {("S-9", APPLE): "100"}


@pytest.mark.case("A08")
def test_a_file_cut_anywhere_is_never_complete_with_less(tmp_path: Path) -> None:
    first, last = pages("1/MORE", "2/LAST")
    no_cut_is_complete(lambda raw: read(tmp_path, raw), first + b"\r\n" + last)
    no_cut_is_complete(lambda raw: read(tmp_path, raw), message(safe(holding(), account="A"), safe(holding(), account="B")))


def test_no_bytes_raise_anything_but_broker_errors(tmp_path: Path) -> None:
    payload = message(safe(holding(worth="USD18725,"), holding(BOND, price=":90A::MRKT//PRCT/98,")), totals=":19A::HOLS//USD18725,")
    nothing_escapes(lambda raw: read(tmp_path, raw), payload, seed=4, count=200)
    nothing_escapes(lambda raw: read(tmp_path, raw), message(active="N", stat=":98E::STAT//20261120213000/N0500"), seed=5)


def test_no_file_and_an_empty_one_prove_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError):
        adapter("mt535", tmp_path).positions(Ask())
    with pytest.raises(MalformedError):
        read(tmp_path, b"")


def test_the_flat_total_names_its_source(tmp_path: Path) -> None:
    source = "the statement says that nothing is held"
    assert read(tmp_path, message(active="N")).control_totals == (
        ControlTotal("rows", Decimal(0), account="S 02500", source=source),
    )
