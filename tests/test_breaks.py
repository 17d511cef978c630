"""What is said of breaks: an id that is of one position alone, all of them however many, and amounts as they are."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from deployment import Deployment, book_row, feed_row

SEPARATOR = "\x1f"


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


def test_an_ordinary_break_keeps_the_id_that_it_has_always_had(deployment: Deployment) -> None:
    deployment.book([book_row("AAPL", "100"), book_row("KO", "1")])
    deployment.feed([feed_row("KO", "1")])
    assert [entry["id"] for entry in deployment.report()["discrepancies"]] == ["B61ad164a9860576f"]


def test_names_that_hold_the_separator_are_still_two_positions(deployment: Deployment) -> None:
    deployment.book(
        [
            book_row(f"B{SEPARATOR}C", "1", account="A"),
            book_row("C", "1", account=f"A{SEPARATOR}B"),
            book_row("KO", "1", account="A"),
            book_row("KO", "1", account=f"A{SEPARATOR}B"),
        ]
    )
    deployment.feed([feed_row("KO", "1", account="A"), feed_row("KO", "1", account=f"A{SEPARATOR}B")])
    report = deployment.report()
    assert len({entry["id"] for entry in report["discrepancies"]}) == 2
    assert report["missing_count"] == 2


def test_more_breaks_than_are_listed_are_all_in_the_parquet_file(deployment: Deployment) -> None:
    deployment.book([book_row(f"S{number}", "1") for number in range(10_050)] + [book_row("KO", "1")])
    deployment.feed([feed_row("KO", "1")])
    report = deployment.report("--output", "out")
    assert report["break_count"] == 10_050
    assert len(report["discrepancies"]) == 10_000
    assert report["discrepancies_truncated"] is True
    found = duckdb.sql(f"SELECT count(DISTINCT id), count(*) FROM '{deployment.folder}/out/breaks.parquet'").fetchall()
    assert found == [(10_050, 10_050)]


def test_an_amount_in_a_reason_has_the_decimals_that_it_needs_and_no_more(deployment: Deployment) -> None:
    for price, shown in (("200.001", "1,000.005"), ("200.1", "1,000.50"), ("200.00002", "1,000.0001")):
        deployment.book([book_row("AAPL", "100", price)])
        deployment.feed([feed_row("AAPL", "95", price)])
        [reason] = deployment.report()["decision"]["reasons"]
        assert f"total_impact {shown}, missing_count" in reason["detail"]
