"""The audit chain: what is added stays, and every way of tampering with it is found."""

from __future__ import annotations

import json
import random
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from recon_core.errors import StateError
from recon_core.state import audit
from recon_core.state.actor import Actor, current_actor
from recon_core.state.audit import Head
from recon_core.state.sqlite import NAME
from recon_core.state.store import open_store

ANALYST = Actor("recon", "host-1", "ann")
TRIES = 200


def chain(folder: Path, count: int = 40) -> list[Head]:
    """A store of ``count`` records; the head after each."""
    with open_store(None, folder) as store, store.transaction():
        return [store.append("note", ANALYST, f"note {number}", after={"text": f"n{number}"}) for number in range(count)]


def found(folder: Path, *anchors: Head) -> list[str]:
    with open_store(None, folder) as store:
        return list(audit.faults(store.database, anchors))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[Head]]:
    folder = tmp_path_factory.mktemp("chain")
    heads = chain(folder)
    return (folder / NAME).read_bytes(), heads


def test_records_say_who_what_and_when_and_each_names_the_one_before(tmp_path: Path) -> None:
    with open_store(None, tmp_path) as store:
        assert store.head() == (0, audit.GENESIS)
        first = store.append("halt", ANALYST, "halt raised", before=None, after={"scope": "firm"}, scopes=["firm"])
        second = store.append("lift", current_actor(), "halt lifted", inputs={"policy": "ab"})
        records = list(audit.records(store.database))
        assert store.head() == second
    assert [record["seq"] for record in records] == [1, 2]
    assert records[0]["actor"] == {"user": "recon", "host": "host-1", "by": "ann"}
    assert records[0]["after"] == {"scope": "firm"}
    assert records[0]["previous"] == audit.GENESIS
    assert records[1]["previous"] == first.head == records[0]["hash"]
    assert records[1]["actor"]["user"]
    assert records[1]["inputs"] == {"policy": "ab"}


def test_a_whole_chain_has_no_faults_and_meets_every_anchor(tmp_path: Path) -> None:
    heads = chain(tmp_path)
    assert found(tmp_path, *heads) == []


def test_sql_cannot_change_or_delete_a_record(tmp_path: Path) -> None:
    chain(tmp_path, 3)
    with closing(sqlite3.connect(tmp_path / NAME)) as database:
        for change in ("UPDATE audit SET body = 'x' WHERE seq = 2", "DELETE FROM audit WHERE seq = 3"):
            with pytest.raises(sqlite3.IntegrityError, match="never changed"):
                database.execute(change)


def test_a_failed_transaction_leaves_no_record(tmp_path: Path) -> None:
    with open_store(None, tmp_path) as store:
        head = store.append("note", ANALYST, "kept")
        with pytest.raises(ValueError, match="no number"), store.transaction():  # noqa: PT012  # what was written before it fails is what matters
            store.append("note", ANALYST, "lost")
            raise ValueError("no number")
        assert store.head() == head
        assert list(audit.faults(store.database)) == []


def _edit(rows: list[list[object]], chance: random.Random) -> None:
    row = chance.choice(rows)
    column = chance.choice([1, 2, 3, 4, 5])
    text = str(row[column])
    place = chance.randrange(len(text))
    row[column] = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]


def _edit_and_rehash(rows: list[list[object]], chance: random.Random) -> None:
    row = chance.choice(rows)
    body = json.loads(str(row[3]))
    body["what"] = f"another {chance.random()}"
    row[3] = audit.canonical(body)
    row[5] = audit._hash(row[3])


def _delete(rows: list[list[object]], chance: random.Random) -> None:
    del rows[chance.randrange(len(rows) - 1)]


def _delete_and_renumber(rows: list[list[object]], chance: random.Random) -> None:
    _delete(rows, chance)
    for number, row in enumerate(rows, 1):
        row[0] = number


def _swap(rows: list[list[object]], chance: random.Random) -> None:
    one, other = chance.sample(rows, 2)
    one[0], other[0] = other[0], one[0]


def _swap_contents(rows: list[list[object]], chance: random.Random) -> None:
    one, other = chance.sample(rows, 2)
    one[1:], other[1:] = other[1:], one[1:]


