"""Tests of the plugins as a user has them: through the host, from their installed distribution."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from recon_core import Ask, FeedStatus, IncompleteError, MalformedError, NotReadyError
from recon_core.host import load_host
from recon_core.testing import check_rule_case, load_rule_cases

GOOD = "HDR|ACME-PRIME|2026-11-20T21:00:00Z\nPOS|A-77|AAPL|100|189.34|USD\nPOS|A-77|TSLA|25-|240.5|USD\nTRL|2\n"


@pytest.fixture(scope="session")
def host():
    return load_host()


@pytest.fixture
def read(host, tmp_path):
    def read(content):
        if content is not None:
            (tmp_path / "positions.txt").write_text(content)
        adapter = host.brokers["acme-prime"](
            "prime",
            settings={"path": "positions.txt"},
            secret=lambda name: "",
            folder=tmp_path,
            clock=lambda: datetime(2026, 11, 20, 22, tzinfo=UTC),
        )
        return adapter.positions(Ask())

    return read


def test_plugins_are_installed_from_this_distribution(host):
    assert host.plugin_of("acme-prime").origin.startswith("distribution recon-core-acme ")
    assert host.plugin_of("CONCENTRATION_LIMIT").origin.startswith("distribution recon-core-acme ")


@pytest.mark.parametrize("case", load_rule_cases(Path(__file__).parent / "CONCENTRATION_LIMIT.yaml"), ids=str)
def test_concentration_limit(host, case):
    check_rule_case(case, host.rules.values())


def test_file_with_its_trailer_is_complete(read):
    feed = read(GOOD)
    assert feed.status is FeedStatus.COMPLETE
    assert feed.as_of == datetime(2026, 11, 20, 21, tzinfo=UTC)
    assert [(each.account, each.symbol, each.quantity, each.avg_price) for each in feed.positions] == [
        ("A-77", "AAPL", Decimal(100), Decimal("189.34")),
        ("A-77", "TSLA", Decimal(-25), Decimal("240.5")),
    ]


def test_file_without_trailer_proves_no_absence(read):
    feed = read(GOOD.replace("TRL|2\n", ""))
    assert feed.status is FeedStatus.PARTIAL
    assert "no trailer" in feed.reason
    assert len(feed.positions) == 2


def test_trailer_that_counts_otherwise_is_incomplete(read):
    with pytest.raises(IncompleteError, match=r"TRL\|3 does not count the 2 positions"):
        read(GOOD.replace("TRL|2", "TRL|3"))


def test_absent_file_is_not_ready(read):
    with pytest.raises(NotReadyError, match="not there yet"):
        read(None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("HDR|ACME-PRIME", "HDR|OTHER", "line 1: not the header"),
        ("21:00:00Z", "21:00:00", "has no time zone"),
        ("2026-11-20T21:00:00Z", "yesterday", "'yesterday' is not a time"),
        ("|100|", "|1e2|", "line 2: '1e2' is not a number"),
        ("|100|", "||", "line 2: '' is not a number"),
        ("|25-|", "|NaN|", "line 3: 'NaN' is not a number"),
        ("|AAPL|", "||", "line 2: a position needs"),
        ("|USD\nPOS", "\nPOS", "line 2: .* is not POS and five fields"),
        ("AAPL", "AÄPL", "byte 46 is not ASCII"),
    ],
)
def test_content_that_cannot_be_believed_is_refused(read, old, new, message):
    with pytest.raises(MalformedError, match=message):
        read(GOOD.replace(old, new, 1))
