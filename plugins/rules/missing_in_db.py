"""MISSING_IN_DB: the broker holds a position that the book does not."""

from recon_core import Rule, hookimpl


class MissingInDb(Rule):
    """The broker reports a position that is not in the book.

    What it looks for
        A position in the feed whose account and symbol the book does not have.
    Why it matters
        The firm carries a risk that no strategy manages: a missed fill, a manual trade, an assignment or a corporate
        action that created a new line.
    What to do
        Find the fill or the event that created it; enter it in the book at the broker's price, or close it.
    """

    type = "MISSING_IN_DB"
    title = "At the broker, not in the book"
    severity = "critical"
    halt = "always"
    when = "at_broker and not in_book"
    impact = "abs(quantity_difference) * unit_value"
    detail = "broker reports {broker_quantity}, book holds none"


@hookimpl
def recon_register_rules() -> list[type[Rule]]:
    return [MissingInDb]
