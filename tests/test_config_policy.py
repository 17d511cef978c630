"""policies.yaml as the engine reads it."""

from datetime import date
from decimal import Decimal

import pytest
from config_samples import CASES, ROOT, complaint, real_rules

from recon_core.config.load import DEFAULT_POLICY, load_policy
from recon_core.config.policy import CorrectionPolicy, Match
from recon_core.config.policy_schema import policy_schema
from recon_core.rules import Rule

RULES = "rules:\n  QUANTITY_MISMATCH: {}\n  STALE_POSITION: {}\n"


def policy_of(text, tmp_path, today=date(2026, 11, 20), rules=None):
    path = tmp_path / "policies.yaml"
    path.write_text("version: 1\n" + text, encoding="utf-8")
    return load_policy(path, rules or real_rules(), display="policies.yaml", today=today)


def test_the_default_policy_is_the_runbook():
    policy = load_policy(DEFAULT_POLICY, real_rules(), display="policies.yaml")
    assert [(rule.type, rule.severity, rule.halt.text) for rule in policy.rules.values()] == [
        ("MISSING_AT_BROKER", "critical", "always"),
        ("MISSING_IN_DB", "critical", "always"),
        ("QUANTITY_MISMATCH", "high", "above_pct 10"),
        ("PRICE_MISMATCH", "warning", "never"),
        ("STALE_POSITION", "info", "never"),
    ]
    assert policy.rules["QUANTITY_MISMATCH"].params["tolerance"] == 0
    assert policy.rules["PRICE_MISMATCH"].params["tolerance_pct"] == 1
    assert policy.rules["STALE_POSITION"].params["older_than_hours"] == 24
    assert [(each.name, each.when, each.then, each.require, each.per) for each in policy.escalation] == [
        ("financial-impact", "total_impact > 1000", "halt", None, "firm"),
        ("missing-positions", "missing_count >= 3", "halt", "full manual reconciliation", "firm"),
    ]
    assert (policy.base_currency, policy.on_incomplete, policy.scope, policy.price_fallback) == ("USD", "halt", "firm", True)
    assert policy.not_listed == ("CURRENCY_MISMATCH", "UNIT_MISMATCH", "UNMAPPED_SYMBOL")
    assert policy.warnings == ()


def test_the_packaged_policy_is_the_one_at_the_root():
    assert DEFAULT_POLICY.read_bytes() == (ROOT / "policies.yaml").read_bytes()


def test_the_three_further_rules_run_when_their_mark_is_taken_away(tmp_path):
    text = (ROOT / "policies.yaml").read_text(encoding="utf-8")
    for name in ("CURRENCY_MISMATCH", "UNIT_MISMATCH", "UNMAPPED_SYMBOL"):
        assert f"  # {name}:" in text
        text = text.replace(f"  # {name}:", f"  {name}:")
    (tmp_path / "p.yaml").write_text(text, encoding="utf-8")
    assert load_policy(tmp_path / "p.yaml", real_rules()).not_listed == ()


@pytest.mark.case("D02")
def test_tickers_accounts_and_dates_stay_text_exactly_as_written():
    policy = load_policy(CASES / "policy" / "good-texts.yaml", real_rules())
    assert policy.overrides[0].match == Match(symbol="ON", account="00123")
    assert policy.overrides[1].match == Match(symbol="NO", broker="Yes")
    assert policy.suppress[0].match == Match(symbol="023135106", account="1_000")
    assert policy.suppress[1].match == Match(symbol="1e5", type="MISSING_*")
    assert (policy.suppress[0].reason, policy.suppress[1].reason) == ("16:30", "true")
    assert policy.escalation[0].name == "off"


def test_numbers_are_decimals_to_the_last_digit():
    policy = load_policy(CASES / "policy" / "good-texts.yaml", real_rules())
    rule = policy.rules["QUANTITY_MISMATCH"]
    assert rule.params["tolerance"] == Decimal("0.000000000000000001")
    assert (rule.halt.above_pct, rule.halt.above_impact, rule.halt.text) == (
        Decimal("12.5"),
        Decimal(250),
        "above_pct 12.5 and above_impact 250",
    )
    assert policy.suppress[1].max_impact == Decimal("50.10")
    assert policy.suppress[0].max_impact is None
    assert policy.overrides[0].rules["QUANTITY_MISMATCH"].params == {"tolerance": Decimal(5)}


