"""The ``statement`` adapter: which file, of what time, with what signs, and what proves it whole."""

import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from deployment import Deployment, book_row
from statement_samples import adapter, csv, faults, feed_of, mounted, rows

from recon_core.errors import MalformedError, NotReadyError
from recon_core.model import Ask, FeedStatus


@pytest.mark.case("B09")
@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("NaN", "'NaN' is not a finite number"),
        ("inf", "'inf' is not a finite number"),
        ("None", "'None' is not a number"),
        ('""', "the quantity is empty"),
        ("--", "the quantity is empty"),
        ('"1,000"', "'1,000' is not a number (are `decimal` and `thousands` set as the source writes them?)"),
        ("1_000", "'1_000' is not a number (are `decimal` and `thousands` set as the source writes them?)"),
        ("(100)", "'(100)' is not a number (if parentheses mean minus, say `negative: [parentheses]`)"),
        ("100-", "'100-' is not a number (if a minus may trail, say `negative: [trailing_minus]`)"),
        ("1e3", "'1e3' is in scientific notation: digits may be lost"),
        ("10%", "'10%' is a percentage, not a number"),
        ("$5", "'$5' is not a number"),
        ("0x10", "'0x10' is not a number"),
        ("1 000", "'1 000' is not a number (are `decimal` and `thousands` set as the source writes them?)"),
        ("0.1234567890123456789", "'0.1234567890123456789' has more than 18 decimals; a quantity is not rounded"),
        ("10000000000000000000", "'10000000000000000000' is too large; a quantity is below 10^19"),
        ("-123456789012345678901234567890", "'-123456789012345678901234567890' is too large; a quantity is below 10^19"),
    ],
)
def test_a_quantity_that_is_no_plain_number_is_refused_with_its_reason(tmp_path: Path, written: str, message: str) -> None:
    assert faults(feed_of(tmp_path, csv(f"AAPL,{written}"))) == [f"row 2, column quantity: {message}"]


@pytest.mark.parametrize(
    ("written", "quantity"),
    [
        ("+10", "10"),
        ("-.5", "-0.5"),
        ("5.", "5"),
        (" 7 ", "7"),
        ("\u00a07\u202f", "7"),
        ("0.123456789012345678000", "0.123456789012345678"),
        ("9999999999999999999.999999999999999999", "9999999999999999999.999999999999999999"),
        ("007", "7"),
    ],
)
def test_plain_numbers_are_read_exactly(tmp_path: Path, written: str, quantity: str) -> None:
    assert rows(feed_of(tmp_path, csv(f"AAPL,{written}"))) == [("AAPL", quantity)]


@pytest.mark.parametrize(
    ("options", "written", "quantity"),
    [
        ({"thousands": ","}, "1,234,567.5", "1234567.5"),
        ({"thousands": ","}, "12,34,567", "1234567"),
        ({"thousands": ",", "negative": ["parentheses"]}, "(1,234)", "-1234"),
        ({"negative": ["trailing_minus"]}, "100.5-", "-100.5"),
        ({"decimal": ","}, "1,5", "1.5"),
        ({"decimal": ",", "thousands": "."}, "-1.234,5", "-1234.5"),
        ({"decimal": ",", "thousands": "."}, "1.234", "1234"),
        ({"decimal": ",", "thousands": " "}, "1\u202f234,5", "1234.5"),
        ({"thousands": "'"}, "1'234.5", "1234.5"),
    ],
)
def test_numbers_as_configured(tmp_path: Path, options: dict[str, object], written: str, quantity: str) -> None:
    assert rows(feed_of(tmp_path, f'symbol,quantity\nAAPL,"{written}"\n', **options)) == [("AAPL", quantity)]


@pytest.mark.parametrize(
    ("options", "written", "message"),
    [
        ({"thousands": ","}, "1,23", "'1,23' is not a number"),
        ({"thousands": ","}, "1,2345", "'1,2345' is not a number"),
        ({"decimal": ","}, "1.5", "column quantity: '1.5' does not fit decimal ','"),
        ({"decimal": ",", "thousands": "."}, "1.5", "column quantity: '1.5' does not fit decimal ',' and thousands '.'"),
        ({"decimal": ","}, "1.234,5", "'1.234,5' is not a number"),
        ({"negative": ["parentheses"]}, "(-5)", "'(-5)' is not a number"),
    ],
)
def test_numbers_that_do_not_fit_the_configuration_are_refused(
    tmp_path: Path, options: dict[str, object], written: str, message: str
) -> None:
    [fault] = faults(feed_of(tmp_path, f'symbol,quantity\nAAPL,"{written}"\n', **options))
    assert message in fault


