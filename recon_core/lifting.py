"""A person lifts a halt: against a newer proof, or by an override that says who and why; with a second person where asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from recon_core.errors import ConfigError, HaltedError
from recon_core.permission import covering, permitted
from recon_core.schedule import Schedule, next_due
from recon_core.state.actor import Actor, same_person
from recon_core.state.audit import Head
from recon_core.state.latch import Halt, lower_latch, read_latch
from recon_core.state.lift_request import OPEN_FOR, LiftRequest, ask, asked, marks, withdraw
from recon_core.state.permit import Lease, issue, read_permit
from recon_core.state.scope import FIRM, Scope
from recon_core.state.store import Store

OVERRIDE_WITHOUT_SCHEDULE = timedelta(hours=24)
"""How long an override permits where no schedule says when the next run is due."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a lift depends on: the state, its store, the brokers by name, when the next run is due, and how many must sign."""

    state_dir: Path
    store: Callable[[], AbstractContextManager[Store]]
    brokers: tuple[str, ...]
    schedule: Schedule | None
    two_person: bool


@dataclass(frozen=True, slots=True)
class Lift:
    """What a person asks for: to lift every halt within ``scope``, and why; ``actor.by`` names the person."""

    scope: Scope
    reason: str
    actor: Actor
    override: bool = False
    confirm: bool = False


@dataclass(frozen=True, slots=True)
class Lifted:
    """What was lifted, what stays halted elsewhere, and whether a second person must still confirm (then nothing was lifted)."""

    halts: tuple[Halt, ...]
    remaining: tuple[Halt, ...]
    awaiting: bool = False
    audit: Head | None = None


def lift(deployment: Deployment, order: Lift, now: datetime) -> Lifted:
    """Lift the halts within a scope. The audit record comes first, the latch goes last: what fails between leaves the halt.

    Raises HaltedError where it does not suffice, StateError where state cannot be read or written; both leave the halt.
    """
    latch = read_latch(deployment.state_dir)
    halts = tuple(halt for halt in (latch.halts if latch else ()) if order.scope.covers(halt.scope))
    wider = [halt for halt in (latch.overlapping(order.scope) if latch else ()) if halt not in halts]
    if wider:
        raise HaltedError(f"{order.scope} stays halted: {wider[0]}: that is a halt of {wider[0].scope}, to be lifted as such")
    if latch is None or not halts:
        return Lifted((), latch.halts if latch else ())
    if not order.override:
        for halt in halts:
            _check_proof(deployment, halt, halts, now)
    first = None
    if deployment.two_person or order.confirm:
        first = _signed(deployment, order, halts, now)
        if first is None:
            return Lifted(halts, latch.halts, awaiting=True)
    before = [halt.as_dict() for halt in halts]
    asker = {} if first is None else {"asked_by": first.by, "asked_because": first.reason}
    after = {"reason": order.reason, "override": order.override, **asker}
    scopes = [str(order.scope)] if order.override else []  # without an override nothing is permitted that was not before
    with deployment.store() as store:
        what = f"{order.scope} lifted" + (", by override" if order.override else "") + f": {order.reason}"
        head = store.append("lift", order.actor, what, before=before, after=after, scopes=scopes, at=now)
    if order.override:
        _permit(deployment, order, head, now)
    remaining = lower_latch(deployment.state_dir, halts)
    withdraw(deployment.state_dir)
    return Lifted(halts, remaining.halts if remaining else (), audit=head)


def _check_proof(deployment: Deployment, halt: Halt, lifting: Sequence[Halt], now: datetime) -> None:
    """Raise HaltedError unless a run that began after the halt was raised proved its scope, and the proof still holds."""
    if halt.drill:
        return
    answer = permitted(
        deployment.state_dir, halt.scope, now=now, store=deployment.store, brokers=deployment.brokers, lifting=lifting
    )
    way_out = "first a run that proves it and does not halt it, then this again; or --override"
    if not answer:
        raise HaltedError(f"{halt.scope} stays halted: {answer.reason}; {way_out}")
    permit = read_permit(deployment.state_dir)
    for lease in covering(permit, halt.scope) if permit else ():
        if lease.override or lease.proven_at <= halt.last_at:
            since = f"{halt.last_at:%Y-%m-%d %H:%M:%S} UTC"
            raise HaltedError(f"{halt.scope} stays halted: nothing has proven {lease.scope} since {since}; {way_out}")


def _signed(deployment: Deployment, order: Lift, halts: Sequence[Halt], now: datetime) -> LiftRequest | None:
    """The first person's request where this is the second one's confirmation; None where this is the first and is on file now."""
    if not deployment.two_person:
        raise ConfigError("--confirm: recon.yaml does not ask for a second person (halt.two_person)")
    by = order.actor.by
    if not by:
        raise ConfigError("--by NAME is due: two people lift a halt here")
    if not order.confirm:
        with deployment.store() as store:
            what = f"lift of {order.scope} asked for" + (", by override" if order.override else "") + f": {order.reason}"
            store.append("lift-asked", order.actor, what, before=[halt.as_dict() for halt in halts], at=now)
        ask(deployment.state_dir, LiftRequest(by, now, marks(halts), order.reason, order.override))
        return None
    first = asked(deployment.state_dir)
    if first is None or first.halts != marks(halts) or first.override != order.override:
        raise HaltedError(f"{order.scope} stays halted: nobody has asked for this very lift; the first person leaves --confirm out")
    if not timedelta(0) <= now - first.asked_at <= OPEN_FOR:
        minutes = OPEN_FOR // timedelta(minutes=1)
        raise HaltedError(f"{order.scope} stays halted: {first.by} did not ask within the last {minutes} minutes; ask again")
    if same_person(first.by, by):
        raise HaltedError(f"{order.scope} stays halted: {by} asked for it, so another person must confirm")
    return first


def _permit(deployment: Deployment, order: Lift, head: Head, now: datetime) -> None:
    """Leases by override, which end at the next due time: until then a run must have proven what they permit."""
    until = next_due(deployment.schedule, now) if deployment.schedule else now + OVERRIDE_WITHOUT_SCHEDULE
    scopes = [Scope(broker) for broker in deployment.brokers] if order.scope == FIRM else [order.scope]
    said = f"override of {order.actor}: {order.reason}"
    leases = [Lease(scope, now, now, until, None, None, head, said) for scope in scopes]
    anew = [scope.broker for scope in scopes if scope.broker and scope.account is None]
    issue(deployment.state_dir, leases, (), anew=anew, known=deployment.brokers)
