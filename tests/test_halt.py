"""Orders of people: halt, lift with and without a proof, two people, drills; and that what fails on the way stops nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from deployment import Deployment
from permits import MAIN, NOW, halt, permit

from recon_core import guard
from recon_core.errors import HaltedError, StateError
from recon_core.lifting import Deployment as Lifting
from recon_core.lifting import Lift, lift
from recon_core.schedule import Schedule
from recon_core.state.actor import Actor
from recon_core.state.audit import faults, records
from recon_core.state.latch import Halt, raise_latch, read_latch
from recon_core.state.permit import revoke
from recon_core.state.scope import FIRM, Scope
from recon_core.state.store import open_store

ORDER = ("--reason", "because", "--by", "ann")


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    made = Deployment(tmp_path)
    permit(tmp_path / ".state", MAIN, at=datetime.now(UTC))
    return made


def audit(folder: Path) -> list[dict[str, Any]]:
    with open_store(None, folder / ".state", create=False) as store:
        assert list(faults(store.database)) == []
        return list(records(store.database))


def test_a_halt_by_hand_stops_trading_and_is_audited(deployment: Deployment) -> None:
    assert deployment.command("guard").returncode == 0
    done = deployment.command("halt", "raise", *ORDER)
    assert done.returncode == 0, done.stderr
    assert deployment.command("guard").returncode == 4
    assert deployment.command("halt", "status").returncode == 4
    found = json.loads(deployment.command("halt", "status", "--json").stdout)
    assert (found["halted"], found["permits"], found["halts"][0]["reasons"]) == (True, [], ["because"])
    last = audit(deployment.folder)[-1]
    assert (last["kind"], last["scopes"], last["actor"]["by"]) == ("halt", ["firm"], "ann")


def test_nothing_is_halted_and_the_status_says_so(deployment: Deployment) -> None:
    done = deployment.command("halt", "status")
    assert done.returncode == 0
    assert "nothing is halted" in done.stdout
    assert "permit of account prime/MAIN until" in done.stdout


def test_a_halt_needs_nothing_of_recon_yaml_but_where_the_state_is(deployment: Deployment) -> None:
    deployment.config(more="fx: {EUR: what}\n")
    done = deployment.command("halt", "raise", *ORDER)
    assert done.returncode == 5, "the actions could not be carried out, and nobody may miss it"
    assert "no halt action was carried out" in done.stderr
    assert deployment.command("guard").returncode == 4
    assert audit(deployment.folder)[-1]["kind"] == "halt"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--broker", "nobody", *ORDER),
        ("--scope", "account", *ORDER),
        ("--reason", " ", "--by", "ann"),
        ("--reason", "because"),
    ],
)
def test_an_order_that_cannot_be_meant_halts_nothing(deployment: Deployment, arguments: tuple[str, ...]) -> None:
    assert deployment.command("halt", "raise", *arguments).returncode == 2
    assert deployment.command("guard").returncode == 0


@pytest.mark.case("I06")
def test_a_halt_of_one_account_leaves_the_others(deployment: Deployment) -> None:
    permit(deployment.folder / ".state", Scope("prime", "HEDGE"), at=datetime.now(UTC))
    assert deployment.command("halt", "raise", "--account", "HEDGE", *ORDER).returncode == 0
    assert deployment.command("guard", "--account", "HEDGE").returncode == 4
    assert deployment.command("guard", "--account", "MAIN").returncode == 0
    assert deployment.command("guard").returncode == 4


def test_a_lift_waits_for_a_newer_proof(deployment: Deployment) -> None:
    state = deployment.folder / ".state"
    deployment.command("halt", "raise", *ORDER)
    done = deployment.command("halt", "lift", *ORDER)
    assert done.returncode == 4
    assert "firm stays halted" in done.stderr
    assert (state / "HALT.json").exists()
    permit(state, MAIN, at=datetime.now(UTC))  # what a clean run leaves: it does not lift by itself
    assert deployment.command("guard").returncode == 4
    done = deployment.command("halt", "lift", *ORDER)
    assert done.returncode == 0, done.stderr
    assert deployment.command("guard").returncode == 0
    assert [entry["kind"] for entry in audit(deployment.folder)][-3:] == ["halt", "run", "lift"]


def test_an_override_permits_until_the_next_due_time_and_no_longer(deployment: Deployment) -> None:
    deployment.config(more="schedule: {due: '16:30', timezone: America/New_York}\n")
    deployment.command("halt", "raise", *ORDER)
    done = deployment.command("halt", "lift", "--override", *ORDER)
    assert done.returncode == 0, done.stderr
    answer = guard(deployment.folder / "recon.yaml")
    assert answer, answer.reason
    assert "override of ann" in answer.reason
    due = json.loads(deployment.command("schedule", "next", "--json").stdout)["next"][0]["due"]
    assert answer.until == datetime.fromisoformat(due)
    assert audit(deployment.folder)[-1]["after"]["override"] is True


@pytest.mark.case("I07")
def test_where_the_audit_chain_cannot_be_written_a_halt_stands_and_a_lift_fails(deployment: Deployment) -> None:
    state = deployment.folder / ".state"
    (state / "recon.sqlite").write_bytes(b"no database" * 100)
    done = deployment.command("halt", "raise", *ORDER)
    assert done.returncode == 5
    assert "not recorded in the audit chain" in done.stderr
    assert (state / "HALT.json").exists()
    done = deployment.command("halt", "lift", "--override", *ORDER)
    assert done.returncode == 5
    assert (state / "HALT.json").exists()
    assert deployment.command("guard").returncode == 4


@pytest.mark.case("I05")
def test_a_latch_that_cannot_be_read_is_lifted_as_any_other_and_kept(deployment: Deployment) -> None:
    path = deployment.folder / ".state" / "HALT.json"
    path.write_bytes(b"scribble")
    assert deployment.command("halt", "status").returncode == 5
    assert deployment.command("guard").returncode == 4
    assert deployment.command("halt", "lift", *ORDER).returncode == 4
    done = deployment.command("halt", "lift", "--override", *ORDER)
    assert done.returncode == 0, done.stderr
    (kept,) = path.parent.glob("HALT.json.damaged-*")
    assert kept.read_bytes() == b"scribble"
    assert deployment.command("guard").returncode == 0


# -- halt actions -----------------------------------------------------------------------------------------------------------

ACTIONS = """halt:
  actions:
    desk:
      action: command
      resume: true
      options:
        halt: [touch, stopped]
        confirm: [sh, -c, 'case $RECON_CORE_EVENT in halt) test -e stopped;; *) test ! -e stopped;; esac']
        resume: [rm, stopped]
        drill: [touch, drilled]
    broken:
      action: command
      options: {halt: ["false"], confirm: ["false"], drill: ["true"]}
