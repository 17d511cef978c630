"""A broker on loopback: a real server on raw sockets that answers what was recorded, and distorts one answer on purpose.

Sockets, not a web framework: half an answer, a lie about its length or a certificate of yesterday is what it is for, and a
framework would mend that. It listens on 127.0.0.1 alone.
"""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.client import responses
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from recon_core.testing.fault import Fault

ANYTHING = "***"
"""What a recording holds in place of a secret; it fits whatever is asked."""

QUESTION_BYTES = 1024 * 1024
NOT_RECORDED = b'{"error": {"message": "this was not recorded"}}'


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and its answer. ``url`` has no query; a value of ``***`` in ``params`` fits anything."""

    url: str
    body: bytes = field(repr=False)
    method: str = "GET"
    params: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """What follows the host."""
        return unquote(urlsplit(self.url).path) or "/"

    @property
    def origin(self) -> str:
        """Scheme and host, with its port."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    def header(self, name: str) -> str:
        """The value of a header, however its name is written; empty where it was not sent."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), "")

    def fits(self, asked: Asked) -> bool:
        """Whether this is what was asked."""
        if (asked.method, set(asked.params)) != (self.method, set(self.params)):
            return False
        here, there = self.path.split("/"), asked.path.split("/")
        pairs = [*zip(here, there, strict=False), *((value, asked.params[name]) for name, value in self.params.items())]
        return len(here) == len(there) and all(recorded in (ANYTHING, given) for recorded, given in pairs)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the server was asked; header names are lower case, ``params`` those of the address and of a form.

    ``recorded`` says whether it knew an answer.
    """

    method: str
    path: str
    params: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    recorded: bool = True


def pages(exchanges: Sequence[Exchange], target: int) -> list[int]:
    """The places of the pages that the answer at ``target`` is one of: the same address, asked with another cursor or number.

    A word that no answer before has handed out (``status=closed``) asks for another list, not for its next page.
    """
    chosen = exchanges[target]
    found: list[int] = []
    for place, each in enumerate(exchanges):
        if (each.method, each.path) == (chosen.method, chosen.path):
            first = exchanges[found[0]].params if found else each.params
            other = [value for name, value in each.params.items() if first.get(name) != value]
            if all(re.search("[0-9]", value) or any(value.encode() in exchanges[one].body for one in found) for value in other):
                found.append(place)
    params = {tuple(sorted(exchanges[place].params.items())) for place in found}
    return found if target in found and len(params) > 1 else []


class Talk:
    """One question at the server, with the recorded answer and what can be done to it. What a fault is handed."""

    def __init__(self, server: FaultServer, connection: socket.socket, asked: Asked, place: int) -> None:
        self.server = server
        self.asked = asked
        self.place = place
        self.exchange = server.exchanges[place]
        self._connection = connection

    @property
    def body(self) -> bytes:
        """The recorded body, its addresses turned into the server's."""
        return self.exchange.body

    def send(self, data: bytes) -> None:
        """These very bytes."""
        self._connection.sendall(data)

    def head(self, status: int | None = None, headers: Mapping[str, str | None] | None = None) -> bytes:
        """The recorded status line and headers; ``headers`` adds to them, replaces them, or takes those of None away."""
        status = self.exchange.status if status is None else status
        known = {name.lower(): (name, value) for name, value in self.exchange.headers.items() if name.lower() not in _FRAMING}
        known["connection"] = ("Connection", "close")
        for name, value in (headers or {}).items():
            known.pop(name.lower(), None)
            if value is not None:
                known[name.lower()] = (name, value)
        phrase = responses.get(status, "Unknown")
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in known.values())]
        return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n"

    def answer(
        self, body: bytes | None = None, *, status: int | None = None, headers: Mapping[str, str | None] | None = None
    ) -> None:
        """A well-formed answer with its true length; what is not given is as recorded."""
        body = self.body if body is None else body
        self.send(self.head(status, {"Content-Length": str(len(body)), **(headers or {})}) + body)

    def wait(self, seconds: float | None = None) -> bool:
        """Do nothing so long (None: until the server is closed). Whether it is closed."""
        return self.server.closing.wait(seconds)

    def reset(self) -> None:
        """Tear the connection down: the other side reads "connection reset by peer", not an end."""
        reset(self._connection)


Act = Callable[[Talk], None]
_FRAMING = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive", "content-encoding"})


