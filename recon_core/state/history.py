"""The history of runs, ``eod_recon_breaks.json``: newest last, the last 90, each with its worst breaks and its report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from recon_core.errors import StateError
from recon_core.regular_file import read_regular
from recon_core.state.files import locked, write_atomically

NAME = "eod_recon_breaks.json"
RUNS_KEPT = 90
BREAKS_KEPT = 100
_BREAK_KEYS = (
    "id", "type", "severity", "broker", "account", "symbol", "leg", "book_quantity", "broker_quantity", "impact", "halts", "detail"
)  # fmt: skip


def read_history(state_dir: Path) -> dict[str, Any]:
    """The history of a state directory, empty where there is none. Raises StateError for one that cannot be believed."""
    path = state_dir / NAME
    try:
        found = json.loads(read_regular(path).decode())
    except FileNotFoundError:
        return {"version": 1, "runs": []}
    except OSError as error:
        raise StateError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise StateError(f"{path}: damaged ({error}); keep a copy of it, then move it away: nothing was recorded") from None
    whole = isinstance(found, dict) and isinstance(found.get("runs"), list) and all(isinstance(run, dict) for run in found["runs"])
    if not whole or found.get("version") != 1:
        raise StateError(
            f"{path}: not a history that this version knows; keep a copy of it, then move it away: nothing was recorded"
        )
    return dict(found)


def delivered(history: Mapping[str, Any]) -> dict[str, dict[str, date]]:
    """The files of earlier runs: broker to sha256 to the last day that it was taken for. Raises StateError."""
    try:
        return _delivered(history)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StateError(f"{NAME}: damaged ({error!r}); keep a copy of it, then move it away: nothing was recorded") from None


def _delivered(history: Mapping[str, Any]) -> dict[str, dict[str, date]]:
    found: dict[str, dict[str, date]] = {}
    for run in history["runs"]:
        for feed in run.get("feeds", []):
            if feed.get("sha256") and feed.get("status") == "COMPLETE":
                days = found.setdefault(str(feed["broker"]), {})
                day = date.fromisoformat(str(run["as_of"])[:10])
                days[feed["sha256"]] = max(day, days.get(feed["sha256"], day))
    return found


def remember(state_dir: Path, report: Mapping[str, Any]) -> None:
    """Add a run to the history on disk, replacing the file as a whole; runs that end together wait for one another."""
    entry = {
        "run_id": report["run_id"],
        "as_of": report["as_of"],
        "verdict": report["verdict"],
        "exit_code": report["exit_code"],
        "break_count": report["break_count"],
        "missing_count": report["missing_count"],
        "suppressed_count": report["suppressed_count"],
        "counts": report["counts"],
        "total_impact": report["total_impact"],
        "decision": report["decision"],
        "feeds": [{key: feed[key] for key in ("broker", "status", "as_of", "positions", "sha256")} for feed in report["feeds"]],
        "head": None,
        "breaks": [{key: entry[key] for key in _BREAK_KEYS} for entry in report["discrepancies"][:BREAKS_KEPT]],
        "report": report["outputs"]["report"],
    }
    with locked(state_dir / f".{NAME}.lock"):
        runs = [*read_history(state_dir)["runs"], entry][-RUNS_KEPT:]
        text = json.dumps({"version": 1, "runs": runs}, indent=1, ensure_ascii=False)
        write_atomically(state_dir / NAME, text + "\n")
