"""The client that writes, for halt actions, against a real server on loopback: what counts as taken, what is refused."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from loopback import Reply, as_json, serving

from recon_core.errors import AuthError, BrokerError, RequestError, ThrottledError, TransientError
from recon_core.http import Http, Receipt, Writer

CANARY = "canary-secret-0f9a7b"
KEYS = {"X-Key": CANARY}


def send(url: str, content: object = None, *, method: str = "POST", writer: Writer | None = None) -> Receipt:
    client = writer or Writer(deadline_seconds=10, backoff_seconds=0.001)
    return asyncio.run(client.send(method, url, content, headers=KEYS))


def test_the_client_of_feeds_cannot_write():
    public = [name for name in vars(Http) if not name.startswith("_") and callable(getattr(Http, name))]
    assert public == ["renew", "get_json", "get_xml", "get_pages", "handed", "keep"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_what_is_sent_arrives_as_json_with_its_headers(method):
    with serving({"/halt": as_json({})}) as server:
        assert send(server.url + "/halt", {"suspend": True}, method=method) == Receipt(200)
    (request,) = server.requests
    assert (request.method, json.loads(request.body)) == (method, {"suspend": True})
    assert (request.headers["content-type"], request.headers["x-key"]) == ("application/json", CANARY)


def test_bytes_are_sent_as_they_are():
    with serving({"/halt": as_json({})}) as server:
        send(server.url + "/halt", b'{ "a":1 }')
    assert server.requests[0].body == b'{ "a":1 }'


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_every_success_is_taken_whatever_its_body_is(status):
    with serving({"/halt": Reply(b"" if status == 204 else b"<html>ok", status, {"Content-Type": "text/html"})}) as server:
        assert send(server.url + "/halt", {}).status == status


@pytest.mark.parametrize("stall", ["within", "drip"])
def test_a_slow_body_is_not_waited_for(stall):
    with serving({"/halt": Reply(b'{"ok": true}', stall=stall)}) as server:
        started = time.monotonic()
        assert send(server.url + "/halt", {}).status == 200
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("status", "error", "requests"),
    [(302, RequestError, 1), (401, AuthError, 1), (422, RequestError, 1), (429, ThrottledError, 4), (500, TransientError, 4)],
)
def test_a_refusal_is_its_error_and_only_passing_ones_are_sent_again(status, error, requests):
    with serving({"/halt": as_json({"message": f"no {CANARY}"}, status)}) as server, pytest.raises(BrokerError) as caught:
        send(server.url + "/halt", {"suspend": True})
    assert type(caught.value) is error
    assert str(caught.value).startswith(f"POST {server.host}/halt: {status}")
    assert CANARY not in str(caught.value)
    assert [json.loads(request.body) for request in server.requests] == [{"suspend": True}] * requests


def test_what_failed_on_the_way_is_sent_again_in_full():
    with serving({"/halt": [Reply(b"", 503), as_json({})]}) as server:
        assert send(server.url + "/halt", {"suspend": True}).status == 200
    assert [request.body for request in server.requests] == [b'{"suspend": true}'] * 2


def test_a_server_that_never_answers_is_given_up_at_the_deadline():
    with serving({"/halt": Reply(b"", stall="before")}) as server:
        started = time.monotonic()
        with pytest.raises(TransientError, match=r"POST .*/halt: no whole answer within the action's deadline of 0\.4 s"):
            send(server.url + "/halt", {}, writer=Writer(deadline_seconds=0.4, backoff_seconds=0.001))
    assert time.monotonic() - started < 5


def test_a_redirect_is_not_followed_and_nothing_is_written_elsewhere():
    with serving({"/halt": as_json({})}) as elsewhere:
        redirect = Reply(b"", 307, {"Location": f"{elsewhere.url}/halt"})
        with serving({"/halt": redirect}) as server, pytest.raises(RequestError, match="not followed"):
            send(server.url + "/halt", {})
        assert elsewhere.requests == []


def test_nothing_is_written_in_the_clear():
    with pytest.raises(RequestError, match="would send the credentials in the clear"):
        send("http://bot.example/halt", {})
