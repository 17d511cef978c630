"""One feed as ``recon-core brokers fetch`` shows it: as JSON, and as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from recon_core.evidence import Evidence
from recon_core.feeds import ProvenFeed
from recon_core.redaction import redacted
from recon_core.report.build import feed_as_dict
from recon_core.report.layout import Column, fitting, headings, indented, row
from recon_core.report.values import visible
from recon_core.written_numbers import plain
from recon_core.written_times import iso

_SHOWN = (
    ("ACCOUNT", "account", False, None),
    ("SYMBOL", "symbol", False, None),
    ("LEG", "leg", False, 3),
    ("QUANTITY", "quantity", True, None),
    ("AVG PRICE", "avg_price", True, 5),
    ("MARKET PRICE", "market_price", True, 4),
    ("CURRENCY", "currency", False, 6),
    ("CLASS", "asset_class", False, 2),
    ("MULT", "multiplier", True, 1),
    ("RAW SYMBOL", "raw_symbol", False, 0),
)


def fetched_as_dict(
    feed: ProvenFeed, positions: Sequence[Mapping[str, Any]], *, at: datetime, evidence: Evidence | None, saved: Path | None
) -> dict[str, Any]:
    """The feed as a run's report tells it, with its ``positions`` row by row, ``cash``, ``totals`` and the evidence."""
    told: dict[str, Any] = _plain(feed_as_dict(feed))
    return told | {
        "asked_at": iso(at),
        "position_count": told["positions"],
        "positions": [_plain(each) for each in positions],
        "totals": totals(positions),
        "cash": [_plain(asdict(each)) for each in feed.feed.cash],
        "evidence": None if evidence is None else _plain(asdict(evidence)),
        "saved": saved and str(saved),
    }


def totals(positions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """By account and currency: how many positions, and their market value, long and short; null where one has no price."""
    sums: dict[tuple[Any, Any], list[Any]] = {}
    for each in positions:
        quantity, price = Decimal(each["quantity"]), each["market_price"]
        entry = sums.setdefault((each["account"], each["currency"]), [0, Decimal(0), Decimal(0)])
        if not quantity:
            continue
        entry[0] += 1
        side = 1 if quantity > 0 else 2
        value = None if price is None else quantity * Decimal(price) * Decimal(each["multiplier"] or 1)
        entry[side] = None if value is None or entry[side] is None else entry[side] + value
    ordered = sorted(sums.items(), key=lambda item: tuple(map(str, item[0])))
    return [
        {
            "account": account,
            "currency": currency,
            "positions": count,
            "long_value": None if long is None else plain(long),
            "short_value": None if short is None else plain(short),
        }
        for (account, currency), (count, long, short) in ordered
    ]


def fetched_as_text(
    feed: ProvenFeed,
    positions: Sequence[Mapping[str, Any]],
    *,
    at: datetime,
    evidence: Evidence | None,
    saved: Path | None,
    width: int,
    most: int,
) -> Iterator[str]:
    """The lines for a person, at most ``most`` positions."""
    told = fetched_as_dict(feed, positions, at=at, evidence=evidence, saved=saved)
    yield f"{told['status']}  {visible(feed.alias)} ({told['adapter']}), {told['position_count']:,} positions"
    for label, text in _head(told):
        yield from indented(f"{label}: {text}", width, hang=2)
    yield ""
    yield from _table(positions[:most], width) if positions else ["no positions"]
    if len(positions) > most:
        yield f"... and {len(positions) - most:,} more, which --json prints"
    for entry in told["totals"]:
        long, short = (entry[side] or "unknown" for side in ("long_value", "short_value"))
        name = visible(entry["account"] or "the account")
        yield f"total of {name}: {entry['positions']:,} positions, long {long}, short {short} {visible(entry['currency'] or '')}"
    for entry in told["cash"]:
        yield f"cash of {visible(entry['account'] or 'the account')}: {entry['amount']} {visible(entry['currency'])}"
    if evidence is not None:
        yield ""
        yield from _evidence(evidence, width)


def _head(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if told["reason"]:
        yield "why", visible(told["reason"])
    yield "as of", f"{told['as_of'] or 'not said'} ({told['basis']} date)"
    for entry in told["control_totals"]:
        where = f" of {visible(entry['account'])}" if entry["account"] else ""
        agreed = "agrees" if entry["ok"] else f"the positions add up to {entry['computed'] or 'unknown'}"
        yield "control total", f"{entry['kind']}{where} {entry['stated']} (+-{entry['tolerance']}): {agreed}"
    for entry in told["received"]:
        status = f", status {entry['status']}" if entry["status"] is not None else ""
        cut = " and then no more" if entry["cut"] else ""
        yield "received", f"{visible(entry['from'])}{status}, {entry['bytes']:,} bytes{cut}, sha256 {entry['sha256'][:12]}..."
    for note in told["notes"]:
        yield "note", visible(note)
    if told["saved"]:
        yield "saved", f"{told['saved']}: `recon-core brokers fetch {told['broker']} --replay FOLDER` reads it again"


def _table(positions: Sequence[Mapping[str, Any]], width: int) -> Iterator[str]:
    columns = [
        Column(heading, [visible(each[name]) for each in positions], number, drop=drop)
        for heading, name, number, drop in _SHOWN
        if drop is None or any(each[name] not in (None, each["symbol"] if name == "raw_symbol" else "NET") for each in positions)
    ]
    shown = fitting(columns, width) or [column for column in columns if column.drop is None]
    yield headings(shown)
    for index in range(len(positions)):
        yield from row(shown, index)


def _evidence(evidence: Evidence, width: int) -> Iterator[str]:
    whole = "complete" if evidence.complete else f"INCOMPLETE: {visible(evidence.reason)}"
    since = f" since {iso(evidence.since)}" if evidence.since else ""
    yield from indented(f"evidence{since}: {whole}", width, indent=0, hang=2)
    for fill in evidence.fills:
        price = f"{plain(fill.quantity)} {visible(fill.symbol)} at {plain(fill.price)} {visible(fill.currency or '')}".rstrip()
        yield from indented(f"{iso(fill.traded_at)} fill {visible(fill.id)}: {price}", width, hang=4)
    for each in evidence.movements:
        quantity = "" if each.quantity is None else f" {plain(each.quantity)}"
        money = "" if each.amount is None else f", {plain(each.amount)} {visible(each.currency or '')}".rstrip()
        what = f"{each.kind} {visible(each.id)}:{quantity} {visible(each.symbol or '')}{money}"
        text = f"{each.occurred_on} {what} ({visible(each.said)})"
        yield from indented(text, width, hang=4)
    for action in evidence.corporate_actions:
        rate = f" {plain(action.new_rate)} for {plain(action.old_rate)}" if action.new_rate and action.old_rate else ""
        yield from indented(
            f"{action.ex_date or action.process_date} {action.kind} {visible(action.symbol)}{rate} ({visible(action.said)})",
            width,
            hang=4,
        )
    for note in evidence.notes:
        yield from indented(f"note: {visible(note)}", width, hang=4)


def _plain(value: Any) -> Any:
    """The same with numbers and times as texts, as the report writes them, and no secret in any text that the broker repeats."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, str):
        return redacted(value)
    return value.isoformat() if isinstance(value, date) else value
