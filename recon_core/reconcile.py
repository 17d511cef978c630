"""From two sides to a verdict: feeds, pairs, breaks, decision. Data flows one way, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import duckdb

from recon_core import incidents
from recon_core.acceptance import in_force
from recon_core.book import Book
from recon_core.book.survey import Survey, survey
from recon_core.collect import BrokerAnswer, maker
from recon_core.config.credentials import secret_value
from recon_core.config.load import Configuration
from recon_core.config.policy import Policy
from recon_core.config.settings import Settings
from recon_core.decide import Doubt, decide
from recon_core.elapsed import Intervals
from recon_core.engine import shut_off
from recon_core.errors import BookError, EngineError
from recon_core.explaining import look_into, or_unexplained
from recon_core.feed_times import run_time
from recon_core.feeds import ProvenFeed, prove, unique, with_basis_note, with_coverage_note
from recon_core.fingerprints import Fingerprint
from recon_core.host import Host
from recon_core.identity import Identity, identified, renamed
from recon_core.kernel import HERE, Kernel
from recon_core.listing import LISTED, worst
from recon_core.match import find
from recon_core.model import Decision, Total
from recon_core.pairs import Comparison
from recon_core.recall import Known
from recon_core.scan import Scan
from recon_core.schedule import recently_closed
from recon_core.scratch import scratch_folder
from recon_core.sides import compare, uneven_lots
from recon_core.silence import expired, silence
from recon_core.sources import gather
from recon_core.state.scope import parse_scope
from recon_core.syntax import ExpressionError
from recon_core.tables.faults import source_notes
from recon_core.tables.mounting import duplicate_rows
from recon_core.totals import halting, rule_impacts, silenced, tallies, totals
from recon_core.verdict import Verdict

if TYPE_CHECKING:  # what is asked is loaded where something is broken
    from recon_core.inquiry import Fills, Orders, Own

BY_HASH = 200_000
"""From how many rows on positions are joined by hashes of their keys: on fewer it gains nothing."""

Engine = Literal["duckdb", "spark"]
Clock = Callable[[], datetime]
Progress = Callable[[str], None]


def silent(_: str) -> None:
    """No progress is shown."""


def nobody(_: Sequence[str]) -> None:
    """Nobody's permit is there to be taken away."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a run is asked: which deployment, of what time, which brokers (empty: all), and on which engine pairs are judged."""

    config: Path = Path("recon.yaml")
    policy: Path | None = None
    as_of: datetime | None = None
    brokers: tuple[str, ...] = ()
    engine: Engine = "duckdb"


