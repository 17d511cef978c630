"""The gate itself: what CI does not let pass, and the list of cases."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from services import NO_RIGHTS

TESTS = Path(__file__).parent
SUITE = """
import pytest

@pytest.mark.case("A06")
def test_runs():
    pass

def test_skips():
    pytest.skip("no PostgreSQL here")

@pytest.mark.xfail(reason="known", strict=True)
def test_fails_as_expected():
    assert False
"""


@pytest.fixture
def gate(tmp_path):
    """Run pytest on a suite under the project's own conftest."""
    for name in ("conftest.py", "services.py", "canaries.py"):
        shutil.copy(TESTS / name, tmp_path)
    (tmp_path / "cases").mkdir()
    shutil.copy(TESTS / "cases" / "ids.txt", tmp_path / "cases")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = case(*ids)\n")

    def gate(*arguments, suite=SUITE, ci=""):
        (tmp_path / "test_suite.py").write_text(suite)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", *arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")} | {"CI": ci}
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)

    return gate


def test_skip_for_want_of_rights_is_a_skip_even_in_ci(gate):
    suite = f"import pytest\n\ndef test_mounts():\n    pytest.skip({NO_RIGHTS + 'nothing can be mounted'!r})\n"
    ran = gate(suite=suite, ci="true")
    assert ran.returncode == 0
    assert "1 skipped" in ran.stdout


def test_skip_is_a_skip_on_a_machine_of_a_user(gate):
    ran = gate()
    assert ran.returncode == 0
    assert "1 passed, 1 skipped, 1 xfailed" in ran.stdout
    assert "no PostgreSQL here" in ran.stdout


def test_skip_is_a_failure_in_ci(gate):
    ran = gate(ci="true")
    assert ran.returncode == 1
    assert "1 failed, 1 passed, 1 xfailed" in ran.stdout
    assert "skipped where nothing may be skipped (CI=true): Skipped: no PostgreSQL here" in ran.stdout


def test_skip_of_a_whole_file_is_a_failure_in_ci(gate):
    suite = 'import pytest\npytest.skip("no browser here", allow_module_level=True)\n'
    assert gate(suite=suite).returncode == pytest.ExitCode.NO_TESTS_COLLECTED
    ran = gate(suite=suite, ci="true")
    assert ran.returncode == 2
    assert "no browser here" in ran.stdout


def test_cases_are_listed_with_and_without_tests(gate):
    ran = gate("--cases")
    assert ran.returncode == 0
    lines = ran.stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith(("A05 ", "A06 "))] == ["none", "1"]
    assert "1 of 88 cases have a test" in lines


def test_case_that_is_not_in_the_catalogue_is_an_error(gate):
    ran = gate(suite=SUITE.replace("A06", "A66"))
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "case 'A66' is not in" in ran.stderr


def test_catalogue_has_every_id_once():
    ids = [line.split()[0] for line in (TESTS / "cases" / "ids.txt").read_text().splitlines()]
    assert ids == sorted(set(ids))
