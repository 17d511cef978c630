"""Metrics for Prometheus: a textfile, replaced as a whole, and a Pushgateway. They tell of a verdict and never change one.

The textfile is also the memory of what was last known of a broker that is unproven today.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recon_core.actions.gauges import METRICS, PREFIX, Gauges, Labels, Values, after_failure, after_halt, after_verdict
from recon_core.config.load import load_metrics
from recon_core.config.settings import BrokerSettings, MetricsSettings
from recon_core.errors import ReconError, StateError
from recon_core.regular_file import read_regular
from recon_core.state.files import locked, write_atomically

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

SAID = 200
"""Characters of a gateway's own words that a warning repeats."""


def write_verdict(
    settings: MetricsSettings,
    brokers: Mapping[str, BrokerSettings],
    report: Mapping[str, Any],
    *,
    halted: bool,
    next_due: datetime | None,
    own_due: Mapping[str, datetime] | None = None,
    recorded: Iterable[Mapping[str, Any]] = (),
) -> tuple[str, ...]:
    """Set all metrics to what the report of a live run says; returns warnings, of a gateway that did not take them.

    ``halted`` is whether trading is halted anywhere now, ``next_due`` when the next verdict is due (None: no schedule),
    ``own_due`` the same by broker of those that are due by themselves.
    ``recorded`` are reports of earlier live runs, oldest first; they are looked at only where the textfile is lost.
    Raises StateError where the textfile cannot be written, after the push was tried.
    """

    def change(earlier: Gauges) -> Gauges:
        for known in recorded if "feed_complete" not in earlier else ():
            earlier = after_verdict(known, earlier, brokers, halted=halted, next_due=None, own_due={})
        return after_verdict(report, earlier, brokers, halted=halted, next_due=next_due, own_due=own_due or {})

    gauges, fault = _replace(settings, change)
    warnings = _push(settings, gauges, whole=True)
    if fault:
        raise fault
    return warnings


def write_failed_run(config: Path, *, at: datetime, halted: bool | None = None) -> tuple[str, ...]:
    """Say that a run of recon.yaml at ``config`` ended at ``at`` without a verdict; all else stays as it was.

    Works as far as the entry ``metrics`` of recon.yaml can be read, whatever is wrong with the rest. ``halted``: whether trading
    is halted now; None where the run did not come to know. Returns warnings; never raises, for what made the run fail matters more.
    """
    try:
        settings = load_metrics(config)
    except ReconError:
        return ()
    return _change(settings, after_failure(at, halted=halted)) if settings else ()


def write_halted(settings: MetricsSettings, *, halted: bool) -> tuple[str, ...]:
    """Say whether trading is halted anywhere, after a halt was raised or lifted; all else stays. Returns warnings; never raises."""
    return _change(settings, after_halt(halted))


def read_textfile(settings: MetricsSettings) -> Gauges:
    """What the textfile says; nothing where there is none, or one that cannot be read."""
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, dict[Labels, float]] = {}
    try:
        for family in text_string_to_metric_families(read_regular(settings.textfile).decode("utf-8")):
            name = family.name.removeprefix(PREFIX)
            for sample in family.samples if name in METRICS else ():
                found.setdefault(name, {})[tuple(sample.labels[label] for label in METRICS[name].labels)] = sample.value
    except (OSError, ValueError, LookupError):
        return {}
    return found


def _replace(settings: MetricsSettings, change: Callable[[Gauges], Gauges]) -> tuple[Gauges, StateError | None]:
    """Change what the textfile says; what it says then, and what went wrong where it could not be written."""
    path, gauges = settings.textfile, None
    try:
        with locked(path.with_name(f".{path.name}.lock")):
            gauges = change(read_textfile(settings))
            # not secret, and read by another user: the node exporter
            write_atomically(path, _exposed(gauges, settings.labels), mode=0o644)
    except StateError as error:
        return change(read_textfile(settings)) if gauges is None else gauges, error
    return gauges, None


def _change(settings: MetricsSettings, changed: Gauges) -> tuple[str, ...]:
    _, fault = _replace(settings, lambda earlier: {**earlier, **changed})
    warnings = _push(settings, changed, whole=False)
    return (f"metrics: {fault}", *warnings) if fault else warnings


def _exposed(gauges: Gauges, labels: Mapping[str, str]) -> bytes:
    """The gauges in Prometheus' text format, in one order, with constant ``labels`` on every series."""
    from prometheus_client.exposition import generate_latest

    return generate_latest(_Collected(gauges, labels))


class _Collected:
    """Gauges as prometheus_client collects them."""

    def __init__(self, gauges: Gauges, labels: Mapping[str, str]) -> None:
        self._gauges, self._labels = gauges, labels

    def collect(self) -> Iterable[Metric]:
        from prometheus_client.metrics_core import GaugeMetricFamily

        for name, metric in METRICS.items():
            family = GaugeMetricFamily(PREFIX + name, metric.meaning, labels=[*metric.labels, *self._labels])
            values: Values = self._gauges.get(name, {})
            for labels, value in sorted(values.items()):
                family.add_metric([*labels, *self._labels.values()], value)
            if values:
                yield family


def _push(settings: MetricsSettings, gauges: Gauges, *, whole: bool) -> tuple[str, ...]:
    """Push to the gateway, where there is one: as the ``whole`` group (PUT), or beside what it holds (POST)."""
    if settings.pushgateway is None:
        return ()
    from queue import Empty, SimpleQueue
    from threading import Thread

    answered: SimpleQueue[str] = SimpleQueue()
    # a timeout of the connection is no deadline: a gateway may drip. The thread ends with the process.
    Thread(target=lambda: answered.put(_pushed(settings, gauges, whole=whole)), daemon=True).start()
    try:
        complaint = answered.get(timeout=settings.deadline_seconds)
    except Empty:
        complaint = _late(settings)
    if not complaint:
        return ()
    return (f"metrics: {settings.pushgateway} did not take them: {complaint}; {settings.textfile} has them",)


def _pushed(settings: MetricsSettings, gauges: Gauges, *, whole: bool) -> str:
    """Push, and wait for the answer; what went wrong, empty where nothing did."""
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError

    from prometheus_client import push_to_gateway, pushadd_to_gateway

    send = push_to_gateway if whole else pushadd_to_gateway
    group = dict(settings.labels)
    try:
        send(str(settings.pushgateway), settings.job, _Collected(gauges, {}), group, timeout=settings.deadline_seconds)
    except HTTPError as error:
        said = "".join(sign if sign.isprintable() else " " for sign in error.read(SAID).decode("utf-8", "replace")).strip()
        return f"{error.code} {error.reason}" + (f" ({said})" if said else "")
    except TimeoutError:
        return _late(settings)
    except URLError as error:
        late = isinstance(error.reason, TimeoutError)
        return _late(settings) if late else str(getattr(error.reason, "strerror", None) or error.reason)
    except (OSError, ValueError, HTTPException) as error:
        return str(error) or type(error).__name__
    return ""


def _late(settings: MetricsSettings) -> str:
    return f"no answer within {settings.deadline_seconds:g} s"
