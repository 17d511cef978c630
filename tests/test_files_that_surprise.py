"""Files that no exporter should write: each is read for what it says, or refused in a line that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
from deployment import Deployment, book_row, feed_row, types


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    made = Deployment(tmp_path)
    made.book([book_row("AAPL", "100")])
    made.feed([feed_row("AAPL", "100")])
    return made


def report_of(deployment: Deployment, name: str, text: str = "", *, options: str = "", as_of: str = "") -> dict[str, Any]:
    """The report of a run on the statement ``name``, with ``text`` in it unless it is there."""
    if text:
        deployment.write(name, text)
    deployment.config(options=options, **({"as_of": as_of} if as_of else {}))
    config = deployment.folder / "recon.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("feed.csv", name), encoding="utf-8")
    return deployment.report()


def test_a_parquet_file_may_have_a_column_named_like_duckdbs_own(deployment: Deployment) -> None:
    path = deployment.folder / "feed.parquet"
    duckdb.sql(
        f"COPY (SELECT 'MAIN' AS account, s AS symbol, 100::DECIMAL(10,2) AS quantity, 7 AS FILE_ROW_NUMBER "
        f"FROM (VALUES ('AAPL'), (NULL)) t(s)) TO '{path}'"
    )
    feed = report_of(deployment, "feed.parquet")["feeds"][0]
    assert feed["reason"] == f"{path}: row 2, column symbol: the symbol is empty"
    duckdb.sql(f"COPY (SELECT 'MAIN' AS account, 'AAPL' AS symbol, 100 AS quantity, 7 AS file_row_number) TO '{path}'")
    assert report_of(deployment, "feed.parquet")["feeds"][0]["status"] == "COMPLETE"


def test_an_empty_json_array_is_a_statement_without_positions(deployment: Deployment) -> None:
    feed = report_of(deployment, "feed.json", "[]")["feeds"][0]
    assert (feed["status"], feed["reason"]) == (
        "PARTIAL",
        "no rows at all, while the book holds 1 positions: silence proves nothing",
    )
    flat = report_of(deployment, "feed.json", "[]", options="row_count: 0\ncolumns: {symbol: Ticker}\nskip_rows: {kind: Total}")
    assert (flat["feeds"][0]["status"], types(flat)) == ("COMPLETE", ["MISSING_AT_BROKER"])


@pytest.mark.parametrize("depth", [200, 900, 960, 990, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [('{"a":', "}"), ("[", "]")])
def test_json_nested_too_deep_is_a_failed_feed(deployment: Deployment, depth: int, opening: str, closing: str) -> None:
    nested = opening * depth + "1" + closing * depth
    feed = report_of(deployment, "feed.json", f'[{{"account": "MAIN", "symbol": "AAPL", "quantity": 100, "x": {nested}}}]')[
        "feeds"
    ][0]
    assert feed["status"] in ("COMPLETE", "FAILED")
    assert feed["status"] == "COMPLETE" or feed["reason"].endswith("feed.json: nested too deep to be positions")


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("AAPL,1O0,,", "row 2, column quantity: '1O0' is not a number"),
        (
            f"AAPL,{'9' * 500},,",
            f"row 2, column quantity: '{'9' * 80}... (500 characters)' is too large; a quantity is below 10^19",
        ),
        (f"AAPL,{'x' * 500},,", f"row 2, column quantity: '{'x' * 80}... (500 characters)' is not a number"),
        (f"AAPL,1,{'9' * 500},", f"row 2, column avg_price: '{'9' * 80}... (500 characters)' is too large; a price is below 10^26"),
        (
            f"AAPL,1,,{'x' * 500}",
            f"row 2, column updated_at: '{'x' * 80}... (500 characters)' is not a time such as 2026-11-20T21:00:00Z",
        ),
        (f"{'S' * 500},1,,\nMAIN,{'S' * 500},1,,", f"MAIN {'S' * 80}... (500 characters): 2 rows of one position (2, 3)"),
    ],
)
def test_a_fault_names_the_file_and_shows_no_more_of_a_value_than_can_be_read(
    deployment: Deployment, row: str, complaint: str
) -> None:
    feed = report_of(deployment, "feed.csv", f"account,symbol,quantity,avg_price,updated_at\nMAIN,{row}\n")["feeds"][0]
    assert feed["status"] == "FAILED"
    assert feed["reason"].startswith(f"{deployment.folder / 'feed.csv'}: {complaint}")


def test_a_header_of_many_columns_is_not_listed_whole(deployment: Deployment) -> None:
    header = ",".join(f"column{number}" for number in range(900))
    feed = report_of(deployment, "feed.csv", f"{header}\n")["feeds"][0]
    assert "has no column 'symbol'" in feed["reason"]
    assert len(feed["reason"]) < 800


@pytest.mark.parametrize("as_of", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_no_calendar_has_is_told_of_the_option(deployment: Deployment, as_of: str) -> None:
    feed = report_of(deployment, "feed.csv", as_of=as_of)["feeds"][0]
    assert feed["reason"] == f"{deployment.folder / 'feed.csv'}: as_of {as_of} is outside the years 1 to 9999"


def test_a_footers_figure_is_found_in_the_line_as_the_file_writes_it(deployment: Deployment) -> None:
    text = "account,symbol,quantity\nMAIN,AAPL,100\nTotal,,rows: 1\n"
    found = report_of(deployment, "feed.csv", text, options='footer: [Total]\nrow_count: {footer: "Total,,rows: (\\\\d+)"}')
    assert found["feeds"][0]["control_totals"][0]["stated"] == "1"
    text = 'account,symbol,quantity\nMAIN,AAPL,100\n"Total rows: 1"\n'
    found = report_of(deployment, "feed.csv", text, options='footer: [Total]\nrow_count: {footer: "^Total rows: (\\\\d+)$"}')
    assert found["feeds"][0]["control_totals"][0]["stated"] == "1"


def test_a_statement_by_settlement_against_a_book_by_trade_date_is_said(deployment: Deployment) -> None:
    deployment.book([book_row("MSFT", "5")])
    deployment.feed([feed_row("MSFT", "5")])
    deployment.config(options="basis: settlement")
    report = deployment.report()
    assert (report["verdict"], report["feeds"][0]["status"]) == ("clean", "COMPLETE")
    assert "its trades count from settlement, the book's from trade date" in report["feeds"][0]["notes"][0]
    config = (deployment.folder / "recon.yaml").read_text()
    deployment.write("recon.yaml", config.replace("{file: book.csv}", "{file: book.csv, basis: settlement}"))
    assert deployment.report()["feeds"][0]["notes"] == []


@pytest.mark.case("A11")
def test_a_total_that_cannot_be_compared_names_the_positions_without_a_price(deployment: Deployment) -> None:
    deployment.book([book_row("MSFT", "5"), book_row("AAPL", "1")])
    deployment.feed([feed_row("MSFT", "5"), feed_row("AAPL", "1", market_price="")])
    deployment.config(options="control_total: {kind: market_value, stated: 60}")
    feed = deployment.report()["feeds"][0]
    assert feed["status"] == "PARTIAL"
    assert "cannot be compared: no price for AAPL" in feed["reason"]
