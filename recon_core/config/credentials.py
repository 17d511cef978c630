"""Secrets are named in recon.yaml and kept elsewhere: ``env:NAME`` in the environment, ``file:PATH`` in a file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from recon_core.errors import ConfigError
from recon_core.redaction import keep_secret
from recon_core.regular_file import open_regular

_MAX_BYTES = 1 << 20
STORE_URL = r"postgres(ql)?(\+psycopg)?://.+"
ANY_URL = r"[a-z][a-z0-9+_]*:.+"
BOOK_URL = rf"({STORE_URL}|sqlite(\+pysqlite)?:///.+)"


def store_url(store: str | None, folder: Path, environment: Mapping[str, str] = os.environ) -> str | None:
    """The URL that ``store`` of recon.yaml is, or refers to as a secret does; None where it names none.

    Raises ConfigError, without a word of what was found.
    """
    return store if store is None else _url(store, STORE_URL, folder, environment)


def read_url(database: str, folder: Path, environment: Mapping[str, str] = os.environ) -> str:
    """The same of the database that the book is read from: any that SQLAlchemy knows."""
    return _url(database, ANY_URL, folder, environment)


def book_url(database: str, folder: Path, environment: Mapping[str, str] = os.environ) -> str:
    """The same of the database that corrections are written to."""
    return _url(database, BOOK_URL, folder, environment)


def _url(named: str, pattern: str, folder: Path, environment: Mapping[str, str]) -> str:
    if not named.startswith(("env:", "file:")):
        return named
    url = secret_value(named, folder, environment).strip()
    if not re.fullmatch(pattern, url):
        raise ConfigError(f"{named} holds no URL such as postgresql+psycopg://user@host/name")
    return url


def secret_value(reference: str, folder: Path, environment: Mapping[str, str] = os.environ) -> str:
    """The secret that a reference names; a ``file:`` path starts from ``folder``, and one newline at its end is dropped.

    It is masked in whatever the process says from then on. Raises ConfigError when it cannot be had, without a word of what was
    found.
    """
    value = _found(reference, folder, environment)
    keep_secret(value)
    return value


def _found(reference: str, folder: Path, environment: Mapping[str, str]) -> str:
    kind, _, name = reference.partition(":")
    if kind == "env":
        value = environment.get(name)
        if value is None:
            raise ConfigError(f"environment variable {name} is not set")
        if not value.strip():
            raise ConfigError(f"environment variable {name} is empty")
        return value
    if kind != "file":
        raise ConfigError("a secret is named by env:NAME or file:PATH")
    try:
        with open_regular(folder / name) as stream:
            data = stream.read(_MAX_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"file {name} cannot be read: {error.strerror or 'input/output error'}") from None
    except ValueError:  # a name with a NUL, or bytes that are not UTF-8
        raise ConfigError(f"file {name!r} is not UTF-8 text") from None
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"file {name} is larger than 1 MiB: that is no secret")
    value = text.removesuffix("\n").removesuffix("\r")
    if not value.strip():
        raise ConfigError(f"file {name} is empty")
    return value
