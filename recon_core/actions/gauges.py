"""What the metrics say after a verdict, a failed run or a halt: pure arithmetic over the report and the values before it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from itertools import product
from math import inf
from typing import Any, NamedTuple

from recon_core.config.settings import BrokerSettings

Labels = tuple[str, ...]
Values = Mapping[Labels, float]
Gauges = Mapping[str, Values]
"""By metric, without the prefix, its values by the values of its labels, in the order of ``METRICS``."""

PREFIX = "wsb_eod_reconciliation_"


class Metric(NamedTuple):
    """What a gauge means, and its labels."""

    meaning: str
    labels: Labels = ()


_PLACE = ("broker", "account", "type")
METRICS: Mapping[str, Metric] = {
    "breaks_total": Metric("Open breaks, suppressed ones left out. A gauge: 0 after a clean run.", _PLACE),
    "open_breaks": Metric("The same as breaks_total, under a name that a gauge should have.", _PLACE),
    "impact": Metric("What the open breaks are worth in base currency; +Inf where one is unknown.", (*_PLACE, "currency")),
    "feed_complete": Metric("1 where the newest feed is proven complete, else 0: then its breaks are the last known.", ("broker",)),
    "feed_last_complete_timestamp_seconds": Metric("When the feed was last proven complete.", ("broker",)),
    "trading_halted": Metric("1 while trading is halted anywhere, else 0."),
    "last_run_failed": Metric("1 where the last run ended without a verdict, else 0."),
    "last_run_timestamp_seconds": Metric("When the last run ended, whether it had a verdict or not."),
    "last_success_timestamp_seconds": Metric("Since when every configured broker has been proven complete at least once."),
    "next_due_timestamp_seconds": Metric("When the next verdict is due."),
    "feed_next_due_timestamp_seconds": Metric("When the feed of a broker that is due by itself is to be proven next.", ("broker",)),
    "duration_seconds": Metric("How long the last run with a verdict took."),
    "audit_seq": Metric("The last audit record's number and hash: the anchor against which the chain is verified.", ("head",)),
}


def after_verdict(
    report: Mapping[str, Any],
    earlier: Gauges,
    brokers: Mapping[str, BrokerSettings],
    *,
    halted: bool,
    next_due: datetime | None,
    own_due: Mapping[str, datetime],
) -> dict[str, Values]:
    """All gauges after the verdict of ``report``, which are absolute: what is not in them is no more.

    A broker whose feed is COMPLETE has a value, 0 at least, for each type of the policy and each account that is configured or
    reported. Any other keeps its ``earlier`` values, or has what was found now where that is more; one that was never proven has
    none, for silence is not 0. ``halted`` is whether trading is halted anywhere now, ``next_due`` None without a schedule,
    ``own_due`` the same of brokers that are due by themselves.
    """
    feeds = {feed["broker"]: feed for feed in report["feeds"]}
    complete = {alias for alias, feed in feeds.items() if feed["status"] == "COMPLETE"}
    ended = datetime.fromisoformat(report["finished_at"]).timestamp()
    breaks, impact = _kept(earlier, "breaks_total", brokers, complete), _kept(earlier, "impact", brokers, complete)
    for alias in brokers.keys() & complete:
        for account, kind in product(_accounts(brokers[alias], feeds[alias]), report["counts"]):
            breaks[alias, account, kind] = 0
            impact[alias, account, kind, report["base_currency"]] = 0
    for entry in report["breaks_by_account"]:
        place = (entry["broker"], entry["account"], entry["type"])
        priced = (*place, report["base_currency"])
        breaks[place] = max(entry["break_count"], breaks.get(place, 0))
        impact[priced] = max(inf if entry["impact"] is None else float(entry["impact"]), impact.get(priced, 0))
    proven = _kept(earlier, "feed_last_complete_timestamp_seconds", brokers, complete)
    proven |= {(alias,): ended for alias in brokers.keys() & complete}
    dues = _kept(earlier, "feed_next_due_timestamp_seconds", own_due, complete)
    succeeded = min(proven.values()) if len(proven) == len(brokers) else _single(earlier, "last_success_timestamp_seconds")
    return {
        "breaks_total": breaks,
        "open_breaks": breaks,
        "impact": impact,
        "feed_complete": {
            (alias,): float(alias in complete) if alias in feeds else earlier.get("feed_complete", {}).get((alias,), 0)
            for alias in brokers
        },
        "feed_last_complete_timestamp_seconds": proven,
        "trading_halted": {(): float(halted)},
        "last_run_failed": {(): 0},
        "last_run_timestamp_seconds": {(): ended},
        "last_success_timestamp_seconds": _value(succeeded),
        "next_due_timestamp_seconds": _value(_due(earlier, _together(brokers) <= feeds.keys(), succeeded, next_due)),
        "feed_next_due_timestamp_seconds": {(alias,): due.timestamp() for alias, due in own_due.items()} | dues,
        "duration_seconds": {(): float(report["duration_seconds"])},
        "audit_seq": {(report["audit"]["head"],): float(report["audit"]["seq"])} if report["audit"] else {},
    }


def after_failure(at: datetime, *, halted: bool | None = None) -> dict[str, Values]:
    """The gauges that a run without a verdict changes; all others stay. ``halted`` None: it did not come to know."""
    changed: dict[str, Values] = {"last_run_failed": {(): 1}, "last_run_timestamp_seconds": {(): at.timestamp()}}
    return changed if halted is None else changed | after_halt(halted)


def after_halt(halted: bool) -> dict[str, Values]:
    """The gauge that a halt changes which was raised or lifted outside of a run."""
    return {"trading_halted": {(): float(halted)}}


def _kept(earlier: Gauges, name: str, brokers: Collection[str], complete: Collection[str]) -> dict[Labels, float]:
    """The earlier values of the brokers, the first label, about which the verdict proves nothing."""
    return {labels: value for labels, value in earlier.get(name, {}).items() if labels[0] in brokers and labels[0] not in complete}


def _accounts(settings: BrokerSettings, feed: Mapping[str, Any]) -> list[str]:
    return sorted({*settings.accounts.values(), *settings.expect_accounts, *feed["coverage"]["accounts"]})


def _together(brokers: Mapping[str, BrokerSettings]) -> set[str]:
    """The brokers that are due at the same time."""
    return {alias for alias, broker in brokers.items() if broker.due is None} or set(brokers)


def _due(earlier: Gauges, whole: bool, succeeded: float | None, next_due: datetime | None) -> float | None:
    """The next due time: a run of some brokers meets the earlier one only once all of them have been proven since."""
    waiting = _single(earlier, "next_due_timestamp_seconds")
    if waiting is None or whole or (succeeded is not None and succeeded >= waiting):
        return next_due.timestamp() if next_due else None
    return waiting


def _single(gauges: Gauges, name: str) -> float | None:
    return gauges.get(name, {}).get(())


def _value(value: float | None) -> Values:
    return {} if value is None else {(): value}
