"""May we trade? Asked by bots before they do: yes only with a valid permit for the scope, and without a halt on it.

No trouble raises: whatever cannot be read, proven or reached refuses, and says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

from recon_core.errors import ReconError, StateError
from recon_core.state.audit import Head
from recon_core.state.latch import Halt, read_latch
from recon_core.state.permit import Lease, Permit, read_permit
from recon_core.state.scope import Scope

Intent = Literal["open", "reduce"]
INTENTS: tuple[Intent, ...] = ("open", "reduce")


class Records(Protocol):
    """What is asked of the store."""

    def newest_record(self, broker: str | None = None, account: str | None = None) -> Head | None:
        """The newest audit record that bears on the permission of an account, a broker or the firm."""


@dataclass(frozen=True, slots=True)
class Permission:
    """The answer: true where trading is permitted, until when (UTC), and why or why not, in a sentence.

    ``damaged`` says that the refusal is of state that cannot be read or believed.
    """

    permitted: bool
    reason: str
    until: datetime | None = None
    damaged: bool = False

    def __bool__(self) -> bool:
        return self.permitted


def guard(
    config: str | Path = "recon.yaml",
    account: str | None = None,
    broker: str | None = None,
    intent: Intent = "open",
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Permission:
    """Whether trading is permitted now, by the deployment of ``config``: a recon.yaml, or the folder of a state.

    Asks for ``account`` (the book's name) at ``broker``, for all accounts of a broker, or without either for the whole firm.
    An account without its broker is asked for wherever it may be. ``intent`` reduce may be permitted under a halt that allows
    it. Never raises for what it finds: a refusal says what is wrong. Raises ValueError for an intent that is none.
    """
    if intent not in INTENTS:
        raise ValueError(f"intent {intent!r} is none of {', '.join(INTENTS)}")
    try:
        return _asked(Path(config), Scope(broker, account), intent, clock)
    except StateError as error:
        return Permission(False, str(error), damaged=True)
    except ReconError as error:
        return Permission(False, str(error))
    except Exception as error:  # a bot that asks whether to stop must have an answer
        return Permission(False, f"the guard itself failed: {type(error).__name__}: {error}", damaged=True)


def permitted(
    state_dir: Path,
    scope: Scope,
    *,
    now: datetime,
    store: Callable[[], AbstractContextManager[Records]],
    brokers: Iterable[str] = (),
    intent: Intent = "open",
    lifting: Sequence[Halt] = (),
) -> Permission:
    """The answer from a state directory. ``brokers`` are those that the firm has, all of which a question about it concerns.

    ``lifting`` are halts to be left out of account. Raises StateError for a permit or store that cannot be read.
    """
    latch = read_latch(state_dir)
    halts = [halt for halt in (latch.overlapping(scope) if latch else ()) if halt not in lifting]
    if halts and intent == "reduce" and all(halt.allow_reduce for halt in halts):
        return Permission(True, f"to reduce positions only: {halts[0]}")
    if halts:
        return Permission(False, str(halts[0]) + (f" (and {len(halts) - 1} more halts)" if len(halts) > 1 else ""))
    permit = read_permit(state_dir)
    if permit is None:
        return Permission(False, f"no permit in {state_dir}: no run has proven that trading is safe, or it was revoked")
    leases = covering(permit, scope)
    refusal = _uncovered(permit, scope, leases, brokers)
    if refusal:
        return Permission(False, refusal)
    for lease in leases:
        if now < max(lease.issued_at, lease.proven_at):
            issued = f"{lease.issued_at:%Y-%m-%d %H:%M:%S} UTC"
            return Permission(False, f"the permit of {lease.scope} is of {issued}, still to come: is this clock right?")
        if now >= lease.until:
            return Permission(False, f"the permit of {lease.scope} ended at {lease.until:%Y-%m-%d %H:%M:%S} UTC: a run is due")
    with store() as records:
        for lease in leases:
            newest = records.newest_record(lease.scope.broker, lease.scope.account or scope.account)
            if newest != lease.audit:
                found = f"whose newest is {newest.seq}" if newest else "which has none"
                why = f"of record {lease.audit.seq}, not of the store's newest of this scope, {found}: a run is due"
                return Permission(False, f"the permit of {lease.scope} is {why}")
    until = min(lease.until for lease in leases)
    by = leases[0].override or f"run {leases[0].run_id}"
    return Permission(True, f"{scope} may trade until {until:%Y-%m-%d %H:%M:%S} UTC, by {by}", until)


def covering(permit: Permit, scope: Scope) -> tuple[Lease, ...]:
    """The leases that a question about a scope depends on: of one account the narrowest that covers it."""
    found = [lease for lease in permit.leases if lease.scope.overlaps(scope)]
    narrow = [lease for lease in found if lease.scope.account is not None]
    named = {lease.scope.broker for lease in narrow}
    return tuple(lease for lease in found if lease in narrow or lease.scope.broker not in named or scope.account is None)


def _uncovered(permit: Permit, scope: Scope, leases: Sequence[Lease], brokers: Iterable[str]) -> str:
    """Which part of a scope has no lease, and why; empty where every part has one."""
    if scope.broker is None or scope.account is None or not leases:
        for entry in permit.withheld:
            own = scope.account is not None and any(entry.scope.covers(lease.scope) for lease in leases)
            if entry.scope.overlaps(scope) and not own:  # a broker that is withheld, but for this account, which is permitted
                return f"no permit of {entry.scope}: {entry.why}"
    if not leases:
        return f"no permit of {scope}: no run has proven it"
    if scope == Scope():
        bare = sorted(set(brokers) - {lease.scope.broker for lease in leases})
        if bare:
            return f"no permit of broker {bare[0]}: no run has proven it"
    return ""


def _asked(config: Path, scope: Scope, intent: Intent, clock: Callable[[], datetime]) -> Permission:
    from recon_core.state.store import open_store

    if config.is_dir():
        return permitted(config, scope, now=clock(), store=lambda: open_store(None, config, create=False), intent=intent)
    from recon_core.config.state_place import load_place

    place = load_place(config)
    if place.mode == "shadow":
        return Permission(False, f"{config} says halt.mode: shadow: runs only report, and permit nothing")
    if scope.broker is not None and scope.broker not in place.brokers:
        return Permission(False, f"broker {scope.broker}: not in {config}, which has {', '.join(place.brokers) or 'none'}")
    return permitted(
        place.state_dir,
        scope,
        now=clock(),
        store=lambda: open_store(place.store, place.state_dir, create=False),
        brokers=place.brokers,
        intent=intent,
    )
