"""A second opinion on what the engine finds: the same rules in slow, plain Python over Decimal, one position at a time.

It shares no SQL and no expression with the engine; what it takes from ``recon_core`` are the values that go in (positions,
feeds, the policy). Money and limits follow the documented arithmetic: every product is cut at 18 decimals and unknown from
10^20, an impact is rounded half up to 4 decimals, unknown exceeds every limit, three-valued logic decides the rest.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, localcontext
from fnmatch import fnmatchcase
from typing import Any

from recon_core.config.policy import ActiveRule, Escalation, Halt, Match, Policy
from recon_core.config.settings import BrokerSettings
from recon_core.model import Feed, FeedStatus, Position

Key = tuple[str, str, str, str]
"""Broker, account, symbol, leg."""

HUNDREDTHS = {"GBX": "GBP", "GBp": "GBP", "ILA": "ILS", "ZAC": "ZAR", "ZAc": "ZAR"}
SYNONYMS = {"us_equity": ("us_equity", "stock"), "crypto": ("crypto", "coin"), "us_option": ("us_option", "option")}
"""The asset classes that the tests use, and other spellings that a book may have of them."""


@dataclass(frozen=True)
class Inputs:
    """All that a comparison depends on. ``book`` rows go with the broker that they name.

    ``typed`` says how the engine is given the rows (as a file of typed columns, not as texts), which must change nothing.
    """

    book: tuple[tuple[str, Position], ...]
    feeds: tuple[tuple[BrokerSettings, Feed], ...]
    policy: Policy
    as_of: datetime
    now: datetime
    fx: Mapping[str, Decimal]
    book_lots: bool = False
    typed: bool = False


@dataclass(frozen=True)
class Pair:
    """One key on both sides; ``at_broker`` is None where the broker's silence proves nothing."""

    key: Key
    book: Position | None
    broker: Position | None
    in_book: bool
    at_broker: bool | None
    price: Decimal | None
    multiplier: Decimal | None
    fx_rate: Decimal | None
    untouched: timedelta | None

    @property
    def difference(self) -> Decimal | None:
        """Book minus broker, an absent side as 0; None where the broker's side is unproven."""
        if self.at_broker is None:
            return None
        return (self.book.quantity if self.book else Decimal(0)) - (self.broker.quantity if self.broker else Decimal(0))

    @property
    def unit_value(self) -> Decimal | None:
        """What one unit is worth in base currency."""
        return product(product(self.price, self.multiplier), self.fx_rate)


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


@dataclass(frozen=True)
class Sum:
    """What the breaks of one scope add up to; ``impact`` None is unknown."""

    breaks: int
    missing: int
    halting: int
    impact: Decimal | None
    known: Decimal
    unknown: int
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Opinion:
    """What must be found. ``worst`` are type and key of the breaks to list, in order; ``sums`` go by () or (broker,) or
    (broker, account); ``reasons`` are (policy line and entry, scope, how many breaks)."""

    duplicates: bool
    pairs: int = 0
    unproven: int = 0
    findings: frozenset[Finding] = frozenset()
    worst: tuple[tuple[str, ...], ...] = ()
    undetermined: Mapping[str, int] | None = None
    sums: Mapping[tuple[str, ...], Sum] | None = None
    reasons: tuple[tuple[str, str, int], ...] = ()
    require: tuple[str, ...] = ()


def opinion(inputs: Inputs) -> Opinion:
    """What the engine must find for ``inputs``; where a key repeats that is not declared as lots, that alone."""
    with localcontext(prec=200):
        if _duplicates(inputs):
            return Opinion(duplicates=True)
        pairs = _pairs(inputs)
        policy = inputs.policy
        judged = [(pair, rule, _judge(pair, rule, policy)) for pair in pairs for rule in policy.rules.values()]
        found = [finding for _, _, (finding, _) in judged if finding]
        findings = _superseded([_suppressed(finding, inputs) for finding in found], policy)
        unknown = Counter(rule.type for _, rule, (_, undetermined) in judged if undetermined)
        sums = {scope: _sum(here, policy) for scope, here in _scopes(findings).items()}
        reasons, require = _decide(inputs, findings, sums)
        return Opinion(
            duplicates=False,
            pairs=len(pairs),
            unproven=sum(pair.at_broker is None for pair in pairs),
            findings=frozenset(findings),
            worst=tuple(
                (finding.type, *finding.key) for finding in sorted(findings, key=_worst_first) if not finding.superseded_by
            ),
            undetermined={name: unknown[name] for name in policy.rules},
            sums={scope: total for scope, total in sums.items() if len(scope) in _depths(policy)},
            reasons=tuple(sorted(reasons)),
            require=tuple(sorted(require)),
        )