@pytest.mark.case("B07")
def test_the_side_column_gives_the_sign(tmp_path: Path) -> None:
    sign = {"column": "Side", "long": ["L", "Buy"], "short": ["S"]}
    content = csv("A,10,L", "B,10,s", "C,-10,S", "D,5,BUY", header="symbol,quantity,Side")
    assert rows(feed_of(tmp_path, content, sign=sign)) == [("A", "10"), ("B", "-10"), ("C", "-10"), ("D", "5")]


def test_a_side_that_is_neither_is_a_fault(tmp_path: Path) -> None:
    sign = {"column": "Side", "long": ["L"], "short": ["S"]}
    content = csv("A,10,X", "B,10,", "C,-10,L", header="symbol,quantity,Side")
    assert faults(feed_of(tmp_path, content, sign=sign)) == [
        "row 2: column Side: 'X' is neither long nor short",
        "row 3: column Side is empty: neither long nor short",
        "row 4: column Side says long, and the quantity is negative",
    ]


def test_separate_columns_of_long_and_short(tmp_path: Path) -> None:
    sign = {"long": "LongQty", "short": "ShortQty"}
    header = "symbol,LongQty,ShortQty"
    content = csv("A,10,", "B,,20", "C,0,-5", "D,7,2", "E,0.000000000000000001,0", header=header)
    assert rows(feed_of(tmp_path, content, sign=sign)) == [
        ("A", "10"), ("B", "-20"), ("C", "-5"), ("D", "5"), ("E", "0.000000000000000001")
    ]  # fmt: skip
    assert faults(feed_of(tmp_path, csv("A,,", "B,x,", "C,,1e3", "D,-1,", header=header), sign=sign)) == [
        "row 2, column LongQty/ShortQty: the quantity is empty",
        "row 3, column LongQty/ShortQty: 'x' is not a number",
        "row 4, column LongQty/ShortQty: '1e3' is in scientific notation: digits may be lost",
        "row 5: column LongQty holds what is long, and it is negative",
    ]


def test_prices_keep_12_decimals_and_round_half_even_with_a_note(tmp_path: Path) -> None:
    content = csv(
        "A,1,0.1234567890125",
        "B,1,0.1234567890135",
        "C,1,-0.12345678901251",
        "D,1,$1.5",
        "E,1,--",
        header="symbol,quantity,avg_price",
    )
    feed = feed_of(tmp_path, content)
    assert rows(feed, "avg_price") == [("0.123456789012",), ("0.123456789014",), ("-0.123456789013",), ("1.5",), (None,)]
    assert [row[0] >> 17 for row in rows(feed, "fault")] == [1, 1, 1, 0, 0]


def test_multipliers_are_above_0_and_exact(tmp_path: Path) -> None:
    content = csv("A,1,100", "B,1,", "C,1,0", "D,1,-1", "E,1,0.0000001", "F,1,x", header="symbol,quantity,multiplier")
    assert faults(feed_of(tmp_path, content)) == [
        *(f"row {row}, column multiplier: '{raw}' is no multiplier: above 0, below 10^12, at most 6 decimals"
          for row, raw in ((4, "0"), (5, "-1"), (6, "0.0000001"))),
        "row 7, column multiplier: 'x' is not a number",
    ]  # fmt: skip


@pytest.mark.case("G04")
def test_times_of_rows_need_an_offset_or_a_timezone(tmp_path: Path) -> None:
    header = "symbol,quantity,updated_at"
    content = csv("A,1,2026-11-20T10:00:00Z", "B,1,2026-11-20 10:00+01:00", "C,1,2026-11-20", "D,1,", header=header)
    assert [row[0].isoformat() if row[0] else None for row in rows(feed_of(tmp_path, content), "updated_at")] == [
        "2026-11-20T10:00:00", "2026-11-20T09:00:00", "2026-11-20T00:00:00", None
    ]  # fmt: skip
    naive = csv("A,1,2026-11-20 10:00:00", "B,1,03/04/26", header=header)
    assert faults(feed_of(tmp_path, naive)) == [
        "row 2, column updated_at: '2026-11-20 10:00:00' has no time zone (say `timezone`, such as America/New_York or UTC)",
        "row 3, column updated_at: '03/04/26' is not a time such as 2026-11-20T21:00:00Z",
    ]


