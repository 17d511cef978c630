"""``recon-core halt``: what is halted, and a person's orders to halt, lift and drill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recon_core.cli.lines import say, several, wrapped
from recon_core.cli.plugin_output import stdout_spared
from recon_core.errors import ExitCode
from recon_core.interruption import deferred

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recon_core.orders import Ordered
    from recon_core.state.latch import Halt
    from recon_core.state.permit import Permit
    from recon_core.state.scope import Scope

SHOWN = 3
"""How many reasons of a halt its status prints."""

CONFIG = click.option(
    "--config", type=click.Path(path_type=Path), default=Path("recon.yaml"), show_default=True, help="Where things are."
)
SCOPE = click.option(
    "--scope", type=click.Choice(["firm", "broker", "account"]), help="What is meant (default: by the names given)."
)
BROKER = click.option("--broker", metavar="NAME", help="This broker only.")
ACCOUNT = click.option("--account", metavar="NAME", help="This account only (the book's name).")


def _said(_context: click.Context, parameter: click.Parameter, value: str) -> str:
    """The text without blanks around it; nothing said is not enough."""
    if not value.strip():
        raise click.BadParameter("is empty", param=parameter)
    return value.strip()


REASON = click.option("--reason", required=True, metavar="TEXT", callback=_said, help="Why, for the audit record.")
BY = click.option("--by", required=True, metavar="NAME", callback=_said, help="Who orders it, for the audit record.")


@click.group()
def halt() -> None:
    """The halt latch: while it stands, no guard permits trading in its scope."""


@halt.command()
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(config: Path, as_json: bool) -> int:
    """Print what is halted, and which permits hold. Exit code 4 where something is halted, 5 where the latch is damaged."""
    from recon_core.config.state_place import load_place
    from recon_core.errors import StateError
    from recon_core.state.latch import read_latch
    from recon_core.state.permit import Permit, read_permit

    place = load_place(config)
    latch, trouble = read_latch(place.state_dir), ""
    try:
        permit = read_permit(place.state_dir) or Permit()
    except StateError as error:
        permit, trouble = Permit(), str(error)
    halts = latch.halts if latch else ()
    if as_json:
        found = {
            "mode": place.mode,
            "halted": bool(halts),
            "trouble": (latch.trouble if latch else "") or trouble,
            "halts": [entry.as_dict() for entry in halts],
            "permits": [entry.as_dict() for entry in permit.leases],
            "withheld": [entry.as_dict() for entry in permit.withheld],
        }
        click.echo(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        for line in _page(halts, permit):
            click.echo(line)
        if trouble:
            click.echo(f"no permit: {trouble}")
        if place.mode == "shadow":
            click.echo("halt.mode is shadow: runs only report, and the guard permits nothing")
    if (latch and latch.trouble) or trouble:
        return ExitCode.DAMAGED
    return ExitCode.HALTED if halts else ExitCode.CLEAN


@halt.command("raise")
@CONFIG
@SCOPE
@BROKER
@ACCOUNT
@REASON
@BY
@click.option("--allow", type=click.Choice(["reduce"]), help="Let bots reduce positions under this halt.")
def raise_halt(
    config: Path, scope: str | None, broker: str | None, account: str | None, reason: str, by: str, allow: str | None
) -> int:
    """Halt trading now: the latch, every halt action, the audit record. Exit code 0 when all of it is done, else 5."""
    from recon_core.orders import halt as order
    from recon_core.state.actor import current_actor

    with stdout_spared(), deferred():
        done = order(config, _scope(scope, broker, account), reason, current_actor(by), allow_reduce=allow == "reduce")
    for entry in done.halts:
        say(str(entry))
    return _told(done)


@halt.command()
@CONFIG
@SCOPE
@BROKER
@ACCOUNT
@REASON
@BY
@click.option("--override", is_flag=True, help="Lift without a newer proof; permits trading until the next due time.")
@click.option("--confirm", is_flag=True, help="Confirm, as the second person, what the first one asked for.")
def lift(
    config: Path, scope: str | None, broker: str | None, account: str | None, reason: str, by: str, override: bool, confirm: bool
) -> int:
    """Lift the halts of a scope, against a newer run that proved it and does not halt it.

    Exit codes: 0 lifted, 4 stays halted (it says why), 5 not recorded, or an action not confirmed.
    """
    from recon_core.lifting import Lift
    from recon_core.orders import lift_halt
    from recon_core.state.actor import current_actor

    order = Lift(_scope(scope, broker, account), reason, current_actor(by), override, confirm)
    with stdout_spared(), deferred():
        found, done = lift_halt(config, order)
    if found.awaiting:
        click.echo(f"asked for by {by}; another person confirms within 30 minutes, by the same command with --confirm")
        return ExitCode.HALTED
    for entry in found.halts:
        say(f"lifted: {entry}")
    if not found.halts:
        click.echo("nothing of this scope is halted")
    for entry in found.remaining:
        say(f"still halted: {entry}")
    return _told(done)


@halt.command("drill")
@CONFIG
@BY
def run_drill(config: Path, by: str) -> int:
    """Prove that a halt would stop trading: a halt of the firm marked DRILL, through all actions, taken away again.

    Bots are refused while it lasts. Exit codes: 0 every action confirmed, 5 not.
    """
    from recon_core.orders import drill
    from recon_core.state.actor import current_actor

    with stdout_spared(), deferred():
        said, done = drill(config, current_actor(by))
    say(f"DRILL: the guard {'PERMITTED' if said else 'refused'}: {said.reason}")
    if not done.results:
        say("DRILL: no halt action is configured (halt.actions): bots that do not ask the guard would go on trading")
    code = _told(done, prefix="DRILL: ")
    click.echo("DRILL over: it is lifted" + (", and other halts stand" if done.halts else ""))
    return code


def _page(halts: Sequence[Halt], permit: Permit) -> Iterator[str]:
    """The lines of a status: each halt with its first reasons, then who may trade, and who may not, those alike together."""
    for halt in halts:
        yield from wrapped(halt.headline, indent="")
        for reason in halt.reasons[:SHOWN]:
            yield from wrapped(reason)
        if len(halt.reasons) > SHOWN:
            yield from wrapped(f"and {len(halt.reasons) - SHOWN} more: --json shows all")
    if not halts:
        yield "nothing is halted"
    permits: dict[str, list[Scope]] = {}
    for lease in permit.leases:
        until = f"until {lease.until:%Y-%m-%d %H:%M:%S} UTC, by {lease.override or f'run {lease.run_id}'}"
        permits.setdefault(until, []).append(lease.scope)
    for until, scopes in permits.items():
        yield from wrapped(f"permit of {several(scopes)} {until}", indent="")
    withheld: dict[str, list[Scope]] = {}
    for entry in permit.withheld:
        withheld.setdefault(entry.why, []).append(entry.scope)
    for why, scopes in withheld.items():
        yield from wrapped(f"no permit of {several(scopes)}: {why}", indent="")


def _scope(scope: str | None, broker: str | None, account: str | None) -> Scope:
    """What the names mean, which fits the scope that is said, if one is. Nothing said and nothing named is the firm."""
    from recon_core.state.scope import Scope

    meant = "account" if account is not None else "broker" if broker is not None else "firm"
    if scope is not None and scope != meant:
        raise click.UsageError(f"--scope {scope} and {f'--{meant}' if meant != 'firm' else 'no name'} do not go together")
    return Scope(broker, account)


def _told(done: Ordered, *, prefix: str = "") -> int:
    for result in done.results:
        said = "confirmed" if result.confirmed else "NOT CONFIRMED"
        click.echo(f"{prefix}action {result.name} {said} in {result.seconds:.1f} s: {result.detail}")
    for trouble in done.troubles:
        click.echo(f"recon-core: {trouble}", err=True)
    return ExitCode.CLEAN if done.whole else ExitCode.DAMAGED
