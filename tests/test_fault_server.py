"""The fault server really does what each fault says, seen from a bare socket; and without a fault it answers what was recorded."""

from __future__ import annotations

import gzip
import json
import re
import socket
import ssl
import time
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import pytest
from canaries import TOKEN

from recon_core.testing import certificates
from recon_core.testing.fault_server import Exchange, FaultServer
from recon_core.testing.faults import FAULTS

JSON = {"Content-Type": "application/json", "Date": "Fri, 20 Nov 2026 21:05:00 GMT"}
XML = {**JSON, "Content-Type": "text/xml"}
HOST = "https://api.broker.example"
ROWS = [{"symbol": "MSFT", "qty": 10.50}, {"symbol": "TSLA", "qty": -5}]
FIRST = b'{"count": 2, "next": "c2", "rows": [{"symbol": "MSFT", "qty": 10.50}, {"symbol": "TSLA", "qty": -5}]}'
SECOND = b'{"count": 1, "next": null, "rows": [{"symbol": "SPY", "qty": 1}]}'
STATEMENT = b'<Report count="2"><Rows><Row symbol="MSFT" qty="10" cost="1"/><Row symbol="TSLA" qty="-5" cost="1"/></Rows></Report>'
PAGES = [
    Exchange(f"{HOST}/v1/rows", FIRST, params={"token": "***"}, headers=JSON),
    Exchange(f"{HOST}/v1/rows", SECOND, params={"token": "***", "cursor": "c2"}, headers=JSON),
]
REPORT = [Exchange(f"{HOST}/report", STATEMENT, headers=XML)]


@dataclass(frozen=True)
class Seen:
    """What a bare socket saw: the bytes, and how it ended (closed, reset, refused, or nothing more came)."""

    data: bytes
    end: str

    @property
    def head(self) -> str:
        return self.data.partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def status(self) -> int:
        return int(self.data.split(b" ")[1])

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]

    def header(self, name: str) -> str | None:
        found = re.search(rf"^{name}: *(.*?)\r?$", self.head, re.IGNORECASE | re.MULTILINE)
        return found and found[1]


def ask(server: FaultServer, path: str = "/v1/rows", *, most: int = 2**20, **params: str) -> Seen:
    data, address, until = b"", ("127.0.0.1", urlsplit(server.url).port), time.monotonic() + 0.4
    target = f"{path}?{urlencode(params)}" if params else path
    try:
        with socket.create_connection(address, timeout=0.4) as connection:
            connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nX-Key: {TOKEN}\r\n\r\n".encode())
            while len(data) < most and time.monotonic() < until:
                chunk = connection.recv(65536)
                if not chunk:
                    return Seen(data, "closed")
                data += chunk
            return Seen(data, "more")
    except ConnectionRefusedError:
        return Seen(data, "refused")
    except (ConnectionResetError, BrokenPipeError):
        return Seen(data, "reset")
    except TimeoutError:
        return Seen(data, "silent")


def under(name: str) -> Seen:
    """What is seen of a fault: of XML's on the report, of later pages' on the second, else on the first answer."""
    fault = FAULTS[name]
    if fault.applies(PAGES, 0) and fault.applies(PAGES, 1):
        with FaultServer(REPORT, fault) as server:
            return ask(server, "/report")
    target = 1 if fault.applies(PAGES, 0) else 0
    with FaultServer(PAGES, fault, target) as server:
        seen = ask(server, token="t", **({"cursor": "c2"} if target else {}))
        again = ask(server, token="t", **({"cursor": "c2"} if target else {})) if seen.end == "closed" else seen
        assert again.body == seen.body, "asked again, the fault is gone"
        if not target and not fault.all_pages:
            assert fault.greets or fault.over_tls or not fault.listens or ask(server, token="t", cursor="c2").body == SECOND
    return seen


def promised(seen: Seen) -> int:
    return int(seen.header("Content-Length") or -1)


def whole(seen: Seen) -> bool:
    return seen.end == "closed" and promised(seen) == len(seen.body)


def data_of(seen: Seen) -> object:
    assert whole(seen)
    assert seen.status == 200
    return json.loads(seen.body)


