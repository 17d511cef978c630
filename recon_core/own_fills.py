"""The book's own fills by the broker's ids: which rows of the broker's it has, and which of its own the broker does not know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from recon_core.evidence import Fill, Movement
from recon_core.instruments import Instruments, Named
from recon_core.symbols import form_of

_ENOUGH = 3
"""Where none of so many fills or orders of either side has an id of the other's, the ids are not of one kind."""

Row = tuple[str, Fill | Movement]
"""A row of the broker's, and the book's name of its account."""


class OwnFills:
    """Compares by id, by quantity and, for ids may be of one symbol alone, by instrument: of an execution that the sides tell
    otherwise neither side has the other's.

    Not ``usable`` where the book's fills are not configured, there are none, or they have other ids (``notes`` say so): then it
    knows of no row. ``theirs`` finds instruments by the broker's names, ``ours`` by the book's.
    """

    def __init__(
        self,
        fills: Sequence[Fill] | None,
        orders: frozenset[str] | None,
        rows: Sequence[Row],
        *,
        theirs: Instruments,
        ours: Instruments,
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
        self._theirs, self._ours = theirs, ours
        self._begin = min((fill.traded_at for fill in fills or ()), default=None)
        self._reach = self._begin and since and min(since, self._begin)
        self._forms = (
            {form_of(symbol) for symbol in {symbol for _, row in rows for symbol in Named.of(row).symbols}} if fills else set()
        )
        self._fills: defaultdict[str, list[Fill]] = defaultdict(list)
        for fill in fills or ():
            self._fills[fill.id].append(fill)
        known = {id(fill) for account, row in rows for fill in self._like(account, row)}
        self.unknown = [
            fill
            for fill in fills or ()
            if id(fill) not in known and fill.traded_at <= as_of and (since is None or fill.traded_at >= since)
        ]
        self.usable = bool(fills)
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
        """Whether the book may not have this row. Of what is older than both its own fills and what was asked for it has any."""
        if not self.usable:
            return True
        before = self._reach is not None and isinstance(row, Fill) and row.traded_at < self._reach
        return not before and not self._like(account, row)

    def doubt(self, fill: Fill) -> str:
        """Why it is not known by id whether the book has a fill; empty where it is."""
        if not self.usable or self._begin is None or fill.traded_at >= self._begin:
            return ""
        return f"fill {fill.id} is older than the first of the book's own fills, so that it is not known by id to be missing"

    def cause(self, account: str, fill: Fill) -> str:
        """What a fill is that the book does not have: of an order of others, of one of which the book has a part, or missed."""
        if fill.order_id and self._orders is not None and fill.order_id not in self._orders:
            return "MANUAL_TRADE"
        return "PARTIAL_FILL" if fill.order_id and (account, fill.order_id) in self._begun else "MISSED_FILL"

    def _like(self, account: str, row: Fill | Movement) -> list[Fill]:
        some = [fill for fill in self._fills.get(row.id, ()) if fill.account in (None, account) and fill.quantity == row.quantity]
        if not some or all(fill.symbol == row.symbol for fill in some):  # nearly always
            return some
        name = Named.of(row)
        alike = [fill for fill in some if self._theirs.spells(name, fill.symbol)]
        return alike or [fill for fill in some if not self._is_another(account, name, fill.symbol)]

    def _is_another(self, account: str, name: Named, symbol: str) -> bool:
        """Whether the book's ``symbol`` is surely not what a row names. A name that nobody else bears may be a spelling of it."""
        ours, theirs = self._ours.named(account, Named(symbol)), self._theirs.named(account, name)
        if ours and theirs:
            return not {each.key for each in ours} & {each.key for each in theirs}
        form = form_of(symbol)
        kind = form.partition(":")[0] if ":" in form else None
        return (
            form in self._forms
            or self._ours.is_held_besides(account, [symbol])
            or bool(ours and self._theirs.is_held_besides(account, name.symbols))
            or any(kind and form_of(each).startswith(f"{kind}:") for each in name.symbols)
        )
