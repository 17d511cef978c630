"""The suspension at Alpaca against a real server on loopback that keeps what the configuration is set to."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from canaries import ALPACA as SECRETS
from halt_samples import ORDER, halted, resumed
from loopback import Reply, as_json, serving

CONFIGURATIONS = {"dtbp_check": "entry", "no_shorting": False, "suspend_trade": False, "trade_confirm_email": "all"}


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def account(suspended, **more):
    return as_json(
        {"account_number": "PA1", "status": "ACTIVE", "trading_blocked": False, "trade_suspended_by_user": suspended, **more}
    )


def alpaca(server, *more):
    secrets = "secrets: {key_id: env:ALPACA_KEY_ID, secret_key: env:ALPACA_SECRET_KEY}"
    return f"broker: {{{', '.join(('action: alpaca', f'options: {{base_url: {server.url}/}}', secrets, *more))}}}\n"


def served(state, configurations=None):
    return serving({"/v2/account/configurations": configurations or as_json(CONFIGURATIONS), "/v2/account": state})


def test_trading_is_suspended_by_one_field_and_read_back_from_the_account(tmp_path):
    with served(account(True)) as server:
        (result,) = halted(tmp_path, alpaca(server))
    assert (result.done, result.confirmed, result.detail) == (True, True, "trade_suspended_by_user is true")
    patch, get = server.requests
    assert (patch.method, patch.path, json.loads(patch.body)) == ("PATCH", "/v2/account/configurations", {"suspend_trade": True})
    assert (get.method, get.path) == ("GET", "/v2/account")
    for request in server.requests:
        assert request.headers["apca-api-key-id"] == SECRETS["ALPACA_KEY_ID"]
        assert request.headers["apca-api-secret-key"] == SECRETS["ALPACA_SECRET_KEY"]


def test_a_suspension_that_shows_a_moment_later_is_waited_for(tmp_path):
    with served([account(False), account(True)]) as server:
        (result,) = halted(tmp_path, alpaca(server))
    assert result.confirmed
    assert [request.method for request in server.requests] == ["PATCH", "GET", "GET"]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (account(False), "trade_suspended_by_user is false"),
        (account("true"), "trade_suspended_by_user is neither true nor false"),
        (account(None), "trade_suspended_by_user is neither true nor false"),
        (as_json({"trading_blocked": True}), "trade_suspended_by_user is neither true nor false"),
        (as_json([]), "an object is due, got list"),
        (Reply("<html>login</html>", headers={"Content-Type": "text/html"}), "answered text/html where JSON is due"),
        (as_json({"message": "forbidden."}, 403), "paper and live keys differ"),
    ],
)
def test_an_account_that_does_not_plainly_say_suspended_confirms_nothing(state, said, tmp_path):
    with served(state) as server:
        (result,) = halted(tmp_path, alpaca(server, "deadline_seconds: 2"))
    assert (result.done, result.confirmed) == (True, False)
    assert said in result.detail


def test_keys_that_may_not_write_are_named_with_the_way_out_and_never_shown(tmp_path):
    refused = as_json({"code": 40310000, "message": f"key {SECRETS['ALPACA_KEY_ID']} is read-only"}, 403)
    with served(account(False), refused) as server:
        (result,) = halted(tmp_path, alpaca(server))
    assert (result.done, result.confirmed) == (False, False)
    assert 'configurations: 403 Forbidden: "key *** is read-only"; check that key_id and secret_key may trade' in result.detail
    assert not any(value in repr(result) for value in SECRETS.values())


def test_an_account_that_was_suspended_before_is_confirmed_even_where_the_write_fails(tmp_path):
    with served(account(True), as_json({}, 422)) as server:
        (result,) = halted(tmp_path, alpaca(server))
    assert (result.done, result.confirmed) == (False, True)


def test_a_resume_ends_the_suspension_and_is_read_back(tmp_path):
    with served(account(False)) as server:
        (result,) = resumed(tmp_path, alpaca(server, "resume: true"))
    assert (result.done, result.confirmed) == (True, True)
    assert json.loads(server.requests[0].body) == {"suspend_trade": False}
    with served(account(True)) as server:
        (result,) = resumed(tmp_path, alpaca(server, "resume: true", "deadline_seconds: 2"))
    assert (result.done, result.confirmed) == (True, False)


def test_a_lift_leaves_the_suspension_where_it_is_not_told_to_resume(tmp_path):
    with served(account(True)) as server:
        assert resumed(tmp_path, alpaca(server)) == ()
    assert server.requests == []


@pytest.mark.parametrize("suspended", [False, True])
def test_a_drill_writes_nothing_at_the_broker(suspended, tmp_path):
    drill = replace(ORDER, drill=True)
    with served(account(suspended)) as server:
        (first,), (second,) = halted(tmp_path, alpaca(server), drill), resumed(tmp_path, alpaca(server, "resume: true"), drill)
    assert (first.confirmed, second.confirmed) == (True, True)
    assert first.detail == f"drill: nothing was written; trade_suspended_by_user is {str(suspended).lower()}"
    assert {request.method for request in server.requests} == {"GET"}


def test_a_drill_finds_keys_that_are_refused(tmp_path):
    refused = as_json({"message": "forbidden."}, 403)
    with served(refused, refused) as server:
        (result,) = halted(tmp_path, alpaca(server, "deadline_seconds: 2"), replace(ORDER, drill=True))
    assert (result.done, result.confirmed) == (False, False)
