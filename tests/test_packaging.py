"""The project as it is installed: wheel, source archive, editable, beside a distribution of another firm, with drop-ins."""

import ast
import json
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest

from recon_core.host import load_host
from recon_core.testing.scaffold import write_project

ROOT = Path(__file__).parent.parent
ACME = ROOT / "examples" / "recon-core-acme"
CCXT = ROOT / "packages" / "recon-core-ccxt"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BUILT_IN = PROJECT["project"]["entry-points"]["recon_core"]
NEW = {"broker": "acme-prime", "rule": "OPEN_ORDERS", "halt": "acme-gate"}
SHIPPED = ("recon_core", "plugins", "policies.yaml", "pyproject.toml", "README.md", "LICENSE")


def python(*arguments, executable=sys.executable, **options):
    ran = subprocess.run([str(executable), *map(str, arguments)], capture_output=True, text=True, check=False, **options)
    assert ran.returncode == 0, f"{' '.join(map(str, arguments))}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


def copied(source, target, names):
    """The files of a source tree that belong to it, without what earlier builds or runs left there."""
    target.mkdir()
    for name in names:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source / name, target / name)
    return target


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    return copied(ROOT, tmp_path_factory.mktemp("source") / "recon-core", SHIPPED)


@pytest.fixture(scope="session")
def wheel(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    python("-m", "build", "--no-isolation", "--wheel", "--outdir", folder, source)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def acme_wheel(tmp_path_factory):
    copy = copied(ACME, tmp_path_factory.mktemp("acme") / "recon-core-acme", ("src", "pyproject.toml", "README.md"))
    folder = tmp_path_factory.mktemp("acme-wheel")
    python("-m", "build", "--no-isolation", "--wheel", "--outdir", folder, copy)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def libraries(tmp_path_factory):
    """The libraries of this environment without recon-core itself, so that what a test installs is all that there is of it."""
    folder = tmp_path_factory.mktemp("libraries")
    for site in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(site).iterdir():
            if not entry.name.lower().startswith(("recon", "__editable__")):
                (folder / entry.name).symlink_to(entry)
    return folder


class Environment:
    """A virtual environment into which distributions are really installed, from files alone."""

    def __init__(self, folder, libraries):
        venv.create(folder, with_pip=False, symlinks=True)
        self.bin = folder / "bin"
        self.site = next(folder.glob("lib/python*/site-packages"))
        (self.site / "libraries.pth").write_text(f"{libraries}\n")

    def install(self, *what):
        options = ("install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check")
        python("-m", "pip", "--python", self.bin / "python", *options, *what)

    def plugins(self, *arguments, cwd=None):
        listed = python("plugins", "list", "--json", *arguments, executable=self.bin / "recon-core", cwd=cwd or self.bin)
        return {plugin["name"]: plugin for plugin in json.loads(listed)}


@pytest.fixture
def environment(tmp_path, libraries):
    return Environment(tmp_path / "environment", libraries)


def test_every_plugin_file_is_an_entry_point_of_its_name():
    files = {
        f"{path.parent.name.removesuffix('s')}-{path.stem.replace('_', '-')}": f"recon_core_plugins.{path.parent.name}.{path.stem}"
        for path in ROOT.glob("plugins/*/*.py")
        if not path.name.startswith("_")
    }
    assert files == BUILT_IN


def test_every_package_is_shipped():
    folders = {"recon_core": ROOT / "recon_core", "recon_core_plugins": ROOT / "plugins"}
    packages = {
        ".".join((name, *path.parent.relative_to(folder).parts))
        for name, folder in folders.items()
        for path in folder.rglob("__init__.py")
    }
    assert sorted(packages) == sorted(PROJECT["tool"]["setuptools"]["packages"])


def test_core_never_imports_the_plugins():
    for path in ROOT.glob("recon_core/**/*.py"):
        assert not [name for name in imports(path) if name.startswith("recon_core_plugins")], path


@pytest.mark.parametrize("path", sorted(ROOT.glob("plugins/*/*.py")), ids=lambda path: path.stem)
def test_plugin_imports_at_its_top_only_public_names_and_the_standard_library(path):
    for name in imports(path, top=True):
        package = name.partition(".")[0]
        assert name == "recon_core" or package in sys.stdlib_module_names or name.startswith("."), f"{path} imports {name}"


def imports(path, *, top=False):
    """The modules that a file imports, at its top only or anywhere; what only a type checker sees does not count."""
    tree = ast.parse(path.read_text())
    checked = {child for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
               for child in ast.walk(node)}  # fmt: skip
    for node in tree.body if top else ast.walk(tree):
        if node in checked:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


@pytest.mark.parametrize("folder", [ROOT, CCXT], ids=lambda folder: folder.name)
def test_requirements_are_pinned_with_hashes_and_record_no_address(folder):
    lines = (folder / "constraints.txt").read_text().splitlines()
    pinned = [line for line in lines if line[:1].isalnum()]
    assert pinned
    assert [line for line in pinned if "==" not in line.split(";")[0]] == []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line in pinned:
            assert following.strip().startswith("--hash=sha256:"), line
    assert [line for line in lines if "://" in line or line.startswith("-")] == []


@pytest.mark.parametrize(("folder", "extra"), [(ROOT, "dev"), (CCXT, "test")], ids=["recon-core", "recon-core-ccxt"])
def test_every_requirement_is_pinned(folder, extra):
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    wanted = [*PROJECT["project"]["dependencies"], *project["dependencies"], *project["optional-dependencies"][extra]]
    names = {canonical(line) for line in wanted} - {"recon-core"}
    pinned = {canonical(line) for line in (folder / "constraints.txt").read_text().splitlines() if line[:1].isalnum()}
    assert names <= pinned, f"not in constraints.txt (make lock): {sorted(names - pinned)}"


def canonical(requirement):
    name = requirement
    for separator in "[<>=!~; ":
        name = name.partition(separator)[0]
    return name.lower().replace("_", "-")


def test_wheel_installs_with_its_built_in_plugins(wheel, environment):
    environment.install(wheel)
    plugins = environment.plugins()
    assert set(plugins) == set(BUILT_IN)
    assert {plugin["origin"] for plugin in plugins.values()} == {f"recon-core {PROJECT['project']['version']}"}
    assert all(Path(plugin["file"]).is_relative_to(environment.site / "recon_core_plugins") for plugin in plugins.values())
    assert not (environment.site / "plugins").exists()


def test_wheel_holds_the_files_that_are_no_code(wheel, environment):
    environment.install(wheel)
    templates = [path.relative_to(ROOT / "recon_core") for path in (ROOT / "recon_core").rglob("*.tmpl")]
    assert templates
    for name in ("policies.yaml", "py.typed", *templates):
        installed, written = environment.site / "recon_core" / name, ROOT / "recon_core" / name
        assert installed.read_bytes() == written.read_bytes()


@pytest.mark.filterwarnings("ignore:Python 3.14 will, by default, filter")
def test_source_archive_builds_the_same_wheel(source, wheel, tmp_path):
    python("-m", "build", "--no-isolation", "--sdist", "--outdir", tmp_path, source)
    shutil.unpack_archive(next(tmp_path.glob("*.tar.gz")), tmp_path / "unpacked")
    unpacked = next((tmp_path / "unpacked").iterdir())
    python("-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path, unpacked)
    assert contents(next(tmp_path.glob("*.whl"))) == contents(wheel)


def contents(wheel):
    import zipfile

    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("RECORD")}


def test_edit_of_a_plugin_is_seen_in_an_editable_install(tmp_path, environment):
    tree = copied(ROOT, tmp_path / "recon-core", SHIPPED)
    environment.install("--editable", tree)
    before = environment.plugins()["rule-quantity-mismatch"]
    path = tree / "plugins" / "rules" / "quantity_mismatch.py"
    assert before["file"] == str(path)
    path.write_text(path.read_text().replace('"QUANTITY_MISMATCH"', '"QUANTITIES_DIFFER"'))
    after = environment.plugins()["rule-quantity-mismatch"]
    assert (before["types"], after["types"]) == (["QUANTITY_MISMATCH"], ["QUANTITIES_DIFFER"])
    assert before["sha256"] != after["sha256"]


def test_drop_in_folder_that_is_the_source_of_an_editable_install_adds_nothing(tmp_path, environment):
    tree = copied(ROOT, tmp_path / "recon-core", SHIPPED)
    environment.install("--editable", tree)
    (tree / "recon.yaml").write_text("version: 1\nplugins: {drop_ins: plugins}\n")
    assert set(environment.plugins(cwd=tree)) == set(BUILT_IN)


def test_distribution_of_another_firm_and_a_drop_in_install_beside_it(wheel, acme_wheel, environment, tmp_path):
    environment.install(wheel, acme_wheel)
    drop_in = tmp_path / "deployment" / "plugins" / "rules" / "house_limit.py"
    drop_in.parent.mkdir(parents=True)
    text = (ACME / "src" / "recon_core_acme" / "concentration_limit.py").read_text()
    drop_in.write_text(text.replace("CONCENTRATION_LIMIT", "HOUSE_LIMIT"))
    for path in (drop_in, drop_in.parent, drop_in.parent.parent):
        path.chmod(0o755)
    config = tmp_path / "deployment" / "recon.yaml"
    config.write_text("version: 1\nplugins: {drop_ins: plugins}\n")
    plugins = environment.plugins("--config", config)
    assert set(plugins) == {*BUILT_IN, "broker-acme-prime", "rule-concentration-limit", "rule-house-limit"}
    prime, limit, house = (plugins[name] for name in ("broker-acme-prime", "rule-concentration-limit", "rule-house-limit"))
    assert (prime["kind"], prime["types"], prime["version"]) == ("broker", ["acme-prime"], "1.2.0")
    assert (limit["kind"], limit["types"], limit["origin"]) == (
        "rule",
        ["CONCENTRATION_LIMIT"],
        "distribution recon-core-acme 1.2.0",
    )
    assert (house["types"], house["origin"], house["file"]) == (["HOUSE_LIMIT"], "drop-in", str(drop_in))


def test_example_project_passes_its_own_tests_as_installed(wheel, acme_wheel, environment, tmp_path):
    environment.install(wheel, acme_wheel)
    shutil.copytree(ACME / "tests", tmp_path / "tests")
    ran = python(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path / "tests", executable=environment.bin / "python", cwd=tmp_path
    )
    assert "passed" in ran


@pytest.fixture(scope="module")
def new_plugins(wheel, libraries, tmp_path_factory):
    """A project of each kind as ``recon-core plugins new`` writes it, installed beside the program, all in one environment."""
    folder = tmp_path_factory.mktemp("new-plugins")
    host = load_host()
    projects = {name: write_project(kind, name, folder, host) for kind, name in NEW.items()}
    environment = Environment(folder / "environment", libraries)
    environment.install(wheel, *(option for project in projects.values() for option in ("--editable", f"{project}[test]")))
    return environment, projects


def test_new_plugins_are_listed(new_plugins):
    environment, projects = new_plugins
    plugins = environment.plugins()
    assert set(plugins) == {*BUILT_IN, "broker-acme-prime", "rule-open-orders", "halt-acme-gate"}
    for kind, name in NEW.items():
        plugin = plugins[f"{kind}-{name.lower().replace('_', '-')}"]
        assert (plugin["kind"], plugin["types"], plugin["version"]) == (kind, [name], "0.1.0")
        assert Path(plugin["file"]).is_relative_to(projects[name] / "src")


@pytest.mark.parametrize("kind", NEW)
def test_new_plugin_passes_its_own_tests(new_plugins, kind):
    environment, projects = new_plugins
    options = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
    ran = python(*options, executable=environment.bin / "python", cwd=projects[NEW[kind]])
    assert " passed" in ran
    assert "skipped" not in ran


def test_new_adapter_is_verified_and_new_rule_is_shown(new_plugins):
    environment, projects = new_plugins
    program = {"executable": environment.bin / "recon-core", "cwd": projects["acme-prime"]}
    ran = python("plugins", "verify", "acme-prime", "--only", "undistorted", "--only", "total-mismatch", **program)
    assert " 0 failed" in ran
    assert "What it looks for" in python("rules", "show", "OPEN_ORDERS", **program)
