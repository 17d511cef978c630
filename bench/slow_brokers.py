"""Brokers on loopback that take their time: each is an account of five positions, in the shape of Alpaca's answers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

DELAY_SECONDS = 0.2
ACCOUNT = "ACC1"
HELD = 5


def _answers() -> dict[str, Any]:
    position = {"asset_class": "us_equity", "avg_entry_price": "9.5", "qty": "10", "side": "long", "current_price": "10"}
    return {
        "/v2/positions": [{**position, "symbol": f"SYM{number}", "market_value": "100"} for number in range(HELD)],
        "/v2/account": {
            "account_number": ACCOUNT,
            "status": "ACTIVE",
            "currency": "USD",
            "cash": "0",
            "long_market_value": f"{HELD * 100}",
            "short_market_value": "0",
        },
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def answering() -> Iterator[str]:
    """The address at which all of them are, each answer DELAY_SECONDS after its question."""
    bodies = {path: json.dumps(answer).encode() for path, answer in _answers().items()}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            time.sleep(DELAY_SECONDS)
            body = bodies[self.path.partition("?")[0]]
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def write_book(path: Path, brokers: int) -> None:
    """What as many of them hold, as a book that was confirmed just now."""
    import duckdb

    duckdb.connect().execute(
        f"""COPY (
            SELECT 'b' || b AS broker, '{ACCOUNT}' AS account, 'SYM' || s AS symbol, 'us_equity' AS asset_class,
                10::DECIMAL(18,6) AS quantity, 9.5::DECIMAL(18,6) AS avg_price, 'USD' AS currency, now() AS updated_at
            FROM range({brokers}) a(b), range({HELD}) c(s)) TO '{path}'"""
    )
