"""The kernel on Spark: the same answers as in this process, nothing lost or counted twice, and no other plugins than the run's.

All in one session on two threads of this machine, in which a task is tried again as on a cluster.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
import pytest
from deployment import Deployment, book_row, feed_row
from oracle import opinion
from oracle_kernel import kernel
from spark_cases import jobs

from recon_core.config.load import Configuration, load_configuration
from recon_core.config.settings import LimitSettings, SparkSettings
from recon_core.engine import connect
from recon_core.errors import EngineError, PluginError
from recon_core.host import Host, load_host
from recon_core.kernel import HERE, Kernel
from recon_core.recall import Known
from recon_core.reconcile import Request, reconcile
from recon_core.report.build import build
from recon_core.spark.bucket import Runtime, Task, judge
from recon_core.spark.kernel import spark_kernel
from recon_core.spark.session import session

pytestmark = [pytest.mark.xdist_group("spark"), pytest.mark.slow]
QUICKLY_BEGUN = {
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.sql.codegen.wholeStage": "false",
}
HERE_TWICE = SparkSettings("local[2,4]", QUICKLY_BEGUN, positions_per_bucket=40)
"""Two threads, and a task may fail three times. So few positions a bucket that there are several."""
NOW = datetime(2026, 11, 20, 22, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def running() -> Iterator[None]:
    """The one session of these tests, which every kernel finds there."""
    if shutil.which("java") is None:
        pytest.skip("there is no Java (make services)")
    with session(HERE_TWICE):
        yield


@pytest.fixture
def made(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


def plain(configuration: Configuration[Host]) -> Runtime:
    return Runtime.of(configuration.host.plugins, configuration.settings.drop_ins, configuration.settings.disabled)


def told(made: Deployment, settings: SparkSettings | None = None, then: Callable[[], None] = lambda: None) -> Mapping[str, Any]:
    """The report of the deployment; pairs judged here, or with ``settings`` on Spark. ``then`` happens once plugins are loaded."""
    configuration = load_configuration(made.folder / "recon.yaml", load_host)
    then()

    def judged(by: Kernel) -> Mapping[str, Any]:
        with connect() as connection:
            verdict = reconcile(connection, configuration, Request(), clock=lambda: NOW, known=Known(), output=None, kernel=by)
            return build(verdict, run={"run_id": "look", "started_at": NOW}, finished_at=NOW)

    if settings is None:
        return judged(HERE)
    with spark_kernel(settings, configuration.settings.limits, plain(configuration)) as by:
        return judged(by)


def parquet(made: Deployment, *names: str) -> None:
    """The CSV files of these names again as Parquet, typed."""
    figures = {
        "quantity": "DECIMAL(18,6)",
        "avg_price": "DECIMAL(18,6)",
        "market_price": "DECIMAL(18,6)",
        "updated_at": "TIMESTAMPTZ",
    }
    with duckdb.connect() as connection:
        for name in names:
            csv = f"read_csv('{made.folder / name}.csv', all_varchar = true)"
            header = [row[0] for row in connection.execute(f"DESCRIBE FROM {csv}").fetchall()]
            chosen = ", ".join(f"CAST({column} AS {figures.get(column, 'VARCHAR')}) AS {column}" for column in header)
            connection.execute(f"COPY (SELECT {chosen} FROM {csv}) TO '{made.folder / name}.parquet' (FORMAT parquet)")


# --- the same answers


def test_spark_this_process_and_the_oracle_say_the_same(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Of 40 random small cases, or with ``--faults`` of 1,000, under as many random policies as jobs."""
    count, size = (20, 50) if request.config.getoption("--faults") else (1, 40)
    runtime = Runtime.of(load_host().plugins, None, ())
    with connect() as connection, spark_kernel(HERE_TWICE, LimitSettings(), runtime) as by:
        for number, case in enumerate(jobs(7, count, size)):
            expected = opinion(case)
            assert expected.findings
            folder = tmp_path / str(number)
            folder.mkdir()
            assert kernel(connection, case) == expected
            assert kernel(connection, case, judge=by, folder=folder) == expected


