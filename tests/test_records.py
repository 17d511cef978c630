"""Record: one object of a broker's answer, read field by field."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from recon_core import MalformedError, Record, read_json


def record(**fields: object) -> Record:
    return Record(fields, "GET /x: row 1")


def test_numbers_are_exact_whether_json_or_text():
    found = Record(read_json(b'{"a": 1e-9, "b": "0.10", "c": 7, "d": 1E+3, "e": -0.0}', "x"), "x")
    assert [f"{found.number(name):f}" for name in "abcd"] == ["0.000000001", "0.10", "7", "1000"]


@pytest.mark.case("B09")
@pytest.mark.parametrize(
    "value", ["NaN", "", "1,000", "(100)", "1e3", "1_000", "Infinity", None, True, [], {}, 1.5, Decimal("1e99")]
)
def test_what_is_no_number_is_refused_by_name(value):
    with pytest.raises(MalformedError, match="GET /x: row 1: field qty"):
        record(qty=value).number("qty")


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_field_may_be_missing_where_that_is_allowed(value):
    assert record(qty=value).number_or_none("qty") is None
    assert record(qty=value).text_or_none("qty") is None
    assert record().day_or_none("day") is None


def test_a_text_loses_the_blanks_around_it_and_must_say_something():
    assert record(a=" AAPL ").text("a") == "AAPL"
    for value in ("", " ", None, 7, "a\nb", "a\x00b"):
        with pytest.raises(MalformedError, match="field a"):
            record(a=value).text("a")


def test_an_identifier_may_be_a_whole_number():
    assert record(a=265598).identifier("a") == "265598"
    with pytest.raises(MalformedError):
        record(a=True).identifier("a")


def test_days_and_moments():
    assert record(a="2026-11-20").day("a") == record(a="20261120").day("a") == date(2026, 11, 20)
    assert record(a="2026-11-20T16:00:00.123456789-05:00").moment("a") == datetime(2026, 11, 20, 21, 0, 0, 123456, UTC)
    for value in ("20-11-2026", "2026-02-30", "20261120T", "", None, "2026-11-20T16:00:00"):
        with pytest.raises(MalformedError):
            record(a=value).moment("a")
    for value in ("20-11-2026", "2026-02-30", "20261120T", "", None):
        with pytest.raises(MalformedError):
            record(a=value).day("a")


def test_a_section_that_is_missing_is_not_an_empty_one():
    assert record(rows=[]).records("rows") == []
    for value in ({}, {"rows": None}, {"rows": {}}, {"rows": "null"}):
        with pytest.raises(MalformedError, match="rows"):
            Record(value, "x").records("rows")
    with pytest.raises(MalformedError, match="row 2: an object is due"):
        record(rows=[{}, 7]).records("rows")


def test_an_object_within_another():
    assert record(a={"b": "c"}).record("a").text("b") == "c"
    with pytest.raises(MalformedError, match="GET /x: row 1: a: field b is missing"):
        record(a={}).record("a").text("b")
    with pytest.raises(MalformedError, match="field a is missing"):
        record().record("a")


def test_what_is_no_object_is_refused():
    for value in (None, [], "null", 7):
        with pytest.raises(MalformedError, match="an object is due"):
            Record(value, "x")


def test_true_and_false():
    assert record(a=True).flag("a") is True
    with pytest.raises(MalformedError):
        record(a="true").flag("a")
