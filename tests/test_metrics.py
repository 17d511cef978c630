"""What the metrics say after verdicts, failed runs and halts, in the textfile and at a gateway that is well, down or odd."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from deployment import Deployment, ago, book_row, feed_row
from doc_pages import DOCS, table
from loopback import Reply, serving
from report_samples import RULES, clean, discrepancy, feed, report

from recon_core.actions.gauges import METRICS
from recon_core.actions.metrics import read_textfile, write_failed_run, write_halted, write_verdict
from recon_core.config.settings import BrokerSettings, MetricsSettings
from recon_core.errors import StateError

PRIME = {"prime": BrokerSettings("prime", "statement", accounts={"U1": "MAIN", "U2": "HEDGE"}, expect_accounts=("CASH",))}
BOTH = {**PRIME, "coinhouse": BrokerSettings("coinhouse", "statement", expect_accounts=("VAULT",))}
BREAK = discrepancy(1, type="QUANTITY_MISMATCH", broker="prime", account="MAIN", symbol="SECRET-SYMBOL", impact="12.5000")
DUE = datetime(2026, 11, 23, 21, 30, tzinfo=UTC)
ENDED = datetime(2026, 11, 20, 21, 30, 0, 312000, tzinfo=UTC).timestamp()


@pytest.fixture
def settings(tmp_path: Path) -> MetricsSettings:
    return MetricsSettings(tmp_path / "recon.prom")


def written(settings: MetricsSettings, verdict: dict[str, Any], brokers: Any = PRIME, **more: Any) -> dict[str, Any]:
    """What the textfile says after a verdict."""
    assert write_verdict(settings, brokers, verdict, **{"halted": False, "next_due": DUE, **more}) == ()
    return dict(read_textfile(settings))


def unproven(*found: dict[str, Any], status: str = "FAILED") -> dict[str, Any]:
    return report(*found, feeds=[feed("prime", status=status, reason="cut off")], verdict="incomplete")


@pytest.mark.case("J09")
def test_a_clean_run_says_0_for_every_account_and_type(settings: MetricsSettings) -> None:
    gauges = written(settings, clean())
    assert gauges["breaks_total"] == {("prime", account, kind): 0 for account in ("CASH", "HEDGE", "MAIN") for kind in RULES}
    assert gauges["open_breaks"] == gauges["breaks_total"]
    assert gauges["impact"] == {(*place, "USD"): 0 for place in gauges["breaks_total"]}
    assert gauges["feed_complete"] == {("prime",): 1}
    assert gauges["feed_last_complete_timestamp_seconds"] == {("prime",): ENDED}
    singles = {name: values[()] for name, values in gauges.items() if () in values}
    assert singles == {
        "trading_halted": 0,
        "last_run_failed": 0,
        "last_run_timestamp_seconds": ENDED,
        "last_success_timestamp_seconds": ENDED,
        "next_due_timestamp_seconds": DUE.timestamp(),
        "duration_seconds": 0.312,
    }


def test_breaks_are_set_and_a_clean_run_sets_them_back_to_0(settings: MetricsSettings) -> None:
    gauges = written(settings, report(BREAK, BREAK | {"id": "B2", "impact": None}), halted=True)
    assert gauges["breaks_total"]["prime", "MAIN", "QUANTITY_MISMATCH"] == 2
    assert gauges["impact"]["prime", "MAIN", "QUANTITY_MISMATCH", "USD"] == inf, "unknown is above every limit"
    assert gauges["trading_halted"] == {(): 1}
    gauges = written(settings, clean())
    assert set(gauges["breaks_total"].values()) == {0}
    assert set(gauges["impact"].values()) == {0}
    assert gauges["trading_halted"] == {(): 0}


def test_an_account_that_only_the_feed_knows_has_its_zeros_too(settings: MetricsSettings) -> None:
    verdict = report(feeds=[feed("prime", coverage={"accounts": ["NEW"], "asset_classes": []})])
    assert written(settings, verdict)["breaks_total"]["prime", "NEW", "MISSING_IN_DB"] == 0


@pytest.mark.parametrize("status", ["PARTIAL", "NOT_READY", "FAILED"])
def test_an_unproven_broker_keeps_its_last_values(settings: MetricsSettings, status: str) -> None:
    before = written(settings, report(BREAK))
    after = written(settings, unproven(status=status))
    assert after["feed_complete"] == {("prime",): 0}
    assert all(after[name] == before[name] for name in ("breaks_total", "open_breaks", "impact"))
    assert after["last_success_timestamp_seconds"] == before["last_success_timestamp_seconds"]
    assert after["feed_last_complete_timestamp_seconds"] == before["feed_last_complete_timestamp_seconds"]


def test_what_a_partial_feed_adds_to_the_last_values_is_not_held_back(settings: MetricsSettings) -> None:
    written(settings, clean())
    after = written(settings, unproven(BREAK, BREAK | {"id": "B2"}, status="PARTIAL"))
    assert after["breaks_total"]["prime", "MAIN", "QUANTITY_MISMATCH"] == 2
    assert after["impact"]["prime", "MAIN", "QUANTITY_MISMATCH", "USD"] == 25


def test_a_broker_that_was_never_proven_has_no_zeros(settings: MetricsSettings) -> None:
    gauges = written(settings, unproven())
    assert gauges["feed_complete"] == {("prime",): 0}
    assert not gauges.keys() & {"breaks_total", "open_breaks", "impact", "last_success_timestamp_seconds"}


def test_a_run_of_some_brokers_leaves_the_others_as_they_were(settings: MetricsSettings) -> None:
    of_coinhouse = BREAK | {"broker": "coinhouse", "account": "VAULT"}
    both = [feed("prime"), feed("coinhouse", coverage={"accounts": ["VAULT"], "asset_classes": []})]
    before = written(settings, report(BREAK, of_coinhouse, feeds=both), BOTH)
    later = datetime(2026, 11, 24, 22, 0, tzinfo=UTC)
    verdict = report(feeds=both[:1], finished_at="2026-11-23T21:40:00Z")
    after = written(settings, verdict, BOTH, next_due=later)
    assert after["breaks_total"]["coinhouse", "VAULT", "QUANTITY_MISMATCH"] == 1
    assert after["breaks_total"]["prime", "MAIN", "QUANTITY_MISMATCH"] == 0
    assert after["feed_complete"] == {("prime",): 1, ("coinhouse",): 1}
    assert after["last_success_timestamp_seconds"] == before["last_success_timestamp_seconds"], "coinhouse was not proven again"
    assert after["next_due_timestamp_seconds"] == {(): DUE.timestamp()}, "and so the due time is not met"
    verdict = report(feeds=both[1:], finished_at="2026-11-23T21:50:00Z")
    after = written(settings, verdict, BOTH, next_due=later)
    assert after["last_success_timestamp_seconds"] == {(): datetime(2026, 11, 23, 21, 40, tzinfo=UTC).timestamp()}
    assert after["next_due_timestamp_seconds"] == {(): later.timestamp()}, "both are proven since the due time"


def test_a_broker_that_is_due_by_itself_is_due_again_once_it_is_proven(settings: MetricsSettings) -> None:
    both = [feed("prime"), feed("coinhouse", status="NOT_READY", reason="not there yet")]
    first, second = datetime(2026, 11, 24, 12, tzinfo=UTC), datetime(2026, 11, 25, 12, tzinfo=UTC)

    def due(verdict: dict[str, Any], at: datetime) -> Any:
        return written(settings, verdict, BOTH, own_due={"coinhouse": at})["feed_next_due_timestamp_seconds"]

    assert due(report(feeds=both, verdict="incomplete"), first) == {("coinhouse",): first.timestamp()}
    assert due(report(feeds=both[:1]), second) == {("coinhouse",): first.timestamp()}, "a run without it changes nothing"
    assert due(report(feeds=both, verdict="incomplete"), second) == {("coinhouse",): first.timestamp()}, (
        "nor one that proves nothing"
    )
    assert due(report(feeds=[feed("coinhouse")]), second) == {("coinhouse",): second.timestamp()}
    assert "feed_next_due_timestamp_seconds" not in written(settings, clean(), BOTH)


def test_a_broker_that_is_no_longer_configured_is_gone(settings: MetricsSettings) -> None:
    both = [feed("prime"), feed("coinhouse", coverage={"accounts": ["VAULT"], "asset_classes": []})]
    written(settings, report(BREAK | {"broker": "coinhouse", "account": "VAULT"}, feeds=both), BOTH)
    assert "coinhouse" not in str(written(settings, unproven()))


def test_without_a_schedule_nothing_is_due(settings: MetricsSettings) -> None:
    assert "next_due_timestamp_seconds" not in written(settings, clean(), next_due=None)


def test_the_anchor_of_the_audit_chain_is_published(settings: MetricsSettings) -> None:
    verdict = clean() | {"audit": {"seq": 7, "head": "ab" * 32}}
    assert written(settings, verdict)["audit_seq"] == {("ab" * 32,): 7}


def test_a_lost_textfile_is_made_anew_from_recorded_reports(settings: MetricsSettings) -> None:
    before = written(settings, report(BREAK))
    settings.textfile.unlink()
    after = written(settings, unproven(), recorded=iter([report(BREAK)]))
    assert after["breaks_total"] == before["breaks_total"]
    settings.textfile.write_text("wsb_eod_reconciliation_breaks_total{broker=", encoding="utf-8")
    assert written(settings, unproven(), recorded=iter([report(BREAK)])) == after
    settings.textfile.unlink()
    os.mkfifo(settings.textfile)
    assert written(settings, unproven(), recorded=iter([report(BREAK)])) == after


def test_no_symbol_is_a_label_and_every_label_is_declared(settings: MetricsSettings) -> None:
    written(settings, report(BREAK))
    assert "SECRET-SYMBOL" not in settings.textfile.read_text(encoding="utf-8")
    assert {label for metric in METRICS.values() for label in metric.labels} == {"broker", "account", "type", "currency", "head"}


def test_names_that_need_escaping_come_back_as_they_were(settings: MetricsSettings) -> None:
    odd = 'a "b"\\c\nd, é='
    broker = {odd: BrokerSettings(odd, "statement")}
    verdict = report(BREAK | {"broker": odd, "account": odd}, feeds=[feed(odd)])
    assert written(settings, verdict, broker)["breaks_total"][odd, odd, "QUANTITY_MISMATCH"] == 1


def test_the_textfile_is_readable_by_all_whatever_the_umask_and_replaced_as_a_whole(settings: MetricsSettings) -> None:
    before = os.umask(0o077)
    try:
        written(settings, clean())
        first = settings.textfile.stat()
        written(settings, clean())
    finally:
        os.umask(before)
    assert stat.S_IMODE(settings.textfile.stat().st_mode) == 0o644
    assert settings.textfile.stat().st_ino != first.st_ino
    assert [path.name for path in settings.textfile.parent.glob("*.prom") if not path.name.startswith(".")] == ["recon.prom"], (
        "nothing else is collected"
    )


def test_constant_labels_stand_on_every_series_of_the_textfile(tmp_path: Path) -> None:
    settings = MetricsSettings(tmp_path / "recon.prom", labels={"desk": "emea"})
    gauges = written(settings, report(BREAK))
    lines = settings.textfile.read_text(encoding="utf-8").splitlines()
    assert all('desk="emea"' in line for line in lines if not line.startswith("#"))
    assert gauges["breaks_total"]["prime", "MAIN", "QUANTITY_MISMATCH"] == 1
    assert written(settings, unproven())["breaks_total"] == gauges["breaks_total"]


def test_a_failed_run_changes_what_it_knows_and_nothing_else(tmp_path: Path) -> None:
    config = tmp_path / "recon.yaml"
    config.write_text("version: 1\nmetrics: {textfile: out/recon.prom}\nbroken: here\n", encoding="utf-8")
    settings = MetricsSettings(tmp_path / "out" / "recon.prom")
    before = written(settings, report(BREAK), halted=True)
    assert write_failed_run(config, at=DUE) == ()
    after = read_textfile(settings)
    assert after == before | {"last_run_failed": {(): 1}, "last_run_timestamp_seconds": {(): DUE.timestamp()}}
    assert write_failed_run(config, at=DUE, halted=False) == ()
    assert read_textfile(settings) == dict(after) | {"trading_halted": {(): 0}}
    assert written(settings, clean())["last_run_failed"] == {(): 0}


@pytest.mark.parametrize(
    "text", [None, "", "{", "version: 1\n", "metrics: 5\n", "metrics: {pushgateway: nowhere}\n", "- metrics\n"]
)
def test_a_failed_run_without_sound_settings_of_metrics_is_quiet(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "recon.yaml").write_text(text, encoding="utf-8")
    assert write_failed_run(tmp_path / "recon.yaml", at=DUE) == ()
    assert not list(tmp_path.rglob("*.prom"))


def test_a_halt_that_is_raised_or_lifted_by_hand_changes_one_gauge(settings: MetricsSettings) -> None:
    before = written(settings, report(BREAK))
    assert write_halted(settings, halted=True) == ()
    assert read_textfile(settings) == before | {"trading_halted": {(): 1}}


def test_the_push_of_a_verdict_replaces_the_group_and_a_failed_run_adds_to_it(tmp_path: Path) -> None:
    path = "/metrics/job/recon-core/desk/emea"
    with serving({path: Reply(status=200)}) as loopback:
        settings = MetricsSettings(tmp_path / "recon.prom", loopback.url + "/", labels={"desk": "emea"})
        written(settings, clean())
        write_halted(settings, halted=True)
    assert [(request.method, request.path) for request in loopback.requests] == [("PUT", path), ("POST", path)]


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        (Reply("pushed metrics are invalid or inconsistent", status=400), "400 Bad Request (pushed metrics are invalid"),
        (Reply(status=503), "503 Service Unavailable"),
        (Reply(status=302, headers={"Location": "http://127.0.0.1:1/"}), "302 Found"),
        (Reply(stall="before"), "no answer within 0.5 s"),
    ],
)
def test_a_gateway_that_does_not_take_them_is_a_warning_and_the_textfile_is_written(
    settings: MetricsSettings, reply: Reply, complaint: str
) -> None:
    with serving({"/metrics/job/recon-core": reply}) as loopback:
        started = time.monotonic()
        pushing = replace(settings, pushgateway=loopback.url, deadline_seconds=0.5)
        (warning,) = write_verdict(pushing, PRIME, clean(), halted=False, next_due=DUE)
        assert time.monotonic() - started < 5
    assert complaint in warning
    assert warning.startswith(f"metrics: {loopback.url} did not take them: ")
    assert warning.endswith(f"{settings.textfile} has them")
    assert "\n" not in warning
    assert read_textfile(settings)["feed_complete"] == {("prime",): 1}


def test_a_gateway_that_answers_a_letter_at_a_time_is_late_all_the_same(settings: MetricsSettings) -> None:
    def drip() -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not over.wait(0.05):
                connection.sendall(b"x")

    over = Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=drip)
        thread.start()
        try:
            pushing = replace(settings, pushgateway=f"http://127.0.0.1:{server.getsockname()[1]}", deadline_seconds=0.5)
            (warning,) = write_halted(pushing, halted=True)
        finally:
            over.set()
            thread.join()
    assert "no answer within 0.5 s" in warning


def test_a_gateway_that_is_down_is_a_warning(settings: MetricsSettings) -> None:
    with serving({}) as loopback:
        pass
    (warning,) = write_verdict(replace(settings, pushgateway=loopback.url), PRIME, clean(), halted=False, next_due=DUE)
    assert "Connection refused" in warning


def test_a_textfile_that_cannot_be_written_is_an_error_after_the_push(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where a folder is due", encoding="utf-8")
    with serving({"/metrics/job/recon-core": Reply(status=200)}) as loopback:
        settings = MetricsSettings(tmp_path / "taken" / "recon.prom", pushgateway=loopback.url)
        with pytest.raises(StateError, match=r"recon\.prom"):
            write_verdict(settings, PRIME, clean(), halted=False, next_due=DUE)
        (warning,) = write_halted(settings, halted=True)
    assert [request.method for request in loopback.requests] == ["PUT", "POST"]
    assert warning.startswith("metrics: ")


def test_metrics_cost_a_run_without_them_nothing() -> None:
    code = (
        "import sys, recon_core.actions.metrics; print([name for name in sys.modules if name.startswith(('prom', 'urllib.req'))])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_page_names_every_metric_with_its_labels() -> None:
    rows = {row[0].strip("`"): row[1] for row in table(DOCS / "metrics.md", "metric")}
    assert rows == {name: ", ".join(f"`{label}`" for label in metric.labels) for name, metric in METRICS.items()}


def test_a_run_says_when_a_broker_is_due_by_itself(tmp_path: Path) -> None:
    deployment, stamp = Deployment(tmp_path), ago(minutes=1)
    deployment.book([book_row("AAPL", "100", updated_at=stamp)])
    deployment.feed([feed_row("AAPL", "100")])
    deployment.config(
        broker="due: '07:00'", as_of=stamp, more="metrics: {}\nschedule: {due: '16:30', timezone: UTC, days: Mon-Sun}\n"
    )
    assert deployment.command("snapshot").returncode == 0
    assert deployment.run().returncode == 0
    ((broker, due),) = read_textfile(MetricsSettings(tmp_path / ".state" / "recon.prom"))["feed_next_due_timestamp_seconds"].items()
    at = datetime.fromtimestamp(due, UTC)
    assert (broker, f"{at:%H:%M}", at > datetime.now(UTC)) == (("prime",), "07:00", True)