@pytest.mark.case("G06")
def test_a_timezone_knows_daylight_saving(tmp_path: Path) -> None:
    content = csv("A,1,2026-07-01 12:00:00", "B,1,2026-12-01 12:00:00", "C,1,2026-07-01", header="symbol,quantity,updated_at")
    feed = feed_of(tmp_path, content, timezone="America/New_York")
    assert [row[0].hour for row in rows(feed, "updated_at")] == [16, 17, 4]


def test_times_in_a_format_of_their_own(tmp_path: Path) -> None:
    header, options = "symbol,quantity,updated_at", {"timezone": "UTC", "timestamp_format": "%m/%d/%y %H:%M"}
    feed = feed_of(tmp_path, csv("A,1,03/04/26 09:30", "B,1,yesterday", header=header), **options)
    assert faults(feed) == ["row 3, column updated_at: 'yesterday' is not a time such as 2026-11-20T21:00:00Z"]
    good = feed_of(tmp_path, csv("A,1,03/04/26 09:30", header=header), **options)
    assert rows(good, "updated_at")[0][0].isoformat() == "2026-03-04T09:30:00"


def test_a_missing_file_is_not_ready_and_named(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match=r"there is no file .*/absent.csv; it may not have been delivered yet"):
        adapter(tmp_path, path="absent.csv").positions(Ask())


def test_the_day_in_the_path_is_the_day_asked_for_else_the_newest(tmp_path: Path) -> None:
    for day in ("20261118", "20261119", "20261301", "2026111"):
        (tmp_path / f"pos-{day}.csv").write_text(csv(f"S{day},1"))
    statement = adapter(tmp_path, path="pos-{date:%Y%m%d}.csv", as_of={"file_name": "%Y%m%d"})
    newest = statement.positions(Ask())
    assert (rows(newest)[0][0], newest.as_of, newest.date_only) == ("S20261119", datetime(2026, 11, 19, tzinfo=UTC), True)
    asked = statement.positions(Ask(as_of=datetime(2026, 11, 18, 21, tzinfo=UTC)))
    assert rows(asked)[0][0] == "S20261118"
    with pytest.raises(NotReadyError, match="of 2026-11-17"):
        statement.positions(Ask(as_of=datetime(2026, 11, 17, 21, tzinfo=UTC)))


def test_the_day_asked_for_is_the_day_in_the_files_time_zone(tmp_path: Path) -> None:
    (tmp_path / "pos-2026-11-19.csv").write_text(csv("A,1"))
    statement = adapter(tmp_path, path="pos-{date:%Y-%m-%d}.csv", timezone="America/New_York", as_of="2026-11-19")
    assert rows(statement.positions(Ask(as_of=datetime(2026, 11, 20, 2, tzinfo=UTC)))) == [("A", "1")]


def test_as_of_from_the_option(tmp_path: Path) -> None:
    assert feed_of(tmp_path, csv()).as_of == datetime(2026, 11, 20, 21, tzinfo=UTC)
    day = feed_of(tmp_path, csv(), as_of="2026-11-20", timezone="America/New_York")
    assert (day.as_of, day.date_only) == (datetime(2026, 11, 20, 5, tzinfo=UTC), True)
    with pytest.raises(MalformedError, match="has no time zone: say `timezone`"):
        feed_of(tmp_path, csv(), as_of="2026-11-20T21:00:00")
    with pytest.raises(MalformedError, match="as_of 'noon' is not a time such as"):
        feed_of(tmp_path, csv(), as_of="noon")


def test_a_time_zone_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="timezone: 'Mars/Base' is no IANA time zone"):
        feed_of(tmp_path, csv(), as_of="2026-11-20T21:00:00", timezone="Mars/Base")


