"""The plugin contract: the hooks that a plugin may implement. pluggy registers, the engine calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pluggy

from recon_core.brokers import Broker
from recon_core.halts import HaltAction
from recon_core.rules import Rule

hookspec = pluggy.HookspecMarker("recon_core")
hookimpl = pluggy.HookimplMarker("recon_core")


@hookspec
def recon_register_brokers() -> list[type[Broker]]:  # type: ignore[empty-body]  # a specification has no body
    """Return the Broker classes that this plugin adds."""


@hookspec
def recon_register_rules() -> list[type[Rule]]:  # type: ignore[empty-body]  # a specification has no body
    """Return the Rule classes that this plugin adds."""


@hookspec
def recon_register_halt_actions() -> list[type[HaltAction]]:  # type: ignore[empty-body]  # a specification has no body
    """Return the HaltAction classes that this plugin adds."""


@hookspec
def recon_run_started(run: Mapping[str, Any]) -> None:
    """A run begins: ``run_id``, ``started_at`` and ``config``. Observes; an exception is logged and changes nothing."""


@hookspec
def recon_decision_made(report: Mapping[str, Any]) -> None:
    """The decision is made and, where it halts, trading is stopped; nothing is recorded yet. The report as ``--json`` prints it.

    Observes only.
    """


@hookspec
def recon_run_finished(report: Mapping[str, Any]) -> None:
    """The run's files are written: the report as ``--json`` prints it. Observes only."""
