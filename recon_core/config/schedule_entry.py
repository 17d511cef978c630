"""``schedule`` in recon.yaml: its schema, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time, timedelta
from pathlib import Path
from typing import Any

from recon_core.calendars import problem_of as calendar_problem
from recon_core.config.problems import closest, quote
from recon_core.config.reader import read_document
from recon_core.config.schema import Schema, text
from recon_core.config.validation import Checked, check, exact
from recon_core.errors import ConfigError
from recon_core.schedule import DAYS, Schedule, weekdays


def schedule_schema() -> Schema:
    """The schema of ``schedule``."""
    return {
        "type": "object",
        "description": "When a run is due: how long a permit lasts, and which hours count towards the age of rows and feeds.",
        "required": ["due", "timezone"],
        "additionalProperties": False,
        "properties": {
            "due": due_schema("Time of day, such as 16:30. On a half-day of the calendar it moves by as much as the close does."),
            "timezone": text("IANA time zone of `due` and of the days, such as America/New_York."),
            "days": {
                "type": "string",
                "pattern": f"^{DAYS}(,{DAYS})*$",
                "patternErrorMessage": "weekdays are due, such as Mon-Fri or Mon,Wed,Fri",
                "default": "Mon-Fri",
                "description": "Days on which a run is due: Mon-Fri, Sun-Thu, or Mon,Wed,Fri.",
            },
            "calendar": text("Exchange whose sessions are the days, such as XNYS, in place of `days` (extra `calendar`)."),
            "grace_hours": {
                "type": "number",
                "minimum": 0,
                "maximum": 168,
                "default": 4,
                "description": "Hours after the due time until which the last permit holds.",
            },
        },
    }


def due_schema(description: str) -> Schema:
    """The schema of a time of day."""
    return {
        "type": "string",
        "pattern": r"^([01]\d|2[0-3]):[0-5]\d$",
        "patternErrorMessage": "a time of day is due, such as 16:30",
        "description": description,
    }


def read_schedule(checked: Checked) -> Schedule | None:
    """The schedule, None where there is none or something is wrong with it."""
    value = checked.value.get("schedule")
    if not isinstance(value, dict):
        return None
    check_timezone(checked, "schedule", value)
    if "calendar" in value and "days" in value:
        checked.problem("days are named or taken from a calendar, not both", "schedule", "days", key=True)
    elif "calendar" in value and checked.sound("schedule", "calendar") and (problem := calendar_problem(value["calendar"])):
        checked.problem(problem, "schedule", "calendar")
    if not checked.sound("schedule"):
        return None
    return Schedule(
        due=time.fromisoformat(value["due"]),
        timezone=value["timezone"],
        days=weekdays(value.get("days", "Mon-Fri")),
        calendar=value.get("calendar"),
        grace=timedelta(hours=float(value.get("grace_hours", 4))),
    )


def load_schedule(path: Path | str) -> Schedule | None:
    """The schedule of recon.yaml, whatever is wrong with the rest of it. Raises ConfigError."""
    document = read_document(Path(path), str(path))
    found = None
    if document.root is not None:
        schema = {"type": "object", "properties": {"schedule": schedule_schema()}}
        found = read_schedule(check(document, document.root, exact(schema)))
    if document.problems:
        raise ConfigError(document.problems.texts())
    return found


def check_timezone(checked: Checked, section: str, value: Mapping[str, Any]) -> None:
    """Report a ``timezone`` of a section that is no IANA time zone."""
    if "timezone" in value and checked.sound(section, "timezone") and (problem := _timezone_problem(value["timezone"])):
        checked.problem(problem, section, "timezone")


def _timezone_problem(name: str) -> str | None:
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        known = available_timezones()
        if not known:
            return "this machine has no time zones: install the package tzdata"
        near = closest(name, known)
        return f"{quote(name)} is no IANA time zone" + (f"; did you mean {quote(near)}?" if near else ", such as America/New_York")
    return None
