"""What a run takes from earlier ones, and what it leaves: the store first, in one transaction, then the files made from it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb

from recon_core import snapshots
from recon_core.clearing import proven_gone
from recon_core.collect import recording_of
from recon_core.config.credentials import store_url
from recon_core.config.settings import Settings
from recon_core.errors import BrokerError, ConfigError, StateError
from recon_core.explaining import Agreed
from recon_core.feed_times import AHEAD
from recon_core.feeds import ProvenFeed
from recon_core.halting import record_scopes
from recon_core.listing import parquet_query
from recon_core.other_names import OtherNames
from recon_core.recording import write_recording
from recon_core.report import to_html, to_json
from recon_core.schedule import Schedule, sessions_between
from recon_core.snapshots import Snapshot
from recon_core.sql import quoted
from recon_core.state import corrections, lifecycle, names, suppressions
from recon_core.state.actor import current_actor
from recon_core.state.agreements import Agreements, agreements
from recon_core.state.audit import Head
from recon_core.state.corrections import Correction
from recon_core.state.database import Database
from recon_core.state.files import write_together
from recon_core.state.history import entry, inspect, write_history
from recon_core.state.lifecycle import Episode, OpenBreak, Seen
from recon_core.state.names import Names
from recon_core.state.runs import add_run, delivered
from recon_core.state.since import before, since
from recon_core.state.store import Store, has_store, open_store
from recon_core.state.suppressions import Accepted
from recon_core.verdict import Verdict
from recon_core.written_numbers import without_zeros
from recon_core.written_times import iso

Ages = Sequence[Episode | None]
"""By the place of a break; None where the run is no news of its position."""

_NAMES = {"report": "report.json", "html": "report.html", "breaks": "breaks.parquet", "evidence": "evidence.parquet"}
FOLLOWED = 100_000
"""How many breaks of a run, worst first, are followed from run to run."""


def _none_known(brokers: Sequence[str], as_of: datetime) -> Agreements:
    """Nothing is known of any position."""
    return Agreements()


@dataclass(frozen=True, slots=True)
class Known:
    """What earlier runs left that bears on a verdict: files taken, by broker, sha256 and last day; breaks accepted by id; the book
    of earlier days. ``agreed`` asks the store until when positions agreed, and raises StateError where it cannot be read.

    ``begun`` are corrections of the book whose outcome is not on record. ``trouble`` is why the store cannot be read. The run then
    goes on as if nothing were known, so that what halts does halt, and raises it when the verdict is to be recorded.
    """

    delivered: Mapping[str, Mapping[str, date]] = field(default_factory=dict)
    accepted: tuple[Accepted, ...] = ()
    warnings: tuple[str, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    begun: tuple[Correction, ...] = ()
    trouble: StateError | None = None
    agreed: Agreed = _none_known


def recall(settings: Settings) -> Known:
    """What the store knows; nothing where there is no store yet. Never raises StateError: see ``Known.trouble``."""
    url = store_url(settings.store, settings.folder)
    try:
        if not has_store(url, settings.state_dir):
            return Known(warnings=_rebuilt(inspect(settings.state_dir, None)))
        with open_store(url, settings.state_dir) as store:
            damage = inspect(settings.state_dir, store)
            accepted, kept = tuple(suppressions.active(store.database)), snapshots.known(store.database)
            begun = tuple(corrections.in_state(store.database, "intended"))
            return Known(delivered(store.database), accepted, _rebuilt(damage), kept, begun, agreed=agreed_by(settings))
    except StateError as error:
        return Known(trouble=error)


def agreed_by(settings: Settings) -> Agreed:
    """Asks the store, only once something is broken, until when positions agreed."""

    def asked(brokers: Sequence[str], as_of: datetime) -> Agreements:
        url = store_url(settings.store, settings.folder)
        if not has_store(url, settings.state_dir):
            return Agreements()
        with open_store(url, settings.state_dir, create=False, check=False) as store:
            return agreements(store.database, brokers, as_of)

    return asked


def kept_snapshots(settings: Settings) -> tuple[Snapshot, ...]:
    """The snapshots of the book that the store knows, for one who only looks. Raises StateError where it cannot be read."""
    with _looked_into(settings) as store:
        return snapshots.known(store.database) if store else ()


def taken_files(settings: Settings, broker: str) -> Mapping[str, date]:
    """The files of a broker that earlier runs took, by sha256, for one who only looks. Raises as ``kept_snapshots``."""
    with _looked_into(settings) as store:
        return delivered(store.database).get(broker, {}) if store else {}


@contextmanager
def _looked_into(settings: Settings) -> Iterator[Store | None]:
    """The store, None where there is none yet: it is not made."""
    url = store_url(settings.store, settings.folder)
    if not has_store(url, settings.state_dir):
        yield None
        return
    with open_store(url, settings.state_dir, create=False, check=False) as store:
        yield store


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run that the store has: its audit record, its report as text, and of each break, worst first, since when it is open."""

    head: Head
    text: str
    ages: Ages


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
    kept = _keep_raw(folder, verdict.feeds, report["run_id"], at=now, as_of=verdict.as_of if asked else None)
    for told, place in zip(report["feeds"], kept, strict=True):
        told["raw"] = place
    if verdict.listed + verdict.superseded_count > FOLLOWED:
        report["warnings"].append(f"of {verdict.listed:,} breaks the {FOLLOWED:,} worst are followed from run to run")
    url = store_url(settings.store, settings.folder)
    with open_store(url, settings.state_dir, check=False) as store, store.transaction():
        ages, changes = _follow(connection, store, verdict, report["run_id"], now=now)
        if changes is not None:
            report["since_last"] = changes | {"remaining": report["break_count"] + changes["not_judged_count"]}
        _tell_ages(report, ages, verdict.as_of, settings.schedule)
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
    return Recorded(head, text, ages)


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
        _load_ages(connection, recorded.ages, verdict.as_of, settings.schedule)
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


