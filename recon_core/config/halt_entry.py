"""The entry ``halt`` of recon.yaml: its schema, with the options that halt actions add, its checks and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recon_core.config.plugin_schema import chosen_by, options_schema, secret, secrets_schema
from recon_core.config.problems import did_you_mean, quote
from recon_core.config.schema import Schema, choice, list_of, text
from recon_core.config.settings import HaltActionSettings, HaltSettings
from recon_core.config.validation import Checked, filled
from recon_core.halts import HaltAction, can_resume

DEADLINE_SECONDS = 30


def halt_schema(halts: Mapping[str, type[HaltAction]], actions: Mapping[str, str | None] | None) -> Schema:
    """The schema of ``halt`` where ``halts`` (action type: class) are installed.

    With ``actions`` (its name: its action type, of the file at hand) every action has its own options, so that messages are
    exact; without it the schema is the one for editors.
    """
    if actions is None:
        entries: Schema = {
            "additionalProperties": chosen_by("action", _entry(halts, None), {name: _entry(halts, name) for name in halts})
        }
    else:
        entries = {
            "properties": {name: _entry(halts, action) for name, action in actions.items()},
            "additionalProperties": _entry(halts, None),
        }
    return {
        "type": "object",
        "description": "What a halting decision does.",
        "additionalProperties": False,
        "properties": {
            "mode": choice(
                ["armed", "shadow"], "shadow: a run decides and reports, and stops and permits nothing.", default="armed"
            ),
            "two_person": {
                "type": "boolean",
                "default": False,
                "description": "Whether a second person must confirm that a halt is lifted.",
            },
            "allow": choice(
                ["nothing", "reduce"], "reduce: under a halt that a run raises, bots may still reduce positions.", default="nothing"
            ),
            "actions": {"type": "object", "description": "What else stops trading, by a name of your choice.", **entries},
        },
    }


def check_halt(checked: Checked, halts: Mapping[str, type[HaltAction]]) -> None:
    """Every action can do what is asked of it, and the brokers that it names are there."""
    halt, brokers = checked.value.get("halt"), checked.value.get("brokers")
    actions = halt.get("actions") if isinstance(halt, dict) else None
    for name, entry in actions.items() if isinstance(actions, dict) else ():
        path = ("halt", "actions", name)
        if not checked.sound(*path):
            continue
        if entry.get("resume") and not can_resume(halts[entry["action"]]):
            checked.problem(f"action {entry['action']} can not resume: a person does, after a lift", *path, "resume")
        for place, broker in enumerate(entry.get("brokers", ())):
            if isinstance(brokers, dict) and broker not in brokers:
                checked.problem(f"no broker is named {quote(broker)}{did_you_mean(broker, brokers)}", *path, "brokers", place)


def read_halt(value: Mapping[str, Any], halts: Mapping[str, type[HaltAction]]) -> HaltSettings:
    """The settings of a checked ``halt``, the options of its actions filled with their defaults."""
    return HaltSettings(
        mode=value.get("mode", "armed"),
        two_person=value.get("two_person", False),
        allow=value.get("allow", "nothing"),
        actions={name: _action(name, entry, halts[entry["action"]]) for name, entry in value.get("actions", {}).items()},
    )


def _entry(halts: Mapping[str, type[HaltAction]], action: str | None) -> Schema:
    plugin = halts.get(action or "")
    required = ["action"]
    options: Schema = {"type": "object", "description": "Options of the action."}
    secrets: Schema = {"type": "object", "additionalProperties": secret(), "description": "Credentials of the action."}
    if plugin is not None:
        options = _options(plugin)
        required += ["options"] if plugin.required else []
        required += ["secrets"] if plugin.secrets else []
        secrets = secrets_schema(plugin.secrets, plugin.optional_secrets, str(secrets["description"]))
    return {
        "type": "object",
        "required": required,
        "additionalProperties": False,
        "properties": {
            "action": choice(sorted(halts), "The plugin that stops trading."),
            "brokers": list_of(text("A broker's name."), "Only halts that concern one of these brokers; without it, every halt."),
            "accounts": list_of(
                text("The book's name of an account."), "Only halts that concern one of these accounts; without it, every halt."
            ),
            "resume": {
                "type": "boolean",
                "default": False,
                "description": "Whether a lift undoes this action. Without it, a person does.",
            },
            "deadline_seconds": {
                "type": "number",
                "minimum": 1,
                "maximum": 600,
                "default": DEADLINE_SECONDS,
                "description": "How long it may take, in seconds, with its confirmation; then the halt is not confirmed.",
            },
            "options": options,
            "secrets": secrets,
        },
    }


def _options(action: type[HaltAction]) -> Schema:
    """The schema of the ``options`` of one halt action."""
    return options_schema(action.options, action.required, f"Options of the action {action.type}.")


def _action(name: str, entry: Mapping[str, Any], action: type[HaltAction]) -> HaltActionSettings:
    return HaltActionSettings(
        name=name,
        action=entry["action"],
        brokers=tuple(entry.get("brokers", ())),
        accounts=tuple(entry.get("accounts", ())),
        resume=entry.get("resume", False),
        deadline_seconds=float(entry.get("deadline_seconds", DEADLINE_SECONDS)),
        options=filled(entry.get("options", {}), _options(action)),
        secrets=entry.get("secrets", {}),
    )
