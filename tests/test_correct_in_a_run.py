"""From a break to a clean run: what a broker's statement explains is proposed, corrected in the book, and gone in the next run."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from test_evidence_in_a_run import Statements, bought

TABLE = "CREATE TABLE positions (broker TEXT, account TEXT, symbol TEXT, quantity, avg_price, currency TEXT, updated_at TEXT)"


class Kept(Statements):
    """The same deployment with its book in SQLite, where it may be corrected."""

    def keep(self, quantity: str, day: int) -> None:
        """Put the one position into the book."""
        with closing(sqlite3.connect(self.folder / "book.sqlite")) as database, database:
            database.execute("DROP TABLE IF EXISTS positions")
            database.execute(TABLE)
            row = ("prime", "MAIN", "AAPL", int(quantity), 187.25, "USD", f"2026-11-{day}T20:00:00Z")
            database.execute("INSERT INTO positions VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        book = "database: 'sqlite:///book.sqlite', table: positions, corrections: {database: 'sqlite:///book.sqlite'}"
        text = (self.folder / "recon.yaml").read_text()
        if book not in text:
            text = text.replace("file: book.csv", book).replace("adapter: ofx\n", "adapter: ofx\n    unchanged: accept\n")
            self.write("recon.yaml", text)

    def held(self) -> list[tuple[object, ...]]:
        """What the book holds."""
        with closing(sqlite3.connect(self.folder / "book.sqlite")) as database:
            return database.execute("SELECT symbol, quantity, avg_price FROM positions").fetchall()


@pytest.fixture
def deployment(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


@pytest.mark.parametrize("approved", [False, True], ids=["by one person", "by two"])
def test_a_missed_sale_is_explained_corrected_and_gone(deployment: Kept, approved: bool) -> None:
    if approved:
        policy = "version: 1\nrules: {QUANTITY_MISMATCH: {}, PRICE_MISMATCH: {}}\ncorrections: {two_person: true}\n"
        deployment.write("policies.yaml", policy)
    deployment.day(20, "100", "60", bought("F1", -40, "20261120143100", "190.30", sells=True), start="20261001")
    deployment.keep("100", 20)
    report = deployment.report()
    (found,) = report["discrepancies"]
    proposal = found["correction"]
    assert (proposal["kind"], proposal["automatic"]) == ("update", True)
    done = deployment.command("correct", "--all-explained", "--by", "ann", "--yes")
    if approved:
        assert done.returncode == 3
        (asked,) = deployment.report()["discrepancies"]
        assert (asked["correction"]["id"], asked["correction"]["state"]) == (proposal["id"], "requested")
        done = deployment.command("correct", "--approve", proposal["id"], "--by", "bob", "--yes")
    assert done.returncode == 0, done.stderr
    assert "P&L by average: realised 122, cash in lieu 0, fees 1.5, total 120.5 USD" in done.stdout
    assert deployment.held() == [("AAPL", 60, 187.25)]
    again = deployment.report()
    assert (again["verdict"], again["since_last"]["remaining"]) == ("clean", 0)
    (cleared,) = again["since_last"]["cleared"]
    assert cleared["correction"] == proposal["id"]
    page = deployment.command("breaks", "show", found["id"]).stdout
    assert f"cleared by run {again['run_id']}" in page
    assert deployment.command("audit", "verify").returncode == 0


def test_a_position_that_the_book_misses_is_added_and_one_that_is_gone_removed(deployment: Kept) -> None:
    deployment.day(20, "100", "50", bought("F1", 50, "20261120143100"))
    deployment.keep("0", 20)
    (found,) = deployment.report()["discrepancies"]
    assert found["correction"]["kind"] == "insert", found["explanation"]
    assert deployment.command("correct", found["id"], "--by", "ann", "--yes").returncode == 0
    [(symbol, quantity, price)] = deployment.held()
    assert (symbol, quantity) == ("AAPL", 50)
    assert str(price) == found["correction"]["after"]["avg_price"]
    assert deployment.report()["verdict"] == "clean"


def proposal_of(deployment: Kept) -> dict[str, Any]:
    """What a run proposes for the one break."""
    (found,) = deployment.report()["discrepancies"]
    proposal: dict[str, Any] = found["correction"]
    return proposal


def test_a_corrected_row_that_a_loader_overwrites_is_corrected_again(deployment: Kept) -> None:
    deployment.day(20, "100", "60", bought("F1", -40, "20261120143100", "190.30", sells=True), start="20261001")
    names = []
    for _ in range(3):
        deployment.keep("100", 20)
        proposal = proposal_of(deployment)
        assert proposal_of(deployment)["id"] == proposal["id"], "the same from run to run while nothing is made"
        assert proposal["automatic"]
        done = deployment.command("correct", "--all-explained", "--by", "ann", "--yes")
        assert done.returncode == 0, done.stderr
        assert deployment.held() == [("AAPL", 60, 187.25)]
        names.append(proposal["id"])
    assert len(set(names)) == 3


def test_what_a_person_took_back_is_not_made_again_without_one(deployment: Kept) -> None:
    deployment.day(20, "100", "60", bought("F1", -40, "20261120143100", "190.30", sells=True), start="20261001")
    deployment.keep("100", 20)
    first = proposal_of(deployment)["id"]
    assert deployment.command("correct", first, "--by", "ann", "--yes").returncode == 0
    assert deployment.command("correct", "--revert", first, "--by", "ann", "--yes").returncode == 0
    proposal = proposal_of(deployment)
    assert (proposal["id"] != first, proposal["automatic"]) == (True, False)
    assert "took a correction of this position back" in proposal["review"]
    assert "nothing to correct" in deployment.command("correct", "--all-explained", "--by", "ann", "--yes").stdout
    assert deployment.held() == [("AAPL", 100, 187.25)]
    assert deployment.command("correct", proposal["id"], "--by", "ann", "--yes").returncode == 0
    assert deployment.held() == [("AAPL", 60, 187.25)]
