"""Files that are always whole: the old one or the new one, never a part, whatever happens in between."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from recon_core.errors import StateError


def write_atomically(path: Path, content: str | bytes, *, mode: int = 0o600) -> None:
    """Put ``content`` in place of what ``path`` holds, durably, and make its folder where there is none.

    A random name beside it, opened exclusively, synced, renamed, and the folder synced. Raises StateError.
    """
    data = content.encode() if isinstance(content, str) else content
    beside = path.parent / f".{path.name}.{secrets.token_hex(8)}"
    try:
        _make_folder(path.parent)
        try:
            handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
            with os.fdopen(handle, "wb") as file:
                os.fchmod(handle, mode)  # whatever the umask takes away
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


def write_together(folder: Path, files: Mapping[str, Callable[[Path], object]], *, mode: int = 0o600) -> None:
    """Put several files into ``folder``, durably: all of them, or none, and every earlier one stays.

    ``files`` gives by name what writes each, called with the path to write to. All are whole and synced beside their places
    before the first takes its own, in the order given. A folder made for them goes again where they fail. Raises StateError.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    beside = {folder / name: folder / f".{name}.{secrets.token_hex(8)}" for name in files}
    path = folder
    try:
        _make_folder(folder)
        for (path, made), write in zip(beside.items(), files.values(), strict=True):
            write(made)
            made.chmod(mode)
            _sync(made)
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        for path, made in beside.items():
            made.replace(path)
        sync_folder(folder)
    except BaseException as error:
        with suppress(OSError):
            for made in beside.values():
                made.unlink(missing_ok=True)
            for place in missing:
                place.rmdir()
        if isinstance(error, OSError):
            raise StateError(f"{path}: cannot be written: {error.strerror or error}") from None
        raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold ``path`` (made where there is none) locked against other processes; a dead one's lock is free. Raises StateError."""
    try:
        _make_folder(path.parent)
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


def _make_folder(folder: Path) -> None:
    if folder.is_symlink() and not folder.exists():
        raise StateError(f"{folder} is a link to {folder.readlink()}, which is not there")
    folder.mkdir(parents=True, exist_ok=True)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
