"""What is logged: nothing that nobody asked for, and otherwise JSON lines that all name the run, or plain ones on a terminal."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from deployment import COMMAND, Deployment, book_row, feed_row

from recon_core import log

TALKATIVE = """
    class Talkative(Broker):
        "A broker that talks."

        name = "talkative"

        def positions(self, ask):
            import logging, warnings

            logging.getLogger("acme.client").warning("retried %s", 3)
            logging.getLogger("acme.client").info("too much to say")
            warnings.warn("soon to go", DeprecationWarning, stacklevel=1)
            try:
                1 / 0
            except ZeroDivisionError:
                logging.getLogger("acme.client").exception("odd")
            print("a plain line")
            return Feed.complete([Position("MAIN", "AAPL", 1)], as_of=self.clock())
"""


@pytest.fixture
def deployment(tmp_path):
    made = Deployment(tmp_path)
    made.book([book_row("AAPL", "1")])
    made.feed([feed_row("AAPL", "1")])
    return made


def lines(done):
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_run_that_went_well_says_nothing_and_does_not_load_structlog(deployment):
    code = (
        "import sys\nfrom recon_core.cli import main\n"
        "try:\n    main(['run'])\n"
        "finally:\n    print(*{'structlog', 'rich', 'asyncio'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=deployment.folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "\n")


def test_each_step_is_a_line_of_json_that_names_the_run(deployment):
    done = deployment.run("-v", "--json")
    report = json.loads(done.stdout)
    said = lines(done)
    assert {line["run_id"] for line in said} == {report["run_id"]}
    assert {line["level"] for line in said} == {"info"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["timestamp"]) for line in said)
    events = [line["event"] for line in said]
    assert events[0] == "run started"
    assert events[-1] == "ended"
    feed = next(line for line in said if line["event"] == "feed proven")
    assert (feed["broker"], feed["status"], feed["positions"]) == ("prime", "COMPLETE", 1)
    verdict = next(line for line in said if line["event"] == "verdict")
    assert (verdict["verdict"], verdict["exit_code"], verdict["halt"]) == ("clean", 0, False)


def test_an_unproven_feed_is_a_warning(deployment, tmp_path):
    (tmp_path / "feed.csv").unlink()
    (said,) = lines(deployment.run())
    assert said["level"] == "warning"
    assert said["event"].startswith("feed prime is NOT_READY: ")
    assert said["run_id"]


def test_a_run_without_a_verdict_ends_with_its_error_and_exit_code(deployment, tmp_path):
    (tmp_path / "book.csv").unlink()
    done = deployment.run("--log-level", "info")
    *said, plain = done.stderr.splitlines()
    assert plain.startswith("recon-core: ") or said
    ended = next(json.loads(line) for line in done.stderr.splitlines() if '"ended"' in line)
    assert ended["exit_code"] == done.returncode == 3
    assert "book.csv" in ended["error"]


@pytest.mark.parametrize(
    ("arguments", "environment", "least"),
    [
        ((), {}, None),
        (("--log-level", "error"), {}, None),
        ((), {"RECON_CORE_LOG_LEVEL": "info"}, "info"),
        (("-v",), {}, "info"),
        (("-vv",), {}, "info"),
        (("--log-level", "warning"), {"RECON_CORE_LOG_LEVEL": "info"}, None),
    ],
)
def test_the_level_is_set_by_option_or_environment(arguments, environment, least, deployment):
    done = deployment.run(*arguments, **environment)
    assert done.returncode == 0
    assert bool(done.stderr) == (least is not None)
    before = deployment.command(*arguments, "run", **environment)
    assert bool(before.stderr) == (least is not None)


def test_a_level_that_there_is_not_is_a_usage_error(deployment):
    done = deployment.run("--log-level", "loud")
    assert done.returncode == 2
    assert "'loud' is not one of" in done.stderr
    done = deployment.run(RECON_CORE_LOG_LEVEL="loud")
    assert (done.returncode, done.stderr) == (2, "Error: RECON_CORE_LOG_LEVEL is 'loud'; there are debug, info, warning, error\n")


def test_what_plugins_log_and_warn_of_is_said_with_the_run(deployment):
    deployment.write_drop_in("brokers", "talkative", TALKATIVE)
    done = deployment.run("--json")
    report = json.loads(done.stdout)
    said = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert {line["run_id"] for line in said} == {report["run_id"]}
    by_logger = {}
    for line in said:
        by_logger.setdefault(line.get("logger"), []).append(line)
    assert [line["event"] for line in by_logger["acme.client"]] == ["retried 3", "odd"]
    assert "ZeroDivisionError" in by_logger["acme.client"][1]["exception"]
    assert "a plain line" in done.stderr


def test_on_a_terminal_lines_are_for_people_and_do_not_tear_the_progress(deployment):
    deployment.write_drop_in("brokers", "talkative", TALKATIVE.replace('print("a plain line")', "import time; time.sleep(0.5)"))
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "1000"}
    running = subprocess.Popen(
        [str(COMMAND), "run", "-v"], cwd=deployment.folder, stdout=subprocess.DEVNULL, stderr=follower, env=environment
    )
    os.close(follower)
    shown = b""
    while chunk := _read(leader):
        shown += chunk
    os.close(leader)
    running.wait(timeout=60)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    whole = [re.sub(r"^.*\r(?!\n)", "", line) for line in text.split("\r\n")]
    logged = [line for line in whole if "run_id=" in line]
    assert len([line for line in logged if "retried 3" in line]) == 1
    assert all(re.match(r"\d\d:\d\d:\d\d \[(info|warning|error) *\] ", line) for line in logged), [
        line for line in logged if line[0] not in "012"
    ]
    assert "asking prime" in text
    assert '{"event"' not in text


def _read(descriptor):
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other end is closed
        return b""


def test_stderr_that_is_closed_or_full_changes_no_verdict(deployment):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([str(COMMAND), "run", "-v"], cwd=deployment.folder, stdout=subprocess.PIPE, stderr=full, check=False)
    assert done.returncode == 0
    assert b"CLEAN" in done.stdout
    closed = subprocess.run(f"'{COMMAND}' run -v 2>&-", shell=True, cwd=deployment.folder, stdout=subprocess.PIPE, check=False)
    assert closed.returncode == 0


def test_an_embedding_program_decides_what_becomes_of_log_lines(caplog):
    log.warning("said", broker="prime")
    (record,) = caplog.records
    assert (record.name, record.levelname, record.getMessage(), record.fields) == (
        "recon_core",
        "WARNING",
        "said",
        {"broker": "prime"},
    )
