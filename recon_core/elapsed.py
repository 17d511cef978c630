"""Hours gone by, without those that do not count (``schedule.closed``): for one pair of times, and as SQL for millions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

Intervals = Sequence[tuple[datetime, datetime]]

STALE_AFTER = timedelta(hours=12)
"""Data of an earlier day is stale when it is also this much older than what it is compared with."""


def elapsed(earlier: datetime, later: datetime, closed: Intervals) -> timedelta:
    """The time from ``earlier`` to ``later`` without what of it is ``closed`` (ascending, apart); negative the other way round."""
    if earlier > later:
        return -elapsed(later, earlier, closed)
    lost = (min(end, later) - max(start, earlier) for start, end in closed)
    return later - earlier - sum((part for part in lost if part > timedelta(0)), timedelta(0))


def microseconds_sql(stamp: str, until: datetime, closed: Intervals) -> str:
    """SQL of ``elapsed(stamp, until)`` in microseconds, for a time in microseconds since 1970; NULL where it is NULL.

    What counts is a line of slope 1 and 0 by turns; a tree of comparisons finds the piece, so that a hundred weekends cost
    seven comparisons a row, and one where the row is newer than the last of them.
    """
    end = microseconds(until)
    pieces: list[tuple[datetime, str]] = []  # from which time on, and how much closed time is still to come; newest first
    lost = 0
    for start, stop in reversed([(start, min(stop, until)) for start, stop in closed if start < until]):
        pieces += [(stop, str(lost)), (start, f"{lost + microseconds(stop)} - {stamp}")]
        lost += microseconds(stop) - microseconds(start)
    if not pieces:
        return f"({end} - {stamp})"
    newest, *older = [*pieces, (until, str(lost))]  # the oldest piece has no start
    return f"({end} - {stamp} - (CASE WHEN {_since(stamp, newest[0])} THEN {newest[1]} ELSE {_tree(older[::-1], stamp)} END))"


def _tree(pieces: Sequence[tuple[datetime, str]], stamp: str) -> str:
    """CASE over pieces in ascending order, each with the value from its start on; the first one has no start."""
    if len(pieces) == 1:
        return pieces[0][1]
    middle = len(pieces) // 2
    newer, older = _tree(pieces[middle:], stamp), _tree(pieces[:middle], stamp)
    return f"CASE WHEN {_since(stamp, pieces[middle][0])} THEN {newer} ELSE {older} END"


def _since(stamp: str, start: datetime) -> str:
    return f"{stamp} >= {microseconds(start)}"


def microseconds(stamp: datetime) -> int:
    """Since 1970, in UTC."""
    return (stamp - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
