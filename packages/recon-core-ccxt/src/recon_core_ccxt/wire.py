"""What a ccxt exchange asks the network through: every answer is read strictly, kept, and refused by what is wrong with it.

ccxt's own transport takes a login page, an empty body and half a document for an answer without rows. Here none of them reaches it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from recon_core import AuthError, BrokerError, MalformedError, RequestError, ThrottledError, TransientError, read_json
from recon_core.http import Http, Question, Received
from recon_core.http.exchange import MOST_KEPT

if TYPE_CHECKING:
    import ssl

    import httpx

MOST_SAID = 64 * 1024
"""Bytes of an error's body that its message can be in."""

KEPT_HEADERS = ("Date", "Content-Type", "Content-Encoding", "Retry-After", "Location")
# Differ in every question or are secret: a recording keeps them as *** and so answers the same question later.
CHANGING = frozenset(
    {
        "timestamp",
        "signature",
        "sign",
        "sig",
        "nonce",
        "apikey",
        "api_key",
        "accesskeyid",
        "access_key",
        "recvwindow",
        "ts",
        "tonce",
    }
)
SUCCESS = frozenset({"0", "00000", "000000", "0000", "200", "200000", "1000", "success", "ok"})
"""How venues write in a ``code`` that nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer that can be believed: what was asked (method, path, params without secrets), and the document."""

    method: str
    path: str
    params: Mapping[str, str]
    document: Any = field(repr=False)
    sha256: str
    date: datetime | None = None

    @property
    def question(self) -> str:
        """What was asked, without what differs each time."""
        stable = sorted((name, value) for name, value in self.params.items() if value != "***")
        return f"{self.method} {self.path} {stable}"


