"""The HTTP client that broker adapters are handed: GET only, one deadline a feed, strict JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, TypeVar

from recon_core.http.exchange import Answer, Patience, Take, persist, whole_answer
from recon_core.http.question import Question

MEBIBYTE = 1024 * 1024

Taken = TypeVar("Taken")


class Http:
    """Asks a broker's REST API. Make one for each reading of a feed: ``deadline_seconds`` runs from its first request.

    ``max_bytes`` bounds a body. ``backoff_seconds`` is the scale of the pauses between attempts, which double and are drawn at
    random so that many bots do not come back at once. Environment proxies and netrc are ignored: keys go where recon.yaml says.
    """

    purpose: ClassVar[str] = "feed"

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
        question = Question("GET", url, dict(headers or {}), dict(params or {}))
        return await self._ask(question, lambda response: whole_answer(question, response, self.max_bytes))

    async def _ask(self, question: Question, take: Take[Taken]) -> Taken:
        import asyncio

        if self._ends is None:
            self._ends = asyncio.get_running_loop().time() + self.deadline_seconds
        patience = Patience(self._ends, self.deadline_seconds, f"the {self.purpose}'s deadline", self.backoff_seconds)
        return await persist(question, take, patience, self.user_agent)
