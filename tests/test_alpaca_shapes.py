"""Whatever fits the shapes that Alpaca documents is read, and no row of it is lost."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from alpaca_samples import alpaca
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recon_core.http import Http, Received
from recon_core.model import Ask, FeedStatus

DESCRIPTION = yaml.safe_load((Path(__file__).parent / "cases" / "brokers" / "alpaca" / "openapi.yaml").read_text())
DATES = st.dates(min_value=datetime(2015, 1, 1).date(), max_value=datetime(2030, 1, 1).date())  # noqa: DTZ001  # no zone in a day
TIMES = st.datetimes(min_value=datetime(2015, 1, 1), max_value=datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # it adds the zone
FORMATS = {
    "date": DATES.map(str),
    "date-time": TIMES.map(lambda moment: moment.isoformat().replace("+00:00", "Z")),
    "uuid": st.uuids().map(str),
}


def fitting(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Documents that fit a schema, of the words that openapi.yaml uses."""
    if "$ref" in schema:
        return st.deferred(lambda: fitting(DESCRIPTION["components"]["schemas"][schema["$ref"].rpartition("/")[2]]))
    if "oneOf" in schema:
        return st.one_of([fitting(each) for each in schema["oneOf"]])
    made = _of_type(schema)
    return st.none() | made if schema.get("nullable") else made


def _of_type(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema["type"] == "object":
        fields = {name: fitting(each) for name, each in schema["properties"].items()}
        due = {name: each for name, each in fields.items() if name in schema.get("required", ())}
        return st.fixed_dictionaries(due, optional={name: each for name, each in fields.items() if name not in due})
    if schema["type"] == "array":
        return st.lists(fitting(schema["items"]), max_size=4)
    if schema["type"] == "string" and "pattern" in schema:
        return st.from_regex(schema["pattern"].replace("$", r"\Z"))
    if schema["type"] == "string":
        return FORMATS.get(schema.get("format", ""), st.text(st.characters(categories=["L", "N"]), max_size=8))
    if schema["type"] == "number":
        return st.floats(0, 1e6, allow_subnormal=False).map(lambda number: round(number, 4))
    return {"boolean": st.booleans()}[schema["type"]]


def answer_of(path: str) -> st.SearchStrategy[Any]:
    return fitting(DESCRIPTION["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.fixed_dictionaries({path: answer_of(path) for path in DESCRIPTION["paths"]}))
def test_every_answer_of_the_documented_shapes_is_read_and_no_row_is_lost(answers):
    held = answers["/v2/positions"]
    unique = list({row["symbol"].strip(): row for row in held}.values())
    answers["/v2/positions"] = unique

    class Server:
        url = "http://127.0.0.1:9"

    def answer(method: str, url: str, params: Any) -> Received:
        raw = json.dumps(answers[urlsplit(url).path]).encode()
        headers = {"Date": "Fri, 20 Nov 2026 21:05:00 GMT", "Content-Type": "application/json"}
        return Received(method, url, dict(params), 200, headers, raw, "", len(raw))

    feed = asyncio.run(alpaca(Server(), Http(answering=answer)).positions(Ask()))
    assert feed.status in (FeedStatus.COMPLETE, FeedStatus.PARTIAL)
    assert len(feed.positions) == len(unique)

    found = asyncio.run(alpaca(Server(), Http(answering=answer)).evidence(Ask()))
    rows = answers["/v2/account/activities"]
    different = [row for place, row in enumerate(rows) if row not in rows[:place]]
    told = [*found.fills, *found.movements]
    taken_back = sum("neither it nor" in note for note in found.notes)
    assert len(told) == len(different) - taken_back
    assert len({each.id for each in told}) == len(told)
    announced = {
        (each["id"], name) for name, rows in answers["/v1/corporate-actions"]["corporate_actions"].items() for each in rows
    }
    assert len(found.corporate_actions) in (0, len(announced))  # none where nothing is held or was moved
    assert "corporate actions" not in found.reason
