"""What a person orders: halt, lift, drill. Each goes through latch, halt actions and audit; what fails on the way stops nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from recon_core import log
from recon_core.config.state_place import StatePlace, load_place
from recon_core.errors import ConfigError, HaltedError, ReconError, StateError
from recon_core.halting import raise_halts
from recon_core.lifting import Deployment, Lift, Lifted, lift
from recon_core.permission import Permission, permitted
from recon_core.state.actor import Actor
from recon_core.state.latch import Halt, lower_latch, raise_latch, read_latch
from recon_core.state.permit import read_permit
from recon_core.state.scope import FIRM, Scope
from recon_core.state.store import open_store

if TYPE_CHECKING:
    from recon_core.actions.halts import ActionResult
    from recon_core.config.settings import Settings
    from recon_core.halts import HaltOrder
    from recon_core.host import Host

Accounts = tuple[tuple[str, str], ...]

DRILL = "DRILL: nothing is wrong; this proves that a halt would stop trading"


@dataclass(frozen=True, slots=True)
class Ordered:
    """What came of an order: what is halted now, the halt actions, and what went wrong, each as a sentence."""

    halts: tuple[Halt, ...]
    results: tuple[ActionResult, ...] = ()
    troubles: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether all of it was done: recorded, and every action confirmed."""
        return not self.troubles and all(result.confirmed for result in self.results)


def known_scope(place: StatePlace, named: Scope) -> Scope:
    """The scope that a person names; of an only broker the name may be left out. Raises ConfigError for one that is unknown."""
    broker, account = named.broker, named.account
    if broker is not None and broker not in place.brokers:
        raise ConfigError(f"--broker {broker}: not in recon.yaml, which has {', '.join(place.brokers)}")
    if account is not None and broker is None:
        if len(place.brokers) > 1:
            raise ConfigError(f"--account {account}: at which broker? Name it by --broker ({', '.join(place.brokers)})")
        broker = place.brokers[0]
    return Scope(broker, account)


def halt(config: Path, named: Scope, reason: str, actor: Actor, *, allow_reduce: bool) -> Ordered:
    """Halt a scope now. Nothing but the place of the state is needed for that, however broken the rest of recon.yaml is."""
    place, now = load_place(config), datetime.now(UTC)
    scope = known_scope(place, named)
    accounts = _accounts(place.state_dir, scope)  # which the halt takes out of the permit
    new = Halt(scope, (reason,), now, now, str(actor), allow_reduce=allow_reduce)
    troubles: list[str] = []
    halts: tuple[Halt, ...] = ()
    try:
        halts = raise_halts(place.state_dir, [new]).halts
    except StateError as error:
        troubles.append(str(error))
    results = _carried_out(config, partial(_order, scope, reason, now, accounts), troubles)
    with _noted(troubles), open_store(place.store, place.state_dir) as store:
        after = new.as_dict() | {"actions": _told(results)}
        store.append("halt", actor, f"{scope} halted: {reason}", after=after, scopes=[str(scope)], at=now)
    _measured(config, place.state_dir)
    return Ordered(halts, results, tuple(troubles))


def lift_halt(config: Path, order: Lift) -> tuple[Lifted, Ordered]:
    """Lift the halts of a scope (see ``lift``), then let the actions resume that say they do. Raises as ``lift`` does."""
    place, now = load_place(config), datetime.now(UTC)
    settings, host = _loaded(config)
    scope = known_scope(place, order.scope)
    deployment = Deployment(
        place.state_dir,
        partial(open_store, place.store, place.state_dir),
        place.brokers,
        settings.schedule,
        settings.halt.two_person,
    )
    told = _order(scope, order.reason, now, _accounts(place.state_dir, scope))
    found = lift(deployment, replace(order, scope=scope), now)
    results: tuple[ActionResult, ...] = ()
    troubles: list[str] = []
    if found.halts and not found.awaiting:
        results = _resumed(settings, host, told, found.remaining)
        if results:
            with _noted(troubles), open_store(place.store, place.state_dir) as store:
                store.append("resume", order.actor, f"{scope}: halt actions resumed", after={"actions": _told(results)})
        _measured(config, place.state_dir)
    return found, Ordered(found.remaining, results, tuple(troubles))


