"""What a Flex statement says is held: positions without counting anything twice, cash, and the account's own totals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from typing import TypeVar

from recon_core import Cash, ControlTotal, MalformedError, Position, RequestError

from ._flex_reader import Row, Statement
from ._flex_totals import Line, compared

ASSET_CLASSES = {
    "STK": "equity",
    "OPT": "option",
    "FUT": "future",
    "CASH": "forex",
    "BOND": "bond",
    "FUND": "fund",
    "CRYPTO": "crypto",
}
"""The engine's words for IBKR's categories; any other passes through in lower case."""

OCC = re.compile(r"(?=.{21}$)([A-Z0-9.]{1,6}) *(\d{6}[CP]\d{8})", re.ASCII)
PER_CENT_OF_PAR = ("BOND", "BILL")
_PRICED = {"STK", "OPT", "FUT", "FOP"}
_CENT = Decimal("0.01")
_PLACES = Decimal("1e-12")
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Held:
    """The positions of one statement, as of ``day``; ``trouble`` says why they are not all, ``notes`` what a person should know."""

    statement: Statement
    day: date
    positions: tuple[Position, ...]
    accounts: tuple[str, ...]
    cash: tuple[Cash, ...] = ()
    totals: tuple[ControlTotal, ...] = ()
    trouble: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def held_in(statement: Statement, tolerance_pct: Decimal) -> Held:
    """The positions, cash and totals of a statement. Raises RequestError where the query does not ask for positions at all."""
    with localcontext() as context:
        context.prec = 120  # every sum and product of numbers of 30 digits before and behind the point is exact
        return _held_in(statement, tolerance_pct)


def _held_in(statement: Statement, tolerance_pct: Decimal) -> Held:
    if not statement.has("OpenPositions"):
        raise RequestError(
            f"{statement.place}: there is no section OpenPositions, so what is held is not said (no empty account!): in Client"
            " Portal, Performance & Reports > Flex Queries, edit the query and tick Open Positions (Summary); nothing was compared"
        )
    for section in statement.element.findall("OpenPositions"):
        for element in section:
            if element.tag != "OpenPosition":
                raise MalformedError(
                    f"{statement.place}: OpenPositions holds <{str(element.tag)[:40]}> where <OpenPosition> is due;"
                    " nothing was compared"
                )
    lines = [_line(row, statement.account) for row in statement.rows("OpenPositions", "OpenPosition")]
    groups: dict[tuple[str | None, ...], list[Line]] = {}
    for line in lines:
        groups.setdefault(line.key, []).append(line)
    notes: list[str] = []
    used = {key: _used(group, notes) for key, group in groups.items()}
    positions = [_position(group, notes) for group in used.values()]
    _refuse_shared_symbols(statement, [group[0] for group in used.values()])
    accounts = sorted({line.account for line in lines if line.account} | ({statement.account} if statement.account else set()))
    day = _day(statement, lines)
    trouble: list[str] = []
    totals: list[ControlTotal] = []
    for account in accounts:
        rows = [line for group in used.values() for line in group if line.account == account]
        found = compared(statement, account, day, rows, tolerance_pct)
        trouble += [found.trouble] if found.trouble else []
        notes += [found.remark] if found.remark else []
        held = [position for position in positions if position.account == account]
        worth = _value(held)
        if found.total is not None and worth is not None and abs(worth - found.total.stated) <= found.total.tolerance:
            totals.append(found.total)  # prices are rounded, and positionValue, which met it, is not
    if statement.early:
        notes.append(
            f"{statement.place}: made on {statement.generated:%Y-%m-%d at %H:%M}, before the close of the day that it is of"
        )
    cash = tuple(_cash(statement))
    return Held(statement, day, tuple(positions), tuple(accounts), cash, tuple(totals), tuple(trouble), tuple(notes))


def symbol_of(row: Row, category: str, what: str) -> tuple[str, str | None]:
    """The symbol, and IBKR's own spelling where that is another: OCC symbols lose the blanks that pad their root."""
    raw = row.due("symbol", what)
    found = OCC.fullmatch(raw) if category == "OPT" else None
    symbol = found[1] + found[2] if found else raw
    written = row.value["symbol"]
    return symbol, written if written != symbol else None


