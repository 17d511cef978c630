"""The command action with real child processes: what it hands them, what it believes, and how it ends them."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from halt_samples import ORDER, halted, resumed

CANARY = "canary-secret-0f9a7b"


@pytest.fixture
def script(tmp_path):
    """Write a program into the folder of the deployment."""

    def script(name, text):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    return script


def command(*more, halt="[./stop]", confirm="[./stopped]", options=""):
    return f"desk: {{{', '.join(('action: command', *more))}, options: {{halt: {halt}, confirm: {confirm}{options}}}}}\n"


def gone(pid):
    """Whether no such process runs any more (one that nobody has waited for yet is dead all the same)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def until(condition):
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)
    return True


def test_a_program_stops_trading_and_another_sees_that_it_has(tmp_path, script):
    script("stop", "cat > order.json; touch halted")
    script("stopped", "test -e halted && echo all quiet")
    (result,) = halted(tmp_path, command())
    assert (result.done, result.confirmed, result.detail) == (True, True, "confirm ended with 0: all quiet")
    assert json.loads((tmp_path / "order.json").read_text()) == ORDER.as_json()


def test_arguments_reach_the_program_as_they_are_and_no_shell_reads_them(tmp_path, script):
    script("stop", "printf '%s\\n' \"$@\" > arguments")
    (result,) = halted(tmp_path, command(halt="[./stop, '$HOME; touch pwned', '*', 'a b']", confirm="['true']"))
    assert result.confirmed
    assert (tmp_path / "arguments").read_text().splitlines() == ["$HOME; touch pwned", "*", "a b"]
    assert not (tmp_path / "pwned").exists()


def test_the_environment_is_clean_but_for_what_is_named(tmp_path, script, monkeypatch):
    monkeypatch.setenv("ALPACA_SECRET_KEY", CANARY)
    monkeypatch.setenv("DESK_TOKEN", "the-token")
    monkeypatch.setenv("LANG", "C.UTF-8")
    script("stop", "env > seen")
    (result,) = halted(tmp_path, command("secrets: {BOT_TOKEN: env:DESK_TOKEN}", confirm="['true']"))
    assert result.confirmed
    seen = dict(line.split("=", 1) for line in (tmp_path / "seen").read_text().splitlines())
    allowed = {"PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "RECON_CORE_EVENT", "BOT_TOKEN"}
    assert set(seen) - {"PWD", "OLDPWD", "SHLVL", "_"} <= allowed
    assert (seen["BOT_TOKEN"], seen["RECON_CORE_EVENT"], seen["PATH"]) == ("the-token", "halt", os.environ["PATH"])
    assert CANARY not in (tmp_path / "seen").read_text()


def test_a_secret_that_a_program_prints_is_masked(tmp_path, script, monkeypatch):
    monkeypatch.setenv("DESK_TOKEN", CANARY)
    script("stop", 'echo "bad token $BOT_TOKEN"; exit 3')
    (result,) = halted(tmp_path, command("secrets: {BOT_TOKEN: env:DESK_TOKEN}", confirm="['false']"))
    assert result.detail == "halt ended with 3: bad token ***; read back: confirm ended with 1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exit 7", "halt ended with 7; read back"),
        ("echo cannot >&2; exit 1", "halt ended with 1: cannot; read back"),
        ("kill -9 $$", "halt was ended by signal 9; read back"),
    ],
)
def test_a_program_that_fails_is_told_with_its_own_words(text, said, tmp_path, script):
    script("stop", text)
    (result,) = halted(tmp_path, command(confirm="['false']"))
    assert (result.done, result.confirmed) == (False, False)
    assert result.detail.startswith(said)


@pytest.mark.parametrize(
    ("halt", "said"),
    [
        ("[./gone]", "halt: ./gone cannot be started: No such file or directory"),
        ("[no-such-program-anywhere]", "halt: no-such-program-anywhere cannot be started: No such file or directory"),
        ("[./recon.yaml]", "halt: ./recon.yaml cannot be started: Permission denied"),
    ],
)
def test_a_program_that_cannot_be_started_is_named(halt, said, tmp_path):
    (result,) = halted(tmp_path, command(halt=halt, confirm="['true']"))
    assert (result.done, result.confirmed) == (False, True)
    assert result.detail.startswith(said)


