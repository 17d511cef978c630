"""Random books, feeds and policies that stand on the boundaries: exactly 10 % and one unit above, $1,000.0000 and 0.0001 more,
dust, shorts, flat rows, unknown prices and rates, lots, legs, silent accounts and whole silent feeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from functools import cache
from itertools import combinations, product
from typing import Any

from hypothesis import strategies as st
from oracle_kernel import runbook
from oracle_pairs import Inputs
from oracle_rules import MEASURE

from recon_core.config.policy import ActiveRule, Escalation, Halt, Match, Override, Policy, Suppression, Tuning
from recon_core.config.settings import BrokerSettings
from recon_core.model import SEVERITIES, ControlTotal, Feed, FeedStatus, Leg, Position

AS_OF = datetime(2026, 11, 20, 21, tzinfo=UTC)
NOW = AS_OF + timedelta(hours=2)
LAST_PLACE = Decimal("1e-18")
RULES = (*MEASURE, "MISSING_AT_BROKER", "MISSING_IN_DB", "STALE_POSITION", "CURRENCY_MISMATCH")

BROKERS = ("alpha", "beta", "sigma", "theta", "omega", "eta")
ACCOUNTS = ("MAIN", "HEDGE", "PAPER-1")
SYMBOLS = ("AAPL", "BRK.B", "BTC/USD", "VOD", "ES")

QUANTITIES = [
    Decimal(text)
    for text in ("100", "1", "-100", "0.5", "-0.3", "3", "5000", "0.123456789012345678", "1e-18", "2e-18", "1e15", "-1e15")
] + [Decimal("999999999999999.999999999999999999")]
DIFFERENCES = [
    Decimal(text)
    for text in (
        "1e-18",
        "-1e-18",
        "1",
        "-1",
        "5",
        "100",
        "100.00001",
        "999.99995",
        "1000",
        "1000.00004999",
        "1000.00005",
        "1000.0001",
    )
] + [Decimal("-1000.0001"), Decimal("0.000049"), Decimal("4.000000000000000001")]
PRICES = [
    Decimal(text) for text in ("1", "10", "187.2", "0.000000000001", "123456.789012345678", "0", "-37.63", "1000000", "99.99")
]
MULTIPLIERS = [Decimal(text) for text in ("1", "100", "0.001", "50.000001")]
PERCENTS = [Decimal(text) for text in ("10", "12.5", "0", "1", "25", "100", "0.01")]
RATES: list[Mapping[str, Decimal]] = [
    {},
    {"EUR": Decimal("1.0832"), "GBP": Decimal("1.265")},
    {"EUR": Decimal("0.006451612903"), "GBP": Decimal("1.123456789012"), "ZAC": Decimal("0.00055")},
]
AGES = [timedelta(hours=hours) for hours in (24, 0, 25, -1)] + [timedelta(hours=24, microseconds=-1), timedelta(minutes=6)]
AGES += [timedelta(minutes=6, microseconds=-1), timedelta(hours=-2), timedelta(hours=-2, microseconds=-1)]


@dataclass(frozen=True)
class Size:
    """How much a random example may hold: brokers, keys at each, rules (the first most often), and entries of each other list.

    What an example costs is the planning of its SQL, which grows with all of them but the keys.
    """

    brokers: int
    keys: int
    rules: tuple[int, ...]
    entries: int


SMALL = Size(brokers=1, keys=3, rules=(2, 1, 3), entries=2)
LARGE = Size(brokers=1, keys=5, rules=(6, 4, 5), entries=3)
WIDE = Size(brokers=4, keys=5, rules=(6, 4, 5), entries=3)


@cache
def often(value: Any, *others: Any, times: int = 6) -> st.SearchStrategy[Any]:
    """Mostly the first, now and then one of the others."""
    return st.sampled_from([value] * times + list(others))


@cache  # to make a strategy anew costs as much as to draw from it
def among(*values: Any) -> st.SearchStrategy[Any]:
    """Each as often as any other."""
    return st.sampled_from(values)


@dataclass(frozen=True)
class Instrument:
    """What one side says of a symbol, the same on all of its rows."""

    asset_class: str | None
    currency: str | None
    multiplier: Decimal | None
    market_price: Decimal | None


def _instruments() -> Iterator[tuple[Instrument, Instrument]]:
    """Symbols as the book and as a broker describe them: alike, or different in one thing."""
    kinds = ("us_equity", None, "crypto", "us_option", "Stock", "Coin", "future")
    for price in (Decimal(1), Decimal(10), None, *PRICES):
        for number, currency in enumerate(("USD", "USD", "USD", "GBP", "GBX", "EUR", "ZAC", None, "XXX")):
            asset_class = kinds[number % 7] if price != 1 else "us_equity"
            ours = Instrument(asset_class, currency, (None, Decimal(1), *MULTIPLIERS)[number % 6], price)
            yield ours, ours
            yield ours, replace(ours, currency="GBX" if number % 2 else None, market_price=PRICES[number])
            yield replace(ours, market_price=None), replace(ours, multiplier=MULTIPLIERS[number % 4])


def _amounts() -> Iterator[tuple[Decimal | None, Decimal | None]]:
    """What the book and the broker hold of one key; None is no row at all, 0 a row that says flat."""
    for held in QUANTITIES:
        away = LAST_PLACE if held > 0 else -LAST_PLACE
        shares = [(held * percent / 100).quantize(LAST_PLACE) for percent in PERCENTS]
        others = [held, -held, Decimal(0), *[None] * 10, *(held + apart for apart in DIFFERENCES)]
        for other in others + [held + share for share in shares] + [held + share + away for share in shares]:
            yield held, other
            yield other, held


def _averages() -> Iterator[tuple[Decimal | None, Decimal | None]]:
    """Average prices of the book and of the broker: equal, 1 % apart, one step beyond, far apart, or not said."""
    for theirs in PRICES:
        percent = (theirs / 100).quantize(Decimal("1e-12"))
        step = Decimal("1e-12") if theirs >= 0 else Decimal("-1e-12")
        for ours in (theirs, theirs, theirs + percent, theirs + percent + step, theirs - percent - step, theirs * 4, None):
            yield ours, theirs
        yield None, None


with localcontext(prec=60):
    DESCRIBED = st.sampled_from(tuple(_instruments()))
    AMOUNTS = st.sampled_from(tuple(_amounts()))
    AVERAGES = st.sampled_from(tuple(_averages()))
TOUCHED = st.sampled_from((None, None, *(AS_OF - age for age in AGES)))
SCOPES = often("firm", "broker", "account", times=3)
PERMUTED_RULES = st.permutations(RULES)
HALF, SELDOM, RARELY, ONCE = (often(False, True, times=times) for times in (1, 6, 20, 99))


def rows(
    draw: st.DrawFn, key: tuple[str, str, Leg], facts: Instrument, held: Decimal | None, paid: Decimal | None, *, lots: bool
) -> list[Position]:
    """The rows of one side of one key; where the side holds lots, now and then several that add up to it."""
    if held is None:
        return []
    account, symbol, leg = key
    whole = Position(
        account=account,
        symbol=symbol,
        leg=leg,
        quantity=held,
        avg_price=paid,
        updated_at=draw(TOUCHED),
        asset_class=facts.asset_class,
        currency=facts.currency,
        multiplier=facts.multiplier,
        market_price=facts.market_price,
    )
    if not lots or draw(HALF):
        return [whole]
    with localcontext(prec=60):
        # thirds and fifths: the average of halves may lie in the very middle of two prices of 12 decimals
        part = draw(st.sampled_from([(held / 3).quantize(LAST_PLACE), (held / 5).quantize(LAST_PLACE), Decimal(1), -held, held]))
        dust = abs(held) < Decimal("1e-5")  # an average is exact to 12 decimals only of more than that
        other = draw(st.sampled_from([paid, None] if dust else [paid, paid, None, *PRICES]))
        return [replace(whole, quantity=part), replace(whole, quantity=held - part, avg_price=other, updated_at=AS_OF)]


@cache
def _brokers(most: int) -> st.SearchStrategy[list[str]]:
    return st.lists(among(*BROKERS), unique=True, min_size=min(most, 2), max_size=most)


@st.composite
def inputs(draw: st.DrawFn, size: Size) -> Inputs:
    """A book, a feed of each of some brokers, and a policy."""
    brokers = draw(_brokers(size.brokers))
    described: dict[str, tuple[Instrument, Instrument]] = {}
    book_lots = draw(often(False, True, times=9))
    book: list[tuple[str, Position]] = []
    feeds = []
    for alias in brokers:
        mine, settings, feed = draw(_at_broker(alias, described, book_lots, size.keys))
        book += [(alias, row) for row in mine]
        feeds.append((settings, feed))
    if book and not book_lots and draw(RARELY):
        book.append(draw(st.sampled_from(book)))
    without = draw(among(*TWO_COLUMNS))
    book = [(alias, replace(row, **dict.fromkeys(without))) for alias, row in book]
    return Inputs(
        book=tuple(draw(st.permutations(book))) if len(book) < 9 else tuple(reversed(book)),
        feeds=tuple(feeds),
        policy=draw(policies(brokers, size)),
        as_of=AS_OF,
        now=NOW,
        fx=RATES[draw(among(*range(len(RATES))))],
        book_lots=book_lots,
        typed=not draw(RARELY),
    )


COLUMNS = ("asset_class", "currency", "multiplier", "market_price", "avg_price", "updated_at")
TWO_COLUMNS = ((), *zip(COLUMNS), *combinations(COLUMNS, 2))


@st.composite
def _at_broker(
    draw: st.DrawFn, alias: str, described: dict[str, tuple[Instrument, Instrument]], book_lots: bool, most: int
) -> tuple[list[Position], BrokerSettings, Feed]:
    """The book's rows at one broker, how it is configured, and what it answers."""
    renamed = dict(draw(often((), (("U1234567", "MAIN"),))))
    theirs_of = {ours: theirs for theirs, ours in renamed.items()}
    lots, net, hedged = draw(among(*[(False, False, False)] * 6, (True, False, False), (False, True, True), (False, False, True)))
    legs = ("NET", "LONG", "SHORT") if hedged else ("NET",)
    keys = among(*product(ACCOUNTS, SYMBOLS, legs))
    mine: list[Position] = []
    theirs: list[Position] = []
    for key in draw(st.lists(keys, unique=True, min_size=0 if draw(RARELY) else 1, max_size=most)):
        (ours_held, theirs_held), (ours_paid, theirs_paid) = draw(AMOUNTS), draw(AVERAGES)
        if key[1] not in described:
            described[key[1]] = draw(DESCRIBED)
        ours_said, theirs_said = described[key[1]]
        mine += rows(draw, key, ours_said, ours_held, ours_paid, lots=book_lots)
        theirs += rows(draw, (theirs_of.get(key[0], key[0]), *key[1:]), theirs_said, theirs_held, theirs_paid, lots=lots)
    without = draw(among((), *zip(COLUMNS)))
    theirs = [replace(row, **dict.fromkeys(without)) for row in theirs]
    if theirs and not lots and draw(ONCE):
        theirs.append(theirs[0])
    settings = BrokerSettings(alias, "sample", accounts=renamed, legs="net" if net else "keep")
    if draw(SELDOM):
        settings = replace(settings, expect_accounts=("HEDGE",))
    return mine, settings, draw(_answers(theirs, lots, tuple(theirs_of.get(name, name) for name in ACCOUNTS)))


