"""Faults at every step, or at a sample of them; each test says how many it tried, at the end of the session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest

pytest.register_assert_rewrite("scenes", "correcting")

SAMPLE = 3
"""How many faults of each kind are tried where not all are."""

_Thing = TypeVar("_Thing")


def pytest_generate_tests(metafunc):
    if "scene" in metafunc.fixturenames:
        from correcting import CORRECTING
        from scenes import SAMPLED, SCENES

        scenes = SCENES | CORRECTING
        sample = [*SAMPLED, *CORRECTING] if metafunc.module.__name__ == "test_kill" else SAMPLED
        names = list(scenes) if metafunc.config.getoption("--faults") else sample
        metafunc.parametrize("scene", [scenes[name] for name in names], ids=names)


@pytest.fixture
def picked(request) -> Callable[..., list[_Thing]]:
    """Of many faults those to try: all with ``--faults``, else a few, evenly spread, the first and the last among them."""

    def pick(things: Sequence[_Thing], sample: int = SAMPLE) -> list[_Thing]:
        if request.config.getoption("--faults") or len(things) <= sample:
            return list(things)
        return [things[round(place * (len(things) - 1) / (sample - 1))] for place in range(sample)]

    return pick


@pytest.fixture
def whole(request) -> bool:
    """Whether every fault is to be tried."""
    return bool(request.config.getoption("--faults"))


@pytest.fixture
def tell(request, record_property) -> Callable[[str], None]:
    """Say what was tried, at the end of the session; a worker process hands it over as a property of the test."""

    def say(text: str) -> None:
        record_property("faults", f"{request.node.name}: {text}")

    return say


def pytest_terminal_summary(terminalreporter):
    said = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == "faults" and report.when == "call"
    ]
    for report in terminalreporter.stats.get("skipped", ()):
        if "faults/" in report.nodeid:
            said.append(f"{report.nodeid.rpartition('::')[2]}: {report.longrepr[2]}")
    for line in sorted(said):
        terminalreporter.write_line(line)
