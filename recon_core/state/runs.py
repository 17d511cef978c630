"""Runs as the store keeps them: what each found and decided, its whole report, and its line of the history."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from hashlib import sha256
from typing import Any, NamedTuple

from recon_core.errors import NotRecordedError, StateError
from recon_core.state.actor import Actor
from recon_core.state.audit import Head, append
from recon_core.state.database import Database
from recon_core.state.times import moment, stored

_FILES = ("policy", "config")
_TOLD = ("started_at", "finished_at", "as_of", "live", "verdict", "exit_code", "halt", "summary")
"""Columns of a run that say what its report and its record say."""


class Run(NamedTuple):
    """A recorded run. ``live``: nobody asked for its time. ``summary`` is its line of the history, as JSON text."""

    run_id: str
    seq: int
    started_at: datetime
    as_of: datetime
    live: bool
    verdict: str
    exit_code: int
    halt: bool
    summary: str


def add_run(
    database: Database,
    actor: Actor,
    report: Mapping[str, Any],
    *,
    live: bool,
    text: str,
    summarise: Mapping[str, Any],
    scopes: Sequence[str],
) -> tuple[Head, str]:
    """Record a run with its audit record, and a record of each of policy and configuration that changed. In a transaction.

    ``text`` is the report as it will be printed, but with ``"audit": null`` at its end, and ``summarise`` its line of the
    history. ``scopes`` are those whose permission to trade the run bears on. Returns the head and the text with the head in
    it, which is what is kept.
    """
    before = _newest(database)
    for what in _FILES:
        _note_change(database, actor, what, before, report[what])
    head = append(
        database,
        "run",
        actor,
        f"{report['verdict']}, {report['break_count']} breaks" + (", trading halted" if report["decision"]["halt"] else ""),
        before=before and {name: before[name] for name in ("run_id", "verdict", "halt")},
        after={
            **{name: report[name] for name in ("run_id", "as_of", "verdict", "exit_code", "break_count", "total_impact")},
            "live": live,
            "halt": report["decision"]["halt"],
            "halting": report["halting"],
            "reasons": [{name: reason[name] for name in ("policy", "detail", "scope")} for reason in report["decision"]["reasons"]],
            "report_sha256": sha256(text.encode()).hexdigest(),
        },
        inputs={
            "book": report["book"]["sha256"],
            "feeds": {feed["broker"]: feed["sha256"] for feed in report["feeds"]},
            "policy": report["policy"]["sha256"],
            "config": report["config"]["sha256"],
            "plugins": {plugin["name"]: plugin["sha256"] for plugin in report["plugins"]},
        },
        scopes=scopes,
        at=_time(report["finished_at"]),
    )
    whole = with_audit(text, head)
    row = {
        "run_id": report["run_id"],
        "seq": head.seq,
        **{name: stored(_time(report[name])) for name in ("started_at", "finished_at", "as_of")},
        "live": int(live),
        "verdict": report["verdict"],
        "exit_code": report["exit_code"],
        "halt": int(report["decision"]["halt"]),
        **{f"{what}_{name}": report[what][name] for what in _FILES for name in ("path", "sha256")},
        "summary": _line(summarise, head),
        "report": zlib.compress(whole.encode(), 3),
    }
    database.load("runs", list(row), [list(row.values())])
    database.load(
        "feeds",
        ("run_id", "broker", "status", "as_of", "sha256", "positions", "accounts", "unproven_accounts"),
        [
            (
                report["run_id"], feed["broker"], feed["status"], feed["as_of"], feed["sha256"], feed["positions"],
                json.dumps(feed["coverage"]["accounts"]), json.dumps(feed["unproven_accounts"]),
            )
            for feed in report["feeds"]
        ],
    )  # fmt: skip
    _note_deliveries(database, report)
    return head, whole


def with_audit(text: str, head: Head) -> str:
    """The report's text with its audit record in place of the null at its end."""
    end = '"audit": null\n}\n'
    if not text.endswith(end):
        raise ValueError("the report does not end with its audit record")
    return f'{text.removesuffix(end)}"audit": {{\n    "seq": {head.seq},\n    "head": "{head.head}"\n  }}\n}}\n'


def runs(database: Database, *, limit: int, where: str = "", parameters: Sequence[str | int] = ()) -> list[Run]:
    """The newest runs, newest last."""
    rows = database.execute(f"SELECT {', '.join(Run._fields)} FROM runs {where} ORDER BY seq DESC LIMIT ?", (*parameters, limit))
    return [_run(dict(zip(Run._fields, row, strict=True))) for row in rows[::-1]]


def known_runs(database: Database, run_ids: Sequence[str]) -> set[str]:
    """Those of ``run_ids`` that are recorded."""
    places = ", ".join("?" * len(run_ids))
    return (
        {row[0] for row in database.execute(f"SELECT run_id FROM runs WHERE run_id IN ({places})", run_ids)} if run_ids else set()
    )


def report_text(database: Database, run_id: str) -> str:
    """The report of a run, byte for byte as it was printed. Raises NotRecordedError where there is none, StateError where it is
    damaged."""
    rows = database.execute("SELECT report FROM runs WHERE run_id = ?", (run_id,))
    if not rows:
        near = [run.run_id for run in runs(database, limit=3)]
        raise NotRecordedError(f"{database.name}: has no run {run_id}; the newest are {', '.join(near) or 'none'}")
    return _unpacked(database, run_id, rows[0][0])


