"""A book in any database that SQLAlchemy speaks to: one read-only transaction, rows streamed where the driver can."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from recon_core.config.settings import BookSettings
from recon_core.errors import BookError, BookSetupError
from recon_core.redaction import keep_secret, redacted

_CONNECT_SECONDS = 15


@contextmanager
def open_sqlalchemy(url: str, settings: BookSettings) -> Iterator[SQLAlchemyBook]:
    """The database that ``url`` names. A password in it appears in no message."""
    with connected(url) as (connection, shown):
        yield SQLAlchemyBook(_read_only(connection), shown, settings)


@contextmanager
def connected(url: str, key: str = "book.database", otherwise: str = "nothing was compared") -> Iterator[tuple[Any, str]]:
    """A connection to the database that ``url``, of the ``key`` of recon.yaml, names, and that URL without its password.

    Whatever goes wrong inside with the database is a BookError that ends by ``otherwise``.
    """
    import sqlalchemy
    from sqlalchemy import exc

    try:
        target = sqlalchemy.make_url(url)
        if target.drivername in ("postgresql", "postgres"):
            target = target.set(drivername="postgresql+psycopg")  # the driver that the extra `postgres` installs
        shown = target.render_as_string(hide_password=True)
        seconds = {"connect_timeout": _CONNECT_SECONDS} if target.get_backend_name() in ("postgresql", "mysql", "mariadb") else {}
        engine = sqlalchemy.create_engine(target, poolclass=sqlalchemy.NullPool, connect_args=seconds)
    except exc.NoSuchModuleError:
        raise BookSetupError(f"{key}: SQLAlchemy knows no database {url.partition(':')[0]!r}") from None
    except exc.ArgumentError:
        raise BookSetupError(f"{key} is no URL such as postgresql://user@host/name or sqlite:///book.sqlite") from None
    except ModuleNotFoundError as error:
        extra = " (pip install 'recon-core[postgres]')" if error.name == "psycopg" else ""
        raise BookSetupError(f"{key}: the driver {error.name!r} is not installed{extra}") from None
    if target.password:
        keep_secret(str(target.password))
    try:
        with engine.connect() as connection:
            yield connection, shown
    except (exc.DBAPIError, exc.SQLAlchemyError, UnicodeError) as error:
        cause = error.orig if isinstance(error, exc.DBAPIError) and error.orig else error
        text = " ".join(redacted(str(cause)).split())
        raise BookError(f"book {shown}: {text}; {otherwise}") from None
    finally:
        engine.dispose()


def _read_only(connection: Any) -> Any:
    """The connection, refusing to write where its database can be told to, and seeing one state of it throughout."""
    if connection.dialect.name == "postgresql":
        return connection.execution_options(postgresql_readonly=True, isolation_level="REPEATABLE READ")
    return connection


class SQLAlchemyBook:
    """An open database: the table or query that the book is."""

    def __init__(self, connection: Any, shown: str, settings: BookSettings) -> None:
        self._connection, self._query = connection, settings.query
        schema, _, table = (settings.table or "").rpartition(".")
        self._schema, self._table = schema or None, table
        self.name = f"{shown} query" if settings.query else f"{shown} table {settings.table}"

    def columns(self) -> list[str]:
        """The columns of the table or query. Raises BookSetupError where there is no such table, with what is near."""
        from sqlalchemy import exc

        if self._query is None and not self._exists():
            raise BookSetupError(f"book {self.name}: there is no such table{self._near()}")
        try:
            return list(self._connection.execute(_statement(f"SELECT * FROM {self._from()} WHERE 1 = 0")).keys())
        except exc.ProgrammingError as error:
            raise BookSetupError(f"book {self.name}: {' '.join(str(error.orig).split())}") from None

    def rows(self, columns: Sequence[str], chunk: int) -> Iterator[Sequence[Sequence[Any]]]:
        """The rows, those columns of them, up to ``chunk`` at a time."""
        quote = self._connection.dialect.identifier_preparer.quote_identifier
        query = _statement(self.select(", ".join(map(quote, columns))))
        found = self._connection.execution_options(stream_results=True, yield_per=chunk).execute(query)
        for part in found.partitions():
            yield [tuple(row) for row in part]

    def select(self, chosen: str) -> str:
        """SQL of all rows, of each what is ``chosen``."""
        return f"SELECT {chosen} FROM {self._from()}"

    def postgres_columns(self) -> dict[str, tuple[str, int, tuple[int, int] | None]] | None:
        """Name, type (as PostgreSQL numbers it) and declared precision and scale of each column; None in another database."""
        if (self._connection.dialect.name, self._connection.dialect.driver) != ("postgresql", "psycopg"):
            return None
        found = self._connection.execute(_statement(self.select("*") + " WHERE 1 = 0"))
        return {
            column.name: (column.name, column.type_code, None if column.scale is None else (column.precision, column.scale))
            for column in found.cursor.description
        }

    def conninfo(self) -> str:
        """How to connect to the same PostgreSQL once more, its password included."""
        from psycopg.conninfo import make_conninfo

        info = self._connection.connection.driver_connection.info
        return make_conninfo(**(info.get_parameters() | {"password": info.password, "client_encoding": "UTF8"}))

    def _from(self) -> str:
        if self._query is not None:
            return "(\n" + self._query.strip().rstrip(";") + "\n) AS book"
        quote = self._connection.dialect.identifier_preparer.quote_identifier
        return ".".join(quote(part) for part in (self._schema, self._table) if part)

    def _exists(self) -> bool:
        from sqlalchemy import inspect

        looked = inspect(self._connection)
        names = (*looked.get_table_names(self._schema), *looked.get_view_names(self._schema))
        return self._table in names or looked.has_table(self._table, self._schema)

    def _near(self) -> str:
        from sqlalchemy import inspect

        looked = inspect(self._connection)
        if self._schema and self._schema not in looked.get_schema_names():
            return f"; there is no schema {self._schema!r}"
        names = sorted((*looked.get_table_names(self._schema), *looked.get_view_names(self._schema)))
        close = difflib.get_close_matches(self._table, names, 1, 0.5)
        return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(names) or 'none'}"


def _statement(sql: str) -> Any:
    """SQL as it stands: a colon in it begins no parameter."""
    from sqlalchemy import text

    return text(sql.replace(":", "\\:"))
