"""Times as the store keeps them: text in UTC, always to the microsecond, so that their order is that of their texts."""

from __future__ import annotations

from datetime import UTC, datetime

from recon_core.errors import StateError
from recon_core.written_times import iso


def stored(moment: datetime) -> str:
    """An aware time as text."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def naive(moment: datetime) -> datetime:
    """An aware time as DuckDB's TIMESTAMP has it: in UTC, which it does not say."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def moment(text: str) -> datetime:
    """The time that such a text says. Raises StateError for any other text."""
    try:
        found = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        found = None
    if found is None or found.tzinfo is None:
        raise StateError(f"the store is damaged: {text!r} is no time; restore a backup")
    return found.astimezone(UTC)


def printed(text: str) -> str:
    """The same for people and reports: to the second, unless it has a fraction."""
    return iso(moment(text))
