"""The book in a database: SQLite by the standard library, read-only; any other by SQLAlchemy. One SELECT, read in chunks."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from recon_core.book.bulk import Loaded, load
from recon_core.config.credentials import read_url
from recon_core.config.settings import BookSettings
from recon_core.errors import BookError, BookSetupError
from recon_core.model import POSITION_COLUMNS, Relation
from recon_core.sql import aliased, identifier
from recon_core.tables.mounting import load_texts
from recon_core.written_numbers import BLANKS

if TYPE_CHECKING:
    import duckdb

_CHUNK = 50_000
_NUMBERS = ("quantity", "avg_price", "market_price", "multiplier", "price")
_FAULTS_SHOWN = 20
_WIDE = Context(prec=400, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Rows:
    """The book's rows in DuckDB, as texts: what reads them, what they are called, and what was rounded on the way."""

    relation: Relation
    source: str
    notes: tuple[str, ...]


class Source(Protocol):
    """An open database. Its errors are BookError (it cannot be read) or BookSetupError (it is not as described)."""

    name: str

    def columns(self) -> list[str]:
        """The columns of the table or query."""

    def rows(self, columns: Sequence[str], chunk: int) -> Iterator[Sequence[Sequence[Any]]]:
        """The rows, those columns of them, up to ``chunk`` at a time."""


def read_database(connection: duckdb.DuckDBPyConnection, name: str, settings: BookSettings, folder: Path) -> Rows:
    """Read the book into the temporary table ``name``."""
    if settings.query is not None:
        _check_query(settings.query)
    with _open(settings, folder) as source:
        return read_rows(connection, name, settings, source)


def read_rows(connection: duckdb.DuckDBPyConnection, name: str, settings: BookSettings, source: Source) -> Rows:
    """Read the rows of an open database into the temporary table ``name``."""
    theirs = mapped_columns(settings, source)
    loaded = load(connection, name, settings, source, theirs) or _load(connection, name, settings, source, theirs)
    relation = Relation(
        aliased(loaded.query, settings.options.get("aliases") or {}, tuple(theirs)),
        columns=theirs,
        name=source.name,
        typed=loaded.typed,
    )
    notes = tuple(
        f"column {theirs[column]}: {count:,} binary floats rounded to {settings.float_places} decimals"
        for column, count in loaded.rounded.items()
        if count
    )
    return Rows(relation, source.name, notes)


def _load(
    connection: duckdb.DuckDBPyConnection, name: str, settings: BookSettings, source: Source, theirs: Mapping[str, str]
) -> Loaded:
    """Read the rows as their driver gives them, value by value."""
    conversion = _Conversion(tuple(theirs), settings.float_places)
    load_texts(connection, name, list(theirs), conversion.chunks(source.rows(list(theirs.values()), _CHUNK)))
    _refuse_faults(source, theirs, conversion)
    return Loaded(f"SELECT * FROM {identifier(name)}", conversion.rounded)


def _open(settings: BookSettings, folder: Path) -> AbstractContextManager[Source]:
    url = read_url(settings.database or "", folder)
    if re.match(r"sqlite(\+pysqlite)?:", url):
        from recon_core.book.sqlite import open_sqlite

        return open_sqlite(url, settings, folder)
    from recon_core.book.sqlalchemy import open_sqlalchemy

    return open_sqlalchemy(url, settings)


def read_texts(
    settings: BookSettings, folder: Path, columns: Sequence[str], required: Sequence[str]
) -> list[dict[str, str | None]]:
    """Rows of the book's database that are no positions, each as texts by our names of those ``columns`` that are there."""
    if settings.query is not None:
        _check_query(settings.query)
    found: list[dict[str, str | None]] = []
    with _open(settings, folder) as source:
        theirs = mapped_columns(settings, source, columns, required)
        conversion = _Conversion(tuple(theirs), settings.float_places)
        for chunk in conversion.chunks(source.rows(list(theirs.values()), _CHUNK)):
            found += [dict(zip(theirs, row, strict=True)) for row in zip(*chunk, strict=True)]
    _refuse_faults(source, theirs, conversion)
    return found