def test_a_rule_declared_in_the_policy_has_the_defaults_of_any_rule():
    rule = load_policy(CASES / "policy" / "good-texts.yaml", real_rules()).rules["CURRENCY_SWAP"]
    assert (rule.declared, rule.title, rule.impact, rule.counts, rule.undetermined) == (True, "Currency swap", "0", True, "ignore")
    assert (rule.supersedes, rule.halt.always, rule.measure, rule.line) == (("PRICE_MISMATCH",), True, None, 6)


def test_what_an_entry_does_not_say_is_what_the_rule_says(tmp_path):
    policy = policy_of(RULES, tmp_path)
    rule = real_rules()["QUANTITY_MISMATCH"]
    active = policy.rules["QUANTITY_MISMATCH"]
    assert (active.title, active.severity, active.when, active.measure, active.counts) == (
        rule.title,
        rule.severity,
        rule.when,
        rule.measure,
        rule.counts,
    )
    assert (active.halt.above_pct, active.params["tolerance"], active.line) == (Decimal(10), Decimal(0), 3)


def test_a_binary_float_of_a_plugin_is_the_decimal_that_it_prints_as(tmp_path):
    class Third(Rule):
        """A rule with floats."""

        type = "THIRD"
        title = "Third"
        params = {"step": {"type": "number", "minimum": 0.1, "default": 0.3, "description": "Step."}}
        halt = {"above_impact": 0.7}
        when = "quantity_difference > $step"
        detail = "x"

    active = policy_of("rules:\n  THIRD: {}\n", tmp_path, rules={"THIRD": Third}).rules["THIRD"]
    assert (active.params["step"], active.halt.above_impact) == (Decimal("0.3"), Decimal("0.7"))
    assert policy_of("rules:\n  THIRD: {step: 0.1}\n", tmp_path, rules={"THIRD": Third}).rules["THIRD"].params["step"] == Decimal(
        "0.1"
    )


@pytest.mark.case("B10")
@pytest.mark.parametrize(
    ("entry", "path", "meant"),
    [
        ("QUANTITY_MISMATCH: {halt: {above_pct: 0.1}}", "rules.QUANTITY_MISMATCH.halt.above_pct: 0.1", "10"),
        ("PRICE_MISMATCH: {tolerance_pct: 0.05}", "rules.PRICE_MISMATCH.tolerance_pct: 0.05", "5"),
        ("PRICE_MISMATCH: {tolerance_pct: .005}", "rules.PRICE_MISMATCH.tolerance_pct: 0.005", "0.5"),
    ],
)
def test_a_percentage_given_as_a_fraction_is_warned_of_when_the_policy_loads(entry, path, meant, tmp_path):
    (warning,) = policy_of(f"rules:\n  {entry}\n", tmp_path).warnings
    assert warning.startswith("policies.yaml:3:")
    assert f": {path} means {path.rpartition(' ')[2]} percent; did you mean {meant}?" in warning


@pytest.mark.case("B10")
@pytest.mark.parametrize("value", ["0", "1", "10", "100.5"])
def test_a_percentage_of_nothing_or_of_one_and_more_is_taken_as_meant(value, tmp_path):
    assert policy_of(f"rules:\n  QUANTITY_MISMATCH: {{halt: {{above_pct: {value}}}}}\n", tmp_path).warnings == ()


def test_a_fraction_in_an_override_is_warned_of_too(tmp_path):
    overrides = "overrides:\n  - match: {account: A}\n    rules: {QUANTITY_MISMATCH: {halt: {above_pct: 0.2}}}\n"
    (warning,) = policy_of(RULES + overrides, tmp_path).warnings
    assert "overrides[0].rules.QUANTITY_MISMATCH.halt.above_pct: 0.2 means 0.2 percent; did you mean 20?" in warning


