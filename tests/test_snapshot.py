"""A statement that comes the next morning is compared with the book as it stood at its own close."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from deployment import Deployment, assert_nothing_ugly, book_row, types

from recon_core import NoVerdictError, PositionReconciler, guard

NOW = datetime.now(UTC)
PLACE = f"Etc/GMT{NOW.hour - 12:+}"
"""A zone where it is noon now, so that no midnight falls between two runs. (`Etc/GMT+5` is five hours *behind* UTC.)"""
NOON = ZoneInfo(PLACE)
TODAY = NOW.astimezone(NOON).date()
CLOSE = datetime.combine(TODAY - timedelta(days=1), time(16), tzinfo=NOON)
YESTERDAY = f"{CLOSE:%Y-%m-%d}"
UPDATED = f"{CLOSE.astimezone(UTC) - timedelta(minutes=10):%Y-%m-%dT%H:%M:%SZ}"
MORNING = f"{NOW.astimezone(NOON):%H:%M}"
"""When the late broker is due: just now."""

CONFIG = """version: 1
book: {{file: book.csv}}
schedule: {{due: "23:59", timezone: {zone}, days: Sun-Sat}}
brokers:
  flex:
    adapter: statement
{due}
    options: {{path: flex.csv, as_of: "{as_of}", columns: {{}}}}
  prime:
    adapter: statement
    options: {{path: feed.csv, as_of: "{today}"}}
