"""The guarded HTTP client that adapters are handed: GET only, one deadline a feed, strict JSON. The only importer of httpx.

It exists so that no adapter can take a login page, half a body or a proxy's error for an empty account, and so that keys go
to one host only: redirects are refused, headers never reach a message, and what the broker echoes of them is masked.
httpx and asyncio are imported when a request is made; a run that asks no network does not pay for them.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urljoin, urlsplit

from recon_core.errors import AuthError, BrokerError, MalformedError, RequestError, ThrottledError, TransientError

if TYPE_CHECKING:
    import ssl

    import httpx

MEBIBYTE = 1024 * 1024
ATTEMPTS = 4
ERROR_BODY_BYTES = 16 * 1024  # enough for a message; the body of an error is never data
MESSAGE_LENGTH = 200
MASKED_LENGTH = 6  # shorter values ("1", "true") are no secrets, and masking them would make messages unreadable
# Plain bytes, for a compressed bomb passes no limit; and no cached answer.
OWN_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "Cache-Control": "no-cache"}
_RETRIED = frozenset({408, 425, 429})  # and every 5xx
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")


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


class Http:
    """Asks a broker's REST API. Make one for each reading of a feed: ``deadline_seconds`` runs from its first request.

    ``max_bytes`` bounds a body. ``backoff_seconds`` is the scale of the pauses between attempts, which double and are drawn at
    random so that many bots do not come back at once. Environment proxies and netrc are ignored: keys go where recon.yaml says.
    """

    def __init__(
        self,
        deadline_seconds: float = 30,
        max_bytes: int = 64 * MEBIBYTE,
        user_agent: str = "recon-core",
        *,
        backoff_seconds: float = 0.5,
    ) -> None:
        self.deadline_seconds = deadline_seconds
        self.max_bytes = max_bytes
        self.user_agent = user_agent
        self.backoff_seconds = backoff_seconds
        self._ends: float | None = None

    async def get_json(
        self, url: str, *, headers: Mapping[str, str] | None = None, params: Mapping[str, str] | None = None
    ) -> Answer:
        """The JSON document at ``url``; credentials belong in ``headers``.

        Network errors, 408, 425, 429 and 5xx are tried again, ``Retry-After`` honoured, while the deadline allows. Raises
        AuthError (401, 403), ThrottledError (429), RequestError (other 4xx, a redirect, an unsafe address), TransientError
        (5xx, network, deadline) and MalformedError (anything that is not one whole, strict JSON document).
        """
        import asyncio

        import httpx

        question = _Question(url, dict(headers or {}), dict(params or {}))
        clock = asyncio.get_running_loop().time
        if self._ends is None:
            self._ends = clock() + self.deadline_seconds
        # One stalled connection may use half of the deadline, so that another attempt still fits.
        client = httpx.AsyncClient(
            verify=_trusted(),
            timeout=self.deadline_seconds / 2,
            trust_env=False,
            follow_redirects=False,
            headers={**OWN_HEADERS, "User-Agent": self.user_agent},
        )
        before: BrokerError | None = None
        try:
            async with asyncio.timeout_at(self._ends), client:
                for attempt in range(1, ATTEMPTS + 1):
                    try:
                        return await self._ask(client, question)
                    except _Again as again:
                        pause = again.pause
                        if pause is None:
                            pause = self.backoff_seconds * 2 ** (attempt - 1) * random.uniform(0.5, 1)  # noqa: S311  # no cryptography
                        if attempt == ATTEMPTS or clock() + pause >= self._ends:
                            raise again.error from again.__cause__
                        before = again.error
                        await asyncio.sleep(pause)
        except TimeoutError as error:
            earlier = f"; the attempt before: {before}" if before else ""
            raise TransientError(
                f"{question.place}: no whole answer within the feed's deadline of {self.deadline_seconds:g} s{earlier}"
            ) from error
        except httpx.InvalidURL as error:
            raise RequestError(f"{question.place}: not an address: {question.printable(str(error))}") from error
        raise AssertionError("the last attempt returns or raises")

    async def _ask(self, client: httpx.AsyncClient, question: _Question) -> Answer:
        """One attempt. Raises _Again where another may help."""
        import httpx

        try:
            async with client.stream("GET", question.url, headers=question.headers, params=question.params or None) as response:
                if response.status_code != 200:
                    raise await _refusal(question, response)
                raw = await self._whole_body(question, response)
        except httpx.TransportError as error:
            cause = question.printable(str(error)) or type(error).__name__
            raise _Again(TransientError(f"{question.place}: the network failed: {cause}")) from error
        return Answer(
            body=strict_json(raw, question.place),
            raw=raw,
            sha256=hashlib.sha256(raw).hexdigest(),
            date=_http_date(response.headers.get("Date", "")),
            request_id=question.printable(response.headers.get("X-Request-ID", "")) or None,
        )

    async def _whole_body(self, question: _Question, response: httpx.Response) -> bytes:
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
                if len(raw) > self.max_bytes:
                    raise MalformedError(f"{question.place}: the body is larger than the limit of {self.max_bytes} bytes")
        except (httpx.RemoteProtocolError, httpx.ReadError) as error:
            raise _Again(MalformedError(f"{question.place}: the body was cut off after {len(raw)} bytes")) from error
        return bytes(raw)


@cache
def _trusted() -> ssl.SSLContext:
    """The certificate authorities that are believed; reading them takes longer than a request on loopback."""
    import httpx

    return httpx.create_ssl_context(trust_env=False)


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked. Refuses an address or header that cannot be sent safely; prints without anything that was sent."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    params: Mapping[str, str] = field(repr=False)
    place: str = field(init=False)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            where = _without_query(parts)
        except ValueError as error:
            raise RequestError("GET: not an address (a bad port or bracket); give https://host") from error
        object.__setattr__(self, "place", f"GET {where}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RequestError(f"{self.place}: not an https address; give https://host")
        if parts.username is not None or parts.password is not None:
            raise RequestError(f"{self.place}: an address may not hold a user or password; name them under secrets")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise RequestError(f"{self.place}: http would send the credentials in the clear; use https (http is for loopback only)")
        for name, value in self.headers.items():
            if not _HEADER_VALUE.fullmatch(value):
                raise RequestError(
                    f"{self.place}: header {name} can not carry its value, which is empty or holds a line end, a space at an end"
                    " or a character outside ASCII; check the secret that it comes from"
                )

    def printable(self, text: str) -> str:
        """``text`` from outside in one line of at most 200 characters, without control characters or any value that was sent."""
        sent = {word for value in (*self.headers.values(), *self.params.values()) for word in (value, *value.split())}
        for word in sorted((word for word in sent if len(word) >= MASKED_LENGTH), key=len, reverse=True):
            text = text.replace(word, "***")
        line = "".join(sign if sign.isprintable() else "?" for sign in " ".join(text.split()))
        return line if len(line) <= MESSAGE_LENGTH else line[: MESSAGE_LENGTH - 1] + "…"


class _Again(Exception):  # noqa: N818  # not an error: it carries one
    """An attempt failed with ``error`` and another may help, after ``pause`` seconds where the server said so."""

    def __init__(self, error: BrokerError, pause: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.pause = pause


async def _refusal(question: _Question, response: httpx.Response) -> Exception:
    """What to raise for an answer other than 200."""
    import httpx

    status = response.status_code
    text = f"{question.place}: {status} {httpx.codes.get_reason_phrase(status)}".rstrip()
    if status < 300:
        return MalformedError(f"{text}: not the whole content; only 200 proves it")
    if status < 400:
        try:
            target = _without_query(urlsplit(urljoin(question.url, response.headers.get("Location", ""))))
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


async def _said(question: _Question, response: httpx.Response) -> str:
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


def strict_json(raw: bytes, place: str) -> Any:
    """The document in ``raw``: fractions are Decimal with every digit written, integers int. ``place`` opens the message.

    Raises MalformedError for what JSON allows loosely or Python too readily: duplicate keys, NaN and Infinity, an empty body,
    bytes that are not UTF-8, a half surrogate pair (no database stores it).
    """
    if not raw.strip():
        raise MalformedError(f"{place}: answered with an empty body; that is no proof of an empty account")
    try:
        text = raw.decode("utf-8")
        body = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_unique)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(body, ensure_ascii=False, default=str).encode()
    except MalformedError as error:
        raise MalformedError(f"{place}: {error}") from None
    except UnicodeError as error:
        raise MalformedError(f"{place}: the body is not UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise MalformedError(f"{place}: not JSON at character {error.pos} of {len(text)}: {error.msg}") from error
    except RecursionError as error:
        raise MalformedError(f"{place}: JSON nested too deep to be data") from error
    except (ValueError, ArithmeticError) as error:
        raise MalformedError(f"{place}: a number too large to be data") from error
    return body


def _refuse_constant(name: str) -> Any:
    raise MalformedError(f"{name} is no number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise MalformedError(f"key {twice[:80]!r} stands twice in one object; which value holds is not known")
    return record


def _without_query(parts: SplitResult) -> str:
    """Host, port and path: what a message may show of an address."""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{host}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
