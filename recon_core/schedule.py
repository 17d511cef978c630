"""When a run is due, and which hours count: weekdays in a time zone, or the sessions of an exchange. Pure: no clock, no disk.

A due time that daylight saving leaves out is as long after midnight as it is written (02:30 becomes 03:30); one that comes
twice is the first. On a half-day the due time moves by as much as the close does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from recon_core import calendars
from recon_core.calendars import EarlyClose
from recon_core.elapsed import STALE_AFTER, elapsed
from recon_core.errors import ConfigError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAYS = rf"({'|'.join(WEEKDAYS)})(-({'|'.join(WEEKDAYS)}))?"
"""A weekday, or a range of them."""

WITHOUT_SCHEDULE = timedelta(hours=26)
"""How long a verdict holds where no schedule says when the next one is due: a day, and two hours of grace."""

REMEMBERED = timedelta(days=366)
"""How far back hours are left out; what lies before that counts whole, and is beyond every limit anyway."""

_LOOKED_AT = 400
"""Days in which the next or the last session is sought: no exchange closes for longer."""

Interval = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a run is due: at ``due`` (time of day in ``timezone``, IANA) on ``days`` (0 is Monday) or on sessions of ``calendar``.

    ``grace`` is how long after that a verdict may still be missing before trading ends.
    """

    due: time
    timezone: str
    days: frozenset[int] = frozenset(range(5))
    calendar: str | None = None
    grace: timedelta = timedelta(hours=4)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        from zoneinfo import ZoneInfo

        return ZoneInfo(self.timezone)

    def __str__(self) -> str:
        days = f"sessions of {self.calendar}" if self.calendar else ", ".join(WEEKDAYS[day] for day in sorted(self.days))
        return f"{self.due:%H:%M} {self.timezone}, {days}"


def weekdays(text: str) -> frozenset[int]:
    """The days that ``Mon-Fri`` or ``Sun-Tue,Thu`` names, 0 is Monday. Raises ValueError for anything else."""
    found: set[int] = set()
    for part in text.split(","):
        if not re.fullmatch(DAYS, part.strip()):
            raise ValueError(f"{part.strip()!r} is no weekday and no range of them, such as Mon-Fri")
        first, _, last = part.strip().partition("-")
        start = WEEKDAYS.index(first)
        length = (WEEKDAYS.index(last or first) - start) % 7 + 1
        found |= {(start + step) % 7 for step in range(length)}
    return frozenset(found)


def next_due(schedule: Schedule, after: datetime) -> datetime:
    """The first due time later than ``after``, in UTC. Raises ConfigError past the end of the calendar."""
    return next(due for due in _dues(schedule, _day(schedule, after) - timedelta(days=1), 1) if due > after)


def previous_due(schedule: Schedule, before: datetime) -> datetime:
    """The last due time not later than ``before``, in UTC. Raises ConfigError past the end of the calendar."""
    return next(due for due in _dues(schedule, _day(schedule, before), -1) if due <= before)


def valid_until(schedule: Schedule | None, as_of: datetime, proven_at: datetime, *, late: Schedule | None = None) -> datetime:
    """How long a verdict of ``proven_at`` on data of ``as_of`` holds: until the next due time and its grace.

    ``late`` is when a broker is due by itself, with data of the last due time of ``schedule`` before.

    Data of an earlier session than the last due time asked for holds no longer than that session's verdict did: until the first
    due time that asked for a later one. Without a schedule all data holds for 26 hours. So the end may have passed already.
    """
    if schedule is None:
        return min(as_of, proven_at) + WITHOUT_SCHEDULE
    own = late or schedule

    def outdated(due: datetime) -> bool:
        return _of_earlier_session(schedule, as_of, previous_due(schedule, due) if late else due)

    due = previous_due(own, proven_at)
    if due - as_of > REMEMBERED:
        return as_of + WITHOUT_SCHEDULE
    if outdated(due):
        return next(each for each in _dues(own, _day(own, as_of), 1) if each > as_of and outdated(each)) + own.grace
    return next_due(own, proven_at) + own.grace


def _of_earlier_session(schedule: Schedule, as_of: datetime, due: datetime) -> bool:
    return sessions_between(schedule, as_of, due) > 0 and elapsed(as_of, due, closed(schedule, as_of, due)) > STALE_AFTER


def session_days(schedule: Schedule, first: date, last: date) -> list[date]:
    """The days from ``first`` to ``last``, both included, on which a run is due. Raises ConfigError past the calendar's end."""
    return [day for day in _days(first, last) if _session(schedule, day)]


@lru_cache(maxsize=4096)  # thousands of breaks, and few days on which they were first seen
def sessions_between(schedule: Schedule | None, earlier: datetime, later: datetime) -> int:
    """How many sessions lie after the day of ``earlier``, up to the day of ``later``; days (UTC) where there is no schedule.

    0 on one and the same day, and from a Friday to the Sunday after it; 1 from that Friday to Monday.
    """
    if schedule is None:
        return max((later.astimezone(UTC).date() - earlier.astimezone(UTC).date()).days, 0)
    return len(session_days(schedule, _day(schedule, earlier) + timedelta(days=1), _day(schedule, later)))


def recently_closed(schedule: Schedule | None, as_of: datetime, now: datetime) -> tuple[Interval, ...]:
    """The hours that do not count from a year before ``as_of`` until ``now`` (see ``closed``)."""
    since = as_of - REMEMBERED if as_of.year > 2 else as_of
    return closed(schedule, since, max(as_of, now))


def closed(schedule: Schedule | None, since: datetime, until: datetime) -> tuple[Interval, ...]:
    """The hours from ``since`` to ``until`` (UTC) that do not count: days without a session, and what a half-day cuts off.

    Ascending, apart from one another; none without a schedule. A day is one of the schedule's time zone, from midnight to
    midnight; what a half-day cuts off lies between its close and the close of a whole session.
    """
    found: list[Interval] = []
    if schedule is None:
        return ()
    for day in _days(_day(schedule, since), _day(schedule, until)):
        session = _session(schedule, day)
        start, end = (session.close, session.regular) if isinstance(session, EarlyClose) else _bounds(schedule, day)
        start, end = max(start, since), min(end, until)
        if session is True or start >= end:
            continue
        if found and found[-1][1] >= start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return tuple(found)


def _dues(schedule: Schedule, start: date, step: int) -> Iterator[datetime]:
    for distance in range(_LOOKED_AT):
        day = start + timedelta(days=distance * step)
        session = _session(schedule, day)
        if session:
            due = datetime.combine(day, schedule.due, tzinfo=schedule.zone).astimezone(UTC)
            if isinstance(session, EarlyClose) and due > session.close:  # what is due in the morning stays there
                due -= session.regular - session.close
            yield due
    raise ConfigError(f"schedule: {schedule.calendar} has no session within {_LOOKED_AT} days of {start}")


def _session(schedule: Schedule, day: date) -> EarlyClose | bool:
    return calendars.session(schedule.calendar, day) if schedule.calendar else day.weekday() in schedule.days


def _day(schedule: Schedule, stamp: datetime) -> date:
    return stamp.astimezone(schedule.zone).date()


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=distance) for distance in range((last - first).days + 1))


def _bounds(schedule: Schedule, day: date) -> Interval:
    midnight = [datetime.combine(each, time(), tzinfo=schedule.zone) for each in (day, day + timedelta(days=1))]
    return midnight[0].astimezone(UTC), midnight[1].astimezone(UTC)
