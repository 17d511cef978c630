"""The report for a terminal: one summary line, then reasons, breaks worst first, feeds, and where the files are.

Its own characters are ASCII, so that it survives a log, a mail and a console of any encoding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import islice
from typing import Any

from recon_core.report import break_wording, layout, wording
from recon_core.report.layout import Column
from recon_core.report.values import count, money, visible
from recon_core.report.wording import Report

MOST_BREAKS = 50
MOST_REMARKS = 20
MOST_INCIDENTS = 20
MOST_OF_ONE = 5
"""Breaks shown of one incident: what there is to know of the others is the same."""
_NARROWEST = 40
_DETAIL_ROOM = 28
_VERDICT_COLOUR = {"halt": "red", "doubt": "yellow", "clean": "green"}


class _Painter:
    """Colours a finished line, or leaves it as it is."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def __call__(self, text: str, colour: str | None = None, *, bold: bool = False, dim: bool = False) -> str:
        if not self._colour or not text:
            return text
        from click import style

        return style(text, fg=colour, bold=bold or None, dim=dim or None)


def render(report: Report, *, width: int, colour: bool) -> str:
    """The whole text, ending in a newline. See ``recon_core.report.to_text``."""
    width = max(width, _NARROWEST)
    paint = _Painter(colour)
    sections = (
        _summary(report, width, paint),
        _decision(report, width, paint),
        _incidents(report, width, paint),
        _breaks(report, width, paint),
        _suppressed(report, width, paint),
        _feeds(report, width, paint),
        _remarks(report, width, paint),
        _files(report, width, paint),
        _since(report, width, paint),
    )
    return "\n\n".join("\n".join(lines) for lines in map(list, sections) if lines) + "\n"


def _summary(report: Report, width: int, paint: _Painter) -> Iterator[str]:
    word = report["verdict"].upper()
    verdict, decision = wording.verdict(report), wording.decision(report)
    colour = _VERDICT_COLOUR[wording.level(report)]
    lines = [f"{word}  {verdict}  |  {decision}"]
    if layout.cells(lines[0]) > width:
        lines = [*layout.indented(f"{word}  {verdict}", width, indent=0, hang=2), *layout.indented(decision, width)]
    for line in lines:
        yield paint(line, colour, bold=True)
    pairs = report["pairs"]
    unproven = f", {pairs['unproven']:,} unproven" if pairs["unproven"] else ""
    told = (
        f"as of {visible(report['as_of'])}: {count(pairs['matched'], 'pair')} matched, {pairs['in_book']:,} in book, "
        f"{pairs['at_broker']:,} at broker{unproven} (run {visible(report['run_id'])}, {visible(report['duration_seconds'])} s)"
    )
    yield from layout.indented(told, width, indent=0, hang=2)
    found = [f"{visible(kind)} {number:,}" for kind, number in report["counts"].items() if number]
    if found:
        yield from layout.indented(f"by rule: {', '.join(found)}", width, indent=0, hang=2)
    if report["suppressed_count"]:
        told = f"impact with what is suppressed: {wording.total_with_suppressed(report)}"
        yield from layout.indented(told, width, indent=0, hang=2)


def _decision(report: Report, width: int, paint: _Painter) -> Iterator[str]:
    decision = report["decision"]
    if not (decision["reasons"] or decision["require"]):
        return
    yield paint(wording.why_heading(report), bold=True)
    for number, reason in enumerate(decision["reasons"], 1):
        told = f"{number}. {visible(reason['detail'])} [stops: {visible(reason['scope'])}]"
        yield from layout.indented(told, width, hang=3)
        yield from layout.indented(visible(reason["policy"]), width, indent=5, hang=2)
    for done in wording.carried_out(report):
        yield from layout.indented(done, width, hang=2)
    for action in decision["require"]:
        yield from layout.indented(f"{wording.required(report)} {visible(action)}", width, hang=2)


def _incidents(report: Report, width: int, paint: _Painter) -> Iterator[str]:
    """Each with what to do about it, and its breaks under it."""
    shown = report["incidents"][:MOST_INCIDENTS]
    if not shown:
        return
    yield paint(f"{count(len(report['incidents']), 'incident')}: breaks with one cause", bold=True)
    for number, incident in enumerate(shown, 1):
        told = f"{number}. {visible(incident['title'])}{wording.incident_impact(incident, report)} [{visible(incident['id'])}]"
        yield from (paint(line, bold=True) for line in layout.indented(told, width, indent=0, hang=3))
        yield from layout.indented(f"do: {visible(incident['action'])}", width, indent=3, hang=4)
        members = _members(report, incident)
        yield from ("   " + line for line in _listing(members, report, width - 3, paint))
        if incident["break_count"] > len(members):
            yield f"   and {incident['break_count'] - len(members):,} more"
    if len(report["incidents"]) > len(shown):
        yield f"and {count(len(report['incidents']) - len(shown), 'more incident')}"


