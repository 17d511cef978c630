"""What must hold of trading and its record, in plain Python: a small model of latch, permits, breaks and acceptances.

Each act gives the worlds that it goes through, the first as it was and the last as it is when the act is done: a process
that is killed on the way leaves one of them. Times are the clock's, which may go back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

Scope = tuple[str, ...]
FIRM, PRIME, MAIN, HEDGE = (), ("prime",), ("prime", "MAIN"), ("prime", "HEDGE")
ACCOUNTS: tuple[Scope, ...] = (MAIN, HEDGE)
BOOKED = 100
"""What the book holds in each account."""


def covers(wide: Scope, narrow: Scope) -> bool:
    return narrow[: len(wide)] == wide


def overlaps(one: Scope, other: Scope) -> bool:
    return covers(one, other) or covers(other, one)


@dataclass(frozen=True, order=True)
class Halted:
    scope: Scope
    by_run: bool
    raised: datetime
    last: datetime
    reduce: bool = False
    number: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Leased:
    scope: Scope
    since: datetime
    until: datetime
    record: int
    override: bool = False


@dataclass(frozen=True)
class Open:
    difference: int
    seen: date


@dataclass(frozen=True)
class Accepted:
    difference: int
    since: date
    until: date

    def holds(self, today: date) -> bool:
        return self.since <= today <= self.until

    def silences(self, difference: int) -> bool:
        return difference * self.difference > 0 and abs(difference) <= abs(self.difference)


@dataclass(frozen=True)
class Asked:
    by: str
    at: datetime
    halts: frozenset[tuple[int, datetime]]
    override: bool


@dataclass(frozen=True)
class Rules:
    """What the files of the deployment say."""

    scope: str = "firm"
    on_incomplete: str = "halt"
    due: bool = False
    two_person: bool = False

    def next_due(self, now: datetime) -> datetime:
        due = now.replace(hour=16, minute=30, second=0, microsecond=0)
        return due if due > now else due + timedelta(days=1)

    def proof_ends(self, now: datetime) -> datetime:
        return self.next_due(now) + timedelta(hours=4) if self.due else now + timedelta(hours=26)

    def override_ends(self, now: datetime) -> datetime:
        return self.next_due(now) if self.due else now + timedelta(hours=24)

    def stops(self, account: Scope) -> Scope:
        return {"firm": FIRM, "broker": PRIME, "account": account}[self.scope]


@dataclass(frozen=True)
class Told:
    """What the broker tells: by account how much it holds, None where it is silent. An old file is not ``usable``."""

    held: Mapping[Scope, int | None]
    usable: bool = True

    @property
    def proven(self) -> list[Scope]:
        return [account for account in ACCOUNTS if self.usable and self.held[account] is not None]

    def difference(self, account: Scope) -> int:
        return BOOKED - (self.held[account] or 0)

    def large(self, account: Scope) -> bool:
        return abs(self.difference(account)) * 100 > 10 * abs(self.held[account] or 0)


@dataclass(frozen=True)
class World:
    """``newest`` numbers, by scope, the newest record that bears on it; ``strangers``: accounts may be unknown to the permit."""

    halts: tuple[Halted, ...] = ()
    leases: frozenset[Leased] = frozenset()
    permit: bool = False
    strangers: bool = False
    newest: Mapping[Scope, int] = field(default_factory=dict)
    runs: int = 0
    time: datetime | None = None
    broken: Mapping[Scope, Open] = field(default_factory=dict)
    accepted: Mapping[Scope, Accepted] = field(default_factory=dict)
    asked: Asked | None = None

    def valid(self, lease: Leased, account: Scope, now: datetime) -> bool:
        bearing = max(number for scope, number in self.newest.items() if covers(scope, account))
        return lease.since <= now < lease.until and lease.record == bearing

    def lease_of(self, account: Scope) -> Leased | None:
        return next((lease for scope in (account, PRIME) for lease in self.leases if lease.scope == scope), None)

    def leased(self, scope: Scope, now: datetime) -> bool:
        """Whether every account of a scope has a lease that counts, and none that bears on the whole scope has ended."""
        if len(scope) < 2:
            each = all(self.lease_of(account) for account in ACCOUNTS)
            return each and not self.strangers and all(self.valid(lease, lease.scope, now) for lease in self.leases)
        lease = self.lease_of(scope)
        return lease is not None and self.valid(lease, scope, now)

    def permits(self, scope: Scope, now: datetime, *, reduce: bool = False, lifting: tuple[Halted, ...] = ()) -> bool:
        halts = [halt for halt in self.halts if overlaps(halt.scope, scope) and halt not in lifting]
        return all(reduce and halt.reduce for halt in halts) if halts else self.leased(scope, now)


def run(world: World, rules: Rules, told: Told, now: datetime, number: int) -> list[World]:
    """A live run: latch, permits revoked, record, permits issued."""
    today, worlds = now.date(), [world]
    silenced = {
        account
        for account, accepted in world.accepted.items()
        if account in told.proven and accepted.holds(today) and accepted.silences(told.difference(account))
    }
    stops = {rules.stops(account) for account in told.proven if told.large(account) and account not in silenced}
    unproven = [account for account in ACCOUNTS if account not in told.proven]
    if unproven and rules.on_incomplete == "halt":
        stops.add(rules.stops(unproven[0]) if len(unproven) == 1 or rules.scope == "firm" else PRIME)
    if stops:
        halts = list(world.halts)
        for scope in sorted(stops):
            same = next((halt for halt in halts if halt.by_run and halt.scope == scope), None)
            if same:
                halts.remove(same)
            halts.append(
                replace(same, last=max(same.last, now)) if same else Halted(scope, True, now, now, number=number * 10 + len(halts))
            )
        worlds.append(replace(world, halts=tuple(sorted(halts))))
        worlds += [revoked(worlds[-1], stops)]
        for scope in stops:  # in whichever order they are revoked
            worlds.insert(2, revoked(worlds[1], {scope}))
    after = worlds[-1]
    moves = told.usable and not (world.time and now < world.time <= now + timedelta(minutes=5))  # a later time is no time
    broken, accepted = dict(world.broken), dict(world.accepted)
    for account in told.proven if moves else ():
        if told.difference(account):
            broken[account] = Open(told.difference(account), today)
        elif broken.pop(account, None):
            accepted.pop(account, None)
        if account in accepted and accepted[account].holds(today) and not accepted[account].silences(told.difference(account)):
            del accepted[account]
    if moves:
        accepted = {account: entry for account, entry in accepted.items() if entry.until >= today}
    newest = {**world.newest, **dict.fromkeys([*told.proven, *stops], number)}
    after = replace(after, runs=world.runs + 1, newest=newest, time=now if moves else world.time, broken=broken, accepted=accepted)
    worlds.append(after)
    new = [account for account in told.proven if not any(overlaps(scope, account) for scope in stops)]
    kept = {lease for lease in after.leases if unproven and lease.scope not in new}
    leases = frozenset(kept | {Leased(account, now, rules.proof_ends(now), number) for account in new})
    strangers = after.strangers if not told.usable and leases else not told.usable
    worlds.append(replace(after, permit=True, leases=leases, strangers=strangers))
    return worlds


def raise_halt(world: World, scope: Scope, now: datetime, number: int, *, reduce: bool) -> list[World]:
    """A person halts a scope: latch, permits revoked, record."""
    latched = replace(world, halts=tuple(sorted((*world.halts, Halted(scope, False, now, now, reduce, number * 10)))))
    after = revoked(latched, {scope})
    return [world, latched, after, replace(after, newest={**after.newest, scope: number})]


def revoked(world: World, scopes: set[Scope]) -> World:
    gone = {lease for lease in world.leases if any(overlaps(scope, lease.scope) for scope in scopes)}
    strangers = world.strangers or any(lease.scope == PRIME for lease in gone)
    return replace(world, leases=world.leases - gone, strangers=strangers)


def lift(
    world: World, rules: Rules, scope: Scope, by: str, now: datetime, number: int, *, override: bool, confirm: bool
) -> tuple[str, list[World]]:
    """A person lifts the halts of a scope: ``lifted``, ``asked``, ``refused`` or ``nothing``; and the worlds on the way there."""
    halts = tuple(halt for halt in world.halts if covers(scope, halt.scope))
    if any(overlaps(halt.scope, scope) and halt not in halts for halt in world.halts):
        return "refused", [world]
    if not halts:
        return "nothing", [world]
    if not override and not all(proven_since(world, halt, halts, now) for halt in halts):
        return "refused", [world]
    marks = frozenset((halt.number, halt.last) for halt in halts)
    if rules.two_person and not confirm:
        return "asked", [world, replace(world, asked=Asked(by, now, marks, override))]
    if rules.two_person:
        first = world.asked
        if first is None or (first.halts, first.override) != (marks, override) or first.by == by:
            return "refused", [world]
        if not timedelta(0) <= now - first.at <= timedelta(minutes=30):
            return "refused", [world]
    worlds = [world]
    if override:
        worlds.append(replace(world, newest={**world.newest, scope: number}))
        wide = PRIME if len(scope) < 2 else scope
        kept = {lease for lease in world.leases if not covers(wide, lease.scope)}
        lease = Leased(wide, now, rules.override_ends(now), number, override=True)
        strangers = wide != PRIME and (world.strangers or not world.permit)
        worlds.append(replace(worlds[-1], permit=True, leases=frozenset({*kept, lease}), strangers=strangers))
    worlds.append(replace(worlds[-1], halts=tuple(halt for halt in world.halts if halt not in halts)))
    return "lifted", [*worlds, replace(worlds[-1], asked=None)]


def proven_since(world: World, halt: Halted, lifting: tuple[Halted, ...], now: datetime) -> bool:
    if not world.permits(halt.scope, now, lifting=lifting):
        return False
    concerned = [lease for lease in world.leases if overlaps(lease.scope, halt.scope)]
    if len(halt.scope) == 2:
        concerned = [lease for lease in concerned if lease == world.lease_of(halt.scope)]
    return all(not lease.override and lease.since > halt.last for lease in concerned)


def suppress(world: World, account: Scope, until: date) -> list[World]:
    """A person accepts a break as it was last seen."""
    entry = world.broken[account]
    return [world, replace(world, accepted={**world.accepted, account: Accepted(entry.difference, entry.seen, until)})]
