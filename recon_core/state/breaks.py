"""The breaks as people work them: listed, shown with their past, assigned, noted and accepted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import Any

from recon_core.errors import NotRecordedError
from recon_core.schedule import Schedule, sessions_between
from recon_core.state import corrections, suppressions, tails
from recon_core.state.actor import Actor
from recon_core.state.audit import append
from recon_core.state.corrections import Correction
from recon_core.state.database import Database
from recon_core.state.runs import report_text
from recon_core.state.times import moment, printed, stored

STATUSES = ("new", "open", "reopened", "suppressed", "superseded", "resolved")
"""What a break can be: ``new`` and ``reopened`` at the time that first saw its position broken, ``open`` later."""

_COLUMNS = (
    "id", "type", "severity", "broker", "account", "symbol", "leg", "episode", "is_open", "last_seen", "book_quantity",
    "broker_quantity", "quantity_difference", "impact", "halts", "suppressed", "superseded_by", "detail",
)  # fmt: skip
_KEY = ("broker", "account", "symbol", "leg")
_LAST_SEEN = f"SELECT max(last_seen) FROM breaks a WHERE {' AND '.join(f'a.{name} = e.{name}' for name in (*_KEY, 'episode'))}"
_SELECT = f"""
    SELECT {", ".join(f"b.{name}" for name in _COLUMNS)}, e.first_seen, ({_LAST_SEEN}), e.resolved_at, e.assignee
    FROM breaks b JOIN episodes e ON {" AND ".join(f"b.{name} = e.{name}" for name in (*_KEY, "episode"))}"""
_POSITION = "broker = ? AND account = ? AND symbol = ? AND leg = ?"


def listed(
    database: Database,
    *,
    status: str | None = None,
    patterns: Mapping[str, str] | None = None,
    schedule: Schedule | None = None,
) -> list[dict[str, Any]]:
    """The breaks of a status (None: those that are open and not superseded), what was seen first at the top.

    ``patterns`` are of ``broker``, ``account``, ``symbol`` and ``type``, with ``*`` and ``?`` as in file names. Ages count the
    sessions of ``schedule``.
    """
    is_open = int(status != "resolved")
    rows = [_told(row, schedule) for row in database.execute(f"{_SELECT} WHERE b.is_open = ?", (is_open,))]
    wanted = (patterns or {}).items()
    where = " AND ".join([f"is_open = {bool(is_open)}", *(f"{name} GLOB ?" for name, _ in wanted)])
    rows += [_told(_row(entry), schedule) for entry in tails.ask(database, where, [pattern for _, pattern in wanted])]
    chosen = [
        row
        for row in rows
        if (row["status"] == status if status else row["status"] != "superseded")
        and all(fnmatchcase(row[name], pattern) for name, pattern in wanted)
    ]
    return sorted(
        chosen, key=lambda row: (row["first_seen"], row["broker"], row["account"], row["symbol"], row["leg"], row["type"])
    )


def shown(database: Database, name: str, schedule: Schedule | None = None) -> dict[str, Any]:
    """All that is known of the position of a break: its episodes, the breaks of the newest one, notes and suppressions.

    ``name`` is an id, or the beginning of one that no other has. Raises NotRecordedError where there is none, or several.
    """
    found = newest(database, name)
    position = tuple(found[key] for key in _KEY)
    episodes = database.execute(
        f"""SELECT episode, first_seen, ({_LAST_SEEN}), resolved_at, assignee, resolved_run FROM episodes e
            WHERE {_POSITION} ORDER BY episode""",
        position,
    )
    same = " AND ".join(f"b.{key} = ?" for key in _KEY)
    breaks = [_told(row, schedule) for row in database.execute(f"{_SELECT} WHERE {same} ORDER BY b.first_seen, b.type", position)]
    ids = sorted({entry["id"] for entry in breaks})
    resolved = {row[0]: row[5] for row in episodes if row[5]}
    notes = database.execute(f"SELECT at, author, episode, text FROM notes WHERE {_POSITION} ORDER BY seq", position)
    return {
        **{key: found[key] for key in (*_KEY, "episode", "assignee")},
        "episodes": [
            {
                "episode": row[0],
                "first_seen": printed(row[1]),
                "last_seen": printed(row[2]),
                "resolved_at": row[3] and printed(row[3]),
                "resolved_run": row[5],
                "assignee": row[4],
            }
            for row in episodes
        ],
        "breaks": breaks,
        "notes": [{"at": printed(row[0]), "author": row[1], "episode": row[2], "text": row[3]} for row in notes],
        "corrections": [_correction(entry, resolved) for entry in corrections.of_position(database, position)],
        "suppressions": [
            {
                "audit": entry.seq,
                "id": entry.id,
                "type": entry.type,
                "quantity_difference": f"{entry.quantity_difference:f}",
                "until": entry.until.isoformat(),
                "reason": entry.reason,
                "approved_by": entry.approved_by,
                "ended_at": ended_at and printed(ended_at),
                "ended_why": why,
            }
            for entry, ended_at, why in suppressions.past(database, ids)
        ],
    }


def _correction(entry: Correction, resolved: Mapping[int, str]) -> dict[str, Any]:
    """A correction as a program gets it; ``cleared_by`` is the run that proved the break gone which it was to end."""
    names = ("id", "state", "kind", "episode", "run_id", "before", "after", "pnl", "by", "reason", "requested_by", "approved_by")
    told = {name: getattr(entry, name) for name in (*names, "applied_at", "reverts", "reverted_by", "why")}
    return {**told, "cleared_by": resolved.get(entry.episode) if entry.state == "applied" and entry.reverts is None else None}


def last_report(database: Database, name: str) -> tuple[str, dict[str, Any]]:
    """The id of a break, and the report of the run that saw it last. Raises as ``shown`` does."""
    found = newest(database, name)
    same = " AND ".join(f"{key} = ?" for key in (*_KEY, "episode", "type"))
    values = [found[key] for key in (*_KEY, "episode", "type")]
    ((run_id,),) = database.execute(f"SELECT last_run FROM breaks WHERE {same}", values)
    report: dict[str, Any] = json.loads(report_text(database, run_id))
    return found["id"], report


def assign(database: Database, actor: Actor, name: str, to: str) -> dict[str, Any]:
    """Give a position's episode to a person; an empty name is nobody. Returns the break."""
    with database.transaction():
        found = newest(database, name)
        position = tuple(found[key] for key in _KEY)
        append(
            database,
            "assignment",
            actor,
            f"{_place(found)}, episode {found['episode']}: " + (f"assigned to {to}" if to else "assigned to nobody"),
            before={"assignee": found["assignee"]},
            after={**{key: found[key] for key in (*_KEY, "episode")}, "assignee": to or None},
        )
        database.execute(
            f"UPDATE episodes SET assignee = ? WHERE {_POSITION} AND episode = ?", (to or None, *position, found["episode"])
        )
    return {**found, "assignee": to or None}


