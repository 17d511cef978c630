"""CONCENTRATION_LIMIT: one position at a broker is worth more than the firm allows."""

from recon_core import Rule, hookimpl


class ConcentrationLimit(Rule):
    """A single position is larger than the house limit, whatever the book says.

    What it looks for
        Positions at the broker whose market value, long or short, is above ``limit`` in base currency. A position whose
        price or rate is not known is undetermined.
    Why it matters
        A strategy that runs away shows first as one position that is far too large.
    What to do
        Reduce the position, or have the limit raised in the policy for that account by who may do so.
    """

    type = "CONCENTRATION_LIMIT"
    title = "One position is too large"
    severity = "high"
    halt = "never"
    counts = False
    params = {
        "limit": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 250000,
            "description": "Largest market value of one position, in base currency.",
        },
    }
    when = "at_broker and abs(broker_quantity) * unit_value > $limit"
    impact = "abs(broker_quantity) * unit_value"
    detail = "{broker_quantity} held at the broker, above the limit of {limit}"


@hookimpl
def recon_register_rules() -> list[type[Rule]]:
    return [ConcentrationLimit]
