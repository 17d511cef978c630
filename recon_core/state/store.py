"""The store: the one source of truth of what was found, decided and done. History, reports and metrics derive from it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

from recon_core.state import audit
from recon_core.state.actor import Actor
from recon_core.state.audit import Head
from recon_core.state.database import Database
from recon_core.state.schema import migrate


class Store:
    """An open store. What is written inside ``transaction()`` is written whole or not at all; other writers wait."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @property
    def name(self) -> str:
        """Where it is, as messages say it."""
        return self.database.name

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing; one inside another is part of it."""
        return self.database.transaction()

    def append(
        self,
        kind: str,
        actor: Actor,
        what: str,
        before: Any = None,
        after: Any = None,
        inputs: Any = None,
        scopes: Sequence[str] = (),
        at: datetime | None = None,
    ) -> Head:
        """Add an audit record, durably (or with the transaction that is open); returns the new head. Raises StateError.

        ``what`` is a sentence; ``before``, ``after`` and ``inputs`` are JSON (money and quantities as text).
        ``scopes`` are those whose permission to trade it bears on (``firm``, ``broker NAME``, ``account BROKER/NAME``).
        """
        return audit.append(self.database, kind, actor, what, before=before, after=after, inputs=inputs, scopes=scopes, at=at)

    def head(self) -> Head:
        """The newest audit record, ``(0, "000...")`` where there is none. Raises StateError where it was changed."""
        return audit.head(self.database)

    def newest_record(self, broker: str | None = None, account: str | None = None) -> Head | None:
        """The newest record that bears on an account's (a broker's, the firm's) permission to trade; None where none does.

        For the firm that is any such record; for a broker one of the firm or of the broker as a whole; for an account one of
        these or of the account.
        """
        if broker is None:
            return audit.newest_of(self.database, None)
        own = [f"account {broker}/{account}"] if account is not None else []
        return audit.newest_of(self.database, ["firm", f"broker {broker}", *own])


@contextmanager
def open_store(url: str | None, state_dir: Path, *, create: bool = True, check: bool = True) -> Iterator[Store]:
    """Open the store that ``url`` names (None: the SQLite file of the state directory), its tables at this version.

    Raises StateError where it cannot be read or written, is damaged, or is of a later version; without ``create`` also where
    there is none. No message holds the password of a URL. Without ``check`` a file is not looked through for damage first.
    """
    with _opened(url, state_dir, create, check) as database:
        migrate(database)
        yield Store(database)


def has_store(url: str | None, state_dir: Path) -> bool:
    """Whether there is a store to read, or something in its place; of a URL that is always so."""
    from recon_core.state.sqlite import NAME

    return url is not None or os.path.lexists(state_dir / NAME)


def run_lock(url: str | None) -> AbstractContextManager[None]:
    """The lock of the store itself, which runs on other hosts see; that of a file is the one of its state directory.

    Entering it raises LockedError where another run holds it.
    """
    if url is None:
        return nullcontext()
    from recon_core.state.postgres import hold_runs

    return hold_runs(url)


def _opened(url: str | None, state_dir: Path, create: bool, check: bool) -> AbstractContextManager[Database]:
    if url is None:
        from recon_core.state.sqlite import NAME, open_sqlite

        return open_sqlite(state_dir / NAME, create=create, check=check)
    from recon_core.state.postgres import open_postgres

    return open_postgres(url)
