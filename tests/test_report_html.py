"""The report as an HTML page: read by a parser, and by a browser where there is one."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
import report_samples as samples

from recon_core.report import to_html

VOID = {"meta", "img", "input", "br", "link"}


class Page(HTMLParser):
    """What a page holds: its elements, their attributes, its rows of cells, and all of its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.source = page
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if {"style", "script"} & set(self.open):
            return
        self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize("sample", [samples.clean, samples.halting, samples.incomplete, samples.hostile])
def test_every_element_is_closed_and_every_id_is_used_once(sample: object) -> None:
    page = Page(to_html(sample()))
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("sample", [samples.halting, samples.incomplete, samples.hostile])
def test_the_page_asks_for_nothing_from_elsewhere(sample: object) -> None:
    page = Page(to_html(sample()))
    assert not {"img", "link", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.tags}
    assert [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "action", "style")] == []
    assert all((attributes["href"] or "").startswith("#") for attributes in page.attributes("a"))
    assert not re.search(r"https?:|//[a-z]|url\(|@import", page.source, re.IGNORECASE)


def test_the_policy_allows_the_page_its_own_style_and_script_and_nothing_else() -> None:
    page = to_html(samples.hostile())
    allowed = {
        tag: "sha256-"
        + base64.b64encode(hashlib.sha256(re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[0].encode()).digest()).decode()
        for tag in ("style", "script")
    }
    policy = next(meta["content"] for meta in Page(page).attributes("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy == (
        f"default-src 'none'; style-src '{allowed['style']}'; script-src '{allowed['script']}'; base-uri 'none'; form-action 'none'"
    )
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_hostile_text_stays_text_wherever_it_stands() -> None:
    page = Page(to_html(samples.hostile()))
    clean = Page(to_html(samples.halting()))
    shown = samples.HOSTILE.replace("\n", r"\n").replace("\x1b", r"\x1b").replace("\u202e", r"\u202e").replace("\x00", r"\x00")
    assert page.text.count(shown) >= 15
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in clean.tags} | {"ul", "li"}
    assert len(page.attributes("script")) == 1
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert not set(page.source) & set("\x1b\u202e\x00")


def test_an_id_that_is_hostile_does_not_leave_its_attribute() -> None:
    page = Page(to_html(samples.report(samples.discrepancy() | {"id": '"><script>alert(1)</script>'})))
    assert len(page.attributes("script")) == 1


@pytest.mark.parametrize(
    ("report", "level", "words"),
    [
        (samples.clean(), "clean", ["Trading goes on", "Clean", "Book and brokers agree."]),
        (samples.report(samples.discrepancy()), "doubt", ["Trading goes on", "Breaks"]),
        (samples.incomplete(), "doubt", ["Not halted, no verdict", "Incomplete", "0 breaks do not mean clean"]),
        (samples.halting(), "halt", ["Trading halts", "Breaks"]),
        (samples.incomplete() | {"decision": samples.halting()["decision"]}, "halt", ["Trading halts", "Incomplete", "Unproven: "]),
    ],
)
def test_the_banner_says_in_words_what_its_colour_says(report: samples.Report, level: str, words: list[str]) -> None:
    page = to_html(report)
    assert f'<div class="banner {level}">' in page
    assert [word for word in words if word not in Page(page).text] == []


@pytest.mark.case("A07")
def test_an_incomplete_run_without_breaks_does_not_claim_agreement() -> None:
    text = Page(to_html(samples.incomplete())).text
    assert "Book and brokers agree" not in text
    assert "Trading goes on" not in text
    assert "No break in what was proven; the rest was not judged." in text


def test_a_break_is_not_said_to_halt_nothing_where_an_escalation_names_only_the_worst() -> None:
    report = samples.halting()
    report["decision"]["reasons"][2] |= {"breaks": [], "break_count": 5}
    rows = [row for row in Page(to_html(report)).rows if len(row) == 9]
    assert next(row for row in rows if row[2] == "7203.T LONG")[7] == "not by its rule"


