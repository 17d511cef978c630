"""A plugin project, written whole: the plugin, its tests, its documentation, its CI, so that its author begins with what passes.

``templates/`` holds the files: those of each folder in LAYERS, one over the other. ``%%{word}`` in a text stands for what
``words`` says; in a path PACKAGE, MODULE and NAME do, and ``dot_`` begins a name that begins with a dot.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from keyword import iskeyword
from pathlib import Path
from string import Template

import recon_core
from recon_core.errors import ConfigError
from recon_core.host import Host

TEMPLATES = Path(__file__).parent / "templates"
SUFFIX = ".tmpl"
LAYERS: Mapping[str, tuple[str, ...]] = {
    "broker": ("every", "network", "broker"),
    "rule": ("every", "rule"),
    "halt": ("every", "network", "halt"),
}
"""Kinds of plugins, and the folders of templates that make a project of each."""

MOST_LETTERS = 50
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TYPE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_OWN_WORDS = frozenset([*recon_core.__all__, "Answer", "Mapping"])  # what the templates import


class _Text(Template):
    """A template whose mark stands in no Python, SQL, YAML or shell."""

    delimiter = "%%"


def words(kind: str, name: str) -> dict[str, str]:
    """What the templates say for a plugin: its name in every spelling. Raises ConfigError for a name that cannot be used."""
    stem = name.lower().replace("_", "-") if kind == "rule" and _TYPE.fullmatch(name) else name
    if not _NAME.fullmatch(stem) or len(stem) > MOST_LETTERS:
        such = "such as open-orders or OPEN_ORDERS" if kind == "rule" else "such as acme-prime"
        raise ConfigError(
            f"{name!r} is no name for a {kind}: lower-case letters, digits and single hyphens, a letter first,"
            f" at most {MOST_LETTERS} in all, {such}"
        )
    module, class_name = stem.replace("-", "_"), "".join(part.capitalize() for part in stem.split("-"))
    if iskeyword(module) or iskeyword(class_name) or class_name in _OWN_WORDS:
        raise ConfigError(f"{name!r} would be the class {class_name}, a word that has its meaning already: choose a longer name")
    title = stem.replace("-", " ").capitalize() if kind == "rule" else stem.replace("-", " ").title()
    own = module.upper() if kind == "rule" else stem
    check = {
        "broker": f"recon-core plugins verify {own}",
        "rule": f"recon-core rules show {own}",
        "halt": "recon-core plugins list",
    }
    description = {
        "broker": f"A broker adapter for recon-core: positions at {title}.",
        "rule": f"A rule for recon-core: {own}.",
        "halt": f"A halt action for recon-core: {title}.",
    }
    return {
        "kind": kind,
        "name": own,
        "title": title,
        "description": description[kind],
        "distribution": f"recon-core-{stem}",
        "package": f"recon_core_{module}",
        "module": module,
        "class_name": class_name,
        "variable": module.upper(),
        "entry_point": f"{kind}-{stem}",
        "check": check[kind],
        "recon_core": ".".join(version("recon-core").split(".")[:2]),
    }


def project_files(kind: str, name: str) -> Iterator[tuple[Path, str]]:
    """The files of a plugin project: each its path below the project's folder, and its text."""
    said = words(kind, name)
    for layer in LAYERS[kind]:
        folder = TEMPLATES / layer
        for template in sorted(path for path in folder.rglob(f"*{SUFFIX}") if path.is_file()):
            path = template.relative_to(folder).as_posix().removesuffix(SUFFIX)
            for word in ("PACKAGE", "MODULE", "NAME"):
                path = path.replace(word, said[word.lower()])
            parts = [re.sub("^dot_", ".", part) for part in path.split("/")]
            yield Path(*parts), _Text(template.read_text(encoding="utf-8")).substitute(said)


def write_project(kind: str, name: str, into: Path, host: Host) -> Path:
    """Write the project of a new plugin into a folder of its own below ``into``; that folder.

    Raises ConfigError for a name that cannot be used or that a plugin of ``host`` has, and where the folder is there already.
    """
    said = words(kind, name)
    known = {"broker": host.brokers, "rule": host.rules, "halt": host.halts}[kind]
    if said["name"] in known:
        origin = host.plugin_of(said["name"], kind).origin
        raise ConfigError(f"{said['name']!r} is the name of an installed {kind} ({origin}): choose another")
    project = into / said["distribution"]
    try:
        project.mkdir()
    except FileExistsError:
        raise ConfigError(
            f"{project} is there already, and nothing is written over: choose another name, or another --into"
        ) from None
    except OSError as error:
        raise ConfigError(f"{project} cannot be made: {error.strerror or error}") from None
    try:
        for path, text in project_files(kind, name):
            (project / path).parent.mkdir(parents=True, exist_ok=True)
            (project / path).write_text(text, encoding="utf-8")
    except OSError as error:
        shutil.rmtree(project, ignore_errors=True)  # it was made a moment ago, by this call
        raise ConfigError(f"{project} cannot be written: {error.strerror or error}") from None
    return project
