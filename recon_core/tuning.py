"""What the policy makes of a rule, as SQL: its parameters, severity, halt and counting, by the overrides' patterns."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase

from recon_core.columns import PAIR_COLUMNS
from recon_core.config.policy import ActiveRule, Halt, Match, Policy, Tuning, Value
from recon_core.expressions import compile_detail, compile_expression, literal
from recon_core.sql import quoted


@dataclass(frozen=True, slots=True)
class Tuned:
    """A rule's settings as SQL expressions over a pair; ``literals`` are those of its parameters, by name."""

    literals: dict[str, str]
    severity: str
    halts: str
    halt_source: str
    counts: str
    detail: str
    undetermined_breaks: str


def tuned(policy: Policy, rule: ActiveRule) -> Tuned:
    """The settings of one rule under all overrides; a later override wins over an earlier one."""
    layers = list(_layers(policy, rule))

    def chosen(pick: Callable[[Tuning], str | None], default: str) -> str:
        return _choose([(where, pick(entry)) for _, where, entry in layers], default)

    def parameter(name: str, value: Value) -> str:
        return chosen(lambda entry: literal(entry.params[name]) if name in entry.params else None, literal(value))

    literals = {name: parameter(name, value) for name, value in rule.params.items()}
    return Tuned(
        literals=literals,
        severity=chosen(lambda entry: entry.severity and quoted(entry.severity), quoted(rule.severity)),
        halts=chosen(lambda entry: _halts(entry.halt, rule, literals) if entry.halt else None, _halts(rule.halt, rule, literals)),
        halt_source=_choose([(where, str(number) if entry.halt else None) for number, where, entry in layers], "0"),
        counts=chosen(lambda entry: None if entry.counts is None else literal(entry.counts), literal(rule.counts)),
        detail=compile_detail(rule.detail or rule.title, _places(rule), literals),
        undetermined_breaks=chosen(
            lambda entry: entry.undetermined and literal(entry.undetermined == "break"), literal(rule.undetermined == "break")
        ),
    )


def condition(match: Match) -> str:
    """SQL condition over a pair, and over a break's ``type``, that a match means."""
    parts = [
        f"{name} GLOB {quoted(pattern)}"
        for name, pattern in (("account", match.account), ("broker", match.broker), ("symbol", match.symbol))
        if pattern is not None
    ]
    return " AND ".join(parts) or "true"


def _layers(policy: Policy, rule: ActiveRule) -> list[tuple[int, str, Tuning]]:
    """The overrides that touch a rule: their number from 1, their condition, and what they set."""
    return [
        (number, f"({condition(override.match)})", entry)
        for number, override in enumerate(policy.overrides, 1)
        if override.match.type is None or fnmatchcase(rule.type, override.match.type)
        for pattern, entry in override.rules.items()
        if fnmatchcase(rule.type, pattern)
    ]


def _choose(cases: Sequence[tuple[str, str | None]], default: str) -> str:
    """A CASE over conditions in which the last one that sets something wins."""
    text = "".join(f" WHEN {where} THEN {value}" for where, value in reversed(cases) if value is not None)
    return f"CASE{text} ELSE {default} END" if text else default


def _halts(halt: Halt, rule: ActiveRule, literals: dict[str, str]) -> str:
    """SQL of whether a break halts; what cannot be told halts."""
    if halt.always or halt.never:
        return "true" if halt.always else "false"
    parts = []
    if halt.above_pct is not None and rule.measure is not None:
        difference, base = (compile_expression(term, literals) for term in rule.measure)
        places = max(-int(halt.above_pct.as_tuple().exponent), 0)
        scaled = literal((halt.above_pct * Decimal(10) ** places).to_integral_value())
        hundredfold = literal(Decimal(100) * 10**places)
        parts.append(f"coalesce(TRY(TRY({difference} * {hundredfold}) > TRY({base} * {scaled})), true)")
    if halt.above_impact is not None:
        parts.append(f"coalesce(impact > {literal(halt.above_impact)}, true)")
    if halt.when is not None:
        parts.append(f"coalesce(TRY({compile_expression(halt.when, literals)}), true)")
    return "(" + " AND ".join(parts) + ")"


def _places(rule: ActiveRule) -> dict[str, str]:
    """What a rule's detail may name: the columns of a pair, and those that its ``select`` returns beyond them."""
    places = dict(PAIR_COLUMNS)
    if rule.select:
        places |= dict.fromkeys((name for name in re.findall(r"\{(\w+)\}", rule.detail) if name not in rule.params), "")
    return places