def test_every_break_is_in_the_markup_with_exact_quantities_and_grouped_money() -> None:
    rows = [row for row in Page(to_html(samples.halting())).rows if len(row) == 9]
    assert len(rows) == 1 + 8
    unbooked = next(row for row in rows if row[2] == "BTC/USD")
    assert unbooked[:5] == ["MISSING_IN_DBcritical", "alpaca-paper/PAPER-1", "BTC/USD", "-", "0.412345678901234567"]
    assert unbooked[5:8] == ["-0.412345678901234567100%", "40,167.4624", "HALT"]
    assert "price 97,412.11, broker average 64,210.50 (USD)" in unbooked[8]
    assert next(row for row in rows if row[2] == "XYZ.WS")[6] == "unknown"
    assert next(row for row in rows if row[2] == "7203.T LONG")[7] == "by escalation"
    assert next(row for row in rows if row[2] == "TSLA")[7] == "no"
    held = next(row for row in rows if row[2] == "VTI")
    assert held[7] == "suppressed"
    assert "suppressed until 2026-12-31, approved by R. Osei: fractions in transfer (policies.yaml:31)" in held[8]


def test_each_reason_links_to_its_breaks() -> None:
    page = Page(to_html(samples.halting()))
    targets = {attributes.get("id") for _, attributes in page.tags}
    links = [(attributes["href"] or "")[1:] for attributes in page.attributes("a")]
    assert len([link for link in links if link.startswith("B0")]) == 1 + 1 + 5
    assert set(links) <= targets
    assert "and 988 more" in Page(to_html(samples.many(10_000))).text


def test_a_truncated_list_says_what_it_is_part_of() -> None:
    report = samples.many(20) | {"discrepancies_truncated": True, "discrepancies_total": 25_000}
    assert "The 20 of highest impact, out of 25,000 breaks; all are in .state/breaks.parquet." in Page(to_html(report)).text


def test_a_long_list_shows_its_worst_two_thousand_and_says_where_the_rest_is() -> None:
    page = Page(to_html(samples.many(2_001)))
    rows = [attributes for _, attributes in page.tags if (attributes.get("id") or "").startswith("B0")]
    assert len(rows) == 2_000
    assert "The 2,000 of highest impact, out of 2,001 breaks; all are in .state/breaks.parquet." in page.text


def test_ten_thousand_breaks_take_less_than_a_second_and_a_half() -> None:
    report = samples.many(10_000)
    best = min(_seconds(report) for _ in range(2))
    assert best < 1.5


def _seconds(report: samples.Report) -> float:
    start = time.process_time()
    to_html(report)
    return time.process_time() - start


