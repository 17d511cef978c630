"""``recon-core audit``: is the chain of audit records whole, and what does it say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recon_core.cli.stored import config_option, opened
from recon_core.errors import StateError

if TYPE_CHECKING:
    from recon_core.state.audit import Head


class Anchor(click.ParamType["Head"]):
    """The number and the hash of a record, SEQ:HASH, as a report, a log or a metric told them."""

    name = "anchor"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Head:
        """The head that was kept; fails for a text that is none."""
        from recon_core.state.audit import Head

        found = re.fullmatch(r"([0-9]{1,18}):([0-9a-f]{64})", str(value))
        if found is None:
            self.fail(f"{value!r} is no SEQ:HASH, such as 41:9f86d0... (64 digits)", param, ctx)
        return Head(int(found[1]), found[2])


@click.group()
def audit() -> None:
    """Prove that the audit records are whole, and hand them over."""


@audit.command("verify")
@click.option(
    "--anchor", "anchors", type=Anchor(), multiple=True, metavar="SEQ:HASH", help="A record as it was told then; may be repeated."
)
@config_option
def verify(*, anchors: tuple[Head, ...], config: Path) -> None:
    """Check the whole chain, that every run's report is the one it tells of, and that it meets the anchors: exit 0, else 5.

    Without an anchor that was kept elsewhere, a tail that was cut off and a chain that was written anew are not noticed.
    """
    from recon_core.state.audit import faults
    from recon_core.state.history import faults as run_faults

    with opened(config) as store:
        store.database.check()
        found = [*faults(store.database, anchors), *run_faults(store.database)]
        if found:
            shown = found[:20] + ([f"... and {len(found) - 20} more"] if len(found) > 20 else [])
            raise StateError("\n".join(f"{store.name}: {fault}" for fault in shown))
        head = store.head()
    met = f", {len(anchors)} anchor{'' if len(anchors) == 1 else 's'} met" if anchors else ", held against no anchor"
    click.echo(f"whole: {head.seq} record{'' if head.seq == 1 else 's'}{met}; head {head}")


@audit.command("export")
@config_option
def export(*, config: Path) -> None:
    """Print every record, a line of JSON each, with its hash; what is hashed is the line without it, see docs/audit.md."""
    from recon_core.state.audit import canonical, records

    with opened(config) as store:
        for record in records(store.database):
            click.echo(canonical(record))
