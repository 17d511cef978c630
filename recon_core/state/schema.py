"""The store's tables, by version: each step leads from the version before to its own, and none is ever changed."""

from __future__ import annotations

from datetime import UTC, datetime

from recon_core.errors import StateError
from recon_core.state.database import Database

STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE audit (
            seq BIGINT PRIMARY KEY, kind TEXT NOT NULL, scopes TEXT NOT NULL, body TEXT NOT NULL,
            previous TEXT NOT NULL, hash TEXT NOT NULL UNIQUE)""",
        """CREATE TABLE runs (
            run_id TEXT PRIMARY KEY, seq BIGINT NOT NULL UNIQUE REFERENCES audit (seq),
            started_at TEXT NOT NULL, finished_at TEXT NOT NULL, as_of TEXT NOT NULL, live BIGINT NOT NULL,
            verdict TEXT NOT NULL, exit_code BIGINT NOT NULL, halt BIGINT NOT NULL,
            policy_path TEXT NOT NULL, policy_sha256 TEXT NOT NULL, config_path TEXT NOT NULL, config_sha256 TEXT NOT NULL,
            summary TEXT NOT NULL, report {blob} NOT NULL)""",
        """CREATE TABLE feeds (
            run_id TEXT NOT NULL REFERENCES runs (run_id), broker TEXT NOT NULL, status TEXT NOT NULL, as_of TEXT, sha256 TEXT,
            positions BIGINT NOT NULL, accounts TEXT NOT NULL, unproven_accounts TEXT NOT NULL, PRIMARY KEY (run_id, broker))""",
        """CREATE TABLE delivered (
            broker TEXT NOT NULL, sha256 TEXT NOT NULL, day TEXT NOT NULL, PRIMARY KEY (broker, sha256))""",
    ),
    (
        """CREATE TABLE clocks (broker TEXT PRIMARY KEY, as_of TEXT NOT NULL, run_id TEXT NOT NULL)""",
        """CREATE TABLE episodes (
            broker TEXT NOT NULL, account TEXT NOT NULL, symbol TEXT NOT NULL, leg TEXT NOT NULL, episode BIGINT NOT NULL,
            first_seen TEXT NOT NULL, first_run TEXT NOT NULL, resolved_at TEXT, resolved_run TEXT, assignee TEXT,
            PRIMARY KEY (broker, account, symbol, leg, episode)){clustered}""",
        """CREATE INDEX episodes_open ON episodes (broker) WHERE resolved_at IS NULL""",
        """CREATE TABLE breaks (
            id TEXT NOT NULL, broker TEXT NOT NULL, account TEXT NOT NULL, symbol TEXT NOT NULL, leg TEXT NOT NULL,
            episode BIGINT NOT NULL, type TEXT NOT NULL, severity TEXT NOT NULL, is_open BIGINT NOT NULL,
            first_seen TEXT NOT NULL, last_seen TEXT NOT NULL, last_run TEXT NOT NULL,
            book_quantity TEXT, broker_quantity TEXT, quantity_difference TEXT, impact TEXT, halts BIGINT NOT NULL,
            suppressed TEXT, superseded_by TEXT, detail TEXT NOT NULL,
            PRIMARY KEY (broker, account, symbol, leg, episode, type)){clustered}""",
        """CREATE INDEX breaks_open ON breaks (broker) WHERE is_open = 1""",
        """CREATE TABLE notes (
            seq BIGINT PRIMARY KEY REFERENCES audit (seq), at TEXT NOT NULL, author TEXT NOT NULL, broker TEXT NOT NULL,
            account TEXT NOT NULL, symbol TEXT NOT NULL, leg TEXT NOT NULL, episode BIGINT NOT NULL, text TEXT NOT NULL)""",
        """CREATE TABLE suppressions (
            seq BIGINT PRIMARY KEY REFERENCES audit (seq), id TEXT NOT NULL, broker TEXT NOT NULL, content TEXT NOT NULL,
            seal TEXT NOT NULL, ended_at TEXT, ended_why TEXT)""",
    ),
    (
        """CREATE TABLE names (
            broker TEXT NOT NULL, account TEXT NOT NULL, theirs TEXT NOT NULL, ours TEXT NOT NULL, isin TEXT, cusip TEXT,
            PRIMARY KEY (broker, account, theirs, ours)){clustered}""",
    ),
    (
        """CREATE TABLE corrections (
            id TEXT PRIMARY KEY, broker TEXT NOT NULL, account TEXT NOT NULL, symbol TEXT NOT NULL, leg TEXT NOT NULL,
            episode BIGINT NOT NULL, state TEXT NOT NULL, content TEXT NOT NULL,
            seq BIGINT NOT NULL UNIQUE REFERENCES audit (seq))""",
        """CREATE INDEX corrections_by_position ON corrections (broker, account, symbol, leg)""",
    ),
    ("""ALTER TABLE episodes ADD COLUMN agreed_at TEXT""",),
    (
        """CREATE TABLE tails (
            part BIGINT PRIMARY KEY, run_id TEXT NOT NULL, is_open BIGINT NOT NULL, content {blob} NOT NULL)""",
    ),
)
"""``{blob}`` is what the database calls bytes, ``{clustered}`` asks it to keep rows in the order of their key."""

VERSION = len(STEPS)


def migrate(database: Database) -> None:
    """Bring the tables to this version, forward only, in one transaction; what was there is backed up first.

    Raises StateError for a store of a later version, and for a database that is somebody else's.
    """
    if _version(database) == VERSION:
        return
    with database.transaction():
        version = _version(database)  # another process may have been quicker
        if version == VERSION:
            return
        if version:
            database.back_up(version)
        else:
            for statement in database.foundation:
                database.execute(statement)
            database.execute("CREATE TABLE store (version BIGINT NOT NULL, since TEXT NOT NULL)")
        for step in STEPS[version:]:
            for statement in step:
                database.execute(statement.format(blob=database.blob, clustered=database.clustered))
        if not version:
            for statement in database.append_only:
                database.execute(statement)
        database.execute("DELETE FROM store")
        database.execute("INSERT INTO store VALUES (?, ?)", (VERSION, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"))


def _version(database: Database) -> int:
    """The version of the tables, 0 where there are none."""
    if not database.has_table("store"):
        if database.has_table("audit"):
            raise StateError(f"{database.name}: has tables, but not those of recon-core; name another store in recon.yaml")
        return 0
    rows = database.execute("SELECT version FROM store")
    if len(rows) != 1 or not isinstance(rows[0][0], int) or rows[0][0] < 1:
        raise StateError(f"{database.name}: damaged: it does not say which version it is of; restore a backup of it")
    version: int = rows[0][0]
    if version > VERSION:
        raise StateError(
            f"{database.name}: made by a later recon-core (store version {version}; this one knows {VERSION}): "
            "use that recon-core; nothing was read or changed"
        )
    return version
