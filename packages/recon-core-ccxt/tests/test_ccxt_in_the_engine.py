"""The adapter as a deployment has it: configured, proven by the engine, recorded, and with its secrets masked."""

import json
import time
from datetime import UTC, datetime

import payloads as venue
import pytest
from canaries import found
from conftest import SECRETS
from loopback import Reply, as_json, serving

from recon_core import ConfigError, FeedStatus
from recon_core.fetching import Wish, fetch

CONFIG = """version: 1
book: {{file: book.csv}}
brokers:
  venue:
    adapter: ccxt
    accounts: {{kraken: MAIN}}
    deadline_seconds: {deadline}
    options: {{exchange: kraken, wallets: [{wallet}], base_url: "{url}"}}
    secrets: {{api_key: env:API_KEY, secret: env:API_SECRET, password: env:API_PASSWORD}}
"""
BOOK = "broker,account,symbol,quantity,asset_class\nvenue,MAIN,BTC,1.2345678901,crypto\n"


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Ask the broker of a deployment whose venue gives these answers."""
    for name, secret in (("API_KEY", "api_key"), ("API_SECRET", "secret"), ("API_PASSWORD", "password")):
        monkeypatch.setenv(name, SECRETS[secret])
    (tmp_path / "book.csv").write_text(BOOK)

    def asked(replies, *, wallet="spot", deadline=20, **wish):
        with serving(replies) as server:
            (tmp_path / "recon.yaml").write_text(CONFIG.format(url=server.url, wallet=wallet, deadline=deadline))
            config = tmp_path / "recon.yaml"
            return fetch(Wish("venue", config, **wish), clock=lambda: datetime(2026, 11, 20, 21, 6, tzinfo=UTC))

    return asked


def test_feed_is_proven_by_the_names_of_the_book(asked):
    fetched = asked(venue.kraken())
    assert (fetched.feed.status, fetched.feed.accounts) == (FeedStatus.COMPLETE, ("MAIN",))
    assert [(row["account"], row["symbol"], row["quantity"]) for row in fetched.positions] == [
        ("MAIN", "BTC", "1.2345678901"),
        ("MAIN", "ETH", "0"),
    ]


def test_recording_holds_no_secret_and_answers_again(asked, tmp_path):
    fetched = asked(venue.kraken(), save=tmp_path / "kept")
    written = [path.read_bytes() for path in (tmp_path / "kept").iterdir()]
    assert not [forms for raw in written if (forms := found(raw))]
    questions = json.loads((tmp_path / "kept" / "recording.json").read_text())["exchanges"]
    assert [question["method"] for question in questions] == ["GET", "GET", "POST"]
    assert asked({}, replay=tmp_path / "kept").positions == fetched.positions


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_secrets_that_the_venue_repeats_are_masked_in_the_reason(asked, status):
    said = " ".join(SECRETS.values())
    feed = asked(venue.kraken() | {"/0/private/BalanceEx": as_json({"error": [said], "result": {}}, status)}).feed
    assert feed.status is FeedStatus.FAILED
    assert "/0/private/BalanceEx" in feed.reason
    assert not found(feed.reason)
    assert SECRETS["secret"] not in feed.reason


def test_empty_body_is_a_failed_feed_while_the_book_holds_something(asked):
    feed = asked(venue.kraken() | {"/0/private/BalanceEx": Reply("")}).feed
    assert (feed.status, feed.everywhere) == (FeedStatus.FAILED, True)


def test_deadline_of_the_configuration_holds(asked):
    began = time.monotonic()
    feed = asked(venue.kraken() | {"/0/private/BalanceEx": Reply("{}", stall="drip")}, deadline=1).feed
    assert (feed.status, feed.reason) == (FeedStatus.FAILED, "kraken: no whole answer within the feed's deadline of 1 s")
    assert time.monotonic() - began < 2.5


def test_wallet_that_is_none_is_refused_before_anything_is_asked(asked):
    with pytest.raises(ConfigError, match="wallets"):
        asked({}, wallet="sopt")
