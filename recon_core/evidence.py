"""Evidence: what a broker says happened, as opposed to what it says is held. All frozen; numbers are Decimal, times aware.

Quantities are signed by what they change the position by (a sale of a long and a short sale are negative), money by what it
changes the cash by. Identifiers are the broker's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from recon_core.errors import MalformedError

MOVEMENT_KINDS = (
    "split",
    "reverse_split",
    "spin_off",
    "merger",
    "symbol_change",
    "stock_dividend",
    "transfer",
    "expiry",
    "exercise",
    "assignment",
    "delivery",
    "liquidation",
    "removal",
    "fee_in_kind",
    "cash",
    "unclassified",
)
"""What may move a position besides a fill. ``delivery`` are the shares that an exercise or assignment moves, ``removal`` a
worthless position taken out; ``cash`` moves money alone; what the adapter does not know stays ``unclassified``, never dropped."""


class _Checked:
    """Refuses a number that is no finite Decimal: evidence that is off by a float explains nothing."""

    def __post_init__(self) -> None:
        numbers, times = _checked_fields(type(self))  # type: ignore[arg-type]  # a class is hashable
        for name in numbers:
            value: Any = getattr(self, name)
            if value is not None and not (isinstance(value, Decimal) and value.is_finite()):
                raise MalformedError(f"{type(self).__name__}: {name} {value!r} is not a finite Decimal")
        for name in times:
            stamp: Any = getattr(self, name)
            if isinstance(stamp, datetime) and stamp.tzinfo is None:
                raise MalformedError(f"{type(self).__name__}: {name} {stamp} has no time zone")


@cache  # there are thousands of rows, and five kinds of them
def _checked_fields(kind: type) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields of a dataclass that hold numbers, and those that hold dates or times."""
    typed = {entry.name: str(entry.type) for entry in fields(kind)}
    return tuple(name for name in typed if "Decimal" in typed[name]), tuple(name for name in typed if "date" in typed[name])


@dataclass(frozen=True, slots=True, kw_only=True)
class Cash(_Checked):
    """Money of one ``currency`` in one account: ``amount`` by trade date, ``settled`` by settlement where the broker says it."""

    currency: str
    amount: Decimal
    account: str | None = None
    settled: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill(_Checked):
    """One execution: ``quantity`` units more (or, negative, less) of ``symbol`` at ``price`` per unit, in ``currency``.

    ``id`` is the execution's, unique within the account; two alike but for it are two fills. ``fee`` is money paid (negative: a
    rebate), in ``fee_currency`` where that is another than ``currency``; an empty one says that nobody knows which.
    ``source`` says where it was read: the question, the page and the row; ``raw`` is the row as the broker sent it.
    """

    id: str
    symbol: str
    quantity: Decimal
    price: Decimal
    traded_at: datetime
    account: str | None = None
    currency: str | None = None
    settles_on: date | None = None
    order_id: str | None = None
    fee: Decimal | None = None
    fee_currency: str | None = None
    asset_class: str | None = None
    multiplier: Decimal | None = None
    isin: str | None = None
    cusip: str | None = None
    leg: str = "NET"
    raw_symbol: str | None = None
    source: str = ""
    raw: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement(_Checked):
    """Anything but a fill that the broker booked: of ``kind`` (one of MOVEMENT_KINDS), on ``occurred_on``.

    ``quantity`` is None where it moves no position or the broker does not say, ``amount`` is the money that came with it. ``said``
    is the broker's own type and words, ``related`` another symbol that it concerns, ``group`` what rows of one event share.
    """

    id: str
    kind: str
    occurred_on: date
    symbol: str | None = None
    quantity: Decimal | None = None
    amount: Decimal | None = None
    account: str | None = None
    currency: str | None = None
    price: Decimal | None = None
    settles_on: date | None = None
    related: str | None = None
    group: str | None = None
    order_id: str | None = None
    isin: str | None = None
    cusip: str | None = None
    raw_symbol: str | None = None
    said: str = ""
    source: str = ""
    raw: str = ""

    def __post_init__(self) -> None:
        _Checked.__post_init__(self)
        if self.kind not in MOVEMENT_KINDS:
            raise MalformedError(f"movement {self.id}: kind {self.kind!r} is none of {', '.join(MOVEMENT_KINDS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CorporateAction(_Checked):
    """An event of an issuer, as announced: it says what should happen to every position, not what was booked.

    ``new_rate`` units stand for ``old_rate`` units afterwards. ``cash_per_unit`` is money for each unit held before.
    """

    id: str
    kind: str
    symbol: str
    ex_date: date | None = None
    process_date: date | None = None
    payable_date: date | None = None
    old_rate: Decimal | None = None
    new_rate: Decimal | None = None
    cash_per_unit: Decimal | None = None
    new_symbol: str | None = None
    cusip: str | None = None
    new_cusip: str | None = None
    isin: str | None = None
    new_isin: str | None = None
    said: str = ""
    source: str = ""
    raw: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a broker says happened since ``since``. ``complete`` says that nothing of it is missing; else ``reason`` says why."""

    fills: Sequence[Fill] = ()
    movements: Sequence[Movement] = ()
    corporate_actions: Sequence[CorporateAction] = ()
    since: datetime | None = None
    complete: bool = True
    reason: str = ""
    notes: Sequence[str] = ()


def digest_of(source: str, digests: Mapping[str, str]) -> str | None:
    """The sha256 of the bytes in which a row was read, from ``digests`` by the place that its ``source`` begins with.

    Parts of a source are parted by a colon and a blank: ``GET /v2/account/activities: page 2: row 5``.
    """
    place = source
    while place:
        if place in digests:
            return digests[place]
        place = place.rpartition(": ")[0]
    return None
