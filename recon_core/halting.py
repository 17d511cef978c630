"""What a verdict does to trading. First the latch, before anyone is told; last the permits, when the verdict is recorded.

The order of a run: ``raise_for`` (latch, then permits revoked), halt actions, store and audit (with ``record_scopes``),
``issue_for``. In shadow mode a run touches neither latch nor permit.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from recon_core.config.settings import Settings
from recon_core.errors import StateError
from recon_core.feeds import ProvenFeed
from recon_core.model import Decision
from recon_core.schedule import valid_until
from recon_core.state.audit import Head
from recon_core.state.latch import Halt, Latch, raise_latch
from recon_core.state.permit import Lease, Withheld, issue, revoke
from recon_core.state.scope import Scope, parse_scope
from recon_core.verdict import Verdict


def raise_for(decision: Decision, settings: Settings, *, run_id: str, policy_sha256: str, now: datetime) -> Latch | None:
    """Make a halting decision durable: the latch by scope, then the permits revoked. None where nothing halts, or in shadow.

    Before the halt actions, and before the store: a slow or broken database delays no stop. Raises StateError where either
    could not be done, after both were tried: call the halt actions all the same, then let it end the run (exit code 5).
    """
    if not decision.halt or settings.halt.mode == "shadow":
        return None
    halts = [
        Halt(
            scope,
            reasons,
            raised_at=now,
            last_at=now,
            by=f"run {run_id}",
            run_ids=(run_id,),
            policy_sha256=policy_sha256,
            allow_reduce=settings.halt.allow == "reduce",
        )
        for scope, reasons in stopped(decision, settings).items()
    ]
    return raise_halts(settings.state_dir, halts)


def raise_halts(state_dir: Path, halts: list[Halt]) -> Latch:
    """The latch first, then the permits of what it stops; the second is tried even where the first failed. Raises StateError."""
    troubles: list[str] = []
    latch: Latch | None = None
    try:
        latch = raise_latch(state_dir, halts)
    except StateError as error:
        troubles.append(f"THE HALT LATCH COULD NOT BE WRITTEN: {error}")
    for halt in halts:
        try:
            revoke(state_dir, halt.scope, f"halted by {halt.by}")
        except StateError as error:
            troubles.append(f"A PERMIT COULD NOT BE REVOKED: {error}")
    if latch is None or troubles:
        raise StateError("; ".join(troubles) + ": stop trading by hand")
    return latch


def stopped(decision: Decision, settings: Settings) -> dict[Scope, tuple[str, ...]]:
    """What a decision halts, and by which policy lines."""
    found: dict[Scope, tuple[str, ...]] = {}
    for reason in decision.reasons:
        scope = parse_scope(reason.scope, settings.brokers)
        found[scope] = (*found.get(scope, ()), f"{reason.detail} ({reason.policy})")
    return found


def issue_for(
    verdict: Verdict, settings: Settings, *, run_id: str, started_at: datetime, now: datetime, asked: bool, head: Head
) -> tuple[Lease, ...]:
    """Permit trading in the accounts that this run proved and does not halt, for as long as its data holds (``valid_until``).

    After the verdict is recorded: ``head`` is its audit record. ``asked`` says that a person chose the run's time or policy:
    such a run permits nothing, and neither does one in shadow mode. Raises StateError, and ConfigError past the end of the
    schedule's calendar.
    """
    if asked or settings.halt.mode == "shadow":
        return ()
    halts = stopped(verdict.decision, settings)
    leases, withheld = [], []
    for scope in proven(verdict):
        until = _until(verdict, settings, scope, started_at)
        old = too_old(verdict, settings, scope, started_at=started_at, now=now)
        if stops := [stop for stop in halts if stop.overlaps(scope)]:
            withheld.append(Withheld(scope, f"halted by run {run_id}: {halts[stops[0]][0]}"))
        elif old:
            withheld.append(Withheld(scope, f"not permitted by run {run_id}: {old}"))
        else:
            leases.append(Lease(scope, started_at, now, until, run_id, verdict.policy.sha256, head))
    for feed in verdict.feeds:
        if not feed.proven:
            scopes = [Scope(feed.alias)] if feed.everywhere else [Scope(feed.alias, name) for name in feed.unproven_accounts]
            withheld += [Withheld(scope, f"not proven by run {run_id}: feed is {feed.status}: {feed.reason}") for scope in scopes]
    complete = [feed.alias for feed in verdict.feeds if feed.proven]
    issue(settings.state_dir, leases, withheld, anew=complete, known=list(settings.brokers))
    return tuple(leases)


def too_old(verdict: Verdict, settings: Settings, scope: Scope, *, started_at: datetime, now: datetime) -> str:
    """Why a verdict does not permit an account that it proves and does not halt: its data is of an earlier day. Else empty."""
    if _until(verdict, settings, scope, started_at) > now:
        return ""
    return f"its data is of {verdict.as_of.astimezone(UTC):%Y-%m-%d %H:%M} UTC, too old to trade on"


def _until(verdict: Verdict, settings: Settings, scope: Scope, started_at: datetime) -> datetime:
    """How long what was proven of an account holds."""
    by_itself = scope.broker is not None and settings.brokers[scope.broker].due is not None
    late = settings.schedule_of(scope.broker) if by_itself and scope.broker else None
    return valid_until(settings.schedule, verdict.as_of, started_at, late=late)


def record_scopes(verdict: Verdict, settings: Settings, *, asked: bool) -> list[str]:
    """The scopes whose permission to trade a run's audit record bears on: what it proved and what it halts, nothing where asked."""
    if asked:
        return []
    return [str(scope) for scope in dict.fromkeys([*proven(verdict), *stopped(verdict.decision, settings)])]


def proven(verdict: Verdict) -> list[Scope]:
    """The accounts in which a run knows every position of both sides."""
    return [Scope(feed.alias, account) for feed in verdict.feeds for account in _proven(verdict, feed)]


def _proven(verdict: Verdict, feed: ProvenFeed) -> list[str]:
    if feed.everywhere:
        return []
    held = {entry.account or feed.book_account for entry in verdict.survey.accounts.get(feed.alias, ()) if entry.positions}
    return sorted((held | set(feed.accounts)) - set(feed.unproven_accounts))
