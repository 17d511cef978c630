"""Expressions over ``pairs``: parsed by DuckDB, checked against a list of what is allowed, and compiled with their parameters.

A rule or a policy can say what a break is, never reach a file, the clock or another table. Products of two columns are
compiled to ``exact_product``: DuckDB's own product of two DECIMALs overflows at eleven digits, or fewer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

import duckdb

from recon_core.columns import KEY_COLUMNS
from recon_core.sql import identifier, quoted
from recon_core.sql_functions import AGGREGATES, ALLOWED_FUNCTIONS
from recon_core.syntax import (
    ExpressionError,
    did_you_mean,
    expression_sql,
    maps,
    nodes,
    offset_of,
    parse_expression,
    parse_statement,
    scratch_database,
    statement_sql,
)

_ALLOWED_CLASSES = frozenset(
    ("COLUMN_REF", "CONSTANT", "FUNCTION", "COMPARISON", "CONJUNCTION", "OPERATOR", "CASE", "CAST", "TYPE", "BETWEEN", "PARAMETER")
)
_REFUSED = {
    "SUBQUERY": "a subquery has no place here",
    "WINDOW": "a window function has no place here: an expression sees one pair",
    "STAR": "'*' has no place here",
    "LAMBDA": "a lambda has no place here",
}
_NUMBERS = (
    "DECIMAL",
    "DOUBLE",
    "FLOAT",
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UINTEGER",
    "UBIGINT",
    "INTEGER_LITERAL",
)
_PLACE = re.compile(r"\{(\w+)\}|\{\{|\}\}")

_MOST_DIGITS = 38

Want = Literal["BOOLEAN", "NUMBER"]


def check_expression(text: str, columns: Mapping[str, str], *, want: Want, params: Mapping[str, Any] | None = None) -> None:
    """Raise ExpressionError unless ``text`` is one expression over ``columns`` (name: SQL type) that gives what is wanted.

    ``params`` are the parameters that it may name as ``$name``, with a value of each.
    """
    params = params or {}
    node = parse_expression(text)
    for part in nodes(node):
        _check_node(part, text, columns, params)
    literals = {name: literal(value) for name, value in params.items()}
    kind = _bound_type(compile_expression(text, literals), columns, text)
    if want == "BOOLEAN" and kind != "BOOLEAN":
        raise ExpressionError(f"gives {kind}, and true or false is due: compare it with something")
    if want == "NUMBER" and not kind.startswith(_NUMBERS):
        raise ExpressionError(f"gives {kind}, and a number is due")


def check_detail(template: str, columns: Mapping[str, str], params: Mapping[str, Any] | None = None) -> None:
    """Raise ExpressionError unless every ``{place}`` of a detail template is a column or a parameter."""
    for match in _PLACE.finditer(template):
        name = match[1]
        if name and name not in columns and name not in (params or {}):
            raise ExpressionError(f"unknown column {name!r} in the detail{did_you_mean(name, columns)}", match.start())


def check_select(text: str, columns: Mapping[str, str], params: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The columns (name: SQL type) that a rule's ``select`` over ``pairs`` returns; ExpressionError unless it is sound."""
    statement = parse_statement(text)
    params = params or {}
    named = {entry["key"] for entry in maps(statement, "cte_map")}
    for part in nodes(statement):
        kind = part.get("type")
        if kind == "BASE_TABLE" and part["table_name"] not in named | {"pairs"}:
            raise ExpressionError(f"a rule's select reads `pairs` alone, not {part['table_name']!r}", offset_of(part, text, 0))
        if kind == "RECURSIVE_CTE_NODE":
            raise ExpressionError("a recursive query has no place in a rule's select: it may never end")
        if kind == "TABLE_FUNCTION":
            raise ExpressionError("a table function has no place in a rule's select", offset_of(part, text, 0))
        if part.get("class") == "PARAMETER" and part["identifier"] not in params:
            raise ExpressionError(f"unknown parameter ${part['identifier']}{did_you_mean(part['identifier'], params)}")
        if part.get("class") == "FUNCTION" and part["function_name"] not in ALLOWED_FUNCTIONS | AGGREGATES:
            raise ExpressionError(f"function {part['function_name']!r} is not available to rules", offset_of(part, text, 0))
        if part.get("class") == "FUNCTION":
            _check_escape(part, offset_of(part, text, 0))
    query = compile_select(text, {name: literal(value) for name, value in params.items()})
    with scratch_database() as connection:
        _pairs_table(connection, columns)
        try:
            found = {str(row[0]): str(row[1]) for row in connection.execute(f"DESCRIBE {query}").fetchall()}
        except duckdb.Error as error:
            raise ExpressionError(_first_line(error)) from None
    missing = [name for name in KEY_COLUMNS if name not in found]
    if missing:
        raise ExpressionError(f"a rule's select returns broker, account, symbol and leg; {', '.join(missing)} not returned")
    return found


