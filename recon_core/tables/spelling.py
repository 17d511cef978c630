"""How one file writes numbers, times, missing values and sides: SQL from its spelling to the plain one that ``mounting`` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from recon_core.model import QUANTITY_PLACES
from recon_core.sql import Steps, quoted
from recon_core.tables import numbers, timestamps
from recon_core.written_numbers import CURRENCIES, STRICT, patterns

_MONEY = ("avg_price", "market_price")
_NUMBERS = ("quantity", *_MONEY, "multiplier")
_TIMES = ("updated_at", "opened_at")
_NEVER_NULL = ("symbol", "account", "broker", "raw_symbol")


class Field(NamedTuple):
    """A column of the file: SQL that refers to it, its DuckDB type, the file's name of it.

    ``text`` is SQL of what is written there, without the blanks around it and '' where nothing is; None: taken as it is.
    """

    reference: str
    type_name: str
    name: str
    text: str | None


class Spelled(NamedTuple):
    """SQL of a value in the plain spelling, and of a complaint about it (NULL where there is none), over helper columns."""

    value: str
    complaint: str | None = None
    steps: Steps = ()


class Spelling:
    """The options of one file that concern the inside of a field."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._decimal: str = options["decimal"]
        self._thousands: str | None = options["thousands"]
        self._negative: Sequence[str] = options["negative"]
        self._nulls: Sequence[str] = options["null_values"]
        self._timezone: str | None = options["timezone"]
        self._format: str | None = options["timestamp_format"]

    def column(self, ours: str, field: Field) -> Spelled:
        """A column of the file as ``ours``."""
        if field.text is None:
            return self._typed_time(field) if ours in _TIMES else Spelled(field.reference)
        if ours in _NEVER_NULL:
            return Spelled(field.text)
        value = f"CASE WHEN {_among(field.text, ('', *self._nulls))} THEN NULL ELSE {field.text} END"
        if ours in _TIMES:
            return self._written_time(f"{ours}_{field.reference}", value)
        if ours not in _NUMBERS or not numbers.is_text(field.type_name):
            return Spelled(value)
        return self._number(f"{ours}_{field.reference}", value, field.name, money=ours in _MONEY)

    def by_side(self, quantity: Spelled, side: Field, long: Sequence[str] | str, short: Sequence[str] | str) -> Spelled:
        """The quantity with the sign that ``side`` says; a short one may have its minus already, a long one may not."""
        is_long, is_short = (_among("side", _folded(values)) for values in (long, short))
        negative = "starts_with(unsigned, '-')"
        strange = said(f"column {side.name}: ", "side_text", " is neither long nor short")
        complaint = (
            f"CASE WHEN side = '' THEN {quoted(f'column {side.name} is empty: neither long nor short')} "
            f"WHEN {is_long} AND {negative} THEN {quoted(f'column {side.name} says long, and the quantity is negative')} "
            f"WHEN NOT ({is_long} OR {is_short}) THEN {strange} END"
        )
        texts = {"unsigned": f"CAST({quantity.value} AS VARCHAR)", "side_text": side.text or side.reference}
        steps = (texts, {"side": "lower(side_text)"})
        value = f"CASE WHEN {is_short} AND NOT {negative} THEN '-' || ltrim(unsigned, '+') ELSE unsigned END"
        both = f"concat_ws('; ', {quantity.complaint}, {complaint})" if quantity.complaint else complaint
        return Spelled(value, both, (*quantity.steps, *steps))

    def long_and_short(self, long: Spelled, short: Spelled, name: str) -> Spelled:
        """The long quantity less the short one (whose minus, if it has one, says the same); an empty one of them is 0."""
        texts = {"held_text": f"CAST({long.value} AS VARCHAR)", "owed_text": f"CAST({short.value} AS VARCHAR)"}
        exact = {name: numbers.exact(f"{name}_text", QUANTITY_PLACES) for name in ("held", "owed")}
        value = (
            "CASE WHEN held_text IS NULL AND owed_text IS NULL THEN NULL "
            "WHEN held_text IS NOT NULL AND held IS NULL THEN held_text WHEN owed_text IS NOT NULL AND owed IS NULL THEN owed_text "
            "ELSE CAST(TRY(coalesce(held, 0) - abs(coalesce(owed, 0))) AS VARCHAR) END"
        )
        complaint = f"CASE WHEN held < 0 THEN {quoted(f'column {name} holds what is long, and it is negative')} END"
        complaints = [text for text in (long.complaint, short.complaint) if text]
        if complaints:
            complaint = f"concat_ws('; ', {', '.join((*complaints, complaint))})"
        return Spelled(value, complaint, (*long.steps, *short.steps, texts, exact))

    def _number(self, prefix: str, value: str, name: str, *, money: bool) -> Spelled:
        """A number in the plain spelling; what the file's own does not allow is left as it is, to be refused with its text."""
        if self._decimal == "." and not self._thousands and not self._negative and not money:
            return Spelled(value)
        written, bare, plain = (f"{prefix}_{part}" for part in ("written", "bare", "plain"))
        forms = patterns(self._decimal, self._thousands, money=money)
        if self._thousands == " ":
            value = f"translate({value}, '\u00a0\u202f', '  ')"
        stripped = f"translate({written}, {quoted(CURRENCIES + '()')}, '')"
        if self._thousands:
            stripped = f"replace({stripped}, {quoted(self._thousands)}, '')"
        if self._decimal != ".":
            stripped = f"replace({stripped}, {quoted(self._decimal)}, '.')"
        cases = [f"WHEN regexp_full_match({written}, {quoted(forms.signed)}) THEN {bare}"]
        if "parentheses" in self._negative:
            cases.append(f"WHEN regexp_full_match({written}, {quoted(forms.parentheses)}) THEN '-' || {bare}")
        if "trailing_minus" in self._negative:
            cases.append(f"WHEN regexp_full_match({written}, {quoted(forms.trailing_minus)}) THEN '-' || rtrim({bare}, '-')")
        complaint = None
        if self._decimal != ".":
            # With a decimal comma, 1.5 would pass as plain: it is refused, not read as one and a half.
            cases.append(f"WHEN regexp_full_match({written}, {quoted(STRICT)}) THEN NULL")
            grouping = f" and thousands {self._thousands!r}" if self._thousands else ""
            misfit = said(f"column {name}: ", written, f" does not fit decimal {self._decimal!r}{grouping}")
            complaint = f"CASE WHEN {written} IS NOT NULL AND {plain} IS NULL THEN {misfit} END"
        steps = ({written: value}, {bare: stripped}, {plain: f"CASE {' '.join(cases)} ELSE {written} END"})
        return Spelled(plain, complaint, steps)

    def _typed_time(self, field: Field) -> Spelled:
        if not self._timezone or field.type_name == "TIMESTAMP WITH TIME ZONE":
            return Spelled(field.reference)
        return Spelled(f"timezone('UTC', {timestamps.timestamp(field.reference, field.type_name, self._timezone).value})")

    def _written_time(self, prefix: str, value: str) -> Spelled:
        written, iso = f"{prefix}_written", f"{prefix}_iso"
        steps: Steps = ({written: value},)
        if self._format:
            offset = "+00:00" if "%z" in self._format else ""
            parsed = f"strftime(try_strptime({written}, {quoted(self._format)}), '%Y-%m-%dT%H:%M:%S.%f') || {quoted(offset)}"
            steps = (*steps, {iso: f"coalesce({parsed}, {written})"})
        else:
            iso = written
        if not self._timezone:
            return Spelled(iso, steps=steps)
        stamp = timestamps.utc_of_text(iso, self._timezone)
        return Spelled(f"coalesce(strftime({stamp}, '%Y-%m-%dT%H:%M:%S.%fZ'), {iso})", steps=steps)


def said(before: str, value: str, after: str = "") -> str:
    """SQL of a sentence with a value of the file in quotes."""
    cut = f"CASE WHEN length({value}) > 80 THEN left({value}, 80) || '...' ELSE {value} END"
    return " || ".join((quoted(f"{before}'"), cut, quoted(f"'{after}")))


def _among(text: str, values: Sequence[str]) -> str:
    """SQL: whether a text is one of ``values``. IN would be planned as a join from five of them on."""
    return f"list_contains([{', '.join(map(quoted, values))}], {text})"


def _folded(values: Sequence[str] | str) -> list[str]:
    return [value.strip().lower() for value in ([values] if isinstance(values, str) else values)]
