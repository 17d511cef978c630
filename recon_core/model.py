"""The values that flow through a run: positions, feeds, breaks and the decision. All frozen; money is Decimal, times are aware.

Sign convention everywhere: a long quantity is positive, a short one negative. Prices are per unit, in ``currency``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from recon_core.errors import MalformedError
from recon_core.evidence import Cash

Leg = Literal["NET", "LONG", "SHORT"]
Basis = Literal["trade", "settlement", "unknown"]
Scope = Literal["firm", "broker", "account"]
LEGS: tuple[Leg, ...] = ("NET", "LONG", "SHORT")
QUANTITY_PLACES = 18
PRICE_PLACES = 12
SEVERITIES = ("info", "warning", "high", "critical")

POSITION_COLUMNS = (
    "account",
    "symbol",
    "leg",
    "asset_class",
    "currency",
    "quantity",
    "avg_price",
    "market_price",
    "multiplier",
    "isin",
    "cusip",
    "updated_at",
    "opened_at",
    "raw_symbol",
)
"""The columns of a position as every source gives them; ``broker`` is added by the engine (a book row names its own)."""


FILL_COLUMNS = ("id", "broker", "account", "symbol", "quantity", "price", "traded_at", "order_id")
"""The columns of the book's own fills; ``id`` is the broker's id of the execution, ``quantity`` signed."""

ORDER_COLUMNS = ("id", "broker")
"""The columns of the book's own orders; ``id`` is the broker's id of the order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """One holding at one broker: signed ``quantity`` of ``symbol`` in ``account``.

    ``quantity`` is exact to 18 decimals; ``avg_price`` and ``market_price`` are per unit in ``currency``; ``multiplier``
    turns a unit into money (100 for most listed options). ``updated_at`` is when the source last confirmed the row.
    None means that the source does not say. Raises MalformedError for a number that is none.
    """

    symbol: str
    quantity: Decimal
    account: str | None = None
    leg: Leg = "NET"
    asset_class: str | None = None
    currency: str | None = None
    avg_price: Decimal | None = None
    market_price: Decimal | None = None
    multiplier: Decimal | None = None
    isin: str | None = None
    cusip: str | None = None
    updated_at: datetime | None = None
    opened_at: datetime | None = None
    raw_symbol: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.symbol, str):
            raise MalformedError(f"position {self.symbol!r}: the symbol is not text")
        for name in ("account", "asset_class", "currency", "isin", "cusip", "raw_symbol"):
            if not isinstance(getattr(self, name), str | None):
                raise MalformedError(f"position {self.symbol!r}: {name} {getattr(self, name)!r} is not text")
        for name in ("quantity", "avg_price", "market_price", "multiplier"):
            value = getattr(self, name)
            if isinstance(value, int) and not isinstance(value, bool):
                object.__setattr__(self, name, Decimal(value))
            elif value is None and name != "quantity":
                continue
            elif not isinstance(value, Decimal) or not value.is_finite():
                raise MalformedError(f"position {self.symbol!r}: {name} {value!r} is not a finite Decimal")
        for name in ("updated_at", "opened_at"):
            stamp = getattr(self, name)
            if stamp is not None and stamp.tzinfo is None:
                raise MalformedError(f"position {self.symbol!r}: {name} {stamp} has no time zone")
            if stamp is not None and not 1 < stamp.year < 9999:
                raise MalformedError(f"position {self.symbol!r}: {name} {stamp} is no time of this world")
        if self.leg not in LEGS:
            raise MalformedError(f"position {self.symbol!r}: leg {self.leg!r} is none of {', '.join(LEGS)}")


