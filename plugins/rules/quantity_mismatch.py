"""QUANTITY_MISMATCH: both sides hold the position, in different amounts."""

from recon_core import Rule, hookimpl


class QuantityMismatch(Rule):
    """Book and broker disagree on how much is held.

    What it looks for
        Both sides have the position and the signed quantities differ by more than ``tolerance``. A difference within a
        loosened tolerance is still a break when it is worth more than ``tolerance_value``, or nobody knows its worth.
    Why it matters
        A missed partial fill or an unbooked split sizes every later order wrongly.
    What to do
        Compare fills since the last proven run; check for a split; correct the book to the broker.
    """

    type = "QUANTITY_MISMATCH"
    title = "Quantities disagree"
    severity = "high"
    params = {
        "tolerance": {"type": "number", "minimum": 0, "default": 0, "description": "Units of difference that still match."},
        "tolerance_value": {
            "type": "number",
            "minimum": 0,
            "default": 1000,
            "description": "Money, in base currency, above which a difference within `tolerance` is a break all the same.",
        },
    }
    when = """in_book and at_broker and (abs(quantity_difference) > $tolerance
        or ($tolerance > 0 and quantity_difference <> 0
            and coalesce(abs(quantity_difference) * unit_value > $tolerance_value, true)))"""
    measure = ("abs(quantity_difference)", "abs(broker_quantity)")
    halt = {"above_pct": 10}
    impact = "abs(quantity_difference) * unit_value"
    detail = "book {book_quantity}, broker {broker_quantity} ({difference_pct}% apart)"


@hookimpl
def recon_register_rules() -> list[type[Rule]]:
    return [QuantityMismatch]
