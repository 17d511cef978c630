"""TERM, INT and HUP: the run ends with 128 and the signal's number, and leaves nothing half done behind."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
from deployment import COMMAND, Deployment, book_row, feed_row

from recon_core.interruption import Interrupted, deferred, heeded, stopped_by
from recon_core.scratch import PREFIX, YOUNG_SECONDS

SLOW = """
    class Slow(Broker):
        "A broker that takes its time."

        name = "slow"

        def positions(self, ask):
            import pathlib, time

            pathlib.Path("asked").touch()
            time.sleep(60)
"""


def state_of(folder):
    """Every file below the folder and the system's temporary one, by name, but the lock and what is of the deployment itself."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")} - {".state/run.lock"}


@pytest.fixture
def slow(tmp_path):
    """A deployment whose broker touches the file ``asked`` and then takes a minute."""
    deployment = Deployment(tmp_path)
    deployment.book([book_row("AAPL", "1")])
    deployment.write_drop_in("brokers", "slow", SLOW)
    return deployment


def heeding():
    """In the child: signals end it, whatever the process ignores that runs the tests (one that nohup started ignores HUP)."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def started(folder, *arguments, **options):
    environment = {**os.environ, "TMPDIR": str(folder / "tmp")}
    (folder / "tmp").mkdir(exist_ok=True)
    return subprocess.Popen(
        [str(COMMAND), "run", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **{"preexec_fn": heeding, **options},
    )


def wait_for(path):
    until = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < until, f"{path} never came"
        time.sleep(0.01)


@pytest.mark.case("J02")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_in_the_middle_of_a_run_leaves_the_state_as_it_was(number, slow, tmp_path):
    running = started(tmp_path)
    wait_for(tmp_path / "asked")
    before = state_of(tmp_path) - {"asked"}
    running.send_signal(number)
    out, err = running.communicate(timeout=20)
    assert (running.returncode, out, err) == (128 + number, "", f"recon-core: interrupted by {number.name}\n")
    assert not list((tmp_path / "tmp").iterdir())
    assert {name for name in state_of(tmp_path) if name.startswith(".state")} == {".state"}
    assert any(name.startswith("tmp/" + PREFIX) for name in before)
    assert (tmp_path / ".state/run.lock").read_bytes() == b""


def test_signals_at_any_moment_leave_no_temporary_file_and_no_traceback(tmp_path):
    deployment = Deployment(tmp_path)
    deployment.book([book_row("AAPL", "1")])
    deployment.feed([feed_row("AAPL", "2")])
    began = time.monotonic()
    started(tmp_path).communicate(timeout=60)
    whole_run = time.monotonic() - began
    codes = []
    for step in range(12):
        running = started(tmp_path)
        with suppress(subprocess.TimeoutExpired):
            running.communicate(timeout=whole_run * step / 12)
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=60)
        codes.append(running.returncode)
        assert "Traceback" not in err
        assert not list((tmp_path / "tmp").iterdir())
        runs = list((tmp_path / ".state/runs").iterdir())
        assert all({path.name for path in run.iterdir()} == {"report.json", "report.html", "breaks.parquet"} for run in runs)
        history = json.loads((tmp_path / ".state/eod_recon_breaks.json").read_text())
        assert {run["run_id"] for run in history["runs"]} == {run.name for run in runs}
    assert set(codes) <= {-15, 143, 4}, codes  # -15: before there was anything to clean up
    assert 143 in codes


def test_a_signal_that_the_parent_ignores_stays_ignored(tmp_path):
    deployment = Deployment(tmp_path)
    deployment.book([book_row("AAPL", "1")])
    deployment.write_drop_in("brokers", "slow", SLOW.replace("60", "1"))
    running = started(tmp_path, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    wait_for(tmp_path / "asked")
    running.send_signal(signal.SIGHUP)
    running.communicate(timeout=30)
    assert running.returncode == 4  # the adapter returns nonsense, and doubt halts: the verdict of the whole run


def test_an_order_to_halt_is_carried_out_and_recorded_whatever_signal_comes(tmp_path):
    deployment = Deployment(tmp_path)
    command = "import sys, time; print(file=open('asked', 'w')); time.sleep(1)"
    deployment.config(
        more="halt: {actions: {slow: {action: command, options: {"
        f"halt: [{sys.executable}, -c, {json.dumps(command)}], confirm: [/bin/true], drill: [/bin/true]}}}}}}}}"
    )
    order = [str(COMMAND), "halt", "raise", "--reason", "a test", "--by", "tester"]
    running = subprocess.Popen(order, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(tmp_path / "asked")
    running.terminate()
    _, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (143, "recon-core: interrupted by SIGTERM\n")
    assert deployment.command("halt", "status").returncode == 4
    assert '"kind":"halt"' in deployment.command("audit", "export").stdout


def test_a_signal_waits_for_the_end_of_what_must_not_be_torn():
    done = []

    def torn():
        with heeded():
            with deferred():
                signal.raise_signal(signal.SIGTERM)
                done.append("whole")
            done.append("never reached")

    with pytest.raises(Interrupted) as ended:
        torn()
    assert done == ["whole"]
    assert ended.value.exit_code == 143


def test_a_signal_that_somebody_caught_ends_the_run_before_anything_is_written():
    done = []

    def deaf():
        with heeded():
            with suppress(BaseException):
                signal.raise_signal(signal.SIGTERM)
            with deferred():
                done.append("never written")

    with pytest.raises(Interrupted):
        deaf()
    assert done == []


def test_a_second_signal_does_not_interrupt_the_cleaning_up():
    cleaned = []

    def impatient():
        with heeded():
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                signal.raise_signal(signal.SIGTERM)
                cleaned.append(True)

    with pytest.raises(Interrupted):
        impatient()
    assert cleaned == [True]


def test_handlers_of_an_embedding_program_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with heeded():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("before", ["pass", "lost()"], ids=["told", "the exception was lost"])
def test_a_long_query_is_interrupted(before):
    code = (
        "import os, signal, threading, time\n"
        "from recon_core.engine import connect\n"
        "from recon_core.interruption import Interrupted, heeded\n"
        "def lost():\n"
        "    try:\n"
        "        time.sleep(60)\n"
        "    except Interrupted:\n"
        "        pass\n"
        "try:\n"
        "    with heeded():\n"
        "        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()\n"
        "        with connect() as connection:\n"
        f"            {before}\n"
        "            connection.execute('SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range < 0')\n"
        "except Interrupted as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "interrupted by SIGTERM\n"
    assert "Traceback" not in done.stderr  # what DuckDB's bindings say of their own teardown is no matter of ours


def test_what_could_not_be_stopped_is_asked_again():
    asked = []

    def stop():
        asked.append(None)
        if len(asked) < 3:
            raise OSError("not now")
        stopped.set()

    stopped = threading.Event()
    with heeded(), stopped_by(stop):
        with suppress(Interrupted):
            signal.raise_signal(signal.SIGTERM)
        assert stopped.wait(10)


def test_a_signal_while_a_library_is_loaded_waits_until_it_is():
    code = (
        "import enum, os, signal, time\n"
        "from recon_core.interruption import Interrupted, heeded\n"
        "def made(*arguments, **named):\n"
        "    enum.EnumType.__call__ = make\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return make(*arguments, **named)\n"
        "make = enum.EnumType.__call__\n"
        "try:\n"
        "    with heeded():\n"
        "        enum.EnumType.__call__ = made\n"
        "        import duckdb\n"
        "        time.sleep(60)\n"
        "except Interrupted as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted by SIGTERM\n", "")


def test_what_a_killed_process_left_in_the_temporary_folder_goes_with_the_next_run(slow, tmp_path):
    running = started(tmp_path)
    wait_for(tmp_path / "asked")
    running.kill()
    running.communicate()
    (left,) = (tmp_path / "tmp").iterdir()
    slow.config()
    slow.run(TMPDIR=str(tmp_path / "tmp"))
    assert left.exists()  # too young to be sure
    old = time.time() - YOUNG_SECONDS - 1
    os.utime(left, (old, old))
    slow.run(TMPDIR=str(tmp_path / "tmp"))
    assert not list((tmp_path / "tmp").iterdir())


def test_the_temporary_folder_of_a_run_in_progress_is_left_alone(slow, tmp_path):
    running = started(tmp_path)
    wait_for(tmp_path / "asked")
    (in_use,) = (tmp_path / "tmp").iterdir()
    old = time.time() - YOUNG_SECONDS - 1
    os.utime(in_use, (old, old))
    slow.config(more="state_dir: elsewhere")
    slow.run(TMPDIR=str(tmp_path / "tmp"))
    assert in_use.exists()
    running.terminate()
    running.communicate(timeout=20)
    assert not in_use.exists()
