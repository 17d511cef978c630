"""What has changed since the run before: which breaks are gone, which are new, and which of earlier runs this one did not judge."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

from recon_core.state import corrections
from recon_core.state.database import Database
from recon_core.state.lifecycle import OpenBreak, Position, Seen
from recon_core.state.times import printed, stored

MOST = 1_000
"""How many of each are told one by one."""

_BY_PLACE = itemgetter("broker", "account", "symbol", "leg", "type")
_LONGEST_FIRST = itemgetter(-2, 2, 3, 4, 5, 1)


class Before(NamedTuple):
    """The newest run before this one that moved breaks, and what it left open and not superseded, by id."""

    run_id: str
    as_of: str
    open: Mapping[str, OpenBreak]


class Bulk(NamedTuple):
    """The same of breaks that are followed in bulk: how many of each, and the first MOST, in the order in which they are told.

    ``not_judged`` has beside each when its episode began and when it was last seen.
    """

    cleared_count: int = 0
    cleared: Sequence[OpenBreak] = ()
    new_count: int = 0
    new: Sequence[str] = ()
    not_judged_count: int = 0
    not_judged: Sequence[tuple[Any, ...]] = ()


NOTHING = Bulk()
"""Nothing has changed, and nothing is left over."""


def before(database: Database, brokers: Sequence[str], as_of: datetime) -> Before | None:
    """How things stood at ``brokers``, before a run moves their breaks; None where nothing came before, or it moves none.

    The run is that of one of these brokers if there is one, else of another.
    """
    if not brokers:
        return None
    named = f"({', '.join('?' * len(brokers))})"
    newest = f"SELECT run_id, as_of FROM clocks WHERE as_of <= ? ORDER BY broker IN {named} DESC, as_of DESC, run_id DESC LIMIT 1"
    rows = database.execute(newest, (stored(as_of), *brokers))
    if not rows:
        return None
    held = database.execute(
        f"""SELECT {", ".join(OpenBreak._fields)} FROM breaks
            WHERE is_open = 1 AND superseded_by IS NULL AND broker IN {named}""",
        brokers,
    )
    return Before(rows[0][0], printed(rows[0][1]), {row[0]: OpenBreak(*row) for row in held})


def since(
    database: Database,
    before: Before,
    run_id: str,
    *,
    brokers: Collection[str],
    seen: Sequence[Seen],
    closed: Collection[str],
    continued: Mapping[Position, Position],
    bulk: Bulk = NOTHING,
) -> dict[str, Any] | None:
    """``since_last`` of a run's report, but for ``remaining``: what it found against what was open before it; None where nothing
    changed and nothing is left over, so that the same inputs give the same report again.

    ``seen``, ``closed`` and ``continued`` are as ``lifecycle.move`` had and gave them. A break of a broker that the run did not
    ask, of an account that did not answer or of a rule that lacks a value is neither seen nor closed: it is still open.
    """
    gone = [before.open[name] for name in closed if name in before.open]
    cleared = sorted((_told(entry) for entry in (*gone, *bulk.cleared)), key=_BY_PLACE)
    known = {(*entry[2:], entry.type) for entry in before.open.values()}
    new = [
        entry.id
        for entry in seen
        if entry.broker in brokers
        and entry.suppressed is None
        and entry.superseded_by is None
        and (*entry[1:5], entry.type) not in known
        and (*continued.get(entry[1:5], entry[1:5]), entry.type) not in known
    ]
    judged = {entry.id for entry in seen}
    still = [row for row in (*_unseen(database, run_id), *bulk.not_judged) if row[0] not in judged]
    if not (cleared or new or bulk.new or still):
        return None
    return {
        "run_id": before.run_id,
        "as_of": before.as_of,
        "cleared_count": len(gone) + bulk.cleared_count,
        "cleared": [entry | {"correction": _corrected(database, entry)} for entry in cleared[:MOST]],
        "new_count": len(new) + bulk.new_count,
        "new": [*new, *bulk.new][:MOST],
        "not_judged_count": len(still) - len(bulk.not_judged) + bulk.not_judged_count,
        "not_judged": [_left(row) for row in sorted(still, key=_LONGEST_FIRST)[:MOST]],
    }


def _unseen(database: Database, run_id: str) -> list[tuple[Any, ...]]:
    """The open breaks that the run said nothing of, each with when its episode began and when it was last seen."""
    same = " AND ".join(f"b.{name} = e.{name}" for name in ("broker", "account", "symbol", "leg", "episode"))
    return database.execute(
        f"""SELECT {", ".join(f"b.{name}" for name in OpenBreak._fields)}, e.first_seen, b.last_seen
            FROM breaks b JOIN episodes e ON {same}
            WHERE b.is_open = 1 AND b.last_run <> ? AND b.superseded_by IS NULL AND b.suppressed IS NULL""",
        (run_id,),
    )


def _left(row: Sequence[Any]) -> dict[str, Any]:
    return _told(OpenBreak(*row[:-2])) | {"first_seen": printed(row[-2]), "last_seen": printed(row[-1])}


def _corrected(database: Database, entry: Mapping[str, Any]) -> str | None:
    return corrections.that_ended(database, (entry["broker"], entry["account"], entry["symbol"], entry["leg"]), entry["type"])


def _told(entry: OpenBreak) -> dict[str, Any]:
    return entry._asdict()
