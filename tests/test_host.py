"""The plugin host: what loads, where it came from, and the exact message for every mistake of a plugin's author."""

import hashlib
import logging
import pickle
import sys
import traceback

import pytest
from host_samples import BROKER, HALT, OBSERVER, RULE

from recon_core import PluginError
from recon_core.host import load_host


@pytest.fixture
def folder(tmp_path):
    """An empty drop-in folder that only its owner can write, whatever the umask."""
    for name in ("plugins", "plugins/brokers", "plugins/rules", "plugins/halts"):
        (tmp_path / name).mkdir(mode=0o755)
        (tmp_path / name).chmod(0o755)
    return tmp_path / "plugins"


@pytest.fixture
def drop(folder):
    """Write a file into the drop-in folder: ``drop("rules/tiny.py", text)``."""

    def drop(name, text):
        path = folder / name
        path.write_text(text)
        path.chmod(0o644)
        return path

    return drop


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution as an installer leaves it on disk: a module, and metadata with its entry points."""

    def install(distribution, version, entry_points, **modules):
        site = tmp_path / f"site-{distribution}"
        metadata = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        lines = [f"{name} = {value}" for name, value in entry_points.items()]
        (metadata / "entry_points.txt").write_text("\n".join(["[recon_core]", *lines, ""]))
        for name, text in modules.items():
            (site / f"{name}.py").write_text(text)
            monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.syspath_prepend(str(site))
        return site

    yield install
    for name in [name for name, module in sys.modules.items() if str(tmp_path) in str(getattr(module, "__file__", ""))]:
        del sys.modules[name]


def message(folder, **options):
    with pytest.raises(PluginError) as caught:
        load_host(folder, **options)
    return str(caught.value)


def test_drop_ins_load_with_their_provenance(folder, drop):
    rule, broker = drop("rules/tiny.py", RULE), drop("brokers/nobody.py", BROKER + '\n__version__ = "3.1"\n')
    host = load_host(folder)
    assert host.rules["TINY"].title == "Tiny"
    assert host.brokers["nobody"].required == ("path",)
    tiny, nobody = host.plugin_of("TINY"), host.plugin_of("nobody")
    assert (tiny.name, tiny.kind, tiny.types, tiny.version, tiny.origin, tiny.file) == (
        "rule-tiny", "rule", ("TINY",), "", "drop-in", rule,
    )  # fmt: skip
    assert (nobody.name, nobody.kind, nobody.version, nobody.file) == ("broker-nobody", "broker", "3.1", broker)
    assert tiny.sha256 == hashlib.sha256(RULE.encode()).hexdigest()


def test_installed_distribution_loads_with_its_provenance(install):
    site = install("acme-rules", "1.2", {"rule-tiny": "tiny_rule"}, tiny_rule=RULE)
    plugin = load_host().plugin_of("TINY")
    assert (plugin.name, plugin.version, plugin.origin) == ("rule-tiny", "1.2", "distribution acme-rules 1.2")
    assert plugin.file == site / "tiny_rule.py"


def test_rules_brokers_and_plugins_are_sorted_by_name(folder, drop):
    drop("rules/zebra.py", RULE.replace("TINY", "ZEBRA"))
    drop("rules/ant.py", RULE.replace("TINY", "ANT"))
    drop("brokers/nobody.py", BROKER)
    host = load_host(folder)
    assert list(host.rules) == sorted(host.rules)
    assert list(host.brokers) == sorted(host.brokers)
    assert [plugin.name for plugin in host.plugins] == sorted(plugin.name for plugin in host.plugins)


def test_drop_in_imports_its_siblings_relatively(folder, drop):
    drop("rules/_limits.py", "LIMIT = 7\n")
    drop("rules/tiny.py", RULE.replace("import Rule, hookimpl", "import Rule, hookimpl\nfrom ._limits import LIMIT").replace(
        '"default": 1', '"default": LIMIT'))  # fmt: skip
    assert load_host(folder).rules["TINY"].params["limit"]["default"] == 7


def test_drop_in_named_like_the_standard_library_harms_nobody(folder, drop):
    import json

    drop("rules/json.py", RULE)
    host = load_host(folder)
    assert host.rules["TINY"].__module__ == "recon_core_drop_ins.rules.json"
    assert sys.modules["json"] is json
    assert str(folder) not in " ".join(sys.path)


def test_class_of_a_drop_in_can_be_pickled(folder, drop):
    drop("rules/tiny.py", RULE)
    rule = load_host(folder).rules["TINY"]
    assert pickle.loads(pickle.dumps(rule)) is rule


def test_traceback_of_a_drop_in_shows_its_line(folder, drop):
    drop(
        "brokers/nobody.py",
        BROKER.replace('return Feed.unavailable(FeedStatus.NOT_READY, "nobody answers")', "return 1 / 0  # here"),
    )
    adapter = load_host(folder).brokers["nobody"]
    with pytest.raises(ZeroDivisionError) as caught:
        adapter.positions(None, None)
    assert "return 1 / 0  # here" in "".join(traceback.format_exception(caught.value))


def test_edited_drop_in_runs_as_edited_even_within_the_same_second(folder, drop):
    drop("rules/tiny.py", RULE)
    assert load_host(folder).rules["TINY"].severity == "warning"
    for severity in ("info", "high"):
        drop("rules/tiny.py", RULE.replace('title = "Tiny"', f'title = "Tiny"\n    severity = "{severity}"'))
        assert load_host(folder).rules["TINY"].severity == severity
    assert not list(folder.rglob("*.pyc"))


def test_drop_in_that_is_an_installed_plugin_is_not_loaded_twice(folder, drop, install):
    site = install(
        "acme-rules",
        "1.2",
        {"rule-tiny": "tiny_rule", "rule-ant": "ant_rule"},
        tiny_rule=RULE,
        ant_rule=RULE.replace("TINY", "ANT"),
    )
    drop("rules/copy_of_tiny.py", RULE)
    (folder / "rules/ant.py").symlink_to(site / "ant_rule.py")
    host = load_host(folder)
    assert {host.plugin_of(name).origin for name in ("TINY", "ANT")} == {"distribution acme-rules 1.2"}
    assert "rule-copy-of-tiny" not in [plugin.name for plugin in host.plugins]


def test_same_plugin_name_with_other_bytes_is_an_error_that_names_both(folder, drop, install):
    site = install("acme-rules", "1.2", {"rule-tiny": "tiny_rule"}, tiny_rule=RULE)
    path = drop("rules/tiny.py", RULE.replace("tiny", "very tiny"))
    assert message(folder) == (
        f"two plugins are named rule-tiny, and they differ: plugin rule-tiny (acme-rules 1.2, {site / 'tiny_rule.py'}) and "
        f"plugin rule-tiny (drop-in, {path}); rename the drop-in (to replace the installed one, also list it in plugins.disabled)"
    )


def test_two_distributions_with_one_plugin_name_are_an_error_that_names_both(install):
    one = install("acme-rules", "1.2", {"rule-tiny": "tiny_rule"}, tiny_rule=RULE)
    two = install("other-rules", "0.3", {"rule-tiny": "tiny_other"}, tiny_other=RULE)
    assert message(None) == (
        f"two plugins are named rule-tiny: plugin rule-tiny (other-rules 0.3, {two / 'tiny_other.py'}) and "
        f"plugin rule-tiny (acme-rules 1.2, {one / 'tiny_rule.py'}); uninstall one"
    )


def test_duplicate_break_type_names_both_files(folder, drop):
    one, two = drop("rules/ant.py", RULE), drop("rules/bee.py", RULE)
    assert message(folder) == (
        f"break type TINY is registered by plugin rule-ant (drop-in, {one}) and by plugin rule-bee (drop-in, {two}); "
        "list one plugin in plugins.disabled, or rename its break type"
    )


def test_duplicate_action_type_names_both_files(folder, drop):
    one, two = drop("halts/ant.py", HALT), drop("halts/bee.py", HALT)
    assert message(folder) == (
        f"action type switch is registered by plugin halt-ant (drop-in, {one}) and by plugin halt-bee (drop-in, {two}); "
        "list one plugin in plugins.disabled, or rename its action type"
    )


def test_halt_action_loads_with_its_provenance_beside_a_broker_of_the_same_name(folder, drop):
    action = drop("halts/switch.py", HALT)
    broker = drop("brokers/switch.py", BROKER.replace('"nobody"', '"switch"'))
    host = load_host(folder)
    assert host.halts["switch"].title == "Switch"
    plugin = host.plugin_of("switch", "halt")
    assert (plugin.name, plugin.kind, plugin.types, plugin.file) == ("halt-switch", "halt", ("switch",), action)
    assert host.plugin_of("switch", "broker").file == broker


def test_duplicate_adapter_name_names_both_files(folder, drop):
    one, two = drop("brokers/ant.py", BROKER), drop("brokers/bee.py", BROKER)
    assert message(folder) == (
        f"adapter nobody is registered by plugin broker-ant (drop-in, {one}) and by plugin broker-bee (drop-in, {two}); "
        "list one plugin in plugins.disabled, or rename its adapter"
    )


def test_disabled_plugin_is_not_even_imported(folder, drop, install):
    install("acme-rules", "1.2", {"rule-tiny": "tiny_rule"}, tiny_rule="raise SystemExit(7)\n")
    drop("rules/ant.py", "syntax error\n")
    host = load_host(folder, disabled=["rule-ant", "rule-tiny"])
    assert [(plugin.name, plugin.kind, plugin.types) for plugin in host.disabled] == [("rule-ant", "", ()), ("rule-tiny", "", ())]
    assert "TINY" not in host.rules


def test_unknown_name_in_disabled_is_an_error(folder, drop):
    drop("rules/tiny.py", RULE)
    assert message(folder, disabled=["rule-tinny"]) == (
        "plugins.disabled names 'rule-tinny', which is no plugin; did you mean 'rule-tiny'?"
    )


def test_all_mistakes_of_all_plugins_are_told_at_once(folder, drop):
    drop("rules/ant.py", "import nowhere_at_all\n")
    drop("rules/bee.py", RULE.replace('"TINY"', '"tiny"').replace('title = "Tiny"', 'title = ""'))
    lines = message(folder, disabled=["rule-be"]).splitlines()
    starts = ["plugins.disabled names 'rule-be'", "plugin rule-ant", "plugin rule-bee", "plugin rule-bee"]
    assert [line.startswith(start) for line, start in zip(lines, starts, strict=True)] == [True] * 4


MISTAKES = {
    "misspelt hook": (
        RULE.replace("def recon_register_rules", "def recon_register_rule"),
        "recon_register_rule() is no hook; did you mean 'recon_register_rules'?",
    ),
    "hook without hookimpl": (
        RULE.replace("@hookimpl\n", ""),
        "recon_register_rules() is not marked: write @hookimpl above it (from recon_core import hookimpl)",
    ),
    "no hook": (
        "LIMIT = 1\n",
        "has no hook: define one of recon_decision_made, recon_register_brokers, recon_register_halt_actions, "
        "recon_register_rules, recon_run_finished, recon_run_started, marked with @hookimpl",
    ),
    "hook wrapper": (
        OBSERVER.replace("@hookimpl", "@hookimpl(wrapper=True)").replace("raise RuntimeError", "yield; raise RuntimeError"),
        "recon_decision_made() is a hook wrapper; a plugin adds to what others do and cannot change it",
    ),
    "module that is absent": (
        "import nowhere_at_all\n" + RULE,
        "cannot be imported: line 1: ModuleNotFoundError: No module named 'nowhere_at_all'",
    ),
    "syntax error": (RULE + "def broken(:\n", "cannot be imported: line 19: SyntaxError: invalid syntax"),
    "exit while importing": ("\n\nraise SystemExit(3)\n", "cannot be imported: line 3: SystemExit: 3"),
    "hook that raises": (
        RULE.replace("return [Tiny]", "raise KeyError('limits')"),
        "recon_register_rules() failed: KeyError: 'limits'",
    ),
    "hook that returns no list": (
        RULE.replace("return [Tiny]", "return Tiny.type"),
        "recon_register_rules() returned 'TINY'; it returns a list of Rule classes",
    ),
    "hook that returns nothing": (
        RULE.replace("return [Tiny]", "return []"),
        "recon_register_rules() returned []; it returns a list of Rule classes",
    ),
    "hook that returns another class": (
        RULE.replace("return [Tiny]", "return [str]"),
        "recon_register_rules() returned <class 'str'> in its list; it returns a list of Rule classes",
    ),
    "broker from the hook of rules": (
        BROKER.replace("recon_register_brokers", "recon_register_rules"),
        "recon_register_rules() returned <class 'recon_core_drop_ins.rules.mistake.Nobody'> in its list; "
        "it returns a list of Rule classes",
    ),
    "type not in capitals": (
        RULE.replace('"TINY"', '"Tiny"'),
        "Tiny: type 'Tiny' is no break type: capitals, digits and single underscores, such as QUANTITY_MISMATCH",
    ),
    "neither when nor select": (
        RULE.replace('when = "abs(broker_quantity) < $limit"', ""),
        "Tiny: neither when nor select is given: a rule has one, when (a predicate over pairs) or select (a query over pairs)",
    ),
    "both when and select": (
        RULE.replace("when =", 'select = "SELECT * FROM pairs"\n    when ='),
        "Tiny: both when and select are given: a rule has one, when (a predicate over pairs) or select (a query over pairs)",
    ),
    "among without select": (
        RULE.replace("when =", 'among = "in_book"\n    when ='),
        "Tiny: among goes with select: with when, write both into one predicate",
    ),
    "unknown severity": (
        RULE.replace("params =", 'severity = "urgent"\n    params ='),
        "Tiny: severity 'urgent' is none of info, warning, high, critical",
    ),
    "unknown halt": (
        RULE.replace("params =", 'halt = "sometimes"\n    params ='),
        "Tiny: halt is 'sometimes'; it is 'always', 'never', {'above_pct': N}, {'above_impact': N} or {'when': '<SQL>'}",
    ),
    "unknown key of halt": (
        RULE.replace("params =", 'halt = {"above": 3}\n    params ='),
        "Tiny: halt has 'above'; it knows above_pct, above_impact and when",
    ),
    "halt that is no number": (
        RULE.replace("params =", 'halt = {"above_impact": "100"}\n    params ='),
        "Tiny: halt.above_impact is '100'; it is a number, 0 or more",
    ),
    "above_pct without measure": (
        RULE.replace("params =", 'halt = {"above_pct": 10}\n    params ='),
        "Tiny: halt.above_pct compares two terms, which measure must give (abs(quantity_difference) and abs(broker_quantity), say)",
    ),
    "measure of one term": (
        RULE.replace("params =", 'measure = ("abs(quantity_difference)",)\n    params ='),
        "Tiny: measure is ('abs(quantity_difference)',); it is two SQL terms, such as "
        "('abs(quantity_difference)', 'abs(broker_quantity)')",
    ),
    "empty docstring": (
        RULE.replace('"""Finds positions that are tiny."""', ""),
        "Tiny: docstring is empty: it is the documentation page, say what it does and what a person should do",
    ),
    "no detail": (RULE.replace('"{broker_quantity} held"', '""'), "Tiny: detail is ''; it is a text"),
    "supersedes as text": (
        RULE.replace("params =", 'supersedes = ("PRICE_MISMATCH")\n    params ='),
        "Tiny: supersedes is the text 'PRICE_MISMATCH'; a tuple of one has a comma: ('PRICE_MISMATCH',)",
    ),
    "rule that supersedes itself": (
        RULE.replace("params =", 'supersedes = ("TINY",)\n    params ='),
        "Tiny: supersedes names the rule's own type",
    ),
    "parameter without description": (
        RULE.replace(', "description": "Units."', ""),
        "Tiny: params.limit has no description: say in a sentence what it does, with its unit",
    ),
    "parameter without default": (
        RULE.replace(', "default": 1', ""),
        "Tiny: params.limit has no default: the policy need not name every parameter",
    ),
    "default that breaks its schema": (
        RULE.replace('"default": 1', '"default": -1'),
        "Tiny: params.limit.default breaks its own schema: -1 is less than the minimum of 0",
    ),
    "schema with a type that JSON has not": (
        RULE.replace('"type": "number"', '"type": "decimal"'),
        "Tiny: params.limit.type is 'decimal'; it is one or a list of number, integer, string, boolean, object, array, null",
    ),
    "parameter of a type that SQL has not": (
        RULE.replace('"type": "number", "minimum": 0, "default": 1', '"type": "array", "default": []'),
        "Tiny: params.limit.type is 'array'; a parameter is one of number, integer, string, boolean",
    ),
    "schema keyword misspelt": (
        RULE.replace('"minimum": 0', '"minimun": 0'),
        "Tiny: params.limit has 'minimun', which is not a JSON Schema keyword that is acted on here; did you mean 'minimum'?",
    ),
    "schema bound that is text": (
        RULE.replace('"minimum": 0', '"minimum": "0"'),
        "Tiny: params.limit.minimum is '0'; it is a number",
    ),
    "parameter that is no schema": (
        RULE.replace('{"type": "number", "minimum": 0, "default": 1, "description": "Units."}', "1"),
        "Tiny: params.limit is 1; a JSON Schema is a dict, such as {'type': 'number', 'description': ..., 'default': 0}",
    ),
    "parameter named like a key of the policy": (
        RULE.replace('"limit":', '"severity":'),
        "Tiny: params.severity: the policy gives 'severity' a meaning of its own; choose another name",
    ),
    "parameter that SQL cannot name": (
        RULE.replace('"limit":', '"the-limit":'),
        "Tiny: params.the-limit: a parameter is lower-case letters, digits and underscores, so that $name can be written in SQL",
    ),
    "attribute that does something of its own": (
        RULE.replace(
            "class Tiny", "class Odd:\n    def __eq__(self, other):\n        raise OSError('odd')\n\n\nclass Tiny"
        ).replace("params =", "severity = Odd()\n    params ="),
        "Tiny: cannot be read: OSError: odd",
    ),
    "adapter name with blanks": (
        BROKER.replace('"nobody"', '"no body"'),
        "Nobody: name 'no body' is no adapter name: lower-case letters, digits, '-' and '_', such as alpaca or prime-fix",
    ),
    "adapter without positions": (
        BROKER.replace("def positions", "def holdings"),
        "Nobody: positions() is not defined: it is what an adapter is for",
    ),
    "secrets as text": (
        BROKER.replace("required =", 'secrets = ("token")\n    required ='),
        "Nobody: secrets is the text 'token'; a tuple of one has a comma: ('token',)",
    ),
    "required option that is none": (
        BROKER.replace('required = ("path",)', 'required = ("file",)'),
        "Nobody: required names 'file', which is not among options",
    ),
    "nested option schema": (
        BROKER.replace('"type": "string"', '"type": "object", "properties": {"line": {"pattern": "("}}'),
        "Nobody: options.path.line.pattern is '('; it is a regular expression",
    ),
    "halt action without halt": (
        HALT.replace("def halt(", "def stop("),
        "Switch: halt() is not defined: it is what an action is for",
    ),
    "halt action without confirmation": (
        HALT.replace("def confirm(", "def check("),
        "Switch: confirm() is not defined: a halt that nobody reads back is not one",
    ),
    "halt action of a type with blanks": (
        HALT.replace('"switch"', '"Main switch"'),
        "Switch: type 'Main switch' is no action type: lower-case letters, digits, '-' and '_', such as webhook or desk-switch",
    ),
    "halt action without title": (HALT.replace('"Switch"', '""'), "Switch: title is ''; it is a text"),
    "optional secrets as text": (
        HALT.replace("required =", 'optional_secrets = ("token")\n    required ='),
        "Switch: optional_secrets is the text 'token'; a tuple of one has a comma: ('token',)",
    ),
    "optional secrets of no pattern": (
        HALT.replace("required =", 'optional_secrets = ("(",)\n    required ='),
        "Switch: optional_secrets names '(', which is neither a name nor a regular expression",
    ),
    "required option of a halt action that is none": (
        HALT.replace('required = ("path",)', 'required = ("file",)'),
        "Switch: required names 'file', which is not among options",
    ),
    "hook with an argument that it does not get": (
        OBSERVER.replace("(report)", "(report, mood)"),
        "Plugin 'rule-mistake' for hook 'recon_decision_made' hookimpl definition: recon_decision_made(report, mood) "
        "Argument(s) {'mood'} are declared in the hookimpl but can not be found in the hookspec",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_of_a_plugin_author_gets_its_own_message(name, folder, drop):
    text, expected = MISTAKES[name]
    path = drop("rules/mistake.py", text)
    assert message(folder) == f"plugin rule-mistake (drop-in, {path}): {expected}"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "abs(broker_quantity) < $limit",
            "abs(broker_quantty) < $limit",
            "when: unknown column 'broker_quantty'; did you mean 'broker_quantity'?",
        ),
        ("abs(broker_quantity) < $limit", "abs(broker_quantity) < $limt", "when: "),
        ("{broker_quantity} held", "{broker_quantty} held", "detail: unknown column 'broker_quantty' in the detail"),
    ],
)
def test_unknown_column_is_found_by_the_deep_check(old, new, expected, folder, drop):
    path = drop("rules/tiny.py", RULE.replace(old, new))
    host = load_host(folder)
    with pytest.raises(PluginError) as caught:
        host.check_rule(host.rules["TINY"])
    assert str(caught.value).startswith(f"plugin rule-tiny (drop-in, {path}): TINY.{expected}")
    with pytest.raises(PluginError, match="TINY"):
        host.check()


def test_select_that_does_not_return_its_pairs_is_found(folder, drop):
    drop("rules/tiny.py", RULE.replace('when = "abs(broker_quantity) < $limit"', 'select = "SELECT broker, symbol FROM pairs"'))
    host = load_host(folder)
    with pytest.raises(PluginError, match=r"TINY\.select: .*; account, leg not returned"):
        host.check_rule(host.rules["TINY"])


def test_sound_rules_pass_the_deep_check(folder, drop):
    drop("rules/tiny.py", RULE)
    drop("rules/joint.py", RULE.replace("TINY", "JOINT").replace(
        'when = "abs(broker_quantity) < $limit"', 'select = "SELECT *, 1 AS finding FROM pairs"\n    among = "in_book"').replace(
        "{broker_quantity} held", "{finding} of {limit}"))  # fmt: skip
    load_host(folder).check()


@pytest.mark.parametrize(("mode", "who"), [(0o664, "its group"), (0o646, "everyone")])
def test_drop_in_that_others_can_write_is_refused(mode, who, folder, drop):
    path = drop("rules/tiny.py", RULE)
    path.chmod(mode)
    assert message(folder) == (
        f"plugin rule-tiny (drop-in, {path}): {path} can be written by {who}, "
        f"who could so decide what halts trading: chmod go-w {path}"
    )


@pytest.mark.parametrize("place", ["rules", "."])
def test_drop_in_in_a_folder_that_others_can_write_is_refused(place, folder, drop):
    drop("rules/tiny.py", RULE)
    (folder / place).chmod(0o775)
    assert f"{(folder / place).resolve()} can be written by its group" in message(folder)


def test_sibling_that_others_can_write_is_refused(folder, drop):
    drop("rules/tiny.py", RULE + "\nfrom . import _limits\n")
    drop("rules/_limits.py", "LIMIT = 7\n").chmod(0o666)
    assert "_limits.py can be written by everyone" in message(folder)


def test_link_to_a_file_that_others_can_write_is_refused(folder, tmp_path):
    real = tmp_path / "tiny.py"
    real.write_text(RULE)
    real.chmod(0o666)
    (folder / "rules/tiny.py").symlink_to(real)
    assert f"{real.resolve()} can be written by everyone" in message(folder)


def test_missing_drop_in_folder_is_an_error(tmp_path):
    assert message(tmp_path / "plugin") == (
        f"plugins.drop_ins names {tmp_path / 'plugin'}, which is not a folder: create it, or take the setting out"
    )


def test_file_that_would_never_load_is_an_error(folder, drop):
    path = drop("tiny.py", RULE)
    assert message(folder) == f"drop-in {path} would never load: move it into brokers/, rules/ or halts/ beside it"


def test_folder_that_would_never_load_is_an_error(folder, drop):
    (folder / "rule").mkdir()
    drop("rule/tiny.py", RULE)
    assert message(folder) == f"drop-ins in {folder / 'rule'} would never load: did you mean rules/?"


def test_dot_in_a_file_name_is_an_error(folder, drop):
    path = drop("rules/tiny.v2.py", RULE)
    assert message(folder) == f"drop-in {path}: a module name has no dot; rename it to tiny_v2.py"


def test_entry_point_that_names_a_function_is_an_error(install):
    install("acme-rules", "1.2", {"rule-tiny": "tiny_rule:recon_register_rules"}, tiny_rule=RULE)
    assert "its entry point is 'tiny_rule:recon_register_rules'; it must be a module" in message(None)


def test_entry_point_of_an_absent_module_names_its_distribution(install):
    install("acme-rules", "1.2", {"rule-tiny": "tiny_rule_gone"})
    assert message(None) == (
        "plugin rule-tiny (acme-rules 1.2, file unknown): cannot be imported: ModuleNotFoundError: No module named 'tiny_rule_gone'"
    )


def test_one_module_under_two_plugin_names_is_an_error(install):
    install("acme-rules", "1.2", {"rule-ant": "tiny_rule", "rule-bee": "tiny_rule"}, tiny_rule=RULE)
    assert "its module is already installed as plugin rule-ant; take one of the two entry points out" in message(None)


@pytest.mark.case("J04")
def test_observer_that_raises_is_logged_and_counted_and_changes_nothing(folder, drop, caplog):
    path = drop("rules/pager.py", OBSERVER)
    host = load_host(folder)
    report = {"seen": []}
    with caplog.at_level(logging.ERROR):
        host.notify("recon_decision_made", report=report)
        host.notify("recon_decision_made", report=report)
    assert report == {"seen": []}
    assert host.observer_failures == {"rule-pager": 2}
    assert caplog.messages[0] == (
        f"plugin rule-pager (drop-in, {path}): recon_decision_made failed: line 9: RuntimeError: the pager is down; the run goes on"
    )
    assert host.plugins[[plugin.name for plugin in host.plugins].index("rule-pager")].kind == "observer"


def test_observers_are_told_in_the_order_of_their_names(folder, drop):
    text = OBSERVER.replace("recon_decision_made", "recon_run_finished").replace(
        'report["seen"].append("changed")', "log = report['log']"
    )
    text = text.replace('raise RuntimeError("the pager\\nis down")', "open(log, 'a').write(__name__.rpartition('.')[2] + ' ')")
    for name in ("bee", "cat", "ant"):
        drop(f"rules/{name}.py", text)
    load_host(folder).notify("recon_run_finished", report={"log": str(folder / "log")})
    assert (folder / "log").read_text() == "ant bee cat "


def test_unknown_observer_hook_is_a_mistake_of_the_caller(folder):
    with pytest.raises(ValueError, match="recon_run_ended is no observer hook"):
        load_host(folder).notify("recon_run_ended", report={})
