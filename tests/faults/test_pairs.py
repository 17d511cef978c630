"""Two runs at once, again and again: one has a verdict, the other exits 75; and a halt waits for neither."""

import os
import subprocess
import time

import pytest
from deployment import COMMAND
from scenes import PERSON, at, deployed, look, run

PAIRS = 50
WAITING = """
    class Waiting(Broker):
        "A broker that answers once the file `go` is there."

        name = "waiting"

        def positions(self, ask):
            import pathlib, time
            from decimal import Decimal

            pathlib.Path("asked").touch()
            while not pathlib.Path("go").exists():
                time.sleep(0.01)
            held = [Position(account="MAIN", symbol=symbol, quantity=Decimal(100), avg_price=Decimal(10), market_price=Decimal(10),
                             currency="USD") for symbol in ("AAPL", "MSFT")]
            return Feed.complete(held, as_of=self.clock())
"""


def waiting(folder):
    """A deployment whose broker answers when the test says so."""
    made = deployed(folder)
    made.write_drop_in("brokers", "waiting", WAITING)
    return made


def started(folder):
    return subprocess.Popen([str(COMMAND), "run"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.case("J03")
def test_of_two_runs_at_once_one_has_a_verdict_and_the_other_exits_75(tmp_path, picked, tell):
    folder = waiting(tmp_path / "made").folder
    pairs = picked(range(PAIRS), 3)
    for number, _ in enumerate(pairs):
        (folder / "go").unlink(missing_ok=True)
        pair = [started(folder) for _ in range(2)]
        while all(process.poll() is None for process in pair):
            time.sleep(0.01)
        (folder / "go").touch()
        said = {process.returncode: (out, err) for process in pair for out, err in [process.communicate(timeout=120)]}
        assert set(said) == {0, 75}, said
        assert "another run holds the lock (process " in said[75][1]
        assert said[75][0] == ""
        seen = look(folder)
        assert len(seen.runs) == len(seen.history) == number + 1
        assert not seen.faults
    tell(f"{len(pairs)} pairs: one verdict each, the other exited 75")


def test_a_halt_waits_for_no_run(tmp_path):
    folder = waiting(tmp_path / "made").folder
    running = started(folder)
    while not (folder / "asked").exists():
        time.sleep(0.01)
    done = run(folder, "halt", "raise", *PERSON)
    assert running.poll() is None
    assert done.returncode == 0, done.stderr
    assert look(folder).latch is not None
    (folder / "go").touch()
    running.communicate(timeout=120)
    assert look(folder).latch is not None
    assert at(folder).command("guard").returncode == 4
    assert os.path.lexists(folder / ".state" / "HALT.json")