def compile_expression(text: str, literals: Mapping[str, str]) -> str:
    """SQL of a checked expression, its ``$name`` replaced by ``literals`` and its products made exact."""
    return _compiled(text, tuple(literals.items()))


@lru_cache(maxsize=1024)  # a rule's predicate is asked for by each pass, its measure once an override
def _compiled(text: str, literals: tuple[tuple[str, str], ...]) -> str:
    return expression_sql(_rewritten(parse_expression(text), dict(literals), exact=True))


def columns_of(text: str) -> set[str]:
    """The columns that a checked expression names."""
    return {part["column_names"][-1].lower() for part in nodes(parse_expression(text)) if part.get("class") == "COLUMN_REF"}


def divides(text: str) -> bool:
    """Whether a checked expression divides: in binary floating point, whose quotients are not exact."""
    return any(part.get("class") == "FUNCTION" and part["function_name"] in ("/", "//") for part in nodes(parse_expression(text)))


def cannot_fail(text: str, columns: Mapping[str, str], params: Mapping[str, Any]) -> bool:
    """Whether a checked expression can raise for no row: no arithmetic that overflows, no text that is read as a number.

    At ten million pairs a TRY that is not needed is felt.
    """
    if any(isinstance(value, str) for value in params.values()):
        return False
    for part in nodes(parse_expression(text)):
        kind = part.get("class")
        if kind == "COLUMN_REF" and not columns[part["column_names"][-1].lower()].startswith(("BOOLEAN", "DECIMAL", "DOUBLE")):
            return False
        if kind == "CAST" or (kind == "FUNCTION" and part["function_name"] not in ("abs", "exact_product", "*")):
            return False
        if kind == "FUNCTION" and part["function_name"] == "*" and not all(map(_has_column, part["arguments"])):
            return False
        if kind == "CONSTANT" and part["literal"]["kind"] == "STRING":
            return False
    return True


def compile_select(text: str, literals: Mapping[str, str]) -> str:
    """SQL of a checked select, its ``$name`` replaced by ``literals``."""
    statement = _rewritten(parse_statement(text), literals, exact=False)
    return statement_sql({"error": False, "statements": [statement]})


def compile_detail(template: str, columns: Mapping[str, str], literals: Mapping[str, str]) -> str:
    """SQL text expression of a detail template; numbers print as written, an unknown value as 'unknown'."""
    parts: list[str] = []
    end = 0
    for match in _PLACE.finditer(template):
        parts.append(quoted(template[end : match.start()]))
        end = match.end()
        if match[1] is None:
            parts.append(quoted(match[0][0]))
        elif match[1] in columns:
            parts.append(f"plain_text({identifier(match[1])})")
        elif match[1] in literals:
            parts.append(f"plain_text({literals[match[1]]})")
        else:
            raise ExpressionError(f"unknown column {match[1]!r} in the detail", match.start())
    parts.append(quoted(template[end:]))
    return " || ".join(part for part in parts if part != "''") or "''"


