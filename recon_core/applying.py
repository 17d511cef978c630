"""A correction of the book applied once: an intent on record, one transaction of the book's database, the outcome on record.

With the change goes an entry of the book's journal. Whatever ends the program between leaves an intent, and the next start reads
off the journal which it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from recon_core.book.change import Change
from recon_core.book.journal import Entry, Journal
from recon_core.book.writable import DoubtError, open_writable
from recon_core.book.writer import Writer
from recon_core.config.credentials import book_url, store_url
from recon_core.config.settings import CorrectionSettings, Settings
from recon_core.engine import connect
from recon_core.errors import ConfigError, CorrectionError, ReconError, StateError
from recon_core.interruption import deferred
from recon_core.state import corrections as state
from recon_core.state.actor import Actor
from recon_core.state.corrections import Correction
from recon_core.state.store import Store, has_store, open_store


@dataclass(frozen=True, slots=True)
class Done:
    """What came of one correction: how it stands, and what is to be said of it. ``error`` is set where it was not made.

    ``warning`` is what a person should know of how it came to be made.
    """

    correction: Correction
    said: str
    error: ReconError | None = None
    warning: str = ""


class Applying:
    """Where corrections are carried out. The run lock is held, and the book open until ``close``."""

    def __init__(self, settings: Settings, store: Store, actor: Actor, *, clock: Callable[[], datetime]) -> None:
        self._settings, self._store, self._database, self._actor, self._clock = settings, store, store.database, actor, clock
        self._writer: Writer | None = None
        self._open = ExitStack()

    def close(self) -> None:
        """Close the book, where it is open."""
        self._writer = None
        self._open.close()

    def place(self) -> CorrectionSettings:
        """Where the book is corrected. Raises ConfigError where recon.yaml does not say."""
        if self._settings.book.corrections is None:
            raise ConfigError("book.corrections is not in recon.yaml: nothing was changed, nor can be")
        return self._settings.book.corrections

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

    def carry_out(self, correction: Correction, reason: str | None) -> Done:
        """An intent on record, the book changed in one transaction, the outcome on record."""
        where = self.place()
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
                engine = stack.enter_context(connect(self._settings.limits))
                table = where.table or self._settings.book.table or ""
                self._writer = Writer(engine, writable, self._settings.book, table, where.journal, list(self._settings.brokers))
                self._open = stack.pop_all()
        return self._writer

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
            where = self.place()
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

    def _url(self, where: CorrectionSettings) -> str:
        return book_url(where.database, self._settings.folder)


def settle(settings: Settings, actor: Actor, *, clock: Callable[[], datetime]) -> list[str]:
    """What a run says of corrections that were begun and not recorded, each settled where it can be. Never raises ReconError.

    The run lock is held.
    """
    url = store_url(settings.store, settings.folder)
    try:
        if not has_store(url, settings.state_dir):
            return []
        with open_store(url, settings.state_dir, create=False, check=False) as store:
            settled = Applying(settings, store, actor, clock=clock).settle()
    except ReconError as error:
        return [f"corrections that were begun are not settled: {error}"]
    return [
        done.said
        if isinstance(done.error, StateError)
        else f"correction {done.correction.id} of {done.correction.place} {done.said}"
        for done in settled
    ]
