"""The examples of the pages on halt actions, run as a reader would."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from doc_pages import DOCS, block, blocks
from halt_samples import ORDER, deployed
from loopback import as_json, serving

from recon_core.actions.halts import carry_out

PAGE, WRITING = DOCS / "halt-actions.md", DOCS / "writing-a-halt-action.md"


def test_order_of_the_page_has_the_fields_of_a_real_one():
    (shown,) = (json.loads(each.text) for each in blocks(PAGE, "json"))
    real = ORDER.as_json()
    assert list(shown) == list(real)
    assert {name: type(value) for name, value in shown.items()} == {name: type(value) for name, value in real.items()}


def test_receiver_of_the_page_believes_our_webhook_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setenv("KEY", "a-signing-key-0f9a7b3e")
    (program,) = (each.text for each in blocks(PAGE, "python"))
    names = {}
    exec(program, names)
    with serving({"/halt": as_json({}), "/state": as_json({"halted": True})}) as server:
        options = f"options: {{url: '{server.url}/halt', confirm_url: '{server.url}/state'}}"
        action = f"a: {{action: webhook, {options}, secrets: {{signing_key: env:KEY}}}}"
        (result,) = carry_out(*deployed(tmp_path, action), ORDER, clock=lambda: datetime.now(UTC))
        request = server.requests[0]
    assert result.confirmed
    key = b"a-signing-key-0f9a7b3e"
    assert names["is_genuine"](key, request.headers, request.body)
    assert not names["is_genuine"](b"another key", request.headers, request.body)
    assert not names["is_genuine"](key, request.headers, request.body.replace(b"MAIN", b"HEDG"))
    assert not names["is_genuine"](key, {**request.headers, "webhook-id": "halt-0"}, request.body)
    old = str(int(request.headers["webhook-timestamp"]) - 600)
    assert not names["is_genuine"](key, {**request.headers, "webhook-timestamp": old}, request.body)


@pytest.mark.parametrize(
    ("state", "drill", "confirmed", "methods"),
    [
        ("killed", False, True, ["PUT", "GET"]),
        ("open", False, False, ["PUT"]),
        ("open", True, True, ["GET"]),
    ],
)
def test_action_of_the_page_works_as_a_drop_in(state, drill, confirmed, methods, tmp_path, monkeypatch):
    monkeypatch.setenv("VENUE_TOKEN", "a-token")
    replies = {"/sessions/DESK7/kill-switch": as_json({}, 202), "/sessions/DESK7": as_json({"state": state})}
    with serving(replies) as server:
        action = f"""\
        venue:
          action: venue
          deadline_seconds: 2
          options: {{base_url: '{server.url}', session: DESK7}}
          secrets: {{token: env:VENUE_TOKEN}}
        """
        settings, kinds = deployed(tmp_path, action, drop_in=block(WRITING, "plugins/halts/venue.py"))
        (result,) = carry_out(settings, kinds, replace(ORDER, drill=drill))
        asked = [request.method for request in server.requests]
    assert (result.done, result.confirmed) == (True, confirmed)
    assert state in result.detail
    assert asked[: len(methods)] == methods
