"""Positions in a file: reads its frame, names its columns and says in SQL how each is written. Python never holds the rows."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from recon_core.dated_files import date_shape, read_date
from recon_core.errors import BookError, BookSetupError, MalformedError
from recon_core.model import ParquetScan, Relation
from recon_core.regular_file import open_regular
from recon_core.scratch import temporary_folder_full
from recon_core.sql import identifier, quoted
from recon_core.tables.delimited import read_delimited
from recon_core.tables.file_options import FILE_OPTIONS
from recon_core.tables.framing import Frame, Refusal, sql_path
from recon_core.tables.mapping import Columns, relation_of
from recon_core.written_numbers import BLANKS

_FORMATS = {".csv": "csv", ".txt": "csv", ".tsv": "tsv", ".tab": "tsv", ".json": "json", ".parquet": "parquet", ".pq": "parquet"}
_SAME_THROUGHOUT = """SELECT path_in_schema, min(stats_min_value) FROM parquet_metadata(?) GROUP BY path_in_schema
    HAVING min(stats_min_value) = max(stats_max_value) AND bool_and(coalesce(stats_null_count = 0
        AND min_is_exact IS NOT false AND max_is_exact IS NOT false AND length(stats_max_value) < 32, false))"""
"""Columns that hold one text in every row, as the file's own statistics say, which the engine's filters go by as well."""
_FIGURE = re.compile(r"[-+($]*\d[\d.,' ]*[)-]?")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of positions: its ``relation`` for the engine, and what stands around the rows; ``notes`` say what is left out."""

    path: Path
    relation: Relation
    frame: Frame
    notes: tuple[str, ...]
    refusal: Refusal

    @property
    def around(self) -> tuple[str, ...]:
        """The lines before the header (of JSON: the facts beside the array, as ``key: value``) and those of the footer."""
        return tuple(line.text for line in (*self.frame.head, *self.frame.tail))

    def stated(self, pattern: str) -> list[str]:
        """What the first group of ``pattern`` (or all of it) is, in each line around the rows that it is found in."""
        found = (re.search(pattern, line) for line in self.around)
        return [match[1] if match.re.groups else match[0] for match in found if match]

    def dated(self, form: str) -> datetime | None:
        """The time that the file's name says by ``form`` (strftime), naive. Raises ValueError where ``form`` has no fixed shape."""
        found = (read_date(text, form) for text in re.findall(date_shape(form), self.path.name))
        return next((stamp for stamp in found if stamp), None)

    def texts(self, column: str, limit: int = 3) -> list[str]:
        """Up to ``limit`` different texts that a column of the file holds, in order."""
        place = Columns(self.path, self.frame.header, self.refusal).place(column, "as_of")
        text = f"trim(CAST({self.frame.references[place]} AS VARCHAR), '{BLANKS}')"
        query = f"SELECT DISTINCT {text} AS text FROM {self.frame.source} WHERE {text} <> '' ORDER BY text LIMIT {limit}"
        with duckdb.connect() as connection:
            try:
                return [str(row[0]) for row in connection.execute(query).fetchall()]
            except duckdb.Error as error:
                from recon_core.tables.mounting import raise_unreadable

                raise_unreadable(error, self.relation, self.refusal.content)


