"""What the newest runs propose to correct: read from their reports as the store has them, held against the audit chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from recon_core.book.statements import proposed
from recon_core.config.settings import BookSettings
from recon_core.errors import NotRecordedError
from recon_core.explanation import Key
from recon_core.state import corrections
from recon_core.state.breaks import newest
from recon_core.state.corrections import Correction
from recon_core.state.database import Database
from recon_core.state.runs import runs, sealed_report

CLOSED = ("applied", "reverted")
"""How a correction stands that is not made again."""

SEARCHED = 90
"""How many runs back a correction is looked for that no newest run proposes, to say what took its place."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A correction that may be made. ``review`` is why a person should look at it, ``automatic`` says that many may go at once."""

    correction: Correction
    review: str
    automatic: bool


class Proposals:
    """The proposals of the runs that last saw each open break."""

    def __init__(self, database: Database, book: BookSettings, now: datetime) -> None:
        self._database, self._book, self._now = database, book, now

    def all(self) -> list[Offer]:
        """Each correction once, in the order of the runs and of the breaks in their reports."""
        return list(self._by_id.values())

    def at(self, key: Key) -> Correction | None:
        """What is proposed for a position."""
        offer = self._by_position.get(key)
        return offer.correction if offer else None

    def named(self, name: str) -> Offer:
        """The proposal for a break, or of a correction, by its id or the beginning of it. Raises NotRecordedError."""
        if name.startswith("C"):
            return self._of_correction(name)
        told = newest(self._database, name)
        if told["status"] in ("resolved", "superseded"):
            raise NotRecordedError(f"{told['id']} is {told['status']}: there is nothing to correct")
        offer = self._by_position.get(_key(told))
        if offer is None:
            raise NotRecordedError(f"{told['id']} has no proposal: `recon-core breaks explain {told['id']}` says what is known")
        return offer

    def _of_correction(self, name: str) -> Offer:
        if name in self._by_id:
            return self._by_id[name]
        found = [offer for offer in self.all() if offer.correction.id.startswith(name)]
        if len(found) > 1:
            raise NotRecordedError(f"{name} is the beginning of {len(found)} corrections: write more of it")
        if found:
            return found[0]
        known = corrections.find(self._database, name)
        if known is not None and known.state in CLOSED:
            raise closed(self._database, name)
        for run in reversed(runs(self._database, limit=SEARCHED)):
            for entry in sealed_report(self._database, run.run_id)["discrepancies"]:
                if (proposal := entry.get("correction")) and proposal["id"] == name:
                    key = _key(entry)
                    raise NotRecordedError(overtaken(name, run.run_id, corrections.place(key), self.at(key)))
        raise NotRecordedError(f"there is no correction {name} in the last {SEARCHED} runs; nothing was changed")

    @cached_property
    def _by_id(self) -> dict[str, Offer]:
        rows = self._database.execute(
            "SELECT id, episode, last_run FROM breaks WHERE is_open = 1 AND superseded_by IS NULL ORDER BY last_run, id"
        )
        episodes = {(run_id, name): episode for name, episode, run_id in rows}
        offers: dict[str, Offer] = {}
        for run_id in dict.fromkeys(run_id for run_id, _ in episodes):
            for entry in sealed_report(self._database, run_id)["discrepancies"]:
                proposal, episode = entry.get("correction"), episodes.get((run_id, entry["id"]))
                if proposal and episode is not None:
                    offers.setdefault(proposal["id"], self._offer(entry, proposal, episode, run_id))
        return offers

    @cached_property
    def _by_position(self) -> dict[Key, Offer]:
        offers: dict[Key, Offer] = {}
        for offer in self.all():
            offers.setdefault(offer.correction.key, offer)
        return offers

    def _offer(self, entry: Mapping[str, Any], proposal: Mapping[str, Any], episode: int, run_id: str) -> Offer:
        where, key = self._book.corrections, _key(entry)
        broker, account, symbol, leg = key
        table = (where.table if where else None) or self._book.table or "positions"
        correction = Correction(
            id=proposal["id"],
            state="proposed",
            kind=proposal["kind"],
            broker=broker,
            account=account,
            symbol=symbol,
            leg=leg,
            break_id=entry["id"],
            episode=episode,
            run_id=run_id,
            before=proposal["before"],
            after=proposal["after"],
            pnl=proposal["pnl"],
            sql=str(proposed(self._book, table, key, proposal["before"], proposal["after"], self._now)),
        )
        return Offer(correction, proposal["review"], proposal["automatic"])


def closed(database: Database, name: str) -> NotRecordedError:
    """What is to be said of a correction that was made already."""
    known = corrections.find(database, name)
    if known is not None and known.state == "reverted":
        again = f"`recon-core correct --revert {known.reverted_by}` makes it again"
        return NotRecordedError(f"{name} was applied and taken back by {known.reverted_by}: {again}; nothing was changed")
    when = known.applied_at if known else None
    return NotRecordedError(
        f"{name} was applied at {when}, and is applied once: `recon-core run` shows whether that cleared the break; "
        "where something else wrote to the row since, that run proposes it anew, by another id; nothing was changed"
    )


def overtaken(name: str, run_id: str, place: str, now: Correction | None) -> str:
    """What is to be said of a correction of an earlier run; ``now`` is what the newest run of that position proposes."""
    if now is None:
        return f"{name} is of run {run_id}, and the newest run of {place} does not propose it any more; nothing was changed"
    return f"{name} is of run {run_id}, and superseded: run {now.run_id} proposes {now.id} in its place; nothing was changed"


def _key(entry: Mapping[str, Any]) -> Key:
    return entry["broker"], entry["account"], entry["symbol"], entry["leg"]
