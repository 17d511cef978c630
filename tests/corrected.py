"""A book in a database that is corrected by what a stored run proposes, by the real command."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from deployment import COMMAND, Deployment, feed_row

from recon_core.report import to_json
from recon_core.state import audit, corrections
from recon_core.state.actor import current_actor
from recon_core.state.history import entry
from recon_core.state.runs import add_run, report_text, runs
from recon_core.state.store import open_store

TABLE = """CREATE TABLE positions (
    id INTEGER PRIMARY KEY, broker TEXT, account TEXT, ticker TEXT NOT NULL, qty REAL NOT NULL, price NUMERIC, currency TEXT,
    touched TEXT, strategy TEXT DEFAULT 'none')"""
COLUMNS = "{symbol: ticker, quantity: qty, avg_price: price, updated_at: touched}"
NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
STAMP = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
LATER = f"{NOW + timedelta(seconds=30):%Y-%m-%dT%H:%M:%SZ}"
PNL = {"method": "average", "currency": "USD", "realised": "0", "cash_in_lieu": "0", "fees": "1.5", "total": "-1.5"}
PERSON = ("--by", "ann", "--reason", "a missed fill", "--yes")


class Corrected(Deployment):
    """A deployment whose book is the table ``positions`` of an SQLite file: AAPL 100 at 10, MSFT 50 at 20, OLD 7 at 5.

    The broker holds AAPL 150, MSFT 50 and NEW 3, so that there are three breaks.
    """

    def __init__(self, folder: Path, *, corrections: str = "{database: 'sqlite:///book.sqlite'}", policy: str = "") -> None:
        super().__init__(folder)
        self.corrections = corrections
        self.make_book()
        self.feed([feed_row("AAPL", "150", "12"), feed_row("MSFT", "50", "20"), feed_row("NEW", "3", "40")])
        self.configure()
        if policy:
            self.policy(policy)

    def make_book(self) -> None:
        """Make the book anew."""
        (self.folder / "book.sqlite").unlink(missing_ok=True)
        self.sql(TABLE)
        for ticker, quantity, price in (("AAPL", 100, 10), ("MSFT", 50, 20), ("OLD", 7, 5)):
            self.sql(
                "INSERT INTO positions (broker, account, ticker, qty, price, currency, touched, strategy) "
                "VALUES ('prime', 'MAIN', ?, ?, ?, 'USD', ?, 'momentum')",
                ticker, quantity, price, STAMP,
            )  # fmt: skip

    def configure(self, book: str = f"database: 'sqlite:///book.sqlite', table: positions, columns: {COLUMNS}") -> None:
        """Write recon.yaml."""
        self.config(broker="unchanged: accept\nexpect_accounts: [MAIN]", as_of=STAMP)
        corrections = f", corrections: {self.corrections}" if self.corrections else ""
        text = (self.folder / "recon.yaml").read_text().replace("book: {file: book.csv}", f"book: {{{book}{corrections}}}")
        self.write("recon.yaml", text)

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement on the book."""
        with closing(sqlite3.connect(self.folder / "book.sqlite")) as database, database:
            return database.execute(statement, values).fetchall()

    def book_rows(self) -> list[tuple[Any, ...]]:
        """The book, but for when its rows were touched."""
        return self.sql("SELECT ticker, qty, price, currency, strategy FROM positions ORDER BY ticker")

    def journal(self) -> list[tuple[Any, ...]]:
        """Which corrections the book's journal has, and by whom."""
        if not self.sql("SELECT 1 FROM sqlite_master WHERE name = 'recon_corrections'"):
            return []
        return self.sql("SELECT id, by FROM recon_corrections WHERE id <> 'journal' ORDER BY applied_at, id")

    def reconciled(self) -> dict[str, Any]:
        """The report of a real run."""
        done = self.run("--json")
        assert done.returncode in (0, 4, 10), done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def propose(self, changes: Mapping[str, Mapping[str, Any]], *, run_id: str = "") -> dict[str, Any]:
        """Store another run, whose report proposes these corrections by symbol; what the newest run found is seen by it, too."""
        with open_store(None, self.folder / ".state") as store, store.transaction():
            database = store.database
            report = json.loads(report_text(database, runs(database, limit=1)[0].run_id))
            report["run_id"] = run_id or f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{len(runs(database, limit=99)):08x}"
            report["audit"] = None
            for found in report["discrepancies"]:
                found["correction"] = changes.get(found["symbol"])
            add_run(database, current_actor(), report, live=True, text=to_json(report), summarise=entry(report), scopes=["firm"])
            database.execute("UPDATE breaks SET last_run = ? WHERE is_open = 1", (report["run_id"],))
            return dict(report)

    def correct(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``recon-core correct``."""
        return self.command("correct", *arguments)

    def asking(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ``recon-core correct``, and come back once it asks."""
        heard = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen([str(COMMAND), "correct", *arguments], cwd=self.folder, text=True, **heard)
        assert process.stderr is not None
        asked = ""
        while not asked.endswith("[y/N]: "):
            heard_now = process.stderr.read(1)
            assert heard_now, asked
            asked += heard_now
        return process

    def records(self) -> list[dict[str, Any]]:
        """The audit records of corrections."""
        with open_store(None, self.folder / ".state") as store:
            found = audit.records(store.database)
            return [record for record in found if record["kind"].startswith("correction")]

    def steps(self) -> list[str]:
        """What the audit records of corrections tell of, in their order."""
        return [record["kind"].removeprefix("correction-") for record in self.records()]


_Kind = TypeVar("_Kind", bound=Corrected)


def proposed(symbol: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, **more: Any) -> dict[str, Any]:
    """A correction as a report has it: of quantity and price, of a position of prime/MAIN."""
    place = {"broker": "prime", "account": "MAIN", "symbol": symbol, "leg": "NET", "currency": "USD"}
    rows = [side and {**place, "updated_at": stamp, **side} for side, stamp in ((before, STAMP), (after, LATER))]
    told = json.dumps([symbol, before, after], sort_keys=True)
    return {
        "id": "C" + sha256(told.encode()).hexdigest()[:16],
        "kind": "insert" if before is None else "delete" if after is None else "update",
        "before": rows[0],
        "after": rows[1],
        "pnl": PNL,
        "review": "",
        "automatic": True,
        "state": "proposed",
        **more,
    }


UPDATE = proposed("AAPL", {"quantity": "100", "avg_price": "10"}, {"quantity": "150", "avg_price": "12"})
INSERT = proposed("NEW", None, {"quantity": "3", "avg_price": "40"}, review="new in the book")
DELETE = proposed("OLD", {"quantity": "7", "avg_price": "5"}, None)
ALL = {"AAPL": UPDATE, "NEW": INSERT, "OLD": DELETE}


def with_proposals(folder: Path, kind: type[_Kind] = Corrected, **how: Any) -> _Kind:
    """A deployment that was reconciled, and whose newest run proposes all three corrections."""
    made = kind(folder, **how)
    report = made.reconciled()
    assert {found["symbol"] for found in report["discrepancies"]} == {"AAPL", "NEW", "OLD"}
    made.propose(ALL)
    return made


def copied(made: _Kind, folder: Path) -> _Kind:
    """A copy of a deployment, in a folder that is empty."""
    shutil.copytree(made.folder, folder, symlinks=True, dirs_exist_ok=True)
    found = type(made).__new__(type(made))
    found.folder, found.corrections = folder, made.corrections
    return found


def ids(*corrections: Mapping[str, Any]) -> Sequence[str]:
    """The ids of corrections."""
    return [str(correction["id"]) for correction in corrections]


def with_doubt(desk: Deployment, name: str = UPDATE["id"]) -> None:
    """Take the store back to where a correction was begun, as if the process had ended before its outcome was on record."""
    with open_store(None, desk.folder / ".state") as store:
        made = corrections.find(store.database, name)
        assert made is not None
        begun = replace(made, state="intended", journal=None, applied_at=None)
        corrections.record(store.database, current_actor("ann"), "intent", "begun by ann", begun)
