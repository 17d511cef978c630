"""The halt latch, ``HALT.json``: while it is there, trading is halted, whatever it is and whatever it holds.

It lists halts, each with its scope; halts are added and never replaced. One that cannot be read halts the whole firm.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recon_core.errors import StateError
from recon_core.state.files import locked, sync_folder, write_atomically
from recon_core.state.scope import FIRM, Scope, scope_of
from recon_core.state.sealed import moment, read_sealed, sealed
from recon_core.state.times import stored

NAME = "HALT.json"


@dataclass(frozen=True, slots=True)
class Halt:
    """One halt: what it stops, why, since when, and who or which runs raised it.

    ``last_at`` is when it was raised last: a later run that halts the same scope extends it. ``allow_reduce`` lets bots
    reduce positions under it.
    """

    scope: Scope
    reasons: tuple[str, ...]
    raised_at: datetime
    last_at: datetime
    by: str
    run_ids: tuple[str, ...] = ()
    policy_sha256: str | None = None
    allow_reduce: bool = False
    drill: bool = False
    id: str = field(default_factory=lambda: secrets.token_hex(4))

    def __str__(self) -> str:
        """In a line, for people: with the first reason, and how many others there are."""
        others = len(self.reasons) - 1
        more = f" and {others} more reason{'s' if others > 1 else ''}" if others > 0 else ""
        return f"{self.headline}: {''.join(self.reasons[:1])}{more}"

    @property
    def headline(self) -> str:
        """What is halted, since when and by whom."""
        return f"{'DRILL: ' if self.drill else ''}{self.scope} halted since {stored(self.raised_at)[:19]}Z by {self.by}"

    def as_dict(self) -> dict[str, Any]:
        """The same as the file holds it."""
        return {
            "id": self.id,
            "scope": self.scope.as_dict(),
            "reasons": list(self.reasons),
            "raised_at": stored(self.raised_at),
            "last_at": stored(self.last_at),
            "by": self.by,
            "run_ids": list(self.run_ids),
            "policy_sha256": self.policy_sha256,
            "allow_reduce": self.allow_reduce,
            "drill": self.drill,
        }


@dataclass(frozen=True, slots=True)
class Latch:
    """What is halted. ``trouble`` says why the latch cannot be believed; ``halts`` is then one of the whole firm."""

    halts: tuple[Halt, ...]
    trouble: str = ""

    def overlapping(self, scope: Scope) -> tuple[Halt, ...]:
        """The halts that bear on a scope."""
        return tuple(halt for halt in self.halts if halt.scope.overlaps(scope))


def read_latch(state_dir: Path) -> Latch | None:
    """The latch, None where there is surely none. Never raises: what cannot be looked at is a latch."""
    path = state_dir / NAME
    try:
        found = read_sealed(path)
        return Latch(tuple(_halt(entry) for entry in found["halts"]))
    except FileNotFoundError:
        if not os.path.lexists(path):
            return None
        trouble = f"{path}: is a link"
    except StateError as error:
        trouble = str(error)
    except (KeyError, TypeError, ValueError, AttributeError):  # whole, and yet not what this writes
        trouble = f"{path}: damaged: not what it was written as"
    return Latch((_unreadable(path, trouble),), trouble)


def raise_latch(state_dir: Path, halts: Sequence[Halt]) -> Latch:
    """Add halts, durably; one of the same scope that runs raise again is extended. Returns what is halted then.

    A latch that cannot be read is kept beside and goes on to halt the firm. Raises StateError where it cannot be written;
    what is left even then, if it can be had, is a latch that nobody can read, which halts everything.
    """
    path = state_dir / NAME
    try:
        with _held(state_dir, needed=False):
            found = read_latch(state_dir)
            if found is not None and found.trouble:
                if path.is_dir() and not path.is_symlink():
                    return found  # nothing can be put in its place without a moment in which nothing is halted
                kept = _keep_aside(path)
                unreadable = replace(found.halts[0], reasons=(*found.halts[0].reasons, f"kept as {kept.name}"))
                found = Latch((unreadable,))
            latch = Latch(_added(found.halts if found else (), halts))
            _write(path, latch)
            return latch
    except StateError:
        with suppress(OSError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0))
        with suppress(OSError):
            path.chmod(0)
            sync_folder(state_dir)
        raise


def lower_latch(state_dir: Path, lifted: Sequence[Halt]) -> Latch | None:
    """Take halts away, each as it was when the lift was decided; returns what stays halted, None where nothing does.

    Raises StateError where one was extended or taken away meanwhile; then nothing is changed.
    """
    path = state_dir / NAME
    with _held(state_dir):
        found = read_latch(state_dir)
        if found is not None and found.trouble:
            if found.halts[0] not in lifted:
                raise StateError(f"{path}: has changed since the lift was decided; nothing was lifted")
            _set_aside(path)
            return None
        here = found.halts if found else ()
        if not all(halt in here for halt in lifted):
            raise StateError(f"{path}: was halted again, or lifted, since the lift was decided; nothing was lifted")
        latch = Latch(tuple(halt for halt in here if halt not in lifted))
        if latch.halts:
            _write(path, latch)
            return latch
        try:
            path.unlink()
            sync_folder(state_dir)
        except OSError as error:
            raise StateError(f"{path}: cannot be removed: {error.strerror or error}") from None
        return None


def _added(here: tuple[Halt, ...], new: Sequence[Halt]) -> tuple[Halt, ...]:
    found = list(here)
    for halt in new:
        for place, earlier in enumerate(found):
            alike = (earlier.scope, earlier.allow_reduce, earlier.drill) == (halt.scope, halt.allow_reduce, halt.drill)
            if alike and earlier.run_ids and halt.run_ids:
                found[place] = replace(
                    earlier,
                    reasons=tuple(dict.fromkeys((*earlier.reasons, *halt.reasons))),
                    last_at=max(earlier.last_at, halt.last_at),
                    run_ids=tuple(dict.fromkeys((*earlier.run_ids, *halt.run_ids))),
                    policy_sha256=halt.policy_sha256,
                )
                break
        else:
            found.append(halt)
    return tuple(found)


def _write(path: Path, latch: Latch) -> None:
    write_atomically(path, sealed({"halts": [halt.as_dict() for halt in latch.halts]}))


def _halt(entry: Any) -> Halt:
    return Halt(
        scope=scope_of(entry["scope"]),
        reasons=tuple(str(reason) for reason in entry["reasons"]),
        raised_at=moment(entry["raised_at"]),
        last_at=moment(entry["last_at"]),
        by=str(entry["by"]),
        run_ids=tuple(str(run_id) for run_id in entry["run_ids"]),
        policy_sha256=entry["policy_sha256"],
        allow_reduce=entry["allow_reduce"] is True,
        drill=entry["drill"] is True,
        id=str(entry["id"]),
    )


def _unreadable(path: Path, trouble: str) -> Halt:
    """The halt that a latch stands for which cannot be read: of the firm, since its inode was last changed."""
    try:
        about = path.lstat()
        since, mark = datetime.fromtimestamp(about.st_ctime, UTC), f"{about.st_ino:x}-{about.st_ctime_ns:x}"
    except OSError:
        since, mark = datetime.now(UTC), "unseen"
    return Halt(FIRM, (f"the latch cannot be read: {trouble}",), since, since, "nobody known", id=mark)


def _keep_aside(path: Path) -> Path:
    """A second name for what cannot be read, so that nothing is lost when the first is replaced."""
    kept = path.with_name(f"{NAME}.damaged-{secrets.token_hex(4)}")
    try:
        os.link(path, kept, follow_symlinks=False)
        sync_folder(path.parent)
    except OSError as error:
        raise StateError(f"{path}: cannot be read, and not be kept as {kept.name}: {error.strerror or error}") from None
    return kept


def _set_aside(path: Path) -> None:
    kept = path.with_name(f"{NAME}.damaged-{secrets.token_hex(4)}")
    try:
        path.rename(kept)
        sync_folder(path.parent)
    except OSError as error:
        raise StateError(f"{path}: cannot be moved to {kept.name}: {error.strerror or error}") from None


@contextmanager
def _held(state_dir: Path, *, needed: bool = True) -> Iterator[None]:
    """One change of the latch at a time; a run's own lock is another one, so that a halt never waits for a run.

    A halt does not depend on the lock either (``needed``): a full disk may have none left.
    """
    with ExitStack() as held:
        try:
            held.enter_context(locked(state_dir / f".{NAME}.lock"))
        except StateError:
            if needed:
                raise
        yield
