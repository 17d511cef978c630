"""The command line's own part: which commands there are, and how an error becomes a message and an exit code."""

import json
import os
import subprocess
import sys

import click
import pytest
from host_samples import RULE

from recon_core.cli import COMMANDS, Commands
from recon_core.errors import ConfigError, ExitCode, NoVerdictError, StateError

HEAVY = ("rich", "sqlalchemy", "httpx", "pyarrow", "asyncio")


def recon_core(*arguments, **options):
    code = "import sys; from recon_core.cli import main; main()"
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.run([sys.executable, "-c", code, *arguments], check=False, **options)


@pytest.fixture
def deployment(tmp_path):
    """A folder with a recon.yaml that names one drop-in, and disables another."""
    for name, text in (("tiny", RULE), ("broken", "import nowhere_at_all\n")):
        path = tmp_path / "plugins" / "rules" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for each in (path, path.parent, path.parent.parent):
            each.chmod(0o755)
    (tmp_path / "recon.yaml").write_text("version: 1\nplugins: {drop_ins: plugins, disabled: [rule-broken]}\n")
    return tmp_path


class Raising(Commands):
    """The real group with one command more, which raises what it is given."""

    error: BaseException = RuntimeError()

    def get_command(self, ctx, cmd_name):
        def fail():
            raise self.error

        return click.Command(cmd_name, callback=fail)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError(["recon.yaml:1:1: a", "recon.yaml:2:1: b"]), 2, "recon-core: recon.yaml:1:1: a\nrecon.yaml:2:1: b\n"),
        (NoVerdictError("feed unproven"), 3, "recon-core: feed unproven\n"),
        (StateError("history damaged"), 5, "recon-core: history damaged\n"),
        (KeyboardInterrupt(), 130, "recon-core: interrupted\n"),
        (BrokenPipeError(), 141, ""),
        (
            ZeroDivisionError("division by zero"),
            1,
            "recon-core: internal error: ZeroDivisionError: division by zero\n"
            "recon-core: set RECON_CORE_DEBUG=1 to see where; nothing can be concluded from this run\n",
        ),
    ],
)
def test_error_becomes_a_message_and_an_exit_code(error, code, said, capsys, monkeypatch):
    monkeypatch.delenv("RECON_CORE_DEBUG", raising=False)
    group = Raising("recon-core")
    group.error = error
    with pytest.raises(SystemExit) as ended:
        group.main(["run"])
    assert ended.value.code == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.lstrip("\n") == said


def test_traceback_is_shown_on_request_only(capsys, monkeypatch):
    monkeypatch.setenv("RECON_CORE_DEBUG", "1")
    group = Raising("recon-core")
    group.error = ZeroDivisionError("division by zero")
    with pytest.raises(SystemExit):
        group.main(["run"])
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (10, 10), (ExitCode.HALTED, 4)])
def test_command_returns_its_exit_code(returned, code):
    class Returning(Commands):
        def get_command(self, ctx, cmd_name):
            return click.Command(cmd_name, callback=lambda: returned)

    with pytest.raises(SystemExit) as ended:
        Returning("recon-core").main(["run"])
    assert ended.value.code == code


def test_unknown_command_is_a_usage_error_with_a_suggestion():
    ran = recon_core("plugin")
    assert ran.returncode == 2
    assert "Error: no command 'plugin'; did you mean plugins?" in ran.stderr


def test_unknown_option_is_a_usage_error():
    ran = recon_core("plugins", "list", "--jsn")
    assert ran.returncode == 2
    assert "No such option" in ran.stderr


def test_every_command_is_in_the_help():
    ran = recon_core("--help")
    assert ran.returncode == 0
    listed = [line.split()[0] for line in ran.stdout.partition("Commands:\n")[2].splitlines() if line]
    assert listed == sorted(COMMANDS)
    assert "run" in listed


def test_output_that_nobody_reads_is_quiet_and_not_clean():
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ran = recon_core("plugins", "list", stdout=writer)
    finally:
        os.close(writer)
    assert (ran.returncode, ran.stderr) == (141, "")


