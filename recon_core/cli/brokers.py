"""``recon-core brokers``: who is asked for positions, what their adapters can tell, and what they answer now."""

from __future__ import annotations

import inspect
import shutil
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recon_core.brokers import Broker
from recon_core.cli.lines import described
from recon_core.cli.plugins import config_option, configured_host, json_option, print_json, print_table
from recon_core.cli.run import Time
from recon_core.errors import ConfigError, ExitCode
from recon_core.redaction import redacted

if TYPE_CHECKING:
    from recon_core.config.settings import BrokerSettings
    from recon_core.fetching import Fetched
    from recon_core.host import Host

MOST_SHOWN = 1000
"""Positions that are printed for people; ``--json`` has all."""

EVIDENCE_DAYS = 7


@click.group()
def brokers() -> None:
    """Which brokers are asked, what each adapter can tell, and what it answers now."""


@brokers.command("list")
@json_option
@config_option
def list_brokers(*, as_json: bool, config: Path | None) -> None:
    """List the brokers of recon.yaml and the adapters that are installed."""
    host, configured = _deployment(config)
    if as_json:
        told = [{"name": name, "adapter": each.adapter} for name, each in configured.items()]
        print_json({"brokers": told, "adapters": [_adapter_as_json(host, name) for name in host.brokers]})
        return
    if configured:
        print_table(
            ("BROKER", "ADAPTER", "ACCOUNTS", "TELLS"),
            [
                (name, each.adapter, ", ".join(each.accounts.values()) or "-", ", ".join(host.brokers[each.adapter].capabilities))
                for name, each in configured.items()
            ],
        )
        click.echo()
    print_table(
        ("ADAPTER", "READS", "SECRETS", "TELLS", "ORIGIN"),
        [
            (
                name,
                "now" if adapter.live else "a statement",
                ", ".join((*adapter.secrets, *(f"[{secret}]" for secret in adapter.optional_secrets))) or "-",
                ", ".join(adapter.capabilities),
                host.plugin_of(name, "broker").origin,
            )
            for name, adapter in host.brokers.items()
        ],
    )


@brokers.command("show")
@click.argument("name")
@json_option
@config_option
def show_broker(*, name: str, as_json: bool, config: Path | None) -> None:
    """Print the page of a broker of recon.yaml, or of an adapter: credentials, proof, options."""
    host, configured = _deployment(config)
    settings = configured.get(name)
    adapter = host.brokers.get(settings.adapter if settings else name)
    if adapter is None:
        from recon_core.plugin_module import did_you_mean

        raise ConfigError(f"no broker and no adapter {name!r}{did_you_mean(name, [*configured, *host.brokers])}")
    if as_json:
        print_json(_adapter_as_json(host, adapter.name) | {"broker": None if settings is None else _settings_as_json(settings)})
        return
    for line in page(host, adapter, settings):
        click.echo(line)


@brokers.command("fetch")
@click.argument("name")
@json_option
@click.option("--as-of", type=Time(), help="The time to ask for (default: now, or the newest statement).")
@click.option("--evidence", is_flag=True, help="Ask for fills, movements and corporate actions, too.")
@click.option("--since", type=Time(), help=f"Since when evidence is asked for (default: {EVIDENCE_DAYS} days).")
@click.option("--save", type=click.Path(path_type=Path, file_okay=False), help="Keep what the broker answered in this folder.")
@click.option("--replay", type=click.Path(path_type=Path, file_okay=False), help="Read such a folder in place of the broker.")
@click.option("--config", type=click.Path(path_type=Path), default=Path("recon.yaml"), show_default=True, help="Where things are.")
def fetch_broker(
    *,
    name: str,
    as_json: bool,
    as_of: datetime | None,
    evidence: bool,
    since: datetime | None,
    save: Path | None,
    replay: Path | None,
    config: Path,
) -> int:
    """Ask one broker and show its feed as the engine sees it: status and why, as of when, positions, totals.

    Nothing is compared or recorded. Exit code 0 where the feed is COMPLETE, 3 where it is not.
    """
    from recon_core.fetching import Wish, fetch

    if save and replay:
        raise click.UsageError("--save and --replay exclude each other: a recording is there already")
    asked = evidence or since is not None
    since = since or (datetime.now(UTC) - timedelta(days=EVIDENCE_DAYS) if asked else None)
    wish = Wish(name, config, as_of, save, replay, since, asked)
    found = fetch(wish, clock=lambda: datetime.now(UTC))
    if as_json:
        from recon_core.report.fetched import fetched_as_dict

        told = fetched_as_dict(found.feed, found.positions, at=found.at, evidence=found.evidence, saved=found.saved)
        print_json(told)
    else:
        _print(found)
    return int(ExitCode.CLEAN if found.feed.proven else ExitCode.NO_VERDICT)


