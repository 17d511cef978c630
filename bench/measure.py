"""One run of a command as a process of its own: time, processor time and peak memory, by the operating system's own account.

This module, and all that the suite's own process imports, stays small: a process that is started is charged with the peak memory
that the one which starts it had by then. What needs more is done ``elsewhere``.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any, TypeVar

LOOK_SECONDS = 0.1
SPARED_BYTES = 1 << 30
"""Memory that a run leaves to everything else on the machine."""

_Made = TypeVar("_Made")


class LeftOutError(Exception):
    """A run without figures: it failed, or took more memory or time than there is. Says so in a line."""


@dataclass(frozen=True)
class Measured:
    """One run: wall seconds, processor seconds of all threads, peak memory in MB."""

    wall: float
    processor: float
    memory: float


def measure(
    command: Sequence[str], folder: Path, *, output: Path, exits: Sequence[int], seconds: float, environment: Mapping[str, str]
) -> Measured:
    """Run ``command`` in ``folder``, its stdout to ``output``; raises LeftOutError unless it ends in time with one of ``exits``."""
    complaints = output.with_suffix(".err")
    with output.open("wb") as out, complaints.open("wb") as err:
        before = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err, env={**os.environ, **environment})
        with _Watch(process.pid, seconds) as watch:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # not reaped: the watch must not see another of its id
            wall = time.perf_counter() - before
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if watch.stopped:
        raise LeftOutError(watch.stopped)
    if process.returncode not in exits:
        said = complaints.read_text(errors="replace").strip().splitlines()
        raise LeftOutError(f"ended with {process.returncode}{': ' + said[-1] if said else ''}")
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


class _Watch:
    """Looks at a process now and then, and ends it where it takes more memory than is free, or more time than it may.

    Before the kernel would: that ends whichever process it likes.
    """

    def __init__(self, process: int, seconds: float) -> None:
        self.process, self.seconds, self.stopped = process, seconds, ""
        self.most = _kilobytes("/proc/meminfo", "MemAvailable") * 1024 - SPARED_BYTES
        self.over, self.thread = Event(), Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Watch:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    def _look(self) -> None:
        end = time.monotonic() + self.seconds
        while not self.stopped and not self.over.wait(LOOK_SECONDS):
            if _kilobytes(f"/proc/{self.process}/status", "VmRSS") * 1024 > self.most:
                self.stopped = f"needs more than the {self.most / 1e9:.1f} GB of memory that were free"
            elif time.monotonic() > end:
                self.stopped = f"takes longer than {self.seconds:g} s"
        if self.stopped:
            os.kill(self.process, 9)


def _kilobytes(path: str, name: str) -> int:
    """A figure of one of the kernel's tables; 0 where it is not there."""
    with Path(path).open(encoding="ascii", errors="replace") as lines:
        return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)


def elsewhere(work: Callable[..., _Made], *arguments: Any) -> _Made:
    """What ``work`` returns or raises, done in a process that is gone afterwards."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(work, *arguments).result()
