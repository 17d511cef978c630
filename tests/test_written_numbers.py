"""What an adapter reads as a number is what the engine reads as one."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from recon_core import MalformedError, read_file, read_number
from recon_core.engine import connect
from recon_core.tables.faults import FAULT_BITS
from recon_core.tables.mounting import mount

TEXTS = """
0 1 -1 +1 1. .5 -.5 +.5 1.5 -1.50 007 . - + -- +-1 1- -1- (1) (-1) ((1)) (1 1) 1,000 1.000 1,000.50 1.000,50 1000,5 ,5 5, 1,00
1,000,000 1.000.000 12,34,567 1,0000 1,,000 ,100 1000,000 (1,000.50) (1.000,50) 1,000- 1.000,5- 1'000 1'000.5 1_000 1_0 1e3 1E3
1e-3 0x10 NaN nan inf -Infinity 5% 1/2 ½ ١٢ １２ $1 $-1 -$1 $1,000.50 ($1) $(1) €1.000,50 1$ $$1 $ £0.1 $1- USD1 1e 1.2.3 1.2,3
1234567890123456789 0.000000000001 -0
"""
WRITTEN = [*TEXTS.split(), "1 000", "1 000,5", "1\u00a0000", "1\u202f000.5", " 7 ", "\u00a07", "7\n", "- 1", "1 ", "( 1 )"]

SPELLINGS = [
    {},
    {"thousands": ","},
    {"decimal": ","},
    {"decimal": ",", "thousands": "."},
    {"decimal": ",", "thousands": " "},
    {"thousands": " "},
    {"thousands": "'"},
    {"thousands": "_"},
    {"negative": ["parentheses"]},
    {"negative": ["trailing_minus"], "thousands": ","},
    {"negative": ["parentheses", "trailing_minus"], "decimal": ",", "thousands": "."},
]


def by_the_engine(folder: Path, column: str, options: Mapping[str, Any]) -> dict[str, Decimal | None]:
    """What a file of these texts is read as; None where the engine finds the row faulty."""
    path = folder / "written.csv"
    rows = "".join(f'S{place},"{text}",1\n' for place, text in enumerate(WRITTEN))
    path.write_text(f"symbol,{column},{'avg_price' if column == 'quantity' else 'quantity'}\n{rows}", encoding="utf-8")
    relation = read_file(path, {**options, "null_values": []}).relation
    with connect() as connection:
        mount(connection, "feed", relation, book=False)
        return fetched(connection, column)


def fetched(connection: duckdb.DuckDBPyConnection, column: str) -> dict[str, Decimal | None]:
    query = f"SELECT symbol, CASE WHEN fault & {FAULT_BITS} = 0 THEN {column} END FROM feed"
    return {WRITTEN[int(symbol[1:])]: value for symbol, value in connection.execute(query).fetchall()}


def by_python(text: str, options: Mapping[str, Any]) -> Decimal | None:
    try:
        return read_number(text, **options)
    except MalformedError:
        return None


@pytest.mark.parametrize("options", SPELLINGS, ids=str)
@pytest.mark.parametrize(("column", "money"), [("quantity", False), ("market_price", True)])
def test_every_text_is_read_or_refused_as_the_engine_does(
    tmp_path: Path, options: Mapping[str, Any], column: str, money: bool
) -> None:
    engine = by_the_engine(tmp_path, column, options)
    assert {text: by_python(text, {**options, "money": money}) for text in WRITTEN} == engine
    assert len({value is None for value in engine.values()}) == 2


def test_digits_are_kept_that_no_column_would_hold() -> None:
    assert str(read_number("0.1234567890123456789012345678901234567890")) == "0.1234567890123456789012345678901234567890"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("1_000", {}, "'1_000' is not a number (are `decimal` and `thousands` set as the source writes them?)"),
        ("1e3", {}, "'1e3' is in scientific notation: digits may be lost"),
        ("NaN", {}, "'NaN' is not a finite number"),
        ("(5)", {}, "'(5)' is not a number (if parentheses mean minus, say `negative: [parentheses]`)"),
        ("1.5", {"decimal": ","}, "'1.5' does not fit decimal ','"),
        ("", {}, "'' is not a number"),
        (None, {}, "None is NoneType, and a number written as text is due"),
        (1.5, {}, "1.5 is float, and a number written as text is due"),
    ],
)
def test_a_refusal_says_what_is_wrong(text: object, options: Mapping[str, Any], message: str) -> None:
    with pytest.raises(MalformedError) as caught:
        read_number(text, **options)
    assert str(caught.value) == message


def test_a_refusal_begins_with_the_place() -> None:
    with pytest.raises(MalformedError, match=r"^GET /holdings: amount of BTC: '1_5' is not a number"):
        read_number("1_5", "GET /holdings: amount of BTC")
