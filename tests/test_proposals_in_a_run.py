"""The proposal beside a break: what reaches the report of a whole run, and what it is called in the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_evidence_in_a_run import Statements, bought


@pytest.fixture
def deployment(tmp_path: Path) -> Statements:
    return Statements(tmp_path)


def correction(report: dict[str, Any]) -> dict[str, Any]:
    """That of the only break."""
    (found,) = report["discrepancies"]
    proposed: dict[str, Any] = found["correction"]
    return proposed


def test_a_missed_sale_is_proposed_with_what_it_made(deployment: Statements) -> None:
    deployment.day(20, "100", "60", bought("F1", -40, "20261120143100", "190.30", sells=True), start="20261001")
    found = correction(deployment.report())
    assert (found["kind"], found["state"], found["automatic"], found["review"]) == ("update", "proposed", True, "")
    changed = {name: (found["before"][name], text) for name, text in found["after"].items() if text != found["before"][name]}
    assert changed == {
        "quantity": ("100", "60"),
        "updated_at": ("2026-11-20T20:00:00Z", "2026-11-20T21:00:00Z"),
    }
    # 40 x (190.30 - 187.25), less the commission of 1.50
    assert found["pnl"] == {
        "method": "average", "currency": "USD", "realised": "122", "cash_in_lieu": "0", "fees": "1.5", "total": "120.5",
    }  # fmt: skip


def test_the_policy_says_how_profit_is_reckoned(deployment: Statements) -> None:
    deployment.write("policies.yaml", "version: 1\ncorrections: {pnl: fifo}\nrules: {QUANTITY_MISMATCH: {}}\n")
    deployment.day(20, "100", "60", bought("F1", -40, "20261120143100", "190.30", sells=True), start="20261001")
    assert correction(deployment.report())["pnl"]["method"] == "fifo"


def test_the_same_correction_goes_by_one_name_from_run_to_run(deployment: Statements) -> None:
    missed = bought("F1", 50, "20261120143100")
    deployment.day(20, "100", "150", missed)
    first = correction(deployment.report())["id"]
    deployment.day(21, "100", "150", missed)
    assert correction(deployment.report())["id"] == first
    deployment.day(22, "100", "160", bought("F2", 60, "20261122143100"))
    assert correction(deployment.report())["id"] != first


def test_what_is_explained_in_part_has_no_proposal(deployment: Statements) -> None:
    deployment.day(20, "100", "150", bought("F1", 30, "20261120143100"))
    assert correction(deployment.report()) is None


def test_a_book_of_lots_is_not_corrected_without_a_look(deployment: Statements) -> None:
    deployment.day(20, "100", "150", bought("F1", 50, "20261120143100"), start="20261001")
    text = (deployment.folder / "recon.yaml").read_text().replace("file: book.csv", "file: book.csv, lots: true")
    deployment.write("recon.yaml", text)
    found = correction(deployment.report())
    assert (found["automatic"], found["review"]) == (False, "the book may hold this position in several rows")
