"""Drop-ins: plugin files that load from a folder without being installed.

``FOLDER/rules/NAME.py`` loads as ``recon_core_drop_ins.rules.NAME``. The parent package is synthetic and the folder is never on
``sys.path``: relative imports, tracebacks and pickling work, and a file named json.py shadows nothing. What runs is always the
text of the file: no cached bytecode is read or written, so the recorded sha256 is that of the code that ran.
"""

from __future__ import annotations

import difflib
import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from recon_core.errors import PluginError
from recon_core.plugin_module import code_sha256

PACKAGE = "recon_core_drop_ins"
FOLDERS = {"brokers": "broker", "rules": "rule", "halts": "halt"}
"""The sub-folders that drop-ins load from, and the kind that each holds."""


@dataclass(frozen=True, slots=True)
class DropIn:
    """One file of the drop-in folder. ``name`` is what an installed plugin of that file would be called."""

    name: str
    module: str
    file: Path
    sha256: str


def find_drop_ins(folder: Path) -> list[DropIn]:
    """The drop-ins of a folder, sorted by name; nothing is run. Files and folders that start with ``_`` are none.

    Raises PluginError where the folder is missing, or holds Python files that nothing would ever load: a rule that is silently
    left out would look like one that finds nothing.
    """
    if not folder.is_dir():
        raise PluginError(f"plugins.drop_ins names {folder}, which is not a folder: create it, or take the setting out")
    try:
        found = [_drop_in(file, part) for part in FOLDERS for file in _python_files(folder / part)]
        _refuse_misplaced(folder)
    except OSError as error:
        raise PluginError(f"plugins.drop_ins: {error.filename or folder} cannot be read: {error.strerror or error}") from error
    return sorted(found, key=lambda drop_in: drop_in.name)


def mount_drop_ins(folder: Path) -> None:
    """Make ``folder`` the one that drop-in modules load from; those of an earlier folder are forgotten."""
    for module in [name for name in sys.modules if name == PACKAGE or name.startswith(PACKAGE + ".")]:
        del sys.modules[module]
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    sys.meta_path.insert(0, _Finder())
    for name, path in ((PACKAGE, folder), *((f"{PACKAGE}.{part}", folder / part) for part in FOLDERS)):
        package = ModuleType(name, "Plugins that load from the drop-in folder of recon.yaml.")
        package.__path__ = [str(path.absolute())]
        package.__package__ = name
        package.__spec__ = ModuleSpec(name, None, is_package=True)
        sys.modules[name] = package
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, package)


def load_drop_in(drop_in: DropIn) -> ModuleType:
    """Run a drop-in of the mounted folder; its module. Raises what the file raises, PluginError where others may write it."""
    refuse_writable_by_others(drop_in.file, drop_in.file.parent, drop_in.file.parent.parent)
    return import_module(drop_in.module)


def refuse_writable_by_others(*places: Path) -> None:
    """Raise PluginError where others than the owner may write one of ``places``, or what the first links to and its folder."""
    if os.name != "posix":
        return
    real = places[0].resolve()
    for place in dict.fromkeys((real, real.parent, *places)):
        mode = place.stat().st_mode
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            who = "everyone" if mode & stat.S_IWOTH else "its group"
            raise PluginError(f"{place} can be written by {who}, who could so decide what halts trading: chmod go-w {place}")


class _SourceOnly(SourceFileLoader):
    """Runs the text of a file that only its owner can write, never cached bytecode."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        refuse_writable_by_others(Path(path), Path(path).parent)
        return self.source_to_code(self.get_data(path), path)


class _Finder(MetaPathFinder):
    """Finds the modules of the synthetic package, siblings that a drop-in imports relatively included."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if path is None or not fullname.startswith(PACKAGE + "."):
            return None
        for folder in path:
            spec = FileFinder(folder, (_SourceOnly, [".py"])).find_spec(fullname)
            if spec is not None:
                return spec
        return None


def _python_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.py") if not file.name.startswith(("_", "."))) if folder.is_dir() else []


def _drop_in(file: Path, part: str) -> DropIn:
    if "." in file.stem:
        raise PluginError(f"drop-in {file}: a module name has no dot; rename it to {file.stem.replace('.', '_')}.py")
    name = f"{FOLDERS[part]}-{file.stem.replace('_', '-')}"
    try:
        digest = code_sha256(file)
    except OSError as error:
        raise PluginError(f"drop-in {file} cannot be read: {error.strerror or error}") from None
    return DropIn(name, f"{PACKAGE}.{part}.{file.stem}", file, digest)


def _refuse_misplaced(folder: Path) -> None:
    *most, last = (f"{part}/" for part in FOLDERS)
    places = f"{', '.join(most)} or {last}"
    for file in _python_files(folder):
        raise PluginError(f"drop-in {file} would never load: move it into {places} beside it")
    for other in sorted(folder.iterdir()):
        if other.name not in FOLDERS and not other.name.startswith(("_", ".")) and _python_files(other):
            close = difflib.get_close_matches(other.name, FOLDERS, n=1)
            hint = f"did you mean {close[0]}/?" if close else f"drop-ins are in {places}"
            raise PluginError(f"drop-ins in {other} would never load: {hint}")
