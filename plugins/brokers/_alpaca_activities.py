"""Alpaca's account activities: every row a fill or a movement, canceled ones taken back. Part of the adapter in alpaca.py."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Any

from recon_core import Fill, MalformedError, Movement, Record

from ._alpaca_kinds import kind_of
from ._alpaca_symbols import as_position, asset_class_of, multiplier_of, quote_of

PLACE = "GET /v2/account/activities"
SELLS = {"buy": False, "buy_minus": False, "sell": True, "sell_plus": True, "sell_short": True, "sell_short_exempt": True}
HAPPENED = ("", "executed", "correct")  # correct: executed by hand at Alpaca, and as valid
MOST_WORDS = 200
CANCELED = ("canceled", "cancelled")
STAMP = re.compile(r"(\d{8})(\d{6})(\d*)::.*", re.ASCII)


@dataclass(slots=True)
class Activities:
    """What the rows say. ``troubles`` are why it may not be whole, ``notes`` what a person should know."""

    fills: list[Fill] = field(default_factory=list)
    movements: list[Movement] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """A remark that is worth making once."""
        if text not in self.notes:
            self.notes.append(text)


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose activities are asked for: the name of the account, Alpaca's id of it, and the currency of rows that name none."""

    account: str
    id: str | None = None
    currency: str | None = None

    def account_of(self, record: Record) -> str:
        """The account of a row; one that names another account is not this one's."""
        stated = record.text_or_none("account_id")
        return self.account if stated is None or self.id is None or stated == self.id else stated


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    record: Record
    id: str
    type: str
    sub_type: str
    raw_symbol: str
    status: str
    quantity: Decimal | None
    amount: Decimal | None
    group: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.id, self.type, self.raw_symbol

    def like(self, other: _Row) -> bool:
        """Whether both tell of the same thing, be it with the sign turned."""
        mine, others = (_unsigned(row.quantity, row.amount) for row in (self, other))
        return any(mine) and (self.type, self.raw_symbol, mine) == (other.type, other.raw_symbol, others)


def read_activities(pages: Sequence[Any], since: datetime | None, holder: Holder) -> Activities:
    """The activities of all pages, without those that are known to have happened and been booked before ``since``.

    Raises MalformedError that names page, row and field.
    """
    found = Activities()
    rows = _distinct((_row(record) for number, page in enumerate(pages, 1) for record in _page(page, number)), found)
    taken_back = _taken_back(rows, found)
    times = Counter(row.id for row in rows)
    named: Counter[str] = Counter()
    groups = defaultdict(set)
    for row in rows:
        groups[row.group or row.id].add(row.raw_symbol)
    for row in rows:
        if row in taken_back or (since is not None and _earlier(row, since)):
            continue
        # An id that several rows bear (Alpaca's own examples do so for an exercise and its delivery) is told apart.
        name = row.id if times[row.id] == 1 else " ".join(filter(None, row.key))
        named[name] += 1
        name += f" #{named[name]}" if named[name] > 1 else ""
        if row.type == "FILL" and row.status in HAPPENED and (fill := _fill(row, name, holder, found)):
            found.fills.append(fill)
            continue
        others = groups[row.group or row.id] - {row.raw_symbol, ""}
        related = as_position(others.pop()) if len(others) == 1 else None
        found.movements.append(_movement(row, name, related, holder, found))
    return found


def _page(page: Any, number: int) -> list[Record]:
    return Record.each(page, f"{PLACE}: page {number}")


def _row(record: Record) -> _Row:
    fill = (record.text_or_none("activity_type") or "") == "FILL"
    return _Row(
        record=record,
        id=record.text("id"),
        type=record.text("activity_type"),
        sub_type=record.text_or_none("activity_sub_type") or "",
        raw_symbol=record.text_or_none("symbol") or "",
        status=(record.text_or_none("status") or "").lower(),
        quantity=record.number_or_none("qty"),
        amount=None if fill else record.number_or_none("net_amount"),
        group=record.text_or_none("group_id") or "",
    )


def _distinct(rows: Iterable[_Row], found: Activities) -> list[_Row]:
    """Each row once: what came twice alike is one event, what differs under one key may be two."""
    kept: list[_Row] = []
    seen: defaultdict[tuple[str, str, str], list[_Row]] = defaultdict(list)
    for row in rows:
        same = seen[row.key]
        if any(row.record.value == other.record.value for other in same):
            found.notes.append(f"{row.record.place}: {row.type} {row.id} came twice, and is taken once")
            continue
        if any(row.status == other.status for other in same):
            found.troubles.append(
                f"{row.record.place}: {row.type} {row.id} stands twice with different contents, and both are kept"
            )
        same.append(row)
        kept.append(row)
    return kept


def _taken_back(rows: Sequence[_Row], found: Activities) -> set[_Row]:
    """The rows that a canceled one takes back. It is told by its own id, or by its group where one row alone is like it."""
    taken: set[_Row] = set()
    standing: defaultdict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        if row.status in HAPPENED:
            standing[row.type].append(row)
    for row in rows:
        if row.status not in CANCELED:
            continue
        left = [other for other in standing[row.type] if other not in taken]
        own = [other for other in left if other.key == row.key]
        like = [other for other in left if row.like(other)]
        of_group = [other for other in like if row.group and other.group == row.group]
        certain = own if len(own) == 1 else of_group
        what = f"{row.record.place}: {row.type} {row.id} is canceled"
        if len(certain) == 1:
            taken.add(certain[0])
            found.notes.append(f"{what}: neither it nor {certain[0].id} counts")
        elif own or like:
            ids = ", ".join(other.id for other in (own or like)[:3])
            found.troubles.append(f"{what}, and whether it takes back {ids} is not known: both are kept")
        else:
            found.notes.append(f"{what}, and counts for nothing")
    return taken


