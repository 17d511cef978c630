"""The journal of a corrected book: a table of its own database, in which each correction leaves an entry as it is made."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from recon_core.book.statements import insert
from recon_core.book.writable import PLACE, DoubtError, Writable
from recon_core.errors import BookError, CorrectionError
from recon_core.sql import identifier

_COLUMNS = ("id", "applied_at", "by", "before", "after")

_WAY_OUT = 'put that table back as it was; docs/corrections.md, "Where the journal is lost", says what else can be done'

IDENTITY = "journal"
"""The id of the entry by which a journal is known again: its ``by`` is a token that no other has."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the book: every column by the database's own name, as JSON holds it, and ours, as they are read."""

    columns: Mapping[str, Any]
    read_as: Mapping[str, str | None]

    @property
    def flat(self) -> bool:
        """Whether it holds nothing, which is the same as no row."""
        return not Decimal(self.read_as["quantity"] or 0)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the journal has of a correction: when and by whom it was made, and the row before and after it."""

    id: str
    applied_at: str
    by: str
    before: Row | None
    after: Row | None


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal of a book."""

    writable: Writable
    table: str

    def prepare(self) -> str:
        """Make the table where there is none; returns its token. Raises CorrectionError where the database refuses."""
        try:
            known = self.find(IDENTITY)
        except CorrectionError:
            columns = ", ".join(f"{identifier(name)} TEXT{' PRIMARY KEY' if name == 'id' else ''}" for name in _COLUMNS)
            self.writable.change(f"CREATE TABLE IF NOT EXISTS {self.writable.named(self.table)} ({columns})")
            known = None
        if known is not None:
            return known.by
        try:
            with self.writable.transaction(self.table):
                known = self.find(IDENTITY)
                if known is None:
                    known = Entry(IDENTITY, "", secrets.token_hex(8), None, None)
                    self.add(known)
        except DoubtError as error:
            raise CorrectionError(f"book {self.writable.name}: the journal {self.table} cannot be made: {error}") from None
        return known.by

    def find(self, name: str) -> Entry | None:
        """The entry of a correction, None where it was not made."""
        chosen = ", ".join(map(identifier, _COLUMNS))
        rows = self.writable.select(
            f"SELECT {chosen} FROM {self.writable.named(self.table)} WHERE {identifier('id')} = {PLACE}", (name,)
        )
        if not rows:
            return None
        found, applied_at, by, before, after = rows[0]
        try:
            return Entry(found, applied_at, by, _row(before), _row(after))
        except (ValueError, TypeError, KeyError) as error:
            raise BookError(f"book {self.writable.name} table {self.table}: the entry of {name} is damaged: {error}") from None

    def look(self, name: str, token: str) -> Entry | None:
        """The same once whoever was at work on that correction has ended, however: it has, or never will be, made by them.

        Raises BookError unless the journal is there and has that token: another one says nothing of what was made.
        """
        try:
            with self.writable.transaction(self.table):
                known, entry = self.find(IDENTITY), self.find(name)
        except CorrectionError as error:
            raise BookError(f"its journal {self.table} cannot be read: {error}; {_WAY_OUT}") from None
        if token and (known is None or known.by != token):
            raise BookError(f"{self.writable.name}: {self.table} is not the journal that it was begun with; {_WAY_OUT}")
        return entry

    def add(self, entry: Entry) -> None:
        """Add an entry, in the transaction of what it tells of."""
        told = (entry.id, entry.applied_at, entry.by, _text(entry.before), _text(entry.after))
        sql, values = insert(self.writable.named(self.table), dict(zip(_COLUMNS, told, strict=True)))
        self.writable.change(sql, values)


def kept(value: Any) -> Any:
    """A value of the database as JSON holds it."""
    if isinstance(value, bytes | memoryview):
        return {"hex": bytes(value).hex()}
    if isinstance(value, date):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, dict | list):
        return json.dumps(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if value is None or isinstance(value, str | int) else str(value)


def given(kept_value: Any) -> Any:
    """The value that ``kept`` made a JSON value of, as far as a database needs it."""
    return bytes.fromhex(kept_value["hex"]) if isinstance(kept_value, dict) else kept_value


def _text(row: Row | None) -> str | None:
    return None if row is None else json.dumps({"columns": row.columns, "read_as": row.read_as}, ensure_ascii=False)


def _row(text: str | None) -> Row | None:
    if text is None:
        return None
    found = json.loads(text)
    return Row(found["columns"], found["read_as"])
