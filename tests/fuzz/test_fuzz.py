"""Whatever bytes a parser is given, it raises nothing but the errors of recon_core.errors.

In CI libFuzzer tries 20,000 inputs of each parser, and fewer of those that take milliseconds; ``make fuzz`` tries a million. A test
that fails shows the input; it becomes a test of the parser.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest
from run import Campaigns
from services import NO_RIGHTS
from targets import TARGETS

RUNS = 20_000
SEED = 1


@pytest.fixture(scope="module")  # what is fuzzed is instrumented once
def campaigns() -> Iterator[Campaigns]:
    with Campaigns() as found:
        yield found


@pytest.mark.skipif(find_spec("atheris") is None, reason=f"{NO_RIGHTS}atheris has no build for this Python")
@pytest.mark.parametrize("name", TARGETS)
def test_no_bytes_raise_what_is_not_foreseen(campaigns: Campaigns, name: str) -> None:
    runs = RUNS // TARGETS[name].slow
    outcome = campaigns.fuzz(name, runs, SEED)
    assert not outcome.crash, outcome.crash
    assert outcome.executions >= runs


@pytest.mark.parametrize("name", TARGETS)
def test_what_fuzzing_begins_with_is_read(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert any(TARGETS[name].read(seed) is not None for seed in TARGETS[name].seeds())