class Wire:
    """Asks for one exchange, until the deadline that its caller sets. In an ``async with`` connections are used again.

    ``answers`` are those since ``begin``; ``refused`` the errors that were raised, for ccxt may swallow them.
    """

    def __init__(self, http: Http, base_url: str) -> None:
        self.http = http
        self.base = urlsplit(base_url.rstrip("/")) if base_url else None
        self.answers: list[Answered] = []
        self.refused: list[BrokerError] = []
        self._reading = 0
        self._stack = AsyncExitStack()
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Wire:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def begin(self) -> None:
        """Forget what came so far, and what comes late: ccxt asks several questions at once, and leaves them where one fails."""
        self._reading += 1
        self.answers, self.refused = [], []

    async def ask(self, exchange: Any, url: str, method: str, headers: Mapping[str, Any] | None, body: Any) -> Any:
        """The document that ccxt gets: numbers with a fraction are exact texts. Raises errors of recon_core only."""
        reading = self._reading
        try:
            answered = await self._ask(exchange, url, method, {**(exchange.headers or {}), **(headers or {})}, body)
        except BrokerError as error:
            if reading == self._reading:
                self.refused.append(error)
            raise
        if reading == self._reading:
            self.answers.append(answered)
        return answered.document

    async def _ask(self, exchange: Any, url: str, method: str, headers: Mapping[str, Any], body: Any) -> Answered:
        if method not in ("GET", "POST") or not isinstance(body, str | bytes | None):
            raise RequestError(f"{exchange.id}: ccxt wants to send a {method} that is no plain question; it is not sent")
        content = body.encode() if isinstance(body, str) else body
        question = self._question(url, method, headers, content)
        received, said = await self._received(question, url, content)
        self.http.keep(received)
        if received.cut:
            raise MalformedError(f"{question.place}: the body was cut off after {received.size} bytes")
        document, trouble = self._document(question, received)
        self._refuse(exchange, question, url, received, said, document, trouble)
        if trouble is not None:
            raise trouble
        date = _date(received.headers.get("Date", ""))
        return Answered(method, urlsplit(question.url).path, received.params, document, received.sha256, date)

    def _question(self, url: str, method: str, headers: Mapping[str, Any], content: bytes | None) -> Question:
        """Where the question goes, checked to be safe; its params so that no message shows what was sent."""
        parts = urlsplit(url)
        if self.base is not None:
            parts = parts._replace(scheme=self.base.scheme, netloc=self.base.netloc, path=self.base.path + parts.path)
        params = dict(parse_qsl(parts.query, keep_blank_values=True))
        if content is not None and not content.lstrip().startswith((b"{", b"[")):
            params |= dict(parse_qsl(content.decode("utf-8", "replace"), keep_blank_values=True))
        own = {"Accept-Encoding": "identity", "Cache-Control": "no-cache", "User-Agent": self.http.user_agent}
        sent = {name: str(value) for name, value in headers.items() if name.lower() not in ("accept-encoding", "user-agent")}
        return Question(method, urlunsplit(parts._replace(query="", fragment="")), own | sent, params, content)

    async def _received(self, question: Question, url: str, content: bytes | None) -> tuple[Received, str]:
        """What came, whatever it is, and its reason phrase."""
        shown = {name: "***" if name.lower() in CHANGING else value for name, value in question.params.items()}
        if self.http.answering is not None:
            return self.http.answering(question.method, question.url, question.params), ""
        import httpx

        address = question.url + (f"?{urlsplit(url).query}" if urlsplit(url).query else "")
        raw, response, whole = bytearray(), None, False
        try:
            client = await self._connected()
            async with client.stream(question.method, address, headers=dict(question.headers), content=content) as response:
                async for chunk in response.aiter_raw():
                    raw += chunk
                    if len(raw) > self.http.max_bytes:
                        raise MalformedError(f"{question.place}: the body is larger than the limit of {self.http.max_bytes} bytes")
            whole = True
        except (httpx.RemoteProtocolError, httpx.ReadError) as error:
            if response is None:
                raise TransientError(f"{question.place}: the network failed: {question.printable(str(error))}") from None
            raise MalformedError(f"{question.place}: the body was cut off after {len(raw)} bytes") from None
        except (httpx.TransportError, httpx.InvalidURL) as error:
            cause = question.printable(str(error)) or type(error).__name__
            raise TransientError(f"{question.place}: the network failed: {cause}") from None
        finally:  # the deadline ends it from outside
            if response is not None and not whole:
                self.http.keep(_came(question, shown, response, raw[:MOST_KEPT], cut=True))
        return _came(question, shown, response, raw), response.reason_phrase

    async def _connected(self) -> httpx.AsyncClient:
        import httpx

        if self._client is None:
            client = httpx.AsyncClient(
                timeout=self.http.deadline_seconds,
                trust_env=False,
                follow_redirects=False,
                verify=_trusted(self.http.authorities),
            )
            self._client = await self._stack.enter_async_context(client)
        return self._client

    def _document(self, question: Question, received: Received) -> tuple[Any, MalformedError | None]:
        """The document as ccxt gets it, and why it is none."""
        encoding = received.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            return None, MalformedError(f"{question.place}: answered with Content-Encoding {question.printable(encoding)}")
        try:
            document = texts(read_json(received.raw, question.place))
            if not isinstance(document, dict | list):
                raise MalformedError(f"{question.place}: an object or an array is due, got {type(document).__name__}")
        except MalformedError as error:
            kind = question.printable(received.headers.get("Content-Type", "").partition(";")[0])
            hint = f" (it is {kind}: a login or a proxy's page?)" if "html" in kind.lower() else ""
            return None, MalformedError(question.printable(str(error)) + hint)
        return document, None

    def _refuse(
        self, exchange: Any, question: Question, url: str, received: Received, said: str, document: Any, trouble: object
    ) -> None:
        """Raises for a status other than 200, and for a document in which the venue says that something is wrong."""
        status = received.status
        text = f"{exchange.id}: {question.place}: {status}"
        if 300 <= status < 400:
            raise RequestError(f"{text}: points elsewhere; not followed, for the keys would go there too")
        own = self._own_error(exchange, url, question, received, said, document) if trouble is None else None
        if status != 200 or own is not None:
            told = question.printable(received.raw[:MOST_SAID].decode("utf-8", "replace")) if trouble is None else ""
            kind = _by_status(status) or own or (RequestError if 400 <= status < 500 else MalformedError)
            retry = received.headers.get("Retry-After", "")
            wait = f"; it asks to wait {question.printable(retry)} s" if retry else ""
            raise kind(f"{text}{f': {told}' if told else ''}{wait}")
        if trouble is None and (wrong := _says_error(document)):
            raise MalformedError(f"{text} with {question.printable(wrong)}; nothing was compared")

    def _own_error(
        self, exchange: Any, url: str, question: Question, received: Received, said: str, document: Any
    ) -> type[BrokerError] | None:
        """What the exchange's own reading of its error codes makes of an answer: the kind of error, None where it is fine."""
        body = received.raw.decode("utf-8", "replace").strip()
        told: tuple[Any, ...] = (received.status, said, url, question.method, dict(received.headers), body, document, {}, None)
        try:
            exchange.handle_errors(*told)
            if received.status != 200:
                exchange.handle_http_status_code(received.status, said, url, question.method, body)
        except Exception as error:  # of ccxt, or of what its code makes of a document that it does not expect
            return kind_of(error)
        return None


