"""One run at a time per state directory: the other exits 75, at once, and changes nothing."""

import fcntl
import json
import os
import re
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime

import pytest
from deployment import COMMAND, Deployment, assert_nothing_ugly, book_row, feed_row

from recon_core.errors import ExitCode, LockedError, StateError
from recon_core.state.lock import NAME, hold

SINCE = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
HOLDER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from recon_core.state.lock import hold
with hold(Path(sys.argv[1]), datetime(2026, 11, 23, 21, 0, tzinfo=UTC)):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def deployment(tmp_path):
    made = Deployment(tmp_path)
    made.book([book_row("AAPL", "1")])
    made.feed([feed_row("AAPL", "1")])
    return made


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / ".state")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.case("J03")
def test_the_second_of_two_runs_exits_75_and_says_who_is_at_work(deployment, holder, tmp_path):
    done = deployment.run()
    assert done.returncode == ExitCode.LOCKED == 75
    who = f"(process {holder.pid} on {socket.gethostname()} since 2026-11-23T21:00:00+00:00)"
    assert done.stderr == f"recon-core: {tmp_path}/.state/run.lock: another run holds the lock {who}; this one did nothing\n"
    assert done.stdout == ""
    assert [path.name for path in (tmp_path / ".state").iterdir()] == [NAME]


def test_a_lock_is_free_once_its_holder_is_done(deployment, holder, tmp_path):
    holder.communicate()
    assert deployment.run().returncode == 0
    assert (tmp_path / ".state" / NAME).read_bytes() == b""


def test_the_lock_of_a_killed_process_is_free_and_the_next_run_says_so(deployment, holder):
    holder.kill()
    holder.wait()
    done = deployment.run("--log-level", "warning")
    assert done.returncode == 0
    said = json.loads(done.stderr)
    assert said["event"].startswith(f"the run before did not end in order (process {holder.pid} on ")
    assert said["level"] == "warning"
    assert deployment.run().stderr == ""


def test_another_state_directory_is_another_lock(deployment, holder):
    deployment.config(more="state_dir: elsewhere")
    assert deployment.run().returncode == 0


def test_a_run_that_ends_in_an_error_frees_the_lock(tmp_path):
    with pytest.raises(ZeroDivisionError), hold(tmp_path, SINCE):
        raise ZeroDivisionError
    with hold(tmp_path, SINCE):
        assert json.loads((tmp_path / NAME).read_text())["pid"] == os.getpid()
        with pytest.raises(LockedError), hold(tmp_path, SINCE):
            pass
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[]", b'{"pid": "\\u001b[31m", "host": "h", "since": "s"}', b"[" * 9999]
)
def test_a_holder_that_cannot_be_read_is_left_out_of_the_message(content, tmp_path):
    with hold(tmp_path, SINCE):
        (tmp_path / NAME).write_bytes(content)
        with (
            pytest.raises(LockedError, match=re.escape(f"{tmp_path}/run.lock: another run holds the lock; this one")),
            hold(tmp_path, SINCE),
        ):
            pass


@pytest.mark.parametrize("kind", ["symlink", "dangling", "folder", "fifo", "loop"])
def test_what_is_no_file_in_place_of_the_lock_is_refused(kind, deployment, tmp_path):
    state = tmp_path / ".state"
    state.mkdir()
    place = state / NAME
    if kind == "folder":
        place.mkdir()
    elif kind == "fifo":
        os.mkfifo(place)
    else:
        target = {"symlink": tmp_path / "book.csv", "dangling": tmp_path / "nowhere", "loop": place}[kind]
        place.symlink_to(target)
    before = (tmp_path / "book.csv").read_bytes()
    done = deployment.run()
    assert done.returncode == ExitCode.DAMAGED
    assert_nothing_ugly(done)
    assert "the run lock" in done.stderr
    assert (tmp_path / "book.csv").read_bytes() == before
    assert not (tmp_path / "nowhere").exists()


def test_a_state_directory_that_is_a_file_is_said_so(tmp_path):
    (tmp_path / "state").write_text("")
    with pytest.raises(StateError, match="the run lock cannot be opened"), hold(tmp_path / "state", SINCE):
        pass


@pytest.mark.case("J03")
def test_of_two_runs_at_once_each_has_a_verdict_or_exits_75(deployment, tmp_path):
    for _ in range(3):
        pair = [
            subprocess.Popen([str(COMMAND), "run"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)
        ]
        for process in pair:
            process.communicate(timeout=120)
        assert sorted(process.returncode for process in pair) in (
            [0, 75],
            [0, 0],
        )  # both, where one was done before the other began


def test_a_run_that_took_the_lock_this_very_moment_is_named_all_the_same(tmp_path):
    with (tmp_path / "run.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        later = threading.Timer(0.1, lambda: print('{"pid": 12, "host": "here", "since": "now"}', file=file, flush=True))
        later.start()
        with pytest.raises(LockedError, match=r"holds the lock \(process 12 on here since now\)"), hold(tmp_path, SINCE):
            pass
        later.join()