def price_per_unit(
    category: str, price: Decimal | None, quantity: Decimal, multiplier: Decimal | None, money: Decimal | None
) -> Decimal | None:
    """A price as money per unit: those of bonds are in per cent of par, unless their value says otherwise."""
    if price is None or category not in PER_CENT_OF_PAR:
        return price
    whole = price * quantity * (1 if multiplier is None else multiplier)
    return price if money is not None and whole and abs(whole - money) < abs(whole / 100 - money) else price / 100


def _line(row: Row, inherited: str | None) -> Line:
    account = row.said("accountId") or inherited
    category = (row.said("assetCategory") or "").upper()
    symbol, _ = symbol_of(row, category, "Symbol")
    row.due("position", "Quantity")
    quantity = row.amount("position")
    if quantity is None:
        raise row.wrong("position", "a number")
    side = (row.said("side") or "").lower()
    if (side == "long" and quantity < 0) or (side == "short" and quantity > 0):
        raise MalformedError(
            f"{row.place}: side {row.said('side')} and position {quantity} contradict each other; nothing was compared"
        )
    value, rate, base_value = row.amount("positionValue"), row.amount("fxRateToBase"), row.amount("positionValueInBase")
    if base_value is None and value is not None and rate is not None:
        base_value = value * rate
    return Line(row, account, category, symbol, row.said("conid"), quantity, value, base_value)


def _used(group: list[Line], notes: list[str]) -> list[Line]:
    """The rows of one instrument that are added up: its summary, or else its lots. Never both."""
    if len(group) == 1:
        return group
    details = [(line.row.said("levelOfDetail") or "").upper() for line in group]
    first = group[0]
    if not any(details):
        group, details = _told_apart(group, notes)
    summaries = [line for line, detail in zip(group, details, strict=True) if detail == "SUMMARY"]
    lots = [line for line, detail in zip(group, details, strict=True) if detail != "SUMMARY"]
    if not summaries:
        levels = sorted(set(details))
        if len(levels) > 1:
            raise MalformedError(
                f"{first.row.place}: {first.symbol} has rows of levelOfDetail {', '.join(map(repr, levels))}: which of them add up"
                " is not known; nothing was compared"
            )
        return lots
    if len(summaries) > 1 and len({line.row.said("model") for line in summaries}) < len(summaries):
        raise MalformedError(
            f"{summaries[1].row.place}: {first.symbol} has a summary twice in account {first.account}; nothing was compared"
        )
    total = sum(line.quantity for line in summaries)
    if lots and sum(line.quantity for line in lots) != total:
        notes.append(f"{first.symbol}: its lots do not add up to its summary of {total}; the summary is used")
    return summaries


def _told_apart(group: list[Line], notes: list[str]) -> tuple[list[Line], list[str]]:
    """Rows without levelOfDetail: lots, unless one of them may be their summary."""
    dated = [line.row.said("openDateTime", "originatingTransactionID", "originatingOrderID") is not None for line in group]
    if any(dated) and not all(dated):
        return group, ["LOT" if lot else "SUMMARY" for lot in dated]
    total = sum(line.quantity for line in group)
    if not all(dated) and any(line.quantity * 2 == total for line in group):
        raise RequestError(
            f"{group[0].row.place}: {group[0].symbol} has {len(group)} rows, which may be a summary and its lots or lots alone:"
            " tick Level of Detail in the Open Positions of the Flex query; nothing was compared"
        )
    notes.append(
        f"{group[0].symbol}: {len(group)} rows without levelOfDetail are added up as lots (tick Level of Detail in the query)"
    )
    return group, ["LOT"] * len(group)


def _position(group: list[Line], notes: list[str]) -> Position:
    """One position of the rows of one instrument."""
    first = group[0]
    row = first.row
    quantity = sum((line.quantity for line in group), Decimal(0))
    symbol, raw = symbol_of(row, first.category, "Symbol")
    multiplier = _common([line.row.amount("multiplier") for line in group])
    price = _common([_market_price(line, notes) for line in group])
    return Position(
        account=first.account,
        symbol=symbol,
        raw_symbol=raw,
        asset_class=ASSET_CLASSES.get(first.category, first.category.lower()) or None,
        currency=_common([line.row.said("currency") for line in group]),
        quantity=quantity,
        avg_price=_average(group),
        market_price=price,
        multiplier=multiplier,
        isin=row.said("isin"),
        cusip=row.said("cusip"),
    )


