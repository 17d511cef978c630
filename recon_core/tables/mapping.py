"""Which column of a file is which of ours, and the SELECT that gives them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recon_core.errors import excerpt
from recon_core.model import POSITION_COLUMNS, Relation
from recon_core.sql import Steps, aliased, over, quoted, side_by_side
from recon_core.tables.canonical import DESCRIPTIVE, TYPES
from recon_core.tables.framing import Frame, Refusal
from recon_core.tables.numbers import is_text
from recon_core.tables.spelling import Field, Spelled, Spelling, said
from recon_core.written_numbers import BLANKS

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
        given: Mapping[str, str | list[str]] = options["columns"]
        found = {ours: self.place(self._one_of(theirs, f"columns.{ours}"), f"columns.{ours}") for ours, theirs in given.items()}
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

    def _one_of(self, names: str | list[str], option: str) -> str:
        """The one of several names that the file has; of none that it has the first, to be missed by."""
        if isinstance(names, str):
            return names
        there = [name for name in names if _loosely(name) in map(_loosely, self.header)]
        if len(set(map(_loosely, there))) > 1:
            raise self.refusal.setup(f"{self.path} has the columns {' and '.join(map(repr, there))}: say which is meant ({option})")
        return there[0] if there else names[0]

    def _near(self, name: str) -> str:
        if len(self.header) == 1 and re.search(r"[,;\t|]", self.header[0]):
            mark = max(",;\t|", key=self.header[0].count)
            return f"; there is one column only, {excerpt(self.header[0])!r}: is the delimiter {mark!r}? (option `delimiter`)"
        by_spelling = {_loosely(theirs): theirs for theirs in self.header}
        close = difflib.get_close_matches(_loosely(name), by_spelling, 1)
        hint = f"; did you mean {by_spelling[close[0]]!r}?" if close else ""
        return f"{hint}; it has {excerpt(', '.join(theirs for theirs in self.header if theirs), 400) or 'none'}"


def relation_of(name: str, frame: Frame, columns: Columns, mapped: Mapping[str, int], options: Mapping[str, Any]) -> Relation:
    """The frame's rows as positions, but for those that ``skip_rows`` means; ``mapped`` as ``Columns.mapped`` gives it."""
    sign, fields = options["sign"], _Fields(frame)
    spelled = _spelled(fields, columns, mapped, options)
    kept = [
        f"NOT ({fields.at(columns.place(theirs, 'skip_rows')).text} GLOB {quoted(like)})"
        for theirs, like in options["skip_rows"].items()
    ]
    kept += ["NOT blank"] if frame.blank else []
    complaints = [part.complaint for part in spelled.values() if part.complaint]
    if frame.extra:
        complaints.append(f"CASE WHEN trim(extra) <> '' THEN {said('one field more than the header has: ', 'extra')} END")
    rows = ["source_row", *(f"{part.value} AS {ours}" for ours, part in spelled.items())]
    rows += [f"nullif(concat_ws('; ', {', '.join(complaints)}), '') AS problem"] if complaints else []
    body = over(fields.query(), (*fields.texts(), *side_by_side(part.steps for part in spelled.values())))
    where = f" WHERE {' AND '.join(kept)}" if kept else ""
    theirs_by_ours = {ours: frame.header[place] for ours, place in mapped.items()}
    if sign and "column" not in sign:
        theirs_by_ours["quantity"] = f"{sign['long']}/{sign['short']}"
    return Relation(
        aliased(f"SELECT {', '.join(rows)} FROM ({body}){where}", options["aliases"], spelled),
        files=frame.files,
        columns=theirs_by_ours,
        name=name,
        first_row=frame.first_row,
        typed=not sign and not any(is_text(frame.types[place]) for ours, place in mapped.items() if ours in _EXACT),
        constants=_constants(frame, mapped, options["defaults"]),
    )


def _constants(frame: Frame, mapped: Mapping[str, int], defaults: Mapping[str, str]) -> dict[str, str]:
    """Our descriptive columns that hold one and the same text in every row."""
    given = {ours: frame.constants.get(mapped[ours], "") if ours in mapped else defaults.get(ours, "") for ours in DESCRIPTIVE}
    return {ours: text for ours, text in given.items() if text and text == text.strip(BLANKS)}


class _Fields:
    """The columns of a file that are used, each under a name of ours, so that none of the file's own can be taken for it."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._used: set[int] = set()
        self._as_text: set[int] = set()

    def of(self, ours: str, place: int) -> Field:
        """A column as ``ours``: as it is where it is typed, and a name in a typed file, which mounting trims anyway."""
        if is_text(self._frame.types[place]) and (self._frame.written or ours in TYPES):
            return self.at(place)
        self._used.add(place)
        return Field(f"f{place}", self._frame.types[place], self._frame.header[place], None)

    def at(self, place: int) -> Field:
        """A column and its text: trimmed, and '' where there is none."""
        self._used.add(place)
        self._as_text.add(place)
        return Field(f"f{place}", self._frame.types[place], self._frame.header[place], f"text_{place}")

    def query(self) -> str:
        """The rows, counted before any is left out."""
        frame = self._frame
        chosen = [f"{frame.row} AS source_row", *(f"{frame.references[place]} AS f{place}" for place in sorted(self._used))]
        chosen += [f"{frame.blank} AS blank"] if frame.blank else []
        chosen += [f"{frame.extra} AS extra"] if frame.extra else []
        return f"SELECT {', '.join(chosen)} FROM {frame.source}"

    def texts(self) -> Steps:
        """The helper columns that ``at`` refers to."""
        if not self._as_text:
            return ()
        texts = {
            place: f"f{place}" if self._frame.types[place] == "VARCHAR" else f"CAST(f{place} AS VARCHAR)" for place in self._as_text
        }
        return ({f"text_{place}": f"coalesce(trim({texts[place]}, '{BLANKS}'), '')" for place in sorted(texts)},)


def _spelled(fields: _Fields, columns: Columns, mapped: Mapping[str, int], options: Mapping[str, Any]) -> dict[str, Spelled]:
    """Each of our columns that the file has, or a default for."""
    spelling, sign = Spelling(options), options["sign"]
    spelled = {ours: spelling.column(ours, fields.of(ours, place)) for ours, place in mapped.items()}
    if sign:
        names = [sign["column"]] if "column" in sign else [sign["long"], sign["short"]]
        if not all(isinstance(name, str) for name in names):
            raise columns.refusal.setup("sign: without `column`, long and short each name a column of the file")
        sides = [fields.at(columns.place(name, "sign")) for name in names]
        if "column" in sign:
            spelled["quantity"] = spelling.by_side(spelled["quantity"], sides[0], sign["long"], sign["short"])
        else:
            long, short = (spelling.column("quantity", side) for side in sides)
            spelled["quantity"] = spelling.long_and_short(long, short, names[0])
    return spelled | {ours: Spelled(quoted(text)) for ours, text in options["defaults"].items() if ours not in spelled}


def _loosely(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip()).casefold()
