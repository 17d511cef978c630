"""Positions from any source, in one shape in DuckDB: the canonical columns, and beside each row what is wrong with it.

Whatever gives positions (a file, a database, an adapter's objects) is mounted as a view of these columns, in this order:
``account, symbol, leg, asset_class, currency, quantity DECIMAL(38,18), avg_price and market_price DECIMAL(38,12), multiplier
DECIMAL(18,6), isin, cusip, updated_at and opened_at TIMESTAMP in UTC, raw_symbol, fault UINTEGER``, for the book with ``broker``
before them. A faulty row is never dropped and never repaired: its ``fault`` says which column is bad and how.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from decimal import Decimal
from typing import Any, NoReturn

import duckdb

from recon_core.errors import BookError, MalformedError, ReconError, excerpt
from recon_core.model import POSITION_COLUMNS, PRICE_PLACES, Position, Relation
from recon_core.scratch import machine_gave_out
from recon_core.sql import aliased, identifier, over, quoted
from recon_core.tables import numbers
from recon_core.tables.canonical import DESCRIPTIVE, PROBLEM, SOURCE_ROW, TYPES, canonical, plain_keys
from recon_core.tables.faults import FAULT_BITS, KEY_PADDED, Fault, reason

Columns = Sequence[Sequence[str | None]]


@dataclass(frozen=True, slots=True)
class Mounted:
    """A source of positions in DuckDB, readable as the view ``name``. ``columns_present`` are the columns that it really has."""

    name: str
    columns_present: frozenset[str]
    relation: Relation
    rows: str
    """SQL that gives each row with its number in the source, and the source's own texts of a faulty one."""
    raw_columns: tuple[str, ...]
    keyed: bool = False
    lean: str = ""
    """A view of the same rows whose figures and times have the cheaper types of the file where those are exact, for the join.

    It is there once ``as_noted`` has returned.
    """

    constants: Mapping[str, str] = field(default_factory=dict)
    """Columns that hold one and the same text in every row (see ``Relation``)."""

    trimmed: str = ""
    untrimmed: str = ""
    """SELECTs of ``lean``, with its keys trimmed and as the source has them; both empty where it is there."""

    views: tuple[tuple[str, str], ...] = ()
    """The views that ``lean`` is made of, the last one itself: name and SELECT. The first reads ``relation`` if that is typed."""

    tables: tuple[str, ...] = ()
    """Temporary tables that they read beside it."""

    padded: bool = False
    """Whether ``lean`` trims the keys of its source."""

    def as_noted(self, connection: duckdb.DuckDBPyConnection, faults: int) -> Mounted:
        """The same rows, the lean ones read without trimming their keys where ``faults``, the bits of all rows, know of no need."""
        padded = bool(faults & KEY_PADDED)
        chosen = self.trimmed if padded else self.untrimmed
        if not chosen:
            return self
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {identifier(self.lean)} AS {chosen}")
        return replace(self, trimmed="", untrimmed="", views=((self.lean, chosen),), padded=padded)

    def describe_faults(self, connection: duckdb.DuckDBPyConnection, limit: int = 20) -> list[str]:
        """What is wrong, a text for each fault in the source's order: ``row 7, column Qty: 'abc' is not a number``."""
        keys = [key for key in ("broker", "account", "symbol") if key in self.columns_present]
        rows = connection.execute(
            f"SELECT source_row, fault, raw, [{', '.join(keys)}] FROM ({self.rows}) "
            f"WHERE fault & {FAULT_BITS} <> 0 ORDER BY source_row LIMIT {limit}"
        ).fetchall()
        return list(self._texts(rows))[:limit]

    def _texts(self, rows: Sequence[tuple[int, int, list[str | None], list[str | None]]]) -> Iterator[str]:
        for number, bits, raw, keys in rows:
            values = dict(zip(self.raw_columns, raw, strict=True))
            key = f" ({' '.join(excerpt(text) for text in keys if text)})" if self.keyed and any(keys) else ""
            if bits & Fault.PROBLEM:
                bits &= ~Fault.QUANTITY_MISSING  # its reader says why
            for fault in (fault for fault in Fault if bits & fault):
                for column, text in reason(fault, values):
                    where = f", column {self.relation.columns.get(column, column)}" if column != PROBLEM else ""
                    yield f"row {number}{key}{where}: {text}"