@st.composite
def _answers(draw: st.DrawFn, positions: list[Position], lots: bool, accounts: tuple[str, ...]) -> Feed:
    status = draw(often(FeedStatus.COMPLETE, FeedStatus.PARTIAL, FeedStatus.FAILED, FeedStatus.NOT_READY, times=15))
    if status in (FeedStatus.FAILED, FeedStatus.NOT_READY):
        return Feed.unavailable(status, "no answer")
    stated = draw(often(None, len(positions), len(positions) + 1, times=8))
    return Feed(
        status,
        reason="" if status is FeedStatus.COMPLETE else "page 2 is missing",
        positions=tuple(positions),
        as_of=AS_OF,
        lots=lots,
        accounts=draw(often(accounts, (), accounts[:1], times=3)),
        coverage=draw(often((), ("us_equity",), ("us_equity", "crypto"), times=4)),
        control_totals=() if stated is None else (ControlTotal("rows", Decimal(stated)),),
    )


# --- policies


@st.composite
def policies(draw: st.DrawFn, brokers: Sequence[str], size: Size) -> Policy:
    """The runbook's policy with rules left out, tuned, reordered, overridden (for most brokers in a way of their own)."""
    whole = runbook("CURRENCY_MISMATCH")
    listed = draw(PERMUTED_RULES)[: draw(often(*size.rules, times=2))]
    rules = {name: draw(_rules(whole.rules[name], listed)) for name in listed}
    matches = [Match(broker=alias) for alias in brokers if draw(HALF)]
    matches += draw(st.lists(_matches(), max_size=size.entries - 1))
    return replace(
        whole,
        base_currency=draw(often("USD", "GBP")),
        price_fallback=draw(often(True, False)),
        scope=draw(SCOPES),
        rules=rules,
        escalation=tuple(draw(_escalations(listed, line)) for line in range(40, 40 + draw(among(*range(size.entries + 1))))),
        on_incomplete=draw(among("halt", "warn")),
        overrides=tuple(draw(_overrides(match, listed, line)) for line, match in enumerate(matches, 50)),
        suppress=tuple(draw(_suppressions(line)) for line in range(70, 70 + draw(often(0, 1, size.entries, times=2)))),
    )


