"""The adapter as the engine makes it, asked against a real server on loopback."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from loopback import serving

from recon_core import Ask
from recon_core.host import load_host
from recon_core.http import Http

SECRETS = {
    "api_key": "canary-secret-0f9a7b",
    "secret": b64encode(b"canary-environment-31d8").decode(),
    "password": "not-in-any-message",
}


@pytest.fixture(scope="session")
def host():
    __import__("ccxt.async_support")
    return load_host()


class Reader:
    """Reads ``exchange`` from a server with the given answers; ``requests`` are what that was asked, ``http`` the evidence."""

    def __init__(self, host):
        self.host = host

    @contextmanager
    def adapter(self, exchange, wallets, replies, *, deadline=20, answering=None, keep_raw=False, **options):
        adapter = self.host.brokers["ccxt"]
        self.http = Http(deadline, backoff_seconds=0.01, answering=answering, keep_raw=keep_raw)
        with serving(replies) as server:
            self.requests, self.server = server.requests, server
            settings = {name: spec.get("default") for name, spec in adapter.options.items()}
            yield adapter(
                "venue",
                settings=settings | {"exchange": exchange, "wallets": wallets, "base_url": server.url} | options,
                secret=SECRETS.__getitem__,
                folder=Path(),
                clock=lambda: datetime(2026, 11, 20, 21, 6, tzinfo=UTC),
                http=self.http,
                given=SECRETS,
            )

    def __call__(self, exchange, wallets, replies, *, ask=None, **options):
        with self.adapter(exchange, wallets, replies, **options) as broker:
            return asyncio.run(broker.positions(ask or Ask()))

    def evidence(self, exchange, wallets, replies, since=None):
        with self.adapter(exchange, wallets, replies) as broker:
            self.digests = broker.digests
            return asyncio.run(broker.evidence(Ask(since=since)))


@pytest.fixture
def read(host):
    return Reader(host)


@pytest.fixture(autouse=True)
def no_waiting(request, monkeypatch):
    """ccxt waits up to a second before each question, as the venues ask for: here only where a test is about that."""
    if "unhurried" not in request.keywords:
        from ccxt.async_support.base.exchange import Exchange

        async def at_once(self, cost=None):
            pass

        monkeypatch.setattr(Exchange, "throttle", at_once)
