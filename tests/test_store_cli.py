"""The commands that read the store: history, report, audit and breaks, as they are typed."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from deployment import Deployment, assert_nothing_ugly, book_row, feed_row
from week import AAPL, MSFT, Week, feed

from recon_core.errors import StateError
from recon_core.report import to_html

BROKEN = feed(("AAPL", "90"), MSFT)


@pytest.fixture
def week(tmp_path: Path) -> Week:
    return Week(tmp_path)


def store_of(week: Week) -> Path:
    return week.deployment.folder / ".state" / "recon.sqlite"


def test_history_lists_the_runs_and_a_trend_for_each_type(week: Week) -> None:
    runs = [week.day(16, feed(AAPL, MSFT)), week.day(17, BROKEN), week.day(18, feed(MSFT))]
    printed = week.command("history").output
    rows = [line.split() for line in printed.splitlines()]
    assert [row[0] for row in rows[1:4]] == [report["run_id"] for report in runs]
    assert [row[2] for row in rows[1:4]] == ["clean", "breaks", "breaks"]
    assert ["QUANTITY_MISMATCH", "·█·", "0"] in rows
    assert ["MISSING_AT_BROKER", "··█", "1"] in rows
    asked = json.loads(week.command("history", "--json", "--limit", "2").output)
    assert [entry["run_id"] for entry in asked] == [report["run_id"] for report in runs[1:]]
    assert asked[-1]["head"] == f"{runs[-1]['audit']['seq']}:{runs[-1]['audit']['head']}"


def test_any_past_report_is_printed_byte_for_byte(week: Week) -> None:
    first = week.day(16, BROKEN)
    week.day(17, feed(AAPL, MSFT))
    written = Path(first["outputs"]["report"]).read_bytes()
    assert week.command("report", first["run_id"], "--json").stdout_bytes == written
    assert json.loads(written) == first
    assert week.command("report", first["run_id"]).output.startswith("BREAKS")
    page = week.deployment.folder / "page.html"
    assert week.command("report", first["run_id"], "--html", str(page)).exit_code == 0
    assert page.read_text(encoding="utf-8") == to_html(first) == Path(first["outputs"]["html"]).read_text(encoding="utf-8")


def test_a_run_that_nobody_recorded_is_named_with_those_that_are(week: Week) -> None:
    assert "nothing is recorded yet" in week.command("report", "20200101T000000Z-00000000").output
    run_id = week.day(16, BROKEN)["run_id"]
    done = week.command("report", "20200101T000000Z-00000000")
    assert done.exit_code == 2
    assert run_id in done.output


def test_verify_meets_the_anchors_of_reports_and_exits_5_where_one_is_gone(week: Week) -> None:
    reports = [week.day(16, BROKEN), week.day(17, BROKEN)]
    anchors = [f"{report['audit']['seq']}:{report['audit']['head']}" for report in reports]
    done = week.command("audit", "verify", "--anchor", anchors[0], "--anchor", anchors[1])
    assert (done.exit_code, "2 anchors met" in done.output) == (0, True)
    assert week.command("audit", "verify", "--anchor", anchors[0].replace(":", ":0")).exit_code == 2
    with closing(sqlite3.connect(store_of(week))) as database, database:
        database.executescript(
            "DROP TRIGGER audit_refuses_delete; DELETE FROM runs WHERE seq = 3; DELETE FROM audit WHERE seq = 3;"
            "UPDATE delivered SET day = '2026-11-16'"
        )
    assert week.command("audit", "verify").exit_code == 0
    done = week.command("audit", "verify", "--anchor", anchors[1])
    assert done.exit_code == 5
    assert "there is no such record: the chain ends at 2" in done.output


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE runs SET report = (SELECT report FROM runs WHERE seq = 1) WHERE seq = 3", "is not the one that record 3 tells of"),
        ("UPDATE runs SET report = x'00' WHERE seq = 3", "its report is damaged"),
        ("DELETE FROM runs WHERE seq = 3", "record 3: run .* is gone"),
        ("UPDATE runs SET run_id = 'another' WHERE seq = 3", "run another: record 3 is not of this run"),
        ("UPDATE runs SET verdict = 'clean', exit_code = 0 WHERE seq = 3", "run .*: its row is not what its report says"),
        (
            "UPDATE runs SET summary = replace(summary, '\"breaks\"', '\"clean\"') WHERE seq = 3",
            "its row is not what its report says",
        ),
        ("UPDATE runs SET live = 1 - live WHERE seq = 3", "run .*: its row is not what its report says"),
        ("DELETE FROM delivered WHERE day = '2026-11-17'", "broker prime: what is kept of the file of sha256 .* is not what"),
        ("UPDATE delivered SET day = '2026-11-18' WHERE day = '2026-11-17'", "broker prime: what is kept of the file of sha256 "),
    ],
)
def test_verify_finds_a_report_that_is_not_the_recorded_one(week: Week, change: str, told: str) -> None:
    week.day(16, BROKEN)
    week.day(17, BROKEN)
    with closing(sqlite3.connect(store_of(week))) as database, database:
        database.execute(change)
    done = week.command("audit", "verify")
    assert done.exit_code == 5
    assert re.search(told, done.output), done.output


def test_an_export_can_be_checked_without_the_program(week: Week) -> None:
    last = week.day(16, BROKEN)
    last = week.day(17, feed(MSFT))
    week.command("breaks", "note", last["discrepancies"][0]["id"], "gefragt: Ärger?", "--by", "ann")
    previous = "0" * 64
    lines = week.command("audit", "export").stdout.splitlines()
    for line in lines:
        record = json.loads(line)
        stated = record.pop("hash")
        text = json.dumps(record, sort_keys=True, separators=(",", ":"))
        assert record["previous"] == previous
        assert hashlib.sha256(text.encode()).hexdigest() == stated
        previous = stated
    records = [json.loads(line) for line in lines]
    assert [record["kind"] for record in records] == ["run", "config-changed", "run", "note"]
    assert records[1]["before"]["sha256"] != records[1]["after"]["sha256"] == last["config"]["sha256"]
    run = records[2]
    assert run["after"]["verdict"] == "breaks"
    assert run["before"]["run_id"] == records[0]["after"]["run_id"]
    assert run["inputs"]["policy"] == last["policy"]["sha256"]
    assert run["inputs"]["feeds"] == {"prime": last["feeds"][0]["sha256"]}
    assert run["inputs"]["plugins"]
    assert records[3]["actor"]["by"] == "ann"
    written = Path(last["outputs"]["report"]).read_text(encoding="utf-8")
    bare = written[: written.rindex('"audit": {')] + '"audit": null\n}\n'
    assert hashlib.sha256(bare.encode()).hexdigest() == run["after"]["report_sha256"]


def test_a_change_of_policy_is_a_record_with_both_fingerprints(week: Week) -> None:
    week.deployment.policy("version: 1\nrules: {MISSING_AT_BROKER: {}}\n")
    week.day(16, BROKEN)
    week.deployment.policy("version: 1\nrules: {MISSING_AT_BROKER: {halt: never}}\n")
    now = week.run()
    week.run()
    records = [json.loads(line) for line in week.command("audit", "export").stdout.splitlines()]
    assert [record["kind"] for record in records] == ["run", "policy-changed", "run", "run"]
    changed = records[1]
    assert (changed["before"]["sha256"], changed["after"]["sha256"]) == (records[0]["inputs"]["policy"], now["policy"]["sha256"])
    assert changed["before"]["sha256"] != changed["after"]["sha256"]
    assert changed["actor"]["user"]


def test_breaks_are_listed_by_pattern_and_shown_by_the_beginning_of_an_id(week: Week) -> None:
    report = week.day(16, feed(("AAPL", "90"), ("MSFT", "49")))
    ids = {entry["symbol"]: entry["id"] for entry in report["discrepancies"]}
    listed = json.loads(week.command("breaks", "list", "--json", "--symbol", "AA*").output)
    figures = ("book_quantity", "broker_quantity", "quantity_difference", "impact", "detail", "halts", "open_days")
    found = next(entry for entry in report["discrepancies"] if entry["symbol"] == "AAPL")
    assert [{name: entry[name] for name in figures} for entry in listed] == [{name: found[name] for name in figures}]
    assert ids["MSFT"] not in week.command("breaks", "list", "--symbol", "AA*").output
    assert week.command("breaks", "list", "--status", "resolved").output == "none\n"
    assert week.command("breaks", "assign", ids["AAPL"][:10], "--to", "ann").exit_code == 0
    page = week.command("breaks", "show", ids["AAPL"][:10]).output
    assert "assigned to ann" in page
    assert "book 100, broker 90" in page
    assert week.command("breaks", "show", "B").exit_code == 2
    assert "beginning of 2 breaks" in week.command("breaks", "show", "B").output
    assert "there is no break" in week.command("breaks", "show", "B%").output
    week.day(17, feed(AAPL, ("MSFT", "49")))
    assert week.listed() == [("MSFT", "open", 1)]
    gone = week.command("breaks", "suppress", ids["AAPL"], "--until", "2099-01-01", "--reason", "x", "--by", "risk")
    assert (gone.exit_code, "is resolved" in gone.output) == (2, True)


def test_a_run_whose_store_cannot_be_read_still_reconciles_before_it_fails(week: Week) -> None:
    week.day(16, BROKEN)
    store_of(week).write_bytes(b"X" * 5000)
    steps: list[str] = []
    from recon_core.run import Request, run

    with pytest.raises(StateError, match="damaged"):
        run(Request(week.deployment.folder / "recon.yaml"), progress=steps.append)
    assert "matching" in steps


@pytest.mark.parametrize(
    ("change", "command"),
    [
        ("UPDATE suppressions SET content = ?", ("run",)),
        ("UPDATE audit SET body = ?", ("audit", "export")),
        ("UPDATE audit SET body = ?", ("audit", "verify")),
    ],
)
def test_what_was_nested_too_deep_to_be_read_is_damaged_state(tmp_path: Path, change: str, command: tuple[str, ...]) -> None:
    deployment = Deployment(tmp_path)
    deployment.book([book_row("AAPL", "100")])
    deployment.feed([feed_row("AAPL", "99")])
    [found] = deployment.report()["discrepancies"]
    accepted = deployment.command("breaks", "suppress", found["id"], "--until", "2026-12-31", "--reason", "known", "--by", "risk")
    assert accepted.returncode == 0, accepted.stderr
    with closing(sqlite3.connect(tmp_path / ".state" / "recon.sqlite")) as database, database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        database.execute(change, ("[" * 200_000,))
    done = deployment.command(*command)
    assert done.returncode == 5, done.stdout + done.stderr
    assert_nothing_ugly(done)
