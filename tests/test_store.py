"""The store: whole or not at all, seen by its owner alone, never read where it is damaged or of a later version."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from recon_core.errors import StateError
from recon_core.state.actor import Actor
from recon_core.state.schema import VERSION
from recon_core.state.sqlite import NAME
from recon_core.state.store import has_store, open_store

ANALYST = Actor("recon", "host-1", "ann")


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
