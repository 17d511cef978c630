"""What would mend a difference that is explained: a change of one row of the book, to the last place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, localcontext

from recon_core.evidence import Fill
from recon_core.explanation import EXACT, Difference, Explanation, Proposal
from recon_core.lots import Method
from recon_core.model import Position
from recon_core.pnl import Outcome, outcome
from recon_core.written_numbers import plain

Row = dict[str, str | None]

COLUMNS = (
    *("broker", "account", "symbol", "leg", "asset_class", "currency", "quantity", "avg_price", "multiplier"),
    *("isin", "cusip", "updated_at", "opened_at"),
)
"""The columns of a row that a correction may write. The market's price and the broker's spelling are not the book's to hold."""

WHEN = ("updated_at", "opened_at")

FAR = Decimal("0.01")
"""From what part of it on two entry prices are so far apart that a person should look."""


def propose(
    difference: Difference,
    explanation: Explanation,
    *,
    method: Method,
    fills: Sequence[Fill] | None,
    lots: bool,
    episode_first_seen: datetime | None,
    as_of: datetime,
) -> Proposal | None:
    """The change that ends a break; None where it is not explained, or nothing is to be corrected: what is unsettled clears.

    ``fills`` are the book's own of the position (see recon_core.pnl), ``lots`` says that it may keep one position in several rows,
    ``episode_first_seen`` since when the position is broken (None: since this run, which is of ``as_of``).
    """
    missed = [term for term in explanation.terms if term.cause != "UNSETTLED"]
    book, reported = difference.book, difference.reported
    with localcontext(EXACT):
        held = book.quantity if book else Decimal(0)
        target = held + sum((term.quantity for term in missed), Decimal(0))
        at_broker = reported.quantity if reported else Decimal(0)
    if not explanation.explained or target == held:
        return None
    whole = target == at_broker
    found = outcome(difference, explanation, method=method, fills=fills)
    before = _row(difference, book) if book else None
    after = None
    if target:
        after = _after(difference, target, found, before, whole=whole)
        after["updated_at"] = _iso(as_of)
        if before is None:
            after["opened_at"] = min((_iso(term.at) for term in missed if term.at is not None), default=None)
    doubts = [explanation.doubt] if explanation.doubt else []
    if lots:
        doubts.append("the book may hold this position in several rows")
    review = [*doubts, *_remarks(difference, found, before, after, whole=whole), *found.notes]
    since = episode_first_seen or as_of
    return Proposal(
        id=_identity(difference, since, before, after),
        kind="delete" if after is None else "insert" if before is None else "update",
        key=difference.key,
        before=before,
        after=after,
        pnl=found.pnl,
        review="; ".join(review),
        automatic=not doubts,
    )


def _row(difference: Difference, position: Position) -> Row:
    """A position as the columns of a row of the book, numbers and times as text."""
    named = {name: getattr(position, name) for name in COLUMNS if name != "broker"}
    row = {**named, "broker": difference.broker, "account": difference.account, "symbol": difference.symbol, "leg": difference.leg}
    return {name: _text(row[name]) for name in COLUMNS}


def _after(difference: Difference, target: Decimal, found: Outcome, before: Row | None, *, whole: bool) -> Row:
    """The row with ``target`` units: at the broker's entry price where all of them are the broker's, else at the one computed."""
    reported = difference.reported
    theirs = _row(difference, reported) if reported else dict.fromkeys(COLUMNS)
    after = dict(before or theirs)
    price = reported.avg_price if reported and whole else None
    if price is None:
        price = found.price
    for name in ("currency", "multiplier"):
        if theirs[name] is not None and after[name] is not None:
            after[name] = theirs[name]
    return {**after, "quantity": plain(target), "avg_price": after["avg_price"] if price is None else plain(price)}


def _remarks(difference: Difference, found: Outcome, before: Row | None, after: Row | None, *, whole: bool) -> list[str]:
    """What a person should know of the change beside its figures."""
    if after is None:
        return []
    remarks = []
    price = difference.reported.avg_price if difference.reported else None
    if before is None:
        entry = "no entry price is known" if after["avg_price"] is None else f"entered at {after['avg_price']}"
        remarks.append(f"new in the book, {entry}: check how the position came about")
    elif price is None and found.price is None:
        remarks.append("the entry price is not known: the book's stays")
    if price is not None and found.price is not None and whole:
        with localcontext(EXACT):
            if abs(price - found.price) > abs(price) * FAR:
                remarks.append(f"the broker's entry price is {plain(price)}, the evidence makes it {plain(found.price)}")
    changed = [name for name in ("currency", "multiplier") if before and before[name] != after[name]]
    remarks += [f"{name} {before[name]} becomes {after[name]}" for name in changed if before]
    if not whole:
        remarks.append("what is unsettled stays as it is until it clears")
    return remarks


def _identity(difference: Difference, since: datetime, before: Row | None, after: Row | None) -> str:
    """The same change of the same position in the same episode is the same correction, whichever run proposes it."""
    sides = [side and {name: text for name, text in side.items() if name not in WHEN} for side in (before, after)]
    told = json.dumps([*difference.key, _iso(since)[:10], *sides], sort_keys=True, ensure_ascii=True)
    return "C" + hashlib.sha256(told.encode()).hexdigest()[:16]


def _text(value: object) -> str | None:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return _iso(value)
    return None if value is None else str(value)


def _iso(stamp: datetime) -> str:
    return stamp.astimezone(UTC).isoformat().replace("+00:00", "Z")
