"""``recon-core schema``: the JSON Schemas, for editors and for programs that read the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

CONFIG_NAME = "recon.yaml"


@click.command()
@click.argument("name", type=click.Choice(["policy", "config", "report"]))
@click.option(
    "--config", type=click.Path(path_type=Path), help=f"The deployment whose plugins count; ./{CONFIG_NAME} where there is one."
)
def schema(*, name: str, config: Path | None) -> None:
    """Print the JSON Schema of policies.yaml (policy), of recon.yaml (config) or of the report (report).

    The first two know the options of the plugins that are installed.
    """
    if name == "report":
        from recon_core import report

        click.echo(Path(report.__file__).with_name("report.schema.json").read_text("utf-8").rstrip("\n"))
        return
    from recon_core.config.load import load_plugins
    from recon_core.host import load_host

    if config is None and Path(CONFIG_NAME).exists():
        config = Path(CONFIG_NAME)
    host = load_plugins(config, load_host) if config is not None else load_host()
    if name == "policy":
        from recon_core.config.policy_schema import policy_schema

        found = policy_schema(host.rules)
    else:
        from recon_core.config.config_schema import config_schema

        found = config_schema(host.brokers, host.halts)
    click.echo(json.dumps(found, indent=2, default=_plain))


def _plain(value: Any) -> Any:
    """What plugins may write in a schema and JSON does not know."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"a schema holds {type(value).__name__}, which JSON cannot")
