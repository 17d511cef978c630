"""Reports to print and to check, each a dict as the engine hands it over."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

Report = dict[str, Any]
SHA256 = "3f" * 32
HOSTILE = "</script><img src=x onerror=alert(1)>\"'&\n\x1b[31m\u202eLPAA\x00"
RULES = {
    "MISSING_AT_BROKER": ("Not at the broker", "critical", "always"),
    "MISSING_IN_DB": ("Not in the book", "critical", "always"),
    "QUANTITY_MISMATCH": ("Quantities disagree", "high", "above_pct 10"),
    "PRICE_MISMATCH": ("Average prices disagree", "warning", "never"),
    "STALE_POSITION": ("Not confirmed for long", "info", "never"),
}
SUPPRESSED = {"reason": "fractions in transfer", "until": "2026-12-31", "approved_by": "R. Osei", "policy": "policies.yaml:31"}


def discrepancy(number: int = 1, **changes: Any) -> Report:
    """A quantity break of AAPL, and what ``changes`` makes of it; its title and severity follow its type."""
    kind = changes.get("type", "QUANTITY_MISMATCH")
    title, severity, _ = RULES[kind]
    item = {
        "id": f"B{number:08x}",
        "type": kind,
        "title": title,
        "severity": severity,
        "broker": "prime",
        "account": "MAIN",
        "symbol": "AAPL",
        "leg": "NET",
        "related": None,
        "asset_class": "us_equity",
        "book_quantity": "100",
        "broker_quantity": "95",
        "quantity_difference": "5",
        "difference_pct": "5.26",
        "book_avg_price": "187.2",
        "broker_avg_price": "187.2",
        "price": "201.125",
        "currency": "USD",
        "impact": "1005.6250",
        "impact_currency": "USD",
        "detail": "book 100, broker 95 (5.26% apart)",
        "episode": None,
        "first_seen": None,
        "open_days": None,
        "hours_untouched": "3.5",
        "halts": False,
        "suppressed": None,
        "incident": None,
        "explanation": None,
        "correction": None,
    }
    assert not changes.keys() - item.keys()
    return item | changes


def feed(broker: str = "prime", **changes: Any) -> Report:
    """A complete feed of one account, and what ``changes`` makes of it."""
    item = {
        "broker": broker,
        "adapter": "statement",
        "status": "COMPLETE",
        "reason": "",
        "basis": "trade",
        "as_of": "2026-11-20T21:00:00Z",
        "positions": 12,
        "sha256": SHA256,
        "coverage": {"accounts": ["MAIN"], "asset_classes": []},
        "unproven_accounts": [],
        "control_totals": [
            {
                "kind": "market_value",
                "account": None,
                "stated": "1250000.00",
                "computed": "1250000.00",
                "tolerance": "0.01",
                "ok": True,
                "source": "footer, line 15",
            }
        ],
        "received": [{"from": "GET https://api.example/positions", "status": 200, "bytes": 812, "sha256": SHA256, "cut": False}],
        "raw": None,
        "notes": [],
    }
    assert not changes.keys() - item.keys()
    return item | changes


def report(*discrepancies: Report, **changes: Any) -> Report:
    """A report of these breaks with counts and totals that follow from them, and what ``changes`` makes of it."""
    counted = [item for item in discrepancies if item["suppressed"] is None]
    held = [item for item in discrepancies if item["suppressed"] is not None]
    halting = [item for item in counted if item["halts"]]
    missing = [item for item in counted if item["type"].startswith("MISSING")]
    money = [item for item in counted if item["type"] not in ("PRICE_MISMATCH", "STALE_POSITION")]
    rules = [
        {
            "type": kind,
            "title": title,
            "severity": severity,
            "halt": halt,
            "count": len([item for item in counted if item["type"] == kind]),
            "undetermined": 0,
            "impact": _sum([item for item in counted if item["type"] == kind]),
        }
        for kind, (title, severity, halt) in RULES.items()
    ]
    whole = {
        "schema_version": 1,
        "run_id": "20261120T213000Z-1a2b3c",
        "started_at": "2026-11-20T21:30:00Z",
        "finished_at": "2026-11-20T21:30:00.312Z",
        "duration_seconds": "0.312",
        "as_of": "2026-11-20T21:00:00Z",
        "verdict": "breaks" if counted else "clean",
        "exit_code": 4 if halting else 10 if counted else 0,
        "break_count": len(counted),
        "suppressed_count": len(held),
        "superseded_count": 0,
        "undetermined_count": 0,
        "missing_count": len(missing),
        "counts": {rule["type"]: rule["count"] for rule in rules},
        "base_currency": "USD",
        "total_impact": _sum(money),
        "known_impact": _sum([item for item in money if item["impact"] is not None]),
        "unknown_impact_count": len([item for item in money if item["impact"] is None]),
        "suppressed_impact": _sum(held),
        "total_impact_with_suppressed": _sum([*money, *held]),
        "pairs": {"matched": 48, "in_book": 50, "at_broker": 49, "unproven": 0},
        "rules": rules,
        "breaks_by_account": _tallies(counted),
        "not_listed": ["UNMAPPED_SYMBOL"],
        "discrepancies": list(discrepancies),
        "discrepancies_truncated": False,
        "discrepancies_total": len(discrepancies),
        "incidents": [],
        "since_last": None,
        "halting": {
            "mode": "armed",
            "raised": ["firm"] if halting else [],
            "trouble": None,
            "withheld": None,
            "standing": ["firm"] if halting else [],
            "actions": [],
        },
        "decision": {"halt": bool(halting), "reasons": [_reason(halting)] if halting else [], "require": []},
        "warnings": [],
        "book": {"source": "examples/book.sqlite, table positions", "rows": 50, "as_of": None, "sha256": None, "notes": []},
        "asked_again": [],
        "feeds": [feed()],
        "evidence": [],
        "policy": {"path": "policies.yaml", "sha256": SHA256},
        "config": {"path": "recon.yaml", "sha256": SHA256},
        "plugins": [{"name": "rule-quantity-mismatch", "version": "0.1.0", "sha256": SHA256}],
        "outputs": {
            "report": ".state/report.json",
            "html": ".state/report.html",
            "breaks": ".state/breaks.parquet",
            "evidence": None,
        },
        "audit": None,
    }
    assert not changes.keys() - whole.keys()
    return whole | changes


def _sum(items: list[Report]) -> str | None:
    if any(item["impact"] is None for item in items):
        return None
    return str(sum((Decimal(item["impact"]) for item in items), Decimal("0.0000")))


def _reason(halting: list[Report]) -> Report:
    return {
        "policy": f"policies.yaml:4: rules.{halting[0]['type']}.halt: always",
        "detail": f"halting: {', '.join(item['symbol'] for item in halting[:10])}",
        "scope": "firm",
        "breaks": [item["id"] for item in halting[:100]],
        "break_count": len(halting),
    }


def _tallies(counted: list[Report]) -> list[Report]:
    keys = ("broker", "account", "type")
    groups: dict[tuple[str, ...], list[Report]] = {}
    for item in sorted(counted, key=lambda item: [item[key] for key in keys]):
        groups.setdefault(tuple(item[key] for key in keys), []).append(item)
    return [dict(zip(keys, key, strict=True)) | {"break_count": len(items), "impact": _sum(items)} for key, items in groups.items()]


def clean() -> Report:
    """Book and broker agree."""
    return report()


def halting() -> Report:
    """Two brokers, three accounts, breaks of every type, one of them suppressed; three reasons to halt."""
    missing = discrepancy(
        1,
        type="MISSING_AT_BROKER",
        symbol="MSFT",
        book_quantity="250",
        broker_quantity=None,
        quantity_difference="250",
        difference_pct=None,
        broker_avg_price=None,
        book_avg_price="411.87",
        price="498.52",
        impact="124630.0000",
        halts=True,
        hours_untouched="6.25",
        detail="the book holds 250, prime reports no position",
    )
    unbooked = discrepancy(
        2,
        type="MISSING_IN_DB",
        broker="alpaca-paper",
        account="PAPER-1",
        symbol="BTC/USD",
        book_quantity=None,
        broker_quantity="0.412345678901234567",
        quantity_difference="-0.412345678901234567",
        difference_pct="100",
        book_avg_price=None,
        broker_avg_price="64210.5",
        price="97412.11",
        impact="40167.4624",
        halts=True,
        asset_class="crypto",
        hours_untouched=None,
        detail="alpaca-paper holds 0.412345678901234567, the book has no position",
    )
    option = discrepancy(
        3,
        account="OPTIONS",
        symbol="SPY 261218C00600000",
        book_quantity="-12",
        broker_quantity="-10",
        quantity_difference="-2",
        difference_pct="20",
        price="8.35",
        hours_untouched="0.75",
        book_avg_price="7.9",
        broker_avg_price="7.9",
        impact="1670.0000",
        halts=True,
        asset_class="us_option",
        detail="book -12, broker -10 (20% apart)",
    )
    leg = discrepancy(
        4,
        symbol="7203.T",
        leg="LONG",
        book_quantity="1500",
        broker_quantity="1400",
        quantity_difference="100",
        difference_pct="7.14",
        price="2871.5",
        currency="JPY",
        book_avg_price="2790",
        broker_avg_price="2790",
        impact="1914.3300",
        detail="book 1500, broker 1400 (7.14% apart)",
    )
    unpriced = discrepancy(
        5,
        symbol="XYZ.WS",
        book_quantity="33",
        broker_quantity="34",
        quantity_difference="-1",
        difference_pct="2.94",
        price=None,
        impact=None,
        currency=None,
        book_avg_price=None,
        broker_avg_price=None,
        detail="book 33, broker 34 (2.94% apart)",
    )
    price = discrepancy(
        6,
        type="PRICE_MISMATCH",
        symbol="NVDA",
        book_quantity="40",
        broker_quantity="40",
        quantity_difference="0",
        difference_pct="0",
        book_avg_price="131.02",
        broker_avg_price="133.9",
        impact="115.2000",
        detail="book paid 131.02, broker says 133.9",
    )
    stale = discrepancy(
        7,
        type="STALE_POSITION",
        broker="alpaca-paper",
        account="PAPER-1",
        symbol="TSLA",
        book_quantity="-20",
        broker_quantity="-20",
        quantity_difference="0",
        difference_pct="0",
        impact="0.0000",
        hours_untouched="71.5",
        detail="the book last confirmed it 71.5 hours ago",
    )
    held = discrepancy(
        8,
        symbol="VTI",
        book_quantity="10.5",
        broker_quantity="10.4",
        quantity_difference="0.1",
        difference_pct="0.96",
        impact="29.3120",
        detail="book 10.5, broker 10.4 (0.96% apart)",
        suppressed=SUPPRESSED,
    )
    whole = report(missing, unbooked, option, leg, unpriced, price, stale, held, superseded_count=2, undetermined_count=3)
    whole["decision"] = {
        "halt": True,
        "reasons": [
            {
                "policy": "policies.yaml:4: rules.MISSING_AT_BROKER.halt: always",
                "detail": "1 break halts: MSFT",
                "scope": "firm",
                "breaks": [missing["id"]],
                "break_count": 1,
            },
            {
                "policy": "policies.yaml:5: rules.MISSING_IN_DB.halt: always",
                "detail": "1 break halts: BTC/USD",
                "scope": "firm",
                "breaks": [unbooked["id"]],
                "break_count": 1,
            },
            {
                "policy": "policies.yaml:10: escalation.financial-impact: total_impact > 1000",
                "detail": "total_impact is unknown (at least 168,381.79 USD), which exceeds every limit",
                "scope": "firm",
                "breaks": [missing["id"], unbooked["id"], option["id"], leg["id"], unpriced["id"]],
                "break_count": 5,
            },
        ],
        "require": ["full manual reconciliation"],
    }
    whole["rules"][3]["undetermined"] = 3
    whole["feeds"] = [
        feed(
            "alpaca-paper",
            adapter="alpaca",
            positions=9,
            coverage={"accounts": ["PAPER-1"], "asset_classes": ["us_equity", "crypto"]},
        ),
        feed(
            positions=40, coverage={"accounts": ["MAIN", "OPTIONS"], "asset_classes": []}, notes=["2 prices rounded to 12 decimals"]
        ),
    ]
    whole["warnings"] = [
        "policies.yaml:5:40: rules.QUANTITY_MISMATCH.halt.above_pct: 0.1 is a tenth of a percent; did you mean 10?"
    ]
    return whole


def incident(*members: Report, **changes: Any) -> Report:
    """An incident of these breaks, which get its id."""
    name = changes.get("id", "I0123456789abcdef")
    for member in members:
        member["incident"] = name
    item = {
        "id": name,
        "kind": "ratio",
        "title": "the broker's quantities are 100 times the book's",
        "broker": members[0]["broker"],
        "account": members[0]["account"],
        "breaks": [member["id"] for member in members],
        "break_count": len(members),
        "impact": _sum(list(members)),
        "action": "Check the units; correct no position by hand.",
    }
    assert not changes.keys() - item.keys()
    return item | changes


def explained(**changes: Any) -> Report:
    """Why a break is there: one missed fill."""
    return {
        "status": "EXPLAINED",
        "looked_into": True,
        "cause": "MISSED_FILL",
        "causes": ["MISSED_FILL"],
        "residual": "0",
        "inferred": False,
        "ties": 0,
        "doubt": "",
        "why": "the broker sold 5 at 190.00 on 2026-11-20 14:31 UTC (fill F1), which the book does not have",
        "clears_on": None,
        "diverged_on": "2026-11-20",
        "last_agreed": "2026-11-19T21:00:00Z",
        "evidence": [],
    } | changes


def _row(quantity: str, updated_at: str) -> Report:
    """The book's row of AAPL."""
    known = {"broker": "prime", "account": "MAIN", "symbol": "AAPL", "leg": "NET", "asset_class": "us_equity", "currency": "USD"}
    unknown = dict.fromkeys(("multiplier", "isin", "cusip"))
    return known | {"quantity": quantity, "avg_price": "187.2"} | unknown | {"updated_at": updated_at, "opened_at": None}


