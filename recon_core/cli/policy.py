"""``recon-core policy``: is a policy sound, and what will it do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from recon_core.config.policy import Policy
    from recon_core.host import Host

CONFIG_NAME = "recon.yaml"


@click.group()
def policy() -> None:
    """Prove policies.yaml before a run depends on it."""


@policy.command("check")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--config", type=click.Path(path_type=Path), help=f"The deployment whose plugins count; ./{CONFIG_NAME} where there is one."
)
def check_policy(*, file: Path | None, config: Path | None) -> None:
    """Check FILE, or the policy that recon.yaml names, or ./policies.yaml; exit 0 when it is sound, 2 when it is not.

    Without FILE the deployment is checked, too, but for its secrets, which the machine that reviews a policy need not have.
    """
    found, host = _loaded(file, config)
    for name, rule in found.rules.items():
        if not rule.declared:
            host.check_rule(host.rules[name])
    click.echo(f"{found.path}: ok: {_contents(found)}")
    for warning in found.warnings:
        click.echo(f"warning: {warning}")
    if found.not_listed:
        click.echo(f"installed, but not listed, so not run: {', '.join(found.not_listed)}")


def _loaded(file: Path | None, config: Path | None) -> tuple[Policy, Host]:
    from recon_core.config.load import DEFAULT_POLICY, load_configuration, load_plugins, load_policy
    from recon_core.config.policy import DEFAULT_POLICY_DISPLAY
    from recon_core.host import load_host

    if config is None and Path(CONFIG_NAME).exists():
        config = Path(CONFIG_NAME)
    if config is not None and file is None:
        loaded = load_configuration(config, load_host, environment=None)
        return loaded.policy, loaded.host
    host = load_plugins(config, load_host) if config is not None else load_host()
    if file is None and not Path(DEFAULT_POLICY.name).exists():
        return load_policy(DEFAULT_POLICY, host.rules, display=DEFAULT_POLICY_DISPLAY), host
    return load_policy(file or Path(DEFAULT_POLICY.name), host.rules), host


def _contents(found: Policy) -> str:
    counts = (
        (len(found.rules), "rule"),
        (len(found.escalation), "escalation"),
        (len(found.overrides), "override"),
        (len(found.suppress), "suppression"),
    )
    return ", ".join(
        f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts if count or noun in ("rule", "escalation")
    )