def reconcile(
    connection: duckdb.DuckDBPyConnection,
    configuration: Configuration[Host],
    request: Request,
    *,
    clock: Clock,
    progress: Progress = silent,
    known: Known,
    output: Path | None,
    suspend: Callable[[Sequence[str]], None] = nobody,
    earlier: Sequence[BrokerAnswer] | None = None,
    kernel: Kernel = HERE,
) -> Verdict:
    """Compare the book with the brokers and decide; writes nothing. ``known`` is what earlier runs left, ``kernel`` judges.

    ``suspend`` is called with the proven brokers that would halt as things stand, before anybody is asked why they differ.
    ``earlier`` (None: this is the first time) are answers of this run that still hold: their brokers are not asked again.
    """
    settings, policy = configuration.settings, configuration.policy
    sources = gather(
        connection,
        configuration,
        as_of=request.as_of,
        named=request.brokers,
        clock=clock,
        progress=progress,
        snapshots=known.snapshots,
        trouble=known.trouble,
        earlier=earlier,
    )
    book, answers = sources.book, sources.answers
    files = [name for answer in answers if answer.feed.relation for name in answer.feed.relation.files]
    shut_off(connection, [*book.files, *files], [output, scratch_folder(settings.limits.temp_dir)] if output else [])
    book_print, prints = Fingerprint(book.origins), fingerprints_of(answers)
    now = clock()
    held = survey(connection, book.mounted, list(settings.brokers), book.source, now)
    book = replace(book, mounted=book.mounted.as_noted(connection, held.faults))

    progress("proving the feeds")
    as_of = run_time(request.as_of, answers, held.latest, now)
    idle = recently_closed(settings.schedule, as_of, now)
    feeds = [
        with_basis_note(with_coverage_note(connection, feed, book.mounted), settings.book.basis)
        for feed in _proven(connection, answers, held, known, prints, request=request, as_of=as_of, now=now, idle=idle)
    ]

    progress("matching")
    accepted, over = in_force(known.accepted, as_of.date())
    with _rules_named(configuration):
        feeds, scanned, comparison, identities = _match(connection, configuration, book, held, feeds, as_of, now, idle, kernel)

        def suspend_what_halts() -> None:
            find(connection, comparison, policy)
            silence(connection, policy, as_of.date(), accepted)
            incidents.group(connection, comparison, held, scanned, {})
            first = _decision(connection, policy, totals(connection, policy), feeds)
            scopes = [parse_scope(reason.scope, settings.brokers).broker for reason in first.reasons]
            if scopes:
                suspend([feed.alias for feed in feeds if None in scopes or feed.alias in scopes])

        look = partial(
            look_into,
            connection,
            comparison,
            feeds,
            book,
            book_basis=settings.book.basis,
            settings=settings.explain,
            asked_as_of=request.as_of,
            agreed=known.agreed,
            own=_own(settings, snapshot=sources.snapshot),
            make=maker(folder=settings.folder, clock=clock, secret=lambda reference: secret_value(reference, settings.folder)),
            progress=progress,
            before_asking=suspend_what_halts,
        )
        explained = or_unexplained(look, feeds)
        find(connection, comparison, policy, explained=bool(explained.differences))
    for each in (book_print, *prints.values()):
        each.begin()
    outgrown = silence(connection, policy, as_of.date(), accepted)
    ended = (*over, *outgrown)
    incidents.group(connection, comparison, held, scanned, explained.explanations)
    sums = totals(connection, policy)
    decision = _decision(connection, policy, sums, feeds)
    quiet = silenced(connection)
    listed = tuple(worst(connection, LISTED))
    explanations = explained.of(listed)
    impacts, counted = rule_impacts(connection, policy), tallies(connection)
    causes = incidents.gathered(connection, LISTED)
    # Last, for the fingerprints are taken meanwhile: a file that is not what it was ends the run here.
    return Verdict(
        as_of=as_of,
        policy=policy,
        config_path=settings.path,
        config_sha256=settings.sha256,
        book_source=book.source,
        book_sha256=book_print.sha256(),
        book_notes=(*book.notes, *source_notes(held.faults)),
        survey=held,
        feeds=tuple(replace(feed, answer=printed(feed.answer, prints)) for feed in explained.feeds),
        scan=scanned,
        totals=tuple(sums),
        decision=decision,
        mode=settings.halt.mode,
        worst=listed,
        listed=sums[0].break_count + quiet.suppressed,
        suppressed_count=quiet.suppressed,
        superseded_count=quiet.superseded,
        suppressed_impact=quiet.suppressed_impact,
        rule_impacts=impacts,
        tallies=counted,
        warnings=(
            *known.warnings,
            *expired(policy, as_of.date()),
            *(f"suppression of {entry} ended: {why}" for entry, why in ended),
            *sources.remarks,
            *explained.warnings,
        ),
        plugins=tuple((plugin.name, plugin.version, plugin.sha256) for plugin in configuration.host.plugins),
        comparison=comparison,
        accepted=accepted,
        ended=ended,
        identities=tuple(identities),
        incidents=causes,
        incident_of=incidents.membership(connection, [entry["id"] for entry in listed]) if causes else {},
        explanations=explanations,
        differences=explained.differences,
        proposals=explained.proposals(explanations, method=policy.corrections.pnl, book_lots=settings.book.lots, as_of=as_of),
    )


def _decision(
    connection: duckdb.DuckDBPyConnection, policy: Policy, sums: Sequence[Total], feeds: Sequence[ProvenFeed]
) -> Decision:
    """What the policy makes of the breaks, of what they add up to, and of the feeds that are not proven."""
    doubts = [Doubt(feed.alias, str(feed.status), feed.reason, _in_doubt(feed)) for feed in feeds if not feed.proven]
    return decide(policy, halting(connection, policy.scope), sums, doubts)


def fingerprints_of(answers: Sequence[BrokerAnswer]) -> dict[str, Fingerprint]:
    """Of the feeds that lie in files, by broker; an adapter that reads bytes itself gives their sha256 with the feed."""
    bulk = ((answer.settings.alias, answer.feed.relation) for answer in answers if answer.feed.sha256 is None)
    return {alias: Fingerprint(relation.origins or relation.files) for alias, relation in bulk if relation is not None}


def printed(answer: BrokerAnswer, prints: Mapping[str, Fingerprint]) -> BrokerAnswer:
    """The answer with the sha256 of its files."""
    own = prints.get(answer.settings.alias)
    return answer if own is None else answer._replace(feed=answer.feed.but(sha256=own.sha256()))


