"""The book corrected: what the newest runs propose is asked for, approved, carried out once, and taken back where it was wrong.

The order is that of ``Desk._carry_out``: an intent on record, one transaction of the book's database with an entry of its journal,
the outcome on record. Whatever ends the program between leaves an intent, and the next start reads off the journal which it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from recon_core.book.journal import Entry, Journal
from recon_core.book.writable import DoubtError, open_writable
from recon_core.book.writer import Change, Writer
from recon_core.config.credentials import book_url, store_url
from recon_core.config.load import load_configuration
from recon_core.config.settings import CorrectionSettings, Settings
from recon_core.engine import connect
from recon_core.errors import ConfigError, CorrectionError, NotRecordedError, ReconError, StateError
from recon_core.host import load_host
from recon_core.interruption import deferred
from recon_core.proposals import CLOSED, Offer, Proposals, closed, overtaken
from recon_core.state import corrections as state
from recon_core.state.actor import Actor, same_person
from recon_core.state.corrections import Correction
from recon_core.state.lock import hold
from recon_core.state.store import Store, has_store, open_store, run_lock


@dataclass(frozen=True, slots=True)
class Done:
    """What came of one correction: how it stands, and what is to be said of it. ``error`` is set where it was not made.

    ``warning`` is what a person should know of how it came to be made.
    """

    correction: Correction
    said: str
    error: ReconError | None = None
    warning: str = ""


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
        self._store = store
        self._where: CorrectionSettings | None = settings.book.corrections
        self._two_person = two_person
        self._writer: Writer | None = None
        self._open = ExitStack()

    def close(self) -> None:
        """Close the book, where it is open."""
        self._writer = None
        self._open.close()

    @property
    def writes(self) -> bool:
        """Whether recon.yaml says where the book is corrected; else corrections are printed for another system."""
        return self._where is not None

    def settle(self) -> list[Done]:
        """Say of every correction that was begun and has no outcome on record which it was, by the book's journal, and record it.

        One of which that cannot be told now stays begun: its ``error`` is a StateError, and the others are settled all the same.
        """
        done = []
        for begun in state.in_state(self._database, "intended"):
            try:
                done.append(self._settle(begun))
            except StateError as error:
                done.append(Done(begun, str(error), error))
        return done

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
        return self._ask(correction, reason) if self._two_person else self._carry_out(correction, reason)

    def to_approve(self, name: str) -> Correction:
        """What was asked for under an id, as the newest run proposes it. Raises NotRecordedError where this person may not approve
        it, where nobody asked for it, and where it gave way to a newer one."""
        self._place()
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
        done = self._carry_out(approved, None)
        return replace(done, warning=alike)

    def to_revert(self, name: str) -> Correction:
        """The correction that takes back one that was made. Raises NotRecordedError where there is none to take back."""
        self._place()
        made = state.find(self._database, name)
        if made is None:
            raise NotRecordedError(f"there is no correction {name} on record: nothing to take back")
        if made.state != "applied" or made.journal is None:
            more = f" by {made.reverted_by}" if made.reverted_by else ""
            raise NotRecordedError(f"{name} is {made.state}{more}: only what is applied can be taken back; nothing was changed")
        before, after = made.journal["after"], made.journal["before"]
        return replace(
            made,
            id="C" + hashlib.sha256(f"revert {made.id}".encode()).hexdigest()[:16],
            state="proposed",
            kind="insert" if before is None else "delete" if after is None else "update",
            before=before and before["read_as"],
            after=after and after["read_as"],
            sql="",
            pnl=None,
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

    def _carry_out(self, correction: Correction, reason: str | None) -> Done:
        """An intent on record, the book changed in one transaction, the outcome on record."""
        where = self._place()
        with deferred():
            writer = self._opened(where)
            begun = replace(
                correction,
                state="intended",
                database=writer.name,
                journal_table=where.journal,
                journal_token=writer.token,
                by=correction.by or self._actor.by or self._actor.user,
                reason=correction.reason or reason,
            )
            state.record(self._database, self._actor, "intent", f"begun by {begun.by}", begun, at=self._clock())
            try:
                entry, anew = writer.write(self._change(begun), by=begun.by or "", now=self._clock())
            except DoubtError:
                self.close()
                return self._settle(begun)
            except ReconError as error:
                if not isinstance(error, CorrectionError):  # what broke once is opened anew for the next
                    self.close()
                return self._refused(begun, error)
            done = self._made(begun if anew else replace(begun, by=entry.by), entry)
            return done if anew else replace(done, said=f"was applied at {entry.applied_at} already, by {entry.by}: now recorded")

    def _opened(self, where: CorrectionSettings) -> Writer:
        """The table to correct, opened once for all corrections of a session."""
        if self._writer is None:
            with ExitStack() as stack:
                writable = stack.enter_context(open_writable(self._url(where), self._settings.folder))
                engine = stack.enter_context(connect())
                table = where.table or self._settings.book.table or ""
                self._writer = Writer(engine, writable, self._settings.book, table, where.journal, list(self._settings.brokers))
                self._open = stack.pop_all()
        return self._writer

    @cached_property
    def _proposals(self) -> Proposals:
        """Read once: while the run lock is held, no run proposes anything else."""
        return Proposals(self._database, self._settings.book, self._clock())

    def _change(self, correction: Correction) -> Change:
        broker = self._settings.brokers.get(correction.broker)
        restored = None
        if correction.reverts and (made := state.find(self._database, correction.reverts)) and made.journal:
            before, after = made.journal["before"], made.journal["after"]
            if before is not None:
                there = after["columns"] if after else {}
                restored = {name: text for name, text in before["columns"].items() if name not in there or there[name] != text}
        return Change(
            id=correction.id,
            key=correction.key,
            kind=correction.kind,  # type: ignore[arg-type]
            before=correction.before,
            after=correction.after,
            restored=restored,
            netted=broker is not None and broker.legs == "net",
        )

    def _made(self, begun: Correction, entry: Entry) -> Done:
        """Record that a correction was made; of one that takes another back also that."""
        images = {"before": entry.before and asdict(entry.before), "after": entry.after and asdict(entry.after)}
        made = replace(begun, state="applied", applied_at=entry.applied_at, journal=images)
        with self._recorded(made), self._store.transaction():
            state.record(self._database, self._actor, "applied", f"applied by {made.by}", made, at=self._clock())
            if made.reverts and (first := state.find(self._database, made.reverts)):
                taken_back = replace(first, state="reverted", reverted_by=made.id)
                state.record(self._database, self._actor, "reverted", f"taken back by {made.id}", taken_back, at=self._clock())
        return Done(made, "applied" if made.reverts is None else f"applied: {made.reverts} is taken back")

    def _refused(self, begun: Correction, error: ReconError) -> Done:
        refused = replace(begun, state="refused", why=str(error))
        state.record(self._database, self._actor, "refused", f"refused: {error}", refused, at=self._clock())
        return Done(refused, f"refused: {error}", error)

    @contextmanager
    def _recorded(self, made: Correction) -> Iterator[None]:
        """What fails inside leaves a correction that was made without its outcome: the next start finds it in the journal."""
        try:
            yield
        except StateError as error:
            raise StateError(
                f"{made.id} was applied to the book at {made.applied_at}, and that could not be recorded: {error}; "
                "the next start of `correct` or `run` records it"
            ) from None

    def _settle(self, begun: Correction) -> Done:
        try:
            where = self._place()
            with open_writable(self._url(where), self._settings.folder) as writable:
                if begun.database != writable.name:
                    raise ConfigError(f"it was begun in {begun.database}, and recon.yaml names {writable.name}")
                if begun.journal_table not in ("", where.journal):
                    raise ConfigError(
                        f"it was begun with the journal {begun.journal_table}, and recon.yaml names {where.journal}: "
                        "name that one again until this is settled"
                    )
                entry = Journal(writable, where.journal).look(begun.id, begun.journal_token)
        except (ReconError, DoubtError) as error:
            raise StateError(
                f"correction {begun.id} of {begun.place} is in doubt: it was begun, and whether the book was changed cannot be "
                f"told now: {error}"
            ) from None
        if entry is not None:
            done = self._made(begun, entry)
            return replace(done, said=f"was interrupted, and the book was corrected at {entry.applied_at}: now recorded")
        why = "it was interrupted before the book was changed: the book is as it was"
        return replace(self._refused(begun, CorrectionError(why)), said=f"was begun and not made: {why}")

    def _place(self) -> CorrectionSettings:
        if self._where is None:
            raise ConfigError("book.corrections is not in recon.yaml: nothing was changed, nor can be")
        return self._where

    def _url(self, where: CorrectionSettings) -> str:
        return book_url(where.database, self._settings.folder)

    def _stamp(self) -> str:
        return self._clock().astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def settle(settings: Settings, actor: Actor, *, clock: Callable[[], datetime]) -> list[str]:
    """What a run says of corrections that were begun and not recorded, each settled where it can be. Never raises ReconError.

    The run lock is held.
    """
    url = store_url(settings.store, settings.folder)
    try:
        if not has_store(url, settings.state_dir):
            return []
        with open_store(url, settings.state_dir, create=False, check=False) as store:
            settled = Desk(settings, store, actor, two_person=False, clock=clock).settle()
    except ReconError as error:
        return [f"corrections that were begun are not settled: {error}"]
    return [
        done.said
        if isinstance(done.error, StateError)
        else f"correction {done.correction.id} of {done.correction.place} {done.said}"
        for done in settled
    ]
