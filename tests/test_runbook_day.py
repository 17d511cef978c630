"""A day of the runbook, whole: an account that moved, breaks of every type, explained, corrected, and gone at the next run.

The book is a real database, the broker a real server, every command a process as a user starts it.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from canaries import ALPACA
from deployment import Deployment
from fake_alpaca import FakeAlpaca, living
from services import postgres

CALL, PUT = "AAPL271217C00250000", "KO270115P00060000"
COLUMNS = (
    "broker", "account", "symbol", "asset_class", "currency", "quantity", "avg_price", "multiplier", "updated_at", "opened_at"
)  # fmt: skip
TABLES = (
    """CREATE TABLE positions (
        broker TEXT NOT NULL, account TEXT NOT NULL, symbol TEXT NOT NULL, asset_class TEXT, currency TEXT, quantity TEXT NOT NULL,
        avg_price TEXT, multiplier TEXT, updated_at TEXT, opened_at TEXT, PRIMARY KEY (broker, account, symbol))""",
    """CREATE TABLE fills (id TEXT PRIMARY KEY, broker TEXT, account TEXT, symbol TEXT, quantity TEXT, price TEXT, traded_at TEXT,
        order_id TEXT)""",
    "CREATE TABLE orders (id TEXT PRIMARY KEY, broker TEXT)",
)
HELD = {
    "AAPL": ("100", "180"),
    "MSFT": ("50", "400"),
    "AMD": ("40", "100"),
    "NVDA": ("10", "1200"),
    CALL: ("2", "3.1"),
    PUT: ("-1", "2"),
    "F": ("300", "11"),
}


class BookOfTheFirm:
    """The firm's database, in whichever it is."""

    def __init__(self, url: str) -> None:
        self.url = url

    def execute(self, sql: str, rows: Sequence[Sequence[Any]] = ((),)) -> list[tuple[Any, ...]]:
        """Run a statement for each of the rows, in one transaction; what the last one returns."""
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as connection, connection:
                for row in rows:
                    found = connection.execute(sql, row).fetchall()
            return found
        import psycopg

        with psycopg.connect(self.url) as connection, connection.cursor() as cursor:
            for row in rows:
                cursor.execute(sql.replace("?", "%s"), row)
            return cursor.fetchall() if cursor.description else []

    def holds(self, symbol: str, quantity: str, entry: str, at: datetime) -> None:
        """A row of positions."""
        kind, multiplier = ("us_option", "100") if len(symbol) > 10 else ("us_equity", "1")
        row = ("alpaca", "MAIN", symbol, kind, "USD", quantity, entry, multiplier, iso(at), iso(at))
        self.execute(f"INSERT INTO positions ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})", [row])

    def rows(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Quantity and average price of each symbol."""
        found = self.execute("SELECT symbol, quantity, avg_price FROM positions")
        return {symbol: (Decimal(quantity), Decimal(price)) for symbol, quantity, price in found}


def iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


@contextmanager
def book_in(kind: str, folder: Path) -> Iterator[BookOfTheFirm]:
    if kind == "sqlite":
        yield BookOfTheFirm(f"sqlite:///{folder / 'firm.sqlite'}")
        return
    with postgres() as url:
        yield BookOfTheFirm(url)


class Day:
    """The deployment of a desk at Alpaca whose book is a database."""

    def __init__(self, folder: Path, alpaca: FakeAlpaca, book: BookOfTheFirm, *, fills: bool) -> None:
        self.deployment, self.alpaca, self.book = Deployment(folder), alpaca, book
        for table in TABLES:
            book.execute(table)
        more = "  fills: {table: fills}\n" if fills else ""
        self.deployment.write(
            "recon.yaml",
            f"""version: 1
book:
  database: env:BOOK_URL
  table: positions
{more}  orders: {{table: orders}}
  corrections: {{database: env:BOOK_URL}}
brokers:
  alpaca:
    adapter: alpaca
    accounts: {{PA3X7: MAIN}}
    expect_accounts: [MAIN]
    options: {{base_url: "{alpaca.url}", data_url: "{alpaca.url}"}}
    secrets: {{key_id: env:ALPACA_KEY_ID, secret_key: env:ALPACA_SECRET_KEY}}
recheck: {{times: 0}}
""",
        )

    def command(self, *arguments: str, code: int | None = None) -> str:
        """What a command prints; ``code`` is the exit code that is due."""
        done = self.deployment.command(*arguments, BOOK_URL=self.book.url, **ALPACA)
        assert code is None or done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def run(self, code: int) -> dict[str, Any]:
        """The report of a run."""
        found: dict[str, Any] = json.loads(self.command("run", "--json", code=code))
        return found

    def begin(self) -> datetime:
        """Book and broker hold the same, and a run says so; the time after which what happens is news."""
        yesterday = datetime.now(UTC) - timedelta(hours=3)
        for symbol, (quantity, entry) in HELD.items():
            self.alpaca.holds(symbol, quantity, entry, asset_class="us_option" if len(symbol) > 10 else "us_equity")
            self.book.holds(symbol, quantity, entry, yesterday)
        assert self.run(0)["verdict"] == "clean"
        time.sleep(1.1)  # as-of times are of whole seconds
        return datetime.now(UTC).replace(microsecond=0)

    def happens(self, at: datetime) -> None:
        """What the broker did, and what of it the book has: seven causes, and all five types of breaks."""
        missed = [self.alpaca.trade("AAPL", "25", "190", at, order="o-aapl")]
        part = self.alpaca.trade("MSFT", "10", "406", at, order="o-msft", kind="partial_fill")
        missed.append(self.alpaca.trade("MSFT", "15", "406", at, order="o-msft"))
        missed.append(self.alpaca.trade("AMD", "-15", "110", at, order="typed-by-hand"))
        self.alpaca.split("NVDA", "4", at)
        self.alpaca.booked("OPEXP", CALL, "-2", at)
        self.alpaca.booked("OPASN", PUT, "1", at, group_id="g1")
        self.alpaca.booked("OPTRD", "KO", "100", at, entry="60", group_id="g1", price="60")
        self.alpaca.booked("ACATS", "IBM", "15", at, entry="140")
        self.book.holds("GHOST", "5", "20", at)
        self.book.execute("INSERT INTO orders VALUES (?, 'alpaca')", [("o-aapl",), ("o-msft",)])
        self.book.execute("INSERT INTO fills VALUES (?, 'alpaca', 'MAIN', 'MSFT', '10', '406', ?, 'o-msft')", [(part, iso(at))])
        self.book.execute("UPDATE positions SET quantity = '60', avg_price = '401' WHERE symbol = 'MSFT'")
        # A row that nobody has touched for longer than the policy allows: the fill above never reached it.
        self.book.execute("UPDATE positions SET updated_at = ? WHERE symbol = 'AAPL'", [(iso(at - timedelta(hours=30)),)])
        time.sleep(1.1)


CAUSES = {
    "AAPL": "MISSED_FILL",
    "MSFT": "PARTIAL_FILL",
    "AMD": "MANUAL_TRADE",
    "NVDA": "CORPORATE_ACTION",
    CALL: "OPTION_EXPIRY",
    PUT: "ASSIGNMENT",
    "KO": "ASSIGNMENT",
    "IBM": "TRANSFER",
    "GHOST": "PHANTOM",
}
REALISED = {
    "AAPL": "0",  # bought
    "MSFT": "0",
    "AMD": "150",  # 15 sold at 110 that cost 100
    "NVDA": "0",  # a split makes no money
    CALL: "-620",  # 2 contracts of 100 that cost 3.10 expired
    PUT: "200",  # 1 contract of 100 sold at 2 was assigned: the premium stays
    "KO": "0",
    "IBM": "0",
}


@pytest.mark.case("F01", "F05", "F07", "F08")
@pytest.mark.parametrize(("kind", "fills"), [("sqlite", True), ("postgres", False)])
def test_what_moved_is_explained_corrected_and_clean_at_the_next_run(kind, fills, tmp_path):
    with living() as alpaca, book_in(kind, tmp_path) as book:
        day = Day(tmp_path, alpaca, book, fills=fills)
        at = day.begin()
        day.happens(at)
        report = day.run(4)
        found = {(entry["symbol"], entry["type"]): entry for entry in report["discrepancies"]}
        assert {entry["type"] for entry in report["discrepancies"]} == {
            *("MISSING_AT_BROKER", "MISSING_IN_DB", "QUANTITY_MISMATCH", "PRICE_MISMATCH", "STALE_POSITION")
        }
        ids = {}
        for (symbol, _), entry in found.items():
            if entry["explanation"] is not None:
                assert (symbol, entry["explanation"]["cause"]) == (symbol, CAUSES[symbol])
                assert (entry["explanation"]["status"], entry["explanation"]["residual"]) == ("EXPLAINED", "0")
                assert sum(Decimal(term["effect"]) for term in entry["explanation"]["evidence"]) == Decimal(
                    entry["quantity_difference"]
                )
                ids[symbol] = entry["id"]
        assert set(ids) == set(CAUSES)
        pnl = {entry["symbol"]: entry["correction"]["pnl"] for entry in report["discrepancies"] if entry["correction"]}
        assert {symbol: Decimal(pnl[symbol]["realised"]) for symbol in REALISED} == {
            symbol: Decimal(text) for symbol, text in REALISED.items()
        }
        for symbol, name in ids.items():
            told = day.command("breaks", "explain", name, code=0)
            assert CAUSES[symbol] in told
            assert symbol in told

        assert "GHOST" not in day.command(
            "correct", "--all-explained", "--yes", "--by", "ops", "--reason", "the broker is right", code=0
        )
        assert book.rows()["GHOST"] == (5, 20)
        day.command("correct", ids["GHOST"], "--yes", "--by", "ops", "--reason", "never bought", code=0)
        assert book.rows() == {
            "AAPL": (125, 182),
            "MSFT": (75, 402),
            "AMD": (25, 100),
            "NVDA": (40, 300),
            "F": (300, 11),
            "KO": (100, 60),
            "IBM": (15, 140),
        }
        again = day.run(0)
        assert (again["verdict"], again["break_count"]) == ("clean", 0)
        cleared = {entry["symbol"] for entry in again["since_last"]["cleared"]}
        assert cleared == set(CAUSES)
        assert "Breaks remaining: 0" in day.command("run", code=0)

        shown = day.command("breaks", "show", ids["AAPL"], code=0)
        assert "100 at 180 becomes 125 at 182; made by ops: the broker is right" in shown
        assert f"cleared by run {again['run_id']}" in shown
        day.command("audit", "verify", code=0)
        records = [json.loads(line) for line in day.command("audit", "export", code=0).splitlines()]
        kinds = [record["kind"] for record in records]
        assert kinds.count("correction-applied") == len(CAUSES)
        assert kinds.count("correction-intent") == len(CAUSES)
        assert kinds[-1] == "run"
