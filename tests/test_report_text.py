"""The report for a terminal."""

from __future__ import annotations

import re
import subprocess
import sys
import unicodedata

import pytest
import report_samples as samples

from recon_core.report import to_text
from recon_core.report.layout import cells, wrap
from recon_core.report.story import told as story_of
from recon_core.report.values import money, visible

NUMBER = re.compile(r"-?\d(?:[\d.,]*\d)?")


def text_of(report: samples.Report, width: int = 200) -> str:
    return to_text(report, width=width, colour=False)


def test_a_clean_run_says_so_in_its_first_line() -> None:
    assert text_of(samples.clean()).splitlines()[0] == "CLEAN  no breaks  |  trading goes on"


def test_breaks_that_do_not_halt_say_that_trading_goes_on() -> None:
    first = text_of(samples.report(samples.discrepancy())).splitlines()[0]
    assert first == "BREAKS  1 break, impact 1,005.625 USD  |  trading goes on"


def test_a_halt_names_its_first_reason_and_the_policy_line_in_the_first_line() -> None:
    first = text_of(samples.report(samples.discrepancy(halts=True))).splitlines()[0]
    assert first == "BREAKS  1 break, impact 1,005.625 USD  |  TRADING HALTS: halting: AAPL (policies.yaml:4)"


def test_a_halt_of_less_than_the_firm_names_what_it_stops() -> None:
    report = samples.report(samples.discrepancy(halts=True))
    report["decision"]["reasons"][0]["scope"] = "account prime/MAIN"
    assert "TRADING HALTS for account prime/MAIN: " in text_of(report).splitlines()[0]


def test_what_an_escalation_requires_without_halting_does_not_read_as_a_halt() -> None:
    report = samples.report(samples.discrepancy())
    report["decision"]["require"] = ["call the broker"]
    assert "Required by the policy: call the broker" in text_of(report)
    assert "before trading goes on" not in text_of(report)


@pytest.mark.case("I09")
def test_an_unknown_total_is_called_unknown_beside_what_is_known() -> None:
    assert "impact unknown (at least 168,381.7924 USD)" in text_of(samples.halting()).splitlines()[0]
    assert "impact unknown," not in text_of(samples.halting())
    nothing_known = samples.report(samples.discrepancy(impact=None))
    assert text_of(nothing_known).splitlines()[0] == "BREAKS  1 break, impact unknown  |  trading goes on"


def test_a_break_that_halts_by_an_escalation_alone_says_so_at_every_width() -> None:
    leg = next(item for item in samples.halting()["discrepancies"] if not item["halts"] and item["suppressed"] is None)
    wide = text_of(samples.halting())
    (row,) = (line for line in wide.splitlines() if f" {leg['symbol']} " in line and line.startswith(leg["type"]))
    assert " HALT* " in row
    assert "HALT*: by an escalation, not by its rule" in wide
    assert "HALT by escalation, book" in text_of(samples.halting(), 40)
    alone = samples.report(samples.discrepancy(halts=True), samples.discrepancy(symbol="B"))
    assert "HALT*" not in text_of(alone)


def test_the_policy_that_comes_with_recon_core_is_said_to_be_it() -> None:
    report = samples.clean()
    assert "built-in" not in text_of(report)
    report["policy"]["path"] = "recon_core/policies.yaml"
    assert "\npolicy: built-in default (recon_core/policies.yaml)\n" in text_of(report)


@pytest.mark.case("A07")
def test_an_incomplete_run_without_breaks_never_looks_clean() -> None:
    text = text_of(samples.incomplete(), 300)
    first = text.splitlines()[0]
    assert first.startswith(
        "INCOMPLETE  absence proves nothing at alpaca-paper (FAILED: account PAPER-1), prime (PARTIAL: account OPTIONS)"
    )
    assert "in what was proven: no breaks" in first
    assert "CLEAN" not in text
    assert "trading goes on" not in text
    assert "reason: no answer from paper-api.alpaca.markets in 30 s; asked 3 times" in text
    assert "control total rows of account MAIN: computed 12 DOES NOT MEET stated 14" in text


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal_and_no_number_is_cut(width: int) -> None:
    text = text_of(samples.halting(), width)
    assert max(map(cells, text.splitlines())) <= width
    assert set(NUMBER.findall(text)) <= set(NUMBER.findall(text_of(samples.halting(), 1000)))
    assert {"0.412345678901234567", "124,630.00", "40,167.4624", "168,381.7924"} <= set(NUMBER.findall(text))


