"""The book as it stood at a close, kept for brokers that answer later: a statement of Friday is compared with Friday's book.

A snapshot is a Parquet file in the state directory and a record in the audit chain, which holds its sha256: one that was changed
is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Any

from recon_core.book import Book, open_book
from recon_core.book.survey import survey
from recon_core.collect import BrokerAnswer
from recon_core.config.credentials import store_url
from recon_core.config.settings import BookSettings, Settings
from recon_core.engine import connect
from recon_core.errors import BookError, ConfigError, StateError
from recon_core.feed_times import AHEAD
from recon_core.fingerprints import Fingerprint, sha256_of
from recon_core.schedule import Schedule, previous_due, session_days
from recon_core.sql import identifier, quoted
from recon_core.state.actor import current_actor
from recon_core.state.database import Database
from recon_core.state.files import write_together
from recon_core.state.lock import hold
from recon_core.state.store import open_store, run_lock
from recon_core.written_times import iso

FOLDER = "snapshots"
KIND = "snapshot"
REMEMBERED = 400
"""How many snapshots back one is looked for."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The book as of a time: ``file`` in the folder of snapshots, its sha256, its rows, and where it was read from."""

    as_of: datetime
    file: str
    sha256: str
    rows: int
    source: str


def take(settings: Settings, *, as_of: datetime | None, now: datetime) -> Snapshot:
    """Keep the book as it is now, said to be as of ``as_of`` (None: now).

    Raises BookError where the book cannot be read or believed, LockedError where a run is at work, StateError where it cannot be
    kept.
    """
    stamp = (as_of or now).astimezone(UTC)
    if stamp > now.astimezone(UTC):
        raise ConfigError(f"--as-of: {stamp:%Y-%m-%d %H:%M} UTC is still to come, and the book is as it is now")
    url = store_url(settings.store, settings.folder)
    name = f"book-{stamp:%Y%m%dT%H%M%S}Z-{now.astimezone(UTC):%Y%m%dT%H%M%S%f}Z.parquet"
    folder = settings.state_dir / FOLDER
    with hold(settings.state_dir, now, run_lock(url)), connect(settings.limits) as connection:
        book = open_book(connection, settings.book, settings.folder, broker_names=list(settings.brokers), as_of=as_of)
        own = Fingerprint(book.origins)
        held = survey(connection, book.mounted, list(settings.brokers), book.source, now)
        if held.latest is not None and held.latest > stamp + AHEAD:
            raise ConfigError(
                f"--as-of: the book has rows of {held.latest.astimezone(UTC):%Y-%m-%d %H:%M} UTC, later than"
                f" {stamp:%Y-%m-%d %H:%M}: it is not as it was then"
            )
        columns = ", ".join(sorted(book.mounted.columns_present))
        query = f"SELECT {columns} FROM {identifier(book.mounted.name)}"

        def write(path: Path) -> None:
            connection.execute(f"COPY ({query}) TO {quoted(str(path.absolute()))} (FORMAT parquet, COMPRESSION zstd)")

        own.begin()
        write_together(folder, {name: write})
        own.sha256()
        kept = Snapshot(stamp, name, _sha256(folder / name), held.rows, book.source)
        with open_store(url, settings.state_dir) as store:
            store.append(
                KIND,
                current_actor(),
                f"the book as of {iso(stamp)} kept: {kept.rows:,} rows",
                after={"as_of": iso(stamp), "file": name, "sha256": kept.sha256, "rows": kept.rows, "source": kept.source},
                at=now,
            )
    return kept


def known(database: Database) -> tuple[Snapshot, ...]:
    """The snapshots that are recorded, newest first."""
    rows = database.execute("SELECT body FROM audit WHERE kind = ? ORDER BY seq DESC LIMIT ?", (KIND, REMEMBERED))
    return tuple(_snapshot(json.loads(body)["after"]) for (body,) in rows)