def mapped_columns(
    settings: BookSettings,
    source: Source,
    columns: Sequence[str] = ("broker", *POSITION_COLUMNS),
    required: Sequence[str] = ("symbol", "quantity"),
) -> dict[str, str]:
    """Our column: theirs, of those ``columns`` that are there; those ``required`` must be."""
    there = source.columns()
    folded: dict[str, list[str]] = {}
    for theirs in there:
        folded.setdefault(theirs.casefold(), []).append(theirs)
    found = {}
    for ours in columns:
        wanted = settings.columns.get(ours, ours)
        near = [wanted] if there.count(wanted) == 1 else folded.get(wanted.casefold(), [])
        if len(near) > 1:
            raise BookSetupError(f"book {source.name}: {len(near)} columns are called {wanted!r}; which is meant cannot be told")
        if near:
            found[ours] = near[0]
        elif ours in settings.columns or ours in required:
            close = difflib.get_close_matches(wanted, there, 1, 0.5)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            said = "" if ours in settings.columns else f": say under `columns` which it is, `columns: {{{ours}: ...}}`"
            raise BookSetupError(f"book {source.name} has no column {wanted!r}{said}{hint}; it has {', '.join(there)}")
    return found


@dataclass(slots=True)
class _Conversion:
    """From what a database driver returns to texts that the strict patterns read back exactly."""

    columns: tuple[str, ...]
    float_places: int
    rounded: dict[str, int] = field(default_factory=dict)
    faults: list[tuple[int, str, str]] = field(default_factory=list)
    count: int = 0

    def chunks(self, chunks: Iterator[Sequence[Sequence[Any]]]) -> Iterator[list[list[str | None]]]:
        """Each chunk of rows as a list of texts for each column."""
        for rows in chunks:
            yield [self._texts(column, values) for column, values in zip(self.columns, zip(*rows, strict=True), strict=True)]
            self.count += len(rows)

    def _texts(self, column: str, values: Sequence[Any]) -> list[str | None]:
        kinds = set(map(type, values))
        if kinds <= {str, type(None)}:
            return list(values)
        if kinds <= {int, type(None)}:
            return [None if value is None else str(value) for value in values]
        return [self._text(column, value, row) for row, value in enumerate(values, start=self.count + 1)]

    def _text(self, column: str, value: Any, row: int) -> str | None:
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, date, UUID)):
            self._refuse(column, row, f"a {type(value).__name__} is neither text nor number")
            return None
        if isinstance(value, float):
            if column not in _NUMBERS:
                self._refuse(column, row, f"{value!r} is a binary float, and text is due")
                return None
            return self._from_float(column, value)
        if isinstance(value, Decimal):
            return f"{value:f}" if value.is_finite() and -60 < value.adjusted() < 60 else str(value)
        return value.isoformat() if isinstance(value, date) else str(value)

    def _from_float(self, column: str, value: float) -> str:
        text = repr(value)
        if ("e" not in text and len(text) - text.find(".") - 1 <= self.float_places) or not math.isfinite(value):
            return text
        exact = Decimal(text)
        near = _WIDE.quantize(exact, Decimal(1).scaleb(-self.float_places))
        if near != exact:
            self.rounded[column] = self.rounded.get(column, 0) + 1
        return f"{near:f}"

    def _refuse(self, column: str, row: int, why: str) -> None:
        if len(self.faults) < _FAULTS_SHOWN:
            self.faults.append((row, column, why))


def _refuse_faults(source: Source, theirs: Mapping[str, str], conversion: _Conversion) -> None:
    if conversion.faults:
        places = (f"row {row}, column {theirs[ours]}: {why}" for row, ours, why in conversion.faults)
        raise BookError("\n".join(f"book {source.name}: {place}" for place in places))


def _check_query(query: str) -> None:
    """One SELECT: a text that holds a second statement, or changes anything, is refused before a database sees it."""
    bare = re.sub(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", " ", query, flags=re.DOTALL).strip(BLANKS + ";")
    if ";" in bare or not re.match(r"(select|with|values|table)\b|\(", bare, re.IGNORECASE):
        raise BookSetupError("book.query is not one SELECT; the book is only ever read")
