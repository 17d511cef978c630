"""Statement: positions in a file that a broker or custodian delivers (CSV, TSV, JSON or Parquet)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

from recon_core import (
    FILE_OPTIONS,
    Ask,
    Broker,
    ControlTotal,
    Feed,
    FeedStatus,
    MalformedError,
    NotReadyError,
    hookimpl,
    resolve_path,
)

from ._presets import PRESETS, with_preset

if TYPE_CHECKING:
    from recon_core import SourceFile

_Kind = Literal["rows", "quantity", "market_value"]

_TEXT = {"type": "string"}
_FROM_FOOTER = {
    "properties": {
        "footer": {
            "type": "string",
            "description": (
                "A regular expression, searched for in each line before and after the rows as the file writes it (a line of one "
                "field: out of its quotes; of JSON: key: value); its first group in the last line that has it is the number."
            ),
        }
    },
    "required": ["footer"],
    "additionalProperties": False,
}


class Statement(Broker):
    """Positions in a file that a broker or custodian delivers.

    Credentials   none; the file is where ``path`` says
    Proof         ``row_count``, ``control_total`` or ``require_footer``; without one the file's own shape (no ragged row, no
                  open quote) and ``expect_accounts`` are all that says it is whole
    Quirks        nothing is guessed: delimiter, decimal comma, thousands, parentheses and footer are as configured, and a
                  row that does not fit is an error that names it
    Presets       ``fidelity``: positions of one or more accounts; a file without its closing lines was cut short. The sweep
                  (SPAXX**) without a quantity and pending activity are no positions.
                  ``schwab``: positions of one account, which is called as the first line does (Individual ...843); a file
                  without its line of totals was cut short. Cash is no position.
                  ``ibkr_activity``: the section Open Positions, its summaries without the lots; a flat account has no such
                  section, so that it is not read but refused. A file without any section behind it was cut short.
                  What a preset leaves out is in the notes
    """

    name = "statement"
    options = {
        **FILE_OPTIONS,
        "preset": {
            "type": "string",
            "enum": sorted(PRESETS),
            "description": (
                "The broker whose files these are: fills in how they are written. An option that you give another value than its "
                "default goes before it; of columns, defaults, aliases and skip_rows, each name on its own."
            ),
        },
        "path": {
            "type": "string",
            "description": "The file; {date:%Y-%m-%d} in its name is the day asked for, else the newest day there.",
        },
        "as_of": {
            "type": ["string", "object"],
            "properties": {
                "column": {**_TEXT, "description": "A column that has the time, the same in all rows."},
                "line": {**_TEXT, "description": "A regular expression for a line outside the rows; its first group is the time."},
                "file_name": {**_TEXT, "description": "How the file's name says the day, such as %Y%m%d."},
                "format": {
                    "type": ["string", "array"],
                    "items": _TEXT,
                    "minItems": 1,
                    "description": "How column or line write the time, such as %m/%d/%Y, or several ways; by default ISO 8601.",
                },
            },
            "additionalProperties": False,
            "description": "The time that the positions are of, or where the file says it; by default when it was last changed.",
        },
        "basis": {
            "type": "string",
            "enum": ["trade", "settlement", "unknown"],
            "default": "unknown",
            "description": "Whether the positions count trades from trade date or from settlement.",
        },
        "row_count": {
            "type": ["number", "object"],
            **_FROM_FOOTER,
            "description": "How many rows there are to be, or where the footer says it.",
        },
        "control_total": {
            "type": "object",
            "properties": {
                "kind": {"type": "string", "enum": ["quantity", "market_value"], "description": "Of what it is the sum."},
                "stated": {"type": ["number", "object"], **_FROM_FOOTER, "description": "The sum, or where the footer says it."},
                "tolerance": {"type": "number", "minimum": 0, "description": "How far off the sum may be; by default not at all."},
            },
            "required": ["kind", "stated"],
            "additionalProperties": False,
            "description": "A sum that the file states of its positions, and that they must meet.",
        },
        "require_footer": {
            "type": "boolean",
            "default": False,
            "description": "Whether a file without its footer was cut short, so that no absence in it proves anything.",
        },
    }
    required = ("path",)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.settings = with_preset(self.settings, self.options)

    def positions(self, ask: Ask) -> Feed:
        """The file's rows, which the engine reads in bulk."""
        source = self._source(ask)
        as_of, date_only, notes = self._as_of(source)
        totals, missing = self._totals(source)
        if self.settings.get("require_footer") and not source.frame.tail:
            missing.append(f"there is no footer ({', '.join(self.settings.get('footer') or ())})")
        feed = Feed(
            FeedStatus.COMPLETE,
            relation=source.relation,
            as_of=as_of,
            date_only=date_only,
            basis=self.settings.get("basis") or "unknown",
            lots=bool(self.settings.get("lots")),
            control_totals=tuple(totals),
            notes=(*notes, *source.notes),
        )
        if missing:
            return feed.but(status=FeedStatus.PARTIAL, reason=f"{source.path}: {'; '.join(missing)}: it may have been cut short")
        return feed

    def _source(self, ask: Ask) -> SourceFile:
        from recon_core import read_file  # only when a file is read: it brings the database engine

        pattern = self.settings["path"]
        day = ask.as_of.astimezone(self._zone or UTC).date() if ask.as_of else None
        try:
            path = resolve_path(pattern, self.folder, day)
        except ValueError as error:
            raise MalformedError(f"path: {error}") from None
        if path is None:
            of_day = f" of {day}" if day and "{date:" in pattern else ""
            raise NotReadyError(f"there is no file {self.folder / pattern}{of_day}; it may not have been delivered yet")
        return read_file(path, self.settings, name=str(path))

    @property
    def _zone(self) -> ZoneInfo | None:
        name = self.settings.get("timezone")
        try:
            return ZoneInfo(name) if name else None
        except (ValueError, KeyError, OSError):
            raise MalformedError(f"timezone: {name!r} is no IANA time zone such as America/New_York") from None

    def _as_of(self, source: SourceFile) -> tuple[datetime | None, bool, tuple[str, ...]]:
        """The time that the positions are of, whether only its day is known, and what to remark on it."""
        said = self.settings.get("as_of")
        if said is None:
            changed = datetime.fromtimestamp(source.path.stat().st_mtime, UTC)
            return changed, False, ("as of the time that the file was last changed: say `as_of` where the file says better",)
        if isinstance(said, str):
            return *self._time(source, said, None), ()
        if "file_name" in said:
            return *self._time_in_name(source, said["file_name"]), ()
        if "column" in said:
            found = source.texts(said["column"])
            times = sorted({self._time(source, text, said.get("format")) for text in found})
            if len(times) > 1:
                several = f"{', '.join(found)}, ..."
                raise MalformedError(f"{source.path}: column {said['column']} has several times ({several}), and as_of is one")
            return *(times[0] if times else (None, False)), ()
        if "line" not in said:
            raise MalformedError("as_of: one of column, line and file_name says where the time is")
        lines = self._stated(source, said["line"])
        if not lines:
            raise MalformedError(f"{source.path}: no line before or after the rows matches {said['line']!r} (as_of.line)")
        return *self._time(source, lines[0], said.get("format")), ()

    def _time(self, source: SourceFile, text: str, form: str | Sequence[str] | None) -> tuple[datetime, bool]:
        """A time that the file or the configuration says, and whether it is a bare date."""
        forms: list[str | None] = [form] if isinstance(form, str) else list(form or (None,))
        for each in forms:
            try:
                stamp = datetime.strptime(text.strip(), each) if each else datetime.fromisoformat(text.strip())  # noqa: DTZ007  # _placed knows the zone
            except (ValueError, re.error):  # the latter where a part of the format stands in it twice
                continue
            bare = not re.search("%[HIcXs]", each) if each else bool(re.fullmatch(r"[\dW-]+", text.strip()))
            return self._placed(source, stamp, bare)
        like = f"by {' or '.join(map(repr, forms))}" if form else "such as 2026-11-20T21:00:00Z"
        raise MalformedError(f"{source.path}: as_of {text!r} is not a time {like}")

    def _time_in_name(self, source: SourceFile, form: str) -> tuple[datetime, bool]:
        try:
            stamp = source.dated(form)
        except ValueError as error:
            raise MalformedError(f"as_of.file_name: {error}") from None
        if stamp is None:
            raise MalformedError(f"{source.path}: its name has no date by {form!r} (as_of.file_name)")
        return self._placed(source, stamp, "%H" not in form)

    def _placed(self, source: SourceFile, stamp: datetime, bare: bool) -> tuple[datetime, bool]:
        if stamp.tzinfo is None:
            if self._zone is None and not bare:
                raise MalformedError(f"{source.path}: as_of {stamp} has no time zone: say `timezone`")
            stamp = stamp.replace(tzinfo=self._zone or UTC)
        try:
            stamp.astimezone(UTC)
        except OverflowError:
            raise MalformedError(f"{source.path}: as_of {stamp.isoformat()} is outside the years 1 to 9999") from None
        return stamp, bare

    def _totals(self, source: SourceFile) -> tuple[list[ControlTotal], list[str]]:
        """The figures that the rows must meet; second, those that the file should state and does not."""
        totals: list[ControlTotal] = []
        missing: list[str] = []
        wanted: list[tuple[str, _Kind, Any, Any]] = []
        total = self.settings.get("control_total")
        if self.settings.get("row_count") is not None:
            wanted.append(("row_count", "rows", self.settings["row_count"], 0))
        if total:
            wanted.append(("control_total", total["kind"], total["stated"], total.get("tolerance") or 0))
        for option, kind, stated, tolerance in wanted:
            found = self._stated(source, stated["footer"]) if isinstance(stated, Mapping) else [str(stated)]
            if found:
                totals.append(
                    ControlTotal(kind, self._figure(source, found[-1], option), tolerance=Decimal(tolerance), source=option)
                )
            else:
                missing.append(f"no line outside the rows states {stated['footer']!r} ({option})")
        return totals, missing

    def _stated(self, source: SourceFile, pattern: str) -> list[str]:
        try:
            return source.stated(pattern)
        except re.error as error:
            raise MalformedError(f"{pattern!r} is no regular expression: {error}") from None

    def _figure(self, source: SourceFile, text: str, option: str) -> Decimal:
        """A number of the footer, written as the rows write theirs."""
        thousands, decimal = self.settings.get("thousands"), self.settings.get("decimal") or "."
        bare = text.strip().replace(thousands, "") if thousands else text.strip()
        number = re.fullmatch(r"([+-]?)[$€£¥₹]?(\d+(?:\.\d*)?)", bare.replace(decimal, "."))
        if number is None:
            hint = "are `decimal` and `thousands` as the file writes them?"
            raise MalformedError(f"{source.path}: {option}: {text!r} is not a number ({hint})")
        return Decimal(number[1] + number[2])


@hookimpl
def recon_register_brokers() -> list[type[Broker]]:
    """The adapter of this file."""
    return [Statement]
