"""The breaks of a run beside those of earlier ones: which go on, which are new, which are proven gone, and how old each is.

The worst, and what people may work, are followed one by one; of a longer list the rest is followed in bulk (see ``tail``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from recon_core import tail
from recon_core.clearing import proven_gone, tail_gone
from recon_core.feed_times import AHEAD
from recon_core.listing import LISTED
from recon_core.other_names import OtherNames
from recon_core.schedule import Schedule, sessions_between
from recon_core.state import lifecycle, names, suppressions, tails
from recon_core.state.actor import current_actor
from recon_core.state.database import Database
from recon_core.state.lifecycle import Episode, OpenBreak, Seen
from recon_core.state.names import Names
from recon_core.state.since import NOTHING, before, since
from recon_core.state.times import naive
from recon_core.verdict import Verdict
from recon_core.written_numbers import without_zeros
from recon_core.written_times import iso

FOLLOWED = LISTED
"""How many of the worst breaks are followed one by one: no fewer than a report lists, for those are worked and corrected."""


def follow(
    connection: duckdb.DuckDBPyConnection, database: Database, verdict: Verdict, run_id: str, *, now: datetime, folder: Path
) -> dict[str, Any] | None:
    """Move the lives of the breaks on by a run, and end the suppressions that it ends. In a transaction of the store.

    Makes ``ages``: since when the breaks are open. Returns what has changed since the run before, None where that says nothing.
    ``folder`` is where the connection may read and write files for the while.
    """
    with tail.files(folder) as place:
        return _followed(connection, database, verdict, run_id, now, place)


def _followed(
    connection: duckdb.DuckDBPyConnection, database: Database, verdict: Verdict, run_id: str, now: datetime, place: Path
) -> dict[str, Any] | None:
    brokers = _moved(verdict, lifecycle.clocks(database), now)
    found = [Names(each.broker, each.account, each.theirs, each.ours, each.isin, each.cusip) for each in verdict.identities]
    others = OtherNames([*names.known(database), *found])
    in_bulk = _in_bulk(database, verdict)
    if in_bulk:
        tail.load(connection, database, place, named=others.positions, most=FOLLOWED)

    def gone(earlier: Sequence[OpenBreak]) -> set[str]:
        return proven_gone(connection, verdict.comparison, verdict.policy, verdict.feeds, earlier, others)

    places, seen = _seen(connection, verdict, in_bulk)
    continued = others.continued(connection, verdict.comparison, seen)
    earlier_run = before(database, brokers, verdict.as_of)
    moved = lifecycle.move(database, run_id, verdict.as_of, seen, brokers, gone, continued)
    names.remember(database, found, brokers)
    ended = [(accepted, why) for accepted, why in verdict.ended if accepted.broker in brokers]
    over = {accepted.seq for accepted, _ in ended}
    ended += [
        (accepted, "the break is gone") for accepted in verdict.accepted if accepted.id in moved.closed and accepted.seq not in over
    ]
    suppressions.end(database, current_actor(), ended, run_id=run_id, at=now)
    ages = {at: episode for at, entry in zip(places, seen, strict=True) if (episode := moved.episodes.get(entry[1:5])) is not None}
    _load_ages(connection, ages)
    bulk = NOTHING
    if in_bulk:
        tail.sight(connection, brokers, verdict.as_of)
        tail_gone(connection, verdict.comparison, verdict.policy, verdict.feeds, brokers)
        bulk = tail.changes(connection)
        tail.add_ages(connection, brokers, verdict.as_of)
        if brokers:
            tail.keep(connection, database, place, _reasons(verdict), run_id, verdict.as_of)
    return earlier_run and since(
        database, earlier_run, run_id, brokers=brokers, seen=seen, closed=moved.closed, continued=continued, bulk=bulk
    )


def tell_ages(connection: duckdb.DuckDBPyConnection, report: dict[str, Any], as_of: datetime, schedule: Schedule | None) -> None:
    """Put into a report since when each break that it lists is open."""
    listed = report["discrepancies"]  # worst first, as places are, and the superseded ones come last
    for place, episode, first_seen in connection.execute(f"SELECT * FROM ages WHERE place <= {len(listed)}").fetchall():
        began = first_seen.replace(tzinfo=UTC)
        listed[place - 1] |= {
            "episode": episode, "first_seen": iso(began), "open_days": sessions_between(schedule, began, as_of)
        }  # fmt: skip


def load_aged(connection: duckdb.DuckDBPyConnection, as_of: datetime, schedule: Schedule | None) -> None:
    """The table ``aged``, which ``parquet_query`` joins, of ``ages``. There are few days, so that each is converted once."""
    days = [first_seen for (first_seen,) in connection.execute("SELECT DISTINCT first_seen FROM ages").fetchall()]
    connection.execute(
        """CREATE OR REPLACE TEMP TABLE aged AS
            SELECT place, episode, first_seen, open_days
            FROM ages JOIN (SELECT unnest($1::TIMESTAMP[]) AS first_seen, unnest($2::BIGINT[]) AS open_days) USING (first_seen)""",
        [days, [sessions_between(schedule, day.replace(tzinfo=UTC), as_of) for day in days]],
    )


def _in_bulk(database: Database, verdict: Verdict) -> bool:
    """Whether there are more breaks than are followed one by one, or were."""
    count = verdict.listed + verdict.superseded_count
    kept = tails.kept(database)
    return count > FOLLOWED or True in kept or bool(kept and count)


def _moved(verdict: Verdict, clocks: Mapping[str, datetime], now: datetime) -> list[str]:
    """The brokers whose breaks this run moves: read, and of no earlier time than the newest run that moved them.

    So a replay of the past changes nothing. A time still to come is nobody's: not this run's, nor that of a run before it.
    """
    if verdict.as_of > now + AHEAD:
        return []
    known = {broker: clock for broker, clock in clocks.items() if clock <= now + AHEAD}
    return [
        feed.alias for feed in verdict.feeds if feed.mounted is not None and verdict.as_of >= known.get(feed.alias, verdict.as_of)
    ]


def _reasons(verdict: Verdict) -> list[str]:
    """Why breaks are suppressed, by the number that ``silence`` gave."""
    return [*(entry.reason for entry in verdict.policy.suppress), *(entry.reason for entry in verdict.accepted)]


def _seen(connection: duckdb.DuckDBPyConnection, verdict: Verdict, in_bulk: bool) -> tuple[list[int], list[Seen]]:
    """The breaks that are followed one by one, worst first, with their places."""
    reasons = _reasons(verdict)
    among = " SEMI JOIN heads USING (broker, account, symbol, leg)" if in_bulk else ""
    rows = connection.execute(
        f"""SELECT place, id, broker, account, symbol, leg, type, severity,
            book_quantity::VARCHAR, broker_quantity::VARCHAR, quantity_difference::VARCHAR, impact::VARCHAR,
            (halts AND live)::INTEGER, suppressed_by, superseded_by, detail FROM full_breaks{among} ORDER BY place"""
    ).fetchall()
    seen = [
        Seen._make(
            (
                *which,
                without_zeros(held),
                without_zeros(reported),
                without_zeros(apart),
                impact,
                halts,
                None if by is None else reasons[by],
                over,
                detail,
            )
        )
        for _, *which, held, reported, apart, impact, halts, by, over, detail in rows
    ]
    return [row[0] for row in rows], seen


def _load_ages(connection: duckdb.DuckDBPyConnection, ages: Mapping[int, Episode]) -> None:
    """The table ``ages`` (place, episode, first_seen in UTC)."""
    connection.execute(
        """CREATE OR REPLACE TEMP TABLE ages AS SELECT
            unnest($1::BIGINT[]) AS place, unnest($2::BIGINT[]) AS episode, unnest($3::TIMESTAMP[]) AS first_seen""",
        [[*ages], [age.number for age in ages.values()], [naive(age.first_seen) for age in ages.values()]],
    )