def _duplicate(rows: list[list[object]], chance: random.Random) -> None:
    rows.append(list(chance.choice(rows)))


def _duplicate_at_the_end(rows: list[list[object]], chance: random.Random) -> None:
    rows.append([len(rows) + 1, *chance.choice(rows)[1:]])


def _cut_the_tail(rows: list[list[object]], chance: random.Random) -> None:
    del rows[chance.randrange(1, len(rows)) :]


def _rewrite_all(rows: list[list[object]], chance: random.Random) -> None:
    changed = chance.randrange(len(rows))
    previous = audit.GENESIS
    for number, row in enumerate(rows):
        body = json.loads(str(row[3]))
        body["previous"] = previous
        if number == changed:
            body["what"] = "something else"
        row[3] = audit.canonical(body)
        row[4], row[5] = previous, audit._hash(row[3])
        previous = str(row[5])


@pytest.mark.parametrize(
    ("tamper", "found_without_anchor"),
    [
        (_edit, True),
        (_edit_and_rehash, None),  # of the last record it is found only by the anchor
        (_delete, True),
        (_delete_and_renumber, True),
        (_swap, True),
        (_swap_contents, True),
        (_duplicate, True),
        (_duplicate_at_the_end, True),
        (_cut_the_tail, False),
        (_rewrite_all, False),
    ],
)
def test_every_tampering_is_found_with_the_anchor(
    made: tuple[bytes, list[Head]],
    tmp_path: Path,
    tamper: Callable[[list[list[object]], random.Random], None],
    found_without_anchor: bool | None,
) -> None:
    content, heads = made
    path = tmp_path / NAME
    path.write_bytes(content)
    chance = random.Random(tamper.__name__)
    caught = alone = 0
    with closing(sqlite3.connect(path)) as database:
        columns = "seq BIGINT, kind TEXT, scopes TEXT, body TEXT, previous TEXT, hash TEXT"
        original = [list(row) for row in database.execute("SELECT * FROM audit ORDER BY seq")]
        database.executescript(f"DROP TABLE audit; CREATE TABLE audit ({columns});")
        database.commit()
    with open_store(None, tmp_path) as store:
        store.database.execute("PRAGMA foreign_keys = OFF")
        for _ in range(TRIES):
            rows = [list(row) for row in original]
            tamper(rows, chance)
            assert rows != original
            with store.transaction():
                store.database.execute("DELETE FROM audit")
                store.database.load("audit", ("seq", "kind", "scopes", "body", "previous", "hash"), rows)
            caught += bool(list(audit.faults(store.database, [heads[-1]])))
            alone += bool(list(audit.faults(store.database)))
    sys.stdout.write(f"{tamper.__name__.strip('_')}: {caught} of {TRIES} found with the anchor, {alone} without\n")
    assert caught == TRIES
    if found_without_anchor is not None:
        assert alone == (TRIES if found_without_anchor else 0)


def test_nothing_is_added_to_a_chain_whose_last_record_was_changed(tmp_path: Path) -> None:
    chain(tmp_path, 3)
    with closing(sqlite3.connect(tmp_path / NAME)) as database:
        database.executescript(
            "DROP TRIGGER audit_refuses_update; UPDATE audit SET body = replace(body, 'n2', 'n9') WHERE seq = 3;"
        )
    with open_store(None, tmp_path) as store, pytest.raises(StateError, match="audit record 3 was changed"):
        store.append("note", ANALYST, "one more")


def test_the_newest_record_of_a_scope(tmp_path: Path) -> None:
    with open_store(None, tmp_path) as store:
        assert store.newest_record() is None
        run = store.append("run", ANALYST, "run", scopes=["broker prime", "broker coin"])
        other = store.append("halt", ANALYST, "halt", scopes=["account prime/HEDGE"])
        note = store.append("note", ANALYST, "note")
        assert store.newest_record("prime", "MAIN") == run
        assert store.newest_record("prime", "HEDGE") == other
        assert store.newest_record("prime") == run
        assert store.newest_record("nobody") is None
        assert store.newest_record() == other
        firm = store.append("lift", ANALYST, "lift", scopes=["firm"])
        assert {store.newest_record(*scope) for scope in (("prime", "MAIN"), ("prime",), ("nobody",), ())} == {firm}
        assert note.seq == 3