def note(database: Database, actor: Actor, name: str, text: str) -> dict[str, Any]:
    """Add a note to a position's episode. Returns the break."""
    with database.transaction():
        found = newest(database, name)
        position = tuple(found[key] for key in _KEY)
        now = datetime.now(UTC)
        after = {**{key: found[key] for key in (*_KEY, "episode")}, "text": text}
        what = f"{_place(found)}, episode {found['episode']}: noted"
        head = append(database, "note", actor, what, after=after, at=now)
        row = (head.seq, stored(now), str(actor), *position, found["episode"], text)
        database.execute("INSERT INTO notes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    return found


def suppress(database: Database, actor: Actor, name: str, *, until: date, reason: str, approved_by: str) -> dict[str, Any]:
    """Accept a break as it was last seen, to the end of a day (UTC). Returns the break.

    Raises NotRecordedError where it is not open, or its difference is unknown.
    """
    with database.transaction():
        found = newest(database, name)
        if found["status"] in ("resolved", "superseded"):
            raise NotRecordedError(f"{found['id']} is {found['status']}: there is nothing to accept")
        since = moment(found["last_seen"]).date()
        suppressions.accept(database, actor, of=found, since=since, until=until, reason=reason, approved_by=approved_by)
    return found


def newest(database: Database, name: str) -> dict[str, Any]:
    """The break of an id, or of the beginning of one, in its newest episode. Raises NotRecordedError."""
    rows = _named(database, name)
    ids = sorted({row["id"] for row in rows})
    if name and not (ids == [name] or len(ids) > 1):
        bulk = sorted({entry["id"] for entry in tails.ask(database, "starts_with(id, ?)", (name,))})
        if len(bulk) == 1 and not ids:  # what people look at is from then on in the tables
            with database.transaction():
                tails.adopt_position(database, bulk[0])
            rows = _named(database, name)
        ids = sorted({*ids, *bulk})
    if len(ids) > 1:
        raise NotRecordedError(
            f"{name} is the beginning of {len(ids)} breaks: {', '.join(ids[:5])}{', ...' if len(ids) > 5 else ''}"
        )
    if not rows:
        raise NotRecordedError(f"there is no break {name}: `recon-core breaks list` shows those that are open")
    return rows[0]


def _named(database: Database, name: str) -> list[dict[str, Any]]:
    """The breaks whose id begins so, the newest first."""
    found = database.execute(f"{_SELECT} WHERE substr(b.id, 1, ?) = ? ORDER BY b.episode DESC LIMIT 1000", (len(name), name))
    return [_told(row) for row in found] if name else []


def _row(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    """A break of a tail as a row of ``_SELECT``."""
    return (*(entry[name] for name in _COLUMNS), entry["began"], entry["position_seen"], entry["resolved_at"], None)


def _told(row: tuple[Any, ...], schedule: Schedule | None = None) -> dict[str, Any]:
    """A row of ``_SELECT`` as a program gets it."""
    found = dict(zip(_COLUMNS, row, strict=False))
    first_seen, position_seen, resolved_at, assignee = row[len(_COLUMNS) :]
    if not found.pop("is_open"):
        status = "resolved"
    elif found["superseded_by"]:
        status = "superseded"
    elif found["suppressed"] is not None:
        status = "suppressed"
    elif first_seen == position_seen:
        status = "new" if found["episode"] == 1 else "reopened"
    else:
        status = "open"
    return {
        **found,
        "status": status,
        "halts": bool(found["halts"]),
        "first_seen": printed(first_seen),
        "last_seen": printed(found["last_seen"]),
        "resolved_at": resolved_at and printed(resolved_at),
        "open_days": sessions_between(schedule, moment(first_seen), moment(resolved_at or position_seen)),
        "assignee": assignee,
    }


def _place(found: Mapping[str, Any]) -> str:
    leg = "" if found["leg"] == "NET" else f" {found['leg']}"
    return f"{found['broker']}/{found['account']} {found['symbol']}{leg}"
