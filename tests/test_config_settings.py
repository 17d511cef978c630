"""recon.yaml as the engine reads it, and both files together."""

from decimal import Decimal

import pytest
from config_samples import CASES, ENVIRONMENT, SampleHost

from recon_core.config.credentials import secret_value
from recon_core.config.load import load_configuration, load_metrics, load_plugins, load_settings
from recon_core.config.settings import BookSettings, HaltActionSettings, HaltSettings, MetricsSettings
from recon_core.errors import ConfigError, PluginError

SMALL = "version: 1\nbook: {file: book.csv}\nbrokers:\n  prime: {adapter: files, options: {path: a.csv}}\n"


def host_of(_drop_ins, _disabled):
    return SampleHost()


def settings_of(text, tmp_path, environment=ENVIRONMENT):
    (tmp_path / "recon.yaml").write_text(text, encoding="utf-8")
    return load_settings(tmp_path / "recon.yaml", host_of, environment=environment)[0]


def problems_of(text, tmp_path):
    with pytest.raises(ConfigError) as caught:
        settings_of(text, tmp_path)
    return [problem.partition("\n")[0].replace(f"{tmp_path}/", "") for problem in caught.value.problems]


@pytest.mark.case("D02")
def test_names_accounts_and_columns_stay_text_exactly_as_written(tmp_path):
    settings = settings_of((CASES / "policy" / "good-recon.yaml").read_text(encoding="utf-8"), tmp_path)
    assert settings.book.table == "2026"
    assert settings.book.columns == {"symbol": "ON", "quantity": "16:30"}
    assert settings.book.defaults == {"currency": "NO"}
    assert list(settings.brokers) == ["1234567", "NO"]
    broker = settings.brokers["1234567"]
    assert broker.accounts == {"00123": "0456", "ON": "off"}
    assert broker.expect_accounts == ("0456",)
    assert broker.options["path"] == "2026-12-31"
    assert settings.fx == {"EUR": Decimal("1.0832"), "GBP": Decimal("1.2500")}


def test_options_are_filled_with_the_defaults_of_the_adapter_and_whole_numbers_are_int(tmp_path):
    options = (
        settings_of(SMALL.replace("path: a.csv", "path: a.csv, skip: 3, sign: {column: 7}"), tmp_path).brokers["prime"].options
    )
    assert options == {
        "path": "a.csv",
        "skip": 3,
        "sign": {"column": "7", "short": "S"},
        "delimiter": ",",
        "strict": True,
        "pause": Decimal("0.1"),
    }
    assert type(options["skip"]) is int


def test_the_smallest_deployment_has_sensible_settings(tmp_path):
    settings = settings_of(SMALL, tmp_path)
    assert (settings.folder, settings.state_dir, settings.drop_ins, settings.disabled) == (tmp_path, tmp_path / ".state", None, ())
    assert settings.policy.name == "policies.yaml"
    assert settings.policy.parent != tmp_path, "there is none beside it: the one that comes with recon-core"
    assert (settings.book.file, settings.book.lots, settings.book.float_places) == ("book.csv", False, 9)
    assert (settings.brokers["prime"].legs, settings.brokers["prime"].unchanged) == ("keep", "refuse")
    assert len(settings.sha256) == 64


def test_metrics_go_to_a_textfile_among_the_state_unless_said_otherwise(tmp_path):
    assert settings_of(SMALL, tmp_path).metrics is None
    assert settings_of(SMALL + "metrics: {}\nstate_dir: kept\n", tmp_path).metrics == MetricsSettings(
        textfile=tmp_path / "kept" / "recon.prom", pushgateway=None, job="recon-core", labels={}, deadline_seconds=5
    )
    more = (
        "metrics: {textfile: a.prom, pushgateway: 'http://[::1]:9091/under', job: eod, labels: {desk: 007}, deadline_seconds: .5}\n"
    )
    whole = settings_of(SMALL + more, tmp_path).metrics
    assert whole == MetricsSettings(tmp_path / "a.prom", "http://[::1]:9091/under", "eod", {"desk": "007"}, 0.5)