POLICY = """
version: 1
base_currency: USD
rules:
  MISSING_AT_BROKER: {severity: critical, halt: always}
  MISSING_IN_DB: {severity: critical, halt: always}
  QUANTITY_MISMATCH: {severity: high, halt: {above_pct: 10}, tolerance: 0}
  PRICE_MISMATCH: {severity: warning, halt: never, tolerance_pct: 1, undetermined: break}
  STALE_POSITION: {severity: info, halt: never, older_than_hours: 24}
  CURRENCY_MISMATCH: {}
  UNIT_MISMATCH: {}
  UNMAPPED_SYMBOL: {}
  CROWDED: {halt: never}
escalation:
  financial-impact: {when: total_impact > 1000, then: halt}
overrides:
  - {match: {account: "PAPER-*"}, rules: {QUANTITY_MISMATCH: {halt: never, counts: false}}}
suppress:
  - {match: {symbol: DUST}, max_impact: 50, until: 2027-12-31, reason: dust, approved_by: risk}
"""
CROWDED = '''
select = """
WITH counted AS (SELECT *, count(*) OVER (PARTITION BY broker, account) AS held FROM pairs)
SELECT broker, account, symbol, leg, held FROM counted WHERE held > 4"""
detail = "one of {held} in {account}"
impact = "abs(book_quantity) * unit_value"
'''
CONFIG = """
version: 1
plugins: {drop_ins: drop_ins}
book: {file: %s}
brokers:
  prime:
    adapter: statement
    accounts: {U1: MAIN}
    expect_accounts: [MAIN, SILENT]
    options: {path: %s, as_of: "2026-11-20T21:00:00Z"}
  second:
    adapter: statement
    legs: net
    options: {path: second.csv, lots: true, as_of: "2026-11-20T21:00:00Z"}
"""


def drop_in(made: Deployment, body: str) -> None:
    """The rule CROWDED as a drop-in, which looks at all pairs of an account."""
    folder = made.folder / "drop_ins" / "rules"
    folder.mkdir(parents=True)
    text = "".join(f"    {line}\n" for line in CROWDED.strip().splitlines())
    (folder / "crowded.py").write_text(
        f'''"""A rule of the tests."""\nfrom recon_core import Rule, hookimpl\n{body}\n\nclass Crowded(Rule):
    """Many positions."""
    type = "CROWDED"
    title = "Many positions"
    severity = "info"
    halt = "never"
{text}

@hookimpl
def recon_register_rules():
    return [Crowded]
''',
        encoding="utf-8",
    )


@pytest.fixture
def various(made: Deployment) -> Deployment:
    """Every kind of break in several accounts of two brokers: padded names, other names, lots, one account without an answer."""
    drop_in(made, "")
    made.policy(POLICY)
    book = [book_row(f"S{number}", str(100 + number), account=f"A{number % 9}") for number in range(60)]
    feed = [feed_row(f"S{number}", str(100 + number + (number % 7 == 0)), account=f"A{number % 9}") for number in range(60)]
    book += [book_row("BRK.B", "5"), book_row("GONE", "7"), book_row("DUST", "1"), book_row("VOD", "3", currency="GBX")]
    feed += [feed_row("BRK/B", "5", account="U1"), feed_row("NEW", "2", account="U1"), feed_row("DUST", "1.5", account="U1")]
    feed += [feed_row("VOD", "300", account=" U1 ", currency="GBP"), feed_row("OTHER", "30", account="PAPER-1")]
    book += [book_row("OTHER", "3", account="PAPER-1"), book_row("LOST", "9", account="SILENT")]
    book += [book_row("ES", "4", broker="second"), book_row("NQ", "4", broker="second", updated_at="2026-11-18T20:00:00Z")]
    made.book(book)
    made.feed(feed)
    made.feed([feed_row("ES", "1"), feed_row("ES", "3", "11"), feed_row("NQ", "5")], "second.csv")
    return made


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_the_report_is_the_same_to_the_byte(various: Deployment, form: str) -> None:
    """Of Parquet, which the cluster reads itself, and of text, which it is given a copy of."""
    parquet(various, "book", "feed")
    various.write("recon.yaml", CONFIG % (f"book.{form}", f"feed.{form}"))
    expected, found = told(various), told(various, HERE_TWICE)
    assert {entry["type"] for entry in expected["discrepancies"]} >= {
        "CROWDED",
        "CURRENCY_MISMATCH",
        "MISSING_IN_DB",
        "STALE_POSITION",
    }
    assert [feed["status"] for feed in expected["feeds"]] == ["PARTIAL", "COMPLETE"]
    assert any("BRK/B is BRK.B" in note for note in expected["feeds"][0]["notes"])
    assert json.dumps(found, default=str) == json.dumps(expected, default=str)


