"""The conformance kit that recon-core ships, on recordings of three exchanges: no fault and no hostile feed is believed."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from memory_of_faults import RESET, peaks

from recon_core.cli import main
from recon_core.testing import broker_conformance

RECORDINGS = Path(__file__).parent / "recordings"
DEADLINE = 0.75


@pytest.mark.parametrize(
    ("exchange", "special"),
    [
        (
            "kraken",
            {"A06 emptied lists", 'B09 "1e3" at result.XXBT.balance of answer 3', "closed at POST /0/private/BalanceEx (3)"},
        ),
        ("binance", {"A06 emptied lists", "E01 doubled row", "empty-list at GET /fapi/v3/positionRisk (2)"}),
        (
            "bybit",
            {"A08 last page missing", "page-repeated at GET /v5/position/list (4)", "page-refused at GET /v5/position/list (4)"},
        ),
    ],
)
def test_no_fault_and_no_hostile_feed_of_an_exchange_is_believed(host, exchange, special):
    found = broker_conformance(host.brokers["ccxt"], RECORDINGS / exchange, deadline_seconds=DEADLINE)
    assert found.ok, found.report()
    passed = {trial.name for trial in found.trials if trial.outcome == "passed"}
    assert len(passed) > 110
    assert special | {"tls-good", "tls-wrong-host", "G03 older Date header", "nothing secret printed"} <= passed


@pytest.mark.unhurried
def test_recording_is_verified_by_the_command_where_the_exchange_paces_the_questions(host):
    arguments = ["plugins", "verify", "ccxt", "--recording", str(RECORDINGS / "binance"), "--only", "html at GET /fapi/v3"]
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, done.output) == (0, "ccxt: 5 passed, 0 failed, 0 not applicable\n")


@pytest.mark.skipif(not RESET.exists(), reason="the peak of memory is read from /proc")
def test_what_is_made_to_take_memory_takes_less_than_100_mb(host):
    found = {what: (grown, said) for _, what, grown, said in peaks(RECORDINGS / "kraken")}
    assert {"endless-body", "endless-headers", "gzip-bomb", "nested-without-end"} == set(found)
    assert all(grown < 100 for grown, _ in found.values()), found
    assert found["endless-body"][0] > 50
    assert "larger than the limit of 67108864 bytes" in found["endless-body"][1]
