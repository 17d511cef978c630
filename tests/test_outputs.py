"""What a run prints and writes: all of its files or none, and a stdout that holds the report alone."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deployment import COMMAND, Deployment, assert_nothing_ugly, book_row, feed_row

from recon_core.config.load import load_configuration
from recon_core.engine import connect
from recon_core.errors import StateError
from recon_core.host import load_host
from recon_core.recall import recall
from recon_core.reconcile import Request, reconcile
from recon_core.record import commit, write_out
from recon_core.report.build import build

OUTPUTS = ["breaks.parquet", "report.html", "report.json"]


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    made = Deployment(tmp_path)
    made.book([book_row("AAPL", "100")])
    made.feed([feed_row("AAPL", "100")])
    return made


@pytest.mark.parametrize("blocked", OUTPUTS)
def test_where_one_file_cannot_be_written_every_earlier_one_stays(deployment: Deployment, blocked: str) -> None:
    assert deployment.run("--output", "out").returncode == 0
    out = deployment.folder / "out"
    (out / blocked).unlink()
    (out / blocked).mkdir()
    earlier = {path: path.read_bytes() for path in out.iterdir() if path.is_file()}
    deployment.feed([feed_row("AAPL", "99")])
    done = deployment.run("--output", "out")
    assert done.returncode == 5
    assert f"out/{blocked}: cannot be written: Is a directory" in done.stderr
    assert sorted(path.name for path in out.iterdir()) == OUTPUTS
    assert {path: path.read_bytes() for path in earlier} == earlier


def test_a_run_that_cannot_be_written_leaves_no_folder_of_its_own(deployment: Deployment) -> None:
    limited = f"ulimit -f 8; exec {COMMAND} run"  # no file of more than 8 blocks, as on a full disk
    done = subprocess.run(["sh", "-c", limited], cwd=deployment.folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 5
    assert "recon.sqlite: cannot be" in done.stderr
    assert not (deployment.folder / ".state" / "runs").exists()


def test_a_run_whose_files_cannot_be_written_says_that_it_is_recorded(deployment: Deployment) -> None:
    (deployment.folder / "out").write_text("a file where a folder is due", encoding="utf-8")
    done = deployment.run("--output", "out/of/place")
    assert done.returncode == 5
    found = re.search(r"run (\S+) is recorded: `recon-core report \S+` prints it", done.stderr)
    assert found, done.stderr
    printed = deployment.command("report", found[1], "--json")
    assert json.loads(printed.stdout)["run_id"] == found[1]


def test_an_engine_that_gives_out_after_the_record_says_that_the_run_is_recorded(deployment: Deployment) -> None:
    now, folder = datetime.now(UTC), deployment.folder / "out"
    configuration = load_configuration(deployment.folder / "recon.yaml", load_host, policy=None, today=now.date())
    settings, known = configuration.settings, recall(configuration.settings)
    request = Request(deployment.folder / "recon.yaml")
    with connect() as connection:
        verdict = reconcile(connection, configuration, request, clock=lambda: now, known=known, output=folder)
        report = build(verdict, run={"run_id": "a-run", "started_at": now}, finished_at=now)
        recorded = commit(connection, settings, verdict, report, known, asked=False, now=now, folder=folder)
        connection.execute("DROP TABLE breaks")
        with pytest.raises(StateError, match=r"breaks\.parquet: cannot be written: Catalog Error: .* run a-run is recorded: "):
            write_out(connection, settings, verdict, report, recorded, folder)
    assert not folder.exists()
    assert json.loads(deployment.command("report", "a-run", "--json").stdout)["run_id"] == "a-run"


KILLED_AT_RENAME = """
import os, pathlib, signal, sys
from recon_core.cli import program
left = int(sys.argv.pop(1))
def renamed(event, arguments):
    global left
    if event == "os.rename" and pathlib.Path(os.fsdecode(arguments[1])).parent.name == "out":
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
sys.addaudithook(renamed)
program()
"""


@pytest.mark.parametrize("renames", range(3))
def test_a_kill_in_a_folder_that_was_used_before_leaves_the_report_of_the_run_before(deployment: Deployment, renames: int) -> None:
    assert deployment.run("--output", "out").returncode == 0
    out = deployment.folder / "out"
    earlier = {name: (out / name).read_bytes() for name in OUTPUTS}
    deployment.feed([feed_row("AAPL", "99")])
    command = [sys.executable, "-c", KILLED_AT_RENAME, str(renames), "run", "--output", "out"]
    done = subprocess.run(command, cwd=deployment.folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (out / "report.json").read_bytes() == earlier["report.json"], "report.json comes last"
    assert [name for name in ("report.html", "breaks.parquet") if (out / name).read_bytes() != earlier[name]] == [
        "report.html", "breaks.parquet"
    ][:renames]  # fmt: skip
    history = json.loads(deployment.command("history", "--json").stdout)
    printed = deployment.command("report", history[-1]["run_id"], "--json")
    assert json.loads(printed.stdout)["break_count"] == 1, "the run that was killed is recorded, and can be printed"


def test_an_output_folder_without_a_name_is_a_usage_error(deployment: Deployment) -> None:
    done = deployment.run("--output", "")
    assert done.returncode == 2
    assert "an empty name is no folder" in done.stderr
    assert not (deployment.folder / "report.json").exists()


def test_an_output_folder_may_be_a_link_and_a_dangling_one_is_named(deployment: Deployment) -> None:
    (deployment.folder / "real").mkdir()
    (deployment.folder / "link").symlink_to("real")
    (deployment.folder / "dangling").symlink_to("nowhere")
    assert deployment.run("--output", "link").returncode == 0
    assert sorted(path.name for path in (deployment.folder / "real").iterdir()) == OUTPUTS
    done = deployment.run("--output", "dangling")
    assert done.returncode == 5
    assert "dangling is a link to nowhere, which is not there" in done.stderr
    assert_nothing_ugly(done)


@pytest.mark.parametrize("place", ["import", "positions"])
@pytest.mark.parametrize("how", ["print('NOISE')", "os.write(1, b'NOISE')", "subprocess.run(['echo', 'NOISE'], check=True)"])
def test_what_a_plugin_prints_is_no_part_of_the_report(deployment: Deployment, place: str, how: str) -> None:
    deployment.write_drop_in(
        "brokers",
        "loud",
        f"""
        import os, subprocess
        {how if place == "import" else ""}

        class Loud(Broker):
            \"\"\"Prints.\"\"\"
            name = "loud"

            def positions(self, ask):
                {how if place == "positions" else ""}
                return Feed.complete([Position(account="MAIN", symbol="AAPL", quantity=100)], as_of=self.clock())
        """,
    )
    done = deployment.run("--json")
    assert json.loads(done.stdout)["feeds"][0]["status"] == "COMPLETE"
    assert "NOISE" in done.stderr


def test_what_a_plugin_prints_as_it_loads_is_no_part_of_a_schema(deployment: Deployment) -> None:
    deployment.write_drop_in(
        "brokers",
        "loud",
        """
        print("NOISE")

        class Loud(Broker):
            \"\"\"Prints.\"\"\"
            name = "loud"

            def positions(self, ask):
                return Feed.complete([], as_of=self.clock())
        """,
    )
    done = deployment.command("schema", "config")
    assert "loud" in json.dumps(json.loads(done.stdout))
    assert "NOISE" in done.stderr