# --- arithmetic


def product(a: Decimal | None, b: Decimal | None) -> Decimal | None:
    """The product, cut at 18 decimals; None where a factor is unknown or the result is 10^20 or more."""
    if a is None or b is None:
        return None
    exact = (a * b).quantize(Decimal("1e-18"), ROUND_DOWN)
    return exact if abs(exact) < 10**20 else None


def money(value: Decimal | None) -> Decimal | None:
    """An amount without its sign, rounded half up to 4 decimals."""
    return None if value is None else abs(value).quantize(Decimal("0.0001"), ROUND_HALF_UP)


def _size(value: Decimal | None) -> Decimal | None:
    return None if value is None else abs(value)


def _exceeds(value: Decimal | None, limit: Decimal | None) -> bool | None:
    return None if value is None or limit is None else value > limit


def _both(*parts: bool | None) -> bool | None:
    if any(part is False for part in parts):
        return False
    return None if None in parts else True


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


# --- from rows to pairs


def _unused(feed: Feed) -> bool:
    return feed.status in (FeedStatus.FAILED, FeedStatus.NOT_READY)


def _duplicates(inputs: Inputs) -> bool:
    """Whether a key stands in several rows (not of quantity 0) of a side that is not declared to hold lots."""
    sides: list[list[tuple[Any, ...]]] = []
    if not inputs.book_lots:
        sides.append([(name, row.account, row.symbol, row.leg) for name, row in inputs.book if row.quantity])
    for _, feed in inputs.feeds:
        if not _unused(feed) and not feed.lots:
            sides.append([(row.account, row.symbol, row.leg) for row in feed.positions if row.quantity])
    return any(len(set(keys)) < len(keys) for keys in sides)


def _pairs(inputs: Inputs) -> list[Pair]:
    book_rows: dict[Key, list[Position]] = defaultdict(list)
    broker_rows: dict[Key, list[Position]] = defaultdict(list)
    for settings, feed in inputs.feeds:
        for name, row in inputs.book:
            if name == settings.alias and row.quantity:
                book_rows[_key(settings, row)].append(row)
        for row in () if _unused(feed) else feed.positions:
            if row.quantity:
                broker_rows[_key(settings, row)].append(row)
    book = {key: total for key, rows in book_rows.items() if (total := _one(rows)) is not None}
    broker = {key: total for key, rows in broker_rows.items() if (total := _one(rows)) is not None}
    return [_pair(inputs, key, book.get(key), broker.get(key)) for key in sorted(book.keys() | broker.keys())]


def _key(settings: BrokerSettings, row: Position) -> Key:
    assert row.account is not None
    leg = "NET" if settings.legs == "net" else row.leg
    return settings.alias, settings.accounts.get(row.account, row.account), row.symbol, leg


def _one(rows: Sequence[Position]) -> Position | None:
    """Rows of one key as one position; None where they add up to nothing."""
    if len(rows) == 1:
        return rows[0]
    quantity = sum((row.quantity for row in rows), Decimal(0))
    if not quantity:
        return None
    stamps = [row.updated_at for row in rows if row.updated_at]
    return replace(
        rows[0],
        quantity=quantity,
        avg_price=_average(rows, quantity),
        updated_at=max(stamps, default=None),
        **{name: _least(rows, name) for name in ("asset_class", "currency", "market_price", "multiplier")},
    )


def _least(rows: Sequence[Position], name: str) -> Any:
    """The smallest that any lot says, so that the order of the lots changes nothing."""
    return min((value for row in rows if (value := getattr(row, name)) is not None), default=None)


def _average(rows: Sequence[Position], quantity: Decimal) -> Decimal | None:
    """The price weighted by quantity; unknown where a lot has none, or where lots of both signs make it meaningless."""
    if len({row.quantity > 0 for row in rows}) > 1:
        return None
    if len({row.avg_price for row in rows}) == 1:
        return rows[0].avg_price
    worths = [product(row.quantity, row.avg_price) for row in rows]
    known = [worth for worth in worths if worth is not None]
    worth = sum(known, Decimal(0))
    if len(known) < len(worths) or abs(worth) >= 10**20:
        return None
    return (worth / quantity).quantize(Decimal("1e-12"), ROUND_HALF_UP)