@cache
def _trusted(authorities: Path | None) -> ssl.SSLContext:
    """The certificate authorities that are believed."""
    import ssl

    import httpx

    return ssl.create_default_context(cafile=authorities) if authorities else httpx.create_ssl_context(trust_env=False)


def kind_of(error: Exception) -> type[BrokerError]:
    """Which of our errors one of ccxt's is. Its text is not used: it repeats addresses with their signatures."""
    import ccxt

    for theirs, ours in (
        (ccxt.AuthenticationError, AuthError),
        (ccxt.DDoSProtection, ThrottledError),
        (ccxt.RateLimitExceeded, ThrottledError),
        (ccxt.NullResponse, MalformedError),
        (ccxt.BadResponse, MalformedError),
        (ccxt.OperationFailed, TransientError),
        (ccxt.BaseError, RequestError),
    ):
        if isinstance(error, theirs):
            return ours
    return MalformedError


def _by_status(status: int) -> type[BrokerError] | None:
    if status in (401, 403):
        return AuthError
    if status in (418, 429):  # 418: Binance's ban of who goes on after 429
        return ThrottledError
    return TransientError if status >= 500 or status in (408, 425) else None


def _says_error(document: Any) -> str:
    """What a document with a status of 200 says went wrong; empty where it says nothing."""
    if not isinstance(document, dict):
        return ""
    for name in ("error", "errors", "fault", "errorMessage"):
        if document.get(name):
            return f"{name} {document[name]}"
    if document.get("success") is False:
        return "success false"
    for name in ("code", "retCode", "ret_code", "rc"):
        code = document.get(name)
        if isinstance(code, str | int) and not isinstance(code, bool) and str(code).lower() not in SUCCESS:
            return f"{name} {code}"
    return ""


def texts(value: Any) -> Any:
    """A document with every fraction as the exact text of its digits: ccxt passes texts on as they are, and would round floats."""
    if isinstance(value, Decimal):
        return f"{value:f}" if -60 < value.adjusted() < 60 else str(value)
    if isinstance(value, dict):
        return {name: texts(entry) for name, entry in value.items()}
    return [texts(entry) for entry in value] if isinstance(value, list) else value


def _came(question: Question, shown: Mapping[str, str], response: httpx.Response, raw: bytearray, *, cut: bool = False) -> Received:
    """What came, as evidence."""
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    body = bytes(raw)
    digest = hashlib.sha256(body).hexdigest()
    return Received(question.method, question.url, shown, response.status_code, headers, body, digest, len(body), cut)


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else None
