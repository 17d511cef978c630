"""A time as text, as reports, records and commands write it."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(stamp: datetime) -> str:
    """An aware time in UTC, to the second unless it has a fraction: ``2026-11-20T21:05:00Z``."""
    return stamp.astimezone(UTC).isoformat().replace("+00:00", "Z")
