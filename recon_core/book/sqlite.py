"""A book in SQLite, by the standard library: opened read-only, never created, read in one transaction."""

from __future__ import annotations

import difflib
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from recon_core.config.settings import BookSettings
from recon_core.errors import BookError, BookSetupError
from recon_core.sql import identifier


@contextmanager
def open_sqlite(url: str, settings: BookSettings, folder: Path) -> Iterator[SQLiteBook]:
    """The database that ``url`` (sqlite:///relative or sqlite:////absolute) names, seen from ``folder``."""
    path = path_of(url, folder)
    if not path.is_file():
        raise BookError(f"book: there is no SQLite database {path}; nothing was compared")
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True, timeout=10)) as database:
            yield SQLiteBook(database, url, settings)
    except sqlite3.Error as error:
        raise BookError(f"book {url}: {error}; nothing was compared") from None


def path_of(url: str, folder: Path, key: str = "book.database") -> Path:
    """The file that an SQLite URL names, seen from ``folder``. Raises BookSetupError, naming the ``key`` of recon.yaml."""
    place = re.fullmatch(r"sqlite(?:\+pysqlite)?:///([^?]+)(?:\?.*)?", url)
    if place is None or place[1] == ":memory:":
        raise BookSetupError(f"{key}: {url!r} names no file; write sqlite:///book.sqlite, or sqlite:////data/book.sqlite")
    return folder / unquote(place[1])


class SQLiteBook:
    """An open SQLite database: the table or query that the book is."""

    def __init__(self, database: sqlite3.Connection, url: str, settings: BookSettings) -> None:
        self._database, self._query = database, settings.query
        self._table = settings.table or ""
        self.name = f"{url} query" if settings.query else f"{url} table {self._table}"

    def columns(self) -> list[str]:
        """The columns of the table or query. Raises BookSetupError where there is no such table, with what is near."""
        if self._query is None and not self._exists():
            raise BookSetupError(f"book {self.name}: there is no such table{self._near()}")
        try:
            return [str(column[0]) for column in self._database.execute(f"SELECT * FROM {self._from()} LIMIT 0").description]
        except sqlite3.OperationalError as error:
            if re.search(r"syntax error|no such", str(error)):
                raise BookSetupError(f"book {self.name}: {error}") from None
            raise

    def rows(self, columns: Sequence[str], chunk: int) -> Iterator[Sequence[Sequence[Any]]]:
        """The rows, those columns of them, up to ``chunk`` at a time."""
        found = self._database.execute(f"SELECT {', '.join(map(identifier, columns))} FROM {self._from()}")
        while rows := found.fetchmany(chunk):
            yield rows

    def _from(self) -> str:
        if self._query is not None:
            return "(\n" + self._query.strip().rstrip(";") + "\n)"
        parts = [self._table] if self._table in self._tables() else self._table.split(".")
        return ".".join(map(identifier, parts))

    def _tables(self) -> list[str]:
        found = self._database.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name")
        return [str(row[0]) for row in found if not str(row[0]).startswith("sqlite_")]

    def _exists(self) -> bool:
        name = self._table.rpartition(".")[2]
        return any(table.casefold() in (self._table.casefold(), name.casefold()) for table in self._tables())

    def _near(self) -> str:
        tables = self._tables()
        close = difflib.get_close_matches(self._table, tables, 1, 0.5)
        return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(tables) or 'none'}"
