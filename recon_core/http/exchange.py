"""One question over the network, asked until it is answered or time is up. The only importer of httpx."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import urljoin, urlsplit

from recon_core.errors import AuthError, BrokerError, MalformedError, RequestError, ThrottledError, TransientError, excerpt
from recon_core.http.question import Question, without_query
from recon_core.strict_json import read_json
from recon_core.strict_xml import read_xml

if TYPE_CHECKING:
    import ssl

    import httpx

ATTEMPTS = 4
ERROR_BODY_BYTES = 16 * 1024  # enough for a message; the body of an error is never data
# Plain bytes, for a compressed bomb passes no limit; and no cached answer.
OWN_HEADERS = {"Accept-Encoding": "identity", "Cache-Control": "no-cache"}
_RETRIED = frozenset({408, 425, 429})  # and every 5xx
_KEPT_HEADERS = ("Date", "Content-Type", "Content-Encoding", "Retry-After", "Location", "X-Request-ID")
_ERRORS = ("error", "errors", "fault", "errorMessage")
"""What a document is called in which a broker tells of an error with a status of 200."""

_READING = threading.Lock()

Client: TypeAlias = "httpx.AsyncClient"
Taken = TypeVar("Taken")
Take = Callable[["httpx.Response"], Awaitable[Taken]]
"""Makes something of a response, or refuses it by raising."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole, believable answer: ``raw`` are its bytes, ``sha256`` their hash.

    ``body`` is the JSON document with exact numbers (int or Decimal), or the root element of the XML. ``date`` is the server's
    Date header (aware), None where it sent none; ``request_id`` its X-Request-ID, for support.
    """

    body: Any = field(repr=False)
    raw: bytes = field(repr=False)
    sha256: str
    date: datetime | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """What came in answer to a question, believable or not: the evidence. ``raw`` is cut off where the status is an error.

    ``params`` and ``headers`` (those that bear on what is believed) may hold secrets until they are redacted.
    """

    method: str
    url: str = field(repr=False)
    params: Mapping[str, str] = field(repr=False)
    status: int
    headers: Mapping[str, str] = field(repr=False)
    raw: bytes = field(repr=False)
    sha256: str
    size: int


Answering = Callable[[str, str, Mapping[str, str]], Received]
"""Gives the recorded answer to a question (method, address, params) in place of the network. Raises BrokerError."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A write that was taken: the ``status`` (2xx). It says that the request arrived, not that anything was done."""

    status: int


@dataclass(frozen=True, slots=True)
class Patience:
    """Until when to try: ``ends`` by the event loop's clock, ``seconds`` after the first request; ``name`` is whose that is."""

    ends: float
    seconds: float
    name: str
    backoff_seconds: float


@asynccontextmanager
async def connected(
    part_seconds: float, user_agent: str, authorities: Path | None, answering: Answering | None
) -> AsyncIterator[Client]:
    """A client whose connections are used again until the context ends; no part of an answer takes longer than ``part_seconds``."""
    import httpx

    for library in ("httpx", "httpcore"):  # below WARNING they write whole addresses and headers, which may hold a token
        logging.getLogger(library).setLevel(logging.WARNING)
    transport = _Replayed(answering) if answering is not None else None
    async with httpx.AsyncClient(
        verify=_trusted(authorities),
        timeout=part_seconds,
        trust_env=False,
        follow_redirects=False,
        transport=transport,  # type: ignore[arg-type]  # it has all that is asked of a transport
        headers={**OWN_HEADERS, "User-Agent": user_agent},
    ) as client:
        yield client


async def persist(question: Question, take: Take[Taken], patience: Patience, client: Client) -> Taken:
    """What ``take`` makes of the response, which it refuses by raising; tried again where that may help."""
    import asyncio

    import httpx

    clock = asyncio.get_running_loop().time
    before: BrokerError | None = None
    try:
        async with asyncio.timeout_at(patience.ends):
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    return await _once(client, question, take)
                except _Again as again:
                    pause = again.pause
                    if pause is None:
                        pause = patience.backoff_seconds * 2 ** (attempt - 1) * random.uniform(0.5, 1)  # noqa: S311  # no cryptography
                    if attempt == ATTEMPTS or clock() + pause >= patience.ends:
                        raise again.error from again.__cause__
                    before = again.error
                    await asyncio.sleep(pause)
    except TimeoutError as error:
        earlier = f"; the attempt before: {before}" if before else ""
        raise TransientError(
            f"{question.place}: no whole answer within {patience.name} of {patience.seconds:g} s{earlier}"
        ) from error
    except httpx.InvalidURL as error:
        raise RequestError(f"{question.place}: not an address: {question.printable(str(error))}") from error
    raise AssertionError("the last attempt returns or raises")


