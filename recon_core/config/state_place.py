"""Where the state of a deployment is, and what bears on who may trade: read from recon.yaml without plugins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recon_core.config.config_schema import STATE_DIR, config_schema
from recon_core.config.credentials import store_url
from recon_core.config.reader import read_document
from recon_core.config.schema import choice
from recon_core.config.settings_reader import is_secret
from recon_core.config.validation import check, exact
from recon_core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class StatePlace:
    """The folder of the state, the URL of its store (None: a file in it), the brokers by name, and the mode of halts."""

    state_dir: Path
    store: str | None
    brokers: tuple[str, ...]
    mode: str


def load_place(path: Path | str) -> StatePlace:
    """What recon.yaml says of the state, whatever is wrong with the rest of it. Raises ConfigError."""
    path = Path(path)
    document = read_document(path, str(path))
    if document.root is None:
        raise ConfigError(document.problems.texts())
    known = config_schema({}, {})["properties"]
    schema = {
        "type": "object",
        "properties": {
            **{name: known[name] for name in ("state_dir", "store")},
            "brokers": {"type": "object"},
            "halt": {"type": "object", "properties": {"mode": choice(["armed", "shadow"], "")}},
        },
    }
    value = check(document, document.root, exact(schema), secret=is_secret).value
    if document.problems:
        raise ConfigError(document.problems.texts())
    folder = path.absolute().parent
    return StatePlace(
        folder / value.get("state_dir", STATE_DIR),
        store_url(value.get("store"), folder),
        tuple(value.get("brokers", ())),
        value.get("halt", {}).get("mode", "armed"),
    )
