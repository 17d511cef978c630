"""``recon-core snapshot``: keep the book as of the close, for brokers that answer the next morning."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from recon_core.cli.plugins import json_option
from recon_core.cli.run import Time
from recon_core.cli.stored import config_option


@click.command()
@click.option("--as-of", type=Time(), help="The time that the book is of (default: now); it is read as it is now all the same.")
@json_option
@config_option
def snapshot(*, as_of: datetime | None, as_json: bool, config: Path) -> None:
    """Keep the book as it stands, for brokers whose statement of this day comes later.

    `recon-core run --broker NAME` compares such a statement with the snapshot of its own day.
    """
    from recon_core.config.load import load_settings
    from recon_core.host import load_host
    from recon_core.snapshots import FOLDER, take

    settings, _ = load_settings(config, load_host, environment=None)
    kept = take(settings, as_of=as_of, now=datetime.now(UTC))
    path = settings.state_dir / FOLDER / kept.file
    if as_json:
        told = {"as_of": f"{kept.as_of:%Y-%m-%dT%H:%M:%SZ}", "rows": kept.rows, "file": str(path), "sha256": kept.sha256}
        click.echo(json.dumps(told, indent=2))
        return
    click.echo(f"the book as of {kept.as_of:%Y-%m-%d %H:%M:%S} UTC is kept: {kept.rows:,} rows of {kept.source}")
    click.echo(f"{path}  sha256 {kept.sha256}")
