"""Feed proof: how far each broker's answer can be believed, and where an absence in it proves nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import duckdb

from recon_core.book.survey import BookAccount
from recon_core.collect import BrokerAnswer
from recon_core.control_totals import CheckedTotal, checked_total, disagreement
from recon_core.elapsed import Intervals
from recon_core.errors import BrokerError
from recon_core.feed_times import wrong_time
from recon_core.model import Feed, FeedStatus
from recon_core.scratch import machine_gave_out
from recon_core.sql import identifier, quoted
from recon_core.tables.faults import FAULT_BITS, source_notes, together
from recon_core.tables.mounting import Mounted, duplicate_rows, mount, mount_positions

NO_ACCOUNT = "DEFAULT"
"""The account of a deployment in which neither side names any."""

_SYNONYMS = (
    {"equity", "equities", "stock", "stocks", "us_equity", "stk", "share", "shares", "etf", "common stock"},
    {"option", "options", "us_option", "opt", "equity option"},
    {"crypto", "cryptocurrency", "coin"},
    {"future", "futures", "fut"},
    {"forex", "fx", "cash", "currency"},
    {"bond", "bonds", "fixed_income", "fixed income"},
    {"fund", "funds", "mutual_fund", "mutual fund"},
)


@dataclass(frozen=True, slots=True)
class ProvenFeed:
    """A feed after proof. ``mounted`` is None where no position of it may be used.

    ``everywhere`` says that no absence is proven, ``unproven_accounts`` where (the book's names) none is. ``account_sql``
    maps the account column of the mounted relation to the book's names; ``row_account`` is what its rows without an account
    belong to, ``book_account`` what such rows of the book do. ``covered`` are the asset classes, in every spelling known, that
    the adapter reports; empty is all.
    """

    answer: BrokerAnswer
    status: FeedStatus
    reason: str
    mounted: Mounted | None = None
    positions: int = 0
    accounts: tuple[str, ...] = ()
    everywhere: bool = False
    unproven_accounts: tuple[str, ...] = ()
    account_sql: str = "account"
    row_account: str = NO_ACCOUNT
    book_account: str = NO_ACCOUNT
    covered: tuple[str, ...] = ()
    totals: tuple[CheckedTotal, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def alias(self) -> str:
        """The broker's name in the book."""
        return self.answer.settings.alias

    @property
    def feed(self) -> Feed:
        """What the adapter returned."""
        return self.answer.feed

    @property
    def proven(self) -> bool:
        """Whether every absence in it is one."""
        return self.status is FeedStatus.COMPLETE

    def failed(self, reason: str) -> ProvenFeed:
        """The same feed, unusable."""
        return replace(self, status=FeedStatus.FAILED, reason=reason, mounted=None, positions=0, everywhere=True)


def prove(
    connection: duckdb.DuckDBPyConnection,
    answer: BrokerAnswer,
    *,
    name: str,
    book: Sequence[BookAccount],
    as_of: datetime,
    asked: bool,
    now: datetime,
    delivered: Mapping[str, date],
    closed: Intervals = (),
) -> ProvenFeed:
    """Mount one answer as ``name`` and judge it against the book's accounts at this broker.

    ``as_of`` is the time of the run, ``asked`` whether a person asked for it. ``delivered`` are the files of earlier runs:
    sha256 and the last day that each was taken for. ``closed`` are hours that do not count towards a feed's age.
    """
    feed = answer.feed
    bare = ProvenFeed(answer, feed.status, feed.reason, everywhere=True, notes=feed.notes)
    if feed.status in (FeedStatus.FAILED, FeedStatus.NOT_READY):
        return bare
    late = wrong_time(answer, as_of, asked=asked, now=now, delivered=delivered, closed=closed)
    if late:
        return replace(bare, status=FeedStatus.NOT_READY, reason=late)
    try:
        aliases = answer.settings.aliases
        if feed.relation is not None:
            mounted = mount(connection, name, feed.relation, book=False, float_places=9, aliases=aliases)
        else:
            mounted = mount_positions(connection, name, feed.positions, aliases=aliases)
        rows = connection.execute(
            f"SELECT account, count(*), count_if(quantity <> 0), count_if(fault & {FAULT_BITS} <> 0), bit_or(fault)::UBIGINT "
            f"FROM {identifier(name)} GROUP BY account ORDER BY account"
        ).fetchall()
        if any(row[3] for row in rows):
            return bare.failed(_of_file(feed, mounted.describe_faults(connection, limit=5)))
        return _judge(connection, bare, mounted, rows, book)
    except BrokerError as error:
        return bare.failed(str(error))
    except duckdb.Error as error:
        if gave_out := machine_gave_out(error):
            raise gave_out from None
        if isinstance(error, duckdb.PermissionException):
            raise
        return bare.failed(f"cannot be read: {str(error).partition(chr(10))[0]}")


def with_coverage_note(connection: duckdb.DuckDBPyConnection, feed: ProvenFeed, book: Mounted) -> ProvenFeed:
    """The feed, with a note of the book's positions that are of a class which its adapter does not report."""
    if not feed.covered or feed.everywhere:
        return feed
    classes = ", ".join(map(quoted, feed.covered))
    found = connection.execute(
        f"SELECT lower(asset_class), count(*) FROM {identifier(book.name)} WHERE broker = {quoted(feed.alias)} AND quantity <> 0 "
        f"AND lower(asset_class) NOT IN ({classes}) GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    if not found:
        return feed
    said = ", ".join(f"{count:,} {name}" for name, count in found)
    return replace(feed, notes=(*feed.notes, f"not judged, of classes that this adapter does not report: {said}"))


def with_basis_note(feed: ProvenFeed, basis: str) -> ProvenFeed:
    """The feed, with a note where its trades count from another date than the book's (``basis``)."""
    if feed.mounted is None or feed.feed.basis in ("unknown", basis):
        return feed
    dates = {"trade": "trade date", "settlement": "settlement"}
    said = f"its trades count from {dates[feed.feed.basis]}, the book's from {dates[basis]}: those not settled yet are differences"
    return replace(feed, notes=(*feed.notes, said))


def unique(connection: duckdb.DuckDBPyConnection, feed: ProvenFeed) -> ProvenFeed:
    """The feed, FAILED where several rows that are not declared lots are one position. Costs a sort."""
    if feed.mounted is None or feed.feed.lots:
        return feed
    rows = duplicate_rows(connection, feed.mounted, book=False, limit=5)
    if rows:
        return feed.failed(_of_file(feed.feed, rows) + " (declare `lots: true` if they are lots)")
    shared = connection.execute(
        f"SELECT account, symbol, list(DISTINCT theirs ORDER BY theirs) FROM "
        f"(SELECT {feed.account_sql} AS account, symbol, leg, account AS theirs "
        f"FROM {identifier(feed.mounted.name)} WHERE quantity <> 0) "
        "GROUP BY account, symbol, leg HAVING count(*) > 1 ORDER BY account, symbol LIMIT 1"
    ).fetchone()
    if shared:
        return feed.failed(f"accounts {', '.join(shared[2])} are all {shared[0]} in the book, and each holds {shared[1]}")
    return feed


def _of_file(feed: Feed, faults: Sequence[str]) -> str:
    """What is wrong with a feed's rows, with the file that they stand in."""
    file = f"{feed.relation.name}: " if feed.relation is not None and feed.relation.name else ""
    return file + "; ".join(faults)


def _judge(
    connection: duckdb.DuckDBPyConnection,
    feed: ProvenFeed,
    mounted: Mounted,
    rows: Sequence[tuple[object, ...]],
    book: Sequence[BookAccount],
) -> ProvenFeed:
    """Accounts, emptiness and control totals of a feed whose every row can be read."""
    settings, answered = feed.answer.settings, feed.feed
    named = [None if row[0] is None else str(row[0]) for row in rows]
    named = [name and settings.accounts.get(name, name) for name in named]
    fallback, book_account, trouble = _unnamed(named, [entry.account for entry in book])
    if trouble:
        return feed.failed(trouble)
    held = {entry.account or book_account: entry.positions for entry in book if entry.positions}

    def ours(account: str) -> str:
        return settings.accounts.get(account, account)

    seen = {name or fallback for name in named} | {ours(name) for name in answered.accounts}
    totals = [checked_total(connection, mounted, total) for total in answered.control_totals]
    held_there = any(int(str(row[2])) for row in rows)
    flat_all = not held_there and any(entry.ok and not entry.total.stated and entry.total.account is None for entry in totals)
    flat = {ours(entry.total.account) for entry in totals if entry.ok and not entry.total.stated and entry.total.account}
    wanted = set(held) | set(settings.expect_accounts)
    unread = {ours(name) for name in answered.unread}
    unproven = sorted((set(settings.expect_accounts) if flat_all else wanted) - seen - flat - unread)
    reasons = [answered.reason] if answered.reason else []
    positions = sum(int(str(row[2])) for row in rows)
    faults = together(int(str(row[4])) for row in rows)
    if not rows and unproven:
        reasons.append(f"no rows at all, while the book holds {sum(held.values()):,} positions: silence proves nothing")
    elif unproven:
        reasons.append(f"no rows of account {', '.join(unproven)}: silence proves nothing")
    wrong = [entry for entry in totals if not entry.ok]
    reasons += [disagreement(entry) for entry in wrong]
    covered = _covered(answered.coverage or feed.answer.adapter.coverage)
    partial = bool(reasons) or answered.status is FeedStatus.PARTIAL
    return replace(
        feed,
        mounted=mounted.as_noted(connection, faults),
        status=FeedStatus.PARTIAL if partial else FeedStatus.COMPLETE,
        reason="; ".join(reasons),
        positions=positions,
        accounts=tuple(sorted(seen)),
        everywhere=(answered.status is FeedStatus.PARTIAL and not unread) or bool(wrong),
        unproven_accounts=tuple(sorted({*unproven, *unread})),
        account_sql=_account_sql(settings.accounts, fallback if None in named else None),
        row_account=fallback,
        book_account=book_account,
        covered=covered,
        totals=tuple(totals),
        notes=feed.notes + source_notes(faults),
    )


def _unnamed(feed: Sequence[str | None], book: Sequence[str | None]) -> tuple[str, str, str]:
    """The accounts that rows without one belong to, in the feed and in the book; third, why that cannot be said."""
    feed_names, book_names = ({name for name in side if name is not None} for side in (feed, book))
    for side, names, what in ((feed, feed_names, "feed"), (book, book_names, "book")):
        if None in side and names:
            return NO_ACCOUNT, NO_ACCOUNT, f"some rows of the {what} name an account and some do not"
    for side, others, what, other in ((feed, book_names, "feed", "book"), (book, feed_names, "book", "feed")):
        if None in side and len(others) > 1:
            several = ", ".join(sorted(others))
            mend = "say which in `defaults: {account: ...}` or map the column"
            return NO_ACCOUNT, NO_ACCOUNT, f"the {what} names no account and the {other} has {several}: {mend}"
    return min(book_names, default=NO_ACCOUNT), min(feed_names, default=NO_ACCOUNT), ""


def _account_sql(accounts: Mapping[str, str], fallback: str | None) -> str:
    cases = " ".join(f"WHEN {quoted(theirs)} THEN {quoted(ours)}" for theirs, ours in accounts.items())
    mapped = f"CASE account {cases} ELSE account END" if cases else "account"
    return mapped if fallback is None else f"coalesce({mapped}, {quoted(fallback)})"


def _covered(coverage: Sequence[str]) -> tuple[str, ...]:
    names = {name.lower() for name in coverage}
    for group in _SYNONYMS:
        if names & group:
            names |= group
    return tuple(sorted(names))
