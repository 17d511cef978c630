"""The permit to trade, ``permit.json``: leases of (broker, account) pairs, each issued for a proven verdict, each with an end.

Trading is permitted by a lease, never by the absence of a halt: what is lost, stale, foreign or damaged permits nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from recon_core.errors import StateError
from recon_core.state.audit import Head
from recon_core.state.files import locked, sync_folder, write_atomically
from recon_core.state.scope import Scope, scope_of
from recon_core.state.sealed import moment, read_sealed, sealed
from recon_core.state.times import stored

NAME = "permit.json"


@dataclass(frozen=True, slots=True)
class Lease:
    """Permission to trade one account, or by override a whole broker, until ``until``.

    ``proven_at`` is when the run began that proved the account (or when it was overridden), ``audit`` the record that says so.
    ``override`` is who permitted it without a proof, and why; empty where a run did.
    """

    scope: Scope
    proven_at: datetime
    issued_at: datetime
    until: datetime
    run_id: str | None
    policy_sha256: str | None
    audit: Head
    override: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The same as the file holds it."""
        return {
            "scope": self.scope.as_dict(),
            "proven_at": stored(self.proven_at),
            "issued_at": stored(self.issued_at),
            "until": stored(self.until),
            "run_id": self.run_id,
            "policy_sha256": self.policy_sha256,
            "audit": {"seq": self.audit.seq, "head": self.audit.head},
            "override": self.override,
        }


@dataclass(frozen=True, slots=True)
class Withheld:
    """An account, or a whole broker, that is known and has no lease, and why."""

    scope: Scope
    why: str

    def as_dict(self) -> dict[str, Any]:
        """The same as the file holds it."""
        return {"scope": self.scope.as_dict(), "why": self.why}


@dataclass(frozen=True, slots=True)
class Permit:
    """All leases, and what is withheld; each scope stands in one of the two, once."""

    leases: tuple[Lease, ...] = ()
    withheld: tuple[Withheld, ...] = ()


def read_permit(state_dir: Path) -> Permit | None:
    """The permit, None where there is none. Raises StateError for one that cannot be believed."""
    path = state_dir / NAME
    try:
        found = read_sealed(path)
        return Permit(
            tuple(_lease(entry) for entry in found["leases"]),
            tuple(Withheld(scope_of(entry["scope"]), str(entry["why"])) for entry in found["withheld"]),
        )
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise StateError(f"{path}: damaged: not what it was written as") from None


def issue(
    state_dir: Path, leases: Sequence[Lease], withheld: Sequence[Withheld], *, anew: Collection[str], known: Collection[str]
) -> None:
    """Put leases in force, durably, in place of those that they cover.

    Of the brokers in ``anew`` nothing earlier stays, of brokers that are not ``known`` any more neither. An account that is
    ``withheld`` keeps an earlier lease until that ends by itself: a verdict that is missing takes nothing away. A permit that
    cannot be believed counts for nothing. Raises StateError.
    """
    with _held(state_dir):
        try:
            earlier = read_permit(state_dir) or Permit()
        except StateError:
            earlier = Permit()
        kept = [
            lease
            for lease in earlier.leases
            if lease.scope.broker in known
            and lease.scope.broker not in anew
            and not any(new.scope.covers(lease.scope) for new in leases)
        ]
        before = [entry for entry in earlier.withheld if entry.scope.broker in known and entry.scope.broker not in anew]
        held = [*_unanswered(before, leases, withheld, kept), *_unsaid(withheld, leases, kept), *_strangers(earlier, leases)]
        once = {entry.scope: entry for entry in held}
        _write(state_dir, Permit((*kept, *leases), tuple(once.values())))


def revoke(state_dir: Path, scope: Scope, why: str) -> None:
    """Take away every lease that overlaps a scope, durably. Raises StateError where that cannot be done.

    Where the permit cannot be written, or not be believed, it is removed as a whole.
    """
    path = state_dir / NAME
    try:
        with _held(state_dir, needed=False):
            found = read_permit(state_dir)
            if found is None:
                return
            gone = [lease for lease in found.leases if lease.scope.overlaps(scope)]
            if not gone:
                return
            kept = tuple(lease for lease in found.leases if lease not in gone)
            held = {entry.scope: entry for entry in (*found.withheld, *(Withheld(lease.scope, why) for lease in gone))}
            _write(state_dir, Permit(kept, tuple(held.values())))
    except StateError:
        try:
            path.unlink(missing_ok=True)
            with suppress(OSError):
                sync_folder(state_dir)
        except OSError as error:
            raise StateError(f"{path}: cannot be revoked: {error.strerror or error}") from None


def _unanswered(
    before: Sequence[Withheld], leases: Sequence[Lease], withheld: Sequence[Withheld], kept: Sequence[Lease]
) -> list[Withheld]:
    """What was withheld earlier and still is: of a whole broker until its accounts are named one by one, which a run does."""
    named = {lease.scope.broker for lease in leases if not lease.override} | {
        entry.scope.broker for entry in withheld if entry.scope.account is not None
    }
    return [
        entry
        for entry in before
        if not any(lease.scope.covers(entry.scope) for lease in (*leases, *kept))
        and not (entry.scope.account is None and entry.scope.broker in named)
    ]


def _unsaid(withheld: Sequence[Withheld], leases: Sequence[Lease], kept: Sequence[Lease]) -> list[Withheld]:
    """What is withheld now; nothing of a whole broker where its accounts have leases that go on."""
    return [
        entry
        for entry in withheld
        if not any(
            lease.scope.covers(entry.scope) or (entry.scope.account is None and lease.scope.broker == entry.scope.broker)
            for lease in (*leases, *kept)
        )
    ]


def _strangers(earlier: Permit, leases: Sequence[Lease]) -> list[Withheld]:
    """The brokers of which nothing is known but an account that a person permitted: it may not be the only one."""
    heard = {entry.scope.broker for entry in earlier.withheld} | {lease.scope.broker for lease in earlier.leases}
    heard |= {lease.scope.broker for lease in leases if lease.scope.account is None or not lease.override}
    new = {lease.scope.broker: lease.scope for lease in leases if lease.scope.broker not in heard}
    return [
        Withheld(Scope(broker), f"nothing is proven of it; only {scope} is permitted, by override") for broker, scope in new.items()
    ]


def _write(state_dir: Path, permit: Permit) -> None:
    content = {"leases": [lease.as_dict() for lease in permit.leases], "withheld": [entry.as_dict() for entry in permit.withheld]}
    write_atomically(state_dir / NAME, sealed(content))


def _lease(entry: Any) -> Lease:
    return Lease(
        scope=scope_of(entry["scope"]),
        proven_at=moment(entry["proven_at"]),
        issued_at=moment(entry["issued_at"]),
        until=moment(entry["until"]),
        run_id=entry["run_id"],
        policy_sha256=entry["policy_sha256"],
        audit=Head(int(entry["audit"]["seq"]), str(entry["audit"]["head"])),
        override=str(entry["override"]),
    )


@contextmanager
def _held(state_dir: Path, *, needed: bool = True) -> Iterator[None]:
    """One change at a time; taking a permit away does not depend on it."""
    with ExitStack() as held:
        try:
            held.enter_context(locked(state_dir / f".{NAME}.lock"))
        except StateError:
            if needed:
                raise
        yield
