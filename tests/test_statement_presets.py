"""Presets of the adapter ``statement``: the files of Fidelity, Schwab and IBKR as they are, through the adapter and the command."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from deployment import Deployment, book_row, types
from statement_samples import csv, faults, feed_of, mounted, rows

from recon_core.errors import MalformedError
from recon_core.model import Feed, FeedStatus

FIDELITY = (
    "\ufeffAccount Number,Account Name,Symbol,Description,Quantity,Last Price,Last Price Change,Current Value,"
    "Today's Gain/Loss Dollar,Today's Gain/Loss Percent,Total Gain/Loss Dollar,Total Gain/Loss Percent,Percent Of Account,"
    "Cost Basis Total,Average Cost Basis,Type\r\n"
    "X11111111,Individual,SPAXX**,HELD IN MONEY MARKET,,,,$1234.56,,,,,3.25%,,,Cash,\r\n"
    'X11111111,Individual,AAPL,APPLE INC,"1,025.5",$233.60,+$2.59,"$239,556.80",+$64.75,+1.12%,+$590.00,+1.24%,20.59%,'
    '"$215,355.00",$210.00,Margin,\r\n'
    'X11111111,Individual,"BRK.B","BERKSHIRE, CLASS B",-4,$480.50,-$1.00,-$1922.00,+$4.00,+0.21%,--,--,5.00%,--,--,Short,\r\n'
    "X11111111,Individual, -AAPL261218C250,AAPL DEC 18 2026 $250 CALL,-2,$3.15,+$0.10,-$630.00,-$20.00,-3.2%,-$50.00,-8.6%,1%,"
    "$580.00,$2.90,Margin,\r\n"
    "Z22222222,Roth IRA,AAPL,APPLE INC,7,$233.60,+$2.59,$1635.20,+$1.00,+1.12%,+$5.00,+1.24%,99%,$1400.00,$200.00,Cash,\r\n"
    'Z22222222,Roth IRA,Pending activity,,,,,"$1,201.00",,,,,,,,\r\n'
    "\r\n"
    '"The data and information in this spreadsheet is provided to you solely for your use, and is not an offer."\r\n'
    "\r\n"
    '"Brokerage services are provided by a broker, Member NYSE, SIPC."\r\n'
    "\r\n"
    '"Date downloaded 11/20/2026 5:05 PM ET"\r\n'
)

SCHWAB = (
    '"Positions for account Individual ...843 as of 05:12 PM ET, 2026/11/20"\n'
    "\n"
    '"Symbol","Description","Qty (Quantity)","Price","Price Chng % (Price Change %)","Mkt Val (Market Value)","Cost Basis",'
    '"Asset Type",\n'
    '"BRK/B","BERKSHIRE HATHAWAY CLASS B","1,250","$550.50 ","-1.41%","$688,125.00 ","$600,000.00","Equity",\n'
    '"F","FORD MTR CO","(10)","12.693","0.5%","($126.93)","($120.00)","Equity",\n'
    '"SPY  261218P00600000","PUT SPDR S&P 500 $600","-2","$8.50","2%","($1,700.00)","N/A","Option",\n'
    '"Cash & Cash Investments","--","--","--","0%","$12,345.67","--","Cash and Money Market",\n'
    '"Positions Total","","--","--","--","$698,643.74","--","--",\n'
)

HEADER = (
    "Open Positions,Header,DataDiscriminator,Asset Category,Currency,Symbol,Quantity,Mult,Cost Price,Cost Basis,Close Price,Value,"
    "Unrealized P/L,Code\n"
)
IBKR = (
    "Statement,Header,Field Name,Field Value\n"
    "Statement,Data,BrokerName,Interactive Brokers LLC\n"
    'Statement,Data,Period,"November 1, 2026 - November 20, 2026"\n'
    'Statement,Data,WhenGenerated,"2026-11-21, 01:44:55 EST"\n'
    "Account Information,Header,Field Name,Field Value\n"
    "Account Information,Data,Name,A Person\n"
    "Account Information,Data,Account,U1234567\n"
    "Net Asset Value,Header,Asset Class,Prior Total,Current Long,Current Short,Current Total,Change\n"
    "Net Asset Value,Data,Stock,1,2,3,4,5\n"
    + HEADER
    + 'Open Positions,Data,Summary,Stocks,USD,AAPL,"1,000",1,180.25,180250,190.5,190500,10250,\n'
    "Open Positions,Data,Lot,Stocks,USD,AAPL,600,,180,108000,190.5,114300,6300,LT\n"
    "Open Positions,Data,Lot,Stocks,USD,AAPL,400,,180.625,72250,190.5,76200,3950,ST\n"
    "Open Positions,Data,Summary,Stocks,USD,BRK B,-5,1,402.1,-2010.5,480.5,-2402.5,-392,\n"
    "Open Positions,Total,,Stocks,USD,,,,,178239.5,,188097.5,9858,\n"
    "Open Positions,Data,Summary,Stocks,EUR,SAP,12.5,1,101.123456789,1264.04,110,1375,110.96,\n"
    "Open Positions,Total,,Stocks,EUR,,,,,1264.04,,1375,110.96,\n"
    + HEADER
    + "Open Positions,Data,Summary,Equity and Index Options,USD,AAPL 18DEC26 250 C,-2,100,2.9,-580,3.15,-630,-50,\n"
    "Open Positions,Total,,Equity and Index Options,USD,,,,,-580,,-630,-50,\n"
    "Forex Balances,Header,Asset Category,Currency,Description,Quantity,Cost Price\n"
    "Forex Balances,Data,Forex,USD,EUR,500,1.05\n"
    "Trades,Header,DataDiscriminator,Asset Category,Currency,Symbol,Date/Time,Quantity,T. Price\n"
    'Trades,Data,Order,Stocks,USD,AAPL,"2026-11-02, 10:00:00",100,180\n'
    "Notes/Legal Notes,Header,Type,Note\n"
    'Notes/Legal Notes,Data,Statement,"A note, with a comma."\n'
)
SAMPLES = {"fidelity": FIDELITY, "schwab": SCHWAB, "ibkr_activity": IBKR}


def read(folder: Path, preset: str, content: str, **options: Any) -> Feed:
    return feed_of(folder, content, **{"preset": preset, "as_of": None, **options})


def test_fidelity(tmp_path: Path) -> None:
    feed = read(tmp_path, "fidelity", FIDELITY)
    assert rows(feed, "account, symbol, quantity, market_price, avg_price, currency") == [
        ("X11111111", "AAPL", "1025.5", "233.6", "210", "USD"),
        ("X11111111", "BRK.B", "-4", "480.5", None, "USD"),
        ("X11111111", "-AAPL261218C250", "-2", "3.15", "2.9", "USD"),
        ("Z22222222", "AAPL", "7", "233.6", "200", "USD"),
    ]
    assert (feed.status, feed.date_only) == (FeedStatus.COMPLETE, True)
    assert feed.as_of is not None
    assert feed.as_of.date().isoformat() == "2026-11-20"
    sweep, pending = feed.notes
    assert sweep.startswith("1 line is left out (skip_lines) as 'X11111111,Individual,SPAXX**,HELD IN MONEY MARKET,")
    assert pending.startswith("1 line is left out (skip_lines) as 'Z22222222,Roth IRA,Pending activity,")


def test_schwab(tmp_path: Path) -> None:
    feed = read(tmp_path, "schwab", SCHWAB)
    assert rows(feed, "account, symbol, quantity, market_price, currency, asset_class") == [
        ("Individual ...843", "BRK/B", "1250", "550.5", "USD", "Equity"),
        ("Individual ...843", "F", "-10", "12.693", "USD", "Equity"),
        ("Individual ...843", "SPY  261218P00600000", "-2", "8.5", "USD", "Option"),
    ]
    assert (feed.status, feed.date_only) == (FeedStatus.COMPLETE, False)
    assert feed.as_of is not None
    assert feed.as_of.astimezone(UTC) == datetime(2026, 11, 20, 22, 12, tzinfo=UTC)
    (cash,) = feed.notes
    assert cash.startswith('1 line is left out (skip_lines) as \'"Cash & Cash Investments",')


@pytest.mark.case("E03")
def test_ibkr_activity(tmp_path: Path) -> None:
    feed = read(tmp_path, "ibkr_activity", IBKR)
    assert rows(feed, "account, symbol, quantity, multiplier, avg_price, market_price, currency, asset_class") == [
        ("U1234567", "AAPL", "1000", "1", "180.25", "190.5", "USD", "Stocks"),
        ("U1234567", "BRK B", "-5", "1", "402.1", "480.5", "USD", "Stocks"),
        ("U1234567", "SAP", "12.5", "1", "101.123456789", "110", "EUR", "Stocks"),
        ("U1234567", "AAPL 18DEC26 250 C", "-2", "100", "2.9", "3.15", "USD", "Equity and Index Options"),
    ]
    assert (feed.status, feed.basis, feed.date_only) == (FeedStatus.COMPLETE, "trade", True)
    assert feed.as_of is not None
    assert feed.as_of.date().isoformat() == "2026-11-20"
    others, totals, lots = feed.notes
    assert others.startswith("6 lines are left out (skip_lines) as 'Forex Balances,Header,")
    assert totals.startswith("3 lines are left out (skip_lines) as 'Open Positions,Total,,Stocks,USD,")
    assert lots.startswith("2 lines are left out (skip_lines) as 'Open Positions,Data,Lot,Stocks,USD,AAPL,600,")


@pytest.mark.parametrize(
    ("preset", "old", "new", "day"),
    [
        ("fidelity", "11/20/2026 5:05 PM ET", "Nov-20-2026 5:05 p.m ET", "2026-11-20"),
        ("ibkr_activity", '"November 1, 2026 - November 20, 2026"', '"November 19, 2026"', "2026-11-19"),
        ("ibkr_activity", '"November 1, 2026 - November 20, 2026"', '"November 19, 2026",,,,', "2026-11-19"),
    ],
)
def test_the_day_of_a_file_in_other_spellings(tmp_path: Path, preset: str, old: str, new: str, day: str) -> None:
    feed = read(tmp_path, preset, SAMPLES[preset].replace(old, new))
    assert feed.as_of is not None
    assert feed.as_of.date().isoformat() == day


def test_names_of_columns_of_other_years(tmp_path: Path) -> None:
    older = SCHWAB.replace("Qty (Quantity)", "Quantity").replace("Asset Type", "Security Type").replace('"', "")
    older = older.replace("1,250", "1250").replace("$688,125.00 ", "1").replace("$600,000.00", "1")
    older = older.replace("($1,700.00)", "1").replace("$12,345.67", "1").replace("$698,643.74", "1")
    assert rows(read(tmp_path, "schwab", older))[:2] == [("BRK/B", "1250"), ("F", "-10")]
    assert len(rows(read(tmp_path, "ibkr_activity", IBKR.replace(",Mult,", ",Multiplier,")))) == 4


@pytest.mark.case("A06")
@pytest.mark.parametrize(("preset", "at"), [("fidelity", "\r\n\r\n"), ("schwab", '"Positions Total"')])
def test_a_file_that_was_cut_off_before_its_last_lines_is_partial(tmp_path: Path, preset: str, at: str) -> None:
    content = SAMPLES[preset].partition(at)[0] + "\n"
    feed = read(tmp_path, preset, content, as_of="2026-11-20")
    assert feed.status is FeedStatus.PARTIAL
    assert "there is no footer" in feed.reason


@pytest.mark.case("A06")
@pytest.mark.parametrize(
    "at",
    [
        "Open Positions,Data,Lot",
        "Open Positions,Total,,Stocks,USD",
        "Open Positions,Total,,Stocks,EUR",
        "Open Positions,Data,Summary,Equity",
        "Open Positions,Total,,Equity",
        HEADER + "Open Positions,Data,Summary,Equity",
        "Forex Balances,",
    ],
)
def test_a_section_of_ibkr_that_was_cut_off_is_refused(tmp_path: Path, at: str) -> None:
    content = IBKR.partition(at)[0]
    with pytest.raises(MalformedError, match="may have been cut short"):
        read(tmp_path, "ibkr_activity", content)


def test_a_header_without_rows_proves_nothing(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="may have been cut short"):
        read(tmp_path, "ibkr_activity", IBKR.partition("Open Positions,Data")[0])
    with pytest.raises(MalformedError, match="no line begins with 'Open Positions,Header,'"):
        read(tmp_path, "ibkr_activity", IBKR.partition("Open Positions,")[0])


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("Open Positions,Total,,Stocks,USD", "Open Positions,Footnote,,Stocks,USD", 15),
        ("Open Positions,Data,Lot,Stocks,USD,AAPL,400", "Open Positions,Other,Lot,Stocks,USD,AAPL,400", 13),
    ],
)
def test_a_line_of_the_section_that_is_of_no_known_kind_is_refused(tmp_path: Path, old: str, new: str, line: int) -> None:
    with pytest.raises(MalformedError, match=f"line {line} is neither a row nor one of skip_lines"):
        read(tmp_path, "ibkr_activity", IBKR.replace(old, new))


@pytest.mark.case("E03")
def test_what_a_new_discriminator_repeats_is_not_added_up(tmp_path: Path) -> None:
    feed = read(tmp_path, "ibkr_activity", IBKR.replace("Data,Lot,", "Data,Tranche,"))
    assert [row[0] for row in rows(feed)].count("AAPL") == 3
    assert not feed.lots  # several rows of one position: the run refuses the feed


def test_the_sweep_is_left_out_only_where_it_has_no_quantity(tmp_path: Path) -> None:
    held = FIDELITY.replace("SPAXX**,HELD IN MONEY MARKET,,,,$1234.56", "SPAXX**,HELD IN MONEY MARKET,1234.56,$1.00,$0.00,$1234.56")
    assert rows(read(tmp_path, "fidelity", held))[0] == ("SPAXX**", "1234.56")
    feed = read(tmp_path, "fidelity", held, skip_rows={"Symbol": "*[*][*]"})
    assert rows(feed)[0] == ("AAPL", "1025.5")


@pytest.mark.case("B09")
@pytest.mark.parametrize(
    ("preset", "old", "new", "said"),
    [
        ("fidelity", '"1,025.5"', "", "the quantity is empty"),
        ("fidelity", '"1,025.5"', "n.m.", "'n.m.' is not a number"),
        ("schwab", '"(10)"', '"--"', "the quantity is empty"),
        ("ibkr_activity", '"1,000"', '"1.000,0"', "'1.000,0' is not a number"),
    ],
)
def test_a_position_without_a_quantity_is_a_fault_and_not_left_out(
    tmp_path: Path, preset: str, old: str, new: str, said: str
) -> None:
    content = SAMPLES[preset].replace(old, new)
    (fault,) = faults(read(tmp_path, preset, content))
    assert said in fault
    (line,) = [number for number, text in enumerate(SAMPLES[preset].splitlines(), 1) if old in text]
    assert fault.startswith(f"row {line}, ")


@pytest.mark.parametrize(
    ("preset", "old", "new"),
    [
        ("fidelity", "$233.60,+$2.59,$1635.20", "$233.60,$1635.20"),
        ("schwab", '"12.693",', ""),
        ("schwab", '"Cash & Cash Investments"', '"Roth IRA ...844"\n"Cash & Cash Investments"'),
        ("ibkr_activity", ",180.25,180250,", ",180.25,"),
    ],
)
def test_a_row_with_other_fields_than_the_header_fails_the_file(tmp_path: Path, preset: str, old: str, new: str) -> None:
    feed = read(tmp_path, preset, SAMPLES[preset].replace(old, new))
    with pytest.raises(MalformedError, match="fields where"), mounted(feed):
        pass


def test_a_second_account_behind_the_totals_of_schwab_is_refused(tmp_path: Path) -> None:
    second = '"Roth IRA ...844"\n' + "".join(SCHWAB.splitlines(keepends=True)[2:])
    with pytest.raises(MalformedError, match="is in the footer and looks like a position"):
        read(tmp_path, "schwab", SCHWAB + second)


def test_what_the_user_says_goes_before_the_preset(tmp_path: Path) -> None:
    feed = read(
        tmp_path,
        "schwab",
        SCHWAB,
        as_of="2026-11-20T22:00:00Z",
        columns={"cusip": "Description"},
        defaults={"currency": "CAD", "account": "MAIN"},
        aliases={"BRK/B": "BRK.B"},
        account_line=r"(\.{3}\d+)",
        basis="settlement",
    )
    assert rows(feed, "account, symbol, raw_symbol, currency, cusip")[0] == (
        "...843", "BRK.B", "BRK/B", "CAD", "BERKSHIRE HATHAWAY CLASS B"
    )  # fmt: skip
    assert feed.as_of == datetime(2026, 11, 20, 22, tzinfo=UTC)
    assert feed.basis == "settlement"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Account Information,Data,Account,U1234567\n", "", "no lines before or after the rows match"),
        (
            "Account Information,Data,Name",
            "Account Information,Data,Account,U7654321\nAccount Information,Data,Name",
            "lines before or after the rows name the accounts U1234567, U7654321",
        ),
    ],
)
def test_a_file_that_names_no_account_or_two_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(MalformedError, match=said):
        read(tmp_path, "ibkr_activity", IBKR.replace(old, new))


def test_the_accounts_of_a_column_go_before_the_line(tmp_path: Path) -> None:
    several = IBKR.replace(",Currency,Symbol,Quantity", ",Currency,Account,Symbol,Quantity")
    for before in ("Stocks,USD,AAPL", "Stocks,USD,BRK B", "Stocks,EUR,SAP", "Options,USD,AAPL 18DEC26"):
        several = several.replace(f"Summary,{before}", f"Summary,{before.rpartition(',')[0]},U2,{before.rpartition(',')[2]}")
    several = several.replace("Index Options,USD,AAPL", "Index Options,USD,U3,AAPL")
    assert [row[0] for row in rows(read(tmp_path, "ibkr_activity", several), "account")] == ["U2", "U2", "U2", "U3"]


@pytest.mark.parametrize("option", ["skip_lines", "rows_end_with", "account_line"])
def test_a_pattern_that_is_none_is_refused_with_its_option(tmp_path: Path, option: str) -> None:
    with pytest.raises(MalformedError, match=f"{option}: .* is no regular expression"):
        feed_of(tmp_path, csv("AAPL,1", "Total,1"), **{option: ["("] if option == "skip_lines" else "("})


def test_lines_between_the_rows_are_left_out_by_pattern_and_counted(tmp_path: Path) -> None:
    feed = feed_of(tmp_path, csv("AAPL,1", "Subtotal,1,USD", "MSFT,2", "Subtotal,2,USD"), skip_lines=["^Subtotal,"])
    assert rows(feed) == [("AAPL", "1"), ("MSFT", "2")]
    assert feed.notes == ("2 lines are left out (skip_lines) as 'Subtotal,1,USD' is",)


def test_one_of_several_names_of_a_column_is_taken_and_two_are_refused(tmp_path: Path) -> None:
    names = {"quantity": ["Qty", "Units"]}
    assert rows(feed_of(tmp_path, "Symbol,Units\nAAPL,1\n", columns=names)) == [("AAPL", "1")]
    with pytest.raises(MalformedError, match="has the columns 'Qty' and 'Units'"):
        feed_of(tmp_path, "Symbol,Units,Qty\nAAPL,1,2\n", columns=names)
    with pytest.raises(MalformedError, match="has no column 'Qty'"):
        feed_of(tmp_path, "Symbol,Amount\nAAPL,1\n", columns=names)


def deployed(folder: Path, preset: str, accounts: str, book: list[Any], content: str) -> dict[str, Any]:
    """The report of the real command on the file of one preset."""
    deployment = Deployment(folder)
    deployment.book(book)
    (folder / "statement.csv").write_bytes(content.encode())
    deployment.write(
        "recon.yaml",
        f"""version: 1
