"""The book from SQLite and from files: read exactly, never changed, and refused whole where a row cannot be believed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from recon_core.book import Book, open_book
from recon_core.config.settings import BookSettings
from recon_core.engine import connect
from recon_core.errors import BookError, BookSetupError

TABLE = "CREATE TABLE positions (broker TEXT, account TEXT, ticker TEXT, qty, price REAL, updated_at TEXT)"
WRITTEN = "(are `decimal` and `thousands` set as the source writes them?)"
ZONE = "(say `timezone`, such as America/New_York or UTC)"
COLUMNS = {"symbol": "ticker", "quantity": "qty", "avg_price": "price"}


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as made:
        yield made


def sqlite(folder: Path, rows: list[tuple[Any, ...]], *, table: str = TABLE, name: str = "book.sqlite") -> str:
    """A database with these positions, and its URL."""
    database = sqlite3.connect(folder / name)
    database.execute(table)
    if rows:
        database.executemany(f"INSERT INTO positions VALUES ({', '.join('?' * len(rows[0]))})", rows)
    database.commit()
    database.close()
    return f"sqlite:///{name}"


def row(
    symbol: str, quantity: Any, price: Any = 10.5, updated_at: Any = "2026-11-20T20:00:00Z", account: Any = "MAIN"
) -> tuple[Any, ...]:
    return ("prime", account, symbol, quantity, price, updated_at)


def opened(connection: duckdb.DuckDBPyConnection, folder: Path, **settings: Any) -> Book:
    given = {"table": "positions", "columns": COLUMNS} | settings
    return open_book(connection, BookSettings(**given), folder, broker_names=["prime"])


def test_a_sqlite_table_is_read_exactly(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    url = sqlite(tmp_path, [row("AAPL", 10), row("BTC", "0.123456789012345678"), row("X", -2.5, None, None, "")])
    book = opened(connection, tmp_path, database=url)
    assert book.mounted.describe_faults(connection) == []
    assert connection.execute(
        "SELECT broker, account, symbol, quantity, avg_price, updated_at::VARCHAR FROM book_rows"
    ).fetchall() == [
        ("prime", "MAIN", "AAPL", Decimal(10), Decimal("10.5"), "2026-11-20 20:00:00"),
        ("prime", "MAIN", "BTC", Decimal("0.123456789012345678"), Decimal("10.5"), "2026-11-20 20:00:00"),
        ("prime", None, "X", Decimal("-2.5"), None, None),
    ]
    assert (book.source, book.files, book.notes) == (f"{url} table positions", (), ())


@pytest.mark.case("B02", "B03")
def test_sqlite_floats_are_rounded_to_the_places_configured_with_a_note(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    url = sqlite(tmp_path, [row("A", 0.1 + 0.2), row("B", 1e-7), row("C", 1e16), row("D", 5e-10), row("E", 15e-10)])
    book = opened(connection, tmp_path, database=url)
    assert [found[0] for found in connection.execute("SELECT quantity FROM book_rows").fetchall()] == [
        Decimal("0.3"), Decimal("0.0000001"), Decimal(10) ** 16, Decimal(0), Decimal("0.000000002")
    ]  # fmt: skip
    assert book.notes == ("column qty: 3 binary floats rounded to 9 decimals",)


def test_a_sqlite_query_is_used_as_given(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    url = sqlite(tmp_path, [row("A", 1), row("B", 2)])
    held = "WITH held AS (SELECT * FROM positions)"
    query = f"{held} SELECT ticker AS symbol, sum(qty) AS quantity FROM held WHERE ticker <> ';' GROUP BY 1;"
    opened(connection, tmp_path, database=url, table=None, query=query, columns={})
    assert connection.execute("SELECT broker, symbol, quantity FROM book_rows ORDER BY 2").fetchall() == [
        ("prime", "A", Decimal(1)), ("prime", "B", Decimal(2))
    ]  # fmt: skip


@pytest.mark.parametrize(
    "query", ["DELETE FROM positions", "SELECT 1; DROP TABLE positions", "PRAGMA user_version = 3", "ATTACH 'x' AS y"]
)
def test_a_query_that_is_not_one_select_is_refused(connection: duckdb.DuckDBPyConnection, tmp_path: Path, query: str) -> None:
    url = sqlite(tmp_path, [row("A", 1)])
    before = (tmp_path / "book.sqlite").read_bytes()
    with pytest.raises(BookSetupError, match=r"book.query is not one SELECT"):
        opened(connection, tmp_path, database=url, table=None, query=query)
    assert (tmp_path / "book.sqlite").read_bytes() == before


def test_a_query_with_a_mistake_is_a_setup_error(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    url = sqlite(tmp_path, [row("A", 1)])
    for query in ("SELECT nothing FROM positions", "SELECT * FROM nowhere", "SELECT FROM"):
        with pytest.raises(BookSetupError, match=r"book sqlite:///book.sqlite query: .*(no such|syntax)"):
            opened(connection, tmp_path, database=url, table=None, query=query)


def test_a_missing_database_is_an_error_and_is_not_created(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    with pytest.raises(BookError, match=r"there is no SQLite database .*absent.sqlite; nothing was compared") as caught:
        opened(connection, tmp_path, database="sqlite:///absent.sqlite")
    assert not isinstance(caught.value, BookSetupError)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BookSetupError, match="names no file"):
        opened(connection, tmp_path, database="sqlite://")


def test_a_file_that_is_no_database_is_an_error(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    (tmp_path / "book.sqlite").write_text("this is no database, however long it may be " * 50)
    with pytest.raises(BookError, match="file is not a database"):
        opened(connection, tmp_path, database="sqlite:///book.sqlite")


def test_a_locked_database_is_read_as_it_was_or_refused_but_never_torn(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    url = sqlite(tmp_path, [row("A", 1)])
    writer = sqlite3.connect(tmp_path / "book.sqlite", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO positions VALUES ('prime', 'MAIN', 'B', 2, 1, NULL)")
    opened(connection, tmp_path, database=url)
    assert connection.execute("SELECT symbol FROM book_rows").fetchall() == [("A",)]
    writer.close()


def test_a_missing_table_names_the_nearest(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    url = sqlite(tmp_path, [])
    with pytest.raises(BookSetupError, match="table position: there is no such table; did you mean 'positions'"):
        opened(connection, tmp_path, database=url, table="position")
    opened(connection, tmp_path, database=url, table="main.positions")


def test_a_missing_column_names_the_nearest_and_the_others(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    url = sqlite(tmp_path, [])
    with pytest.raises(BookSetupError, match="has no column 'quantity_held'; it has broker, account, ticker"):
        opened(connection, tmp_path, database=url, columns=COLUMNS | {"quantity": "quantity_held"})
    with pytest.raises(BookSetupError, match=r"no column 'symbol': say under `columns` which it is, `columns: \{symbol: ...\}`"):
        opened(connection, tmp_path, database=url, columns={"quantity": "qty"})
    with pytest.raises(BookSetupError, match="has no column 'tickr'; did you mean 'ticker'"):
        opened(connection, tmp_path, database=url, columns=COLUMNS | {"symbol": "tickr"})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row("A", "ten"), "row 1 (prime MAIN A), column qty: 'ten' is not a number"),
        (row("A", "NaN"), "row 1 (prime MAIN A), column qty: 'NaN' is not a finite number"),
        (row("A", "1e3"), "row 1 (prime MAIN A), column qty: '1e3' is in scientific notation: digits may be lost"),
        (row("A", float("inf")), "row 1 (prime MAIN A), column qty: 'inf' is not a finite number"),
        (row("A", None), "row 1 (prime MAIN A), column qty: the quantity is empty"),
        (row("A", "1_000"), f"row 1 (prime MAIN A), column qty: '1_000' is not a number {WRITTEN}"),
        (row(" ", 1), "row 1 (prime MAIN), column ticker: the symbol is empty"),
        (row("A", 1, "x"), "row 1 (prime MAIN A), column price: 'x' is not a number"),
        (
            row("A", 1, 1, "2026-11-20 20:00:00"),
            f"row 1 (prime MAIN A), column updated_at: '2026-11-20 20:00:00' has no time zone {ZONE}",
        ),
    ],
)
def test_a_row_that_is_no_position_is_named(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, bad: tuple[Any, ...], message: str
) -> None:
    book = opened(connection, tmp_path, database=sqlite(tmp_path, [bad, row("GOOD", 1)]))
    assert book.mounted.describe_faults(connection) == [message]


def test_a_configured_timezone_settles_naive_times(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    url = sqlite(tmp_path, [row("A", 1, 1, "2026-11-20 15:00:00")])
    book = opened(connection, tmp_path, database=url, timezone="America/New_York")
    assert book.mounted.describe_faults(connection) == []
    assert connection.execute("SELECT updated_at::VARCHAR FROM book_rows").fetchall() == [("2026-11-20 20:00:00",)]


def test_bytes_and_numbers_in_a_text_column_are_refused_all_at_once(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    table = TABLE.replace("account TEXT, ticker TEXT", "account, ticker")
    url = sqlite(tmp_path, [row("A", 1), ("prime", b"\x00", 12.5, 1, 1, None)], table=table)
    with pytest.raises(BookError) as caught:
        opened(connection, tmp_path, database=url)
    assert str(caught.value).splitlines() == [
        f"book {url} table positions: row 2, column account: a bytes is neither text nor number",
        f"book {url} table positions: row 2, column ticker: 12.5 is a binary float, and text is due",
    ]


def test_a_book_without_broker_belongs_to_the_only_one(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    url = sqlite(tmp_path, [("A", 1)], table="CREATE TABLE positions (symbol TEXT, quantity NUMERIC)")
    settings = BookSettings(database=url, table="positions")
    open_book(connection, settings, tmp_path, broker_names=["prime"])
    assert connection.execute("SELECT broker FROM book_rows").fetchall() == [("prime",)]
    with pytest.raises(BookSetupError, match=r"has no column 'broker', and there are 2 brokers \(prime, alpaca\)"):
        open_book(connection, settings, tmp_path, broker_names=["prime", "alpaca"])
    named = BookSettings(database=url, table="positions", defaults={"broker": "alpaca"})
    open_book(connection, named, tmp_path, broker_names=["prime", "alpaca"])
    assert connection.execute("SELECT broker FROM book_rows").fetchall() == [("alpaca",)]


def test_aliases_apply_to_a_database_too(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    url = sqlite(tmp_path, [row("BRK/B", 1)])
    opened(connection, tmp_path, database=url, options={"aliases": {"BRK/B": "BRK.B"}})
    assert connection.execute("SELECT symbol, raw_symbol FROM book_rows").fetchall() == [("BRK.B", "BRK/B")]


def test_a_book_of_many_chunks_is_whole(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    url = sqlite(tmp_path, [row(f"S{number}", number, None) for number in range(120_001)])
    book = opened(connection, tmp_path, database=url)
    assert connection.execute("SELECT count(*), count(DISTINCT symbol), sum(quantity) FROM book_rows").fetchone() == (
        120_001,
        120_001,
        sum(range(120_001)),
    )
    assert book.mounted.describe_faults(connection) == []


def test_a_csv_book_and_its_faults(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    (tmp_path / "book.csv").write_text("broker,symbol,Qty\nprime,A,1\nprime,B,(2)\n")
    book = open_book(connection, BookSettings(file="book.csv", columns={"quantity": "Qty"}), tmp_path, broker_names=["prime"])
    assert book.source == str(tmp_path / "book.csv")
    [fault] = book.mounted.describe_faults(connection)
    assert fault.startswith("row 3, column Qty: '(2)' is not a number")


def test_a_parquet_book_streams_and_takes_its_timezone(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    connection.execute(
        "COPY (SELECT 'prime' AS broker, 'A' AS symbol, 1.5::DECIMAL(18,6) AS quantity, "
        f"TIMESTAMP '2026-11-20 20:00:00' AS updated_at) TO '{tmp_path / 'book.parquet'}' (FORMAT parquet)"
    )
    naive = open_book(connection, BookSettings(file="book.parquet"), tmp_path, broker_names=["prime"])
    assert "has no time zone" in naive.mounted.describe_faults(connection)[0]
    book = open_book(connection, BookSettings(file="book.parquet", timezone="UTC"), tmp_path, broker_names=["prime"])
    assert book.mounted.describe_faults(connection) == []
    assert book.mounted.relation.typed
    assert str(tmp_path / "book.parquet") in book.files


def test_a_dated_book_is_of_the_day_asked_for_else_the_newest(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    for day in ("2026-11-18", "2026-11-19"):
        (tmp_path / f"book-{day}.csv").write_text(f"symbol,quantity\nS{day},1\n")
    settings = BookSettings(file="book-{date:%Y-%m-%d}.csv")
    assert open_book(connection, settings, tmp_path, broker_names=["prime"]).source.endswith("book-2026-11-19.csv")
    asked = open_book(connection, settings, tmp_path, broker_names=["prime"], as_of=datetime(2026, 11, 18, 21, tzinfo=UTC))
    assert asked.source.endswith("book-2026-11-18.csv")
    with pytest.raises(BookError, match=r"there is no file .* of 2026-11-17; nothing was compared"):
        open_book(connection, settings, tmp_path, broker_names=["prime"], as_of=datetime(2026, 11, 17, 21, tzinfo=UTC))
    with pytest.raises(BookSetupError, match="'%Q' is no date format"):
        open_book(connection, BookSettings(file="book-{date:%Q}.csv"), tmp_path, broker_names=["prime"])


def test_a_book_file_with_a_wrong_column_is_a_setup_error_and_a_torn_one_is_not(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    (tmp_path / "book.csv").write_text("symbol,quantity\nA,1\nB\n")
    with pytest.raises(BookSetupError, match="no column 'Qty'"):
        open_book(connection, BookSettings(file="book.csv", columns={"quantity": "Qty"}), tmp_path, broker_names=["prime"])
    with pytest.raises(BookError, match="row 3 has 1 fields where 2 are due") as caught:
        open_book(connection, BookSettings(file="book.csv"), tmp_path, broker_names=["prime"])
    assert not isinstance(caught.value, BookSetupError)
