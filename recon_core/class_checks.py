"""What a plugin's classes must be: checked when they load, their expressions when they are about to be used.

Every function returns its findings as sentences that start with the attribute at fault; an empty list is a sound class.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

from recon_core.brokers import CAPABILITIES, Broker
from recon_core.columns import BREAK_COLUMNS, PAIR_COLUMNS
from recon_core.halts import HaltAction
from recon_core.model import SEVERITIES
from recon_core.plugin_module import did_you_mean
from recon_core.rules import Rule

PARAMETER_TYPES = ("number", "integer", "string", "boolean")
RESERVED_PARAMETERS = frozenset(
    ["severity", "halt", "counts", "undetermined", "title", "when", "select", "among", "impact", "measure", "detail", "supersedes"]
)
"""Keys of a rule's entry in the policy that have a meaning of their own."""

_RULE_TYPE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_PLUGIN_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_PARAMETER_NAME = re.compile(r"[a-z][a-z0-9_]*")
_JSON_TYPES = (*PARAMETER_TYPES, "object", "array", "null")


def rule_problems(rule: type[Rule]) -> list[str]:
    """What is wrong with the definition of a rule, its expressions aside (they cost a parse: see ``expression_problems``)."""
    return list(_rule_problems(rule))


def broker_problems(broker: type[Broker]) -> list[str]:
    """What is wrong with the definition of a broker adapter."""
    return list(_broker_problems(broker))


def halt_problems(action: type[HaltAction]) -> list[str]:
    """What is wrong with the definition of a halt action."""
    return list(_action_problems(action))


def default_parameters(rule: type[Rule]) -> dict[str, Any]:
    """The rule's parameters with their defaults; a float is taken as the decimal that it prints as."""
    defaults = {name: schema["default"] for name, schema in rule.params.items()}
    return {name: Decimal(repr(value)) if isinstance(value, float) else value for name, value in defaults.items()}


def expression_problems(rule: type[Rule]) -> list[str]:
    """What is wrong with the SQL and the detail of a rule whose definition is sound: syntax, columns, types, parameters."""
    from recon_core import expressions
    from recon_core.syntax import ExpressionError

    params = default_parameters(rule)
    columns: Mapping[str, str] = PAIR_COLUMNS
    problems: list[str] = []

    def attempt(attribute: str, check: Callable[[], Any]) -> Any:
        try:
            return check()
        except ExpressionError as error:
            problems.append(f"{attribute}: {error}")
            return None

    if rule.when:
        attempt("when", lambda: expressions.check_expression(rule.when, columns, want="BOOLEAN", params=params))
    else:
        returned: Mapping[str, str] = attempt("select", lambda: expressions.check_select(rule.select, columns, params)) or {}
        columns = {**returned, **columns}
        if rule.among:
            attempt("among", lambda: expressions.check_expression(rule.among, PAIR_COLUMNS, want="BOOLEAN", params=params))
        if problems:
            return problems
    for attribute, text in (("impact", rule.impact), *((f"measure[{i}]", term) for i, term in enumerate(rule.measure or ()))):
        attempt(attribute, partial(expressions.check_expression, text, columns, want="NUMBER", params=params))
    attempt("detail", lambda: expressions.check_detail(rule.detail, columns, params))
    if isinstance(rule.halt, Mapping) and "when" in rule.halt:
        text = rule.halt["when"]
        seen = {**columns, **BREAK_COLUMNS}
        attempt("halt.when", lambda: expressions.check_expression(text, seen, want="BOOLEAN", params=params))
    return problems


def schema_problems(properties: Any, where: str) -> Iterator[str]:
    """What is wrong with JSON Schema ``properties``: an unknown keyword, a value that it cannot have, no description,
    a default that its own schema refuses. Only keywords that the configuration reader acts on are known."""
    if not isinstance(properties, Mapping):
        yield f"{where} is {properties!r}; it is a dict of a JSON Schema for each name"
        return
    for name, schema in properties.items():
        place = f"{where}.{name}"
        if not isinstance(schema, Mapping):
            yield f"{place} is {schema!r}; a JSON Schema is a dict, such as {{'type': 'number', 'description': ..., 'default': 0}}"
            continue
        if not isinstance(schema.get("description"), str) or not schema["description"].strip():
            yield f"{place} has no description: say in a sentence what it does, with its unit"
        problems = list(_keyword_problems(schema, place))
        yield from problems
        if "default" in schema and not problems:
            yield from _default_problems(schema, place)


