"""``recon-core plugins``: which plugins are installed, whether an adapter does what it must, and a project for a new one."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recon_core.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from recon_core.host import Host, Plugin

DEFAULT_CONFIG = Path("recon.yaml")

config_option: Callable[[Any], Any] = click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="The recon.yaml that names drop-ins and disabled plugins; ./recon.yaml where there is one.",
)
json_option: Callable[[Any], Any] = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@click.group()
def plugins() -> None:
    """Which plugins are installed, whether a broker adapter does what it must, and a project for a new one."""


@plugins.command("list")
@json_option
@config_option
def list_plugins(*, as_json: bool, config: Path | None) -> None:
    """Load every plugin, check every expression, and list what each adds."""
    host = configured_host(config)
    host.check()
    _print_plugins(host.plugins, as_json=as_json)


@plugins.command("disabled")
@json_option
@config_option
def list_disabled(*, as_json: bool, config: Path | None) -> None:
    """List the plugins that recon.yaml disables; they are not loaded, so that what they add is not known."""
    _print_plugins(configured_host(config).disabled, as_json=as_json)


@plugins.command()
@click.argument("name")
@click.option("--recording", type=click.Path(path_type=Path), help="Folder of a recording; tests/cases/brokers/NAME by default.")
@click.option("--only", multiple=True, metavar="TRIAL", help="Make these trials alone, by how their names begin; may be repeated.")
@json_option
@config_option
def verify(*, name: str, recording: Path | None, only: tuple[str, ...], as_json: bool, config: Path | None) -> int:
    """Try the broker adapter NAME against a recording of its broker's answers, distorted in every way known.

    A server on loopback gives the answers, undistorted, under more than 80 faults, and as hostile feeds; no other machine is asked.
    Says what failed and why it matters. Exit code 0 where all passed, 2 where not.
    """
    from recon_core.testing import broker_conformance

    adapters = configured_host(config).brokers
    if name not in adapters:
        raise ConfigError(f"no broker adapter {name!r}; there are {', '.join(sorted(adapters)) or 'none'}")
    folder = recording or Path("tests/cases/brokers", name)
    if not folder.is_dir():
        raise ConfigError(f"{folder}: there is no recording: name its folder with --recording")
    found = broker_conformance(adapters[name], folder, only=only)
    click.echo(json.dumps(found.as_json(), indent=2) if as_json else found.report())
    return ExitCode.CLEAN if found.ok else ExitCode.USAGE


@plugins.command()
@click.argument("kind", type=click.Choice(["broker", "rule", "halt"]))
@click.argument("name")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path(),
    help="The folder in which the project's own folder is made; the current one by default.",
)
def new(*, kind: str, name: str, into: Path) -> None:
    """Write a whole project for a new plugin: the plugin, its tests, its README, its CI. It passes as it is; make it yours.

    NAME is lower-case letters, digits and hyphens, such as acme-prime; that of a rule may be its type, such as OPEN_ORDERS.
    The project is a folder recon-core-NAME. Nothing is written over.
    """
    from recon_core.host import load_host
    from recon_core.testing.scaffold import write_project

    project = write_project(kind, name, into, load_host())
    click.echo(f"{project}: written. Install it beside recon-core and run its tests, then make it yours:")
    click.echo(f"    cd {shlex.quote(str(project))} && pip install --editable '.[test]' && pytest")


def configured_host(config: Path | None) -> Host:
    """The plugins of a deployment: those that ``config`` (else ./recon.yaml) names, else just the installed ones."""
    from recon_core.host import load_host

    if config is None and not DEFAULT_CONFIG.exists():
        return load_host()
    from recon_core.config.load import load_plugins

    return load_plugins(config or DEFAULT_CONFIG, load_host)


def print_json(told: object) -> None:
    """Print what is listed, for programs; what JSON has no word for as its text."""
    click.echo(json.dumps(told, indent=2, default=str))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns as wide as what is in them, in plain text that other tools can cut."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _print_plugins(listed: Sequence[Plugin], *, as_json: bool) -> None:
    if as_json:
        print_json([_as_json(plugin) for plugin in listed])
    elif not listed:
        click.echo("none")
    else:
        rows = [
            (each.name, each.kind or "-", ", ".join(each.types) or "-", each.version or "-", each.origin, str(each.file or "-"))
            for each in listed
        ]
        print_table(("NAME", "KIND", "TYPE", "VERSION", "ORIGIN", "FILE"), rows)


def _as_json(plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "kind": plugin.kind,
        "types": list(plugin.types),
        "version": plugin.version,
        "origin": plugin.origin,
        "file": str(plugin.file) if plugin.file else None,
        "sha256": plugin.sha256,
    }