def _pair(inputs: Inputs, key: Key, book: Position | None, broker: Position | None) -> Pair:
    policy = inputs.policy

    def either(name: str) -> Any:
        return _first(broker and getattr(broker, name), book and getattr(book, name))

    asset_class, settings, feed = either("asset_class"), *_feed(inputs, key[0])
    assumed = None
    if not any(row.currency for _, row in inputs.book) and (_unused(feed) or not any(row.currency for row in feed.positions)):
        assumed = policy.base_currency
    derivative = asset_class is not None and re.search(r"option|future|^opt$|^fut$|^fop$", asset_class.lower())
    touched = book.updated_at if book else None
    present: bool | None = broker is not None
    if broker is None and _silent(inputs, settings, feed, key[1], asset_class):
        present = None
    return Pair(
        key=key,
        book=book,
        broker=broker,
        in_book=book is not None,
        at_broker=present,
        price=_first(either("market_price"), either("avg_price") if policy.price_fallback else None),
        multiplier=_first(either("multiplier"), None if derivative else Decimal(1)),
        fx_rate=_rate(policy.base_currency, inputs.fx, _first(either("currency"), assumed)),
        untouched=inputs.as_of - touched if touched is not None and touched <= inputs.now else None,
    )


def _feed(inputs: Inputs, alias: str) -> tuple[BrokerSettings, Feed]:
    return next((settings, feed) for settings, feed in inputs.feeds if settings.alias == alias)


def _rate(base: str, fx: Mapping[str, Decimal], currency: str | None) -> Decimal | None:
    """Base currency for one unit of ``currency``; pence and their like are hundredths of what has a rate."""
    rates = {base: Decimal(1), **fx}
    if currency in rates:
        return rates[currency]
    major = rates.get(HUNDREDTHS.get(currency or "", ""))
    return None if major is None else major / 100


# --- how far a feed is believed


def _whole(feed: Feed) -> bool:
    """Whether nothing speaks against the whole feed: its own status, and its control totals of rows."""
    stated = all(total.stated == len(feed.positions) for total in feed.control_totals)
    return feed.status is FeedStatus.COMPLETE and stated


def _unproven_accounts(inputs: Inputs, settings: BrokerSettings, feed: Feed) -> list[str]:
    """The accounts that the book holds something in, or that are expected, and of which the feed says nothing at all."""
    rows = Counter(row.account for name, row in inputs.book if name == settings.alias and row.quantity)
    wanted = {account for account in rows if account}
    if _whole(feed) and feed.control_totals and not feed.positions:
        wanted = set()  # the broker states that there is nothing
    named = [*(row.account or "" for row in feed.positions), *feed.accounts]
    answered = {settings.accounts.get(name, name) for name in named}
    return sorted((wanted | set(settings.expect_accounts)) - answered)


def _silent(inputs: Inputs, settings: BrokerSettings, feed: Feed, account: str, asset_class: str | None) -> bool:
    """Whether an absence in this account, of this asset class, proves nothing."""
    if not _whole(feed) or account in _unproven_accounts(inputs, settings, feed):
        return True
    covered = {name for group in feed.coverage for name in SYNONYMS[group]}
    return bool(covered) and asset_class is not None and asset_class.lower() not in covered


# --- rules

Parameters = Mapping[str, Any]


def _quantity_breaks(pair: Pair, params: Parameters) -> bool | None:
    if not (pair.in_book and pair.at_broker and pair.difference is not None):
        return _both(pair.in_book, pair.at_broker)
    difference = abs(pair.difference)
    if difference > params["tolerance"]:
        return True
    worth = product(difference, pair.unit_value)
    return bool(params["tolerance"] > 0 and difference and (worth is None or worth > params["tolerance_value"]))


def _price_gap(pair: Pair) -> Decimal | None:
    mine, theirs = pair.book and pair.book.avg_price, pair.broker and pair.broker.avg_price
    return None if mine is None or theirs is None else abs(mine - theirs)


def _price_base(pair: Pair) -> Decimal | None:
    return _size(pair.broker.avg_price) if pair.broker else None


