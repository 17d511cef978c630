"""The oracle's rules: what is a break on one pair, whether it halts, and what silences it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

from oracle_pairs import Inputs, Key, Pair, both, exceeds, first, money, product, size

from recon_core.config.policy import ActiveRule, Halt, Match, Policy


@dataclass(frozen=True)
class Finding:
    """One break, with everything that decides what becomes of it. ``impact`` None is unknown."""

    type: str
    key: Key
    impact: Decimal | None
    severity: str
    halts: bool
    halt_source: int
    counts: bool
    one_sided: bool
    suppressed_by: int | None = None
    superseded_by: str | None = None

    @property
    def live(self) -> bool:
        return self.suppressed_by is None and self.superseded_by is None


# --- rules

Parameters = Mapping[str, Any]


def _quantity_breaks(pair: Pair, params: Parameters) -> bool | None:
    if not (pair.in_book and pair.at_broker and pair.difference is not None):
        return both(pair.in_book, pair.at_broker)
    difference = abs(pair.difference)
    if difference > params["tolerance"]:
        return True
    worth = product(difference, pair.unit_value)
    return bool(params["tolerance"] > 0 and difference and (worth is None or worth > params["tolerance_value"]))


def _price_gap(pair: Pair) -> Decimal | None:
    mine, theirs = pair.book and pair.book.avg_price, pair.broker and pair.broker.avg_price
    return None if mine is None or theirs is None else abs(mine - theirs)


def _price_base(pair: Pair) -> Decimal | None:
    return size(pair.broker.avg_price) if pair.broker else None


def _price_breaks(pair: Pair, params: Parameters) -> bool | None:
    gap, base = _price_gap(pair), _price_base(pair)
    apart = None if gap is None or base is None else gap * 100 > params["tolerance_pct"] * base
    return both(pair.in_book, pair.at_broker, apart)


def _price_impact(pair: Pair) -> Decimal | None:
    held = size(pair.broker.quantity) if pair.broker else None
    return product(product(product(_price_gap(pair), held), pair.multiplier), pair.fx_rate)


def _stale(pair: Pair, params: Parameters) -> bool | None:
    old = None
    if pair.untouched is not None:
        microseconds = pair.untouched // timedelta(microseconds=1)
        old = microseconds >= params["older_than_hours"] * 3_600_000_000
    return both(pair.in_book, old)


def _currencies_differ(pair: Pair, _: Parameters) -> bool | None:
    mine, theirs = pair.book and pair.book.currency, pair.broker and pair.broker.currency
    return both(pair.in_book, pair.at_broker, None if mine is None or theirs is None else mine != theirs)


def _value(pair: Pair) -> Decimal | None:
    return product(size(pair.difference), pair.unit_value)


def _nothing(_: Pair) -> Decimal:
    return Decimal(0)


WHEN: Mapping[str, Callable[[Pair, Parameters], bool | None]] = {
    "MISSING_AT_BROKER": lambda pair, _: both(pair.in_book, None if pair.at_broker is None else not pair.at_broker),
    "MISSING_IN_DB": lambda pair, _: both(pair.at_broker, not pair.in_book),
    "QUANTITY_MISMATCH": _quantity_breaks,
    "PRICE_MISMATCH": _price_breaks,
    "STALE_POSITION": _stale,
    "CURRENCY_MISMATCH": _currencies_differ,
}
IMPACT: Mapping[str, Callable[[Pair], Decimal | None]] = {
    "MISSING_AT_BROKER": _value,
    "MISSING_IN_DB": _value,
    "QUANTITY_MISMATCH": _value,
    "PRICE_MISMATCH": _price_impact,
    "STALE_POSITION": _nothing,
    "CURRENCY_MISMATCH": _nothing,
}
MEASURE: Mapping[str, Callable[[Pair], tuple[Decimal | None, Decimal | None]]] = {
    "QUANTITY_MISMATCH": lambda pair: (size(pair.difference), size(pair.broker.quantity) if pair.broker else None),
    "PRICE_MISMATCH": lambda pair: (_price_gap(pair), _price_base(pair)),
}


@dataclass
class _Tuned:
    """What the policy says of a rule on one position, all overrides applied."""

    severity: str
    halt: Halt
    halt_source: int
    counts: bool
    undetermined: str
    params: dict[str, Any]


def _fits(match: Match, key: Key, kind: str) -> bool:
    wanted = ((match.broker, key[0]), (match.account, key[1]), (match.symbol, key[2]), (match.type, kind))
    return all(pattern is None or fnmatchcase(name, pattern) for pattern, name in wanted)


def _tuned(policy: Policy, rule: ActiveRule, key: Key) -> _Tuned:
    tuned = _Tuned(rule.severity, rule.halt, 0, rule.counts, rule.undetermined, dict(rule.params))
    for number, override in enumerate(policy.overrides, 1):
        if not _fits(override.match, key, rule.type):
            continue
        for pattern, entry in override.rules.items():
            if fnmatchcase(rule.type, pattern):
                tuned.severity = first(entry.severity, tuned.severity)
                tuned.counts = first(entry.counts, tuned.counts)
                tuned.undetermined = first(entry.undetermined, tuned.undetermined)
                tuned.params |= entry.params
                if entry.halt is not None:
                    tuned.halt, tuned.halt_source = entry.halt, number
    return tuned


def judge(pair: Pair, rule: ActiveRule, policy: Policy) -> tuple[Finding | None, bool]:
    """The break of one rule on one pair, if any, and whether the rule cannot tell there."""
    tuned = _tuned(policy, rule, pair.key)
    fired = WHEN[rule.type](pair, tuned.params)
    undetermined = fired is None and pair.at_broker is not None  # an unproven side is said once, by the feed
    if not (fired or (undetermined and tuned.undetermined == "break")):
        return None, undetermined
    impact = money(IMPACT[rule.type](pair)) if fired else None
    finding = Finding(
        type=rule.type,
        key=pair.key,
        impact=impact,
        severity=tuned.severity,
        halts=_halts(tuned.halt, pair, rule.type, impact),
        halt_source=tuned.halt_source,
        counts=tuned.counts,
        one_sided=pair.at_broker is not None and pair.in_book != pair.at_broker,
    )
    return finding, undetermined


def _halts(halt: Halt, pair: Pair, kind: str, impact: Decimal | None) -> bool:
    """Whether a break halts; all conditions that are given must hold, and one that cannot be told does."""
    if halt.always or halt.never:
        return halt.always
    held = []
    if halt.above_pct is not None:
        difference, base = MEASURE[kind](pair)
        held.append(None if difference is None or base is None else difference * 100 > halt.above_pct * base)
    if halt.above_impact is not None:
        held.append(exceeds(impact, halt.above_impact))
    if halt.when is not None:
        held.append(holds(halt.when, {"impact": impact}))
    return all(part is not False for part in held)


def holds(predicate: str, values: Mapping[str, Any]) -> bool | None:
    """A predicate of the small family that the tests use: comparisons of a name with a number, by ``and`` within ``or``."""
    choices = [both(*(_compared(term, values) for term in side.split(" and "))) for side in predicate.split(" or ")]
    if True in choices:
        return True
    return None if None in choices else False


def _compared(term: str, values: Mapping[str, Any]) -> bool | None:
    name, operator, number = term.split()
    value, limit = values[name], Decimal(number)
    return None if value is None else {">": value > limit, ">=": value >= limit, "<": value < limit}[operator]


# --- what silences a break


def suppressed(finding: Finding, inputs: Inputs) -> Finding:
    today = inputs.as_of.date()
    for place, entry in enumerate(inputs.policy.suppress):
        within = finding.impact is not None and (entry.max_impact is None or finding.impact <= entry.max_impact)
        if today <= entry.until and _fits(entry.match, finding.key, finding.type) and within:
            return replace(finding, suppressed_by=place)
    return finding


def superseded(findings: Sequence[Finding], policy: Policy) -> list[Finding]:
    """Each break with the type that silences it: one on the same position that is not suppressed and halts no less."""
    claims: dict[str, set[str]] = defaultdict(set)  # winner: losers; two rules never silence each other
    for rule in policy.rules.values():
        for loser in rule.supersedes:
            if loser in policy.rules and rule.type not in _silenced_from(loser, claims):
                claims[rule.type].add(loser)
    silenced = []
    for finding in findings:
        winners = [
            other.type
            for other in findings
            if other.key == finding.key
            and other.suppressed_by is None
            and finding.type in claims[other.type]
            and (other.halts or not finding.halts)
        ]
        silenced.append(replace(finding, superseded_by=min(winners, default=None)))
    return silenced


def _silenced_from(kind: str, claims: Mapping[str, set[str]]) -> set[str]:
    """The type itself, and all that it silences, directly or through others."""
    reached, waiting = set(), [kind]
    while waiting:
        current = waiting.pop()
        reached.add(current)
        waiting += [loser for loser in claims.get(current, ()) if loser not in reached]
    return reached
