"""What no record of the broker's states: a split read off quantities and prices, and a position that nothing made."""

from __future__ import annotations

from datetime import UTC, date, datetime
from fractions import Fraction

from recon_core.evidence import Evidence
from recon_core.explanation import Difference, Term

MOST_OF_A_RATIO = 20
PRICES_APART = Fraction(1, 200)


def ratio_of(difference: Difference) -> Fraction | None:
    """Broker to book, where that is a ratio of numbers up to 20, and the average prices are in the inverse one within 0.5 %."""
    book, broker = difference.book, difference.reported
    if book is None or broker is None or not book.quantity or not book.avg_price or not broker.avg_price:
        return None
    units = ((book.currency, broker.currency), (book.multiplier, broker.multiplier))
    if any(ours is not None and theirs is not None and ours != theirs for ours, theirs in units):
        return None
    ratio = Fraction(broker.quantity) / Fraction(book.quantity)
    paid, told = Fraction(book.quantity) * Fraction(book.avg_price), Fraction(broker.quantity) * Fraction(broker.avg_price)
    small = 0 < ratio != 1 and max(ratio.numerator, ratio.denominator) <= MOST_OF_A_RATIO
    return ratio if small and abs(paid - told) <= PRICES_APART * abs(told) else None


def split(difference: Difference, ratio: Fraction, *, on: date) -> Term:
    """All of the difference as a split of which no record is on file."""
    words = f"{ratio.numerator} for {ratio.denominator}"
    return Term(
        id=f"inferred split {words}",
        kind="split" if ratio > 1 else "reverse_split",
        cause="CORPORATE_ACTION",
        broker=difference.broker,
        account=difference.account,
        symbol=difference.symbol,
        leg=difference.leg,
        quantity=difference.quantity_difference.copy_negate(),
        on=on,
        event=f"inferred split {words} of {difference.symbol}",
        said=words,
    )


def phantom(difference: Difference, evidence: Evidence, since: datetime | None) -> Term | None:
    """All of the book's row as what the broker does not know, where ``evidence`` is whole from when the book opened it (``since``
    None: from the beginning). None where the broker holds or once held it. That nothing bears on the position is for the caller
    to know."""
    book, reported = difference.book, difference.reported
    if book is None or book.opened_at is None or (reported is not None and reported.quantity):
        return None
    if difference.agreed_at is not None and difference.agreed_at >= book.opened_at:
        return None
    if not evidence.complete or (since is not None and since > book.opened_at):
        return None
    return Term(
        id="the book's row",
        kind="book_fill",
        cause="PHANTOM",
        broker=difference.broker,
        account=difference.account,
        symbol=difference.symbol,
        leg=difference.leg,
        quantity=difference.quantity_difference.copy_negate(),
        on=book.opened_at.astimezone(UTC).date(),
        at=book.opened_at,
        price=book.avg_price,
        currency=book.currency,
        multiplier=book.multiplier,
    )
