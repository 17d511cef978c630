"""What plugin authors test with.

A rule's behaviour is a YAML file of cases, each a handful of positions on both sides and the breaks that must come of them.
The built-in rules are tested by exactly this. In a plugin's own tests (pytest is not needed, only usual)::

    from pathlib import Path

    import pytest
    from recon_core.host import load_host
    from recon_core.testing import check_rule_case, load_rule_cases

    CASES = load_rule_cases(Path(__file__).parent / "CONCENTRATION_LIMIT.yaml")


    @pytest.mark.parametrize("case", CASES, ids=str)
    def test_concentration_limit(case):
        check_rule_case(case, load_host().rules.values())

What stands in the file is told by ``load_rule_cases``.

A broker adapter is tried against a recording of its own broker's answers: undistorted, under every fault of a server on loopback
(``recon_core.testing.faults``), and as hostile feeds::

    def test_conformance():
        found = broker_conformance(Depot, Path(__file__).parent / "recording")
        assert found.ok, found.report()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recon_core.testing.case_files import RuleCase, load_rule_cases
    from recon_core.testing.conformance import Conformance, broker_conformance
    from recon_core.testing.fault import Fault
    from recon_core.testing.fault_server import Exchange, FaultServer
    from recon_core.testing.rule_cases import check_rule_case
    from recon_core.testing.trials import Trial

_HOME = {
    "Conformance": "conformance",
    "Exchange": "fault_server",
    "Fault": "fault",
    "FaultServer": "fault_server",
    "RuleCase": "case_files",
    "Trial": "trials",
    "broker_conformance": "conformance",
    "check_rule_case": "rule_cases",
    "load_rule_cases": "case_files",
}

__all__ = [
    "Conformance",
    "Exchange",
    "Fault",
    "FaultServer",
    "RuleCase",
    "Trial",
    "broker_conformance",
    "check_rule_case",
    "load_rule_cases",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'recon_core.testing' has no attribute {name!r}")
    value = getattr(import_module(f"recon_core.testing.{_HOME[name]}"), name)
    globals()[name] = value
    return value
