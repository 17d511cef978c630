"""The store as one SQLite file: write-ahead log, every commit synced, seen by its owner alone."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from recon_core.errors import StateError
from recon_core.state.database import Value, on_conflict
from recon_core.state.files import sync_folder

NAME = "recon.sqlite"
BUSY_SECONDS = 30
CHECKED_WHOLE = 32 << 20
"""A store of up to so many bytes is looked through each time it is opened; a larger one by ``audit verify``, and as it is read."""


@contextmanager
def open_sqlite(path: Path, *, create: bool, check: bool) -> Iterator[SQLite]:
    """The store at ``path``, made where there is none and ``create`` says so. Raises StateError."""
    if create:
        _make(path)
    if not path.is_file():
        raise StateError(f"{path}: there is no store" if not os.path.lexists(path) else f"{path}: is no file")
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None
        )
    except sqlite3.Error as error:
        raise _told(path, error) from None
    with closing(connection):
        database = SQLite(path, connection)
        if database.execute("PRAGMA journal_mode = WAL") != [("wal",)]:
            raise StateError(f"{path}: its file system does not carry a write-ahead log; keep the state on a local disk")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA foreign_keys = ON")
        database.execute("PRAGMA trusted_schema = OFF")
        database.execute("PRAGMA temp_store = MEMORY")
        if check and path.stat().st_size <= CHECKED_WHOLE:
            database.check()
        yield database


class SQLite:
    """An open store."""

    blob, clustered = "BLOB", " WITHOUT ROWID"
    foundation = ()
    append_only = tuple(
        f"CREATE TRIGGER audit_refuses_{change.lower()} BEFORE {change} ON audit "
        "BEGIN SELECT RAISE(ABORT, 'audit records are never changed'); END"
        for change in ("UPDATE", "DELETE")
    )

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.name, self._path, self._connection = str(path), path, connection

    def execute(self, sql: str, parameters: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        """See ``Database``."""
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except (sqlite3.Error, UnicodeError) as error:
            raise _told(self._path, error) from None

    def load(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
        """See ``Database``."""
        self._insert(table, columns, rows)

    def upsert(
        self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]], *, key: Sequence[str], update: Sequence[str]
    ) -> None:
        """See ``Database``."""
        self._insert(table, columns, rows, on_conflict(key, update))

    def _insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]], otherwise: str = "") -> None:
        places = ", ".join("?" * len(columns))
        try:
            self._connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places}) {otherwise}", rows)
        except (sqlite3.Error, UnicodeError) as error:
            raise _told(self._path, error) from None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See ``Database``."""
        if self._connection.in_transaction:
            yield
            return
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._connection.rollback()
            raise

    def has_table(self, name: str) -> bool:
        """See ``Database``."""
        return bool(self.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)))

    def check(self) -> None:
        """See ``Database``."""
        found = self.execute("PRAGMA quick_check(1)")
        if found != [("ok",)]:
            raise _told(self._path, sqlite3.DatabaseError(" ".join(str(found[0][0]).split())))

    def back_up(self, version: int) -> None:
        """A copy beside it, ``recon.sqlite.v1.backup``; an earlier one of that name stays."""
        number, copy = 1, self._path.with_name(f"{self._path.name}.v{version}.backup")
        while os.path.lexists(copy):
            number += 1
            copy = copy.with_name(f"{self._path.name}.v{version}.backup.{number}")
        try:
            os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
            # The connection that asks is in the middle of a transaction: another one reads what was committed.
            with closing(sqlite3.connect(self._path)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
            sync_folder(copy.parent)
        except (sqlite3.Error, OSError) as error:
            with suppress(OSError):
                copy.unlink(missing_ok=True)
            raise StateError(f"{copy}: cannot be written: {error}; the store was left as it is") from None


def _make(path: Path) -> None:
    """An empty file that only its owner reads; its journals take its mode."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        sync_folder(path.parent)
    except FileExistsError:
        if not path.parent.is_dir():
            raise StateError(f"{path}: cannot be written: {path.parent} is no folder") from None
    except OSError as error:
        raise StateError(f"{path}: cannot be written: {error.strerror or error}") from None


_REFUSED = {
    "SQLITE_BUSY": f"another process has held it for {BUSY_SECONDS} seconds; try again when that is done",
    "SQLITE_LOCKED": f"another process has held it for {BUSY_SECONDS} seconds; try again when that is done",
    "SQLITE_FULL": "cannot be written: the disk is full",
    "SQLITE_READONLY": "cannot be written: it is read-only",
    "SQLITE_CANTOPEN": "cannot be opened",
    "SQLITE_IOERR": "cannot be read or written: input/output error",
    "SQLITE_PERM": "cannot be opened: permission denied",
}


def _told(path: Path, error: Exception) -> StateError:
    """The error in words, with the way out."""
    code = str(getattr(error, "sqlite_errorname", "") or "")
    for known, words in _REFUSED.items():
        if code.startswith(known):
            return StateError(f"{path}: {words}")
    if isinstance(error, sqlite3.IntegrityError | UnicodeError):
        return StateError(f"{path}: refuses what was to be recorded: {error}")
    return StateError(f"{path}: damaged ({error}); keep a copy of it and of {path.name}-wal, then restore a backup")
