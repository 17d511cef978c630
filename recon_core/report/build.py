"""The report as one plain dict, from what a run found: the shape that ``report.schema.json`` states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from recon_core.collect import BrokerAnswer, EvidenceAnswer
from recon_core.config.policy import Suppression
from recon_core.control_totals import CheckedTotal
from recon_core.feeds import ProvenFeed
from recon_core.model import Decision
from recon_core.redaction import redacted
from recon_core.state.suppressions import Accepted
from recon_core.verdict import Verdict
from recon_core.written_numbers import plain
from recon_core.written_times import iso

if TYPE_CHECKING:
    from recon_core.explanation import Difference, Explanation, Proposal, Term

SCHEMA_VERSION = 1


def build(verdict: Verdict, *, run: Mapping[str, Any], finished_at: datetime) -> dict[str, Any]:
    """The report of a verdict; ``run`` has ``run_id`` and ``started_at``. Nothing is written yet: outputs are None."""
    policy, firm = verdict.policy, verdict.firm
    discrepancies = [_discrepancy(entry, verdict) for entry in verdict.worst]
    with_suppressed = None if firm.total_impact is None else firm.total_impact + verdict.suppressed_impact
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": run["run_id"],
        "started_at": iso(run["started_at"]),
        "finished_at": iso(finished_at),
        "duration_seconds": f"{(finished_at - run['started_at']).total_seconds():.3f}",
        "as_of": iso(verdict.as_of),
        "verdict": verdict.word,
        "exit_code": int(verdict.exit_code),
        "break_count": firm.break_count,
        "suppressed_count": verdict.suppressed_count,
        "superseded_count": verdict.superseded_count,
        "undetermined_count": sum(verdict.scan.undetermined.values()),
        "missing_count": firm.missing_count,
        "counts": dict(firm.counts),
        "base_currency": policy.base_currency,
        "total_impact": _money(firm.total_impact),
        "known_impact": _money(firm.known_impact),
        "unknown_impact_count": firm.unknown_count,
        "suppressed_impact": _money(verdict.suppressed_impact),
        "total_impact_with_suppressed": _money(with_suppressed),
        "pairs": {
            "matched": verdict.scan.matched,
            "in_book": verdict.scan.in_book,
            "at_broker": verdict.scan.at_broker,
            "unproven": verdict.scan.unproven,
        },
        "rules": _rules(verdict),
        "breaks_by_account": [asdict(entry) | {"impact": _money(entry.impact)} for entry in verdict.tallies],
        "not_listed": list(policy.not_listed),
        "discrepancies": discrepancies,
        "discrepancies_truncated": verdict.listed > len(discrepancies),
        "discrepancies_total": verdict.listed,
        "incidents": [
            asdict(entry) | {"breaks": list(entry.breaks), "impact": _money(entry.impact)} for entry in verdict.incidents
        ],
        "since_last": None,
        "decision": _decision(verdict.decision),
        "halting": {"mode": verdict.mode, "raised": [], "trouble": None, "withheld": None, "standing": [], "actions": []},
        "warnings": [
            *policy.warnings,
            *verdict.warnings,
            *(f"{reason.policy}: {reason.detail}" for reason in verdict.decision.warnings),
            *(
                f"{', '.join(each.brokers)} asked again at {each.at:%H:%M:%S} UTC: {len(each.breaks)} breaks would have halted"
                for each in verdict.asked_again
            ),
        ],
        "book": _book(verdict),
        "asked_again": [
            {"at": iso(each.at), "brokers": list(each.brokers), "breaks": list(each.breaks)} for each in verdict.asked_again
        ],
        "feeds": [feed_as_dict(feed) for feed in verdict.feeds],
        "evidence": [_evidence(feed.alias, told) for feed in verdict.feeds if (told := feed.answer.told) is not None],
        "policy": {"path": policy.path, "sha256": policy.sha256},
        "config": {"path": verdict.config_path, "sha256": verdict.config_sha256},
        "plugins": [{"name": name, "version": version, "sha256": digest} for name, version, digest in verdict.plugins],
        "outputs": {"report": None, "html": None, "breaks": None, "evidence": None},
        "audit": None,
    }


def _rules(verdict: Verdict) -> list[dict[str, Any]]:
    return [
        {
            "type": rule.type,
            "title": rule.title,
            "severity": rule.severity,
            "halt": rule.halt.text,
            "count": verdict.firm.counts[rule.type],
            "undetermined": verdict.scan.undetermined[rule.type],
            "impact": _money(verdict.rule_impacts.get(rule.type, Decimal(0))),
        }
        for rule in verdict.policy.rules.values()
    ]


def _book(verdict: Verdict) -> dict[str, Any]:
    return {
        "source": verdict.book_source,
        "rows": verdict.survey.rows,
        "as_of": verdict.survey.latest and iso(verdict.survey.latest),
        "sha256": verdict.book_sha256,
        "notes": list(verdict.book_notes),
    }


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "halt": decision.halt,
        "reasons": [
            {
                "policy": reason.policy,
                "detail": reason.detail,
                "scope": reason.scope,
                "breaks": list(reason.breaks),
                "break_count": reason.break_count,
            }
            for reason in decision.reasons
        ],
        "require": list(decision.require),
    }


def _suppressed(place: int, verdict: Verdict) -> dict[str, Any]:
    """Who accepted a break, by its place in the policy's suppressions and then in those by id."""
    by: Suppression | Accepted
    if place < len(verdict.policy.suppress):
        by = verdict.policy.suppress[place]
        where = f"{verdict.policy.path}:{by.line}"
    else:
        by = verdict.accepted[place - len(verdict.policy.suppress)]
        where = f"audit record {by.seq}"
    return {"reason": by.reason, "until": by.until.isoformat(), "approved_by": by.approved_by, "policy": where}


