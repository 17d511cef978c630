"""The HTTP client that halt actions are handed: it reads as ``Http`` does, and it alone writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from recon_core.http.answers import Receipt
from recon_core.http.client import Http
from recon_core.http.exchange import receipt
from recon_core.http.question import Question


class Writer(Http):
    """Writes at an address that recon.yaml names, for halt actions alone; ``get_json`` reads back what came of it."""

    purpose = "action"

    async def send(
        self, method: Literal["POST", "PUT", "PATCH"], url: str, content: bytes | Any, *, headers: Mapping[str, str] | None = None
    ) -> Receipt:
        """Send ``content`` (bytes as they are, anything else as JSON), as often as it takes until it is taken once.

        What is sent may arrive more than once: it must mean the same then. The body of the answer is not waited for. Raises as
        ``get_json`` does, and retries as it does.
        """
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        question = Question(method, url, dict(headers or {}), content=body)
        return await self._ask(question, lambda response: receipt(question, response))