def mount(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    relation: Relation,
    *,
    book: bool,
    timezone: str | None = None,
    float_places: int = 9,
    defaults: Mapping[str, str] | None = None,
    keyed: bool = False,
    aliases: Mapping[str, str] | None = None,
) -> Mounted:
    """Make ``relation`` readable as the view ``name``: over the file itself where it is typed (nothing is copied), else over a
    temporary table into which its texts are parsed once.

    ``timezone`` (IANA) says where times without an offset are; ``float_places`` is how many decimals of a binary float are
    believed; ``defaults`` are constants for columns that the source lacks; with ``keyed``, faults name the position beside the
    row; ``aliases`` are our names of its symbols. A source that cannot be read at all, or has no symbol or quantity, raises
    BookError or MalformedError.
    """
    refused: type[ReconError] = BookError if book else MalformedError
    try:
        found = connection.execute(f"DESCRIBE SELECT * FROM ({relation.query})").fetchall()
    except duckdb.Error as error:
        raise_unreadable(error, relation, refused)
    types = {str(row[0]): str(row[1]) for row in found}
    query = relation.query
    if aliases and "symbol" in types:
        query = aliased(query, aliases, types)
        types.setdefault("raw_symbol", "VARCHAR")
    missing = [(column, text) for column, text in (defaults or {}).items() if column not in types]
    if missing:
        query = f"SELECT *, {', '.join(f'{quoted(text)} AS {column}' for column, text in missing)} FROM ({query})"
        types |= {column: "VARCHAR" for column, _ in missing}
    _check_columns(relation, types, refused, book=book)
    columns = ("broker", *POSITION_COLUMNS) if book else POSITION_COLUMNS
    shape = canonical(types, columns, timezone=timezone, float_places=float_places, typed=relation.typed)
    chosen = f"{', '.join(f'{shape.values[column]} AS {column}' for column in columns)}, {shape.fault} AS fault"
    raw = tuple(column for column in ("broker", *POSITION_COLUMNS, PROBLEM) if column in types)
    number = SOURCE_ROW if SOURCE_ROW in types else f"row_number() OVER () + {relation.first_row - 1} AS {SOURCE_ROW}"
    texts = ", ".join(f"CAST({column} AS VARCHAR)" for column in raw)
    body = over(query, shape.steps)
    rows = f"SELECT {number}, {chosen}, CASE WHEN fault & {FAULT_BITS} <> 0 THEN [{texts}] END AS raw FROM ({body})"
    lean, trimmed, untrimmed = name, "", ""
    try:
        if relation.typed:
            connection.execute(f"CREATE OR REPLACE TEMP VIEW {identifier(name)} AS SELECT {chosen} FROM ({body})")
            lean = f"{name} lean"
            as_it_is = [column for column in columns if _is_narrow(types.get(column, ""))]
            narrow = {**shape.values, **{column: column for column in as_it_is}}
            trimmed = _select(narrow, body)
            untrimmed = _select(narrow | {column: column for column in plain_keys(types) if column in columns}, body)
        else:
            table = identifier(f"{name} rows")
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {rows}")
            connection.execute(f"CREATE OR REPLACE TEMP VIEW {identifier(name)} AS SELECT {', '.join(columns)}, fault FROM {table}")
            rows = f"SELECT * FROM {table}"
    except duckdb.Error as error:
        raise_unreadable(error, relation, refused)
    present = frozenset(column for column in columns if types.get(column, '"NULL"') != '"NULL"')
    constants = {**relation.constants, **{column: text for column, text in missing if column in DESCRIPTIVE}}
    return Mounted(name, present, relation, rows, raw, keyed, lean, constants, trimmed, untrimmed)


def _select(values: Mapping[str, str], body: str) -> str:
    return f"SELECT {', '.join(f'{sql} AS {column}' for column, sql in values.items())} FROM ({body})"


def _is_narrow(type_name: str) -> bool:
    """Whether a type is cheaper than the canonical one, and as exact: a DECIMAL of eight bytes, a time with its zone."""
    if type_name == "TIMESTAMP WITH TIME ZONE":
        return True
    parts = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", type_name)
    return parts is not None and int(parts[1]) <= 18 and int(parts[2]) <= PRICE_PLACES