def _fill(row: _Row, name: str, holder: Holder, found: Activities) -> Fill | None:
    record = row.record
    side, kind = record.text_or_none("side") or "not stated", record.text_or_none("type") or "fill"
    if side not in SELLS or kind not in ("fill", "partial_fill"):
        found.troubles.append(f"{record.place}: a FILL of side {side!r} and type {kind!r} is not known: kept as unclassified")
        return None
    symbol, quantity = as_position(record.text("symbol")), record.number("qty").copy_abs()
    asset_class, quote = asset_class_of(row.raw_symbol), quote_of(row.raw_symbol)
    if quote not in (None, "USD"):
        found.note(f"a fill of {row.raw_symbol} moves two coins, and the position of neither has its name")
    return Fill(
        id=name,
        symbol=symbol,
        raw_symbol=row.raw_symbol if row.raw_symbol != symbol else None,
        quantity=quantity.copy_negate() if SELLS[side] else quantity,
        price=record.number("price"),
        traded_at=record.moment("transaction_time"),
        account=holder.account_of(record),
        currency=record.text_or_none("currency") or quote or holder.currency,
        order_id=record.text_or_none("order_id"),
        asset_class=asset_class,
        multiplier=multiplier_of(asset_class, symbol),
        source=record.place,
        raw=record.raw,
    )


def _movement(row: _Row, name: str, related: str | None, holder: Holder, found: Activities) -> Movement:
    record = row.record
    happened = row.status in HAPPENED and row.type != "FILL"
    kind = kind_of(row.type, row.sub_type, moves=bool(row.quantity), paid=_paid(row)) if happened else "unclassified"
    if happened and kind == "unclassified":
        found.note(f"activities of type {' '.join(filter(None, (row.type, row.sub_type)))} are not known: unclassified")
    if not happened and row.status not in (*HAPPENED, *CANCELED, "pending"):
        found.troubles.append(f"{record.place}: status {row.status!r} of {row.type} {row.id} is not known: it is not counted")
    words = [row.type, row.sub_type, row.status if row.status not in ("", "executed") else ""]
    shown = ("side", "type", "qty", "net_amount") if not happened else ("qty",) if kind == "cash" else ()
    words += [f"{key} {_words(record, key)}" for key in shown if record.has(key)]
    said = " ".join(filter(None, words))
    description = _words(record, "description")
    symbol = as_position(row.raw_symbol)
    return Movement(
        id=name,
        kind=kind,
        occurred_on=_day(row),
        symbol=symbol or None,
        raw_symbol=row.raw_symbol if row.raw_symbol != symbol else None,
        quantity=_signed(row) if happened and kind != "cash" else None,
        amount=row.amount if happened else None,
        account=holder.account_of(record),
        currency=record.text_or_none("currency") or holder.currency,
        price=record.number_or_none("price") if happened else None,
        related=related,
        group=row.group or None,
        order_id=record.text_or_none("order_id"),
        cusip=record.text_or_none("cusip"),
        said=f"{said}: {description}" if description else said,
        source=record.place,
        raw=record.raw,
    )


def _signed(row: _Row) -> Decimal | None:
    """The qty of a movement has its sign; of a row that names a side, as trades do, the side tells."""
    if row.quantity is None or not row.record.has("side"):
        return row.quantity
    sells = SELLS.get(_words(row.record, "side"))
    quantity = row.quantity.copy_abs()
    return None if sells is None else quantity.copy_negate() if sells else quantity


def _words(record: Record, name: str) -> str:
    """Free text as a message repeats it: in one line, and not without end. It decides nothing, so nothing in it is refused."""
    value = record.value.get(name)
    shown = "" if value is None else " ".join("".join(sign if sign.isprintable() else " " for sign in str(value)).split())
    return shown if len(shown) <= MOST_WORDS else f"{shown[:MOST_WORDS]}..."


def _day(row: _Row) -> date:
    """The day of a row, of New York: as it says, else of its booking, else of its id."""
    for name in ("date", "transaction_time", "created_at"):
        if text := row.record.text_or_none(name):
            return Record({name: text.partition("T")[0]}, row.record.place).day(name)
    stamp = STAMP.fullmatch(row.id)
    return Record({"date": stamp[1]} if stamp else {}, row.record.place).day("date")


def _earlier(row: _Row, since: datetime) -> bool:
    """Whether a row is known to have happened and been booked before ``since``. What was booked late is evidence all the same."""
    booked = _booked(row)
    if booked is None or booked >= since:
        return False
    if row.record.has("transaction_time"):
        return row.record.moment("transaction_time") < since
    return _day(row) < since.astimezone(_new_york()).date()


def _booked(row: _Row) -> datetime | None:
    """When a row was booked; None where it does not say: the id of most movements holds a day alone."""
    try:
        if row.record.has("created_at"):
            return row.record.moment("created_at")
        stamp = STAMP.fullmatch(row.id)
        if stamp is None or not int(stamp[2] + stamp[3]):
            return None
        # In the hour that comes twice, the later one.
        return datetime.fromisoformat(f"{stamp[1]}T{stamp[2]}").replace(tzinfo=_new_york(), fold=1)
    except (MalformedError, ValueError, OverflowError):
        return None


def _new_york() -> tzinfo:
    """By whose clock days and ids are."""
    from zoneinfo import ZoneInfo

    return ZoneInfo("America/New_York")


def _paid(row: _Row) -> bool:
    return bool(row.amount) or row.record.has("per_share_amount")


def _unsigned(*numbers: Decimal | None) -> tuple[Decimal, ...]:
    return tuple((number or Decimal(0)).copy_abs() for number in numbers)
