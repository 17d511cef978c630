"""How a break lives: it opens, ages with its position, changes its type, is proven gone, and comes back in another episode.

Age, notes and assignee belong to the *position* (broker, account, symbol, leg) and its *episode*, which grows when a position
that was proven clean breaks again. A break closes only when a run proves it gone, and an episode when no break of it is open.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import NamedTuple

from recon_core.state.database import Database, Value
from recon_core.state.times import moment, stored

Position = tuple[str, str, str, str]
"""Broker, account, symbol, leg."""


class Seen(NamedTuple):
    """A break of a run. Quantities and impact are exact text, None where unknown; ``suppressed`` is why, None where it is not."""

    id: str
    broker: str
    account: str
    symbol: str
    leg: str
    type: str
    severity: str
    book_quantity: str | None
    broker_quantity: str | None
    quantity_difference: str | None
    impact: str | None
    halts: int
    suppressed: str | None
    superseded_by: str | None
    detail: str


class OpenBreak(NamedTuple):
    """A break of earlier runs that nothing has proven gone yet."""

    id: str
    type: str
    broker: str
    account: str
    symbol: str
    leg: str


class Episode(NamedTuple):
    """Which episode of a position it is, and when that began."""

    number: int
    first_seen: datetime


class Moved(NamedTuple):
    """What a run changed: the ids of the breaks that it closed, and the episodes of the positions that it found broken."""

    closed: Sequence[str]
    episodes: Mapping[Position, Episode]


_KEY = ("broker", "account", "symbol", "leg")
_BY_KEY = itemgetter(slice(1, 6))


def clocks(database: Database) -> dict[str, datetime]:
    """By broker, the time of the newest run that moved its breaks."""
    return {broker: moment(as_of) for broker, as_of in database.execute("SELECT broker, as_of FROM clocks")}


def move(
    database: Database,
    run_id: str,
    as_of: datetime,
    seen: Sequence[Seen],
    brokers: Sequence[str],
    gone: Callable[[Sequence[OpenBreak]], Collection[str]],
    continued: Mapping[Position, Position],
) -> Moved:
    """Record the breaks of a run, and close those that it proves gone; only ``brokers`` are touched. In a transaction.

    ``gone`` is asked about the open breaks that the run did not see, and returns the ids of those that it proves gone.
    ``continued`` are positions that were known under another name: an episode that is open under it goes on there.
    """
    others = {entry.broker for entry in seen}.difference(brokers)
    known = _episodes(database, others, "first_seen <= ? AND (resolved_at IS NULL OR resolved_at > ?)", as_of)
    if not brokers:
        return Moved((), known)
    ours = [entry for entry in seen if entry.broker not in others]
    current = _episodes(database, brokers, "resolved_at IS NULL")
    former = {now: before for now, before in continued.items() if before in current and now not in current}
    ours = [entry._replace(symbol=former[entry[1:5]][2]) if entry[1:5] in former else entry for entry in ours]
    current |= _begin(database, run_id, as_of, {entry[1:5] for entry in ours}.difference(current))
    _sight(database, run_id, stored(as_of), ours, current)
    _agree(database, stored(as_of), {entry[1:5] for entry in ours if entry.quantity_difference == "0"})
    closed = _close(database, run_id, stored(as_of), brokers, gone)
    for broker in brokers:
        database.execute(
            """INSERT INTO clocks VALUES (?, ?, ?)
               ON CONFLICT (broker) DO UPDATE SET as_of = excluded.as_of, run_id = excluded.run_id""",
            (broker, stored(as_of), run_id),
        )
    return Moved(closed, known | current | {now: current[before] for now, before in former.items()})


def _episodes(database: Database, brokers: Collection[str], where: str, *times: datetime) -> dict[Position, Episode]:
    """The episodes of some brokers; ``where`` has two places for a time, or none."""
    if not brokers:
        return {}
    named, places = _among(brokers)
    when = [stored(time) for time in times] * where.count("?")
    rows = database.execute(
        f"SELECT broker, account, symbol, leg, episode, first_seen FROM episodes WHERE {where} AND broker IN {named}",
        (*when, *places),
    )
    moments = {text: moment(text) for text in {row[5] for row in rows}}
    return {(broker, account, symbol, leg): Episode(number, moments[first]) for broker, account, symbol, leg, number, first in rows}


def _begin(database: Database, run_id: str, as_of: datetime, positions: Collection[Position]) -> dict[Position, Episode]:
    """New episodes, each with the next number of its position."""
    if not positions:
        return {}
    ordered, time = sorted(positions), stored(as_of)
    _temporary(database, "opening", _KEY, ordered)
    same = " AND ".join(f"e.{name} = o.{name}" for name in _KEY)
    columns = ", ".join(f"o.{name}" for name in _KEY)
    rows = database.execute(f"SELECT {columns}, max(e.episode) FROM opening o JOIN episodes e ON {same} GROUP BY {columns}")
    last = {(broker, account, symbol, leg): int(number) for broker, account, symbol, leg, number in rows}
    begun = {position: Episode(last.get(position, 0) + 1, as_of) for position in ordered}
    database.load(
        "episodes",
        (*_KEY, "episode", "first_seen", "first_run"),
        ((*position, episode.number, time, run_id) for position, episode in begun.items()),
    )
    return begun


def _sight(database: Database, run_id: str, time: str, seen: Sequence[Seen], current: Mapping[Position, Episode]) -> None:
    """Put down how each break looks now."""
    key = (*_KEY, "episode", "type")
    looks = [name for name in Seen._fields if name not in key]
    database.upsert(
        "breaks",
        ("is_open", "first_seen", "last_seen", "last_run", "episode", *Seen._fields),
        # in the order of the key, as the table keeps them: pages are filled one after the other
        ((1, time, time, run_id, current[entry[1:5]].number, *entry) for entry in sorted(seen, key=_BY_KEY)),
        key=key,
        update=("is_open", "last_seen", "last_run", *looks),
    )


def _agree(database: Database, time: str, positions: Collection[Position]) -> None:
    """Put down that the quantities of positions agreed, though a price or an age is a break."""
    if not positions:
        return
    _temporary(database, "agreeing", _KEY, sorted(positions))
    database.execute(
        f"""UPDATE episodes SET agreed_at = ?
            WHERE resolved_at IS NULL AND ({", ".join(_KEY)}) IN (SELECT {", ".join(_KEY)} FROM agreeing)""",
        (time,),
    )


def _close(
    database: Database,
    run_id: str,
    time: str,
    brokers: Collection[str],
    gone: Callable[[Sequence[OpenBreak]], Collection[str]],
) -> list[str]:
    """Close the breaks that are gone, and the episodes that have no other; the ids of the breaks."""
    named, places = _among(brokers)
    unseen = database.execute(
        f"SELECT {', '.join(OpenBreak._fields)} FROM breaks WHERE is_open = 1 AND last_run <> ? AND broker IN {named}",
        (run_id, *places),
    )
    closed = sorted(gone([OpenBreak(*row) for row in unseen])) if unseen else []
    if not closed:
        return []
    _temporary(database, "gone", ("id",), ((name,) for name in closed))
    same = " AND ".join(f"b.{name} = episodes.{name}" for name in (*_KEY, "episode"))
    open_and_gone = f"is_open = 1 AND broker IN {named} AND id IN (SELECT id FROM gone)"
    _temporary(database, "emptied", (*_KEY, "episode"), ())
    database.execute(f"INSERT INTO emptied SELECT DISTINCT {', '.join(_KEY)}, episode FROM breaks WHERE {open_and_gone}", places)
    database.execute(f"UPDATE breaks SET is_open = 0 WHERE {open_and_gone}", places)
    database.execute(
        f"""UPDATE episodes SET resolved_at = ?, resolved_run = ?
            WHERE ({", ".join(_KEY)}, episode) IN (SELECT {", ".join(_KEY)}, episode FROM emptied)
                AND NOT EXISTS (SELECT 1 FROM breaks b WHERE {same} AND b.is_open = 1)""",
        (time, run_id),
    )
    return closed


def _temporary(database: Database, name: str, columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
    """A table of this connection alone."""
    kinds = ", ".join(f"{column} {'BIGINT' if column in ('halts', 'episode') else 'TEXT'}" for column in columns)
    database.execute(f"DROP TABLE IF EXISTS {name}")
    database.execute(f"CREATE TEMPORARY TABLE {name} ({kinds})")
    database.load(name, columns, rows)


def _among(names: Collection[str]) -> tuple[str, list[Value]]:
    """SQL of a list of names, and its parameters."""
    return f"({', '.join('?' * len(names))})", list(names)
