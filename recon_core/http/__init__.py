"""HTTP, guarded: ``Http`` only reads and is what broker adapters get; ``Writer`` also writes and is what halt actions get.

It exists so that no adapter can take a login page, half a body or a proxy's error for an empty account, and so that keys go
to one host only: redirects are refused, headers never reach a message, and what the other side echoes of them is masked.
httpx and asyncio are imported when a request is made; a run that asks no network does not pay for them.
"""

from recon_core.http.answers import Answer, Answering, Receipt, Received
from recon_core.http.client import Http, Pages
from recon_core.http.question import Question
from recon_core.http.writer import Writer

__all__ = ["Answer", "Answering", "Http", "Pages", "Question", "Receipt", "Received", "Writer"]
