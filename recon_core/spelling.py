"""How one file writes numbers, times, missing values and sides: SQL from its spelling to the plain one that ``sources`` reads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from recon_core import numbers, timestamps
from recon_core.expressions import quoted
from recon_core.model import QUANTITY_PLACES

_CURRENCIES = "$€£¥₹"
_MONEY = ("avg_price", "market_price")
_NUMBERS = ("quantity", *_MONEY, "multiplier")
_TIMES = ("updated_at", "opened_at")
_NEVER_NULL = ("symbol", "account", "broker", "raw_symbol")


class Field(NamedTuple):
    """A column of the file: SQL that refers to it, its DuckDB type and the file's name of it."""

    reference: str
    type_name: str
    name: str


class Spelling:
    """The options of one file that concern the inside of a field. Methods return SQL of a value, and of a complaint about it."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._decimal: str = options["decimal"]
        self._thousands: str | None = options["thousands"]
        self._negative: Sequence[str] = options["negative"]
        self._nulls: Sequence[str] = options["null_values"]
        self._timezone: str | None = options["timezone"]
        self._format: str | None = options["timestamp_format"]

    def column(self, ours: str, field: Field) -> tuple[str, str | None]:
        """A column of the file as ``ours``; second, SQL of a complaint (NULL where there is none), where one is possible."""
        if ours in _TIMES:
            return self._time(field), None
        if not numbers.is_text(field.type_name):
            return field.reference, None
        text = numbers.trimmed(field.reference, field.type_name) if ours in _NEVER_NULL else self._text(field)
        return self._number(text, field.name, money=ours in _MONEY) if ours in _NUMBERS else (text, None)

    def by_side(self, quantity: str, side: Field, long: Sequence[str] | str, short: Sequence[str] | str) -> tuple[str, str]:
        """The quantity with the sign that ``side`` says; a short one may have its minus already, a long one may not."""
        text, said_side = f"CAST({quantity} AS VARCHAR)", f"lower({numbers.trimmed(side.reference, side.type_name)})"
        is_long, is_short = (_one_of(said_side, values) for values in (long, short))
        empty = quoted(f"column {side.name} is empty: neither long nor short")
        negative = quoted(f"column {side.name} says long, and the quantity is negative")
        neither = said(f"column {side.name}: ", side.reference, " is neither long nor short")
        complaint = (
            f"CASE WHEN {said_side} IS NULL THEN {empty} WHEN {is_long} AND starts_with({text}, '-') THEN {negative} "
            f"WHEN NOT ({is_long} OR {is_short}) THEN {neither} END"
        )
        value = f"CASE WHEN {is_short} AND NOT starts_with({text}, '-') THEN '-' || ltrim({text}, '+') ELSE {text} END"
        return value, complaint

    def long_and_short(self, long: Field, short: Field) -> tuple[str, str]:
        """The long quantity less the short one (whose minus, if it has one, says the same); an empty one of them is 0."""
        texts = []
        for side in (long, short):
            text, _ = self.column("quantity", side)
            texts.append(text if numbers.is_text(side.type_name) else f"CAST({text} AS VARCHAR)")
        held, owed = (numbers.exact(text, QUANTITY_PLACES) for text in texts)
        bad = [f"({text} IS NOT NULL AND ({value}) IS NULL)" for text, value in zip(texts, (held, owed), strict=True)]
        net = f"CAST(TRY(coalesce({held}, 0) - abs(coalesce({owed}, 0))) AS VARCHAR)"
        value = (
            f"CASE WHEN {texts[0]} IS NULL AND {texts[1]} IS NULL THEN NULL WHEN {bad[0]} THEN {texts[0]} "
            f"WHEN {bad[1]} THEN {texts[1]} ELSE {net} END"
        )
        negative = quoted(f"column {long.name} holds what is long, and it is negative")
        return value, f"CASE WHEN ({held}) < 0 THEN {negative} END"

    def _text(self, field: Field) -> str:
        text = numbers.trimmed(field.reference, field.type_name)
        for null in self._nulls:
            text = f"nullif({text}, {quoted(null)})"
        return text

    def _number(self, text: str, name: str, *, money: bool) -> tuple[str, str | None]:
        """A number in the plain spelling; what the file's own does not allow is left as it is, to be refused with its text."""
        if self._decimal == "." and not self._thousands and not self._negative and not money:
            return text, None
        currency = f"[{_CURRENCIES}]?" if money else ""
        point, whole = re.escape(self._decimal), r"\d+"
        if self._thousands:
            group = re.escape(self._thousands)
            whole = rf"(?:\d{{1,3}}(?:{group}\d{{2,3}})*{group}\d{{3}}|\d+)"
        core = rf"(?:{whole}(?:{point}\d*)?|{point}\d+)"
        if self._thousands == " ":
            text = f"translate({text}, '\u00a0\u202f', '  ')"
        bare = f"translate({text}, {quoted(_CURRENCIES + '()')}, '')"
        if self._thousands:
            bare = f"replace({bare}, {quoted(self._thousands)}, '')"
        bare = f"replace({bare}, {quoted(self._decimal)}, '.')"
        cases = [f"WHEN regexp_full_match({text}, {quoted(f'(?:[+-]?{currency}|{currency}[+-]?){core}')}) THEN {bare}"]
        if "parentheses" in self._negative:
            shape = rf"\({currency}{core}\)|{currency}\({core}\)"
            cases.append(f"WHEN regexp_full_match({text}, {quoted(shape)}) THEN '-' || {bare}")
        if "trailing_minus" in self._negative:
            cases.append(f"WHEN regexp_full_match({text}, {quoted(f'{currency}{core}-')}) THEN '-' || rtrim({bare}, '-')")
        if self._decimal == ".":
            return f"CASE {' '.join(cases)} ELSE {text} END", None
        # With a decimal comma, 1.5 would pass as plain: it is refused, not read as one and a half.
        strange = f"regexp_full_match({text}, {quoted(numbers.STRICT)})"
        value = f"CASE {' '.join(cases)} WHEN {strange} THEN NULL ELSE {text} END"
        grouping = f" and thousands {self._thousands!r}" if self._thousands else ""
        misfit = said(f"column {name}: ", text, f" does not fit decimal {self._decimal!r}{grouping}")
        return value, f"CASE WHEN {text} IS NOT NULL AND ({value}) IS NULL THEN {misfit} END"

    def _time(self, field: Field) -> str:
        if not numbers.is_text(field.type_name):
            if not self._timezone or field.type_name == "TIMESTAMP WITH TIME ZONE":
                return field.reference
            return f"timezone('UTC', {timestamps.timestamp(field.reference, field.type_name, self._timezone).value})"
        text = self._text(field)
        if self._format:
            offset = "+00:00" if "%z" in self._format else ""
            parsed = f"strftime(try_strptime({text}, {quoted(self._format)}), '%Y-%m-%dT%H:%M:%S.%f') || {quoted(offset)}"
            text = f"coalesce({parsed}, {text})"
        if not self._timezone:
            return text
        stamp = timestamps.utc_of_text(text, self._timezone)
        return f"coalesce(strftime({stamp}, '%Y-%m-%dT%H:%M:%S.%fZ'), {text})"


def said(before: str, value: str, after: str = "") -> str:
    """SQL of a sentence with a value of the file in quotes."""
    return " || ".join((quoted(f"{before}'"), value, quoted(f"'{after}")))


def _one_of(side: str, values: Sequence[str] | str) -> str:
    listed = [values] if isinstance(values, str) else values
    return f"{side} IN ({', '.join(quoted(value.strip().lower()) for value in listed)})"
