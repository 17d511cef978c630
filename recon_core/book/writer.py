"""One row of the book corrected: in one transaction, only while it is as it was reconciled, and read back before that counts.

With the row goes an entry of a journal in the same database, by the id of the correction: whoever finds it there knows that the
correction was made, and it is made once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from recon_core.book import mount_rows
from recon_core.book.change import Change, check_unmoved, is_of, place_of, same
from recon_core.book.database import mapped_columns, read_rows
from recon_core.book.journal import Entry, Journal, Row, given, kept
from recon_core.book.statements import NUMBERS, Statement, changes, confirmed, delete, insert, update
from recon_core.book.writable import PLACE, UNTOUCHED, Writable
from recon_core.config.settings import BookSettings
from recon_core.errors import CorrectionError
from recon_core.explanation import Key
from recon_core.model import POSITION_COLUMNS
from recon_core.sql import identifier
from recon_core.written_numbers import without_zeros

if TYPE_CHECKING:
    import duckdb

_COLUMNS = ("broker", *POSITION_COLUMNS)


class Writer:
    """A table of the book, open to be corrected. ``brokers`` are all that recon.yaml names.

    Raises CorrectionError where the database refuses to be looked at, or to make the journal.
    """

    def __init__(
        self,
        engine: duckdb.DuckDBPyConnection,
        writable: Writable,
        settings: BookSettings,
        table: str,
        journal: str,
        brokers: Sequence[str],
    ) -> None:
        self._engine, self._writable, self._brokers = engine, writable, brokers
        self._settings = replace(settings, table=table, query=None)
        self._table, self._quoted = table, writable.named(table)
        self._journal = Journal(writable, journal)
        self._columns = writable.columns(table)
        self._mapped = mapped_columns(self._settings, _Candidates(writable.name, self._columns, ()))
        self.name, self.token = writable.name, self._journal.prepare()

    def write(self, change: Change, *, by: str, now: datetime) -> tuple[Entry, bool]:
        """Make a change, and its entry of the journal; False beside an entry that was found there: it was made before.

        Raises CorrectionError or BookError: then the book is as it was. A DoubtError alone leaves open whether it was made.
        """
        now = now.astimezone(UTC).replace(microsecond=0)
        with self._writable.transaction(self._table):
            if made := self._journal.find(change.id):
                if not is_of(made, change, self._mapped):
                    raise CorrectionError(f"{change.id} was made at {made.applied_at} already, by {made.by}; {UNTOUCHED}")
                return made, False
            held = self._find(change)
            check_unmoved(change, held, {*self._mapped, *self._settings.defaults})
            wanted = self._wanted(change, held, now)
            self._carry_out(self._statement(change, held, wanted))
            again = self._read_back(change, wanted)
            entry = Entry(change.id, now.isoformat().replace("+00:00", "Z"), by, held, again)
            self._journal.add(entry)
        return entry, True

    def _find(self, change: Change) -> Row | None:
        """The row of the position, by the strict reading of a run; one that is flat where there is no other."""
        found = self._matching(change)
        rows = [row for row in found if not row.flat] or found
        if len(rows) > 1:
            raise CorrectionError(
                f"{len(rows)} rows of the book are {place_of(change.key)}: which of them to correct cannot be told; {UNTOUCHED}"
            )
        return rows[0] if rows else None

    def _matching(self, change: Change) -> list[Row]:
        broker, account, symbol, leg = change.key
        aliases = self._settings.options.get("aliases") or {}
        names = [symbol, *(theirs for theirs, ours in aliases.items() if ours == symbol)]
        like = " OR ".join(f"CAST({identifier(self._mapped['symbol'])} AS TEXT) LIKE {PLACE} ESCAPE '!'" for _ in names)
        rows = self._writable.select(
            f"SELECT {', '.join(map(identifier, self._columns))} FROM {self._quoted} WHERE {like}",
            [f"%{_escaped(name)}%" for name in names],
        )
        return [
            row
            for row in self._read(rows)
            if row.read_as["broker"] == broker
            and row.read_as["account"] in (account, None)
            and row.read_as["symbol"] == symbol
            and (change.netted or row.read_as["leg"] == leg)
        ]

    def _read(self, rows: Sequence[tuple[Any, ...]]) -> list[Row]:
        if not rows:
            return []
        engine, source = self._engine, _Candidates(self._writable.name, self._columns, rows)
        texts = read_rows(engine, "candidates given", self._settings, source)
        mounted = mount_rows(engine, "candidates", texts, self._settings, self._brokers)
        if faults := mounted.describe_faults(engine):
            raise CorrectionError("\n".join(f"book {source.name}: {fault}; {UNTOUCHED}" for fault in faults))
        chosen = ", ".join(f"CAST({name} AS VARCHAR)" for name in _COLUMNS)
        read = engine.execute(f"SELECT {chosen} FROM ({mounted.rows}) ORDER BY source_row").fetchall()
        return [
            Row(
                dict(zip(self._columns, map(kept, theirs), strict=True)),
                {name: _told(name, text) for name, text in zip(_COLUMNS, ours, strict=True)},
            )
            for theirs, ours in zip(rows, read, strict=True)
        ]

    def _wanted(self, change: Change, held: Row | None, now: datetime) -> dict[str, Any]:
        """What the row is to hold then, by the database's names; empty where there is to be none."""
        if change.restored is not None:
            return {name: self._writable.value(given(value)) for name, value in change.restored.items()}
        if change.after is None:
            return {}
        ours = changes(change.before or {}, change.after)
        if held is None:
            ours |= self._identity(change.key)
        ours = {name: text for name, text in ours.items() if name in self._mapped and (held is not None or text is not None)}
        if not ours:
            raise CorrectionError(f"the book has no column for what is to change at {place_of(change.key)}; {UNTOUCHED}")
        if "updated_at" in self._mapped:
            ours["updated_at"] = confirmed(change.before, change.after, now)
        return {self._mapped[name]: self._spelled(name, text, held) for name, text in ours.items()}

    def _identity(self, key: Key) -> dict[str, str | None]:
        """The names of a position that the book does not have yet, as it spells them."""
        broker, account, symbol, leg = key
        aliases = self._settings.options.get("aliases") or {}
        theirs = [name for name, ours in aliases.items() if ours == symbol]
        named = "account" in self._mapped and self._example("account") is not None
        unnamed = not named and (account == "DEFAULT" or self._example("symbol") is not None)
        return {
            "broker": broker,
            "account": None if unnamed else account,
            "symbol": theirs[0] if len(theirs) == 1 else symbol,
            "leg": leg,
        }

    def _spelled(self, name: str, text: str | None, held: Row | None) -> Any:
        """A value as the book writes such values: like the one in its place, else like another of its column."""
        if text is None:
            return None
        before = held.columns[self._mapped[name]] if held is not None else None
        if name in NUMBERS:
            return self._writable.number(text, before if before is not None else self._example(name))
        if name.endswith("_at"):
            return _spelled_time(text, before if before is not None else self._example(name), self._settings.timezone)
        return text

    def _example(self, name: str) -> Any:
        column = identifier(self._mapped[name])
        rows = self._writable.select(f"SELECT {column} FROM {self._quoted} WHERE {column} IS NOT NULL LIMIT 1")
        return kept(rows[0][0]) if rows else None

    def _statement(self, change: Change, held: Row | None, wanted: Mapping[str, Any]) -> Statement:
        if held is None:
            return insert(self._quoted, wanted)
        columns = [*self._mapped.values()]
        where = {name: self._writable.value(given(held.columns[name])) for name in columns}
        return update(self._quoted, wanted, where) if wanted else delete(self._quoted, where)

    def _carry_out(self, statement: Statement) -> None:
        count = self._writable.change(statement.sql, statement.values)
        if count != 1:
            raise CorrectionError(f"book {self._writable.name}: {count} rows would change where one is meant; {UNTOUCHED}")

    def _read_back(self, change: Change, wanted: Mapping[str, Any]) -> Row | None:
        """The row as the database keeps it now. Raises CorrectionError where that is not what was meant."""
        row = self._find(change)
        if not wanted:
            if row is None or row.flat:
                return None
            raise CorrectionError(f"book {self._writable.name}: {place_of(change.key)} is still there; {UNTOUCHED}")
        if row is None:
            raise CorrectionError(f"book {self._writable.name} would not hold {place_of(change.key)} by that name; {UNTOUCHED}")
        if change.restored is not None:
            wrong = [name for name, value in change.restored.items() if row.columns[name] != value]
        else:
            ours = {name: text for name, text in (change.after or {}).items() if self._mapped.get(name) in wanted}
            ours.pop("updated_at", None)
            wrong = [name for name, text in ours.items() if not same(name, text, row)]
        if wrong:
            raise CorrectionError(
                f"book {self._writable.name} does not keep what is written to {', '.join(wrong)} of {place_of(change.key)} "
                f"exactly; {UNTOUCHED}"
            )
        return row


