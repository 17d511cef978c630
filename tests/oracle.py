"""A second opinion on what the engine finds: the same rules in slow, plain Python over Decimal, one position at a time.

It shares no SQL and no expression with the engine; what it takes from ``recon_core`` are the values that go in (positions,
feeds, the policy). Money and limits follow the documented arithmetic: every product is cut at 18 decimals and unknown where it
grows too large, an impact is rounded half up to 4 decimals, unknown exceeds every limit, three-valued logic decides the rest.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fnmatch import fnmatchcase
from typing import Any

from oracle_pairs import Inputs, pairs_of, repeats, unproven_accounts, unused, whole
from oracle_rules import Finding, holds, judge, superseded, suppressed

from recon_core.config.policy import Escalation, Policy


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
        if repeats(inputs):
            return Opinion(duplicates=True)
        pairs = pairs_of(inputs)
        policy = inputs.policy
        judged = [(pair, rule, judge(pair, rule, policy)) for pair in pairs for rule in policy.rules.values()]
        found = [finding for _, _, (finding, _) in judged if finding]
        findings = superseded([suppressed(finding, inputs) for finding in found], policy)
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
                    behind = _behind(escalation, [finding for finding in findings if finding.key[: len(scope)] == scope])
                    found.append((f"{policy.path}:{escalation.line}: {entry}", _stopped(policy, scope), behind))
    for settings, feed in inputs.feeds:
        accounts = [] if unused(feed) or not whole(feed) else unproven_accounts(inputs, settings, feed)
        if whole(feed) and not accounts:
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


def _behind(escalation: Escalation, findings: Iterable[Finding]) -> int:
    """How many breaks the predicate speaks of: the missing ones, those that count, or all that are not silenced."""
    live = [finding for finding in findings if finding.live]
    named = set(re.findall(r"[a-z_A-Z]+(?= [<>])", escalation.when))
    if named == {"missing_count"}:
        return sum(finding.counts and finding.one_sided for finding in live)
    if named <= {"missing_count", "total_impact"}:
        return sum(finding.counts for finding in live)
    return len(live)


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