def proposed(**changes: Any) -> Report:
    """What would mend a break: the book's quantity down to the broker's."""
    return {
        "id": "C0123456789abcdef",
        "kind": "update",
        "before": _row("100", "2026-11-20T20:00:00Z"),
        "after": _row("95", "2026-11-20T21:00:00Z"),
        "pnl": {
            "method": "average", "currency": "USD", "realised": "14.00", "cash_in_lieu": "0", "fees": "1.5", "total": "12.50",
        },
        "review": "",
        "automatic": True,
        "state": "proposed",
    } | changes  # fmt: skip


def with_incidents() -> Report:
    """Seven breaks of one cause, one that its evidence explains, one that has no cause of its own."""
    members = [discrepancy(number, symbol=f"S{number}", halts=True) for number in range(1, 8)]
    alone = discrepancy(8, explanation=explained(), correction=proposed())
    unknown = discrepancy(9, symbol="KO", explanation=explained(status="UNEXPLAINED", cause="UNEXPLAINED", why="nothing fits"))
    return report(*members, alone, unknown, incidents=[incident(*members)])


def since_last(**changes: Any) -> Report:
    """Since the day before, one break has gone by a correction, one is new, and one was not judged."""
    place = {"type": "QUANTITY_MISMATCH", "broker": "prime", "account": "MAIN", "leg": "NET"}
    gone = {"id": "B0000000a", **place, "symbol": "GONE", "correction": "C0123456789abcdef"}
    still = {"id": "B0000000b", **place, "broker": "late", "symbol": "STILL"}
    whole = {
        "run_id": "20261119T213000Z-1a2b3c",
        "as_of": "2026-11-19T21:00:00Z",
        "cleared_count": 1,
        "cleared": [gone],
        "remaining": 2,
        "new_count": 1,
        "new": ["B00000001"],
        "not_judged_count": 1,
        "not_judged": [still | {"first_seen": "2026-11-16T21:00:00Z", "last_seen": "2026-11-18T21:00:00Z"}],
    }
    assert not changes.keys() - whole.keys()
    return whole | changes


