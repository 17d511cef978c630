"""How files of positions are framed and written: what real exports do, and that nothing of it is guessed or lost."""

from pathlib import Path

import pytest
from statement_samples import csv, faults, feed_of, mounted, rows

from recon_core.errors import MalformedError

FIDELITY = (
    "\ufeffAccount Number,Symbol,Description,Quantity,Last Price,Average Cost Basis\n"
    "Z123,SPAXX**,HELD IN MONEY MARKET,,,,\n"
    "Z123,AAPL,APPLE INC,10,$232.10,+$180.25,\n"
    "Z123,TSLA,TESLA INC,-5,$350.00,$301.5,\n"
    "Z123,Pending activity,,,,,\n"
    "\n"
    '"The data and information in this spreadsheet is provided, for example, to you solely for your use"\n'
    "\n"
    "Date downloaded Nov-20-2026 11:22 p.m ET\n"
)
FIDELITY_OPTIONS = {
    "columns": {"account": "Account Number", "market_price": "Last Price", "avg_price": "Average Cost Basis"},
    "skip_rows": {"Symbol": "SPAXX[*][*]", "Account Number": "never"},
    "footer": ["The data and information"],
}

SCHWAB = (
    '"Positions for account Individual ...843 as of 11:22 PM ET, 2026/11/20"\r\n'
    "\r\n"
    '"Symbol","Qty (Quantity)","Price","Cost Basis"\r\n'
    '"BRK/B","2 ","$550.50 ","$1,000.00"\r\n'
    '"F","1,000","$12.10","($126.93)"\r\n'
    '"Cash & Cash Investments","--","--","--"\r\n'
    '"Positions Total","","--","$873.07"\r\n'
)
SCHWAB_OPTIONS = {
    "columns": {"quantity": "Qty (Quantity)", "market_price": "Price", "avg_price": "Cost Basis"},
    "preamble": '"Symbol"',
    "footer": ["Positions Total"],
    "skip_rows": {"Symbol": "Cash & Cash*"},
    "thousands": ",",
    "negative": ["parentheses"],
}

IBKR = (
    "Statement,Header,Field Name,Field Value\n"
    'Statement,Data,Period,"November 20, 2026"\n'
    "Open Positions,Header,DataDiscriminator,Asset Category,Currency,Symbol,Quantity,Cost Price\n"
    'Open Positions,Data,Summary,Stocks,USD,AAPL,"1,000",180.25\n'
    'Open Positions,Data,Lot,Stocks,USD,AAPL,"400",181\n'
    "Open Positions,Data,Summary,Stocks,USD,MSFT,-5,402.1\n"
    "Open Positions,SubTotal,,Stocks,USD,,,\n"
    "Open Positions,Total,,Stocks,USD,,,\n"
    "Forex Balances,Header,Asset Category,Currency,Description,Quantity\n"
    "Forex Balances,Data,Forex,USD,EUR,100\n"
)


def test_fidelity_rows_with_a_field_more_than_the_header_are_not_shifted(tmp_path: Path) -> None:
    skip = {"Symbol": "SPAXX[*][*]"}
    feed = feed_of(tmp_path, FIDELITY.replace("Z123,Pending activity,,,,,\n", ""), **FIDELITY_OPTIONS | {"skip_rows": skip})
    found = rows(feed, "account, symbol, quantity, market_price, avg_price")
    assert found == [("Z123", "AAPL", "10", "232.1", "180.25"), ("Z123", "TSLA", "-5", "350", "301.5")]


def test_skip_rows_takes_a_blank_value_too(tmp_path: Path) -> None:
    feed = feed_of(tmp_path, FIDELITY, **FIDELITY_OPTIONS | {"skip_rows": {"Quantity": ""}})
    assert rows(feed) == [("AAPL", "10"), ("TSLA", "-5")]
    assert feed.notes == ("rows whose Quantity is like '' are left out",)


def test_a_field_without_a_header_must_be_empty(tmp_path: Path) -> None:
    feed = feed_of(tmp_path, csv("AAPL,1,", "MSFT,2,7"))
    assert faults(feed) == ["row 3: one field more than the header has: '7'"]


