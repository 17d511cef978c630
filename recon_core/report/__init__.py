"""The report of a run, for a program (JSON), a person at a terminal (text) and a person at a browser (HTML).

All three are made from one plain dict, whose shape, units and signs ``report.schema.json`` states. Nothing here reads a
clock, a disk beside its own template, or the environment: the same report gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["schema_text", "to_html", "to_json", "to_text"]

# What JSON may hold as it is, but a terminal would obey (C1 controls, changes of direction), a line reader would split at,
# or UTF-8 cannot encode (half a surrogate pair). Outside its strings JSON is ASCII, so that a match is always inside one.
_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def to_json(report: Mapping[str, Any]) -> str:
    """The report as JSON: keys in the order given, two spaces a level and a line a break, text unescaped where that is safe.

    Raises TypeError for a value that JSON does not have (a Decimal, a datetime) and ValueError for NaN or infinity.
    """
    from json import JSONEncoder

    line = JSONEncoder(ensure_ascii=False, allow_nan=False)
    page = JSONEncoder(ensure_ascii=False, allow_nan=False, indent=2)
    # Ten thousand breaks are the bulk: json indents in Python, and writes a line a break in C, in a fifth of the time.
    breaks = [line.encode(entry) for entry in report["discrepancies"]]
    text = page.encode({**report, "discrepancies": []})
    if breaks:  # no string holds a raw line break, so that the key at the top level is found once
        lines = ",\n    ".join(breaks)
        text = text.replace('\n  "discrepancies": []', f'\n  "discrepancies": [\n    {lines}\n  ]', 1)
    if not text.isascii() or "\x7f" in text:
        text = _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return text + "\n"


def to_text(report: Mapping[str, Any], *, width: int, colour: bool) -> str:
    """The report for a terminal of ``width`` columns (at least 40 are assumed); ANSI colours only where ``colour`` is true."""
    from recon_core.report.text import render

    return render(report, width=width, colour=colour)


def to_html(report: Mapping[str, Any]) -> str:
    """The report as one HTML page that needs no other file and asks the network for nothing."""
    from recon_core.report.html import render

    return render(report)


def schema_text() -> str:
    """The JSON Schema (draft 2020-12) of the report, as committed."""
    return Path(__file__).with_name("report.schema.json").read_text(encoding="utf-8")
