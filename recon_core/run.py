"""One run, from what it is asked to what it leaves behind: reconcile, stop, record, permit. Nothing else orders these steps."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recon_core import log
from recon_core.config.credentials import store_url
from recon_core.config.load import Configuration, load_configuration
from recon_core.config.settings import Settings
from recon_core.enforcement import failure_told, permit_and_tell, say, say_standing, say_withheld, stop, suspend, though_stopped
from recon_core.errors import ConfigError, NoVerdictError
from recon_core.host import Host, load_host
from recon_core.interruption import deferred
from recon_core.kernel import HERE, Kernel
from recon_core.recall import Known, agreed_by, kept_snapshots, recall
from recon_core.recheck import settled
from recon_core.reconcile import Clock, Engine, Progress, Request, nobody, silent
from recon_core.record import commit, though_recorded, write_out
from recon_core.report.build import build
from recon_core.report.events import log_report
from recon_core.state.actor import current_actor
from recon_core.state.lock import hold
from recon_core.state.store import run_lock


def _now() -> datetime:
    return datetime.now(UTC)


def run(
    request: Request,
    *,
    output: Path | None = None,
    clock: Clock = _now,
    progress: Progress = silent,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Reconcile, decide, and record: the report as ``--json`` prints it.

    Files go to ``output``, by default a folder of the run in the state directory. Raises ReconError where there is no
    verdict at all; then every earlier file is as it was.
    """
    started_at, chosen = clock(), request.as_of is not None or request.policy is not None
    with failure_told(request.config, started_at, chosen=chosen):
        return _run(request, started_at, output=output, clock=clock, progress=progress, sleep=sleep, chosen=chosen)


def _run(
    request: Request,
    started_at: datetime,
    *,
    output: Path | None,
    clock: Clock,
    progress: Progress,
    sleep: Callable[[float], None],
    chosen: bool,
) -> dict[str, Any]:
    """``chosen``: a person chose the run's time or policy, so that it permits nothing and is no measure of how things stand."""
    about = {"run_id": f"{started_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}", "started_at": started_at}
    log.bind(run_id=about["run_id"])
    log.info("run started", config=str(request.config))
    configuration = load_configuration(request.config, load_host, policy=request.policy, today=started_at.date())
    settings = configuration.settings
    folder = output or settings.state_dir / "runs" / str(about["run_id"])
    store_lock = run_lock(store_url(settings.store, settings.folder))
    with hold(settings.state_dir, started_at, store_lock), ExitStack() as stack:
        kernel = stack.enter_context(_kernel(configuration, request.engine))
        configuration.host.notify("recon_run_started", run=about | {"config": str(request.config)})
        known = recall(settings)
        doubts = _settled(settings, clock) if known.begun else []
        connection, verdict = stack.enter_context(
            settled(
                configuration,
                request,
                clock=clock,
                progress=progress,
                known=known,
                output=folder.absolute(),
                sleep=sleep,
                suspend=lambda brokers: None if chosen else suspend(settings, brokers),
                kernel=kernel,
            )
        )
        run_id = str(about["run_id"])
        with deferred():
            stopped = stop(verdict, settings, configuration.host, run_id=run_id, now=clock())
            with though_stopped(stopped, verdict):
                report = build(verdict, run=about, finished_at=clock())
                report["warnings"] += doubts
                say(report, stopped)
                say_standing(settings, report)
                if not chosen:
                    say_withheld(verdict, settings, report, started_at=started_at, now=clock())
                configuration.host.notify("recon_decision_made", report=report)
                progress("writing")
                recorded = commit(connection, settings, verdict, report, known, asked=chosen, now=clock(), folder=folder)
            write_out(connection, settings, verdict, report, recorded, folder)
            with though_recorded(run_id):
                permit_and_tell(verdict, settings, report, recorded.head, started_at=started_at, now=clock(), chosen=chosen)
        configuration.host.notify("recon_run_finished", report=report)
    log_report(report)
    return report


def _kernel(configuration: Configuration[Host], engine: Engine) -> AbstractContextManager[Kernel]:
    """What judges the pairs. Raises ConfigError where recon.yaml names no cluster for it."""
    if engine == "duckdb":
        return nullcontext(HERE)
    settings = configuration.settings
    if settings.spark is None:
        raise ConfigError(f"--engine spark: {settings.path} does not say where the cluster is (spark: {{master: ...}})")
    from recon_core.spark.bucket import Runtime
    from recon_core.spark.kernel import spark_kernel

    return spark_kernel(
        settings.spark, settings.limits, Runtime.of(configuration.host.plugins, settings.drop_ins, settings.disabled)
    )


def _settled(settings: Settings, clock: Clock) -> list[str]:
    """What is to be said of corrections that an earlier process began and did not live to record, before the book is read."""
    from recon_core.applying import settle

    said = settle(settings, current_actor(), clock=clock)
    for sentence in said:
        log.warning(sentence)
    return said


class PositionReconciler:
    """The runbook's way in, for a program that only wants to look: no state, no files, no halt.

    ``PositionReconciler().reconcile()`` reads ``recon.yaml`` of the working directory (or ``config``).
    """

    def __init__(
        self,
        config: str | Path = "recon.yaml",
        *,
        policy: str | Path | None = None,
        as_of: datetime | None = None,
        brokers: Sequence[str] = (),
    ) -> None:
        self._request = Request(Path(config), Path(policy) if policy is not None else None, as_of, tuple(brokers))

    def reconcile(self) -> dict[str, Any]:
        """The report, as ``recon-core run --json`` prints it: ``report["discrepancies"]``, ``report["break_count"]``, ...

        Raises NoVerdictError where a feed is unproven: "0 breaks" is never returned for a broker that was not read.
        Raises another ReconError where the configuration, a plugin or the book cannot be used.
        """
        started_at = _now()
        configuration = load_configuration(self._request.config, load_host, policy=self._request.policy, today=started_at.date())
        settings = configuration.settings
        with settled(
            configuration,
            self._request,
            clock=_now,
            known=Known(snapshots=kept_snapshots(settings), agreed=agreed_by(settings)),
            output=None,
            sleep=time.sleep,
            suspend=nobody,
        ) as (_, verdict):
            pass
        asked = {feed.alias for feed in verdict.feeds}
        late = [] if self._request.brokers else [alias for alias in settings.brokers if alias not in asked]
        unproven = [f"feed {feed.alias} is {feed.status}: {feed.reason}" for feed in verdict.feeds if not feed.proven]
        unproven += [f"{alias} is due by itself and was not asked (name it in `brokers`)" for alias in late]
        if unproven:
            raise NoVerdictError("no verdict: " + "; ".join(unproven))
        return build(verdict, run={"run_id": "look", "started_at": started_at}, finished_at=_now())
