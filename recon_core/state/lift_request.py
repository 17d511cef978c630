"""The first of two signatures under a lift, ``LIFT.json``: who asked, for which halts, and why. It lifts nothing by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from recon_core.errors import StateError
from recon_core.state.files import write_atomically
from recon_core.state.latch import Halt
from recon_core.state.sealed import moment, read_sealed, sealed
from recon_core.state.times import stored

NAME = "LIFT.json"
OPEN_FOR = timedelta(minutes=30)
"""How long a second person may take to confirm."""


@dataclass(frozen=True, slots=True)
class LiftRequest:
    """Who asked for a lift, when, for which halts (as they were then), why, and whether without a proof."""

    by: str
    asked_at: datetime
    halts: tuple[str, ...]
    reason: str
    override: bool


def marks(halts: Sequence[Halt]) -> tuple[str, ...]:
    """What tells these halts from all others, and from themselves after they were extended."""
    return tuple(sorted(f"{halt.id} {stored(halt.last_at)}" for halt in halts))


def ask(state_dir: Path, request: LiftRequest) -> None:
    """Put a request on file; an earlier one is void then. Raises StateError."""
    content = {
        "by": request.by,
        "asked_at": stored(request.asked_at),
        "halts": list(request.halts),
        "reason": request.reason,
        "override": request.override,
    }
    write_atomically(state_dir / NAME, sealed(content))


def asked(state_dir: Path) -> LiftRequest | None:
    """The request on file, None where there is none or it cannot be believed: then it must be made again."""
    try:
        found = read_sealed(state_dir / NAME)
        return LiftRequest(
            by=str(found["by"]),
            asked_at=moment(found["asked_at"]),
            halts=tuple(str(mark) for mark in found["halts"]),
            reason=str(found["reason"]),
            override=found["override"] is True,
        )
    except (OSError, StateError, KeyError, TypeError, ValueError):
        return None


def withdraw(state_dir: Path) -> None:
    """Take the request off file. Raises StateError."""
    try:
        (state_dir / NAME).unlink(missing_ok=True)
    except OSError as error:
        raise StateError(f"{state_dir / NAME}: cannot be removed: {error.strerror or error}") from None
