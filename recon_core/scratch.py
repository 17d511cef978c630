"""The temporary folders of this process: gone when it ends, and where it was killed, at the start of the next."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import duckdb

from recon_core.errors import EngineError
from recon_core.interruption import deferred

PREFIX = "recon-core-scratch-"
YOUNG_SECONDS = 60.0
"""A folder this young may be one that its owner has not locked yet."""

_making = threading.Lock()
_made: dict[Path | None, TemporaryDirectory[str]] = {}


def scratch_folder(within: Path | None = None) -> Path:
    """A folder in ``within`` (None: the system's temporary folder), readable by nobody else, for all threads of this process.

    Raises EngineError where none can be made.
    """
    with _making, deferred():
        if within not in _made:
            try:
                _remove_left_behind(within or Path(gettempdir()))
                _made[within] = TemporaryDirectory(prefix=PREFIX, dir=within, ignore_cleanup_errors=True)
            except OSError as error:
                where, mend = (f" in {within}", "limits.temp_dir") if within else ("", "TMPDIR")
                raise EngineError(
                    f"no temporary folder can be made{where} ({error.strerror or error}); set {mend} to one"
                ) from None
            # Held open and locked for as long as the process lives: so others can tell that the folder is in use.
            with suppress(OSError):  # where the file system has no locks, nothing is taken for abandoned either
                fcntl.flock(os.open(_made[within].name, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_SH | fcntl.LOCK_NB)
        return Path(_made[within].name)


def machine_gave_out(error: duckdb.Error) -> EngineError | None:
    """What to raise where a query of DuckDB ended for want of memory or of room in a temporary folder; None where of neither."""
    said = str(error).partition("\n")[0].removeprefix("Out of Memory Error: ").rstrip(".")
    if PREFIX in said or "failed to offload" in said:
        return temporary_folder_full(said)
    if not isinstance(error, duckdb.OutOfMemoryException):
        return None
    return EngineError(f"out of memory: {said}; allow more (limits.memory)")


def temporary_folder_full(said: str) -> EngineError:
    """The error to raise then; ``said`` is what the system says of it."""
    return EngineError(f"the temporary folder gave out, nothing was decided: {said}; give it more room (limits.temp_dir, TMPDIR)")


def _remove_left_behind(folder: Path) -> None:
    """Remove what processes of ours that were killed could not; they may hold gigabytes."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX):
                with suppress(OSError):
                    _remove_if_abandoned(Path(entry.path))


def _remove_if_abandoned(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        about = os.fstat(handle)
        if about.st_uid == os.geteuid() and time.time() - about.st_mtime > YOUNG_SECONDS:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(handle)
