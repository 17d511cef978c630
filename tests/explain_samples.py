"""Differences and evidence of one broker, for the tests of explanations."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from recon_core.evidence import Evidence, Fill
from recon_core.explain import explain
from recon_core.explanation import Difference, Explanation
from recon_core.model import Position
from recon_core.terms import Told

AS_OF = datetime(2026, 11, 20, 21, tzinfo=UTC)


def position(quantity: str | None, symbol: str = "AAPL", **more: Any) -> Position | None:
    return None if quantity is None else Position(symbol=symbol, quantity=Decimal(quantity), **more)


def difference(book: str | None, reported: str | None, symbol: str = "AAPL", **more: Any) -> Difference:
    """A position of account MAIN at broker prime; ``ours`` and ``theirs`` are more fields of either side."""
    leg = more.pop("leg", "NET")
    ours, theirs = ({"leg": leg} | more.pop(side, {}) for side in ("ours", "theirs"))
    return Difference(
        **{"broker": "prime", "account": "MAIN", "symbol": symbol, "leg": leg}
        | {"book": position(book, symbol, **ours), "reported": position(reported, symbol, **theirs)}
        | more
    )


def fill(quantity: str, *, id: str = "f1", at: datetime = AS_OF, symbol: str = "AAPL", price: str = "10", **more: Any) -> Fill:  # noqa: A002
    return Fill(id=id, symbol=symbol, quantity=Decimal(quantity), price=Decimal(price), traded_at=at, **{"account": "MAIN"} | more)


def told(*, broker: str = "prime", **more: Any) -> Told:
    """What the broker told: fields of Evidence, and of Told."""
    evidence = {name: more.pop(name) for name in list(more) if name in Evidence.__slots__ and name != "since"}
    return Told(broker=broker, evidence=Evidence(**evidence), **more)


def explained(one: Difference, *, as_of: datetime = AS_OF, **more: Any) -> Explanation:
    return explain([one], {one.broker: told(broker=one.broker, **more)}, as_of=as_of)[one.key]
