"""Whole runs over messages of clearers and custodians: what they prove reaches the verdict, and what they do not is no break."""

from __future__ import annotations

from pathlib import Path

import pytest
import test_fix as fix
import test_mt535 as mt535
import test_ofx as ofx
import test_semt002 as semt002
from deployment import Deployment, book_row, types

ISIN = "US0378331005"
WHOLE = {
    "fix": [fix.report(ISIN, account="MAIN")],
    "mt535": [mt535.message(mt535.safe(mt535.holding()), account="MAIN")],
    "semt002": [semt002.document(semt002.balance(), account="MAIN")],
    "ofx": [ofx.document(ofx.statement(ofx.holding(ISIN), account="MAIN"))],
}
FLAT = {
    "fix": [fix.none_found(account="MAIN")],
    "mt535": [mt535.message(active="N", account="MAIN")],
    "semt002": [semt002.document(active="false", account="MAIN")],
    "ofx": [ofx.document(ofx.statement(account="MAIN"))],
}
UNPROVEN = {
    "fix": [fix.report("MSFT", account="MAIN", total=2)],
    "mt535": [mt535.message(mt535.safe(mt535.holding(mt535.MSFT)), account="MAIN", page="1/MORE")],
    "semt002": [semt002.document(semt002.balance(semt002.MSFT), account="MAIN", last="false")],
    "ofx": [ofx.document(ofx.statement(account="MAIN", listed=False))],
}
ADAPTERS = sorted(WHOLE)


def deployed(folder: Path, adapter: str, payloads: list[bytes]) -> Deployment:
    """A book that holds 100 of one thing, and these files of its broker."""
    made = Deployment(folder)
    made.book([book_row(ISIN, "100", "187.25")])
    for number, payload in enumerate(payloads, 1):
        (folder / f"page-{number}.msg").write_bytes(payload)
    made.write(
        "recon.yaml",
        f'version: 1\nbook: {{file: book.csv}}\nbrokers:\n  prime:\n    adapter: {adapter}\n    options: {{path: "page-*.msg"}}\n',
    )
    return made


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_whole_statement_agrees_with_the_book(tmp_path: Path, adapter: str) -> None:
    report = deployed(tmp_path, adapter, WHOLE[adapter]).report()
    assert (report["verdict"], report["break_count"], report["exit_code"]) == ("clean", 0, 0)


@pytest.mark.case("A06")
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_account_that_is_said_to_be_flat_is_a_break_with_a_book_that_holds(tmp_path: Path, adapter: str) -> None:
    report = deployed(tmp_path, adapter, FLAT[adapter]).report()
    assert types(report) == ["MISSING_AT_BROKER"]
    assert report["feeds"][0]["status"] == "COMPLETE"


@pytest.mark.case("A06", "A08")
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_unproven_statement_is_no_break_and_no_verdict(tmp_path: Path, adapter: str) -> None:
    report = deployed(tmp_path, adapter, UNPROVEN[adapter]).report()
    assert "MISSING_AT_BROKER" not in types(report)
    assert report["verdict"] == "incomplete"
    assert report["feeds"][0]["status"] == "PARTIAL"
