"""The temporary folder of this process: gone when it ends, and where it was killed, at the start of the next."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from recon_core.errors import EngineError
from recon_core.interruption import deferred

PREFIX = "recon-core-scratch-"
YOUNG_SECONDS = 60.0
"""A folder this young may be one that its owner has not locked yet."""

_making = threading.Lock()
_made: TemporaryDirectory[str] | None = None


def scratch_folder() -> Path:
    """A folder in the system's temporary directory, readable by nobody else, for all threads of this process.

    Raises EngineError where none can be made.
    """
    global _made
    with _making, deferred():
        if _made is None:
            try:
                _remove_left_behind(Path(gettempdir()))
                _made = TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
            except OSError as error:
                raise EngineError(f"no temporary folder can be made ({error.strerror or error}); set TMPDIR to one") from None
            # Held open and locked for as long as the process lives: so others can tell that the folder is in use.
            with suppress(OSError):  # where the file system has no locks, nothing is taken for abandoned either
                fcntl.flock(os.open(_made.name, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_SH | fcntl.LOCK_NB)
        return Path(_made.name)


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