@dataclass(frozen=True, slots=True)
class Form:
    """What an answer is to be: its name, what it accepts, which content types say so, and what reads its bytes."""

    name: str
    accept: str
    fits: Callable[[str], bool]
    read: Callable[[bytes, str], Any]


JSON = Form(
    "JSON",
    "application/json",
    lambda kind: kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json")),
    lambda raw, place: _no_error(read_json(raw, place), place),
)
XML = Form(
    "XML", "application/xml", lambda kind: kind in ("application/xml", "text/xml", "text/plain") or kind.endswith("+xml"), read_xml
)


async def whole_answer(
    question: Question, response: httpx.Response, form: Form, max_bytes: int, keep: Callable[[Received], None]
) -> Answer:
    """The answer of a 200 that is one whole document of its form; the errors of ``Http.get_json`` for any other.

    Whatever came is given to ``keep`` before it is judged.
    """
    if response.status_code != 200:
        raw, refusal = await _refusal(question, response)
        keep(_received(question, response, raw))
        raise refusal
    raw = await _whole_body(question, response, max_bytes)
    received = _received(question, response, raw)
    keep(received)
    _check_head(question, response, form)
    return Answer(
        body=form.read(raw, question.place),
        raw=raw,
        sha256=received.sha256,
        date=_http_date(response.headers.get("Date", "")),
        request_id=question.printable(response.headers.get("X-Request-ID", "")) or None,
    )


def _received(question: Question, response: httpx.Response, raw: bytes) -> Received:
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    digest = hashlib.sha256(raw).hexdigest()
    return Received(question.method, question.url, question.params, response.status_code, headers, raw, digest, len(raw))


def _no_error(body: Any, place: str) -> Any:
    """The document, unless it tells of an error under a status that says there is none."""
    for name in _ERRORS if isinstance(body, dict) else ():
        if body.get(name):
            raise MalformedError(f"{place}: answered 200 with an {name}: {excerpt(str(body[name]), 120)}; nothing was compared")
    return body


async def receipt(question: Question, response: httpx.Response) -> Receipt:
    """The receipt of a 2xx, whose body is not waited for; the errors of ``Http.get_json`` for any other."""
    if not 200 <= response.status_code < 300:
        _, refusal = await _refusal(question, response)
        raise refusal
    return Receipt(response.status_code)


async def _once(client: Client, question: Question, take: Take[Taken]) -> Taken:
    """One attempt. Raises _Again where another may help."""
    import httpx

    headers = question.headers if question.content is None else {"Content-Type": "application/json", **question.headers}
    try:
        async with client.stream(
            question.method, question.url, headers=headers, params=question.query() or None, content=question.content
        ) as response:
            return await take(response)
    except httpx.TransportError as error:
        cause = question.printable(str(error)) or type(error).__name__
        raise _Again(TransientError(f"{question.place}: the network failed: {cause}")) from error


def _check_head(question: Question, response: httpx.Response, form: Form) -> None:
    """Refuses an answer whose head does not say that it is of the form that is due, as text that can be read as it is."""
    kind, _, parameters = response.headers.get("Content-Type", "").lower().partition(";")
    kind = kind.strip()
    if not form.fits(kind):
        shown = question.printable(kind) or "nothing that names its type"
        raise MalformedError(f"{question.place}: answered {shown} where {form.name} is due (a login or a proxy's page?)")
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]+)", parameters)
    if form is JSON and charset and charset[1] not in ("utf-8", "utf8", "us-ascii"):
        raise MalformedError(f"{question.place}: JSON in {question.printable(charset[1])}; it must be UTF-8")