class FeedStatus(StrEnum):
    """How far a feed can be believed; only COMPLETE proves an absence."""

    COMPLETE = "COMPLETE"
    PARTIAL = "PARTIAL"
    NOT_READY = "NOT_READY"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class ControlTotal:
    """A figure that the broker states beside its positions, and that their sum must meet within ``tolerance``.

    ``kind`` is ``market_value`` (signed sum of quantity x market_price x multiplier), ``quantity`` (signed sum) or ``rows``.
    ``account`` limits it to one account (the broker's name of it); None is the whole feed. A control total of 0 also
    proves that an account without rows is flat.
    """

    kind: Literal["market_value", "quantity", "rows"]
    stated: Decimal
    account: str | None = None
    tolerance: Decimal = Decimal(0)
    source: str = ""

    def __post_init__(self) -> None:
        if self.kind not in ("market_value", "quantity", "rows"):
            raise MalformedError(f"control total: kind {self.kind!r} is none of market_value, quantity, rows")
        for name in ("stated", "tolerance"):
            value = getattr(self, name)
            if not isinstance(value, Decimal) or not value.is_finite():
                raise MalformedError(f"control total: {name} {value!r} is not a finite Decimal")


class ParquetScan(NamedTuple):
    """A Parquet file, and the part of a relation's query that reads it: rows of the same columns may take its place."""

    path: str
    sql: str


@dataclass(frozen=True, slots=True)
class Relation:
    """Positions as a query that the engine reads in bulk: a SELECT, and the files that it may open.

    The query returns any of ``POSITION_COLUMNS`` by name, as text, exact decimals, floats, dates or timestamps.
    ``columns`` maps a position column to what the source calls it, for messages. ``typed`` says that the query is cheap
    to read more than once (Parquet), so that nothing is copied. It may also return ``source_row``, the row's number in its
    file, and ``problem``, what its reader found wrong with a row: such a row is a fault, never dropped. ``constants`` are
    descriptive columns (``currency``, ``asset_class``) that are known to hold one and the same text in every row: at scale
    that spares carrying them. ``origins`` are the files that the source delivered, where the engine reads other ones made of them.
    ``parquet`` is where all rows come from, where that is one Parquet file: a cluster can read it by itself.
    """

    query: str
    files: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    first_row: int = 1
    typed: bool = False
    constants: Mapping[str, str] = field(default_factory=dict)
    origins: tuple[str, ...] = ()
    parquet: ParquetScan | None = None