def _members(report: Report, incident: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The worst breaks of an incident, as many as are shown."""
    return list(islice((item for item in report["discrepancies"] if item["incident"] == incident["id"]), MOST_OF_ONE))


def _breaks(report: Report, width: int, paint: _Painter) -> Iterator[str]:
    """The breaks that no incident above has shown."""
    above = report["incidents"][:MOST_INCIDENTS]
    told = {incident["id"] for incident in above}
    live = (item for item in report["discrepancies"] if item["suppressed"] is None and item["incident"] not in told)
    shown = list(islice(live, MOST_BREAKS))
    if shown:
        yield paint("Other breaks, worst first" if above else "Breaks, worst first", bold=True)
        yield from _listing(shown, report, width, paint)
    rest = wording.remainder(report, len(shown) + sum(incident["break_count"] for incident in above))
    if rest:
        yield from layout.indented(rest, width, indent=0, hang=2)
    for unasked in wording.not_looked_into(report):
        yield from layout.indented(unasked, width, indent=0, hang=2)


def _listing(shown: Sequence[Mapping[str, Any]], report: Report, width: int, paint: _Painter) -> Iterator[str]:
    """Breaks as a table, or as paragraphs where that is too wide."""
    behind = wording.escalated(report).breaks
    columns = layout.fitting(_columns(shown, visible(report["base_currency"]), behind), width)
    yield from _stacked(shown, behind, width, paint) if columns is None else _table(shown, columns, width, paint)
    if columns is not None and any(item["id"] in behind and not item["halts"] for item in shown):
        yield from layout.indented("HALT*: by an escalation, not by its rule", width, indent=0, hang=2)


def _columns(shown: Sequence[Mapping[str, Any]], currency: str, escalated: Set[str]) -> list[Column]:
    return [
        Column("TYPE", [visible(item["type"]) for item in shown]),
        Column("BROKER/ACCOUNT", [break_wording.place(item) for item in shown], drop=1),
        Column("SYMBOL", [break_wording.symbol(item) for item in shown]),
        Column("BOOK", [visible(item["book_quantity"]) for item in shown], number=True),
        Column("BROKER", [visible(item["broker_quantity"]) for item in shown], number=True),
        Column("DIFFERENCE", [visible(item["quantity_difference"]) for item in shown], number=True, drop=0),
        Column(f"IMPACT {currency}", [money(item["impact"]) for item in shown], number=True),
        Column("HALTS", ["HALT" if item["halts"] else "HALT*" if item["id"] in escalated else "-" for item in shown]),
    ]


def _table(shown: Sequence[Mapping[str, Any]], columns: list[Column], width: int, paint: _Painter) -> Iterator[str]:
    """The breaks as a table: the detail in a last column where there is room for one, else under its row."""
    room = width - layout.table_width(columns) - len(layout.GAP)
    placed = any(column.heading == "BROKER/ACCOUNT" for column in columns)
    if room >= _DETAIL_ROOM:
        columns = [*columns, Column("DETAIL", [visible(item["detail"]) for item in shown], widest=room)]
    yield paint(layout.headings(columns), bold=True)
    for index, item in enumerate(shown):
        lines = layout.row(columns, index)
        if room < _DETAIL_ROOM:
            lines += _under(item, width, placed=placed)
        lines += _remedy(item, width)
        yield from (paint(line, "red" if item["halts"] else None) for line in lines)


def _under(item: Mapping[str, Any], width: int, *, placed: bool) -> list[str]:
    detail = visible(item["detail"]) if item["detail"] else ""
    told = detail if placed else f"{break_wording.place(item)}{': ' if detail else ''}{detail}"
    return layout.indented(told, width, indent=4) if told else []


def _remedy(item: Mapping[str, Any], width: int) -> list[str]:
    """What explains a break, and what would mend it."""
    told = (break_wording.explanation(item), break_wording.correction(item))
    return [line for sentence in told if sentence for line in layout.indented(sentence, width, indent=4, hang=2)]


def _stacked(shown: Sequence[Mapping[str, Any]], escalated: Set[str], width: int, paint: _Painter) -> Iterator[str]:
    """The breaks as paragraphs, for a terminal that is too narrow for their numbers."""
    for item in shown:
        lines = layout.indented(f"{visible(item['type'])} {break_wording.symbol(item)}", width, indent=0, hang=4)
        halts = "HALT, " if item["halts"] else "HALT by escalation, " if item["id"] in escalated else ""
        figures = (
            f"{halts}book {visible(item['book_quantity'])}, broker {visible(item['broker_quantity'])}, "
            f"difference {visible(item['quantity_difference'])}, impact {break_wording.impact(item)}"
        )
        lines += layout.indented(figures, width, indent=4) + _under(item, width, placed=False) + _remedy(item, width)
        yield from (paint(line, "red" if item["halts"] else None) for line in lines)


def _suppressed(report: Report, width: int, paint: _Painter) -> Iterator[str]:
    held = [item for item in report["discrepancies"] if item["suppressed"] is not None]
    total = report["suppressed_count"]
    if not total:
        return
    yield paint(f"Suppressed: {count(total, 'break')}, neither halting nor counted", bold=True)
    for item in held[:MOST_REMARKS]:
        told = (
            f"{visible(item['type'])} {break_wording.place(item)} {break_wording.symbol(item)}, "
            f"impact {break_wording.impact(item)}: {break_wording.suppression(item)}"
        )
        yield from (paint(line, dim=True) for line in layout.indented(told, width, hang=2))
    if total > len(held[:MOST_REMARKS]):
        yield f"  and {total - len(held[:MOST_REMARKS]):,} more"


def _feeds(report: Report, width: int, paint: _Painter) -> Iterator[str]:
    feeds, book = report["feeds"], report["book"]
    yield paint("Feeds", bold=True)
    columns = layout.fitting(
        [
            Column("BROKER", [visible(feed["broker"]) for feed in feeds]),
            Column("STATUS", [visible(feed["status"]) for feed in feeds]),
            Column("ROWS", [f"{feed['positions']:,}" for feed in feeds], number=True),
            Column("AS OF", [visible(feed["as_of"]) for feed in feeds], widest=32),
            Column("BASIS", [visible(feed["basis"]) for feed in feeds], drop=0),
            Column("ADAPTER", [visible(feed["adapter"]) for feed in feeds], drop=1),
        ],
        width - 2,
    )
    if columns is not None:
        yield "  " + layout.headings(columns)
    for index, feed in enumerate(feeds):
        rows, as_of = count(feed["positions"], "row"), visible(feed["as_of"])
        told = f"{visible(feed['broker'])} {visible(feed['status'])}, {rows}, as of {as_of}"
        lines = ["  " + line for line in layout.row(columns, index)] if columns else layout.indented(told, width, hang=2)
        colour = None if feed["status"] == "COMPLETE" and not feed["unproven_accounts"] else "yellow"
        yield from (paint(line, colour) for line in lines)
        yield from (line for remark in _feed_remarks(feed) for line in layout.indented(remark, width, indent=4, hang=2))
    told = f"book: {visible(book['source'])}, {count(book['rows'], 'row')}"
    yield from layout.indented(f"{told}, as of {visible(book['as_of'])}" if book["as_of"] else told, width, hang=2)
    yield from (line for note in book["notes"] for line in layout.indented(f"note: {visible(note)}", width, indent=4, hang=2))


def _feed_remarks(feed: Mapping[str, Any]) -> Iterator[str]:
    if feed["reason"]:
        yield f"reason: {visible(feed['reason'])}"
    if feed["unproven_accounts"]:
        yield f"unproven, absence proves nothing: {', '.join(map(visible, feed['unproven_accounts']))}"
    yield from (wording.control_total(total) for total in feed["control_totals"] if not total["ok"])
    yield from (f"note: {visible(note)}" for note in feed["notes"])


def _remarks(report: Report, width: int, paint: _Painter) -> Iterator[str]:
    undetermined = [f"{visible(rule['type'])} {rule['undetermined']:,}" for rule in report["rules"] if rule["undetermined"]]
    if undetermined:
        told = f"Undetermined, for want of a value that the rule needs: {', '.join(undetermined)}"
        yield from (paint(line, "yellow") for line in layout.indented(told, width, indent=0, hang=2))
    for warning in report["warnings"][:MOST_REMARKS]:
        yield from (paint(line, "yellow") for line in layout.indented(f"warning: {visible(warning)}", width, indent=0, hang=2))
    if len(report["warnings"]) > MOST_REMARKS:
        yield f"and {count(len(report['warnings']) - MOST_REMARKS, 'more warning')}"
    if report["superseded_count"]:
        told = f"Superseded by a rule that says more of the same position: {count(report['superseded_count'], 'break')}"
        yield from layout.indented(told, width, indent=0, hang=2)
    if policy := wording.built_in_policy(report):
        yield from layout.indented(policy, width, indent=0, hang=2)
    if report["not_listed"]:
        told = f"Installed, but not listed in the policy, so not run: {', '.join(map(visible, report['not_listed']))}"
        yield from layout.indented(told, width, indent=0, hang=2)


def _files(report: Report, width: int, paint: _Painter) -> Iterator[str]:
    """A path stays whole on its line, however narrow the terminal is: it is there to be copied."""
    paths = [visible(path) for path in report["outputs"].values() if path]
    if not paths:
        return
    yield paint("Files", bold=True)
    folders = {path.rpartition("/")[0] for path in paths}
    if len(folders) > 1 or len(paths) == 1 or folders == {""}:
        yield from (f"  {path}" for path in paths)
        return
    yield f"  in {folders.pop()}:"
    yield from layout.indented(", ".join(path.rpartition("/")[2] for path in paths), width)


def _since(report: Report, width: int, paint: _Painter) -> Iterator[str]:
    """What has changed since the run before, and last of all how many breaks remain."""
    if heading := wording.since(report):
        yield from (paint(line, bold=True) for line in layout.indented(heading, width, indent=0, hang=2))
    for changes in wording.changes(report, MOST_REMARKS):
        yield f"  {changes.heading}"
        yield from (line for told in changes.breaks for line in layout.indented(told, width, indent=4, hang=2))
        if changes.more:
            yield f"    and {changes.more:,} more"
    yield from (paint(line, bold=True) for line in layout.indented(wording.remaining(report), width, indent=0, hang=2))
