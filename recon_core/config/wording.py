"""What is said of a value that its schema refuses: what is given, what is due, and the way out where it can be guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from recon_core.config.problems import closest, did_you_mean, quote
from recon_core.config.reader import Node

Schema = Mapping[str, Any]

NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9]\d{0,17})(?:\.\d{1,18})?|\.\d{1,18})", re.ASCII)
"""How a number is written: decimal digits alone, 18 before and 18 after the point at most, which is what is compared exactly.
No ``1_000``, ``1e3``, ``0x10``, ``010``, ``.inf``."""

_ANY_DIGITS = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)
_DUE = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "object": "a map",
    "array": "a list",
    "null": "nothing",
}
_EMPTY_HINT = {"object": ": write {} to set nothing", "array": ": write [] for none"}


class Fault(NamedTuple):
    """What jsonschema says: the keyword that is broken, its value, the schema that holds it and the value at fault."""

    keyword: str
    limit: Any
    schema: Schema
    instance: Any
    message: str


def types_of(schema: Schema) -> set[str]:
    """The JSON types that a schema takes."""
    given = schema.get("type")
    if given is None:
        return {"string"} if all(isinstance(value, str) for value in schema.get("enum", [""])) else {"number"}
    return {given} if isinstance(given, str) else set(given)


def message_of(node: Node, fault: Fault, hidden: bool) -> str:
    """What is wrong with a value of the right type; ``hidden`` values are not quoted."""
    limit = fault.limit
    given = "this" if hidden else _given(node)
    match fault.keyword:
        case "minimum":
            return f"{given} is less than the minimum of {limit}"
        case "maximum":
            return f"{given} is more than the maximum of {limit}"
        case "exclusiveMinimum":
            return f"{given} is not above {limit}"
        case "exclusiveMaximum":
            return f"{given} is not below {limit}"
        case "const":
            return f"{given} is not known; {limit} is"
        case "enum":
            return f"{given} is not known{did_you_mean(node.text or '', [str(value) for value in limit])}"
        case "pattern":
            return _wrong_pattern(node, fault, hidden)
        case "minProperties" if limit == 1 and fault.schema.get("properties"):
            names = list(fault.schema["properties"])[:12]
            return f"is empty: give {'one of ' if len(names) > 1 else ''}{', '.join(names)}"
        case "minLength" | "minItems" | "minProperties" if limit == 1:
            return "is empty"
        case "minItems" | "maxItems":
            exactly = fault.schema.get("minItems") == fault.schema.get("maxItems")
            bound = "" if exactly else "at least " if fault.keyword == "minItems" else "at most "
            return f"{bound}{limit} entries are due, not {len(node.items or [])}"
        case "multipleOf":
            return f"{given} is not a multiple of {limit}"
        case "maxLength":
            return f"{given} is longer than {limit} characters"
        case "uniqueItems":
            return "an entry stands twice"
    return "not allowed here" if hidden else str(fault.message)[:200]


def _wrong_pattern(node: Node, fault: Fault, hidden: bool) -> str:
    due = fault.schema.get("patternErrorMessage", f"does not match {fault.limit}")
    if hidden:
        return str(due)
    words = re.fullmatch(r"\^\((\w+(?:\|\w+)*)\)\$", fault.limit)
    near = closest(node.text or "", words[1].split("|")) if words else None
    return f"{quote(node.text or '')} is not known; did you mean {quote(near)}?" if near else f"{quote(node.text or '')}: {due}"


def _given(node: Node) -> str:
    if node.entries is not None:
        return "a map"
    if node.items is not None:
        return "a list"
    text = node.text or ""
    return text if node.plain and NUMBER.fullmatch(text) else quote(text)


def wrong_type(node: Node, schema: Schema, hidden: bool) -> str:
    """What is said of a value that is of none of the schema's types; ``hidden`` values are not quoted."""
    types = types_of(schema)
    due = " or ".join(_DUE[name] for name in _DUE if name in types)
    if node.text is None:
        return f"{due} is due, not {_given(node)}"
    if node.plain and node.text == "":
        hint = next((_EMPTY_HINT[name] for name in types if name in _EMPTY_HINT), "")
        if "minProperties" in schema or "required" in schema:
            hint = ""
        return f"is empty; {due} is due{hint}"
    if hidden:
        return f"{due} is due"
    if types & {"number", "integer"}:
        return _wrong_number(node, due)
    meant = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false"}.get(node.text.lower())
    if types == {"boolean"} and meant:
        return f"{quote(node.text)} is text; true or false is due: " + (f"write {meant}" if node.plain else "remove the quotes")
    return f"{due} is due, not {_given(node)}"


def _wrong_number(node: Node, due: str) -> str:
    text, shown = node.text or "", quote(node.text or "")
    plain = text.lower().lstrip("+-")
    digits = re.sub(r"[_,' ]", "", plain)
    if plain in (".nan", "nan"):
        return f"NaN is not a number; {due} is due"
    if plain in (".inf", "inf", "infinity"):
        return f"{shown} is not finite; {due} is due"
    if NUMBER.fullmatch(text):
        return f"{shown} is text; {due} is due: remove the quotes" if not node.plain else f"{text} is not a whole number"
    if digits != plain and NUMBER.fullmatch(digits):
        return f"{shown} is text; {due} is due: write the digits alone"
    if _ANY_DIGITS.fullmatch(plain) and not re.match(r"0\d", plain):
        return f"{shown} has too many digits; {due} is due, with at most 18 before and 18 after the point"
    if plain.endswith("%"):
        return f"{shown} is text; {due} is due: leave the percent sign out"
    if re.fullmatch(r"[\d.]+e[+-]?\d+", plain):
        return f"{shown} is text; {due} is due: write all its digits, without an exponent"
    if re.fullmatch(r"0\d+", plain):
        return f"{shown} has a leading zero; {due} is due: write {plain.lstrip('0') or 0}"
    return f"{shown} is text; {due} is due"
