"""The columns that rules and policies speak of, and their exact SQL types: of a pair, of a break, of a total."""

from __future__ import annotations

from collections.abc import Iterable

QUANTITY = "DECIMAL(38,18)"
PRICE = "DECIMAL(38,12)"
MULTIPLIER = "DECIMAL(18,6)"
RATE = "DECIMAL(28,14)"  # a rate of 12 decimals, or the hundredth of one: of pence, agorot, cents
EXACT = "DECIMAL(38,18)"
MONEY = "DECIMAL(38,4)"

PAIR_COLUMNS: dict[str, str] = {
    "broker": "VARCHAR",
    "account": "VARCHAR",
    "symbol": "VARCHAR",
    "leg": "VARCHAR",
    "asset_class": "VARCHAR",
    "isin": "VARCHAR",
    "cusip": "VARCHAR",
    "currency": "VARCHAR",
    "in_book": "BOOLEAN",
    "at_broker": "BOOLEAN",
    "book_quantity": QUANTITY,
    "broker_quantity": QUANTITY,
    "quantity_difference": QUANTITY,
    "difference_pct": "DECIMAL(38,4)",
    "book_avg_price": PRICE,
    "broker_avg_price": PRICE,
    "book_currency": "VARCHAR",
    "broker_currency": "VARCHAR",
    "book_multiplier": MULTIPLIER,
    "broker_multiplier": MULTIPLIER,
    "multiplier": MULTIPLIER,
    "price": PRICE,
    "fx_rate": RATE,
    "unit_value": EXACT,
    "book_updated_at": "TIMESTAMP",
    "broker_updated_at": "TIMESTAMP",
    "hours_untouched": "DOUBLE",
    "as_of": "TIMESTAMP",
}
"""The columns of ``pairs``, and their types: the documented view that rules see."""

EXPLAINED_COLUMNS = {"explained": "BOOLEAN", "residual": QUANTITY, "cause": "VARCHAR"}
"""What is known of why quantities differ: whether nothing is left over and nothing in doubt, what is left over (book - broker), and
the cause. NULL where they do not differ, or a side is unproven; of what was not looked into false, the whole difference and
UNEXPLAINED."""

BREAK_COLUMNS = PAIR_COLUMNS | {"type": "VARCHAR", "severity": "VARCHAR", "impact": MONEY} | EXPLAINED_COLUMNS
"""What ``halt: {when: ...}`` sees: the pair, the break's type, severity and impact (NULL where unknown), and what explains it."""

FOUND_COLUMNS = PAIR_COLUMNS | {
    "type": "VARCHAR", "rule": "INTEGER", "related": "VARCHAR", "severity": "VARCHAR", "impact": MONEY,
    "halts": "BOOLEAN", "halt_source": "INTEGER", "counts": "BOOLEAN", "detail": "VARCHAR", **EXPLAINED_COLUMNS,
}  # fmt: skip
"""All that the engine says of a break before any is silenced (see ``match``)."""

KEY_COLUMNS = ("broker", "account", "symbol", "leg")

NARROW_COLUMNS = (
    *KEY_COLUMNS, "type", "rule", "related", "severity", "impact", "halts", "halt_source", "counts", "in_book", "at_broker",
    "book_quantity", "broker_quantity", "quantity_difference",
)  # fmt: skip
"""Those of FOUND_COLUMNS that are asked of all breaks, and not of those alone that are shown: there may be millions."""


def total_columns(types: Iterable[str]) -> dict[str, str]:
    """What ``escalation`` predicates see: the totals of a firm, broker or account over the given break types."""
    base = {"total_impact": MONEY, "missing_count": "BIGINT", "break_count": "BIGINT", "halting_count": "BIGINT"}
    return base | {f"count_{name}": "BIGINT" for name in types}