def test_schwab_preamble_total_row_trailing_blanks_and_parentheses(tmp_path: Path) -> None:
    as_of = {"line": "as of (.*)", "format": "%I:%M %p ET, %Y/%m/%d"}
    feed = feed_of(tmp_path, SCHWAB, as_of=as_of, timezone="America/New_York", **SCHWAB_OPTIONS)
    assert rows(feed, "symbol, quantity, market_price, avg_price") == [
        ("BRK/B", "2", "550.5", "1000"),
        ("F", "1000", "12.1", "-126.93"),
    ]
    assert feed.as_of is not None
    assert feed.as_of.isoformat() == "2026-11-20T23:22:00-05:00"


def test_one_section_of_an_ibkr_activity_statement(tmp_path: Path) -> None:
    feed = feed_of(
        tmp_path,
        IBKR,
        preamble="Open Positions,Header,",
        rows_start_with="Open Positions,Data,",
        skip_rows={"DataDiscriminator": "Lot"},
        columns={"asset_class": "Asset Category", "avg_price": "Cost Price"},
        thousands=",",
    )
    assert rows(feed, "symbol, quantity, avg_price, asset_class") == [
        ("AAPL", "1000", "180.25", "Stocks"),
        ("MSFT", "-5", "402.1", "Stocks"),
    ]


def test_a_second_header_with_other_columns_in_a_section_is_refused(tmp_path: Path) -> None:
    again = "Open Positions,Header,DataDiscriminator,Asset Category,Currency,Symbol,Multiplier,Quantity\n"
    with pytest.raises(MalformedError, match="line 9 is a second header with other columns"):
        feed_of(
            tmp_path,
            IBKR.replace("Forex Balances,Header", again + "Forex Balances,Header"),
            preamble="Open Positions,Header,",
            rows_start_with="Open Positions,Data,",
        )


@pytest.mark.parametrize("line", ["made by\rthe night shift", "#" * 200_000], ids=["carriage return", "long"])
def test_a_line_before_the_header_may_be_one_that_no_row_could_be(tmp_path: Path, line: str) -> None:
    assert rows(feed_of(tmp_path, f"{line}\n" + csv("AAPL,1"), preamble=1)) == [("AAPL", "1")]


def test_a_footer_text_that_begins_a_position_is_refused(tmp_path: Path) -> None:
    content = csv("AAPL,1", "TotalEnergies,10", "MSFT,2", "Total,13")
    with pytest.raises(MalformedError, match=r"line 3 is in the footer and looks like a position \(TotalEnergies 10\)"):
        feed_of(tmp_path, content, footer=["Total"])


def test_a_footer_line_with_figures_is_listed_whole(tmp_path: Path) -> None:
    content = csv("AAPL,1", "End of report", "Sum,1")
    with pytest.raises(MalformedError, match="list this line's first field there whole"):
        feed_of(tmp_path, content, footer=["End of"])
    assert rows(feed_of(tmp_path, content, footer=["End of", "Sum"])) == [("AAPL", "1")]


def test_a_total_line_that_is_the_footer_text_is_no_position(tmp_path: Path) -> None:
    assert rows(feed_of(tmp_path, csv("AAPL,1", "Total,1"), footer=["Total"])) == [("AAPL", "1")]


def test_quoted_newlines_delimiters_and_doubled_quotes(tmp_path: Path) -> None:
    content = csv('AAPL,1,"Apple\nInc, ""the"" maker"', "MSFT,2,x", header="symbol,quantity,name")
    assert rows(feed_of(tmp_path, content)) == [("AAPL", "1"), ("MSFT", "2")]


