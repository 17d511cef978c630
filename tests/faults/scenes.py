"""What is done to a deployment while faults happen, and what must hold afterwards, whatever happened."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import canaries
from deployment import COMMAND, Deployment, book_row, feed_row
from warmed import DEADLINE_SECONDS, Warmed

from recon_core.state import audit
from recon_core.state.history import faults as run_faults
from recon_core.state.latch import Latch, read_latch
from recon_core.state.permit import Lease, read_permit
from recon_core.state.runs import Run, report_text, runs
from recon_core.state.store import has_store, open_store

FILES = {"report.json", "report.html", "breaks.parquet"}
PERSON = ("--reason", "a test", "--by", "tester")

Finished = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Seen:
    """The state of a deployment, as its own functions read it. Reading it at all is the first thing that must be possible."""

    runs: tuple[Run, ...]
    records: tuple[dict[str, Any], ...]
    faults: tuple[str, ...]
    latch: Latch | None
    leases: tuple[Lease, ...]
    history: tuple[str, ...]
    reports: dict[str, str]


@dataclass
class Done:
    """A command that ended, perhaps by a fault: its exit code (negative: the signal), and what it printed."""

    code: int
    out: str
    err: str
    fault: str = ""
    killed: bool = field(init=False)

    def __post_init__(self) -> None:
        self.killed = self.code < 0 or self.code == 137

    def report(self) -> dict[str, Any] | None:
        """The report that it printed whole, None where it did not."""
        with suppress(ValueError):
            found: dict[str, Any] = json.loads(self.out)
            return found
        return None


class Scene:
    """A deployment with a past, and a command. ``make`` prepares a folder once; each fault happens to a copy of it."""

    name = ""
    command: tuple[str, ...] = ()

    def succeeded(self, done: Done) -> bool:
        """Whether the command says that it did what it was asked to."""
        return done.code == 0

    def make(self, folder: Path) -> None:
        """Everything up to the command."""
        raise NotImplementedError

    def holds(self, before: Seen, done: Done, after: Seen) -> None:
        """What must hold after the command, whatever happened to it."""
        raise NotImplementedError

    def whole(self, folder: Path, before: Seen, done: Done, after: Seen) -> None:
        """What must be there, all of it, where the command says that it succeeded."""
        raise NotImplementedError

    def again(self, folder: Path, before: Seen, after: Seen) -> None:
        """The same command once more, without a fault, must succeed and leave its traces exactly once."""
        raise NotImplementedError

    def kept(self, folder: Path) -> list[str]:
        """What must survive: how the paths of it begin."""
        return [str(folder / ".state")]

    def copy(self, made: Path, folder: Path) -> Path:
        """A copy of a prepared folder, its times kept."""
        shutil.copytree(made, folder, symlinks=True)
        return folder


class Reconciling(Scene):
    """A clean day is on record; today a position is missing at the broker, which halts."""

    name = "run"
    command = ("run", "--json")

    def succeeded(self, done: Done) -> bool:
        return done.report() is not None

    def make(self, folder: Path) -> None:
        deployed(folder)
        assert run(folder, "run").returncode == 0
        Deployment.feed(at(folder), [feed_row("AAPL", "100", market_price="10")])

    def holds(self, before: Seen, done: Done, after: Seen) -> None:
        recorded = after.runs[len(before.runs) :]
        assert len(recorded) <= 1
        halting = any(entry.halt for entry in recorded)
        if report := done.report():
            assert [entry.run_id for entry in recorded] == [report["run_id"]], "an acknowledged run is in the store"
            assert after.reports[report["run_id"]] == done.out, "and its report is the one that was printed"
            halting = halting or report["decision"]["halt"]
        assert not set(after.history) - {entry.run_id for entry in after.runs}, "nothing in the history that is not in the store"
        if halting:
            assert after.latch is not None, "breaks that halt are known, so the latch is durable"

    def whole(self, folder: Path, before: Seen, done: Done, after: Seen) -> None:
        report = done.report()
        assert report is not None
        assert set(after.history) == {entry.run_id for entry in after.runs}
        outputs = folder / ".state" / "runs" / report["run_id"]
        assert {path.name for path in outputs.iterdir()} == FILES
        assert (outputs / "report.json").read_text() == done.out
        assert (outputs / "report.html").read_text().rstrip().endswith("</html>")
        assert (outputs / "breaks.parquet").read_bytes()[-4:] == b"PAR1"

    def again(self, folder: Path, before: Seen, after: Seen) -> None:
        done = run(folder, "run", "--json")
        assert done.returncode == 4, done.stderr
        report = json.loads(done.stdout)
        seen = look(folder)
        assert [entry.run_id for entry in seen.runs] == [*(entry.run_id for entry in after.runs), report["run_id"]]
        assert set(seen.history) == {entry.run_id for entry in seen.runs}
        assert {path.name for path in (folder / ".state" / "runs" / report["run_id"]).iterdir()} == FILES
        assert seen.latch is not None
        (found,) = report["discrepancies"]
        assert (found["symbol"], found["episode"]) == ("MSFT", 1), "one break, whichever run saw it first"
        told = [record for record in seen.records if record["kind"] == "run"]
        assert len(told) == len(seen.runs)


class Proving(Scene):
    """Nothing is on record yet; all is clean, which permits trading."""

    name = "first run"
    command = ("run", "--json")

    def make(self, folder: Path) -> None:
        deployed(folder)

    def holds(self, before: Seen, done: Done, after: Seen) -> None:
        assert len(after.runs) <= 1
        if report := done.report():
            assert [entry.run_id for entry in after.runs] == [report["run_id"]], "an acknowledged run is in the store"
        assert not set(after.history) - {entry.run_id for entry in after.runs}, "nothing in the history that is not in the store"
        for lease in after.leases:
            assert lease.run_id in {entry.run_id for entry in after.runs}, "nothing is permitted that is not on record"

    def whole(self, folder: Path, before: Seen, done: Done, after: Seen) -> None:
        assert run(folder, "guard").returncode == 0

    def again(self, folder: Path, before: Seen, after: Seen) -> None:
        done = run(folder, *self.command)
        assert done.returncode == 0, done.stderr
        seen = look(folder)
        assert len(seen.runs) == len(after.runs) + 1
        assert set(seen.history) == {entry.run_id for entry in seen.runs}
        assert run(folder, "guard").returncode == 0


class Raising(Scene):
    """Trading is permitted; a person halts it."""

    name = "halt raise"
    command = ("halt", "raise", *PERSON)

    def make(self, folder: Path) -> None:
        deployed(folder)
        assert run(folder, "run").returncode == 0

    def holds(self, before: Seen, done: Done, after: Seen) -> None:
        told = [record for record in after.records[len(before.records) :] if record["kind"] == "halt"]
        assert len(told) <= 1
        if told or (done.code == 0 and not done.killed) or "halted since" in done.out:
            assert after.latch is not None, "what is acknowledged or on record is halted"
        if done.code == 0:
            assert told, "what is acknowledged is on record"

    def whole(self, folder: Path, before: Seen, done: Done, after: Seen) -> None:
        assert run(folder, "guard").returncode == 4

    def again(self, folder: Path, before: Seen, after: Seen) -> None:
        done = run(folder, *self.command)
        assert done.returncode == 0, done.stderr
        assert look(folder).latch is not None
        assert run(folder, "guard").returncode == 4


class Lifting(Scene):
    """A person halted trading, and a newer run proved all clean; a person lifts the halt."""

    name = "halt lift"
    command = ("halt", "lift", *PERSON)

    def make(self, folder: Path) -> None:
        deployed(folder)
        assert run(folder, "halt", "raise", *PERSON).returncode == 0
        assert run(folder, "run").returncode == 0

    def holds(self, before: Seen, done: Done, after: Seen) -> None:
        told = [record for record in after.records[len(before.records) :] if record["kind"] == "lift"]
        assert len(told) <= 1
        if after.latch is None:
            assert told, "no halt goes without a record"

    def whole(self, folder: Path, before: Seen, done: Done, after: Seen) -> None:
        assert after.latch is None

    def again(self, folder: Path, before: Seen, after: Seen) -> None:
        done = run(folder, *self.command)
        assert done.returncode == 0, done.stderr
        assert look(folder).latch is None


class Overriding(Lifting):
    """The same, by override: which permits trading until the next due time."""

    name = "halt lift --override"
    command = ("halt", "lift", "--override", *PERSON)


SCENES = {scene.name: scene for scene in (Reconciling(), Proving(), Raising(), Lifting(), Overriding())}
SAMPLED = ("run", "halt raise", "halt lift")


def deployed(folder: Path) -> Deployment:
    """Two positions on which book and broker agree, as of a minute ago."""
    folder.mkdir(parents=True)
    now = datetime.now(UTC) - timedelta(minutes=1)
    stamp = now.isoformat(timespec="seconds").replace("+00:00", "Z")
    made = Deployment(folder)
    made.book([book_row(symbol, "100", updated_at=stamp) for symbol in ("AAPL", "MSFT")])
    made.feed([feed_row(symbol, "100") for symbol in ("AAPL", "MSFT")])
    made.config(broker="unchanged: accept\nexpect_accounts: [MAIN]", as_of=stamp)
    return made


def at(folder: Path) -> Deployment:
    """The deployment in a folder, as it is."""
    found = Deployment.__new__(Deployment)
    found.folder = folder
    return found


def run(folder: Path, *arguments: str, limit: int | None = None, tracer: Sequence[str] = (), **environment: str) -> Finished:
    """The command in a folder, in a process that has loaded it; see ``Warmed.run``."""
    return _warmed().run(folder, arguments, _environment(folder, environment), limit=limit, tracer=tracer)


def started(folder: Path, *arguments: str, before: Sequence[str] = (), **environment: str) -> Finished:
    """The command in a folder, in a process of its own from the start, after other words (strace and its options)."""
    return subprocess.run(
        [*before, str(COMMAND), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=DEADLINE_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
        env=_environment(folder, environment),
    )


@cache
def _warmed() -> Warmed:
    made = Warmed()
    with TemporaryDirectory() as place:
        folder = Path(place) / "deployment"
        deployed(folder)
        for command in (("run", "--json"), ("halt", "raise", *PERSON), ("run",), ("halt", "lift", *PERSON), ("guard",)):
            assert made.run(folder, command, _environment(folder, {}), learn=True).returncode == 0
    return made


def _environment(folder: Path, more: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(temporary(folder)), **more}


def temporary(folder: Path) -> Path:
    """Where a command's own temporary files go: not among the state."""
    made = folder.with_name(f"{folder.name}.tmp")
    made.mkdir(exist_ok=True)
    return made


