"""What explains a difference, and what would mend it: the values between evidence and correction. All frozen and exact.

Two signs meet here. Evidence is signed by what it changes at the broker (a buy is positive); ``quantity_difference`` and
``residual`` are book - broker, as everywhere else. So a missed buy of 50 is a difference of -50: the ``effect`` of a term is the
negative of its quantity, and a difference is the sum of the effects of its terms and the residual, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Context, Decimal
from fractions import Fraction
from typing import Literal

from recon_core.model import Leg, Position

EXACT = Context(prec=400)
"""What adds numbers of 38 digits without rounding any: the ordinary context keeps 28."""

CAUSES = (
    "MISSED_FILL",
    "PARTIAL_FILL",
    "MANUAL_TRADE",
    "CLOSED_BY_BROKER",
    "CORPORATE_ACTION",
    "SYMBOL_CHANGE",
    "OPTION_EXPIRY",
    "EXERCISE",
    "ASSIGNMENT",
    "TRANSFER",
    "FEE_IN_KIND",
    "UNSETTLED",
    "PHANTOM",
    "UNCLASSIFIED",
    "UNEXPLAINED",
)
"""Why book and broker differ. ``UNCLASSIFIED`` is a booking of the broker's that fits, and whose kind its adapter does not know."""

Key = tuple[str, str, str, str]
"""Broker, account, symbol, leg: by the book's names."""

Status = Literal["EXPLAINED", "PARTLY", "UNEXPLAINED"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One row of evidence as it bears on one position: at the broker it made ``quantity`` units more (negative: less).

    ``kind`` is ``fill``, ``book_fill`` (a fill of the book's that the broker does not know), one of MOVEMENT_KINDS, or
    ``announced`` (what an announced corporate action makes of the book's quantity). ``at`` is when, where the broker says it to
    the second, ``on`` the day. ``price`` is per unit, ``amount`` the money that came with it, ``fee`` money paid (negative: a
    rebate), in ``fee_currency`` where that is another than ``currency``; an empty one says that nobody knows which.
    Terms of one ``event`` stand or fall together. ``source`` says where the row was read, ``sha256`` of which bytes,
    ``raw`` the row itself as the broker sent it; empty where the adapter does not say. ``ratio`` is how many units an announced
    split makes of each. ``called`` is the row's own name of an instrument that its identifier alone tells, ``doubt`` why it may not
    bear on this position, or not be missing from the book; empty where nothing speaks against it.
    """

    id: str
    kind: str
    cause: str
    broker: str
    account: str
    symbol: str
    leg: Leg
    quantity: Decimal
    on: date
    at: datetime | None = None
    price: Decimal | None = None
    amount: Decimal | None = None
    fee: Decimal | None = None
    fee_currency: str | None = None
    currency: str | None = None
    asset_class: str | None = None
    multiplier: Decimal | None = None
    order_id: str | None = None
    settles_on: date | None = None
    event: str | None = None
    said: str = ""
    source: str = ""
    sha256: str | None = None
    raw: str = ""
    ratio: Fraction | None = None
    called: str = ""
    doubt: str = ""

    @property
    def effect(self) -> Decimal:
        """What it adds to ``quantity_difference`` (book - broker) while the book does not have it."""
        return self.quantity.copy_negate()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A position whose quantities differ, both sides proven: what is to be explained. None is a side without the position.

    ``agreed_at`` is the time of the last proven run in which the position was no break (None: there was none), and
    ``settlement_lag`` which side counts a trade only when it settles, the other having it at once (None: neither, or both).
    ``price_places`` is how many decimals the feed's entry prices have at most (None: not known, as many as the price at hand).
    """

    broker: str
    account: str
    symbol: str
    leg: Leg
    book: Position | None
    reported: Position | None
    fx_rate: Decimal | None = None
    agreed_at: datetime | None = None
    settlement_lag: Literal["book", "broker"] | None = None
    price_places: int | None = None

    @property
    def key(self) -> Key:
        """What tells it from the others of a run."""
        return self.broker, self.account, self.symbol, self.leg

    @property
    def quantity_difference(self) -> Decimal:
        """Book - broker."""
        sides = [side.quantity if side else Decimal(0) for side in (self.book, self.reported)]
        return EXACT.subtract(*sides)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a position differs: EXPLAINED where ``residual`` (in the sign of ``quantity_difference``) is 0.

    ``cause`` is that of the term with the greatest quantity, ``causes`` those of all terms. ``inferred`` says that no record of
    the broker's states it (a split read off quantity and price, an absence of evidence). ``ties`` is how many other sets of
    evidence add up to the same (counted up to 100), so that which of them it was cannot be told from quantities. ``why`` is a
    sentence, ``doubt`` says why a person must look although the figures add up (empty: nothing speaks against them). ``clears_on``
    is the day by which what is unsettled must be gone, ``diverged_on`` the first day on which the sides parted, never before they
    last agreed. ``event`` names what other positions may be explained by, too: a corporate action.
    """

    status: Status
    cause: str
    residual: Decimal
    terms: tuple[Term, ...] = ()
    causes: tuple[str, ...] = ()
    inferred: bool = False
    ties: int = 0
    why: str = ""
    doubt: str = ""
    clears_on: date | None = None
    diverged_on: date | None = None
    event: str | None = None

    @property
    def explained(self) -> bool:
        """Whether nothing of the difference is left over."""
        return self.status == "EXPLAINED"

    @property
    def certain(self) -> bool:
        """Whether nothing is left over, and nothing speaks against what was found."""
        return self.explained and not self.doubt


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfitAndLoss:
    """What a correction means in money of ``currency``: profit is positive.

    ``realised`` is that of the missed closing fills by ``method``, ``cash_in_lieu`` money for fractions, ``fees`` what was paid
    (negative: rebates), ``total`` realised + cash_in_lieu - fees. None where a price that is needed is unknown. Not
    ``all_fees``: more was paid in another currency.
    """

    method: Literal["average", "fifo"]
    currency: str | None
    realised: Decimal | None
    cash_in_lieu: Decimal
    fees: Decimal
    all_fees: bool = True

    @property
    def total(self) -> Decimal | None:
        """All of it; None where the realised part is unknown, or fees were paid in another currency."""
        if self.realised is None or not self.all_fees:
            return None
        return EXACT.subtract(EXACT.add(self.realised, self.cash_in_lieu), self.fees)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A change of one row of the book that would end a break: its exact ``before`` and ``after`` (None: no such row).

    ``id`` is a pure function of the position, its episode's first day and the change. ``before`` and ``after`` are columns of the
    book by our names, numbers as exact plain text. ``review`` says that a person should look at it all the same, and why.
    ``automatic`` says whether ``--all-explained`` takes it.
    """

    id: str
    kind: Literal["insert", "update", "delete"]
    key: Key
    before: dict[str, str | None] | None
    after: dict[str, str | None] | None
    pnl: ProfitAndLoss
    review: str = ""
    automatic: bool = False