def test_a_program_that_ignores_sigterm_is_killed_with_all_that_it_started(tmp_path, script):
    script(
        "stop",
        "trap '' TERM; sh -c \"trap '' TERM; echo \\$\\$ > child; while :; do sleep 1; done\" & echo $$ > parent; wait; wait",
    )
    started = time.monotonic()
    (result,) = halted(tmp_path, command("deadline_seconds: 10", confirm="['true']", options=", timeout_seconds: 0.5"))
    assert time.monotonic() - started < 30
    assert (result.done, result.confirmed) == (False, True)
    assert result.detail == "halt: ./stop did not end within 0.5 s and was killed; read back: confirm ended with 0"
    for name in ("parent", "child"):
        assert until(lambda name=name: gone(int((tmp_path / name).read_text())))


def test_the_deadline_of_the_action_ends_a_program_that_may_take_longer(tmp_path, script):
    script("stop", "echo $$ > parent; sleep 60")
    started = time.monotonic()
    (result,) = halted(tmp_path, command("deadline_seconds: 2", confirm="['true']", options=", timeout_seconds: 60"))
    assert time.monotonic() - started < 30
    assert re.search(r"did not end within [01][.\d]* s and was killed", result.detail)
    assert until(lambda: gone(int((tmp_path / "parent").read_text())))


def test_a_program_that_leaves_a_child_behind_is_not_waited_for(tmp_path, script):
    script("stop", "sleep 60 & echo $! > child")
    started = time.monotonic()
    (result,) = halted(tmp_path, command(confirm="['true']"))
    assert result.confirmed
    assert time.monotonic() - started < 30
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


def test_a_program_that_never_stops_talking_fills_nothing_and_is_ended(tmp_path):
    (result,) = halted(
        tmp_path, command("deadline_seconds: 3", halt="['yes']", confirm="['true']", options=", timeout_seconds: 0.5")
    )
    assert (result.done, result.confirmed) == (False, True)
    assert "halt: yes did not end within 0.5 s and was killed: y y y" in result.detail


def test_a_program_that_does_not_read_a_long_order_is_not_in_the_way(tmp_path):
    order = replace(ORDER, reasons=("x" * 1_000_000,))
    (result,) = halted(tmp_path, command(halt="['true']", confirm="['true']"), order)
    assert result.confirmed


def test_a_confirmation_that_fails_at_first_is_asked_again(tmp_path, script):
    script("stopped", "echo . >> tries; test $(wc -l < tries) -ge 3")
    (result,) = halted(tmp_path, command(halt="['true']"))
    assert (result.done, result.confirmed) == (True, True)
    assert len((tmp_path / "tries").read_text().split()) == 3


def test_a_confirmation_that_never_comes_confirms_nothing(tmp_path):
    (result,) = halted(tmp_path, command("deadline_seconds: 2", halt="['true']", confirm="['false']"))
    assert (result.done, result.confirmed) == (True, False)
    assert result.detail == "took the order, not confirmed: confirm ended with 1"


def test_a_resume_runs_its_own_program_and_is_confirmed(tmp_path, script):
    script("go", 'echo "$RECON_CORE_EVENT" > event')
    (result,) = resumed(tmp_path, command("resume: true", confirm="['true']", options=", resume: [./go]"))
    assert (result.done, result.confirmed) == (True, True)
    assert (tmp_path / "event").read_text() == "resume\n"


def test_a_resume_without_a_program_is_a_failure_that_says_so(tmp_path):
    (result,) = resumed(tmp_path, command("resume: true", confirm="['true']"))
    assert not result.done
    assert result.detail.startswith("options.resume names no program")


def test_a_drill_runs_nothing_that_stops_trading(tmp_path, script):
    script("stop", "touch halted")
    script("stopped", "touch looked")
    script("drill", 'echo "$RECON_CORE_EVENT" >> drills')
    drill = replace(ORDER, drill=True)
    actions = command("resume: true", options=", drill: [./drill], resume: [./stop]")
    (first,), (second,) = halted(tmp_path, actions, drill), resumed(tmp_path, actions, drill)
    assert (first.done, first.confirmed, second.confirmed) == (True, True, True)
    assert (tmp_path / "drills").read_text().split() == ["drill-halt"] * 2 + ["drill-resume"] * 2
    assert not (tmp_path / "halted").exists()
    assert not (tmp_path / "looked").exists()


def test_a_drill_without_a_program_for_it_fails_and_runs_nothing(tmp_path, script):
    script("stop", "touch halted")
    (result,) = halted(tmp_path, command("deadline_seconds: 2", confirm="['true']"), replace(ORDER, drill=True))
    assert (result.done, result.confirmed) == (False, False)
    assert result.detail.startswith("options.drill names no program")
    assert not (tmp_path / "halted").exists()