@st.composite
def _rules(draw: st.DrawFn, rule: ActiveRule, listed: Sequence[str]) -> ActiveRule:
    return replace(
        rule,
        severity=draw(often(rule.severity, *SEVERITIES)),
        halt=draw(_halts(percent=rule.type in MEASURE)) if draw(HALF) else rule.halt,
        counts=draw(often(rule.counts, not rule.counts)),
        undetermined=draw(often("ignore", "break", times=3)),
        params=dict(rule.params) | (draw(_parameters(rule.type)) if draw(HALF) else {}),
        supersedes=tuple(name for name in (listed if draw(among(False, False, True)) else rule.supersedes) if name != rule.type),
    )


@st.composite
def _halts(draw: st.DrawFn, percent: bool) -> Halt:
    above_impact = draw(among(Decimal("1000"), Decimal("999.9999"), Decimal(0), Decimal("250.5")))
    when = draw(among("impact > 500", "impact >= 1000.0001 or impact < 1", "impact > 1 and impact < 1000"))
    above_pct = draw(among(*PERCENTS))
    choices = [
        Halt("always", always=True),
        Halt("never", never=True),
        Halt(f"above_impact {above_impact}", above_impact=above_impact),
        Halt(f"when {when}", when=when),
        Halt(f"above_impact {above_impact} and when {when}", above_impact=above_impact, when=when),
    ]
    if percent:
        text = f"above_pct {above_pct}"
        choices += [
            Halt(text, above_pct=above_pct),
            Halt(f"{text} and above_impact", above_pct=above_pct, above_impact=above_impact),
        ]
    return draw(among(*choices))