def test_as_of_from_a_column_is_one_time(tmp_path: Path) -> None:
    header = "symbol,quantity,Date"
    feed = feed_of(tmp_path, csv("A,1,11/20/2026", "B,1,11/20/2026", header=header), as_of={"column": "Date", "format": "%m/%d/%Y"})
    assert (feed.as_of, feed.date_only) == (datetime(2026, 11, 20, tzinfo=UTC), True)
    with pytest.raises(MalformedError, match="column Date has several times"):
        feed_of(tmp_path, csv("A,1,2026-11-19", "B,1,2026-11-20", header=header), as_of={"column": "Date"})
    with pytest.raises(MalformedError, match=r"no column 'Dat' \(as_of\); did you mean 'Date'"):
        feed_of(tmp_path, csv("A,1,2026-11-19", header=header), as_of={"column": "Dat"})
    assert feed_of(tmp_path, csv(header=header), as_of={"column": "Date"}).as_of is None


def test_as_of_from_a_line_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="no line before or after the rows matches 'as of"):
        feed_of(tmp_path, csv("A,1"), as_of={"line": "as of (.*)"})


def test_as_of_falls_back_on_the_time_of_change_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(csv("A,1"))
    os.utime(tmp_path / "s.csv", (1_790_000_000, 1_790_000_000))
    feed = adapter(tmp_path, path="s.csv").positions(Ask())
    assert feed.as_of == datetime.fromtimestamp(1_790_000_000, UTC)
    assert feed.notes == ("as of the time that the file was last changed: say `as_of` where the file says better",)


def test_a_stated_row_count_and_total_become_control_totals(tmp_path: Path) -> None:
    content = csv("A,1", "B,2", "Records: 2", 'Sum: "1,003.50"')
    feed = feed_of(
        tmp_path,
        content,
        footer=["Records"],
        thousands=",",
        row_count={"footer": r"Records: (\d+)"},
        control_total={"kind": "quantity", "stated": {"footer": 'Sum: "?([^"]+)'}, "tolerance": Decimal("0.5")},
    )
    assert [(total.kind, total.stated, total.tolerance) for total in feed.control_totals] == [
        ("rows", Decimal(2), Decimal(0)),
        ("quantity", Decimal("1003.50"), Decimal("0.5")),
    ]
    assert feed.status is FeedStatus.COMPLETE
    [total] = feed_of(tmp_path, csv("A,1"), row_count=Decimal(1)).control_totals
    assert (total.kind, total.stated) == ("rows", Decimal(1))


@pytest.mark.case("A08")
def test_a_file_without_the_footer_that_it_should_have_is_partial(tmp_path: Path) -> None:
    cut = feed_of(tmp_path, csv("A,1"), footer=["Records"], row_count={"footer": r"Records: (\d+)"}, require_footer=True)
    assert cut.status is FeedStatus.PARTIAL
    assert "it may have been cut short" in cut.reason
    assert rows(cut) == [("A", "1")]
    whole = feed_of(tmp_path, csv("A,1", "Records: 1"), footer=["Records"], require_footer=True)
    assert whole.status is FeedStatus.COMPLETE


def parquet(folder: Path, select: str, name: str = "statement.parquet") -> bytes:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"COPY ({select}) TO '{folder / name}' (FORMAT parquet)")
    return (folder / name).read_bytes()


def test_parquet_is_read_in_place_and_typed(tmp_path: Path) -> None:
    content = parquet(
        tmp_path,
        "SELECT ' AAPL ' AS symbol, 0.123456789012345678::DECIMAL(38,18) AS quantity, 1.5::DECIMAL(18,6) AS avg_price, "
        "'USD'::ENUM('EUR', 'USD') AS currency, TIMESTAMPTZ '2026-11-20 10:00:00+01' AS updated_at, 100::UTINYINT AS multiplier",
    )
    feed = feed_of(tmp_path, content, name="statement.parquet")
    assert feed.relation is not None
    assert feed.relation.typed
    assert rows(feed, "symbol, quantity, avg_price, currency, multiplier") == [
        ("AAPL", "0.123456789012345678", "1.5", "USD", "100")
    ]
    assert rows(feed, "updated_at") == [(datetime(2026, 11, 20, 9),)]  # noqa: DTZ001  # the engine's times are UTC


@pytest.mark.case("B02")
def test_parquet_floats_are_rounded_by_their_shortest_spelling_with_a_note(tmp_path: Path) -> None:
    content = parquet(tmp_path, "SELECT 'A' AS symbol, 0.1::DOUBLE + 0.2::DOUBLE AS quantity UNION ALL SELECT 'B', 0.1::DOUBLE")
    feed = feed_of(tmp_path, content, name="statement.parquet")
    assert rows(feed, "quantity, fault >> 16") == [("0.3", 1), ("0.1", 0)]


