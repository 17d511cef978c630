"""``recon-core run``: reconcile, print, and return the verdict as the exit code."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recon_core.cli.logs import log_options
from recon_core.cli.plugin_output import stdout_spared

if TYPE_CHECKING:
    from recon_core.reconcile import Engine


class Time(click.ParamType[datetime]):
    """An ISO 8601 time with its offset, such as 2026-11-20T21:00:00Z."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The time, aware; fails for one without an offset."""
        if isinstance(value, datetime):
            return value
        try:
            stamp = datetime.fromisoformat(str(value))
            if stamp.tzinfo is None:
                self.fail(f"{value!r} has no time zone: write 2026-11-20T21:00:00Z or ...-05:00", param, ctx)
            return stamp.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not an ISO 8601 time such as 2026-11-20T21:00:00Z", param, ctx)


class Folder(click.Path):
    """A folder to write to, by a name that a file can have."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The folder's path; fails for an empty name, which would be the working directory, and one that is no text."""
        try:
            if not str(value).encode():
                self.fail("an empty name is no folder: write . for this one", param, ctx)
        except UnicodeEncodeError:
            self.fail("is no text that can be written in a file's name", param, ctx)
        return super().convert(value, param, ctx)


@click.command()
@click.option("--config", type=click.Path(path_type=Path), default=Path("recon.yaml"), show_default=True, help="Where things are.")
@click.option("--policy", type=click.Path(path_type=Path), help="Thresholds, in place of those that the configuration names.")
@click.option("--as-of", type=Time(), help="The time to reconcile as of (default: the latest that book and feeds speak of).")
@click.option("--broker", "brokers", multiple=True, metavar="NAME", help="Only this broker; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--engine",
    type=click.Choice(["duckdb", "spark"]),
    default="duckdb",
    show_default=True,
    help="What compares: this process, or the cluster that the configuration names.",
)
@click.option("--output", type=Folder(), help="Folder for report.json, report.html, breaks.parquet.")
@log_options
def run(
    config: Path,
    policy: Path | None,
    as_of: datetime | None,
    brokers: tuple[str, ...],
    as_json: bool,
    engine: Engine,
    output: Path | None,
) -> int:
    """Compare the book with the brokers, and decide whether trading halts.

    Exit codes: 0 clean, 10 breaks and trading goes on, 4 trading halted, 3 no verdict, 2 configuration or plugin error,
    5 state damaged or a halt not confirmed, 75 another run holds the lock.
    """
    from recon_core.reconcile import Request
    from recon_core.report import to_json, to_text
    from recon_core.run import run as run_once

    with stdout_spared(), _progress(sys.stderr is not None and sys.stderr.isatty() and not as_json) as progress:
        report = run_once(Request(config, policy, as_of, brokers, engine), output=output, progress=progress)
    if as_json:
        text = to_json(report)
    else:
        terminal = sys.stdout is not None and sys.stdout.isatty()
        width = shutil.get_terminal_size((100, 24)).columns
        text = to_text(report, width=width, colour=terminal)
    _print(text)
    return int(report["exit_code"])


def _print(text: str) -> None:
    """Print the report. The verdict stands and is recorded, whatever becomes of the output."""
    try:
        if sys.stdout is not None:
            click.echo(text, nl=False, color=sys.stdout.isatty())
            sys.stdout.flush()
    except BrokenPipeError:
        pass
    except (OSError, ValueError) as error:
        click.echo(f"recon-core: the report could not be printed: {error}", err=True)
    else:
        return
    with suppress(OSError, ValueError):  # what is left in the buffer would be tried again, and complained about, at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _progress(shown: bool) -> Iterator[Callable[[str], None]]:
    """What goes on, to the log, and on a terminal as a line that is gone when it is over."""
    from recon_core import log

    if not shown:
        yield log.info
        return
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("starting") as status:

        def step(name: str) -> None:
            status.update(name)
            log.info(name)

        yield step
