"""``recon-core rules``: the break types that are installed, and the page of each."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recon_core.cli.lines import described
from recon_core.cli.plugins import config_option, configured_host, json_option, print_json, print_table
from recon_core.errors import PluginError
from recon_core.rules import Rule, halt_text

if TYPE_CHECKING:
    from recon_core.host import Plugin


@click.group()
def rules() -> None:
    """Which break types are installed, and what each means."""


@rules.command("list")
@json_option
@config_option
def list_rules(*, as_json: bool, config: Path | None) -> None:
    """List the rules of all plugins with their defaults. Only those that the policy lists run."""
    host = configured_host(config)
    host.check()
    if as_json:
        print_json([_as_json(rule, host.plugin_of(name, "rule")) for name, rule in host.rules.items()])
        return
    rows = [
        (name, rule.severity, halt_text(rule), host.plugin_of(name, "rule").origin, rule.title) for name, rule in host.rules.items()
    ]
    print_table(("TYPE", "SEVERITY", "HALT", "ORIGIN", "TITLE"), rows)


@rules.command("show")
@click.argument("type_name", metavar="TYPE")
@config_option
def show_rule(*, type_name: str, config: Path | None) -> None:
    """Print the page of a break type: what it looks for, why it matters, what to do, its parameters and its SQL."""
    host = configured_host(config)
    if type_name not in host.rules:
        from recon_core.plugin_module import did_you_mean

        raise PluginError(f"no plugin adds a rule {type_name!r}{did_you_mean(type_name, host.rules)}")
    rule = host.rules[type_name]
    host.check_rule(rule)
    for line in page(rule, host.plugin_of(type_name, "rule")):
        click.echo(line)


def page(rule: type[Rule], plugin: Plugin) -> Iterator[str]:
    """The lines of a rule's page."""
    yield f"{rule.type}: {rule.title}"
    yield ""
    yield from inspect.cleandoc(rule.__doc__ or "").splitlines()
    yield ""
    yield f"Severity    {rule.severity}"
    yield f"Halt        {halt_text(rule)}"
    yield f"Counts      {'towards total_impact and missing_count' if rule.counts else 'no: its impact is shown, not added up'}"
    if rule.supersedes:
        yield f"Supersedes  {', '.join(rule.supersedes)} on the same pair"
    yield f"Plugin      {plugin.name} ({plugin.origin}), {plugin.file}"
    yield ""
    yield from described("Parameters", [(_bounded(name, schema), schema["description"]) for name, schema in rule.params.items()])
    yield ""
    yield "SQL"
    for label, text in _sql(rule):
        lines = inspect.cleandoc(text).splitlines()
        yield f"    {label:<8}  {lines[0]}"
        yield from textwrap.indent("\n".join(lines[1:]), " " * 14).splitlines()


def _bounded(name: str, schema: Mapping[str, Any]) -> str:
    """A parameter, with what it may be."""
    bounds = ", ".join(f"{key} {value}" for key, value in schema.items() if key not in ("description", "default", "type"))
    return f"{name} ({schema['type']}{', ' + bounds if bounds else ''}; default {schema['default']})"


def _sql(rule: type[Rule]) -> Iterator[tuple[str, str]]:
    for label in ("when", "select", "among", "impact"):
        if getattr(rule, label):
            yield label, getattr(rule, label)
    if rule.measure:
        yield "measure", " above_pct % of ".join(rule.measure)
    yield "detail", rule.detail


def _as_json(rule: type[Rule], plugin: Plugin) -> dict[str, Any]:
    return {
        "type": rule.type,
        "title": rule.title,
        "severity": rule.severity,
        "halt": rule.halt,
        "counts": rule.counts,
        "supersedes": list(rule.supersedes),
        "params": {name: dict(schema) for name, schema in rule.params.items()},
        "plugin": plugin.name,
        "origin": plugin.origin,
    }