def _price_breaks(pair: Pair, params: Parameters) -> bool | None:
    gap, base = _price_gap(pair), _price_base(pair)
    apart = None if gap is None or base is None else gap * 100 > params["tolerance_pct"] * base
    return _both(pair.in_book, pair.at_broker, apart)


def _price_impact(pair: Pair) -> Decimal | None:
    held = _size(pair.broker.quantity) if pair.broker else None
    return product(product(product(_price_gap(pair), held), pair.multiplier), pair.fx_rate)


def _stale(pair: Pair, params: Parameters) -> bool | None:
    old = None
    if pair.untouched is not None:
        microseconds = pair.untouched // timedelta(microseconds=1)
        old = microseconds >= params["older_than_hours"] * 3_600_000_000
    return _both(pair.in_book, old)


def _currencies_differ(pair: Pair, _: Parameters) -> bool | None:
    mine, theirs = pair.book and pair.book.currency, pair.broker and pair.broker.currency
    return _both(pair.in_book, pair.at_broker, None if mine is None or theirs is None else mine != theirs)


def _value(pair: Pair) -> Decimal | None:
    return product(_size(pair.difference), pair.unit_value)


def _nothing(_: Pair) -> Decimal:
    return Decimal(0)


WHEN: Mapping[str, Callable[[Pair, Parameters], bool | None]] = {
    "MISSING_AT_BROKER": lambda pair, _: _both(pair.in_book, None if pair.at_broker is None else not pair.at_broker),
    "MISSING_IN_DB": lambda pair, _: _both(pair.at_broker, not pair.in_book),
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
    "QUANTITY_MISMATCH": lambda pair: (_size(pair.difference), _size(pair.broker.quantity) if pair.broker else None),
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
                tuned.severity = _first(entry.severity, tuned.severity)
                tuned.counts = _first(entry.counts, tuned.counts)
                tuned.undetermined = _first(entry.undetermined, tuned.undetermined)
                tuned.params |= entry.params
                if entry.halt is not None:
                    tuned.halt, tuned.halt_source = entry.halt, number
    return tuned


def _judge(pair: Pair, rule: ActiveRule, policy: Policy) -> tuple[Finding | None, bool]:
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
        held.append(_exceeds(impact, halt.above_impact))
    if halt.when is not None:
        held.append(holds(halt.when, {"impact": impact}))
    return all(part is not False for part in held)


def holds(predicate: str, values: Mapping[str, Any]) -> bool | None:
    """A predicate of the small family that the tests use: comparisons of a name with a number, by ``and`` within ``or``."""
    choices = [_both(*(_compared(term, values) for term in side.split(" and "))) for side in predicate.split(" or ")]
    if True in choices:
        return True
    return None if None in choices else False


def _compared(term: str, values: Mapping[str, Any]) -> bool | None:
    name, operator, number = term.split()
    value, limit = values[name], Decimal(number)
    return None if value is None else {">": value > limit, ">=": value >= limit, "<": value < limit}[operator]


# --- what silences a break


def _suppressed(finding: Finding, inputs: Inputs) -> Finding:
    today = inputs.as_of.date()
    for place, entry in enumerate(inputs.policy.suppress):
        within = finding.impact is not None and (entry.max_impact is None or finding.impact <= entry.max_impact)
        if today <= entry.until and _fits(entry.match, finding.key, finding.type) and within:
            return replace(finding, suppressed_by=place)
    return finding


def _superseded(findings: Sequence[Finding], policy: Policy) -> list[Finding]:
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


# --- order, totals and the decision

DEPTH = {"firm": 0, "broker": 1, "account": 2}


def _worst_first(finding: Finding) -> tuple[Any, ...]:
    known, worth = finding.impact is not None, finding.impact or Decimal(0)
    gravity = ("critical", "high", "warning", "info").index(finding.severity)
    return finding.suppressed_by is not None, not finding.halts, known, -worth, gravity, finding.type, *finding.key


def _depths(policy: Policy) -> set[int]:
    """The scopes whose totals are asked for: the firm's always."""
    return {0, DEPTH[policy.scope], *(DEPTH[escalation.per] for escalation in policy.escalation)}


def _scopes(findings: Iterable[Finding]) -> dict[tuple[str, ...], list[Finding]]:
    """The breaks of the firm ``()``, of each broker ``(broker,)`` and of each account ``(broker, account)``."""
    scopes: dict[tuple[str, ...], list[Finding]] = {(): []}
    for finding in findings:
        for scope in ((), finding.key[:1], finding.key[:2]):
            scopes.setdefault(scope, []).append(finding)
    return scopes


def _sum(findings: Sequence[Finding], policy: Policy) -> Sum:
    live = [finding for finding in findings if finding.live]
    counted = [finding for finding in live if finding.counts]
    known = sum((finding.impact for finding in counted if finding.impact is not None), Decimal(0))
    unknown = sum(finding.impact is None for finding in counted)
    return Sum(
        breaks=len(live),
        missing=len({finding.key for finding in counted if finding.one_sided}),
        halting=sum(finding.halts for finding in live),
        impact=None if unknown else known,
        known=known,
        unknown=unknown,
        counts={name: sum(finding.type == name for finding in live) for name in policy.rules},
    )


def _decide(
    inputs: Inputs, findings: Sequence[Finding], sums: Mapping[tuple[str, ...], Sum]
) -> tuple[list[tuple[str, str, int]], set[str]]:
    policy = inputs.policy
    reasons: Counter[tuple[str, str]] = Counter()
    for finding in findings:
        if finding.live and finding.halts:
            reasons[_line_of(policy, finding), _stopped(policy, finding.key[:2])] += 1
    found = [(line, scope, count) for (line, scope), count in reasons.items()]
    require = set()
    for escalation in policy.escalation:
        for scope, total in sums.items():
            if len(scope) == DEPTH[escalation.per] and _tripped(escalation, total):
                require |= {escalation.require} if escalation.require else set()
                if escalation.then == "halt":
                    entry = f"escalation.{escalation.name}.when: {escalation.when}"
                    found.append((f"{policy.path}:{escalation.line}: {entry}", _stopped(policy, scope), 0))
    for settings, feed in inputs.feeds:
        accounts = [] if _unused(feed) or not _whole(feed) else _unproven_accounts(inputs, settings, feed)
        if _whole(feed) and not accounts:
            continue
        what, line = _on_incomplete(policy, settings.alias, accounts)
        if what == "halt":
            scope = (settings.alias, *accounts) if len(accounts) == 1 else (settings.alias,)
            found.append((f"{policy.path}:{line}: on_incomplete: halt", _stopped(policy, scope), 0))
    return found, require


def _line_of(policy: Policy, finding: Finding) -> str:
    """The policy entry that makes a break halt, as a reason names it."""
    rule = policy.rules[finding.type]
    where = f"rules.{finding.type}.halt"
    if not finding.halt_source:
        return f"{policy.path}:{rule.line}: {where}: {rule.halt.text}"
    override = policy.overrides[finding.halt_source - 1]
    texts = [entry.halt.text for pattern, entry in override.rules.items() if entry.halt and fnmatchcase(finding.type, pattern)]
    return f"{policy.path}:{override.line}: overrides.{finding.halt_source - 1}.{where}: {texts[-1]}"


def _tripped(escalation: Escalation, total: Sum) -> bool:
    values = {
        "total_impact": total.impact,
        "missing_count": total.missing,
        "break_count": total.breaks,
        "halting_count": total.halting,
        **{f"count_{name}": count for name, count in total.counts.items()},
    }
    return holds(escalation.when, values) is not False


def _on_incomplete(policy: Policy, broker: str, accounts: Sequence[str]) -> tuple[str, int]:
    """What an unproven feed does, and the line that says so; an override by account must cover every account in doubt."""
    what: tuple[str, int] = policy.on_incomplete, policy.on_incomplete_line
    for override in policy.overrides:
        match = override.match
        if override.on_incomplete is None or match.symbol or match.type or not fnmatchcase(broker, match.broker or "*"):
            continue
        if match.account is None or (accounts and all(fnmatchcase(name, match.account) for name in accounts)):
            what = override.on_incomplete, override.line
    return what


def _stopped(policy: Policy, scope: tuple[str, ...]) -> str:
    """What a halt over ``scope`` stops: that scope, or what the policy halts as a whole where that is wider."""
    stopped = scope[: DEPTH[policy.scope]]
    return ("firm", "broker ", "account ")[len(stopped)] + "/".join(stopped)
