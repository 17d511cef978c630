"""Which lines of a delimited file are rows, where lines of another kind stand among them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from recon_core.errors import excerpt
from recon_core.tables.framing import Refusal


class Rows:
    """Which lines of the body are rows, where others are among them; ``skipped`` are those left out: how many, and the first."""

    def __init__(self, options: Mapping[str, Any], quote: str, refusal: Refusal) -> None:
        preamble = options["preamble"]
        self._quote = quote.encode()
        self.starts = options["rows_start_with"] or ""
        self.header = preamble if isinstance(preamble, str) else ""
        self.skipped: dict[str, tuple[int, bytes]] = dict.fromkeys(options["skip_lines"], (0, b""))
        self._patterns = {pattern: _compiled(pattern, "skip_lines", refusal) for pattern in self.skipped}
        self.last: str = options["rows_end_with"] or ""
        self._ends = _compiled(self.last, "rows_end_with", refusal)

    @property
    def chosen(self) -> bool:
        """Whether some lines of the body may be no rows."""
        return bool(self.starts or self._patterns or self.last)

    def begins(self, line: bytes, text: str) -> bool:
        """Whether a line begins with a text, in quotes or not."""
        return line.startswith((text.encode(), self._quote + text.encode()))

    def ends(self, line: bytes) -> bool:
        """Whether no more than such a line has to come after the rows."""
        return self._ends.search(line) is not None

    def skips(self, line: bytes) -> str | None:
        """The pattern by which a line is no row."""
        return next((name for name, pattern in self._patterns.items() if pattern.search(line)), None)

    def skip(self, pattern: str, line: bytes) -> None:
        """Count a line that is left out by a pattern."""
        count, first = self.skipped[pattern]
        self.skipped[pattern] = (count + 1, first or line)

    def notes(self) -> tuple[str, ...]:
        """How many lines were left out, with one of each kind."""
        return tuple(
            f"{count:,} {'line is' if count == 1 else 'lines are'} left out (skip_lines) as '{shown(line)}' is"
            for count, line in self.skipped.values()
            if count
        )

    def takes(self, line: bytes) -> bool:
        """Whether a line is a row."""
        return (not self.starts or self.begins(line, self.starts)) and self.skips(line) is None


def shown(line: bytes) -> str:
    """A line as messages quote it."""
    return excerpt(line.decode("utf-8", "replace").strip())


def _compiled(pattern: str, option: str, refusal: Refusal) -> re.Pattern[bytes]:
    try:
        return re.compile(pattern.encode())
    except re.error as error:
        raise refusal.setup(f"{option}: {pattern!r} is no regular expression: {error}") from None
