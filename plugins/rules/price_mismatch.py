"""PRICE_MISMATCH: both sides hold the position, at different average prices."""

from recon_core import Rule, hookimpl


class PriceMismatch(Rule):
    """Book and broker disagree on the average price of a position.

    What it looks for
        Both sides state an average price and they differ by more than ``tolerance_pct`` of the broker's. Where one side
        states none the rule is undetermined.
    Why it matters
        Realised profit, tax and stop levels are computed from the average price; a wrong one is often the trace of a
        missed fill that a later one hid.
    What to do
        Compare the fills that built the position; look for fees in one price and not in the other.
    """

    type = "PRICE_MISMATCH"
    title = "Average prices disagree"
    severity = "warning"
    halt = "never"
    counts = False
    params = {
        "tolerance_pct": {
            "type": "number",
            "minimum": 0,
            "default": 1,
            "description": "Difference, in percent of the broker's average price, that still matches.",
        },
    }
    when = "in_book and at_broker and abs(book_avg_price - broker_avg_price) * 100 > $tolerance_pct * abs(broker_avg_price)"
    measure = ("abs(book_avg_price - broker_avg_price)", "abs(broker_avg_price)")
    impact = "abs(book_avg_price - broker_avg_price) * abs(broker_quantity) * multiplier * fx_rate"
    detail = "book paid {book_avg_price}, broker says {broker_avg_price}"


@hookimpl
def recon_register_rules() -> list[type[Rule]]:
    return [PriceMismatch]
