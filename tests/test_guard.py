"""The guard under every fault of its surroundings, each really made: it permits only with a whole, fresh, own permit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from deployment import Deployment
from permits import CONFIG, HEDGE, MAIN, NOW, VAULT, halt, lease, permit, record

from recon_core import guard
from recon_core.state.latch import Halt, Latch, lower_latch, raise_latch, read_latch
from recon_core.state.permit import Withheld, issue, read_permit, revoke
from recon_core.state.scope import FIRM, Scope, parse_scope


def ask(folder: Path, scope: Scope = FIRM, intent: str = "open", *, at: datetime = NOW + timedelta(hours=1)):
    return guard(folder / "recon.yaml", scope.account, scope.broker, intent, clock=lambda: at)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A deployment with a permit of all its accounts."""
    (tmp_path / "recon.yaml").write_text(CONFIG, encoding="utf-8")
    permit(tmp_path / ".state", MAIN, HEDGE, VAULT)
    return tmp_path


def test_a_whole_permit_permits_until_it_ends(folder: Path) -> None:
    answer = ask(folder)
    assert answer, answer.reason
    assert answer.until == NOW + timedelta(hours=26)
    assert ask(folder, at=NOW + timedelta(hours=25, minutes=59))
    assert not ask(folder, at=NOW + timedelta(hours=26))


def test_the_state_directory_alone_may_be_asked(folder: Path) -> None:
    assert guard(folder / ".state", clock=lambda: NOW)
    assert guard(str(folder / ".state"), account="MAIN", clock=lambda: NOW)


def test_an_intent_that_is_none_is_an_error_of_the_caller(folder: Path) -> None:
    with pytest.raises(ValueError, match="intent 'opne' is none of open, reduce"):
        ask(folder, intent="opne")


# -- the sixteen faults -----------------------------------------------------------------------------------------------------


def directory_missing(folder: Path) -> None:
    shutil.rmtree(folder / ".state")


def unmounted(folder: Path) -> None:
    """The mount point is there, and empty."""
    (folder / ".state").rename(folder / "the-volume")
    (folder / ".state").mkdir(mode=0o700)


def permit_deleted(folder: Path) -> None:
    (folder / ".state" / "permit.json").unlink()


def wrong_working_directory(folder: Path) -> None:
    elsewhere = folder.parent / f"{folder.name}-elsewhere"
    elsewhere.mkdir()
    os.chdir(elsewhere)


def backup_of_last_week_restored(folder: Path) -> None:
    """The permit of a week ago, which its schedule lets live that long, beside a store that knows better."""
    permit(folder / ".state", MAIN, HEDGE, VAULT, at=NOW - timedelta(days=7), hours=24 * 30)
    backup = (folder / ".state" / "permit.json").read_bytes()
    permit(folder / ".state", MAIN, HEDGE, VAULT)
    (folder / ".state" / "permit.json").write_bytes(backup)


def torn(folder: Path) -> None:
    path = folder / ".state" / "permit.json"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(folder: Path) -> None:
    (folder / ".state" / "permit.json").write_bytes(b"")


def other_account(folder: Path) -> None:
    """The permit of another deployment, whole and fresh, for accounts of the same names."""
    other = folder / "other"
    permit(other, MAIN)
    permit(other, MAIN, HEDGE, VAULT)
    shutil.copy(other / "permit.json", folder / ".state" / "permit.json")


def symlink_loop(folder: Path) -> None:
    shutil.rmtree(folder / ".state")
    (folder / ".state").symlink_to(folder / "loop")
    (folder / "loop").symlink_to(folder / ".state")


def never_ran(folder: Path) -> None:
    shutil.rmtree(folder / ".state")
    (folder / ".state").mkdir(mode=0o700)
    record(folder / ".state")


def future_schema(folder: Path) -> None:
    path = folder / ".state" / "permit.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"version": 1', '"version": 2'), encoding="utf-8")


def world_writable(folder: Path) -> None:
    (folder / ".state" / "permit.json").chmod(0o666)


def store_unreachable(folder: Path) -> None:
    (folder / ".state" / "recon.sqlite").rename(folder / "recon.sqlite")


def clock_back_an_hour(folder: Path) -> None:
    permit(folder / ".state", MAIN, HEDGE, VAULT, at=NOW + timedelta(hours=1, minutes=30))


def clock_forward_a_year(folder: Path) -> None:
    permit(folder / ".state", MAIN, HEDGE, VAULT, at=NOW - timedelta(days=365))


def latch_unreadable(folder: Path) -> None:
    path = folder / ".state" / "HALT.json"
    path.write_bytes(b"\x00\xff")
    path.chmod(0)


