"""JSON Schemas and lists as Markdown tables."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]
Lines = Iterator[str]

_WORDS = {"string": "text", "object": "map", "integer": "whole number", "boolean": "true or false"}


def table(schema: Schema, *, leave: Collection[str] = (), defaults: bool = True) -> Lines:
    """A table of an object's keys, and of those in its maps, but for the maps that it is to ``leave`` to other sections."""
    body = [row if defaults else (*row[:2], *row[3:]) for row in _key_rows(schema, "", leave)]
    return rows(("key", "what", "default", "meaning") if defaults else ("key", "what", "meaning"), body)


def _key_rows(schema: Schema, prefix: str, leave: Collection[str]) -> Iterator[tuple[str, str, str, str]]:
    for name, part in schema["properties"].items():
        default = "required" if name in schema.get("required", ()) else code(part["default"]) if "default" in part else ""
        yield (f"`{prefix}{name}`", _kind(part), default, said(part.get("description", "")))
        within = part["items"] if isinstance(part.get("items"), Mapping) else part
        if name not in leave and _described(within):
            yield from _key_rows(within, f"{prefix}{name}{'[]' if within is not part else ''}.", ())


def _described(schema: Schema) -> bool:
    """Whether an object's keys say more than their names."""
    return any(part.get("description", name) != name for name, part in schema.get("properties", {}).items())


def _kind(schema: Schema) -> str:
    """What a value must be, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name})"
    if "anyOf" in schema:
        return " or ".join(_kind(part) for part in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return ", ".join(code(value) for value in schema.get("enum", [schema.get("const")]))
    names = schema.get("type", "text")
    words = " or ".join(_word(name, schema) for name in (names if isinstance(names, list) else [names]))
    return ", ".join([words, *_bounds(schema)])


def _word(name: str, schema: Schema) -> str:
    choices = re.fullmatch(r"\^\(([a-z|]+)\)\$", schema.get("pattern", ""))
    if name == "string" and choices:
        return ", ".join(code(choice) for choice in choices[1].split("|"))
    if name == "array":
        kind = _kind(schema["items"])
        return f"list of {kind}{'s' if kind in ('text', 'map') else ''}"
    if name == "object" and schema.get("properties") and not _described(schema):
        return f"map with the keys {', '.join(f'`{key}`' for key in schema['properties'])}"
    return _WORDS.get(name, name)


def _bounds(schema: Schema) -> Lines:
    for keyword, words in (
        ("minimum", "{} or more"),
        ("exclusiveMinimum", "above {}"),
        ("maximum", "at most {}"),
        ("exclusiveMaximum", "below {}"),
        ("maxItems", "{} of them"),
    ):
        if keyword in schema:
            yield words.format(schema[keyword])
    if schema.get("format") == "date":
        yield "YYYY-MM-DD"


def said(text: str) -> str:
    """A sentence as Markdown shows it: what stands outside of backquotes is no markup."""
    parts = text.split("`")
    parts[::2] = [part.replace("*", r"\*").replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


def code(value: Any) -> str:
    """A value as it would be written in YAML or JSON."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return f"`{text}`" if text else "empty"


def fenced(text: str, language: str) -> Lines:
    """A block of code, and a blank line."""
    yield f"```{language}"
    yield from text.rstrip("\n").splitlines()
    yield "```"
    yield ""


def rows(header: Sequence[str], body: Sequence[Sequence[str]]) -> Lines:
    """A table, and a blank line."""
    for row in (header, ["---"] * len(header), *body):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|').replace(chr(10), ' ') for cell in row)} |"
    yield ""