@dataclass(frozen=True, slots=True)
class Feed:
    """What a broker says it holds, and how far that can be believed. Make one with the class methods.

    ``as_of`` is the time that the positions are of, from the payload or the server's Date header, never from our clock.
    ``basis`` says whether trades count from trade date or from settlement. ``lots`` declares that several rows of one key
    are lots to be summed. ``accounts`` are the accounts that the broker proved to have answered for, even without rows.
    ``unread`` are those of a PARTIAL feed that were not read whole, where all others were: an absence proves nothing in them alone.
    ``cash`` is the money that it states, by account and currency. ``notes`` are remarks that a person should read beside the feed.
    """

    status: FeedStatus
    reason: str = ""
    positions: tuple[Position, ...] = ()
    relation: Relation | None = None
    as_of: datetime | None = None
    date_only: bool = False
    basis: Basis = "unknown"
    lots: bool = False
    accounts: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    coverage: tuple[str, ...] = ()
    control_totals: tuple[ControlTotal, ...] = ()
    cash: tuple[Cash, ...] = ()
    sha256: str | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse with MalformedError what is no feed: an adapter's slip must not be believed."""
        try:
            object.__setattr__(self, "status", FeedStatus(self.status))
        except ValueError:
            raise MalformedError(f"feed: status {self.status!r} is none of {', '.join(FeedStatus)}") from None
        if self.basis not in ("trade", "settlement", "unknown"):
            raise MalformedError(f"feed: basis {self.basis!r} is none of trade, settlement, unknown")
        entries = {
            "positions": Position,
            "control_totals": ControlTotal,
            "cash": Cash,
            "accounts": str,
            "unread": str,
            "coverage": str,
            "notes": str,
        }
        for name, kind in entries.items():
            value = getattr(self, name)
            if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(entry, kind) for entry in value):
                raise MalformedError(f"feed: {name} is not a sequence of {kind.__name__}")
            object.__setattr__(self, name, tuple(value))
        if self.unread and self.status is FeedStatus.COMPLETE:
            raise MalformedError(f"feed: COMPLETE, and accounts were not read: {', '.join(self.unread)}")
        if not isinstance(self.sha256, str | None):
            raise MalformedError("feed: sha256 is not text")
        if self.as_of is not None and (not isinstance(self.as_of, datetime) or self.as_of.tzinfo is None):
            raise MalformedError(f"feed: as_of {self.as_of!r} is not a time with its zone")

    @classmethod
    def complete(cls, positions: Iterable[Position], *, as_of: datetime, basis: Basis = "unknown", **more: Any) -> Feed:
        """All positions of all accounts asked for: an absent symbol is flat. ``more`` sets any other field by name."""
        return cls(FeedStatus.COMPLETE, positions=tuple(positions), as_of=as_of, basis=basis, **more)

    @classmethod
    def partial(cls, positions: Iterable[Position], *, reason: str, as_of: datetime | None = None, **more: Any) -> Feed:
        """Some positions: those given are judged, an absence proves nothing. ``reason`` is what a person can act on.

        Where ``unread`` (one of ``more``) names the accounts concerned, an absence in the others is one.
        """
        return cls(FeedStatus.PARTIAL, reason=reason, positions=tuple(positions), as_of=as_of, **more)

    @classmethod
    def from_sql(
        cls, query: str, *, as_of: datetime | None, files: Sequence[str] = (), columns: Mapping[str, str] | None = None, **more: Any
    ) -> Feed:
        """Positions in bulk: a SELECT over files that the engine reads (see Relation); ``more`` as in ``complete``."""
        shape = {key: more.pop(key) for key in ("name", "first_row", "typed") if key in more}
        relation = Relation(query, tuple(files), dict(columns or {}), **shape)
        return cls(FeedStatus.COMPLETE, relation=relation, as_of=as_of, **more)

    @classmethod
    def unavailable(cls, status: FeedStatus, reason: str) -> Feed:
        """No positions at all, and why: FAILED or NOT_READY."""
        return cls(status, reason=reason)

    def but(self, **changes: Any) -> Feed:
        """The same feed with other fields."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a run asks an adapter for: positions as of ``as_of`` (None: now) of ``accounts`` (the broker's names; empty: all).

    ``since`` is from when on evidence is asked for.
    """

    as_of: datetime | None = None
    accounts: tuple[str, ...] = ()
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Total:
    """What the breaks of one scope add up to, silenced ones left out. ``total_impact`` is None where one is unknown."""

    scope: Scope
    broker: str | None
    account: str | None
    break_count: int
    missing_count: int
    halting_count: int
    total_impact: Decimal | None
    known_impact: Decimal
    unknown_count: int
    counts: Mapping[str, int]
    tripped: Mapping[str, bool | None]
    behind: Mapping[str, tuple[int, tuple[str, ...]]]
    """By escalation, how many breaks its predicate speaks of, and the ids of the worst 100."""
    as_incidents: tuple[int, int] | None = None
    """``break_count`` and ``missing_count`` as escalations have them where the policy counts incidents: those of one as one."""

    @property
    def name(self) -> str:
        """The scope as a person reads it."""
        return {"firm": "firm", "broker": f"broker {self.broker}", "account": f"account {self.broker}/{self.account}"}[self.scope]


@dataclass(frozen=True, slots=True)
class Tally:
    """The live breaks of one type in one account: at least one. ``impact`` is base currency, None where one is unknown."""

    broker: str
    account: str
    type: str
    break_count: int
    impact: Decimal | None


@dataclass(frozen=True, slots=True)
class Halting:
    """The breaks of one rule that halt in one scope, by the policy entry that says so (0: the rule's own)."""

    type: str
    source: int
    scope: str
    count: int
    breaks: tuple[str, ...]
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why trading halts: the policy line that says so, what it saw, the scope it stops and the breaks behind it."""

    policy: str
    detail: str
    scope: str
    breaks: tuple[str, ...] = ()
    break_count: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether trading halts, every reason for it, what the policy requires before it goes on, and what it only warns of."""

    halt: bool
    reasons: tuple[Reason, ...] = ()
    require: tuple[str, ...] = ()
    warnings: tuple[Reason, ...] = ()
