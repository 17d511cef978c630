"""Files that a broker delivers, read whole: for the formats that an adapter takes apart itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from recon_core.dated_files import resolve_path
from recon_core.errors import MalformedError, NotReadyError
from recon_core.regular_file import open_regular

MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Document:
    """One file: its bytes, their sha256, and when it was last changed (aware)."""

    path: Path
    raw: bytes = field(repr=False)
    sha256: str
    modified: datetime

    @property
    def name(self) -> str:
        """Its name without the folder."""
        return self.path.name


def read_documents(pattern: str, folder: Path, day: date | None, *, most_bytes: int = MOST_BYTES) -> list[Document]:
    """The files that ``pattern`` means, seen from ``folder``: one, or with ``*`` in its name all that match, by their names.

    ``{date:%Y-%m-%d}`` in it is ``day``, or the newest day there. Raises NotReadyError where there is none, MalformedError for
    what cannot be read, is empty, or larger than ``most_bytes``.
    """
    try:
        if "*" in Path(pattern).name:
            named = pattern if day is None else _filled(pattern, day)
            paths = sorted(path for path in (folder / named).parent.glob(Path(named).name) if not path.is_dir())
        else:
            found = resolve_path(pattern, folder, day)
            paths = [] if found is None else [found]
    except ValueError as error:
        raise MalformedError(f"path: {error}") from None
    if not paths:
        of_day = f" of {day}" if day and "{date:" in pattern else ""
        raise NotReadyError(f"there is no file {folder / pattern}{of_day}; it may not have been delivered yet")
    return [_read(path, most_bytes) for path in paths]


def _filled(pattern: str, day: date) -> str:
    try:
        return pattern.format(date=day)
    except (LookupError, AttributeError) as error:
        raise ValueError(f"{pattern!r}: {error} is no part of a name; {{date:%Y-%m-%d}} is") from None


def _read(path: Path, most_bytes: int) -> Document:
    try:
        with open_regular(path) as file:
            raw = file.read(most_bytes + 1)
            modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError as error:
        raise MalformedError(f"{path}: {error.strerror or error}") from None
    if len(raw) > most_bytes:
        raise MalformedError(f"{path}: larger than the limit of {most_bytes:,} bytes")
    if not raw:
        raise MalformedError(f"{path}: the file is empty (0 bytes), which proves nothing: was it cut short?")
    return Document(path, raw, hashlib.sha256(raw).hexdigest(), modified)
