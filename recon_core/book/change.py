"""A change of one row of the book, and whether the row is still what it was when it was reconciled."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from recon_core.book.journal import Entry, Row
from recon_core.book.statements import comparable
from recon_core.book.writable import UNTOUCHED
from recon_core.errors import CorrectionError
from recon_core.explanation import Key

COMPARED = ("quantity", "avg_price", "market_price", "multiplier", "currency", "updated_at")
"""Columns by which a row is as it was reconciled: those that a run takes from the book as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to become of one row: ``before`` and ``after`` by our names, None where there is no such row.

    ``restored`` are columns by the database's own names that are put back as an earlier correction found them; ``after`` is None
    or says what is expected then. ``netted`` says that the legs of the broker are one position.
    """

    id: str
    key: Key
    kind: Literal["insert", "update", "delete"]
    before: Mapping[str, str | None] | None
    after: Mapping[str, str | None] | None
    restored: Mapping[str, Any] | None = None
    netted: bool = False


def check_unmoved(change: Change, held: Row | None, known: Collection[str]) -> None:
    """Raise CorrectionError, naming what moved, unless the row is as it was reconciled.

    ``known`` are our columns that the table has: what a query told beside them is not the row's to hold.
    """
    where = place_of(change.key)
    if change.before is None:
        if held is None or held.flat:
            return
        raise CorrectionError(f"{where} was not in the book when it was reconciled, and is now: {_shown(held)}; {UNTOUCHED}")
    if held is None:
        raise CorrectionError(f"{where} was in the book when it was reconciled, and is not now; {UNTOUCHED}")
    moved = [
        f"{name} from {change.before[name] or 'nothing'} to {held.read_as[name] or 'nothing'}"
        for name in COMPARED
        if name in known and name in change.before and not same(name, change.before[name], held)
    ]
    if moved:
        raise CorrectionError(f"{where} is not as it was reconciled: {'; '.join(moved)}; {UNTOUCHED}")


def is_of(entry: Entry, change: Change, known: Collection[str]) -> bool:
    """Whether an entry of the journal tells of this very change, of the same position; ``known`` as in ``check_unmoved``."""
    for wanted, row in ((change.before, entry.before), (change.after, entry.after)):
        if wanted is None or row is None:
            if wanted is not None or not (row is None or row.flat):
                return False
            continue
        named = {name: wanted.get(name) for name in COMPARED if name in known and name != "updated_at"}
        if not all(text is None or same(name, text, row) for name, text in named.items()):
            return False
        if (row.read_as["broker"], row.read_as["symbol"]) != (change.key[0], change.key[2]):
            return False
    return True


def same(name: str, text: str | None, row: Row) -> bool:
    """Whether a row has a value: numbers by what they are worth, times by when they are."""
    return bool(comparable(name, text) == comparable(name, row.read_as[name]))


def _shown(row: Row) -> str:
    return ", ".join(f"{name} {row.read_as[name]}" for name in ("quantity", "avg_price") if row.read_as[name] is not None)


def place_of(key: Key) -> str:
    """A position, as messages name it."""
    broker, account, symbol, leg = key
    return f"{broker}/{account} {symbol}{'' if leg == 'NET' else f' {leg}'}"