SEEN = {
    "refused": lambda seen: (seen.end, seen.data) == ("refused", b""),
    "reset": lambda seen: (seen.end, seen.data) == ("reset", b""),
    "closed": lambda seen: (seen.end, seen.data) == ("closed", b""),
    "silent": lambda seen: (seen.end, seen.data) == ("silent", b""),
    "slow-headers": lambda seen: seen.end == "more" and b"\r\n\r\n" not in seen.data,
    "slow-body": lambda seen: seen.end == "more" and seen.body.startswith(b"{  ") and promised(seen) > 100_000,
    "stalled-body": lambda seen: seen.end == "silent" and seen.body == FIRST[: len(FIRST) // 2] and promised(seen) == len(FIRST),
    "reset-in-body": lambda seen: seen.end == "reset" and seen.body == FIRST[: len(FIRST) // 2],
    "another-protocol": lambda seen: seen.data.startswith(b"220 mail"),
    "continues-forever": lambda seen: seen.end == "more" and seen.data.count(b"100 Continue") > 1,
    "endless-headers": lambda seen: seen.end == "more" and b"\r\n\r\n" not in seen.data,
    "endless-body": lambda seen: seen.end == "more" and seen.header("Content-Length") is None and seen.body[:5] == b"[0,0,",
    "truncated": lambda seen: seen.end == "closed" and promised(seen) == len(FIRST) == len(seen.body) * 2 + len(FIRST) % 2,
    "cut-without-length": lambda seen: seen.end == "closed" and promised(seen) == -1 and FIRST.startswith(seen.body),
    "length-too-long": lambda seen: seen.end == "closed" and seen.body == FIRST and promised(seen) > len(FIRST),
    "length-too-short": lambda seen: seen.end == "closed" and seen.body == FIRST and promised(seen) < len(FIRST),
    "two-lengths": lambda seen: len(set(re.findall(r"Content-Length: (\d+)", seen.head))) == 2,
    "chunks-cut": lambda seen: (
        seen.end == "closed" and seen.header("Transfer-Encoding") == "chunked" and b"0\r\n\r\n" not in seen.body
    ),
    "chunk-of-no-size": lambda seen: seen.header("Transfer-Encoding") == "chunked" and seen.body.startswith(b"all\r\n"),
    "partial-206": lambda seen: (seen.status, seen.body) == (206, FIRST) and "Content-Range" in seen.head,
    "html": lambda seen: seen.status == 200 and "text/html" in seen.head and b"<html>" in seen.body,
    "html-as-data": lambda seen: seen.status == 200 and "application/json" in seen.head and b"<html>" in seen.body,
    "plain-text": lambda seen: seen.header("Content-Type") == "text/plain" and b"maintenance" in seen.body,
    "no-content-type": lambda seen: seen.header("Content-Type") is None and data_of(seen) == json.loads(FIRST),
    "utf-16": lambda seen: json.loads(seen.body.decode("utf-16")) == json.loads(FIRST) and "utf-16" in seen.head,
    "bytes-of-no-text": lambda seen: whole(seen) and b"\xff" in seen.body,
    "compressed-unasked": lambda seen: gzip.decompress(seen.body) == FIRST and seen.header("Content-Encoding") == "gzip",
    "gzip-bomb": lambda seen: len(seen.body) < 2**19 and unpacked(seen.body) >= 200 * 2**20,
    "empty-body": lambda seen: whole(seen) and seen.body == b"",
    "blank-body": lambda seen: whole(seen) and seen.body and not seen.body.strip(),
    "null": lambda seen: data_of(seen) is None,
    "null-in-words": lambda seen: data_of(seen) == "null",
    "empty-list": lambda seen: data_of(seen) == [],
    "empty-object": lambda seen: data_of(seen) == {},
    "empty-root": lambda seen: whole(seen) and seen.body == b"<Report/>",
    "another-document": lambda seen: "rows" not in data_of(seen),
    "nan": lambda seen: b'"count": NaN' in seen.body,
    "infinity": lambda seen: b'"count": -Infinity' in seen.body,
    "huge-number": lambda seen: b'"count": ' + b"9" * 6000 + b"," in seen.body,
    "huge-exponent": lambda seen: b'"count": 1e99999999999999999999,' in seen.body,
    "duplicate-key": lambda seen: (
        json.loads(seen.body, object_pairs_hook=lambda pairs: [key for key, _ in pairs])[:2] == ["count"] * 2
    ),
    "half-character": lambda seen: whole(seen) and rb'"next": "\ud800c2"' in seen.body,
    "two-documents": lambda seen: seen.body == FIRST * 2,
    "words-after-the-document": lambda seen: seen.body.startswith(FIRST) and b"Warning" in seen.body,
    "nested-without-end": lambda seen: seen.body == b"[" * 200_000,
    "entity-bomb": lambda seen: b"<!ENTITY e9" in seen.body and len(seen.body) < 10_000,
    "entity-of-a-file": lambda seen: b'SYSTEM "file:///' in seen.body,
    "error-in-200": lambda seen: list(data_of(seen)) == ["error"],
    "error-beside-data": lambda seen: data_of(seen).keys() == {"errors", *json.loads(FIRST)},
    "page-repeated": lambda seen: seen.body == FIRST,
    "page-refused": lambda seen: seen.status == 404,
    "page-fails": lambda seen: seen.status == 500,
    "total-mismatch": lambda seen: data_of(seen) == {**json.loads(FIRST), "count": 3},
    "short-page": lambda seen: data_of(seen) == {**json.loads(FIRST), "rows": ROWS[:1]},
}


def unpacked(raw: bytes) -> int:
    unpacker, size = zlib.decompressobj(31), 0
    while raw:
        size += len(unpacker.decompress(raw, 2**20))
        raw = unpacker.unconsumed_tail
    return size


def by_status(name: str, seen: Seen) -> bool:
    """Faults that are a status: it stands in their name, with what they ask for."""
    status = int(re.search(r"-([0-9]{3})", name)[1])
    asks = {"at-once": "0", "503": "0", "tomorrow": "86400", "negative": "-5", "in-words": "soon", "past-counting": "9" * 400}
    wanted = next((value for word, value in asks.items() if name.endswith(word)), None)
    later = seen.header("Retry-After")
    return whole(seen) and seen.status == status and (wanted == later or name == "throttled-429-no-date")


OVER_TLS = [name for name, fault in FAULTS.items() if fault.over_tls]
REDIRECTS = [name for name in FAULTS if name.startswith("redirect")]


def test_there_are_more_than_forty_faults_and_each_says_what_it_does_and_why_it_matters():
    assert len(FAULTS) >= 40
    for fault in FAULTS.values():
        assert fault.does.endswith(".")
        assert fault.matters.endswith((".", "?"))


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in (*OVER_TLS, *REDIRECTS)])
def test_the_server_does_what_the_fault_says(name):
    seen = under(name)
    assert SEEN[name](seen) if name in SEEN else by_status(name, seen), seen


