"""``eod_recon_breaks.json``: the last 90 runs, newest last, each with its worst breaks and its report. Derived from the store.

The store is the truth: a history that was deleted or damaged is written anew from it. But one that tells of runs which the
store does not have says that the store itself was lost or put back, and that is no state to go on from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recon_core.errors import StateError
from recon_core.regular_file import read_regular
from recon_core.state.corrections import faults as correction_faults
from recon_core.state.database import Database
from recon_core.state.files import locked, write_atomically
from recon_core.state.runs import faults as run_faults
from recon_core.state.runs import known_runs, runs
from recon_core.state.store import Store

NAME = "eod_recon_breaks.json"
RUNS_KEPT = 90
BREAKS_KEPT = 100
_RUN_KEYS = (
    "run_id", "as_of", "verdict", "exit_code", "break_count", "missing_count", "suppressed_count", "counts", "total_impact",
    "decision"
)  # fmt: skip
_BREAK_KEYS = (
    "id", "type", "severity", "broker", "account", "symbol", "leg", "book_quantity", "broker_quantity", "impact", "halts", "detail",
    "episode", "first_seen"
)  # fmt: skip


def entry(report: Mapping[str, Any]) -> dict[str, Any]:
    """A run's line of the history, but for the head of the audit chain."""
    return {
        **{key: report[key] for key in _RUN_KEYS},
        "feeds": [{key: feed[key] for key in ("broker", "status", "as_of", "positions", "sha256")} for feed in report["feeds"]],
        "breaks": [{key: found[key] for key in _BREAK_KEYS} for found in report["discrepancies"][:BREAKS_KEPT]],
        "report": report["outputs"]["report"],
    }


def inspect(state_dir: Path, store: Store | None) -> str:
    """What is wrong with the history on disk, in words; empty where nothing is. ``store`` is None where there is none yet.

    Raises StateError where it tells of recorded runs that the store does not have.
    """
    path = state_dir / NAME
    try:
        found = json.loads(read_regular(path).decode())
        if found["version"] != 1:
            raise ValueError("not a version that this recon-core knows")
        heads = {str(run["run_id"]): run["head"] for run in found["runs"]}
    except FileNotFoundError:
        return "" if not path.is_symlink() else f"{path}: is a link to nowhere"
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror or error}"
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        return f"{path}: damaged ({type(error).__name__}: {error})"
    recorded = [run_id for run_id, head in heads.items() if head is not None]
    lost = sorted(set(recorded) - (known_runs(store.database, recorded) if store else set()))
    if lost:
        where = store.name if store else f"{state_dir}: there is no store, and it"
        raise StateError(
            f"{where} does not have run {lost[-1]}, which {path} tells of: the store was lost, cut or put back from a copy. "
            f"Restore the newest copy of it, or move {NAME} away to go on without those runs; nothing was recorded"
        )
    return "" if len(recorded) == len(heads) else f"{path}: tells of runs from before there was a store"


def write_history(state_dir: Path, store: Store) -> None:
    """Write the history anew from the store; what is there and cannot be trusted is kept beside it. Raises StateError."""
    path = state_dir / NAME
    with locked(state_dir / f".{NAME}.lock"):
        if inspect(state_dir, store):
            _keep_aside(path)
        lines = ",\n".join(run.summary for run in runs(store.database, limit=RUNS_KEPT))
        write_atomically(path, f'{{"version": 1, "runs": [\n{lines}\n]}}\n')


def faults(database: Database) -> list[str]:
    """Runs, lines of the history and corrections that are not what their audit records and reports say, in words."""
    return [*run_faults(database, entry), *correction_faults(database)]


def _keep_aside(path: Path) -> None:
    number, aside = 1, path.with_name(f"{path.name}.kept")
    while aside.exists() or aside.is_symlink():
        number += 1
        aside = path.with_name(f"{path.name}.kept.{number}")
    try:
        path.rename(aside)
    except OSError as error:
        raise StateError(f"{path}: damaged, and cannot be moved aside: {error.strerror}") from None
