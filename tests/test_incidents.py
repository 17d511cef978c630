"""Breaks with one cause are one incident: which are, which are not, and what a policy may count by them. Real runs."""

from __future__ import annotations

import random
import textwrap
from pathlib import Path
from typing import Any

import pytest
from deployment import Deployment, Row, book_row, feed_row

RULES = "  MISSING_AT_BROKER: {}\n  MISSING_IN_DB: {}\n  QUANTITY_MISMATCH: {}\n  PRICE_MISMATCH: {}\n  STALE_POSITION: {}\n"


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


def policy(deployment: Deployment, more: str = "", rules: str = "") -> None:
    deployment.policy(f"version: 1\n{more}rules:\n{RULES}{rules}")


def reconciled(deployment: Deployment, book: list[Row], feed: list[Row]) -> dict[str, Any]:
    deployment.book(book)
    deployment.feed(feed)
    return deployment.report()


def told(report: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Kind, title and size of each incident, which must agree with what its breaks say of themselves."""
    for incident in report["incidents"]:
        members = [item["id"] for item in report["discrepancies"] if item["incident"] == incident["id"]]
        assert incident["breaks"] == members
        assert incident["break_count"] == len(members)
    named = {item["incident"] for item in report["discrepancies"]} - {None}
    assert named == {incident["id"] for incident in report["incidents"]}
    return [(incident["kind"], incident["title"], incident["break_count"]) for incident in report["incidents"]]


AGREED = [book_row("KO", "1")], [feed_row("KO", "1")]


@pytest.mark.case("I03")
def test_all_that_is_missing_from_one_feed_is_one_incident(deployment: Deployment) -> None:
    book = [book_row(f"S{number}", "1", account=("A", "B")[number % 2]) for number in range(30)]
    feed = [feed_row(f"T{number}", "2", account=("A", "B")[number % 2]) for number in range(20)]
    report = reconciled(deployment, book, feed)
    assert told(report) == [
        ("feed", "Book and broker agree on no position at prime: 30 only in the book, 20 only at the broker", 50)
    ]
    (incident,) = report["incidents"]
    assert (incident["broker"], incident["account"]) == ("prime", None)
    assert incident["impact"] == report["total_impact"] == "700.0000"
    assert incident["action"].startswith("Look at the feed of broker prime and at how the book of it was loaded")


def test_one_position_that_agrees_proves_the_feed_alive(deployment: Deployment) -> None:
    book = [book_row(f"S{number}", "1") for number in range(5)]
    report = reconciled(deployment, [*book, *AGREED[0]], AGREED[1])
    assert report["break_count"] == 5
    assert told(report) == []


def test_two_positions_that_go_wrong_alike_may_be_chance(deployment: Deployment) -> None:
    report = reconciled(deployment, [book_row("A", "1"), book_row("B", "1")], [feed_row("C", "1")])
    assert report["break_count"] == 3
    report = reconciled(deployment, [book_row("A", "1"), book_row("B", "1")], [feed_row("A", "2"), feed_row("B", "2")])
    assert told(report) == []


def test_every_position_of_an_account_in_one_break_is_one_incident(deployment: Deployment) -> None:
    new = [feed_row(name, "7", account="NEW") for name in ("A", "B", "C")]
    report = reconciled(deployment, AGREED[0], [*AGREED[1], *new])
    assert told(report) == [("account", "Every position at prime/NEW is MISSING_IN_DB: 3 positions", 3)]
    assert "`accounts` of broker prime in recon.yaml" in report["incidents"][0]["action"]
    report = reconciled(deployment, [*AGREED[0], book_row("A", "7", account="NEW")], [*AGREED[1], *new])
    assert told(report) == []


def test_rows_that_nobody_touched_are_one_incident_of_their_account_beside_its_missing_ones(deployment: Deployment) -> None:
    old = [book_row(name, "1", account="OLD", updated_at="2026-11-01T00:00:00Z") for name in ("A", "B", "C")]
    report = reconciled(
        deployment, [*AGREED[0], *old], [*AGREED[1], *(feed_row(name, "1", account="OLD") for name in ("A", "B", "C"))]
    )
    assert told(report) == [("account", "Every position at prime/OLD is STALE_POSITION: 3 positions", 3)]


def test_lots_are_counted_as_positions(deployment: Deployment) -> None:
    deployment.config(more="")
    text = (deployment.folder / "recon.yaml").read_text(encoding="utf-8")
    deployment.write("recon.yaml", text.replace("book: {file: book.csv}", "book: {file: book.csv, lots: true}"))
    book = [book_row(name, "1") for name in ("A", "A", "B", "B", "C")]
    report = reconciled(deployment, book, [feed_row("A", "3"), feed_row("B", "4"), feed_row("C", "5")])
    assert told(report) == [("feed", "Book and broker agree on no position at prime: 3 in another quantity", 3)]


def test_one_factor_on_three_positions_is_one_incident_and_on_two_it_is_none(deployment: Deployment) -> None:
    book = [book_row("A", "1", account="X"), book_row("B", "2"), book_row("C", "0.3")]
    feed = [feed_row("A", "100", account="X"), feed_row("B", "200"), feed_row("C", "30"), *AGREED[1]]
    report = reconciled(deployment, [*book, *AGREED[0]], feed)
    assert told(report) == [("ratio", "3 positions at prime: the broker's quantities are 100 times the book's", 3)]
    report = reconciled(deployment, [*book, *AGREED[0]], [*feed[:2], feed_row("C", "30.000001"), *AGREED[1]])
    assert told(report) == []
    # the other way round is another cause
    report = reconciled(deployment, [*book[:2], book_row("C", "30"), *AGREED[0]], [*feed[:2], feed_row("C", "0.3"), *AGREED[1]])
    assert told(report) == []


def test_the_multiplier_of_each_position_is_one_factor(deployment: Deployment) -> None:
    lots = {"ES": 50, "NQ": 20, "CL": 1000}
    lines = [f"MAIN,{name},{multiplier * 3},10,10,USD,{multiplier}" for name, multiplier in lots.items()]
    deployment.book([*(book_row(name, "3") for name in lots), *AGREED[0]])
    deployment.write(
        "feed.csv",
        "\n".join(["account,symbol,quantity,avg_price,market_price,currency,multiplier", *lines, "MAIN,KO,1,10,10,USD,1"]),
    )
    assert told(deployment.report()) == [
        ("ratio", "3 positions at prime/MAIN: the broker's quantities are their multiplier times the book's", 3)
    ]


def test_the_sign_alone_is_a_factor_too(deployment: Deployment) -> None:
    names = ("A", "B", "C")
    report = reconciled(
        deployment,
        [*(book_row(name, "5") for name in names), *AGREED[0]],
        [*(feed_row(name, "-5") for name in names), *AGREED[1]],
    )
    assert told(report) == [("ratio", "3 positions at prime/MAIN: the sign alone differs", 3)]


def test_prices_in_pence_are_one_incident(deployment: Deployment) -> None:
    prices = {"A": ("10", "1000"), "B": ("2.5", "249"), "C": ("7", "705")}
    report = reconciled(
        deployment,
        [*(book_row(name, "5", ours) for name, (ours, _) in prices.items()), *AGREED[0]],
        [*(feed_row(name, "5", theirs) for name, (_, theirs) in prices.items()), *AGREED[1]],
    )
    assert told(report) == [("ratio", "3 positions at prime/MAIN: the broker's average prices are 100 times the book's", 3)]
    assert "pence" in report["incidents"][0]["action"]


def test_a_missing_mapping_is_one_incident_that_says_which_alias_to_add(deployment: Deployment) -> None:
    policy(deployment, rules="  UNMAPPED_SYMBOL: {}\n")
    deployment.config(more="symbols: {match: exact}")
    report = reconciled(deployment, [book_row("BRK.B", "5"), *AGREED[0]], [feed_row("BRKB", "5"), *AGREED[1]])
    assert told(report) == [("mapping", "One instrument under two names at prime/MAIN: BRK.B in the book, BRKB at the broker", 1)]
    assert "`BRKB: BRK.B` to `aliases` of broker prime" in report["incidents"][0]["action"]
    # where it halts less than they do, it silences none of the two that it explains, and has them under it
    policy(deployment, rules="  UNMAPPED_SYMBOL: {halt: never}\n")
    report = deployment.report()
    assert [kind for kind, _, _ in told(report)] == ["mapping"]
    assert report["incidents"][0]["break_count"] == report["break_count"] == 3


def test_the_id_stays_while_breaks_join_the_incident_and_leave_it(deployment: Deployment) -> None:
    names = [f"S{number}" for number in range(6)]
    several = [
        reconciled(deployment, [book_row(name, "1") for name in names[:count]], [feed_row("OTHER", "1")])["incidents"]
        for count in (4, 6)
    ]
    assert len({incident["id"] for found in several for incident in found}) == 1


@pytest.mark.case("J08")
def test_shuffled_rows_give_the_same_incidents(deployment: Deployment) -> None:
    book = [book_row(f"S{number}", "1", account=f"A{number % 3}") for number in range(12)]
    feed = [feed_row(f"S{number}", "100", account=f"A{number % 3}") for number in range(6)]
    first = reconciled(deployment, book, feed)
    assert [kind for kind, _, _ in told(first)] == ["ratio", "feed"]
    for seed in range(2):
        order = random.Random(seed)
        again = reconciled(deployment, order.sample(book, len(book)), order.sample(feed, len(feed)))
        assert again["incidents"] == first["incidents"]
        assert again["discrepancies"] == first["discrepancies"] or [
            (item["id"], item["incident"]) for item in again["discrepancies"]
        ] == [(item["id"], item["incident"]) for item in first["discrepancies"]]


def test_escalations_count_positions_unless_the_policy_counts_incidents(deployment: Deployment) -> None:
    escalation = "escalation:\n  many: {when: missing_count >= 2 or break_count >= 2, then: halt}\n"
    book = [book_row(f"S{number}", "1") for number in range(9)]
    never = "  MISSING_AT_BROKER: {halt: never}\n  MISSING_IN_DB: {halt: never}\n"
    deployment.policy(f"version: 1\nrules:\n{never}{escalation}")
    report = reconciled(deployment, book, [feed_row("T", "1")])
    assert report["decision"]["reasons"][0]["detail"].endswith("missing_count 10, break_count 10")
    deployment.policy(f"version: 1\ncount: incidents\nrules:\n{never}{escalation}")
    report = deployment.report()
    assert not report["decision"]["halt"]
    assert (report["break_count"], report["missing_count"]) == (10, 10)
    # a break of another cause beside the incident is a second one; a position that agrees ends the incident
    deployment.policy(f"version: 1\ncount: incidents\nrules:\n{never}  STALE_POSITION: {{}}\n{escalation}")
    report = reconciled(deployment, [*book[1:], book_row("S0", "1", updated_at="2026-11-01T00:00:00Z")], [feed_row("T", "1")])
    (reason,) = report["decision"]["reasons"]
    assert "missing_count 1, break_count 2 (counting incidents; by position 10 and 11)" in reason["detail"]
    report = reconciled(deployment, [*book, *AGREED[0]], AGREED[1])
    assert "missing_count 9, break_count 9 (counting incidents" in report["decision"]["reasons"][0]["detail"]


def test_what_is_suppressed_is_in_no_incident_and_hides_none(deployment: Deployment) -> None:
    suppress = "suppress:\n  - {match: {symbol: S0}, until: 2099-01-01, reason: known}\n"
    policy(deployment, suppress)
    report = reconciled(deployment, [book_row(f"S{number}", "1") for number in range(5)], [feed_row("T", "1")])
    assert report["suppressed_count"] == 1
    assert [(kind, count) for kind, _, count in told(report)] == [("feed", 5)]


SPLIT = '''
    class Split(Broker):
        """Positions after a split that the book has not booked."""

        name = "split"
        capabilities = ("positions", "corporate_actions")

        async def positions(self, ask):
            held = [("A", "AAPL", 400), ("B", "AAPL", 40), ("B", "KO", 1), ("B", "PG", 7)]
            at = datetime(2026, 11, 20, 21, tzinfo=UTC)
            rows = [Position(account=a, symbol=s, quantity=Decimal(q), market_price=Decimal(10)) for a, s, q in held]
            return Feed.complete(rows, as_of=at, basis="trade")

        async def evidence(self, ask):
            split = CorporateAction(
                id="E1", kind="split", symbol="AAPL", ex_date=date(2026, 11, 20), old_rate=Decimal(1), new_rate=Decimal(4)
            )
            return Evidence(corporate_actions=(split,), complete=True, since=ask.since)
'''


def test_what_one_event_explains_is_one_incident_over_all_accounts_of_the_broker(deployment: Deployment) -> None:
    imports = (
        "from datetime import UTC, date, datetime\nfrom decimal import Decimal\nfrom recon_core import CorporateAction, Evidence\n"
    )
    deployment.write_drop_in("brokers", "split", imports + textwrap.dedent(SPLIT))
    deployment.book(
        [
            book_row("AAPL", "100", account="A"),
            book_row("AAPL", "10", account="B"),
            book_row("KO", "1", account="B"),
            book_row("PG", "5", account="B"),
        ]
    )
    report = deployment.report()
    assert told(report) == [("event", "One corporate action at prime: AAPL in 2 accounts", 2)]
    (incident,) = report["incidents"]
    assert f"recon-core breaks explain {incident['breaks'][0]}" in incident["action"]
    assert {item["explanation"]["status"] for item in report["discrepancies"] if item["incident"]} == {"EXPLAINED"}
    assert [item["symbol"] for item in report["discrepancies"] if not item["incident"]] == ["PG"]


def test_what_an_event_explains_in_part_or_in_doubt_is_no_incident_of_it(deployment: Deployment) -> None:
    incomplete = textwrap.dedent(SPLIT).replace("complete=True", "complete=False")
    imports = (
        "from datetime import UTC, date, datetime\nfrom decimal import Decimal\nfrom recon_core import CorporateAction, Evidence\n"
    )
    deployment.write_drop_in("brokers", "split", imports + incomplete)
    deployment.book([book_row("AAPL", "100", account="A"), book_row("AAPL", "10", account="B"), book_row("KO", "1", account="B")])
    report = deployment.report()
    assert "event" not in {kind for kind, _, _ in told(report)}
    doubts = {item["explanation"]["doubt"] for item in report["discrepancies"] if item["symbol"] == "AAPL"}
    assert doubts == {"evidence is not complete: the broker does not say why"}