def test_a_header_over_two_lines_is_one_header(tmp_path: Path) -> None:
    feed = feed_of(tmp_path, csv("AAPL,1", "MSFT,x", header='symbol,"Total\nQty"'), columns={"quantity": "Total\nQty"})
    assert faults(feed) == ["row 4, column Total\nQty: 'x' is not a number"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("AAPL,1", "MSFT"), "row 3 has 1 fields where 2 are due"),
        (("AAPL,1", "MSFT,2,3"), "row 3 has 3 fields where 2 are due"),
        (("AAPL,1", 'MSFT,"2'), "row 3: a quote is opened and not closed; was the file written to the end?"),
        (("AAPL,1", 'MSFT,"2"x'), "row 3: a quote is opened and not closed"),
    ],
)
def test_a_ragged_row_is_an_error_that_names_it(tmp_path: Path, lines: tuple[str, ...], message: str) -> None:
    with pytest.raises(MalformedError, match=message.replace("?", r"\?")), mounted(feed_of(tmp_path, csv(*lines))):
        pass


def test_lines_that_end_in_different_ways_are_refused_in_words(tmp_path: Path) -> None:
    mixed = feed_of(tmp_path, b"symbol,quantity\r\nAAPL,1\nMSFT,2\r\n")
    with pytest.raises(MalformedError, match="its lines end in different ways"), mounted(mixed):
        pass


def test_a_ragged_row_behind_a_preamble_keeps_its_number(tmp_path: Path) -> None:
    content = "Account 843\n\nAs of today\n" + csv("AAPL,1", "MSFT")
    with pytest.raises(MalformedError, match="row 6 has 1 fields"), mounted(feed_of(tmp_path, content, preamble=3)):
        pass


def test_rows_are_numbered_as_in_the_file(tmp_path: Path) -> None:
    content = "Account 843\n" + csv("AAPL,1", "CASH,0", "MSFT,x", "Total,1")
    feed = feed_of(tmp_path, content, preamble=1, skip_rows={"symbol": "CASH"}, footer=["Total"])
    assert faults(feed) == ["row 5, column quantity: 'x' is not a number"]


def test_0_bytes_are_an_error_and_a_header_alone_is_no_rows(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="is empty: 0 bytes"):
        feed_of(tmp_path, b"")
    assert rows(feed_of(tmp_path, csv())) == []
    assert rows(feed_of(tmp_path, "symbol,quantity")) == []


def test_blank_lines_and_rows_of_nothing_are_no_rows(tmp_path: Path) -> None:
    assert rows(feed_of(tmp_path, csv("AAPL,1", ",", "", "MSFT,2", "", "   ", "\x1a"))) == [("AAPL", "1"), ("MSFT", "2")]


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252", "latin-1", "utf-8"])
def test_encodings_as_configured(tmp_path: Path, encoding: str) -> None:
    feed = feed_of(tmp_path, csv("NOVÉ,1").encode(encoding), encoding=encoding)
    assert rows(feed) == [("NOVÉ", "1")]


def test_a_wrong_encoding_is_named(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="begins with the mark of utf-16: say `encoding: utf-16`"):
        feed_of(tmp_path, csv("A,1").encode("utf-16"))
    with (
        pytest.raises(MalformedError, match="not utf-8; set `encoding`"),
        mounted(feed_of(tmp_path, csv("NOVÉ,1").encode("latin-1"))),
    ):
        pass
    with pytest.raises(MalformedError, match="is not cp1252"):
        feed_of(tmp_path, b"symbol,quantity\n\x81,1\n", encoding="cp1252")


def test_a_wrong_delimiter_says_so(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match=r"there is one column only, 'symbol;quantity': is the delimiter ';'\?"):
        feed_of(tmp_path, "symbol;quantity\nAAPL;1\n")
    assert rows(feed_of(tmp_path, "symbol;quantity\nAAPL;1\n", delimiter=";")) == [("AAPL", "1")]


def test_tabs_and_carriage_returns(tmp_path: Path) -> None:
    assert rows(feed_of(tmp_path, "symbol\tquantity\tnote\nAAPL\t1\t\n", name="s.tsv")) == [("AAPL", "1")]
    assert rows(feed_of(tmp_path, "symbol,quantity\rAAPL,1\rMSFT,2\r")) == [("AAPL", "1"), ("MSFT", "2")]