FAULTS: list[Callable[[Path], None]] = [
    directory_missing, unmounted, permit_deleted, wrong_working_directory, backup_of_last_week_restored, torn, empty, other_account,
    symlink_loop, never_ran, future_schema, world_writable, store_unreachable, clock_back_an_hour, clock_forward_a_year,
    latch_unreadable,
]  # fmt: skip


def faulty_answer(fault: Callable[[Path], None], folder: Path):
    """What the guard says, in a folder of its own, before and under a fault; asked as a bot does, in its working directory."""
    folder.mkdir()
    (folder / "recon.yaml").write_text(CONFIG, encoding="utf-8")
    permit(folder / ".state", MAIN, HEDGE, VAULT)
    os.chdir(folder)
    asked = partial(guard, clock=lambda: NOW + timedelta(hours=1))
    assert asked(), "without the fault it permits, or the test proves nothing"
    fault(folder)
    return asked()


@pytest.mark.case("I05")
def test_the_guard_permits_trading_under_none_of_sixteen_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    answers = {fault.__name__: faulty_answer(fault, tmp_path / fault.__name__) for fault in FAULTS}
    wrong = [name for name, answer in answers.items() if answer]
    with capsys.disabled():
        print(f"\nthe guard under {len(answers)} faults permits trading in {len(wrong)} of {len(answers)}")  # noqa: T201  # the count is what this test is for
    assert len(answers) == 16
    assert not wrong
    assert all(answer.reason for answer in answers.values())


# -- scopes -----------------------------------------------------------------------------------------------------------------


@pytest.mark.case("I06")
def test_a_halt_of_one_account_stops_it_alone(folder: Path) -> None:
    raise_latch(folder / ".state", [halt(HEDGE)])
    assert [bool(ask(folder, scope)) for scope in (HEDGE, MAIN, VAULT)] == [False, True, True]
    assert [bool(ask(folder, scope)) for scope in (Scope("prime"), Scope("coinhouse"), FIRM)] == [False, True, False]


@pytest.mark.case("I06")
def test_a_halt_of_one_broker_stops_its_accounts(folder: Path) -> None:
    raise_latch(folder / ".state", [halt(Scope("prime"))])
    assert [bool(ask(folder, scope)) for scope in (HEDGE, MAIN, VAULT)] == [False, False, True]


def test_an_account_without_its_broker_is_stopped_by_a_halt_of_any_that_may_hold_it(folder: Path) -> None:
    raise_latch(folder / ".state", [halt(Scope("coinhouse"))])
    assert not guard(folder / "recon.yaml", "MAIN", clock=lambda: NOW)
    assert guard(folder / "recon.yaml", "MAIN", "prime", clock=lambda: NOW)


def test_an_account_that_no_run_proved_is_refused_and_so_is_the_firm(tmp_path: Path) -> None:
    (tmp_path / "recon.yaml").write_text(CONFIG, encoding="utf-8")
    head = record(tmp_path / ".state", MAIN)
    held = [Withheld(HEDGE, "no rows of account HEDGE")]
    issue(tmp_path / ".state", [lease(MAIN, head)], held, anew=["prime"], known=["prime", "coinhouse"])
    assert ask(tmp_path, MAIN)
    assert "no rows of account HEDGE" in ask(tmp_path, HEDGE).reason
    assert "no rows of account HEDGE" in ask(tmp_path, Scope("prime")).reason
    assert not ask(tmp_path, VAULT)
    permit(tmp_path / ".state", HEDGE)
    assert ask(tmp_path, Scope("prime"))
    assert "coinhouse" in ask(tmp_path).reason, "a broker that no run proved is part of the firm"


def test_a_newer_record_of_one_account_leaves_the_permit_of_another(folder: Path) -> None:
    record(folder / ".state", HEDGE)
    assert [bool(ask(folder, scope)) for scope in (HEDGE, MAIN, VAULT)] == [False, True, True]
    record(folder / ".state", FIRM)
    assert not any(ask(folder, scope) for scope in (HEDGE, MAIN, VAULT))


def test_records_that_bear_on_nobody_leave_permits_alone(folder: Path) -> None:
    record(folder / ".state")
    assert ask(folder)


def test_shadow_mode_permits_nothing_and_says_so(folder: Path) -> None:
    (folder / "recon.yaml").write_text(CONFIG + "halt: {mode: shadow}\n", encoding="utf-8")
    answer = ask(folder)
    assert not answer
    assert "shadow" in answer.reason


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("firm", FIRM),
        ("broker prime", Scope("prime")),
        ("account prime/MAIN", MAIN),
        ("account a/b/c", FIRM),  # of broker a or of broker a/b: both may be meant, so all stops
        ("broker gone", FIRM),
        ("desk 7", FIRM),
    ],
)
def test_a_scope_that_cannot_be_told_is_the_firm(text: str, scope: Scope) -> None:
    assert parse_scope(text, ["prime", "a", "a/b"]) == scope


