"""The run lock: one run at a time per state directory. A dead process holds no lock, because the kernel holds it for the process.

It is ``flock`` on ``run.lock``; the file's content only tells people who holds it, and the file itself is never removed (a lock
on a removed file excludes nobody). On NFS it holds between hosts only where the server locks (NFSv4, or v3 with lockd): where
several hosts run on one state, let the store be PostgreSQL, whose lock is taken as well.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path

from recon_core import log
from recon_core.errors import LockedError, StateError

NAME = "run.lock"
_SHOWN_BYTES = 4096
_PATIENCE_SECONDS, _POLL_SECONDS = 0.5, 0.01


@contextmanager
def hold(state_dir: Path, since: datetime, store_lock: AbstractContextManager[object] | None = None) -> Iterator[None]:
    """Be the only run of ``state_dir`` while the block lasts; waits for nobody.

    ``store_lock`` is entered within, where the store has a lock of its own that other hosts see: it raises LockedError too.
    Raises LockedError (exit 75) where another run holds it, StateError where it cannot be had at all.
    """
    path = state_dir / NAME
    handle = _opened(path)
    try:
        _lock(handle, path)
        _introduce(handle, path, since)
        try:
            with store_lock or nullcontext():
                yield
        finally:
            _leave(handle, path)
    finally:
        os.close(handle)


def _opened(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # O_NONBLOCK: a FIFO in its place is refused, not waited for
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise StateError(f"{path}: the run lock cannot be opened: {error.strerror or error}; nothing was compared") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise StateError(f"{path}: the run lock is no regular file; move it away: nothing was compared")
    return handle


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise LockedError(f"{path}: another run holds the lock{_patiently(handle)}; this one did nothing") from None
        raise StateError(
            f"{path}: cannot be locked: {error.strerror or error}; does its file system lock files? nothing was compared"
        ) from None


def _introduce(handle: int, path: Path, since: datetime) -> None:
    """Write who holds the lock, for the message of the next one."""
    if before := _holder(handle):
        log.warning(f"the run before did not end in order{before}: its lock was free", lock=str(path))
    about = {"pid": os.getpid(), "host": os.uname().nodename, "since": since.isoformat(timespec="seconds")}
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(about).encode(), 0)
    except OSError as error:  # the lock is held all the same, and what halts must halt
        log.warning(f"{path}: cannot be written: {error.strerror or error}", lock=str(path))


def _leave(handle: int, path: Path) -> None:
    """Empty the file, which says that this run ended in order, whatever came of it."""
    try:
        os.ftruncate(handle, 0)
    except OSError as error:
        log.warning(f"{path}: cannot be written: {error.strerror or error}", lock=str(path))


def _patiently(handle: int) -> str:
    """Who wrote the file. One that took the lock this moment gets a moment to say so."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not (found := _holder(handle)) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return found


def _holder(handle: int) -> str:
    """Who wrote the file, for a person; empty where it does not say."""
    try:
        found = json.loads(os.pread(handle, _SHOWN_BYTES, 0))
        pid, host, since = (str(found[key])[:100] for key in ("pid", "host", "since"))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return ""
    line = f" (process {pid} on {host} since {since})"
    return line if line.isprintable() else ""
