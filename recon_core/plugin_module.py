"""One plugin's module: imported, its hooks found, the classes that they return checked. Every mistake gets its own sentence."""

from __future__ import annotations

import difflib
import hashlib
import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from recon_core import hookspecs
from recon_core.errors import PluginError
from recon_core.regular_file import read_regular

HOOKS = tuple(sorted(name for name, value in vars(hookspecs).items() if hasattr(value, "recon_core_spec")))
REGISTER_HOOKS = tuple(name for name in HOOKS if name.startswith("recon_register_"))
OBSERVER_HOOKS = tuple(name for name in HOOKS if name not in REGISTER_HOOKS)

_SIBLING = re.compile(rb"^\s*(?:from\s+\.(_\w+)\s+import|from\s+\.\s+import\s+(_\w+))", re.MULTILINE)

Base = TypeVar("Base")


def code_sha256(file: Path) -> str:
    """The sha256 of a plugin's file, or, where it imports siblings (``_name.py`` beside it), of the sha256 of all of them by name.

    Raises OSError for one that cannot be read.
    """
    found: dict[str, str] = {}
    waiting = [file]
    while waiting:
        path = waiting.pop()
        raw = read_regular(path)
        found[path.name] = hashlib.sha256(raw).hexdigest()
        names = {next(filter(None, each.groups())).decode() for each in _SIBLING.finditer(raw)}
        siblings = [file.parent / f"{name}.py" for name in sorted(names)]
        waiting += [each for each in siblings if each.name not in found and each.is_file()]
    if len(found) == 1:
        return found[file.name]
    return hashlib.sha256("\n".join(f"{name} {digest}" for name, digest in sorted(found.items())).encode()).hexdigest()


def imported(load: Callable[[], ModuleType], file: Path | None) -> ModuleType:
    """The module that ``load`` imports. Raises PluginError with the cause, and the line of ``file`` that it came through."""
    try:
        return load()
    except PluginError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(f"cannot be imported: {cause_of(error, file)}") from error


def hooks_of(module: ModuleType) -> dict[str, Callable[[], object]]:
    """The module's hooks by hook name. Raises PluginError for every function that looks like one and would never be called."""
    hooks: dict[str, Callable[[], object]] = {}
    problems = []
    for name, value in sorted(vars(module).items()):
        if not inspect.isroutine(value):
            continue
        mark = getattr(value, "recon_core_impl", None)
        if mark is None and not name.startswith("recon_"):
            continue
        hook = (mark or {}).get("specname") or name
        if hook not in HOOKS:
            problems.append(f"{name}() is no hook{did_you_mean(hook, HOOKS)}")
        elif mark is None:
            problems.append(f"{name}() is not marked: write @hookimpl above it (from recon_core import hookimpl)")
        elif mark.get("wrapper") or mark.get("hookwrapper"):
            problems.append(f"{name}() is a hook wrapper; a plugin adds to what others do and cannot change it")
        else:
            hooks[hook] = value
    if problems:
        raise PluginError("\n".join(problems))
    if not hooks:
        raise PluginError(f"has no hook: define one of {', '.join(HOOKS)}, marked with @hookimpl")
    return hooks


def classes_of(hook: Callable[[], object] | None, base: type[Base], check: Callable[[type[Base]], list[str]]) -> list[type[Base]]:
    """What a register hook returns, checked class by class."""
    if hook is None:
        return []
    name = getattr(hook, "__name__", "hook")
    try:
        returned = hook()
    except (Exception, SystemExit) as error:
        raise PluginError(f"{name}() failed: {cause_of(error, None)}") from error
    if not isinstance(returned, (list, tuple)) or not returned:
        raise PluginError(f"{name}() returned {returned!r}; it returns a list of {base.__name__} classes")
    problems = []
    for each in returned:
        if not isinstance(each, type) or not issubclass(each, base) or each is base:
            problems.append(f"{name}() returned {each!r} in its list; it returns a list of {base.__name__} classes")
        else:
            try:
                problems += [f"{each.__name__}: {problem}" for problem in check(each)]
            except Exception as error:  # an attribute of the plugin's own making may do anything when it is looked at
                problems.append(f"{each.__name__}: cannot be read: {cause_of(error, None)}")
    if problems:
        raise PluginError("\n".join(problems))
    return list(returned)


def cause_of(error: BaseException, file: Path | None) -> str:
    """What went wrong in a line, with the line of the plugin's own file that it came through."""
    line, text = None, str(error)
    if isinstance(error, SyntaxError) and file is not None and error.filename == str(file):
        line, text = error.lineno, error.msg
    trace = error.__traceback__
    while trace is not None:
        if file is not None and trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    place = f"line {line}: " if line else ""
    return f"{place}{type(error).__name__}: {' '.join(text.split())}".removesuffix(": ")


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(candidates), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(sorted(candidates)) or 'none'}"
