"""The store in PostgreSQL: the same tables in a schema of their own, for deployments of several hosts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from recon_core import log
from recon_core.errors import LockedError, StateError
from recon_core.redaction import keep_secret, redacted
from recon_core.state.database import Value, on_conflict

if TYPE_CHECKING:
    import psycopg

SCHEMA = "recon_core"
CONNECT_SECONDS = 10
STATEMENT_SECONDS = 60
WRITERS = 0x7265636F6E  # the advisory lock that one writer at a time holds
RUNS = WRITERS + 1  # the one that a run holds from its beginning to its end


@contextmanager
def open_postgres(url: str) -> Iterator[Postgres]:
    """The store that ``url`` names. Raises StateError, without the URL's password."""
    shown = _shown(url)
    try:
        import psycopg
    except ModuleNotFoundError:
        raise StateError(f"{shown}: psycopg is not installed (pip install 'recon-core[postgres]')") from None
    if password := urlsplit(url).password:
        keep_secret(password)
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
        raise _told(shown, error) from None
    with connection:
        database = Postgres(shown, connection)
        database.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
        database.execute(f"SET search_path = {SCHEMA}")
        yield database


@contextmanager
def hold_runs(url: str) -> Iterator[None]:
    """Be the only run of the store while the block lasts, on whichever host. A connection that ends, however, ends the lock.

    Raises LockedError where another run holds it. A server that cannot be asked is a warning: what halts must halt, and that
    nothing can be recorded ends the run later.
    """
    with ExitStack() as held:
        try:
            database = held.enter_context(open_postgres(url))
            database.execute(
                "SELECT set_config('application_name', ?, false)", (f"recon-core process {os.getpid()} on {os.uname().nodename}",)
            )
            if database.execute("SELECT pg_try_advisory_lock(?)", (RUNS,)) != [(True,)]:
                raise LockedError(f"{database.name}: another run holds the lock{_holder(database)}; this one did nothing")
            held.callback(_let_go, database)
        except StateError as error:
            log.warning(f"the store's lock was not taken: {error}")
        yield


def _let_go(database: Postgres) -> None:
    try:
        kept = database.execute("SELECT pg_advisory_unlock(?)", (RUNS,)) == [(True,)]
    except StateError:
        kept = False
    if not kept:
        log.warning(f"{database.name}: the connection ended that held the lock; another run may have begun meanwhile")


def _holder(database: Postgres) -> str:
    """Who holds the lock, for a person; empty where the server does not say."""
    found = database.execute(
        "SELECT application_name, backend_start FROM pg_stat_activity JOIN pg_locks USING (pid) "
        "WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32) + objid::bigint = ?",
        (RUNS,),
    )
    return "".join(f" ({name.removeprefix('recon-core ')} since {since:%Y-%m-%dT%H:%M:%S%z})" for name, since in found[:1])


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

    def __init__(self, name: str, connection: psycopg.Connection[Any]) -> None:
        self.name, self._connection = name, connection

    def execute(self, sql: str, parameters: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        """See ``Database``."""
        import psycopg

        try:
            done = self._connection.execute(sql.replace("?", "%s").encode(), parameters or None)
            return [tuple(row) for row in done.fetchall()] if done.description else []
        except (psycopg.Error, UnicodeError) as error:
            raise _told(self.name, error) from None

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
            raise _told(self.name, error) from None

    def upsert(
        self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]], *, key: Sequence[str], update: Sequence[str]
    ) -> None:
        """See ``Database``."""
        names = ", ".join(columns)
        self.execute("DROP TABLE IF EXISTS given")
        self.execute(f"CREATE TEMPORARY TABLE given AS SELECT {names} FROM {table} WHERE false")
        self.load("given", columns, rows)
        self.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM given {on_conflict(key, update)}")
        self.execute("DROP TABLE given")

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


def _told(shown: str, error: Exception) -> StateError:
    return StateError(f"{shown}: {redacted(' '.join(str(error).split()))}")
