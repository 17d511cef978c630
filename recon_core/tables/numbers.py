"""The SQL that turns a source's column into an exact decimal, or says why it is none.

DuckDB's own casts are too kind to be trusted with money: text such as ``1_000`` and ``1e3`` passes, digits beyond the scale
are rounded half away from zero, a binary float keeps its noise. So text is matched against a strict pattern before it is cast,
and what must be rounded is rounded half-even on its decimal digits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from recon_core.model import PRICE_PLACES, QUANTITY_PLACES
from recon_core.sql import Steps
from recon_core.written_numbers import BLANKS, STRICT

QUANTITY_LIMIT = "10000000000000000000"
"""10^19: the difference of two smaller quantities still fits DECIMAL(38,18)."""

_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
_WIDE_INTEGERS = {"UBIGINT", "HUGEINT", "UHUGEINT", "BIGNUM"}
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


@dataclass(frozen=True, slots=True)
class Number:
    """SQL for one number column: its exact ``value``, NULL where it is faulty, and conditions (never NULL) on the source's own.

    ``missing``: there is none. ``wrong``: it is not a number, or not finite. ``fine``: it has decimals that would be lost.
    ``large``: it does not fit. ``rounded``: it was rounded, which is a note and no fault. They refer to the source's column and
    to the helper columns of ``steps``, each of which is computed from those before it.
    """

    value: str
    missing: str
    wrong: str = "false"
    fine: str = "false"
    large: str = "false"
    rounded: str = "false"
    steps: Steps = ()


def trimmed(column: str, type_name: str, *, spaces_only: bool = False) -> tuple[str, Steps]:
    """A column as text without the blanks around it, NULL where nothing is left: a helper column, and the steps to it."""
    text = column if type_name == "VARCHAR" else f"CAST({column} AS VARCHAR)"
    bare = f"trim({text})" if spaces_only else f"trim({text}, '{BLANKS}')"
    return f"{column}_text", ({f"{column}_bare": bare}, {f"{column}_text": f"nullif({column}_bare, '')"})


def exact(text: str, places: int) -> str:
    """SQL of a strictly written number of at most ``places`` decimals as DECIMAL(38,``places``); NULL where it is none."""
    return f"CASE WHEN {_within(text, places)} THEN TRY_CAST({text} AS DECIMAL(38,{places})) END"


def is_text(type_name: str) -> bool:
    """Whether a DuckDB type holds text (an ENUM is a dictionary of texts; a column of NULLs alone has no type)."""
    return type_name == "VARCHAR" or type_name.startswith("ENUM") or type_name == '"NULL"'


def is_float(type_name: str) -> bool:
    """Whether a DuckDB type is binary floating point."""
    return type_name in ("DOUBLE", "FLOAT")


def quantity(column: str, type_name: str, float_places: int) -> Number:
    """A quantity, DECIMAL(38,18): exact, never rounded unless it comes as a binary float."""
    number = _number(column, type_name, QUANTITY_PLACES, float_places, rounds=False)
    parts = _DECIMAL.fullmatch(type_name)
    if type_name in _INTEGERS or (parts and int(parts[1]) - int(parts[2]) <= 19):
        return number
    return replace(number, large=f"({number.large} OR coalesce(abs({number.value}) >= {QUANTITY_LIMIT}, false))")


def price(column: str, type_name: str, float_places: int) -> Number:
    """A price, DECIMAL(38,12): further decimals are rounded half-even, with a note."""
    return _number(column, type_name, PRICE_PLACES, min(float_places, PRICE_PLACES), rounds=True)


def multiplier(column: str, type_name: str, float_places: int) -> Number:
    """A multiplier, DECIMAL(18,6): above 0, exact."""
    if type_name == "DECIMAL(18,6)":
        return Number(column, f"({column} IS NULL)", wrong=f"coalesce({column} <= 0, false)")
    number = price(column, type_name, float_places)
    as_price, cast = f"{column}_as_price", f"{column}_cast"
    return Number(
        cast,
        number.missing,
        wrong=f"({number.wrong} OR coalesce({as_price} <= 0, false))",
        fine=f"({number.rounded} OR coalesce(CAST({cast} AS DECIMAL(38,12)) <> {as_price}, false))",
        large=f"({number.large} OR ({as_price} IS NOT NULL AND {cast} IS NULL))",
        steps=(*number.steps, {as_price: number.value}, {cast: f"TRY_CAST({as_price} AS DECIMAL(18,6))"}),
    )


def _number(column: str, type_name: str, places: int, float_places: int, *, rounds: bool) -> Number:
    target = f"DECIMAL(38,{places})"
    parts = _DECIMAL.fullmatch(type_name)
    if parts:
        return _from_decimal(column, int(parts[1]), int(parts[2]), places, rounds=rounds)
    if type_name in _INTEGERS:
        return Number(f"CAST({column} AS {target})", f"({column} IS NULL)")
    if type_name in _WIDE_INTEGERS:
        return _tried(column, target)
    if is_float(type_name):
        return _from_float(column, type_name, places, float_places)
    if is_text(type_name):
        return _from_text(column, type_name, places, rounds=rounds)
    return Number(f"CAST(NULL AS {target})", f"({column} IS NULL)", wrong=f"({column} IS NOT NULL)")


def _tried(column: str, target: str) -> Number:
    cast = f"TRY_CAST({column} AS {target})"
    return Number(cast, f"({column} IS NULL)", large=f"({column} IS NOT NULL AND {cast} IS NULL)")


def _from_decimal(column: str, width: int, scale: int, places: int, *, rounds: bool) -> Number:
    missing, target = f"({column} IS NULL)", f"DECIMAL(38,{places})"
    if scale == places and width == 38:
        return Number(column, missing)
    if scale <= places:
        return Number(f"CAST({column} AS {target})", missing) if width - scale <= 38 - places else _tried(column, target)
    near, same = f"{column}_near", f"{column}_same"
    steps: Steps = (
        {near: f"TRY_CAST({column} AS {target})"},
        {same: f"coalesce(TRY_CAST({near} AS DECIMAL(38,{scale})) = {column}, {column} IS NULL)"},
    )
    if not rounds:
        return Number(f"CASE WHEN {same} THEN {near} END", missing, fine=f"(NOT {same})", steps=steps)
    dotted = f"{column}_dotted"
    steps = (*steps, {dotted: f"CASE WHEN NOT {same} THEN CAST({column} AS VARCHAR) END"})
    rounded = _half_even(dotted, places, places)
    return Number(f"CASE WHEN {same} THEN {near} ELSE {rounded} END", missing, rounded=f"(NOT {same})", steps=steps)


def _from_text(column: str, type_name: str, places: int, *, rounds: bool) -> Number:
    text, trimming = trimmed(column, type_name)
    within, strict, value = (f"{column}_{part}" for part in ("within", "strict", "value"))
    result, dotted = f"TRY_CAST({text} AS DECIMAL(38,{places}))", f"{column}_dotted"
    steps: list[Mapping[str, str]] = [
        *trimming,
        {within: _within(text, places)},
        {strict: f"{within} OR regexp_full_match({text}, '{STRICT}')"},
    ]
    if rounds:
        steps.append({dotted: f"CASE WHEN {strict} AND NOT {within} THEN {text} END"})
        result = f"CASE WHEN {within} THEN {result} ELSE {_half_even(dotted, places, places)} END"
    else:
        result = f"CASE WHEN {within} THEN {result} END"
    beyond = f"coalesce({strict} AND NOT {within}, false)"
    return Number(
        value,
        f"({text} IS NULL)",
        wrong=f"coalesce(NOT {strict}, false)",
        fine="false" if rounds else beyond,
        large=f"coalesce({strict if rounds else within} AND {value} IS NULL, false)",
        rounded=beyond if rounds else "false",
        steps=(*steps, {value: result}),
    )


def _from_float(column: str, type_name: str, places: int, float_places: int) -> Number:
    """A binary float as the decimal that its shortest spelling shows, rounded half-even to ``float_places``.

    The fast way is proven by its own result. Where DECIMAL(18,f) converts back to the same double, and doubles lie closer
    together than 10^-f (so |x| < 2^51 / 10^f), that decimal is the only one of f places which means this double, hence the
    shortest spelling. Anything else goes by the text.
    """
    near, same, spelled, dotted, value = (f"{column}_{part}" for part in ("near", "same", "spelled", "dotted", "value"))
    limit = 2**51 // 10**float_places if type_name == "DOUBLE" else 0
    finite, nearest, target = f"isfinite({column})", f"DECIMAL(18,{min(float_places, 18)})", f"DECIMAL(38,{places})"
    tiny = f"CAST(TRY_CAST({spelled} AS DECIMAL(38,36)) AS VARCHAR)"
    huge = f"CAST(TRY_CAST({spelled} AS DECIMAL(38,0)) AS VARCHAR) || '.'"
    steps = (
        {near: f"CASE WHEN abs({column}) < {limit}::DOUBLE THEN CAST({column} AS {nearest}) END"},
        {same: f"coalesce(CAST({near} AS DOUBLE) = {column}, false)"},
        {spelled: f"CASE WHEN NOT {same} AND {finite} THEN CAST({column} AS VARCHAR) END"},
        {dotted: f"CASE WHEN NOT contains({spelled}, 'e') THEN {spelled} WHEN abs({column}) < 1 THEN {tiny} ELSE {huge} END"},
        {value: f"CASE WHEN {same} THEN CAST({near} AS {target}) ELSE {_half_even(dotted, float_places, places)} END"},
    )
    lost = rf"(regexp_matches({dotted}, '\.\d{{{float_places}}}\d*[1-9]') OR ({column} <> 0 AND {value} = 0))"
    return Number(
        value,
        f"({column} IS NULL)",
        wrong=f"coalesce(NOT {finite}, false)",
        large=f"coalesce({finite} AND {value} IS NULL, false)",
        rounded=f"coalesce(CASE WHEN {same} THEN false ELSE {lost} END, false)",
        steps=steps,
    )


def _within(text: str, places: int) -> str:
    """SQL: whether a text is a number with no more decimals than ``places``, but for zeros."""
    return rf"regexp_full_match({text}, '[+-]?(\d+(\.\d{{0,{places}}}0*)?|\.\d{{1,{places}}}0*)')"


def _half_even(dotted: str, digits: int, places: int) -> str:
    """SQL that rounds a strict number with a point in it half-even to ``digits`` decimals, as DECIMAL(38,``places``).

    NULL where it does not fit. DuckDB's own rounding of decimals is half away from zero.
    """
    point = f"instr({dotted}, '.')"
    head = f"left({dotted}, {point} + {digits})"
    tail = f"rtrim(substr({dotted}, {point} + {digits} + 1), '0')"
    odd = f"contains('13579', right(replace({head}, '.', ''), 1))"  # a list of five with IN would be planned as a join
    target = f"DECIMAL(38,{places})"
    up = f"CASE WHEN starts_with({dotted}, '-') THEN '-1e-{digits}' ELSE '1e-{digits}' END"
    step = f"CASE WHEN {tail} > '5' OR ({tail} = '5' AND {odd}) THEN {up} ELSE '0' END"
    return f"TRY(TRY_CAST({head} AS {target}) + CAST({step} AS {target}))"
