"""Differences and evidence of one broker, for the tests of explanations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

from recon_core.evidence import CorporateAction, Evidence, Fill, Movement
from recon_core.explain import explain
from recon_core.explanation import EXACT, Difference, Explanation
from recon_core.model import Position
from recon_core.terms import Told

AS_OF = datetime(2026, 11, 20, 21, tzinfo=UTC)
TODAY = AS_OF.date()
_MONEY = ("price", "amount", "fee", "old_rate", "new_rate", "cash_per_unit", "avg_price", "multiplier")


def hours(count: float) -> datetime:
    """So many hours before the run."""
    return AS_OF - timedelta(hours=count)


def days(count: int) -> date:
    """So many days before the day of the run."""
    return TODAY - timedelta(days=count)


def difference(book: str | None, reported: str | None, symbol: str = "AAPL", **more: Any) -> Difference:
    """A position of account MAIN at broker prime; ``ours`` and ``theirs`` are more fields of either side."""
    leg = more.pop("leg", "NET")
    sides = {
        side: None if quantity is None else Position(symbol=symbol, quantity=Decimal(quantity), leg=leg, **_exact(fields))
        for side, quantity, fields in (("book", book, more.pop("ours", {})), ("reported", reported, more.pop("theirs", {})))
    }
    return Difference(**{"broker": "prime", "account": "MAIN", "symbol": symbol, "leg": leg} | sides | more)


def fill(quantity: str, number: str = "f1", at: datetime = AS_OF, *, symbol: str = "AAPL", **more: Any) -> Fill:
    fields = {"account": "MAIN", "price": "10"} | more
    return Fill(id=number, symbol=symbol, quantity=Decimal(quantity), traded_at=at, **_exact(fields))


def moved(kind: str, quantity: str | None, number: str = "m1", on: date = TODAY, **more: Any) -> Movement:
    fields = {"account": "MAIN", "symbol": "AAPL"} | more
    return Movement(
        id=number, kind=kind, occurred_on=on, quantity=None if quantity is None else Decimal(quantity), **_exact(fields)
    )


def action(kind: str, *, on: date = TODAY, **more: Any) -> CorporateAction:
    return CorporateAction(**{"id": "ca1", "kind": kind, "symbol": "AAPL", "ex_date": on} | _exact(more))


def told(broker: str = "prime", **more: Any) -> Told:
    """What the broker told: fields of Evidence (but for ``since``), and of Told."""
    evidence = {name: more.pop(name) for name in list(more) if name in Evidence.__slots__ and name != "since"}
    return Told(broker=broker, evidence=Evidence(**evidence), **more)


def explained(one: Difference, *, as_of: datetime = AS_OF, **more: Any) -> Explanation:
    """The explanation of one difference by what its broker told."""
    return explained_all([one], as_of=as_of, **more)[0]


def explained_all(some: Sequence[Difference], *, as_of: datetime = AS_OF, **more: Any) -> list[Explanation]:
    found = explain(some, {some[0].broker: told(**more)}, as_of=as_of)
    for one in some:  # what holds of every explanation
        why = found[one.key]
        with localcontext(EXACT):
            assert sum((term.effect for term in why.terms), Decimal(0)) + why.residual == one.quantity_difference
        assert (why.status == "EXPLAINED") == (not why.residual)
        assert why.why
        assert why.cause in why.causes
    return [found[one.key] for one in some]


def _exact(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: Decimal(value) if name in _MONEY and value is not None else value for name, value in fields.items()}
