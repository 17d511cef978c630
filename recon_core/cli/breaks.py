"""``recon-core breaks``: the breaks that are open, and what people say of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click

from recon_core.cli.plugins import json_option, print_table
from recon_core.cli.stored import by_option, config_option, opened
from recon_core.config.schedule_entry import load_schedule
from recon_core.errors import NotRecordedError
from recon_core.state.actor import current_actor
from recon_core.state.breaks import STATUSES, assign, last_report, listed, note, shown, suppress


@click.group()
def breaks() -> None:
    """List the open breaks, show their past, assign them, note what was found, accept what is known."""


@breaks.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only these; without it all that are open and not superseded.")
@click.option("--broker", metavar="PATTERN", help="Only of this broker; * and ? as in file names.")
@click.option("--account", metavar="PATTERN", help="Only of this account.")
@click.option("--symbol", metavar="PATTERN", help="Only of this symbol.")
@click.option("--type", "type_", metavar="PATTERN", help="Only of this type.")
@json_option
@config_option
def list_breaks(
    *,
    status: str | None,
    broker: str | None,
    account: str | None,
    symbol: str | None,
    type_: str | None,
    as_json: bool,
    config: Path,
) -> None:
    """List the breaks, oldest first, as the newest run that could judge them saw them."""
    asked = {"broker": broker, "account": account, "symbol": symbol, "type": type_}
    with opened(config) as store:
        patterns = {name: text for name, text in asked.items() if text is not None}
        found = listed(store.database, status=status, patterns=patterns, schedule=load_schedule(config))
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    elif not found:
        click.echo("none")
    else:
        rows = [
            (
                entry["id"], entry["status"], str(entry["open_days"]), entry["type"], f"{entry['broker']}/{entry['account']}",
                _symbol(entry), entry["quantity_difference"] or "-", entry["impact"] or "unknown", entry["assignee"] or "-",
            )
            for entry in found
        ]  # fmt: skip
        print_table(("ID", "STATUS", "DAYS", "TYPE", "BROKER/ACCOUNT", "SYMBOL", "DIFFERENCE", "IMPACT", "ASSIGNEE"), rows)


@breaks.command("show")
@click.argument("break_id", metavar="ID")
@json_option
@config_option
def show_break(*, break_id: str, as_json: bool, config: Path) -> None:
    """Show the position of a break: what it was and is, since when, who works it, and what was noted and accepted.

    ID may be the beginning of one, here and below.
    """
    with opened(config) as store:
        found = shown(store.database, break_id, load_schedule(config))
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for line in _page(found):
        click.echo(line)


@breaks.command("explain")
@click.argument("break_id", metavar="ID")
@json_option
@config_option
def explain_break(*, break_id: str, as_json: bool, config: Path) -> None:
    """Tell why a break is one, by the run that saw it last: what differs, since when, and each row of evidence."""
    with opened(config) as store:
        found, report = last_report(store.database, break_id)
    entry = next((each for each in report["discrepancies"] if each["id"] == found), None)
    if entry is None:
        raise NotRecordedError(
            f"{found} is not among the breaks that the report of run {report['run_id']} lists: see breaks.parquet"
        )
    if as_json:
        evidence = [each for each in report.get("evidence", ()) if each["broker"] == entry["broker"]]
        told_of = {"run_id": report["run_id"], "as_of": report["as_of"], "break": entry, "evidence": evidence}
        click.echo(json.dumps(told_of, indent=2, ensure_ascii=False))
        return
    from recon_core.report.story import told

    for line in told(entry, report):
        click.echo(line)


@breaks.command("assign")
@click.argument("break_id", metavar="ID")
@click.option("--to", metavar="NAME", required=True, help="Who is to work it; an empty name is nobody.")
@by_option
@config_option
def assign_break(*, break_id: str, to: str, by: str | None, config: Path) -> None:
    """Give a break to somebody: the whole position, until it is resolved."""
    with opened(config) as store:
        found = assign(store.database, current_actor(by), break_id, to.strip())
    click.echo(f"{_line(found)}: assigned to {found['assignee'] or 'nobody'}")


@breaks.command("note")
@click.argument("break_id", metavar="ID")
@click.argument("text")
@by_option
@config_option
def note_break(*, break_id: str, text: str, by: str | None, config: Path) -> None:
    """Add a note to a break: to the position, which keeps it when the break changes its type."""
    if not text.strip():
        raise click.UsageError("the note is empty")
    with opened(config) as store:
        found = note(store.database, current_actor(by), break_id, text.strip())
    click.echo(f"{_line(found)}: noted")


@breaks.command("suppress")
@click.argument("break_id", metavar="ID")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), required=True, help="The last day (UTC) on which it is accepted.")
@click.option("--reason", required=True, help="Why it may be.")
@click.option("--by", metavar="NAME", required=True, help="Who accepts it.")
@config_option
def suppress_break(*, break_id: str, until: datetime, reason: str, by: str, config: Path) -> None:
    """Accept a break as it was last seen: it neither halts nor counts.

    The suppression ends with that day, when the difference grows or changes its sign, and when the break is gone.
    """
    last = until.date()
    if last < _today():
        raise click.UsageError(f"--until {last}: that day is over")
    if not reason.strip() or not by.strip():
        raise click.UsageError("--reason and --by say why, and who; neither is empty")
    with opened(config) as store:
        found = suppress(store.database, current_actor(by), break_id, until=last, reason=reason.strip(), approved_by=by.strip())
    click.echo(f"{_line(found)}: a difference of {found['quantity_difference']} is accepted until {last}, from the next run on")


def _today() -> date:
    return datetime.now(UTC).date()


def _symbol(entry: Mapping[str, Any]) -> str:
    return str(entry["symbol"]) if entry["leg"] == "NET" else f"{entry['symbol']} {entry['leg']}"


def _line(entry: Mapping[str, Any]) -> str:
    return f"{entry['id']} {entry['type']} {entry['broker']}/{entry['account']} {_symbol(entry)}"


def _page(found: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a position's page."""
    yield f"{found['broker']}/{found['account']} {_symbol(found)}, episode {found['episode']}"
    yield f"assigned to {found['assignee'] or 'nobody'}"
    yield ""
    yield "Breaks"
    for entry in found["breaks"]:
        halts = ", halts" if entry["halts"] else ""
        yield f"    {entry['id']}  {entry['type']}  {entry['status']}  episode {entry['episode']}, {entry['open_days']} days{halts}"
        yield f"        {entry['detail']}"
        yield f"        seen from {entry['first_seen']} to {entry['last_seen']}"
    yield ""
    yield "Episodes"
    for entry in found["episodes"]:
        end = f"proven clean {entry['resolved_at']} by run {entry['resolved_run']}" if entry["resolved_at"] else "open"
        yield f"    {entry['episode']}  from {entry['first_seen']} to {entry['last_seen']}, {end}"
    if found["notes"]:
        yield ""
        yield "Notes"
        for entry in found["notes"]:
            yield f"    {entry['at']}  {entry['author']}: {entry['text']}"
    if found["corrections"]:
        yield ""
        yield "Corrections"
        for entry in found["corrections"]:
            yield from _correction(entry)
    if found["suppressions"]:
        yield ""
        yield "Suppressions"
        for entry in found["suppressions"]:
            end = f"ended {entry['ended_at']}: {entry['ended_why']}" if entry["ended_at"] else "not ended"
            what = f"{entry['type']}, {entry['quantity_difference']} until {entry['until']}"
            yield f"    {what}, by {entry['approved_by']}: {entry['reason']}"
            yield f"        {end} (audit record {entry['audit']})"


def _correction(entry: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a correction: what it is, by whom, and what became of it."""
    signed = (("asked for", "requested_by"), ("approved", "approved_by"), ("made", "by" if entry["applied_at"] else "applied_at"))
    people = [f"{what} by {entry[name]}" for what, name in signed if entry[name]]
    when = f" at {entry['applied_at']}" if entry["applied_at"] else ""
    yield f"    {entry['id']}  {entry['kind']}, {entry['state']}{when}  (proposed by run {entry['run_id']})"
    held = [
        ("nothing" if side is None else f"{side['quantity']} at {side['avg_price']}") for side in (entry["before"], entry["after"])
    ]
    reason = f": {entry['reason']}" if entry["reason"] else ""
    yield f"        {held[0]} becomes {held[1]}" + (f"; {', '.join(people)}{reason}" if people else "")
    for said, name in (("takes back", "reverts"), ("taken back by", "reverted_by"), ("cleared by run", "cleared_by")):
        if entry[name]:
            yield f"        {said} {entry[name]}"
    if entry["why"]:
        yield f"        {entry['why']}"