def _keep_raw(folder: Path, feeds: Sequence[ProvenFeed], run_id: str, *, at: datetime, as_of: datetime | None) -> list[str | None]:
    """Keep what feeds were made of, where ``keep_raw`` says so: each as a recording that ``brokers fetch --replay`` reads again.

    Returns the folder of each. Raises StateError where one cannot be kept, or a file is not what was compared any more.
    """
    places: list[str | None] = []
    for number, feed in enumerate(feeds, 1):
        if not feed.answer.settings.keep_raw:
            places.append(None)
            continue
        place = folder / "raw" / run_id / f"{number}-{re.sub(r'[^A-Za-z0-9.-]+', '_', feed.alias)}"
        try:
            recording = recording_of(feed.answer, at=at, as_of=as_of)
            if (
                feed.feed.relation is not None
                and len(recording.documents) == 1
                and recording.documents[0].sha256 != feed.feed.sha256
            ):
                raise StateError(
                    f"{recording.documents[0].path} is not what it was when it was compared: it cannot be kept as that"
                )
            write_recording(place, recording)
        except (BrokerError, ConfigError) as error:
            raise StateError(f"what broker {feed.alias} answered cannot be kept: {error}") from None
        places.append(str(place))
    return places


@contextmanager
def though_recorded(run_id: str) -> Iterator[None]:
    """For what is done after ``commit``: what fails inside is a StateError, which says that the run is recorded all the same."""
    try:
        yield
    except (StateError, duckdb.Error) as error:
        why = str(error).partition("\n")[0]
        raise StateError(f"{why}; run {run_id} is recorded: `recon-core report {run_id}` prints it") from None


def _follow(
    connection: duckdb.DuckDBPyConnection, store: Store, verdict: Verdict, run_id: str, *, now: datetime
) -> tuple[Ages, dict[str, Any] | None]:
    """Move the lives of the breaks on by this run, and end the suppressions that it ends.

    The ages of its breaks, and what has changed since the run before (None where that says nothing).
    """
    database = store.database
    brokers = _moved(verdict, lifecycle.clocks(database), now)

    found = [Names(each.broker, each.account, each.theirs, each.ours, each.isin, each.cusip) for each in verdict.identities]
    others = OtherNames([*names.known(database), *found])

    def gone(earlier: Sequence[OpenBreak]) -> set[str]:
        return proven_gone(connection, verdict.comparison, verdict.policy, verdict.feeds, earlier, others)

    seen = _seen(connection, verdict)
    continued = others.continued(connection, verdict.comparison, seen)
    earlier_run = before(database, brokers, verdict.as_of)
    moved = lifecycle.move(database, run_id, verdict.as_of, seen, brokers, gone, continued)
    names.remember(database, found, brokers)
    ended = [(accepted, why) for accepted, why in verdict.ended if accepted.broker in brokers]
    over = {accepted.seq for accepted, _ in ended}
    ended += [
        (accepted, "the break is gone") for accepted in verdict.accepted if accepted.id in moved.closed and accepted.seq not in over
    ]
    suppressions.end(database, current_actor(), ended, run_id=run_id, at=now)
    changes = earlier_run and since(
        database, earlier_run, run_id, brokers=brokers, seen=seen, closed=moved.closed, continued=continued
    )
    return [moved.episodes.get(entry[1:5]) for entry in seen], changes


