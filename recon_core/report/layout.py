"""Columns of text that fit a terminal: widths in cells, not characters, and no number is ever cut.

Everything here takes text that is visible already (see ``values.visible``): one line, no control characters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from unicodedata import category, east_asian_width

_ATOM = re.compile(r"[-+]?\d(?:[\d.,]*\d)?%?|.", re.DOTALL)
GAP = "  "


class Column(NamedTuple):
    """One column: a number is set to the right and never wrapped, text beyond ``widest`` cells is wrapped.

    Where the table is too wide, columns are left out in the order of ``drop`` (0 first); None always stays.
    """

    heading: str
    values: Sequence[str]
    number: bool = False
    widest: int = 24
    drop: int | None = None

    @property
    def width(self) -> int:
        """Cells that the column takes."""
        longest = max(map(cells, (self.heading, *self.values)))
        return longest if self.number else max(min(longest, self.widest), cells(self.heading))


def cells(text: str) -> int:
    """How many terminal cells ``text`` takes: wide East Asian characters two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(0 if category(c) in ("Mn", "Me") else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def wrap(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` cells, broken at spaces, inside a long word only beside a number.

    A single number that is wider than ``width`` stays whole on a line of its own.
    """
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if cells(joined) <= width:
            lines[-1] = joined
        elif cells(word) <= width:
            lines.append(word)
        else:
            if lines[-1]:
                lines.append("")
            for atom in _ATOM.findall(word):
                if lines[-1] and cells(lines[-1] + atom) > width:
                    lines.append("")
                lines[-1] += atom
    return lines


def indented(text: str, width: int, *, indent: int = 2, hang: int = 0) -> list[str]:
    """``text`` wrapped to ``width`` with ``indent`` spaces before each line, and ``hang`` more from the second on."""
    first, *rest = wrap(text, width - indent - hang)
    return [" " * indent + first, *(" " * (indent + hang) + line for line in rest)]


def table_width(columns: Sequence[Column]) -> int:
    """Cells that the columns take beside each other."""
    return sum(column.width for column in columns) + len(GAP) * (len(columns) - 1)


def fitting(columns: Sequence[Column], width: int) -> list[Column] | None:
    """The columns that fit ``width``, after leaving out those that may be; None where even the rest does not."""
    kept = list(columns)
    for candidate in sorted((column for column in columns if column.drop is not None), key=lambda column: column.drop or 0):
        if table_width(kept) <= width:
            break
        kept.remove(candidate)
    return kept if table_width(kept) <= width else None


def headings(columns: Sequence[Column]) -> str:
    """The line of headings."""
    return _line([(column.heading, column.width, column.number) for column in columns])


def row(columns: Sequence[Column], index: int) -> list[str]:
    """The lines of row ``index``: as many as its longest wrapped cell has."""
    wrapped = [[c.values[index]] if c.number else wrap(c.values[index], c.width) for c in columns]
    return [
        _line([(part[n] if n < len(part) else "", c.width, c.number) for part, c in zip(wrapped, columns, strict=True)])
        for n in range(max(map(len, wrapped)))
    ]


def _line(parts: Sequence[tuple[str, int, bool]]) -> str:
    padded = (" " * (width - cells(text)) + text if right else text + " " * (width - cells(text)) for text, width, right in parts)
    return GAP.join(padded).rstrip()