def look(folder: Path) -> Seen:
    """The state as it is found. Raises what makes it unreadable."""
    state = folder / ".state"
    history = state / "eod_recon_breaks.json"
    listed = tuple(entry["run_id"] for entry in json.loads(history.read_text())["runs"]) if history.exists() else ()
    permit = read_permit(state)
    leases = permit.leases if permit else ()
    latch = read_latch(state)
    # What a full disk leaves room for is a latch that nobody can read, which halts everything; anything else is torn.
    assert latch is None or not latch.trouble or latch.trouble.endswith("nobody may read it (mode 0)"), f"torn: {latch}"
    if not has_store(None, state):
        return Seen((), (), (), latch, leases, listed, {})
    with open_store(None, state) as store:
        found = tuple(runs(store.database, limit=1000))
        return Seen(
            found,
            tuple(audit.records(store.database)),
            (*audit.faults(store.database), *run_faults(store.database)),
            latch,
            leases,
            listed,
            {entry.run_id: report_text(store.database, entry.run_id) for entry in found},
        )


def judge(scene: Scene, folder: Path, before: Seen, done: Done, *, again: bool = True) -> None:
    """Everything that must hold after a fault. Raises AssertionError, naming the fault."""
    try:
        assert not canaries.found(done.out + done.err), "no secret in any output"
        assert "Traceback" not in done.err, done.err
        assert "internal error" not in done.err, done.err
        after = look(folder)
        assert not after.faults, after.faults
        assert after.runs[: len(before.runs)] == before.runs, "earlier runs are all there"
        assert after.records[: len(before.records)] == before.records, "earlier records are all there"
        scene.holds(before, done, after)
        if scene.succeeded(done) and not done.killed:
            scene.whole(folder, before, done, after)
        elif not done.killed:
            assert done.err.strip(), "what failed is said"
        if again:
            scene.again(folder, before, after)
            assert not look(folder).faults
    except Exception as error:
        raise AssertionError(f"{scene.name}, {done.fault}: exit {done.code}: {error}\n{done.err[-2000:]}") from error
