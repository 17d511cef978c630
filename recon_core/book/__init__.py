"""The book: the positions that the firm believes it holds, from a database or a file, mounted for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from recon_core.config.settings import BookSettings
from recon_core.dated_files import resolve_path
from recon_core.errors import BookError, BookSetupError
from recon_core.sql import identifier
from recon_core.tables.mounting import Mounted, mount

if TYPE_CHECKING:
    import duckdb

    from recon_core.book.database import Rows

NAME = "book_rows"
"""The view that the book is mounted as."""


@dataclass(frozen=True, slots=True)
class Book:
    """The book, mounted as ``book_rows``. ``source`` is what reports call it (no password in it), ``files`` what stays
    open, ``origins`` what was delivered.

    ``lots`` says that several rows of one position are added up.
    """

    mounted: Mounted
    source: str
    files: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    lots: bool = False


def open_book(
    connection: duckdb.DuckDBPyConnection,
    settings: BookSettings,
    folder: Path,
    *,
    broker_names: Sequence[str],
    as_of: datetime | None = None,
) -> Book:
    """Mount the book as ``settings`` say; relative paths start from ``folder``.

    A book without a broker column is the one broker's that ``broker_names`` has. ``as_of`` fills a ``{date:...}`` in the file's
    name, else the newest file is taken. Raises BookSetupError where table, columns or options do not fit, BookError where the
    book cannot be read.
    """
    if settings.file is not None:
        return _from_file(connection, settings, folder, broker_names, as_of)
    from recon_core.book.database import read_database

    rows = read_database(connection, f"{NAME} given", settings, folder)
    return Book(mount_rows(connection, NAME, rows, settings, broker_names), rows.source, notes=rows.notes, lots=settings.lots)


def mount_rows(
    connection: duckdb.DuckDBPyConnection, name: str, rows: Rows, settings: BookSettings, broker_names: Sequence[str]
) -> Mounted:
    """Mount what ``read_rows`` put in the temporary table ``NAME given`` as the view of that ``name``; a table of texts goes."""
    defaults = _defaults(settings, rows.source, "broker" in rows.relation.columns, broker_names)
    try:
        return mount(
            connection,
            name,
            rows.relation,
            book=True,
            timezone=settings.timezone,
            float_places=settings.float_places,
            defaults=defaults,
            keyed=True,
        )
    finally:
        if not rows.relation.typed:
            connection.execute(f"DROP TABLE IF EXISTS {identifier(f'{name} given')}")


def _from_file(
    connection: duckdb.DuckDBPyConnection, settings: BookSettings, folder: Path, broker_names: Sequence[str], as_of: datetime | None
) -> Book:
    from recon_core.tables.files import read_file

    pattern = settings.file or ""
    day = as_of.astimezone(ZoneInfo(settings.timezone or "UTC")).date() if as_of else None
    try:
        path = resolve_path(pattern, folder, day)
    except ValueError as error:
        raise BookSetupError(f"book.file: {error}") from None
    if path is None:
        looked = f" of {day}" if day and "{date:" in pattern else ""
        raise BookError(f"book: there is no file {folder / pattern}{looked}; nothing was compared")
    options = dict(settings.options) | {"columns": settings.columns, "defaults": settings.defaults}
    read = read_file(path, options, book=True, name=str(path))
    defaults = _defaults(settings, str(path), "broker" in read.relation.columns, broker_names)
    mounted = mount(
        connection,
        NAME,
        read.relation,
        book=True,
        timezone=settings.timezone,
        float_places=settings.float_places,
        defaults=defaults,
    )
    return Book(mounted, str(path), read.relation.files, read.relation.origins, read.notes, settings.lots)


def _defaults(settings: BookSettings, source: str, has_broker: bool, broker_names: Sequence[str]) -> dict[str, str]:
    defaults = dict(settings.defaults)
    if has_broker or "broker" in defaults:
        return defaults
    if len(broker_names) != 1:
        raise BookSetupError(
            f"book {source} has no column 'broker', and there are {len(broker_names)} brokers ({', '.join(broker_names)}): "
            "say under `columns` which column names the broker, or under `defaults` which broker all rows are of"
        )
    return defaults | {"broker": broker_names[0]}
