"""Small state files that carry the sha256 of their own content, so that no torn, flipped or foreign byte is believed."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recon_core.errors import StateError
from recon_core.state.audit import fingerprint

VERSION = 1
_MAX_BYTES = 16 << 20


def sealed(content: Mapping[str, Any]) -> str:
    """The text of a file that holds ``content``."""
    whole = {"version": VERSION, **content}
    return json.dumps({**whole, "sha256": fingerprint(whole)}, indent=1, ensure_ascii=False) + "\n"


def read_sealed(path: Path) -> dict[str, Any]:
    """What a sealed file holds. Raises FileNotFoundError where there is none, StateError for one that cannot be believed.

    It must be a file, no link, that its owner alone may write: root, whoever runs this, or the owner of its folder.
    """
    data = _read(path)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise StateError(f"{path}: damaged: not whole" if data else f"{path}: damaged: empty") from None
    if not isinstance(found, dict):
        raise StateError(f"{path}: damaged: not what it was written as")
    version = found.get("version")
    if isinstance(version, int) and version > VERSION:
        raise StateError(f"{path}: made by a later recon-core (version {version}; this one knows {VERSION})")
    digest = found.pop("sha256", None)
    try:
        if version != VERSION or digest != fingerprint(found):
            raise StateError(f"{path}: damaged: its content is not what its sha256 says")
    except (ValueError, RecursionError):  # text that cannot be written again is not what was written
        raise StateError(f"{path}: damaged: not what it was written as") from None
    return found


def moment(text: str) -> datetime:
    """The time that such a file holds as ``times.stored`` wrote it. Raises ValueError."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a time without its zone")
    return found.astimezone(UTC)


def _read(path: Path) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        why = "is a link" if error.errno == errno.ELOOP else error.strerror or error
        raise StateError(f"{path}: cannot be read: {why}") from None
    try:
        _check(path, os.fstat(handle))
        with os.fdopen(handle, "rb", closefd=False) as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise StateError(f"{path}: cannot be read: {error.strerror or error}") from None
    finally:
        os.close(handle)
    if len(data) > _MAX_BYTES:
        raise StateError(f"{path}: larger than {_MAX_BYTES >> 20} MiB: not what recon-core wrote")
    return data


def _check(path: Path, about: os.stat_result) -> None:
    """Raise StateError unless it is a file that its owner alone may write, in a folder that not everybody may write in."""
    mode, folder = stat.S_IMODE(about.st_mode), path.parent.stat()
    if not stat.S_ISREG(about.st_mode):
        raise StateError(f"{path}: is no file")
    if not mode & stat.S_IRUSR:  # root could read it all the same
        raise StateError(f"{path}: nobody may read it (mode {mode:o})")
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StateError(f"{path}: others may write it (mode {mode:o}): chmod 600 it, after a look at who did")
    if folder.st_mode & stat.S_IWOTH:
        raise StateError(f"{path.parent}: everybody may write in it (mode {stat.S_IMODE(folder.st_mode):o}): chmod 700 it")
    if about.st_uid not in (0, os.geteuid(), folder.st_uid):
        raise StateError(f"{path}: belongs to user {about.st_uid}, who is neither this one nor the owner of its folder")