@pytest.mark.parametrize("wrong", ["polcy: x.yaml\n", "policy: none.yaml\n", "state_dir: []\n"])
def test_metrics_are_found_in_a_file_that_is_wrong_elsewhere(tmp_path, wrong):
    (tmp_path / "recon.yaml").write_text(SMALL.replace("prime:", "prime: {}\n  other:") + wrong + "metrics: {}\n", encoding="utf-8")
    assert load_metrics(tmp_path / "recon.yaml") == MetricsSettings(tmp_path / ".state" / "recon.prom")


def test_without_halt_it_is_armed_and_nothing_else_stops_trading(tmp_path):
    assert settings_of(SMALL, tmp_path).halt == HaltSettings(mode="armed", two_person=False, actions={})


def test_halt_actions_are_filled_with_the_defaults_of_their_plugin(tmp_path):
    text = (
        f"{SMALL}halt:\n  mode: shadow\n  two_person: true\n  actions:\n    desk: {{action: bell, options: {{path: a}}}}\n"
        "    gate-2: {action: gate, brokers: [prime], accounts: [NO], resume: true, deadline_seconds: 2.5,"
        " secrets: {key: env:TEST_KEY_ID, BOT_TOKEN: env:TEST_KEY_ID}}\n"
    )
    halt = settings_of(text, tmp_path).halt
    assert (halt.mode, halt.two_person) == ("shadow", True)
    assert halt.actions["desk"] == HaltActionSettings("desk", "bell", options={"path": "a", "volume": 11})
    assert halt.actions["gate-2"] == HaltActionSettings(
        "gate-2", "gate", ("prime",), ("NO",), True, 2.5, {}, {"key": "env:TEST_KEY_ID", "BOT_TOKEN": "env:TEST_KEY_ID"}
    )


def test_settings_of_spark_are_texts_as_spark_reads_them(tmp_path):
    spark = settings_of(
        SMALL + "spark: {master: yarn, conf: {spark.a: true, spark.b: 4, spark.c: 1.50}, folder: shared}\n", tmp_path
    ).spark
    assert spark.conf == {"spark.a": "true", "spark.b": "4", "spark.c": "1.50"}
    assert spark.folder == tmp_path / "shared"


def test_a_policy_beside_recon_yaml_is_the_policy(tmp_path):
    (tmp_path / "policies.yaml").write_text("version: 1\nrules: {STALE_POSITION: {}}\n", encoding="utf-8")
    (tmp_path / "recon.yaml").write_text(SMALL, encoding="utf-8")
    loaded = load_configuration(tmp_path / "recon.yaml", host_of)
    assert loaded.settings.policy == tmp_path / "policies.yaml"
    assert list(loaded.policy.rules) == ["STALE_POSITION"]
    assert loaded.policy.path == str(tmp_path / "policies.yaml")


def test_a_database_with_a_query_is_a_book(tmp_path):
    text = SMALL.replace("{file: book.csv}", "{database: 'sqlite:///b.sqlite', query: select 1, lots: true, float_places: 6}")
    assert settings_of(text, tmp_path).book == BookSettings(
        database="sqlite:///b.sqlite", query="select 1", lots=True, float_places=6
    )


def test_options_of_a_book_file_are_kept(tmp_path):
    options = settings_of(SMALL.replace("{file: book.csv}", "{file: book.csv, delimiter: ;, preamble: 3}"), tmp_path).book.options
    assert (options["delimiter"], options["preamble"]) == (";", 3)


