"""One broker asked alone, and shown as the engine sees it: what a person looks at when a feed is not what it should be."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb

from recon_core.book import Book, open_book
from recon_core.book.survey import Survey, survey
from recon_core.brokers import Broker
from recon_core.collect import (
    AskingPositions,
    BrokerAnswer,
    awaited,
    checked_evidence,
    evidence_of,
    make_broker,
    no_evidence,
    recording_of,
)
from recon_core.config.credentials import secret_value
from recon_core.config.load import load_settings
from recon_core.config.settings import BrokerSettings, Settings
from recon_core.engine import DEFAULT_LIMITS, connect, named_rows
from recon_core.errors import BrokerError, ConfigError, ReconError
from recon_core.evidence import Evidence
from recon_core.feed_times import run_time
from recon_core.feeds import ProvenFeed, prove, unique, with_basis_note, with_coverage_note
from recon_core.host import Host, load_host
from recon_core.model import Ask
from recon_core.recall import taken_files
from recon_core.reconcile import fingerprints_of, printed
from recon_core.recording import Recording, Replay, put_down, read_recording, write_recording
from recon_core.redaction import MASK
from recon_core.schedule import recently_closed
from recon_core.sql import identifier
from recon_core.written_numbers import plain

Clock = Callable[[], datetime]

_NUMBERS = ("quantity", "avg_price", "market_price", "multiplier")
_SHOWN = ("symbol", "raw_symbol", "leg", *_NUMBERS, "currency", "asset_class", "isin", "cusip", "updated_at", "opened_at")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be fetched: a broker of ``config`` (or, replayed without one, an adapter) by name, as of when, from where.

    ``replay`` is the folder of a recording to read in place of the world, ``save`` one to write. ``since`` asks for evidence, too.
    """

    name: str
    config: Path = Path("recon.yaml")
    as_of: datetime | None = None
    save: Path | None = None
    replay: Path | None = None
    since: datetime | None = None
    evidence: bool = False


@dataclass(frozen=True, slots=True)
class Fetched:
    """A feed after proof, its rows by column, and the evidence where it was asked for. ``at`` is when it was asked."""

    feed: ProvenFeed
    positions: list[dict[str, Any]]
    at: datetime
    evidence: Evidence | None = None
    saved: Path | None = None


def fetch(wish: Wish, *, clock: Clock) -> Fetched:
    """Ask one broker, prove its feed against the accounts that the book holds, and return its rows. Writes nothing but ``save``.

    Raises ConfigError for a broker that is not configured and a recording that cannot be used. What goes wrong at the broker is
    the feed's status.
    """
    recording = read_recording(wish.replay) if wish.replay else None
    settings, host, broker_settings = _found(wish, recording)
    adapter = host.brokers[broker_settings.adapter]
    folder = settings.folder if settings else Path()
    as_of = wish.as_of or (recording.as_of if recording else None)
    with _files(recording) as placed:
        if recording is not None:
            broker_settings = _replayed(broker_settings, adapter, recording)
            folder = Path(placed) if recording.documents else folder
            put_down(Path(placed), recording.documents)
        at = recording.at if recording else clock()

        def make(settings: BrokerSettings, adapter: type[Broker]) -> Broker:
            return make_broker(
                settings,
                adapter,
                folder=folder,
                clock=(lambda: at) if recording else clock,
                secret=(lambda _: MASK) if recording else (lambda reference: secret_value(reference, folder)),
                answering=Replay(recording) if recording else None,
                keep_raw=True,
            )

        if recording is None:
            _check_secrets(broker_settings, folder)
        asking = AskingPositions(broker_settings, adapter, as_of, make)
        asking.start()
        answer = asking.answer(time.monotonic())
        evidence = _evidence(asking.broker, as_of, wish) if wish.evidence and asking.broker else None
        answer = answer._replace(received=evidence_of(asking.broker)[0])
        saved = None
        if wish.save:
            try:
                saved = write_recording(wish.save, recording_of(answer, at=at, as_of=as_of))
            except BrokerError as error:
                raise ConfigError(f"--save: {error}") from None
        feed, positions = _proven(answer, settings, as_of, at, replayed=recording is not None)
    return Fetched(feed, positions, at, evidence, saved)


def _found(wish: Wish, recording: Recording | None) -> tuple[Settings | None, Host, BrokerSettings]:
    """The deployment, its plugins, and the broker. A recording is read without a deployment, too: then it says its adapter."""
    if recording is not None and not wish.config.exists():
        host = load_host()
        settings = None
    else:
        settings, host = load_settings(wish.config, load_host, environment=None)
        if wish.name in settings.brokers:
            return settings, host, settings.brokers[wish.name]
    if recording is None:
        known = ", ".join(settings.brokers) if settings else "none"
        raise ConfigError(f"no broker {wish.name!r} in {wish.config}, which has {known}")
    if recording.adapter not in host.brokers:
        raise ConfigError(f"the recording is of the adapter {recording.adapter}, which is not installed")
    return settings, host, BrokerSettings(wish.name, recording.adapter)


