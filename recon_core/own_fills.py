"""The book's own fills by the broker's ids: which rows of the broker's it has, and which of its own the broker does not know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from recon_core.evidence import Fill, Movement

_ENOUGH = 3
"""Where none of so many fills or orders of either side has an id of the other's, the ids are not of one kind."""

Row = tuple[str, Fill | Movement]
"""A row of the broker's, and the book's name of its account."""


class OwnFills:
    """Compares by id, and by quantity: of an execution that the sides tell otherwise neither side has the other's.

    Not ``usable`` where the book's fills are not configured, or have other ids (``notes`` say so): then it knows of no row.
    """

    def __init__(
        self,
        fills: Sequence[Fill] | None,
        orders: frozenset[str] | None,
        rows: Sequence[Row],
        *,
        since: datetime | None,
        as_of: datetime,
    ) -> None:
        self.notes: list[str] = []
        stated = {row.order_id for _, row in rows if row.order_id}
        self._orders = orders
        if orders is not None and len(stated) >= _ENOUGH and not stated & orders:
            self._orders = None
            self.notes.append(
                "no order of the book has an id that the broker knows: they are not compared (book.orders, column id)"
            )
        self._reach = since and min([since, *(fill.traded_at for fill in fills or ())])
        self._fills: defaultdict[str, list[Fill]] = defaultdict(list)
        for fill in fills or ():
            self._fills[fill.id].append(fill)
        known = {id(fill) for account, row in rows for fill in self._like(account, row)}
        self.unknown = [
            fill
            for fill in fills or ()
            if id(fill) not in known and fill.traded_at <= as_of and (since is None or fill.traded_at >= since)
        ]
        self.usable = fills is not None
        if not known and min(len(self.unknown), sum(isinstance(row, Fill) for _, row in rows)) >= _ENOUGH:
            self.usable = False
            self.notes.append("no fill of the book has an id that the broker knows: they are not compared (book.fills, column id)")
        self._begun: set[tuple[str, str]] = set()
        if self.usable:
            self._begun = {(account, row.order_id) for account, row in rows if row.order_id and self.has(account, row)}
            self._begun |= {(fill.account, fill.order_id) for fill in fills or () if fill.account and fill.order_id}

    def has(self, account: str, row: Fill | Movement) -> bool:
        """Whether the book is known to have this very row."""
        return self.usable and bool(self._like(account, row))

    def lacks(self, account: str, row: Fill | Movement) -> bool:
        """Whether the book may not have this row: of one from before its own fills begin nothing is known by id."""
        if not self.usable:
            return True
        before = self._reach is not None and isinstance(row, Fill) and row.traded_at < self._reach
        return not before and not self._like(account, row)

    def cause(self, account: str, fill: Fill) -> str:
        """What a fill is that the book does not have: of an order of others, of one of which the book has a part, or missed."""
        if fill.order_id and self._orders is not None and fill.order_id not in self._orders:
            return "MANUAL_TRADE"
        return "PARTIAL_FILL" if fill.order_id and (account, fill.order_id) in self._begun else "MISSED_FILL"

    def _like(self, account: str, row: Fill | Movement) -> list[Fill]:
        return [fill for fill in self._fills.get(row.id, ()) if fill.account in (None, account) and fill.quantity == row.quantity]