def _rule_problems(rule: type[Rule]) -> Iterator[str]:
    if not isinstance(rule.type, str) or not _RULE_TYPE.fullmatch(rule.type):
        yield f"type {rule.type!r} is no break type: capitals, digits and single underscores, such as QUANTITY_MISMATCH"
    yield from _text_problems(rule, "title", "detail", "impact")
    yield from _docstring_problems(rule)
    if not all(isinstance(text, str) for text in (rule.when, rule.select, rule.among)):
        yield "when, select and among are texts (SQL)"
    elif bool(rule.when.strip()) == bool(rule.select.strip()):
        said = "both when and select are" if rule.when.strip() else "neither when nor select is"
        yield f"{said} given: a rule has one, when (a predicate over pairs) or select (a query over pairs)"
    elif rule.among and not rule.select:
        yield "among goes with select: with when, write both into one predicate"
    if rule.severity not in SEVERITIES:
        yield f"severity {rule.severity!r} is none of {', '.join(SEVERITIES)}"
    if not isinstance(rule.counts, bool):
        yield f"counts is {rule.counts!r}; it is True or False"
    measure = rule.measure
    if measure is not None and not (
        isinstance(measure, tuple) and len(measure) == 2 and all(isinstance(term, str) for term in measure)
    ):
        yield f"measure is {measure!r}; it is two SQL terms, such as ('abs(quantity_difference)', 'abs(broker_quantity)')"
    yield from _halt_problems(rule)
    yield from _names_problems(rule, "supersedes")
    yield from schema_problems(rule.params, "params")
    for name, schema in rule.params.items() if isinstance(rule.params, Mapping) else ():
        if not isinstance(name, str) or not _PARAMETER_NAME.fullmatch(name):
            yield f"params.{name}: a parameter is lower-case letters, digits and underscores, so that $name can be written in SQL"
        elif name in RESERVED_PARAMETERS:
            yield f"params.{name}: the policy gives {name!r} a meaning of its own; choose another name"
        if isinstance(schema, Mapping):
            if "default" not in schema:
                yield f"params.{name} has no default: the policy need not name every parameter"
            if _is_number(schema.get("default")) and _has_too_many_digits(Decimal(str(schema["default"]))):
                yield f"params.{name}.default has too many digits: at most 18 before and 18 after the point are compared exactly"
            if "type" not in schema or (schema["type"] not in PARAMETER_TYPES and _is_type(schema["type"])):
                yield f"params.{name}.type is {schema.get('type')!r}; a parameter is one of {', '.join(PARAMETER_TYPES)}"


def _broker_problems(broker: type[Broker]) -> Iterator[str]:
    if not isinstance(broker.name, str) or not _PLUGIN_NAME.fullmatch(broker.name):
        yield f"name {broker.name!r} is no adapter name: lower-case letters, digits, '-' and '_', such as alpaca or prime-fix"
    yield from _docstring_problems(broker)
    if broker.positions is Broker.positions:
        yield "positions() is not defined: it is what an adapter is for"
    for attribute in ("required", "secrets", "optional_secrets", "coverage", "capabilities"):
        yield from _names_problems(broker, attribute)
    if isinstance(broker.capabilities, tuple) and not {"positions"} <= set(broker.capabilities) <= set(CAPABILITIES):
        known = ", ".join(CAPABILITIES)
        yield f"capabilities is {broker.capabilities!r}; positions must be in it, and nothing that is none of {known}"
    yield from _options_problems(broker.options, broker.required)


def _action_problems(action: type[HaltAction]) -> Iterator[str]:
    if not isinstance(action.type, str) or not _PLUGIN_NAME.fullmatch(action.type):
        yield f"type {action.type!r} is no action type: lower-case letters, digits, '-' and '_', such as webhook or desk-switch"
    yield from _text_problems(action, "title")
    yield from _docstring_problems(action)
    if action.halt is HaltAction.halt:
        yield "halt() is not defined: it is what an action is for"
    if action.confirm is HaltAction.confirm:
        yield "confirm() is not defined: a halt that nobody reads back is not one"
    for attribute in ("required", "secrets", "optional_secrets"):
        yield from _names_problems(action, attribute)
    if isinstance(action.optional_secrets, tuple):
        for pattern in action.optional_secrets:
            if not _is_pattern(pattern):
                yield f"optional_secrets names {pattern!r}, which is neither a name nor a regular expression"
    yield from _options_problems(action.options, action.required)


def _options_problems(options: Any, required: Any) -> Iterator[str]:
    yield from schema_problems(options, "options")
    if isinstance(options, Mapping) and isinstance(required, tuple):
        for name in required:
            if name not in options:
                yield f"required names {name!r}, which is not among options"


def _text_problems(owner: type, *attributes: str) -> Iterator[str]:
    for attribute in attributes:
        value = getattr(owner, attribute)
        if not isinstance(value, str) or not value.strip():
            yield f"{attribute} is {value!r}; it is a text"


def _docstring_problems(owner: type) -> Iterator[str]:
    if not (owner.__doc__ or "").strip():
        yield "docstring is empty: it is the documentation page, say what it does and what a person should do"


