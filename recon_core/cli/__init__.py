"""The command line: one file a family of commands, each imported when it is called. No logic lives here.

A command returns its exit code (None is 0) or raises; what it raises becomes a message and an exit code in one place, below.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from contextlib import suppress
from importlib import import_module
from io import UnsupportedOperation
from typing import Any, NoReturn

import click

from recon_core import log
from recon_core.cli.logs import log_options, set_level_by_environment
from recon_core.errors import ExitCode, ReconError
from recon_core.interruption import Interrupted, asked_to_end, heeded
from recon_core.redaction import masked_stderr

COMMANDS = (
    "audit",
    "breaks",
    "brokers",
    "correct",
    "guard",
    "halt",
    "history",
    "plugins",
    "policy",
    "recalculate",
    "report",
    "rules",
    "run",
    "schedule",
    "schema",
    "snapshot",
)
INTERNAL_ERROR = 1
INTERRUPTED = 130
BROKEN_PIPE = 141
DEBUG_VARIABLE = "RECON_CORE_DEBUG"


class Commands(click.Group):
    """A group whose commands are ``recon_core.cli.NAME:NAME``, imported on demand: start-up time is felt."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"recon_core.cli.{cmd_name}"), cmd_name)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(COMMANDS)}"
            raise click.UsageError(f"no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # click would make it an exit code of 1, which is an internal error here
            _discard_output()
            raise SystemExit(BROKEN_PIPE) from None

    def main(self, *args: Any, **named: Any) -> Any:
        """Run one command and leave the process with its exit code. Never shows a traceback unless asked to."""
        with masked_stderr():
            try:
                with heeded(), log.shown():
                    code = self._run(*args, **{"prog_name": "recon-core", **named, "standalone_mode": False})
            except Interrupted as error:  # while the end of another error was being told
                code = error.exit_code
            code = _flushed(code)
        sys.exit(code)

    def _run(self, *args: Any, **named: Any) -> int:
        try:
            set_level_by_environment()
            code = _exit_code(super().main(*args, **named))
        except BaseException as error:  # the one place where an error becomes a message
            code = _told(asked_to_end() or error)
            log.info("ended", exit_code=code, error=str(error))
        else:
            log.info("ended", exit_code=code)
        return code


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="recon-core", prog_name="recon-core")
@log_options
def main() -> None:
    """Compares a firm's positions with what its brokers report, classifies the breaks and decides whether trading halts.

    Exit codes of run: 0 clean, 10 breaks and trading goes on, 2 usage, configuration, policy or plugin error, 3 no verdict,
    4 trading halted, 5 state damaged, 75 another run holds the lock.
    """


def program() -> NoReturn:
    """The console script: one command, and out at once. Everything is written and closed by then, and taking the engine and
    some hundred modules apart in good order takes a tenth of the time of a small run; with an adapter still at work, which
    nobody waits for, it may crash. Nor are cycles among objects looked for meanwhile: what a run makes it needs to its end.
    """
    gc.disable()
    code = INTERNAL_ERROR
    try:
        main()
    except SystemExit as ended:
        code = _exit_code(ended.code)
    finally:
        atexit._run_exitfuncs()  # temporary folders go
        os._exit(code)


def _exit_code(returned: object) -> int:
    return int(returned) if isinstance(returned, int) else 0


def _told(error: BaseException) -> int:
    """Say on stderr what went wrong, for a person; returns the exit code."""
    if isinstance(error, SystemExit):
        return _exit_code(error.code if error.code is None or isinstance(error.code, int) else INTERNAL_ERROR)
    if isinstance(error, Interrupted):
        click.echo(f"recon-core: {error}", err=True)
        return error.exit_code
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        click.echo("recon-core: interrupted", err=True)
        return INTERRUPTED
    if os.environ.get(DEBUG_VARIABLE):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, click.ClickException):
        error.show()
        return ExitCode.USAGE
    if isinstance(error, ReconError):
        click.echo(f"recon-core: {error}", err=True)
        return error.exit_code
    click.echo(f"recon-core: internal error: {type(error).__name__}: {error}", err=True)
    click.echo(f"recon-core: set {DEBUG_VARIABLE}=1 to see where; nothing can be concluded from this run", err=True)
    return INTERNAL_ERROR


def _flushed(code: int) -> int:
    """The exit code after the last of the output is out: a reader that went away changes no verdict, only a clean 0."""
    if sys.stdout is None:
        return code
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        return code or BROKEN_PIPE
    except OSError as error:
        _discard_output()
        click.echo(f"recon-core: the output could not be written: {error.strerror or error}", err=True)
        return code or INTERNAL_ERROR
    return code


def _discard_output() -> None:
    # Python flushes stdout once more as it ends, and would complain about the same fault again
    with suppress(UnsupportedOperation):  # where stdout is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
