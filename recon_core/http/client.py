"""The HTTP client that broker adapters are handed: GET only, one deadline a feed, strict documents, pages read to the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import ClassVar, Self, TypeVar
from urllib.parse import urlsplit

from recon_core.errors import AuthError, BrokerError, RequestError
from recon_core.http.answers import JSON, XML, Answer, Answering, Form, Received
from recon_core.http.exchange import Client, Patience, Take, connected, persist, whole_answer
from recon_core.http.question import Question, without_query

MEBIBYTE = 1024 * 1024
MOST_PAGES = 1000

Taken = TypeVar("Taken")
Following = Callable[[Answer], Mapping[str, str] | None]
"""The params in which the question for the next page differs, None where the answer was the last page."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of one list. ``trouble`` says why there may be more that are missing; empty where all were read."""

    answers: tuple[Answer, ...]
    trouble: str = ""


class Http:
    """Asks a broker's REST API. Make one for each reading of a feed: ``deadline_seconds`` runs from its first request.

    ``max_bytes`` bounds a body. ``backoff_seconds`` is the scale of the pauses between attempts, which double and are drawn at
    random so that many bots do not come back at once. ``authorities`` is a file of certificate authorities to believe in place of
    the usual ones. Environment proxies and netrc are ignored: keys go where recon.yaml says. ``received`` is all that came, its
    bytes only where ``keep_raw`` says so. ``answering`` answers in place of the network. In an ``async with`` connections are
    used again.
    """

    purpose: ClassVar[str] = "feed"

    def __init__(
        self,
        deadline_seconds: float = 30,
        max_bytes: int = 64 * MEBIBYTE,
        user_agent: str = "recon-core",
        *,
        backoff_seconds: float = 0.5,
        authorities: Path | None = None,
        keep_raw: bool = False,
        answering: Answering | None = None,
    ) -> None:
        self.deadline_seconds = deadline_seconds
        self.max_bytes = max_bytes
        self.user_agent = user_agent
        self.backoff_seconds = backoff_seconds
        self.authorities = authorities
        self.keep_raw = keep_raw
        self.received: list[Received] = []
        self.answering = answering
        self._ends: float | None = None
        self._stack: AsyncExitStack | None = None
        self._client: Client | None = None

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        return self

    async def __aexit__(self, *_: object) -> None:
        stack, self._stack, self._client = self._stack, None, None
        if stack is not None:
            await stack.aclose()

    def renew(self) -> None:
        """Let the deadline begin anew with the next request: what is asked from now on is a reading of its own."""
        self._ends = None

    async def get_json(
        self, url: str, *, headers: Mapping[str, str] | None = None, params: Mapping[str, str] | None = None
    ) -> Answer:
        """The JSON document at ``url``; credentials belong in ``headers``.

        Network errors, 408, 425, 429 and 5xx are tried again, ``Retry-After`` honoured, while the deadline allows. Raises
        AuthError (401, 403), ThrottledError (429), RequestError (other 4xx, a redirect, an unsafe address), TransientError
        (5xx, network, deadline) and MalformedError (anything that is not one whole, strict JSON document, or one with an
        ``error``, ``errors``, ``fault`` or ``errorMessage`` that says something).
        """
        return await self._get(JSON, url, headers, params)

    async def get_xml(
        self, url: str, *, headers: Mapping[str, str] | None = None, params: Mapping[str, str] | None = None
    ) -> Answer:
        """The XML document at ``url``, as its root element; raises as ``get_json`` does, and for a DTD or entities."""
        return await self._get(XML, url, headers, params)

    async def get_pages(
        self,
        url: str,
        following: Following,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        most: int = MOST_PAGES,
    ) -> Pages:
        """All pages of the JSON list at ``url``. ``following`` says what the next page is asked with, None at the end.

        A page that is asked for or answered a second time, more than ``most`` pages, and a later page that cannot be had end it
        with ``trouble``: what was read stands, and is not all. Trouble with the first page raises as ``get_json`` does, refused
        credentials always.
        """
        asked, seen = dict(params or {}), set[str]()
        questions = [dict(asked)]
        answers: list[Answer] = []
        place = ""
        while True:
            number = len(answers) + 1
            try:
                answer = await self.get_json(url, headers=headers, params=asked)
            except AuthError:
                raise
            except BrokerError as error:
                if not answers:
                    raise
                return Pages(tuple(answers), f"page {number} could not be had: {error}")
            place = place or without_query(urlsplit(url))
            if answer.sha256 in seen:
                return Pages(tuple(answers), f"{place}: page {number} is the same as an earlier one (a broker's bug or a proxy's?)")
            seen.add(answer.sha256)
            answers.append(answer)
            further = following(answer)
            if further is None:
                return Pages(tuple(answers))
            if {**asked, **further} in questions:
                what = "itself" if {**asked, **further} == asked else "a page that was read already"
                return Pages(tuple(answers), f"{place}: page {number} says that it is followed by {what} (a repeated cursor)")
            if number == most:
                return Pages(tuple(answers), f"{place}: more than {most} pages")
            asked |= further
            questions.append(dict(asked))

    def handed(self, url: str, *, hosts: tuple[str, ...], like: str = "") -> str:
        """An address that a broker's answer named, where it may be asked: at one of ``hosts`` (``*.broker.example``) by https.

        So may the host and port of ``like``, the address that was asked before. Raises RequestError for any other, for the keys
        would go there.
        """
        try:
            named, known = urlsplit(url), urlsplit(like)
            there = (named.scheme, named.hostname or "", named.port)
        except ValueError:
            raise RequestError("the address that the answer names is none") from None
        same = bool(like) and there == (known.scheme, known.hostname, known.port)
        if same or (named.scheme == "https" and any(fnmatchcase(there[1], host) for host in hosts)):
            return url
        shown = Question("GET", like or "https://localhost").printable(without_query(named))
        raise RequestError(
            f"the answer points to {shown}, which is not {' or '.join(hosts)}: not asked, for the keys would go there"
        )

    async def _get(self, form: Form, url: str, headers: Mapping[str, str] | None, params: Mapping[str, str] | None) -> Answer:
        question = Question("GET", url, {"Accept": form.accept, **(headers or {})}, dict(params or {}))
        return await self._ask(question, lambda response: whole_answer(question, response, form, self.max_bytes, self.keep))

    def keep(self, received: Received) -> None:
        """Take into the evidence what came: also from an adapter whose own library asks."""
        self.received.append(received if self.keep_raw else replace(received, raw=b""))

    async def _ask(self, question: Question, take: Take[Taken]) -> Taken:
        import asyncio

        if self._ends is None:
            self._ends = asyncio.get_running_loop().time() + self.deadline_seconds
        patience = Patience(self._ends, self.deadline_seconds, f"the {self.purpose}'s deadline", self.backoff_seconds)
        # One stalled connection may use half of the deadline, so that another attempt still fits.
        client = connected(self.deadline_seconds / 2, self.user_agent, self.authorities, self.answering)
        if self._stack is None:
            async with client as own:
                return await persist(question, take, patience, own)
        if self._client is None:
            self._client = await self._stack.enter_async_context(client)
        return await persist(question, take, patience, self._client)
