"""The breaks that were never among the worst, from run to run, in SQL alone: there may be millions.

Tables of a run: ``tail``, what the store keeps of earlier ones, ``heads``, the positions that are followed one by one instead, and
of the others ``sighted``, how they look now, and ``unseen``, what this run did not find of the ``tail``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from recon_core.columns import KEY_COLUMNS
from recon_core.engine import named_rows
from recon_core.scratch import temporary_folder_full
from recon_core.sql import quoted
from recon_core.state import tails
from recon_core.state.database import Database
from recon_core.state.lifecycle import OpenBreak
from recon_core.state.since import MOST, Bulk
from recon_core.state.times import naive

_KEY = ", ".join(KEY_COLUMNS)
_OPEN_BREAK = ", ".join(OpenBreak._fields)
_COLUMNS = ", ".join(tails.COLUMNS)
_TOLD = ("id", "type", *KEY_COLUMNS, "episode", "is_open", "superseded_by", "first_seen", "began", "first_run", "agreed_at")
"""What ``tail`` has of a break: what the next state of it depends on."""


def load(
    connection: duckdb.DuckDBPyConnection, database: Database, folder: Path, *, named: Collection[tuple[str, str, str]], most: int
) -> None:
    """Make ``heads``, ``tail`` and ``archived`` (ended episodes of positions that are broken again). In a transaction of the store.

    Followed one by one are the positions of the ``most`` worst breaks, those that ever were, and those that have another name too
    (``named``: broker, account and symbol): what the tails have of them moves into the tables that people work with. ``folder`` is
    for files that are read for as long as these tables are.
    """
    _listed(connection, "worked", KEY_COLUMNS, tails.positions(database))
    _listed(connection, "named", KEY_COLUMNS[:3], sorted(named))
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE heads AS
            SELECT {_KEY} FROM breaks WHERE place <= {most}
            UNION SELECT {_KEY} FROM breaks SEMI JOIN worked USING ({_KEY})
            UNION SELECT {_KEY} FROM breaks SEMI JOIN named USING (broker, account, symbol)"""
    )
    for name, is_open, among in (("tail", True, ""), ("archived", False, f"SEMI JOIN breaks USING ({_KEY})")):
        held = tails.relation(database, folder, is_open=is_open)
        try:
            connection.execute(f"CREATE OR REPLACE TEMP VIEW {name}_parts AS SELECT * FROM {held}")
        except duckdb.Error:
            raise tails.damaged(database) from None
        connection.execute(
            f"""CREATE OR REPLACE TEMP TABLE {name} AS
                SELECT {", ".join(_TOLD)} FROM {name}_parts ANTI JOIN worked USING ({_KEY}) {among}"""
        )
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE moving AS
            WITH known AS (SELECT {_KEY} FROM tail UNION ALL SELECT {_KEY} FROM archived)
            SELECT {_KEY} FROM known SEMI JOIN (FROM heads ANTI JOIN worked USING ({_KEY})) USING ({_KEY})
            UNION SELECT {_KEY} FROM known SEMI JOIN named USING (broker, account, symbol)"""
    )
    if not connection.execute("SELECT 1 FROM moving LIMIT 1").fetchone():
        return
    for name in ("tail", "archived"):
        moving = f"SELECT {tails.SPELLED} FROM {name}_parts SEMI JOIN moving USING ({_KEY})"
        tails.adopt(database, named_rows(connection.execute(moving)))
        connection.execute(f"DELETE FROM {name} WHERE ({_KEY}) IN (SELECT ({_KEY}) FROM moving)")


def sight(connection: duckdb.DuckDBPyConnection, brokers: Collection[str], as_of: datetime) -> None:
    """Make ``sighted`` and ``unseen`` of ``brokers``, whose breaks the run moves. What began with this run has no ``first_run``."""
    lives = ", ".join(f"max({name}) AS {name}" for name in ("began", "first_run", "agreed_at"))
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE sighted AS
            WITH bulk AS (
                SELECT place, id, {_KEY}, quantity_difference = 0 AS agrees, suppressed_by IS NULL AND superseded_by IS NULL AS live
                FROM breaks ANTI JOIN heads USING ({_KEY}) WHERE broker IN ({", ".join(map(quoted, brokers)) or "NULL"})),
            others AS (SELECT {_KEY} FROM bulk ANTI JOIN tail USING (id)),
            going_on AS (
                SELECT {_KEY}, max(episode) AS episode, {lives} FROM tail SEMI JOIN others USING ({_KEY}) GROUP BY {_KEY}),
            earlier AS (SELECT {_KEY}, max(episode) AS episode FROM archived SEMI JOIN others USING ({_KEY}) GROUP BY {_KEY})
            SELECT b.place, b.id, coalesce(t.episode, g.episode, e.episode + 1, 1) AS episode,
                coalesce(t.first_seen, $as_of) AS first_seen, coalesce(t.began, g.began, $as_of) AS began,
                coalesce(t.first_run, g.first_run) AS first_run,
                CASE WHEN agrees THEN $as_of ELSE coalesce(t.agreed_at, g.agreed_at) END AS agreed_at,
                live AND NOT coalesce(t.is_open AND t.superseded_by IS NULL, false) AS is_new
            FROM bulk b LEFT JOIN tail t ON t.id = b.id LEFT JOIN going_on g ON {_same("g")} LEFT JOIN earlier e ON {_same("e")}""",
        {"as_of": naive(as_of)},
    )
    connection.execute(
        """CREATE OR REPLACE TEMP TABLE unseen AS
            SELECT p.* FROM tail_parts p SEMI JOIN (FROM tail ANTI JOIN sighted USING (id)) USING (id)"""
    )


