"""Files that are always whole: the old one or the new one, never a part, whatever happens in between."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recon_core.errors import StateError


def write_atomically(path: Path, content: str | bytes, *, mode: int = 0o600) -> None:
    """Put ``content`` in place of what ``path`` holds, durably, and make its folder where there is none.

    A random name beside it, opened exclusively, synced, renamed, and the folder synced. Raises StateError.
    """
    data = content.encode() if isinstance(content, str) else content
    beside = path.parent / f".{path.name}.{secrets.token_hex(8)}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise StateError(f"{path}: cannot be written: {error.strerror or error}") from None


def adopt(made: Path, path: Path, *, mode: int = 0o600) -> None:
    """Put the finished file ``made`` (in the same folder) in place of ``path``, durably. Raises StateError."""
    try:
        with made.open("rb") as file:
            os.fsync(file.fileno())
        made.chmod(mode)
        made.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StateError(f"{path}: cannot be written: {error.strerror or error}") from None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold ``path`` (made where there is none) locked against other processes; a dead one's lock is free. Raises StateError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StateError(f"{path}: cannot be locked: {error.strerror or error}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
