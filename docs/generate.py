"""Writes the reference pages from what the program itself goes by: JSON Schemas, rule classes, exit codes.

``python docs/generate.py`` writes them, ``--check`` exits with 1 and names those that are stale. The same program gives the
same bytes: only what comes with recon-core is on the pages, whatever else is installed.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from markdown_tables import Lines, code, fenced, rows, said, table

from recon_core.brokers import Broker
from recon_core.config.config_schema import config_schema
from recon_core.config.load import DEFAULT_POLICY
from recon_core.config.policy_schema import policy_schema
from recon_core.errors import EXIT_MEANING
from recon_core.halts import HaltAction, can_resume
from recon_core.host import Host, load_host
from recon_core.report import schema_text
from recon_core.rules import Rule, halt_text
from recon_core.tables.file_options import FILE_OPTIONS

DOCS = Path(__file__).parent


def pages() -> dict[str, str]:
    """Every generated page: its file name, and its text."""
    host = load_host()
    rules = {name: rule for name, rule in host.rules.items() if _own(host, name, "rule")}
    brokers = {name: broker for name, broker in host.brokers.items() if _own(host, name, "broker")}
    halts = {name: action for name, action in host.halts.items() if _own(host, name, "halt")}
    written = {
        "policy-reference.md": _policy_page(rules),
        "config-reference.md": _config_page(brokers, halts),
        "rules.md": _rules_page(rules),
        "report-reference.md": _report_page(),
    }
    return {name: "\n".join(lines).rstrip("\n") + "\n" for name, lines in written.items()}


def stale(folder: Path = DOCS) -> list[str]:
    """The names of the pages in ``folder`` that are not there, or not what the program says now."""
    texts = pages()
    return [name for name, text in texts.items() if _text_of(folder / name) != text]


def _text_of(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _own(host: Host, name: str, kind: str) -> bool:
    return host.plugin_of(name, kind).origin.startswith("recon-core ")


def _head(title: str, about: str) -> Lines:
    yield f"# {title}"
    yield ""
    yield "<!-- Written by docs/generate.py: `make docs` after a change of the program, never by hand. -->"
    yield ""
    yield about
    yield ""


def _policy_page(rules: Mapping[str, type[Rule]]) -> Lines:
    schema = policy_schema(rules)
    keys = schema["properties"]
    entries = keys["rules"]["properties"]
    common = keys["rules"]["additionalProperties"]["properties"]
    shared = [key for key in common if all(key in entry["properties"] for entry in entries.values())]
    yield from _head(
        "policies.yaml",
        f"{schema['description']} `recon-core policy check` proves a file, `recon-core schema policy` prints the schema that this"
        " page is made from, which also knows the parameters of plugins that you install. What the words mean:"
        " [how it decides](how-it-decides.md).",
    )
    yield from table(schema, leave=keys)
    yield "## `rules.TYPE`"
    yield ""
    yield f"{keys['rules']['description']} An entry may be empty (`{{}}`): then the rule's own defaults hold."
    yield ""
    yield "Every entry knows these keys:"
    yield ""
    yield from table({"properties": {key: common[key] for key in shared}})
    yield "Beside them, each rule has parameters of its own:"
    yield ""
    for name, entry in entries.items():
        own = {key: value for key, value in entry["properties"].items() if key not in shared}
        yield f"### `rules.{name}`"
        yield ""
        rule = rules[name]
        yield f"{rule.title}. By default {rule.severity}; halt: {halt_text(rule)}. [More](rules.md#{name.lower()})."
        yield ""
        yield from table({"properties": own}) if own else iter(("No parameters of its own.", ""))
    declared = keys["rules"]["additionalProperties"]
    yield "### A rule of your own, in the policy"
    yield ""
    yield f"{declared['description']} Its name is in capitals, such as `CURRENCY_SWAP`. Beside the keys that every entry knows:"
    yield ""
    own = {key: value for key, value in declared["properties"].items() if key not in shared}
    yield from table({"properties": own, "required": declared["required"]})
    for title, part in (
        ("escalation.NAME", keys["escalation"]["additionalProperties"]),
        ("overrides[]", keys["overrides"]["items"]),
        ("suppress[]", keys["suppress"]["items"]),
        ("corrections", keys["corrections"]),
    ):
        yield f"## `{title}`"
        yield ""
        yield keys[title.split("[")[0].split(".")[0]]["description"]
        yield ""
        yield from table(part, leave=("rules",))
    yield "## The default policy"
    yield ""
    yield "It holds where `recon.yaml` names no policy and no `policies.yaml` lies beside it."
    yield ""
    yield from fenced(DEFAULT_POLICY.read_text(encoding="utf-8"), "yaml")


def _config_page(brokers: Mapping[str, type[Broker]], halts: Mapping[str, type[HaltAction]]) -> Lines:
    schema = config_schema(brokers, halts)
    keys = schema["properties"]
    yield from _head(
        "recon.yaml",
        f"{schema['description']} `recon-core schema config` prints the schema that this page is made from, which also knows the"
        " options of plugins that you install.",
    )
    yield from table(schema, leave=keys)
    for name in ("plugins", "book", "schedule", "halt"):
        yield f"## `{name}`"
        yield ""
        own = {key: value for key, value in keys[name]["properties"].items() if value != FILE_OPTIONS.get(key)}
        yield keys[name]["description"]
        yield ""
        yield from table({"properties": own})
        if len(own) < len(keys[name]["properties"]):
            yield "A book that is a file also takes the [options of files](#options-of-files)."
            yield ""
    yield "## `brokers.NAME`"
    yield ""
    yield keys["brokers"]["description"]
    yield ""
    yield from table(keys["brokers"]["additionalProperties"], leave=("options", "secrets"))
    for name, broker in brokers.items():
        yield from _adapter(name, broker)
    yield "## Options of files"
    yield ""
    yield "How a CSV, TSV, JSON or Parquet file is written: under `book`, or under the `options` of the adapter `statement`."
    yield ""
    yield from table({"properties": FILE_OPTIONS})
    yield "## `metrics`"
    yield ""
    yield f"{keys['metrics']['description']} What they say, and the alerts: [metrics](metrics.md)."
    yield ""
    yield from table(keys["metrics"])
    yield "## `recheck`"
    yield ""
    yield f"{keys['recheck']['description']} More: [brokers](brokers.md#a-live-broker-and-the-book)."
    yield ""
    yield from table(keys["recheck"])
    yield "## `explain`"
    yield ""
    yield f"{keys['explain']['description']} More: [why quantities differ](explaining.md)."
    yield ""
    yield from table(keys["explain"])
    yield "## `symbols`"
    yield ""
    yield f"{keys['symbols']['description']} More: [brokers](brokers.md#one-instrument-under-two-names)."
    yield ""
    yield from table(keys["symbols"])
    yield "## `limits`"
    yield ""
    yield f"{keys['limits']['description']} More: [running it every day](running.md#memory-and-disk)."
    yield ""
    yield from table(keys["limits"])
    yield "## `recalculate`"
    yield ""
    yield f"{keys['recalculate']['description']} More: [corrections](corrections.md#profit-and-loss-of-your-own)."
    yield ""
    yield from table(keys["recalculate"])
    yield "## `spark`"
    yield ""
    yield f"{keys['spark']['description']} More: [scaling](scaling.md)."
    yield ""
    yield from table(keys["spark"])
    yield "## `fx`"
    yield ""
    yield keys["fx"]["description"]
    yield ""
    (rate,) = keys["fx"]["patternProperties"].values()
    yield from table({"properties": {**keys["fx"]["properties"], "CODE": rate}})
    halt = keys["halt"]
    actions = halt["properties"]["actions"]
    yield "## `halt`"
    yield ""
    yield f"{halt['description']} How it works: [halt actions](halt-actions.md)."
    yield ""
    yield from table(halt, leave=("actions",))
    yield "### `halt.actions.NAME`"
    yield ""
    yield actions["description"]
    yield ""
    yield from table(actions["additionalProperties"], leave=("options", "secrets"))
    for name, action in halts.items():
        yield from _action(name, action)


def _adapter(name: str, broker: type[Broker]) -> Lines:
    yield f"### Adapter `{name}`"
    yield ""
    yield from fenced(inspect.cleandoc(broker.__doc__ or ""), "text")
    covered = ", ".join(f"`{asset_class}`" for asset_class in broker.coverage) or "all"
    yield f"Secrets: {_secrets(broker)}. Asset classes that it reports: {covered}."
    yield ""
    own = {key: value for key, value in broker.options.items() if value != FILE_OPTIONS.get(key)}
    if own:
        yield from table({"properties": own, "required": broker.required})
    if len(own) < len(broker.options):
        yield "And the [options of files](#options-of-files)."
        yield ""


def _action(name: str, action: type[HaltAction]) -> Lines:
    yield f"### Action `{name}`"
    yield ""
    yield from fenced(inspect.cleandoc(action.__doc__ or ""), "text")
    yield f"Secrets: {_secrets(action)}. A lift can undo it: {'yes' if can_resume(action) else 'no'}."
    yield ""
    if action.options:
        yield from table({"properties": action.options, "required": action.required})


def _secrets(plugin: type[Broker | HaltAction]) -> str:
    """The credentials that a plugin takes."""
    optional = (f"`{secret}` (may be left out)" for secret in plugin.optional_secrets)
    return ", ".join((*(f"`{secret}`" for secret in plugin.secrets), *optional)) or "none"


def _rules_page(rules: Mapping[str, type[Rule]]) -> Lines:
    yield from _head(
        "Break types",
        "The rules that come with recon-core. Only those that the policy lists run. `recon-core rules list` and `recon-core rules"
        " show TYPE` say the same of every rule that is installed. The columns in the SQL: [writing a rule](writing-a-rule.md).",
    )
    yield from rows(
        ("type", "title", "severity", "halt", "counts"),
        [
            (f"[`{name}`](#{name.lower()})", rule.title, rule.severity, halt_text(rule), "yes" if rule.counts else "no")
            for name, rule in rules.items()
        ],
    )
    yield "Severity and halt are defaults, which the policy may change. *Counts* says whether a break adds to `total_impact` and"
    yield "`missing_count`."
    yield ""
    for name, rule in rules.items():
        yield f"## {name}"
        yield ""
        yield from _prose(inspect.cleandoc(rule.__doc__ or ""))
        yield f"**Severity** {rule.severity}. **Halt** {halt_text(rule)}. **Counts** {'yes' if rule.counts else 'no'}."
        if rule.supersedes:
            yield f"**Supersedes** {', '.join(rule.supersedes)} on the same position."
        yield ""
        if rule.params:
            yield from table({"properties": rule.params})
        yield from fenced("\n".join(_sql(rule)), "text")


def _sql(rule: type[Rule]) -> Lines:
    parts = [(label, getattr(rule, label)) for label in ("when", "among", "select", "impact")]
    parts += [("measure", " above_pct % of ".join(rule.measure))] if rule.measure else []
    for label, text in (*parts, ("detail", rule.detail)):
        first, *rest = inspect.cleandoc(text).splitlines() or [""]
        if first:
            yield f"{label:<9}{first}"
            yield from (f"{'':9}{line}" for line in rest)


def _prose(docstring: str) -> Lines:
    """A rule's docstring, whose headings stand above indented text, as Markdown."""
    lines = docstring.replace("``", "`").splitlines()
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if below.startswith(" ") and line and not line.startswith(" "):
            yield from ("", f"**{line}**", "")
        elif line:
            yield line.strip()
    yield ""


