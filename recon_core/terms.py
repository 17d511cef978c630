"""What a broker booked, as it bears on each broken position: rows of evidence become terms, each of one position alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Literal, TypeVar

from recon_core.bookings import bookings
from recon_core.evidence import Evidence, Fill, Movement
from recon_core.explanation import Difference, Key, Term
from recon_core.instruments import Held, Instruments, Named
from recon_core.own_fills import OwnFills

_WESTERNMOST = timedelta(hours=12)
"""How much later than in UTC a day ends at the date line: after midnight UTC a broker in New York still books on the day before."""

_Row = TypeVar("_Row", Fill, Movement)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one broker told, and by which names the book calls its accounts and instruments.

    ``since`` is from when it was asked for (None: from the beginning), without the margin. ``accounts`` and ``aliases`` map the
    broker's names to the book's, ``account`` is the book's where a row names none. ``digests`` has, by the place that begins a
    row's ``source``, the sha256 of the bytes that were read there. ``book_fills`` are the book's own fills by the broker's ids of
    executions, ``book_orders`` the ids of the firm's own orders; None: not configured. ``held`` are the positions that do not
    differ, of those that rows may name.
    """

    broker: str
    evidence: Evidence
    since: datetime | None = None
    accounts: Mapping[str, str] = field(default_factory=dict)
    account: str | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    legs: Literal["keep", "net"] = "keep"
    digests: Mapping[str, str] = field(default_factory=dict)
    book_fills: Sequence[Fill] | None = None
    book_orders: frozenset[str] | None = None
    held: frozenset[Held] = frozenset()


@dataclass(slots=True)
class Bearing:
    """What bears on each position, oldest first: what the broker has and the book may lack.

    ``by_id`` says that the fills among them are known not to be in the book, and all of them. ``overdue`` is what was to settle by
    now, on the side that counts by settlement. ``touched`` are the positions of which anything was told at all, ``aside`` says of
    which rows were told that do not count, and why.
    """

    by_id: bool = False
    terms: dict[Key, list[Term]] = field(default_factory=dict)
    overdue: dict[Key, list[Term]] = field(default_factory=dict)
    touched: set[Key] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    aside: dict[Key, list[str]] = field(default_factory=dict)


def terms_of(told: Told, differences: Sequence[Difference], *, as_of: datetime) -> Bearing:
    """The terms of each position, none later than ``as_of``, and what could not be used, and why."""
    bearing = Bearing()
    net = told.legs == "net"
    instruments = Instruments(differences, told.aliases, net=net, held=told.held)
    ours = Instruments(differences, {}, net=net, held=told.held)
    fills = _once(told.evidence.fills, told, instruments, bearing)
    movements = _once(told.evidence.movements, told, instruments, bearing)
    rows: list[tuple[str, Fill | Movement]] = [*fills, *movements]
    own = OwnFills(told.book_fills, told.book_orders, rows, theirs=instruments, ours=ours, since=told.since, as_of=as_of)
    bearing.by_id = own.usable
    bearing.notes += own.notes
    today = last_day(as_of)
    for account, fill in fills:
        _take_fill(account, fill, instruments, own, bearing, today)
    for (account, row), term in bookings(movements, instruments):
        if own.lacks(account, row):
            _put(bearing.terms, term)
    if own.usable and told.evidence.complete:
        _take_own(own.unknown, ours, told, bearing)
    bearing.touched = instruments.asked
    for terms in (*bearing.terms.values(), *bearing.overdue.values()):
        terms[:] = sorted((term for term in terms if not_after(term, as_of)), key=order)
    return bearing


def order(term: Term) -> tuple[datetime, str, str]:
    """By time, then by id: what is told without an hour comes first on its day."""
    return term.at or datetime(term.on.year, term.on.month, term.on.day, tzinfo=UTC), term.id, term.kind


def last_day(as_of: datetime) -> date:
    """The day of a run, by its own clock or by UTC, whichever is later."""
    return max(as_of.date(), as_of.astimezone(UTC).date())


def not_after(term: Term, as_of: datetime) -> bool:
    """Whether it happened by then; a day without an hour counts from its beginning."""
    return term.at <= as_of if term.at else term.on <= last_day(as_of)


def since(term: Term, agreed_at: datetime) -> bool:
    """Whether it may have happened after then: what has a day and no hour, where that day was not over everywhere."""
    return term.at > agreed_at if term.at else term.on >= (agreed_at.astimezone(UTC) - _WESTERNMOST).date()


