"""Why, in sentences that a desk understands: each term with its numbers, its time and its id."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from recon_core.bookings import SPLITS
from recon_core.explanation import Difference, Term
from recon_core.subsets import MOST_TIES
from recon_core.terms import Told, since
from recon_core.written_numbers import without_zeros

SHOWN = 3
RATIO_KINDS = SPLITS | {"stock_dividend"}
NOT_ALL_TRIED = "there are too many rows to try every combination of them"
_WORDS = {"fee_in_kind": "a fee in kind", "unclassified": "a booking of a kind that is not known"}
_DOUBTFUL = {
    "PHANTOM": "nothing at the broker ever made it: check that it was never held",
    "UNCLASSIFIED": "the broker booked it as something that is not known here",
}
_LACKS = "which the book does not have"


def of(terms: Sequence[Term], *, lag: str | None) -> str:
    """What the terms say, told in the order of their causes' first rows."""
    told = []
    for cause in dict.fromkeys(term.cause if term.kind in ("fill", "book_fill") else "booked" for term in terms):
        some = [term for term in terms if (term.cause if term.kind in ("fill", "book_fill") else "booked") == cause]
        if cause == "booked":
            told.append(_listed([_booked(term) for term in some if term.quantity or len(some) == 1], "bookings", some))
        elif cause == "PHANTOM":
            told.append(
                _listed([_traded(term, sign=-1) for term in some], "fills", some, "the book has")
                + ", which the broker does not know"
            )
        elif cause == "UNSETTLED":
            told.append(_unsettled(some, lag))
        else:
            told.append(_listed([_traded(term) for term in some], "fills", some, "the broker") + _meaning(cause, some))
    return "; ".join(told)


def early(terms: Sequence[Term], difference: Difference) -> str:
    """That rows are older than the last agreement."""
    agreed = moment(difference.agreed_at) if difference.agreed_at else ""
    old = [term for term in terms if difference.agreed_at and not since(term, difference.agreed_at)]
    return f"{_count(len(old), 'row')} of it older than the last agreement ({agreed}), as if it came late to the broker's account"


def doubts(causes: Sequence[str], *, inferred: bool) -> list[str]:
    """Why a person must look at what has these causes."""
    found = ["inferred: no record of the broker's states it"] if inferred else []
    return found + [_DOUBTFUL[cause] for cause in causes if cause in _DOUBTFUL]


def ties(count: int) -> str:
    """That other sets add up to the same."""
    others = (
        "1 other set of rows adds" if count == 1 else f"{count}{' or more' if count >= MOST_TIES else ''} other sets of rows add"
    )
    return f"{others} up to the same: which it was, quantities cannot tell"


def overdue(terms: Sequence[Term]) -> str:
    """That what was to settle has not."""
    by = max(term.settles_on for term in terms if term.settles_on)
    told = _listed([_traded(term, sign=-1) for term in terms], "fills", terms, "the broker")
    return f"it was to clear on {by}: {told} to settle by then"


def inferred_split(difference: Difference, split: str) -> str:
    """A split that only quantities and prices tell."""
    sides = [
        f"{number(side.quantity)} at {number(side.avg_price)}"
        for side in (difference.book, difference.reported)
        if side is not None and side.avg_price is not None
    ]
    told = f"the book's {sides[0]} are {sides[1]} at the broker, as after a split of {split}"
    return f"{told}; no record of one is on file: it is inferred"


def phantom(difference: Difference, since: datetime | None) -> str:
    """That nothing made what the book has."""
    book = difference.book
    opened = f" since {moment(book.opened_at)}" if book and book.opened_at else ""
    reach = f"back to {moment(since)}" if since else "to the beginning"
    quantity = number(book.quantity) if book else ""
    return f"the book has {quantity}{opened}; the broker's evidence is complete {reach}, and nothing in it made the position"


def nothing(difference: Difference, terms: Sequence[Term], told: Told | None, *, known: bool) -> str:
    """Why nothing explains it, and how far history reaches; ``known``: what the broker told is in the book already."""
    if told is None:
        return "the broker gives no evidence"
    reach = f"since {moment(told.since)}" if told.since else "that the broker has"
    said = [f"the book's own fills have all that the broker tells of it {reach}" if known else f"no row {reach} moves the position"]
    if terms:
        rows = f"{_count(len(terms), 'row')} {reach} move{'s' if len(terms) == 1 else ''} the position"
        said = [f"{rows}, and no set of them adds up to the difference"]
    book = difference.book
    if book is not None and book.quantity and not (difference.reported and difference.reported.quantity):
        if book.opened_at is None:
            said.append("the book does not say since when it has it")
        elif told.since is not None and told.since > book.opened_at:
            said.append(f"the book has it since {moment(book.opened_at)}, before what was asked for")
        elif difference.agreed_at is not None and difference.agreed_at >= book.opened_at:
            said.append(f"the broker still had it on {moment(difference.agreed_at)}")
    return "; ".join(said)


def number(value: Decimal | None) -> str:
    """A number in digits, without needless zeros."""
    return "?" if value is None else without_zeros(f"{value:f}")


def moment(at: datetime) -> str:
    """A time as everybody reads it alike."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _traded(term: Term, *, sign: int = 1) -> str:
    quantity = term.quantity * sign
    price = f" at {number(term.price)}" if term.price is not None else ""
    when = moment(term.at) if term.at else str(term.on)
    return f"{'bought' if quantity > 0 else 'sold'} {number(abs(quantity))}{price} on {when} (fill {term.id}{_called(term)})"


def _meaning(cause: str, terms: Sequence[Term]) -> str:
    orders = ", ".join(dict.fromkeys(term.order_id for term in terms if term.order_id))
    if cause == "MANUAL_TRADE":
        return f", by an order that is none of ours ({orders}) and {_LACKS}"
    if cause == "PARTIAL_FILL":
        return f", a part of the order {orders} {_LACKS}"
    return f", {_LACKS}"


def _unsettled(terms: Sequence[Term], lag: str | None) -> str:
    early = lag == "broker"
    told = _listed([_traded(term, sign=-1 if early else 1) for term in terms], "fills", terms, "the broker")
    by = max(term.settles_on for term in terms if term.settles_on)
    return f"{told}, which settles on {by}: the {'broker' if early else 'book'} does not count it before"


def _booked(term: Term) -> str:
    what = _WORDS.get(term.kind, term.kind.replace("_", " "))
    said = f": {term.said}" if term.said else ""
    if term.kind == "announced":
        return f"{number(term.quantity)} by what was announced for {term.on} ({term.id}{said}), which is not in the book"
    booked = f"the broker booked {'+' if term.quantity > 0 else ''}{number(term.quantity)} on {term.on}"
    return f"{booked}, {what} ({term.id}{_called(term)}{said})"


def _called(term: Term) -> str:
    """The row's own name, where the position is known by its identifier alone."""
    return f", there called {term.called}" if term.called else ""


def _listed(shown: Sequence[str], kind: str, terms: Sequence[Term], who: str = "") -> str:
    if len(shown) > SHOWN:
        total = sum((term.quantity for term in terms), Decimal(0))
        days = sorted({term.on for term in terms})
        span = f"on {days[0]}" if len(days) == 1 else f"from {days[0]} to {days[-1]}"
        return f"{len(shown)} {kind} {span}, {'+' if total > 0 else ''}{number(total)} together"
    text = ", ".join(shown[:-1]) + (" and " if len(shown) > 1 else "") + "".join(shown[-1:])
    return f"{who} {text}" if who else text


def _count(many: int, what: str) -> str:
    return f"{many:,} {what}{'' if many == 1 else 's'}"
