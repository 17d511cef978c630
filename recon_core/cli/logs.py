"""The options that say how much is logged, for the command line as a whole and for each command that logs."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from recon_core import log

VARIABLE = "RECON_CORE_LOG_LEVEL"

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _set(_: click.Context, __: click.Parameter, level: str | None) -> None:
    if level is not None:
        log.set_level(level)


def set_level_by_environment() -> None:
    """What ``RECON_CORE_LOG_LEVEL`` says; options come after it and win. Raises UsageError for a level that there is not."""
    level = os.environ.get(VARIABLE, "").strip().lower()
    if level in log.LEVELS:
        log.set_level(level)
    elif level:
        raise click.UsageError(f"{VARIABLE} is {level!r}; there are {', '.join(log.LEVELS)}")


def _set_by_count(_: click.Context, __: click.Parameter, count: int) -> None:
    if count:
        log.set_level("info" if count == 1 else "debug")


def log_options(command: _Command) -> _Command:
    """Add ``--log-level`` and ``-v``."""
    level = click.option(
        "--log-level",
        type=click.Choice(log.LEVELS),
        expose_value=False,
        callback=_set,
        help=f"Log from this level on to stderr [default: {log.DEFAULT_LEVEL}; {VARIABLE} sets it too].",
    )
    verbose = click.option(
        "-v", "--verbose", count=True, expose_value=False, callback=_set_by_count, help="Log each step; -vv: everything."
    )
    return level(verbose(command))
