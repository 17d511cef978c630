"""What a broker booked, as it bears on each broken position: rows of evidence become terms, each of one position alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal, TypeVar

from recon_core.evidence import Evidence, Fill, Movement
from recon_core.explanation import Difference, Key, Term
from recon_core.instruments import Instruments, Named

CAUSE_OF = {
    "split": "CORPORATE_ACTION",
    "reverse_split": "CORPORATE_ACTION",
    "spin_off": "CORPORATE_ACTION",
    "merger": "CORPORATE_ACTION",
    "stock_dividend": "CORPORATE_ACTION",
    "symbol_change": "SYMBOL_CHANGE",
    "transfer": "TRANSFER",
    "expiry": "OPTION_EXPIRY",
    "exercise": "EXERCISE",
    "assignment": "ASSIGNMENT",
    "liquidation": "CLOSED_BY_BROKER",
    "removal": "CLOSED_BY_BROKER",
    "fee_in_kind": "FEE_IN_KIND",
}
"""The cause by the kind of a movement; ``delivery`` has that of its option, and what is not here is UNCLASSIFIED."""

OF_AN_ISSUER = frozenset(kind for kind, cause in CAUSE_OF.items() if cause in ("CORPORATE_ACTION", "SYMBOL_CHANGE"))
"""Kinds of which all rows of one event stand or fall together."""

_Row = TypeVar("_Row", Fill, Movement)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one broker told, and by which names the book calls its accounts and instruments.

    ``since`` is from when it was asked for (None: from the beginning), without the margin. ``accounts`` and ``aliases`` map the
    broker's names to the book's, ``account`` is the book's where a row names none. ``digests`` has, by the place that begins a
    row's ``source``, the sha256 of the bytes that were read there. ``book_fills`` are the book's own fills by the broker's ids of
    executions, ``book_orders`` the ids of the firm's own orders; None: not configured.
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


def terms_of(told: Told, differences: Sequence[Difference], *, as_of: datetime) -> tuple[dict[Key, list[Term]], list[str]]:
    """The terms of each position, oldest first and none later than ``as_of``; second, what could not be used, and why."""
    instruments = Instruments(differences, told.aliases, net=told.legs == "net")
    notes: list[str] = []
    found: defaultdict[Key, list[Term]] = defaultdict(list)
    for fill in _once(told.evidence.fills, told, notes):
        name = Named(fill.symbol, fill.raw_symbol, fill.isin, fill.cusip, fill.currency, fill.leg)
        position = instruments.position(_account(fill, told), name, 1 if fill.quantity > 0 else -1)
        if position is not None and fill.quantity:
            found[position.key].append(_filled(fill, position))
    for terms in found.values():
        terms.sort(key=order)
    last = max(as_of.date(), as_of.astimezone(UTC).date())
    return {
        key: [term for term in terms if (term.at <= as_of if term.at else term.on <= last)] for key, terms in found.items()
    }, notes


def order(term: Term) -> tuple[datetime, str, str]:
    """By time, then by id: what is told without an hour comes first on its day."""
    return term.at or datetime(term.on.year, term.on.month, term.on.day, tzinfo=UTC), term.id, term.kind


def _account(row: Fill | Movement, told: Told) -> str:
    return told.accounts.get(row.account, row.account) if row.account else told.account or ""


def _once(rows: Sequence[_Row], told: Told, notes: list[str]) -> Iterable[_Row]:
    """Each row once, by account and id: of two alike one, of two that contradict each other neither."""
    first: dict[tuple[str, str], _Row] = {}
    doubtful: set[tuple[str, str]] = set()
    for row in rows:
        known = first.setdefault((_account(row, told), row.id), row)
        if known is not row and replace(known, source="") != replace(row, source=""):
            doubtful.add((_account(row, told), row.id))
    for account, identity in sorted(doubtful):
        notes.append(f"{account}: two rows have the id {identity} and say different things: neither counts")
    return [row for key, row in first.items() if key not in doubtful]


def _filled(fill: Fill, position: Difference) -> Term:
    return Term(
        id=fill.id,
        kind="fill",
        cause="MISSED_FILL",
        broker=position.broker,
        account=position.account,
        symbol=position.symbol,
        leg=position.leg,
        quantity=fill.quantity,
        on=fill.traded_at.astimezone(UTC).date(),
        at=fill.traded_at,
        price=fill.price,
        fee=fill.fee,
        currency=fill.currency,
        multiplier=fill.multiplier,
        order_id=fill.order_id,
        settles_on=fill.settles_on,
        source=fill.source,
    )
