"""``recon-core plugins new``: what it writes and refuses. test_packaging.py installs what it writes and runs its tests."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import warmed
import yaml
from doc_pages import ROOT, blocks, write_private

from recon_core.config.load import load_configuration
from recon_core.errors import ConfigError
from recon_core.host import load_host
from recon_core.testing.scaffold import LAYERS, TEMPLATES, project_files, words, write_project

SAMPLES = {"broker": "acme-prime", "rule": "OPEN_ORDERS", "halt": "acme-gate"}
HOST = load_host()


def new(folder, *arguments):
    return warmed.command(folder, ("plugins", "new", *arguments), dict(os.environ))


def held(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


@pytest.mark.parametrize("kind", SAMPLES)
def test_project_has_plugin_tests_page_and_ci_and_says_how_to_begin(tmp_path, kind):
    done = new(tmp_path, kind, SAMPLES[kind])
    assert (done.returncode, done.stderr) == (0, "")
    folder = tmp_path / words(kind, SAMPLES[kind])["distribution"]
    assert f"cd {folder.name} && pip install --editable '.[test]' && pytest" in done.stdout
    module = words(kind, SAMPLES[kind])["module"]
    due = {".github/workflows/test.yml", ".gitignore", "LICENSE", "README.md", "pyproject.toml", f"tests/test_{module}.py"}
    due |= {f"src/recon_core_{module}/{name}" for name in ("__init__.py", "py.typed", f"{module}.py")}
    assert due <= set(held(folder))


@pytest.mark.parametrize("kind", SAMPLES)
def test_no_placeholder_is_left_and_no_address_but_examples(kind):
    for path, text in project_files(kind, SAMPLES[kind]):
        assert not [part for part in path.parts if part.startswith("dot_") or part in ("PACKAGE", "NAME")], path
        assert "%%" not in text, path
        addresses = [rest.partition('"')[0].partition("/")[0] for rest in text.split("https://")[1:] + text.split("http://")[1:]]
        assert [each for each in addresses if not each.endswith(".example") and not each.startswith("127.0.0.1:")] == [], path


@pytest.mark.parametrize("kind", SAMPLES)
def test_project_asks_for_the_version_that_wrote_it_or_newer(kind):
    own = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    files = {path.as_posix(): text for path, text in project_files(kind, SAMPLES[kind])}
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert project["dependencies"] == [f"recon-core>={'.'.join(own.split('.')[:2])}"]
    assert project["optional-dependencies"]["test"][-1].startswith("pytest")


def test_project_is_formatted_and_passes_the_linter(tmp_path):
    for kind, name in SAMPLES.items():
        write_project(kind, name, tmp_path, HOST)
    options = ["--isolated", "--line-length", "132", "."]  # as its author has it: in a folder without recon-core
    for command in (["format", "--check"], ["check", "--select", "A,ASYNC,B,C4,DTZ,E,F,I,N,PIE,PT,PTH,RET,SIM,T20,UP,W"]):
        line = [sys.executable, "-m", "ruff", *command, *options]
        done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", SAMPLES)
def test_what_the_page_says_to_write_into_the_configuration_is_understood(tmp_path, kind):
    project = write_project(kind, SAMPLES[kind], tmp_path, HOST)
    plugin = tmp_path / "plugins" / f"{kind}s" / "sample.py"
    plugin.parent.mkdir(parents=True)
    for folder in (plugin.parent, plugin.parent.parent):
        folder.chmod(0o755)
    write_private(plugin, next(project.glob("src/*/[a-z]*.py")).read_text(encoding="utf-8"))
    config, *policies = [each.text for each in blocks(project / "README.md", "yaml")]
    if "brokers:" not in config:
        config += "brokers:\n  prime: {adapter: statement, options: {path: feed.csv}}\n"
    (tmp_path / "recon.yaml").write_text(
        f"version: 1\nbook: {{file: book.csv}}\nplugins: {{drop_ins: plugins}}\n{config}", encoding="utf-8"
    )
    for policy in policies:
        (tmp_path / "policies.yaml").write_text(f"version: 1\n{policy}", encoding="utf-8")
    found = load_configuration(tmp_path / "recon.yaml", load_host, environment=None)
    assert found is not None


@pytest.mark.parametrize(
    ("kind", "given", "name", "module", "class_name", "entry_point"),
    [
        ("broker", "acme-prime", "acme-prime", "acme_prime", "AcmePrime", "broker-acme-prime"),
        ("broker", "x2", "x2", "x2", "X2", "broker-x2"),
        ("rule", "OPEN_ORDERS", "OPEN_ORDERS", "open_orders", "OpenOrders", "rule-open-orders"),
        ("rule", "open-orders", "OPEN_ORDERS", "open_orders", "OpenOrders", "rule-open-orders"),
        ("halt", "acme-gate-2", "acme-gate-2", "acme_gate_2", "AcmeGate2", "halt-acme-gate-2"),
    ],
)
def test_name_has_one_spelling_in_each_place(kind, given, name, module, class_name, entry_point):
    said = words(kind, given)
    assert (said["name"], said["module"], said["class_name"], said["entry_point"]) == (name, module, class_name, entry_point)


@pytest.mark.parametrize(
    ("kind", "name", "reason"),
    [
        ("broker", "Acme", "no name for a broker: lower-case letters, digits and single hyphens, a letter first"),
        ("broker", "ACME_PRIME", "no name for a broker"),
        ("broker", "acme--prime", "no name for a broker"),
        ("broker", "7up", "no name for a broker"),
        ("broker", "../acme", "no name for a broker"),
        ("broker", "acme\n", "no name for a broker"),
        ("halt", "", "no name for a halt"),
        ("halt", "a" * 51, "at most 50 in all"),
        ("rule", "Open_Orders", "such as open-orders or OPEN_ORDERS"),
        ("rule", "OPEN__ORDERS", "such as open-orders or OPEN_ORDERS"),
        ("rule", "RULE", "would be the class Rule, a word that has its meaning already"),
        ("broker", "none", "would be the class None"),
        ("halt", "class", "would be the class Class"),
        ("broker", "statement", "is the name of an installed broker (recon-core 0.1.0): choose another"),
        ("rule", "quantity-mismatch", "'QUANTITY_MISMATCH' is the name of an installed rule"),
        ("halt", "webhook", "is the name of an installed halt"),
    ],
)
def test_name_that_cannot_be_used_is_refused_and_nothing_is_written(tmp_path, kind, name, reason):
    done = new(tmp_path, kind, name)
    assert done.returncode == 2
    assert reason in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert held(tmp_path) == []


@pytest.mark.parametrize("there", ["a folder with a file", "an empty folder", "a file", "a link that leads nowhere"])
def test_nothing_is_written_over(tmp_path, there):
    place = tmp_path / "recon-core-acme-prime"
    if there == "a file":
        place.write_text("mine")
    elif there.startswith("a link"):
        place.symlink_to(tmp_path / "nowhere")
    else:
        place.mkdir()
    if there == "a folder with a file":
        (place / "README.md").write_text("mine")
    before = held(tmp_path)
    done = new(tmp_path, "broker", "acme-prime")
    assert done.returncode == 2
    assert "recon-core-acme-prime is there already, and nothing is written over" in " ".join(done.stderr.split())
    assert held(tmp_path) == before
    assert all(path.read_text() == "mine" for path in tmp_path.rglob("*") if path.is_file())


def test_folder_to_write_into_must_be_there(tmp_path):
    done = new(tmp_path, "broker", "acme-prime", "--into", "missing")
    assert done.returncode == 2
    assert "'missing' does not exist" in done.stderr
    with pytest.raises(ConfigError, match="recon-core-acme-prime cannot be made: No such file or directory"):
        write_project("broker", "acme-prime", tmp_path / "missing", HOST)


def test_project_goes_where_into_says(tmp_path):
    (tmp_path / "work").mkdir()
    assert new(tmp_path, "rule", "open-orders", "--into", "work").returncode == 0
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["recon-core-open-orders"]


def test_project_that_cannot_be_written_whole_is_not_left_in_pieces(tmp_path):
    small = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); "
    program = f"{small}from recon_core.cli import program; sys.argv[0] = 'recon-core'; program()"
    command = [sys.executable, "-B", "-c", program, "plugins", "new", "broker", "acme-prime"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert "recon-core-acme-prime cannot be written: File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", SAMPLES)
def test_workflow_installs_tests_and_shows_the_plugin(kind):
    files = {path.as_posix(): text for path, text in project_files(kind, SAMPLES[kind])}
    steps = yaml.safe_load(files[".github/workflows/test.yml"])["jobs"]["test"]["steps"]
    check = {"broker": "verify acme-prime", "rule": "show OPEN_ORDERS", "halt": "list"}[kind]
    install, test, last = [step["run"] for step in steps if "run" in step]
    assert (install, test) == ('python -m pip install --editable ".[test]"', "python -m pytest")
    assert last.startswith("recon-core ")
    assert last.endswith(check)


def test_every_template_belongs_to_a_kind():
    folders = {path.name for path in TEMPLATES.iterdir() if path.is_dir()}
    assert folders == {layer for layers in LAYERS.values() for layer in layers}
    assert [path for path in TEMPLATES.rglob("*") if path.is_file() and Path(path).suffix != ".tmpl"] == []
