"""A store that an earlier recon-core made is brought forward, with a copy of it beside; nothing that it held is lost."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from week import AAPL, MSFT, Week, age, feed

from recon_core.errors import StateError
from recon_core.state import audit, breaks
from recon_core.state.history import faults
from recon_core.state.runs import report_text, runs
from recon_core.state.schema import VERSION
from recon_core.state.sqlite import NAME
from recon_core.state.store import open_store

STORES = Path(__file__).parent / "cases" / "store"


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A state folder with a store of version 1."""
    return _made(tmp_path, "v1.sql")


def _made(folder: Path, name: str) -> Path:
    state = folder / ".state"
    state.mkdir()
    with closing(sqlite3.connect(state / NAME)) as database:
        database.executescript((STORES / name).read_text(encoding="utf-8"))
    return state


def test_a_first_store_is_brought_forward_and_keeps_all_it_held(first: Path) -> None:
    before = _audit(first / NAME)
    with open_store(None, first) as store:
        assert store.database.execute("SELECT version FROM store") == [(VERSION,)]
        assert [run.run_id for run in runs(store.database, limit=9)] == ["20261119T210502Z-abcdef01", "20261120T210502Z-abcdef01"]
        assert list(audit.faults(store.database)) == faults(store.database) == []
        assert '"verdict": "clean"' in report_text(store.database, "20261120T210502Z-abcdef01")
    assert _audit(first / NAME) == before


def test_a_copy_of_the_earlier_version_is_kept_beside(first: Path) -> None:
    with open_store(None, first):
        pass
    copy = first / f"{NAME}.v1.backup"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("SELECT version FROM store").fetchall() == [(1,)]
    assert _audit(copy) == _audit(first / NAME)
    with open_store(None, first):
        pass
    assert sorted(path.name for path in first.iterdir()) == [NAME, f"{NAME}.v1.backup"]


def test_an_earlier_copy_is_never_written_over(first: Path) -> None:
    (first / f"{NAME}.v1.backup").write_text("of another day", encoding="utf-8")
    with open_store(None, first):
        pass
    assert (first / f"{NAME}.v1.backup").read_text(encoding="utf-8") == "of another day"
    assert (first / f"{NAME}.v1.backup.2").is_file()


def test_a_migration_that_fails_leaves_the_store_as_it_was(first: Path) -> None:
    with closing(sqlite3.connect(first / NAME)) as database, database:
        database.execute("CREATE TABLE notes (of_somebody_else TEXT)")
    with pytest.raises(StateError), open_store(None, first):
        pass
    with closing(sqlite3.connect(first / NAME)) as database:
        assert database.execute("SELECT version FROM store").fetchall() == [(1,)]
        assert not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'episodes'").fetchall()


def test_runs_go_on_in_a_store_that_was_brought_forward(first: Path) -> None:
    week = Week(first.parent)
    assert age(week.day(21, feed(("AAPL", "90"), MSFT))) == (1, "2026-11-21", 0)
    assert week.day(22, feed(AAPL, MSFT))["audit"]["seq"] > 3


def test_a_second_store_is_brought_forward_with_its_breaks_and_what_people_said_of_them(tmp_path: Path) -> None:
    state = _made(tmp_path, "v2.sql")
    before = _audit(state / NAME)
    with open_store(None, state) as store:
        assert store.database.execute("SELECT version FROM store") == [(VERSION,)]
        (found,) = breaks.listed(store.database)
        assert (found["symbol"], found["assignee"]) == ("AAPL", "ann")
        told = breaks.shown(store.database, found["id"])
        assert [note["text"] for note in told["notes"]] == ["asked the desk"]
        assert [entry["reason"] for entry in told["suppressions"]] == ["known"]
        assert told["corrections"] == []
        assert list(audit.faults(store.database)) == faults(store.database) == []
    assert _audit(state / NAME) == before
    assert (state / f"{NAME}.v2.backup").is_file()


def _audit(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT * FROM audit ORDER BY seq").fetchall()
