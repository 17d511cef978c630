"""Finds the plugins, loads them one at a time and says where each came from. A plugin that fails to load stops the run.

Built-in plugins have no private door: like anyone's they are entry points of the group ``recon_core``, one a file. pluggy
registers them; entry points are loaded here, because pluggy's own loader drops a second plugin of the same name in silence and
does not name one that fails to import.
"""

from __future__ import annotations

import copy
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pluggy

from recon_core import class_checks, hookspecs, log
from recon_core.brokers import Broker
from recon_core.drop_ins import find_drop_ins, load_drop_in, mount_drop_ins
from recon_core.errors import PluginError
from recon_core.halts import HaltAction
from recon_core.plugin_module import OBSERVER_HOOKS, cause_of, classes_of, code_sha256, did_you_mean, hooks_of, imported
from recon_core.rules import Rule

GROUP = "recon_core"

_Observer = tuple["Plugin", tuple[str, ...], Callable[..., object]]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of plugin: the hook that returns its classes, what they derive from and the attribute that names each."""

    name: str
    hook: str
    base: type
    attribute: str
    noun: str
    check: Callable[[Any], list[str]]


_KINDS = (
    _Kind("broker", "recon_register_brokers", Broker, "name", "adapter", class_checks.broker_problems),
    _Kind("rule", "recon_register_rules", Rule, "type", "break type", class_checks.rule_problems),
    _Kind("halt", "recon_register_halt_actions", HaltAction, "type", "action type", class_checks.halt_problems),
)


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plugin as it is installed: what it adds, and the file that says so.

    ``kind`` is broker, rule, halt or observer (``broker+rule`` where it adds both), ``types`` the adapter names, break types and
    action types that it adds, ``origin`` where it came from ("recon-core 0.1.0", "distribution X 1.2" or "drop-in").
    ``version`` is its distribution's, of a drop-in its ``__version__`` where it has one. ``sha256`` is of its code. A disabled
    plugin is never imported, so that its ``types`` are not known.
    """

    name: str
    kind: str
    types: tuple[str, ...]
    version: str
    origin: str
    file: Path | None
    sha256: str

    def __str__(self) -> str:
        return f"plugin {self.name} ({self.origin.removeprefix('distribution ')}, {self.file or 'file unknown'})"


@dataclass(slots=True)
class Host:
    """The plugins of this process: ``rules`` by break type, ``brokers`` by adapter name, ``halts`` by action type, all sorted.

    ``load_host`` makes one.
    """

    rules: Mapping[str, type[Rule]]
    brokers: Mapping[str, type[Broker]]
    halts: Mapping[str, type[HaltAction]]
    plugins: Sequence[Plugin]
    disabled: Sequence[Plugin] = ()
    observer_failures: Counter[str] = field(default_factory=Counter)
    observers: Mapping[str, Sequence[_Observer]] = field(default_factory=dict)
    owners: Mapping[tuple[str, str], Plugin] = field(default_factory=dict)

    def plugin_of(self, name: str, kind: str | None = None) -> Plugin:
        """The plugin that adds a break type, adapter name or action type, of a ``kind`` where several share it. Raises KeyError."""
        for each in (kind,) if kind else [known.name for known in _KINDS]:
            if (each, name) in self.owners:
                return self.owners[each, name]
        raise KeyError(name)

    def notify(self, hook_name: str, **arguments: Any) -> None:
        """Tell every observer, in the order of plugin names. Each gets copies: none can change a decision.

        What an observer raises is logged and counted in ``observer_failures`` by plugin name, and changes nothing.
        """
        if hook_name not in OBSERVER_HOOKS:
            raise ValueError(f"{hook_name} is no observer hook; there are {', '.join(OBSERVER_HOOKS)}")
        for plugin, names, observe in self.observers.get(hook_name, ()):
            told = {name: copy.deepcopy(arguments[name]) for name in names}
            try:
                observe(**told)
            except (Exception, SystemExit) as error:
                self.observer_failures[plugin.name] += 1
                log.error(f"{plugin}: {hook_name} failed: {cause_of(error, plugin.file)}; the run goes on")

    def check_rule(self, rule: type[Rule]) -> None:
        """Raise PluginError unless the SQL and the detail of a rule can be meant: syntax, columns, types, parameters."""
        problems = class_checks.expression_problems(rule)
        if problems:
            source = str(self.plugin_of(rule.type, "rule")) if rule.type in self.rules else "policy"
            raise PluginError("\n".join(f"{source}: {rule.type}.{problem}" for problem in problems))

    def check(self) -> None:
        """Check the expressions of all rules; one PluginError names every mistake. Costs a parse of each: not for every run."""
        problems: list[str] = []
        for rule in self.rules.values():
            try:
                self.check_rule(rule)
            except PluginError as error:
                problems.append(str(error))
        if problems:
            raise PluginError("\n".join(problems))