def page(host: Host, adapter: type[Broker], settings: BrokerSettings | None) -> Iterator[str]:
    """The lines of an adapter's page, and how one broker uses it."""
    plugin = host.plugin_of(adapter.name, "broker")
    if settings is not None:
        yield f"{settings.alias}: read by the adapter {adapter.name}"
        for theirs, ours in settings.accounts.items():
            yield f"    account {theirs} is {ours} in the book"
        for key, value in settings.options.items():
            yield f"    {key}: {value}"
        for key, reference in settings.secrets.items():
            yield f"    {key}: {reference}"
        yield ""
    yield f"{adapter.name} ({plugin.origin}), {plugin.file}"
    yield ""
    yield from inspect.cleandoc(adapter.__doc__ or "").splitlines()
    yield ""
    yield f"Tells       {', '.join(adapter.capabilities)}"
    yield f"Classes     {', '.join(adapter.coverage) or 'all'}"
    yield f"Reads       {'what is held now' if adapter.live else 'a statement'}"
    optional = [f"{secret} (may be left out)" for secret in adapter.optional_secrets]
    yield f"Secrets     {', '.join([*adapter.secrets, *optional]) or 'none'}"
    yield from described(
        "Options", [(f"{key} ({_due(adapter, key)})", schema.get("description", "")) for key, schema in adapter.options.items()]
    )


def _due(adapter: type[Broker], key: str) -> str:
    """Whether an option must be given, and what holds where it is not."""
    if key in adapter.required:
        return "required"
    schema = adapter.options[key]
    return f"default {schema['default']}" if "default" in schema else "optional"


def _deployment(config: Path | None) -> tuple[Host, Mapping[str, BrokerSettings]]:
    """The plugins, and the brokers of recon.yaml where there is one."""
    from recon_core.cli.plugins import DEFAULT_CONFIG
    from recon_core.config.load import load_settings
    from recon_core.host import load_host

    if config is None and not DEFAULT_CONFIG.exists():
        return configured_host(None), {}
    settings, host = load_settings(config or DEFAULT_CONFIG, load_host, environment=None)
    return host, settings.brokers


def _adapter_as_json(host: Host, name: str) -> dict[str, Any]:
    adapter, plugin = host.brokers[name], host.plugin_of(name, "broker")
    return {
        "adapter": name,
        "capabilities": list(adapter.capabilities),
        "coverage": list(adapter.coverage),
        "live": adapter.live,
        "secrets": list(adapter.secrets),
        "optional_secrets": list(adapter.optional_secrets),
        "options": dict(adapter.options),
        "required": list(adapter.required),
        "plugin": plugin.name,
        "origin": plugin.origin,
    }


def _settings_as_json(settings: BrokerSettings) -> dict[str, Any]:
    return {
        "name": settings.alias,
        "accounts": dict(settings.accounts),
        "expect_accounts": list(settings.expect_accounts),
        "options": dict(settings.options),
        "secrets": dict(settings.secrets),
    }


def _print(found: Fetched) -> None:
    from recon_core.report.fetched import fetched_as_text

    terminal = sys.stdout is not None and sys.stdout.isatty()
    width = max(shutil.get_terminal_size((100, 24)).columns, 40) if terminal else 132
    lines = fetched_as_text(
        found.feed, found.positions, at=found.at, evidence=found.evidence, saved=found.saved, width=width, most=MOST_SHOWN
    )
    for line in lines:
        click.echo(redacted(line))
