"""Files that a broker delivers, read whole: for the formats that an adapter takes apart itself."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from recon_core.dated_files import DATE_PLACE, date_shape, read_date, resolve_path
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
            paths = _several(pattern, folder, day)
        else:
            found = resolve_path(pattern, folder, day)
            paths = [] if found is None else [found]
    except ValueError as error:
        raise MalformedError(f"path: {error}") from None
    if not paths:
        of_day = f" of {day}" if day and "{date:" in pattern else ""
        raise NotReadyError(f"there is no file {folder / pattern}{of_day}; it may not have been delivered yet")
    return [_read(path, most_bytes) for path in paths]


def _several(pattern: str, folder: Path, day: date | None) -> list[Path]:
    """The files that fit a pattern with ``*``: of the day, or of the newest day of which there is one."""
    place = DATE_PLACE.search(pattern)
    if place is None:
        return _glob(folder / pattern)
    if day is not None:
        return _glob(folder / DATE_PLACE.sub(f"{day:{place[1]}}", pattern))
    any_day = (folder / DATE_PLACE.sub("*", pattern)).name
    before, _, after = Path(pattern).name.partition(place[0])
    shape = f"{_starred(before)}({date_shape(place[1])}){_starred(after)}"
    found: dict[datetime, list[Path]] = {}
    for path in _glob((folder / pattern).parent / any_day):
        match = re.fullmatch(shape, path.name)
        stamp = read_date(match[1], place[1]) if match else None
        if stamp is not None:
            found.setdefault(stamp, []).append(path)
    return found[max(found)] if found else []


def _glob(pattern: Path) -> list[Path]:
    return sorted(path for path in pattern.parent.glob(pattern.name) if not path.is_dir())


def _starred(text: str) -> str:
    return ".*".join(map(re.escape, text.split("*")))


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
