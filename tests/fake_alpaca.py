"""An Alpaca account on loopback that lives: what happens in it changes its positions, and its activities tell of it.

It behaves as Alpaca documents it: a position that is closed is gone, quantities are texts, a short has a negative one and its
side, activities come in pages after the id of the last row, newest first unless asked otherwise, and ``after`` looks at when a row
was made, whose id is stamped with the clock of New York.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from canaries import ALPACA

NEW_YORK = ZoneInfo("America/New_York")
NUMBER = "PA3X7"
KEYS = {"apca-api-key-id": ALPACA["ALPACA_KEY_ID"], "apca-api-secret-key": ALPACA["ALPACA_SECRET_KEY"]}


@dataclass
class Held:
    """A position: signed quantity, average entry price, and the price of the market."""

    quantity: Decimal
    entry: Decimal
    price: Decimal
    asset_class: str = "us_equity"


@dataclass
class FakeAlpaca:
    """The account. What happens is told by methods; each books its activities at ``at``."""

    held: dict[str, Held] = field(default_factory=dict)
    activities: list[dict[str, Any]] = field(default_factory=list)
    actions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def holds(self, symbol: str, quantity: str, entry: str, price: str | None = None, *, asset_class: str = "us_equity") -> None:
        """A position from before anything is told of."""
        self.held[symbol] = Held(Decimal(quantity), Decimal(entry), Decimal(price or entry), asset_class)

    def trade(self, symbol: str, quantity: str, price: str, at: datetime, *, order: str, kind: str = "fill") -> str:
        """An execution; signed. Its id."""
        change, paid = Decimal(quantity), Decimal(price)
        self._move(symbol, change, paid)
        row = {
            "activity_type": "FILL",
            "transaction_time": f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            "type": kind,
            "price": price,
            "qty": str(abs(change)),
            "side": "buy" if change > 0 else "sell",
            "symbol": symbol,
            "leaves_qty": "0",
            "order_id": order,
            "cum_qty": str(abs(change)),
            "order_status": "filled",
        }
        return self._book(row, at)

    def booked(self, activity_type: str, symbol: str, quantity: str, at: datetime, **more: Any) -> str:
        """Anything else that moves a position, signed; ``entry`` is the price of units that come. Its id."""
        entry = more.pop("entry", None)
        self._move(symbol, Decimal(quantity), None if entry is None else Decimal(entry))
        row = {
            "activity_type": activity_type,
            "date": f"{at.astimezone(NEW_YORK):%Y-%m-%d}",
            "net_amount": "0",
            "description": "",
            "status": "executed",
            "symbol": symbol,
            "qty": quantity,
            **more,
        }
        return self._book(row, at)

    def split(self, symbol: str, ratio: str, at: datetime) -> str:
        """A forward split: more units, at a fraction of the price."""
        held = self.held[symbol]
        factor = Decimal(ratio)
        more = held.quantity * (factor - 1)
        self.held[symbol] = Held(held.quantity * factor, held.entry / factor, held.price / factor, held.asset_class)
        return self._book(
            {
                "activity_type": "SPLIT",
                "activity_sub_type": "FSPLIT",
                "date": f"{at.astimezone(NEW_YORK):%Y-%m-%d}",
                "net_amount": "0",
                "description": f"{ratio}:1",
                "status": "executed",
                "symbol": symbol,
                "qty": str(more),
            },
            at,
        )

    def _move(self, symbol: str, change: Decimal, paid: Decimal | None) -> None:
        held = self.held.get(symbol)
        if held is None:
            self.held[symbol] = Held(change, paid or Decimal(0), paid or Decimal(0))
            return
        grown = held.quantity * change > 0
        if grown and paid is not None:
            held.entry = (held.entry * held.quantity + paid * change) / (held.quantity + change)
        held.quantity += change
        if not held.quantity:
            del self.held[symbol]

    def _book(self, row: dict[str, Any], at: datetime) -> str:
        """As Alpaca stamps it: with the clock of New York, though the execution's own time is of UTC."""
        stamp = f"{at.astimezone(NEW_YORK):%Y%m%d%H%M%S}{at.microsecond // 1000:03}"
        name = f"{stamp}::{len(self.activities) + 1:08}-0000-4000-8000-000000000000"
        self.activities.append({"id": name, **row})
        return name

    def answer(self, path: str, query: dict[str, str]) -> Any:
        """What a GET is answered with; None where there is no such path."""
        if path == "/v2/positions":
            return [self._position(symbol, held) for symbol, held in self.held.items()]
        if path == "/v2/account":
            return self._account()
        if path == "/v2/account/activities":
            return self._activities(query)
        if path == "/v1/corporate-actions":
            return {"corporate_actions": self._actions(query), "next_page_token": None}
        return None

    def _position(self, symbol: str, held: Held) -> dict[str, Any]:
        value = held.quantity * held.price * self._multiplier(held)
        return {
            "asset_id": f"id-of-{symbol}",
            "symbol": f"{symbol} " if symbol == "AAPL" else symbol,  # as the documentation's own example has it
            "exchange": "NASDAQ",
            "asset_class": held.asset_class,
            "avg_entry_price": f"{held.entry:f}",
            "qty": f"{held.quantity:f}",
            "qty_available": f"{held.quantity:f}",
            "side": "long" if held.quantity > 0 else "short",
            "market_value": f"{value:f}",
            "cost_basis": f"{held.quantity * held.entry:f}",
            "current_price": f"{held.price:f}",
            "lastday_price": f"{held.price:f}",
        }

    def _account(self) -> dict[str, Any]:
        values = [held.quantity * held.price * self._multiplier(held) for held in self.held.values()]
        return {
            "id": "5f2c",
            "account_number": NUMBER,
            "status": "ACTIVE",
            "currency": "USD",
            "cash": "100000",
            "long_market_value": str(sum((value for value in values if value > 0), Decimal(0))),
            "short_market_value": str(sum((value for value in values if value < 0), Decimal(0))),
            "trading_blocked": False,
            "account_blocked": False,
        }

    def _activities(self, query: dict[str, str]) -> list[dict[str, Any]]:
        rows = sorted(self.activities, key=lambda row: row["id"], reverse=query.get("direction", "desc") != "asc")
        if "after" in query:
            after = datetime.fromisoformat(query["after"]).astimezone(NEW_YORK)
            rows = [row for row in rows if row["id"][:14] > f"{after:%Y%m%d%H%M%S}"]
        if "page_token" in query:
            names = [row["id"] for row in rows]
            rows = rows[names.index(query["page_token"]) + 1 :]
        return rows[: min(int(query.get("page_size", "100")), 100)]

    def _actions(self, query: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
        symbols: Sequence[str] = query.get("symbols", "").split(",")
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        first, last = query.get("start", today), query.get("end", today)
        return {
            kind: [row for row in rows if row["symbol"] in symbols and first <= row["process_date"] <= last]
            for kind, rows in self.actions.items()
        }

    @staticmethod
    def _multiplier(held: Held) -> int:
        return 100 if held.asset_class == "us_option" else 1


@contextmanager
def living() -> Iterator[FakeAlpaca]:
    """The account behind a server that is stopped at the end; it answers GET alone, and only who has its keys."""
    alpaca = FakeAlpaca()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # the name that http.server asks for
            parts = urlsplit(self.path)
            alpaca.asked.append(self.path)
            if any(self.headers.get(name) != key for name, key in KEYS.items()):
                return self._send(403, {"code": 40310000, "message": "forbidden."})
            found = alpaca.answer(parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()})
            return self._send(404, {"code": 40410000, "message": "endpoint not found"}) if found is None else self._send(200, found)

        def _send(self, status: int, value: Any) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)  # with the Date of this moment
            self.send_header("Content-Type", "application/json; charset=UTF-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(ConnectionError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    alpaca.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield alpaca
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