def incomplete() -> Report:
    """One broker timed out, another gave only part: no break found in what was proven, and the policy only warns."""
    return report(
        verdict="incomplete",
        exit_code=3,
        pairs={"matched": 12, "in_book": 50, "at_broker": 12, "unproven": 38},
        feeds=[
            feed(
                "alpaca-paper",
                adapter="alpaca",
                status="FAILED",
                reason="no answer from paper-api.alpaca.markets in 30 s; asked 3 times",
                as_of=None,
                positions=0,
                sha256=None,
                basis="unknown",
                coverage={"accounts": [], "asset_classes": []},
                control_totals=[],
                unproven_accounts=["PAPER-1"],
            ),
            feed(
                status="PARTIAL",
                reason="account OPTIONS is expected, and no row names it",
                unproven_accounts=["OPTIONS"],
                control_totals=[
                    {
                        "kind": "rows",
                        "account": "MAIN",
                        "stated": "14",
                        "computed": "12",
                        "tolerance": "0",
                        "ok": False,
                        "source": "trailer",
                    },
                ],
            ),
        ],
    )


def hostile() -> Report:
    """Every text that comes from outside tries to break out of the page and to move the cursor."""
    item = discrepancy(1, symbol=HOSTILE, account=HOSTILE, broker=HOSTILE, detail=HOSTILE, related=HOSTILE, halts=True)
    held = discrepancy(2, symbol=HOSTILE, suppressed=SUPPRESSED | {"reason": HOSTILE, "approved_by": HOSTILE})
    whole = report(item, held, warnings=[HOSTILE], feeds=[feed(HOSTILE, reason=HOSTILE, status="FAILED", notes=[HOSTILE])])
    whole["incidents"] = [incident(item, title=HOSTILE, action=HOSTILE)]
    whole["decision"]["require"] = [HOSTILE]
    whole["decision"]["reasons"][0]["policy"] = HOSTILE
    whole["book"] |= {"source": HOSTILE, "notes": [HOSTILE]}
    whole["outputs"]["html"] = HOSTILE
    return whole


def many(number: int) -> Report:
    """``number`` breaks, a tenth of them halting, worst first."""
    items = [
        discrepancy(
            n, symbol=f"SYM{n:05}", book_quantity=str(1000 + n), broker_quantity=str(900 + n), quantity_difference="100",
            impact=f"{(number - n) * 7}.1250", halts=n < number // 10, detail=f"book {1000 + n}, broker {900 + n} (11.1% apart)",
        )
        for n in range(number)
    ]  # fmt: skip
    return report(*items)
