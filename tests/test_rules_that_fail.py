"""Rules and policies that the database engine cannot follow: each is told by its name and line, and none is silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from deployment import Deployment, assert_nothing_ugly, book_row, feed_row, types

from recon_core import PluginError, PositionReconciler, selecting
from recon_core.class_checks import rule_problems
from recon_core.columns import PAIR_COLUMNS
from recon_core.expressions import check_expression, check_select
from recon_core.rules import Rule
from recon_core.syntax import ExpressionError


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    made = Deployment(tmp_path)
    made.book([book_row("AAPL", "100"), book_row("MSFT", "50", "400")])
    made.feed([feed_row("AAPL", "100"), feed_row("MSFT", "50", "400")])
    return made


def drop_in(deployment: Deployment, body: str) -> None:
    """Install the rule ODD, whose class has ``body``, and a policy that lists it alone."""
    deployment.write_drop_in("rules", "odd", f'class Odd(Rule):\n    """Odd."""\n    type = "ODD"\n    title = "Odd"\n    {body}\n')
    path = deployment.folder / "drop_ins" / "rules" / "odd.py"
    path.write_text(path.read_text(encoding="utf-8").replace("import Broker,", "import Rule, Broker,"), encoding="utf-8")
    deployment.config(more="plugins: {drop_ins: drop_ins}")
    deployment.policy("version: 1\nbase_currency: USD\nrules: {ODD: {}}\n")


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ('when = "in_book"; detail = "{zzz}"', "ODD.detail: unknown column 'zzz' in the detail"),
        (
            'select = "SELECT broker, account, symbol, leg FROM pairs"; detail = "{zzz}"',
            "ODD.detail: unknown column 'zzz' in the detail",
        ),
        ('when = "in_book and booq > 1"; detail = "x"', "ODD.when: unknown column 'booq'"),
        ('when = "in_book and symbol > $least"; detail = "x"', "ODD.when: unknown parameter $least"),
        ('when = "in_book"; impact = "no_column"; detail = "x"', "ODD.impact: unknown column 'no_column'"),
        ("""when = "in_book and symbol LIKE 'A%' ESCAPE leg"; detail = "x\"""", "ODD.when: LIKE ... ESCAPE is due with two texts"),
        ('when = "not " * 400 + "in_book"; detail = "x"', "ODD.when: nested deeper than 100 levels"),
    ],
)
def test_a_rule_whose_sql_cannot_be_meant_is_named_by_the_run(deployment: Deployment, body: str, complaint: str) -> None:
    drop_in(deployment, body)
    done = deployment.run()
    assert done.returncode == 2, done.stdout + done.stderr
    assert "plugin rule-odd" in done.stderr
    assert complaint in done.stderr
    assert_nothing_ugly(done)


@pytest.mark.parametrize("default", [10**40, 1e300, 1e-300])
def test_a_parameter_with_more_digits_than_are_exact_is_refused_with_its_rule(default: float) -> None:
    class Odd(Rule):
        """Odd."""

        type = "ODD"
        title = detail = "Odd"
        when = "book_quantity > $least"
        params = {"least": {"type": "number", "default": default, "description": "Units."}}

    assert rule_problems(Odd) == [
        "params.least.default has too many digits: at most 18 before and 18 after the point are compared exactly"
    ]


@pytest.mark.parametrize("when", ["symbol LIKE 'A!_%' ESCAPE '!'", "symbol NOT LIKE 'A!!' ESCAPE '!'"])
def test_a_pattern_with_an_escape_character_is_fine(when: str) -> None:
    check_expression(when, PAIR_COLUMNS, want="BOOLEAN")


def test_an_expression_of_many_terms_is_not_too_deep() -> None:
    check_expression(" or ".join(f"symbol = 'S{number}'" for number in range(500)), PAIR_COLUMNS, want="BOOLEAN")
    with pytest.raises(ExpressionError, match="nested deeper than 100 levels"):
        check_expression("(" * 5000 + "in_book" + ")" * 5000, PAIR_COLUMNS, want="BOOLEAN")


AVERAGE = "version: 1\nbase_currency: USD\nrules: {QUANTITY_MISMATCH: {halt: never}}\nescalation: {big: {when: %s, then: halt}}\n"


@pytest.mark.parametrize(
    "when", ["total_impact / break_count > 100", "total_impact // break_count > 100", "1 / break_count > 5", "5 % break_count = 1"]
)
def test_a_quotient_of_nothing_does_not_halt_a_clean_run(deployment: Deployment, when: str) -> None:
    deployment.policy(AVERAGE % when)
    assert deployment.run().returncode == 0


def test_a_division_by_0_over_breaks_is_doubt_and_halts(deployment: Deployment) -> None:
    deployment.feed([feed_row("AAPL", "99"), feed_row("MSFT", "50", "400")])
    deployment.policy(AVERAGE % "total_impact / missing_count < 1")
    report = deployment.report()
    assert report["exit_code"] == 4
    assert "cannot be ruled out" in report["decision"]["reasons"][0]["detail"]
    deployment.policy(AVERAGE % "total_impact / break_count > 10")
    assert deployment.run().returncode == 10


def test_a_division_is_warned_of_when_the_policy_is_checked(deployment: Deployment) -> None:
    deployment.policy(AVERAGE % "total_impact / break_count > 100")
    done = deployment.command("policy", "check")
    assert done.returncode == 0
    assert "warning: policies.yaml:4:26: escalation.big.when: a division is not exact" in done.stdout
    deployment.policy(AVERAGE % "total_impact > 100 * break_count")
    assert "division" not in deployment.command("policy", "check").stdout


@pytest.mark.parametrize(
    "when", ["book_quantity / 0 < 1", "book_quantity / (book_quantity - broker_quantity) < 1", "symbol::int > 1"]
)
def test_a_predicate_that_gives_out_on_a_position_is_a_break_there(deployment: Deployment, when: str) -> None:
    deployment.policy(f'version: 1\nbase_currency: USD\nrules: {{ODD: {{when: "{when}"}}}}\n')
    report = deployment.report()
    assert types(report) == ["ODD", "ODD"]
    assert report["verdict"] == "breaks"
    assert {entry["detail"] for entry in report["discrepancies"]} == {f"cannot be judged, for this has no value here: {when}"}


def test_a_select_that_does_not_end_is_ended_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Deployment(tmp_path)
    made.book([book_row(f"S{number}", "1") for number in range(3000)])
    made.feed([feed_row(f"S{number}", "1") for number in range(3000)])
    thrice = "FROM pairs a, pairs b, pairs c WHERE a.symbol < b.symbol || c.symbol GROUP BY ALL"
    drop_in(made, f'select = "SELECT a.broker, a.account, a.symbol, a.leg {thrice}"; detail = "x"')
    monkeypatch.setattr(selecting, "SELECT_SECONDS", 0.5)
    with pytest.raises(PluginError, match=r"rule ODD: its select ran longer than 0\.5 seconds"):
        PositionReconciler(tmp_path / "recon.yaml").reconcile()


def test_a_recursive_select_is_refused() -> None:
    with pytest.raises(ExpressionError, match="a recursive query has no place"):
        check_select(
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT broker, account, symbol, leg FROM pairs, r",
            PAIR_COLUMNS,
        )
