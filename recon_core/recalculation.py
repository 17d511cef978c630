"""Profit and loss reckoned anew for positions of which the book was corrected: by a program or by SQL of the firm's own.

What either does it must be able to do twice: it is recorded once it is done, and what ends between the two is done again.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from recon_core.book.writable import PLACE, DoubtError, open_writable
from recon_core.config.credentials import book_url, store_url
from recon_core.config.load import load_configuration
from recon_core.config.settings import RecalculateSettings, Settings
from recon_core.errors import CorrectionError, NotRecordedError, ReconError, StateError
from recon_core.explanation import EXACT, Key
from recon_core.host import load_host
from recon_core.redaction import redacted
from recon_core.state import corrections
from recon_core.state.actor import Actor
from recon_core.state.audit import append
from recon_core.state.corrections import Correction
from recon_core.state.database import Database
from recon_core.state.lock import hold
from recon_core.state.store import has_store, open_store, run_lock

KIND = "recalculation"
INHERITED = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR")
HEARD_BYTES = 16_384
PATIENCE_SECONDS = 2
"""From SIGTERM to SIGKILL."""

NAMES = ("broker", "account", "symbol", "leg")
_TOKENS = re.compile(
    rf"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|::|:(?P<name>{'|'.join(NAMES)})\b", re.DOTALL | re.ASCII
)


@dataclass(frozen=True, slots=True)
class Corrected:
    """A position of which the book was corrected, with the corrections that were made and taken back, oldest first."""

    key: Key
    corrections: tuple[Correction, ...]


@dataclass(frozen=True, slots=True)
class Recalculated:
    """What was reckoned anew, and ``how``: by ``command``, by ``sql``, or not (None); ``said`` is what came of it."""

    positions: tuple[Corrected, ...]
    how: str | None
    said: str

    def totals(self) -> dict[str, Decimal | None]:
        """By currency, what the corrections that stand mean in money; None where that of one is not known."""
        sums: dict[str, Decimal | None] = {}
        for correction in (each for position in self.positions for each in position.corrections):
            if correction.state == "applied" and correction.pnl is not None:
                currency, total = correction.pnl["currency"] or "", correction.pnl["total"]
                so_far = sums.get(currency, Decimal(0))
                sums[currency] = None if so_far is None or total is None else EXACT.add(so_far, Decimal(total))
        return sums


def recalculate(config: Path, actor: Actor, *, since: str | None, everything: bool, clock: Callable[[], datetime]) -> Recalculated:
    """Reckon anew what was corrected since that was last done, ``since`` a run, or ever (``everything``).

    Raises CorrectionError where the program or the database did not do it, NotRecordedError for a run that is not known.
    """
    settings = load_configuration(config, load_host, environment=None).settings
    url = store_url(settings.store, settings.folder)
    if not has_store(url, settings.state_dir):
        raise StateError(f"{settings.state_dir}: nothing is recorded yet: `recon-core run` records")
    with hold(settings.state_dir, clock(), run_lock(url)), open_store(url, settings.state_dir, create=False) as store:
        steps = dict(_steps(store.database, since=since, everything=everything or settings.recalculate is None))
        positions = tuple(_positions(store.database, steps))
        hook = settings.recalculate
        if hook is None or not positions:
            return Recalculated(positions, None, "")
        with _recorded(store.database, actor, hook, steps, clock) as outcome:
            outcome["said"] = _run(hook, settings, positions) if hook.command else _execute(hook, settings, positions)
        return Recalculated(positions, _how(hook), str(outcome["said"]))


def _how(hook: RecalculateSettings) -> str:
    return "command" if hook.command else "sql"


def _steps(database: Database, *, since: str | None, everything: bool) -> Iterator[tuple[str, int]]:
    """The corrections that were made or taken back, each with the audit record that says so."""
    after = 0
    if since is not None:
        found = database.execute("SELECT seq FROM runs WHERE run_id = ?", (since,))
        if not found:
            raise NotRecordedError(f"no run {since} is recorded: `recon-core history` lists them")
        after = found[0][0]
    done = set() if everything or since is not None else set(_done(database))
    made = "SELECT id, seq FROM corrections WHERE state IN ('applied', 'reverted') AND seq > ? ORDER BY seq"
    yield from ((name, seq) for name, seq in database.execute(made, (after,)) if (name, seq) not in done)


def _done(database: Database) -> Iterator[tuple[str, int]]:
    """The same of those that were reckoned with already."""
    for (body,) in database.execute("SELECT body FROM audit WHERE kind = ? ORDER BY seq", (KIND,)):
        after = json.loads(body)["after"]
        if after["done"]:
            yield from ((name, seq) for name, seq in after["corrections"].items())


def _positions(database: Database, names: Sequence[str] | Mapping[str, int]) -> Iterator[Corrected]:
    by_key: dict[Key, list[Correction]] = {}
    for name in names:
        if (found := corrections.find(database, name)) is not None:
            by_key.setdefault(found.key, []).append(found)
    for key in sorted(by_key):
        yield Corrected(key, tuple(by_key[key]))


@contextmanager
def _recorded(
    database: Database, actor: Actor, hook: RecalculateSettings, steps: Mapping[str, int], clock: Callable[[], datetime]
) -> Iterator[dict[str, Any]]:
    """What is done inside, as an audit record: that it was done, or why not."""
    outcome: dict[str, Any] = {"how": _how(hook), "corrections": dict(steps), "done": False, "said": ""}
    try:
        yield outcome
        outcome["done"] = True
    except ReconError as error:
        outcome["said"] = str(error)
        raise
    finally:
        what = "profit and loss reckoned anew" if outcome["done"] else "profit and loss not reckoned anew"
        append(database, KIND, actor, f"{what} for {len(steps)} corrections by {_how(hook)}", after=outcome, at=clock())


def as_json(positions: Sequence[Corrected]) -> list[dict[str, Any]]:
    """The positions as a program gets them."""
    shown = ("id", "kind", "state", "run_id", "applied_at", "before", "after", "pnl", "reverts", "reverted_by")
    return [
        dict(zip(NAMES, position.key, strict=True))
        | {"corrections": [{name: getattr(each, name) for name in shown} for each in position.corrections]}
        for position in positions
    ]


def _execute(hook: RecalculateSettings, settings: Settings, positions: Sequence[Corrected]) -> str:
    """The SQL for each position, all of it or nothing."""
    where = settings.book.corrections
    if where is None or hook.sql is None:
        raise CorrectionError("recalculate.sql runs in the database of book.corrections, which recon.yaml does not name")
    statement, names = bound(hook.sql)
    count = 0
    with open_writable(book_url(where.database, settings.folder), settings.folder) as database:
        try:
            with database.transaction(where.table or settings.book.table or ""):
                for position in positions:
                    values = dict(zip(NAMES, position.key, strict=True))
                    count += max(database.change(statement, [values[name] for name in names]), 0)
        except DoubtError as error:
            raise CorrectionError(f"whether recalculate.sql took place is not known: {error}") from None
        return f"{database.name}: {count:,} rows"


def bound(sql: str) -> tuple[str, list[str]]:
    """The statement with ``PLACE`` where a name stood, and the names in their order; what is quoted or a comment stays."""
    names: list[str] = []

    def placed(found: re.Match[str]) -> str:
        if found["name"] is None:
            return found[0]
        names.append(found["name"])
        return PLACE

    return _TOKENS.sub(placed, sql.strip().rstrip(";")), names


def _run(hook: RecalculateSettings, settings: Settings, positions: Sequence[Corrected]) -> str:
    """The program to its end; returns how what it printed begins."""
    name, *arguments = hook.command
    order = json.dumps({"version": 1, "positions": as_json(positions)})
    environment = {key: os.environ[key] for key in INHERITED if key in os.environ}
    with tempfile.TemporaryFile() as on_stdin, tempfile.TemporaryFile() as printed:  # no pipe: nobody waits for the other
        on_stdin.write(order.encode())
        on_stdin.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603  # what recon.yaml names, without a shell
                [str(settings.folder / name) if "/" in name else name, *arguments],
                stdin=on_stdin,
                stdout=printed,
                stderr=subprocess.STDOUT,
                cwd=settings.folder,
                env=environment,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise CorrectionError(f"recalculate: {name} cannot be started: {getattr(error, 'strerror', None) or error}") from None
        try:
            code = process.wait(float(hook.deadline_seconds))
        except subprocess.TimeoutExpired:
            code = None
            _end(process)
        except BaseException:
            _end(process)
            raise
        printed.seek(0)
        said = redacted(printed.read(HEARD_BYTES).decode(errors="replace")).strip()
    if code is None:
        raise CorrectionError(f"recalculate: {name} did not end within {hook.deadline_seconds:f} s and was ended{_quoted(said)}")
    if code != 0:
        raise CorrectionError(f"recalculate: {name} ended with {code}{_quoted(said)}")
    return said


def _quoted(said: str) -> str:
    return f": {said}" if said else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a program and of all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_SECONDS)
