"""``recon-core report``: any recorded run's report again, from the store."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import click

from recon_core.cli.stored import config_option, opened


@click.command()
@click.argument("run_id", metavar="RUN_ID")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, byte for byte as the run did.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file as a page.")
@config_option
def report(*, run_id: str, as_json: bool, html: Path | None, config: Path) -> None:
    """Print the report of a recorded run; `recon-core history` lists them."""
    from recon_core.report import to_html, to_text
    from recon_core.state.files import write_atomically
    from recon_core.state.runs import report_text

    if as_json and html is not None:
        raise click.UsageError("--json prints and --html writes; ask for one of them")
    with opened(config) as store:
        text = report_text(store.database, run_id)
    if as_json:
        click.echo(text, nl=False)
        return
    found = json.loads(text)
    if html is not None:
        write_atomically(html, to_html(found))
        return
    width = shutil.get_terminal_size((100, 24)).columns
    terminal = sys.stdout is not None and sys.stdout.isatty()
    click.echo(to_text(found, width=width, colour=terminal), nl=False, color=terminal)
