"""The examples of the pages, taken out of them and run as a reader would: files, policies, rules, brokers, programs."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap

import duckdb
import pytest
import warmed
import yaml
from doc_pages import DOCS, PAGES, README, ROOT, block, blocks, drop_ins, write_private
from loopback import as_json, serving

from recon_core.config.load import load_configuration, load_policy
from recon_core.errors import EXIT_MEANING
from recon_core.host import load_host
from recon_core.testing import check_rule_case, load_rule_cases

RULE_PAGE, BROKER_PAGE = DOCS / "writing-a-rule.md", DOCS / "writing-a-broker.md"
ACME = ROOT / "examples" / "recon-core-acme"
POLICY_KEYS = {
    *("rules", "escalation", "overrides", "suppress", "scope", "on_incomplete", "base_currency", "price_fallback", "corrections"),
    "count",
}


def recon_core(*arguments, folder, **environment):
    return warmed.command(folder, arguments, {**os.environ, "COLUMNS": "100", **environment})


def masked(text):
    """Output without what differs from run to run, and without where its lines were broken."""
    return " ".join(re.sub(r"run\s+\S+,\s+[\d.]+\s+s\)", "run)", text).split())


@pytest.fixture
def own_data(tmp_path):
    """The deployment of the README: two CSV files and a recon.yaml."""
    for name in ("book.csv", "broker.csv", "recon.yaml"):
        (tmp_path / name).write_text(block(README, name), encoding="utf-8")
    return tmp_path


def shown(number):
    """An output that the README shows: its parts between the dots that stand for what is left out."""
    return [masked(part) for part in blocks(README, "text")[number].text.split("[...]")]


def assert_in_order(parts, output):
    assert output.startswith(parts[0])
    for part in parts:
        _, found, output = output.partition(part)
        assert found, f"the README shows what is not printed: {part}"


def test_twelve_lines_and_two_files_reconcile_as_the_readme_shows(own_data):
    assert len((own_data / "recon.yaml").read_text(encoding="utf-8").splitlines()) == 12
    done = recon_core("run", folder=own_data)
    assert (done.returncode, done.stderr) == (4, "")
    assert_in_order(shown(1), masked(done.stdout))


def test_example_deployment_reconciles_as_the_readme_shows(tmp_path):
    shutil.copy(ROOT / "recon.yaml", tmp_path)
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("recon-core-acme"))
    done = recon_core("run", folder=tmp_path)
    parts = shown(0)
    assert_in_order(parts[:-1], masked(done.stdout))
    assert parts[-1] == f"make: recon-core run returned {done.returncode}: {EXIT_MEANING[done.returncode]}"


def test_program_of_the_readme_prints_the_breaks(own_data):
    (program,) = (each for each in blocks(README, "python") if "PositionReconciler" in each.text)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program.text]
    done = subprocess.run(command, cwd=own_data, env=environment, capture_output=True, text=True, timeout=60, check=True)
    totals, found = done.stdout.splitlines()
    assert totals == "breaks 1 True"
    assert found.startswith("QUANTITY_MISMATCH MSFT book 50, broker 54 (7.4075% apart)")
    assert not (own_data / ".state").exists()
    (own_data / "broker.csv").unlink()
    done = subprocess.run(command, cwd=own_data, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert "NoVerdictError: no verdict: feed mybroker is NOT_READY: there is no file" in done.stderr


def test_rule_of_the_readme_works_as_a_drop_in(own_data):
    drop_ins(README, own_data)
    config = (own_data / "recon.yaml").read_text(encoding="utf-8")
    (own_data / "recon.yaml").write_text(config + "plugins: {drop_ins: plugins}\n", encoding="utf-8")
    (own_data / "policies.yaml").write_text("version: 1\nrules: {UNEXPECTED_SHORT: {}}\n", encoding="utf-8")
    page = recon_core("rules", "show", "UNEXPECTED_SHORT", folder=own_data)
    assert page.returncode == 0
    assert "Why it matters" in page.stdout
    done = recon_core("run", folder=own_data)
    assert done.returncode == 4
    assert "broker reports -10, and 0 short are allowed" in done.stdout


@pytest.fixture
def depot(tmp_path):
    """A deployment whose broker is the README's adapter; returns a function that asks it against a server's answer."""
    drop_ins(README, tmp_path)
    (tmp_path / "book.csv").write_text("account,symbol,quantity\nMAIN,AAPL,10\n", encoding="utf-8")

    def depot(reply):
        with serving({"/positions": reply}) as server:
            (tmp_path / "recon.yaml").write_text(
                "version: 1\nplugins: {drop_ins: plugins}\nbook: {file: book.csv}\nbrokers:\n  vault:\n    adapter: depot\n"
                f"    options: {{base_url: '{server.url}'}}\n    secrets: {{token: env:DEPOT_TOKEN}}\n",
                encoding="utf-8",
            )
            done = recon_core("run", folder=tmp_path, DEPOT_TOKEN="a-token")
            assert [(each.method, each.headers["authorization"]) for each in server.requests] == [("GET", "Bearer a-token")]
        return done

    return depot


ROW = {"account": "MAIN", "symbol": "AAPL", "quantity": "10", "currency": "USD"}


def test_broker_of_the_readme_works_as_a_drop_in(depot):
    done = depot(as_json({"count": 1, "positions": [ROW]}))
    assert done.returncode == 0
    assert done.stdout.startswith("CLEAN  no breaks, 2 undetermined")


def test_broker_of_the_readme_is_partial_where_the_count_says_that_rows_are_missing(depot):
    done = depot(as_json({"count": 2, "positions": [ROW]}))
    assert done.returncode == 4
    assert "the broker states rows 2, its positions add up to 1" in masked(done.stdout)


def test_broker_of_the_readme_is_failed_where_it_raises(depot):
    done = depot(as_json({"count": 1, "positions": [{"symbol": "AAPL"}]}))
    assert done.returncode == 4
    assert "FAILED" in done.stdout
    assert "GET /positions: positions: row 1: field account is missing" in masked(done.stdout)


def plugins_of(page, folder):
    """The drop-ins that a page shows; for the page of the example distribution, its source files."""
    plugins = drop_ins(page, folder)
    if page.parent == ACME:
        source = ACME / "src" / "recon_core_acme"
        for part, name in (("brokers", "prime.py"), ("rules", "concentration_limit.py")):
            write_private(plugins / part / name, (source / name).read_text(encoding="utf-8"))
    return plugins


def load_example(text, folder, plugins):
    """Read YAML with the loader that it is meant for; what a fragment leaves out is filled in."""
    keys = set(yaml.compose(text) and yaml.safe_load(text))
    if "cases" in keys:
        assert load_rule_cases(_written(folder / "cases.yaml", text))
        return
    text = text if "version" in keys else f"version: 1\n{text}"
    if keys <= POLICY_KEYS | {"version"}:
        text = text if "rules" in keys else f"{text}rules: {{MISSING_IN_DB: {{}}, QUANTITY_MISMATCH: {{}}}}\n"
        load_policy(_written(folder / "policies.yaml", text), load_host(plugins).rules)
        return
    text = text if "book" in keys else f"{text}book: {{file: book.csv}}\n"
    text = text if "brokers" in keys else f"{text}brokers: {{prime: {{adapter: statement, options: {{path: feed.csv}}}}}}\n"
    load_configuration(
        _written(folder / "recon.yaml", text), lambda _folder, disabled: load_host(plugins, disabled), environment=None
    )


def _written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


YAML = [each for page in PAGES for each in blocks(page, "yaml")]


@pytest.mark.parametrize("example", YAML, ids=str)
def test_yaml_of_a_page_loads(example, tmp_path):
    load_example(example.text, tmp_path, plugins_of(example.page, tmp_path))


@pytest.mark.parametrize("name", ["recon.yaml", "policies.yaml"])
def test_yaml_that_cannot_be_meant_would_be_noticed(name, tmp_path):
    text = {"recon.yaml": "plugins: {drop_in: plugins}\n", "policies.yaml": "rules: {QUANTITY_MISMATCH: {tolerence: 1}}\n"}[name]
    with pytest.raises(Exception, match=r"unknown key.*did you mean"):
        load_example(text, tmp_path, drop_ins(README, tmp_path))


def test_what_the_example_deployment_has_as_comments_loads(tmp_path):
    _, _, comments = (ROOT / "recon.yaml").read_text(encoding="utf-8").partition("every deployment should have:\n")
    text = "".join(line.removeprefix("# ") for line in comments.splitlines(keepends=True))
    assert set(yaml.safe_load(text)) == {"schedule", "metrics", "halt"}
    load_example(text, tmp_path, drop_ins(README, tmp_path))


def docstring_examples():
    for path in sorted([*(ROOT / "recon_core").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                for literal in re.findall(r"::\n\n((?:[ ]+.*\n|\n)+)", f"{ast.get_docstring(node) or ''}\n"):
                    text = textwrap.dedent(literal).strip("\n") + "\n"
                    if re.match(r"[a-z_]+:( |$)", text, re.MULTILINE):
                        yield pytest.param(text, id=f"{path.stem}-{getattr(node, 'name', 'module')}")


DOCSTRINGS = list(docstring_examples())


@pytest.mark.parametrize("text", DOCSTRINGS)
def test_yaml_of_a_docstring_loads(text, tmp_path):
    load_example(text, tmp_path, drop_ins(README, tmp_path))


def test_examples_are_found_at_all():
    assert len(YAML) >= 10
    assert any("exactly-ten-percent" in param.values[0] for param in DOCSTRINGS)


def test_policy_of_the_readme_passes_policy_check(tmp_path):
    policy = next(each for each in blocks(README, "yaml") if "escalation:" in each.text)
    (tmp_path / "policies.yaml").write_text(policy.text, encoding="utf-8")
    done = recon_core("policy", "check", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("policies.yaml: ok: 4 rules, 2 escalations, 1 override, 1 suppression")


def test_rule_cases_of_the_page_pass_as_a_project_would_run_them(tmp_path):
    drop_ins(RULE_PAGE, tmp_path)
    (tmp_path / "tests").mkdir()
    for name in ("tests/LARGE_POSITION.yaml", "tests/test_large_position.py"):
        (tmp_path / name).write_text(block(RULE_PAGE, name), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment |= {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


LEGS = """\
rule: NETTED_ELSEWHERE
cases:
  legs-off-by-as-much:
    book:   [{symbol: ES, leg: LONG, quantity: 5}, {symbol: ES, leg: SHORT, quantity: -3}]
    broker: [{symbol: ES, leg: LONG, quantity: 4}, {symbol: ES, leg: SHORT, quantity: -2}]
    breaks: [{symbol: ES, leg: LONG, halts: false, detail: "legs are off by 1, and agree in sum"}]
  legs-off-by-more-on-one-side:
    book:   [{symbol: ES, leg: LONG, quantity: 6}, {symbol: ES, leg: SHORT, quantity: -3}]
    broker: [{symbol: ES, leg: LONG, quantity: 4}, {symbol: ES, leg: SHORT, quantity: -2}]
    breaks: []
