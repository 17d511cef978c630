"""How a time may be written, and the SQL that turns a source's column into UTC or says why it cannot be."""

from __future__ import annotations

import re
from dataclasses import dataclass

from recon_core.errors import excerpt
from recon_core.sql import Steps, quoted
from recon_core.tables.numbers import is_text, trimmed

_DAY = r"\d{4}-\d{2}-\d{2}"
_CLOCK = r"[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?"
_OFFSET = r"(Z|[+-]\d{2}(:?\d{2})?)"
_NAIVE_TYPES = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS")


@dataclass(frozen=True, slots=True)
class Timestamp:
    """SQL for one time column: ``value`` a TIMESTAMP in UTC (NULL where faulty), ``wrong`` a condition without NULLs.

    They refer to the source's column and to the helper columns of ``steps``, each computed from those before it.
    """

    value: str
    wrong: str
    steps: Steps = ()


def timestamp(column: str, type_name: str, timezone: str | None) -> Timestamp:
    """A time in UTC. One without an offset is wrong unless ``timezone`` (IANA) says where it is.

    A bare date is the start of its day there, else in UTC.
    """
    if type_name == "TIMESTAMP WITH TIME ZONE":
        # timezone('UTC', ...) says the same at several times the cost
        return _finite(f"CASE WHEN isfinite({column}) THEN make_timestamp(epoch_us({column})) END", column)
    if type_name == "DATE" or (type_name in _NAIVE_TYPES and timezone):
        stamp = column if type_name == "TIMESTAMP" else f"CAST({column} AS TIMESTAMP)"
        return _finite(_in_utc(stamp, timezone), column)
    if is_text(type_name):
        text, trimming = trimmed(column, type_name)
        value = f"{column}_value"
        steps = (*trimming, {value: utc_of_text(text, timezone)})
        return Timestamp(value, f"({text} IS NOT NULL AND {value} IS NULL)", steps)
    return Timestamp("CAST(NULL AS TIMESTAMP)", f"({column} IS NOT NULL)")


def utc_of_text(text: str, timezone: str | None) -> str:
    """SQL of a time written in ISO 8601 as a TIMESTAMP in UTC; NULL where it is none, or naive and ``timezone`` is None."""
    cases = [
        f"WHEN regexp_full_match({text}, '{_DAY}{_CLOCK}{_OFFSET}') THEN timezone('UTC', TRY_CAST({text} AS TIMESTAMPTZ))",
        f"WHEN regexp_full_match({text}, '{_DAY}') THEN {_in_utc(f'TRY_CAST({text} AS TIMESTAMP)', timezone)}",
    ]
    if timezone:
        naive = _in_utc(f"TRY_CAST({text} AS TIMESTAMP)", timezone)
        cases.append(f"WHEN regexp_full_match({text}, '{_DAY}{_CLOCK}') THEN {naive}")
    return f"CASE {' '.join(cases)} END"


def why_no_time(raw: str) -> str:
    """In words, why a text is refused as a time, and what mends it."""
    if re.fullmatch(f"{_DAY}{_CLOCK}", raw.strip()):
        return f"'{excerpt(raw)}' has no time zone (say `timezone`, such as America/New_York or UTC)"
    return f"'{excerpt(raw)}' is not a time such as 2026-11-20T21:00:00Z"


def _finite(stamp: str, column: str) -> Timestamp:
    return Timestamp(stamp, f"coalesce(NOT isfinite({column}), false)")


def _in_utc(stamp: str, timezone: str | None) -> str:
    if timezone in (None, "UTC", "Etc/UTC"):
        return stamp
    return f"timezone('UTC', timezone({quoted(timezone or 'UTC')}, {stamp}))"