@pytest.mark.parametrize("width", [40, 60, 120])
def test_the_files_are_named_by_paths_that_can_be_copied(width: int) -> None:
    folder = "/srv/recon/state/runs/20261120T210002Z-0a1b2c3d"
    names = {"report": "report.json", "html": "report.html", "breaks": "breaks.parquet"}
    report = samples.halting() | {"outputs": {what: f"{folder}/{name}" for what, name in names.items()}}
    text = text_of(report, width)
    assert f"Files\n  in {folder}:\n  report.json, report.html," in text
    assert text.count(folder) == 1
    report = samples.halting() | {"outputs": {"report": f"{folder}/report.json", "html": "page.html", "breaks": None}}
    assert f"Files\n  {folder}/report.json\n  page.html\n" in text_of(report, width)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_break_shows_its_place_and_quantities_at_any_width(width: int) -> None:
    report = samples.report(samples.discrepancy(broker="alpaca-paper", account="PAPER-1", symbol="SPY 261218C00600000"))
    text = text_of(report, width)
    for shown in ("QUANTITY_MISMATCH", "alpaca-paper/PAPER-1", "SPY 261218C00600000", "100", "95", "1,005.625", "5.26%"):
        assert shown in text
    assert max(map(cells, text.splitlines())) <= width


def test_columns_stand_under_their_headings() -> None:
    lines = text_of(
        samples.report(samples.discrepancy(), samples.discrepancy(2, book_quantity="123456.5", halts=True))
    ).splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("TYPE"))
    heading, first, second = lines[at : at + 3]
    for name, values in {"BOOK": ("100", "123456.5"), "DIFFERENCE": ("5", "5"), "IMPACT USD": ("1,005.625", "1,005.625")}.items():
        end = heading.index(name) + len(name)
        assert (first[:end].split()[-1], second[:end].split()[-1]) == values
    assert first[heading.index("HALTS") :].startswith("-  ")
    assert second[heading.index("HALTS") :].startswith("HALT ")
    assert first[heading.index("DETAIL") :] == "book 100, broker 95 (5.26% apart)"


def test_wide_characters_do_not_shift_the_columns() -> None:
    lines = text_of(samples.report(samples.discrepancy(symbol="トヨタ自動車"), samples.discrepancy(2))).splitlines()
    rows = [line for line in lines if line.startswith("QUANTITY_MISMATCH")]
    before = [cells(row[: row.index("1,005.625")]) for row in rows]
    assert before[0] == before[1]


def test_after_fifty_breaks_the_rest_is_counted_and_the_files_are_named() -> None:
    text = text_of(samples.many(1284))
    assert len(re.findall(r"^QUANTITY_MISMATCH", text, re.MULTILINE)) == 50
    assert "and 1,234 more in report.html and breaks.parquet" in text
    whole = samples.many(60) | {"outputs": {"report": None, "html": None, "breaks": None}}
    assert "and 10 more; --json and --output give them" in text_of(whole)


def test_a_truncated_list_says_that_only_the_parquet_file_is_whole() -> None:
    report = samples.many(60) | {"break_count": 25_000, "discrepancies_total": 25_000, "discrepancies_truncated": True}
    assert "and 24,950 more: the worst 60 in report.html, all in breaks.parquet" in text_of(report)


def test_a_suppressed_break_is_listed_apart_with_who_and_until_when() -> None:
    text = text_of(samples.halting())
    told = (
        "QUANTITY_MISMATCH prime/MAIN VTI, impact 29.312 USD: "
        "suppressed until 2026-12-31, approved by R. Osei: fractions in transfer (policies.yaml:31)"
    )
    assert told in text
    table = text[text.index("Breaks, worst first") : text.index("Suppressed:")]
    assert "VTI" not in table


def test_what_was_not_judged_is_told() -> None:
    text = text_of(samples.halting())
    assert "Undetermined, for want of a value that the rule needs: PRICE_MISMATCH 3" in text
    assert "Installed, but not listed in the policy, so not run: UNMAPPED_SYMBOL" in text
    assert "Superseded by a rule that says more of the same position: 2 breaks" in text
    assert "Required before trading goes on: full manual reconciliation" in text


