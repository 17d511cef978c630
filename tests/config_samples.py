"""Adapters of a known shape for the tests of the configuration, and the way in which its case files are read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from recon_core.brokers import Broker
from recon_core.config.load import load_configuration, load_policy
from recon_core.errors import ConfigError
from recon_core.halts import Confirmation, HaltAction, HaltOrder
from recon_core.host import load_host
from recon_core.model import Ask, Feed
from recon_core.rules import Rule

ROOT = Path(__file__).parent.parent
CASES = Path(__file__).parent / "cases"
ENVIRONMENT = {"TEST_KEY_ID": "an-identifier", "TEST_EMPTY": ""}


class Files(Broker):
    """Reads files that nobody delivers."""

    name = "files"
    required = ("path",)
    options = {
        "path": {"type": "string", "description": "File."},
        "delimiter": {"type": "string", "default": ",", "description": "Between fields."},
        "skip": {"type": "integer", "minimum": 0, "maximum": 100, "default": 0, "description": "Lines before the header."},
        "strict": {"type": "boolean", "default": True, "description": "Refuse what is odd."},
        "pause": {"type": "number", "minimum": 0.1, "default": 0.1, "description": "Seconds."},
        "sign": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"column": {"type": "string"}, "short": {"type": "string", "default": "S"}},
            "description": "How a short is marked.",
        },
    }

    def positions(self, ask: Ask) -> Feed:
        raise NotImplementedError


class Rest(Broker):
    """Asks a server that is not there."""

    name = "rest"
    secrets = ("key_id", "secret_key")

    def positions(self, ask: Ask) -> Feed:
        raise NotImplementedError


class Bell(HaltAction):
    """Rings, and is never silenced by itself."""

    type = "bell"
    title = "Bell"
    required = ("path",)
    options = {
        "path": {"type": "string", "description": "File."},
        "volume": {"type": "integer", "minimum": 1, "default": 11, "description": "How loud."},
    }

    def halt(self, order: HaltOrder) -> None:
        raise NotImplementedError

    def confirm(self, order: HaltOrder) -> Confirmation:
        raise NotImplementedError


class Gate(Bell):
    """Opens again."""

    type = "gate"
    options = {}
    required = ()
    secrets = ("key",)
    optional_secrets = ("token", "[A-Z_]+")

    def resume(self, order: HaltOrder) -> None:
        raise NotImplementedError


class SampleHost:
    """The real rules, and the adapters and actions above."""

    brokers: Mapping[str, type[Broker]] = {"files": Files, "rest": Rest}
    halts: Mapping[str, type[HaltAction]] = {"bell": Bell, "gate": Gate}

    @property
    def rules(self) -> Mapping[str, type[Rule]]:
        return real_rules()


@cache
def real_rules() -> Mapping[str, type[Rule]]:
    """The built-in rules, through the host, whether this tree is installed or not."""
    return load_host(ROOT / "plugins").rules


def complaint(name: str, data: bytes, folder: Path) -> str:
    """All that the loader says about a case file (``policy-*`` or ``config-*``), read in ``folder``; empty when it says nothing."""
    try:
        if name.startswith("policy-"):
            path = folder / "policies.yaml"
            path.write_bytes(data)
            load_policy(path, real_rules(), display="policies.yaml")
        else:
            path = folder / "recon.yaml"
            path.write_bytes(data)
            load_configuration(path, lambda _drop_ins, _disabled: SampleHost(), environment=ENVIRONMENT)
    except ConfigError as error:
        return str(error).replace(f"{folder}/", "")
    return ""
