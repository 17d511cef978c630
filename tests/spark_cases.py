"""Random small cases as accounts of one comparison, so that one job on a cluster judges many of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hypothesis import HealthCheck, given, seed, settings
from oracle import opinion
from oracle_pairs import Inputs
from oracle_samples import AS_OF, NOW, SMALL, WIDE, Size, inputs

from recon_core.config.settings import BrokerSettings
from recon_core.model import Feed, FeedStatus, Position

LOTS, NET, SILENT, PARTIAL, COVERED, PLAIN = BROKERS = ("alpha", "beta", "sigma", "theta", "omega", "eta")
"""Which broker takes the feeds of which kind: what is true of a feed is true of all of its accounts."""


def jobs(number: int, of: int, size: int) -> Iterator[Inputs]:
    """``of`` comparisons of ``size`` random cases each, under a random policy; the same ones for the same ``number``."""
    policies = iter(_drawn(number, WIDE, of))
    for place, cases in enumerate(_chosen(number, of, size)):
        yield _together(cases, replace(next(policies), typed=place % 4 > 0))


def _chosen(number: int, of: int, size: int) -> Iterator[list[Inputs]]:
    """Cases that have an answer: a key that repeats in one of them would hide all others of its job."""
    waiting: dict[bool, list[Inputs]] = {False: [], True: []}
    done = 0
    for case in _drawn(number, SMALL, 2 * of * size):
        if case.book and not opinion(case).duplicates:
            waiting[case.book_lots].append(case)
        if len(waiting[case.book_lots]) == size:
            yield waiting[case.book_lots]
            waiting[case.book_lots] = []
            done += 1
        if done == of:
            return
    raise AssertionError(f"only {done} of {of} jobs could be filled")


def _drawn(number: int, size: Size, examples: int) -> list[Inputs]:
    found: list[Inputs] = []

    @seed(number)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(inputs(size))
    def collect(case: Inputs) -> None:
        found.append(case)

    collect()
    return found


def _together(cases: Sequence[Inputs], under: Inputs) -> Inputs:
    """The rows of all cases, those of each in accounts of its own, with all else of the comparison ``under``."""
    book: list[tuple[str, Position]] = []
    feeds: dict[str, list[Position]] = {alias: [] for alias in BROKERS}
    for number, case in enumerate(cases):
        for settings_of, feed in case.feeds:
            alias = _broker(settings_of, feed)
            book += [(alias, _in(number, row, {})) for broker, row in case.book if broker == settings_of.alias]
            feeds[alias] += [_in(number, row, settings_of.accounts) for row in feed.positions]
    return replace(
        under,
        book=tuple(book),
        feeds=tuple(
            (BrokerSettings(alias, "sample", legs="net" if alias == NET else "keep"), _feed(alias, feeds[alias]))
            for alias in BROKERS
        ),
        as_of=AS_OF,
        now=NOW,
        book_lots=cases[0].book_lots,
    )


def _broker(settings_of: BrokerSettings, feed: Feed) -> str:
    if feed.status in (FeedStatus.FAILED, FeedStatus.NOT_READY):
        return SILENT
    kinds = {
        LOTS: feed.lots,
        NET: settings_of.legs == "net",
        PARTIAL: feed.status is FeedStatus.PARTIAL,
        COVERED: bool(feed.coverage),
    }
    return next((alias for alias, true in kinds.items() if true), PLAIN)


def _in(number: int, row: Position, names: dict[str, str]) -> Position:
    """A row in an account of the case of that number, which patterns such as PAPER-* still match."""
    ours = names.get(row.account or "", row.account)
    return replace(row, account=f"{ours}{'' if number == 0 else f'-{number}'}")


def _feed(alias: str, rows: Sequence[Position]) -> Feed:
    if alias == SILENT:
        return Feed.unavailable(FeedStatus.FAILED, "no answer")
    feed = Feed.complete(rows, as_of=AS_OF, lots=alias == LOTS, coverage=("us_equity", "crypto") if alias == COVERED else ())
    return feed.but(status=FeedStatus.PARTIAL, reason="page 2 is missing") if alias == PARTIAL else feed