def load_host(drop_ins: Path | None = None, disabled: Sequence[str] = ()) -> Host:
    """Load every installed plugin and every drop-in of the folder, but those whose names are in ``disabled``.

    A drop-in that is the same file as an installed plugin, or has the same bytes, is that plugin and is not loaded twice.
    What plugins print as they load goes to stderr. Raises PluginError with a line for each mistake of any plugin. Expressions
    are not checked here: see ``Host.check``.
    """
    with redirect_stdout(sys.stderr):
        return _load(drop_ins, disabled)


def _load(drop_ins: Path | None, disabled: Sequence[str]) -> Host:
    assembly = _Assembly()
    candidates = assembly.installed()
    if drop_ins is not None:
        candidates += assembly.dropped_in(drop_ins, candidates)
    names = [candidate.plugin.name for candidate in candidates]
    for name in disabled:
        if name not in names:
            assembly.problems.append(f"plugins.disabled names {name!r}, which is no plugin{did_you_mean(name, names)}")
    for candidate in sorted(candidates, key=lambda candidate: candidate.plugin.name):
        if candidate.plugin.name not in disabled:
            assembly.add(candidate)
    return assembly.host([candidate.plugin for candidate in candidates if candidate.plugin.name in disabled])


@dataclass(frozen=True, slots=True)
class _Candidate:
    plugin: Plugin
    load: Callable[[], ModuleType]


