"""Breaks that are followed in bulk, for there are too many: they live as those do that are followed one by one."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deployment import feed_row
from week import Week, age, feed

from recon_core import following
from recon_core.errors import StateError
from recon_core.state import tails
from recon_core.state.store import open_store

SYMBOLS = ("AAPL", "KO", "MSFT", "NVDA", "PFE", "SAP", "TSLA")
DAYS = (9, 10, 11, 12, 13, 16, 17, 18)


def test_in_bulk_breaks_live_as_they_do_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    everything = pytestconfig.getoption("--faults")
    for seed in range(20) if everything else (7,):
        told = []
        for most in (10_000, 0, 2) if everything else (10_000, 0):
            monkeypatch.setattr(following, "FOLLOWED", most)
            folder = tmp_path / f"{seed}-{most}"
            folder.mkdir()
            told.append(list(_days(Week(folder), random.Random(seed))))
        assert all(each == told[0] for each in told), f"seed {seed}"


def _days(week: Week, chance: random.Random) -> Iterator[dict[str, Any]]:
    """What each of some days tells: positions go apart, agree again, and are missing; one feed fails, one day is run once more."""
    week.held = [(symbol, "100") for symbol in SYMBOLS]
    for day in DAYS:
        rows = [feed_row(symbol, chance.choice(("100", "100", "90", "80"))) for symbol in SYMBOLS if chance.random() > 0.2]
        rows = [*rows, feed_row("GE", "5")] if chance.random() > 0.5 else rows
        yield _told(week, week.day(day, None if day == 12 else rows))
    yield _told(week, week.day(11, feed(("AAPL", "80")), as_of="2026-11-11T21:00:00+00:00"))
    yield _told(week, week.day(19, feed(*week.held)))
    yield _told(week, week.day(20, feed(*week.held[:3])))


def _told(week: Week, report: dict[str, Any]) -> dict[str, Any]:
    """All that a run and ``breaks list`` say of ages and changes; the detail of what is followed in bulk is in breaks.parquet."""
    ages = {(each["symbol"], each["type"]): age_of(each) for each in report["discrepancies"]}
    file = f"SELECT symbol, type, episode, first_seen::VARCHAR, open_days FROM '{report['outputs']['breaks']}' ORDER BY ALL"
    since = report.get("since_last") or {}
    changes = {
        name: since.get(name) for name in ("cleared_count", "cleared", "new_count", "not_judged_count", "not_judged", "remaining")
    }
    lists = [
        [{**each, "detail": ""} for each in json.loads(week.command("breaks", "list", "--json", *more).stdout)]
        for more in ([], ["--status", "resolved"], ["--symbol", "[A-N]*"])
    ]
    return {
        "ages": ages,
        "file": duckdb.sql(file).fetchall(),
        "changes": changes,
        "new": sorted(since.get("new") or ()),
        "lists": lists,
    }


def age_of(found: dict[str, Any]) -> tuple[Any, ...]:
    return found["episode"], found["first_seen"], found["open_days"], (found["explanation"] or {}).get("last_agreed")


@pytest.fixture
def long_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Week:
    """A week whose breaks are all followed in bulk, on its second day."""
    monkeypatch.setattr(following, "FOLLOWED", 0)
    week = Week(tmp_path)
    week.held = [("AAPL", "100"), ("MSFT", "50")]
    for day in (16, 17):
        week.day(day, feed(("AAPL", "90"), ("MSFT", "49")))
    return week


def _rows(week: Week) -> int:
    with open_store(None, week.deployment.folder / ".state") as store:
        ((count,),) = store.database.execute("SELECT count(*) FROM breaks")
        return int(count)


def test_a_break_that_somebody_works_is_followed_by_itself_from_then_on(long_list: Week) -> None:
    assert _rows(long_list) == 0
    (found,) = json.loads(long_list.command("breaks", "list", "--symbol", "AAPL", "--json").stdout)
    assert (found["status"], found["quantity_difference"], found["open_days"]) == ("open", "10", 1)
    assert long_list.command("breaks", "assign", found["id"], "--to", "ana").exit_code == 0
    assert _rows(long_list) == 1
    report = long_list.day(18, feed(("AAPL", "90"), ("MSFT", "49")))
    assert age(report, "AAPL") == age(report, "MSFT") == (1, "2026-11-16", 2)
    shown = json.loads(long_list.command("breaks", "show", found["id"][:8], "--json").stdout)
    assert (shown["assignee"], shown["breaks"][0]["detail"]) == ("ana", "book 100, broker 90 (11.1112% apart)")


def test_a_break_can_be_accepted_by_its_id(long_list: Week) -> None:
    (found,) = json.loads(long_list.command("breaks", "list", "--symbol", "MSFT", "--json").stdout)
    until = date(2099, 12, 31).isoformat()
    done = long_list.command("breaks", "suppress", found["id"], "--until", until, "--reason", "known", "--by", "risk")
    assert done.exit_code == 0, done.output
    report = long_list.day(18, feed(("AAPL", "90"), ("MSFT", "49")))
    assert (report["break_count"], report["suppressed_count"]) == (1, 1)


def test_the_beginning_of_several_ids_is_refused_and_changes_nothing(long_list: Week) -> None:
    done = long_list.command("breaks", "show", "B")
    assert (done.exit_code, "is the beginning of 2 breaks" in done.output) == (2, True), done.output
    assert _rows(long_list) == 0


def test_what_ends_is_kept_and_a_later_episode_goes_on_counting(long_list: Week) -> None:
    assert long_list.day(18, feed(*long_list.held))["since_last"]["cleared_count"] == 2
    resolved = json.loads(long_list.command("breaks", "list", "--status", "resolved", "--json").stdout)
    assert [(each["symbol"], each["resolved_at"][:10]) for each in resolved] == [("AAPL", "2026-11-18"), ("MSFT", "2026-11-18")]
    assert age(long_list.day(19, feed(("AAPL", "90"), ("MSFT", "50")))) == (2, "2026-11-19", 0)
    assert long_list.listed() == [("AAPL", "reopened", 2)]


def test_a_tail_that_is_damaged_is_an_error_and_no_empty_list(long_list: Week) -> None:
    with open_store(None, long_list.deployment.folder / ".state") as store:
        store.database.execute("UPDATE tails SET content = ?", (b"no parquet",))
        with pytest.raises(StateError, match="damaged"):
            tails.ask(store.database, "true")
    done = long_list.command("breaks", "list")
    assert (done.exit_code, "in bulk" in done.output) == (5, True), done.output
    with pytest.raises(StateError, match="keeps in bulk cannot be read"):
        long_list.day(18, feed(("AAPL", "90"), ("MSFT", "49")))


def test_all_of_a_long_list_are_followed_and_the_worst_with_all_that_is_known_of_them(tmp_path: Path) -> None:
    count = 12_000
    week = Week(tmp_path)
    held = [(f"S{number}", "100") for number in range(count)]
    for day in (16, 17):
        week.held = held
        report = week.day(day, [feed_row(symbol, "90") for symbol, _ in held])
    assert (report["break_count"], report["warnings"]) == (count, [])
    assert _rows(week) == following.FOLLOWED
    ages = f"SELECT episode, first_seen::DATE::VARCHAR, open_days, count(*) FROM '{report['outputs']['breaks']}' GROUP BY ALL"
    assert duckdb.sql(ages).fetchall() == [(1, "2026-11-16", 1, count)]
    assert len(json.loads(week.command("breaks", "list", "--json").stdout)) == count
