"""What all tests share: the catalogue of cases, and that nothing is skipped where every server is at hand."""

import os
from collections import defaultdict
from pathlib import Path

import canaries
import pytest
from services import NO_RIGHTS

# Hundreds of tests start the command: where no bytecode may be kept, each start compiles the project anew, for half its time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

CASES = Path(__file__).parent / "cases" / "ids.txt"


def pytest_addoption(parser):
    parser.addoption(
        "--cases", action="store_true", help="list the cases of the catalogue and how many tests prove each; run nothing"
    )
    parser.addoption("--faults", action="store_true", help="try every fault and random example, not a sample of them")


def pytest_configure(config):
    os.environ["RECON_CORE_TEST_CANARY"] = canaries.ENVIRONMENT


def pytest_collection_modifyitems(config, items):
    titles = case_titles()
    proofs = defaultdict(list)
    for item in items:
        for mark in item.iter_markers("case"):
            for case in mark.args:
                if case not in titles:
                    raise pytest.UsageError(f"{item.nodeid}: case {case!r} is not in {CASES}")
                proofs[case].append(item.nodeid)
    if config.getoption("--cases"):
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        reporter.write_line("")
        for case, title in titles.items():
            reporter.write_line(f"{case}  {len(proofs.get(case, ())) or 'none':>4}  {title}")
        reporter.write_line(f"{len(proofs)} of {len(titles)} cases have a test")
        items.clear()


def pytest_sessionfinish(session, exitstatus):
    if session.config.getoption("--cases") and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK


def case_titles():
    """The catalogue: id and title of each case, in its order."""
    lines = CASES.read_text().splitlines()
    return dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))


def _skip_is_failure(report):
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        if NO_RIGHTS in str(reason):
            return
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped (CI=true): {reason}"


def _secret_is_failure(item, report):
    if report.when == "setup":
        return
    found = canaries.found("".join(text for _, text in report.sections))
    if folder := item.funcargs.get("tmp_path"):
        found += canaries.found_below(folder)
    if found and report.outcome == "passed":
        report.outcome = "failed"
        report.longrepr = f"secrets of the tests in what it printed or left: {found}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    _skip_is_failure(report)
    _secret_is_failure(item, report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    _skip_is_failure(report)
    return report