def test_text_from_outside_can_neither_move_the_cursor_nor_hide() -> None:
    text = text_of(samples.hostile())
    assert r"\n\x1b[31m\u202eLPAA\x00" in text
    assert [c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")] == []


def test_colour_only_where_asked_for_and_around_the_same_text() -> None:
    plain = to_text(samples.halting(), width=100, colour=False)
    coloured = to_text(samples.halting(), width=100, colour=True)
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain
    red = [line for line in coloured.splitlines() if line.startswith("\x1b[31m")]
    assert [symbol for symbol in ("MSFT", "BTC/USD", "SPY", "NVDA", "TSLA") if any(symbol in line for line in red[1:])] == [
        "MSFT",
        "BTC/USD",
        "SPY",
    ]


@pytest.mark.parametrize(
    ("given", "printed"),
    [
        ("1234.5000", "1,234.50"),
        ("1234567.8912", "1,234,567.8912"),
        ("0.0000", "0.00"),
        ("-0.5000", "-0.50"),
        ("12", "12.00"),
        ("0.000000000001", "0.000000000001"),
        (None, "unknown"),
        ("٣", "٣"),
    ],
)
def test_money_is_grouped_and_never_rounded(given: str | None, printed: str) -> None:
    assert money(given) == printed


@pytest.mark.parametrize("hidden", ["A\u00a0B", "A\u200bB", "A\u3164B", "A\u00adB", "A\tB", "A\ufeffB", "A\u2066B", "A\x85B"])
def test_a_character_that_prints_nothing_is_spelt_out(hidden: str) -> None:
    assert visible(hidden).isascii()
    assert visible(hidden).startswith("A\\")


def test_wrapping_keeps_numbers_whole_and_loses_nothing() -> None:
    text = "path/with/no/blank/at/all/2026-11-20/1234567.890123 and 9999999999999999999999.5 end"
    lines = wrap(text, 16)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert "9999999999999999999999.5" in lines
    assert any("1234567.890123" in line for line in lines)


def test_a_plain_report_loads_neither_rich_nor_click_nor_the_page() -> None:
    program = (
        "import sys; from recon_core.report import to_json, to_text; import report_samples; "
        "to_text(report_samples.halting(), width=80, colour=False); to_json(report_samples.halting()); "
        "print([name for name in ('rich', 'click', 'html', 'recon_core.report.html', 'hashlib') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_incidents_stand_before_other_breaks_with_what_to_do_and_their_worst_under_them(width: int) -> None:
    text = text_of(samples.with_incidents(), width)
    lines = text.splitlines()
    assert max(map(cells, lines)) <= width
    heading, others = lines.index("1 incident: breaks with one cause"), lines.index("Other breaks, worst first")
    above, below = "\n".join(lines[heading:others]), "\n".join(lines[others:])
    joined = " ".join(above.split())
    assert "1. the broker's quantities are 100 times the book's, impact 7,039.375 USD [I0123456789abcdef]" in joined
    assert "do: Check the units; correct no position by hand." in joined
    assert [name for name in ("S1", "S2", "S3", "S4", "S5") if f" {name}" not in above] == []
    assert " S6" not in above
    assert "and 2 more" in above
    assert "AAPL" in below
    assert " KO" in below


def test_a_report_without_incidents_does_not_speak_of_them() -> None:
    assert "incident" not in text_of(samples.halting())
    assert "Breaks, worst first" in text_of(samples.halting())


def test_what_explains_a_break_and_what_would_mend_it_stand_under_it() -> None:
    lines = [line.strip() for line in text_of(samples.with_incidents()).splitlines()]
    at = next(number for number, line in enumerate(lines) if line.startswith("QUANTITY_MISMATCH  prime/MAIN      AAPL"))
    assert lines[at + 1 : at + 3] == [
        "explained (MISSED_FILL): the broker sold 5 at 190.00 on 2026-11-20 14:31 UTC (fill F1), which the book does not have",
        "correction: quantity 100 to 95; P&L 12.50 USD: recon-core correct B00000008",
    ]
    assert lines[at + 4] == "unexplained: nothing fits"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inferred": True, "cause": "CORPORATE_ACTION"}, "explained (CORPORATE_ACTION, inferred): the broker"),
        ({"status": "PARTLY", "residual": "2"}, "partly explained (MISSED_FILL), 2 left over: the broker"),
        ({"doubt": "page 3 failed"}, "explained (MISSED_FILL, in doubt): the broker"),
        ({"doubt": "page 3 failed"}, "the book does not have; page 3 failed"),
        ({"clears_on": "2026-11-24", "cause": "UNSETTLED"}, "the book does not have; clears on 2026-11-24"),
    ],
)
def test_doubt_about_an_explanation_is_said_with_it(changes: samples.Report, words: str) -> None:
    assert words in text_of(samples.report(samples.discrepancy(explanation=samples.explained(**changes))))


