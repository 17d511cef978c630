"""One row of the book corrected: in one transaction, only while it is as it was reconciled, and read back before that counts.

With the row goes an entry of a journal in the same database, by the id of the correction: whoever finds it there knows that the
correction was made, and it is made once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

from recon_core.book import mount_rows
from recon_core.book.database import mapped_columns, read_rows
from recon_core.book.journal import Entry, Journal, Row, given, kept
from recon_core.book.statements import NUMBERS, Statement, changes, comparable, confirmed, delete, insert, update
from recon_core.book.writable import PLACE, UNTOUCHED, Writable
from recon_core.config.settings import BookSettings
from recon_core.errors import CorrectionError
from recon_core.explanation import Key
from recon_core.model import POSITION_COLUMNS
from recon_core.sql import identifier
from recon_core.written_numbers import without_zeros

if TYPE_CHECKING:
    import duckdb

COMPARED = ("quantity", "avg_price", "market_price", "multiplier", "currency", "updated_at")
"""Columns by which a row is as it was reconciled: those that a run takes from the book as they are."""

_COLUMNS = ("broker", *POSITION_COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to become of one row: ``before`` and ``after`` by our names, None where there is no such row.

    ``restored`` are columns by the database's own names that are put back as an earlier correction found them; ``after`` is None
    or says what is expected then. ``netted`` says that the legs of the broker are one position.
    """

    id: str
    key: Key
    kind: Literal["insert", "update", "delete"]
    before: Mapping[str, str | None] | None
    after: Mapping[str, str | None] | None
    restored: Mapping[str, Any] | None = None
    netted: bool = False


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
                if not self._is_of(made, change):
                    raise CorrectionError(f"{change.id} was made at {made.applied_at} already, by {made.by}; {UNTOUCHED}")
                return made, False
            held = self._find(change)
            _check_unmoved(change, held, {*self._mapped, *self._settings.defaults})
            wanted = self._wanted(change, held, now)
            self._carry_out(self._statement(change, held, wanted))
            again = self._read_back(change, wanted)
            entry = Entry(change.id, now.isoformat().replace("+00:00", "Z"), by, held, again)
            self._journal.add(entry)
        return entry, True

    def _is_of(self, entry: Entry, change: Change) -> bool:
        """Whether an entry tells of this very change, of the same position."""
        for wanted, row in ((change.before, entry.before), (change.after, entry.after)):
            if wanted is None or row is None:
                if wanted is not None or not (row is None or row.flat):
                    return False
                continue
            named = {name: wanted.get(name) for name in COMPARED if name in self._mapped and name != "updated_at"}
            if not all(text is None or _same(name, text, row) for name, text in named.items()):
                return False
            if (row.read_as["broker"], row.read_as["symbol"]) != (change.key[0], change.key[2]):
                return False
        return True

    def _find(self, change: Change) -> Row | None:
        """The row of the position, by the strict reading of a run; one that is flat where there is no other."""
        found = self._matching(change)
        rows = [row for row in found if not row.flat] or found
        if len(rows) > 1:
            raise CorrectionError(
                f"{len(rows)} rows of the book are {_place(change.key)}: which of them to correct cannot be told; {UNTOUCHED}"
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
            raise CorrectionError(f"the book has no column for what is to change at {_place(change.key)}; {UNTOUCHED}")
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
            raise CorrectionError(f"book {self._writable.name}: {_place(change.key)} is still there; {UNTOUCHED}")
        if row is None:
            raise CorrectionError(f"book {self._writable.name} would not hold {_place(change.key)} by that name; {UNTOUCHED}")
        if change.restored is not None:
            wrong = [name for name, value in change.restored.items() if row.columns[name] != value]
        else:
            ours = {name: text for name, text in (change.after or {}).items() if self._mapped.get(name) in wanted}
            ours.pop("updated_at", None)
            wrong = [name for name, text in ours.items() if not _same(name, text, row)]
        if wrong:
            raise CorrectionError(
                f"book {self._writable.name} does not keep what is written to {', '.join(wrong)} of {_place(change.key)} exactly; "
                f"{UNTOUCHED}"
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


def _check_unmoved(change: Change, held: Row | None, known: Collection[str]) -> None:
    """Raise CorrectionError, naming what moved, unless the row is as it was reconciled.

    ``known`` are our columns that the table has: what a query told beside them is not the row's to hold.
    """
    where = _place(change.key)
    if change.before is None:
        if held is None or held.flat:
            return
        raise CorrectionError(f"{where} was not in the book when it was reconciled, and is now: {_shown(held)}; {UNTOUCHED}")
    if held is None:
        raise CorrectionError(f"{where} was in the book when it was reconciled, and is not now; {UNTOUCHED}")
    moved = [
        f"{name} from {change.before[name] or 'nothing'} to {held.read_as[name] or 'nothing'}"
        for name in COMPARED
        if name in known and name in change.before and not _same(name, change.before[name], held)
    ]
    if moved:
        raise CorrectionError(f"{where} is not as it was reconciled: {'; '.join(moved)}; {UNTOUCHED}")


def _escaped(text: str) -> str:
    """A text as LIKE takes it, escaped by exclamation marks."""
    return re.sub(r"[!%_]", r"!\g<0>", text)


def _same(name: str, text: str | None, row: Row) -> bool:
    return bool(comparable(name, text) == comparable(name, row.read_as[name]))


def _shown(row: Row) -> str:
    return ", ".join(f"{name} {row.read_as[name]}" for name in ("quantity", "avg_price") if row.read_as[name] is not None)


def _place(key: Key) -> str:
    broker, account, symbol, leg = key
    return f"{broker}/{account} {symbol}{'' if leg == 'NET' else f' {leg}'}"


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
