"""Files that carry their day in the name."""

from __future__ import annotations

import re
from datetime import date, datetime
from pathlib import Path

DATE_PLACE = re.compile(r"\{date:([^{}]+)\}")
"""Where a name carries its day, and in which format."""
_SHAPES = {
    "%Y": r"\d{4}",
    "%b": "[A-Za-z]{3}",
    "%B": "[A-Za-z]+",
    "%j": r"\d{3}",
    **dict.fromkeys(("%m", "%d", "%y", "%H", "%M", "%S"), r"\d{2}"),
}


def resolve_path(pattern: str, folder: Path, day: date | None) -> Path | None:
    """The file that ``pattern`` means, seen from ``folder``: ``{date:%Y-%m-%d}`` in its name is ``day``, or the newest day there.

    What is there may be no file: reading it says so. None where nothing is. Raises ValueError for a format that no date can be
    read by.
    """
    place = DATE_PLACE.search(pattern)
    if place is None or day is not None:
        path = folder / (DATE_PLACE.sub(lambda found: f"{day:{found[1]}}", pattern) if day else pattern)
        try:
            return path if path.exists() else None
        except OSError as error:
            raise ValueError(f"{path.name[:80]}: {error.strerror}") from None
    whole = folder / pattern
    before, _, after = whole.name.partition(place[0])
    shape = re.compile(re.escape(before) + f"({date_shape(place[1])})" + re.escape(after))
    dated = []
    for entry in whole.parent.iterdir() if whole.parent.is_dir() else ():
        match = shape.fullmatch(entry.name)
        stamp = read_date(match[1], place[1]) if match else None
        if stamp and entry.exists():
            dated.append((stamp, entry))
    return max(dated)[1] if dated else None


def date_shape(form: str) -> str:
    """A regular expression for what strftime writes by ``form``. Raises ValueError where a part has no fixed shape, or repeats."""
    parts = re.split("(%.)", form)
    unknown = [part for part in parts if part.startswith("%") and part not in _SHAPES]
    if unknown or not any(part in _SHAPES for part in parts):
        raise ValueError(f"{form!r} is no date format; it is made of {', '.join(_SHAPES)} and what stands between them")
    if twice := [part for part in _SHAPES if parts.count(part) > 1]:
        raise ValueError(f"{form!r} is no date format: {twice[0]} stands in it twice")
    return "".join(_SHAPES.get(part, re.escape(part)) for part in parts)


def read_date(text: str, form: str) -> datetime | None:
    """The time that ``text`` says by ``form`` (strptime), None where it does not; naive where the format has no offset."""
    try:
        return datetime.strptime(text, form)  # noqa: DTZ007  # the caller knows which zone it is in
    except (ValueError, re.error):  # the latter where a part of the format stands in it twice
        return None