"""


def test_a_halt_calls_every_action_and_one_that_is_not_confirmed_is_exit_code_5(deployment: Deployment) -> None:
    deployment.config(more=ACTIONS)
    done = deployment.command("halt", "raise", *ORDER)
    assert done.returncode == 5
    assert "action desk confirmed" in done.stdout
    assert "action broken NOT CONFIRMED" in done.stdout
    assert (deployment.folder / "stopped").exists()
    assert [entry["confirmed"] for entry in audit(deployment.folder)[-1]["after"]["actions"]] == [True, False]
    permit(deployment.folder / ".state", MAIN, at=datetime.now(UTC))
    done = deployment.command("halt", "lift", *ORDER)
    assert done.returncode == 0, done.stderr
    assert "action desk confirmed" in done.stdout
    assert not (deployment.folder / "stopped").exists()
    assert [entry["kind"] for entry in audit(deployment.folder)][-2:] == ["lift", "resume"]


def test_a_drill_goes_through_all_of_it_says_drill_and_changes_nothing(deployment: Deployment) -> None:
    deployment.config(more=ACTIONS)
    before = (deployment.folder / ".state" / "permit.json").read_bytes()
    done = deployment.command("halt", "drill", "--by", "ann")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all("DRILL" in line for line in done.stdout.splitlines()), done.stdout
    assert (deployment.folder / "drilled").exists()
    assert not (deployment.folder / "stopped").exists()
    assert (deployment.folder / ".state" / "permit.json").read_bytes() == before
    assert deployment.command("guard").returncode == 0
    last = audit(deployment.folder)[-1]
    assert (last["kind"], last["scopes"]) == ("drill", [])
    assert "DRILL" in last["after"]["guard"]


def test_there_is_no_drill_while_trading_is_halted(deployment: Deployment) -> None:
    deployment.command("halt", "raise", *ORDER)
    done = deployment.command("halt", "drill", "--by", "ann")
    assert done.returncode == 4
    assert "no DRILL while trading is halted" in done.stderr
    assert deployment.command("guard").returncode == 4


# -- with the clock in hand -------------------------------------------------------------------------------------------------


def lifting(state: Path, *, two: bool = False) -> Lifting:
    return Lifting(state, partial(open_store, None, state), ("prime",), Schedule(time(16, 30), "America/New_York"), two)


def order(by: str = "ann", scope: Scope = FIRM, **more: bool) -> Lift:
    return Lift(scope, "because", Actor("tests", "here", by), **more)


def test_a_proof_from_before_the_halt_lifts_nothing(tmp_path: Path) -> None:
    permit(tmp_path, MAIN)
    raise_latch(tmp_path, [halt(at=NOW + timedelta(minutes=1))])
    with pytest.raises(HaltedError, match="nothing has proven account prime/MAIN since 2026-11-20 22:01:00 UTC"):
        lift(lifting(tmp_path), order(), NOW + timedelta(hours=1))
    permit(tmp_path, MAIN, at=NOW + timedelta(minutes=2))
    assert lift(lifting(tmp_path), order(), NOW + timedelta(hours=1)).remaining == ()


def test_a_proof_that_has_ended_lifts_nothing(tmp_path: Path) -> None:
    raise_latch(tmp_path, [halt()])
    permit(tmp_path, MAIN, at=NOW + timedelta(minutes=1), hours=2)
    with pytest.raises(HaltedError, match="ended"):
        lift(lifting(tmp_path), order(), NOW + timedelta(hours=3))


@pytest.mark.case("I06")
def test_an_account_is_not_lifted_out_of_a_halt_of_the_firm(tmp_path: Path) -> None:
    raise_latch(tmp_path, [halt(), halt(MAIN)])
    permit(tmp_path, MAIN, at=NOW + timedelta(minutes=1))
    with pytest.raises(HaltedError, match="that is a halt of firm"):
        lift(lifting(tmp_path), order(scope=MAIN), NOW + timedelta(hours=1))
    found = lift(lifting(tmp_path), order(), NOW + timedelta(hours=1))
    assert len(found.halts) == 2
    assert read_latch(tmp_path) is None


@pytest.mark.case("I06")
def test_lifting_an_account_leaves_the_halts_of_others(tmp_path: Path) -> None:
    hedge = Scope("prime", "HEDGE")
    raise_latch(tmp_path, [halt(hedge), halt(MAIN)])
    permit(tmp_path, MAIN, at=NOW + timedelta(minutes=1))
    found = lift(lifting(tmp_path), order(scope=MAIN), NOW + timedelta(hours=1))
    assert [entry.scope for entry in found.remaining] == [hedge]


def test_two_people_lift_a_halt_one_does_not(tmp_path: Path) -> None:
    two, later = lifting(tmp_path, two=True), NOW + timedelta(hours=1)
    raise_latch(tmp_path, [halt()])
    permit(tmp_path, MAIN, at=NOW + timedelta(minutes=1))
    with pytest.raises(HaltedError, match="nobody has asked"):
        lift(two, order("bob", confirm=True), later)
    assert lift(two, order("ann"), later).awaiting
    assert read_latch(tmp_path) is not None
    with pytest.raises(HaltedError, match="another person must confirm"):
        lift(two, order("Ann", confirm=True), later)
    with pytest.raises(HaltedError, match="nobody has asked for this very lift"):
        lift(two, order("bob", confirm=True, override=True), later)
    with pytest.raises(HaltedError, match="within the last 30 minutes"):
        lift(two, order("bob", confirm=True), later + timedelta(minutes=31))
    assert not lift(two, order("bob", confirm=True), later + timedelta(minutes=29)).awaiting
    assert read_latch(tmp_path) is None
    assert not (tmp_path / "LIFT.json").exists()


def test_a_halt_raised_again_voids_what_the_first_person_asked_for(tmp_path: Path) -> None:
    two, later = lifting(tmp_path, two=True), NOW + timedelta(hours=1)
    raise_latch(tmp_path, [halt(run="one")])
    permit(tmp_path, MAIN, at=later)
    assert lift(two, order("ann"), later).awaiting
    raise_latch(tmp_path, [halt(run="two", at=NOW + timedelta(minutes=30))])
    with pytest.raises(HaltedError, match="nobody has asked for this very lift"):
        lift(two, order("bob", confirm=True), later)
    assert read_latch(tmp_path) is not None


def test_a_permit_revoked_by_a_later_halting_run_lifts_nothing(tmp_path: Path) -> None:
    raise_latch(tmp_path, [halt(run="one")])
    permit(tmp_path, MAIN, at=NOW + timedelta(minutes=1))
    revoke(tmp_path, FIRM, "halted by run two")
    with pytest.raises(HaltedError, match="halted by run two"):
        lift(lifting(tmp_path), order(), NOW + timedelta(hours=1))


def test_a_lift_that_cannot_be_recorded_leaves_the_halt(tmp_path: Path) -> None:
    raise_latch(tmp_path, [halt()])
    permit(tmp_path, MAIN, at=NOW + timedelta(minutes=1))
    (tmp_path / "recon.sqlite").unlink()
    (tmp_path / "recon.sqlite").mkdir()
    with pytest.raises(StateError):
        lift(lifting(tmp_path), order(override=True), NOW + timedelta(hours=1))
    assert read_latch(tmp_path) is not None


def test_metrics_say_at_once_that_a_person_halted_and_lifted(deployment: Deployment) -> None:
    deployment.config(more="metrics: {}\n")
    metrics = deployment.folder / ".state" / "recon.prom"
    assert deployment.command("halt", "raise", *ORDER).returncode == 0
    assert "trading_halted 1.0" in metrics.read_text(encoding="utf-8")
    assert deployment.command("halt", "lift", "--override", *ORDER).returncode == 0
    assert "trading_halted 0.0" in metrics.read_text(encoding="utf-8")


def test_a_halt_of_many_reasons_is_told_by_the_first_ones(deployment: Deployment) -> None:
    many = tuple(f"reason {number}" for number in range(9))
    raise_latch(deployment.folder / ".state", [Halt(FIRM, many, NOW, NOW, "run a-run", ("a-run",))])
    said = deployment.command("guard").stdout
    assert "reason 0 and 8 more reasons" in said
    assert "reason 1" not in said
    status = deployment.command("halt", "status").stdout.splitlines()
    assert status[0] == "firm halted since 2026-11-20T22:00:00Z by run a-run"
    assert status[1:5] == ["    reason 0", "    reason 1", "    reason 2", "    and 6 more: --json shows all"]
    assert json.loads(deployment.command("halt", "status", "--json").stdout)["halts"][0]["reasons"] == [*many]


def test_a_status_names_the_accounts_alike_together(deployment: Deployment) -> None:
    permit(deployment.folder / ".state", *(Scope("prime", f"A{number}") for number in range(6)), at=NOW)
    said = deployment.command("halt", "status").stdout
    assert "permit of account prime/A0, account prime/A1, account prime/A2, account prime/A3 and 2 more until" in said


def test_a_drill_without_halt_actions_says_what_it_did_not_prove(deployment: Deployment) -> None:
    assert "no halt action is configured" in deployment.command("halt", "drill", "--by", "ann").stdout


def test_an_override_of_one_account_says_nothing_of_the_others(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)  # in which nothing has run yet: nobody knows which accounts there are
    account = ("--account", "MAIN", *ORDER)
    assert deployment.command("halt", "raise", *account).returncode == 0
    assert deployment.command("halt", "lift", "--override", *account).returncode == 0
    assert deployment.command("guard", "--account", "MAIN").returncode == 0
    assert deployment.command("guard").returncode == 4
    assert deployment.command("guard", "--broker", "prime").returncode == 4


def test_a_halted_account_under_an_override_of_the_firm_leaves_the_others_unpermitted(deployment: Deployment) -> None:
    deployment.command("halt", "raise", *ORDER)
    deployment.command("halt", "lift", "--override", *ORDER)
    assert deployment.command("guard").returncode == 0
    account = ("--account", "MAIN", *ORDER)
    deployment.command("halt", "raise", *account)
    assert deployment.command("halt", "lift", "--override", *account).returncode == 0
    assert deployment.command("guard", "--account", "MAIN").returncode == 0
    assert deployment.command("guard", "--account", "HEDGE").returncode == 4
    assert deployment.command("guard").returncode == 4, "the whole is permitted only where each part is"