def test_plugins_list_takes_drop_ins_from_the_recon_yaml_of_the_folder(deployment):
    listed = json.loads(recon_core("plugins", "list", "--json", cwd=deployment).stdout)
    tiny = next(plugin for plugin in listed if plugin["name"] == "rule-tiny")
    assert (tiny["kind"], tiny["types"], tiny["origin"]) == ("rule", ["TINY"], "drop-in")
    assert tiny["file"] == str(deployment / "plugins" / "rules" / "tiny.py")


def test_plugins_list_takes_drop_ins_from_the_recon_yaml_that_is_named(deployment, tmp_path_factory):
    ran = recon_core("plugins", "list", "--config", str(deployment / "recon.yaml"), cwd=tmp_path_factory.mktemp("elsewhere"))
    assert ran.returncode == 0
    assert "rule-tiny" in ran.stdout
    assert "NAME" in ran.stdout.splitlines()[0]


def test_plugins_disabled_lists_what_is_not_loaded(deployment):
    listed = json.loads(recon_core("plugins", "disabled", "--json", cwd=deployment).stdout)
    assert [(plugin["name"], plugin["types"]) for plugin in listed] == [("rule-broken", [])]


def test_plugin_that_fails_to_load_stops_the_command_without_a_traceback(deployment):
    (deployment / "recon.yaml").write_text("version: 1\nplugins: {drop_ins: plugins}\n")
    ran = recon_core("plugins", "list", cwd=deployment)
    assert ran.returncode == 2
    assert ran.stdout == ""
    path = deployment / "plugins" / "rules" / "broken.py"
    assert ran.stderr == (
        f"recon-core: plugin rule-broken (drop-in, {path}): cannot be imported: line 1: "
        "ModuleNotFoundError: No module named 'nowhere_at_all'\n"
    )


def test_rules_list_finds_an_expression_that_cannot_be_meant(deployment):
    (deployment / "plugins" / "rules" / "tiny.py").write_text(RULE.replace("abs(broker_quantity)", "abs(broker_quantty)"))
    ran = recon_core("rules", "list", cwd=deployment)
    assert ran.returncode == 2
    assert "TINY.when: unknown column 'broker_quantty'; did you mean 'broker_quantity'?" in ran.stderr


def test_rules_list_shows_defaults(deployment):
    listed = json.loads(recon_core("rules", "list", "--json", cwd=deployment).stdout)
    tiny = next(rule for rule in listed if rule["type"] == "TINY")
    assert (tiny["severity"], tiny["halt"], tiny["counts"]) == ("warning", "never", True)
    assert tiny["params"]["limit"]["default"] == 1
    assert "TINY" in recon_core("rules", "list", cwd=deployment).stdout


def test_rules_show_prints_the_page_of_a_rule(deployment):
    ran = recon_core("rules", "show", "TINY", cwd=deployment)
    assert ran.returncode == 0
    path = deployment / "plugins" / "rules" / "tiny.py"
    assert (
        ran.stdout
        == f"""\
TINY: Tiny

Finds positions that are tiny.

Severity    warning
Halt        never
Counts      towards total_impact and missing_count
Plugin      rule-tiny (drop-in), {path}

Parameters
    limit (number, minimum 0; default 1)
        Units.

SQL
    when      abs(broker_quantity) < $limit
    impact    0
    detail    {{broker_quantity}} held
"""
    )


def test_rules_show_of_an_unknown_type_suggests_one(deployment):
    ran = recon_core("rules", "show", "TINNY", cwd=deployment)
    assert ran.returncode == 2
    assert ran.stderr == "recon-core: no plugin adds a rule 'TINNY'; did you mean 'TINY'?\n"


def test_start_imports_nothing_heavy():
    code = f"import sys, recon_core.cli, recon_core.host; recon_core.host.load_host(); print(set({HEAVY}) & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"