class _Assembly:
    """Collects what plugins add, and every mistake on the way, so that all are told at once."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(GROUP)
        self.manager.add_hookspecs(hookspecs)
        self.problems: list[str] = []
        self.plugins: dict[str, Plugin] = {}
        self.claims: dict[tuple[str, str], tuple[Any, Plugin]] = {}

    def installed(self) -> list[_Candidate]:
        candidates: dict[str, _Candidate] = {}
        names: dict[int, tuple[str, str]] = {}  # reading a distribution's metadata costs a millisecond; one has many plugins
        for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
            if id(entry.dist) not in names:
                names[id(entry.dist)] = (entry.dist.name, entry.dist.version) if entry.dist else ("unknown", "unknown")
            plugin = _installed_plugin(entry, *names[id(entry.dist)])
            if entry.name in candidates:
                self.problems.append(
                    f"two plugins are named {entry.name}: {candidates[entry.name].plugin} and {plugin}; uninstall one"
                )
            else:
                candidates[entry.name] = _Candidate(plugin, partial(_entry_module, entry))
        return list(candidates.values())

    def dropped_in(self, folder: Path, installed: Sequence[_Candidate]) -> list[_Candidate]:
        try:
            found = find_drop_ins(folder)
        except PluginError as error:
            self.problems.append(str(error))
            return []
        files = {candidate.plugin.file.resolve() for candidate in installed if candidate.plugin.file}
        digests = {candidate.plugin.sha256 for candidate in installed}
        names = {candidate.plugin.name: candidate.plugin for candidate in installed}
        candidates = []
        mount_drop_ins(folder)
        for drop_in in found:
            plugin = Plugin(drop_in.name, "", (), "", "drop-in", drop_in.file, drop_in.sha256)
            if drop_in.file.resolve() in files or drop_in.sha256 in digests:
                continue
            if drop_in.name in names:
                self.problems.append(
                    f"two plugins are named {drop_in.name}, and they differ: {names[drop_in.name]} and {plugin}; "
                    f"rename the drop-in (to replace the installed one, also list it in plugins.disabled)"
                )
            else:
                candidates.append(_Candidate(plugin, partial(load_drop_in, drop_in)))
        return candidates

    def add(self, candidate: _Candidate) -> None:
        plugin = candidate.plugin
        try:
            module = imported(candidate.load, plugin.file)
            plugin = _loaded(plugin, module)
            hooks = hooks_of(module)
            self._register(hooks, plugin.name)
            found = [(kind, each) for kind in _KINDS for each in classes_of(hooks.get(kind.hook), kind.base, kind.check)]
        except PluginError as error:
            self.problems += [f"{plugin}: {line}" for line in str(error).splitlines()]
            return
        kinds = dict.fromkeys(kind.name for kind, _ in found) or ("observer",)
        types = tuple(sorted(getattr(each, kind.attribute) for kind, each in found))
        plugin = replace(plugin, kind="+".join(kinds), types=types)
        self.plugins[plugin.name] = plugin
        for kind, each in found:
            self._claim(kind, each, plugin)

    def host(self, disabled: Sequence[Plugin]) -> Host:
        if self.problems:
            raise PluginError("\n".join(self.problems))
        self.manager.check_pending()
        return Host(
            rules=self._of("rule"),
            brokers=self._of("broker"),
            halts=self._of("halt"),
            plugins=[self.plugins[name] for name in sorted(self.plugins)],
            disabled=sorted(disabled, key=lambda plugin: plugin.name),
            observers={name: self._observers(name) for name in OBSERVER_HOOKS},
            owners={claim: plugin for claim, (_, plugin) in self.claims.items()},
        )

    def _of(self, kind: str) -> dict[str, Any]:
        return {name: owner for (each, name), (owner, _) in sorted(self.claims.items(), key=lambda item: item[0]) if each == kind}

    def _register(self, hooks: Mapping[str, Callable[[], object]], name: str) -> None:
        plugin = SimpleNamespace(**hooks)  # not the module: pluggy looks at every name of what it is given
        try:
            self.manager.register(plugin, name)
        except (ValueError, pluggy.PluginValidationError) as error:
            other = self.manager.get_name(plugin)
            if other is not None and other != name:
                raise PluginError(
                    f"its module is already installed as plugin {other}; take one of the two entry points out"
                ) from error
            raise PluginError(" ".join(str(error).split())) from error

    def _claim(self, kind: _Kind, owner: type, plugin: Plugin) -> None:
        name, noun = getattr(owner, kind.attribute), kind.noun
        if (kind.name, name) in self.claims:
            other = self.claims[kind.name, name][1]
            twice = f"twice by {plugin}" if other is plugin else f"by {other} and by {plugin}"
            self.problems.append(f"{noun} {name} is registered {twice}; list one plugin in plugins.disabled, or rename its {noun}")
        self.claims.setdefault((kind.name, name), (owner, plugin))

    def _observers(self, hook: str) -> list[_Observer]:
        implementations = getattr(self.manager.hook, hook).get_hookimpls()
        calls = [(self.plugins[each.plugin_name], tuple(each.argnames), each.function) for each in implementations]
        return sorted(calls, key=lambda call: call[0].name)


def _installed_plugin(entry: EntryPoint, distribution: str, version: str) -> Plugin:
    """An entry point before anything of it runs (but the packages that its module is in, which must be found)."""
    origin = f"{distribution} {version}" if distribution == "recon-core" else f"distribution {distribution} {version}"
    try:
        spec = find_spec(entry.value)
        file = Path(spec.origin) if spec and spec.has_location and spec.origin else None
        digest = code_sha256(file) if file else ""
    except (Exception, SystemExit):  # told with its cause when the plugin is loaded; a disabled one need not be loadable
        file, digest = None, ""
    return Plugin(entry.name, "", (), version, origin, file, digest)


def _entry_module(entry: EntryPoint) -> ModuleType:
    if ":" in entry.value:
        raise PluginError(f"its entry point is {entry.value!r}; it must be a module, without ':' and a name in it")
    return import_module(entry.value)


def _loaded(plugin: Plugin, module: ModuleType) -> Plugin:
    """The plugin as loaded: what only running its module tells."""
    if plugin.file is None:
        raise PluginError("its module has no file of its own, so that nobody could say later what ran")
    version = plugin.version or str(getattr(module, "__version__", ""))
    return replace(plugin, version=version)
