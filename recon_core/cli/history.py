"""``recon-core history``: the runs that are recorded, and how each type of break went over them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from recon_core.cli.plugins import json_option, print_table
from recon_core.cli.stored import config_option, opened

STEPS = "▁▂▃▄▅▆▇█"


@click.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many runs, the newest.")
@json_option
@config_option
def history(*, limit: int, as_json: bool, config: Path) -> None:
    """List the recorded runs, newest last, and a line a type of break that shows its count run by run."""
    from recon_core.state.runs import runs

    with opened(config) as store:
        found = runs(store.database, limit=limit)
    lines = [json.loads(run.summary) for run in found]
    if as_json:
        click.echo(json.dumps([{**line, "live": run.live} for run, line in zip(found, lines, strict=True)], indent=2))
        return
    rows = [
        (
            run.run_id, line["as_of"] + ("" if run.live else " (asked)"), run.verdict, str(line["break_count"]),
            str(line["missing_count"]), line["total_impact"] or "unknown", "HALT" if run.halt else "-", str(run.seq),
        )
        for run, line in zip(found, lines, strict=True)
    ]  # fmt: skip
    if not rows:
        click.echo("none")
        return
    print_table(("RUN", "AS OF", "VERDICT", "BREAKS", "MISSING", "IMPACT", "HALTS", "AUDIT"), rows)
    click.echo("")
    print_table(("TYPE", "TREND", "NOW"), trends(lines))


def trends(lines: Sequence[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """By type of break: its name, a bar a run as high as its count (a point where there is none), and the newest count."""
    names = list(dict.fromkeys(name for line in reversed(lines) for name in line["counts"]))
    found = []
    for name in names:
        counts = [line["counts"].get(name) for line in lines]
        highest = max(count or 0 for count in counts)
        bars = "".join("·" if not count else STEPS[-(-count * len(STEPS) // highest) - 1] for count in counts)
        found.append((name, bars, "-" if counts[-1] is None else f"{counts[-1]:,}"))
    return found
