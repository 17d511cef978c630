"""Corrections of the book as the store keeps them: what was asked for, approved, begun, made, refused and taken back, by whom.

Each step is an audit record that holds the correction as it stands then; the table has the newest of each, and is believed only
where it is what that record says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from recon_core.errors import StateError
from recon_core.state.actor import Actor
from recon_core.state.audit import append, canonical
from recon_core.state.database import Database, on_conflict

if TYPE_CHECKING:  # what explains is loaded where something is broken
    from recon_core.explanation import Key

State = Literal["proposed", "requested", "intended", "applied", "refused", "reverted", "superseded"]
"""``proposed``: nothing was done about it, nor is it on record. ``intended``: it was begun, and what came of it is not recorded.
``refused``: the book was left as it was, and it may be tried again."""

Step = Literal["requested", "approved", "intent", "applied", "refused", "reverted", "superseded"]
"""The audit records, ``correction-STEP``."""

_KEY = ("broker", "account", "symbol", "leg")
_TOLD = ("id", *_KEY, "episode", "state")
"""Columns that say what the content says."""

_POSITION = " AND ".join(f"{name} = ?" for name in _KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """One correction as it stands. ``before`` and ``after`` are as it was proposed, ``journal`` as the book's journal has it.

    ``run_id`` is the run whose report proposes it, ``break_id`` and ``episode`` what it is to end. ``sql`` is how it would be made
    elsewhere, ``database`` where it is made, without a password; ``journal_table`` and ``journal_token`` are the journal that it
    was begun with. ``requested_as`` and ``approved_as`` are users of the operating system. ``reverts`` names the correction that it
    takes back, ``reverted_by`` the one that took it back. ``why`` is why it was refused, or what it gave way to.
    """

    id: str
    state: State
    kind: str
    broker: str
    account: str
    symbol: str
    leg: str
    break_id: str
    episode: int
    run_id: str
    before: Mapping[str, str | None] | None
    after: Mapping[str, str | None] | None
    pnl: Mapping[str, Any] | None = None
    sql: str = ""
    by: str | None = None
    reason: str | None = None
    requested_at: str | None = None
    requested_by: str | None = None
    requested_as: str | None = None
    approved_by: str | None = None
    approved_as: str | None = None
    applied_at: str | None = None
    database: str = ""
    journal_table: str = ""
    journal_token: str = ""
    journal: Mapping[str, Any] | None = None
    reverts: str | None = None
    reverted_by: str | None = None
    why: str = ""

    @property
    def key(self) -> Key:
        """The position."""
        return self.broker, self.account, self.symbol, self.leg

    @property
    def place(self) -> str:
        """The position, for people."""
        return place(self.key)


def place(key: Key) -> str:
    """A position, for people."""
    broker, account, symbol, leg = key
    return f"{broker}/{account} {symbol}{'' if leg == 'NET' else f' {leg}'}"


def record(database: Database, actor: Actor, step: Step, what: str, now: Correction, *, at: datetime | None = None) -> Correction:
    """Write one step, with its audit record, in the transaction that is open or one of its own. Returns the correction."""
    with database.transaction():
        before = find(database, now.id)
        content = asdict(now)
        seq, _ = append(
            database,
            f"correction-{step}",
            actor,
            f"{now.id}: {now.kind} of {now.place}: {what}",
            before=None if before is None else {"state": before.state},
            after=content,
            at=at or datetime.now(UTC),
        )
        names = (*_TOLD, "content", "seq")
        row = (*(content[name] for name in _TOLD), canonical(content), seq)
        database.execute(
            f"INSERT INTO corrections ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
            + on_conflict(("id",), ("state", "episode", "content", "seq")),
            row,
        )
    return now


def find(database: Database, name: str) -> Correction | None:
    """A correction by its id; None where nothing was ever done about it. Raises StateError for one that was tampered with."""
    found = _found(database, "id = ?", (name,))
    return found[0] if found else None


def in_state(database: Database, state: State) -> list[Correction]:
    """All corrections in a state, oldest step first."""
    return _found(database, "state = ?", (state,))


def of_position(database: Database, key: Sequence[str]) -> list[Correction]:
    """All corrections of a position, oldest step first."""
    return _found(database, _POSITION, tuple(key))


def that_ended(database: Database, key: Sequence[str], break_type: str) -> str | None:
    """The id of the correction that was made of a position in the newest episode of such a break; None where none was."""
    newest = f"SELECT max(episode) FROM breaks WHERE {_POSITION} AND type = ?"
    rows = database.execute(
        f"SELECT id FROM corrections WHERE {_POSITION} AND state = 'applied' AND episode = ({newest}) ORDER BY seq DESC",
        (*key, *key, break_type),
    )
    made = (find(database, row[0]) for row in rows)
    return next((correction.id for correction in made if correction and correction.reverts is None), None)


def nth(name: str, made: int) -> str:
    """The id of a proposal where ``made`` corrections of its position were made before: what is to be done again is another one."""
    return "C" + hashlib.sha256(f"{name} after {made}".encode()).hexdigest()[:16] if made else name


def made_before(database: Database) -> dict[Key, int]:
    """By position, how many corrections of it were made, whether or not they were taken back."""
    counted = (
        f"SELECT {', '.join(_KEY)}, count(*) FROM corrections WHERE state IN ('applied', 'reverted') GROUP BY {', '.join(_KEY)}"
    )
    return {(broker, account, symbol, leg): count for broker, account, symbol, leg, count in database.execute(counted)}


def took_back(database: Database, key: Sequence[str]) -> str | None:
    """The id of the newest correction of a position that stands, where it took another back."""
    stand = [correction for correction in of_position(database, key) if correction.state == "applied"]
    return stand[-1].id if stand and stand[-1].reverts else None


def states(database: Database) -> dict[str, str]:
    """By id, how each correction stands."""
    return dict(database.execute("SELECT id, state FROM corrections"))


def supersede(database: Database, actor: Actor, key: Sequence[str], by: str, run_id: str) -> None:
    """Note of what was asked for at a position, and is not the proposal ``by`` of its newest run, that it gave way to that."""
    for other in of_position(database, key):
        if other.state in ("requested", "refused") and other.id != by and other.reverts is None:
            why = f"run {run_id} proposes {by} in its place"
            record(database, actor, "superseded", why, replace(other, state="superseded", why=why))


def faults(database: Database) -> list[str]:
    """Corrections that are not what their audit records say, in words."""
    newest: dict[str, tuple[Any, ...]] = {}
    found = []
    for seq, body in database.execute("SELECT seq, body FROM audit WHERE kind LIKE 'correction-%' ORDER BY seq"):
        try:
            after = json.loads(body)["after"]
            newest[after["id"]] = (*(after[name] for name in _TOLD), canonical(after), seq)
        except (ValueError, TypeError, KeyError, RecursionError):
            found.append(f"record {seq}: is no record of a correction")
    kept = {row[0]: row for row in database.execute(f"SELECT {', '.join(_TOLD)}, content, seq FROM corrections")}
    for name in sorted(newest.keys() | kept.keys()):
        if newest.get(name) != kept.get(name):
            found.append(f"correction {name}: is not what its newest record says")
    return found


def _found(database: Database, where: str, values: Sequence[str]) -> list[Correction]:
    rows = database.execute(
        f"SELECT c.id, c.state, c.content, c.seq, a.body FROM corrections c JOIN audit a ON a.seq = c.seq "
        f"WHERE {' AND '.join(f'c.{term}' for term in where.split(' AND '))} ORDER BY c.seq",
        values,
    )
    return [_read(database, *row) for row in rows]


def _read(database: Database, name: str, state: str, content: str, seq: int, body: str) -> Correction:
    try:
        found = json.loads(content)
        if canonical(json.loads(body)["after"]) != content or (found["id"], found["state"]) != (name, state):
            raise ValueError("it is not what its audit record says")
        return Correction(**found)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise StateError(
            f"{database.name}: correction {name} was changed ({error}; audit record {seq}): `recon-core audit verify` says more"
        ) from None
