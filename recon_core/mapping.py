"""Which column of a file is which of ours, and the SELECT that gives them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recon_core.expressions import quoted
from recon_core.framing import Frame, Refusal
from recon_core.model import POSITION_COLUMNS, Relation
from recon_core.numbers import is_text, trimmed
from recon_core.spelling import Field, Spelling, said

_EXACT = ("quantity", "avg_price", "market_price", "multiplier")


@dataclass(frozen=True, slots=True)
class Columns:
    """Finds a file's columns by name: as written, else but for case and spaces where that leaves one."""

    path: Path
    header: tuple[str, ...]
    refusal: Refusal

    def place(self, name: str, option: str) -> int:
        """Where the column stands. Raises where it is not there, with what is near, or there twice."""
        for spell in (str, _loosely):
            found = [place for place, theirs in enumerate(self.header) if spell(theirs) == spell(name)]
            if len(found) == 1:
                return found[0]
            if found:
                raise self.refusal.setup(f"{self.path}: {len(found)} columns are called {name!r}; which is meant cannot be told")
        raise self.refusal.setup(f"{self.path} has no column {name!r} ({option}){self._near(name)}")

    def mapped(self, options: Mapping[str, Any], *, book: bool) -> dict[str, int]:
        """Our column: its place in the file, as ``columns`` says, else by our own name of it."""
        given: Mapping[str, str] = options["columns"]
        found = {ours: self.place(theirs, f"columns.{ours}") for ours, theirs in given.items()}
        taken = set(found.values())
        for ours in ("broker", *POSITION_COLUMNS) if book else POSITION_COLUMNS:
            places = [place for place, theirs in enumerate(self.header) if _loosely(theirs) == ours and place not in taken]
            if ours in found or not places:
                continue
            if len(places) > 1:
                raise self.refusal.setup(f"{self.path}: {len(places)} columns are called {ours!r}; which is meant cannot be told")
            found[ours] = places[0]
        sign = options["sign"]
        for ours in ("symbol", "quantity"):
            if ours not in found and not (ours == "quantity" and sign and "column" not in sign):
                raise self.refusal.setup(f"{self.path} has no column {ours!r}: say under `columns` which it is{self._near(ours)}")
        return found

    def _near(self, name: str) -> str:
        if len(self.header) == 1 and re.search(r"[,;\t|]", self.header[0]):
            mark = max(",;\t|", key=self.header[0].count)
            return f"; there is one column only, {self.header[0]!r}: is the delimiter {mark!r}? (option `delimiter`)"
        by_spelling = {_loosely(theirs): theirs for theirs in self.header}
        close = difflib.get_close_matches(_loosely(name), by_spelling, 1)
        hint = f"; did you mean {by_spelling[close[0]]!r}?" if close else ""
        return f"{hint}; it has {', '.join(theirs for theirs in self.header if theirs)}"


def relation_of(name: str, frame: Frame, columns: Columns, mapped: Mapping[str, int], options: Mapping[str, Any]) -> Relation:
    """The frame's rows as positions, but for those that ``skip_rows`` means; ``mapped`` as ``Columns.mapped`` gives it."""
    chosen, problems = _chosen(frame, columns, mapped, options)
    rows = ["source.source_row", *(f"{sql} AS {ours}" for ours, sql in chosen.items())]
    if problems:
        rows.append(f"nullif(concat_ws('; ', {', '.join(problems)}), '') AS problem")
    kept = [f"NOT ({frame.blank})"] if frame.blank else []
    for theirs, pattern in options["skip_rows"].items():
        place = columns.place(theirs, "skip_rows")
        text = trimmed(f"source.{frame.references[place]}", frame.types[place])
        kept.append(f"NOT (coalesce({text}, '') GLOB {quoted(pattern)})")
    where = f" WHERE {' AND '.join(kept)}" if kept else ""
    # The rows are counted before any is left out.
    query = f"SELECT {', '.join(rows)} FROM (SELECT *, {frame.row} AS source_row FROM {frame.source}) AS source{where}"
    sign = options["sign"]
    theirs_by_ours = {ours: frame.header[place] for ours, place in mapped.items()}
    if sign and "column" not in sign:
        theirs_by_ours["quantity"] = f"{sign['long']}/{sign['short']}"
    return Relation(
        aliased(query, options["aliases"], chosen),
        files=frame.files,
        columns=theirs_by_ours,
        name=name,
        first_row=frame.first_row,
        typed=not sign and not any(is_text(frame.types[place]) for ours, place in mapped.items() if ours in _EXACT),
    )


def aliased(query: str, aliases: Mapping[str, str], columns: Collection[str]) -> str:
    """``query`` (which gives ``columns``) with its symbols replaced by ours; theirs is kept as raw_symbol."""
    if not aliases:
        return query
    pairs = ", ".join(f"({quoted(theirs)}, {quoted(ours)})" for theirs, ours in aliases.items())
    raw = "" if "raw_symbol" in columns else ", CASE WHEN alias.ours IS NOT NULL THEN given.symbol END AS raw_symbol"
    return (
        f"SELECT given.* REPLACE (coalesce(alias.ours, given.symbol) AS symbol){raw} FROM ({query}) AS given "
        f"LEFT JOIN (VALUES {pairs}) AS alias(theirs, ours) ON alias.theirs = trim(given.symbol)"
    )


def _chosen(
    frame: Frame, columns: Columns, mapped: Mapping[str, int], options: Mapping[str, Any]
) -> tuple[dict[str, str], list[str]]:
    """SQL of each of our columns, and SQL of complaints about a row, each NULL where there is none."""
    spelling, sign = Spelling(options), options["sign"]
    chosen: dict[str, str] = {}
    problems: list[str] = []
    for ours, place in mapped.items():
        chosen[ours], complaint = spelling.column(ours, _field(frame, place))
        problems += [complaint] if complaint else []
    if sign:
        names = [sign["column"]] if "column" in sign else [sign["long"], sign["short"]]
        if not all(isinstance(name, str) for name in names):
            raise columns.refusal.setup("sign: without `column`, long and short each name a column of the file")
        sides = [_field(frame, columns.place(name, "sign")) for name in names]
        if "column" in sign:
            chosen["quantity"], complaint = spelling.by_side(chosen["quantity"], sides[0], sign["long"], sign["short"])
        else:
            chosen["quantity"], complaint = spelling.long_and_short(*sides)
        problems.append(complaint)
    if frame.extra:
        extra = f"source.{frame.extra}"
        problems.append(f"CASE WHEN trim({extra}) <> '' THEN {said('one field more than the header has: ', extra)} END")
    return chosen | {ours: quoted(text) for ours, text in options["defaults"].items() if ours not in chosen}, problems


def _field(frame: Frame, place: int) -> Field:
    return Field(f"source.{frame.references[place]}", frame.types[place], frame.header[place])


def _loosely(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip()).casefold()
