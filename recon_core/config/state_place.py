"""Where the state of a deployment is, and what bears on who may trade: read from recon.yaml without plugins, for the guard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recon_core.config.credentials import secret_value
from recon_core.config.reader import read_document
from recon_core.config.schema import choice
from recon_core.config.validation import check
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
    # what a key means is checked as it always is; of the others nothing is asked
    text = {"type": "string", "minLength": 1}
    mode = {"type": "object", "properties": {"mode": choice(["armed", "shadow"], "")}}
    properties = {"state_dir": text, "store": text, "brokers": {"type": "object", "minProperties": 1}, "halt": mode}
    schema = {"required": ["brokers"], "properties": properties}
    value = check(document, document.root, schema, secret=lambda place: place[:1] in (("store",), ("brokers",))).value
    if document.problems:
        raise ConfigError(document.problems.texts())
    folder = path.absolute().parent
    store = value.get("store")
    if store is not None and store.startswith(("env:", "file:")):
        store = secret_value(store, folder).strip()
    return StatePlace(
        folder / value.get("state_dir", ".state"), store, tuple(value["brokers"]), value.get("halt", {}).get("mode", "armed")
    )
