"""Positions from any source in one shape: exact, typed, and with what is wrong beside each row."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Context, Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recon_core.engine import connect
from recon_core.errors import BookError, MalformedError
from recon_core.model import POSITION_COLUMNS, Position, Relation
from recon_core.tables import numbers
from recon_core.tables.mounting import duplicate_rows, mount, mount_positions

WIDE = Context(prec=1200, rounding=ROUND_HALF_EVEN)
CANONICAL = [
    ("account", "VARCHAR"),
    ("symbol", "VARCHAR"),
    ("leg", "VARCHAR"),
    ("asset_class", "VARCHAR"),
    ("currency", "VARCHAR"),
    ("quantity", "DECIMAL(38,18)"),
    ("avg_price", "DECIMAL(38,12)"),
    ("market_price", "DECIMAL(38,12)"),
    ("multiplier", "DECIMAL(18,6)"),
    ("isin", "VARCHAR"),
    ("cusip", "VARCHAR"),
    ("updated_at", "TIMESTAMP"),
    ("opened_at", "TIMESTAMP"),
    ("raw_symbol", "VARCHAR"),
    ("fault", "UINTEGER"),
]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as made:
        yield made


def computed(
    connection: duckdb.DuckDBPyConnection, number: numbers.Number, query: str
) -> list[tuple[Decimal | None, bool, bool, bool]]:
    """Value, rounded, large and wrong of each row."""
    for step in number.steps:
        query = f"SELECT *, {', '.join(f'{sql} AS {name}' for name, sql in step.items())} FROM ({query})"
    return connection.execute(f"SELECT {number.value}, {number.rounded}, {number.large}, {number.wrong} FROM ({query})").fetchall()


def doubles() -> st.SearchStrategy[float]:
    """Floats as they come: decimals written out, halves at the place of rounding, and any bit pattern."""
    written = st.builds(lambda digits, places: digits / 10**places, st.integers(-(10**13), 10**13), st.integers(0, 14))
    halves = st.builds(lambda whole, places: (whole + 0.5) / 10**places, st.integers(-(10**9), 10**9), st.integers(0, 12))
    patterns = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("d", struct.pack("Q", bits))[0]).filter(lambda x: x == x)
    return written | halves | patterns.filter(lambda value: abs(value) != float("inf"))


@settings(max_examples=40, deadline=None)
@given(st.lists(doubles(), min_size=1, max_size=60), st.integers(0, 18), st.sampled_from(["quantity", "price"]))
@pytest.mark.case("B02")
def test_a_binary_float_is_the_decimal_of_its_shortest_spelling_rounded_half_even(
    values: list[float], places: int, kind: str
) -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE given AS SELECT unnest(CAST(? AS DOUBLE[])) AS x", [values])
        number = numbers.quantity("x", "DOUBLE", places) if kind == "quantity" else numbers.price("x", "DOUBLE", places)
        found = computed(connection, number, "SELECT * FROM given")
    kept, limit = (places, Decimal(10) ** 19) if kind == "quantity" else (min(places, 12), Decimal(10) ** 26)
    for value, (result, rounded, large, wrong) in zip(values, found, strict=True):
        spelled = Decimal(repr(value))
        expected = WIDE.quantize(spelled, Decimal(1).scaleb(-kept))
        assert not wrong
        if abs(expected) >= limit:
            assert large, value
        else:
            assert (result, rounded, large) == (expected, expected != spelled, False), value


@settings(max_examples=25, deadline=None)
@given(st.lists(st.decimals(-(10**20), 10**20, places=20, allow_nan=False), min_size=1, max_size=40))
def test_a_price_of_many_decimals_is_rounded_half_even_as_text_and_as_decimal(values: list[Decimal]) -> None:
    short = [value for value in values if abs(value) < 10**17]
    halves = [WIDE.add(WIDE.quantize(value, Decimal("1e-12")), Decimal("5e-13")) for value in short]
    with duckdb.connect() as connection:
        for numbers_given, type_name in (([*values, *halves], "VARCHAR"), ([*short, *halves], "DECIMAL(38,20)")):
            texts = ", ".join(f"('{value:f}')" for value in numbers_given)
            query = f"SELECT CAST(text AS {type_name}) AS x FROM (VALUES {texts or '(NULL)'}) AS t(text) WHERE text IS NOT NULL"
            found = computed(connection, numbers.price("x", type_name, 9), query)
            for value, (result, rounded, large, wrong) in zip(numbers_given, found, strict=True):
                expected = WIDE.quantize(value, Decimal("1e-12"))
                assert (result, rounded, large, wrong) == (expected, expected != value, False, False)


@pytest.mark.parametrize(
    ("type_name", "value", "expected"),
    [
        ("TINYINT", "-5", "-5"),
        ("BIGINT", "9223372036854775807", "9223372036854775807"),
        ("HUGEINT", "9999999999999999999", "9999999999999999999"),
        ("UBIGINT", "7", "7"),
        ("DECIMAL(10,2)", "-0.10", "-0.1"),
        ("DECIMAL(38,0)", "12", "12"),
        ("DECIMAL(38,30)", "1.123456789012345678000000000000", "1.123456789012345678"),
        ("FLOAT", "0.1", "0.1"),
        ("FLOAT", "1e10", "10000000000"),
        ("DOUBLE", "1e18", "1000000000000000000"),
    ],
)
def test_every_width_of_number_is_exact(connection: duckdb.DuckDBPyConnection, type_name: str, value: str, expected: str) -> None:
    [(result, rounded, large, wrong)] = computed(
        connection, numbers.quantity("x", type_name, 9), f"SELECT CAST('{value}' AS {type_name}) AS x"
    )
    assert (result, rounded, large, wrong) == (Decimal(expected), False, False, False)


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("HUGEINT", "10000000000000000000"),
        ("UBIGINT", "18446744073709551615"),
        ("DOUBLE", "1e19"),
        ("DECIMAL(38,0)", "1" + "0" * 30),
    ],
)
def test_a_quantity_that_would_overflow_a_difference_is_too_large(
    connection: duckdb.DuckDBPyConnection, type_name: str, value: str
) -> None:
    [(_, _, large, _)] = computed(connection, numbers.quantity("x", type_name, 9), f"SELECT CAST('{value}' AS {type_name}) AS x")
    assert large


def test_the_view_has_the_canonical_columns_of_a_feed_and_of_a_book(connection: duckdb.DuckDBPyConnection) -> None:
    relation = Relation("SELECT 'prime' AS broker, 'A' AS symbol, 1 AS quantity")
    mount(connection, "book", relation, book=True)
    mount(connection, "feed", Relation("SELECT 'A' AS symbol, 1 AS quantity", typed=True), book=False)
    described = {name: [row[:2] for row in connection.execute(f"DESCRIBE {name}").fetchall()] for name in ("book", "feed")}
    assert described == {"feed": CANONICAL, "book": [("broker", "VARCHAR"), *CANONICAL]}
    assert tuple(name for name, _ in CANONICAL) == (*POSITION_COLUMNS, "fault")


def test_only_columns_that_the_source_has_are_present(connection: duckdb.DuckDBPyConnection) -> None:
    relation = Relation("SELECT 'A' AS symbol, 1 AS quantity, NULL AS isin")
    mounted = mount(connection, "feed", relation, book=False, defaults={"currency": "USD", "symbol": "ignored"})
    assert mounted.columns_present == {"symbol", "quantity", "currency"}
    assert connection.execute("SELECT symbol, currency, leg FROM feed").fetchall() == [("A", "USD", "NET")]


def test_legs_are_taken_in_any_case_and_a_strange_one_is_a_fault(connection: duckdb.DuckDBPyConnection) -> None:
    relation = Relation(
        "SELECT * FROM (VALUES ('A', 1, 'long'), ('A', -1, 'Short'), ('B', 1, NULL), ('C', 1, 'both')) AS t(symbol, quantity, leg)"
    )
    mounted = mount(connection, "feed", relation, book=False)
    assert connection.execute("SELECT leg FROM feed").fetchall()[:3] == [("LONG",), ("SHORT",), ("NET",)]
    assert mounted.describe_faults(connection) == ["row 4, column leg: 'both' is none of NET, LONG, SHORT"]


def test_all_faults_are_described_up_to_the_limit_with_the_sources_own_names(connection: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT 'S' || i AS symbol, 'x' || i AS quantity, 'y' AS avg_price FROM range(30) AS t(i)"
    mounted = mount(connection, "feed", Relation(query, columns={"quantity": "Qty"}, first_row=2), book=False)
    assert len(mounted.describe_faults(connection, limit=100)) == 60
    described = mounted.describe_faults(connection, limit=3)
    assert described == [
        "row 2, column Qty: 'x0' is not a number",
        "row 2, column avg_price: 'y' is not a number",
        "row 3, column Qty: 'x1' is not a number",
    ]


def test_a_keyed_source_names_the_position_beside_the_row(connection: duckdb.DuckDBPyConnection) -> None:
    relation = Relation("SELECT 'prime' AS broker, 'MAIN' AS account, 'A' AS symbol, 'x' AS quantity")
    mounted = mount(connection, "book", relation, book=True, keyed=True)
    assert mounted.describe_faults(connection) == ["row 1 (prime MAIN A), column quantity: 'x' is not a number"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT 'A' AS symbol", "there is no column quantity"),
        ("SELECT 1 AS quantity", "there is no column symbol"),
        ("SELECT 'A' AS symbol, 1 AS quantity, 2 AS quanity", "'quanity' is no column of a position; did you mean 'quantity'"),
        ("SELECT 'A' AS symbol, 1 AS quantity, true AS account", "column account is BOOLEAN, and text is due"),
        ("SELECT 'A' AS symbol, 1 AS quantity, 'x' AS broker", "'broker' is no column of a position"),
        ("SELECT * FROM nowhere", "cannot be read: .*nowhere"),
        ("SELECT 'A' AS symbol, error('torn') AS quantity", "cannot be read: .*torn"),
    ],
)
def test_a_relation_that_gives_no_positions_is_refused(connection: duckdb.DuckDBPyConnection, query: str, message: str) -> None:
    with pytest.raises(MalformedError, match=f"^acme: {message}"):
        mount(connection, "feed", Relation(query, name="acme"), book=False)


def test_a_book_without_a_broker_on_a_row_is_a_fault(connection: duckdb.DuckDBPyConnection) -> None:
    relation = Relation("SELECT ' ' AS broker, 'A' AS symbol, 1 AS quantity", name="book.csv")
    assert mount(connection, "book", relation, book=True).describe_faults(connection) == [
        "row 1, column broker: the broker is empty"
    ]
    with pytest.raises(BookError, match=r"book.csv: there is no column symbol"):
        mount(connection, "book", Relation("SELECT 1 AS quantity", name="book.csv"), book=True)


def test_a_typed_relation_is_a_view_that_copies_nothing(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    connection.execute(f"COPY (SELECT 'A' AS symbol, 1 AS quantity) TO '{path}' (FORMAT parquet)")
    mount(connection, "feed", Relation(f"SELECT * FROM '{path}'", typed=True), book=False)
    assert connection.execute("SELECT count(*) FROM duckdb_tables()").fetchone() == (0,)


def test_a_typed_times_zone_is_applied_and_its_absence_a_fault(connection: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT 'A' AS symbol, 1 AS quantity, TIMESTAMP '2026-07-01 12:00:00' AS updated_at, DATE '2026-07-01' AS opened_at"
    mount(connection, "feed", Relation(query, typed=True), book=False, timezone="America/New_York")
    assert connection.execute("SELECT updated_at::VARCHAR, opened_at::VARCHAR, fault FROM feed").fetchall() == [
        ("2026-07-01 16:00:00", "2026-07-01 04:00:00", 0)
    ]
    naive = mount(connection, "feed", Relation(query, typed=True), book=False)
    assert "has no time zone" in naive.describe_faults(connection)[0]
    endless = Relation("SELECT 'A' AS symbol, 1 AS quantity, 'infinity'::TIMESTAMPTZ AS updated_at", typed=True)
    assert len(mount(connection, "feed", endless, book=False).describe_faults(connection)) == 1


def test_objects_are_mounted_exactly(connection: duckdb.DuckDBPyConnection) -> None:
    tokyo = timezone(timedelta(hours=9))
    positions = [
        Position(symbol="BTC", quantity=Decimal("0.000000000000000001"), updated_at=datetime(2026, 11, 20, 9, tzinfo=tokyo)),
        Position(symbol="A'B", quantity=Decimal("-1E+3"), avg_price=Decimal("1E-12"), multiplier=Decimal(100)),
    ]
    mounted = mount_positions(connection, "feed", positions)
    assert mounted.describe_faults(connection) == []
    assert mounted.columns_present == {"symbol", "quantity", "avg_price", "multiplier", "updated_at"}
    assert connection.execute("SELECT symbol, quantity, avg_price, multiplier, updated_at::VARCHAR FROM feed").fetchall() == [
        ("BTC", Decimal("0.000000000000000001"), None, None, "2026-11-20 00:00:00"),
        ("A'B", Decimal(-1000), Decimal("0.000000000001"), Decimal(100), None),
    ]


def test_no_objects_are_no_rows(connection: duckdb.DuckDBPyConnection) -> None:
    mount_positions(connection, "feed", [])
    assert connection.execute("SELECT count(*) FROM feed").fetchone() == (0,)


@pytest.mark.parametrize("quantity", ["1E+1000000", "1E-1000000", "12345678901234567890", "0.1234567890123456789"])
def test_an_object_with_a_quantity_that_cannot_be_kept_is_a_fault(connection: duckdb.DuckDBPyConnection, quantity: str) -> None:
    mounted = mount_positions(connection, "feed", [Position(symbol="A", quantity=Decimal(quantity))])
    assert len(mounted.describe_faults(connection)) == 1


@pytest.mark.case("E01")
def test_duplicate_rows_are_named_and_zero_rows_are_not_counted(connection: duckdb.DuckDBPyConnection) -> None:
    query = (
        "SELECT * FROM (VALUES ('MAIN', 'A', 1, 'LONG'), ('MAIN', 'A', 1, 'LONG'), ('MAIN', 'A', -1, 'SHORT'), "
        "('MAIN', 'B', 0, 'NET'), ('MAIN', 'B', 2, 'NET'), ('ALT', 'A', 1, 'LONG')) AS t(account, symbol, quantity, leg)"
    )
    mounted = mount(connection, "feed", Relation(query, first_row=2), book=False)
    assert duplicate_rows(connection, mounted, book=False) == ["MAIN A LONG: 2 rows of one position (2, 3)"]


def test_a_source_that_is_mounted_again_replaces_the_first(connection: duckdb.DuckDBPyConnection) -> None:
    mount(connection, "feed", Relation("SELECT 'A' AS symbol, '1' AS quantity"), book=False)
    mount(connection, "feed", Relation("SELECT 'B' AS symbol, 2 AS quantity", typed=True), book=False)
    assert connection.execute("SELECT symbol FROM feed").fetchall() == [("B",)]
    assert connection.execute("SELECT current_setting('TimeZone')").fetchone() == (str(UTC),)
