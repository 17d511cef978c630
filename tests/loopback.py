"""A real HTTP server on loopback that answers what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

DATE = "Fri, 20 Nov 2026 21:05:00 GMT"


@dataclass(frozen=True)
class Reply:
    """One answer. ``headers`` add to or replace the usual ones; None takes one away.

    ``stall`` holds the answer back ``before`` its head or ``within`` its body until the test ends, or lets ``drip`` a blank at
    a time after half of it. ``promised`` is the Content-Length, where it lies; the connection then ends after ``body``.
    """

    body: bytes | str = b""
    status: int = 200
    headers: Mapping[str, str | None] = field(default_factory=dict)
    stall: str = ""
    promised: int | None = None


def as_json(value: Any, status: int = 200, **headers: str | None) -> Reply:
    """``value`` as a JSON answer; header names are written with ``_`` for ``-``."""
    return Reply(json.dumps(value), status, {name.replace("_", "-"): text for name, text in headers.items()})


@dataclass(frozen=True)
class Request:
    """What the server was asked; header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # many brokers knock at once; past the queue the kernel lets them wait for a second


class Loopback:
    """The server: ``replies`` maps a path (without query) to its answers in order; the last one is repeated."""

    def __init__(self, replies: Mapping[str, Reply | list[Reply]]) -> None:
        self.replies = {path: list(reply) if isinstance(reply, list) else [reply] for path, reply in replies.items()}
        self.requests: list[Request] = []
        self.closing = Event()
        self.server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @property
    def host(self) -> str:
        """Host and port, as messages name them."""
        return self.url.removeprefix("http://")

    def next_reply(self, path: str) -> Reply:
        """The answer to the next request for ``path``."""
        waiting = self.replies.get(path)
        if not waiting:
            return as_json({"code": 40410000, "message": "endpoint not found"}, 404)
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        loopback = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                sent = self.rfile.read(int(headers.get("content-length", "0")))
                loopback.requests.append(Request(self.command, self.path, headers, sent))
                reply = loopback.next_reply(self.path.partition("?")[0])
                body = reply.body.encode() if isinstance(reply.body, str) else reply.body
                length = 1_000_000 if reply.stall == "drip" else len(body) if reply.promised is None else reply.promised
                usual = {"Date": DATE, "Content-Type": "application/json; charset=UTF-8", "Content-Length": str(length)}
                if reply.stall == "before":
                    loopback.closing.wait()
                self.send_response_only(reply.status)
                for name, value in {**usual, **reply.headers}.items():
                    if value is not None:
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if reply.stall else body)
                if reply.stall == "within":
                    loopback.closing.wait()
                while reply.stall == "drip" and not loopback.closing.wait(0.02):
                    self.wfile.write(b" ")
                self.close_connection = bool(reply.stall) or length != len(body)

            def handle(self) -> None:
                with suppress(ConnectionError):  # a client that gave up is what some tests are about
                    super().handle()

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer  # noqa: N815  # names that http.server asks for

            def log_message(self, *_: object) -> None:  # the test reads ``requests``
                pass

        return Handler


@contextmanager
def serving(replies: Mapping[str, Reply | list[Reply]]) -> Iterator[Loopback]:
    """A running server with these answers, stopped at the end."""
    loopback = Loopback(replies)
    thread = Thread(target=loopback.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield loopback
    finally:
        loopback.closing.set()
        loopback.server.shutdown()
        loopback.server.server_close()
        thread.join()