def test_drop_ins_and_disabled_plugins_are_known_before_anything_else_is_checked(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "recon.yaml").write_text("plugins: {drop_ins: mine, disabled: [rule-x, NO]}\nbrokers: 5\n", encoding="utf-8")
    asked = []

    def loader(drop_ins, disabled):
        asked.append((drop_ins, disabled))
        return SampleHost()

    load_plugins(tmp_path / "recon.yaml", loader)  # a wrong `brokers` does not keep anyone from listing plugins
    with pytest.raises(ConfigError):
        load_settings(tmp_path / "recon.yaml", loader)
    assert asked == [(tmp_path / "mine", ("rule-x", "NO"))] * 2


@pytest.mark.parametrize(
    ("plugins", "message"),
    [
        ("{drop_ins: gone}", "recon.yaml:1:21: plugins.drop_ins: no such folder: gone"),
        ("{drop_in: mine}", "recon.yaml:1:11: plugins: unknown key 'drop_in'; did you mean 'drop_ins'?"),
    ],
)
def test_plugins_are_not_loaded_from_a_deployment_that_names_them_wrongly(plugins, message, tmp_path):
    (tmp_path / "recon.yaml").write_text(f"plugins: {plugins}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_plugins(tmp_path / "recon.yaml", host_of)
    assert str(caught.value).partition("\n")[0].replace(f"{tmp_path}/", "") == message


def test_the_rate_of_the_base_currency_is_one(tmp_path):
    (tmp_path / "recon.yaml").write_text(SMALL + "fx: {EUR: 1.1, USD: 1.00}\n", encoding="utf-8")
    assert load_configuration(tmp_path / "recon.yaml", host_of).settings.fx["USD"] == 1
    (tmp_path / "recon.yaml").write_text(SMALL + "fx: {EUR: 1.1, USD: 1.01}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"recon.yaml:5:21: fx.USD: USD is the base currency of the policy, whose rate is 1\n"):
        load_configuration(tmp_path / "recon.yaml", host_of)


def test_a_plugin_that_fails_to_load_stops_everything(tmp_path):
    (tmp_path / "recon.yaml").write_text(SMALL, encoding="utf-8")

    def loader(_drop_ins, _disabled):
        raise PluginError("plugin x fails")

    with pytest.raises(PluginError, match="plugin x fails"):
        load_configuration(tmp_path / "recon.yaml", loader)


def test_the_problems_of_both_files_are_reported_at_once(tmp_path):
    (tmp_path / "policies.yaml").write_text("version: 1\nrules:\n  STALE_POSITON: {}\nscope: world\n", encoding="utf-8")
    (tmp_path / "recon.yaml").write_text(SMALL.replace("prime: {adapter: files", "prime: {adapter: fils"), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_configuration(tmp_path / "recon.yaml", host_of)
    heads = [problem.partition("\n")[0].replace(f"{tmp_path}/", "") for problem in caught.value.problems]
    assert [head.split(": ")[0] for head in heads] == ["recon.yaml:4:20", "policies.yaml:3:3", "policies.yaml:4:8"]


def test_a_policy_given_by_name_replaces_the_one_of_the_deployment(tmp_path):
    (tmp_path / "recon.yaml").write_text(SMALL, encoding="utf-8")
    (tmp_path / "other.yaml").write_text("version: 1\nrules: {STALE_POSITION: {}}\n", encoding="utf-8")
    loaded = load_configuration(tmp_path / "recon.yaml", host_of, policy=tmp_path / "other.yaml")
    assert list(loaded.policy.rules) == ["STALE_POSITION"]


def test_rates_come_from_a_file(tmp_path):
    (tmp_path / "fx.csv").write_text("currency,source,rate\nEUR,ecb,1.0832\nJPY,ecb,0.0064\n\n", encoding="utf-8")
    assert settings_of(SMALL + "fx: {file: fx.csv}\n", tmp_path).fx == {"EUR": Decimal("1.0832"), "JPY": Decimal("0.0064")}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("currency,price\nEUR,1\n", "fx.csv:1: column 'rate' is due once in the header, which is: currency, price"),
        ("", "fx.csv:1: column 'currency' is due once in the header, which is: empty"),
        ("currency,rate\n", "fx.csv: no rates below the header"),
        ("currency,rate\nEUR,1\nEUR,2\n", "fx.csv:3: EUR has a rate already"),
        ("currency,rate\neuro,1\n", "fx.csv:2: currency 'euro' is no currency code, such as EUR"),
        ("currency,rate\nEUR,NaN\n", "fx.csv:2: rate 'NaN' of EUR is no decimal number above 0, such as 1.0832"),
        ("currency,rate\nEUR,1e3\n", "fx.csv:2: rate '1e3' of EUR is no decimal number above 0, such as 1.0832"),
        ("currency,rate\nEUR,0\n", "fx.csv:2: rate '0' of EUR is no decimal number above 0, such as 1.0832"),
        ("currency,rate\nEUR,1,2\n", "fx.csv:2: 3 fields, and the header has 2"),
    ],
)
def test_a_rate_that_cannot_be_meant_is_named_with_its_line(content, message, tmp_path):
    (tmp_path / "fx.csv").write_text(content, encoding="utf-8")
    assert problems_of(SMALL + "fx: {file: fx.csv}\n", tmp_path) == [f"recon.yaml:5:12: fx.file: {message}"]


def test_a_secret_is_read_from_the_environment_or_from_a_file_without_its_last_newline(tmp_path):
    (tmp_path / "key").write_text("s3cret\n", encoding="utf-8")
    (tmp_path / "windows").write_bytes(b"s3cret\r\n")
    (tmp_path / "two").write_text("s3cret\n\n", encoding="utf-8")
    assert secret_value("env:KEY", tmp_path, {"KEY": "abc\n"}) == "abc\n"
    assert secret_value("file:key", tmp_path) == "s3cret"
    assert secret_value("file:windows", tmp_path) == "s3cret"
    assert secret_value("file:two", tmp_path) == "s3cret\n"
    assert secret_value(f"file:{tmp_path}/key", tmp_path / "elsewhere") == "s3cret"


@pytest.mark.parametrize(("content", "message"), [(b"\n", "file key is empty"), (b"\xff\xfe", "file 'key' is not UTF-8 text")])
def test_a_secret_file_without_a_secret_is_refused(content, message, tmp_path):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigError, match=f"^{message}$"):
        secret_value("file:key", tmp_path)