"""


def test_rule_over_several_pairs_finds_what_the_page_says(tmp_path):
    rules = load_host(drop_ins(RULE_PAGE, tmp_path)).rules.values()
    for case in load_rule_cases(_written(tmp_path / "cases.yaml", LEGS)):
        check_rule_case(case, rules)


@pytest.fixture
def vault(tmp_path):
    """A deployment with the adapters of the page on writing a broker; returns a function that runs it."""
    drop_ins(BROKER_PAGE, tmp_path)
    (tmp_path / "book.csv").write_text("account,symbol,quantity\nVAULT,BTC,1.5\nVAULT,ETH,2\n", encoding="utf-8")

    def vault(broker, **environment):
        text = f"version: 1\nplugins: {{drop_ins: plugins}}\nbook: {{file: book.csv}}\nbrokers:\n  vault: {broker}\n"
        (tmp_path / "recon.yaml").write_text(text, encoding="utf-8")
        return recon_core("run", "--as-of", "2026-11-20T21:05:00Z", folder=tmp_path, **environment)

    return vault


def page_of(symbol, amount, cursor, count=2):
    return as_json({"holdings": [{"wallet": "w-1", "asset": symbol, "amount": amount}], "next": cursor, "count": count})


@pytest.mark.parametrize(
    ("pages", "code", "said"),
    [
        ([page_of("BTC", "1.5", "p2"), page_of("ETH", "2", "")], 0, "CLEAN no breaks"),
        ([page_of("BTC", "1.5", "p2"), page_of("ETH", "2", "p2")], 4, "page 2 says that it is followed by itself"),
        ([page_of("BTC", "1.5", "")], 4, "the broker states rows 2 (GET /holdings), its positions add up to 1"),
        ([page_of("BTC", "1_5", "")], 4, "GET /holdings, page 1: holdings: row 1: field amount: '1_5' is not a number"),
    ],
)
def test_adapter_of_the_page_proves_what_it_says(vault, pages, code, said):
    with serving({"/holdings": pages}) as server:
        broker = f"{{adapter: depot, accounts: {{w-1: VAULT}}, options: {{base_url: '{server.url}'}}, secrets: {{token: env:T}}}}"
        done = vault(broker, T="a-token")
    assert done.returncode == code
    assert all(json.loads(line)["level"] == "warning" for line in done.stderr.splitlines())
    assert said in masked(done.stdout)


def test_file_adapter_of_the_page_reads_in_bulk(vault, tmp_path):
    broker = "{adapter: nightly, options: {folder: incoming}}"
    (tmp_path / "incoming").mkdir()
    done = vault(broker)
    assert done.returncode == 4
    assert "is not there yet" in " ".join(done.stdout.split())
    rows = "('VAULT', 'BTC', 1.5, 98411.02), ('VAULT', 'ETH', 3.0, 3331.77)"
    duckdb.execute(
        f"COPY (SELECT * FROM (VALUES {rows}) rows(account, ticker, qty, close)) TO '{tmp_path}/incoming/20261120.parquet'"
    )
    done = vault(broker)
    assert done.returncode == 4
    assert "book 2, broker 3 (33.3334% apart)" in done.stdout
