"""What the store needs of a database, whichever it is: SQLite and PostgreSQL speak one SQL here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Value = str | int | bytes | None
"""What a cell holds: money and quantities are text (exact), times are text in UTC, truth is 0 or 1."""


def on_conflict(key: Sequence[str], update: Sequence[str]) -> str:
    """The end of an INSERT that replaces the columns ``update`` of the row that has the ``key`` already."""
    return f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in update)}"


class Database(Protocol):
    """An open database. Whatever goes wrong with it is a StateError that names it, without its password."""

    @property
    def name(self) -> str:
        """Where it is, as messages say it."""

    @property
    def blob(self) -> str:
        """What the type of bytes is called."""

    @property
    def clustered(self) -> str:
        """What asks for rows in the order of their key; empty where there is no such thing."""

    @property
    def foundation(self) -> Sequence[str]:
        """Statements before the first table is made."""

    @property
    def append_only(self) -> Sequence[str]:
        """Statements that make ``audit`` refuse changes."""

    def execute(self, sql: str, parameters: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        """Run one statement, ``?`` for each parameter; its rows, if it has any."""

    def load(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
        """Put many rows in a table."""

    def upsert(
        self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]], *, key: Sequence[str], update: Sequence[str]
    ) -> None:
        """Put many rows in a table, of each ``key`` one; where there is one already, its columns ``update`` are replaced."""

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing, alone: other writers wait. A transaction inside one is part of it."""

    def has_table(self, name: str) -> bool:
        """Whether the store has such a table."""

    def check(self) -> None:
        """Look at the whole of it for damage. Raises StateError."""

    def back_up(self, version: int) -> None:
        """Keep a copy before the schema leaves ``version``, where the database has no other way back."""
