"""What the text and the HTML report say of a run, in the same words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from recon_core.config.policy import DEFAULT_POLICY_DISPLAY
from recon_core.report.break_wording import looked_into, place, symbol
from recon_core.report.values import count, money, visible

Report = Mapping[str, Any]


def incident_impact(incident: Mapping[str, Any], report: Report) -> str:
    """``, impact 1,234.50 USD``, of the breaks that count, or ``, impact unknown``; empty where it is 0."""
    amount = incident["impact"]
    if amount is None:
        return ", impact unknown"
    return f", impact {money(amount)} {visible(report['base_currency'])}" if amount.strip("0.") else ""


def total_impact(report: Report) -> str:
    """The total of the breaks that count, in base currency, or how much of it is known."""
    return _total(report["total_impact"], report)


def total_with_suppressed(report: Report) -> str:
    """The total as it would be if nothing were suppressed."""
    return _total(report["total_impact_with_suppressed"], report)


def _total(amount: str | None, report: Report) -> str:
    currency = visible(report["base_currency"])
    if amount is not None:
        return f"{money(amount)} {currency}"
    known = report["known_impact"]
    return f"unknown (at least {money(known)} {currency})" if known.strip("0.") else "unknown"


def unproven(report: Report) -> list[str]:
    """The brokers whose absences prove nothing, each with its status and, where it is not all of them, the accounts."""
    names = []
    for feed in report["feeds"]:
        accounts = ", ".join(visible(account) for account in feed["unproven_accounts"])
        if feed["status"] != "COMPLETE" or accounts:
            status = visible(feed["status"]) + (f": account{'s' if ', ' in accounts else ''} {accounts}" if accounts else "")
            names.append(f"{visible(feed['broker'])} ({status})")
    return names


def level(report: Report) -> Literal["halt", "doubt", "clean"]:
    """How bad it is: trading halts; breaks, no verdict, or a clean one that permits no trading or leaves an earlier break open; or
    nothing at all to say."""
    if halts(report):
        return "halt"
    calm = report["verdict"] == "clean" and report["exit_code"] == 0 and not _not_judged(report)
    return "clean" if calm and not report["halting"]["standing"] and not report["halting"]["withheld"] else "doubt"


def verdict(report: Report) -> str:
    """What was found; of an incomplete run first where nothing is proven, so that its breaks are never read as all of them."""
    if report["verdict"] != "incomplete":
        return found(report)
    doubt = f"absence proves nothing at {', '.join(unproven(report))}" if unproven(report) else "not everything was proven"
    return f"{doubt}; in what was proven: {found(report)}"


def found(report: Report) -> str:
    """``4 breaks, impact 1,234.50 USD, 1 suppressed``."""
    breaks = f"{count(report['break_count'], 'break')}, impact {total_impact(report)}" if report["break_count"] else "no breaks"
    if report["suppressed_count"]:
        breaks += f", {report['suppressed_count']:,} suppressed"
    if report["undetermined_count"]:
        breaks += f", {report['undetermined_count']:,} undetermined"
    if open_before := _not_judged(report):
        breaks += f", {open_before:,} of earlier runs still open"
    return breaks


def _not_judged(report: Report) -> int:
    """How many breaks of earlier runs are open that this run neither found nor proves gone."""
    return int(report["since_last"]["not_judged_count"]) if report["since_last"] else 0


class Changes(NamedTuple):
    """What has changed since the run before, each break in a line; ``more`` of each are not told one by one."""

    heading: str
    breaks: Sequence[str]
    more: int


def changes(report: Report, most: int) -> list[Changes]:
    """What cleared, what is new and what is open though this run did not judge it; at most ``most`` of each one by one."""
    since = report["since_last"]
    if since is None:
        return []
    wanted = set(since["new"][:most])
    new = [_break(item) for item in report["discrepancies"] if item["id"] in wanted]
    cleared = [_break(item) + _corrected(item["correction"]) for item in since["cleared"][:most]]
    still = [f"{_break(item)}, open since {visible(item['first_seen'])}" for item in since["not_judged"][:most]]
    found = (
        ("Cleared", cleared, since["cleared_count"]),
        ("New", new, since["new_count"]),
        ("Not judged by this run, and still open", still, since["not_judged_count"]),
    )
    return [Changes(f"{heading}: {number:,}", told, number - len(told)) for heading, told, number in found if number]


def _break(item: Mapping[str, Any]) -> str:
    return f"{visible(item['type'])} {place(item)} {symbol(item)}"


def _corrected(correction: str | None) -> str:
    return f", by correction {visible(correction)}" if correction else ""


def since(report: Report) -> str:
    """Which run the changes are since; empty where there are none."""
    last = report["since_last"]
    if last is None:
        return ""
    return f"Since run {visible(last['run_id'])}, as of {visible(last['as_of'])}"


def remaining(report: Report) -> str:
    """``Breaks remaining: 3``; of a run that proved only part, that there may be more."""
    number = report["break_count"] + _not_judged(report)
    if report["verdict"] == "incomplete":
        return f"Breaks remaining: at least {number:,}, for not everything was proven"
    return f"Breaks remaining: {number:,}"


def decision(report: Report) -> str:
    """``TRADING HALTS: 2 positions missing at broker (policies.yaml:4)``, or what holds instead."""
    standing = ", ".join(map(visible, report["halting"]["standing"]))
    if not report["decision"]["halt"]:
        if standing:
            return f"trading stays halted: {standing} (recon-core halt status)"
        if report["halting"]["withheld"]:
            return f"trading is not permitted: {visible(report['halting']['withheld'])}"
        return "no verdict; trading is not halted by this run" if report["verdict"] == "incomplete" else "trading goes on"
    why = because(report)
    shadow = f"is halted from before: {standing}" if standing else "goes on in shadow mode"
    word = "TRADING HALTS" if halts(report) else f"TRADING WOULD HALT, and {shadow}"
    return f"{word}{halted_scope(report)}{': ' if why else ''}{why}"


def halts(report: Report) -> bool:
    """Whether trading halts: in shadow mode it does not, whatever was decided."""
    return bool(report["decision"]["halt"]) and report["halting"]["mode"] == "armed"


def why_heading(report: Report) -> str:
    """What stands above the reasons of the decision."""
    if not report["decision"]["halt"]:
        return "What the policy says"
    return f"Why trading {'halts' if halts(report) else 'would halt'}{halted_scope(report)}"


def carried_out(report: Report) -> list[str]:
    """What was done to stop trading, a sentence each: the latch, then every halt action; empty where nothing was to be done."""
    halting = report["halting"]
    if not halting["raised"]:
        return []
    scopes = ", ".join(map(visible, halting["raised"]))
    trouble = halting["trouble"]
    latch = f"Latch: NOT AS IT SHOULD BE: {visible(trouble)}" if trouble else f"Latch raised for {scopes}; permits revoked."
    return [latch, *(_action(each) for each in halting["actions"])]


def _action(result: Mapping[str, Any]) -> str:
    word = "confirmed" if result["confirmed"] else "NOT CONFIRMED"
    return f"Halt action {visible(result['name'])}: {word}: {visible(result['detail'])}"


def because(report: Report) -> str:
    """The first reason of the decision with its policy line, and how many more there are; empty where there is none."""
    reasons = report["decision"]["reasons"]
    if not reasons:
        return ""
    more = f" and {count(len(reasons) - 1, 'more reason')}" if len(reasons) > 1 else ""
    return f"{visible(reasons[0]['detail'])} ({policy_line(reasons[0])}){more}"


def halted_scope(report: Report) -> str:
    """Nothing where the whole firm stops, else `` for broker prime, account ib/MAIN``."""
    scopes = list(dict.fromkeys(visible(reason["scope"]) for reason in report["decision"]["reasons"]))
    return "" if "firm" in scopes or not scopes else f" for {', '.join(scopes)}"


def required(report: Report) -> str:
    """What stands before each thing that the policy requires; an escalation may require something and not halt."""
    return "Required before trading goes on:" if halts(report) else "Required by the policy:"


class Escalated(NamedTuple):
    """The breaks behind the escalations that halt, by id: the worst of each; ``all_named`` says that none is left out."""

    breaks: frozenset[str]
    all_named: bool


def escalated(report: Report) -> Escalated:
    """Which breaks halt trading because an escalation says so of what they add up to, whatever their rules say."""
    reasons = [reason for reason in report["decision"]["reasons"] if re.search(r":\d+: escalation\.", reason["policy"])]
    breaks = frozenset(name for reason in reasons for name in reason["breaks"])
    return Escalated(breaks, all(reason["break_count"] <= len(reason["breaks"]) for reason in reasons))


def built_in_policy(report: Report) -> str:
    """That the policy is the one which comes with recon-core; empty where the deployment has its own."""
    if report["policy"]["path"] != DEFAULT_POLICY_DISPLAY:
        return ""
    return f"policy: built-in default ({DEFAULT_POLICY_DISPLAY})"


def policy_line(reason: Mapping[str, Any]) -> str:
    """``policies.yaml:4`` of ``policies.yaml:4: rules.MISSING_AT_BROKER.halt: always``."""
    return visible(reason["policy"].split(": ", 1)[0])


def not_looked_into(report: Report) -> list[str]:
    """Of how many breaks nobody looked for an explanation, and why: ``3 breaks not looked into: the adapter ...``."""
    why = Counter(
        found["why"]
        for item in report["discrepancies"]
        if (found := item.get("explanation")) is not None and not looked_into(found)
    )
    return [f"{count(number, 'break')} not looked into: {visible(reason)}" for reason, number in why.items()]


def control_total(total: Mapping[str, Any]) -> str:
    """What the broker stated beside its positions, against what they sum to."""
    of = f" of account {visible(total['account'])}" if total["account"] else ""
    source = f", from {visible(total['source'])}" if total["source"] else ""
    outcome = "meets" if total["ok"] else "DOES NOT MEET"
    return (
        f"control total {visible(total['kind'])}{of}: computed {visible(total['computed'])} {outcome} "
        f"stated {visible(total['stated'])} (tolerance {visible(total['tolerance'])}{source})"
    )


def remainder(report: Report, shown: int) -> str:
    """Where the breaks are that a list of ``shown`` left out; empty where it left out none."""
    missing = report["break_count"] - shown
    if missing <= 0:
        return ""
    outputs = report["outputs"]
    html, whole = outputs["html"], outputs["breaks"]
    if not (html or whole):
        return f"and {missing:,} more; --json and --output give them"
    if report["discrepancies_truncated"]:
        worst = f"the worst {len(report['discrepancies']):,} in {visible(_name(html))}" if html else ""
        everything = f"all in {visible(_name(whole))}" if whole else ""
        return f"and {missing:,} more: {', '.join(part for part in (worst, everything) if part)}"
    return f"and {missing:,} more in {' and '.join(visible(_name(path)) for path in (html, whole) if path)}"


def _name(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1]
