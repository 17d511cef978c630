"""The way in: recon.yaml and policies.yaml from disk, with the problems of both files in one ConfigError."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

from recon_core.brokers import Broker
from recon_core.config.policy import DEFAULT_POLICY_DISPLAY, Policy
from recon_core.config.reader import Document, read_document
from recon_core.config.settings import MetricsSettings, Settings
from recon_core.errors import ConfigError
from recon_core.halts import HaltAction
from recon_core.rules import Rule

DEFAULT_POLICY = Path(__file__).parent.parent / "policies.yaml"
"""The policy that comes with recon-core: the runbook's."""


class Plugins(Protocol):
    """What the configuration needs of the plugin host."""

    @property
    def brokers(self) -> Mapping[str, type[Broker]]:
        """The installed adapters by name."""

    @property
    def rules(self) -> Mapping[str, type[Rule]]:
        """The installed rules by type."""

    @property
    def halts(self) -> Mapping[str, type[HaltAction]]:
        """The installed halt actions by type."""


Host = TypeVar("Host", bound=Plugins)
HostLoader = Callable[[Path | None, tuple[str, ...]], Host]
"""Loads the plugins: ``(drop_ins folder or None, names of disabled plugins)`` to the host."""


@dataclass(frozen=True, slots=True)
class Configuration(Generic[Host]):
    """Everything that a run is told by files."""

    settings: Settings
    policy: Policy
    host: Host


def load_configuration(
    path: Path | str,
    host_loader: HostLoader[Host],
    *,
    policy: Path | str | None = None,
    environment: Mapping[str, str] | None = os.environ,
    today: date | None = None,
) -> Configuration[Host]:
    """Read recon.yaml at ``path``, load the plugins that it names, and read the policy that it names (or ``policy``).

    Secrets are tried against ``environment``; None leaves them alone. ``today`` (UTC) decides which suppressions have ended.
    Raises ConfigError with the problems of both files, PluginError from the loader.
    """
    deployment = _Deployment(Path(path))
    host = deployment.load_plugins(host_loader)
    named = deployment.policy(policy)
    settings = deployment.settings(host, environment, named.path)
    found = None
    others: list[str] = []
    try:
        if not named.missing:
            found = load_policy(named.path, host.rules, display=named.display, today=today)
    except ConfigError as error:
        others = error.problems
    if settings is not None and found is not None and settings.fx.get(found.base_currency, 1) != 1:
        deployment.problem(f"{found.base_currency} is the base currency of the policy, whose rate is 1", "fx", found.base_currency)
    problems = [*deployment.document.problems.texts(), *others]
    if problems or settings is None or found is None:  # each None has its problems
        raise ConfigError(problems)
    return Configuration(settings, found, host)


def load_settings(
    path: Path | str, host_loader: HostLoader[Host], *, environment: Mapping[str, str] | None = os.environ
) -> tuple[Settings, Host]:
    """Read recon.yaml alone, and load the plugins that it names; raises as ``load_configuration`` does."""
    deployment = _Deployment(Path(path))
    host = deployment.load_plugins(host_loader)
    settings = deployment.settings(host, environment, deployment.policy(None).path)
    if settings is None:
        raise ConfigError(deployment.document.problems.texts())
    return settings, host


def load_policy(
    path: Path | str, rules: Mapping[str, type[Rule]], *, display: str | None = None, today: date | None = None
) -> Policy:
    """Read a policy for the installed ``rules`` (by type). Messages name the file as ``display``; raises ConfigError."""
    from recon_core.config.policy_reader import read_policy

    document = read_document(Path(path), display or str(path))
    policy = read_policy(document, rules, today=today or datetime.now(UTC).date())
    if policy is None:
        raise ConfigError(document.problems.texts())
    return policy


def load_plugins(path: Path | str, host_loader: HostLoader[Host]) -> Host:
    """Load the plugins that recon.yaml names, whatever is wrong with the rest of it; raises ConfigError and PluginError."""
    from recon_core.config.config_schema import plugins_schema
    from recon_core.config.validation import check

    deployment = _Deployment(Path(path))
    check(deployment.document, deployment.root, {"properties": {"plugins": plugins_schema()}})
    if deployment.document.problems:
        raise ConfigError(deployment.document.problems.texts())
    return deployment.load_plugins(host_loader)


def load_metrics(path: Path | str) -> MetricsSettings | None:
    """Where recon.yaml wants its metrics, whatever is wrong with the rest of it; None where it does not say, or not soundly."""
    from recon_core.config.config_schema import STATE_DIR, config_schema
    from recon_core.config.metrics_entry import read_metrics
    from recon_core.config.validation import check, exact

    document = read_document(Path(path), str(path))
    if document.root is None:
        return None
    known = config_schema({}, {})["properties"]
    checked = check(document, document.root, exact({"properties": {name: known[name] for name in ("state_dir", "metrics")}}))
    if not isinstance(checked.value, dict) or "metrics" not in checked.value or not checked.sound("metrics"):
        return None
    folder = Path(path).absolute().parent
    state_dir = checked.value.get("state_dir", STATE_DIR) if checked.sound("state_dir") else STATE_DIR
    return read_metrics(checked.value["metrics"], folder, folder / state_dir)


class _PolicyFile(NamedTuple):
    """Where the policy is, what messages call it, and whether it has been reported as missing."""

    path: Path
    display: str
    missing: bool = False


class _Deployment:
    """recon.yaml in the middle of being read: the plugins that it names are needed to check the rest of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = path.absolute().parent
        self.document: Document = read_document(path, str(path))
        if self.document.root is None:
            raise ConfigError(self.document.problems.texts())
        self.root = self.document.root
        self._drop_ins = self._drop_ins_folder()

    def load_plugins(self, host_loader: HostLoader[Host]) -> Host:
        disabled = self.root.get("plugins", "disabled")
        names = tuple(node.text for node in (disabled.items or [] if disabled else []) if node.text)
        return host_loader(self._drop_ins, names)

    def policy(self, given: Path | str | None) -> _PolicyFile:
        """The policy given, else the one named, else the one beside this file, else the one that comes with recon-core."""
        named = self._text("policy")
        if given is not None:
            return _PolicyFile(Path(given), str(given))
        if named:
            path = self._folder / named
            if not path.exists():
                self.problem(f"no such file: {path}", "policy")
            return _PolicyFile(path, str(self._path.parent / named), missing=not path.exists())
        if os.path.lexists(self._folder / DEFAULT_POLICY.name):  # a dangling link is a policy that is missing
            return _PolicyFile(self._folder / DEFAULT_POLICY.name, str(self._path.parent / DEFAULT_POLICY.name))
        return _PolicyFile(DEFAULT_POLICY, DEFAULT_POLICY_DISPLAY)

    def settings(self, host: Plugins, environment: Mapping[str, str] | None, policy: Path) -> Settings | None:
        from recon_core.config.settings_reader import read_settings

        return read_settings(
            self.document,
            host.brokers,
            host.halts,
            folder=self._folder,
            policy=policy,
            drop_ins=self._drop_ins,
            environment=environment,
        )

    def problem(self, message: str, *path: str) -> None:
        self.document.problems.add(self.root.place_of(path), message, path)

    def _drop_ins_folder(self) -> Path | None:
        name = self._text("plugins", "drop_ins")
        if not name:
            return None
        folder = self._folder / name
        if folder.is_dir():
            return folder
        self.problem(f"no such folder: {folder}", "plugins", "drop_ins")
        return None

    def _text(self, *path: str) -> str | None:
        node = self.root.get(*path)
        return node.text if node is not None else None