async def _whole_body(question: Question, response: httpx.Response, max_bytes: int) -> bytes:
    """The bytes of a 200, uncompressed and within the limit."""
    import httpx

    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise MalformedError(
            f"{question.place}: answered with Content-Encoding {question.printable(encoding)}, asked for plain bytes"
        )
    raw = bytearray()
    try:
        async for chunk in response.aiter_raw():
            raw += chunk
            if len(raw) > max_bytes:
                raise MalformedError(f"{question.place}: the body is larger than the limit of {max_bytes} bytes")
    except (httpx.RemoteProtocolError, httpx.ReadError) as error:
        raise _Again(MalformedError(f"{question.place}: the body was cut off after {len(raw)} bytes")) from error
    return bytes(raw)


class _Replayed:
    """Answers from a recording, as a transport: what guards the network guards it, too."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        import httpx

        found = self._answering(request.method, str(request.url.copy_with(query=None)), dict(request.url.params))

        async def body() -> AsyncIterator[bytes]:
            yield found.raw

        return httpx.Response(found.status, headers=dict(found.headers), content=body())

    async def __aenter__(self) -> _Replayed:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def aclose(self) -> None:
        pass


def _trusted(authorities: Path | None) -> ssl.SSLContext:
    """The certificate authorities that are believed; reading them takes longer than a request on loopback."""
    with _READING:  # many feeds are read at once, and one context does for all
        return _authorities(authorities)


@cache
def _authorities(authorities: Path | None) -> ssl.SSLContext:
    import ssl

    import httpx

    return ssl.create_default_context(cafile=authorities) if authorities else httpx.create_ssl_context(trust_env=False)


class _Again(Exception):  # noqa: N818  # not an error: it carries one
    """An attempt failed with ``error`` and another may help, after ``pause`` seconds where the server said so."""

    def __init__(self, error: BrokerError, pause: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.pause = pause


async def _refusal(question: Question, response: httpx.Response) -> tuple[bytes, Exception]:
    """The begin of the body, and what to raise, for an answer other than 200."""
    import httpx

    status = response.status_code
    text = f"{question.place}: {status} {httpx.codes.get_reason_phrase(status)}".rstrip()
    if status < 300:
        return b"", MalformedError(f"{text}: not the whole content; only 200 proves it")
    if status < 400:
        try:
            target = without_query(urlsplit(urljoin(question.url, response.headers.get("Location", ""))))
        except ValueError:
            target = "no address"
        said = f"{text}: points to {question.printable(target)}; not followed, for the keys would go there too"
        return b"", RequestError(said)
    raw = await _first_bytes(response)
    if said := _said(question, response, raw):
        text += f': "{said}"'
    if request_id := question.printable(response.headers.get("X-Request-ID", "")):
        text += f" (request id {request_id})"
    if status in (401, 403):
        return raw, AuthError(text)
    pause = _retry_after(response)
    if pause is not None:
        text += f"; it asks to wait {pause:g} s"
    if status == 429:
        return raw, _Again(ThrottledError(text), pause)
    if status in _RETRIED or status >= 500:
        return raw, _Again(TransientError(text), pause)
    return raw, RequestError(text)


async def _first_bytes(response: httpx.Response) -> bytes:
    """As much of an error's body as its message can be in."""
    import httpx

    raw = bytearray()
    try:
        async for chunk in response.aiter_raw():
            raw += chunk
            if len(raw) >= ERROR_BODY_BYTES:
                break
    except httpx.TransportError:  # the status stands without its message
        pass
    return bytes(raw[:ERROR_BODY_BYTES])


def _said(question: Question, response: httpx.Response, raw: bytes) -> str:
    """The broker's own words in an error body; empty where it has none, or a page for browsers."""
    text = raw.decode("utf-8", "replace")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return question.printable(text) if response.headers.get("Content-Type", "").startswith("text/plain") else ""
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    words = [body.get(key) for key in ("message", "error_description", "error", "detail")] if isinstance(body, dict) else [body]
    return question.printable(next((word for word in words if isinstance(word, str)), ""))


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the server asks to wait; a date is measured from the server's own clock."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    until, now = _http_date(text), _http_date(response.headers.get("Date", ""))
    return max(0.0, (until - now).total_seconds()) if until and now else None


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return None
    return moment if moment.tzinfo else None