# -- the latch --------------------------------------------------------------------------------------------------------------


def test_a_second_halt_is_added_and_loses_nothing(tmp_path: Path) -> None:
    raise_latch(tmp_path, [halt(MAIN)])
    raise_latch(tmp_path, [halt(VAULT), halt(MAIN)])
    found = read_latch(tmp_path)
    assert found is not None
    assert [entry.scope for entry in found.halts] == [MAIN, VAULT, MAIN]
    assert not found.trouble


def test_runs_that_halt_the_same_scope_extend_one_halt(tmp_path: Path) -> None:
    later = NOW + timedelta(days=1)
    raise_latch(tmp_path, [halt(run="one")])
    raise_latch(tmp_path, [Halt(FIRM, ("another reason",), later, later, "run two", ("two",))])
    (entry,) = (read_latch(tmp_path) or Latch(())).halts
    assert (entry.reasons, entry.run_ids) == (("a reason", "another reason"), ("one", "two"))
    assert (entry.raised_at, entry.last_at) == (NOW, later)


def test_reducing_is_permitted_only_where_every_halt_allows_it(folder: Path) -> None:
    assert ask(folder, intent="reduce"), "where nothing halts, the permit is enough"
    raise_latch(folder / ".state", [halt(reduce=True)])
    assert ask(folder, intent="reduce")
    assert not ask(folder)
    raise_latch(folder / ".state", [halt(MAIN)])
    assert not ask(folder, intent="reduce")
    assert ask(folder, VAULT, "reduce")


@pytest.mark.case("I05")
@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"{}"),
        lambda path: path.write_bytes(b'{"version": 1, "halts": []}'),
        lambda path: path.mkdir(),
        lambda path: path.symlink_to("nowhere"),
        lambda path: path.symlink_to(path),
        lambda path: path.symlink_to("permit.json"),
        lambda path: os.mkfifo(path),
        lambda path: (path.write_text("{}"), path.chmod(0)),
        lambda path: path.write_bytes(b"[" * 100_000),
    ],
    ids=["empty", "no-content", "no-digest", "directory", "dangling-link", "loop", "link", "fifo", "unreadable", "deep"],
)
def test_whatever_stands_in_the_latch_s_place_halts_the_firm(folder: Path, make: Callable[[Path], object]) -> None:
    make(folder / ".state" / "HALT.json")
    for intent in ("open", "reduce"):
        assert not ask(folder, MAIN, intent)
    found = read_latch(folder / ".state")
    assert found is not None
    assert found.trouble
    assert [entry.scope for entry in found.halts] == [FIRM]


@pytest.mark.case("I05", "J01")
def test_a_halt_on_top_of_a_latch_that_cannot_be_read_keeps_both(tmp_path: Path) -> None:
    path = tmp_path / "HALT.json"
    path.write_bytes(b"scribble")
    path.chmod(0o600)
    raise_latch(tmp_path, [halt(VAULT)])
    found = read_latch(tmp_path)
    assert found is not None
    assert [entry.scope for entry in found.halts] == [FIRM, VAULT]
    assert not found.trouble
    (kept,) = tmp_path.glob("HALT.json.damaged-*")
    assert kept.read_bytes() == b"scribble"
    assert kept.name in found.halts[0].reasons[-1]


def test_halts_that_were_extended_since_are_not_taken_away(tmp_path: Path) -> None:
    first = raise_latch(tmp_path, [halt(run="one"), halt(MAIN)])
    raise_latch(tmp_path, [halt(run="two")])
    with pytest.raises(Exception, match="was halted again"):
        lower_latch(tmp_path, first.halts)
    assert len((read_latch(tmp_path) or first).halts) == 2
    left = lower_latch(tmp_path, [first.halts[1]])
    assert left is not None
    assert [entry.scope for entry in left.halts] == [FIRM]
    assert lower_latch(tmp_path, left.halts) is None
    assert read_latch(tmp_path) is None
    assert not list(tmp_path.glob("HALT*"))


