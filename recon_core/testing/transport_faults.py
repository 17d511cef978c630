"""Faults of what carries an answer: the connection, TLS, HTTP's framing, its status and where it sends the reader next."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from urllib.parse import quote, urlencode

from recon_core.testing import certificates
from recon_core.testing.fault import Fault, plainly
from recon_core.testing.fault_server import Act, Talk, reset

PIECE = 64 * 1024


def transport_faults() -> Iterator[Fault]:
    """All of them."""
    yield from _of_the_connection()
    yield from _of_framing()
    yield from _of_status()
    yield from _of_redirection()
    yield from _of_tls()


def _of_the_connection() -> Iterator[Fault]:
    outage = "An outage must be an unproven feed; read as no positions it makes every holding a break."
    late = "A run that waits for one broker misses the close for all: the deadline must end it."
    half = "Half an answer may look like a smaller account."
    yield Fault("refused", "Nothing listens at the address.", outage, plainly, listens=False)
    yield Fault("reset", "Accepts the connection and resets it before a word.", outage, plainly, greets=_reset_at_once)
    yield Fault("closed", "Reads the question and closes without an answer.", outage, lambda talk: None)
    yield Fault("silent", "Reads the question and never answers.", late, lambda talk: _forever(talk, b""))
    yield Fault("slow-headers", "Sends its headers a byte at a time, without end.", late, _slow_headers)
    yield Fault("slow-body", "Sends its body a byte at a time, slower than any deadline.", late, _slow_body)
    yield Fault("stalled-body", "Sends half of its body and falls silent.", late, _stalled_body)
    yield Fault("reset-in-body", "Sends half of its body and resets the connection.", half, _reset_in_body)
    yield Fault(
        "another-protocol",
        "Speaks something that is not HTTP.",
        "A wrong port or a proxy that answers for the broker is no broker.",
        lambda talk: talk.send(b"220 mail.example ESMTP ready\r\n"),
    )
    yield Fault("continues-forever", "Says 100 Continue again and again and never answers.", late, _continues)
    yield Fault(
        "endless-headers",
        "Sends headers without end.",
        "What is read before an answer is believed must be bounded.",
        lambda talk: _without_end(talk, b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"x" * 4000 + b"\r\n"),
        heavy=True,
    )
    yield Fault(
        "endless-body",
        "Sends a body without end.",
        "An answer larger than memory stops the run for every broker.",
        lambda talk: _without_end(talk, talk.head(headers={"Content-Length": None}) + b"[", b"0," * (PIECE // 2)),
        heavy=True,
    )


def _of_framing() -> Iterator[Fault]:
    half = "Half a list may still be read as a list: what is missing looks flat."
    yield Fault("truncated", "Announces its whole body, sends half and closes.", half, _promised(1, 0.5))
    yield Fault("cut-without-length", "Announces no length, sends half of its body and closes.", half, _cut_without_length)
    yield Fault("length-too-long", "Sends all of its body, and announces more.", half, _promised(2, 1))
    yield Fault("length-too-short", "Sends all of its body, and announces half.", half, _promised(0.5, 1))
    yield Fault("two-lengths", "Announces two lengths that contradict each other.", half, _two_lengths)
    yield Fault("chunks-cut", "Sends its body in chunks and closes before the last.", half, _chunks_cut)
    yield Fault("chunk-of-no-size", "Sends a chunk whose size is no number.", half, _chunk_of_no_size)


def _of_status() -> Iterator[Fault]:
    refused = "Refused credentials need a person; they say nothing of what is held."
    wrong = "A question that the broker cannot answer says nothing of what is held."
    trouble = "The broker's own trouble says nothing of what is held."
    throttled = "A broker that asks to be left alone has not answered, and may not stop the run for longer than its deadline."
    part = "Only 200 says that this is all of it."
    yield Fault("no-content-204", "Answers 204 No Content.", part, _status(204, b""))
    yield Fault("partial-206", "Sends its body as 206 Partial Content.", part, _partial)
    yield Fault("not-modified-304", "Answers 304 Not Modified.", part, _status(304, b""))
    yield Fault("bad-request-400", "Answers 400 with an empty list.", wrong, _status(400, b"[]"))
    yield Fault("unauthorized-401", "Answers 401 and repeats every key and parameter that was sent.", refused, _echo(401))
    yield Fault("forbidden-403", "Answers 403 and repeats every key and parameter that was sent.", refused, _echo(403))
    yield Fault("not-found-404", "Answers 404 as for an account that does not exist.", wrong, _status(404))
    yield Fault("timeout-408", "Answers 408 Request Timeout.", trouble, _status(408))
    yield Fault("unprocessable-422", "Answers 422 and repeats every key and parameter that was sent.", wrong, _echo(422))
    yield Fault("throttled-429", "Answers 429 without saying for how long.", throttled, _status(429))
    odd = {
        "at-once": ("0", "to come back at once, for ever"),
        "tomorrow": ("86400", "to come back tomorrow"),
        "negative": ("-5", "to come back five seconds ago"),
        "in-words": ("soon", "to come back soon"),
        "past-counting": ("9" * 400, "for a number of seconds that no float holds"),
        "no-date": ("Fri, 99 Nov 2026 99:99:99 GMT", "for a date that does not exist"),
    }
    for name, (value, words) in odd.items():
        yield Fault(
            f"throttled-429-{name}", f"Answers 429 and asks {words}.", throttled, _status(429, headers={"Retry-After": value})
        )
    yield Fault("trouble-500", "Answers 500 and repeats every key and parameter that was sent.", trouble, _echo(500))
    yield Fault("empty-list-500", "Answers 500 with an empty list.", trouble, _status(500, b"[]"))
    page = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
    yield Fault("bad-gateway-502", "A proxy answers 502 with a page.", trouble, _status(502, page, {"Content-Type": "text/html"}))
    yield Fault(
        "unavailable-503", "Answers 503 and asks to come back at once.", trouble, _status(503, headers={"Retry-After": "0"})
    )
    yield Fault("gateway-timeout-504", "A proxy answers 504.", trouble, _status(504, b""))


def _of_redirection() -> Iterator[Fault]:
    keys = "Who follows sends the keys along, to whoever is there."
    for status in (302, 307):
        does = f"Answers {status} and points to another host, which answers as the broker would."
        yield Fault(f"redirect-{status}-elsewhere", does, keys, _redirect(status, lambda talk: talk.server.elsewhere()))
    circle = _redirect(301, lambda talk: talk.server.url)
    yield Fault("redirect-in-a-circle", "Answers 301 and points to itself.", keys, circle)


def _of_tls() -> Iterator[Fault]:
    other = "Whoever stands between reads the keys and writes the positions."
    good = "What the faults of TLS are measured against: only the certificate differs."
    yield Fault(
        "tls-good", "No fault: a good certificate.", good, plainly, control=True, over_tls=True, certificate=certificates.good
    )
    wrong = {
        "tls-expired": ("A certificate that ended yesterday.", certificates.expired),
        "tls-not-yet-valid": ("A certificate that begins tomorrow.", certificates.not_yet_valid),
        "tls-wrong-host": ("A certificate for another host.", certificates.wrong_host),
        "tls-self-signed": ("A certificate that nobody signed but itself.", certificates.self_signed),
        "tls-unknown-authority": ("A certificate of an authority that is not trusted.", certificates.unknown_authority),
    }
    for name, (does, certificate) in wrong.items():
        yield Fault(name, does, other, plainly, over_tls=True, certificate=certificate)
    yield Fault("tls-spoken-plainly", "Answers an https address in plain HTTP.", other, plainly, over_tls=True, greets=_plain_http)
    yield Fault("tls-cut", "Ends the connection in the middle of the handshake.", other, plainly, over_tls=True, greets=_cut)


def _reset_at_once(connection: socket.socket) -> None:
    reset(connection)


def _plain_http(connection: socket.socket) -> None:
    connection.recv(PIECE)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]")


def _cut(connection: socket.socket) -> None:
    connection.recv(100)


def _forever(talk: Talk, first: bytes, more: bytes = b"", pause: float = 0.05) -> None:
    talk.send(first)
    while not talk.wait(pause):
        if more:
            talk.send(more)


def _without_end(talk: Talk, first: bytes, more: bytes) -> None:
    talk.send(first)
    while not talk.server.closing.is_set():
        talk.send(more)


def _slow_headers(talk: Talk) -> None:
    _forever(talk, b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x")


def _slow_body(talk: Talk) -> None:
    talk.send(talk.head(headers={"Content-Length": str(len(talk.body) + 100_000)}) + talk.body[:1])
    _forever(talk, b"", b" ")


def _stalled_body(talk: Talk) -> None:
    _forever(talk, talk.head(headers={"Content-Length": str(len(talk.body))}) + _half(talk))


def _continues(talk: Talk) -> None:
    _forever(talk, b"", b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.01)


def _reset_in_body(talk: Talk) -> None:
    talk.send(talk.head(headers={"Content-Length": str(len(talk.body))}) + _half(talk))
    talk.wait(0.02)  # or the reset overtakes what was sent
    talk.reset()


def _half(talk: Talk) -> bytes:
    return talk.body[: len(talk.body) // 2]


def _cut_without_length(talk: Talk) -> None:
    talk.send(talk.head() + _half(talk))


def _promised(announced: float, sent: float) -> Act:
    """Both as parts of the body's length."""

    def act(talk: Talk) -> None:
        length = len(talk.body)
        talk.send(talk.head(headers={"Content-Length": str(int(length * announced))}) + talk.body[: int(length * sent)])

    return act