def _proven(
    connection: duckdb.DuckDBPyConnection,
    answers: Sequence[BrokerAnswer],
    held: Survey,
    known: Known,
    prints: Mapping[str, Fingerprint],
    *,
    request: Request,
    as_of: datetime,
    now: datetime,
    idle: Intervals,
) -> Iterator[ProvenFeed]:
    """Each answer mounted and judged against what the book holds there."""
    for number, answer in enumerate(answers):
        alias = answer.settings.alias
        delivered = known.delivered.get(alias, {})
        compared = delivered and answer.settings.unchanged == "refuse"
        yield prove(
            connection,
            printed(answer, prints) if compared else answer,
            name=f"feed_{number}",
            book=held.accounts.get(alias, ()),
            as_of=as_of,
            asked=request.as_of is not None,
            now=now,
            delivered=delivered,
            closed=idle,
        )


@contextmanager
def _rules_named(configuration: Configuration[Host]) -> Iterator[None]:
    """Where the SQL of a rule fails, say of which one and why. Checking it costs a parse, which a run that goes well is spared."""
    try:
        yield
    except (duckdb.ProgrammingError, ExpressionError, RecursionError):
        for rule in configuration.policy.rules.values():
            if not rule.declared:
                configuration.host.check_rule(configuration.host.rules[rule.type])
        raise


def _match(
    connection: duckdb.DuckDBPyConnection,
    configuration: Configuration[Host],
    book: Book,
    held: Survey,
    feeds: list[ProvenFeed],
    as_of: datetime,
    now: datetime,
    idle: Intervals,
    kernel: Kernel,
) -> tuple[list[ProvenFeed], Scan, Comparison, list[Identity]]:
    """What may be breaks of the feeds that can be used, as the table ``hits``; last, what was matched under another name.

    A feed in which a key repeats is FAILED on the way. Raises BookError where the book itself repeats a key.
    """
    settings, policy = configuration.settings, configuration.policy
    lots = settings.book.lots
    netted = any(feed.answer.settings.legs == "net" for feed in feeds)
    if (lots or netted) and (uneven := uneven_lots(connection, book.mounted, book=True)):
        raise BookError("\n".join(f"book {book.source}: {position}" for position in uneven))
    feeds = [_addable(connection, feed) for feed in feeds]
    named, identities = settings.match_symbols == "exact", list[Identity]()
    while True:
        comparison = compare(book.mounted, held, feeds, policy, book_lots=lots, fx=settings.fx, as_of=as_of, now=now, closed=idle)
        summed = lots or netted or any(feed.feed.lots for feed in feeds)
        rows = None if summed else (held.positions_at(comparison.brokers), sum(feed.positions for feed in feeds))
        scanned = kernel.scan(connection, comparison, policy, rows, by_hash=sum(rows or ()) >= BY_HASH)
        if not named and not scanned.duplicates:
            named = True
            found, remarks = identified(connection, comparison)
            before = [feed.mounted for feed in feeds]
            if found or any(remarks.values()):
                feeds, identities = renamed(connection, feeds, found, remarks)
            if [feed.mounted for feed in feeds] != before:
                continue
        if not (scanned.duplicates or summed):
            break
        repeated = [] if lots else duplicate_rows(connection, book.mounted, book=True)
        if repeated:
            raise BookError("\n".join(f"book {book.source}: {row}" for row in repeated))
        checked = [unique(connection, feed) for feed in feeds]
        if checked == feeds:
            if scanned.duplicates:
                raise EngineError("the join gives more rows than its sides account for; nothing was decided")
            break
        feeds = checked
    return feeds, scanned, comparison, identities


def _own(settings: Settings, *, snapshot: bool) -> Own:
    """The book's own fills and orders. Beside a book of an earlier close its fills of now say nothing."""
    brokers = list(settings.brokers)

    def fills() -> Fills | None:
        from recon_core.book.fills import own_fills

        return None if snapshot else own_fills(settings.book, settings.folder, brokers)

    def orders() -> Orders | None:
        from recon_core.book.fills import own_orders

        return own_orders(settings.book, settings.folder, brokers)

    return fills, orders


def _addable(connection: duckdb.DuckDBPyConnection, feed: ProvenFeed) -> ProvenFeed:
    """The feed, FAILED where rows are to be added up that do not add up."""
    if feed.mounted is None or not (feed.feed.lots or feed.answer.settings.legs == "net"):
        return feed
    uneven = uneven_lots(connection, feed.mounted, book=False)
    return feed.failed("; ".join(uneven)) if uneven else feed


def _in_doubt(feed: ProvenFeed) -> tuple[str, ...]:
    return () if feed.everywhere else feed.unproven_accounts