class FaultServer:
    """Serves ``exchanges`` until it is closed; under ``fault``, the one at ``target`` is distorted whenever it is due.

    The same question asked again gets its next recorded answer, the last one for good; a distorted answer stays due, so that
    asking again does not get past it. Addresses in the answers that name a recorded host name this server instead. ``url`` is
    where it listens, ``asked`` what it was asked, ``strayed`` what a fault led to another host that must never be asked, ``served``
    the places of the answers that were given, ``crashed`` what went wrong in the server itself.
    """

    def __init__(self, exchanges: Sequence[Exchange], fault: Fault | None = None, target: int = 0) -> None:
        self.fault = fault
        self.distorted = {target, *(pages(exchanges, target) if fault and fault.all_pages else ())}
        self.closing = threading.Event()
        self.asked: list[Asked] = []
        self.served: set[int] = set()
        self.crashed: list[str] = []
        self._given: dict[int, int] = {}
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._elsewhere: FaultServer | None = None
        self._tls = fault.certificate() if fault and fault.certificate else None
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        port = self._listening.getsockname()[1]
        scheme = "https" if fault and fault.over_tls else "http"
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.exchanges = _moved(exchanges, self.url)
        if fault and not fault.listens:
            self._listening.close()
        else:
            threading.Thread(target=self._accept, name="fault server", daemon=True).start()

    def __enter__(self) -> FaultServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop, and end every connection."""
        self.closing.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes accept() on Linux
        self._listening.close()
        with self._lock:
            connections, self._open = self._open, set()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        if self._elsewhere is not None:
            self._elsewhere.close()

    @property
    def unknown(self) -> list[Asked]:
        """What was asked and had not been recorded."""
        return [asked for asked in self.asked if not asked.recorded]

    @property
    def strayed(self) -> list[Asked]:
        """What the other host was asked, to which a fault pointed."""
        return self._elsewhere.asked if self._elsewhere else []

    def elsewhere(self) -> str:
        """The address of another host, which answers all that was recorded, as a clever attacker would."""
        with self._lock:
            if self._elsewhere is None:
                self._elsewhere = FaultServer(self.exchanges)
            return self._elsewhere.url.replace("127.0.0.1", "localhost")

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            connection.settimeout(30)
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), name="fault server", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self.fault and self.fault.greets:
                self.fault.greets(connection)
                return
            if self._tls:
                connection = self._wrapped(connection, self._tls)
            self._converse(connection)
        except OSError:  # a client that gives up is what most faults are about
            pass
        except Exception as error:  # of the fault itself: an answer that it left out must not look like one that was refused
            self.crashed.append(f"{self.fault.name if self.fault else 'no fault'}: {type(error).__name__}: {error}")
        finally:
            with self._lock:
                self._open.discard(connection)
            with suppress(OSError):
                connection.close()

    def _wrapped(self, connection: socket.socket, context: ssl.SSLContext) -> socket.socket:
        wrapped = context.wrap_socket(connection, server_side=True)
        with self._lock:
            self._open.discard(connection)
            self._open.add(wrapped)
        return wrapped

    def _converse(self, connection: socket.socket) -> None:
        try:
            read = _question(connection)
        except ValueError:  # no HTTP
            return
        if read is None:
            return
        with self._lock:
            place = self._due(read)
            self.asked.append(replace(read, recorded=place is not None))
        if place is None:
            connection.sendall(
                b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nConnection: close\r\n"
                + f"Content-Length: {len(NOT_RECORDED)}\r\n\r\n".encode()
                + NOT_RECORDED
            )
            return
        self.served.add(place)
        talk = Talk(self, connection, read, place)
        if self.fault and place in self.distorted:
            self.fault.act(talk)
        else:
            talk.answer()
        with suppress(OSError):  # an end, not a reset, for a client that still reads
            connection.shutdown(socket.SHUT_WR)

    def _due(self, asked: Asked) -> int | None:
        """The place of the answer that is due to a question, None where none was recorded."""
        places = [place for place, exchange in enumerate(self.exchanges) if exchange.fits(asked)]
        if not places:
            return None
        first = places[0]
        turn = min(self._given.get(first, 0), len(places) - 1)
        if not (self.fault and places[turn] in self.distorted):
            self._given[first] = turn + 1
        return places[turn]


def _question(connection: socket.socket) -> Asked | None:
    """The request, read whole; None where the other side sent none."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk or len(data) > QUESTION_BYTES:
            return None
        data += chunk
    head, _, content = data.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = line.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    due = int(headers.get("content-length", "0"))
    while len(content) < due and (chunk := connection.recv(65536)):
        content += chunk
    parts = urlsplit(target)
    form = content.decode("latin-1") if headers.get("content-type", "").startswith("application/x-www-form-urlencoded") else ""
    params = {**dict(parse_qsl(parts.query, keep_blank_values=True)), **dict(parse_qsl(form, keep_blank_values=True))}
    return Asked(method, unquote(parts.path) or "/", params, headers)


def _moved(exchanges: Sequence[Exchange], url: str) -> list[Exchange]:
    """The exchanges with every recorded host replaced by this server, in addresses and in bodies."""
    origins = sorted({exchange.origin for exchange in exchanges}, key=len, reverse=True)
    moved = []
    for exchange in exchanges:
        body = exchange.body
        for origin in origins:
            body = body.replace(origin.encode(), url.encode())
            body = body.replace(origin.replace("/", "\\/").encode(), url.replace("/", "\\/").encode())
        moved.append(replace(exchange, url=url + urlsplit(exchange.url).path, body=body))
    return moved


def reset(connection: socket.socket) -> None:
    """End a connection with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
