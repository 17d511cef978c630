"""What a run leaves: the store first, in one transaction, then the files made from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from recon_core.config.credentials import store_url
from recon_core.config.settings import Settings
from recon_core.errors import StateError
from recon_core.following import follow, load_aged, tell_ages
from recon_core.halting import record_scopes
from recon_core.listing import parquet_query
from recon_core.raw_answers import keep_raw
from recon_core.recall import Known
from recon_core.report import to_html, to_json
from recon_core.scratch import scratch_folder
from recon_core.sql import quoted
from recon_core.state import corrections
from recon_core.state.actor import current_actor
from recon_core.state.agreements import agreements
from recon_core.state.audit import Head
from recon_core.state.database import Database
from recon_core.state.files import write_together
from recon_core.state.history import entry, write_history
from recon_core.state.lifecycle import Position
from recon_core.state.runs import add_run
from recon_core.state.store import open_store
from recon_core.verdict import Verdict

_NAMES = {"report": "report.json", "html": "report.html", "breaks": "breaks.parquet", "evidence": "evidence.parquet"}


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run that the store has: its audit record, and its report as text."""

    head: Head
    text: str


def commit(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    verdict: Verdict,
    report: dict[str, Any],
    known: Known,
    *,
    asked: bool,
    now: datetime,
    folder: Path,
) -> Recorded:
    """Record the verdict in the store and the audit chain, in one transaction. Raises StateError: then nothing is recorded.

    ``asked`` says that a person chose the run's time or policy. ``report`` gets the paths of its outputs in ``folder`` (which
    ``write_out`` writes), the age of its breaks, what has changed since the run before, and its audit record.
    """
    if known.trouble:
        raise known.trouble
    report["outputs"] = {what: str(folder / name) for what, name in _NAMES.items()}
    if not (report["evidence"] or (folder / _NAMES["evidence"]).exists()):  # one of an earlier run would be taken for this one's
        report["outputs"]["evidence"] = None
    raw = keep_raw(folder / "raw" / report["run_id"], verdict.feeds, at=now, as_of=verdict.as_of if asked else None)
    for told in report["feeds"]:
        told["raw"] = raw.feeds.get(told["broker"])
    for told in report["evidence"]:
        told["raw"] = raw.evidence.get(told["broker"])
    url = store_url(settings.store, settings.folder)
    with open_store(url, settings.state_dir, check=False) as store, store.transaction():
        scratch = scratch_folder(settings.limits.temp_dir)
        changes = follow(connection, store.database, verdict, report["run_id"], now=now, folder=scratch)
        if changes is not None:
            report["since_last"] = changes | {"remaining": report["break_count"] + changes["not_judged_count"]}
        tell_ages(connection, report, verdict.as_of, settings.schedule)
        _tell_last_agreed(report, store.database, verdict.as_of)
        _tell_corrections(report, store.database)
        head, text = add_run(
            store.database,
            current_actor(),
            report,
            live=not asked,
            text=to_json(report),
            summarise=entry(report),
            scopes=record_scopes(verdict, settings, asked=asked),
        )
    report["audit"] = {"seq": head.seq, "head": head.head}
    return Recorded(head, text)


def write_out(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    verdict: Verdict,
    report: Mapping[str, Any],
    recorded: Recorded,
    folder: Path,
) -> None:
    """Write the files of a recorded run to ``folder``, all or none, and the history; raises as ``though_recorded`` does."""
    query = parquet_query(verdict.policy, [accepted.reason for accepted in verdict.accepted])
    with though_recorded(report["run_id"]):
        load_aged(connection, verdict.as_of, settings.schedule)
        files = {
            _NAMES["html"]: lambda path: path.write_text(to_html(report), encoding="utf-8"),
            _NAMES["breaks"]: lambda path: _export(connection, query, path),
            _NAMES["report"]: lambda path: path.write_text(recorded.text, encoding="utf-8"),
        }
        if report["outputs"]["evidence"]:
            from recon_core.evidence_table import evidence_query

            told = evidence_query(connection, verdict.feeds, verdict.explanations)
            files = {_NAMES["evidence"]: lambda path: _export(connection, told, path), **files}
        write_together(folder, files)
        url = store_url(settings.store, settings.folder)
        with open_store(url, settings.state_dir, create=False, check=False) as store:
            write_history(settings.state_dir, store)


@contextmanager
def though_recorded(run_id: str) -> Iterator[None]:
    """For what is done after ``commit``: what fails inside is a StateError, which says that the run is recorded all the same."""
    try:
        yield
    except (StateError, duckdb.Error) as error:
        why = str(error).partition("\n")[0]
        raise StateError(f"{why}; run {run_id} is recorded: `recon-core report {run_id}` prints it") from None


def _tell_last_agreed(report: dict[str, Any], database: Database, as_of: datetime) -> None:
    """When the positions that were not looked into last agreed: of those that were, the report says so already."""
    untold = [found for found in report["discrepancies"] if (why := found["explanation"]) and why["last_agreed"] is None]
    if not untold:
        return
    known = agreements(database, list(map(_position, untold)), as_of)
    for found in untold:
        last = known.last(_position(found))
        found["explanation"]["last_agreed"] = last and last.isoformat().replace("+00:00", "Z")


def _position(found: Mapping[str, Any]) -> Position:
    return found["broker"], found["account"], found["symbol"], found["leg"]


def _tell_corrections(report: dict[str, Any], database: Database) -> None:
    """How each proposal stands. A row that was corrected, and is as it was before, is another correction's to mend."""
    told = [found for found in report["discrepancies"] if found["correction"] is not None]
    if not told:
        return
    made, states = corrections.made_before(database), corrections.states(database)
    for found in told:
        proposal, key = found["correction"], _position(found)
        if key in made:
            proposal["id"] = corrections.nth(proposal["id"], made[key])
            if taking_back := corrections.took_back(database, key):
                why = f"{taking_back} took a correction of this position back"
                proposal["review"] = "; ".join(filter(None, (proposal["review"], why)))
                proposal["automatic"] = False
        proposal["state"] = states.get(proposal["id"], "proposed")


def _export(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    try:
        connection.execute(
            f"COPY ({query}) TO {quoted(str(path.absolute()))} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
        )
    except duckdb.Error as error:
        raise OSError(str(error).partition("\n")[0]) from None
