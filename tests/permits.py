"""What runs and people leave in a state directory, made by the functions that they use: records, permits, halts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from recon_core.state.actor import Actor
from recon_core.state.audit import Head
from recon_core.state.latch import Halt
from recon_core.state.permit import Lease, issue
from recon_core.state.scope import FIRM, Scope
from recon_core.state.store import open_store

NOW = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
MAIN, HEDGE, VAULT = Scope("prime", "MAIN"), Scope("prime", "HEDGE"), Scope("coinhouse", "VAULT")
CONFIG = "version: 1\nbrokers: {prime: {}, coinhouse: {}}\n"
ACTOR = Actor("tests", "here")


def record(state: Path, *scopes: Scope) -> Head:
    """An audit record as a run leaves one."""
    with open_store(None, state) as store:
        return store.append("run", ACTOR, "clean, 0 breaks", scopes=[str(scope) for scope in scopes])


def lease(scope: Scope, head: Head, *, at: datetime = NOW, hours: float = 26) -> Lease:
    return Lease(scope, at, at, at + timedelta(hours=hours), "a-run", "0" * 64, head)


def permit(state: Path, *scopes: Scope, at: datetime = NOW, hours: float = 26) -> Head:
    """What a run leaves that proved these accounts: its record, and a lease of each."""
    head = record(state, *scopes)
    issue(state, [lease(scope, head, at=at, hours=hours) for scope in scopes], (), anew=(), known=("prime", "coinhouse"))
    return head


def halt(scope: Scope = FIRM, *, at: datetime = NOW, run: str = "", reduce: bool = False) -> Halt:
    return Halt(scope, ("a reason",), at, at, f"run {run}" if run else "tests", (run,) if run else (), allow_reduce=reduce)