def test_a_doubt_that_the_correction_tells_is_said_once() -> None:
    told = {"explanation": samples.explained(doubt="page 3 failed"), "correction": samples.proposed(review="page 3 failed; new")}
    assert text_of(samples.report(samples.discrepancy(**told))).count("page 3 failed") == 1


def test_a_report_of_an_earlier_version_is_told_as_far_as_it_goes() -> None:
    earlier = {name: value for name, value in samples.explained().items() if name not in ("doubt", "looked_into")}
    whole = samples.report(samples.discrepancy(explanation=earlier))
    assert "explained (MISSED_FILL): the broker sold 5" in text_of(whole)
    assert any("Explained (MISSED_FILL): the broker sold 5" in line for line in story_of(whole["discrepancies"][0], whole))
    for entry in whole["discrepancies"]:
        del entry["explanation"], entry["correction"]
    assert "explained" not in text_of(whole)
    assert "there is nothing to explain by evidence" in " ".join(story_of(whole["discrepancies"][0], whole))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "insert", "before": None, "review": "entry price is the broker's"},
         "correction: insert 95 at 187.2; P&L 12.50 USD (review: entry price is the broker's): recon-core correct B0"),
        ({"kind": "delete", "after": None}, "correction: delete the row of 100; P&L 12.50 USD: recon-core correct B0"),
        ({"state": "applied"}, "correction applied: quantity 100 to 95; P&L 12.50 USD\n"),
        ({"pnl": samples.proposed()["pnl"] | {"realised": None, "total": None}}, "quantity 100 to 95; P&L unknown: recon-core"),
    ],
)  # fmt: skip
def test_a_correction_says_what_it_changes_and_what_that_is_worth(changes: samples.Report, words: str) -> None:
    report = samples.report(samples.discrepancy(explanation=samples.explained(), correction=samples.proposed(**changes)))
    assert words in text_of(report, 300)


def test_the_text_ends_with_what_has_changed_and_how_many_breaks_remain() -> None:
    report = samples.report(samples.discrepancy(), since_last=samples.since_last())
    assert text_of(report).endswith(
        """
Since run 20261119T213000Z-1a2b3c, as of 2026-11-19T21:00:00Z
  Cleared: 1
    QUANTITY_MISMATCH prime/MAIN GONE, by correction C0123456789abcdef
  New: 1
    QUANTITY_MISMATCH prime/MAIN AAPL
  Not judged by this run, and still open: 1
    QUANTITY_MISMATCH late/MAIN STILL, open since 2026-11-16T21:00:00Z
Breaks remaining: 2
"""
    )
    assert text_of(samples.clean()).endswith("\n\nBreaks remaining: 0\n")


def test_what_nobody_looked_into_is_said_once_and_not_under_each_break() -> None:
    silent = samples.explained(status="UNEXPLAINED", cause="UNEXPLAINED", looked_into=False, why="prime tells of no fills")
    text = text_of(samples.report(*(samples.discrepancy(number, explanation=silent) for number in (1, 2, 3))))
    assert text.count("prime tells of no fills") == 1
    assert "3 breaks not looked into: prime tells of no fills\n" in text


def test_nothing_remaining_is_never_said_of_a_broker_that_was_not_read() -> None:
    assert text_of(samples.incomplete()).endswith("Breaks remaining: at least 0, for not everything was proven\n")


@pytest.mark.case("H08")
def test_a_clean_run_over_an_open_break_of_an_earlier_one_says_so_in_its_first_line() -> None:
    report = samples.report(since_last=samples.since_last(new=[], new_count=0, remaining=1))
    assert text_of(report).splitlines()[0] == "CLEAN  no breaks, 1 of earlier runs still open  |  trading goes on"
    assert to_text(report, width=200, colour=True).startswith("\x1b[33m")  # not green


def test_more_changes_than_are_told_one_by_one_are_counted() -> None:
    text = text_of(samples.report(since_last=samples.since_last(cleared_count=1_234)))
    assert "  Cleared: 1,234\n" in text
    assert "    and 1,233 more\n" in text
