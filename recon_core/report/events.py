"""The report as log lines: each feed, each warning, the verdict, and the head of the audit chain as an anchor kept elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recon_core import log


def log_report(report: Mapping[str, Any]) -> None:
    """Log what a run found. An unproven feed and each warning are warnings, all else is information."""
    for feed in report["feeds"]:
        about = {name: feed[name] for name in ("broker", "status", "as_of", "positions", "sha256")}
        if feed["status"] == "COMPLETE":
            log.info("feed proven", **about)
        else:
            log.warning(f"feed {feed['broker']} is {feed['status']}: {feed['reason']}", **about)
    for warning in report["warnings"]:
        log.warning(warning)
    decision = report["decision"]
    log.info(
        "verdict",
        **{name: report[name] for name in ("verdict", "exit_code", "as_of", "break_count", "missing_count", "total_impact")},
        halt=decision["halt"],
        reasons=[reason["policy"] for reason in decision["reasons"]],
        report=report["outputs"]["report"],
    )
    if report["audit"] is not None:
        log.info("audit anchor", seq=report["audit"]["seq"], head=report["audit"]["head"])
