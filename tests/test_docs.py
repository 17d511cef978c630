"""The pages say what the program does: generated ones are fresh, and names, signatures, tables and links are real."""

import dataclasses
import html
import inspect
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

import click
import pytest
from doc_pages import DOCS, PAGES, README, ROOT, commands, table, tables

from recon_core import Broker, Feed, HaltAction, Position, Rule, errors, hookspecs
from recon_core.cli import COMMANDS, main
from recon_core.collect import ask, maker
from recon_core.columns import PAIR_COLUMNS
from recon_core.config.config_schema import config_schema
from recon_core.config.policy_schema import policy_schema
from recon_core.config.settings import BrokerSettings
from recon_core.errors import EXIT_MEANING
from recon_core.host import load_host
from recon_core.plugin_module import HOOKS
from recon_core.report import schema_text

GENERATED = ("policy-reference.md", "config-reference.md", "rules.md", "report-reference.md")


def check(folder):
    command = [sys.executable, str(folder / "generate.py"), "--check"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_generated_pages_are_what_the_program_says():
    done = check(DOCS)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stale_page_and_a_missing_one_are_named(tmp_path):
    for path in (*DOCS.glob("*.py"), *(DOCS / name for name in GENERATED)):
        shutil.copy(path, tmp_path)
    rules = tmp_path / "rules.md"
    rules.write_text(rules.read_text(encoding="utf-8").replace("above_pct 10", "above_pct 11"), encoding="utf-8")
    (tmp_path / "config-reference.md").unlink()
    done = check(tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["docs/config-reference.md is stale: make docs", "docs/rules.md is stale: make docs"]


def test_every_credential_that_a_plugin_takes_is_named_on_its_part_of_the_page():
    page, host = (DOCS / "config-reference.md").read_text(encoding="utf-8"), load_host()
    taken = [(f"### Adapter `{name}`", broker) for name, broker in host.brokers.items()]
    taken += [(f"### Action `{name}`", action) for name, action in host.halts.items()]
    for heading, plugin in taken:
        own = page.partition(heading)[2].partition("\n##")[0]
        (said,) = (line for line in own.splitlines() if line.startswith("Secrets: "))
        assert [name for name in (*plugin.secrets, *plugin.optional_secrets) if f"`{name}`" not in said] == [], heading


def descriptions(schema):
    if isinstance(schema, Mapping):
        if isinstance(schema.get("description"), str) and "type" in schema:
            yield schema["description"]
        for part in schema.values():
            yield from descriptions(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from descriptions(part)


@pytest.mark.parametrize("name", ["policy", "config", "report"])
def test_reference_leaves_out_nothing_that_the_schema_describes(name):
    host = load_host()
    schema = {
        "policy": lambda: policy_schema(host.rules),
        "config": lambda: config_schema(host.brokers, host.halts),
        "report": lambda: json.loads(schema_text()),
    }[name]()
    page = html.unescape((DOCS / f"{name}-reference.md").read_text(encoding="utf-8")).replace("\\*", "*").replace("\\|", "|")
    # an entry of a rule says its title and halt, which the page words differently; column names describe themselves
    ignored = {"SQL number over pairs.", "A break type.", "Name of a plugin.", "The book's name.", "The book's name of an account."}
    ignored |= {"Options of the adapter.", "Options of the action.", "env:NAME or file:PATH, never the secret itself."}
    ignored |= {"A broker's name."} | {f"Options of the action {action}." for action in host.halts}
    missing = [text for text in descriptions(schema) if text not in page and " By default " not in text and " " in text]
    assert set(missing) - ignored - {f"Options of the adapter {broker}." for broker in host.brokers} == set()


def test_every_rule_adapter_and_action_has_its_section():
    host = load_host()
    own = {
        kind: {name for name in names if host.plugin_of(name, kind).origin.startswith("recon-core ")}
        for kind, names in {"rule": host.rules, "broker": host.brokers, "halt": host.halts}.items()
    }
    sections = set(re.findall(r"^## ([A-Z_]+)$", (DOCS / "rules.md").read_text(encoding="utf-8"), re.MULTILINE))
    reference = (DOCS / "config-reference.md").read_text(encoding="utf-8")
    adapters, actions = (set(re.findall(rf"^### {noun} `(.+)`$", reference, re.MULTILINE)) for noun in ("Adapter", "Action"))
    assert {"rule": sections, "broker": adapters, "halt": actions} == own


def test_hooks_are_documented_with_the_signature_that_they_have():
    text = (DOCS / "plugins.md").read_text(encoding="utf-8")
    documented = re.findall(r"^### `(recon_\w+)(.*)`$", text, re.MULTILINE)
    real = {name: str(inspect.signature(getattr(hookspecs, name))).replace("'", "") for name in HOOKS}
    assert dict(documented) == real
    assert len(documented) == len(real)


def test_columns_of_pairs_are_documented_with_their_types():
    rows = table(DOCS / "writing-a-rule.md", "column")
    assert [(row[0].strip("`"), row[1]) for row in rows] == list(PAIR_COLUMNS.items())
    assert all(row[2] for row in rows)


def names(rows):
    return [name for row in rows for name in re.findall(r"`(?:self\.)?(\w+)[`(]", row[0])]


def test_attributes_of_rules_and_brokers_are_all_documented():
    rule, *_ = (each for each in tables(DOCS / "writing-a-rule.md") if each[0][0] == "attribute")
    broker, instance = (each for each in tables(DOCS / "writing-a-broker.md") if each[0][0] == "attribute")
    assert set(names(rule[1:])) == {name for name in vars(Rule) if not name.startswith("_")}
    given = [name for name in inspect.signature(Broker.__init__).parameters if name != "self"]
    assert set(names(instance[1:])) == set(given)
    assert set(names(broker[1:])) == set(Broker.__annotations__)


def test_attributes_and_methods_of_halt_actions_are_all_documented():
    attributes, instance = (each[1:] for each in tables(DOCS / "writing-a-halt-action.md") if each[0][0] == "attribute")
    given = [name for name in inspect.signature(HaltAction.__init__).parameters if name != "self"]
    assert set(names(attributes)) == set(HaltAction.__annotations__)
    assert set(names(instance)) == set(given)
    methods = names(table(DOCS / "writing-a-halt-action.md", "method"))
    assert methods == ["halt", "confirm", "resume"]
    assert [row[0].strip("`") for row in table(DOCS / "halt-actions.md", "action")] == ["webhook", "command", "alpaca"]


def test_fields_of_position_and_feed_are_all_documented():
    position, feed = (each[1:] for each in tables(DOCS / "writing-a-broker.md") if each[0][0] == "field")
    assert set(names(position)) == {field.name for field in dataclasses.fields(Position)}
    given_otherwise = {"status", "reason", "positions", "relation"}
    assert set(names(feed)) == {field.name for field in dataclasses.fields(Feed)} - given_otherwise


class Raising(Broker):
    """Raises the error that its options name."""

    name = "raising"

    def positions(self, ask):
        raise getattr(errors, self.settings["error"])("why")


def test_errors_of_adapters_make_the_feed_what_the_page_says(tmp_path):
    rows = table(DOCS / "writing-a-broker.md", "error")
    documented = {row[0].strip("`"): row[2] for row in rows}
    assert set(documented) == {each.__name__ for each in errors.BrokerError.__subclasses__()}
    brokers = [BrokerSettings(alias=name, adapter="raising", options={"error": name}) for name in documented]
    make = maker(folder=tmp_path, clock=lambda: datetime.now(UTC), secret=lambda reference: reference)
    asked = ask(brokers, {"raising": Raising}, None, make)
    assert {answer.settings.alias: str(answer.feed.status) for answer in asked.answers()} == documented


@pytest.mark.parametrize("page", [README, DOCS / "how-it-decides.md", DOCS / "report-reference.md"], ids=lambda page: page.name)
def test_exit_codes_are_those_of_the_program(page):
    codes = {row[0].strip("*"): row[1] for row in table(page, "code")}
    assert codes == {str(int(code)): meaning for code, meaning in EXIT_MEANING.items()}


def test_break_types_of_the_readme_are_those_that_are_installed():
    host = load_host()
    own = {name for name in host.rules if host.plugin_of(name, "rule").origin.startswith("recon-core ")}
    rows = table(README, "break type")
    assert {row[0].strip("`") for row in rows} == own
    for row in rows:
        rule = host.rules[row[0].strip("`")]
        assert row[2].startswith(rule.severity)
        assert ("halts" in row[2]) == (rule.halt != "never")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.name}")
def test_commands_that_a_page_names_exist(page):
    for text in commands(page):
        command: click.Command = main
        context = click.Context(main)
        for word in text.split():
            if word.startswith("-"):
                known = {option for parameter in command.params for option in parameter.opts}
                assert word in known | {"--help", "--version"}, f"{page.name}: recon-core {text}: no option {word}"
            elif isinstance(command, click.Group):
                found = command.get_command(context, word)
                assert found is not None, f"{page.name}: recon-core {text}: no command {word!r}"
                command = found


def test_pages_name_every_command():
    named = {text.split()[0] for page in PAGES for text in commands(page)}
    assert set(COMMANDS) <= named


def anchors(page):
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    found = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return found | set(re.findall(r'<a id="(\w+)">', text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.name}")
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        whole = (page.parent / path).resolve() if path else page
        assert whole.exists(), f"{page.name}: {target} leads nowhere"
        assert whole.is_relative_to(ROOT)
        assert not anchor or anchor in anchors(whole), f"{page.name}: {target}: no such heading"


def test_picture_is_small_enough_to_load():
    picture = DOCS / "report.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 400_000
