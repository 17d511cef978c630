"""The book in a real PostgreSQL: exact, read-only, and quiet about its password."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from canaries import PASSWORD
from services import postgres

from recon_core.book import Book, open_book
from recon_core.config.settings import BookSettings
from recon_core.engine import connect
from recon_core.errors import BookError, BookSetupError


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres() as started:
        yield started


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as made:
        yield made


def execute(url: str, *statements: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.fixture
def table(url: str) -> str:
    execute(
        url,
        "DROP SCHEMA IF EXISTS trading CASCADE",
        "CREATE SCHEMA trading",
        'CREATE TABLE trading.positions (broker text, account text, "Ticker" text, qty numeric(38, 18), price double precision, '
        "updated_at timestamptz, opened_at date, flag boolean)",
    )
    return "trading.positions"


def opened(connection: duckdb.DuckDBPyConnection, url: str, **settings: Any) -> Book:
    columns = {"symbol": "Ticker", "quantity": "qty", "avg_price": "price"}
    given = {"database": url, "table": "trading.positions", "columns": columns} | settings
    return open_book(connection, BookSettings(**given), Path(), broker_names=["prime"])


def test_a_postgres_table_is_read_exactly(connection: duckdb.DuckDBPyConnection, url: str, table: str) -> None:
    execute(
        url,
        f"INSERT INTO {table} VALUES ('prime', '00123', 'BTC', 0.123456789012345678, 0.1::float8 + 0.2::float8, "
        "'2026-11-20 15:00:00-05', '2026-01-02', true), ('prime', 'B', 'TRUE', -1000000000000, NULL, NULL, NULL, NULL)",
    )
    book = opened(connection, url)
    assert book.mounted.describe_faults(connection) == []
    rows = connection.execute("SELECT account, symbol, quantity, avg_price, updated_at::VARCHAR, opened_at::VARCHAR FROM book_rows")
    assert rows.fetchall() == [
        ("00123", "BTC", Decimal("0.123456789012345678"), Decimal("0.3"), "2026-11-20 20:00:00", "2026-01-02 00:00:00"),
        ("B", "TRUE", Decimal(-1000000000000), None, None, None),
    ]
    assert book.notes == ("column price: 1 binary floats rounded to 9 decimals",)
    assert PASSWORD not in book.source
    assert "table trading.positions" in book.source


def test_more_rows_than_a_chunk_are_all_read(connection: duckdb.DuckDBPyConnection, url: str, table: str) -> None:
    execute(
        url,
        f"INSERT INTO {table} SELECT 'prime', 'MAIN', 'S' || i, i, NULL, NULL, NULL, NULL FROM generate_series(1, 120001) AS t(i)",
    )
    opened(connection, url)
    assert connection.execute("SELECT count(DISTINCT symbol) FROM book_rows").fetchone() == (120_001,)


def test_plain_columns_are_read_in_bulk_and_anything_else_value_by_value(
    connection: duckdb.DuckDBPyConnection, url: str, table: str
) -> None:
    execute(url, f"INSERT INTO {table} VALUES ('prime', 'MAIN', 'A', 1, 1, now(), NULL, NULL)")
    assert opened(connection, url).mounted.relation.typed
    for odd in (
        "('prime', 'MAIN', E'B\\t', 1, 1, NULL, NULL, NULL)",
        "('prime', 'MAIN', '1.2E+10', 1, 1, NULL, NULL, NULL)",
        "('prime', 'MAIN', 'C', 'NaN', 1, NULL, NULL, NULL)",
        "('prime', 'MAIN', 'D', 1, 'NaN', NULL, NULL, NULL)",
    ):
        execute(url, f"DELETE FROM {table}", f"INSERT INTO {table} VALUES {odd}")
        assert not opened(connection, url).mounted.relation.typed, odd


def test_a_numeric_without_a_scale_is_exact_and_one_with_too_many_decimals_a_fault(
    connection: duckdb.DuckDBPyConnection, url: str, table: str
) -> None:
    execute(
        url,
        f"ALTER TABLE {table} ALTER COLUMN qty TYPE numeric",
        f"INSERT INTO {table} VALUES ('prime', 'MAIN', 'A', 9999999999999999999.123456789012345678, 1, NULL, NULL, NULL)",
    )
    opened(connection, url)
    assert connection.execute("SELECT quantity FROM book_rows").fetchall() == [(Decimal("9999999999999999999.123456789012345678"),)]
    execute(url, f"UPDATE {table} SET qty = 0.1234567890123456789")
    assert opened(connection, url).mounted.describe_faults(connection) == [
        "row 1 (prime MAIN A), column qty: '0.1234567890123456789' has more than 18 decimals; a quantity is not rounded"
    ]


def test_a_time_past_all_calendars_is_refused(connection: duckdb.DuckDBPyConnection, url: str, table: str) -> None:
    for time in ("12026-01-01 00:00+00", "0044-03-15 00:00+00 BC", "infinity"):
        execute(url, f"DELETE FROM {table}", f"INSERT INTO {table} VALUES ('prime', 'MAIN', 'A', 1, 1, '{time}', NULL, NULL)")
        with pytest.raises(BookError, match="nothing was compared"):
            opened(connection, url)


def test_a_query_with_casts_and_percents_is_used_as_given(connection: duckdb.DuckDBPyConnection, url: str, table: str) -> None:
    execute(url, f"INSERT INTO {table} VALUES ('prime', 'MAIN', 'A%', 2, 1, NULL, NULL, NULL)")
    query = f"""SELECT "Ticker"::varchar AS symbol, (qty * 7 % 4)::numeric AS quantity -- all: of them
        FROM {table} WHERE "Ticker" LIKE 'A%'"""
    opened(connection, url, table=None, query=query, columns={})
    assert connection.execute("SELECT symbol, quantity FROM book_rows").fetchall() == [("A%", Decimal(2))]


def test_nan_and_naive_times_are_named(connection: duckdb.DuckDBPyConnection, url: str, table: str) -> None:
    execute(
        url,
        f"ALTER TABLE {table} ALTER COLUMN updated_at TYPE timestamp, ALTER COLUMN qty TYPE numeric",
        f"INSERT INTO {table} VALUES ('prime', 'MAIN', 'A', 'NaN', 'Infinity', '2026-11-20 15:00:00', NULL, NULL)",
    )
    assert opened(connection, url).mounted.describe_faults(connection) == [
        "row 1 (prime MAIN A), column qty: 'NaN' is not a finite number",
        "row 1 (prime MAIN A), column price: 'inf' is not a finite number",
        "row 1 (prime MAIN A), column updated_at: '2026-11-20T15:00:00' has no time zone "
        "(say `timezone`, such as America/New_York or UTC)",
    ]


def test_a_boolean_where_text_or_a_number_is_due_is_refused(connection: duckdb.DuckDBPyConnection, url: str, table: str) -> None:
    execute(url, f"INSERT INTO {table} VALUES ('prime', 'MAIN', 'A', 1, 1, NULL, NULL, true)")
    with pytest.raises(BookError, match="row 1, column flag: a bool is neither text nor number"):
        opened(connection, url, columns={"symbol": "Ticker", "quantity": "flag"})


def test_a_query_cannot_write(connection: duckdb.DuckDBPyConnection, url: str, table: str) -> None:
    execute(
        url,
        f"INSERT INTO {table} VALUES ('prime', 'MAIN', 'A', 1, 1, NULL, NULL, NULL)",
        "CREATE FUNCTION trading.clear() RETURNS numeric LANGUAGE sql AS 'DELETE FROM trading.positions; SELECT 1::numeric'",
    )
    query = "SELECT 'A' AS symbol, trading.clear() AS quantity"
    with pytest.raises(BookError, match="cannot execute DELETE in a read-only transaction"):
        opened(connection, url, table=None, query=query, columns={})
    opened(connection, url)
    assert connection.execute("SELECT symbol FROM book_rows").fetchall() == [("A",)]


def test_missing_schema_table_and_column_are_setup_errors(connection: duckdb.DuckDBPyConnection, url: str, table: str) -> None:
    with pytest.raises(BookSetupError, match=r"table trading.position: there is no such table; did you mean 'positions'"):
        opened(connection, url, table="trading.position")
    with pytest.raises(BookSetupError, match="there is no schema 'tradin'"):
        opened(connection, url, table="tradin.positions")
    with pytest.raises(BookSetupError, match="has no column 'quantity_held'"):
        opened(connection, url, columns={"symbol": "Ticker", "quantity": "quantity_held"})
    with pytest.raises(BookSetupError, match='relation "nowhere" does not exist'):
        opened(connection, url, table=None, query="SELECT * FROM nowhere")


def test_an_unreachable_database_is_an_error_without_its_password(connection: duckdb.DuckDBPyConnection, url: str) -> None:
    wrong = url.replace(PASSWORD, "canary-wrong")
    with pytest.raises(
        BookError, match=r"book postgresql\+psycopg://recon:\*\*\*@127.0.0.1.*password authentication failed"
    ) as refused:
        opened(connection, wrong)
    assert "canary-wrong" not in str(refused.value)
    assert not isinstance(refused.value, BookSetupError)
    with pytest.raises(BookError, match="nothing was compared") as absent:
        opened(connection, "postgresql://recon:canary-absent@127.0.0.1:9/postgres")
    assert "canary-absent" not in str(absent.value)


def test_urls_that_name_no_database_are_setup_errors(connection: duckdb.DuckDBPyConnection) -> None:
    for database, message in (
        ("positions.db", "is no URL such as"),
        ("foxpro://host/x", "SQLAlchemy knows no database 'foxpro'"),
        ("oracle+oracledb://host/x", "the driver 'oracledb' is not installed"),
    ):
        with pytest.raises(BookSetupError, match=message):
            opened(connection, database)
