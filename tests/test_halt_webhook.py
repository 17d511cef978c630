"""The webhook against a real server on loopback; its signature against HMAC as RFC 2104 writes it."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from dataclasses import replace

import pytest
from canaries import WEBHOOK
from halt_samples import NOW, ORDER, halted, resumed
from loopback import Reply, as_json, serving

KEY, TOKEN = WEBHOOK["DESK_KEY"], WEBHOOK["DESK_TOKEN"]


@pytest.fixture(autouse=True)
def secrets(monkeypatch):
    monkeypatch.setenv("DESK_KEY", KEY)
    monkeypatch.setenv("DESK_TOKEN", TOKEN)


def action(server, *more):
    options = f"{{url: '{server.url}/halt', confirm_url: '{server.url}/state'}}"
    return f"desk: {{{', '.join(('action: webhook', f'options: {options}', *more))}}}\n"


def desk(server, *more):
    return action(server, "secrets: {signing_key: env:DESK_KEY, token: env:DESK_TOKEN}", *more)


def hmac_sha256(key, message):
    """RFC 2104, written out."""
    block = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).digest()


def assert_signed(request, key):
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    version, _, signature = request.headers["webhook-signature"].partition(",")
    assert version == "v1"
    assert base64.b64decode(signature) == hmac_sha256(key, signed)


HALTED = {"halted": True}


def test_the_order_arrives_signed_and_is_confirmed_by_the_receiver(tmp_path):
    with serving({"/halt": as_json({}, 202), "/state": as_json(HALTED)}) as server:
        (result,) = halted(tmp_path, desk(server))
    assert (result.done, result.confirmed, result.detail) == (True, True, "confirm_url says halted true")
    post, get = server.requests
    assert (post.method, post.path, get.method, get.path) == ("POST", "/halt", "GET", "/state")
    assert json.loads(post.body) == ORDER.as_json()
    assert post.headers["webhook-id"] == "halt-00ff00ff00ff00ff"
    assert post.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert_signed(post, KEY.encode())
    assert {request.headers["authorization"] for request in (post, get)} == {f"Bearer {TOKEN}"}


def test_a_key_of_the_standards_own_form_is_decoded(tmp_path, monkeypatch):
    raw = bytes(range(32))
    monkeypatch.setenv("DESK_KEY", "whsec_" + base64.b64encode(raw).decode())
    with serving({"/halt": as_json({}), "/state": as_json(HALTED)}) as server:
        (result,) = halted(tmp_path, action(server, "secrets: {signing_key: env:DESK_KEY}"))
    assert result.confirmed
    assert_signed(server.requests[0], raw)
    assert "authorization" not in server.requests[0].headers


def test_a_key_that_only_looks_like_the_standards_form_is_refused_without_showing_it(tmp_path, monkeypatch):
    monkeypatch.setenv("DESK_KEY", "whsec_not!base64")
    with serving({"/halt": as_json({}), "/state": as_json({"halted": False})}) as server:
        (result,) = halted(tmp_path, desk(server))
    assert (result.done, result.confirmed) == (False, False)
    assert result.detail == (
        "signing_key begins with whsec_, and what follows is not base64; read back: confirm_url says halted false"
    )
    assert [request.method for request in server.requests] == ["GET"]


def test_an_order_that_is_sent_again_keeps_its_id_and_is_signed_each_time(tmp_path):
    with serving({"/halt": [Reply(b"", 503, {"Retry-After": "0"}), as_json({})], "/state": as_json(HALTED)}) as server:
        (result,) = halted(tmp_path, desk(server))
    assert result.confirmed
    posts = [request for request in server.requests if request.method == "POST"]
    assert [request.headers["webhook-id"] for request in posts] == ["halt-00ff00ff00ff00ff"] * 2
    for request in posts:
        assert_signed(request, KEY.encode())


def test_a_receiver_that_needs_a_moment_is_asked_again(tmp_path):
    state = [as_json({"halted": False}), as_json({"halted": False}), as_json(HALTED)]
    with serving({"/halt": as_json({}), "/state": state}) as server:
        (result,) = halted(tmp_path, desk(server))
    assert (result.done, result.confirmed) == (True, True)
    assert [request.method for request in server.requests] == ["POST", "GET", "GET", "GET"]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (as_json({"halted": False}), "confirm_url says halted false"),
        (as_json({"halted": "true"}), 'confirm_url says halted "true"'),
        (as_json({"halted": 1}), "confirm_url says halted 1"),
        (as_json({"halted": None}), "confirm_url says halted null"),
        (as_json({"status": "halted"}), "confirm_url says nothing of halted"),
        (as_json([True]), "confirm_url answers with list where an object is due"),
        (as_json(True), "confirm_url answers with bool where an object is due"),
        (Reply("<html>halted: true</html>", headers={"Content-Type": "text/html"}), "answered text/html where JSON is due"),
        (Reply(b'{"halted": true, "halted": false}'), "key 'halted' stands twice"),
        (Reply(b'{"halted": true', promised=500), "the body was cut off after 15 bytes"),
        (Reply(b""), "answered with an empty body"),
        (Reply(b"", 302, {"Location": "/halted"}), "302 Found: points to"),
        (as_json({"message": f"token {TOKEN} is unknown"}, 401), '401 Unauthorized: "token *** is unknown"'),
        (as_json({}, 500), "500 Internal Server Error"),
        (Reply(b"{}", stall="before"), "no whole answer within the action's deadline"),
        (Reply(b"{}", stall="drip"), "no whole answer within the action's deadline"),
    ],
)
def test_whatever_does_not_plainly_say_halted_confirms_nothing(state, said, tmp_path):
    with serving({"/halt": as_json({}), "/state": state}) as server:
        started = time.monotonic()
        (result,) = halted(tmp_path, desk(server, "deadline_seconds: 3"))
        assert time.monotonic() - started < 30
    assert (result.done, result.confirmed) == (True, False)
    assert said in result.detail
    assert TOKEN not in repr(result)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (as_json({"message": f"no {KEY}"}, 403), "403 Forbidden"),
        (as_json({}, 500), "500 Internal Server Error"),
        (Reply(b"", 307, {"Location": "https://elsewhere.example/halt"}), "points to elsewhere.example/halt; not followed"),
        (Reply(b"", stall="before"), "no whole answer within the action's deadline"),
    ],
)
def test_a_receiver_that_does_not_take_the_order_is_read_back_all_the_same(reply, said, tmp_path):
    with serving({"/halt": reply, "/state": as_json({"halted": False})}) as server:
        started = time.monotonic()
        (result,) = halted(tmp_path, desk(server, "deadline_seconds: 2"))
        assert time.monotonic() - started < 30
    assert (result.done, result.confirmed) == (False, False)
    assert said in result.detail
    assert result.detail.endswith("; read back: confirm_url says halted false")
    assert KEY not in repr(result)


def test_a_slow_body_of_the_receipt_delays_nothing(tmp_path):
    with serving({"/halt": Reply(b"{}", stall="drip"), "/state": as_json(HALTED)}) as server:
        (result,) = halted(tmp_path, desk(server))
    assert (result.done, result.confirmed) == (True, True)
    assert result.seconds < 25


def test_a_resume_is_confirmed_by_a_receiver_that_no_longer_halts(tmp_path):
    with serving({"/halt": as_json({}), "/state": as_json({"halted": False})}) as server:
        (result,) = resumed(tmp_path, desk(server, "resume: true"))
    assert (result.done, result.confirmed) == (True, True)
    assert json.loads(server.requests[0].body)["event"] == "resume"
    assert server.requests[0].headers["webhook-id"] == "resume-00ff00ff00ff00ff"
    with serving({"/halt": as_json({}), "/state": as_json(HALTED)}) as server:
        (result,) = resumed(tmp_path, desk(server, "resume: true", "deadline_seconds: 2"))
    assert (result.done, result.confirmed) == (True, False)


def test_a_drill_is_confirmed_by_its_own_id_and_by_nothing_else(tmp_path):
    drill = replace(ORDER, drill=True)
    with serving({"/halt": as_json({}), "/state": as_json({"halted": False, "drill": "drill-halt-00ff00ff00ff00ff"})}) as server:
        (result,) = halted(tmp_path, desk(server), drill)
    assert (result.done, result.confirmed) == (True, True)
    body = json.loads(server.requests[0].body)
    assert (body["event"], body["drill"]) == ("drill-halt", True)
    for state in ({"halted": True}, {"halted": True, "drill": True}, {"drill": "drill-halt-another"}):
        with serving({"/halt": as_json({}), "/state": as_json(state)}) as server:
            (result,) = halted(tmp_path, desk(server, "deadline_seconds: 2"), drill)
        assert (result.done, result.confirmed) == (True, False)