def _names_problems(owner: type, attribute: str) -> Iterator[str]:
    value = getattr(owner, attribute)
    if isinstance(value, str):
        yield f"{attribute} is the text {value!r}; a tuple of one has a comma: ({value!r},)"
    elif not isinstance(value, tuple) or not all(isinstance(name, str) and name for name in value):
        yield f"{attribute} is {value!r}; it is a tuple of names"
    elif getattr(owner, "type", None) in value:
        yield f"{attribute} names the rule's own type"


def _halt_problems(rule: type[Rule]) -> Iterator[str]:
    halt = rule.halt
    if not isinstance(halt, Mapping):
        if halt not in ("always", "never"):
            yield f"halt is {halt!r}; it is 'always', 'never', {{'above_pct': N}}, {{'above_impact': N}} or {{'when': '<SQL>'}}"
        return
    unknown = [key for key in halt if key not in ("above_pct", "above_impact", "when")]
    if unknown or not halt:
        yield f"{f'halt has {unknown[0]!r}' if unknown else 'halt is empty'}; it knows above_pct, above_impact and when"
    for key in ("above_pct", "above_impact"):
        if key in halt and not (_is_number(halt[key]) and halt[key] >= 0):
            yield f"halt.{key} is {halt[key]!r}; it is a number, 0 or more"
    if "when" in halt and not (isinstance(halt["when"], str) and halt["when"].strip()):
        yield f"halt.when is {halt['when']!r}; it is a text (SQL)"
    if "above_pct" in halt and rule.measure is None:
        yield "halt.above_pct compares two terms, which measure must give (abs(quantity_difference) and abs(broker_quantity), say)"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) and Decimal(value).is_finite()


def _has_too_many_digits(number: Decimal) -> bool:
    return number.adjusted() >= 18 or int(number.as_tuple().exponent) < -18


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_pattern(value: Any) -> bool:
    try:
        re.compile(value)
    except (re.error, TypeError):
        return False
    return True


def _is_type(value: Any) -> bool:
    names = value if isinstance(value, (list, tuple)) else [value]
    return bool(names) and all(name in _JSON_TYPES for name in names)


_KEYWORDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "type": (_is_type, f"one or a list of {', '.join(_JSON_TYPES)}"),
    "description": (lambda value: isinstance(value, str), "a text"),
    "title": (lambda value: isinstance(value, str), "a text"),
    "default": (lambda _value: True, "anything"),
    "examples": (lambda value: isinstance(value, (list, tuple)), "a list"),
    "enum": (lambda value: isinstance(value, (list, tuple)) and len(value) > 0, "a list with something in it"),
    "const": (lambda _value: True, "anything"),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), (_is_number, "a number")),
    "multipleOf": (lambda value: _is_number(value) and value > 0, "a number above 0"),
    **dict.fromkeys(
        ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
        (_is_count, "a whole number, 0 or more"),
    ),
    "uniqueItems": (lambda value: isinstance(value, bool), "True or False"),
    "pattern": (_is_pattern, "a regular expression"),
    "required": (
        lambda value: isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value),
        "a list of names",
    ),
}
_SUBSCHEMAS = ("items", "additionalProperties", "propertyNames")
_SUBSCHEMA_MAPS = ("properties", "patternProperties")


def _keyword_problems(schema: Mapping[str, Any], place: str) -> Iterator[str]:
    for keyword, value in schema.items():
        if keyword in _SUBSCHEMA_MAPS:
            if not isinstance(value, Mapping) or not all(isinstance(part, Mapping) for part in value.values()):
                yield f"{place}.{keyword} is {value!r}; it is a dict of schemas"
                continue
            for name, part in value.items():
                yield from _keyword_problems(part, f"{place}.{name}")
        elif keyword in _SUBSCHEMAS:
            if isinstance(value, Mapping):
                yield from _keyword_problems(value, f"{place}.{keyword}")
            elif not isinstance(value, bool):
                yield f"{place}.{keyword} is {value!r}; it is a schema"
        elif keyword not in _KEYWORDS:
            known = (*_KEYWORDS, *_SUBSCHEMAS, *_SUBSCHEMA_MAPS)
            yield f"{place} has {keyword!r}, which is not a JSON Schema keyword that is acted on here{did_you_mean(keyword, known)}"
        elif not _KEYWORDS[keyword][0](value):
            yield f"{place}.{keyword} is {value!r}; it is {_KEYWORDS[keyword][1]}"


def _default_problems(schema: Mapping[str, Any], place: str) -> Iterator[str]:
    from jsonschema import Draft202012Validator

    for error in Draft202012Validator(dict(schema)).iter_errors(schema["default"]):
        yield f"{place}.default breaks its own schema: {error.message}"
        return