def test_tickers_that_other_readers_take_for_something_else_stay_text(tmp_path: Path) -> None:
    tickers = ["TRUE", "NA", "NAN", "null", "ON", "007", "1E5", "--X"]
    assert [row[0] for row in rows(feed_of(tmp_path, csv(*(f"{ticker},1" for ticker in tickers))))] == tickers


@pytest.mark.case("D02")
def test_leading_zeros_of_cusip_and_account_are_kept(tmp_path: Path) -> None:
    feed = feed_of(tmp_path, csv("00123,AMZN,1,023135106", header="account,symbol,quantity,cusip"))
    assert rows(feed, "account, cusip") == [("00123", "023135106")]


def test_an_identifier_that_a_spreadsheet_made_a_number_is_a_fault(tmp_path: Path) -> None:
    feed = feed_of(tmp_path, csv("AAPL,1,7.8462E+09", header="symbol,quantity,cusip"))
    assert faults(feed) == [
        "row 2, column cusip: '7.8462E+09' is an identifier that a spreadsheet turned into a number; export it as text"
    ]


def test_a_mapped_column_that_stands_twice_is_refused_and_another_does_no_harm(tmp_path: Path) -> None:
    content = csv("AAPL,1,2,3", header="symbol,quantity,note,note")
    assert rows(feed_of(tmp_path, content)) == [("AAPL", "1")]
    with pytest.raises(MalformedError, match="2 columns are called 'note'; which is meant cannot be told"):
        feed_of(tmp_path, content, columns={"isin": "note"})
    with pytest.raises(MalformedError, match="2 columns are called 'quantity'"):
        feed_of(tmp_path, csv("AAPL,1,2", header="symbol,Quantity,quantity "))


def test_an_unknown_column_shows_the_files_own_and_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match=r"no column 'Qyt' \(columns.quantity\); did you mean 'Qty'\?; it has Ticker, Qty"):
        feed_of(tmp_path, csv("AAPL,1", header="Ticker,Qty"), columns={"symbol": "Ticker", "quantity": "Qyt"})
    with pytest.raises(MalformedError, match="no column 'symbol': say under `columns` which it is; it has Ticker, Quantity"):
        feed_of(tmp_path, csv("AAPL,1", header="Ticker,Quantity"))


def test_our_own_names_are_found_without_mapping_in_any_case(tmp_path: Path) -> None:
    feed = feed_of(tmp_path, csv("AAPL,1,180.5,US0378331005", header="SYMBOL,Quantity,Avg Price,ISIN"))
    assert rows(feed, "symbol, quantity, avg_price, isin") == [("AAPL", "1", "180.5", "US0378331005")]


def test_defaults_fill_columns_that_the_file_lacks_and_only_those(tmp_path: Path) -> None:
    feed = feed_of(tmp_path, csv("AAPL,1,EUR", header="symbol,quantity,currency"), defaults={"account": "MAIN", "currency": "USD"})
    assert rows(feed, "account, currency") == [("MAIN", "EUR")]


@pytest.mark.case("D01", "D03")
def test_aliases_keep_the_files_own_symbol_beside_ours(tmp_path: Path) -> None:
    feed = feed_of(tmp_path, csv("BRK/B ,2", "FB,1", "MSFT,3"), aliases={"BRK/B": "BRK.B", "FB": "META"})
    assert sorted(rows(feed, "symbol, raw_symbol")) == [("BRK.B", "BRK/B"), ("META", "FB"), ("MSFT", None)]