def test_settings_keep_references_and_never_the_secrets(tmp_path):
    settings = settings_of((CASES / "policy" / "good-recon.yaml").read_text(encoding="utf-8"), tmp_path)
    assert settings.brokers["NO"].secrets == {"key_id": "env:TEST_KEY_ID", "secret_key": "env:TEST_KEY_ID"}
    assert "an-identifier" not in repr(settings)


def test_secrets_are_left_alone_where_no_environment_is_given(tmp_path):
    text = (
        "version: 1\nbook: {file: b.csv}\nbrokers:\n  a: {adapter: rest, secrets: {key_id: env:NOT_SET, secret_key: file:none}}\n"
    )
    assert settings_of(text, tmp_path, environment=None).brokers["a"].secrets["key_id"] == "env:NOT_SET"
    assert problems_of(text, tmp_path) == [
        "recon.yaml:4:40: brokers.a.secrets.key_id: environment variable NOT_SET is not set",
        "recon.yaml:4:65: brokers.a.secrets.secret_key: file none cannot be read: No such file or directory",
    ]


def test_messages_name_the_file_as_the_user_wrote_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "recon.yaml").write_text(SMALL + "policy: risk.yaml\n", encoding="utf-8")
    (tmp_path / "deploy" / "risk.yaml").write_text("version: 2\nrules: {STALE_POSITION: {}}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^deploy/risk.yaml:1:10: version: 2 is not known; 1 is"):
        load_configuration("deploy/recon.yaml", host_of)
