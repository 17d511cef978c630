"""What is said of an incident: its cause in a heading, and the one thing to do first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SEPARATOR = "\x1f"
"""Between the parts of what an incident is ``about``."""

_EVENTS = {
    "CORPORATE_ACTION": "One corporate action",
    "SYMBOL_CHANGE": "One change of symbol",
    "OPTION_EXPIRY": "One expiry",
    "EXERCISE": "One exercise",
    "ASSIGNMENT": "One assignment",
    "TRANSFER": "One transfer",
}


def title(row: Mapping[str, Any]) -> str:
    """The cause, and how many positions it concerns; ``row`` is an incident as ``incidents.gathered`` reads it."""
    positions = f"{row['positions']:,} position{'' if row['positions'] == 1 else 's'}"
    where = _place(row)
    parts = row["about"].split(SEPARATOR)
    match row["kind"]:
        case "event":
            return f"{_EVENTS.get(parts[-1], 'One event')} at {where}: {_symbols(row)}"
        case "mapping":
            return f"One instrument under two names at {where}: {row['mapped']} in the book, {row['related']} at the broker"
        case "ratio":
            return f"{positions} at {where}: {_ratio(parts)}"
        case "feed":
            return f"Book and broker agree on no position at {row['broker']}: {_sides(row)}"
        case _:
            return f"Every position at {where} is {row['about']}: {positions}"


def action(row: Mapping[str, Any]) -> str:
    """What to do first: once, instead of once a break."""
    where, parts = _place(row), row["about"].split(SEPARATOR)
    match row["kind"]:
        case "event":
            return f"Look at `recon-core breaks explain {row['ids'][0]}`, and correct these breaks together."
        case "mapping":
            alias = f"`{row['related']}: {row['mapped']}`"
            return f"Add {alias} to `aliases` of broker {row['broker']} in recon.yaml; correct no position."
        case "ratio":
            return f"Check in which units {where} is kept and reported ({_suspects(parts)}), and mend that, not the positions."
        case "feed":
            return (
                f"Look at the feed of broker {row['broker']} and at how the book of it was loaded, account names included, "
                "before any single position."
            )
        case _:
            names = (
                f", at `accounts` of broker {row['broker']} in recon.yaml" if row["only_in_book"] + row["only_at_broker"] else ""
            )
            return f"Look at how account {row['account']} was loaded into the book{names}, before any single position."


def _place(row: Mapping[str, Any]) -> str:
    return f"{row['broker']}/{row['account']}" if row["account"] is not None else str(row["broker"])


def _symbols(row: Mapping[str, Any]) -> str:
    """The symbols that an event concerns, and in how many accounts."""
    left = row["symbol_count"] - len(row["symbols"])
    told = ", ".join(row["symbols"]) + (f" and {left:,} more" if left else "")
    return f"{told} in {row['accounts']:,} accounts" if row["accounts"] > 1 else told


def _ratio(parts: list[str]) -> str:
    if parts[0] == "sign":
        return "the sign alone differs"
    factor = "their multiplier" if parts[1] == "multiplier" else parts[1]
    what = "quantities" if parts[0] == "quantity" else "average prices"
    other = "the broker's" if parts[2] == "book" else "the book's"
    return f"the {parts[2]}'s {what} are {factor} times {other}"


def _suspects(parts: list[str]) -> str:
    if parts[0] == "sign":
        return "which side is short"
    if parts[0] == "price":
        return "pence against pounds, a price of a contract against that of a unit"
    return "contracts against units, lots, a booking that ran more than once"


def _sides(row: Mapping[str, Any]) -> str:
    differing = row["positions"] - row["only_in_book"] - row["only_at_broker"]
    told = (
        (row["only_in_book"], "only in the book"),
        (row["only_at_broker"], "only at the broker"),
        (differing, "in another quantity"),
    )
    return ", ".join(f"{count:,} {where}" for count, where in told if count)