@pytest.mark.case("I05", "J01")
def test_a_latch_or_permit_truncated_at_every_byte_or_with_a_bit_flipped_permits_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = folder / ".state"
    raise_latch(state, [halt(VAULT, reduce=True)])
    tried = 0
    for name, scope in (("HALT.json", VAULT), ("permit.json", MAIN)):
        path = state / name
        whole = path.read_bytes()
        wrongs = [whole[:end] for end in range(len(whole) - 1)]  # without the last newline it is still whole
        flipped = [bytes([*whole[:at], whole[at] ^ (1 << at % 8), *whole[at + 1 :]]) for at in range(len(whole) - 1)]
        for wrong in [*wrongs, *flipped]:
            path.write_bytes(wrong)
            answer = ask(folder, scope)
            if wrong in wrongs or not _means_the_same(wrong, whole):
                assert not answer, wrong
            tried += 1
        path.write_bytes(whole)
    assert ask(folder, MAIN)
    assert not ask(folder, VAULT)
    with capsys.disabled():
        print(f"\n{tried} truncated or flipped latches and permits: none permitted what it did not before")  # noqa: T201  # the count is what this test is for
    assert tried > 1000


def _means_the_same(wrong: bytes, whole: bytes) -> bool:
    """Whether a flipped bit changed only blanks between the values."""
    import json

    try:
        return bool(json.loads(wrong) == json.loads(whole))
    except ValueError:
        return False


@pytest.mark.case("I07")
def test_a_latch_that_cannot_be_written_still_halts_and_fails_loudly(folder: Path) -> None:
    state = folder / ".state"
    raise_latch(state, [halt(VAULT)])
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from recon_core.halting import raise_halts\n"
        "from recon_core.state.latch import Halt\n"
        "from recon_core.state.scope import FIRM\n"
        "from datetime import datetime, UTC\n"
        "now = datetime(2026, 11, 20, 22, tzinfo=UTC)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "raise_halts(Path(sys.argv[1]), [Halt(FIRM, ('why',), now, now, 'tests')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(state)], capture_output=True, text=True, check=False)
    assert "THE HALT LATCH COULD NOT BE WRITTEN" in done.stderr
    assert "stop trading by hand" in done.stderr
    assert not any(ask(folder, scope) for scope in (MAIN, VAULT, FIRM)), "no byte could be written, and yet all is halted"
    assert not (state / "permit.json").exists()


# -- the permit -------------------------------------------------------------------------------------------------------------


@pytest.mark.case("I06")
def test_a_halt_revokes_the_permits_of_its_scope(folder: Path) -> None:
    revoke(folder / ".state", Scope("prime"), "halted by run one")
    assert [bool(ask(folder, scope)) for scope in (HEDGE, MAIN, VAULT)] == [False, False, True]
    assert "halted by run one" in ask(folder, MAIN).reason


def test_a_permit_that_cannot_be_believed_is_removed_by_a_halt(folder: Path) -> None:
    path = folder / ".state" / "permit.json"
    path.write_bytes(path.read_bytes()[:-20])
    revoke(folder / ".state", VAULT, "halted")
    assert not path.exists()


def test_a_verdict_that_is_missing_takes_no_permit_away(folder: Path) -> None:
    head = record(folder / ".state", VAULT)
    failed = [Withheld(Scope("prime"), "feed is FAILED")]
    issue(folder / ".state", [lease(VAULT, head)], failed, anew=["coinhouse"], known=["prime", "coinhouse"])
    assert ask(folder)


def test_a_broker_that_is_proven_anew_keeps_no_permit_of_an_account_that_is_gone(folder: Path) -> None:
    head = record(folder / ".state", MAIN)
    issue(folder / ".state", [lease(MAIN, head)], (), anew=["prime"], known=["prime"])
    found = read_permit(folder / ".state")
    assert found is not None
    assert [entry.scope for entry in found.leases] == [MAIN]


# -- the command ------------------------------------------------------------------------------------------------------------


def test_the_exit_code_is_the_answer(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    assert deployment.command("guard").returncode == 4
    permit(tmp_path / ".state", Scope("prime", "MAIN"), at=datetime.now(UTC))
    done = deployment.command("guard")
    assert (done.returncode, done.stdout[:9]) == (0, "permitted")
    raise_latch(tmp_path / ".state", [halt()])
    assert deployment.command("guard", "--account", "MAIN").returncode == 4
    (tmp_path / ".state" / "HALT.json").unlink()
    (tmp_path / ".state" / "permit.json").write_text("scribble", encoding="utf-8")
    assert deployment.command("guard").returncode == 5
    assert deployment.command("guard", "--intent", "opne").returncode == 2


def test_the_guard_loads_no_engine(folder: Path) -> None:
    code = (
        "import sys; from recon_core import guard; guard(sys.argv[1]); "
        "print([name for name in ('duckdb', 'httpx', 'sqlalchemy', 'pandas', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder / "recon.yaml")], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
