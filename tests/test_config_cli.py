"""``recon-core policy check`` and ``recon-core schema``, through the real command."""

import json
import os

import pytest
import warmed
from config_samples import ROOT
from jsonschema import Draft202012Validator

DEPLOYMENT = f"""\
version: 1
plugins: {{drop_ins: '{ROOT / "plugins"}'}}
book: {{file: book.csv}}
brokers:
  paper: {{adapter: alpaca, secrets: {{key_id: env:NO_SUCH_KEY, secret_key: env:NO_SUCH_KEY}}}}
"""


def recon_core(*arguments, folder):
    return warmed.command(folder, arguments, dict(os.environ))


@pytest.fixture
def deployment(tmp_path):
    (tmp_path / "recon.yaml").write_text(DEPLOYMENT, encoding="utf-8")
    return tmp_path


def test_policy_check_says_what_the_policy_holds_and_exits_0(deployment):
    done = recon_core("policy", "check", folder=deployment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "recon_core/policies.yaml: ok: 5 rules, 2 escalations",
        "installed, but not listed, so not run: CURRENCY_MISMATCH, UNIT_MISMATCH, UNMAPPED_SYMBOL",
    ]


@pytest.mark.case("B10")
def test_policy_check_of_a_named_file_warns_of_a_fraction_and_exits_0(deployment):
    text = "version: 1\nrules:\n  QUANTITY_MISMATCH: {halt: {above_pct: 0.1}}\n"
    (deployment / "mine.yaml").write_text(text, encoding="utf-8")
    done = recon_core("policy", "check", "mine.yaml", folder=deployment)
    assert done.returncode == 0
    assert done.stdout.splitlines()[:2] == [
        "mine.yaml: ok: 1 rule, 0 escalations",
        "warning: mine.yaml:3:41: rules.QUANTITY_MISMATCH.halt.above_pct: 0.1 means 0.1 percent; did you mean 10?",
    ]


def test_policy_check_of_a_bad_file_exits_2_with_every_problem_and_no_traceback(deployment):
    (deployment / "policies.yaml").write_text("version: 1\nrules:\n  STALE_POSITON: {}\nscope: world\n", encoding="utf-8")
    done = recon_core("policy", "check", folder=deployment)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        "policies.yaml:3:3: rules: unknown rule 'STALE_POSITON': no plugin provides it; did you mean 'STALE_POSITION'?"
        in done.stderr
    )
    assert "policies.yaml:4:8: scope: 'world' is not known; known: account, broker, firm" in done.stderr
    assert "Traceback" not in done.stderr


def test_policy_check_of_a_missing_file_exits_2(deployment):
    done = recon_core("policy", "check", "gone.yaml", folder=deployment)
    assert (done.returncode, done.stderr) == (2, "recon-core: gone.yaml: no such file\n")


@pytest.mark.parametrize("name", ["policy", "config", "report"])
def test_schema_prints_a_json_schema(name, deployment):
    done = recon_core("schema", name, folder=deployment)
    assert (done.returncode, done.stderr) == (0, "")
    Draft202012Validator.check_schema(json.loads(done.stdout))
    assert "oneOf" not in done.stdout


def test_the_schema_of_a_broker_for_editors_follows_its_adapter(deployment):
    schema = json.loads(recon_core("schema", "config", folder=deployment).stdout)
    validator = Draft202012Validator(schema)
    secrets = {"key_id": "env:KEY_ID", "secret_key": "file:key"}
    good = {"version": 1, "book": {"file": "b.csv"}, "brokers": {"paper": {"adapter": "alpaca", "secrets": secrets}}}
    assert list(validator.iter_errors(good)) == []
    good["brokers"]["paper"]["options"] = {"no_such_option": 1}
    (error,) = validator.iter_errors(good)
    assert "no_such_option" in error.message
