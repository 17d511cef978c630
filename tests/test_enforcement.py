"""What a run does to trading, through the real command: latch, halt actions, permit, metrics; in the order that loses no halt."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from deployment import Deployment, ago, book_row, feed_row


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


def live(deployment: Deployment, *, breaks: bool, more: str = "", days: int = 0) -> None:
    stamp = ago(days=days, minutes=1)
    held = [book_row("AAPL", "10", updated_at=stamp), *([book_row("GONE", "5", updated_at=stamp)] if breaks else [])]
    deployment.book(held)
    deployment.feed([feed_row("AAPL", "10")])
    deployment.config(more=more, as_of=stamp)


def guard(deployment: Deployment) -> int:
    return deployment.command("guard").returncode


def test_a_halting_run_raises_the_latch_and_a_clean_one_after_it_lifts_nothing(deployment: Deployment) -> None:
    live(deployment, breaks=True)
    report = deployment.report()
    assert report["halting"] == {
        "mode": "armed",
        "raised": ["firm"],
        "trouble": None,
        "withheld": None,
        "standing": ["firm"],
        "actions": [],
    }
    assert (deployment.folder / ".state" / "HALT.json").is_file()
    assert guard(deployment) == 4
    live(deployment, breaks=False)
    clean = deployment.report()
    assert (clean["verdict"], clean["exit_code"], clean["halting"]["standing"]) == ("clean", 0, ["firm"])
    said = deployment.command("report", clean["run_id"]).stdout
    assert said.startswith("CLEAN  no breaks  |  trading stays halted: firm (recon-core halt status)"), said
    page = (deployment.folder / clean["outputs"]["html"]).read_text(encoding="utf-8")
    assert "Trading stays halted" in page
    assert "Trading goes on" not in page
    assert guard(deployment) == 4
    lifted = deployment.command("halt", "lift", "--reason", "explained", "--by", "ana")
    assert lifted.returncode == 0, lifted.stderr
    assert guard(deployment) == 0


def test_a_halting_run_that_cannot_be_recorded_says_that_it_halted(deployment: Deployment) -> None:
    live(deployment, breaks=False)
    assert deployment.run().returncode == 0
    (deployment.folder / ".state" / "recon.sqlite").write_bytes(b"no database")
    failed = deployment.run()
    assert failed.returncode == 5
    assert failed.stderr.strip().endswith("; this run has no report")
    live(deployment, breaks=True)
    failed = deployment.run()
    assert failed.returncode == 5
    assert "recon.sqlite: damaged" in failed.stderr
    assert "this run has no report; trading is halted all the same: firm: MISSING_AT_BROKER: 1 break halts (GONE)" in failed.stderr
    assert guard(deployment) == 4


def test_a_clean_run_permits_trading_and_one_with_a_chosen_time_does_not(deployment: Deployment) -> None:
    live(deployment, breaks=False)
    assert deployment.run("--as-of", ago(minutes=1)).returncode == 0
    assert guard(deployment) == 4
    assert deployment.run().returncode == 0
    assert guard(deployment) == 0


@pytest.mark.parametrize("schedule", ["", "schedule: {due: '16:30', timezone: America/New_York}"])
def test_a_clean_run_over_the_data_of_an_earlier_day_permits_nothing_and_says_so(deployment: Deployment, schedule: str) -> None:
    live(deployment, breaks=False, more=schedule, days=9)
    report = deployment.report()
    assert report["exit_code"] == 0
    assert report["halting"]["withheld"].startswith("its data is of ")
    assert "trading is not permitted: its data is of " in " ".join(deployment.run().stdout.split())
    refused = deployment.command("guard")
    assert refused.returncode == 4
    assert "too old to trade on" in " ".join((refused.stdout + refused.stderr).split())


def test_shadow_mode_decides_and_stops_nothing(deployment: Deployment) -> None:
    live(deployment, breaks=True, more="halt: {mode: shadow}")
    done = deployment.run()
    assert done.returncode == 10
    assert "TRADING WOULD HALT, and goes on in shadow mode" in " ".join(done.stdout.split())
    assert not (deployment.folder / ".state" / "HALT.json").exists()
    assert guard(deployment) == 4


def program(deployment: Deployment, name: str, text: str) -> str:
    path = deployment.folder / name
    path.write_text(text, encoding="utf-8")
    return json.dumps([sys.executable, str(path)])


def test_actions_run_after_the_latch_and_one_that_is_not_confirmed_exits_5(deployment: Deployment) -> None:
    seen = deployment.folder / "seen"
    halt = program(
        deployment,
        "stop.py",
        f"import json, pathlib, sys\norder = json.load(sys.stdin)\n"
        f"latch = pathlib.Path({str(deployment.folder / '.state' / 'HALT.json')!r}).exists()\n"
        f"pathlib.Path({str(seen)!r}).write_text(json.dumps([latch, order['scopes']]))\n",
    )
    confirmed, refused = (program(deployment, f"exit{code}.py", f"raise SystemExit({code})\n") for code in (0, 1))
    more = f"halt:\n  actions:\n    desk: {{action: command, deadline_seconds: 3, options: {{halt: {halt}, confirm: {confirmed}}}}}"
    live(deployment, breaks=True, more=more)
    report = deployment.report()
    assert report["exit_code"] == 4
    assert [(each["name"], each["confirmed"]) for each in report["halting"]["actions"]] == [("desk", True)]
    assert json.loads(seen.read_text()) == [True, ["firm"]]
    live(deployment, breaks=True, more=more.replace(confirmed, refused) + "\n  mode: armed")
    done = deployment.run()
    assert done.returncode == 5
    assert "HALT NOT CONFIRMED by desk" in " ".join(done.stdout.split())
    assert guard(deployment) == 4


@pytest.mark.case("I05")
def test_a_folder_in_the_latchs_place_halts_and_keeps_no_action_from_running(deployment: Deployment) -> None:
    seen = deployment.folder / "seen"
    halt = program(deployment, "stop.py", f"import pathlib\npathlib.Path({str(seen)!r}).touch()\n")
    confirmed = program(deployment, "exit0.py", "raise SystemExit(0)\n")
    more = f"halt:\n  actions:\n    desk: {{action: command, deadline_seconds: 3, options: {{halt: {halt}, confirm: {confirmed}}}}}"
    live(deployment, breaks=True, more=more)
    blocked = deployment.folder / ".state" / "HALT.json"
    blocked.mkdir(parents=True)
    (blocked / "full").touch()
    done = deployment.run()
    assert done.returncode == 4
    assert seen.exists()
    assert guard(deployment) == 4


def test_metrics_tell_of_verdicts_and_of_runs_that_gave_none(deployment: Deployment) -> None:
    more = "metrics: {textfile: .state/recon.prom}"
    live(deployment, breaks=True, more=more)
    assert deployment.run().returncode == 4
    text = (deployment.folder / ".state" / "recon.prom").read_text(encoding="utf-8")
    assert 'wsb_eod_reconciliation_breaks_total{account="MAIN",broker="prime",type="MISSING_AT_BROKER"} 1.0' in text
    assert "wsb_eod_reconciliation_trading_halted 1.0" in text
    deployment.book([book_row("AAPL", "ten")])
    assert deployment.run().returncode == 3
    after = (deployment.folder / ".state" / "recon.prom").read_text(encoding="utf-8")
    assert 'type="MISSING_AT_BROKER"} 1.0' in after
    assert "wsb_eod_reconciliation_last_run_failed 1.0" in after