@dataclass(slots=True)
class _Candidates:
    """Rows of an open database that may be a position, as the reading of the book takes them."""

    name: str
    names: Sequence[str]
    found: Sequence[tuple[Any, ...]]

    def columns(self) -> list[str]:
        return list(self.names)

    def rows(self, columns: Sequence[str], chunk: int) -> Iterator[Sequence[Sequence[Any]]]:
        places = [self.names.index(name) for name in columns]
        yield [tuple(row[place] for place in places) for row in self.found]


def _escaped(text: str) -> str:
    """A text as LIKE takes it, escaped by exclamation marks."""
    return re.sub(r"[!%_]", r"!\g<0>", text)


def _told(name: str, text: str | None) -> str | None:
    """A value of our column as reports write it: numbers without zeros at their end, times in UTC."""
    if text is None:
        return None
    if name in NUMBERS:
        return without_zeros(text)
    return datetime.fromisoformat(text).replace(tzinfo=UTC).isoformat().replace("+00:00", "Z") if name.endswith("_at") else text


def _spelled_time(text: str, like: Any, timezone: str | None) -> str:
    """A time as the book writes it where it wrote ``like``: a day, or with an offset or without one."""
    moment = datetime.fromisoformat(text)
    written = like.strip() if isinstance(like, str) else ""
    local = moment.astimezone(ZoneInfo(timezone or "UTC"))
    if re.fullmatch(r"\d{4}-\d\d-\d\d", written):
        return local.date().isoformat()
    between = " " if written[10:11] == " " else "T"
    if re.fullmatch(r"\d{4}-\d\d-\d\d[T ][\d:.]+", written):
        return local.replace(tzinfo=None).isoformat(between)
    return moment.astimezone(UTC).isoformat(between).replace("+00:00", "Z")
