"""CSV and TSV: finds header and footer in a file's head and tail, and leaves the body to DuckDB, every field as text.

Nothing is guessed: neither types nor delimiter. A preamble, a footer or another encoding is taken off in a copy.
"""

from __future__ import annotations

import codecs
import csv
import mmap
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from recon_core.errors import excerpt
from recon_core.sql import quoted
from recon_core.tables.framing import Frame, Line, Refusal, scratch_file, sql_path
from recon_core.tables.line_choice import Rows, shown

_HEAD_LIMIT = 1 << 20
_FOOTER_LIMIT = 1 << 20
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True, slots=True)
class _Cut:
    """Where things are in a file, in bytes; ``lines`` is how many lines the header ends on."""

    header: tuple[str, ...]
    first: tuple[str, ...] | None
    head: tuple[Line, ...]
    body: int
    end: int
    lines: int
    simple: bool


def read_delimited(path: Path, options: Mapping[str, Any], refusal: Refusal, *, tabs: bool) -> Frame:
    """The frame of a CSV or TSV file. Raises ``refusal`` errors that name the line."""
    delimiter = options["delimiter"] or ("\t" if tabs else ",")
    quote = options["quote"]
    plain = as_utf8(path, options["encoding"], refusal)
    with plain.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:2] in _MARKS and options["encoding"] == "utf-8":
            raise refusal.setup(f"{path} begins with the mark of utf-16: say `encoding: utf-16`")
        reader = _Reader(data, delimiter, quote, path, refusal)
        rows = Rows(options, quote, refusal)
        cut = reader.cut(options["preamble"], options["footer"], rows)
        tail = reader.tail(cut.end, options["footer"])
        extra = cut.first is not None and len(cut.first) == len(cut.header) + 1 and not cut.first[-1].strip()
        names = tuple(f"c{place}" for place in range(len(cut.header) + extra))
        body = plain
        if not cut.simple or rows.chosen:
            body = scratch_file(".csv")
            with body.open("wb") as copy:
                copy.write(b"header" + reader.line_end)  # one line stands before the rows in every case, ended as they are
                copy.writelines(reader.body(cut, rows, delimiter.encode() * (len(names) - 1) + reader.line_end))
    columns = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in names)
    source = (
        f"read_csv({quoted(sql_path(body))}, columns = {{{columns}}}, auto_detect = false, header = false, skip = 1, "
        f"delim = {quoted(delimiter)}, quote = {quoted(quote)}, escape = {quoted(quote)}, nullstr = '', comment = '', "
        "strict_mode = true, null_padding = false)"
    )
    return Frame(
        source=source,
        header=cut.header,
        references=names[: len(cut.header)],
        types=("VARCHAR",) * len(cut.header),
        row=f"row_number() OVER () + {cut.lines}",
        first_row=cut.lines + 1,
        files=(str(body),),
        head=cut.head,
        tail=tail,
        extra=names[-1] if extra else None,
        blank=f"coalesce({', '.join(names)}) IS NULL" if len(names) > 1 else f"{names[0]} IS NULL",
        skipped=rows.notes(),
    )


def as_utf8(path: Path, encoding: str, refusal: Refusal) -> Path:
    """The file itself, or a copy of it in UTF-8. A file of 0 bytes, or with nothing behind its mark, is refused."""
    empty = refusal.content(f"{path} is empty: 0 bytes, not even a header; was it written to the end?")
    if path.stat().st_size == 0:
        raise empty
    if encoding == "utf-8":
        return path
    copy = scratch_file(path.suffix)
    try:
        with path.open(encoding=encoding, newline="") as text, copy.open("w", encoding="utf-8", newline="") as target:
            shutil.copyfileobj(text, target, 1 << 20)
    except UnicodeError as error:
        raise refusal.content(f"{path} is not {encoding}: {error.args[-1] if error.args else error}; set `encoding`") from None
    if copy.stat().st_size == 0:
        raise empty
    return copy


