"""The alert rules and the dashboard, tried by Prometheus' own tools and in a real Prometheus."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployment import Deployment, ago, book_row, feed_row
from monitoring import ROOT, RULES, eventually, prometheus, promtool, pushgateway
from report_samples import clean, discrepancy, report

from recon_core.actions.gauges import METRICS, PREFIX
from recon_core.actions.metrics import write_verdict
from recon_core.config.settings import BrokerSettings, MetricsSettings

TESTS = sorted((RULES.parent / "tests").glob("*.yml"))
DASHBOARD = ROOT / "ops" / "grafana" / "recon-core.json"
PRIME = {"prime": BrokerSettings("prime", "statement", expect_accounts=("MAIN",))}


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]}


def test_promtool_takes_the_rules() -> None:
    done = promtool("check", "rules", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_when_it_should_and_then_resolves() -> None:
    done = promtool("test", "rules", *map(str, TESTS))
    assert done.returncode == 0, done.stdout + done.stderr
    tried = [
        case["alertname"] for path in TESTS for test in yaml.safe_load(path.read_text())["tests"] for case in _cases(test, True)
    ]
    quiet = [
        case["alertname"] for path in TESTS for test in yaml.safe_load(path.read_text())["tests"] for case in _cases(test, False)
    ]
    assert set(tried) == set(quiet) == set(alerts())


def _cases(test: dict[str, list[dict[str, str]]], fires: bool) -> list[dict[str, str]]:
    return [case for case in test["alert_rule_test"] if bool(case["exp_alerts"]) is fires]


def test_each_alert_names_the_runbook_and_the_runbook_each_alert() -> None:
    page = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    assert {rule["annotations"]["runbook"] for rule in alerts().values()} == {"docs/runbook.md"}
    assert [name for name in alerts() if f"`{name}`" not in page] == []


def test_the_alert_of_breaks_is_the_runbooks() -> None:
    rule = alerts()["ReconciliationBreaks"]
    assert rule["expr"] == "wsb_eod_reconciliation_breaks_total > 0"
    assert rule["labels"] == {"severity": "critical", "component": "compliance"}
    assert "for" not in rule, "it fires at once"


@pytest.mark.parametrize(
    "verdict", [clean(), report(discrepancy()) | {"audit": {"seq": 1, "head": "ab" * 32}}], ids=["clean", "breaks"]
)
def test_promtool_finds_nothing_in_the_metrics_but_the_runbooks_name(tmp_path: Path, verdict: dict[str, object]) -> None:
    settings = MetricsSettings(tmp_path / "recon.prom", labels={"desk": "emea"})
    write_verdict(settings, PRIME, verdict, halted=False, next_due=None)
    done = promtool("check", "metrics", given=settings.textfile.read_text(encoding="utf-8"))
    assert (done.stdout + done.stderr).splitlines() == [
        'wsb_eod_reconciliation_breaks_total non-counter metrics should not have "_total" suffix'
    ]


def test_rules_and_dashboard_ask_only_for_metrics_that_there_are() -> None:
    for path in (RULES, *TESTS, DASHBOARD):
        text = path.read_text(encoding="utf-8")
        assert {name.removeprefix(PREFIX) for name in re.findall(rf"{PREFIX}\w+", text)} <= METRICS.keys(), path.name


def test_the_dashboard_shows_every_metric_and_prometheus_understands_what_it_asks(tmp_path: Path) -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    asked = [target["expr"].replace("$__range", "30d") for panel in panels for target in panel["targets"]]
    assert {name for name in METRICS if not any(PREFIX + name in text for text in asked)} == {"breaks_total"}, "as open_breaks"
    assert len({panel["id"] for panel in panels}) == len(panels)
    rules = [{"record": f"asked:{number}", "expr": text} for number, text in enumerate(asked)]
    (tmp_path / "asked.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    done = promtool("check", "rules", str(tmp_path / "asked.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.case("J09")
def test_breaks_fire_in_a_real_prometheus_and_a_clean_run_resolves_them(tmp_path: Path) -> None:
    deployment, stamp = Deployment(tmp_path), ago(minutes=1)
    deployment.book([book_row("AAPL", "100", updated_at=stamp), book_row("MSFT", "50", "400", updated_at=stamp)])
    deployment.feed([feed_row("AAPL", "90")])
    with pushgateway(tmp_path) as gateway, prometheus(tmp_path, gateway) as monitor:
        deployment.config(more=f"metrics: {{pushgateway: '{gateway}', deadline_seconds: 20}}", as_of=stamp)
        assert deployment.run().returncode == 4
        eventually(monitor.firing, lambda found: found == {"ReconciliationBreaks": 2, "ReconciliationTradingHalted": 1})
        series = {entry["metric"]["type"]: entry["metric"] for entry in monitor.query(f"{PREFIX}breaks_total > 0")}
        assert set(series) == {"QUANTITY_MISMATCH", "MISSING_AT_BROKER"}
        assert {key: series["QUANTITY_MISMATCH"][key] for key in ("job", "broker", "account")} == {
            "job": "recon-core",
            "broker": "prime",
            "account": "MAIN",
        }
        deployment.feed([feed_row("AAPL", "100"), feed_row("MSFT", "50", "400")])
        assert deployment.run().returncode == 0
        eventually(monitor.firing, lambda found: found == {"ReconciliationTradingHalted": 1})
        lifted = deployment.command("halt", "lift", "--reason", "booked", "--by", "ann")
        assert lifted.returncode == 0, lifted.stderr
        eventually(monitor.firing, lambda found: not found)
        zeros = monitor.query(f"{PREFIX}breaks_total == 0")
        assert {entry["metric"]["type"] for entry in zeros} == {
            "MISSING_AT_BROKER", "MISSING_IN_DB", "QUANTITY_MISMATCH", "PRICE_MISMATCH", "STALE_POSITION"
        }  # fmt: skip