book: {{file: book.csv}}
brokers:
  prime:
    adapter: statement
    accounts: {accounts}
    options: {{path: statement.csv, preset: {preset}}}
""",
    )
    return deployment.report("--as-of", "2026-11-20T23:00:00Z")


@pytest.mark.parametrize(
    ("preset", "accounts", "book"),
    [
        (
            "fidelity",
            "{X11111111: MAIN, Z22222222: ROTH}",
            [
                book_row("AAPL", "1025.5", "210"),
                book_row("BRK.B", "-4", "480"),
                book_row("-AAPL261218C250", "-2", "2.9"),
                book_row("AAPL", "7", "200", account="ROTH"),
            ],
        ),
        (
            "schwab",
            "{Individual ...843: MAIN}",
            [book_row("BRK/B", "1250"), book_row("F", "-10"), book_row("SPY  261218P00600000", "-2")],
        ),
        (
            "ibkr_activity",
            "{U1234567: MAIN}",
            [
                book_row("AAPL", "1000", "180.25"),
                book_row("BRK B", "-5", "402.1"),
                book_row("SAP", "12.5", "101.123456789", currency="EUR"),
                book_row("AAPL 18DEC26 250 C", "-2", "2.9"),
            ],
        ),
    ],
)
def test_a_run_on_the_file_agrees_with_the_book_and_sees_what_does_not(
    tmp_path: Path, preset: str, accounts: str, book: list[Any]
) -> None:
    report = deployed(tmp_path, preset, accounts, book, SAMPLES[preset])
    (feed,) = report["feeds"]
    assert (feed["status"], feed["positions"], report["discrepancies"]) == ("COMPLETE", len(book), [])
    assert any("left out" in note for note in feed["notes"])
    (tmp_path / "again").mkdir()
    changed = [tuple("99999" if value == "-10" or value == "-4" or value == "-5" else value for value in row) for row in book]
    report = deployed(tmp_path / "again", preset, accounts, [*changed, book_row("GONE", "1")], SAMPLES[preset])
    assert sorted(types(report)) == ["MISSING_AT_BROKER", "QUANTITY_MISMATCH"]
