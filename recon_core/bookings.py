"""What a broker booked besides fills, as it bears on each broken position: whose it is, of what cause, and of which event."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from recon_core.evidence import Movement
from recon_core.explanation import Difference, Term
from recon_core.instruments import Instruments, Named
from recon_core.symbols import key_of

CAUSE_OF = {
    "split": "CORPORATE_ACTION",
    "reverse_split": "CORPORATE_ACTION",
    "spin_off": "CORPORATE_ACTION",
    "merger": "CORPORATE_ACTION",
    "stock_dividend": "CORPORATE_ACTION",
    "symbol_change": "SYMBOL_CHANGE",
    "transfer": "TRANSFER",
    "expiry": "OPTION_EXPIRY",
    "exercise": "EXERCISE",
    "assignment": "ASSIGNMENT",
    "liquidation": "CLOSED_BY_BROKER",
    "removal": "CLOSED_BY_BROKER",
    "fee_in_kind": "FEE_IN_KIND",
}
"""The cause by the kind of a movement; ``delivery`` has that of its option, and what is not here is UNCLASSIFIED."""

OF_AN_ISSUER = frozenset(kind for kind, cause in CAUSE_OF.items() if cause in ("CORPORATE_ACTION", "SYMBOL_CHANGE"))
"""Kinds of which all rows of one event stand or fall together."""

SPLITS = frozenset(("split", "reverse_split"))

_NONE = Decimal(0)

Row = tuple[str, Movement]
"""A row, and the book's name of its account."""


def bookings(rows: Sequence[Row], instruments: Instruments) -> Iterator[tuple[Row, Term]]:
    """The rows that change a position, with what they change it by; money of an issuer's event stands with its units."""
    deliveries = _Deliveries(rows)
    events = {(account, row.group) for account, row in rows if row.group and row.kind in OF_AN_ISSUER}
    found: list[tuple[Row, Difference, Named]] = []
    for account, row in rows:
        name = Named.of(row)
        if not instruments.named(account, name) and row.kind in SPLITS and row.related:
            name = Named(row.related)  # the old units of a reverse split leave under a passing name
        paid = row.amount is not None and (account, row.group) in events
        if (row.kind != "cash" and row.quantity) or paid:
            position = instruments.position(account, name, 1 if (row.quantity or 0) > 0 else -1)
            if position is not None:
                found.append(((account, row), position, name))
    times = Counter((position.key, row.group) for (_, row), position, _ in found)
    for (account, row), position, name in found:
        together = (account, row.group) in events or times[position.key, row.group] == 1
        term = _moved(row, position, deliveries.cause(account, row), _event(row, together=together))
        yield (account, row), replace(term, called=instruments.called(position, name), doubt=instruments.doubt(position, name))


def _event(row: Movement, *, together: bool) -> str | None:
    """What a row stands or falls with: an issuer's event; of others a group, where it is not several of one position."""
    if row.kind in OF_AN_ISSUER:
        return row.group or f"{row.kind} {row.symbol} {row.occurred_on}"
    return row.group if together else None


def _moved(row: Movement, position: Difference, cause: str, event: str | None) -> Term:
    return Term(
        id=row.id,
        kind=row.kind,
        cause=cause,
        broker=position.broker,
        account=position.account,
        symbol=position.symbol,
        leg=position.leg,
        quantity=(row.quantity or _NONE) if row.kind != "cash" else _NONE,
        on=row.occurred_on,
        price=row.price,
        amount=row.amount,
        currency=row.currency,
        order_id=row.order_id,
        settles_on=row.settles_on,
        event=event,
        said=row.said,
        source=row.source,
        raw=row.raw,
    )


class _Deliveries:
    """Which option event moved the shares of a delivery: that of its group, else that of its day on the same underlying."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._kinds: defaultdict[tuple[str, object], set[str]] = defaultdict(set)
        for account, row in rows:
            if row.kind in ("exercise", "assignment"):
                if row.group:
                    self._kinds[account, row.group].add(row.kind)
                for underlying in {row.related, _root(row.symbol)} - {None}:
                    self._kinds[account, (row.occurred_on, underlying)].add(row.kind)

    def cause(self, account: str, row: Movement) -> str:
        """The cause that a movement is."""
        if row.kind == "removal" and _expired(row):
            return "OPTION_EXPIRY"
        if row.kind == "cash":
            return "CORPORATE_ACTION"
        if row.kind != "delivery":
            return CAUSE_OF.get(row.kind, "UNCLASSIFIED")
        for sign in (row.group, (row.occurred_on, row.symbol), (row.occurred_on, row.related)):
            kinds = self._kinds.get((account, sign), set())
            if len(kinds) == 1:
                return CAUSE_OF[next(iter(kinds))]
        return "UNCLASSIFIED"


def _option(symbol: str | None) -> list[str] | None:
    parts = key_of(symbol).split(":") if symbol else []
    return parts[1:] if parts[:1] == ["option"] else None


def _root(symbol: str | None) -> str | None:
    option = _option(symbol)
    return option[0] if option else None


def _expired(row: Movement) -> bool:
    option = _option(row.symbol) or _option(row.raw_symbol)
    return option is not None and f"{row.occurred_on:%y%m%d}" >= option[1]
