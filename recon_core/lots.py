"""What a holding cost, and what closing parts of it realised: by average cost or first in, first out, exactly.

Numbers are fractions inside, so that a third of a cost is a third; they are rounded once, when they leave (``as_decimal``).
Quantities are signed as positions are; prices and money are per unit of multiplier 1.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from recon_core.model import PRICE_PLACES

Method = Literal["average", "fifo"]

_FINE = 10**100
_TOO_FINE = 10**200


@dataclass(slots=True)
class Lot:
    """Units of one sign, and what was paid for them all (negative for a short; None: not known)."""

    quantity: Fraction
    cost: Fraction | None


@dataclass(slots=True)
class Holding:
    """The lots of one position, oldest first; by ``average`` there is one. ``realised`` is None once a cost was not known."""

    method: Method
    lots: deque[Lot] = field(default_factory=deque)
    realised: Fraction | None = Fraction(0)

    @property
    def quantity(self) -> Fraction:
        """The units held."""
        return sum((lot.quantity for lot in self.lots), Fraction(0))

    @property
    def cost(self) -> Fraction | None:
        """What all of them cost; None where that of any is not known."""
        costs = [lot.cost for lot in self.lots]
        return None if None in costs else sum((cost for cost in costs if cost is not None), Fraction(0))

    @property
    def price(self) -> Fraction | None:
        """The average cost of a unit; None where nothing is held or a cost is not known."""
        held, cost = self.quantity, self.cost
        return cost / held if cost is not None and held else None

    def trade(self, quantity: Fraction, price: Fraction | None) -> None:
        """Buy (negative: sell) at a price: what closes lots realises, what is left over opens one."""
        self.open(self.close(quantity, price), price)

    def carry(self, quantity: Fraction, price: Fraction | None) -> None:
        """Units come at what they cost, or go with what they cost: nothing is realised."""
        before = self.realised
        rest = self.close(quantity, None)
        self.realised = before
        self.open(rest, price)

    def close(self, quantity: Fraction, price: Fraction | None) -> Fraction:
        """Close lots of the other sign at a price, the oldest first; returns what is left of ``quantity``."""
        while quantity and self.lots and (self.lots[0].quantity > 0) != (quantity > 0):
            lot = self.lots[0]
            closed = min(abs(quantity), abs(lot.quantity)) * (1 if quantity > 0 else -1)
            part = None if lot.cost is None else _bounded(-lot.cost * closed / lot.quantity)
            if price is None or part is None or self.realised is None:
                self.realised = None
            else:
                self.realised -= closed * price + part
            quantity -= closed
            lot.quantity += closed
            if part is not None and lot.cost is not None:
                lot.cost -= part
            if not lot.quantity:
                self.lots.popleft()
        return quantity

    def open(self, quantity: Fraction, price: Fraction | None) -> None:
        """Add units of the sign that is held, or to none."""
        if quantity:
            self.lots.append(Lot(quantity, None if price is None else quantity * price))
        if self.method == "average" and len(self.lots) > 1:
            self.lots = deque([Lot(self.quantity, self.cost)])

    def scale(self, change: Fraction, fraction: Fraction | None = Fraction(0)) -> None:
        """So many more (or fewer) units stand for the same holding, as after a split.

        ``fraction`` of a unit was to come, too, and was paid in money: its cost is realised, and goes. None: how much of one is
        not known. The holding keeps its sign and is not flat before or after.
        """
        before = self.quantity
        after = before + change
        for lot in self.lots:
            lot.quantity = lot.quantity * after / before
            if fraction and lot.cost is not None:
                kept = lot.cost * after / (after + fraction)
                if self.realised is not None:
                    self.realised -= lot.cost - kept
                lot.cost = kept
        if fraction is None:
            self.realised = None
            for lot in self.lots:
                lot.cost = None

    def take_back(self, quantity: Fraction, price: Fraction | None) -> None:
        """Undo a trade that is part of what is held: what it opened goes at its own price, what it closed is there again."""
        held, average = self.quantity, self.price
        left, cost = held - quantity, None
        opened = (held > 0) == (quantity > 0) and abs(quantity) <= abs(held)
        through_zero = not opened and held * quantity > 0
        if price is None or average is None or through_zero:
            self.realised = self.realised if opened else None
        elif opened:
            cost = held * average - quantity * price
        else:
            cost = left * average
            self.realised = None if self.realised is None else self.realised + quantity * (price - average)
        self.lots = deque([Lot(left, cost)] if left else ())


def as_decimal(number: Fraction, places: int = PRICE_PLACES) -> Decimal:
    """The nearest number of that many decimals, half to even."""
    return Decimal(f"{round(number * 10**places)}E-{places}")


def _bounded(number: Fraction) -> Fraction:
    """The number; one that hundreds of divisions made long is cut at 100 decimals, far below what is rounded in the end."""
    return number if number.denominator < _TOO_FINE else Fraction(round(number * _FINE), _FINE)
