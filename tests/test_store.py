"""The store: whole or not at all, seen by its owner alone, never read where it is damaged or of a later version."""

from __future__ import annotations

import random
import sqlite3
import stat
import sys
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import report_samples

from recon_core.errors import StateError
from recon_core.report import to_json
from recon_core.state import audit, lifecycle
from recon_core.state.actor import Actor
from recon_core.state.breaks import listed, note, shown, suppress
from recon_core.state.history import entry
from recon_core.state.history import faults as run_faults
from recon_core.state.lifecycle import Seen
from recon_core.state.runs import add_run, delivered, report_text, runs
from recon_core.state.schema import VERSION
from recon_core.state.sqlite import NAME
from recon_core.state.store import has_store, open_store
from recon_core.state.suppressions import active

ANALYST = Actor("recon", "host-1", "ann")
FLIPS = 300


def test_a_store_is_one_file_of_its_owner_and_every_commit_is_synced(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    assert not has_store(None, folder)
    with open_store(None, folder) as store:
        store.append("note", ANALYST, "first")
        assert store.database.execute("PRAGMA synchronous") == [(2,)]
        assert store.database.execute("PRAGMA journal_mode") == [("wal",)]
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert has_store(None, folder)
    assert [path.name for path in folder.iterdir()] == [NAME]


def test_without_create_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="there is no store"), open_store(None, tmp_path / "none", create=False):
        pass
    assert not (tmp_path / "none").exists()


def test_a_later_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    with open_store(None, tmp_path) as store:
        store.append("note", ANALYST, "first")
    with closing(sqlite3.connect(tmp_path / NAME)) as database, database:
        database.execute("UPDATE store SET version = ?", (VERSION + 1,))
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(StateError, match="made by a later recon-core"), open_store(None, tmp_path):
        pass
    assert (tmp_path / NAME).read_bytes() == before


def test_a_store_in_place_of_which_something_else_is(tmp_path: Path) -> None:
    for number, make in enumerate(
        (
            lambda path: path.write_bytes(b"no database at all, but longer than a header of SQLite, which is 100 bytes." * 3),
            lambda path: path.mkdir(),
            lambda path: path.symlink_to("nowhere"),
            lambda path: path.symlink_to(path),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        make(folder / NAME)
        with pytest.raises(StateError, match=NAME), open_store(None, folder):
            pass


def test_a_damaged_store_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    with open_store(None, tmp_path) as store, store.transaction():
        for number in range(200):
            store.append("note", ANALYST, f"note {number}" * 20)
    content = bytearray((tmp_path / NAME).read_bytes())
    content[4096 * 3 : 4096 * 6] = b"\xff" * 4096 * 3
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(StateError, match=r"damaged .*keep a copy of it .*restore a backup"), open_store(None, tmp_path):
        pass


def test_two_writers_wait_for_one_another(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def write(name: str) -> None:
        for _ in range(20):
            with open_store(None, tmp_path) as store:
                store.append("note", ANALYST, name)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, "abcd"))
    with open_store(None, tmp_path) as store:
        assert store.head().seq == 80


@pytest.mark.case("G07")
def test_a_file_that_was_taken_is_known_however_many_runs_came_since(tmp_path: Path) -> None:
    with open_store(None, tmp_path) as store, store.transaction():
        for number in range(120):
            report = report_samples.report(run_id=f"20261120T210502Z-{number:08x}", as_of="2026-11-20T21:00:00Z")
            report["feeds"] = [report_samples.feed(sha256=f"{number:064x}")]
            text, line = to_json(report), entry(report)
            add_run(store.database, ANALYST, report, live=True, scopes=[], text=text, summarise=line)
        known = delivered(store.database)["prime"]
    assert len(known) == 120
    assert known[f"{0:064x}"] == date(2026, 11, 20)


def test_a_store_with_a_flipped_bit_is_read_as_it_was_or_refused(tmp_path: Path) -> None:
    made = tmp_path / "made"
    place, look = ("prime", "MAIN"), ("9", "1", "8", "80.0000", 1, None, None, "x")
    seen = [Seen(f"B{number:016x}", *place, f"S{number}", "NET", "QUANTITY_MISMATCH", "high", *look) for number in range(20)]
    with open_store(None, made) as store, store.transaction():
        for day in (16, 17):
            report = report_samples.report(as_of=f"2026-11-{day}T21:00:00Z", run_id=f"202611{day}T210000Z-abcdef01")
            lifecycle.move(store.database, report["run_id"], datetime(2026, 11, day, tzinfo=UTC), seen, ["prime"], lambda _: (), {})
            text, line = to_json(report), entry(report)
            add_run(store.database, ANALYST, report, live=True, scopes=["firm"], text=text, summarise=line)
        suppress(store.database, ANALYST, seen[0].id, until=date(2099, 1, 1), reason="known", approved_by="risk")
        note(store.database, ANALYST, seen[1].id, "asked")
    whole, content = _read_all(made), (made / NAME).read_bytes()
    chance = random.Random(7)
    folder = tmp_path / "flipped"
    folder.mkdir()
    same = refused = 0
    for _ in range(FLIPS):
        flipped = bytearray(content)
        place = chance.randrange(len(content) * 8)
        flipped[place // 8] ^= 1 << place % 8
        for path in folder.iterdir():
            path.unlink()
        (folder / NAME).write_bytes(flipped)
        try:
            found = _read_all(folder)
            same += found["accepted"] == whole["accepted"]
            assert found["accepted"] == whole["accepted"], "a suppression that nobody made"
        except StateError:
            refused += 1
    sys.stdout.write(f"{FLIPS} flipped bits: {same} read as they were, {refused} refused\n")
    assert same + refused == FLIPS
    assert refused > 0


def _read_all(folder: Path) -> dict[str, Any]:
    """All that a run and the commands read."""
    with open_store(None, folder, create=False) as store:
        database = store.database
        found = {"accepted": active(database), "delivered": delivered(database), "clocks": lifecycle.clocks(database)}
        listed(database)
        for run in runs(database, limit=10):
            report_text(database, run.run_id)
        shown(database, f"B{1:016x}")
        list(audit.faults(database))
        run_faults(database)
        with store.transaction():
            later = datetime(2026, 11, 18, tzinfo=UTC)
            lifecycle.move(database, "next", later, [], ["prime"], lambda unseen: [entry.id for entry in unseen], {})
            store.append("note", ANALYST, "next")
        return found
