"""Breaks in bulk: of positions that were never among the worst the store keeps identity, age and state, as Parquet in a few cells.

A position is either in the tables that people work with (``episodes`` and ``breaks``) or in a tail. What is in the tables counts,
also where an older tail still names it. Open parts are written anew by each run that moves them; closed ones stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from recon_core.columns import KEY_COLUMNS, MONEY, QUANTITY
from recon_core.errors import StateError
from recon_core.scratch import scratch_folder
from recon_core.sql import quoted
from recon_core.state.database import Database
from recon_core.state.lifecycle import Position, Seen

COLUMNS = {
    "id": "VARCHAR", "type": "VARCHAR", "broker": "VARCHAR", "account": "VARCHAR", "symbol": "VARCHAR", "leg": "VARCHAR",
    "episode": "BIGINT", "severity": "VARCHAR", "is_open": "BOOLEAN", "first_seen": "TIMESTAMP", "last_seen": "TIMESTAMP",
    "last_run": "VARCHAR", "book_quantity": QUANTITY, "broker_quantity": QUANTITY, "quantity_difference": QUANTITY,
    "impact": MONEY, "halts": "BOOLEAN", "suppressed": "VARCHAR", "superseded_by": "VARCHAR", "began": "TIMESTAMP",
    "first_run": "VARCHAR", "agreed_at": "TIMESTAMP", "resolved_at": "TIMESTAMP", "resolved_run": "VARCHAR",
}  # fmt: skip
"""Of a break in an episode; ``began``, ``first_run``, ``agreed_at`` and ``resolved`` are of the episode. Times are the store's."""

PART_BYTES = 64 << 20
"""How large a cell gets, roughly; SQLite and PostgreSQL take a gigabyte."""

_NUMBERS = ("book_quantity", "broker_quantity", "quantity_difference")


def time_text(sql: str) -> str:
    """SQL of a time as the tables keep it."""
    return f"strftime({sql}, '%Y-%m-%dT%H:%M:%S.%fZ')"


def spelled(name: str) -> str:
    """SQL of a column as the tables keep it: numbers and times as exact text, truth as 0 or 1."""
    kind = COLUMNS[name]
    text = {
        QUANTITY: f"rtrim(rtrim({name}::VARCHAR, '0'), '.')",
        MONEY: f"{name}::VARCHAR",
        "BOOLEAN": f"{name}::BIGINT",
        "TIMESTAMP": time_text(name),
    }
    return f"{text.get(kind, name)} AS {name}"


SPELLED = f"""{", ".join(spelled(name) for name in COLUMNS)}, 'see breaks.parquet of run ' || last_run AS detail"""
"""All columns as the tables keep them, and what they have for a detail."""


def kept(database: Database) -> set[bool]:
    """Which parts there are: True for open ones, False for closed ones."""
    return {bool(is_open) for (is_open,) in database.execute("SELECT DISTINCT is_open FROM tails")}


def relation(database: Database, folder: Path, *, is_open: bool | None = None) -> str:
    """SQL of all that the parts hold (None: open and closed), which are put into ``folder`` for as long as it is read."""
    chosen = "" if is_open is None else f" WHERE is_open = {int(is_open)}"
    files = []
    for (part,) in database.execute(f"SELECT part FROM tails{chosen} ORDER BY part"):
        ((content,),) = database.execute("SELECT content FROM tails WHERE part = ?", (part,))
        file = folder / f"tail-{part}.parquet"
        file.write_bytes(content)
        files.append(quoted(str(file)))
    if files:
        return f"(SELECT {', '.join(COLUMNS)} FROM read_parquet([{', '.join(files)}]))"
    return f"(SELECT {', '.join(f'CAST(NULL AS {kind}) AS {name}' for name, kind in COLUMNS.items())} WHERE false)"


def keep(database: Database, run_id: str, files: Iterable[Path], *, is_open: bool) -> None:
    """Take Parquet files as parts: open ones in place of all open ones, closed ones beside those that are there."""
    if is_open:
        database.execute("DELETE FROM tails WHERE is_open = 1")
    ((last,),) = database.execute("SELECT max(part) FROM tails")
    for part, file in enumerate(files, (last or 0) + 1):
        database.execute("INSERT INTO tails VALUES (?, ?, ?, ?)", (part, run_id, int(is_open), file.read_bytes()))


def damaged(database: Database) -> StateError:
    """What to raise where a part cannot be read."""
    return StateError(f"{database.name}: damaged: the breaks that it keeps in bulk cannot be read; restore a backup of it")


def positions(database: Database) -> list[Position]:
    """The positions that are in the tables."""
    return [
        (broker, account, symbol, leg)
        for broker, account, symbol, leg in database.execute("SELECT DISTINCT broker, account, symbol, leg FROM episodes")
    ]


def adopt(database: Database, breaks: Iterable[Mapping[str, Any]]) -> None:
    """Put breaks of tails (``SPELLED``) into the tables, where their positions are not yet. In a transaction."""
    found = list(breaks)
    episodes = {tuple(entry[name] for name in (*KEY_COLUMNS, "episode")): entry for entry in found}
    lives = ("first_run", "agreed_at", "resolved_at", "resolved_run")
    database.load(
        "episodes",
        (*KEY_COLUMNS, "episode", "first_seen", *lives),
        [(*key, entry["began"], *(entry[name] for name in lives)) for key, entry in sorted(episodes.items())],
    )
    columns = ("is_open", "first_seen", "last_seen", "last_run", "episode", *Seen._fields)
    database.load("breaks", columns, [tuple(entry[name] for name in columns) for entry in found])


def adopt_position(database: Database, name: str) -> None:
    """Move all that is known of the position of a break from the tails into the tables. In a transaction."""
    for entry in ask(database, "id = ?", (name,))[:1]:
        same = " AND ".join(f"{column} = ?" for column in KEY_COLUMNS)
        adopt(database, ask(database, same, [entry[column] for column in KEY_COLUMNS]))


def ask(database: Database, condition: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """The breaks of positions that are in tails alone, for which a condition in DuckDB's SQL holds: ``SPELLED`` and
    ``position_seen``, when any break of its position and episode was seen last."""
    if not kept(database):
        return []
    key = ", ".join(KEY_COLUMNS)
    try:
        with TemporaryDirectory(prefix="tails-", dir=scratch_folder()) as folder, closing(duckdb.connect()) as connection:
            held = relation(database, Path(folder))
            connection.execute(
                f"""SELECT {SPELLED}, {time_text("newest")} AS position_seen
                    FROM (SELECT *, max(last_seen) OVER (PARTITION BY {key}, episode) AS newest FROM {held}) t
                    WHERE {condition} ORDER BY {key}, episode, type""",
                list(parameters),
            )
            names = [column[0] for column in connection.description or ()]
            found = [dict(zip(names, row, strict=True)) for row in connection.fetchall()]
    except duckdb.Error:
        raise damaged(database) from None
    worked = set(positions(database)) if found else set[Position]()
    return [entry for entry in found if tuple(entry[name] for name in KEY_COLUMNS) not in worked]
