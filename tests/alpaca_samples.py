"""The Alpaca adapter as a run gets it, and answers in the shapes that Alpaca documents."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from canaries import ALPACA
from loopback import Loopback

from recon_core.brokers import Broker
from recon_core.host import load_host
from recon_core.http import Http

FILE = Path(__file__).parents[1] / "plugins" / "brokers" / "alpaca.py"
SECRETS = {"key_id": ALPACA["ALPACA_KEY_ID"], "secret_key": ALPACA["ALPACA_SECRET_KEY"]}
CLOCK = datetime(2026, 11, 20, 21, 5, 1, tzinfo=UTC)


def adapter_class() -> type[Broker]:
    """The class as the host gives it to a run; as a drop-in where this tree is not installed."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "brokers").mkdir(mode=0o700)
        for file in (FILE, *FILE.parent.glob(f"_{FILE.stem}_*.py")):
            copy = Path(folder) / "brokers" / file.name
            copy.write_bytes(file.read_bytes())
            copy.chmod(0o600)
        return load_host(drop_ins=Path(folder)).brokers["alpaca"]


ADAPTER = adapter_class()


def alpaca(server: Loopback, http: Http | None = None, **settings: Any) -> Broker:
    """An adapter that asks this server, for corporate actions too."""
    defaults = {name: schema["default"] for name, schema in ADAPTER.options.items() if "default" in schema}
    return ADAPTER(
        "alpaca-paper",
        settings={**defaults, "base_url": server.url + "/", "data_url": server.url + "/", **settings},
        secret=SECRETS.__getitem__,
        folder=Path(),
        clock=lambda: CLOCK,
        http=http or Http(deadline_seconds=5, backoff_seconds=0.001),
    )


def row(symbol: str = "MSFT", qty: str = "10", **more: Any) -> dict[str, Any]:
    """A position as Alpaca writes it; a field set to ... is left out."""
    short = more.get("side") == "short"
    full = {
        "asset_id": f"id-of-{symbol}",
        "symbol": symbol,
        "exchange": "NASDAQ",
        "asset_class": "us_equity",
        "avg_entry_price": "400.25",
        "qty": qty,
        "qty_available": qty,
        "side": "long",
        "market_value": "-4100" if short else "4100",
        "cost_basis": "4002.5",
        "unrealized_pl": "97.5",
        "current_price": "410",
        "lastday_price": "409.1",
        **more,
    }
    return {name: value for name, value in full.items() if value is not ...}


def account(long: str = "4100", short: str = "0", **more: Any) -> dict[str, Any]:
    """An account as Alpaca writes it."""
    full = {
        "id": "5f2c",
        "account_number": "PA3X7",
        "status": "ACTIVE",
        "currency": "USD",
        "cash": "9000.5",
        "equity": "13100.5",
        "long_market_value": long,
        "short_market_value": short,
        "trading_blocked": False,
        "account_blocked": False,
        "balance_asof": "2026-11-19",
        **more,
    }
    return {name: value for name, value in full.items() if value is not ...}


def fill(number: int = 1, symbol: str = "MSFT", qty: str = "10", side: str = "buy", **more: Any) -> dict[str, Any]:
    """An execution as the account activities tell it; the stamp of its id is of New York."""
    full = {
        "id": f"20261119093000123::fill-{number:04}",
        "activity_type": "FILL",
        "transaction_time": "2026-11-19T14:30:00.123456Z",
        "type": "fill",
        "price": "410.5",
        "qty": qty,
        "side": side,
        "symbol": symbol,
        "leaves_qty": "0",
        "order_id": "order-1",
        "cum_qty": qty,
        "order_status": "filled",
        **more,
    }
    return {name: value for name, value in full.items() if value is not ...}


def booked(activity_type: str, number: int = 1, **more: Any) -> dict[str, Any]:
    """Any other activity; the stamp of its id holds a day alone."""
    full = {
        "id": f"20261119000000000::booked-{number:04}",
        "activity_type": activity_type,
        "date": "2026-11-19",
        "net_amount": "0",
        "description": "",
        "status": "executed",
        **more,
    }
    return {name: value for name, value in full.items() if value is not ...}
