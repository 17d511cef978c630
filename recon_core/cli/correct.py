"""``recon-core correct``: the book corrected by what the newest runs propose, and corrections taken back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recon_core.cli.lines import say, wrapped
from recon_core.cli.stored import by_option, config_option
from recon_core.errors import ExitCode, NotRecordedError, ReconError, StateError

if TYPE_CHECKING:
    from recon_core.applying import Done
    from recon_core.corrections import Desk
    from recon_core.proposals import Offer
    from recon_core.state.corrections import Correction

_SHOWN = ("quantity", "avg_price", "currency", "multiplier", "opened_at")


@click.command()
@click.argument("names", metavar="[ID]...", nargs=-1)
@click.option("--all-explained", is_flag=True, help="All that are explained without a doubt.")
@click.option("--approve", metavar="CORRECTION", help="Approve, as another person, what somebody asked for; it is made then.")
@click.option("--revert", metavar="CORRECTION", help="Take back one that was applied, where the row is still as it left it.")
@by_option
@click.option("--reason", metavar="TEXT", help="Why, for the audit record.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs; changes nothing without --yes.")
@config_option
def correct(
    *,
    names: tuple[str, ...],
    all_explained: bool,
    approve: str | None,
    revert: str | None,
    by: str | None,
    reason: str | None,
    yes: bool,
    as_json: bool,
    config: Path,
) -> int:
    """Correct the book where a run explained a break: show what it means in money and the SQL, ask, change one row.

    ID is a break or a correction, or the beginning of one. A row is changed only while it is as it was reconciled. Where recon.yaml
    has no book.corrections, the SQL is printed for another system, and nothing is changed.

    Exit codes: 0 applied, or printed; 2 not to be corrected so (it says why); 3 not applied: the row moved, the database refused,
    nobody said yes, or another person must approve it; 5 state damaged, or a correction in doubt; 75 a run is at work.
    """
    from recon_core.corrections import opened
    from recon_core.state.actor import current_actor

    if sum(map(bool, (names, all_explained, approve, revert))) != 1:
        raise click.UsageError("name breaks or corrections, or one of --all-explained, --approve and --revert")
    actor = current_actor(by)
    with opened(config, actor, locked=True) as desk:
        settled = desk.settle()
    if not as_json:
        _tell(_certain(settled))
    _raise_doubts(settled)
    with opened(config, actor, locked=False) as desk:
        offers = _offers(desk, names, approve=approve, revert=revert)
        writes = desk.writes
    done: list[Done] = []
    since: list[Done] = []
    trouble: ReconError | None = None
    if not as_json:
        _show(offers, writes=writes)
    if writes and offers and (yes or (not as_json and _agreed(len(offers)))):
        with opened(config, actor, locked=True) as desk:
            try:
                since = desk.settle()  # what another process began while somebody was asked here
                settled += since
                _raise_doubts(since)
                for offer in offers:
                    done.append(_made(desk, offer.correction, approve=approve, reason=reason))
            except ReconError as error:  # what was made before it is told all the same
                trouble = error
    if as_json:
        click.echo(json.dumps(_as_json(settled, offers, done), indent=2, ensure_ascii=False))
    else:
        _tell([*_certain(since), *done])
    if trouble:
        raise trouble
    return _exit_code(offers, done) if writes else ExitCode.CLEAN


def _certain(settled: Sequence[Done]) -> list[Done]:
    """Those that are not in doubt any more."""
    return [each for each in settled if not isinstance(each.error, StateError)]


def _raise_doubts(settled: Sequence[Done]) -> None:
    """Raise StateError while one is in doubt: nothing else is corrected then."""
    if doubts := [each.said for each in settled if isinstance(each.error, StateError)]:
        raise StateError("\n".join(doubts))


def _offers(desk: Desk, names: Sequence[str], *, approve: str | None, revert: str | None) -> list[Offer]:
    """What is asked for, as it may be made now."""
    from recon_core.proposals import Offer

    if approve:
        return [Offer(desk.to_approve(approve), "", automatic=False)]
    if revert:
        return [Offer(desk.to_revert(revert), "", automatic=False)]
    return desk.offers(list(names) or None)


def _made(desk: Desk, shown: Correction, *, approve: str | None, reason: str | None) -> Done:
    """What came of one; one that was overtaken since it was shown keeps no other from being made."""
    from recon_core.applying import Done

    try:
        return desk.approve(approve) if approve else desk.make(shown, reason)
    except NotRecordedError as error:
        return Done(shown, f"not made: {error}", error)


def _exit_code(offers: Sequence[Offer], done: Sequence[Done]) -> int:
    if len(done) == len(offers) and all(each.correction.state == "applied" for each in done):
        return ExitCode.CLEAN
    overtaken = done and all(isinstance(each.error, NotRecordedError) for each in done)
    return ExitCode.USAGE if overtaken else ExitCode.NO_VERDICT


def _agreed(count: int) -> bool:
    try:
        return click.confirm(f"Make {'this correction' if count == 1 else f'these {count} corrections'} of the book?", err=True)
    except click.Abort:
        click.echo("nobody said yes: nothing was changed", err=True)
        return False


def _tell(done: Sequence[Done]) -> None:
    for each in done:
        text = f"{each.correction.id} {each.correction.place}: {each.said}"
        if each.error:
            click.echo(f"recon-core: {text}", err=True)
        else:
            say(text)
        if each.warning:
            click.echo(f"recon-core: {each.correction.id}: {each.warning}", err=True)


def _show(offers: Sequence[Offer], *, writes: bool) -> None:
    if not offers:
        click.echo("nothing to correct: no open break has a proposal that needs no look by a person")
    for offer in offers:
        for line in _page(offer):
            click.echo(line)
    if offers and not writes:
        click.echo("printed only: recon.yaml has no book.corrections, so that nothing was changed")


def _page(offer: Offer) -> Iterator[str]:
    """The lines of one correction."""
    correction = offer.correction
    what = f"takes back {correction.reverts}" if correction.reverts else f"break {correction.break_id}, run {correction.run_id}"
    yield f"{correction.id} {correction.kind} of {correction.place} ({what})"
    yield from wrapped(_change(correction.before, correction.after))
    if correction.pnl is not None:
        yield from wrapped(money(correction.pnl))
    if correction.requested_by:
        yield from wrapped(f"asked for by {correction.requested_by}: {correction.reason or 'no reason given'}")
    if offer.review:
        yield from wrapped(f"look first: {offer.review}")
    if correction.sql:
        yield f"    {correction.sql};"


def _change(before: Mapping[str, str | None] | None, after: Mapping[str, str | None] | None) -> str:
    """What becomes of a row, column by column."""
    if before is None or after is None:
        row = before or after or {}
        held = ", ".join(f"{name} {row[name]}" for name in _SHOWN if row.get(name) is not None)
        return f"{'adds' if before is None else 'removes'} the row: {held}"
    moved = [name for name in _SHOWN if before.get(name) != after.get(name)]
    return ", ".join(f"{name} {before.get(name) or 'nothing'} becomes {after.get(name) or 'nothing'}" for name in moved)


def money(pnl: Mapping[str, Any]) -> str:
    """What a correction means in money."""
    currency = f" {pnl['currency']}" if pnl["currency"] else ""
    parts = ", ".join(f"{what} {pnl[name]}" for name, what in (("cash_in_lieu", "cash in lieu"), ("fees", "fees")))
    realised = "unknown" if pnl["realised"] is None else pnl["realised"]
    total = "unknown" if pnl["total"] is None else f"{pnl['total']}{currency}"
    return f"P&L by {pnl['method']}: realised {realised}, {parts}, total {total}"


def _as_json(settled: Sequence[Done], offers: Sequence[Offer], done: Sequence[Done]) -> dict[str, Any]:
    made = {each.correction.id: each for each in done}
    return {
        "settled": [_told(each) for each in settled],
        "corrections": [
            {
                **asdict(offer.correction),
                "review": offer.review,
                "automatic": offer.automatic,
                **(_told(made[offer.correction.id]) if offer.correction.id in made else {"said": None}),
            }
            for offer in offers
        ],
    }


def _told(done: Done) -> dict[str, Any]:
    return {**asdict(done.correction), "said": done.said}
