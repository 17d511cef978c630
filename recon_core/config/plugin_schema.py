"""What a plugin adds to recon.yaml: the schema of its ``options`` and ``secrets``, below the name that chooses the plugin."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from recon_core.config.schema import Schema

SECRET_REFERENCE = r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"  # noqa: S105  # the form of a reference, not a secret


def options_schema(properties: Mapping[str, Any], required: tuple[str, ...], description: str) -> Schema:
    """The schema of the ``options`` of one plugin, whose own schemas ``properties`` are."""
    return {
        "type": "object",
        "description": description,
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def secrets_schema(required: tuple[str, ...], optional: tuple[str, ...], description: str) -> Schema:
    """The schema of the ``secrets`` of one plugin; ``optional`` are names, or regular expressions of names."""
    plain = [name for name in optional if re.fullmatch(r"\w+", name)]
    patterns = {f"^(?:{pattern})$": secret() for pattern in optional if pattern not in plain}
    return {
        "type": "object",
        "description": description,
        "properties": {name: secret() for name in (*required, *plain)},
        "required": list(required),
        "additionalProperties": False,
    } | ({"patternProperties": patterns} if patterns else {})


def secret() -> Schema:
    """A reference to a credential."""
    return {
        "type": "string",
        "pattern": SECRET_REFERENCE,
        "patternErrorMessage": "a secret is never written here: write env:NAME or file:PATH",
        "description": "env:NAME or file:PATH, never the secret itself.",
    }


def chosen_by(key: str, entry: Schema, plugins: Mapping[str, Schema]) -> Schema:
    """An entry for editors: ``key`` names the plugin, and by that its options and secrets are those of ``plugins[name]``."""
    chosen = []
    for name, its in sorted(plugins.items()):
        own = {part: its["properties"][part] for part in ("options", "secrets")}
        condition = {"required": [key], "properties": {key: {"const": name}}}
        chosen.append({"if": condition, "then": {"required": its["required"], "properties": own}})
    return {**entry, "allOf": chosen} if chosen else entry
