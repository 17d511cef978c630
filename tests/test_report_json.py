"""The report as JSON, and its schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import report_samples as samples
from jsonschema import Draft202012Validator

from recon_core.report import schema_text, to_json

SAMPLES = {
    "clean": samples.clean(),
    "halting": samples.halting(),
    "incomplete": samples.incomplete(),
    "hostile": samples.hostile(),
    "many": samples.many(100),
    "incidents": samples.with_incidents() | {"since_last": samples.since_last()},
}


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    document = json.loads(schema_text())
    Draft202012Validator.check_schema(document)
    return Draft202012Validator(document)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_is_what_the_schema_says(schema: Draft202012Validator, name: str) -> None:
    errors = [error.message for error in schema.iter_errors(json.loads(to_json(SAMPLES[name])))]
    assert errors == []


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"verdict": "fine"}, "'fine' is not one of"),
        ({"exit_code": 1}, "1 is not one of"),
        ({"total_impact": 1234.5}, "1234.5 is not valid under any"),
        ({"total_impact": "1234.5"}, "'1234.5' is not valid under any"),
        ({"known_impact": None}, "None is not of type 'string'"),
        ({"as_of": "2026-11-20 21:00"}, "does not match"),
        ({"counts": {"quantity mismatch": 1}}, "does not match"),
        ({"counts": {"QUANTITY_MISMATCH": -1}}, "-1 is less than the minimum"),
        ({"remarks": []}, "Additional properties are not allowed ('remarks' was unexpected)"),
        ({"discrepancies": [samples.discrepancy(leg="FLAT")]}, "'FLAT' is not one of"),
        ({"discrepancies": [samples.discrepancy(book_quantity="1e3")]}, "'1e3' is not valid under any"),
        ({"discrepancies": [samples.discrepancy(suppressed={"reason": "known"})]}, "is not valid under any"),
        ({"feeds": [samples.feed(status="OK")]}, "'OK' is not one of"),
    ],
)
def test_a_wrong_report_is_refused(schema: Draft202012Validator, changes: dict[str, Any], complaint: str) -> None:
    errors = [error.message for error in schema.iter_errors(samples.clean() | changes)]
    assert len(errors) == 1
    assert complaint in errors[0]


@pytest.mark.parametrize("key", samples.clean())
def test_no_key_may_be_left_out(schema: Draft202012Validator, key: str) -> None:
    whole = samples.clean()
    del whole[key]
    assert [error.message for error in schema.iter_errors(whole)] == [f"{key!r} is a required property"]


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict):
            yield node
        for value in node.values():
            yield from _objects(value)


def test_the_schema_describes_every_property_and_allows_no_other() -> None:
    objects = list(_objects(json.loads(schema_text())))
    assert len(objects) > 10
    for node in objects:
        assert node["additionalProperties"] is False
        assert node["required"] == list(node["properties"])
        assert [name for name, described in node["properties"].items() if len(described.get("description", "")) < 8] == []


def test_json_keeps_the_order_of_keys_and_ends_in_a_newline() -> None:
    text = to_json(samples.halting())
    assert list(json.loads(text)) == list(samples.halting())
    assert text.startswith('{\n  "schema_version": 1,\n')
    assert text.endswith("}\n")
    assert text == to_json(samples.halting())


def test_json_prints_letters_as_they_are_and_escapes_what_a_terminal_would_obey() -> None:
    symbol = "トヨタ Ümläut \x1b[31m \x9b31m \u202egnp\u2066 \u2028 \udcff"
    report = {"symbol": symbol, "discrepancies": [{"symbol": symbol}, {"symbol": '\n  "discrepancies": []'}]}
    text = to_json(report)
    assert "トヨタ Ümläut" in text
    assert not set(text) & set("\x1b\x9b\u202e\u2066\u2028\udcff")
    assert text.encode("utf-8").isascii() is False
    assert json.loads(text) == report


def test_json_refuses_what_would_not_come_back_exactly() -> None:
    with pytest.raises(TypeError, match="Decimal is not JSON serializable"):
        to_json({"discrepancies": [{"impact": Decimal("1.10")}]})
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"impact": float("nan"), "discrepancies": []})