def literal(value: Any) -> str:
    """A value as a typed SQL literal: Decimal and int as DECIMAL of just its digits, text quoted, bool as it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (Decimal, int)):
        text = f"{Decimal(value):f}"
        digits = text.lstrip("+-")
        whole, _, places = digits.partition(".")
        width = len(whole.lstrip("0")) + len(places)
        if width > _MOST_DIGITS:
            shown = text if len(text) <= 60 else f"{text[:57]}..."
            raise ExpressionError(f"{shown} has {width} digits, and {_MOST_DIGITS} are the most")
        return f"CAST({text} AS DECIMAL({max(width, 1)},{len(places)}))"
    return quoted(str(value))


def _check_node(node: Mapping[str, Any], text: str, columns: Mapping[str, str], params: Mapping[str, Any]) -> None:
    kind = node.get("class")
    if kind is None:
        return
    at = offset_of(node, text)
    if kind == "COLUMN_REF":
        name = ".".join(node["column_names"])
        if name.lower() not in columns and name not in columns:
            raise ExpressionError(f"unknown column {name!r}{did_you_mean(name, columns)}", at)
    elif kind == "PARAMETER":
        name = node["identifier"]
        if name not in params:
            raise ExpressionError(f"unknown parameter ${name}{did_you_mean(name, params)}", at)
    elif kind == "FUNCTION":
        name = node["function_name"]
        if name not in ALLOWED_FUNCTIONS:
            hint = ": an expression sees one pair, not several" if name in AGGREGATES else ""
            raise ExpressionError(f"function {name!r} is not available in expressions{hint}", at)
        _check_escape(node, at)
    elif kind not in _ALLOWED_CLASSES:
        raise ExpressionError(_REFUSED.get(kind, f"{kind.lower()} is not available in expressions"), at)


def _check_escape(node: Mapping[str, Any], at: int | None) -> None:
    """The database engine gives up on a wrong LIKE ... ESCAPE in the middle of a query, where no TRY helps."""
    if node["function_name"] not in ("like_escape", "not_like_escape"):
        return
    given = [argument["expression"].get("literal", {}) for argument in node["arguments"][1:]]
    if any(part.get("kind") != "STRING" for part in given):
        raise ExpressionError("LIKE ... ESCAPE is due with two texts: 'A!_%' ESCAPE '!'", at)
    pattern, escape = (part["text"] for part in given)
    if len(escape) != 1:
        raise ExpressionError(f"ESCAPE takes one character, not {escape!r}", at)
    if pattern.replace(escape * 2, "").endswith(escape):
        raise ExpressionError(f"the pattern {pattern!r} ends with its escape character", at)


def _rewritten(node: Any, literals: Mapping[str, str], *, exact: bool) -> Any:
    if isinstance(node, list):
        return [_rewritten(part, literals, exact=exact) for part in node]
    if not isinstance(node, dict):
        return node
    if node.get("class") == "PARAMETER":
        name = node["identifier"]
        if name not in literals:
            raise ExpressionError(f"unknown parameter ${name}{did_you_mean(name, literals)}")
        return parse_expression(literals[name])
    changed = {key: _rewritten(value, literals, exact=exact) for key, value in node.items()}
    if exact and node.get("class") == "FUNCTION" and node["function_name"] == "*" and all(map(_has_column, node["arguments"])):
        changed |= {"function_name": "exact_product", "is_operator": False, "qualified_name": {"path": ["exact_product"]}}
    return changed


def _has_column(argument: Mapping[str, Any]) -> bool:
    return any(part.get("class") == "COLUMN_REF" for part in nodes(argument))


def _bound_type(sql: str, columns: Mapping[str, str], text: str) -> str:
    with scratch_database() as connection:
        _pairs_table(connection, columns)
        try:
            row = connection.execute(f"DESCRIBE SELECT {sql} AS x FROM pairs").fetchone()
            connection.execute(f"SELECT {sql} FROM (SELECT 1) LEFT JOIN pairs ON true")  # a constant that does not fit shows here
        except duckdb.Error as error:
            raise ExpressionError(f"does not fit its columns: {_first_line(error)}") from None
    assert row is not None  # noqa: S101  # one column is one row
    return str(row[1])


def _pairs_table(connection: duckdb.DuckDBPyConnection, columns: Mapping[str, str]) -> None:
    shape = ", ".join(f"{identifier(name)} {kind}" for name, kind in columns.items())
    connection.execute(f"CREATE OR REPLACE TEMP TABLE pairs ({shape})")


def _first_line(error: Exception) -> str:
    return re.sub(r"^[A-Z][A-Za-z ]* Error: ", "", str(error).partition("\n")[0])
