"""MISSING_AT_BROKER: the book holds a position that the broker does not."""

from recon_core import Rule, hookimpl


class MissingAtBroker(Rule):
    """The book holds a position that the broker does not report.

    What it looks for
        A position in the book that is absent from a feed which is proven complete for its account and asset class.
    Why it matters
        The firm believes in a position that it cannot sell: a phantom fill, a close by the broker, an expiry or a
        transfer that was never booked. Hedges and limits are computed on something that is not there.
    What to do
        Look for a closing fill, an assignment, an expiry or a transfer since the last clean day, and for the same
        instrument under another spelling; then correct the book to the broker.
    """

    type = "MISSING_AT_BROKER"
    title = "In the book, not at the broker"
    severity = "critical"
    halt = "always"
    when = "in_book and not at_broker"
    impact = "abs(quantity_difference) * unit_value"
    detail = "book holds {book_quantity}, broker reports none"


@hookimpl
def recon_register_rules() -> list[type[Rule]]:
    return [MissingAtBroker]
