"""Breaks, totals and unproven feeds, held against the policy: does trading halt, and why. Pure: no disk, clock or network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase

from recon_core.config.policy import Escalation, Policy
from recon_core.model import Decision, Halting, Reason, Total


@dataclass(frozen=True, slots=True)
class Doubt:
    """An unproven feed: its broker, status and reason, and the accounts concerned (empty: all)."""

    broker: str
    status: str
    reason: str
    accounts: tuple[str, ...] = ()


def decide(policy: Policy, halting: Iterable[Halting], totals: Sequence[Total], doubts: Iterable[Doubt]) -> Decision:
    """Whether trading halts, with every reason: rules in the policy's order, then escalations, then unproven feeds.

    A predicate over an unknown total is not false: it halts.
    """
    reasons = [_by_rule(policy, entry) for entry in halting]
    require: list[str] = []
    warnings: list[Reason] = []
    for escalation in policy.escalation:
        for total in totals:
            if total.scope != escalation.per or total.tripped.get(escalation.name) is False:
                continue
            if escalation.require:
                require.append(escalation.require)
            (reasons if escalation.then == "halt" else warnings).append(_by_escalation(policy, escalation, total))
    reasons += [reason for doubt in doubts if (reason := _by_doubt(policy, doubt))]
    return Decision(halt=bool(reasons), reasons=tuple(reasons), require=tuple(dict.fromkeys(require)), warnings=tuple(warnings))


def on_incomplete(policy: Policy, doubt: Doubt) -> tuple[str, int]:
    """What an unproven feed does, ``halt`` or ``warn``, and the policy line that says so.

    An override for accounts holds only where it covers every account in doubt; a later override wins.
    """
    for override in reversed(policy.overrides):
        match = override.match
        if override.on_incomplete is None or match.symbol is not None or match.type is not None:
            continue
        if match.broker is not None and not fnmatchcase(doubt.broker, match.broker):
            continue
        if match.account is None or (doubt.accounts and all(fnmatchcase(name, match.account) for name in doubt.accounts)):
            return override.on_incomplete, override.line
    return policy.on_incomplete, policy.on_incomplete_line


def _by_rule(policy: Policy, entry: Halting) -> Reason:
    rule = policy.rules[entry.type]
    line, text, where = rule.line, rule.halt.text, f"rules.{entry.type}.halt"
    if entry.source:
        override = policy.overrides[entry.source - 1]
        settings = [tuning.halt for pattern, tuning in override.rules.items() if tuning.halt and fnmatchcase(entry.type, pattern)]
        line, text, where = override.line, settings[-1].text, f"overrides.{entry.source - 1}.{where}"
    symbols = ", ".join(entry.symbols) + (", ..." if entry.count > len(entry.symbols) else "")
    breaks = "1 break halts" if entry.count == 1 else f"{entry.count:,} breaks halt"
    return Reason(
        f"{policy.path}:{line}: {where}: {text}", f"{entry.type}: {breaks} ({symbols})", entry.scope, entry.breaks, entry.count
    )


def _by_escalation(policy: Policy, escalation: Escalation, total: Total) -> Reason:
    unknown = total.tripped.get(escalation.name) is None
    money = "unknown" if total.total_impact is None else _money(total.total_impact)
    counted, missing = total.as_incidents or (total.break_count, total.missing_count)
    words = f"total_impact {money}, missing_count {missing:,}, break_count {counted:,}"
    if total.as_incidents:
        words += f" (counting incidents; by position {total.missing_count:,} and {total.break_count:,})"
    where = "" if total.scope == "firm" else f" in {total.name}"
    said = f"{escalation.when} {'cannot be ruled out' if unknown else 'holds'}"
    count, breaks = total.behind[escalation.name]
    return Reason(
        f"{policy.path}:{escalation.line}: escalation.{escalation.name}.when: {escalation.when}",
        f"{said}{where}: {words}",
        _stopped(policy, total.broker, (total.account,) if total.account else ()),
        breaks,
        count,
    )


def _money(amount: Decimal) -> str:
    text = f"{amount:,.4f}"
    return text[:-2] + text[-2:].rstrip("0")


def _by_doubt(policy: Policy, doubt: Doubt) -> Reason | None:
    what, line = on_incomplete(policy, doubt)
    if what == "warn":
        return None
    return Reason(
        f"{policy.path}: on_incomplete: halt (default)" if line == 1 else f"{policy.path}:{line}: on_incomplete: halt",
        f"feed {doubt.broker} is {doubt.status}: {doubt.reason}",
        _stopped(policy, doubt.broker, doubt.accounts),
    )


def _stopped(policy: Policy, broker: str | None, accounts: tuple[str, ...]) -> str:
    """What a halt stops: the policy's scope, or wider where the cause is not confined to one broker or account."""
    if policy.scope == "firm" or broker is None:
        return "firm"
    if policy.scope == "account" and len(accounts) == 1:
        return f"account {broker}/{accounts[0]}"
    return f"broker {broker}"