@pytest.mark.case("H04")
def test_a_suppression_holds_to_the_end_of_its_last_day_and_is_warned_of_from_the_next(tmp_path):
    text = RULES + "suppress:\n  - {match: {symbol: A}, until: 2026-11-20, reason: r}\n"
    assert policy_of(text, tmp_path, today=date(2026, 11, 20)).warnings == ()
    (warning,) = policy_of(text, tmp_path, today=date(2026, 11, 21)).warnings
    assert warning == (
        "policies.yaml:6:33: suppress[0].until: 2026-11-20 is past: nothing is suppressed any more; renew it or take it out"
    )


def test_every_part_knows_its_line(tmp_path):
    text = (
        RULES
        + "on_incomplete: warn\n"
        + "overrides:\n  -\n    match: {account: A}\n    on_incomplete: halt\n  - {match: {account: B}, on_incomplete: warn}\n"
        + "suppress:\n  - match: {symbol: A}\n    until: 2099-01-01\n    reason: r\n"
        + "escalation:\n  a:\n    when: break_count > 5\n    then: warn\n"
    )
    policy = policy_of(text, tmp_path)
    assert policy.on_incomplete_line == 5
    assert [each.line for each in policy.overrides] == [8, 10]
    assert [each.line for each in policy.suppress] == [12]
    assert [each.line for each in policy.escalation] == [16]


def test_predicates_may_count_every_listed_type_declared_ones_too(tmp_path):
    text = (
        "rules:\n  BIG: {when: quantity_difference > 5}\n"
        "escalation:\n  a: {when: count_BIG > 2 and halting_count < 9, then: warn}\n"
    )
    assert policy_of(text, tmp_path).escalation[0].when == "count_BIG > 2 and halting_count < 9"


def test_a_halt_predicate_may_name_the_parameters_of_its_rule(tmp_path):
    text = "rules:\n  QUANTITY_MISMATCH: {tolerance: 2, halt: {when: abs(quantity_difference) > 10 * $tolerance}}\n"
    assert policy_of(text, tmp_path).rules["QUANTITY_MISMATCH"].halt.text == "when abs(quantity_difference) > 10 * $tolerance"


@pytest.mark.case("B06")
def test_a_percentage_with_a_money_floor_is_both_limits_at_once(tmp_path):
    halt = (
        policy_of("rules:\n  QUANTITY_MISMATCH: {halt: {above_pct: 10, above_impact: 250}}\n", tmp_path)
        .rules["QUANTITY_MISMATCH"]
        .halt
    )
    assert (halt.above_pct, halt.above_impact, halt.always, halt.never) == (Decimal(10), Decimal(250), False, False)


def test_an_override_of_a_pattern_needs_what_it_says_of_every_rule_it_means(tmp_path):
    text = RULES + 'overrides:\n  - match: {account: A}\n    rules: {"*": {halt: {when: quantity_difference > $tolerance}}}\n'
    said = complaint("policy-x", ("version: 1\n" + text).encode(), tmp_path)
    assert "overrides[0].rules['*'].halt.when: unknown parameter $tolerance" in said


def test_price_fallback_none_is_read(tmp_path):
    assert policy_of("price_fallback: none\n" + RULES, tmp_path).price_fallback is False


def test_corrections_are_by_average_cost_and_of_one_person_unless_the_policy_says_otherwise(tmp_path):
    assert policy_of(RULES, tmp_path).corrections == CorrectionPolicy(pnl="average", two_person=False)
    text = "corrections: {pnl: fifo, two_person: true}\n" + RULES
    assert policy_of(text, tmp_path).corrections == CorrectionPolicy(pnl="fifo", two_person=True)


def test_the_schema_holds_the_parameters_of_the_installed_rules_described():
    entry = policy_schema(real_rules())["properties"]["rules"]["properties"]["QUANTITY_MISMATCH"]
    assert entry["properties"]["tolerance"]["description"]
    assert set(entry["properties"]) >= {"severity", "halt", "counts", "undetermined"}
