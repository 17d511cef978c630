"""What the text and the HTML report say of one break, in the same words. Reports of earlier versions may lack what is newer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recon_core.report.values import money, visible


def impact(discrepancy: Mapping[str, Any]) -> str:
    """``1,234.50 USD``, or ``unknown``."""
    amount = money(discrepancy["impact"])
    return amount if discrepancy["impact"] is None else f"{amount} {visible(discrepancy['impact_currency'])}"


def place(discrepancy: Mapping[str, Any]) -> str:
    """``prime/MAIN``."""
    return f"{visible(discrepancy['broker'])}/{visible(discrepancy['account'])}"


def symbol(discrepancy: Mapping[str, Any]) -> str:
    """The symbol, with its leg where the position is not netted."""
    leg = discrepancy["leg"]
    return visible(discrepancy["symbol"]) + ("" if leg == "NET" else f" {visible(leg)}")


def suppression(discrepancy: Mapping[str, Any]) -> str:
    """Why, until when and by whom a break is suppressed, and the policy line that says so."""
    held = discrepancy["suppressed"]
    by = f", approved by {visible(held['approved_by'])}" if held["approved_by"] else ""
    return f"suppressed until {visible(held['until'])}{by}: {visible(held['reason'])} ({visible(held['policy'])})"


def explanation(discrepancy: Mapping[str, Any]) -> str:
    """Why the quantities differ, as far as the broker's own evidence tells; empty where nothing was to be explained."""
    found = discrepancy.get("explanation")
    if found is None or not looked_into(found):
        return ""
    why = visible(found["why"])
    if found["status"] == "UNEXPLAINED":
        return f"unexplained: {why}"
    doubt = found.get("doubt") or ""
    cause = visible(found["cause"]) + (", inferred" if found["inferred"] else ", in doubt" if doubt else "")
    left = f", {visible(found['residual'])} left over" if found["status"] == "PARTLY" else ""
    remarks = [why]
    if doubt and not _under_review(discrepancy, doubt):
        remarks.append(visible(doubt))
    if found["clears_on"]:
        remarks.append(f"clears on {visible(found['clears_on'])}")
    return f"{'partly ' if left else ''}explained ({cause}){left}: {'; '.join(remarks)}"


def looked_into(explanation: Mapping[str, Any]) -> bool:
    """Whether anybody looked for it; a report that does not say so yet explains nothing else."""
    return bool(explanation.get("looked_into", True))


def _under_review(discrepancy: Mapping[str, Any], doubt: str) -> bool:
    """Whether the proposed correction tells the doubt about its explanation."""
    correction = discrepancy.get("correction")
    return correction is not None and doubt in correction["review"]


def correction(discrepancy: Mapping[str, Any]) -> str:
    """What would mend a break, what that means in money, and the command for it; empty where nothing is proposed."""
    proposed = discrepancy.get("correction")
    if proposed is None:
        return ""
    before, after = proposed["before"] or {}, proposed["after"] or {}
    changes = {name: (before.get(name), after.get(name)) for name in dict.fromkeys((*before, *after))}
    match proposed["kind"]:
        case "insert":
            change = f"insert {visible(after.get('quantity'))} at {visible(after.get('avg_price'))}"
        case "delete":
            change = f"delete the row of {visible(before.get('quantity'))}"
        case _:
            moved = {name: pair for name, pair in changes.items() if pair[0] != pair[1] and name in ("quantity", "avg_price")}
            change = ", ".join(f"{name} {visible(old)} to {visible(new)}" for name, (old, new) in moved.items())
    profit = proposed["pnl"]["total"]
    worth = "P&L unknown" if profit is None else f"P&L {money(profit)} {visible(proposed['pnl']['currency'] or '')}".rstrip()
    review = f" (review: {visible(proposed['review'])})" if proposed["review"] else ""
    if proposed["state"] != "proposed":
        return f"correction {visible(proposed['state'])}: {change}; {worth}{review}"
    return f"correction: {change}; {worth}{review}: recon-core correct {visible(discrepancy['id'])}"
