"""How a break lives from run to run: opened, aged, proven gone, come back, accepted. Real runs and commands, in this process."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deployment import book_row, feed_row, types
from week import AAPL, MSFT, Week, age, feed, suppress

from recon_core.errors import StateError


@pytest.fixture
def week(tmp_path: Path) -> Week:
    return Week(tmp_path)


@pytest.mark.case("H01")
def test_a_break_opens_ages_is_resolved_and_comes_back_in_a_second_episode(week: Week) -> None:
    assert age(week.day(16, feed(("AAPL", "90"), MSFT))) == (1, "2026-11-16", 0)
    assert age(week.day(18, feed(("AAPL", "90"), MSFT))) == (1, "2026-11-16", 2)
    assert week.day(19, feed(AAPL, MSFT))["verdict"] == "clean"
    assert age(week.day(20, feed(("AAPL", "90"), MSFT))) == (2, "2026-11-20", 0)
    assert week.listed() == [("AAPL", "reopened", 2)]


@pytest.mark.case("G01")
def test_over_a_weekend_a_break_ages_by_the_sessions_of_the_schedule(week: Week) -> None:
    week.more = "schedule: {due: '16:30', timezone: America/New_York}\n"
    assert age(week.day(13, feed(("AAPL", "90"), MSFT)))[2] == 0
    report = week.day(16, feed(("AAPL", "90"), MSFT))
    assert age(report) == (1, "2026-11-13", 1)
    assert json.loads(week.command("breaks", "list", "--json").stdout)[0]["open_days"] == 1
    ages = duckdb.sql(f"SELECT open_days FROM '{report['outputs']['breaks']}' WHERE symbol = 'AAPL'").fetchall()
    assert ages == [(1,)]


@pytest.mark.case("H02")
def test_a_day_without_the_feed_closes_nothing(week: Week) -> None:
    week.day(16, feed(("AAPL", "90"), MSFT))
    assert week.day(17, None)["verdict"] == "incomplete"
    assert age(week.day(18, feed(("AAPL", "90"), MSFT))) == (1, "2026-11-16", 2)


@pytest.mark.case("H02")
def test_an_account_that_did_not_answer_closes_nothing(week: Week) -> None:
    week.held = [AAPL]
    report = week.day(16, [feed_row("AAPL", "100"), feed_row("KO", "5", account="OTHER")])
    assert age(report, "KO")[0] == 1
    # neither side has a row of OTHER: nothing is compared, and nothing is proven
    assert week.day(17, feed(AAPL))["verdict"] == "clean"
    assert age(week.day(18, [feed_row("AAPL", "100"), feed_row("KO", "5", account="OTHER")]), "KO") == (1, "2026-11-16", 2)
    # an account that answers without the position proves it gone
    assert types(week.day(19, [feed_row("AAPL", "100"), feed_row("PG", "1", account="OTHER")])) == ["MISSING_IN_DB"]
    assert age(week.day(20, [feed_row("AAPL", "100"), feed_row("KO", "5", account="OTHER")]), "KO")[0] == 2


@pytest.mark.case("H02")
def test_a_partial_feed_keeps_what_it_does_not_prove_gone(week: Week) -> None:
    week.held = [AAPL, ("PG", "1")]
    week.day(16, feed(("AAPL", "90"), ("PG", "1")))
    report = week.day(17, feed(AAPL, ("PG", "1")), options="row_count: 3")
    assert report["feeds"][0]["status"] == "PARTIAL"
    assert report["break_count"] == 0
    assert age(week.day(18, feed(("AAPL", "90"), ("PG", "1")))) == (1, "2026-11-16", 2)


@pytest.mark.case("H02")
def test_a_rule_that_lacks_a_value_proves_nothing(week: Week) -> None:
    dear = [feed_row("AAPL", "100", "12"), feed_row("MSFT", "50")]
    unknown = [feed_row("AAPL", "100", "", market_price="10"), feed_row("MSFT", "50")]
    assert types(week.day(16, dear)) == ["PRICE_MISMATCH"]
    assert week.day(17, unknown)["break_count"] == 0
    assert age(week.day(18, dear)) == (1, "2026-11-16", 2)
    assert week.day(19, feed(AAPL, MSFT))["break_count"] == 0
    assert age(week.day(20, dear)) == (2, "2026-11-20", 0)


@pytest.mark.case("H02")
def test_a_broker_that_was_not_asked_is_left_alone(week: Week) -> None:
    def day(day: int, *brokers: str, prime: str, second: str) -> dict[str, Any]:
        deployment, stamp = week.deployment, f"2026-11-{day:02}"
        rows = [book_row(*AAPL, updated_at=f"{stamp}T20:00:00Z", broker=name) for name in ("prime", "second")]
        deployment.book(rows)
        deployment.config(as_of=f"{stamp}T21:00:00Z", broker="unchanged: accept")
        text = (deployment.folder / "recon.yaml").read_text(encoding="utf-8")
        options = f'{{path: second.csv, as_of: "{stamp}T21:00:00Z"}}'
        deployment.write("recon.yaml", f"{text}  second: {{adapter: statement, unchanged: accept, options: {options}}}\n")
        deployment.feed(feed(("AAPL", prime)))
        deployment.feed(feed(("AAPL", second)), "second.csv")
        return week.run(brokers=brokers)

    day(16, prime="90", second="90")
    assert day(17, "second", prime="100", second="100")["verdict"] == "clean"
    report = day(18, prime="90", second="90")
    assert {entry["broker"]: entry["episode"] for entry in report["discrepancies"]} == {"prime": 1, "second": 2}


@pytest.mark.case("H03")
def test_a_change_of_type_keeps_age_notes_and_assignee(week: Week) -> None:
    first = week.day(16, feed(("AAPL", "90"), MSFT))["discrepancies"][0]["id"]
    assert week.command("breaks", "assign", first, "--to", "ann", "--by", "bob").exit_code == 0
    assert week.command("breaks", "note", first, "asked the broker", "--by", "ann").exit_code == 0
    report = week.day(17, feed(MSFT))
    assert types(report) == ["MISSING_AT_BROKER"]
    assert age(report) == (1, "2026-11-16", 1)
    second = report["discrepancies"][0]["id"]
    assert second != first
    shown = json.loads(week.command("breaks", "show", second, "--json").stdout)
    assert shown["assignee"] == "ann"
    assert [note["text"] for note in shown["notes"]] == ["asked the broker"]
    assert [(entry["type"], entry["status"]) for entry in shown["breaks"]] == [
        ("QUANTITY_MISMATCH", "resolved"), ("MISSING_AT_BROKER", "open")
    ]  # fmt: skip


@pytest.mark.case("I10")
def test_the_same_run_again_leaves_one_break_of_the_same_age(week: Week) -> None:
    ages = {age(week.day(16, feed(("AAPL", "90"), MSFT))) for _ in range(3)}
    assert ages == {(1, "2026-11-16", 0)}
    assert week.listed() == [("AAPL", "new", 1)]


def test_a_replay_of_the_past_is_recorded_and_moves_nothing_back(week: Week) -> None:
    week.day(16, feed(("AAPL", "90"), MSFT))
    week.day(18, feed(("AAPL", "90"), MSFT))
    replay = week.day(17, feed(AAPL, ("MSFT", "49")), as_of="2026-11-17T21:00:00+00:00")
    assert age(replay, "MSFT") == (None, None, None)
    assert week.command("report", replay["run_id"]).exit_code == 0
    report = week.day(19, feed(("AAPL", "90"), ("MSFT", "49")))
    assert age(report) == (1, "2026-11-16", 3)
    assert age(report, "MSFT") == (1, "2026-11-19", 0)
    again = week.day(18, feed(("AAPL", "90"), ("MSFT", "49")), as_of="2026-11-18T21:00:00+00:00")
    assert age(again) == (1, "2026-11-16", 2)
    assert age(again, "MSFT") == (None, None, None)


def test_a_run_of_a_time_still_to_come_does_not_stop_the_clock_of_later_ones(week: Week) -> None:
    week.day(16, feed(("AAPL", "90"), MSFT))
    week.run(as_of="2031-01-01T00:00:00+00:00")
    assert age(week.day(18, feed(("AAPL", "90"), MSFT))) == (1, "2026-11-16", 2)


def test_breaks_parquet_tells_the_age(week: Week) -> None:
    week.day(16, feed(("AAPL", "90"), MSFT))
    report = week.day(18, feed(("AAPL", "90"), MSFT))
    rows = duckdb.sql(f"SELECT symbol, episode, first_seen::VARCHAR, open_days FROM '{report['outputs']['breaks']}'").fetchall()
    assert rows == [("AAPL", 1, "2026-11-16 21:00:00", 2)]


@pytest.mark.case("H04")
def test_a_suppression_by_id_silences_until_its_last_day(week: Week) -> None:
    found = week.day(16, feed(("AAPL", "90"), MSFT))["discrepancies"][0]["id"]
    done = week.command("breaks", "suppress", found[:9], "--until", "2099-12-31", "--reason", "known", "--by", "risk")
    assert done.exit_code == 0, done.output
    report = week.day(17, feed(("AAPL", "90"), MSFT))
    assert (report["verdict"], report["break_count"], report["suppressed_count"]) == ("clean", 0, 1)
    assert report["discrepancies"][0]["suppressed"]["approved_by"] == "risk"
    assert age(report) == (1, "2026-11-16", 1)
    assert week.listed() == [("AAPL", "suppressed", 1)]


@pytest.mark.case("H04")
def test_a_suppression_by_id_expires(week: Week) -> None:
    suppress(week, week.day(16, feed(("AAPL", "90"), MSFT)), until=date(2026, 11, 17))
    assert week.day(17, feed(("AAPL", "90"), MSFT))["break_count"] == 0
    report = week.day(18, feed(("AAPL", "90"), MSFT))
    assert report["break_count"] == 1
    assert any("it was accepted until 2026-11-17" in warning for warning in report["warnings"])
    assert not any("accepted until" in warning for warning in week.day(19, feed(("AAPL", "90"), MSFT))["warnings"])


def test_a_suppression_of_a_day_that_is_over_is_a_usage_error(week: Week) -> None:
    found = week.day(16, feed(("AAPL", "90"), MSFT))["discrepancies"][0]["id"]
    done = week.command("breaks", "suppress", found, "--until", "2026-11-15", "--reason", "x", "--by", "risk")
    assert (done.exit_code, "over" in done.output) == (2, True)


@pytest.mark.case("H05")
@pytest.mark.parametrize(("now", "why"), [("89", "grew from 10 to 11"), ("110", "changed sign, from 10 to -10")])
def test_a_suppressed_break_that_grows_or_changes_sign_comes_back_for_good(week: Week, now: str, why: str) -> None:
    found = suppress(week, week.day(16, feed(("AAPL", "90"), MSFT)))
    assert week.day(17, feed(("AAPL", "91"), MSFT))["break_count"] == 0
    report = week.day(18, feed(("AAPL", now), MSFT))
    assert report["break_count"] == 1
    assert any(why in warning for warning in report["warnings"])
    assert week.day(19, feed(("AAPL", "90"), MSFT))["break_count"] == 1
    shown = json.loads(week.command("breaks", "show", found, "--json").stdout)
    assert [why in entry["ended_why"] for entry in shown["suppressions"]] == [True]


@pytest.mark.case("H05")
def test_a_suppression_ends_with_the_break(week: Week) -> None:
    suppress(week, week.day(16, feed(("AAPL", "90"), MSFT)))
    week.day(17, feed(AAPL, MSFT))
    assert week.day(18, feed(("AAPL", "90"), MSFT))["break_count"] == 1


def test_a_suppression_whose_row_was_changed_is_refused(week: Week) -> None:
    suppress(week, week.day(16, feed(("AAPL", "90"), MSFT)))
    with closing(sqlite3.connect(week.deployment.folder / ".state" / "recon.sqlite")) as database, database:
        assert database.execute("UPDATE suppressions SET content = replace(content, '\"10\"', '\"99\"')").rowcount == 1
    with pytest.raises(StateError, match="suppression 2 was changed"):
        week.run()


def changed(report: dict[str, Any]) -> tuple[list[str], list[str], list[str], int]:
    """Symbols of what cleared, of what is new and of what was not judged since the run before, and how many breaks remain."""
    since = report["since_last"]
    symbols = {entry["id"]: entry["symbol"] for entry in report["discrepancies"]}
    for name in ("cleared", "new", "not_judged"):
        assert since[f"{name}_count"] == len(since[name])
    return (
        [entry["symbol"] for entry in since["cleared"]],
        [symbols[name] for name in since["new"]],
        [entry["symbol"] for entry in since["not_judged"]],
        since["remaining"],
    )


@pytest.mark.case("H01")
def test_a_run_tells_what_cleared_what_is_new_and_what_remains_since_the_one_before(week: Week) -> None:
    first = week.day(16, feed(("AAPL", "90"), MSFT))
    assert first["since_last"] is None
    second = week.day(17, feed(("AAPL", "90"), ("MSFT", "49")))
    assert changed(second) == ([], ["MSFT"], [], 2)
    assert second["since_last"]["run_id"] == first["run_id"]
    assert second["since_last"]["as_of"] == first["as_of"]
    assert changed(week.day(18, feed(AAPL, ("MSFT", "49")))) == (["AAPL"], [], [], 1)
    again = week.day(18, feed(AAPL, ("MSFT", "49")))
    assert again["since_last"] is None  # the same inputs give the same report
    assert week.command("report", again["run_id"]).output.endswith("Breaks remaining: 1\n")
    # a change of type is one break that is gone and another
    assert changed(week.day(19, feed(AAPL))) == (["MSFT"], ["MSFT"], [], 1)
    clean = week.day(20, feed(AAPL, MSFT))
    assert changed(clean) == (["MSFT"], [], [], 0)
    assert week.command("report", clean["run_id"]).output.endswith("Breaks remaining: 0\n")


@pytest.mark.case("H08")
def test_a_later_day_is_not_signed_off_over_a_break_that_it_did_not_judge(week: Week) -> None:
    week.day(16, feed(("AAPL", "90"), MSFT))
    unread = week.day(17, None)
    assert unread["since_last"] is None  # it judged nothing, so that nothing has changed
    second = """\
  second: {adapter: statement, unchanged: accept, options: {path: second.csv, as_of: "2026-11-18T21:00:00Z"}}
