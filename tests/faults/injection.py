"""Faults at system calls, by strace: which calls of a command change its state, and what one of them is made to do."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
from scenes import Done, Scene, run, started
from services import NO_RIGHTS

CHANGING = (
    "open", "openat", "creat", "write", "writev", "pwrite64", "pwritev", "pwritev2", "fsync", "fdatasync", "sync_file_range",
    "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat", "link", "linkat", "symlink", "symlinkat",
    "ftruncate", "truncate", "fallocate", "chmod", "fchmod", "fchmodat", "utimensat", "copy_file_range", "sendfile",
)  # fmt: skip
_LINE = re.compile(r"(?P<thread>\d+) +(?P<name>\w+)\((?P<text>.*)")


@dataclass(frozen=True)
class Call:
    """One system call that changes the state: the ``when``-th of its name in its thread.

    ``place`` is the same from run to run: what is called on which file, and the how manieth time.
    """

    name: str
    when: int
    text: str
    place: str = ""

    def moved(self, offset: int) -> Call:
        """The call of that name so many later (earlier)."""
        return replace(self, when=max(self.when + offset, 1))

    def __str__(self) -> str:
        return f"{self.name} {self.when} ({self.text[:120]})"


@cache
def why_not() -> str:
    """Why strace can do nothing here; empty where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed (make services)"
    done = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    return f"{NO_RIGHTS}strace may not trace: {done.stderr.strip()}" if done.returncode else ""


def need_strace() -> None:
    """Skip, and say why, where strace can do nothing."""
    if why := why_not():
        pytest.skip(why)


def changing_calls(scene: Scene, folder: Path) -> list[Call]:
    """The calls of the scene's command, which is run once, that change something that it keeps, in their order."""
    log = folder.with_name(f"{folder.name}.strace")
    run(folder, *scene.command, tracer=_strace(log))
    return _placed(call for call, changes in _calls(log, scene.kept(folder)) if changes)


def changing_calls_from_the_start(scene: Scene, folder: Path) -> list[Call]:
    """The same of a command that is started, not forked."""
    log = folder.with_name(f"{folder.name}.strace")
    started(folder, *scene.command, before=_strace(log))
    return _placed(call for call, changes in _calls(log, scene.kept(folder)) if changes)


def attempts(scene: Scene, made: Path, folder: Path, call: Call) -> Iterator[Call]:
    """Where to try a fault at ``call``, one place after the other: what comes before it differs a little from run to run.

    A call that a thread of the engine makes is counted from that thread's beginning, and others reach its number before it: so it
    is looked for anew, in copies of ``made`` beside ``folder``, until the main thread makes it.
    """
    for offset in (0, 0, -1, 1, -2):
        yield call.moved(offset)
    for number in range(10):
        traced = changing_calls(scene, scene.copy(made, folder.with_name(f"{folder.name}-traced-{number}")))
        yield from (each for each in traced if each.place == call.place)


def inject(scene: Scene, folder: Path, call: Call, fault: str) -> Done | None:
    """Run the scene's command, with ``fault`` (``signal=KILL``, ``error=EIO``) at one call.

    None where the fault came to no call that touches what is kept, or to the call of that number of another thread, too: see
    ``attempts``.
    """
    log = folder.with_name(f"{folder.name}.strace")
    kills = fault.startswith("signal=")
    done = run(folder, *scene.command, tracer=[*_strace(log), "-e", f"inject={call.name}:{fault}:when={call.when}"])
    mark = re.compile(rf"\b{call.name}\(.*(= \?|<unfinished \.\.\.>)$" if kills else r"\(INJECTED\)$")
    hit = [line for line in log.read_text(errors="replace").splitlines() if mark.search(line)]
    touches = [any(place in line for place in scene.kept(folder)) for line in hit]
    if not (any(touches) if kills else touches and all(touches)) or (kills and done.returncode >= 0):
        return None
    return Done(done.returncode, done.stdout, done.stderr, fault=f"{fault} at {call}")


def _placed(calls: Iterable[Call]) -> list[Call]:
    """The calls with their places."""
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for call in calls:
        path = re.search(r"/(\.state|book\.sqlite)[^>\"]*", call.text)
        what = re.sub(r"[0-9a-f]{16}|[0-9TZ]{16}-[0-9a-f]{8}", "*", path[0]) if path else ""
        seen[call.name, what] += 1
        found.append(replace(call, place=f"{call.name} {what} {seen[call.name, what]}"))
    return found


def _strace(log: Path) -> list[str]:
    return ["strace", "-f", "--quiet=personality,exit", "-y", "-s", "16", "-o", str(log), "-e", f"trace={','.join(CHANGING)}"]


def _calls(log: Path, kept: Sequence[str]) -> list[tuple[Call, bool]]:
    """Every traced call, and whether it changes what is kept."""
    count: Counter[tuple[str, str]] = Counter()
    found = []
    for line in log.read_text(errors="replace").splitlines():
        match = _LINE.match(line)
        if match is None or "resumed>" in line:
            continue
        count[match["thread"], match["name"]] += 1
        opens = match["name"] in ("open", "openat")
        done = not re.search(r"= -1 E\w+ \([^)]*\)$", line)
        changes = done and any(place in line for place in kept) and (not opens or re.search(r"O_CREAT|O_TRUNC", line) is not None)
        found.append((Call(match["name"], count[match["thread"], match["name"]], match["text"]), changes))
    return found
