"""What every file format is brought to before its columns are named: a table of texts (or typed columns) in SQL, with its frame."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from recon_core.errors import ReconError
from recon_core.scratch import scratch_folder


class Refusal(NamedTuple):
    """Which errors a reader raises: ``setup`` for options that do not fit the file, ``content`` for what cannot be believed."""

    setup: type[ReconError]
    content: type[ReconError]


class Line(NamedTuple):
    """A line outside the rows: its number, its text (out of its quotes where it is a single field) and its fields."""

    number: int
    text: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """A file's body as SQL. ``references`` and ``types`` go with ``header``; ``row`` is the SQL of the row number in the file.

    ``head`` are the lines before the header, ``tail`` those of the footer; ``extra`` refers to a last field that has no header.
    ``blank`` is an SQL condition that holds on rows without any value. ``written`` says that all is text, not typed columns.
    ``constants`` are the places of columns whose every row holds one text, and that text. ``skipped`` says how many
    lines between the rows are left out. ``parquet`` says that ``source`` reads one Parquet file as it is.
    """

    source: str
    header: tuple[str, ...]
    references: tuple[str, ...]
    types: tuple[str, ...]
    row: str
    first_row: int
    files: tuple[str, ...]
    head: tuple[Line, ...] = ()
    tail: tuple[Line, ...] = ()
    extra: str | None = None
    blank: str | None = None
    written: bool = True
    constants: Mapping[int, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    parquet: bool = False


def scratch_file(suffix: str) -> Path:
    """A new file of our own, readable by nobody else, that goes when the process ends: for a body freed of its frame."""
    with tempfile.NamedTemporaryFile(dir=scratch_folder(), suffix=suffix, delete=False) as made:
        return Path(made.name)


def sql_path(path: Path | str) -> str:
    """A path as DuckDB's readers take it: nothing in it is a pattern."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(path))
