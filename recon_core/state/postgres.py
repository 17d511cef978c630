"""The store in PostgreSQL: the same tables in a schema of their own, for deployments of several hosts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from recon_core.errors import StateError
from recon_core.state.database import Value

if TYPE_CHECKING:
    import psycopg

SCHEMA = "recon_core"
CONNECT_SECONDS = 10
STATEMENT_SECONDS = 60
WRITERS = 0x7265636F6E  # the advisory lock that one writer at a time holds


@contextmanager
def open_postgres(url: str) -> Iterator[Postgres]:
    """The store that ``url`` names. Raises StateError, without the URL's password."""
    shown = _shown(url)
    try:
        import psycopg
    except ModuleNotFoundError:
        raise StateError(f"{shown}: psycopg is not installed (pip install 'recon-core[postgres]')") from None
    password = urlsplit(url).password or ""
    try:
        connection = psycopg.connect(
            re.sub(r"^postgres(ql)?(\+\w+)?:", "postgresql:", url),
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            application_name="recon-core",
            keepalives_idle=5,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=20_000,
        )
    except (psycopg.Error, UnicodeError, ValueError) as error:
        raise _told(shown, password, error) from None
    with connection:
        database = Postgres(shown, password, connection)
        database.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
        database.execute(f"SET search_path = {SCHEMA}")
        yield database


class Postgres:
    """An open store."""

    blob, clustered = "BYTEA", ""
    foundation = (f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",)
    append_only = (
        "CREATE FUNCTION audit_refuses() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'audit records are never changed'; END $$",
        "CREATE TRIGGER audit_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuses()",
    )

    def __init__(self, name: str, password: str, connection: psycopg.Connection[Any]) -> None:
        self.name, self._password, self._connection = name, password, connection

    def execute(self, sql: str, parameters: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        """See ``Database``."""
        import psycopg

        try:
            done = self._connection.execute(sql.replace("?", "%s").encode(), parameters or None)
            return [tuple(row) for row in done.fetchall()] if done.description else []
        except (psycopg.Error, UnicodeError) as error:
            raise _told(self.name, self._password, error) from None

    def load(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
        """See ``Database``."""
        import psycopg

        try:
            with (
                self._connection.cursor() as cursor,
                cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN".encode()) as copy,
            ):
                for row in rows:
                    copy.write_row(row)
        except (psycopg.Error, UnicodeError) as error:
            raise _told(self.name, self._password, error) from None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See ``Database``."""
        if self._connection.info.transaction_status.name != "IDLE":
            yield
            return
        self.execute("BEGIN")
        try:
            self.execute(f"SELECT pg_advisory_xact_lock({WRITERS})")
            yield
            self.execute("COMMIT")
        except BaseException:
            with suppress(StateError):
                self.execute("ROLLBACK")
            raise

    def has_table(self, name: str) -> bool:
        """See ``Database``."""
        # not to_regclass: that may answer from before another process, for which this one waited, made the table
        return bool(self.execute("SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = ? AND tablename = ?", (SCHEMA, name)))

    def check(self) -> None:
        """Nothing: PostgreSQL looks after its pages itself (initdb --data-checksums)."""

    def back_up(self, version: int) -> None:
        """Nothing: the migration is one transaction, which leaves all or nothing; backups are the server's."""


def _shown(url: str) -> str:
    """The URL without its password and options."""
    try:
        parts = urlsplit(url)
        place = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        raise StateError("store: is no URL such as postgresql+psycopg://user@host/name") from None
    user = f"{parts.username}{':***' if parts.password else ''}@" if parts.username else ""
    return f"postgresql://{user}{place}{parts.path}"


def _told(shown: str, password: str, error: Exception) -> StateError:
    text = " ".join(str(error).split())
    for secret in (password, unquote(password)):
        text = text.replace(secret, "***") if secret else text
    return StateError(f"{shown}: {text}")