def _market_price(line: Line, notes: list[str]) -> Decimal | None:
    """The price per unit, which must give the value that the row states."""
    price, multiplier = line.row.amount("markPrice"), line.row.amount("multiplier")
    price = price_per_unit(line.category, price, line.quantity, multiplier, line.value)
    if price is None or line.value is None:
        return price
    units = line.quantity * (1 if multiplier is None else multiplier)
    if abs(units * price - line.value) <= max(_CENT * abs(units), _CENT):
        return price
    if line.category in _PRICED and multiplier is not None:
        raise MalformedError(
            f"{line.row.place}: position {line.quantity} x markPrice {price} x multiplier {multiplier} is not its positionValue"
            f" {line.value}; nothing was compared"
        )
    notes.append(f"{line.symbol}: its markPrice is left out, for it does not give its positionValue of {line.value}")
    return None


def _value(positions: Iterable[Position]) -> Decimal | None:
    """What the engine makes of positions, None where one has no price."""
    worth = Decimal(0)
    for position in positions:
        if position.quantity and position.market_price is None:
            return None
        worth += position.quantity * (position.market_price or 0) * (1 if position.multiplier is None else position.multiplier)
    return worth


def _average(group: list[Line]) -> Decimal | None:
    """The average cost of a unit: weighted by quantity over lots, to 12 decimals where it is not exact."""
    prices = []
    for line in group:
        multiplier, money = line.row.amount("multiplier"), line.row.amount("costBasisMoney")
        price = line.row.amount("costBasisPrice")
        prices.append(price_per_unit(line.category, price, line.quantity, multiplier, money))
    if len(group) == 1:
        return prices[0]
    total = sum((line.quantity for line in group), Decimal(0))
    same_side = len({line.quantity > 0 for line in group if line.quantity}) == 1
    if not total or not same_side or None in prices:
        return None
    cost = sum((line.quantity * price for line, price in zip(group, prices, strict=True) if price is not None), Decimal(0))
    average = cost / total
    return average if average * total == cost and average == average.quantize(_PLACES) else average.quantize(_PLACES)


def _common(values: Sequence[_Value | None]) -> _Value | None:
    """What all rows say, None where they differ."""
    return values[0] if all(value == values[0] for value in values) else None


def _refuse_shared_symbols(statement: Statement, lines: Iterable[Line]) -> None:
    """One symbol for two instruments of an account: which one the book means cannot be told."""
    seen: dict[tuple[str | None, str], Line] = {}
    for line in lines:
        other = seen.setdefault((line.account, line.symbol), line)
        if other is not line:
            raise MalformedError(
                f"{line.row.place}: {line.symbol} is conid {other.conid} ({other.category}) and conid {line.conid}"
                f" ({line.category}) in account {line.account}: which one the book means is not known; nothing was compared"
            )


def _day(statement: Statement, lines: Iterable[Line]) -> date:
    """The day that the positions are of: the one that all of them report, else the statement's last."""
    days = sorted({day for line in lines if (day := line.row.day_of("reportDate")) is not None})
    if len(days) > 1:
        raise MalformedError(
            f"{statement.place}: OpenPositions are of several days ({days[0]} and {days[-1]}), so what is"
            " held is not known; nothing was compared"
        )
    if days and days[0] > statement.day:
        raise MalformedError(
            f"{statement.place}: positions of {days[0]} in a statement that ends on {statement.day}; nothing was compared"
        )
    return days[0] if days else statement.day


def _cash(statement: Statement) -> Iterable[Cash]:
    for row in statement.rows("CashReport", "CashReportCurrency"):
        currency, amount = row.said("currency"), row.amount("endingCash")
        if currency and currency != "BASE_SUMMARY" and amount is not None:
            account = row.said("accountId") or statement.account
            yield Cash(currency=currency, amount=amount, account=account, settled=row.amount("endingSettledCash"))