def _report_page() -> Lines:
    schema = json.loads(schema_text())
    yield from _head(
        "The report",
        f"{schema['description']} `report.json` is the same document, `recon-core schema report` its schema. Quantities, prices and"
        " money are text, so that no program rounds them on the way.",
    )
    yield "## Exit codes"
    yield ""
    yield "Of several that apply, the first of 5, 4, 3, 10, 0 is returned; 1 is left to crashes, so that none reads as a verdict."
    yield ""
    yield from rows(("code", "meaning"), [(f"**{int(code)}**", meaning) for code, meaning in EXIT_MEANING.items()])
    yield "## Fields"
    yield ""
    yield from table(schema, defaults=False)
    for name, part in schema["$defs"].items():
        if "properties" in part:
            yield f"### {name}"
            yield ""
            yield part["description"]
            yield ""
            yield from table(part, defaults=False)
    yield "## Kinds of text"
    yield ""
    kinds = [(name, part) for name, part in schema["$defs"].items() if "properties" not in part]
    yield from rows(
        ("kind", "meaning", "pattern"),
        [(f'<a id="{name}"></a>{name}', said(part["description"]), _pattern(part)) for name, part in kinds],
    )


def _pattern(part: Mapping[str, Any]) -> str:
    return code(part["pattern"]) if "pattern" in part else " ".join(map(code, part["enum"]))


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with ``--check`` name those that are stale; returns the exit code."""
    if arguments not in ([], ["--check"]):
        click.echo("usage: python docs/generate.py [--check]", err=True)
        return 2
    if arguments:
        found = stale()
        for name in found:
            click.echo(f"docs/{name} is stale: make docs", err=True)
        return 1 if found else 0
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
