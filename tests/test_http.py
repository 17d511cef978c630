"""The guarded client against a real server on loopback: what it believes, what it refuses, what it never says."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import subprocess
import sys
import time
import traceback
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from canaries import TOKEN as CANARY
from loopback import Reply, as_json, serving

from recon_core.errors import AuthError, BrokerError, MalformedError, RequestError, ThrottledError, TransientError
from recon_core.http import Answer, Http

KEYS = {"X-Key": CANARY, "Authorization": f"Bearer {CANARY}"}


def ask(url: str, http: Http | None = None, **more: object) -> Answer:
    client = http or Http(deadline_seconds=10, backoff_seconds=0.001)
    return asyncio.run(client.get_json(url, **{"headers": KEYS, **more}))


def refusal(error: type[BrokerError], url: str, http: Http | None = None, **more: object) -> str:
    with pytest.raises(error) as caught:
        ask(url, http, **more)
    assert type(caught.value) is error
    everything = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert CANARY not in everything
    return str(caught.value)


def one(reply: Reply | list[Reply]):
    return serving({"/v2/thing": reply})


def test_a_whole_answer_gives_body_date_hash_and_request_id():
    with one(as_json({"a": 1}, X_Request_ID="req-7")) as server:
        answer = ask(server.url + "/v2/thing", params={"page": "2"})
    assert answer.body == {"a": 1}
    assert answer.date == datetime(2026, 11, 20, 21, 5, tzinfo=UTC)
    assert answer.raw == b'{"a": 1}'
    assert answer.sha256 == hashlib.sha256(b'{"a": 1}').hexdigest()
    assert answer.request_id == "req-7"
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", "/v2/thing?page=2")
    assert request.headers["x-key"] == CANARY
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["user-agent"].startswith("recon-core")


def test_numbers_keep_every_digit_that_was_written():
    with one(Reply('{"dust": 0.000000000000000001, "third": 0.1, "many": 123456789012345678901234567890, "zero": 1.50}')) as server:
        body = ask(server.url + "/v2/thing").body
    assert body["dust"] == Decimal("0.000000000000000001")
    assert body["third"] == Decimal("0.1")
    assert body["many"] == 123456789012345678901234567890
    assert str(body["zero"]) == "1.50"


@pytest.mark.parametrize("header", [None, "yesterday", "Fri, 20 Nov 2026 21:05:00 -0000"])
def test_a_date_header_that_names_no_moment_is_none(header):
    with one(as_json([], Date=header)) as server:
        assert ask(server.url + "/v2/thing").date is None


@pytest.mark.parametrize(
    ("status", "error", "requests"),
    [
        (400, RequestError, 1),
        (401, AuthError, 1),
        (403, AuthError, 1),
        (404, RequestError, 1),
        (422, RequestError, 1),
        (408, TransientError, 4),
        (425, TransientError, 4),
        (429, ThrottledError, 4),
        (500, TransientError, 4),
        (503, TransientError, 4),
        (204, MalformedError, 1),
        (206, MalformedError, 1),
        (304, RequestError, 1),
    ],
)
def test_each_status_is_its_error_and_only_passing_ones_are_tried_again(status, error, requests):
    body = b"" if status in (204, 304) else b'{"code": 4, "message": "not today"}'
    with one(Reply(body, status, {"X-Request-ID": "req-9"})) as server:
        message = refusal(error, server.url + "/v2/thing")
    assert len(server.requests) == requests
    assert f"GET {server.host}/v2/thing: {status}" in message
    if status >= 400:
        assert '"not today"' in message
        assert "req-9" in message


def test_a_broker_that_recovers_is_answered_after_a_retry():
    with one([Reply(b"", 502), Reply(b"[1", promised=4), as_json([1])]) as server:
        assert ask(server.url + "/v2/thing").body == [1]
    assert len(server.requests) == 3


def test_throttling_with_retry_after_is_waited_out():
    with one([as_json({"message": "slow down"}, 429, Retry_After="0"), as_json([1])]) as server:
        # The scale of our own pauses is beyond the deadline: only the server's word lets the second attempt happen.
        assert ask(server.url + "/v2/thing", Http(deadline_seconds=10, backoff_seconds=1000)).body == [1]
    assert [request.method for request in server.requests] == ["GET", "GET"]


def test_a_retry_after_date_is_measured_from_the_servers_own_clock():
    date, later = "Fri, 20 Nov 2026 21:05:00 GMT", "Fri, 20 Nov 2026 22:05:00 GMT"
    with one([as_json({}, 503, Retry_After=date, Date=date), as_json([1])]) as server:
        assert ask(server.url + "/v2/thing", Http(deadline_seconds=10, backoff_seconds=1000)).body == [1]
    with one(as_json({}, 503, Retry_After=later, Date=date)) as server:
        assert "it asks to wait 3600 s" in refusal(TransientError, server.url + "/v2/thing")


def test_a_redirect_to_what_is_no_address_is_refused():
    with one(Reply(b"", 303, {"Location": ":hs://lh["})) as server:
        assert "points to what is no address" in refusal(MalformedError, server.url + "/v2/thing")


@pytest.mark.parametrize("day", ["20 Nov 2026" + "1" * 30, "99 Nov 2026", "20 Nov -1", ""])
def test_dates_that_are_none_are_no_reason_to_wait(day):
    date = f"Fri, {day} 21:05:00 GMT"
    with one([as_json({}, 503, Retry_After=date, Date=date), as_json([1])]) as server:
        assert ask(server.url + "/v2/thing", Http(deadline_seconds=10, backoff_seconds=0.001)).body == [1]


def test_a_retry_after_beyond_the_deadline_is_not_waited_for():
    with one(as_json({"message": "slow down"}, 429, Retry_After="3600")) as server:
        started = time.monotonic()
        message = refusal(ThrottledError, server.url + "/v2/thing")
    assert time.monotonic() - started < 5
    assert len(server.requests) == 1
    assert "it asks to wait 3600 s" in message


@pytest.mark.parametrize("stall", ["before", "within"])
def test_a_broker_that_falls_silent_is_given_up_within_the_deadline(stall):
    with one(Reply(b"[1, 2, 3]", stall=stall)) as server:
        started = time.monotonic()
        message = refusal(TransientError, server.url + "/v2/thing", Http(deadline_seconds=0.4, backoff_seconds=0.001))
    assert time.monotonic() - started < 5
    assert f"GET {server.host}/v2/thing: no whole answer within the feed's deadline of 0.4 s" in message


def test_a_body_that_drips_without_end_meets_the_deadline():
    with one([Reply(b"", 503, {"Retry-After": "0"}), Reply(b"[1, 2, 3]", stall="drip")]) as server:
        started = time.monotonic()
        message = refusal(TransientError, server.url + "/v2/thing", Http(deadline_seconds=0.4))
    assert time.monotonic() - started < 5
    assert "no whole answer within the feed's deadline of 0.4 s; the attempt before: GET" in message
    assert message.endswith("503 Service Unavailable; it asks to wait 0 s")


def test_one_deadline_covers_all_requests_of_a_feed():
    async def both(http: Http, url: str) -> None:
        await http.get_json(url + "/quick")
        await http.get_json(url + "/slow")

    with serving({"/quick": as_json([]), "/slow": Reply(b"[]", stall="before")}) as server:
        http = Http(deadline_seconds=0.4, backoff_seconds=0.001)
        with pytest.raises(TransientError, match=r"deadline of 0\.4 s"):
            asyncio.run(both(http, server.url))
        with pytest.raises(TransientError, match="deadline"):
            asyncio.run(http.get_json(server.url + "/quick"))
    assert [request.path for request in server.requests].count("/quick") == 1


def test_a_refused_connection_is_transient():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        message = refusal(TransientError, f"http://127.0.0.1:{taken.getsockname()[1]}/v2/thing")
    assert "the network failed" in message


def test_an_https_address_that_does_not_speak_tls_is_transient():
    with one(as_json([])) as server:
        refusal(TransientError, server.url.replace("http:", "https:") + "/v2/thing")
    assert server.requests == []


def test_a_page_for_browsers_is_not_an_empty_account():
    with one(Reply("<html>Log in</html>", headers={"Content-Type": "text/html"})) as server:
        message = refusal(MalformedError, server.url + "/v2/thing")
    assert message == f"GET {server.host}/v2/thing: answered text/html where JSON is due (a login or a proxy's page?)"


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(b"[]", headers={"Content-Type": None}), "nothing that names its type"),
        (Reply(b"[]", headers={"Content-Type": "application/json; charset=utf-16"}), "JSON in utf-16"),
        (Reply(b"[]", headers={"Content-Encoding": "gzip"}), "Content-Encoding gzip"),
        (Reply(b""), "empty body"),
        (Reply(b"  \n"), "empty body"),
        (Reply(b"\xff\xfe[]"), "not UTF-8"),
        (Reply(b'[{"a": 1}, {"a": '), "not JSON at character 17 of 17"),
        (Reply(b"[] []"), "not JSON at character 3"),
        (Reply(b"[NaN]"), "NaN is no number"),
        (Reply(b"[-Infinity]"), "-Infinity is no number"),
        (Reply(b'{"qty": 1, "side": "long", "qty": 2}'), "key 'qty' stands twice in one object"),
        (Reply(b"[" * 200_000), "nested too deep"),
        (Reply(b"[" + b"9" * 5000 + b"]"), "a number too large"),
        (Reply(b"[1e99999999999999999999]"), "a number too large"),
        (Reply(rb'{"symbol": "\uD800"}'), "not UTF-8 text"),
    ],
)
def test_what_is_not_one_strict_json_document_is_refused(reply, says):
    with one(reply) as server:
        message = refusal(MalformedError, server.url + "/v2/thing")
    assert says in message
    assert len(server.requests) == 1


def test_a_truncated_body_is_tried_again_and_then_refused():
    with one(Reply(b'[{"a": 1}', promised=5000)) as server:
        message = refusal(MalformedError, server.url + "/v2/thing")
    assert message == f"GET {server.host}/v2/thing: the body was cut off after 9 bytes"
    assert len(server.requests) == 4


def test_a_body_at_the_limit_is_read_and_one_byte_more_is_refused():
    with one(Reply(b'"1234567"')) as server:
        assert ask(server.url + "/v2/thing", Http(max_bytes=9)).body == "1234567"
        assert "larger than the limit of 8 bytes" in refusal(MalformedError, server.url + "/v2/thing", Http(max_bytes=8))


def test_a_redirect_to_another_host_is_not_followed_and_no_key_arrives_there():
    with one(as_json([])) as elsewhere:
        target = f"{elsewhere.url}/v2/thing?token={CANARY}"
        with one(Reply(b"", 307, {"Location": target})) as server:
            message = refusal(RequestError, server.url + "/v2/thing")
    assert f"307 Temporary Redirect: points to {elsewhere.host}/v2/thing; not followed" in message
    assert elsewhere.requests == []
    assert len(server.requests) == 1


def test_a_redirect_within_the_host_is_not_followed_either():
    with serving({"/old": Reply(b"", 301, {"Location": "/new"}), "/new": as_json([])}) as server:
        assert f"points to {server.host}/new" in refusal(RequestError, server.url + "/old")
    assert [request.path for request in server.requests] == ["/old"]


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_a_key_that_the_broker_echoes_is_masked_and_the_message_cut(status):
    echoed = as_json({"message": f"key {CANARY} is unknown\n\x1b[31m" + "x" * 500}, status, X_Request_ID=CANARY)
    with one(echoed) as server, pytest.raises(BrokerError) as caught:
        ask(server.url + "/v2/thing", params={"token": CANARY})
    message = str(caught.value)
    assert CANARY not in message
    assert "key *** is unknown ?[31mxxx" in message
    assert "x" * 201 not in message
    assert "token" not in message


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (b'{"error": {"message": "inner"}}', "application/json", ': "inner"'),
        (b'{"error": "plain"}', "application/json", ': "plain"'),
        (b"Too late", "text/plain", ': "Too late"'),
        (b"<html>nginx</html>", "text/html", "400 Bad Request"),
        (b'{"code": 1}', "application/json", "400 Bad Request"),
    ],
)
def test_the_brokers_own_words_are_found_in_the_shapes_that_brokers_use(body, kind, says):
    with one(Reply(body, 400, {"Content-Type": kind})) as server:
        assert refusal(RequestError, server.url + "/v2/thing").endswith(says)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://broker.example/v2", "would send the credentials in the clear"),
        ("http://127.0.0.1.broker.example/v2", "would send the credentials in the clear"),
        ("ftp://127.0.0.1/v2", "not an https address"),
        ("api.broker.example/v2", "not an https address"),
        ("https://[broker/v2", "not an address"),
        ("https://broker.example:port/v2", "not an address"),
        (f"https://me:{CANARY}@127.0.0.1/v2", "may not hold a user or password"),
    ],
)
def test_an_address_that_keys_may_not_go_to_is_refused_before_anything_is_sent(url, says):
    assert says in refusal(RequestError, url)


@pytest.mark.parametrize("secret", [CANARY + "\n", " " + CANARY, CANARY + "é", ""])
def test_a_secret_that_no_header_can_carry_is_refused_without_showing_it(secret):
    with one(as_json([])) as server:
        message = refusal(RequestError, server.url + "/v2/thing", headers={"X-Key": secret})
    assert "header X-Key can not carry its value" in message
    assert server.requests == []


def test_environment_proxies_are_ignored(monkeypatch):
    with one(as_json([1])) as server, one(as_json([2])) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        assert ask(server.url + "/v2/thing").body == [1]
    assert proxy.requests == []


def test_neither_answer_nor_client_shows_keys_or_data_when_printed():
    with one(as_json({"balance": CANARY})) as server:
        http = Http()
        answer = ask(server.url + "/v2/thing", http)
    assert CANARY not in repr(answer) + repr(http) + repr(vars(http))


def test_httpx_and_asyncio_are_imported_only_when_a_request_is_made():
    code = "import sys; from recon_core.http import Http; Http(); print(sorted({'httpx', 'asyncio', 'ssl'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def pages(replies: list[Reply], *, most: int = 1000):
    http = Http(deadline_seconds=5, backoff_seconds=0.001)

    def following(answer: Answer) -> dict[str, str] | None:
        return {"cursor": answer.body["next"]} if answer.body.get("next") else None

    async def ask_all(url: str):
        async with http:
            return await http.get_pages(url, following, headers=KEYS, params={"n": "2"}, most=most)

    with one(replies) as server:
        found = asyncio.run(ask_all(server.url + "/v2/thing"))
        return found, [request.path for request in server.requests]


def page(rows: list[int], following: str = "") -> Reply:
    return as_json({"rows": rows, "next": following})


def test_pages_are_read_to_the_last_one():
    found, asked = pages([page([1, 2], "a"), page([3, 4], "b"), page([5])])
    assert [answer.body["rows"] for answer in found.answers] == [[1, 2], [3, 4], [5]]
    assert found.trouble == ""
    assert asked == ["/v2/thing?n=2", "/v2/thing?n=2&cursor=a", "/v2/thing?n=2&cursor=b"]


@pytest.mark.parametrize(
    ("replies", "read", "trouble"),
    [
        ([page([1], "a"), page([2], "a")], 2, "followed by itself"),
        ([page([1], "a"), page([2], "b"), page([3], "a")], 3, "followed by a page that was read already"),
        ([page([1], "a"), page([2], "b"), page([1], "a")], 2, "page 3 is the same as an earlier one"),
        ([page([1], "a"), as_json({"message": "no"}, 404)], 1, "page 2 could not be had"),
        ([page([1], "a"), page([2], "b"), page([3], "c")], 2, "more than 2 pages"),
        ([page([1], "a"), Reply("<html>", headers={"Content-Type": "text/html"})], 1, "page 2 could not be had"),
    ],
)
def test_pages_that_cannot_be_read_to_the_end_are_trouble(replies, read, trouble):
    found, _ = pages(replies, most=2 if "more than" in trouble else 1000)
    assert len(found.answers) == read
    assert trouble in found.trouble
    assert CANARY not in found.trouble


def test_trouble_with_the_first_page_and_refused_keys_raise():
    with pytest.raises(RequestError):
        pages([as_json({}, 404)])
    with pytest.raises(AuthError):
        pages([page([1], "a"), as_json({}, 401)])


@pytest.mark.parametrize("name", ["error", "errors", "fault", "errorMessage"])
def test_an_error_under_a_status_of_200_is_refused(name):
    with one(as_json({name: {"message": "no such account"}, "positions": []})) as server:
        assert f"200 with an {name}" in refusal(MalformedError, server.url + "/v2/thing")
    with one(as_json({name: None, "positions": []})) as server:
        assert ask(server.url + "/v2/thing").body["positions"] == []


XML = {"Content-Type": "text/xml"}


def ask_xml(reply: Reply):
    http = Http(deadline_seconds=5, backoff_seconds=0.001)
    with one(reply) as server:
        return asyncio.run(http.get_xml(server.url + "/v2/thing", headers=KEYS))


def test_xml_is_read_as_an_element():
    answer = ask_xml(Reply("<a><b c='1'/></a>", headers=XML))
    assert answer.body.find("b").get("c") == "1"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<a><b></a>", "not whole XML"),
        ("<a>", "not whole XML"),
        ("", "empty body"),
        ("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", "document type or entities"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "document type or entities"),
        ("<?xml version='1.0' encoding='x-nobody'?><a/>", "not "),
    ],
)
def test_xml_that_is_not_whole_or_has_entities_is_refused(body, said):
    with pytest.raises(MalformedError, match=said):
        ask_xml(Reply(body, headers=XML))


def test_a_page_for_browsers_is_no_xml():
    with pytest.raises(MalformedError, match="answered text/html where XML is due"):
        ask_xml(Reply("<html></html>", headers={"Content-Type": "text/html"}))


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://gdcdyn.broker.example/x", True),
        ("https://broker.example/x", False),
        ("http://gdcdyn.broker.example/x", False),
        ("https://broker.example.evil.example/x", False),
        ("https://evil.example/?.broker.example", False),
        ("https://a.broker.example@evil.example/", False),
        ("http://127.0.0.1:8080/y", True),
        ("http://127.0.0.1:8081/y", False),
        ("not an address", False),
        ("https://[::1", False),
    ],
)
def test_an_address_that_a_broker_names_is_asked_only_at_its_hosts(url, allowed):
    def handed() -> str:
        return Http().handed(url, hosts=("*.broker.example",), like="http://127.0.0.1:8080/x")

    if allowed:
        assert handed() == url
    else:
        with pytest.raises(RequestError, match="the answer"):
            handed()


def test_connections_are_used_again_within_one_feed():
    async def twice(url: str) -> None:
        async with Http(deadline_seconds=5) as http:
            await http.get_json(url)
            await http.get_json(url)

    with one(as_json([])) as server:
        connections = []
        server.server.verify_request = lambda request, address: connections.append(address) or True
        asyncio.run(twice(server.url + "/v2/thing"))
    assert len(connections) == 1


def test_what_came_is_counted_and_hashed_and_kept_only_where_asked():
    for keep in (False, True):
        http = Http(keep_raw=keep)
        with one(Reply("[1]")) as server:
            ask(server.url + "/v2/thing", http, params={"q": "1"})
        (received,) = http.received
        assert (received.status, received.size, received.raw) == (200, 3, b"[1]" if keep else b"")
        assert received.sha256 == hashlib.sha256(b"[1]").hexdigest()
        assert received.params == {"q": "1"}
