"""``recon-core guard``: may we trade? The exit code is the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import click

from recon_core.cli.lines import say
from recon_core.errors import ExitCode
from recon_core.written_times import iso


@click.command()
@click.option("--config", type=click.Path(path_type=Path), default=Path("recon.yaml"), show_default=True, help="Where things are.")
@click.option("--broker", metavar="NAME", help="Ask for this broker only.")
@click.option("--account", metavar="NAME", help="Ask for this account only (the book's name).")
@click.option(
    "--intent", type=click.Choice(["open", "reduce"]), default="open", show_default=True, help="reduce: only to close positions."
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def guard(config: Path, broker: str | None, account: str | None, intent: Literal["open", "reduce"], as_json: bool) -> int:
    """Say whether trading is permitted: by a valid permit, and no halt.

    Exit codes: 0 permitted, 4 halted or no permit, 5 state damaged, 2 usage. Trade on 0, and on nothing else.
    """
    from recon_core.permission import guard as ask

    answer = ask(config, account, broker, intent)
    if as_json:
        until = answer.until and iso(answer.until)
        found = {"permitted": answer.permitted, "until": until, "reason": answer.reason, "damaged": answer.damaged}
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        say(f"{'permitted' if answer.permitted else 'REFUSED'}: {answer.reason}")
    if answer.permitted:
        return ExitCode.CLEAN
    return ExitCode.DAMAGED if answer.damaged else ExitCode.HALTED
