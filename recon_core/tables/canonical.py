"""From the columns that a source has to the canonical ones: the SQL of each, and of all that may be wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recon_core.model import LEGS
from recon_core.sql import Steps, side_by_side
from recon_core.tables import numbers, timestamps
from recon_core.tables.faults import FLOAT_ROUNDED, KEY_PADDED, PRICE_ROUNDED, Fault

SOURCE_ROW, PROBLEM = "source_row", "problem"
"""Further columns that a relation may return: the row's number in its file, and what its reader found wrong with it."""

DESCRIPTIVE = ("currency", "asset_class")
"""Columns that are often one text throughout and identify nothing: worth knowing where millions of rows repeat it."""

TYPES = {
    "quantity": "DECIMAL(38,18)",
    "avg_price": "DECIMAL(38,12)",
    "market_price": "DECIMAL(38,12)",
    "multiplier": "DECIMAL(18,6)",
    "updated_at": "TIMESTAMP",
    "opened_at": "TIMESTAMP",
}
"""DuckDB types of the canonical columns that are no text."""

_IDENTIFIERS = ("account", "symbol", "isin", "cusip")
_TIMES = ("updated_at", "opened_at")


@dataclass(frozen=True, slots=True)
class Canonical:
    """SQL of the canonical columns: ``values`` by name, ``fault`` their bits, over helper columns of ``steps``."""

    values: Mapping[str, str]
    fault: str
    steps: Steps


def canonical(
    types: Mapping[str, str], columns: Sequence[str], *, timezone: str | None, float_places: int, typed: bool
) -> Canonical:
    """The canonical ``columns`` of a source whose columns have these DuckDB ``types``.

    What is ``typed`` has been through no spreadsheet: no identifier was made a number, and only spaces are trimmed, which at
    ten million rows costs half of what trimming all kinds of blanks does.
    """
    values = {column: f"CAST(NULL AS {TYPES.get(column, 'VARCHAR')})" for column in columns} | {"leg": "'NET'"}
    steps: list[Steps] = []
    bits: list[tuple[int, str]] = []
    for column in columns:
        if column not in types:
            continue
        if column in _TIMES:
            time = timestamps.timestamp(column, types[column], timezone)
            values[column] = time.value
            steps.append(time.steps)
            bits.append((Fault[column.upper()], time.wrong))
        elif column in TYPES:
            number = _number(column, types[column], float_places)
            values[column] = number.value
            steps.append(number.steps)
            bits += _number_bits(column, number, types[column])
        else:
            values[column] = f"{column}_text"
            values[column], trimming = numbers.trimmed(column, types[column], spaces_only=typed and types[column] == "VARCHAR")
            steps.append(trimming)
    bits += _text_bits(types, values, columns, typed=typed)
    if "leg" in types:
        values["leg"] = _leg(values["leg"])
    if "raw_symbol" in types:
        values["raw_symbol"] = f"nullif({values['raw_symbol']}, {values['symbol']})"
    possible = [(bit, condition) for bit, condition in bits if condition != "false"]
    fault = " | ".join(f"CASE WHEN {condition} THEN {int(bit)} ELSE 0 END" for bit, condition in possible)
    if typed:  # read more than once, and at fault almost nowhere: whether anything is wrong is cheaper to ask than what
        fault = f"CASE WHEN {' OR '.join(f'({condition})' for _, condition in possible)} THEN {fault} ELSE 0 END"
    return Canonical(values, f"CAST({fault} AS UINTEGER)", side_by_side(steps))


def _number(column: str, type_name: str, float_places: int) -> numbers.Number:
    build = {"quantity": numbers.quantity, "multiplier": numbers.multiplier}.get(column, numbers.price)
    return build(column, type_name, float_places)


def _number_bits(column: str, number: numbers.Number, type_name: str) -> list[tuple[int, str]]:
    note = FLOAT_ROUNDED if numbers.is_float(type_name) else PRICE_ROUNDED
    if column == "quantity":
        return [
            (Fault.QUANTITY_MISSING, number.missing),
            (Fault.QUANTITY_WRONG, number.wrong),
            (Fault.QUANTITY_FINE, number.fine),
            (Fault.QUANTITY_LARGE, number.large),
            (note, number.rounded),
        ]
    wrong = " OR ".join(condition for condition in (number.wrong, number.fine, number.large) if condition != "false")
    return [(Fault[column.upper()], wrong or "false"), (note, number.rounded if column != "multiplier" else "false")]


def _text_bits(
    types: Mapping[str, str], values: Mapping[str, str], columns: Sequence[str], *, typed: bool
) -> list[tuple[int, str]]:
    bits: list[tuple[int, str]] = [(Fault.SYMBOL, f"{values['symbol']} IS NULL")]
    if "broker" in types and "broker" in columns:
        bits.append((Fault.BROKER, f"{values['broker']} IS NULL"))
    if "leg" in types:
        bits.append((Fault.LEG, f"{_leg(values['leg'])} NOT IN ({', '.join(repr(leg) for leg in LEGS)})"))
    suspects = [values[column] for column in _IDENTIFIERS if not typed and numbers.is_text(types.get(column, ""))]
    if suspects:
        tests = (rf"coalesce(regexp_full_match({text}, '\d(\.\d+)?E\+\d+'), false)" for text in suspects)
        bits.append((Fault.IDENTIFIER, " OR ".join(tests)))
    if PROBLEM in types:
        bits.append((Fault.PROBLEM, f"{PROBLEM} IS NOT NULL"))
    if typed:
        # not IS DISTINCT FROM, which costs ten million rows a fifth of the pass: a key that is NULL counts as padded
        padded = [f"{column} <> {values[column]}" for column in plain_keys(types) if column in columns]
        bits.append((KEY_PADDED, f"coalesce({' OR '.join(padded)}, true)" if padded else "false"))
    return bits


def plain_keys(types: Mapping[str, str]) -> list[str]:
    """The text columns that identify a position and may be read as they are where no row of them is padded."""
    return [column for column in ("broker", "account", "symbol") if types.get(column) == "VARCHAR"]


def _leg(text: str) -> str:
    """A source that says nothing of a row's leg means the net position."""
    return f"coalesce(upper({text}), 'NET')"
