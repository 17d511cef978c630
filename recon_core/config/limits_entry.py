"""``limits`` in recon.yaml: its schema, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recon_core.config.schema import Schema, text
from recon_core.config.settings import LimitSettings


def limits_schema() -> Schema:
    """The schema of ``limits``."""
    return {
        "type": "object",
        "description": "What a run may take of the machine. A run that needs more ends without a verdict.",
        "additionalProperties": False,
        "properties": {
            "memory": {
                "type": "string",
                "pattern": r"^[1-9][0-9]{0,5} ?[MGT]i?B$",
                "patternErrorMessage": "a size is due, such as 4GB or 512MB",
                "default": LimitSettings().memory,
                "description": "Memory of the engine, such as 4GB or 512MB, from which on it spills to `temp_dir`; the process "
                "takes some 200 MB more.",
            },
            "threads": {
                "type": "integer",
                "minimum": 1,
                "maximum": 1024,
                "description": "Threads of the engine; by default one for each core.",
            },
            "temp_dir": text("Folder that the engine spills to, which must be there; by default the system's (TMPDIR)."),
        },
    }


def read_limits(value: Mapping[str, Any], folder: Path) -> LimitSettings:
    """What it says; a relative ``temp_dir`` is seen from ``folder``."""
    default = LimitSettings()
    return LimitSettings(
        memory=value.get("memory", default.memory),
        threads=int(value["threads"]) if "threads" in value else None,
        temp_dir=folder / value["temp_dir"] if "temp_dir" in value else None,
    )
