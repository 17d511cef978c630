"""What SQL is put together from: texts and names in their quotes, and helper columns in steps.

A helper column is computed from those of the steps before it, so that nothing is written or computed twice: DuckDB repeats an
expression wherever it stands in another, and plans each copy. Nested four deep, that was most of the time which a small run took.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
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
    for step in filter(None, steps):
        query = f"SELECT *, {', '.join(f'{sql} AS {name}' for name, sql in step.items())} FROM ({query})"
    return query


def named_in(asked: str, steps: Steps) -> Steps:
    """Of ``steps`` the helper columns that the SQL ``asked`` names, or that these are computed from."""
    named = _words(asked)
    kept: list[Mapping[str, str]] = []
    for step in reversed(steps):
        kept.append({name: sql for name, sql in step.items() if name in named})
        named = named.union(*map(_words, kept[-1].values()))
    return tuple(reversed(kept))


def _words(sql: str) -> set[str]:
    return set(re.findall(r"\w+", sql.lower()))


def side_by_side(several: Iterable[Steps]) -> Steps:
    """The steps of independent columns at once: all their first ones, then all their second ones."""
    return tuple({name: sql for step in level if step for name, sql in step.items()} for level in zip_longest(*several))


def aliased(query: str, aliases: Mapping[str, str], columns: Collection[str]) -> str:
    """``query`` (which gives ``columns``) with its symbols replaced by ours; theirs is kept as raw_symbol."""
    if not aliases:
        return query
    pairs = ", ".join(f"({quoted(theirs)}, {quoted(ours)})" for theirs, ours in aliases.items())
    raw = "" if "raw_symbol" in columns else ", CASE WHEN alias.ours IS NOT NULL THEN given.symbol END AS raw_symbol"
    return (
        f"SELECT given.* REPLACE (coalesce(alias.ours, given.symbol) AS symbol){raw} FROM ({query}) AS given "
        f"LEFT JOIN (VALUES {pairs}) AS alias(theirs, ours) ON alias.theirs = trim(given.symbol)"
    )