@cache
def _parameters(kind: str) -> st.SearchStrategy[dict[str, Decimal]]:
    known = {
        "QUANTITY_MISMATCH": {"tolerance": ("0", "5", "1000", "1e-18"), "tolerance_value": ("0", "1000", "999.99995")},
        "PRICE_MISMATCH": {"tolerance_pct": ("1", "0", "2.5")},
        "STALE_POSITION": {"older_than_hours": ("24", "0", "0.1", "23.999")},
    }.get(kind, {})
    return st.fixed_dictionaries(
        {}, optional={name: st.sampled_from([Decimal(text) for text in texts]) for name, texts in known.items()}
    )


@st.composite
def _escalations(draw: st.DrawFn, listed: Sequence[str], line: int) -> Escalation:
    terms = ["total_impact > 1000", "total_impact > 1000.0001", "total_impact >= 0.0001", "missing_count >= 3", "break_count > 2"]
    terms += ["missing_count >= 1", "halting_count > 0", "total_impact < 500", f"count_{draw(among(*listed))} > 0"]
    chosen = draw(st.lists(among(*terms), min_size=1, max_size=3))
    words = [draw(among(" and ", " or ")) for _ in chosen[1:]]
    when = chosen[0] + "".join(word + term for word, term in zip(words, chosen[1:], strict=True))
    then, per = draw(among("halt", "warn")), draw(SCOPES)
    return Escalation(f"escalation-{line}", when, then, draw(among(None, "call risk")), per, line)


@cache
def _matches() -> st.SearchStrategy[Match]:
    def part(*patterns: str) -> st.SearchStrategy[str | None]:
        return often(None, *patterns, times=8)

    return st.builds(
        Match,
        account=part("MAIN", "PAPER-*", "*"),
        broker=part("alpha", "?eta", "*a"),
        symbol=part("AAPL", "B*", "BTC/*", "?S"),
        type=part("QUANTITY_MISMATCH", "*_MISMATCH", "MISSING_*"),
    )


@st.composite
def _overrides(draw: st.DrawFn, match: Match, listed: Sequence[str], line: int) -> Override:
    tunings = {}
    for pattern in draw(st.lists(among("*", "*_MISMATCH", "MISSING_*", *listed, *listed), max_size=3, unique=True)):
        exact = pattern in listed
        tunings[pattern] = Tuning(
            severity=draw(often(None, *SEVERITIES)),
            halt=draw(_halts(percent=pattern in MEASURE)) if draw(HALF) else None,
            counts=draw(among(None, None, True, False)),
            undetermined=draw(among(None, None, "ignore", "break")),
            params=draw(_parameters(pattern)) if exact else {},
        )
    return Override(match, tunings, draw(among(None, "halt", "warn")), line)


@st.composite
def _suppressions(draw: st.DrawFn, line: int) -> Suppression:
    until = AS_OF.date() + timedelta(days=draw(among(0, 0, 30, -1)))
    limit = draw(among(None, Decimal(50), Decimal(1000), Decimal(0)))
    return Suppression(draw(_matches()), until, "known", None, limit, line)