"""


def configure(deployment: Deployment, *, due: str | None = MORNING, as_of: str = CLOSE.isoformat()) -> None:
    line = f'    due: "{due}"' if due else ""
    deployment.write("recon.yaml", CONFIG.format(zone=PLACE, due=line, as_of=as_of, today=f"{NOW:%Y-%m-%dT%H:%M:%SZ}"))


def due(day: date) -> datetime:
    return datetime.combine(day, time.fromisoformat(MORNING), tzinfo=NOON).astimezone(UTC)


def flex(deployment: Deployment, **held: str) -> None:
    rows = "".join(f"MAIN,{symbol},{quantity}\n" for symbol, quantity in held.items())
    deployment.write("flex.csv", "account,symbol,quantity\n" + rows)


def book(deployment: Deployment, **held: str) -> None:
    deployment.book([book_row(symbol, quantity, broker="flex", updated_at=UPDATED) for symbol, quantity in held.items()])


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    made = Deployment(tmp_path)
    configure(made)
    book(made, MSFT="10", AAPL="5")
    flex(made, MSFT="10", AAPL="5")
    return made


def snapshot(deployment: Deployment, as_of: datetime = CLOSE) -> dict[str, Any]:
    done = deployment.command("snapshot", "--json", "--as-of", as_of.isoformat())
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.case("G03")
def test_a_late_statement_is_compared_with_the_book_of_its_own_close(deployment: Deployment) -> None:
    kept = snapshot(deployment)
    assert (kept["rows"], (deployment.folder / kept["file"]).exists()) == (2, True)
    book(deployment, MSFT="99", NVDA="7")  # traded on since
    report = deployment.report("--broker", "flex")
    assert (report["verdict"], report["feeds"][0]["status"], report["pairs"]["matched"]) == ("clean", "COMPLETE", 2)
    assert report["book"]["notes"] == [f"the snapshot of {YESTERDAY}"]
    assert report["as_of"].startswith(f"{CLOSE.astimezone(UTC):%Y-%m-%dT%H:%M}")


def test_breaks_against_the_snapshot_are_breaks(deployment: Deployment) -> None:
    snapshot(deployment)
    flex(deployment, MSFT="8", AAPL="5")
    report = deployment.report("--broker", "flex")
    assert types(report) == ["QUANTITY_MISMATCH"]
    assert report["discrepancies"][0]["book_quantity"] == "10"


def test_without_a_snapshot_nothing_is_compared(deployment: Deployment) -> None:
    done = deployment.run("--broker", "flex")
    assert_nothing_ugly(done)
    assert done.returncode == 3
    assert f"there is no snapshot of the book of {YESTERDAY}" in done.stderr


def test_a_snapshot_of_another_day_is_not_taken(deployment: Deployment) -> None:
    deployment.book([])
    snapshot(deployment, CLOSE - timedelta(days=1))
    assert deployment.run("--broker", "flex").returncode == 3


def test_the_newest_snapshot_of_a_day_is_taken(deployment: Deployment) -> None:
    book(deployment, MSFT="1")
    snapshot(deployment)
    book(deployment, MSFT="10", AAPL="5")
    snapshot(deployment)
    assert deployment.report("--broker", "flex")["verdict"] == "clean"


def test_a_snapshot_that_was_changed_is_refused(deployment: Deployment) -> None:
    kept = deployment.folder / snapshot(deployment)["file"]
    kept.write_bytes(kept.read_bytes() + b" ")
    done = deployment.run("--broker", "flex")
    assert done.returncode == 5
    assert "not the snapshot that was recorded" in done.stderr
    kept.unlink()
    assert deployment.run("--broker", "flex").returncode == 5


def test_a_broker_that_is_due_by_itself_is_left_out_of_the_others_run(deployment: Deployment) -> None:
    snapshot(deployment)
    deployment.feed([])
    report = deployment.report()
    assert [feed["broker"] for feed in report["feeds"]] == ["prime"]
    assert any("flex was not asked: it is due by itself" in warning for warning in report["warnings"])
    both = deployment.run("--broker", "flex", "--broker", "prime")
    assert both.returncode == 2
    assert "run prime apart" in both.stderr


def test_a_permit_of_a_late_broker_lasts_until_it_is_due_again(deployment: Deployment) -> None:
    snapshot(deployment)
    assert deployment.report("--broker", "flex")["verdict"] == "clean"
    found = guard(deployment.folder / "recon.yaml", broker="flex", account="MAIN")
    assert found, found.reason
    assert found.until == due(TODAY + timedelta(days=1)) + timedelta(hours=4)


@pytest.mark.parametrize("due", [MORNING, None], ids=["due", "named"])
@pytest.mark.parametrize("days", [2, 30])
@pytest.mark.case("G03")
def test_a_statement_of_an_earlier_close_is_stale_and_permits_nothing(deployment: Deployment, days: int, due: str | None) -> None:
    earlier = CLOSE - timedelta(days=days - 1)
    configure(deployment, as_of=earlier.isoformat(), due=due)
    deployment.book([book_row("MSFT", "10", broker="flex", updated_at=f"{earlier.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")])
    flex(deployment, MSFT="10")
    snapshot(deployment, earlier)
    book(deployment, MSFT="9999")
    report = deployment.report("--broker", "flex")
    feed = report["feeds"][0]
    assert (feed["status"], report["exit_code"]) == ("NOT_READY", 4)
    assert "stale, no quantity is judged" in feed["reason"]
    assert not guard(deployment.folder / "recon.yaml", broker="flex", account="MAIN")


def test_a_bare_date_is_the_day_that_it_says(deployment: Deployment) -> None:
    """As a time it would be midnight in UTC, which is the evening before in New York."""
    configure(deployment, as_of=YESTERDAY)
    book(deployment, MSFT="777")
    snapshot(deployment)
    report = deployment.report("--broker", "flex")
    assert report["book"]["notes"] == [f"the snapshot of {YESTERDAY}"]
    assert "QUANTITY_MISMATCH" in types(report)


def test_of_several_snapshots_of_a_day_the_one_nearest_to_the_statement_is_taken(deployment: Deployment) -> None:
    snapshot(deployment, CLOSE + timedelta(minutes=2))
    book(deployment, MSFT="1")
    snapshot(deployment, CLOSE + timedelta(hours=5))
    assert deployment.report("--broker", "flex")["verdict"] == "clean"


def test_a_book_with_later_rows_is_no_book_of_an_earlier_time(deployment: Deployment) -> None:
    done = deployment.command("snapshot", "--as-of", (CLOSE - timedelta(days=3)).isoformat())
    assert done.returncode == 2
    assert "it is not as it was then" in done.stderr


def test_one_who_only_looks_is_not_told_that_all_is_well_of_a_broker_that_was_not_asked(deployment: Deployment) -> None:
    deployment.feed([])
    with pytest.raises(NoVerdictError, match="flex is due by itself and was not asked"):
        PositionReconciler(deployment.folder / "recon.yaml").reconcile()
    snapshot(deployment)
    book(deployment, MSFT="99")
    assert PositionReconciler(deployment.folder / "recon.yaml", brokers=["flex"]).reconcile()["verdict"] == "clean"


def test_a_broker_that_is_asked_for_by_name_gets_the_snapshot_of_its_day_too(deployment: Deployment) -> None:
    configure(deployment, due=None)
    before = deployment.report("--broker", "flex")
    assert before["feeds"][0]["status"] == "COMPLETE"
    assert before["book"]["notes"] == []
    snapshot(deployment)
    book(deployment, MSFT="99")
    assert deployment.report("--broker", "flex")["verdict"] == "clean"


def test_a_snapshot_is_in_the_audit_chain_and_its_book_must_be_sound(deployment: Deployment) -> None:
    kept = snapshot(deployment)
    done = deployment.command("audit", "verify")
    assert done.returncode == 0, done.stderr + done.stdout
    exported = deployment.command("audit", "export").stdout
    assert kept["sha256"] in exported
    deployment.book([("flex", "MAIN", "MSFT", "ten", "1", "USD", UPDATED)])
    bad = deployment.command("snapshot")
    assert bad.returncode == 3
    assert "is not a number" in bad.stderr


def test_a_snapshot_of_the_future_is_refused(deployment: Deployment) -> None:
    done = deployment.command("snapshot", "--as-of", (NOW + timedelta(days=1)).isoformat())
    assert done.returncode == 2
    assert "still to come" in done.stderr


def test_a_due_time_without_a_schedule_is_refused(deployment: Deployment) -> None:
    config = (deployment.folder / "recon.yaml").read_text()
    deployment.write("recon.yaml", "\n".join(line for line in config.splitlines() if not line.startswith("schedule")))
    done = deployment.run()
    assert done.returncode == 2
    assert "brokers.flex.due: a broker that is due by itself needs a `schedule`" in done.stderr
