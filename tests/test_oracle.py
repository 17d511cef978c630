"""The engine against the oracle, and the catalogue's cases that both must get right."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import HealthCheck, given, seed, settings
from oracle import Inputs, opinion
from oracle_kernel import kernel
from oracle_samples import BROKERS, inputs

from recon_core.engine import connect


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as opened:
        opened.execute("SET threads = 1")
        yield opened


def agree(connection: duckdb.DuckDBPyConnection, number: int, brokers: tuple[str, ...], runs: int) -> None:
    """Assert that engine and oracle say the same of ``runs`` random inputs, the same ones on every machine."""

    @seed(number)
    @settings(max_examples=runs, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(inputs(brokers))
    def same(case: Inputs) -> None:
        assert kernel(connection, case) == opinion(case)

    same()


@pytest.mark.parametrize("part", range(2))
def test_the_engine_agrees_with_the_oracle_on_one_broker(connection, part):
    agree(connection, part, BROKERS[:1], 100)


@pytest.mark.parametrize("part", range(4))
def test_the_engine_agrees_with_the_oracle_on_six_brokers(connection, part):
    agree(connection, part, BROKERS, 75)
