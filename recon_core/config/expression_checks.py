"""The SQL that a policy holds, checked where it stands: unknown columns, other types, and whatever an expression may not do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recon_core.columns import BREAK_COLUMNS, PAIR_COLUMNS, total_columns
from recon_core.config.policy import ActiveRule, Value
from recon_core.config.problems import Path, Place
from recon_core.config.validation import Checked


class ExpressionChecks:
    """Checks expressions of one file; what is wrong becomes a problem at the very word, where the file shows it as written."""

    def __init__(self, checked: Checked, warn: Callable[[Path, str], None]) -> None:
        self._checked, self._warn = checked, warn

    def declared_rule(self, rule: ActiveRule, where: Path) -> None:
        """All expressions of a rule that the policy declares."""
        from recon_core.expressions import check_detail

        self._check(rule.when, PAIR_COLUMNS, (*where, "when"), want="BOOLEAN")
        self._check(rule.impact, PAIR_COLUMNS, (*where, "impact"), want="NUMBER")
        for index, term in enumerate(rule.measure or ()):
            self._check(term, PAIR_COLUMNS, (*where, "measure", index), want="NUMBER")
        self._report(lambda: check_detail(rule.detail, PAIR_COLUMNS), rule.detail, (*where, "detail"))

    def halt(self, text: str, params: Sequence[Mapping[str, Value]], where: Path) -> None:
        """A ``halt: {when: ...}``; ``params`` are those of each rule that it is for, all of which must know what it names."""
        for known in params or [{}]:
            if not self._check(text, BREAK_COLUMNS, where, want="BOOLEAN", params=known):
                return

    def escalation(self, text: str, types: Sequence[str], where: Path) -> None:
        """A predicate over the totals of the listed break types."""
        self._check(text, total_columns(list(types)), where, want="BOOLEAN")

    def _check(self, text: str, columns: Mapping[str, str], where: Path, **options: Any) -> bool:
        from recon_core.expressions import check_expression, divides

        sound = self._report(lambda: check_expression(text, columns, **options), text, where)
        if sound and divides(text):
            self._warn(where, "a division is not exact, and by 0 it has no value: compare products, a > 0.1 * b, not a / b > 0.1")
        return sound

    def _report(self, check: Callable[[], None], text: str, where: Path) -> bool:
        from recon_core.syntax import ExpressionError

        try:
            check()
        except ExpressionError as error:
            message = str(error).partition("\n")[0]
            self._checked.problems.add(self._place(text, error.offset, where), message, where)
            self._checked.wrong.add(where)
            return False
        return True

    def _place(self, text: str, offset: int | None, where: Path) -> Place:
        """The word at fault, if the line shows the expression as it is; else where the expression starts."""
        place = self._checked.root.place_of(where)
        line = self._checked.problems.lines[place.line - 1]
        start = line.find(text, place.column - 1)
        if offset is None or not 0 <= start - (place.column - 1) <= 1:
            return place
        return Place(place.line, start + offset + 1)
