"""What a verdict does outside the report: it stops trading before anything else is written, and permits it after all is.

``stop`` comes first, so that at no moment breaks that halt are known and the latch is not durable; ``permit_and_tell`` comes last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from recon_core import log
from recon_core.config.credentials import store_url
from recon_core.config.settings import Settings
from recon_core.errors import ExitCode, LockedError, ReconError, StateError
from recon_core.halting import issue_for, proven, raise_for, stopped, too_old
from recon_core.host import Host
from recon_core.schedule import next_due
from recon_core.state.audit import Head
from recon_core.state.latch import read_latch
from recon_core.state.permit import revoke
from recon_core.state.runs import report_text, runs
from recon_core.state.scope import Scope
from recon_core.state.store import open_store
from recon_core.verdict import Verdict

if TYPE_CHECKING:
    from recon_core.actions.halts import ActionResult


REMEMBERED = 30
"""Runs that are looked at for what was last known of an unproven broker, where the metrics file is lost."""


@dataclass(frozen=True, slots=True)
class Stop:
    """What a halting decision did: the ``scopes`` halted, what came of each halt action, and ``trouble`` with latch or permits."""

    scopes: tuple[str, ...] = ()
    results: tuple[ActionResult, ...] = ()
    trouble: str = ""

    @property
    def complaints(self) -> tuple[str, ...]:
        """What keeps the halt from being believed, each as a sentence; empty where all of it is confirmed."""
        unconfirmed = (f"HALT NOT CONFIRMED by {each.name}: {each.detail}" for each in self.results if not each.confirmed)
        return (*((self.trouble,) if self.trouble else ()), *unconfirmed)


def stop(verdict: Verdict, settings: Settings, host: Host, *, run_id: str, now: datetime) -> Stop:
    """Carry out a halting decision: the latch, durable; permits revoked; then every halt action, read back. Never raises.

    Nothing where the decision does not halt, or ``halt.mode`` is shadow. A latch that cannot be written keeps no action from
    being tried.
    """
    decision = verdict.decision
    if not verdict.halts:
        return Stop()
    halts = stopped(decision, settings)
    trouble = ""
    try:
        raise_for(decision, settings, run_id=run_id, policy_sha256=verdict.policy.sha256, now=now)
    except StateError as error:
        trouble = str(error)
        log.error(trouble)
    scopes = tuple(str(scope) for scope in halts)
    if not settings.halt.actions:
        return Stop(scopes, (), trouble)
    from recon_core.actions.halts import carry_out
    from recon_core.halts import HaltOrder

    known = {
        (feed.alias, entry.account or feed.book_account)
        for feed in verdict.feeds
        for entry in verdict.survey.accounts.get(feed.alias, ())
    } | {(feed.alias, account) for feed in verdict.feeds for account in feed.accounts}
    order = HaltOrder(
        scopes=scopes,
        reasons=tuple(f"{reason.detail} ({reason.policy})" for reason in decision.reasons),
        as_of=verdict.as_of,
        run_id=run_id,
        accounts=tuple(
            sorted((broker, account) for broker, account in known if any(scope.covers(Scope(broker, account)) for scope in halts))
        ),
    )
    return Stop(scopes, carry_out(settings, host.halts, order), trouble)


def suspend(settings: Settings, brokers: Sequence[str]) -> None:
    """Take the permits of brokers away while breaks that would halt are looked into: a run that dies then halts.

    Raises StateError where that cannot be done.
    """
    if settings.halt.mode != "shadow":
        for alias in brokers:
            revoke(settings.state_dir, Scope(alias), "breaks that would halt were found, and are being looked into")


@contextmanager
def though_stopped(found: Stop, verdict: Verdict) -> Iterator[None]:
    """For what is done from ``stop`` until the run is recorded: what fails inside is a StateError, which says what halted."""
    try:
        yield
    except (StateError, duckdb.Error) as error:
        halted = ""
        if found.scopes:
            reasons = verdict.decision.reasons
            halted = f"; trading is halted all the same: {', '.join(found.scopes)}: {reasons[0].detail}"
            halted += f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
            halted += "".join(f"; {complaint}" for complaint in found.complaints)
        raise StateError(f"{str(error).partition(chr(10))[0]}; this run has no report{halted}") from None


def told(found: Stop) -> dict[str, Any]:
    """What the report says of a stop, beside the mode."""
    return {
        "raised": list(found.scopes),
        "trouble": found.trouble or None,
        "actions": [
            {
                "name": each.name,
                "action": each.action,
                "done": each.done,
                "confirmed": each.confirmed,
                "detail": each.detail,
                "seconds": f"{each.seconds:.3f}",
            }
            for each in found.results
        ],
    }


def say(report: dict[str, Any], found: Stop) -> None:
    """Put a stop into the report: what was done, a warning for each complaint, and exit code 5 where there is one."""
    report["halting"] |= told(found)
    report["warnings"] += found.complaints
    if found.complaints:
        report["exit_code"] = int(ExitCode.DAMAGED)


def say_withheld(verdict: Verdict, settings: Settings, report: dict[str, Any], *, started_at: datetime, now: datetime) -> None:
    """Say in the report of a live run that it will permit nothing of what it proved, where its data is too old for that."""
    halts = stopped(verdict.decision, settings)
    free = [scope for scope in proven(verdict) if not any(stop.overlaps(scope) for stop in halts)]
    if settings.halt.mode != "shadow" and free:
        old = (too_old(verdict, settings, scope, started_at=started_at, now=now) for scope in free)
        report["halting"]["withheld"] = next(filter(None, old), None)


def say_standing(settings: Settings, report: dict[str, Any]) -> None:
    """Say in the report what is halted once this run has stopped what it had to: a clean run lifts no earlier halt."""
    latch = read_latch(settings.state_dir)
    report["halting"]["standing"] = sorted({str(halt.scope) for halt in latch.halts}) if latch else []


def permit_and_tell(
    verdict: Verdict, settings: Settings, report: dict[str, Any], head: Head, *, started_at: datetime, now: datetime, chosen: bool
) -> None:
    """After a run is recorded and its files are written: permit what it proved, then set the metrics.

    ``head`` is the run's audit record, ``chosen`` says that a person chose the run's time or policy: such a run permits and
    measures nothing. Raises StateError where a permit or the metrics file cannot be written.
    """
    issue_for(verdict, settings, run_id=report["run_id"], started_at=started_at, now=now, asked=chosen, head=head)
    if chosen or settings.metrics is None:
        return
    from recon_core.actions.metrics import write_verdict

    due = next_due(settings.schedule, now) if settings.schedule else None
    own = {
        alias: schedule for alias in settings.brokers if settings.brokers[alias].due and (schedule := settings.schedule_of(alias))
    }
    own_due = {alias: next_due(schedule, now) for alias, schedule in own.items()}
    halted = read_latch(settings.state_dir) is not None
    earlier = _earlier(settings)
    for warning in write_verdict(
        settings.metrics, settings.brokers, report, halted=halted, next_due=due, own_due=own_due, recorded=earlier
    ):
        log.warning(warning)


def _earlier(settings: Settings) -> Iterator[dict[str, Any]]:
    """The reports of the last live runs, oldest first."""
    with open_store(store_url(settings.store, settings.folder), settings.state_dir, check=False) as store:
        for run in runs(store.database, limit=REMEMBERED, where="WHERE live = 1"):
            yield loads(report_text(store.database, run.run_id))


@contextmanager
def failure_told(config: Path, at: datetime, *, chosen: bool) -> Iterator[None]:
    """Let the metrics say that a run ended without a verdict, for whatever reason but that another one is running."""
    try:
        yield
    except LockedError:
        raise
    except BaseException:
        if not chosen:
            from recon_core.actions.metrics import write_failed_run

            for warning in write_failed_run(config, at=at, halted=_halted(config)):
                log.warning(warning)
        raise


def _halted(config: Path) -> bool | None:
    """Whether a latch stands; None where that cannot be told."""
    from recon_core.config.state_place import load_place

    try:
        return read_latch(load_place(config).state_dir) is not None
    except ReconError:
        return None
