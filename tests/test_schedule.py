"""When runs are due and which hours count: weekdays, exchange sessions, half-days, daylight saving, the end of a calendar."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import duckdb
import pytest
from deployment import Deployment, book_row, feed_row, types
from hypothesis import given, settings
from hypothesis import strategies as st

from recon_core.elapsed import elapsed, microseconds_sql
from recon_core.errors import ConfigError
from recon_core.schedule import Schedule, closed, next_due, previous_due, sessions_between, valid_until, weekdays

NEW_YORK = Schedule(time(16, 30), "America/New_York")
XNYS = Schedule(time(16, 30), "America/New_York", calendar="XNYS")
EVERY_DAY = weekdays("Mon-Sun")


def between(first: int, last: int) -> st.SearchStrategy[datetime]:
    """Moments of whole years, in UTC."""
    seconds = [int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (first, last)]
    return st.integers(*seconds).map(lambda second: datetime.fromtimestamp(second, UTC))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("Mon-Fri", {0, 1, 2, 3, 4}),
        ("Sun-Thu", {6, 0, 1, 2, 3}),
        ("Mon,Wed,Fri", {0, 2, 4}),
        ("Sat", {5}),
        ("Mon-Sun", set(range(7))),
    ],
)
def test_days_are_named_or_ranges_that_may_pass_the_weekend(text: str, days: set[int]) -> None:
    assert weekdays(text) == days


@pytest.mark.parametrize("text", ["", "Monday", "mon-fri", "Mon-", "Mon;Fri", "1-5"])
def test_what_is_no_weekday_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no weekday"):
        weekdays(text)


@pytest.mark.parametrize(
    ("after", "due"),
    [
        ("2026-11-20T16:29:59-05:00", "2026-11-20T21:30:00Z"),
        ("2026-11-20T16:30:00-05:00", "2026-11-23T21:30:00Z"),  # exactly due is the last one, the next is on Monday
        ("2026-11-21T12:00:00-05:00", "2026-11-23T21:30:00Z"),
    ],
)
def test_the_next_due_time_is_on_the_next_weekday(after: str, due: str) -> None:
    assert next_due(NEW_YORK, at(after)) == at(due)


def test_the_last_due_time_includes_this_very_moment() -> None:
    assert previous_due(NEW_YORK, at("2026-11-23T21:30:00Z")) == at("2026-11-23T21:30:00Z")
    assert previous_due(NEW_YORK, at("2026-11-23T21:29:59Z")) == at("2026-11-20T21:30:00Z")


@pytest.mark.case("G06")
@pytest.mark.parametrize(
    ("day", "due"),
    [
        ("2026-03-07", "2026-03-07T07:30:00Z"),
        ("2026-03-08", "2026-03-08T07:30:00Z"),  # 02:30 does not exist: 03:30 daylight time
        ("2026-03-09", "2026-03-09T06:30:00Z"),
    ],
)
def test_a_due_time_that_daylight_saving_leaves_out_is_as_long_after_midnight(day: str, due: str) -> None:
    nightly = Schedule(time(2, 30), "America/New_York", EVERY_DAY)
    assert next_due(nightly, at(f"{day}T00:10:00-05:00")) == at(due)


@pytest.mark.case("G06")
def test_a_due_time_that_comes_twice_is_the_first() -> None:
    nightly = Schedule(time(1, 30), "America/New_York", EVERY_DAY)
    assert next_due(nightly, at("2026-11-01T04:00:00Z")) == at("2026-11-01T05:30:00Z")
    assert next_due(nightly, at("2026-11-01T05:30:00Z")) == at("2026-11-02T06:30:00Z")


@given(
    between(2020, 2030),
    st.times(),
    st.sets(st.integers(0, 6), min_size=1),
)
@settings(max_examples=200, deadline=None)
def test_next_and_last_due_times_enclose_every_moment(moment: datetime, due: time, days: set[int]) -> None:
    schedule = Schedule(due.replace(microsecond=0), "Europe/Berlin", frozenset(days))
    last, following = previous_due(schedule, moment), next_due(schedule, moment)
    assert last <= moment < following
    assert next_due(schedule, last) == following
    assert following - last <= timedelta(days=7, hours=1)


@pytest.mark.case("G02")
def test_half_days_and_holidays_of_an_exchange_move_the_due_time() -> None:
    dues = []
    stamp = at("2026-11-25T12:00:00Z")
    for _ in range(3):
        stamp = next_due(XNYS, stamp)
        dues.append(stamp)
    assert dues == [
        at("2026-11-25T16:30:00-05:00"),
        at("2026-11-27T13:30:00-05:00"),  # Thanksgiving is no session, and the day after closes three hours early
        at("2026-11-30T16:30:00-05:00"),
    ]
    assert next_due(XNYS, at("2026-04-02T22:00:00Z")) == at("2026-04-06T16:30:00-04:00")  # over Good Friday


def test_past_the_end_of_a_calendar_there_is_an_error_and_no_guess() -> None:
    shanghai = Schedule(time(15, 30), "Asia/Shanghai", calendar="XSHG")
    with pytest.raises(ConfigError, match=r"schedule\.calendar: XSHG of exchange-calendars .* ends on \d{4}-12-31"):
        next_due(shanghai, datetime(2049, 6, 1, tzinfo=UTC))


def test_a_permit_lasts_until_the_next_due_time_and_its_grace_and_26_hours_without_a_schedule() -> None:
    friday = at("2026-11-20T16:35:00-05:00")
    assert valid_until(NEW_YORK, friday, friday) == at("2026-11-23T20:30:00-05:00")
    assert valid_until(None, friday, friday) == friday + timedelta(hours=26)


def test_data_of_an_earlier_session_holds_no_longer_than_the_verdict_of_that_session_did() -> None:
    friday_due, monday_due = at("2026-11-20T16:30:00-05:00"), at("2026-11-23T16:30:00-05:00")
    for of_friday in ("2026-11-20T16:00:00-05:00", "2026-11-20T09:00:00-05:00", "2026-11-22T12:00:00-05:00"):
        assert valid_until(NEW_YORK, at(of_friday), at("2026-11-23T09:00:00-05:00")) == monday_due + NEW_YORK.grace
    for of_thursday in ("2026-11-19T16:00:00-05:00", "2026-11-19T22:00:00-05:00"):
        assert valid_until(NEW_YORK, at(of_thursday), at("2026-11-23T09:00:00-05:00")) == friday_due + NEW_YORK.grace
    of_long_ago = [at("2026-11-09T16:00:00-05:00"), at("2020-01-01T00:00:00-05:00"), datetime(1, 1, 2, tzinfo=UTC)]
    for hour in ("09:00:00", "16:31:00", "20:29:00"):  # before, just after a run is due, and just before its grace is over
        ends = [valid_until(NEW_YORK, of, at(f"2026-11-23T{hour}-05:00")) for of in of_long_ago]
        assert ends[0] == at("2026-11-10T16:30:00-05:00") + NEW_YORK.grace
        assert max(ends[1:]) < at("2020-01-04T00:00:00-05:00")
    at_night = Schedule(time(2, 0), "America/New_York", days=weekdays("Tue-Sat"))
    assert valid_until(at_night, at("2026-11-19T16:00:00-05:00"), at("2026-11-20T02:10:00-05:00")) == at(
        "2026-11-21T06:00:00-05:00"
    )


def test_without_a_schedule_it_is_the_data_that_holds_for_26_hours_not_the_verdict() -> None:
    friday, saturday = at("2026-11-20T21:00:00Z"), at("2026-11-21T09:00:00Z")
    assert valid_until(None, friday, saturday) == friday + timedelta(hours=26)
    assert valid_until(None, saturday, friday) == friday + timedelta(hours=26), "a stamp ahead of the clock gives nothing"


@pytest.mark.parametrize(
    ("earlier", "later", "sessions"),
    [
        ("2026-11-20T21:00:00Z", "2026-11-20T23:00:00Z", 0),
        ("2026-11-20T21:00:00Z", "2026-11-22T21:00:00Z", 0),
        ("2026-11-20T21:00:00Z", "2026-11-23T21:00:00Z", 1),
        ("2026-11-25T21:00:00Z", "2026-11-27T21:00:00Z", 1),  # over Thanksgiving
    ],
)
def test_ages_count_sessions(earlier: str, later: str, sessions: int) -> None:
    assert sessions_between(XNYS, at(earlier), at(later)) == sessions


def test_without_a_schedule_ages_count_days() -> None:
    assert sessions_between(None, at("2026-11-20T21:00:00Z"), at("2026-11-23T01:00:00Z")) == 3


@pytest.mark.case("G01")
def test_from_friday_to_monday_the_weekend_does_not_count() -> None:
    hours = closed(NEW_YORK, at("2026-11-16T12:00:00Z"), at("2026-11-24T12:00:00Z"))
    assert hours == ((at("2026-11-21T00:00:00-05:00"), at("2026-11-23T00:00:00-05:00")),)
    assert elapsed(at("2026-11-20T17:00:00-05:00"), at("2026-11-23T16:30:00-05:00"), hours) == timedelta(hours=23, minutes=30)


@pytest.mark.case("G02")
def test_after_a_half_day_only_what_was_cut_off_does_not_count() -> None:
    hours = closed(XNYS, at("2026-11-23T12:00:00Z"), at("2026-12-01T12:00:00Z"))
    assert hours == (
        (at("2026-11-26T00:00:00-05:00"), at("2026-11-27T00:00:00-05:00")),
        (at("2026-11-27T13:00:00-05:00"), at("2026-11-27T16:00:00-05:00")),
        (at("2026-11-28T00:00:00-05:00"), at("2026-11-30T00:00:00-05:00")),
    )
    assert elapsed(at("2026-11-27T13:00:00-05:00"), at("2026-11-30T16:00:00-05:00"), hours) == timedelta(hours=24)


@pytest.mark.case("G06")
def test_a_weekend_in_which_the_clocks_change_is_as_long_as_it_is() -> None:
    ((start, end),) = closed(NEW_YORK, at("2026-03-06T12:00:00Z"), at("2026-03-09T12:00:00Z"))
    assert end - start == timedelta(hours=47)
    ((start, end),) = closed(NEW_YORK, at("2026-10-30T12:00:00Z"), at("2026-11-02T12:00:00Z"))
    assert end - start == timedelta(hours=49)


_MOMENTS = between(2024, 2027)


@given(
    st.lists(_MOMENTS, min_size=1, max_size=20),
    _MOMENTS,
    st.sampled_from([NEW_YORK, XNYS, Schedule(time(9), "Asia/Tokyo", frozenset({1, 3}))]),
)
@settings(max_examples=100, deadline=None)
def test_the_engine_counts_hours_as_python_does(stamps: list[datetime], as_of: datetime, schedule: Schedule) -> None:
    hours = closed(schedule, as_of - timedelta(days=200), as_of)
    query = microseconds_sql("stamp", as_of, hours)
    rows = duckdb.execute(
        f"SELECT {query} FROM (SELECT epoch_us(unnest(?::TIMESTAMP[])) AS stamp)", [[each.replace(tzinfo=None) for each in stamps]]
    )
    assert [timedelta(microseconds=row[0]) for row in rows.fetchall()] == [elapsed(stamp, as_of, hours) for stamp in stamps]


SCHEDULE = "schedule: {due: '16:30', timezone: America/New_York}\n"


@pytest.mark.case("G01")
def test_a_row_of_friday_is_not_stale_on_monday_where_a_schedule_says_so(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    deployment.book(
        [book_row("AAPL", "100", updated_at="2026-11-13T21:00:00Z"), book_row("MSFT", "5", updated_at="2026-11-13T16:00:00Z")]
    )
    deployment.feed([feed_row("AAPL", "100"), feed_row("MSFT", "5")])
    deployment.config(as_of="2026-11-16T20:30:00Z")
    assert types(deployment.report()) == ["STALE_POSITION", "STALE_POSITION"]
    deployment.config(as_of="2026-11-16T20:30:00Z", more=SCHEDULE)
    (stale,) = deployment.report()["discrepancies"]
    assert (stale["type"], stale["symbol"], stale["hours_untouched"]) == ("STALE_POSITION", "MSFT", "28.50")


@pytest.mark.case("G01", "G03")
def test_a_feed_of_friday_is_stale_on_monday_and_not_on_saturday(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    deployment.feed([feed_row("AAPL", "100")])
    deployment.config(as_of="2026-11-13T21:00:00Z", more=SCHEDULE)
    for touched, status in (("2026-11-14T20:00:00Z", "COMPLETE"), ("2026-11-16T20:00:00Z", "NOT_READY")):
        deployment.book([book_row("AAPL", "100", updated_at=touched)])
        (feed,) = deployment.report()["feeds"]
        assert feed["status"] == status


def test_schedule_next_prints_the_due_times(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    deployment.config(more=SCHEDULE)
    done = deployment.command("schedule", "next", "--count", "2", "--after", "2026-11-20T23:00:00Z", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["next"] == [
        {"due": "2026-11-23T21:30:00Z", "permit_until": "2026-11-24T01:30:00Z"},
        {"due": "2026-11-24T21:30:00Z", "permit_until": "2026-11-25T01:30:00Z"},
    ]
    deployment.config()
    done = deployment.command("schedule", "next")
    assert done.returncode == 2
    assert "has no schedule" in done.stderr
