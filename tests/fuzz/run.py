"""Fuzz targets, one after the other: ``run.py [TARGET ...] [--runs N] [--seed N]``; without names all of them."""

from __future__ import annotations

import argparse
import base64
import random
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

HERE = Path(__file__).parent
MEMORY = Path("/dev/shm")  # where inputs and files are written and read faster than on a disk
RUNS = 1_000_000


@dataclass(frozen=True)
class Outcome:
    """A campaign that ended: ``executions`` in ``seconds``; ``crash`` says what was raised by which input, '' where nothing was."""

    executions: int
    seconds: float
    crash: str


class Campaigns:
    """The process that fuzzes, a child of it for each target."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "campaign.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what is instrumented
            text=True,
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate()

    def fuzz(self, target: str, runs: int, seed: int) -> Outcome:
        """Run one target until it raises, or so many inputs were tried."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.TemporaryDirectory(prefix=f"fuzz-{target}-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
            began = time.monotonic()
            self._process.stdin.write(f"{target}\t{folder}\t{runs}\t{seed}\n")
            self._process.stdin.flush()
            status = self._process.stdout.readline().strip()
            seconds = time.monotonic() - began
            place = Path(folder) / "said"
            said = place.read_bytes().decode("utf-8", "replace") if place.exists() else ""
            executed = re.search(r"stat::number_of_executed_units:\s*(\d+)", said)
            crash = ""
            if status != "0":
                inputs = [path for kind in ("crash", "timeout", "oom") for path in Path(folder).glob(f"{kind}-*")]
                crash = "\n".join([f"{target}: exit status {status or 'missing'}", *map(shown, inputs), said[-6000:], ""])
            return Outcome(int(executed[1]) if executed else 0, seconds, crash)


def shown(path: Path) -> str:
    """An input so that it can be taken out of a log."""
    raw = path.read_bytes()
    return f"{path.name}: {raw!r}\n  hex     {raw.hex()}\n  base64  {base64.b64encode(raw).decode()}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"inputs for each target ({RUNS:,}); slow ones get a part of it")
    parser.add_argument("--seed", type=int, default=random.randrange(1, 2**31), help="where chance begins")
    arguments = parser.parse_args()
    sys.path[:0] = [str(HERE), str(HERE.parent)]
    from targets import TARGETS

    failed = 0
    sys.stdout.write(f"seed {arguments.seed}\n")
    with Campaigns() as campaigns:
        for name in arguments.targets or TARGETS:
            outcome = campaigns.fuzz(name, arguments.runs // TARGETS[name].slow, arguments.seed)
            each = outcome.executions / outcome.seconds
            result = "RAISED" if outcome.crash else "nothing unexpected"
            sys.stdout.write(f"{name:20} {outcome.executions:>9,} executions {each:>8,.0f}/s  {result}\n{outcome.crash}")
            sys.stdout.flush()
            failed += bool(outcome.crash)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