def _two_lengths(talk: Talk) -> None:
    lengths = f"Content-Length: {len(talk.body) // 2}\r\nContent-Length: {len(talk.body)}\r\n\r\n"
    talk.send(talk.head()[:-2] + lengths.encode() + talk.body)


def _chunks_cut(talk: Talk) -> None:
    half = _half(talk)
    talk.send(talk.head(headers={"Transfer-Encoding": "chunked"}) + f"{len(half):x}\r\n".encode() + half + b"\r\n")


def _chunk_of_no_size(talk: Talk) -> None:
    talk.send(talk.head(headers={"Transfer-Encoding": "chunked"}) + b"all\r\n" + talk.body + b"\r\n0\r\n\r\n")


def _status(status: int, body: bytes = b'{"message": "not now"}', headers: Mapping[str, str] = MappingProxyType({})) -> Act:
    return lambda talk: talk.answer(body, status=status, headers={"Content-Type": "application/json", **headers})


def _echo(status: int) -> Act:
    def act(talk: Talk) -> None:
        sent = " ".join([*talk.asked.headers.values(), *talk.asked.params.values()]).replace("\\", "\\\\").replace('"', '\\"')
        body = f'{{"error": {{"message": "refused: {sent}"}}}}'.encode("latin-1", "replace")
        talk.answer(body, status=status, headers={"Content-Type": "application/json", "X-Request-ID": "r-1"})

    return act


def _redirect(status: int, host: Callable[[Talk], str]) -> Act:
    def act(talk: Talk) -> None:
        query = f"?{urlencode(talk.asked.params)}" if talk.asked.params else ""
        talk.answer(b"", status=status, headers={"Location": f"{host(talk)}{quote(talk.asked.path)}{query}"})

    return act


def _partial(talk: Talk) -> None:
    length = len(talk.body)
    talk.answer(status=206, headers={"Content-Range": f"bytes 0-{length - 1}/{length * 2}"})
