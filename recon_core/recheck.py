"""A halt that a moment made is none: before one stands, brokers that tell what is held now are asked again.

A book and a live account move while they are read, and a fill that one of them has already is a difference for a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb

from recon_core.collect import BrokerAnswer
from recon_core.config.load import Configuration
from recon_core.engine import connect
from recon_core.host import Host
from recon_core.reconcile import Clock, Progress, Request, reconcile, silent
from recon_core.record import Known
from recon_core.verdict import AskedAgain, Verdict


@contextmanager
def settled(
    configuration: Configuration[Host],
    request: Request,
    *,
    clock: Clock,
    known: Known,
    output: Path | None,
    sleep: Callable[[float], None],
    progress: Progress = silent,
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Verdict]]:
    """A verdict, and the connection that it was made on: the last one, where live brokers were asked again (``recheck``).

    They are asked again while breaks of theirs halt, ``times`` at most, after ``wait_seconds`` each time, and the book is read
    again after they answered. Not where a person chose the run's time: the past does not move.
    """
    rechecks = {alias: broker.recheck for alias, broker in configuration.settings.brokers.items()}
    left = {alias: recheck.times for alias, recheck in rechecks.items()} if request.as_of is None else {}
    earlier: list[BrokerAnswer] | None = None
    said: tuple[AskedAgain, ...] = ()
    while True:
        with connect() as connection:
            verdict = reconcile(
                connection, configuration, request, clock=clock, progress=progress, known=known, output=output, earlier=earlier
            )
            doubted = {alias: breaks for alias, breaks in live_breaks(verdict).items() if left.get(alias)}
            if not doubted:
                yield connection, replace(verdict, asked_again=said)
                return
        seconds = float(max(rechecks[alias].wait_seconds for alias in doubted))
        count = sum(map(len, doubted.values()))
        progress(f"{count:,} breaks would halt: asking {', '.join(doubted)} again in {seconds:g} s")
        sleep(seconds)
        said += (AskedAgain(clock(), tuple(doubted), tuple(entry for ids in doubted.values() for entry in ids)),)
        earlier = [_unprinted(feed.answer) for feed in verdict.feeds if feed.alias not in doubted]
        left |= {alias: left[alias] - 1 for alias in doubted}


def live_breaks(verdict: Verdict) -> dict[str, list[str]]:
    """The breaks behind a halting decision that stand with brokers that tell what is held now: ids, by broker."""
    live = {feed.alias for feed in verdict.feeds if feed.answer.adapter.live}
    behind = {entry for reason in verdict.decision.reasons for entry in reason.breaks} if live and verdict.decision.halt else set()
    found: dict[str, list[str]] = {}
    for entry in verdict.worst if behind else ():
        if entry["id"] in behind and entry["broker"] in live:
            found.setdefault(entry["broker"], []).append(entry["id"])
    return found


def _unprinted(answer: BrokerAnswer) -> BrokerAnswer:
    """The answer as the broker gave it: what the engine found out of its files is found out again."""
    return answer if answer.feed.relation is None else answer._replace(feed=answer.feed.but(sha256=None))
