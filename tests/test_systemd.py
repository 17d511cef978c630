"""The units of ops/systemd, as systemd itself reads them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from deployment import COMMAND

UNITS = Path(__file__).parents[1] / "ops" / "systemd"


@pytest.fixture(autouse=True)
def systemd() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (make services)")


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TZ": "UTC"}
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60, env=environment)


def test_systemd_has_nothing_to_say_against_the_units(tmp_path: Path) -> None:
    for unit in UNITS.iterdir():
        text = unit.read_text(encoding="utf-8").replace("/opt/recon-core/bin/recon-core", str(COMMAND))
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    done = analyze("verify", "--man=no", str(tmp_path / "recon-core.timer"), str(tmp_path / "recon-core.service"))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    (tmp_path / "recon-core.service").write_text("[Service]\nExecStart=/nowhere/recon-core\nTypo=1\n", encoding="utf-8")
    done = analyze("verify", "--man=no", str(tmp_path / "recon-core.service"))
    assert "Typo" in done.stderr, "or it proves nothing"


def test_the_timer_runs_on_weekdays_in_new_york_whatever_the_time_of_the_machine() -> None:
    when = re.search(r"^OnCalendar=(.*)$", (UNITS / "recon-core.timer").read_text(encoding="utf-8"), re.MULTILINE)
    assert when
    done = analyze("calendar", "--iterations=5", "--base-time=2026-11-20 22:00:00 UTC", when[1])
    assert done.returncode == 0, done.stderr
    found = re.findall(r"(?:Next elapse|Iter\. #\d+): (\w+) \S+ (.*)", done.stdout)
    assert found == [(day, "21:15:00 UTC") for day in ("Mon", "Tue", "Wed", "Thu", "Fri")], done.stdout
