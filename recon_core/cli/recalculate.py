"""``recon-core recalculate``: the firm's own profit and loss reckoned anew for corrected positions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recon_core.cli.correct import money
from recon_core.cli.lines import say, wrapped
from recon_core.cli.plugins import json_option
from recon_core.cli.stored import by_option, config_option
from recon_core.written_numbers import plain

if TYPE_CHECKING:
    from recon_core.recalculation import Corrected, Recalculated


@click.command()
@click.option("--since", metavar="RUN", help="What was corrected, or taken back, after this run.")
@click.option("--all", "everything", is_flag=True, help="All that was ever corrected.")
@by_option
@json_option
@config_option
def recalculate(*, since: str | None, everything: bool, by: str | None, as_json: bool, config: Path) -> None:
    """Reckon profit and loss anew where the book was corrected: by the program or the SQL that recon.yaml names.

    Without --since or --all, what was corrected or taken back since this was last done. Where recon.yaml has no recalculate, what
    the corrections mean in money is printed, and nothing is done.

    Exit codes: 0 done, or printed; 2 no such run; 3 the program or the database did not do it; 5 state damaged; 75 a run works.
    """
    from datetime import UTC, datetime

    from recon_core.recalculation import as_json as positions_as_json
    from recon_core.recalculation import recalculate as reckon
    from recon_core.state.actor import current_actor

    if since is not None and everything:
        raise click.UsageError("--since and --all exclude each other")
    found = reckon(config, current_actor(by), since=since, everything=everything, clock=lambda: datetime.now(UTC))
    if as_json:
        totals = {currency: total and plain(total) for currency, total in found.totals().items()}
        told = {"how": found.how, "said": found.said, "positions": positions_as_json(found.positions), "totals": totals}
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    for position in found.positions:
        for line in _page(position):
            click.echo(line)
    for sentence in _end(found):
        say(sentence)


def _page(position: Corrected) -> Iterator[str]:
    """The lines of a position."""
    yield position.corrections[0].place
    for each in position.corrections:
        if each.reverted_by:
            said = f"taken back by {each.reverted_by}"
        elif each.reverts:
            said = f"takes back {each.reverts}" + (f": {money(each.pnl)}" if each.pnl else "")
        else:
            said = money(each.pnl) if each.pnl else "its profit is not known"
        yield from wrapped(f"{each.id} {each.kind}, applied {each.applied_at}: {said}")


def _end(found: Recalculated) -> Iterator[str]:
    """What it comes to."""
    if not found.positions:
        yield "nothing was corrected since"
        return
    for currency, total in found.totals().items():
        yield f"together {'unknown' if total is None else plain(total)}{f' {currency}' if currency else ''}"
    if found.how is None:
        yield "printed only: recon.yaml has no recalculate, so that nothing was done"
    else:
        count = len(found.positions)
        yield f"reckoned anew by {found.how}: {count} position{'' if count == 1 else 's'}{f': {found.said}' if found.said else ''}"
