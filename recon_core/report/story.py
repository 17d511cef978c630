"""The story of one break in sentences: what differs and since when, each row of evidence, what is left over, what would mend it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from recon_core.report import break_wording
from recon_core.report.layout import indented
from recon_core.report.values import visible

_WIDTH = 120


def told(found: Mapping[str, Any], report: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a discrepancy's story, as the ``report`` of its run has it."""
    position = f"{visible(found['broker'])}/{visible(found['account'])} {break_wording.symbol(found)}"
    yield from _line(f"{visible(found['id'])} {visible(found['type'])} {position}, as of {visible(report['as_of'])}")
    yield from _line(f"The book has {_held(found['book_quantity'])}, the broker {_held(found['broker_quantity'])}.")
    explanation = found.get("explanation")
    if explanation is None:
        yield from _line("Their quantities do not differ, or one side is not proven: there is nothing to explain by evidence.")
        return
    yield from _line(_since(found, explanation))
    share = {"EXPLAINED": "Explained", "PARTLY": "Partly explained", "UNEXPLAINED": "Not explained"}[explanation["status"]]
    yield from _line(f"{share} ({', '.join(explanation['causes'])}): {visible(explanation['why']) or 'no reason given'}.")
    if doubt := explanation.get("doubt"):  # which reports of earlier versions do not have
        yield from _line(f"In doubt: {visible(doubt)}.")
    for term in explanation["evidence"]:
        yield from _term(term)
    if explanation["residual"] != "0":
        yield from _line(f"Left over: {visible(explanation['residual'])} (book - broker).")
    if explanation["clears_on"]:
        yield from _line(f"It is to be gone by {explanation['clears_on']}.")
    yield from _mend(found)
    yield from _unknown(found, report)


def _since(found: Mapping[str, Any], explanation: Mapping[str, Any]) -> str:
    """When the sides parted, as exactly as it is known."""
    agreed, seen = explanation["last_agreed"], found["first_seen"]
    between = f"between {agreed}, when they last agreed, and {seen}, when it was first seen" if agreed and seen else ""
    if explanation["diverged_on"]:
        return f"They parted on {explanation['diverged_on']}{f' ({between})' if between else ''}."
    if between:
        return f"They parted {between}."
    return (
        f"They parted before {seen}, when it was first seen; no earlier run proved that they agreed."
        if seen
        else "Since when is not known."
    )


def _term(term: Mapping[str, Any]) -> Iterator[str]:
    priced = f" at {term['price']} {visible(term['currency'] or '')}".rstrip() if term["price"] else ""
    money = f", {term['amount']} {visible(term['currency'] or '')}".rstrip() if term["amount"] else ""
    paid_in = "in a currency that nobody says" if term["fee_currency"] == "" else visible(term["fee_currency"] or "")
    more = [f"fee {term['fee']} {paid_in}".rstrip()] if term["fee"] else []
    more += [f"order {visible(term['order_id'])}"] if term["order_id"] else []
    more += [f"settles on {term['settles_on']}"] if term["settles_on"] else []
    words = f" ({visible(term['said'])})" if term["said"] else ""
    what = f"{term['at'] or term['on']}  {term['kind']} {visible(term['id'])}: {term['quantity']}{priced}{money}"
    yield from indented(f"{', '.join([what, *more])}{words}; effect {term['effect']}", _WIDTH, indent=4, hang=4)
    yield from indented(f"read in {visible(term['source']) or 'a place that is not known'}", _WIDTH, indent=8, hang=2)
    yield from indented(f"sha256 {term['sha256'] or 'not known'}", _WIDTH, indent=8, hang=2)


def _mend(found: Mapping[str, Any]) -> Iterator[str]:
    correction = found.get("correction")
    if correction is None:
        yield from _line("No correction of the book is proposed.")
        return
    before, after = correction["before"] or {}, correction["after"] or {}
    changed = [
        f"{visible(name)} {_held(before.get(name))} to {_held(after.get(name))}"
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    ]
    yield from _line(f"What would mend it: {correction['kind']} ({correction['id']}): {', '.join(changed)}.")


def _unknown(found: Mapping[str, Any], report: Mapping[str, Any]) -> Iterator[str]:
    """What is not known: where the broker did not tell all."""
    for evidence in report.get("evidence", ()):
        if evidence["broker"] == found["broker"]:
            whole = "all that happened" if evidence["complete"] else f"not all that happened: {visible(evidence['reason'])}"
            yield from _line(f"The broker was asked from {evidence['since']} on, and told {whole}.")
            for note in evidence["notes"]:
                yield from indented(f"note: {visible(note)}", _WIDTH, indent=4, hang=2)


def _held(quantity: Any) -> str:
    return "nothing" if quantity is None else visible(quantity)


def _line(text: str) -> list[str]:
    return list(indented(text, _WIDTH, indent=0, hang=2))