class _Reader:
    """Finds its way in the bytes of a UTF-8 file."""

    def __init__(self, data: mmap.mmap, delimiter: str, quote: str, path: Path, refusal: Refusal) -> None:
        self._data, self._path, self._refusal = data, path, refusal
        self._delimiter, self._quote = delimiter, quote
        head = data[:_HEAD_LIMIT]
        self._newline = b"\n" if b"\n" in head or b"\r" not in head else b"\r"
        self.line_end = b"\r\n" if b"\r\n" in head else self._newline
        self._start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0

    def cut(self, preamble: Decimal | int | str, footer: list[str], rows: Rows) -> _Cut:
        """Header, body and footer."""
        offset, head = self._header(preamble)
        consumed = [offset]
        header = tuple(name.strip().lstrip("\ufeff") for name in next(self._parse(self._lines(offset, consumed)), ()))
        if not header:
            raise self._refusal.content(f"{self._path} has no header line")
        body = consumed[0]
        end = self._footer(body, footer)
        lines = self._lines(body, consumed)
        if rows.chosen:
            lines = (line for line in lines if rows.takes(line.encode()))
        first = next((tuple(record) for record in self._parse(lines) if record), None) if body < end else None
        count = self._data[:body].count(self._newline) + (0 if self._data[:body].endswith(self._newline) else 1)
        simple = offset == self._start and count == 1 and end == len(self._data)
        return _Cut(header, first, head, body, end, count, simple)

    def body(self, cut: _Cut, rows: Rows, empty: bytes) -> Iterator[bytes]:
        """The bytes of the rows, and an ``empty`` one for each line before a row that is none, so that rows keep their numbers."""
        if not rows.chosen:
            for offset in range(cut.body, cut.end, 1 << 24):
                yield self._data[offset : min(offset + (1 << 24), cut.end)]
            return
        header = self._data[: cut.body].rstrip(b"\r\n").rpartition(self._newline)[2]
        offset, ended, between = cut.body, rows.ends(b""), 0
        while offset < cut.end:
            following = min(self._after(offset), cut.end)
            line = self._data[offset:following]
            between += 1
            if pattern := rows.skips(line):
                rows.skip(pattern, line)
            elif rows.begins(line, rows.starts):
                yield empty * (between - 1) + line
                ended, between = False, 0
            elif rows.header and rows.begins(line, rows.header):
                if line.rstrip(b"\r\n") != header:
                    place = f"{self._path}: line {self._number(offset)}"
                    raise self._refusal.content(f"{place} is a second header with other columns; its rows would be misread")
                ended = False
            elif rows.skipped and line.strip():
                raise self._refusal.content(
                    f"{self._path}: line {self._number(offset)} is neither a row nor one of skip_lines: '{shown(line)}'"
                )
            ended = ended or rows.ends(line)
            offset = following
        if not ended:
            raise self._refusal.content(
                f"{self._path}: no line that has {rows.last!r} stands after its rows (rows_end_with): it may have been cut short"
            )

    def tail(self, end: int, footer: list[str]) -> tuple[Line, ...]:
        """The lines of the footer that begins at ``end``."""
        size, number = len(self._data) - end, self._number(end)
        if not footer or not size:
            return ()
        if size > _FOOTER_LIMIT:
            raise self._refusal.setup(
                f"{self._path}: the footer that begins on line {number} is {size:,} bytes long, more than a footer: "
                f"make the texts of `footer` longer ({', '.join(footer)})"
            )
        lines = self._data[end:].decode("utf-8", "replace").splitlines()
        return tuple(self._line(number + place, text) for place, text in enumerate(lines) if text.strip())

    def _line(self, number: int, text: str) -> Line:
        try:
            fields = tuple(field.strip() for field in next(csv.reader([text], delimiter=self._delimiter, **self._quoting()), []))
        except csv.Error:  # a carriage return within it, or more than a field can hold: it is a line all the same
            fields = (text.strip(),)
        return Line(number, fields[0] if len(fields) == 1 else text, fields)

    def _number(self, offset: int) -> int:
        """The number of the line that begins at ``offset``."""
        return self._data[:offset].count(self._newline) + 1

    def _header(self, preamble: Decimal | int | str) -> tuple[int, tuple[Line, ...]]:
        """Where the header line begins, and the lines before it."""
        offset, head, wanted = self._start, list[Line](), preamble if isinstance(preamble, str) else None
        skip = 0 if isinstance(preamble, str) else int(preamble)
        while offset < min(len(self._data), _HEAD_LIMIT):
            following = self._after(offset)
            line = self._data[offset:following]
            if wanted is not None:
                if self._begins(line, wanted.encode()):
                    return offset, tuple(head)
            elif len(head) >= skip and line.strip():
                return offset, tuple(head)
            head.append(self._line(len(head) + 1, line.decode("utf-8", "replace").rstrip("\r\n")))
            offset = following
        what = f"no line begins with {wanted!r}" if wanted is not None else f"there is no line after the first {skip}"
        raise self._refusal.content(f"{self._path}: {what}, so there is no header line (option `preamble`)")

    def _footer(self, body: int, texts: list[str]) -> int:
        """Where the rows end: at the first footer line, else after the last line that is not blank."""
        found = []
        for text in texts:
            for start in (text, self._quote + text):
                if self._data[body : body + len(start.encode())] == start.encode():
                    found.append(body)
                place = self._data.find(self._newline + start.encode(), max(body - 1, 0))
                if place >= 0:
                    found.append(place + 1)
        if found:
            return min(found)
        end = len(self._data)
        while end > body:
            last = self._data.rfind(self._newline, body, end - 1) + 1 or body
            if self._data[last:end].strip(b" \r\n\x1a") or end - last <= 0:
                break
            end = last
        return end

    def _lines(self, offset: int, consumed: list[int]) -> Iterator[str]:
        while offset < len(self._data):
            following = self._after(offset)
            consumed[0] = following
            try:
                yield self._data[offset:following].decode("utf-8")
            except UnicodeDecodeError:
                raise self._refusal.content(f"{self._path}: line {self._number(offset)} is not utf-8; set `encoding`") from None
            offset = following

    def _parse(self, lines: Iterator[str]) -> Iterator[list[str]]:
        try:
            yield from csv.reader(lines, delimiter=self._delimiter, strict=True, **self._quoting())
        except csv.Error as error:
            raise self._refusal.content(f"{self._path}: header or first row: {error}") from None

    def _quoting(self) -> dict[str, Any]:
        return {"quotechar": self._quote} if self._quote else {"quoting": csv.QUOTE_NONE}

    def _after(self, offset: int) -> int:
        place = self._data.find(self._newline, offset)
        return len(self._data) if place < 0 else place + 1

    def _begins(self, line: bytes, text: bytes) -> bool:
        return line.startswith((text, self._quote.encode() + text))


def why_unreadable(message: str, first_row: int) -> str:
    """DuckDB's complaint about a file in our words; ``first_row`` is the number of the first row (line 2 of what DuckDB read)."""
    if "state machine" in message:
        return "its lines end in different ways (carriage returns on some only), or a quote stands inside a field; export it anew"
    place = re.search(r"CSV Error on Line: (\d+)", message)
    if not place:
        return f"cannot be read: {excerpt(message.partition(chr(10))[0], 400)}"
    row = int(place[1]) - 2 + first_row
    fields = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message)
    if fields:
        return f"row {row} has {fields[2]} fields where {fields[1]} are due; a row is never guessed at"
    if "unterminated quote" in message:
        return f"row {row}: a quote is opened and not closed; was the file written to the end?"
    if "unicode" in message:
        return f"row {row} is not utf-8; set `encoding`"
    if "Maximum line size" in message:
        return f"row {row} is longer than a row can be; is a quote left open?"
    return f"row {row} cannot be read: {excerpt(message.splitlines()[-1] if message else '', 400)}"
