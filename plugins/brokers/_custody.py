"""What custody statements have in common, whether SWIFT (ISO 15022) or ISO 20022: pages, flat accounts, totals, per-cent prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from decimal import Context, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from recon_core import ControlTotal, Feed, MalformedError, Position

BASES = {"TRAD": "trade", "SETT": "settlement", "CONT": "settlement"}
EXACT = Context(prec=200)
PER_CENT = CENT = Decimal("0.01")
MOST_DIGITS = 60
OPTIONS: dict[str, Any] = {
    "path": {
        "type": "string",
        "description": "The file; {date:%Y%m%d} in its name is the day asked for, and * stands for the pages of one statement.",
    },
    "account": {"type": "string", "minLength": 1, "description": "Name of the account where a statement names none."},
    "symbol": {
        "type": "string",
        "enum": ["ticker", "isin"],
        "default": "ticker",
        "description": "What names the instrument where a statement has both.",
    },
    "timezone": {"type": "string", "description": "IANA time zone of times that name none; bare dates are UTC without it."},
}


@dataclass(frozen=True)
class Holding:
    """A position as a statement lists it: ``part`` is where in the account it is kept, ``worth`` its value by currency."""

    position: Position
    part: str
    worth: Mapping[str, Decimal]


@dataclass
class Page:
    """One message of a statement. ``statement`` is what all pages of one have in common, ``last`` whether its head says so."""

    place: str
    account: str | None
    statement: tuple[object, ...]
    number: int
    last: bool
    as_of: datetime
    date_only: bool
    basis: str
    holds_nothing: bool
    holdings: list[Holding] = field(default_factory=list)
    flat_parts: list[str] = field(default_factory=list)
    page_worth: Mapping[str, Decimal] = field(default_factory=dict)
    statement_worth: Mapping[str, Decimal] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def custody_feed(pages: Sequence[Page]) -> Feed:
    """The feed that the pages are, proven account by account. Raises MalformedError for what contradicts itself."""
    accounts: dict[str | None, list[Page]] = {}
    for page in sorted(pages, key=lambda page: page.number):
        accounts.setdefault(page.account, []).append(page)
    totals: list[ControlTotal] = []
    reasons: list[str] = []
    notes = [note for page in pages for note in page.notes]
    lots = _parts_of_one(pages)
    for account, its in accounts.items():
        totals += [_flat(part) for page in its for part in page.flat_parts]
        trouble = _pages_missing(its) or _worth_otherwise(its, notes)
        flat = all(page.holds_nothing for page in its)
        if not trouble and not flat and not any(page.holdings for page in its):
            trouble = "it lists no holding, and does not say that nothing is held"
        if trouble:
            reasons.append(f"account {account}: {trouble}")
        elif flat:
            totals.append(_flat(account))
    bases = {page.basis for page in pages}
    if "CONT" in bases:
        notes.append("contractual settlement: trades count from the day on which they should settle")
    oldest = min(pages, key=lambda page: page.as_of)
    more: dict[str, Any] = {
        "as_of": oldest.as_of,
        "date_only": oldest.date_only,
        "basis": BASES.get(bases.pop(), "unknown") if len(bases) == 1 else "unknown",
        "lots": lots,
        "control_totals": tuple(totals),
        "notes": tuple(notes),
    }
    positions = [holding.position for page in pages for holding in page.holdings]
    if reasons:
        return Feed.partial(positions, reason="; ".join(reasons), **more)
    proven = {*accounts, *(position.account for position in positions)} - {None}
    return Feed.complete(positions, accounts=tuple(sorted(map(str, proven))), **more)


def _flat(account: str | None) -> ControlTotal:
    return ControlTotal("rows", Decimal(0), account=account, source="the statement says that nothing is held")


def _parts_of_one(pages: Sequence[Page]) -> bool:
    """Whether a position is listed in parts, by where it is kept. What is listed twice in one place is refused."""
    parts: dict[tuple[str | None, str], set[str]] = {}
    owners: dict[tuple[str | None, str], str | None] = {}
    for page in pages:
        if page.holds_nothing and page.holdings:
            raise MalformedError(f"{page.place}: it says that nothing is held, and lists holdings; nothing was compared")
        for holding in page.holdings:
            position = holding.position
            key = (position.account, position.symbol)
            seen = parts.setdefault(key, set())
            if holding.part in seen or owners.setdefault(key, page.account) != page.account:
                raise MalformedError(
                    f"{page.place}: {position.symbol} stands in account {position.account} twice; nothing was compared"
                )
            seen.add(holding.part)
    return any(len(seen) > 1 for seen in parts.values())


def _pages_missing(pages: Sequence[Page]) -> str:
    """Why the pages of an account, in the order of their numbers, are not one whole statement."""
    if len({(page.statement, page.as_of, page.basis) for page in pages}) > 1:
        return "its pages are of several statements (reference, date or basis differ); those of one are due"
    numbers = [page.number for page in pages]
    if numbers != list(range(1, len(pages) + 1)) or [page.last for page in pages] != [False] * (len(pages) - 1) + [True]:
        said = ", ".join(f"{page.number}{' (last)' if page.last else ''}" for page in pages[:20])
        return f"pages {said} are not all pages from 1 to the last: wait for the rest"
    return ""


def _worth_otherwise(pages: Sequence[Page], notes: list[str]) -> str:
    """Why what the holdings are worth is not what a page and the statement state."""
    everything = [holding for page in pages for holding in page.holdings]
    for page in pages:
        for whole, stated, holdings in (("page", page.page_worth, page.holdings), ("statement", page.statement_worth, everything)):
            for currency, total in stated.items():
                if any(currency not in holding.worth for holding in holdings):
                    notes.append(f"{page.place}: value of the {whole} in {currency} not compared: not every holding has one in it")
                    continue
                computed = Decimal(0)
                for holding in holdings:
                    computed = EXACT.add(computed, holding.worth[currency])
                if EXACT.subtract(computed, total).copy_abs() > CENT * len(holdings):  # each value is rounded
                    return (
                        f"{page.place} states a value of the {whole} of {total:f} {currency}, its holdings add up to {computed:f}"
                    )
    return ""


def zone_of(settings: Mapping[str, Any], stamp: datetime, *, bare: bool, place: str) -> datetime:
    """A time without a zone as one of ``timezone``, else, of a bare date, UTC. Raises MalformedError where neither can be said."""
    name = settings.get("timezone")
    if stamp.tzinfo is None and not name and not bare:
        raise MalformedError(f"{place}: the statement's time {stamp} has no time zone: say `timezone`")
    if not 1900 < stamp.year < 9999:
        raise MalformedError(f"{place}: {stamp.isoformat()} is no time of this world; nothing was compared")
    try:
        zone: tzinfo = ZoneInfo(name) if name else UTC
    except (ValueError, KeyError, OSError):
        raise MalformedError(f"timezone: {name!r} is no IANA time zone such as America/New_York") from None
    placed = stamp if stamp.tzinfo else stamp.replace(tzinfo=zone)
    return placed if bare else placed.astimezone(UTC)


def described(
    *,
    place: str,
    kind: str,
    per_cent: Decimal | None,
    money: Decimal | None,
    multiplier: Decimal | None,
    notes: list[str],
) -> dict[str, Any]:
    """Price and multiplier of a quantity in ``kind`` (units, or some amount), so that quantity x price x multiplier is money.

    A price in per cent fits an amount, one in money fits units. Any other is left out, with a note: what it is per is not known.
    """
    if per_cent is not None and kind != "units":
        return {"market_price": per_cent, "multiplier": PER_CENT}
    if money is not None and kind == "units":
        return {"market_price": money, "multiplier": multiplier}
    if per_cent is not None or money is not None:
        notes.append(f"{place}: price of a quantity in {kind} left out: what it is per is not known")
    return {"market_price": None, "multiplier": multiplier}