def _replayed(settings: BrokerSettings, adapter: type[Broker], recording: Recording) -> BrokerSettings:
    """The broker with the options that were recorded, reading the recorded files."""
    if recording.adapter != settings.adapter:
        raise ConfigError(
            f"the recording is of the adapter {recording.adapter}, and {settings.alias} is read by {settings.adapter}"
        )
    options = dict(settings.options) | dict(recording.options)
    if recording.documents:
        options["path"] = recording.documents[0].name if len(recording.documents) == 1 else "*"
    return replace(settings, options=options, secrets=dict.fromkeys((*adapter.secrets, *adapter.optional_secrets), MASK))


def _files(recording: Recording | None) -> AbstractContextManager[str]:
    return tempfile.TemporaryDirectory(prefix="replay-") if recording and recording.documents else nullcontext("")


def _check_secrets(settings: BrokerSettings, folder: Path) -> None:
    """Raises ConfigError for a credential that cannot be had: that is no trouble of the broker's."""
    for reference in settings.secrets.values():
        secret_value(reference, folder)


def _evidence(broker: Broker, as_of: datetime | None, wish: Wish) -> Evidence:
    if broker.asked_network:
        broker.http.renew()
    try:
        found = checked_evidence(awaited(broker, broker.evidence(Ask(as_of, since=wish.since))))
    except Exception as error:  # what an adapter raises says why there is no evidence
        found = no_evidence(error)
    return replace(found, since=found.since or wish.since)


def _proven(
    answer: BrokerAnswer, settings: Settings | None, as_of: datetime | None, at: datetime, *, replayed: bool
) -> tuple[ProvenFeed, list[dict[str, Any]]]:
    """The feed as a run would prove it, but for the time of other brokers' feeds; a recording is no old file again."""
    taken, unasked = ({}, "") if settings is None or replayed else _taken(settings, answer.settings.alias)
    answer = printed(answer, fingerprints_of([answer])) if taken else answer
    with connect(settings.limits if settings else DEFAULT_LIMITS) as connection:
        book, held, note = _book(connection, settings, as_of, at)
        latest = held.latest if held and not answer.settings.due else None  # such a one is compared with a snapshot of its day
        stamp = run_time(as_of, [answer], latest, at)
        schedule = settings.schedule if settings else None
        feed = prove(
            connection,
            answer,
            name="feed",
            book=held.accounts.get(answer.settings.alias, ()) if held else (),
            as_of=stamp,
            asked=as_of is not None,
            now=at,
            delivered=taken,
            closed=recently_closed(schedule, stamp, at),
        )
        feed = unique(connection, feed)
        if book is not None and settings is not None:
            feed = with_basis_note(with_coverage_note(connection, feed, book.mounted), settings.book.basis)
        feed = replace(feed, notes=(*feed.notes, *filter(None, (note, unasked))))
        return feed, _rows(connection, feed)


def _taken(settings: Settings, alias: str) -> tuple[Mapping[str, date], str]:
    """The files that earlier runs took of a broker, by sha256; second, a remark where the store cannot be asked."""
    try:
        return taken_files(settings, alias), ""
    except ReconError as error:
        return {}, f"the store could not be asked which files earlier runs took: {str(error).partition(chr(10))[0]}"


def _book(
    connection: duckdb.DuckDBPyConnection, settings: Settings | None, as_of: datetime | None, at: datetime
) -> tuple[Book | None, Survey | None, str]:
    """The book and what it holds; third, a remark where it cannot be asked."""
    if settings is None:
        return None, None, "no book was asked which accounts it holds"
    try:
        book = open_book(connection, settings.book, settings.folder, broker_names=list(settings.brokers), as_of=as_of)
        return book, survey(connection, book.mounted, list(settings.brokers), book.source, at), ""
    except ReconError as error:
        return None, None, f"the book could not be asked which accounts it holds: {str(error).partition(chr(10))[0]}"


def _rows(connection: duckdb.DuckDBPyConnection, feed: ProvenFeed) -> list[dict[str, Any]]:
    """The positions by the names that the book uses for accounts; numbers as exact texts."""
    if feed.mounted is None:
        return []
    times = [f"{name}::VARCHAR AS {name}" if name.endswith("_at") else name for name in _SHOWN]
    found = named_rows(
        connection.execute(
            f"SELECT {feed.account_sql} AS account, {', '.join(times)} FROM {identifier(feed.mounted.name)} ORDER BY ALL"
        )
    )
    for row in found:
        row["raw_symbol"] = row["raw_symbol"] or row["symbol"]
        row |= {name: None if row[name] is None else plain(row[name]) for name in _NUMBERS}
    return found
