"""The values between evidence and correction: signs, and what follows from them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from recon_core.explanation import Difference, Explanation, ProfitAndLoss, Term
from recon_core.model import Position


def difference(book: str | None, reported: str | None) -> Difference:
    def side(quantity: str | None) -> Position | None:
        return None if quantity is None else Position(symbol="AAPL", quantity=Decimal(quantity))

    return Difference(broker="b", account="A", symbol="AAPL", leg="NET", book=side(book), reported=side(reported))


def test_a_difference_is_what_the_book_has_more_than_the_broker():
    assert difference("100", "150").quantity_difference == Decimal(-50)
    assert difference("-5", None).quantity_difference == Decimal(-5)
    assert difference(None, "-5").quantity_difference == Decimal(5)


def test_a_difference_of_38_digits_is_not_rounded():
    assert (
        str(difference("12345678901.123456789012345678", "0.000000000000000001").quantity_difference)
        == "12345678901.123456789012345677"
    )


def test_the_effects_of_all_terms_and_the_residual_are_the_difference():
    missed = Term(
        id="f1", kind="fill", cause="MISSED_FILL", broker="b", account="A", symbol="AAPL", leg="NET",
        quantity=Decimal(40), on=date(2026, 11, 20),
    )  # fmt: skip
    left = Explanation(status="PARTLY", cause="MISSED_FILL", residual=Decimal(-10), terms=(missed,))
    assert sum(term.effect for term in left.terms) + left.residual == difference("100", "150").quantity_difference
    assert not left.explained


def test_fees_are_taken_from_a_profit_and_an_unknown_price_leaves_it_unknown():
    known = ProfitAndLoss(method="fifo", currency="USD", realised=Decimal(100), cash_in_lieu=Decimal("7.5"), fees=Decimal("1.25"))
    assert known.total == Decimal("106.25")
    unknown = ProfitAndLoss(method="average", currency=None, realised=None, cash_in_lieu=Decimal(0), fees=Decimal(0))
    assert unknown.total is None


def test_a_difference_of_many_digits_is_exact():
    many = difference("12345678901234567890.123456789012345678", "0.000000000000000001")
    assert many.quantity_difference == Decimal("12345678901234567890.123456789012345677")
