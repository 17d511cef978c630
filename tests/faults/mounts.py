"""File systems of their own for tests: one that is small, and one whose power can be cut. They need root."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from services import NO_RIGHTS

EXT4_SHUTDOWN = 0x8004587D
WITHOUT_FLUSHING = 2
"""What is not on the disk yet, the journal included, never gets there: a power cut."""


@cache
def why_not() -> str:
    """Why nothing can be mounted here; empty where it can."""
    if os.geteuid() != 0:
        return f"{NO_RIGHTS}only root mounts file systems"
    with TemporaryDirectory() as folder:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], capture_output=True, text=True, check=False
        )
        if done.returncode:
            return f"{NO_RIGHTS}nothing can be mounted: {done.stderr.strip()}"
        subprocess.run(["umount", folder], check=True)
    return ""


def need_root() -> None:
    """Skip, and say why, where nothing can be mounted."""
    if why := why_not():
        pytest.skip(why)


@contextmanager
def tmpfs(folder: Path, *, megabytes: int) -> Iterator[None]:
    """A file system in memory at ``folder``, of that size."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Disk:
    """An ext4 file system in a file. ``plugged()`` mounts it, ``cut()`` takes its power away: what was not synced is gone."""

    def __init__(self, image: Path, folder: Path, *, megabytes: int = 24) -> None:
        self.image, self.folder = image, folder
        folder.mkdir()
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        if shutil.which("mkfs.ext4") is None:
            pytest.skip("mkfs.ext4 is not installed (make services)")
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)

    @contextmanager
    def plugged(self) -> Iterator[Path]:
        """The file system, mounted; its journal is written as rarely as can be, so that only syncs get anything to the disk."""
        mounted = ["mount", "-o", "loop,commit=300", str(self.image), str(self.folder)]
        done = subprocess.run(mounted, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"{NO_RIGHTS}no loop device can be mounted: {done.stderr.strip()}")
        try:
            yield self.folder
        finally:
            subprocess.run(["umount", str(self.folder)], check=True)

    def cut(self) -> None:
        """Cut the power."""
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, EXT4_SHUTDOWN, struct.pack("I", WITHOUT_FLUSHING))
        finally:
            os.close(handle)
