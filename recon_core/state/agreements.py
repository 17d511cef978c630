"""Until when book and broker agreed: by position, the last proven run before it broke."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from recon_core.columns import KEY_COLUMNS
from recon_core.sql import quoted
from recon_core.state import tails
from recon_core.state.database import Database
from recon_core.state.lifecycle import Position
from recon_core.state.times import moment, naive, stored

Ran = tuple[datetime, int]
"""The time that a run is of, and its place among all runs."""


@dataclass(frozen=True, slots=True)
class Agreements:
    """``began``: the run that first saw each position broken. ``agreed``: the last run since then in which its quantities were
    equal all the same. ``proven``: by broker its COMPLETE runs, oldest first.
    """

    began: Mapping[Position, Ran] = field(default_factory=dict)
    agreed: Mapping[Position, datetime] = field(default_factory=dict)
    proven: Mapping[str, Sequence[Ran]] = field(default_factory=dict)

    def last(self, position: Position) -> datetime | None:
        """The time of the last proven run in which a position's quantities were equal; None where there was none."""
        if position in self.agreed:
            return self.agreed[position]
        runs = self.proven.get(position[0], ())
        begun = self.began.get(position)
        before = len(runs) if begun is None else bisect_left(runs, begun)
        return runs[before - 1][0] if before else None


def agreements(database: Database, positions: Collection[Position], as_of: datetime) -> Agreements:
    """What the store knows of some positions at ``as_of``: of episodes that began later, and of later runs, nothing."""
    brokers = sorted({broker for broker, *_ in positions})
    places, then = ", ".join("?" * len(brokers)), stored(as_of)
    begun = database.execute(
        f"""SELECT e.broker, e.account, e.symbol, e.leg, e.agreed_at, e.first_seen, r.seq
            FROM episodes e JOIN runs r ON r.run_id = e.first_run
            WHERE e.first_seen <= ? AND (e.resolved_at IS NULL OR e.resolved_at > ?) AND e.broker IN ({places})""",
        (then, then, *brokers),
    )
    begun += _in_bulk(database, positions, as_of)
    ran = database.execute(
        f"""SELECT f.broker, r.as_of, r.seq FROM feeds f JOIN runs r ON r.run_id = f.run_id
            WHERE f.status = 'COMPLETE' AND r.as_of <= ? AND f.broker IN ({places}) ORDER BY r.as_of, r.seq""",
        (then, *brokers),
    )
    times = {text: moment(text) for text in {row[-2] for row in (*begun, *ran)}}
    proven: dict[str, list[Ran]] = {}
    for broker, text, seq in ran:
        proven.setdefault(broker, []).append((times[text], seq))
    began = {(broker, account, symbol, leg): (times[text], seq) for broker, account, symbol, leg, _, text, seq in begun}
    agreed = {
        (broker, account, symbol, leg): moment(text) for broker, account, symbol, leg, text, *_ in begun if text and text <= then
    }
    return Agreements(began, agreed, proven)


def _in_bulk(database: Database, positions: Collection[Position], as_of: datetime) -> list[tuple[Any, ...]]:
    """The same rows of those positions that are followed in bulk."""
    if not positions or not tails.kept(database):
        return []
    worked = set(tails.positions(database))
    asked = ", ".join(f"({', '.join(map(quoted, position))})" for position in positions if position not in worked)
    if not asked:
        return []
    condition = f"t.began <= ? AND (t.resolved_at IS NULL OR t.resolved_at > ?) AND ({', '.join(KEY_COLUMNS)}) IN ({asked})"
    found = tails.ask(database, condition, (naive(as_of), naive(as_of)))
    runs = {entry["first_run"] for entry in found}
    places = {run: seq for run in runs for (seq,) in database.execute("SELECT seq FROM runs WHERE run_id = ?", (run,))}
    return [
        (*(entry[name] for name in KEY_COLUMNS), entry["agreed_at"], entry["began"], places[entry["first_run"]])
        for entry in found
        if entry["first_run"] in places
    ]
