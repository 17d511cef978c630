"""The parts of which both JSON Schemas (draft 2020-12) are made.

Maps are keyed by name and ``oneOf`` is never used, so that a mistake has one message. ``patternErrorMessage`` is what editors
and the reader say in place of a pattern.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NOT_EMPTY = 1


def text(description: str, **more: Any) -> Schema:
    """A text that is not empty."""
    return {"type": "string", "minLength": NOT_EMPTY, "description": description, **more}


def choice(values: list[str], description: str, **more: Any) -> Schema:
    """One of a few words."""
    return {"type": "string", "enum": values, "description": description, **more}


def list_of(items: Schema, description: str) -> Schema:
    """A list in which nothing stands twice."""
    return {"type": "array", "uniqueItems": True, "items": items, "description": description}


def money(description: str) -> Schema:
    """An amount, 0 or more."""
    return {"type": "number", "minimum": 0, "description": description}
