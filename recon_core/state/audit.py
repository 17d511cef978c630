"""The audit chain: append-only records, each bound to the one before by its hash.

A record's ``body`` is canonical JSON (keys sorted, no blanks, ASCII) and its hash is the sha256 of just that text, which holds
its number and the hash of the record before. So any change, loss or swap in the middle breaks the chain; a tail that was cut
off, or a chain that was written anew as a whole, is found only by an anchor (number and hash) that was kept elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple

from recon_core.errors import StateError
from recon_core.state.actor import Actor
from recon_core.state.database import Database
from recon_core.state.times import stored

GENESIS = "0" * 64
"""What the first record has for the hash of the one before."""

_BATCH = 1000


class Head(NamedTuple):
    """The newest record: its number, from 1, and its hash. ``(0, GENESIS)`` where there is none."""

    seq: int
    head: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.head}"


def append(
    database: Database,
    kind: str,
    actor: Actor,
    what: str,
    *,
    before: Any = None,
    after: Any = None,
    inputs: Any = None,
    scopes: Sequence[str] = (),
    at: datetime | None = None,
) -> Head:
    """Add a record, in the transaction that is open or one of its own. What it holds must be JSON; returns the new head.

    ``scopes`` are those whose permission to trade it bears on, written as a decision writes them (``firm``, ``broker NAME``,
    ``account BROKER/NAME``).
    """
    with database.transaction():
        last = _last(database)
        body = canonical(
            {
                "seq": last.seq + 1,
                "at": stored(at or datetime.now(UTC)),
                "kind": kind,
                "actor": actor.as_dict(),
                "what": what,
                "before": before,
                "after": after,
                "inputs": inputs,
                "scopes": list(scopes),
                "previous": last.head,
            }
        )
        head = Head(last.seq + 1, _hash(body))
        row = (head.seq, kind, canonical(list(scopes)), body, last.head, head.head)
        database.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?)", row)
        return head


def head(database: Database) -> Head:
    """The newest record. Raises StateError where it is not what its hash says."""
    return _last(database)


def newest_of(database: Database, scopes: Sequence[str] | None) -> Head | None:
    """The newest record that bears on one of ``scopes`` (None: on any scope at all); None where none does."""
    before = _last(database).seq + 1
    while rows := database.execute(
        "SELECT seq, scopes, hash FROM audit WHERE seq < ? AND scopes <> '[]' ORDER BY seq DESC LIMIT ?", (before, _BATCH)
    ):
        for seq, found, digest in rows:
            if scopes is None or not set(scopes).isdisjoint(_parsed_list(database, seq, found)):
                return Head(seq, digest)
        before = rows[-1][0]
    return None


def records(database: Database, *, after: int = 0) -> Iterator[dict[str, Any]]:
    """The records in order, each as its body says, with its ``hash``; those with a number above ``after``."""
    for seq, _, _, body, _, digest in _rows(database, after):
        try:
            yield {**json.loads(body), "hash": digest}
        except (ValueError, TypeError, RecursionError):
            raise StateError(f"{database.name}: audit record {seq} cannot be read") from None


def faults(database: Database, anchors: Sequence[Head] = ()) -> Iterator[str]:
    """What is wrong with the chain, in words, first things first; nothing where it is whole and meets the anchors."""
    wanted = sorted(anchors)
    seen, expected, previous = 0, 1, GENESIS
    for seq, kind, scopes, body, stated_previous, digest in _rows(database, 0):
        seen += 1
        if not isinstance(seq, int):
            yield f"record {expected}: its number is no number"
            return
        if seq != expected:
            yield f"record {expected} is missing: the next one is {seq}" if seq > expected else f"record {seq} stands twice"
        found = _parsed(body)
        if found is None or canonical(found) != body:
            yield f"record {seq}: its text is not as it was written"
        else:
            stated = (found.get("seq"), found.get("kind"), canonical(found.get("scopes")), found.get("previous"))
            if stated != (seq, kind, scopes, stated_previous):
                yield f"record {seq}: its columns are not what its text says"
        if _hash(body) != digest:
            yield f"record {seq}: its hash is not that of its text"
        if stated_previous != previous:
            yield f"record {seq}: does not follow from the record before"
        while wanted and wanted[0].seq <= seq:
            anchor = wanted.pop(0)
            if anchor.seq < seq or anchor.head != digest:
                yield f"anchor {anchor}: record {anchor.seq} is another one, or gone"
        expected, previous = seq + 1, digest
    if database.execute("SELECT count(*) FROM audit") != [(seen,)]:
        yield "some records stand twice, or have no number"
    for anchor in wanted:
        yield f"anchor {anchor}: there is no such record: the chain ends at {expected - 1}"


def canonical(value: Any) -> str:
    """One text for one value: keys sorted, no blanks, ASCII. Raises TypeError for what JSON does not have."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def fingerprint(value: Mapping[str, Any]) -> str:
    """The sha256 of a value's canonical JSON."""
    return _hash(canonical(value))


def _last(database: Database) -> Head:
    rows = database.execute("SELECT seq, hash, body FROM audit ORDER BY seq DESC LIMIT 1")
    if not rows:
        return Head(0, GENESIS)
    seq, digest, body = rows[0]
    if not isinstance(body, str) or _hash(body) != digest:
        raise StateError(f"{database.name}: audit record {seq} was changed: `recon-core audit verify` says more; nothing was added")
    return Head(seq, digest)


def _rows(database: Database, after: int) -> Iterator[tuple[Any, ...]]:
    """The rows in order, some at a time."""
    while rows := database.execute(
        "SELECT seq, kind, scopes, body, previous, hash FROM audit WHERE seq > ? ORDER BY seq LIMIT ?", (after, _BATCH)
    ):
        yield from rows
        after = rows[-1][0]


def _parsed(body: Any) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except (ValueError, TypeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _parsed_list(database: Database, seq: int, text: str) -> list[str]:
    try:
        return [str(entry) for entry in json.loads(text)]
    except (ValueError, TypeError, RecursionError):
        raise StateError(f"{database.name}: audit record {seq} was changed: `recon-core audit verify` says more") from None


def _hash(text: Any) -> str:
    return sha256(str(text).encode("utf-8", "surrogatepass")).hexdigest()
