"""What announced corporate actions make of the quantities that the book holds, wherever the broker's own booking is not on file.

An announcement says what should happen, not what did: its terms count only where they leave nothing over, and those of an event
that moves two positions only where they do so on both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, timedelta
from decimal import Decimal
from fractions import Fraction

from recon_core.bookings import CAUSE_OF, OF_AN_ISSUER, SPLITS
from recon_core.evidence import CorporateAction
from recon_core.explanation import Difference, Key, Term
from recon_core.instruments import Instruments, Named
from recon_core.model import QUANTITY_PLACES

_RATIOS = SPLITS | {"stock_dividend"}
_SAME_EVENT = timedelta(days=10)
"""So far apart the days of an announcement and of its booking may be."""


@dataclass(frozen=True, slots=True)
class Announced:
    """What one announcement makes of one position. ``ratio`` is new units for each old one, where it applies to all that were held
    before; ``also`` are the positions that the same event must explain."""

    term: Term
    ratio: Fraction | None = None
    also: frozenset[Key] = frozenset()


def announced(
    actions: Sequence[CorporateAction],
    instruments: Instruments,
    booked: Mapping[Key, Sequence[Term]],
    *,
    as_of: date,
) -> dict[Key, list[Announced]]:
    """By position what was announced for a day up to ``as_of`` and not ``booked``, each event once."""
    found: dict[Key, list[Announced]] = {}
    for action in _once(actions):
        days = sorted(day for day in (action.ex_date, action.process_date, action.payable_date) if day is not None and day <= as_of)
        for account in instruments.accounts if days else ():
            effects = list(_effects(action, account, instruments, days))
            if any(_is_booked(action, days, booked.get(_key(each.term), ())) for each in effects):
                continue
            for each in effects:
                found.setdefault(_key(each.term), []).append(each)
    return found


def _once(actions: Sequence[CorporateAction]) -> list[CorporateAction]:
    """Each event once, whatever its ids."""
    found: dict[CorporateAction, CorporateAction] = {}
    for action in sorted(actions, key=lambda action: action.id):
        if action.kind in OF_AN_ISSUER:
            found.setdefault(replace(action, id="", said="", source="", raw=""), action)
    return list(found.values())


def _effects(action: CorporateAction, account: str, instruments: Instruments, days: Sequence[date]) -> Iterator[Announced]:
    rate = None
    if action.old_rate and action.new_rate and action.old_rate > 0 < action.new_rate:
        rate = Fraction(action.new_rate) / Fraction(action.old_rate)
    held = [
        each
        for each in instruments.named(account, Named(action.symbol, None, action.isin, action.cusip))
        if each.book is not None and each.book.quantity
    ]
    new = Named(action.new_symbol, None, action.new_isin, action.new_cusip)
    others = {each.leg: each for each in instruments.named(account, new)} if action.new_symbol else {}
    for old in held:
        other = others.get(old.leg)
        renamed = action.new_symbol is not None and (other is None or other.key != old.key)
        if action.kind in _RATIOS and not renamed:
            yield from _rated(action, old, rate, days)
        elif action.kind == "spin_off":
            if other is not None and renamed and rate is not None:
                yield from _arrived(action, old, other, rate, days, also=frozenset())
        elif action.kind == "merger" and action.new_symbol is None and action.cash_per_unit:
            yield Announced(_term(action, old, _held(old).copy_negate(), days, cash_for=Fraction(_held(old))))
        elif action.kind in ("merger", "symbol_change") and other is not None and renamed:
            each_one = rate or (Fraction(1) if action.kind == "symbol_change" else None)
            arrived = list(_arrived(action, old, other, each_one, days, also=frozenset((old.key,)))) if each_one else []
            if arrived:
                left = _term(action, old, _held(old).copy_negate(), days, cash_for=Fraction(_held(old)))
                yield Announced(left, also=frozenset((other.key,)))
                yield from arrived


def _rated(action: CorporateAction, old: Difference, rate: Fraction | None, days: Sequence[date]) -> Iterator[Announced]:
    """A split of all that is held: to the last fraction, or whole units and money for what is left of one."""
    if rate is None or rate == 1:
        return
    after = Fraction(_held(old)) * rate
    exact = decimal_of(after)
    if exact is not None:
        yield Announced(replace(_term(action, old, exact - _held(old), days), ratio=rate), ratio=rate)
    if after.denominator != 1:
        whole = Decimal(int(after))
        left = _term(action, old, whole - _held(old), days, cash_for=(after - int(after)) / rate)
        yield Announced(replace(left, ratio=rate))


def _arrived(
    action: CorporateAction, old: Difference, new: Difference, rate: Fraction, days: Sequence[date], *, also: frozenset[Key]
) -> Iterator[Announced]:
    """The units of another instrument, to the last fraction or whole ones alone."""
    units = Fraction(_held(old)) * rate
    exact = decimal_of(units)
    if exact is not None:
        yield Announced(_term(action, new, exact, days), also=also)
    if units.denominator != 1 and int(units):
        yield Announced(_term(action, new, Decimal(int(units)), days), also=also)


def decimal_of(number: Fraction) -> Decimal | None:
    """A quantity exactly; None where it has more places than any."""
    if number.denominator == 1:
        return Decimal(number.numerator)
    scaled = number * 10**QUANTITY_PLACES
    return Decimal(scaled.numerator).scaleb(-QUANTITY_PLACES).normalize() if scaled.denominator == 1 else None


def _term(
    action: CorporateAction, position: Difference, quantity: Decimal, days: Sequence[date], *, cash_for: Fraction = Fraction(0)
) -> Term:
    agreed = position.agreed_at.astimezone(UTC).date() if position.agreed_at else date.min
    money = decimal_of(cash_for * Fraction(action.cash_per_unit)) if action.cash_per_unit else None
    said = action.said or action.kind
    rates = f" {action.new_rate:f} for {action.old_rate:f}" if action.new_rate and action.old_rate else ""
    return Term(
        id=action.id,
        kind="announced",
        cause=CAUSE_OF[action.kind],
        broker=position.broker,
        account=position.account,
        symbol=position.symbol,
        leg=position.leg,
        quantity=quantity,
        on=next((day for day in days if day >= agreed), days[-1]),
        amount=money or None,
        event=action.id,
        said=f"{said}{rates}",
        source=action.source,
        raw=action.raw,
    )


def _is_booked(action: CorporateAction, days: Sequence[date], terms: Sequence[Term]) -> bool:
    """Whether the broker booked this very event: by its id, or one of the same kind about the same time."""
    kinds = _RATIOS if action.kind in _RATIOS else {action.kind}
    return any(
        term.event == action.id or (term.kind in kinds and days[0] - _SAME_EVENT <= term.on <= days[-1] + _SAME_EVENT)
        for term in terms
    )


def _held(position: Difference) -> Decimal:
    return position.book.quantity if position.book is not None else Decimal(0)


def _key(term: Term) -> Key:
    return term.broker, term.account, term.symbol, term.leg
