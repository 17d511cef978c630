"""The secrets that the tests use. After every test what it printed and left is searched for them (conftest)."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

AWKWARD = "cn-4'7f\"/é\\w+ 9Qz"
"""A secret with all that is written in another way by JSON, URLs and Python."""

ALPACA = {"ALPACA_KEY_ID": "PKCANARY0001", "ALPACA_SECRET_KEY": "canary/secret/0f9a7b3e"}
TOKEN = "canary-secret-0f9a7b"
WEBHOOK = {"DESK_KEY": "a-signing-key-0f9a7b3e", "DESK_TOKEN": "canary-token-77aa"}
LINES = "-----BEGIN KEY-----\ncanary-line-one\ncanary-line-two\n-----END KEY-----\n"
PASSWORD = "not-in-any-message"
ENVIRONMENT = "canary-environment-31d8"
"""Stands in the environment of every command; no configuration names it."""

EVERY = (AWKWARD, *ALPACA.values(), TOKEN, *WEBHOOK.values(), "canary-line", PASSWORD, ENVIRONMENT)


def written(secret: str) -> set[str]:
    """The ways in which a secret may be written."""
    forms = {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return forms | {quote(secret), quote(secret, safe=""), b64encode(secret.encode()).decode()}


_WRITTEN = [form.encode() for secret in EVERY for form in sorted(written(secret))]


def found(text: str | bytes) -> list[str]:
    """The secrets that a text holds, as it writes them."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    return [form.decode() for form in _WRITTEN if form in data]


def found_below(folder: Path) -> list[str]:
    """The files of the program below a folder (in state directories and among the outputs of runs) that hold a secret."""
    return [
        f"{path}: {forms}"
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and _of_the_program(path) and (forms := found(path.read_bytes()))
    ]


def _of_the_program(path: Path) -> bool:
    return (
        ".state" in path.parts or path.name in ("report.json", "report.html", "breaks.parquet") or path.suffix in (".prom", ".log")
    )
