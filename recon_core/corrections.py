"""The book corrected: what the newest runs propose is asked for, approved, applied, and taken back where it was wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from recon_core.applying import Applying, Done
from recon_core.config.credentials import store_url
from recon_core.config.load import load_configuration
from recon_core.config.settings import Settings
from recon_core.errors import ConfigError, NotRecordedError, StateError
from recon_core.host import load_host
from recon_core.proposals import CLOSED, Offer, Proposals, closed, overtaken
from recon_core.state import corrections as state
from recon_core.state.actor import Actor, same_person
from recon_core.state.corrections import Correction
from recon_core.state.lock import hold
from recon_core.state.store import Store, has_store, open_store, run_lock


@contextmanager
def opened(
    config: Path, actor: Actor, *, locked: bool, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Iterator[Desk]:
    """The corrections of a deployment; ``locked``: alone, no run beside. Raises StateError where nothing is recorded yet."""
    configuration = load_configuration(config, load_host, environment=None)
    settings = configuration.settings
    url = store_url(settings.store, settings.folder)
    if not has_store(url, settings.state_dir):
        raise StateError(f"{settings.state_dir}: nothing is recorded yet: `recon-core run` records")
    with ExitStack() as stack:
        if locked:
            stack.enter_context(hold(settings.state_dir, clock(), run_lock(url)))
        store = stack.enter_context(open_store(url, settings.state_dir, create=False))
        desk = Desk(settings, store, actor, two_person=configuration.policy.corrections.two_person, clock=clock)
        stack.callback(desk.close)
        yield desk


class Desk:
    """Where corrections are made. What writes expects the run lock to be held, and the book open until ``close``."""

    def __init__(self, settings: Settings, store: Store, actor: Actor, *, two_person: bool, clock: Callable[[], datetime]) -> None:
        self._settings, self._database, self._actor, self._clock = settings, store.database, actor, clock
        self._two_person = two_person
        self._applying = Applying(settings, store, actor, clock=clock)

    def close(self) -> None:
        """Close the book, where it is open."""
        self._applying.close()

    @property
    def writes(self) -> bool:
        """Whether recon.yaml says where the book is corrected; else corrections are printed for another system."""
        return self._settings.book.corrections is not None

    def settle(self) -> list[Done]:
        """Settle what was begun and has no outcome on record: see ``Applying.settle``."""
        return self._applying.settle()

    def offers(self, names: Sequence[str] | None) -> list[Offer]:
        """What the newest runs propose: for these breaks or corrections (an id, or its beginning), None: all that may go at once.

        Raises NotRecordedError for a name that is none, for a break without a proposal, and for a correction that was made
        already or gave way to a newer one.
        """
        if names is None:
            stand = state.states(self._database)
            return [offer for offer in self._proposals.all() if offer.automatic and stand.get(offer.correction.id) not in CLOSED]
        chosen = {offer.correction.id: offer for offer in map(self._proposals.named, names)}
        for name in chosen:
            if (known := state.find(self._database, name)) is not None and known.state in CLOSED:
                raise closed(self._database, name)
        return list(chosen.values())

    def make(self, shown: Correction, reason: str | None) -> Done:
        """Make what was shown, or ask for it where two people must sign. Raises NotRecordedError where it is overtaken by now."""
        if shown.reverts:
            correction = self.to_revert(shown.reverts)
        else:
            (offer,) = self.offers([shown.id])
            correction = offer.correction
            state.supersede(self._database, self._actor, correction.key, correction.id, correction.run_id)
        return self._ask(correction, reason) if self._two_person else self._applying.carry_out(correction, reason)

    def to_approve(self, name: str) -> Correction:
        """What was asked for under an id, as the newest run proposes it. Raises NotRecordedError where this person may not approve
        it, where nobody asked for it, and where it gave way to a newer one."""
        self._applying.place()
        by, asked = self._actor.by, state.find(self._database, name)
        if not by:
            raise ConfigError("--by NAME is due: who approves it?")
        if asked is not None and asked.state == "superseded":
            raise NotRecordedError(f"{name} is superseded: {asked.why}; nothing was changed")
        if asked is None or asked.requested_by is None or asked.state not in ("requested", "refused"):
            known = "nobody has asked for it" if asked is None or asked.requested_by is None else f"it is {asked.state}"
            raise NotRecordedError(f"{name} is not to be approved: {known}; nothing was changed")
        if same_person(asked.requested_by, by):
            raise NotRecordedError(
                f"{name} was asked for by {asked.requested_by}, so another person must approve it; nothing was changed"
            )
        current = asked
        if not asked.reverts:
            now = self._proposals.at(asked.key)
            if now is None or now.id != name:
                raise NotRecordedError(overtaken(name, asked.run_id, asked.place, now))
            current = now
        return replace(
            current,
            state="requested",
            by=asked.by,
            reason=asked.reason,
            requested_by=asked.requested_by,
            requested_at=asked.requested_at,
            requested_as=asked.requested_as,
            approved_by=by,
            approved_as=self._actor.user,
        )

    def approve(self, name: str) -> Done:
        """Approve what another person asked for, and make it. Raises as ``to_approve`` does."""
        approved = self.to_approve(name)
        one = approved.approved_as if approved.approved_as == approved.requested_as else None
        alike = f"the user {one} of the operating system asked for it and approved it, under two names" if one else ""
        what = "; ".join(filter(None, (f"approved by {approved.approved_by}", alike)))
        state.record(self._database, self._actor, "approved", what, approved, at=self._clock())
        done = self._applying.carry_out(approved, None)
        return replace(done, warning=alike)

    def to_revert(self, name: str) -> Correction:
        """The correction that takes back one that was made. Raises NotRecordedError where there is none to take back."""
        self._applying.place()
        made = state.find(self._database, name)
        if made is None:
            raise NotRecordedError(f"there is no correction {name} on record: nothing to take back")
        if made.state != "applied" or made.journal is None:
            more = f" by {made.reverted_by}" if made.reverted_by else ""
            raise NotRecordedError(f"{name} is {made.state}{more}: only what is applied can be taken back; nothing was changed")
        before, after = made.journal["after"], made.journal["before"]
        again = state.find(self._database, made.reverts) if made.reverts else None
        return replace(
            made,
            id="C" + hashlib.sha256(f"revert {made.id}".encode()).hexdigest()[:16],
            state="proposed",
            kind="insert" if before is None else "delete" if after is None else "update",
            before=before and before["read_as"],
            after=after and after["read_as"],
            sql="",
            pnl=again.pnl if again else None,  # to take back what took back means the money of the first
            requested_at=None,
            requested_by=None,
            requested_as=None,
            approved_by=None,
            approved_as=None,
            applied_at=None,
            journal=None,
            by=None,
            reason=None,
            reverts=made.id,
        )

    def _ask(self, offer: Correction, reason: str | None) -> Done:
        if not self._actor.by:
            raise ConfigError("--by NAME is due: two people correct the book here (corrections.two_person)")
        asked = replace(
            offer,
            state="requested",
            requested_by=self._actor.by,
            requested_as=self._actor.user,
            requested_at=self._stamp(),
            reason=reason,
            by=self._actor.by,
        )
        state.record(self._database, self._actor, "requested", f"asked for by {self._actor.by}", asked, at=self._clock())
        return Done(asked, f"asked for; another person approves it: recon-core correct --approve {asked.id} --by NAME")

    @cached_property
    def _proposals(self) -> Proposals:
        """Read once: while the run lock is held, no run proposes anything else."""
        return Proposals(self._database, self._settings.book, self._clock())

    def _stamp(self) -> str:
        return self._clock().astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