def mount_positions(
    connection: duckdb.DuckDBPyConnection, name: str, positions: Sequence[Position], *, aliases: Mapping[str, str] | None = None
) -> Mounted:
    """Make an adapter's objects readable as the view ``name``; a column that is None on all of them is not present."""
    given = f"{name} given"
    columns = [
        column
        for column in POSITION_COLUMNS
        if column in ("symbol", "quantity") or any(getattr(position, column) is not None for position in positions)
    ]
    if columns.count("leg") and all(position.leg == "NET" for position in positions):
        columns.remove("leg")
    texts = [[_spelled(getattr(position, column)) for position in positions] for column in columns]
    load_texts(connection, given, columns, [texts])
    try:
        relation = Relation(f"SELECT * FROM {identifier(given)}", name=name)
        return mount(connection, name, relation, book=False, aliases=aliases)
    finally:
        connection.execute(f"DROP TABLE {identifier(given)}")


def load_texts(connection: duckdb.DuckDBPyConnection, name: str, columns: Sequence[str], chunks: Iterable[Columns]) -> None:
    """Make the temporary table ``name`` of text columns, and ``source_row`` counted from 1; a chunk is a list for each column."""
    table = identifier(name)
    shape = ", ".join(f"{identifier(column)} VARCHAR" for column in columns)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} ({SOURCE_ROW} BIGINT, {shape})")
    # As lists of a column each: row by row, 10,000 rows took 75 times as long.
    unnested = ", ".join("unnest(CAST(? AS VARCHAR[]))" for _ in columns)
    count = 0
    for chunk in chunks:
        size = len(chunk[0]) if chunk else 0
        connection.execute(f"INSERT INTO {table} SELECT unnest(range({count + 1}, {count + size + 1})), {unnested}", list(chunk))
        count += size


def duplicate_rows(connection: duckdb.DuckDBPyConnection, mounted: Mounted, *, book: bool, limit: int = 20) -> list[str]:
    """Keys that several rows (not of quantity 0) share, each as a text that names the rows. Costs a sort; for the failing path."""
    keys = ["account", "symbol", "leg"]
    if book:
        keys.insert(0, "broker")
    found = connection.execute(
        f"SELECT {', '.join(keys)}, count(*), list(source_row ORDER BY source_row)[:5] FROM ({mounted.rows}) WHERE quantity <> 0 "
        f"GROUP BY {', '.join(keys)} HAVING count(*) > 1 ORDER BY {', '.join(keys)} LIMIT {limit}"
    ).fetchall()
    texts = []
    for *key, count, rows in found:
        more = ", ..." if count > len(rows) else ""
        shown = " ".join(excerpt(text) for text in key if text and text != "NET")
        texts.append(f"{shown}: {count} rows of one position ({', '.join(map(str, rows))}{more})")
    return texts


def raise_unreadable(error: duckdb.Error, relation: Relation, refused: type[ReconError]) -> NoReturn:
    """Raise ``refused`` with what DuckDB found wrong in the file, in our words; EngineError where memory or disk gave out."""
    from recon_core.tables.delimited import why_unreadable

    if gave_out := machine_gave_out(error):
        raise gave_out from None
    raise refused(f"{relation.name or 'source'}: {why_unreadable(str(error), relation.first_row)}") from None


def _check_columns(relation: Relation, types: Mapping[str, str], refused: type[ReconError], *, book: bool) -> None:
    source = relation.name or "source"
    known = [*(["broker"] if book else []), *POSITION_COLUMNS]
    for column, type_name in types.items():
        if column in (SOURCE_ROW, PROBLEM):
            continue
        if column not in known:
            close = difflib.get_close_matches(column, known, 1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"
            raise refused(f"{source}: {column!r} is no column of a position{hint}")
        whole = type_name.endswith(("INT", "INTEGER", "UUID"))
        if column not in TYPES and not (numbers.is_text(type_name) or whole):
            raise refused(f"{source}: column {relation.columns.get(column, column)} is {type_name}, and text is due for {column}")
    for column in ("symbol", "quantity"):
        if column not in types:
            raise refused(f"{source}: there is no column {column}; map it under `columns`")


def _spelled(value: Any) -> str | None:
    """A position's value as text that the strict patterns read back exactly."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return f"{value:f}" if -60 < value.adjusted() < 60 else str(value)
    return str(value.astimezone(UTC).isoformat())
