"""Sessions of exchanges, as the package exchange-calendars knows them (the extra ``calendar``). It is imported only here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

from recon_core.errors import ConfigError

_YEARS = 4
"""Years that are loaded at once: a calendar costs a third of a second, however short it is."""


@dataclass(frozen=True, slots=True)
class EarlyClose:
    """When a session ends before its time: the close, and what it would be on another day (both UTC)."""

    close: datetime
    regular: datetime


def session(calendar: str, day: date) -> EarlyClose | bool:
    """Whether ``day`` is a session of the exchange; on a half-day, how early it closes.

    Raises ConfigError where the package is not installed, does not know the calendar, or the calendar does not reach the day.
    """
    known = _sessions(calendar, day.year - day.year % _YEARS)
    if day > known.last:
        raise ConfigError(
            f"schedule.calendar: {calendar} of exchange-calendars {known.version} ends on {known.last}, and {day} is asked for: "
            "install a newer exchange-calendars, or use `days`"
        )
    return known.days.get(day, False)


def problem_of(calendar: str) -> str | None:
    """Why a calendar cannot be used, None where it can."""
    try:
        import exchange_calendars  # type: ignore[import-untyped]
    except ImportError:
        return "exchange-calendars is not installed: pip install 'recon-core[calendar]'"
    names = exchange_calendars.get_calendar_names(include_aliases=True)
    if calendar in names:
        return None
    from difflib import get_close_matches

    near = get_close_matches(calendar.upper(), names, n=1)
    return f"'{calendar}' is no calendar that exchange-calendars knows" + (f"; did you mean '{near[0]}'?" if near else "")


@dataclass(frozen=True, slots=True)
class _Known:
    days: Mapping[date, EarlyClose | bool]
    last: date
    version: str


@cache
def _sessions(calendar: str, year: int) -> _Known:
    if problem := problem_of(calendar):
        raise ConfigError(f"schedule.calendar: {problem}")
    import exchange_calendars

    start = date(year, 1, 1)
    end = date(year + _YEARS - 1, 12, 31)
    found: Any = None
    for limits in ({"start": start, "end": end}, {"start": start}):  # some calendars refuse to be asked for more than they know
        try:
            found = exchange_calendars.get_calendar(calendar, **limits)
            break
        except ValueError:
            continue
    if found is None:
        return _Known({}, start - timedelta(days=1), exchange_calendars.__version__)
    days: dict[date, EarlyClose | bool] = {stamp.date(): True for stamp in found.sessions}
    for stamp in found.early_closes:
        close = found.session_close(stamp).to_pydatetime().astimezone(UTC)
        days[stamp.date()] = EarlyClose(close, max(close, _regular_close(found, stamp.date())))
    last = end if len(limits) == 2 else found.last_session.date()
    return _Known(days, last, exchange_calendars.__version__)


def _regular_close(found: Any, day: date) -> datetime:
    """The close of a whole session on ``day``, in UTC, by the rule that holds then."""
    begun = [clock for since, clock in found.close_times if since is None or since.date() <= day]
    local = datetime.combine(day + timedelta(days=found.close_offset), begun[-1], tzinfo=found.tz)
    return local.astimezone(UTC)
