"""What SQL is put together from: texts and names in their quotes, and helper columns in steps.

A helper column is computed from those of the steps before it, so that nothing is written or computed twice: DuckDB repeats an
expression wherever it stands in another, and plans each copy. Nested four deep, that was most of the time which a small run took.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import zip_longest

Steps = tuple[Mapping[str, str], ...]
"""Names of helper columns and their SQL; a later step may refer to the names of the earlier ones."""


def quoted(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def over(query: str, steps: Steps) -> str:
    """``query`` with the helper columns beside its own."""
    for step in steps:
        query = f"SELECT *, {', '.join(f'{sql} AS {name}' for name, sql in step.items())} FROM ({query})"
    return query


def side_by_side(several: Iterable[Steps]) -> Steps:
    """The steps of independent columns at once: all their first ones, then all their second ones."""
    return tuple({name: sql for step in level if step for name, sql in step.items()} for level in zip_longest(*several))
