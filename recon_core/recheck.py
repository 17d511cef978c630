"""A halt that a moment made is none: before one stands, brokers that tell what is held now are asked again.

A book and a live account move while they are read, and a fill that one of them has already is a difference for a second.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb

from recon_core.collect import BrokerAnswer
from recon_core.config.load import Configuration
from recon_core.engine import connect
from recon_core.errors import ReconError
from recon_core.feeds import ProvenFeed
from recon_core.host import Host
from recon_core.kernel import HERE, Kernel
from recon_core.recall import Known
from recon_core.reconcile import Clock, Progress, Request, reconcile, silent
from recon_core.redaction import redacted
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
    suspend: Callable[[Sequence[str]], None],
    progress: Progress = silent,
    kernel: Kernel = HERE,
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Verdict]]:
    """A verdict, and the connection that it was made on: the last one, where live brokers were asked again (``recheck``).

    They are asked again while breaks of theirs halt, ``times`` at most, after ``wait_seconds`` each time, and the book is read
    again after they answered. Not where a person chose the run's time: the past does not move. A halting verdict gives way only to
    one in which they all are COMPLETE; ``suspend`` is called before each wait, for them or for evidence, with the brokers: nobody
    trades there meanwhile.
    """
    rechecks = {alias: broker.recheck for alias, broker in configuration.settings.brokers.items()}
    left = {alias: recheck.times for alias, recheck in rechecks.items()} if request.as_of is None else {}
    said: tuple[AskedAgain, ...] = ()

    def ask(connection: duckdb.DuckDBPyConnection, earlier: Sequence[BrokerAnswer] | None) -> Verdict:
        return reconcile(
            connection,
            configuration,
            request,
            clock=clock,
            progress=progress,
            known=known,
            output=output,
            suspend=suspend,
            earlier=earlier,
            kernel=kernel,
        )

    with ExitStack() as held:
        connection = held.enter_context(connect(configuration.settings.limits))
        verdict = ask(connection, None)
        while doubted := {alias: breaks for alias, breaks in live_breaks(verdict).items() if left.get(alias)}:
            seconds = float(max(rechecks[alias].wait_seconds for alias in doubted))
            count = sum(map(len, doubted.values()))
            suspend(tuple(doubted))
            progress(f"{count:,} breaks would halt: asking {', '.join(doubted)} again in {seconds:g} s")
            sleep(seconds)
            said += (AskedAgain(clock(), tuple(doubted), tuple(entry for ids in doubted.values() for entry in ids)),)
            left |= {alias: left[alias] - 1 for alias in doubted}
            try:
                with ExitStack() as trial:
                    other = trial.enter_context(connect(configuration.settings.limits))
                    later = ask(other, [_unprinted(feed.answer) for feed in verdict.feeds if feed.alias not in doubted])
                    trouble = [f"{feed.alias} is {feed.status}: {feed.reason}" for feed in later.feeds if _silent(feed, doubted)]
                    kept = trial.pop_all() if not trouble else None
            except ReconError as error:
                kept, trouble = None, [str(error).partition("\n")[0]]
            except Exception as error:  # whatever fails now, a verdict that halts is in hand
                kept, trouble = None, [f"{type(error).__name__}: {redacted(str(error)).partition(chr(10))[0]}"]
            if kept is None:
                stands = f"the breaks stand as they were found first, for they could not be asked about again: {'; '.join(trouble)}"
                verdict = replace(verdict, warnings=(*verdict.warnings, stands))
                break
            held.pop_all().close()
            held.push(kept)
            connection, verdict = other, later
        yield connection, replace(verdict, asked_again=said)


def _silent(feed: ProvenFeed, doubted: Collection[str]) -> bool:
    return feed.alias in doubted and not feed.proven


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
