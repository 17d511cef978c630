"""Positions, events and explanations for the tests of what a correction is and what it means in money."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from recon_core.evidence import Fill
from recon_core.explanation import Difference, Explanation, Term
from recon_core.model import Position

MORNING = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)


def held(quantity: str, price: str | None = None, **more: Any) -> Position:
    more = {"currency": "USD"} | more
    return Position(symbol="AAPL", quantity=Decimal(quantity), avg_price=None if price is None else Decimal(price), **more)


def term(quantity: str, price: str | None = None, *, hours: int | None = 0, kind: str = "fill", **more: Any) -> Term:
    """Something that changed the position at the broker by ``quantity``, so many hours after the morning (None: of that day)."""
    at = None if hours is None else MORNING + timedelta(hours=hours)
    number = {name: Decimal(more.pop(name)) for name in ("amount", "fee", "multiplier") if name in more}
    given: dict[str, Any] = {
        "id": f"{kind}{hours}{quantity}", "cause": "MISSED_FILL", "on": (at or MORNING).date(), "at": at,
        "price": None if price is None else Decimal(price),
    }  # fmt: skip
    fixed: dict[str, Any] = {"broker": "b", "account": "A", "symbol": "AAPL", "leg": "NET", "currency": "USD", "kind": kind}
    return Term(**(fixed | given | number | more), quantity=Decimal(quantity))


def fill(quantity: str, price: str, hours: int, identity: str = "") -> Fill:
    return Fill(
        id=identity or f"own{hours}", symbol="AAPL", quantity=Decimal(quantity), price=Decimal(price),
        traded_at=MORNING + timedelta(hours=hours),
    )  # fmt: skip


def explained(*terms: Term) -> Explanation:
    return Explanation(status="EXPLAINED", cause=terms[0].cause, residual=Decimal(0), terms=terms)


def difference(book: Position | None, reported: Position | None, **more: Any) -> Difference:
    return Difference(**{"broker": "b", "account": "A", "symbol": "AAPL", "leg": "NET", "book": book, "reported": reported} | more)