def _moved(verdict: Verdict, clocks: Mapping[str, datetime], now: datetime) -> list[str]:
    """The brokers whose breaks this run moves: read, and of no earlier time than the newest run that moved them.

    So a replay of the past changes nothing. A time still to come is nobody's: not this run's, nor that of a run before it.
    """
    if verdict.as_of > now + AHEAD:
        return []
    known = {broker: clock for broker, clock in clocks.items() if clock <= now + AHEAD}
    return [
        feed.alias for feed in verdict.feeds if feed.mounted is not None and verdict.as_of >= known.get(feed.alias, verdict.as_of)
    ]


def _seen(connection: duckdb.DuckDBPyConnection, verdict: Verdict) -> list[Seen]:
    reasons = [*(entry.reason for entry in verdict.policy.suppress), *(entry.reason for entry in verdict.accepted)]
    rows = connection.execute(
        f"""SELECT id, broker, account, symbol, leg, type, severity,
            book_quantity::VARCHAR, broker_quantity::VARCHAR, quantity_difference::VARCHAR, impact::VARCHAR,
            (halts AND live)::INTEGER, suppressed_by, superseded_by, detail FROM breaks ORDER BY place LIMIT {FOLLOWED}"""
    ).fetchall()
    return [
        Seen._make(
            (
                *which,
                without_zeros(held),
                without_zeros(reported),
                without_zeros(apart),
                impact,
                halts,
                None if by is None else reasons[by],
                over,
                detail,
            )
        )
        for *which, held, reported, apart, impact, halts, by, over, detail in rows
    ]


def _tell_ages(report: dict[str, Any], ages: Ages, as_of: datetime, schedule: Schedule | None) -> None:
    for found, age in zip(report["discrepancies"], ages, strict=False):  # both worst first, and the superseded ones come last
        if age is not None:
            found["episode"] = age.number
            found["first_seen"] = iso(age.first_seen)
            found["open_days"] = sessions_between(schedule, age.first_seen, as_of)


def _tell_last_agreed(report: dict[str, Any], database: Database, as_of: datetime) -> None:
    """When the positions that were not looked into last agreed: of those that were, the report says so already."""
    untold = [found for found in report["discrepancies"] if (why := found["explanation"]) and why["last_agreed"] is None]
    if not untold:
        return
    known = agreements(database, sorted({found["broker"] for found in untold}), as_of)
    for found in untold:
        last = known.last((found["broker"], found["account"], found["symbol"], found["leg"]))
        found["explanation"]["last_agreed"] = last and last.isoformat().replace("+00:00", "Z")


def _tell_corrections(report: dict[str, Any], database: Database) -> None:
    """How each proposal stands. A row that was corrected, and is as it was before, is another correction's to mend."""
    told = [found for found in report["discrepancies"] if found["correction"] is not None]
    if not told:
        return
    made, states = corrections.made_before(database), corrections.states(database)
    for found in told:
        proposal, key = found["correction"], (found["broker"], found["account"], found["symbol"], found["leg"])
        if key in made:
            proposal["id"] = corrections.nth(proposal["id"], made[key])
            if taking_back := corrections.took_back(database, key):
                why = f"{taking_back} took a correction of this position back"
                proposal["review"] = "; ".join(filter(None, (proposal["review"], why)))
                proposal["automatic"] = False
        proposal["state"] = states.get(proposal["id"], "proposed")


def _load_ages(connection: duckdb.DuckDBPyConnection, ages: Ages, as_of: datetime, schedule: Schedule | None) -> None:
    """The table ``aged``, which ``parquet_query`` joins. There are few days, so that each is converted once."""
    known = {place: age for place, age in enumerate(ages, 1) if age is not None}
    days = sorted({age.first_seen for age in known.values()})
    number = {day: at for at, day in enumerate(days)}
    connection.execute(
        """CREATE OR REPLACE TEMP TABLE aged AS SELECT * EXCLUDE (day)
            FROM (SELECT unnest($1::BIGINT[]) AS place, unnest($2::BIGINT[]) AS episode, unnest($3::INTEGER[]) AS day) JOIN
                (SELECT unnest($4::INTEGER[]) AS day, unnest($5::TIMESTAMP[]) AS first_seen, unnest($6::BIGINT[]) AS open_days)
                USING (day)""",
        [
            list(known),
            [age.number for age in known.values()],
            [number[age.first_seen] for age in known.values()],
            list(number.values()),
            [day.astimezone(UTC).replace(tzinfo=None) for day in days],
            [sessions_between(schedule, day, as_of) for day in days],
        ],
    )


def _export(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    try:
        connection.execute(f"COPY ({query}) TO {quoted(str(path.absolute()))} (FORMAT parquet, COMPRESSION zstd)")
    except duckdb.Error as error:
        raise OSError(str(error).partition("\n")[0]) from None


def _rebuilt(damage: str) -> tuple[str, ...]:
    return (f"{damage}; it is kept beside, and written anew from the store",) if damage else ()
