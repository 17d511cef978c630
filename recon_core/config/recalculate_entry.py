"""``recalculate`` in recon.yaml: its schema, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from recon_core.config.schema import NOT_EMPTY, Schema, text
from recon_core.config.settings import RecalculateSettings
from recon_core.config.validation import Checked


def recalculate_schema() -> Schema:
    """The schema of ``recalculate``."""
    return {
        "type": "object",
        "minProperties": NOT_EMPTY,
        "additionalProperties": False,
        "description": "What `recon-core recalculate` runs, so that the firm's own profit and loss follows the corrections of its "
        "book: a program or SQL.",
        "properties": {
            "command": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "string"},
                "description": "A program and its arguments, run without a shell in the folder of recon.yaml, with the corrected "
                "positions as JSON on its stdin. It ends with 0 where all is done.",
            },
            "sql": text(
                "One statement for the database of `book.corrections`, run once for each corrected position in one transaction; "
                ":broker, :account, :symbol and :leg stand for the position."
            ),
            "deadline_seconds": {
                "type": "number",
                "minimum": 1,
                "maximum": 86400,
                "default": 300,
                "description": "Seconds that the program may take; it is ended then, with all that it started.",
            },
        },
    }


def check_recalculate(checked: Checked) -> None:
    """Report what the schema alone cannot see."""
    value = checked.value.get("recalculate")
    if not isinstance(value, dict) or not checked.sound("recalculate"):
        return
    if ("command" in value) == ("sql" in value):
        checked.problem("one of 'command' and 'sql' is due", "recalculate", key=True)
    elif "sql" in value and "corrections" not in checked.value.get("book", {}):
        checked.problem("runs in the database of book.corrections, which is missing", "recalculate", "sql", key=True)
    elif "sql" in value and "deadline_seconds" in value:
        checked.problem("belongs to a program", "recalculate", "deadline_seconds", key=True)


def read_recalculate(value: Mapping[str, Any]) -> RecalculateSettings:
    """What it says."""
    default = RecalculateSettings()
    return RecalculateSettings(
        command=tuple(value.get("command", ())),
        sql=value.get("sql"),
        deadline_seconds=Decimal(value.get("deadline_seconds", default.deadline_seconds)),
    )