def _discrepancy(entry: Mapping[str, Any], verdict: Verdict) -> dict[str, Any]:
    policy = verdict.policy
    key = (entry["broker"], entry["account"], entry["symbol"], entry["leg"])
    explanation, difference = verdict.explanations.get(key), verdict.differences.get(key)
    suppressed = None if entry["suppressed_by"] is None else _suppressed(entry["suppressed_by"], verdict)
    return {
        "id": entry["id"],
        "type": entry["type"],
        "title": policy.rules[entry["type"]].title,
        **{name: entry[name] for name in ("severity", "broker", "account", "symbol", "leg", "related", "asset_class")},
        **{name: entry[name] for name in ("book_quantity", "broker_quantity", "quantity_difference", "difference_pct")},
        **{name: entry[name] for name in ("book_avg_price", "broker_avg_price", "price", "currency", "impact")},
        "impact_currency": policy.base_currency,
        "detail": entry["detail"],
        "episode": None,
        "first_seen": None,
        "open_days": None,
        "hours_untouched": entry["hours_untouched"],
        "halts": entry["halts"],
        "suppressed": suppressed,
        "incident": verdict.incident_of.get(entry["id"]),
        "explanation": explanation and _explanation(explanation, difference),
        "correction": (proposal := verdict.proposals.get(key)) and _correction(proposal),
    }


def _explanation(explanation: Explanation, difference: Difference | None) -> dict[str, Any]:
    """``difference`` is what was looked into; None where nothing was."""
    last_agreed = difference.agreed_at if difference else None
    return {
        "status": explanation.status,
        "looked_into": difference is not None,
        "cause": explanation.cause,
        "causes": list(explanation.causes),
        "residual": plain(explanation.residual),
        "inferred": explanation.inferred,
        "ties": explanation.ties,
        "why": redacted(explanation.why),
        "doubt": redacted(explanation.doubt),
        "clears_on": _day(explanation.clears_on),
        "diverged_on": _day(explanation.diverged_on),
        "last_agreed": last_agreed and iso(last_agreed),
        "evidence": [_term(term) for term in explanation.terms],
    }


def _correction(proposal: Proposal) -> dict[str, Any]:
    pnl = proposal.pnl
    return {
        "id": proposal.id,
        "state": "proposed",
        "kind": proposal.kind,
        "before": proposal.before,
        "after": proposal.after,
        "pnl": {
            "method": pnl.method,
            "currency": pnl.currency,
            **{name: _number(getattr(pnl, name)) for name in ("realised", "cash_in_lieu", "fees", "total")},
        },
        "review": proposal.review,
        "automatic": proposal.automatic,
    }


def _term(term: Term) -> dict[str, Any]:
    return {
        "id": term.id,
        "kind": term.kind,
        "cause": term.cause,
        "quantity": plain(term.quantity),
        "effect": plain(term.effect),
        "on": _day(term.on),
        "at": term.at and iso(term.at),
        **{name: _number(getattr(term, name)) for name in ("price", "amount", "fee")},
        "fee_currency": term.fee_currency,
        "currency": term.currency,
        "order_id": term.order_id,
        "settles_on": _day(term.settles_on),
        "said": redacted(term.said),
        "source": redacted(term.source),
        "sha256": term.sha256,
    }


def _evidence(broker: str, told: EvidenceAnswer) -> dict[str, Any]:
    evidence = told.evidence
    return {
        "broker": broker,
        "since": iso(told.since),
        "complete": evidence.complete,
        "reason": redacted(evidence.reason),
        **{name: len(getattr(evidence, name)) for name in ("fills", "movements", "corporate_actions")},
        "notes": list(map(redacted, evidence.notes)),
        "received": received(told),
        "raw": None,
    }


def feed_as_dict(feed: ProvenFeed) -> dict[str, Any]:
    """One feed as the report tells it."""
    answered = feed.feed
    return {
        "broker": feed.alias,
        "adapter": feed.answer.settings.adapter,
        "status": str(feed.status),
        "reason": feed.reason,
        "basis": answered.basis,
        "as_of": answered.as_of and iso(answered.as_of),
        "positions": feed.positions,
        "sha256": answered.sha256,
        "coverage": {
            "accounts": list(feed.accounts),
            "asset_classes": list(answered.coverage or feed.answer.adapter.coverage),
        },
        "unproven_accounts": list(feed.unproven_accounts),
        "control_totals": [_total(entry) for entry in feed.totals],
        "received": received(feed.answer),
        "raw": None,
        "notes": list(feed.notes),
    }


def received(answer: BrokerAnswer | EvidenceAnswer) -> list[dict[str, Any]]:
    """What a broker answered, question by question, and the files that were read whole: each with its sha256."""
    asked = [
        {
            "from": redacted(f"{each.method} {each.url}"),
            "status": each.status,
            "bytes": each.size,
            "sha256": each.sha256,
            "cut": each.cut,
        }
        for each in answer.received
    ]
    return asked + [
        {"from": str(each.path), "status": None, "bytes": len(each.raw), "sha256": each.sha256, "cut": False}
        for each in answer.documents
    ]


def _total(entry: CheckedTotal) -> dict[str, Any]:
    return {
        "kind": entry.total.kind,
        "account": entry.total.account,
        "stated": plain(entry.total.stated),
        "computed": _number(entry.computed),
        "tolerance": plain(entry.total.tolerance),
        "ok": entry.ok,
        "source": entry.total.source,
    }


def _money(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:.4f}"


def _number(number: Decimal | None) -> str | None:
    return None if number is None else plain(number)


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
