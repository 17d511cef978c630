"""What a Flex statement says its positions are worth, in the account's base currency, against what they add up to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from recon_core import ControlTotal

from ._flex_reader import Row, Statement

_COLUMNS = {"STK": "stock", "OPT": "options", "BOND": "bonds", "BILL": "bonds", "FUND": "funds", "CRYPTO": "crypto"}
_NOT_IN_THE_TOTAL = {"FUT", "CFD", "FXCFD", "CASH"}  # only their profit is in the net asset value
_TOTALS = ("stock", "options", "bonds", "notes", "funds", "crypto", "commodities")
_LENT = ("slbCashCollateral", "slbDirectSecuritiesBorrowed", "slbDirectSecuritiesLent")
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Line:
    """One OpenPosition, read."""

    row: Row
    account: str | None
    category: str
    symbol: str
    conid: str | None
    quantity: Decimal
    value: Decimal | None
    base_value: Decimal | None

    @property
    def key(self) -> tuple[str | None, ...]:
        return (self.account, self.conid) if self.conid else (self.account, "", self.category, self.symbol, self.row.said("isin"))


@dataclass(frozen=True, slots=True)
class Compared:
    """``trouble`` is how the positions of an account do not fit its net asset value, ``remark`` why that cannot be told.

    Where they fit, and all of them are in the base currency, ``total`` is what the engine's own sum must come to, too.
    """

    trouble: str = ""
    remark: str = ""
    total: ControlTotal | None = None


def compared(statement: Statement, account: str, day: date, lines: list[Line], tolerance_pct: Decimal) -> Compared:
    """The positions of an account against its net asset value in base currency, long and short where both are stated."""
    names = ("EquitySummaryInBase", "EquitySummaryByReportDateInBase")
    rows = [row for row in statement.rows(*names) if (row.said("accountId") or statement.account) == account]
    rows = [row for row in rows if row.day_of("reportDate") in (None, day)]
    counted = [line for line in lines if line.quantity and line.category not in _NOT_IN_THE_TOTAL]
    reason = _why_not(statement, rows, counted, day)
    if reason:
        return Compared(remark=f"account {account}: not compared with its net asset value: {reason}")
    (row,) = rows
    values = [line.base_value or Decimal(0) for line in counted]
    both = all(row.said(f"{name}Long") and row.said(f"{name}Short") for name in _TOTALS if row.said(name))
    parts = ("Long", "Short") if both else ("",)
    figures = {part: sum((row.amount(name + part) or Decimal(0) for name in _TOTALS), Decimal(0)) for part in parts}
    gross = sum((abs(figure) for figure in figures.values()), Decimal(0))
    allowed = gross * tolerance_pct / 100 + _CENT * len(counted)
    for part, figure in figures.items():
        found = sum((value for value in values if not part or (value > 0) == (part == "Long")), Decimal(0))
        if abs(found - figure) > allowed:
            said = f"{part.lower()} " if part else ""
            return Compared(
                f"account {account}: its net asset value has {figure:f} of {said}securities ({names[0]} of {day}, base currency),"
                f" its positions are worth {found.normalize():f}: positions may be missing"
            )
    of_all = len(counted) == len([line for line in lines if line.quantity]) and (counted or not gross)
    if not of_all or any(line.base_value != line.value for line in counted):
        return Compared()
    return Compared(total=ControlTotal("market_value", sum(figures.values(), Decimal(0)), account, allowed, names[0]))


def _why_not(statement: Statement, rows: list[Row], counted: list[Line], day: date) -> str:
    """Why positions cannot be compared with what these rows state; empty where they can."""
    if not statement.has("EquitySummaryInBase"):
        return "tick Net Asset Value (NAV) in Base in the Flex query"
    if len(rows) != 1:
        return f"the statement has it {len(rows)} times for {day}"
    if not any(rows[0].said(name) for name in _TOTALS):
        return "the query has no part of it such as Stock"
    if any(rows[0].amount(name) for name in _LENT):
        return "stock is lent or borrowed"
    odd = {line.symbol for line in counted if line.base_value is None or rows[0].said(_COLUMNS.get(line.category, "")) is None}
    return f"no positionValue, fxRateToBase or total of the category of {', '.join(sorted(odd)[:5])}" if odd else ""
