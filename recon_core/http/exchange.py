"""One question over the network, asked until it is answered or time is up. The only importer of httpx."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin, urlsplit

from recon_core.errors import AuthError, BrokerError, MalformedError, RequestError, ThrottledError, TransientError
from recon_core.http.question import Question, without_query
from recon_core.strict_json import strict_json

if TYPE_CHECKING:
    import ssl

    import httpx

ATTEMPTS = 4
ERROR_BODY_BYTES = 16 * 1024  # enough for a message; the body of an error is never data
# Plain bytes, for a compressed bomb passes no limit; and no cached answer.
OWN_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "Cache-Control": "no-cache"}
_RETRIED = frozenset({408, 425, 429})  # and every 5xx

Taken = TypeVar("Taken")
Take = Callable[["httpx.Response"], Awaitable[Taken]]
"""Makes something of a response, or refuses it by raising."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole, believable answer. ``body`` holds exact numbers (int or Decimal), ``raw`` the bytes and ``sha256`` their hash.

    ``date`` is the server's Date header (aware), None where it sent none; ``request_id`` its X-Request-ID, for support.
    """

    body: Any = field(repr=False)
    raw: bytes = field(repr=False)
    sha256: str
    date: datetime | None = None
    request_id: str | None = None


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


async def persist(question: Question, take: Take[Taken], patience: Patience, user_agent: str) -> Taken:
    """What ``take`` makes of the response, which it refuses by raising; tried again where that may help."""
    import asyncio

    import httpx

    clock = asyncio.get_running_loop().time
    # One stalled connection may use half of the deadline, so that another attempt still fits.
    client = httpx.AsyncClient(
        verify=_trusted(),
        timeout=patience.seconds / 2,
        trust_env=False,
        follow_redirects=False,
        headers={**OWN_HEADERS, "User-Agent": user_agent},
    )
    before: BrokerError | None = None
    try:
        async with asyncio.timeout_at(patience.ends), client:
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


async def whole_answer(question: Question, response: httpx.Response, max_bytes: int) -> Answer:
    """The answer of a 200 that is one whole JSON document; the errors of ``Http.get_json`` for any other."""
    if response.status_code != 200:
        raise await _refusal(question, response)
    raw = await _whole_body(question, response, max_bytes)
    return Answer(
        body=strict_json(raw, question.place),
        raw=raw,
        sha256=hashlib.sha256(raw).hexdigest(),
        date=_http_date(response.headers.get("Date", "")),
        request_id=question.printable(response.headers.get("X-Request-ID", "")) or None,
    )


async def receipt(question: Question, response: httpx.Response) -> Receipt:
    """The receipt of a 2xx, whose body is not waited for; the errors of ``Http.get_json`` for any other."""
    if not 200 <= response.status_code < 300:
        raise await _refusal(question, response)
    return Receipt(response.status_code)


async def _once(client: httpx.AsyncClient, question: Question, take: Take[Taken]) -> Taken:
    """One attempt. Raises _Again where another may help."""
    import httpx

    headers = question.headers if question.content is None else {"Content-Type": "application/json", **question.headers}
    try:
        async with client.stream(
            question.method, question.url, headers=headers, params=question.params or None, content=question.content
        ) as response:
            return await take(response)
    except httpx.TransportError as error:
        cause = question.printable(str(error)) or type(error).__name__
        raise _Again(TransientError(f"{question.place}: the network failed: {cause}")) from error


async def _whole_body(question: Question, response: httpx.Response, max_bytes: int) -> bytes:
    """The bytes of a 200 that says it is JSON, uncompressed and within the limit."""
    import httpx

    kind, _, parameters = response.headers.get("Content-Type", "").lower().partition(";")
    kind = kind.strip()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        shown = question.printable(kind) or "nothing that names its type"
        raise MalformedError(f"{question.place}: answered {shown} where JSON is due (a login or a proxy's page?)")
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]+)", parameters)
    if charset and charset[1] not in ("utf-8", "utf8", "us-ascii"):
        raise MalformedError(f"{question.place}: JSON in {question.printable(charset[1])}; it must be UTF-8")
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


@cache
def _trusted() -> ssl.SSLContext:
    """The certificate authorities that are believed; reading them takes longer than a request on loopback."""
    import httpx

    return httpx.create_ssl_context(trust_env=False)


class _Again(Exception):  # noqa: N818  # not an error: it carries one
    """An attempt failed with ``error`` and another may help, after ``pause`` seconds where the server said so."""

    def __init__(self, error: BrokerError, pause: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.pause = pause


async def _refusal(question: Question, response: httpx.Response) -> Exception:
    """What to raise for an answer other than 200."""
    import httpx

    status = response.status_code
    text = f"{question.place}: {status} {httpx.codes.get_reason_phrase(status)}".rstrip()
    if status < 300:
        return MalformedError(f"{text}: not the whole content; only 200 proves it")
    if status < 400:
        try:
            target = without_query(urlsplit(urljoin(question.url, response.headers.get("Location", ""))))
        except ValueError:
            target = "no address"
        return RequestError(f"{text}: points to {question.printable(target)}; not followed, for the keys would go there too")
    if said := await _said(question, response):
        text += f': "{said}"'
    if request_id := question.printable(response.headers.get("X-Request-ID", "")):
        text += f" (request id {request_id})"
    if status in (401, 403):
        return AuthError(text)
    pause = _retry_after(response)
    if pause is not None:
        text += f"; it asks to wait {pause:g} s"
    if status == 429:
        return _Again(ThrottledError(text), pause)
    if status in _RETRIED or status >= 500:
        return _Again(TransientError(text), pause)
    return RequestError(text)


async def _said(question: Question, response: httpx.Response) -> str:
    """The broker's own words in an error body; empty where it has none, or a page for browsers."""
    import httpx

    raw = bytearray()
    try:
        async for chunk in response.aiter_raw():
            raw += chunk
            if len(raw) >= ERROR_BODY_BYTES:
                break
    except httpx.TransportError:  # the status stands without its message
        pass
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