def sealed_report(database: Database, run_id: str) -> dict[str, Any]:
    """The report of a run, held against its audit record. Raises as ``report_text`` does, and StateError where they differ."""
    text = report_text(database, run_id)
    try:
        ((body, digest),) = database.execute("SELECT body, hash FROM audit JOIN runs USING (seq) WHERE run_id = ?", (run_id,))
        bare = text[: text.rindex('"audit": {')] + '"audit": null\n}\n'
        stated = json.loads(body)["after"]
        if sha256(body.encode()).hexdigest() != digest or stated["report_sha256"] != sha256(bare.encode()).hexdigest():
            raise ValueError("they differ")
        found: dict[str, Any] = json.loads(text)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise StateError(
            f"{database.name}: the report of run {run_id} is not the one that its audit record tells of: "
            "`recon-core audit verify` says more"
        ) from None
    return found


def faults(database: Database, summarise: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> list[str]:
    """Runs that are not what their audit records say, and what is kept of them beside their reports, in words.

    ``summarise`` makes a run's line of the history, but for the head, of its report.
    """
    found = []
    recorded = {}
    for seq, body in database.execute("SELECT seq, body FROM audit WHERE kind = 'run'"):
        try:
            after = json.loads(body)["after"]
            recorded[seq] = (after["run_id"], after["report_sha256"], after["live"])
        except (ValueError, TypeError, KeyError, RecursionError):
            found.append(f"record {seq}: is no record of a run")
    taken: dict[tuple[str, str], str] = {}
    for run_id, seq, packed, *row in database.execute(f"SELECT run_id, seq, report, {', '.join(_TOLD)} FROM runs ORDER BY seq"):
        stated = recorded.pop(seq, None)
        if stated is None or stated[0] != run_id:
            found.append(f"run {run_id}: record {seq} is not of this run")
            continue
        try:
            text = _unpacked(database, run_id, packed)
            end = text.rindex('"audit": {')
        except (StateError, ValueError):
            found.append(f"run {run_id}: its report is damaged")
            continue
        bare = text[:end] + '"audit": null\n}\n'
        if sha256(bare.encode()).hexdigest() != stated[1] or (report := json.loads(text))["audit"]["seq"] != seq:
            found.append(f"run {run_id}: its report is not the one that record {seq} tells of")
            continue
        told = (
            *(stored(_time(report[name])) for name in ("started_at", "finished_at", "as_of")),
            int(stated[2]),
            report["verdict"],
            report["exit_code"],
            int(report["decision"]["halt"]),
            _line(summarise(report), Head(**report["audit"])),
        )
        if tuple(row) != told:
            found.append(f"run {run_id}: its row is not what its report says")
        for broker, digest, day in _deliveries(report):
            taken[broker, digest] = max(day, taken.get((broker, digest), ""))
    found += [f"record {seq}: run {run_id} is gone" for seq, (run_id, *_) in sorted(recorded.items())]
    kept = {(broker, digest): day for broker, digest, day in database.execute("SELECT broker, sha256, day FROM delivered")}
    for broker, digest in sorted({key for key in {*kept, *taken} if kept.get(key) != taken.get(key)}):
        found.append(f"broker {broker}: what is kept of the file of sha256 {digest} is not what the reports say")
    return found


def delivered(database: Database) -> dict[str, dict[str, date]]:
    """The files of earlier runs: broker to sha256 to the last day that it was taken for."""
    found: dict[str, dict[str, date]] = {}
    for broker, digest, day in database.execute("SELECT broker, sha256, day FROM delivered"):
        try:
            found.setdefault(broker, {})[digest] = date.fromisoformat(day)
        except (ValueError, TypeError):
            raise StateError(f"{database.name}: damaged: {day!r} is no day; restore a backup") from None
    return found


def _run(row: Mapping[str, Any]) -> Run:
    times = {name: moment(row[name]) for name in ("started_at", "as_of")}
    return Run(**{**row, **times, "live": bool(row["live"]), "halt": bool(row["halt"])})


def _note_deliveries(database: Database, report: Mapping[str, Any]) -> None:
    for delivery in _deliveries(report):
        database.execute(
            """INSERT INTO delivered VALUES (?, ?, ?) ON CONFLICT (broker, sha256) DO UPDATE
               SET day = CASE WHEN excluded.day > delivered.day THEN excluded.day ELSE delivered.day END""",
            delivery,
        )


def _deliveries(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The files that a run took: broker, sha256, day."""
    day = str(report["as_of"])[:10]
    return [(feed["broker"], feed["sha256"], day) for feed in report["feeds"] if feed["sha256"] and feed["status"] == "COMPLETE"]


def _newest(database: Database) -> dict[str, Any] | None:
    names = ("run_id", "verdict", "halt", "policy_path", "policy_sha256", "config_path", "config_sha256")
    rows = database.execute(f"SELECT {', '.join(names)} FROM runs ORDER BY seq DESC LIMIT 1")
    return dict(zip(names, rows[0], strict=True)) | {"halt": bool(rows[0][2])} if rows else None


def _note_change(database: Database, actor: Actor, what: str, before: Mapping[str, Any] | None, now: Mapping[str, str]) -> None:
    if before is None or before[f"{what}_sha256"] == now["sha256"]:
        return
    old = {name: before[f"{what}_{name}"] for name in ("path", "sha256")}
    append(database, f"{what}-changed", actor, f"{now['path']} is not what the run before used", before=old, after=dict(now))


def _line(summary: Mapping[str, Any], head: Head) -> str:
    return json.dumps({**summary, "head": str(head)}, ensure_ascii=False)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _unpacked(database: Database, run_id: str, packed: Any) -> str:
    try:
        return zlib.decompress(packed).decode()
    except (zlib.error, UnicodeError, TypeError) as error:
        raise StateError(f"{database.name}: the report of run {run_id} is damaged ({error}); restore a backup") from None
