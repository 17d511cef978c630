"""Who is asked what happened, and from when on: the brokers of broken positions, and the book for its own fills and orders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from recon_core.collect import AskingEvidence, EvidenceAnswer, Make, begin
from recon_core.config.settings import ExplainSettings
from recon_core.errors import BookError, BookSetupError
from recon_core.evidence import Fill, Movement
from recon_core.explanation import Difference
from recon_core.feeds import ProvenFeed
from recon_core.instruments import Held, Named
from recon_core.symbols import forms_of
from recon_core.terms import Told

Fills = Mapping[str, Sequence[Fill]]
Orders = Mapping[str, frozenset[str]]
Own = tuple[Callable[[], Fills | None], Callable[[], Orders | None]]
"""Read the book's own fills and orders, by broker: None where they are not configured, BookError where they cannot be read."""


def period_of(
    differences: Sequence[Difference], alias: str, as_of: datetime, settings: ExplainSettings
) -> tuple[datetime, datetime]:
    """From when something may have parted the sides at a broker, and from when it is asked what happened."""
    agreed = [difference.agreed_at for difference in differences if difference.broker == alias]
    earliest = as_of - timedelta(days=settings.lookback_days)
    known = [each for each in agreed if each is not None]
    if len(known) == len(agreed):
        return min(known), min(known) - timedelta(days=settings.margin_days)
    since = min(known, default=earliest)
    return min(since, earliest), min(since - timedelta(days=settings.margin_days), earliest)


def answers_of(
    feeds: Mapping[str, ProvenFeed],
    periods: Mapping[str, tuple[datetime, datetime]],
    asked_as_of: datetime | None,
    make: Make,
    progress: Callable[[str], None],
) -> dict[str, EvidenceAnswer]:
    """What each broker tells, as it told it before where that reaches as far."""
    answers = {
        alias: feed.answer.told
        for alias, feed in feeds.items()
        if feed.answer.told is not None and feed.answer.told.since <= periods[alias][1]
    }
    rest = [alias for alias in feeds if alias not in answers]
    if rest:
        progress(f"asking {', '.join(rest)} what happened")
        asked = begin(
            AskingEvidence(feeds[alias].answer.settings, feeds[alias].answer.adapter, asked_as_of, make, since=periods[alias][1])
            for alias in rest
        )
        answers |= dict(zip(rest, asked.answers(), strict=True))
    return answers


def own_rows(own: Own, warnings: list[str]) -> tuple[Fills | None, Orders | None]:
    """What the book itself knows of fills and orders; what cannot be read is not known, and said."""
    found: list[Any] = []
    for read in own:
        try:
            found.append(read())
        except (BookError, BookSetupError) as error:
            found.append(None)
            warnings.append(f"{error} (differences are explained without it)")
    return found[0], found[1]


def told_by(
    feed: ProvenFeed,
    answer: EvidenceAnswer,
    since: datetime,
    fills: Sequence[Fill] | None,
    orders: frozenset[str] | None,
    held: frozenset[Held],
) -> Told:
    """What the broker of a feed told ``since`` then, and what the book itself knows of its fills and orders there."""
    settings = feed.answer.settings
    account = feed.accounts[0] if len(feed.accounts) == 1 else None
    return Told(
        broker=feed.alias,
        evidence=answer.evidence,
        since=since,
        accounts=settings.accounts,
        account=account,
        aliases=settings.aliases,
        legs=settings.legs,
        digests=digests(answer),
        book_fills=None if fills is None else [replace(fill, account=fill.account or account) for fill in fills],
        book_orders=orders,
        held=held,
    )


def named_by(feed: ProvenFeed, answer: EvidenceAnswer, fills: Sequence[Fill] | None) -> set[str]:
    """All names that rows of a broker's, and the book's own fills there, give to instruments, in every spelling."""
    aliases = feed.answer.settings.aliases
    rows: tuple[Fill | Movement, ...] = (*answer.evidence.fills, *answer.evidence.movements, *(fills or ()))
    told = {symbol for row in rows for symbol in Named.of(row).symbols}
    told |= {aliases[symbol] for symbol in told & aliases.keys()}
    return {spelling for symbol in told for spelling in (symbol, *forms_of(symbol).values())}


def digests(answer: EvidenceAnswer) -> dict[str, str]:
    """By the place that a row's source begins with, the sha256 of the bytes read there: a file by its name, a page by its number.

    The adapter knows an address without the beginning that ``base_url`` gives it. What it says itself of a place holds.
    """
    found = {place: document.sha256 for document in answer.documents for place in (document.name, str(document.path))}
    pages: dict[str, list[str]] = {}
    for received in answer.received:
        parts = urlsplit(received.url).path.rstrip("/").split("/")
        for start in range(1, len(parts)) if received.status == 200 and not received.cut else ():
            pages.setdefault(f"{received.method} /{'/'.join(parts[start:])}", []).append(received.sha256)
    for place, each in pages.items():
        found |= {f"{place}: page {number}": digest for number, digest in enumerate(each, 1)}
        if len(each) == 1:
            found[place] = each[0]
    return found | dict(answer.digests)
