"""What ccxt made of an answer, held against the answer itself: no row lost, no number other than the venue's, no page missing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Any

from recon_core import MalformedError
from recon_core_ccxt.wire import Answered

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE]-\d{1,2})?", re.ASCII)
"""An exponent only as programs write what is small (``1E-8``): ``1e3`` is no way to write a quantity."""
SIZES = (
    "positionAmt", "size", "pos", "contracts", "contractsAmount", "currentQty", "qty", "quantity", "volume", "vol", "holdVolume",
    "total", "amount", "balance", "available", "free", "walletBalance", "cashBal", "bal", "eq", "positionAmount", "net_quantity",
)  # fmt: skip
"""Names under which venues write how much a row holds."""

CURSORS = (
    "nextPageCursor",
    "next_page_cursor",
    "nextCursor",
    "next_cursor",
    "cursor",
    "has_next",
    "hasNext",
    "has_more",
    "hasMore",
)
NARROWING = ("settleCoin", "settle", "marginCoin", "currency", "coin", "symbol", "instId", "pair", "baseCoin", "underlying", "uly")
"""Params that ask for a part of what is held."""


def number(text: object, place: str) -> Decimal:
    """A number that ccxt passed on, exactly. An exponent loses no digit here, for it is a text that was never a float."""
    written = str(text) if isinstance(text, str | int) and not isinstance(text, bool) else ""
    if not NUMBER.fullmatch(written):
        raise MalformedError(f"{place}: {str(text)[:40]!r} is not a number; nothing was compared")
    return Decimal(f"{Decimal(written):f}")


def number_or_none(text: object, place: str) -> Decimal | None:
    """The same, None where ccxt has none."""
    return None if text is None or text == "" else number(text, place)


def added(numbers: Iterable[Decimal]) -> Decimal:
    """The exact sum: the usual context would round after 28 digits."""
    with localcontext() as context:
        context.prec = 200
        return sum(numbers, Decimal(0))


def numbers_in(value: Any) -> set[Decimal]:
    """Every number in a document, written as one or as a text."""
    return {Decimal(str(each)) for each in _leaves(value) if not isinstance(each, bool) and NUMBER.fullmatch(str(each))}


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _leaves(entry)
    elif isinstance(value, str | int):
        yield value


def rows_in(value: Any) -> Iterator[list[Any]]:
    """Every array of objects in a document."""
    if isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value):
        yield value
    if isinstance(value, dict | list):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from rows_in(entry)


def size_of(row: Mapping[str, Any]) -> Decimal | None:
    """How much a row holds, by the largest of the fields that may say so; None where it has none of them."""
    found = [Decimal(str(row[name])) for name in SIZES if NUMBER.fullmatch(str(row.get(name))) and not isinstance(row[name], bool)]
    return max(found, key=abs) if found else None


def signed_size(row: Mapping[str, Any]) -> Decimal | None:
    """The first of the fields that say how much a row holds, with its sign."""
    return next((Decimal(str(row[name])) for name in SIZES if NUMBER.fullmatch(str(row.get(name)))), None)


def no_row_lost(documents: Sequence[Any], kept: Sequence[Any], place: str) -> None:
    """Refuses an answer with a row that holds something, and that is not among the rows which ccxt made positions of."""
    for rows in (rows for document in documents for rows in rows_in(document)):
        here = [row for row in rows if any(row is each or _within(row, each) for each in kept)]
        if kept and not here:
            continue  # an array of another kind, beside the one of the positions
        for order, row in enumerate(rows, 1):
            size = size_of(row)
            if size != 0 and not any(row is each for each in here) and (here or size is not None):
                raise MalformedError(f"{place}: row {order} of the answer is not among the positions that ccxt made of it")


def _within(row: Mapping[str, Any], info: Any) -> bool:
    return isinstance(info, dict) and bool(row) and row.items() <= info.items() if _flat(row) else row == info


def _flat(row: Mapping[str, Any]) -> bool:
    return not any(isinstance(entry, dict | list) for entry in row.values())


def is_empty(document: Any) -> bool:
    """Whether a document says that there is nothing: an empty container where rows would be, or rows that hold nothing."""
    if document == []:
        return True
    if not isinstance(document, dict | list) or not document:
        return False
    containers = list(_containers(document))
    rows = [row for array in rows_in(document) for row in array]
    sizes = [size_of(row) for row in rows]
    return not any(sizes) and (any(not each for each in containers) or any(size == 0 for size in sizes))


def _containers(value: Any) -> Iterator[Any]:
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for name, entry in entries:
        if isinstance(entry, dict | list) and name not in ("error", "errors", "warnings", "permissions", "retExtInfo"):
            yield entry
            yield from _containers(entry)


def unread(answers: Sequence[Answered]) -> str:
    """Why there may be more than these answers hold; empty where nothing says so."""
    if not answers:
        return ""
    marks = next_page(answers[-1].document)
    return f"{answers[-1].path}: the answer says that more follows ({marks[0]} {marks[1][:40]!r})" if marks else ""


def next_page(document: Any) -> tuple[str, str] | None:
    """The name and the value of what says that another page follows."""
    levels: list[Any] = (
        [document, *(document.get(name) for name in ("result", "data", "pagination"))] if isinstance(document, dict) else []
    )
    for level in levels:
        for name in CURSORS if isinstance(level, dict) else ():
            if level.get(name) not in (None, "", False, 0, "0", "false"):
                return name, str(level[name])
    return None


def narrowed(answers: Sequence[Answered], named: Mapping[str, Any]) -> str:
    """Why only a part was asked for, where nobody named that part; empty where all was."""
    for answer in answers:
        for name in NARROWING:
            value = answer.params.get(name)
            if value and value != named.get(name):
                return f"{answer.path}: ccxt asked for {name} {value} alone; name what else is held in `wallets` (swap:linear:USDC)"
    return ""
