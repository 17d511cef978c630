"""A database of the book that may be changed, SQLite or PostgreSQL: one transaction at a time, in which nobody else writes.

A statement has ``PLACE`` where a value goes; the values travel beside it.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

from recon_core.book.sqlite import path_of
from recon_core.errors import BookError, BookSetupError, CorrectionError
from recon_core.redaction import redacted
from recon_core.sql import identifier

PLACE = "\0"
"""Stands for a value in a statement: no identifier holds it."""

KEY = "book.corrections.database"
UNTOUCHED = "nothing was changed"
_PATIENCE_SECONDS = 10


class DoubtError(Exception):
    """Whether a transaction took place is not known: the database was asked to end it, and did not say that it did."""


@contextmanager
def open_writable(url: str, folder: Path) -> Iterator[Writable]:
    """The database that ``url`` names, seen from ``folder``; an SQLite file that is not there is not made.

    Raises BookSetupError for a URL that names none, BookError where it cannot be reached.
    """
    if not re.match(r"sqlite(\+pysqlite)?:", url):
        from recon_core.book.sqlalchemy import connected

        with connected(url, KEY, UNTOUCHED) as (connection, shown):
            if connection.dialect.name != "postgresql":
                raise BookSetupError(f"{KEY}: corrections are written to SQLite and PostgreSQL, and {shown} is neither")
            connection.rollback()
            driver = connection.connection.driver_connection
            driver.autocommit = True
            yield _Postgres(driver, shown)
        return
    path = path_of(url, folder, KEY)
    if not path.is_file():
        raise BookError(f"book: there is no SQLite database {path}; {UNTOUCHED}")
    try:
        place = f"file:{quote(str(path.resolve()))}?mode=rw"
        database = sqlite3.connect(place, uri=True, timeout=_PATIENCE_SECONDS, isolation_level=None)
    except sqlite3.Error as error:
        raise BookError(f"book {url}: {error}; {UNTOUCHED}") from None
    with closing(database):
        writable = Writable(database, url)
        writable.select("PRAGMA synchronous = FULL")
        yield writable


class Writable:
    """An open database, SQLite. Whatever goes wrong with it is a BookError, but for what it refuses to do: a CorrectionError."""

    begin: tuple[str, ...] = ("BEGIN IMMEDIATE",)
    place = "?"

    def __init__(self, connection: Any, name: str) -> None:
        self._connection, self.name = connection, name

    def named(self, name: str) -> str:
        """The name of a table, after that of its schema perhaps, in quotes."""
        return ".".join(map(identifier, name.split(".")))

    def columns(self, table: str) -> list[str]:
        """The columns of a table."""
        return [str(column[0]) for column in self._execute(f"SELECT * FROM {self.named(table)} LIMIT 0").description]

    def select(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return [tuple(row) for row in self._execute(sql, values).fetchall()]

    def change(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement; how many rows it concerned."""
        return int(self._execute(sql, values).rowcount)

    @contextmanager
    def transaction(self, table: str) -> Iterator[None]:
        """All or nothing, durable at its end; nobody else writes to ``table`` meanwhile. Raises DoubtError."""
        try:
            for statement in self.begin:
                self._execute(statement.replace(PLACE, self.named(table)))
            yield
        except BaseException:
            self._roll_back()
            raise
        try:
            self._execute("COMMIT")
        except (BookError, CorrectionError) as error:
            self._roll_back()
            raise DoubtError(str(error)) from None

    def number(self, text: str, held: Any) -> Any:
        """What to write for a number in place of ``held``: of its kind, where that is exact.

        A column that turns no text into numbers would else hold texts among its numbers.
        """
        number = Decimal(text)
        if isinstance(held, str):
            return text
        if number == number.to_integral_value() and abs(number) < 2**63:
            return int(number)
        return float(text) if Decimal(repr(float(text))) == number else text

    def value(self, kept: Any) -> Any:
        """A value to compare with or to put back, as this database takes it."""
        return kept

    def _execute(self, sql: str, values: Sequence[Any] = ()) -> Any:
        try:
            return self._connection.execute(self._statement(sql), tuple(values))
        except (sqlite3.Error, UnicodeError, OverflowError) as error:
            raise CorrectionError(f"book {self.name} refuses it: {error}; {UNTOUCHED}") from None

    def _statement(self, sql: str) -> Any:
        return sql.replace(PLACE, self.place)

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            self._connection.rollback()


class _Postgres(Writable):
    """PostgreSQL. Values go as texts, which it reads as what its columns are."""

    begin = (
        "BEGIN ISOLATION LEVEL READ COMMITTED",
        f"SET LOCAL lock_timeout = '{_PATIENCE_SECONDS}s'",
        "SET LOCAL TimeZone = 'UTC'",
        f"LOCK TABLE {PLACE} IN SHARE ROW EXCLUSIVE MODE",
        "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'",
    )
    """The table is locked before anything is read, and each statement reads what is there then, whatever the server's defaults."""

    def number(self, text: str, held: Any) -> Any:
        return text

    def value(self, kept: Any) -> Any:
        return kept if kept is None or isinstance(kept, bytes) else str(kept)

    def _execute(self, sql: str, values: Sequence[Any] = ()) -> Any:
        import psycopg

        try:
            statement = sql.replace("%", "%%").replace(PLACE, "%s") if values else sql
            return self._connection.execute(statement, tuple(values) or None)
        except (psycopg.Error, UnicodeError) as error:
            told = redacted(" ".join(str(error).split()))
            if self._connection.broken or self._connection.closed:
                raise BookError(f"book {self.name}: {told}; {UNTOUCHED}") from None
            raise CorrectionError(f"book {self.name} refuses it: {told}; {UNTOUCHED}") from None

    def _roll_back(self) -> None:
        import psycopg

        with suppress(psycopg.Error):
            self._connection.rollback()
