"""The report as one HTML page: every break in the markup, so that it reads and prints without a script.

The page is ``report.html`` beside this module with its ``{{names}}`` filled in. Its style and script are named by their
hashes in a Content-Security-Policy that allows nothing else: text that came from outside is escaped, and would not run if
it were not.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from recon_core.report import break_wording, wording
from recon_core.report.values import count, money, visible
from recon_core.report.wording import Report

LINKS_A_REASON = 12
MOST_CHANGES = 100
SHOWN = 2_000
"""Breaks in the page, worst first: more than that nobody reads in a browser, and the page gets slow."""
_MARK = re.compile(r"\{\{(\w+)\}\}")


def render(report: Report) -> str:
    """The whole page. See ``recon_core.report.to_html``."""
    escalated = wording.escalated(report)
    parts = {
        "title": _text(f"{_decision_word(report)}: {count(report['break_count'], 'break')}, {report['as_of']}"),
        "level": wording.level(report),
        "run": _text(f"run {report['run_id']}"),
        "as_of": _text(report["as_of"]),
        "verdict": _text(report["verdict"].capitalize()),
        "decision": _text(_decision_word(report)),
        "found": escape(_found(report)),
        "because": escape(wording.because(report)),
        "doubt": _doubt(report),
        "totals": "".join(_totals(report)),
        "reasons": _reasons(report),
        "since": _since(report),
        "warnings": _listed("Warnings", report["warnings"]),
        "filters": "".join(_option(kind, number) for kind, number in report["counts"].items() if number),
        "breaks": "\n".join(_breaks(report, escalated)),
        "currency": _text(report["base_currency"]),
        "none": _none(report),
        "list_hidden": "" if report["discrepancies"] else " hidden",
        "rest": escape("; ".join(filter(None, (visible(_rest(report)), *wording.not_looked_into(report))))),
        "feeds": "\n".join(map(_feed, report["feeds"])),
        "book": _book(report["book"]),
        "rules": "\n".join(map(_rule, report["rules"])),
        "not_listed": _text(", ".join(report["not_listed"]) or "none"),
        "evidence": "\n".join(_evidence(report)),
    }
    static, names = _template()
    return "".join(piece + (parts[name] if name else "") for piece, name in zip(static, names, strict=True))


@cache
def _template() -> tuple[list[str], list[str]]:
    """The page in pieces, and the name of what follows each of them (none after the last)."""
    page = Path(__file__).with_name("report.html").read_text(encoding="utf-8")
    for tag in ("style", "script"):
        content = page.split(f"<{tag}>", 1)[1].split(f"</{tag}>", 1)[0]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        page = page.replace(f"{{{{{tag}_hash}}}}", f"'sha256-{digest}'")
    pieces = _MARK.split(page)
    return pieces[::2], [*pieces[1::2], ""]


def _text(value: Any) -> str:
    return escape(visible(value))


def _decision_word(report: Report) -> str:
    if report["decision"]["halt"]:
        return "Trading halts" if wording.halts(report) else "Trading would halt (shadow mode)"
    if report["halting"]["standing"]:
        return "Trading stays halted"
    if report["halting"]["withheld"]:
        return "Trading is not permitted"
    return "Not halted, no verdict" if report["verdict"] == "incomplete" else "Trading goes on"


def _found(report: Report) -> str:
    told = wording.found(report)
    return f"In what was proven: {told}" if report["verdict"] == "incomplete" else told


def _doubt(report: Report) -> str:
    if report["verdict"] != "incomplete":
        return ""
    brokers = ", ".join(f"<b>{escape(name)}</b>" for name in wording.unproven(report)) or "<b>part of the run</b>"
    return (
        f'<p class="doubt">Unproven: {brokers}. A position that is absent there proves nothing, and 0 breaks do not mean clean.</p>'
    )


def _totals(report: Report) -> Iterable[str]:
    pairs = report["pairs"]
    yield _total("Breaks", f"{report['break_count']:,}", f"{report['missing_count']:,} missing on one side")
    yield _total("Impact", *_impact(report))
    yield _total("Suppressed", f"{report['suppressed_count']:,}", f"{report['superseded_count']:,} superseded")
    yield _total("Undetermined", f"{report['undetermined_count']:,}", "judgements wanting a value")
    yield _total("Pairs matched", f"{pairs['matched']:,}", f"{pairs['in_book']:,} in book, {pairs['at_broker']:,} at broker")
    yield _total("Pairs unproven", f"{pairs['unproven']:,}", "of which one side proves nothing")


def _impact(report: Report) -> tuple[str, str]:
    """The total in a word, and what a person must know beside it."""
    known, currency = money(report["known_impact"]), report["base_currency"]
    remarks = []
    if report["total_impact"] is None:
        remarks.append(f"at least {known} {currency}; {count(report['unknown_impact_count'], 'break')} without a price or rate")
    if report["suppressed_count"]:
        remarks.append(f"with what is suppressed: {money(report['total_impact_with_suppressed'])}")
    total = "unknown" if report["total_impact"] is None else f"{known} {currency}"
    return total, "; ".join(remarks) or "gross, of the breaks that count"


def _total(name: str, value: str, remark: str) -> str:
    return f"<div><dt>{_text(name)}</dt><dd>{_text(value)}<small>{_text(remark)}</small></dd></div>"


def _reasons(report: Report) -> str:
    decision = report["decision"]
    if not (decision["reasons"] or decision["require"]):
        return ""
    symbols = {item["id"]: break_wording.symbol(item) for item in report["discrepancies"][:SHOWN]}
    items = "".join(_reason(reason, symbols) for reason in decision["reasons"])
    items = f'<ol class="reasons">{items}</ol>' if items else ""
    wanted = wording.required(report)
    required = "".join(f'<p class="required">{wanted} <b>{_text(action)}</b></p>' for action in decision["require"])
    done = "".join(f"<p>{escape(sentence)}</p>" for sentence in wording.carried_out(report))
    heading = escape(wording.why_heading(report))
    return f'<section aria-labelledby="why"><h2 id="why">{heading}</h2>{items}{done}{required}</section>'


def _reason(reason: Mapping[str, Any], symbols: Mapping[str, str]) -> str:
    known = [name for name in reason["breaks"] if name in symbols][:LINKS_A_REASON]
    links = " ".join(f'<a href="#{_text(name)}">{escape(symbols[name])}</a>' for name in known)
    more = reason["break_count"] - len(known)
    if links and more > 0:
        links += f" <span>and {more:,} more</span>"
    return (
        f"<li><p>{_text(reason['detail'])} <span class=tag>stops: {_text(reason['scope'])}</span></p>"
        f"<p class=source>{_text(reason['policy'])}</p>{f'<p class=links>{links}</p>' if links else ''}</li>"
    )


def _since(report: Report) -> str:
    """What has changed since the run before; nothing where there was none."""
    heading = wording.since(report)
    if not heading:
        return ""
    told = "".join(_changed(changes) for changes in wording.changes(report, MOST_CHANGES))
    return (
        f'<section aria-labelledby="since"><h2 id="since">{escape(heading)}</h2>{told}'
        f"<p><b>{escape(wording.remaining(report))}</b></p></section>"
    )


def _changed(changes: wording.Changes) -> str:
    items = "".join(f"<li>{escape(entry)}</li>" for entry in changes.breaks)
    more = f"<li>and {changes.more:,} more</li>" if changes.more else ""
    return f"<p>{escape(changes.heading)}</p><ul>{items}{more}</ul>"


def _listed(heading: str, remarks: Iterable[str]) -> str:
    items = "".join(f"<li>{_text(remark)}</li>" for remark in remarks)
    return f"<section><h2>{heading}</h2><ul>{items}</ul></section>" if items else ""


def _option(kind: str, number: int) -> str:
    return f'<option value="{_text(kind)}">{_text(kind)} ({number:,})</option>'


def _breaks(report: Report, escalated: wording.Escalated) -> Iterable[str]:
    """The breaks in groups: those of each incident under its heading, then those that have a cause of their own."""
    groups: dict[str | None, list[str]] = {None: [], **{incident["id"]: [] for incident in report["incidents"]}}
    for item in report["discrepancies"][:SHOWN]:
        groups[item["incident"]].append(_break(item, escalated))
    for incident in report["incidents"]:
        if rows := groups[incident["id"]]:
            yield f"<tbody>{_incident(incident, report, len(rows))}"
            yield from rows
            yield "</tbody>"
    alone = groups[None]
    yield "<tbody>" + (_HEADING.format("", "Other breaks") if alone and len(alone) < len(report["discrepancies"][:SHOWN]) else "")
    yield from alone
    yield "</tbody>"


_HEADING = '<tr class="incident"{}><th scope="rowgroup" colspan="9">{}</th></tr>'


def _incident(incident: Mapping[str, Any], report: Report, shown: int) -> str:
    breaks = count(incident["break_count"], "break")
    more = f", {shown:,} of them here" if shown < incident["break_count"] else ""
    told = (
        f'{_text(incident["title"])} <span class="tag">{escape(breaks)}{more}'
        f"{escape(wording.incident_impact(incident, report))}</span><small><b>Do:</b> {_text(incident['action'])}</small>"
    )
    return _HEADING.format(f' id="{_text(incident["id"])}"', told)


def _break(item: Mapping[str, Any], escalated: wording.Escalated) -> str:
    held = item["suppressed"] is not None
    together = "by escalation" if item["id"] in escalated.breaks else "no" if escalated.all_named else "not by its rule"
    halts = "suppressed" if held else "HALT" if item["halts"] else together
    percent = f"<small>{_text(item['difference_pct'])}%</small>" if item["difference_pct"] is not None else ""
    related = f"<small>with {_text(item['related'])}</small>" if item["related"] is not None else ""
    remarks = " · ".join(_remarks(item))
    told = (break_wording.explanation(item), break_wording.correction(item))
    remedy = "".join(f'<p class="remedy">{escape(sentence)}</p>' for sentence in told if sentence)
    return (
        f'<tr id="{_text(item["id"])}"{" class=held" if held else " class=halts" if item["halts"] else ""}>'
        f'<th scope="row">{_text(item["type"])}<small class="{_text(item["severity"])}">{_text(item["severity"])}</small></th>'
        f"<td>{escape(break_wording.place(item))}</td><td><b>{escape(break_wording.symbol(item))}</b>{related}</td>"
        f"<td>{_text(item['book_quantity'])}</td><td>{_text(item['broker_quantity'])}</td>"
        f"<td>{_text(item['quantity_difference'])}{percent}</td><td>{escape(money(item['impact']))}</td>"
        f"<td>{halts}</td><td>{_text(item['detail'] or item['title'])}{remedy}<small>{escape(remarks)}</small></td></tr>"
    )


def _remarks(item: Mapping[str, Any]) -> Iterable[str]:
    """What a person looks at next: the suppression, the prices, the age."""
    if item["suppressed"] is not None:
        yield break_wording.suppression(item)
    names = (("price", "price"), ("book average", "book_avg_price"), ("broker average", "broker_avg_price"))
    prices = ", ".join(f"{name} {money(item[key])}" for name, key in names if item[key] is not None)
    if prices:
        yield f"{prices} ({visible(item['currency'])})" if item["currency"] else prices
    if item["hours_untouched"] is not None:
        yield f"untouched {visible(item['hours_untouched'])} h"
    if item["open_days"] is not None:
        yield f"open {count(item['open_days'], 'day')}"


def _none(report: Report) -> str:
    if report["discrepancies"]:
        return ""
    if report["verdict"] == "incomplete":
        told = "No break in what was proven; the rest was not judged."
    elif report["undetermined_count"]:
        told = f"No break, but {count(report['undetermined_count'], 'judgement')} could not be made for want of a value."
    else:
        told = "Book and brokers agree."
    return f'<p class="none">{told}</p>'


def _rest(report: Report) -> str:
    shown = min(len(report["discrepancies"]), SHOWN)
    if shown == report["discrepancies_total"]:
        return ""
    whole = report["outputs"]["breaks"]
    where = f"; all are in {whole}" if whole else ""
    return f"The {shown:,} of highest impact, out of {report['discrepancies_total']:,} breaks{where}."


def _feed(feed: Mapping[str, Any]) -> str:
    proven = feed["status"] == "COMPLETE" and not feed["unproven_accounts"]
    remarks = [feed["reason"]] if feed["reason"] else []
    if feed["unproven_accounts"]:
        remarks.append(f"unproven, absence proves nothing: {', '.join(feed['unproven_accounts'])}")
    remarks += [wording.control_total(total) for total in feed["control_totals"]]
    accounts = ", ".join(feed["coverage"]["accounts"]) or "none"
    classes = ", ".join(feed["coverage"]["asset_classes"]) or "all asset classes"
    remarks += [*feed["notes"], f"speaks for accounts: {accounts}; {classes}"]
    return (
        f"<tr{'' if proven else ' class=unproven'}>"
        f'<th scope="row">{_text(feed["broker"])}<small>{_text(feed["adapter"])}</small></th>'
        f"<td><b>{_text(feed['status'])}</b></td><td>{feed['positions']:,}</td>"
        f"<td>{_text(feed['as_of'])}<small>{_text(feed['basis'])} basis</small></td>"
        f"<td>{''.join(f'<p>{_text(remark)}</p>' for remark in remarks)}</td></tr>"
    )


def _book(book: Mapping[str, Any]) -> str:
    return (
        f'<tr><th scope="row">the book</th><td></td><td>{book["rows"]:,}</td><td>{_text(book["as_of"])}</td>'
        f"<td><p>{_text(book['source'])}</p>{''.join(f'<p>{_text(note)}</p>' for note in book['notes'])}</td></tr>"
    )


def _rule(rule: Mapping[str, Any]) -> str:
    return (
        f'<tr><th scope="row">{_text(rule["type"])}<small class="{_text(rule["severity"])}">{_text(rule["severity"])}</small></th>'
        f"<td>{_text(rule['title'])}</td><td>{_text(rule['halt'])}</td><td>{rule['count']:,}</td><td>{rule['undetermined']:,}</td>"
        f"<td>{escape(money(rule['impact']))}</td></tr>"
    )


def _evidence(report: Report) -> Iterable[str]:
    yield _proof("run", f"{report['run_id']}, from {report['started_at']} to {report['finished_at']}", None)
    yield _proof("policy", report["policy"]["path"], report["policy"]["sha256"])
    yield _proof("configuration", report["config"]["path"], report["config"]["sha256"])
    yield _proof("book", report["book"]["source"], report["book"]["sha256"])
    yield from (_proof("feed", feed["broker"], feed["sha256"]) for feed in report["feeds"])
    yield from (_proof("plugin", f"{plugin['name']} {plugin['version']}", plugin["sha256"]) for plugin in report["plugins"])
    yield from (_proof(f"output: {what}", path, None) for what, path in report["outputs"].items() if path)


def _proof(what: str, name: str, digest: str | None) -> str:
    return f'<tr><th scope="row">{_text(what)}</th><td>{_text(name)}</td><td>{_text(digest) if digest else ""}</td></tr>'