def drill(config: Path, actor: Actor) -> tuple[Permission, Ordered]:
    """Raise a halt of the firm that is marked DRILL, look whether the guard refuses, go through all actions, take it away.

    While it lasts the guard refuses, and says DRILL; permits stay. Returns what the guard said under it. Raises HaltedError
    where something is halted: there a drill proves nothing.
    """
    place, now = load_place(config), datetime.now(UTC)
    if standing := read_latch(place.state_dir):
        raise HaltedError(f"no DRILL while trading is halted: {standing.halts[0]}")
    settings, host = _loaded(config)
    order = _order(FIRM, DRILL, now, _accounts(place.state_dir, FIRM), drill=True)
    marked = Halt(FIRM, (DRILL,), now, now, str(actor), drill=True)
    troubles: list[str] = []
    raise_latch(place.state_dir, [marked])
    remaining: tuple[Halt, ...] = ()
    results: tuple[ActionResult, ...] = ()
    try:
        said = permitted(place.state_dir, FIRM, now=now, store=partial(open_store, place.store, place.state_dir))
        if said:
            troubles.append("the guard permitted trading under the DRILL")
        from recon_core.actions.halts import carry_out

        results = carry_out(settings, host.halts, order)
    finally:
        left = lower_latch(place.state_dir, [marked])
        remaining = left.halts if left else ()
    results += _resumed(settings, host, order, remaining)
    with _noted(troubles), open_store(place.store, place.state_dir) as store:
        what = "DRILL: the firm halted and lifted; no permission to trade changed"
        store.append("drill", actor, what, after={"guard": said.reason, "actions": _told(results)}, at=now)
    return said, Ordered(remaining, results, tuple(troubles))


def _order(scope: Scope, reason: str, now: datetime, accounts: Accounts, *, drill: bool = False) -> HaltOrder:
    from recon_core.halts import HaltOrder

    return HaltOrder(scopes=(str(scope),), reasons=(reason,), as_of=now, accounts=accounts, drill=drill)


def _accounts(state_dir: Path, scope: Scope) -> Accounts:
    """The accounts of a scope that the permit names."""
    with suppress(StateError):
        permit = read_permit(state_dir)
        known = [entry.scope for entry in permit.leases] + [entry.scope for entry in permit.withheld] if permit else []
        return tuple(sorted((each.broker, each.account) for each in known if each.broker and each.account and scope.covers(each)))
    return ()


def _loaded(config: Path) -> tuple[Settings, Host]:
    from recon_core.config.load import load_settings
    from recon_core.host import load_host

    return load_settings(config, load_host)


def _carried_out(config: Path, order: Callable[[], HaltOrder], troubles: list[str]) -> tuple[ActionResult, ...]:
    from recon_core.actions.halts import carry_out

    try:
        settings, host = _loaded(config)
        return carry_out(settings, host.halts, order())
    except ReconError as error:
        troubles.append(f"no halt action was carried out: {error}")
        return ()


def _resumed(settings: Settings, host: Host, order: HaltOrder, remaining: Sequence[Halt]) -> tuple[ActionResult, ...]:
    from recon_core.actions.halts import resume

    return resume(settings, host.halts, order, remaining=[str(halt.scope) for halt in remaining])


def _measured(config: Path, state_dir: Path) -> None:
    """Let the metrics say at once whether trading is halted anywhere. Where they cannot, that is logged, and the order stands."""
    from recon_core.actions.metrics import write_halted
    from recon_core.config.load import load_metrics

    with suppress(ReconError):
        if settings := load_metrics(config):
            for warning in write_halted(settings, halted=read_latch(state_dir) is not None):
                log.warning(warning)


def _told(results: Sequence[ActionResult]) -> list[dict[str, object]]:
    return [{"name": result.name, "confirmed": result.confirmed, "detail": result.detail} for result in results]


@contextmanager
def _noted(troubles: list[str]) -> Iterator[None]:
    """What cannot be recorded is trouble to be told: the halt itself is done."""
    try:
        yield
    except StateError as error:
        troubles.append(f"not recorded in the audit chain: {error}")
