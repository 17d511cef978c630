"""``recon-core schedule``: when runs are due."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from recon_core.cli.run import Time


@click.group()
def schedule() -> None:
    """When runs are due, by recon.yaml."""


@schedule.command("next")
@click.option("--config", type=click.Path(path_type=Path), default=Path("recon.yaml"), show_default=True, help="Where things are.")
@click.option("--count", type=click.IntRange(1, 1000), default=1, show_default=True, help="How many due times.")
@click.option("--after", type=Time(), help="The time after which (default: now).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def next_due_times(*, config: Path, count: int, after: datetime | None, as_json: bool) -> None:
    """The next due time, in the schedule's time zone and in UTC."""
    from recon_core.config.load import load_settings
    from recon_core.errors import ConfigError
    from recon_core.host import load_host
    from recon_core.schedule import next_due

    settings, _ = load_settings(config, load_host, environment=None)
    found = settings.schedule
    if found is None:
        lasting = "permits last until 26 hours after their data"
        raise ConfigError(f"{settings.path} has no schedule: {lasting} (`schedule: {{due: ..., timezone: ...}}`)")
    stamp = after or datetime.now(UTC)
    dues = []
    for _ in range(count):
        stamp = next_due(found, stamp)
        dues.append(stamp)
    if as_json:
        rows = [{"due": f"{due:%Y-%m-%dT%H:%M:%SZ}", "permit_until": f"{due + found.grace:%Y-%m-%dT%H:%M:%SZ}"} for due in dues]
        click.echo(json.dumps({"schedule": str(found), "next": rows}, indent=1))
        return
    for due in dues:
        click.echo(f"{due.astimezone(found.zone):%a %Y-%m-%d %H:%M %Z}   {due:%Y-%m-%dT%H:%M:%SZ}")