def _browse(page: str, folder: Path) -> Page:
    """The page as a browser leaves it after its scripts ran."""
    (folder / "report.html").write_text(page, encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    command += [
        "--disable-component-update",
        "--disable-sync",
        "--disable-quic",
        f"--user-data-dir={folder / 'profile'}",
        "--dump-dom",
    ]
    done = subprocess.run([*command, (folder / "report.html").as_uri()], capture_output=True, text=True, timeout=60, check=True)
    return Page(done.stdout)


needs_browser = pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")


def _column(page: Page, column: int) -> list[str]:
    return [row[column] for row in page.rows if len(row) == 9][1:]


def _driven(report: samples.Report, script: str) -> str:
    """The page with a script of the test's own behind its own, and the policy that would forbid it taken out."""
    page = re.sub(r"<meta http-equiv=.*?>", "", to_html(report))
    return page.replace("</body>", f"<script>{script}</script></body>")


@needs_browser
def test_in_a_browser_numbers_sort_exactly_with_the_absent_last_and_the_unknown_worst(tmp_path: Path) -> None:
    quantities = ["9007199254740993", "9007199254740992.000000000000000001", None, "-3", "10.5", "9"]
    impacts = ["2.0000", None, "1000.0000", "30.0000", "0.0000", "4.5000"]
    report = samples.report(
        *(samples.discrepancy(n, book_quantity=q, impact=i) for n, (q, i) in enumerate(zip(quantities, impacts, strict=True), 1))
    )
    press = "document.querySelectorAll('#list thead button')[{}].click();"
    down = _browse(_driven(report, press.format(3)), tmp_path)
    assert _column(down, 3) == ["9007199254740993", "9007199254740992.000000000000000001", "10.5", "9", "-3", "-"]
    assert [attributes.get("aria-sort") for attributes in down.attributes("th") if "aria-sort" in attributes].count(
        "descending"
    ) == 1
    assert _column(_browse(_driven(report, press.format(3) * 2), tmp_path), 3)[-2:] == ["9007199254740993", "-"]
    worst = _browse(_driven(report, press.format(6)), tmp_path)
    assert _column(worst, 6) == ["unknown", "1,000.00", "30.00", "4.50", "2.00", "0.00"]
    assert _column(_browse(_driven(report, press.format(6) * 3), tmp_path), 6)[0] == "2.00"


@needs_browser
def test_in_a_browser_the_filters_hide_what_they_say(tmp_path: Path) -> None:
    set_and_tell = (
        "const [text, type, halting, counted] = document.querySelectorAll('.tools input, .tools select');"
        "const told = document.createElement('pre'), rows = [...document.querySelectorAll('#list tbody tr')];"
        "const shown = () => rows.filter(row => !row.hidden).map(row => row.cells[2].innerText);"
        "const now = () => { text.dispatchEvent(new Event('input')); told.append(shown().join('|') + ';'); };"
        "halting.checked = true; now(); halting.checked = false; counted.checked = true; now();"
        "type.value = 'QUANTITY_MISMATCH'; now(); text.value = ' spy '; now(); document.body.append(told);"
    )
    page = _browse(_driven(samples.halting(), set_and_tell), tmp_path)
    halting = "MSFT|BTC/USD|SPY 261218C00600000"
    assert (
        f"{halting};{halting}|7203.T LONG|XYZ.WS|NVDA|TSLA;SPY 261218C00600000|7203.T LONG|XYZ.WS;SPY 261218C00600000;" in page.text
    )
    assert "1 of 8 listed" in page.text


@needs_browser
def test_in_a_browser_the_page_runs_its_own_script_and_none_that_was_slipped_in(tmp_path: Path) -> None:
    slipped = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
    page = _browse(to_html(samples.hostile()).replace("</main>", f"{slipped}</main>"), tmp_path)
    assert len(page.attributes("button")) == 9
    assert "<title>Trading halts: " in page.source


def test_each_incident_has_its_breaks_under_its_heading() -> None:
    page = to_html(samples.with_incidents())
    bodies = re.findall(r"<tbody>(.*?)</tbody>", page.split('id="list"', 1)[1].split("</table>", 1)[0], re.DOTALL)
    assert [len(re.findall(r'<tr id="B', body)) for body in bodies] == [7, 2]
    assert 'id="I0123456789abcdef"' in bodies[0]
    assert "<b>Do:</b> Check the units; correct no position by hand." in bodies[0]
    assert "7 breaks, impact 7,039.375 USD" in bodies[0]
    assert "Other breaks" in bodies[1]
    assert "explained (MISSED_FILL): the broker sold 5" in bodies[1]
    assert "correction: quantity 100 to 95; P&amp;L 12.50 USD: recon-core correct B00000008" in bodies[1]
    assert 'class="incident"' not in to_html(samples.halting()).split("<tbody>", 1)[1]


@needs_browser
def test_in_a_browser_sorting_makes_one_list_of_all_breaks_and_unsorting_puts_them_back(tmp_path: Path) -> None:
    report = samples.with_incidents()
    press = "document.querySelectorAll('#list thead button')[2].click();"
    flat = _browse(_driven(report, press), tmp_path)
    assert _column(flat, 2) == ["AAPL", "KO", "S1", "S2", "S3", "S4", "S5", "S6", "S7"]
    assert 'id="list" class="flat"' in flat.source
    assert _column(_browse(_driven(report, press * 3), tmp_path), 2) == ["S1", "S2", "S3", "S4", "S5", "S6", "S7", "AAPL", "KO"]


@needs_browser
def test_in_a_browser_a_filter_hides_the_headings_that_have_nothing_left(tmp_path: Path) -> None:
    tell = (
        "const text = document.querySelector('.tools input'); text.value = ' ko '; text.dispatchEvent(new Event('input'));"
        "document.body.append([...document.querySelectorAll('.incident')].map(row => row.hidden).join('|'));"
    )
    page = _browse(_driven(samples.with_incidents(), tell), tmp_path)
    assert "true|false" in page.text


@pytest.mark.case("H08")
def test_what_has_changed_since_the_run_before_is_on_the_page_and_an_open_break_keeps_the_banner_from_green() -> None:
    page = to_html(samples.report(since_last=samples.since_last(new=[], new_count=0)))
    assert '<div class="banner doubt">' in page
    text = Page(page).text
    assert "no breaks, 1 of earlier runs still open" in text
    assert "QUANTITY_MISMATCH prime/MAIN GONE, by correction C0123456789abcdef" in text
    assert "QUANTITY_MISMATCH late/MAIN STILL, open since 2026-11-16T21:00:00Z" in text
    assert "Breaks remaining: 1" in text
    assert "Breaks remaining" not in to_html(samples.clean())
