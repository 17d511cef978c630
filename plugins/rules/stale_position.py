"""STALE_POSITION: the book's row has not been confirmed for too long."""

from recon_core import Rule, hookimpl


class StalePosition(Rule):
    """The book's source has not confirmed a position for a day or more.

    What it looks for
        A position in the book whose ``updated_at`` is ``older_than_hours`` or more before the run's as-of time. A row
        without a time, or with one in the future, is undetermined.
    Why it matters
        A row that nobody touches is how a dead feed, a stuck strategy or a forgotten manual position looks.
    What to do
        Check that the process which writes the row is alive; confirm or close the position.
    """

    type = "STALE_POSITION"
    title = "Not confirmed for too long"
    severity = "info"
    halt = "never"
    counts = False
    params = {
        "older_than_hours": {
            "type": "number",
            "minimum": 0,
            "default": 24,
            "description": "Hours without confirmation from which a position is stale.",
        },
    }
    when = "in_book and hours_untouched >= $older_than_hours"
    detail = "last confirmed {book_updated_at} UTC, {older_than_hours} hours or more before {as_of}"


@hookimpl
def recon_register_rules() -> list[type[Rule]]:
    return [StalePosition]
