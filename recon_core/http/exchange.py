"""One question over the network, asked until it is answered or time is up. The only importer of httpx."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from recon_core.errors import BrokerError, MalformedError, RequestError, TransientError
from recon_core.http.answers import Again, Answer, Answering, Form, Receipt, Received, believed, received_of, refusal
from recon_core.http.question import Question

if TYPE_CHECKING:
    import ssl

    import httpx

ATTEMPTS = 4
ERROR_BODY_BYTES = 16 * 1024  # enough for a message; the body of an error is never data
MOST_KEPT = 1024 * 1024  # of a body that did not come whole: enough to see what it was, and no second copy of what is too large
# Plain bytes, for a compressed bomb passes no limit; and no cached answer.
OWN_HEADERS = {"Accept-Encoding": "identity", "Cache-Control": "no-cache"}
_READING = threading.Lock()

Client: TypeAlias = "httpx.AsyncClient"
Taken = TypeVar("Taken")
Take = Callable[["httpx.Response"], Awaitable[Taken]]
"""Makes something of a response, or refuses it by raising."""


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
                except Again as again:
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


async def whole_answer(
    question: Question, response: httpx.Response, form: Form, max_bytes: int, keep: Callable[[Received], None]
) -> Answer:
    """The answer of a 200 that is one whole document of its form; the errors of ``Http.get_json`` for any other.

    Whatever came is given to ``keep`` before it is judged, also the first MOST_KEPT bytes of a body that does not come whole.
    """
    if response.status_code != 200:
        raw = await _first_bytes(response)
        keep(received_of(question, response.status_code, response.headers, raw))
        raise refusal(question, response.status_code, response.headers, raw)
    body = bytearray()
    whole = False
    try:
        await _read_body(question, response, max_bytes, body)
        whole = True
    finally:
        raw = bytes(body if whole else memoryview(body)[:MOST_KEPT])
        received = received_of(question, response.status_code, response.headers, raw, cut=not whole)
        keep(received)
    return believed(question, response.headers, received, form)


async def receipt(question: Question, response: httpx.Response) -> Receipt:
    """The receipt of a 2xx, whose body is not waited for; the errors of ``Http.get_json`` for any other."""
    if not 200 <= response.status_code < 300:
        raise refusal(question, response.status_code, response.headers, await _first_bytes(response))
    return Receipt(response.status_code)


async def _once(client: Client, question: Question, take: Take[Taken]) -> Taken:
    """One attempt. Raises Again where another may help."""
    import httpx

    headers = question.headers if question.content is None else {"Content-Type": "application/json", **question.headers}
    asked = client.stream(question.method, question.url, headers=headers, params=question.query() or None, content=question.content)
    try:
        async with AsyncExitStack() as stack:
            try:
                response = await stack.enter_async_context(asked)
            except ValueError as error:  # what httpx makes of a Location that is no address, though it is not to follow any
                raise MalformedError(f"{question.place}: its answer points to what is no address") from error
            return await take(response)
    except httpx.TransportError as error:
        cause = question.printable(str(error)) or type(error).__name__
        raise Again(TransientError(f"{question.place}: the network failed: {cause}")) from error


async def _read_body(question: Question, response: httpx.Response, max_bytes: int, body: bytearray) -> None:
    """Read the bytes of a 200, uncompressed and within the limit, into ``body``."""
    import httpx

    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise MalformedError(
            f"{question.place}: answered with Content-Encoding {question.printable(encoding)}, asked for plain bytes"
        )
    try:
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > max_bytes:
                raise MalformedError(f"{question.place}: the body is larger than the limit of {max_bytes} bytes")
    except (httpx.RemoteProtocolError, httpx.ReadError) as error:
        raise Again(MalformedError(f"{question.place}: the body was cut off after {len(body)} bytes")) from error


class _Replayed:
    """Answers from a recording, as a transport: what guards the network guards it, too."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        import httpx

        found = self._answering(request.method, str(request.url.copy_with(query=None)), dict(request.url.params))

        async def body() -> AsyncIterator[bytes]:
            yield found.raw
            if found.cut:
                raise httpx.ReadError("the recording ends here")

        # As bytes, for httpx takes texts of ASCII only: a header may be of any.
        headers = [(name.encode("utf-8", "replace"), value.encode("utf-8", "replace")) for name, value in found.headers.items()]
        return httpx.Response(found.status, headers=headers, content=body())

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