@pytest.mark.parametrize("name", ["unauthorized-401", "forbidden-403", "unprocessable-422", "trouble-500"])
def test_an_error_repeats_the_keys_so_that_a_reader_who_prints_it_leaks_them(name):
    assert TOKEN in under(name).body.decode()
    with FaultServer(PAGES, FAULTS[name]) as server:
        assert "a-token-in-the-address" in ask(server, token="a-token-in-the-address").body.decode()


@pytest.mark.parametrize("name", REDIRECTS)
def test_a_redirect_leads_where_it_says_and_whoever_follows_is_seen(name):
    with FaultServer(PAGES, FAULTS[name]) as server:
        seen = ask(server, token="t")
        target = urlsplit(seen.header("Location"))
        assert seen.status == int(re.search(r"[0-9]{3}", name)[0] if "elsewhere" in name else 301)
        assert (target.path, target.query) == ("/v1/rows", "token=t")
        assert (target.netloc == urlsplit(server.url).netloc) is ("elsewhere" not in name)
        if "elsewhere" in name:
            assert server.strayed == []
            with socket.create_connection((target.hostname, target.port), timeout=1) as connection:
                connection.sendall(b"GET /v1/rows?token=t HTTP/1.1\r\n\r\n")
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            assert [asked.path for asked in server.strayed] == ["/v1/rows"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("tls-good", ""),
        ("tls-expired", "certificate has expired"),
        ("tls-not-yet-valid", "certificate is not yet valid"),
        ("tls-wrong-host", "IP address mismatch"),
        ("tls-self-signed", "self-signed certificate"),
        ("tls-unknown-authority", "unable to get local issuer certificate"),
        ("tls-spoken-plainly", None),
        ("tls-cut", None),
    ],
)
def test_a_bad_certificate_is_refused_for_its_own_reason_and_a_good_one_is_not(name, says):
    context = ssl.create_default_context(cafile=str(certificates.authority_file()))
    with FaultServer(PAGES, FAULTS[name]) as server:
        assert server.url.startswith("https://127.0.0.1:")
        connection = socket.create_connection(("127.0.0.1", urlsplit(server.url).port), timeout=1)
        with greeted(context, connection) as (wrapped, refusal):
            assert (refusal is None) is (says == "")
            if wrapped:
                wrapped.sendall(b"GET /v1/rows?token=t HTTP/1.1\r\n\r\n")
                assert b'"count": 2' in wrapped.recv(65536)
            elif says:
                assert says in refusal.verify_message


