"""Brokers asked at the same time: the slowest decides how long it takes, and one that hangs delays nobody past its deadline."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from canaries import ALPACA
from deployment import Deployment
from loopback import Loopback, Reply, as_json, serving

from recon_core.collect import GRACE_SECONDS, ask, maker
from recon_core.config.settings import BrokerSettings
from recon_core.host import load_host
from recon_core.model import Feed

POSITION = {
    "asset_id": "id",
    "symbol": "MSFT",
    "asset_class": "us_equity",
    "qty": "3",
    "side": "long",
    "avg_entry_price": "10",
    "current_price": "11",
}
ACCOUNT = {
    "account_number": "PA3X7",
    "status": "ACTIVE",
    "currency": "USD",
    "cash": "1",
    "long_market_value": "33",
    "short_market_value": "0",
}
ANSWERS = {"/v2/positions": as_json([POSITION]), "/v2/account": as_json(ACCOUNT)}


def broker(name: str, server: Loopback, **more: Any) -> BrokerSettings:
    secrets = {"key_id": "env:ALPACA_KEY_ID", "secret_key": "env:ALPACA_SECRET_KEY"}
    return BrokerSettings(name, "alpaca", options={"base_url": server.url}, secrets=secrets, **more)


def asked(settings: list[BrokerSettings]) -> tuple[list[Feed], float]:
    """The feeds, and how many seconds they took."""
    host = load_host()
    started = time.monotonic()
    asking = ask(
        settings,
        host.brokers,
        None,
        maker(
            folder=Path(),
            clock=lambda: datetime.now(UTC),
            secret=lambda reference: ALPACA[reference.removeprefix("env:")],
        ),
    )
    return [answer.feed for answer in asking.answers()], time.monotonic() - started


def slowly(loopback: Loopback, seconds: float) -> None:
    """Let every answer take so long."""
    answer = loopback.next_reply

    def late(path: str) -> Reply:
        time.sleep(seconds)
        return answer(path)

    loopback.next_reply = late


def test_twenty_brokers_take_as_long_as_one() -> None:
    with serving(ANSWERS) as server:
        slowly(server, 0.2)
        (one,), alone = asked([broker("one", server)])
        feeds, together = asked([broker(f"broker-{number}", server) for number in range(20)])
    assert {feed.status for feed in feeds} == {one.status} == {"COMPLETE"}
    assert together < alone + 0.8, "one after another they would wait for 4 seconds"


def test_one_that_hangs_delays_nobody_past_its_deadline() -> None:
    with serving(ANSWERS) as server, serving({"/v2/positions": Reply("[]", stall="within")}) as hanging:
        feeds, seconds = asked([broker("a", server), broker("b", hanging, deadline_seconds=0.5), broker("c", server)])
    assert [feed.status for feed in feeds] == ["COMPLETE", "FAILED", "COMPLETE"]
    assert seconds < 0.5 + GRACE_SECONDS + 1


SLOW_RESOLVER = """
import socket, sys, time, anyio, httpcore, httpx
from recon_core import NoVerdictError, PositionReconciler

known = socket.getaddrinfo

def getaddrinfo(host, *arguments, **more):
    if host not in ("broker.example", b"broker.example"):
        return known(host, *arguments, **more)
    sys.stderr.write(f"{time.monotonic()}\\n")  # one write: two threads may ask at once, and their lines stay whole
    sys.stderr.flush()
    time.sleep(90)

socket.getaddrinfo = getaddrinfo
try:
    PositionReconciler().reconcile()
except NoVerdictError as error:
    print(error)
"""


def test_a_name_server_that_never_answers_holds_neither_the_feed_nor_the_process(tmp_path: Path) -> None:
    """Seen from a program of one's own: the machine's resolver waits for such a server, and cannot be interrupted."""
    deployment = Deployment(tmp_path)
    deployment.write("recon.yaml", NOWHERE)
    done = subprocess.run(
        [sys.executable, "-c", SLOW_RESOLVER], cwd=tmp_path, env=os.environ | ALPACA, capture_output=True, text=True, check=False
    )
    ended = time.monotonic()
    assert "no whole answer within the feed's deadline of 5 s" in done.stdout, done.stderr
    asked = float(done.stderr.splitlines()[0])
    assert ended - asked < 5 + 10, "five seconds for the deadline; the rest is for a machine that is busy, and no 90 s"


NOWHERE = """version: 1
book: {file: book.csv}
brokers:
  paper:
    adapter: alpaca
    deadline_seconds: 5
    options: {base_url: "https://broker.example"}
    secrets: {key_id: env:ALPACA_KEY_ID, secret_key: env:ALPACA_SECRET_KEY}
"""
