"""The command in a process that has loaded the program already: most tests concern what it does, not how it starts.

A server of its own process loads what the commands load, and forks for each. A tracer comes to the fork before it does anything.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path

DEADLINE_SECONDS = 300
_ANY_TRACER = (0x59616D61, -1)
"""prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY): where only a parent may trace, the tracer, who is none, may as well."""


class Warmed:
    """The server, and what is asked of it: one command at a time."""

    def __init__(self) -> None:
        self._door, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONHASHSEED": "0"},
            )
        atexit.register(self._process.wait)
        atexit.register(self._door.close)

    def run(
        self,
        folder: Path,
        arguments: Sequence[str],
        environment: dict[str, str],
        *,
        limit: int | None = None,
        tracer: Sequence[str] = (),
        learn: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """A command in a folder; ``tracer`` is the command line of strace, but for whom to trace.

        No file may grow beyond ``limit`` bytes. With ``learn`` the server loads what this command loaded.
        """
        asked = {"arguments": list(arguments), "folder": str(folder), "environment": environment, "limit": limit, "learn": learn}
        ends = [os.pipe() for _ in range(3)]
        (out, out_end), (err, err_end), (gate_end, gate) = ends
        socket.send_fds(self._door, [json.dumps(asked).encode()], [out_end, err_end, gate_end])
        for end in (out_end, err_end, gate_end):
            os.close(end)
        child = int(self._door.recv(32))
        with ThreadPoolExecutor(2) as readers:
            said = [readers.submit(_read, reader) for reader in (out, err)]
            tracing = _attached(tracer, child) if tracer else None
            os.close(gate)
            try:
                texts = [text.result(timeout=DEADLINE_SECONDS) for text in said]
            except BaseException:  # too late, or the test was given up
                if tracing:
                    tracing.kill()  # a process that is traced does not end before its tracer has looked
                os.kill(child, signal.SIGKILL)
                self._door.recv(32)  # how it ended, so that the next command does not take it for its own end
                raise
        if tracing:
            tracing.wait(timeout=DEADLINE_SECONDS)
        return subprocess.CompletedProcess([*arguments], int(self._door.recv(32)), *texts)


_learnt: set[tuple[str, ...]] = set()
_server = cache(Warmed)


def command(folder: Path, arguments: tuple[str, ...], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A ``recon-core`` command in a folder: what it said, and its exit code."""
    learn = arguments[:1] not in _learnt
    _learnt.add(arguments[:1])
    return _server().run(folder, arguments, environment, learn=learn)


def _attached(tracer: Sequence[str], child: int) -> subprocess.Popen[bytes]:
    """The tracer, once it has stopped the child: what the child did before it would leave the tracer one step behind it."""
    with tempfile.TemporaryFile() as said:
        tracing = subprocess.Popen([*tracer, "-p", str(child)], stderr=said)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while b" attached" not in (words := os.pread(said.fileno(), 1000, 0)):
            assert tracing.poll() is None, words
            assert time.monotonic() < deadline, f"the tracer did not come: {words!r}"
            time.sleep(0.002)
    return tracing


def _read(pipe: int) -> str:
    with os.fdopen(pipe, errors="replace") as file:
        return file.read()


def _serve(door: socket.socket) -> None:
    while True:
        text, handles, _, _ = socket.recv_fds(door, 1 << 20, 3)
        if not text:
            return
        asked = json.loads(text)
        lessons, lesson = os.pipe()
        child = os.fork()
        if child == 0:
            _command(asked, *handles, lesson)
        for handle in (*handles, lesson):
            os.close(handle)
        door.send(str(child).encode())
        names = _read(lessons).split()
        _, status = os.waitpid(child, 0)
        for name in names:
            with suppress(ImportError):  # a drop-in has no name that others could import it by
                import_module(name)
        door.send(str(os.waitstatus_to_exitcode(status)).encode())


def _command(asked: dict, out: int, err: int, gate: int, lesson: int) -> None:
    for handle, place in ((out, 1), (err, 2)):
        os.dup2(handle, place)
        os.close(handle)
    if asked["learn"]:
        atexit.register(lambda: os.write(lesson, "\n".join(sys.modules).encode()))
    else:
        os.close(lesson)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    time.tzset()
    tempfile.tempdir = None
    if asked["limit"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (asked["limit"], asked["limit"]))
    ctypes.CDLL(None).prctl(*_ANY_TRACER)
    os.read(gate, 1)  # until the tracer is there, if there is to be one
    os.close(gate)
    sys.argv = ["recon-core", *asked["arguments"]]
    import_module("recon_core.cli").program()


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