@contextmanager
def greeted(context: ssl.SSLContext, connection: socket.socket):
    """The connection after the handshake, or why there is none."""
    try:
        wrapped = context.wrap_socket(connection, server_hostname="127.0.0.1")
    except (ssl.SSLError, ConnectionError) as error:
        yield None, error
    else:
        with wrapped:
            yield wrapped, None


def test_every_fault_of_tls_is_tried():
    assert set(OVER_TLS) == {name for name in FAULTS if name.startswith("tls")}
    assert len(OVER_TLS) == 8


def test_without_a_fault_it_answers_what_was_recorded_in_turn_and_the_last_for_good():
    answers = [Exchange(f"{HOST}/status", body, headers=JSON) for body in (b'"not yet"', b'"ready"')]
    with FaultServer([*answers, *PAGES]) as server:
        assert [ask(server, "/status").body for _ in range(3)] == [b'"not yet"', b'"ready"', b'"ready"']
        assert ask(server, token="any").body == FIRST
        assert ask(server, token="another", cursor="c2").body == SECOND
        assert ask(server, token="any").header("Date") == JSON["Date"]
        assert server.unknown == []


def test_what_was_not_recorded_is_refused_and_remembered():
    with FaultServer(PAGES) as server:
        for path, params in (("/v1/rows", {}), ("/v1/rows", {"token": "t", "cursor": "c3"}), ("/v2/rows", {"token": "t"})):
            assert ask(server, path, **params).status == 404
    assert [asked.path for asked in server.unknown] == ["/v1/rows", "/v1/rows", "/v2/rows"]


def test_addresses_of_the_broker_in_an_answer_name_the_server():
    body = b'{"next": "https://api.broker.example/v1/rows?cursor=c2", "other": "https:\\/\\/api.broker.example\\/v1"}'
    with FaultServer([Exchange(f"{HOST}/v1/rows", body, headers=JSON)]) as server:
        said = json.loads(ask(server).body)
    assert said == {"next": f"{server.url}/v1/rows?cursor=c2", "other": f"{server.url}/v1"}


def test_a_fault_on_the_second_answer_leaves_the_first_alone_and_is_not_got_past():
    answers = [Exchange(f"{HOST}/status", body, headers=JSON) for body in (b"1", b"2", b"3")]
    with FaultServer(answers, FAULTS["trouble-500"], target=1) as server:
        assert [ask(server, "/status").status for _ in range(4)] == [200, 500, 500, 500]


def test_closing_ends_every_connection_at_once():
    server = FaultServer(PAGES, FAULTS["silent"])
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port), timeout=5) as connection:
        connection.sendall(b"GET /v1/rows?token=t HTTP/1.1\r\n\r\n")
        while not server.asked:
            pass
        server.close()
        with suppress(ConnectionResetError):
            assert connection.recv(100) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", urlsplit(server.url).port), timeout=1)


def test_neither_what_was_asked_nor_an_exchange_shows_keys_when_printed():
    with FaultServer(PAGES) as server:
        ask(server, token=TOKEN)
    assert TOKEN not in repr(server.asked)