def test_a_key_that_repeats_makes_the_feed_fail_on_a_cluster_too(various: Deployment) -> None:
    various.feed([feed_row("S1", "101", account="A1"), feed_row("S1", "101", account="A1")])
    parquet(various, "book", "feed")
    various.write("recon.yaml", CONFIG % ("book.parquet", "feed.parquet"))
    expected, found = told(various), told(various, HERE_TWICE)
    assert "2 rows of one position" in expected["feeds"][0]["reason"]
    assert json.dumps(found, default=str) == json.dumps(expected, default=str)


# --- what may go wrong


def test_a_worker_that_is_killed_in_the_middle_loses_and_doubles_nothing(various: Deployment) -> None:
    armed = various.folder / "armed"
    shutil.rmtree(various.folder / "drop_ins")
    drop_in(
        various,
        f"import os, pathlib, signal\narmed = pathlib.Path({str(armed)!r})\nif armed.exists():\n    armed.unlink()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n",
    )
    parquet(various, "book", "feed")
    various.write("recon.yaml", CONFIG % ("book.parquet", "feed.parquet"))
    expected = told(various)
    found = told(various, HERE_TWICE, then=armed.touch)
    assert not armed.exists()
    assert json.dumps(found, default=str) == json.dumps(expected, default=str)


def test_a_worker_with_other_plugins_refuses(various: Deployment) -> None:
    parquet(various, "book", "feed")
    various.write("recon.yaml", CONFIG % ("book.parquet", "feed.parquet"))
    rule = various.folder / "drop_ins" / "rules" / "crowded.py"

    def change() -> None:
        rule.write_text(rule.read_text() + "# something else\n")

    with pytest.raises(
        PluginError, match=r"a Spark worker on .* has other plugins than the run: rule-crowded; nothing was compared"
    ):
        told(various, HERE_TWICE, then=change)


def test_a_worker_with_another_core_refuses() -> None:
    runtime = Runtime((), None, (), core="of another checkout")
    task = Task("1", runtime, *[None] * 3, (), {}, summed=False, by_hash=False)  # refused before anything else of it is looked at
    (told,) = judge(task, None, pyarrow.table({}), pyarrow.table({})).to_pylist()
    assert json.loads(told["counts"])["trouble"][0] == "EngineError"
    assert "has another recon-core than the run" in told["counts"]


def test_what_the_cluster_cannot_read_needs_a_folder_that_it_can(various: Deployment) -> None:
    various.write("recon.yaml", CONFIG % ("book.csv", "feed.csv"))
    away = replace(HERE_TWICE, master="spark://127.0.0.1:7077")
    with pytest.raises(EngineError, match=r"the book is no Parquet file that the cluster could read: name under `spark: \{folder"):
        told(various, away)


def test_rows_that_do_not_come_back_are_no_answer(various: Deployment, tmp_path: Path) -> None:
    parquet(various, "book", "feed")
    various.write("recon.yaml", CONFIG % ("book.parquet", "feed.parquet"))
    configuration = load_configuration(various.folder / "recon.yaml", load_host)
    found = []

    class Replaced:
        """Judges the second book that it finds in the place of the first."""

        def __init__(self, by: Kernel) -> None:
            self._by = by

        def scan(self, *arguments: Any, **named: Any) -> Any:
            various.book([book_row("S1", "101")])
            parquet(various, "book")
            found.append(True)
            return self._by.scan(*arguments, **named)

    with (
        connect() as connection,
        spark_kernel(HERE_TWICE, LimitSettings(), plain(configuration)) as by,
        pytest.raises(EngineError, match=r"the cluster judged 1 rows of the book, and there are 68: nothing was decided"),
    ):
        reconcile(connection, configuration, Request(), clock=lambda: NOW, known=Known(), output=None, kernel=Replaced(by))
    assert found
