"""The book as it stood at a close, kept for brokers that answer later: a statement of Friday is compared with Friday's book.

A snapshot is a Parquet file in the state directory and a record in the audit chain, which holds its sha256: one that was changed
is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path
from typing import Any

from recon_core.book import Book, open_book
from recon_core.book.survey import survey
from recon_core.collect import BrokerAnswer
from recon_core.config.credentials import store_url
from recon_core.config.settings import BookSettings, Settings
from recon_core.engine import connect
from recon_core.errors import BookError, ConfigError, StateError
from recon_core.fingerprints import Fingerprint
from recon_core.schedule import Schedule
from recon_core.sql import identifier, quoted
from recon_core.state.actor import current_actor
from recon_core.state.database import Database
from recon_core.state.files import write_together
from recon_core.state.lock import hold
from recon_core.state.store import open_store, run_lock

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
    with hold(settings.state_dir, now, run_lock(url)), connect() as connection:
        book = open_book(connection, settings.book, settings.folder, broker_names=list(settings.brokers), as_of=as_of)
        own = Fingerprint(book.origins)
        held = survey(connection, book.mounted, list(settings.brokers), book.source, now)
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
                f"the book as of {_written(stamp)} kept: {kept.rows:,} rows",
                after={"as_of": _written(stamp), "file": name, "sha256": kept.sha256, "rows": kept.rows, "source": kept.source},
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


def book_of(settings: Settings, snapshots: Sequence[Snapshot], day: date, *, needed: bool) -> BookSettings | None:
    """Where the newest snapshot of a day is, as a book; None where there is none and none is ``needed``.

    Raises BookError where one is, StateError where it is not what was recorded.
    """
    zone = day_zone(settings.schedule)
    found = next((each for each in snapshots if each.as_of.astimezone(zone).date() == day), None)
    if found is None:
        if not needed:
            return None
        raise BookError(
            f"there is no snapshot of the book of {day}: `recon-core snapshot` keeps it at the close; nothing was compared"
        )
    path = settings.state_dir / FOLDER / found.file
    if Path(found.file).name != found.file or _sha256(path) != found.sha256:
        raise StateError(f"{path}: not the snapshot that was recorded (its sha256 differs); nothing was compared")
    return BookSettings(file=str(path.absolute()), lots=settings.book.lots, timezone="UTC")


def as_snapshot(book: Book, day: date) -> Book:
    """The book with a note that it is a snapshot."""
    return replace(book, notes=(f"the snapshot of {day}", *book.notes))


def day_zone(schedule: Schedule | None) -> tzinfo:
    """The zone in which a day is meant."""
    return schedule.zone if schedule else UTC


def day_of(answer: BrokerAnswer, zone: tzinfo) -> date:
    """The day that a feed is of."""
    stamp = answer.feed.as_of
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
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StateError(f"{path}: the snapshot cannot be read: {error.strerror or error}") from None


def _written(stamp: datetime) -> str:
    return stamp.isoformat().replace("+00:00", "Z")
