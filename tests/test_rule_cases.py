"""Every case of tests/cases/rules gives exactly the breaks that it names; and what the shipped loader says of its own mistakes."""

import subprocess
import sys
from textwrap import dedent

import pytest
from config_samples import CASES, real_rules

import recon_core.testing
from recon_core import ConfigError, PluginError, Rule
from recon_core.testing import check_rule_case, load_rule_cases

FILES = sorted((CASES / "rules").glob("*.yaml"))
RULE_CASES = [case for path in FILES for case in load_rule_cases(path)]


def as_parameter(case):
    return pytest.param(case, id=f"{case.rule}-{case}", marks=[pytest.mark.case(case.id)] if case.id else [])


@pytest.mark.parametrize("case", [as_parameter(case) for case in RULE_CASES])
def test_case_gives_exactly_the_breaks_it_expects(case):
    check_rule_case(case, real_rules().values())


def test_every_built_in_rule_has_a_file_of_its_name():
    assert [path.stem for path in FILES] == sorted(real_rules())
    assert all(case.rule in case.path for case in RULE_CASES)


@pytest.mark.parametrize("rule", sorted(real_rules()))
def test_rule_is_shown_to_find_its_break_and_to_leave_what_is_none(rule):
    found = [any(each["type"] == rule for each in case.breaks) for case in RULE_CASES if case.rule == rule]
    assert True in found
    assert False in found


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a case file and gives its name, relative so that messages are the same everywhere."""
    monkeypatch.chdir(tmp_path)

    def write(text):
        (tmp_path / "cases.yaml").write_text(dedent(text))
        return "cases.yaml"

    return write


def one_case(body, rule="QUANTITY_MISMATCH"):
    return f"rule: {rule}\ncases:\n  one:\n" + "".join(f"    {line}\n" for line in dedent(body).strip().splitlines())


ROWS = "book: [{symbol: AAPL, quantity: 110}]\nbroker: [{symbol: AAPL, quantity: 100, market_price: 10}]\n"


MISTAKES = {
    "empty-file": ("", ["cases.yaml:1:1: the file is empty"]),
    "no-cases": ("rule: X\ncases: {}\n", ["cases.yaml:2:1: cases: is empty"]),
    "no-rule": ("cases: {one: {book: [], broker: [], breaks: []}}\n", ["cases.yaml:1:1: 'rule' is missing"]),
    "no-breaks": (one_case("book: []\nbroker: []"), ["cases.yaml:3:3: cases.one: 'breaks' is missing"]),
    "misspelt-key": (
        one_case(ROWS + "breaks: []\nsetting: {}"),
        ["cases.yaml:7:5: cases.one: unknown key 'setting'; did you mean 'settings'?"],
    ),
    "key-twice": (one_case(ROWS + "breaks: []\nbreaks: []"), ["cases.yaml:7:5: cases.one.breaks: already set on line 6"]),
    "misspelt-column-and-no-symbol": (
        one_case("book: [{symbol: AAPL, quantty: 1}]\nbroker: [{quantity: 1}]\nbreaks: []"),
        [
            "cases.yaml:4:27: cases.one.book[0]: unknown key 'quantty'; did you mean 'quantity'?",
            "cases.yaml:5:14: cases.one.broker[0]: 'symbol' is missing",
        ],
    ),
    "misspelt-key-of-a-break": (
        one_case(ROWS + "breaks: [{symbol: AAPL, impct: 1}]"),
        ["cases.yaml:6:29: cases.one.breaks[0]: unknown key 'impct'; did you mean 'impact'?"],
    ),
    "impact-with-exponent": (
        one_case(ROWS + "breaks: [{symbol: AAPL, impact: 1e3}]"),
        ["cases.yaml:6:37: cases.one.breaks[0].impact: '1e3': a number such as 100.25 is due, or unknown"],
    ),
    "halts-yes": (
        one_case(ROWS + "breaks: [{symbol: AAPL, halts: yes}]"),
        ["cases.yaml:6:36: cases.one.breaks[0].halts: 'yes' is text; true or false is due: write true"],
    ),
    "time-without-offset": (
        one_case(ROWS + 'breaks: []\nas_of: "2026-11-20T21:00:00"'),
        ["cases.yaml:7:12: cases.one.as_of: '2026-11-20T21:00:00' is no time with its offset, such as 2026-11-20T21:00:00Z"],
    ),
    "no-time": (
        one_case(ROWS + "breaks: []\nas_of: yesterday"),
        ["cases.yaml:7:12: cases.one.as_of: 'yesterday' is no time with its offset, such as 2026-11-20T21:00:00Z"],
    ),
    "rate-of-zero": (
        one_case(ROWS + "breaks: []\nfx: {EUR: 0}"),
        ["cases.yaml:7:15: cases.one.fx.EUR: 0 is not above 0"],
    ),
    "with-the-rule-itself": (
        one_case(ROWS + "breaks: []\nwith: [PRICE_MISMATCH, QUANTITY_MISMATCH]"),
        ["cases.yaml:7:28: cases.one.with[1]: QUANTITY_MISMATCH is the rule of this file and runs anyway"],
    ),
}


@pytest.mark.parametrize(("text", "messages"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_in_a_case_file_is_named_with_its_place(write, text, messages):
    with pytest.raises(ConfigError) as caught:
        load_rule_cases(write(text))
    assert [problem.partition("\n")[0] for problem in caught.value.problems] == messages


def test_file_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match=r"^nowhere\.yaml: no such file$"):
        load_rule_cases("nowhere.yaml")


def test_rows_get_their_defaults_and_keep_what_they_say(write):
    (case,) = load_rule_cases(
        write(
            one_case("book: [{symbol: ON, quantity: 1, currency: ~}]\nbroker: [{symbol: A, quantity: 1, account: X}]\nbreaks: []")
        )
    )
    assert case.book == ({"broker": "prime", "account": "MAIN", "symbol": "ON", "quantity": "1", "currency": None},)
    assert case.broker == ({"broker": "prime", "account": "X", "symbol": "A", "quantity": "1", "currency": "USD"},)
    assert (str(case), case.rule, case.path, case.line) == ("one", "QUANTITY_MISMATCH", "cases.yaml", 3)


REFUSED = {
    "misspelt-parameter": (
        ROWS + "breaks: []\nsettings: {tolerence: 1}",
        "cases.yaml:7:16: rules.QUANTITY_MISMATCH: unknown key 'tolerence'; did you mean 'tolerance'?",
    ),
    "parameter-out-of-bounds": (
        ROWS + "breaks: []\nsettings: {tolerance: -1}",
        "cases.yaml:7:27: rules.QUANTITY_MISMATCH.tolerance: -1 is less than the minimum of 0",
    ),
    "unknown-column-in-halt": (
        ROWS + "breaks: []\nsettings: {halt: {when: 'impct > 1'}}",
        "cases.yaml:7:30: rules.QUANTITY_MISMATCH.halt.when: unknown column 'impct'; did you mean 'impact'?",
    ),
    "unknown-rule-beside-it": (
        ROWS + "breaks: []\nwith: [PRICE_MISMATCHES]",
        "cases.yaml:7:12: rules: unknown rule 'PRICE_MISMATCHES': no plugin provides it; did you mean 'PRICE_MISMATCH'?",
    ),
    "no-currency": (
        ROWS + "breaks: []\nbase_currency: dollars",
        "cases.yaml:7:20: base_currency: 'dollars': a currency code in capitals is due, such as USD",
    ),
    "quantity-of-the-book": (
        "book: [{symbol: AAPL, quantity: 1e3}]\nbroker: []\nbreaks: []",
        "cases.yaml:3: case one: book rows: row 1 (prime MAIN AAPL), column quantity: "
        "'1e3' is in scientific notation: digits may be lost",
    ),
    "quantity-of-the-broker": (
        "book: []\nbroker: [{symbol: AAPL, quantity: 1}, {symbol: MSFT, quantity: '1,000'}]\nbreaks: []",
        "cases.yaml:3: case one: broker rows: row 2, column quantity: '1,000' is not a number "
        "(are `decimal` and `thousands` set as the source writes them?)",
    ),
    "one-position-twice": (
        "book: [{symbol: A, quantity: 1}, {symbol: A, quantity: 2}]\nbroker: [{symbol: A, quantity: 3}]\nbreaks: []",
        "cases.yaml:3: case one: prime MAIN A: 2 rows of one position (1, 2)",
    ),
}


@pytest.mark.parametrize(("body", "message"), REFUSED.values(), ids=REFUSED)
def test_settings_and_rows_that_a_run_would_refuse_are_refused_at_their_place(write, body, message):
    (case,) = load_rule_cases(write(one_case(body)))
    with pytest.raises(ConfigError) as caught:
        check_rule_case(case, real_rules().values())
    assert [problem.partition("\n")[0] for problem in caught.value.problems] == [message]


def test_rule_that_is_not_installed_is_named(write):
    (case,) = load_rule_cases(write(one_case(ROWS + "breaks: []", rule="QUANTITY_MISMATCHES")))
    with pytest.raises(ConfigError, match=r"1:7: rules: unknown rule 'QUANTITY_MISMATCHES': .*; did you mean 'QUANTITY_MISMATCH'"):
        check_rule_case(case, real_rules().values())


DIFFERENCES = {
    "none": (ROWS + "breaks: [{symbol: AAPL, impact: 100.00000, halts: false, account: MAIN}]", []),
    "impact-and-halt": (
        ROWS + "breaks: [{symbol: AAPL, impact: 99, halts: true}]",
        ["impact 99 expected, 100.0000 found", "halts true expected, false found"],
    ),
    "impact-unknown": (ROWS + "breaks: [{symbol: AAPL, impact: unknown}]", ["impact unknown expected, 100.0000 found"]),
    "detail": (
        ROWS + "breaks: [{symbol: AAPL, detail: apart}]",
        ["detail apart expected, 'book 110, broker 100 (10% apart)' found"],
    ),
}


@pytest.mark.parametrize(("body", "differences"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_break_that_differs_is_shown_by_what_differs(write, body, differences):
    (case,) = load_rule_cases(write(one_case(body)))
    if not differences:
        check_rule_case(case, real_rules().values())
        return
    with pytest.raises(AssertionError) as caught:
        check_rule_case(case, real_rules().values())
    head, *lines = str(caught.value).splitlines()
    assert head == "cases.yaml:3: QUANTITY_MISMATCH, case one:"
    assert lines == [f"! QUANTITY_MISMATCH AAPL: {difference}" for difference in differences]


def test_breaks_too_many_and_too_few_are_shown(write):
    body = ROWS + "breaks: [{symbol: MSFT, halts: true}]\nundetermined: 2"
    (case,) = load_rule_cases(write(one_case(body)))
    with pytest.raises(AssertionError) as caught:
        check_rule_case(case, real_rules().values())
    assert str(caught.value).splitlines() == [
        "cases.yaml:3: QUANTITY_MISMATCH, case one:",
        "- expected, not found: type QUANTITY_MISMATCH, symbol MSFT, halts true",
        "+ found, not expected: type QUANTITY_MISMATCH, broker prime, account MAIN, symbol AAPL, leg NET, severity high, "
        "halts false, impact 100.0000, quantity_difference 10, difference_pct 10, detail 'book 110, broker 100 (10% apart)'",
        "undetermined: 2 expected, 0 found",
    ]


def test_no_break_passes_only_where_the_rule_could_judge(write):
    rows = "book: [{symbol: A, quantity: 1, avg_price: 5}]\nbroker: [{symbol: A, quantity: 1}]\n"
    (case,) = load_rule_cases(write(one_case(rows + "breaks: []", rule="PRICE_MISMATCH")))
    with pytest.raises(AssertionError, match="undetermined: 0 expected, 1 found"):
        check_rule_case(case, real_rules().values())


def test_break_that_says_more_chooses_first_among_those_that_fit(write):
    body = """
        book: [{symbol: A, quantity: 2, account: X}, {symbol: A, quantity: 3, account: Y}]
        broker: [{symbol: A, quantity: 1, account: X}, {symbol: A, quantity: 1, account: Y}]
        breaks: [{symbol: A}, {symbol: A, account: X}]
    """
    (case,) = load_rule_cases(write(one_case(body)))
    check_rule_case(case, real_rules().values())


def test_one_found_break_does_not_stand_for_two_expected(write):
    (case,) = load_rule_cases(write(one_case(ROWS + "breaks: [{symbol: AAPL}, {symbol: AAPL}]")))
    with pytest.raises(AssertionError, match="expected, not found: type QUANTITY_MISMATCH, symbol AAPL"):
        check_rule_case(case, real_rules().values())


def test_rule_with_an_unknown_column_is_refused_before_it_runs(write):
    class Tiny(Rule):
        """Finds positions that are tiny."""

        type = "TINY"
        title = "Tiny"
        when = "broker_quantty < 1"
        detail = "tiny"

    (case,) = load_rule_cases(write(one_case(ROWS + "breaks: []", rule="TINY")))
    with pytest.raises(PluginError, match=r"^TINY\.when: unknown column 'broker_quantty'; did you mean 'broker_quantity'\?$"):
        check_rule_case(case, [Tiny])


def test_rule_with_a_wrong_definition_is_refused_before_it_runs(write):
    class Loud(Rule):
        """Shouts."""

        type = "LOUD"
        title = "Loud"
        severity = "loud"
        when = "in_book"
        detail = "loud"

    (case,) = load_rule_cases(write(one_case(ROWS + "breaks: []", rule="LOUD")))
    with pytest.raises(PluginError, match=r"^LOUD\.severity 'loud' is none of info, warning, high, critical$"):
        check_rule_case(case, [Loud])


def test_case_is_not_touched_by_those_before_it(write):
    def case(body):
        return load_rule_cases(write(one_case(body)))[0]

    alone = case(ROWS + "breaks: [{symbol: AAPL, leg: NET}]")
    check_rule_case(alone, real_rules().values())
    legs = (
        "book: [{symbol: B, quantity: 1, leg: LONG, broker: other}]\nbroker: [{symbol: A, quantity: 1, broker: third}]\nbreaks: []"
    )
    check_rule_case(case(legs), real_rules().values())
    check_rule_case(alone, real_rules().values())


def test_public_names_are_all_there_and_told():
    assert recon_core.testing.__all__ == sorted(recon_core.testing._HOME)
    assert all((getattr(recon_core.testing, name).__doc__ or "").strip() for name in recon_core.testing.__all__)
    with pytest.raises(AttributeError, match=r"module 'recon_core\.testing' has no attribute 'check'"):
        recon_core.testing.check  # noqa: B018  # looking it up is what raises


def test_import_costs_no_database():
    code = "import sys; import recon_core.testing; print({'duckdb', 'yaml', 'pytest'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"