def test_paths_that_look_like_patterns_are_names(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("not,this\n")
    assert rows(feed_of(tmp_path, csv("AAPL,1"), name="b[*]'?.csv")) == [("AAPL", "1")]


def test_a_file_whose_format_its_name_does_not_tell(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="say `format`"):
        feed_of(tmp_path, csv("AAPL,1"), name="positions.dat")
    assert rows(feed_of(tmp_path, csv("AAPL,1"), name="positions.dat", format="csv")) == [("AAPL", "1")]


def test_json_keeps_every_digit_and_reaches_into_objects(tmp_path: Path) -> None:
    content = (
        '{"asOf": "2026-11-20T21:00:00Z", "data": {"items": [{"instrument": {"symbol": "BTC"}, "quantity": 0.123456789012345678, '
        '"avg_price": 1E-7, "name": null}, {"instrument": {"symbol": "NAN"}, "quantity": "-2", "name": "x"}]}}'
    )
    feed = feed_of(
        tmp_path,
        content,
        name="s.json",
        records="data.items",
        columns={"symbol": "instrument.symbol"},
        as_of={"line": "asOf: (.*)"},
    )
    assert rows(feed, "symbol, quantity, avg_price") == [("BTC", "0.123456789012345678", "0.0000001"), ("NAN", "-2", None)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"symbol": "A", "quantity": NaN}]', "NaN is no number"),
        ('[{"symbol": "A", "quantity": 1, "quantity": 2}]', "the key 'quantity' stands twice in one object"),
        ('[{"symbol": "A", "quantity": 1}', "not JSON: .*; was it written to the end"),
        ('{"positions": []}', "is an object, not an array of positions; say `records: positions`"),
        ("[1]", "record 1 is a text or number, not an object"),
        ("", "is empty: 0 bytes"),
        ('"x"', "is a text or number, not an array"),
        ("[" * 100_000, "nested too deep"),
        ('[{"symbol": "A", "side": {"long.lots": {"q": 1}, "long": {"lots.q": 2}}}]', r"record 1 says 'side\.long\.lots\.q' twice"),
        ('[{"symbol": "A\\uD800", "quantity": 1}]', "half a surrogate pair"),
        ('[{"\\ud800": "A", "quantity": 1}]', "half a surrogate pair"),
    ],
)
def test_json_that_cannot_be_believed(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        feed_of(tmp_path, content, name="s.json")


def test_json_records_that_are_not_there_say_what_is(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match=r"there is no 'data.rows' .*: looking for 'rows' among items"):
        feed_of(tmp_path, '{"data": {"items": []}}', name="s.json", records="data.rows")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "s-{date:%Y%Y}.csv"}, "'%Y%Y' is no date format: %Y stands in it twice"),
        ({"as_of": {"file_name": "%d%d"}}, "'%d%d' is no date format: %d stands in it twice"),
        ({"as_of": {"line": "of (.*)", "format": "%Y %Y"}}, "'2026 2026' is not a time by '%Y %Y'"),
    ],
    ids=["path", "file_name", "line"],
)
def test_a_date_format_that_says_a_part_twice_is_refused(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        feed_of(tmp_path, "of 2026 2026\nsymbol,quantity\nA,1\n", name="s-20262026.csv", preamble="symbol", **options)


def test_json_exponent_that_no_number_can_have_is_a_fault_of_its_row(tmp_path: Path) -> None:
    feed = feed_of(tmp_path, '[{"symbol": "A", "quantity": 1e9999999999999999999}]', name="s.json")
    assert faults(feed) == ["row 1, column quantity: '1e9999999999999999999' is in scientific notation: digits may be lost"]


@pytest.mark.parametrize("name", ["s.csv", "s.json"])
def test_a_file_of_nothing_but_the_mark_of_its_encoding_is_empty(tmp_path: Path, name: str) -> None:
    with pytest.raises(MalformedError, match="is empty: 0 bytes"):
        feed_of(tmp_path, b"\xff\xfe", name=name, encoding="utf-16")


def test_json_true_and_lists_are_no_quantities(tmp_path: Path) -> None:
    content = '[{"symbol": "A", "quantity": true}, {"symbol": "B", "quantity": [1]}, {"symbol": "C"}]'
    feed = feed_of(tmp_path, content, name="s.json")
    assert faults(feed) == [
        "row 1, column quantity: 'true' is not a number",
        "row 2, column quantity: '[\"1\"]' is not a number",
        "row 3, column quantity: the quantity is empty",
    ]