def _once(rows: Sequence[_Row], told: Told, instruments: Instruments, bearing: Bearing) -> list[tuple[str, _Row]]:
    """Each row once, with the book's name of its account: of two with one id one, and neither where they contradict each other.

    An id is one of an account and, at some venues, of a symbol. A row without an account is that of the same id which has one.
    """
    named = [(told.accounts.get(row.account, row.account) if row.account else told.account or "", row) for row in rows]
    whose: dict[tuple[str, str | None, str], str] = {}
    for account, row in named:
        if row.account:
            whose[account, row.symbol, row.id] = min(row.account, whose.get((account, row.symbol, row.id), row.account))
    first: dict[tuple[str, str | None, str], tuple[str, _Row]] = {}
    doubtful: dict[tuple[str, str | None, str], list[tuple[str, _Row]]] = {}
    for account, row in named:
        key = (row.account or whose.get((account, row.symbol, row.id), ""), row.symbol, row.id)
        known = first.setdefault(key, (account, row))
        if known[1] is not row and _content(known[1]) != _content(row):
            doubtful.setdefault(key, [known]).append((account, row))
    for (owner, _, identity), some in sorted(doubtful.items(), key=lambda item: (item[0][0], item[0][2], item[0][1] or "")):
        note = f"rows of {owner or 'no account'} with the id {identity} contradict each other: none of them counts"
        bearing.notes.append(note)
        for position in {each.key for account, row in some for each in instruments.named(account, Named.of(row))}:
            bearing.aside.setdefault(position, []).append(note)
    once = [each for key, each in first.items() if key not in doubtful]
    if nameless := sum(not account for account, _ in once):
        bearing.notes.append(
            f"{nameless:,} row{'s' if nameless > 1 else ''} without an account, and none is configured: not counted"
        )
    return once


def _content(row: _Row) -> _Row:
    """All that a row says of what happened; it may stand in two places, and in one of them without its account."""
    return replace(row, account=None, source="", raw="")


def _put(terms: dict[Key, list[Term]], term: Term) -> None:
    terms.setdefault((term.broker, term.account, term.symbol, term.leg), []).append(term)


def _take_fill(account: str, fill: Fill, instruments: Instruments, own: OwnFills, bearing: Bearing, today: date) -> None:
    name = Named.of(fill)
    position = instruments.position(account, name, 1 if fill.quantity > 0 else -1)
    if position is None or not fill.quantity:
        return
    doubt = own.doubt(fill) or ("" if own.usable else instruments.doubt(position, name))
    term = _filled(fill, position, own.cause(account, fill), called=instruments.called(position, name), doubt=doubt)
    lag = position.settlement_lag if fill.settles_on else None
    pending = fill.settles_on is not None and fill.settles_on > today
    if lag == "book" and pending:
        _put(bearing.terms, replace(term, cause="UNSETTLED"))
        return
    if lag == "broker":  # the book has it early, if it has it
        early = replace(term, cause="UNSETTLED", quantity=term.quantity.copy_negate())
        if not own.usable or own.has(account, fill):
            _put(bearing.terms if pending else bearing.overdue, early)
        if pending:
            return
    if own.lacks(account, fill):
        _put(bearing.terms, term)


def _take_own(unknown: Sequence[Fill], instruments: Instruments, told: Told, bearing: Bearing) -> None:
    for fill in unknown:
        position = instruments.position(fill.account or told.account or "", Named.of(fill), -1 if fill.quantity > 0 else 1)
        if position is not None and fill.quantity:
            term = _filled(fill, position, "PHANTOM")
            _put(bearing.terms, replace(term, kind="book_fill", quantity=fill.quantity.copy_negate()))


def _filled(fill: Fill, position: Difference, cause: str, *, called: str = "", doubt: str = "") -> Term:
    return Term(
        id=fill.id,
        kind="fill",
        cause=cause,
        broker=position.broker,
        account=position.account,
        symbol=position.symbol,
        leg=position.leg,
        quantity=fill.quantity,
        on=fill.traded_at.astimezone(UTC).date(),
        at=fill.traded_at,
        price=fill.price,
        fee=fill.fee,
        fee_currency=fill.fee_currency,
        currency=fill.currency,
        asset_class=fill.asset_class,
        multiplier=fill.multiplier,
        order_id=fill.order_id,
        settles_on=fill.settles_on,
        source=fill.source,
        raw=fill.raw,
        called=called,
        doubt=doubt,
    )
