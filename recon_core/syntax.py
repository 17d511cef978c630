"""SQL as DuckDB's own parser sees it: from text to a syntax tree and back, with places that people can count."""

from __future__ import annotations

import difflib
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

import duckdb

from recon_core.errors import ReconError
from recon_core.sql_functions import MACROS

_MOST_LEVELS = 100  # what Python can follow


class ExpressionError(ReconError):
    """An expression that cannot be meant; ``offset`` is where in its text (characters), None where that is not known."""

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message)
        self.offset = offset


def parse_expression(text: str) -> dict[str, Any]:
    """The one expression that a text is. Raises ExpressionError."""
    if not text.strip():
        raise ExpressionError("an empty expression")
    statement = parse_statement(text, prefix="SELECT ")
    node = statement["node"]
    extra = [key for key in ("where_clause", "group_expressions", "having", "qualify", "sample", "modifiers") if node.get(key)]
    plain = node["type"] == "SELECT_NODE" and node["from_table"]["type"] == "EMPTY" and not extra
    if not plain or len(node["select_list"]) != 1 or node["select_list"][0].get("alias"):
        raise ExpressionError("one expression is due, without FROM, WHERE, AS or a list")
    found: dict[str, Any] = node["select_list"][0]
    return found


def parse_statement(text: str, prefix: str = "") -> dict[str, Any]:
    """The one statement that ``prefix`` and ``text`` are. Raises ExpressionError, its offset counted in ``text``."""
    tree = json.loads(_serialized(prefix + text))
    if tree["error"]:
        position = tree.get("position")
        offset = None if position is None else _characters(text, int(position) - len(prefix))
        message = tree["error_message"]
        if "expression depth" in message:
            raise ExpressionError(f"nested deeper than {_MOST_LEVELS} levels: take it apart")
        if "parser" not in tree["error_type"]:
            raise ExpressionError("one expression is due, not several statements" if prefix else "a SELECT is due", offset)
        raise ExpressionError(message, offset)
    if len(tree["statements"]) != 1:
        raise ExpressionError("one expression is due, not several statements")
    found: dict[str, Any] = tree["statements"][0]
    return found


@lru_cache(maxsize=1024)  # a rule is parsed by each pass; who only checks texts, forever new ones, keeps few
def _serialized(text: str) -> str:
    with scratch_database() as connection:
        row = connection.execute("SELECT json_serialize_sql(?)", [text]).fetchone()
    assert row is not None  # noqa: S101  # a scalar SELECT returns one row
    return str(row[0])


def expression_sql(node: Mapping[str, Any]) -> str:
    """An expression of a tree as SQL, in parentheses."""
    shell = json.loads(_serialized("SELECT 1"))
    shell["statements"][0]["node"]["select_list"] = [node]
    return "(" + statement_sql(shell).removeprefix("SELECT ") + ")"


def statement_sql(tree: Mapping[str, Any]) -> str:
    """A whole tree as SQL."""
    for statement in tree["statements"]:
        statement["named_param_map"] = []
    with scratch_database() as connection:
        row = connection.execute("SELECT json_deserialize_sql(?)", [json.dumps(tree)]).fetchone()
    assert row is not None  # noqa: S101  # a scalar SELECT returns one row
    return str(row[0])


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Every part of a tree, itself first."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


def maps(node: Any, name: str) -> Iterator[dict[str, Any]]:
    """The entries of every map called ``name`` in a tree."""
    for part in nodes(node):
        if isinstance(part.get(name), dict):
            yield from part[name]["map"]


def offset_of(node: Mapping[str, Any], text: str, prefix: int = len("SELECT ")) -> int | None:
    """Where a part of a tree stands in ``text`` (characters), which ``prefix`` characters were put before; None where unknown."""
    place = node.get("query_location", 0)
    return None if place >= 1 << 63 else _characters(text, place - prefix)


def _characters(text: str, place: int) -> int:
    """DuckDB counts bytes, people count characters."""
    return len(text.encode()[: max(place, 0)].decode(errors="ignore"))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean ...?`` with the nearest of the known names; empty where none is near."""
    close = difflib.get_close_matches(name.lower(), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


_lock = threading.RLock()


@contextmanager
def scratch_database() -> Iterator[duckdb.DuckDBPyConnection]:
    """A small in-memory DuckDB, of its own so that a check can touch nothing of a run; one a process, behind a lock."""
    with _lock:
        yield _scratch()


@cache
def _scratch() -> duckdb.DuckDBPyConnection:
    settings: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": "false",
        "threads": "1",
        "autoinstall_known_extensions": "false",
        "ieee_floating_point_ops": "false",
        "max_expression_depth": str(_MOST_LEVELS),
    }
    connection = duckdb.connect(":memory:", config=settings)
    connection.execute(MACROS)
    return connection