def wanted(
    settings: Settings, aliases: Sequence[str], *, chosen: bool, answers: Sequence[BrokerAnswer], now: datetime
) -> tuple[date | None, bool]:
    """Of which day the book is to be that these brokers are compared with, None: as it is now; second, whether it must be there.

    Brokers with a due time of their own are compared with the book of their statements' day, and so is a broker that a person
    ``chosen`` whose statement is of an earlier day. A broker that tells what is held now never is.
    """
    if any(answer.adapter.live for answer in answers) or not may_be_wanted(settings, aliases, chosen=chosen):
        return None, False
    zone = day_zone(settings.schedule)
    days = [day_of(answer, zone) for answer in answers if answer.feed.as_of is not None]
    if not days:
        return None, False
    late = all(settings.brokers[alias].due for alias in aliases)
    before = max(days) < now.astimezone(zone).date()
    return (max(days), late and before) if late or before else (None, False)


def may_be_wanted(settings: Settings, aliases: Sequence[str], *, chosen: bool) -> bool:
    """Whether the book may be another than that of now, which is known when the brokers have answered."""
    return chosen or all(settings.brokers[alias].due for alias in aliases)


def book_of(
    settings: Settings, snapshots: Sequence[Snapshot], day: date, near: datetime | None, *, needed: bool
) -> BookSettings | None:
    """Where a snapshot of a day is, as a book: the one nearest to ``near`` (None: the newest), of two alike the newer.

    None where there is none and none is ``needed``. Raises BookError where one is, StateError where it is not what was recorded.
    """
    zone = day_zone(settings.schedule)
    of_day = [each for each in snapshots if each.as_of.astimezone(zone).date() == day]
    if not of_day:
        if not needed:
            return None
        raise BookError(f"there is no snapshot of the book of {day}: `recon-core snapshot` keeps one; nothing was compared")
    found = of_day[0] if near is None else min(of_day, key=lambda each: abs(each.as_of - near))
    path = settings.state_dir / FOLDER / found.file
    if Path(found.file).name != found.file or _sha256(path) != found.sha256:
        raise StateError(f"{path}: not the snapshot that was recorded (its sha256 differs); nothing was compared")
    return BookSettings(file=str(path.absolute()), lots=settings.book.lots, timezone="UTC", basis=settings.book.basis)


def close_of(settings: Settings, answers: Sequence[BrokerAnswer], day: date) -> datetime | None:
    """The time of a day at which the book is to be compared with: of the latest feed that names one, else when a run was due."""
    stamps = [answer.feed.as_of for answer in answers if answer.feed.as_of is not None and answer.day is None]
    if stamps or settings.schedule is None:
        return max(stamps, default=None)
    midnight = datetime.combine(day + timedelta(days=1), time(), tzinfo=settings.schedule.zone)
    return previous_due(settings.schedule, midnight)


def outdated(settings: Settings, answer: BrokerAnswer, now: datetime) -> str:
    """Why a statement of an earlier day is not the one to be compared with a snapshot now: a later one was due. Else empty.

    Of a broker that is due by itself the statement of the last close before that due time was, of any other that of the last
    close.
    """
    schedule = settings.schedule
    if schedule is None or answer.feed.as_of is None:
        return ""
    alias = answer.settings.alias
    own = settings.schedule_of(alias) if settings.brokers[alias].due else None
    expected = previous_due(schedule, previous_due(own, now) if own else now).astimezone(schedule.zone).date()
    day = day_of(answer, schedule.zone)
    if day >= expected or not session_days(schedule, day + timedelta(days=1), expected):
        return ""
    return f"the statement is of {day}, and that of {expected} was due: stale, no quantity is judged"


def as_snapshot(book: Book, day: date) -> Book:
    """The book with a note that it is a snapshot."""
    return replace(book, notes=(f"the snapshot of {day}", *book.notes))


def day_zone(schedule: Schedule | None) -> tzinfo:
    """The zone in which a day is meant."""
    return schedule.zone if schedule else UTC


def day_of(answer: BrokerAnswer, zone: tzinfo) -> date:
    """The day that a feed is of: as it writes it where it names no time, else in ``zone``."""
    stamp = answer.feed.as_of
    if answer.day is not None:
        return answer.day
    if stamp is None:
        raise ValueError("the feed does not say what time it is of")
    return stamp.astimezone(zone).date()


def _snapshot(after: Mapping[str, Any]) -> Snapshot:
    try:
        return Snapshot(
            datetime.fromisoformat(after["as_of"]),
            str(after["file"]),
            str(after["sha256"]),
            int(after["rows"]),
            str(after["source"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StateError(f"an audit record of a snapshot cannot be read: {error}") from None


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise StateError(f"{path}: the snapshot cannot be read: {error.strerror or error}") from None
