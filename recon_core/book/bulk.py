"""A book in PostgreSQL, in bulk: its columns come by Arrow straight into DuckDB, and no row passes through Python."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any, NamedTuple

import duckdb

from recon_core.book.sqlalchemy import SQLAlchemyBook
from recon_core.config.settings import BookSettings
from recon_core.errors import BookError
from recon_core.model import QUANTITY_PLACES
from recon_core.redaction import redacted
from recon_core.scratch import machine_gave_out
from recon_core.sql import Steps, identifier, over, side_by_side
from recon_core.tables import numbers
from recon_core.tables.canonical import SOURCE_ROW, TYPES
from recon_core.written_numbers import BLANKS

_TEXT = (25, 1043, 1042)
"""What PostgreSQL numbers the types text, varchar and char."""

_WHOLE, _UUID, _NUMERIC, _FLOAT = (20, 21, 23), 2950, 1700, 701
_MOMENTS = (1082, 1114, 1184)
"""Dates, and times without a zone and with one."""

_TIMES = ("updated_at", "opened_at")
_NUMBERS = tuple(name for name in TYPES if name not in _TIMES)
_IDENTIFIERS = ("account", "symbol", "isin", "cusip")


class Loaded(NamedTuple):
    """What was read into DuckDB: SQL of the rows, and of each column that holds binary floats, how many were rounded.

    ``typed`` says that there are no numbers or times in it that have yet to be read from their texts.
    """

    query: str
    rounded: Mapping[str, int]
    typed: bool = False


class _Taken(NamedTuple):
    """A column on its way: what the server is asked for, its value, and when the row has to be looked at more closely.

    ``rounded``, ``steps``: see ``numbers.Number``.
    """

    asked: str
    value: str
    odd: str = "false"
    rounded: str = ""
    steps: Steps = ()


def load(
    connection: duckdb.DuckDBPyConnection, name: str, settings: BookSettings, source: object, theirs: Mapping[str, str]
) -> Loaded | None:
    """Read the columns ``theirs`` (by ours) of an open database into the temporary table ``name``, as of one moment.

    None where that is no PostgreSQL with this driver, or where a column or a value of it is not plain: whoever looks at it value by
    value finds what is wrong with it, if anything is. Raises BookError where the rows cannot be read.
    """
    if not isinstance(source, SQLAlchemyBook) or (columns := source.postgres_columns()) is None:
        return None
    taken = {ours: _taken(ours, *columns[column], settings) for ours, column in theirs.items()}
    try:
        from adbc_driver_manager import AdbcConnection, AdbcDatabase, AdbcStatement, Error
        from adbc_driver_postgresql import _driver_path
    except ModuleNotFoundError:
        return None
    chosen = {ours: column for ours, column in taken.items() if column is not None}
    if len(chosen) < len(taken):
        return None
    try:
        with (
            closing(AdbcDatabase(driver=_driver_path(), uri=source.conninfo())) as database,
            closing(AdbcConnection(database)) as driver,
            closing(AdbcStatement(driver)) as statement,
        ):
            driver.set_autocommit(False)
            statement.set_sql_query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            statement.execute_update()
            statement.set_sql_query(source.select(", ".join(f"{column.asked} AS {ours}" for ours, column in chosen.items())))
            stream, _ = statement.execute_query()
            return _arrived(connection, name, stream, chosen)
    except (Error, duckdb.Error) as error:
        if isinstance(error, duckdb.Error) and (gave_out := machine_gave_out(error)):
            raise gave_out from None
        raise BookError(f"book {source.name}: {' '.join(redacted(str(error)).split())}; nothing was compared") from None


def _taken(ours: str, theirs: str, kind: int, digits: tuple[int, int] | None, settings: BookSettings) -> _Taken | None:
    """How a column of a type, by PostgreSQL's number, is taken; None: it is not. ``digits``: precision, scale."""
    asked = identifier(theirs)
    if ours in _TIMES:
        odd = f"coalesce({ours} < TIMESTAMP '0001-01-01' OR {ours} >= TIMESTAMP '10000-01-01', false)"
        naive = kind == 1114 and not settings.timezone
        return _Taken(asked, ours, f"{ours} IS NOT NULL" if naive else odd) if kind in _MOMENTS else None
    if ours in _NUMBERS:
        return _number(ours, asked, kind, digits, settings.float_places)
    if kind in (_NUMERIC, _UUID, *_WHOLE):
        return _Taken(f"{asked}::text", ours)
    if kind not in _TEXT:
        return None
    # CASE alone spares what follows: trimming all kinds of blanks costs ten times what the whole of the rest does.
    suspect = f"strlen({ours}) <> length({ours}) OR {ours} < '!' OR right({ours}, 1) < '!'"
    spoilt = f"contains({ours}, 'E+')" if ours in _IDENTIFIERS else "false"
    padded = f"CASE WHEN {suspect} THEN trim({ours}, '{BLANKS}') <> trim({ours}) ELSE false END"
    return _Taken(asked, ours, f"coalesce({padded} OR {spoilt}, false)")


def _number(ours: str, asked: str, kind: int, digits: tuple[int, int] | None, float_places: int) -> _Taken | None:
    if kind in _WHOLE:
        return _Taken(asked, ours)
    if kind == _FLOAT:
        number = numbers.quantity(ours, "DOUBLE", float_places)
        odd = f"{ours} IS NOT NULL AND {number.value} IS NULL"
        return _Taken(asked, number.value, odd, number.rounded, number.steps)
    if kind != _NUMERIC:
        return None
    # The server spells it, which costs both sides together a third of what it costs the driver to convert a numeric.
    declared = digits is not None and 0 <= digits[1] <= digits[0] <= 38
    value = f"TRY_CAST({ours} AS DECIMAL{digits})" if declared else numbers.exact(ours, QUANTITY_PLACES)
    return _Taken(
        f"{asked}::text", f"{ours}_exact", f"{ours} IS NOT NULL AND {ours}_exact IS NULL", "", ({f"{ours}_exact": value},)
    )


def _arrived(connection: duckdb.DuckDBPyConnection, name: str, stream: Any, columns: Mapping[str, _Taken]) -> Loaded | None:
    """Put down what arrives; None where one of its rows is odd."""
    rounded = {ours: column.rounded for ours, column in columns.items() if column.rounded}
    chosen = [f"{column.value} AS {ours}" for ours, column in columns.items()]
    chosen += [f"{condition} AS {identifier(f'{ours} rounded')}" for ours, condition in rounded.items()]
    odd = " OR ".join(column.odd for column in columns.values())
    body = over("SELECT * FROM arriving", side_by_side(column.steps for column in columns.values()))
    connection.register("arriving", stream)
    try:
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {identifier(name)} AS SELECT {', '.join(chosen)}, {odd} AS odd FROM ({body})"
        )
    finally:
        connection.unregister("arriving")
    counts = "".join(f", count_if({identifier(f'{ours} rounded')})" for ours in rounded)
    any_odd, *found = connection.execute(f"SELECT bool_or(odd){counts} FROM {identifier(name)}").fetchone() or (None,)
    if any_odd:
        return None
    query = f"SELECT rowid + 1 AS {SOURCE_ROW}, {', '.join(columns)} FROM {identifier(name)}"
    return Loaded(query, dict(zip(rounded, found, strict=True)), typed=True)
