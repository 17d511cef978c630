"""What a Flex statement says its positions are worth, in the account's base currency, against what they add up to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from ._flex_reader import Row, Statement

_VALUED = {"STK", "OPT", "BOND", "BILL", "FUND", "WAR", "IOPT", "CRYPTO"}
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


def compared(statement: Statement, account: str, day: date, lines: list[Line], tolerance_pct: Decimal) -> tuple[str, str]:
    """Why the positions of an account do not fit its net asset value, in base currency; second, why that cannot be told."""
    place, names = f"account {account}", ("EquitySummaryInBase", "EquitySummaryByReportDateInBase")
    if not statement.has(names[0]):
        return "", f"{place}: not compared with its net asset value: tick Net Asset Value (NAV) in Base in the Flex query"
    stated = [row for row in statement.rows(*names) if (row.said("accountId") or statement.account) == account]
    stated = [row for row in stated if row.day_of("reportDate") in (None, day)]
    if len(stated) != 1:
        return "", f"{place}: not compared with its net asset value, which the statement has {len(stated)} times for {day}"
    row = stated[0]
    if not any(row.said(name) for name in _TOTALS):
        return "", f"{place}: not compared with its net asset value, of which the query has no part such as Stock"
    if any(row.amount(name) for name in _LENT):
        return "", f"{place}: not compared with its net asset value: stock is lent or borrowed"
    counted = [line for line in lines if line.quantity and line.category not in _NOT_IN_THE_TOTAL]
    odd = sorted({line.symbol for line in counted if line.category not in _VALUED or line.base_value is None})
    if odd:
        return (
            "",
            f"{place}: not compared with its net asset value: no positionValue, fxRateToBase or known category of"
            f" {', '.join(odd[:5])}",
        )
    values = [line.base_value or Decimal(0) for line in counted]
    both = all(row.said(f"{name}Long") and row.said(f"{name}Short") for name in _TOTALS if row.said(name))
    parts = ("Long", "Short") if both else ("",)
    figures = {part: sum((row.amount(name + part) or Decimal(0) for name in _TOTALS), Decimal(0)) for part in parts}
    gross = sum((abs(figure) for figure in figures.values()), Decimal(0))
    allowed = gross * tolerance_pct / 100 + _CENT * len(counted)
    for part, figure in figures.items():
        wanted = [value for value in values if not part or (value > 0) == (part == "Long")]
        found = sum(wanted, Decimal(0))
        if abs(found - figure) > allowed:
            said = f"{part.lower()} " if part else ""
            return (
                f"{place}: its net asset value has {figure:f} of {said}securities (EquitySummaryInBase of {day}, base currency),"
                f" its positions are worth {found.normalize():f}: positions may be missing"
            ), ""
    return "", ""
