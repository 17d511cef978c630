"""A file against its JSON Schema: scalars become what the schema wants there, and each mistake becomes one message at its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from recon_core.config.problems import Path, Place, Problems, closest, did_you_mean, quote
from recon_core.config.reader import Document, Node
from recon_core.config.wording import NUMBER, Fault, Schema, message_of, types_of, wrong_type

_NULLS = ("", "~", "null")


@dataclass(frozen=True, slots=True)
class Checked:
    """A file's ``value`` as its schema reads it, and the paths in it that are ``wrong``."""

    root: Node
    value: Any
    problems: Problems
    wrong: set[Path]

    def sound(self, *path: str | int) -> bool:
        """Whether nothing is wrong at, below or above ``path``; what is not sound has been reported and is not looked at again."""
        return not any(path == wrong[: len(path)] or wrong == path[: len(wrong)] for wrong in self.wrong)

    def problem(self, message: str, *path: str | int, key: bool = False, named: bool = False) -> None:
        """Report that what stands at ``path`` cannot be meant; ``key`` points at its name, ``named`` is a message that says it."""
        self.problems.add(self.root.place_of(path, key=key or named), message, path[:-1] if named else path)
        self.wrong.add(path)

    def line(self, *path: str | int) -> int:
        """The line on which ``path`` is named."""
        return self.root.place_of(path, key=True).line


def check(document: Document, root: Node, schema: Schema, *, secret: Callable[[Path], bool] | None = None) -> Checked:
    """Resolve and validate the whole of a document, whose ``root`` is there; all mistakes go to its problems.

    ``secret`` says at which paths no value may be quoted.
    """
    problems, known_wrong = document.problems, document.wrong
    checked = Checked(root, resolve(root, schema), problems, set(known_wrong))
    hidden = secret or (lambda _path: False)
    faults: dict[Path, list[Fault]] = {}
    for error in _validator_class()(schema).iter_errors(checked.value):
        path: Path = tuple(error.absolute_path)
        if not any(path[: len(known)] == known for known in known_wrong):
            fault = Fault(error.validator, error.validator_value, error.schema, error.instance, error.message)
            faults.setdefault(path, []).append(fault)
    for path, found in faults.items():
        node = root.get(*path) or root
        for place, message, name in _problems_at(node, found, root.place_of(path, key=True), hidden(path)):
            problems.add(place, message, path)
            checked.wrong.add((*path, name) if name is not None else path)
    return checked


def resolve(node: Node, schema: Any) -> Any:
    """The value of a node where the schema's types decide what a scalar is; what does not fit stays text."""
    if not isinstance(schema, Mapping):
        schema = {}
    if node.entries is not None:
        return {name: resolve(child, _schema_of(name, schema)) for name, child in node.entries.items()}
    if node.items is not None:
        return [resolve(child, schema.get("items")) for child in node.items]
    text, types = node.text or "", types_of(schema)
    if not node.plain:
        return text
    if "boolean" in types and text in ("true", "false"):
        return text == "true"
    if types & {"number", "integer"} and NUMBER.fullmatch(text):
        number = Decimal(text)
        return int(number) if "number" not in types and number == number.to_integral_value() else number
    if text in _NULLS and ("null" in types or not types & {"string"} or text == ""):
        return None
    return text


def exact(schema: Any) -> Any:
    """The same schema with its binary floats as the decimals that they print as, so that a bound of 0.1 is 0.1."""
    if isinstance(schema, Mapping):
        return {key: exact(value) for key, value in schema.items()}
    if isinstance(schema, (list, tuple)):
        return [exact(value) for value in schema]
    return Decimal(repr(schema)) if isinstance(schema, float) else schema


def filled(value: Any, schema: Schema) -> Any:
    """The same options with the defaults of their schema where nothing is set; a default number is a Decimal, like a set one."""
    if not isinstance(value, Mapping):
        return value
    properties = schema.get("properties", {})
    defaults = {name: _default(part) for name, part in properties.items() if "default" in part and name not in value}
    return {**{name: filled(option, properties.get(name, {})) for name, option in value.items()}, **defaults}


@cache
def _validator_class() -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    def is_number(_checker: object, value: object) -> bool:
        return isinstance(value, (int, Decimal)) and not isinstance(value, bool)

    def is_integer(_checker: object, value: object) -> bool:
        whole = isinstance(value, Decimal) and value == value.to_integral_value()
        return whole or (isinstance(value, int) and not isinstance(value, bool))

    types = Draft202012Validator.TYPE_CHECKER.redefine_many({"number": is_number, "integer": is_integer})
    return extend(Draft202012Validator, type_checker=types)  # type: ignore[no-untyped-call]  # the types of jsonschema leave it out


def _schema_of(name: str, schema: Schema) -> Any:
    if name in schema.get("properties", {}):
        return schema["properties"][name]
    for pattern, below in schema.get("patternProperties", {}).items():
        if re.search(pattern, name):
            return below
    return schema.get("additionalProperties")


def _problems_at(node: Node, faults: list[Fault], key_place: Place, hidden: bool) -> Iterator[tuple[Place, str, str | None]]:
    """What to say of all faults of one value: (place, message, the key below it that is wrong or None)."""
    by_keyword = {fault.keyword: fault for fault in faults}
    if "type" in by_keyword:
        yield node.place, wrong_type(node, by_keyword["type"].schema, hidden), None
        return
    meant: set[str | None] = set()
    if "additionalProperties" in by_keyword:
        schema = by_keyword["additionalProperties"].schema
        known = list(schema.get("properties", {}))
        for name in _unknown(node, schema):
            near = closest(name, known)
            meant.add(near)
            hint = did_you_mean(name, known) or "; none is known here"
            if near is None and any(re.search(pattern, name.upper()) for pattern in schema.get("patternProperties", {})):
                hint = f"; did you mean {quote(name.upper())}?"
            # where secrets stand, a name that resembles none may be one
            shown = None if hidden and near is None else name
            what = "an unknown name" if shown is None else f"unknown key {quote(name)}"
            yield node.keys[name], f"{what}{hint}", shown
    for fault in faults:
        if fault.keyword == "required":
            for name in fault.limit:
                if name not in (node.entries or {}) and name not in meant:
                    yield key_place, f"{quote(name)} is missing", None
        elif node.entries is not None and isinstance(fault.instance, str):  # propertyNames judges a key
            named = Node(node.keys[fault.instance], text=fault.instance)
            yield named.place, "key " + message_of(named, fault, hidden), None
        elif fault.keyword != "additionalProperties":
            yield (node.place if node.text is not None else key_place), message_of(node, fault, hidden), None
            return


def _unknown(node: Node, schema: Schema) -> list[str]:
    patterns = schema.get("patternProperties", {})
    known = schema.get("properties", {})
    return [name for name in node.entries or {} if name not in known and not any(re.search(pattern, name) for pattern in patterns)]


def _default(schema: Schema) -> Any:
    value = schema["default"]
    if isinstance(value, bool) or "number" not in schema.get("type", ()):
        return value
    return Decimal(str(value)) if isinstance(value, (int, float)) else value
