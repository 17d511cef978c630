"""Time in proof: which time a run is of, and whether a feed is of the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from recon_core.collect import BrokerAnswer
from recon_core.elapsed import STALE_AFTER, Intervals, elapsed
from recon_core.model import FeedStatus

AHEAD = timedelta(minutes=5)
"""How far a time may be ahead of our clock before it is called wrong."""


def run_time(as_of: datetime | None, answers: Sequence[BrokerAnswer], book_latest: datetime | None, now: datetime) -> datetime:
    """The time that a run is of: as asked, else the latest that a feed or the book speaks of, our own clock at the latest."""
    if as_of is not None:
        return as_of.astimezone(UTC)
    stamps = [answer.feed.as_of for answer in answers if answer.feed.as_of is not None]
    stamps += [book_latest] if book_latest is not None else []
    believed = [stamp for stamp in stamps if stamp <= now + AHEAD]
    return max(believed, default=now).astimezone(UTC)


def wrong_time(
    answer: BrokerAnswer, as_of: datetime, *, asked: bool, now: datetime, delivered: Mapping[str, date], closed: Intervals
) -> str:
    """Why the feed is not of the run's day; empty where it is. ``closed`` are hours that do not count towards its age."""
    feed = answer.feed
    if feed.as_of is None:
        return "" if feed.status is FeedStatus.PARTIAL else "the feed does not say what time it is of"
    ahead = timedelta(days=1) if feed.date_only else AHEAD
    if feed.as_of > now + ahead:
        return f"the feed is dated {_time(feed.as_of)}, which is still to come"
    if feed.as_of.date() < as_of.date() and elapsed(feed.as_of, as_of, closed) > STALE_AFTER:
        return f"the feed is of {_time(feed.as_of)}, the run of {_time(as_of)}: stale, no quantity is judged"
    if asked and feed.as_of.date() > as_of.date() and elapsed(as_of, feed.as_of, closed) > STALE_AFTER:
        return f"the feed is of {_time(feed.as_of)}, after the run's {_time(as_of)}"
    known = delivered.get(feed.sha256 or "")
    if not answer.adapter.live and known is not None and known < as_of.date() and answer.settings.unchanged == "refuse":
        return (
            f"the very bytes that were delivered for {known}: an old file again "
            "(say `unchanged: accept` for a broker whose file may stay the same)"
        )
    return ""


def _time(stamp: datetime) -> str:
    return f"{stamp.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