"""
    week.deployment.feed(feed(MSFT), "second.csv")
    config = week.deployment.folder / "recon.yaml"
    config.write_text(config.read_text(encoding="utf-8") + second, encoding="utf-8")
    week.deployment.book([book_row(*MSFT, broker="second", updated_at="2026-11-18T20:00:00Z")])
    other = week.run(brokers=("second",))
    assert other["verdict"] == "clean"
    assert changed(other) == ([], [], ["AAPL"], 1)
    assert other["since_last"]["not_judged"][0]["first_seen"] == "2026-11-16T21:00:00Z"
    text = week.command("report", other["run_id"]).output
    assert text.startswith("CLEAN  no breaks, 1 of earlier runs still open")
    assert "QUANTITY_MISMATCH prime/MAIN AAPL, open since 2026-11-16T21:00:00Z" in text
    assert text.endswith("Breaks remaining: 1\n")


@pytest.mark.case("H08")
def test_a_break_that_a_rule_could_not_judge_again_remains(week: Week) -> None:
    week.day(16, [feed_row("AAPL", "100", "12"), feed_row("MSFT", "50")])
    report = week.day(17, [feed_row("AAPL", "100", "", market_price="10"), feed_row("MSFT", "50")])
    assert report["break_count"] == 0
    assert changed(report) == ([], [], ["AAPL"], 1)


def test_a_replay_of_the_past_tells_no_changes(week: Week) -> None:
    week.day(16, feed(("AAPL", "90"), MSFT))
    week.day(18, feed(AAPL, MSFT))
    assert week.day(17, feed(("AAPL", "90"), MSFT), as_of="2026-11-17T21:00:00+00:00")["since_last"] is None


def test_what_is_suppressed_neither_remains_nor_is_new(week: Week) -> None:
    suppress(week, week.day(16, feed(("AAPL", "90"), MSFT)))
    assert week.day(17, feed(("AAPL", "90"), MSFT))["since_last"] is None
    assert changed(week.day(18, feed(AAPL, MSFT))) == (["AAPL"], [], [], 0)