def test_parquet_faults_name_row_and_column(tmp_path: Path) -> None:
    content = parquet(
        tmp_path,
        "SELECT * FROM (VALUES ('A', 1::DOUBLE, NULL), ('B', 'nan'::DOUBLE, NULL), (NULL, 2::DOUBLE, NULL), "
        "('D', 3::DOUBLE, TIMESTAMP '2026-11-20 10:00:00'), ('E', NULL, NULL)) AS t(symbol, Qty, updated_at)",
    )
    assert faults(feed_of(tmp_path, content, name="statement.parquet", columns={"quantity": "Qty"})) == [
        "row 2, column Qty: 'nan' is not a finite number",
        "row 3, column symbol: the symbol is empty",
        "row 4, column updated_at: '2026-11-20 10:00:00' has no time zone (say `timezone`, such as America/New_York or UTC)",
        "row 5, column Qty: the quantity is empty",
    ]
    assert feed_of(tmp_path, content, name="statement.parquet", columns={"quantity": "Qty"}, timezone="Asia/Tokyo").relation


def test_parquet_decimals_beyond_18_places_are_refused_and_never_rounded(tmp_path: Path) -> None:
    content = parquet(
        tmp_path,
        "SELECT * FROM (VALUES ('A', 1.5::DECIMAL(38,20)), ('B', 0.12345678901234567891::DECIMAL(38,20))) AS t(symbol, quantity)",
    )
    assert faults(feed_of(tmp_path, content, name="statement.parquet")) == [
        "row 2, column quantity: '0.12345678901234567891' has more than 18 decimals; a quantity is not rounded"
    ]


def test_parquet_text_numbers_follow_the_text_rules(tmp_path: Path) -> None:
    content = parquet(tmp_path, "SELECT 'A' AS symbol, '1,000' AS quantity")
    assert rows(feed_of(tmp_path, content, name="statement.parquet", thousands=",")) == [("A", "1000")]


def test_a_boolean_quantity_and_a_numeric_identifier_are_refused(tmp_path: Path) -> None:
    content = parquet(tmp_path, "SELECT 'A' AS symbol, true AS quantity")
    assert faults(feed_of(tmp_path, content, name="statement.parquet")) == ["row 1, column quantity: 'true' is not a number"]
    floats = parquet(tmp_path, "SELECT 'A' AS symbol, 1 AS quantity, 23135106.0::DOUBLE AS cusip")
    with (
        pytest.raises(MalformedError, match="column cusip is DOUBLE, and text is due for cusip"),
        mounted(feed_of(tmp_path, floats, name="statement.parquet")),
    ):
        pass


def test_a_torn_parquet_file_is_refused(tmp_path: Path) -> None:
    content = parquet(tmp_path, "SELECT 'A' AS symbol, 1 AS quantity")
    with pytest.raises(MalformedError, match="is no Parquet file that can be read"):
        feed_of(tmp_path, content[:-20], name="statement.parquet")


def test_options_written_in_recon_yaml_reach_the_adapter(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    deployment.book([book_row("AAPL", "10"), book_row("TSLA", "-1234.5")])
    (tmp_path / "pos-20261120.csv").write_text(
        "Account 843 as of 11/20/2026 04:00 PM\nTicker;Held;Side\nAAPL;10;L\nTSLA;1.234,5;S\nCASH;5;L\nRows: 2\n"
    )
    options = """
      path: "pos-{date:%Y%m%d}.csv"
      as_of: {line: "as of (.*)", format: "%m/%d/%Y %I:%M %p"}
      timezone: America/New_York
      preamble: Ticker
      footer: [Rows]
      row_count: {footer: "Rows: ([0-9]+)"}
      require_footer: true
      delimiter: ";"
      decimal: ","
      thousands: "."
      skip_rows: {Ticker: CASH}
      sign: {column: Side, long: [L], short: [S]}
      columns: {symbol: Ticker, quantity: Held}
      defaults: {account: MAIN, currency: USD}
"""
    brokers = "brokers:\n  prime:\n    adapter: statement\n    options:"
    deployment.write("recon.yaml", f"version: 1\nbook: {{file: book.csv}}\n{brokers}{options}")
    report = deployment.report()
    assert report["verdict"] == "clean"
    assert report["feeds"][0]["as_of"].startswith("2026-11-20T21:00:00")