def read_file(path: Path, options: Mapping[str, Any], *, book: bool = False, name: str = "") -> SourceFile:
    """A file of positions, written as ``options`` (see FILE_OPTIONS) say; ``name`` is what messages call it.

    Looks at head and tail only; the rows are read when the relation is mounted. Raises BookSetupError or BookError for the book
    (``book``: it may have a broker column), else MalformedError.
    """
    refusal = Refusal(BookSetupError, BookError) if book else Refusal(MalformedError, MalformedError)
    given: dict[str, Any] = {option: schema.get("default") for option, schema in FILE_OPTIONS.items()}
    given |= {option: value for option, value in options.items() if option in FILE_OPTIONS and value is not None}
    form = given["format"] or _FORMATS.get(path.suffix.lower())
    if form is None:
        raise refusal.setup(f"{path}: the name does not tell how it is written: say `format` (csv, tsv, json or parquet)")
    try:
        open_regular(path).close()  # a pipe or a folder is no file, and would be waited for
        frame = _frame(path, form, given, refusal)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise temporary_folder_full(str(error)) from None
        raise refusal.content(f"{path} cannot be read: {error.strerror or error}") from None
    columns = Columns(path, frame.header, refusal)
    mapped = columns.mapped(given, book=book)
    if given["account_line"] and "account" not in mapped:
        given["defaults"] = {**given["defaults"], "account": _account(path, frame, given["account_line"], refusal)}
    _check_footer(path, frame, mapped, given["footer"], refusal)
    scan = ParquetScan(str(path), frame.source) if frame.parquet else None
    relation = replace(relation_of(name or str(path), frame, columns, mapped, given), origins=(str(path),), parquet=scan)
    notes = [f"rows whose {theirs} is like {pattern!r} are left out" for theirs, pattern in given["skip_rows"].items()]
    return SourceFile(path, relation, frame, (*notes, *frame.skipped), refusal)


def _frame(path: Path, form: str, options: Mapping[str, Any], refusal: Refusal) -> Frame:
    if form == "json":
        from recon_core.tables.json_records import read_records

        return read_records(path, options, refusal)
    if form == "parquet":
        return _parquet(path, refusal)
    return read_delimited(path, options, refusal, tabs=form == "tsv")


def _parquet(path: Path, refusal: Refusal) -> Frame:
    source = f"read_parquet({quoted(sql_path(path))})"
    with duckdb.connect() as connection:
        try:
            found = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
            same: dict[str, str] = dict(connection.execute(_SAME_THROUGHOUT, [sql_path(path)]).fetchall())
        except duckdb.Error as error:
            raise refusal.content(f"{path} is no Parquet file that can be read: {str(error).partition(chr(10))[0]}") from None
    names, types = (tuple(str(row[place]) for row in found) for place in (0, 1))
    numbered = "file_row_number" not in map(str.lower, names)  # a column of that name leaves no place for DuckDB's own
    return Frame(
        source=f"read_parquet({quoted(sql_path(path))}, file_row_number = true)" if numbered else source,
        header=names,
        references=tuple(map(identifier, names)),
        types=types,
        row="file_row_number + 1" if numbered else "row_number() OVER ()",
        first_row=1,
        files=tuple({str(path), sql_path(path)}),
        written=False,
        parquet=True,
        constants={place: same[name] for place, name in enumerate(names) if types[place] == "VARCHAR" and name in same},
    )


def _account(path: Path, frame: Frame, pattern: str, refusal: Refusal) -> str:
    """The account that a line outside the rows names: of the whole file, so there may not be two."""
    try:
        compiled = re.compile(pattern)
        if not compiled.groups:
            raise re.error("it has no group")
    except re.error as error:
        raise refusal.setup(f"account_line: {pattern!r} is no regular expression with a group: {error}") from None
    found = [compiled.search(line.text) for line in (*frame.head, *frame.tail)]
    names = sorted({(match[1] or "").strip() for match in found if match})
    if len(names) != 1 or not names[0]:
        several = f"name the accounts {', '.join(names)}" if names else f"match {pattern!r}"
        raise refusal.content(f"{path}: {'' if names else 'no '}lines before or after the rows {several} (account_line)")
    return names[0]


def _check_footer(path: Path, frame: Frame, mapped: Mapping[str, int], texts: list[str], refusal: Refusal) -> None:
    """A footer text that also begins a position would cut positions off in silence."""
    symbol, quantity = mapped["symbol"], mapped.get("quantity")
    for line in frame.tail:
        if quantity is None or len(line.fields) < len(frame.header) or line.fields[0] in texts:
            continue
        if line.fields[symbol] and _FIGURE.fullmatch(line.fields[quantity]):
            raise refusal.setup(
                f"{path}: line {line.number} is in the footer and looks like a position ({line.fields[symbol]} "
                f"{line.fields[quantity]}): make the texts of `footer` longer, or list this line's first field there whole"
            )