def keep(
    connection: duckdb.DuckDBPyConnection,
    database: Database,
    folder: Path,
    reasons: Sequence[str],
    run_id: str,
    as_of: datetime,
) -> None:
    """Put the tail of this run in place of the earlier one; ``ended`` has the ids of the ``unseen`` breaks that are proven gone.

    ``reasons`` are those of the run's suppressions, by the number that ``silence`` gave them.
    """
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE living AS
            SELECT {_KEY} FROM unseen ANTI JOIN ended USING (id) WHERE is_open
            UNION SELECT {_KEY} FROM unseen SEMI JOIN (SELECT {_KEY} FROM breaks SEMI JOIN sighted USING (place)) USING ({_KEY})"""
    )
    why = " ".join(f"WHEN {place} THEN {quoted(reason)}" for place, reason in enumerate(reasons))
    now, run = f"TIMESTAMP {quoted(str(naive(as_of)))}", quoted(run_id)
    of_this_run = {
        "is_open": "true", "last_seen": now, "last_run": run, "first_run": f"coalesce(first_run, {run})", "halts": "halts AND live",
        "suppressed": f"CASE suppressed_by {why} END" if why else "NULL", "resolved_at": "NULL", "resolved_run": "NULL",
    }  # fmt: skip
    seen = ", ".join(f"CAST({of_this_run.get(name, name)} AS {kind}) AS {name}" for name, kind in tails.COLUMNS.items())
    left = f"SELECT * REPLACE (is_open AND id NOT IN (FROM ended) AS is_open) FROM unseen SEMI JOIN living USING ({_KEY})"
    over = f"""SELECT * REPLACE (false AS is_open, {now} AS resolved_at, {run} AS resolved_run)
        FROM unseen ANTI JOIN living USING ({_KEY})"""
    open_ones = f"SELECT {seen} FROM sighted JOIN (SELECT * EXCLUDE (id) FROM breaks) USING (place) UNION ALL {left}"
    for is_open, query in ((True, open_ones), (False, over)):
        with files(folder) as place:
            if connection.execute(f"SELECT 1 FROM ({query}) LIMIT 1").fetchone():
                connection.execute(
                    f"""COPY ({query}) TO {quoted(str(place / "parts"))}
                        (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, FILE_SIZE_BYTES {tails.PART_BYTES})"""
                )
            tails.keep(database, run_id, sorted((place / "parts").glob("*")), is_open=is_open)


def changes(connection: duckdb.DuckDBPyConnection) -> Bulk:
    """What has changed in the tail since the run before. Before ``keep``, and after ``ended`` is known."""
    cleared = f"SELECT {_OPEN_BREAK} FROM unseen SEMI JOIN ended USING (id) WHERE superseded_by IS NULL"
    new = "SELECT id, place FROM sighted WHERE is_new"
    left = f"""SELECT {_OPEN_BREAK}, {tails.spelled("began")}, {tails.spelled("last_seen")}
        FROM unseen ANTI JOIN ended USING (id) ANTI JOIN breaks USING (id)
        WHERE is_open AND superseded_by IS NULL AND suppressed IS NULL"""
    order = f"{_KEY}, type"
    return Bulk(
        _count(connection, cleared),
        [OpenBreak(*row) for row in connection.execute(f"{cleared} ORDER BY {order} LIMIT {MOST}").fetchall()],
        _count(connection, new),
        [name for name, _ in connection.execute(f"{new} ORDER BY place LIMIT {MOST}").fetchall()],
        _count(connection, left),
        connection.execute(f"{left} ORDER BY began, {order} LIMIT {MOST}").fetchall(),
    )


def add_ages(connection: duckdb.DuckDBPyConnection, brokers: Collection[str], as_of: datetime) -> None:
    """Add to ``ages`` (place, episode, first_seen in UTC) the breaks that are not followed one by one.

    Of brokers whose breaks the run does not move it is what was known at its time.
    """
    connection.execute(
        f"""INSERT INTO ages SELECT place, episode, began FROM sighted
            UNION ALL SELECT place, max(t.episode), max(t.began)
            FROM (SELECT place, {_KEY} FROM breaks ANTI JOIN heads USING ({_KEY})
                    WHERE broker NOT IN ({", ".join(map(quoted, brokers)) or "''"})) b
                JOIN (SELECT {_KEY}, episode, began, NULL AS resolved_at FROM tail
                    UNION ALL SELECT {_KEY}, episode, began, resolved_at FROM archived_parts) t USING ({_KEY})
            WHERE began <= $as_of AND (resolved_at IS NULL OR resolved_at > $as_of) GROUP BY place""",
        {"as_of": naive(as_of)},
    )


def _same(table: str) -> str:
    return " AND ".join(f"{table}.{name} = b.{name}" for name in KEY_COLUMNS)


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    ((count,),) = connection.execute(f"SELECT count(*) FROM ({query})").fetchall()
    return int(count)


def _listed(connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of texts."""
    lists = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in columns]
    values = ", ".join(f"unnest(CAST(? AS VARCHAR[])) AS {name}" for name in columns)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {values}", lists)


@contextmanager
def files(folder: Path) -> Iterator[Path]:
    """A folder for the while. Raises EngineError where there is no room in it."""
    try:
        with TemporaryDirectory(prefix="tails-", dir=folder) as place:
            yield Path(place)
    except OSError as error:
        raise temporary_folder_full(error.strerror or str(error)) from None
