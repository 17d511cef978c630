"""The suite of bench/ on a few positions: what it measures works, checks what was found, and fits the page. Without the others."""

import re
import subprocess
import sys

import pytest
from doc_pages import DOCS, ROOT

BENCH = ROOT / "bench"
PAGE = DOCS / "performance.md"
MARK = re.compile(r"<!-- measured: (.+) -->")


def bench(*arguments):
    command = [sys.executable, BENCH / "run.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def bench_modules(monkeypatch):
    monkeypatch.syspath_prepend(BENCH)


def test_figures_are_written_between_the_marks_of_the_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Before.\n<!-- measured: lots -->\nold\n<!-- end -->\nAfter.\n", encoding="utf-8")
    done = bench("--only", "lots", "--against", "--positions", 2000, "--times", 1, "--page", page)
    assert done.returncode == 0, done.stderr
    before, _, after = page.read_text(encoding="utf-8").partition("\n| bare DuckDB join | ")
    assert before.startswith("Before.\n<!-- measured: lots -->\n**2,000 × 2,000 positions** (ratios to bare DuckDB join)\n")
    assert re.search(r"^\| recon-core \| [\d.]+ s \| [\d.]+ s \| [\d,]+ MB \| [\d.]+ \(", after, re.MULTILINE)
    assert "left out" not in after
    assert after.endswith("<!-- end -->\nAfter.\n")


def test_every_scene_has_its_place_on_the_page():
    asked = "from scenes import SCENES; print(*SCENES, sep='\\n')"  # in a process of its own: tests have modules of these names
    done = subprocess.run([sys.executable, "-c", asked], cwd=BENCH, capture_output=True, text=True, check=True)
    assert MARK.findall(PAGE.read_text(encoding="utf-8")) == done.stdout.split()


def test_an_entrant_that_finds_other_breaks_or_takes_too_long_is_left_out_and_said_so(bench_modules, tmp_path):
    from positions import PLANTED, Shape, write
    from report import tables
    from turns import Entrant, Group, take_turns

    write(tmp_path, Shape(1000, one_in=10))
    copied = "import sys; from pathlib import Path; Path('found.parquet').write_bytes(Path(sys.argv[1]).read_bytes())"
    lost = "import duckdb; duckdb.sql(\"COPY (FROM 'planted.parquet' OFFSET 1) TO 'found.parquet'\")"
    programs = {
        "right": (copied, "planted.parquet"),
        "wrong": (lost,),
        "slow": ("import time; time.sleep(60)",),
        "failing": ("raise SystemExit('no such position')",),
    }
    entrants = tuple(
        Entrant(name, (sys.executable, "-c", *program), tmp_path, found="found.parquet", types=PLANTED)
        for name, program in programs.items()
    )
    outcome = take_turns(Group("1,000", entrants), times=1, seconds=5, say=lambda _: None)
    assert list(outcome.runs) == ["right"]
    assert outcome.left_out == {
        "wrong": "is wrong: missed 1 breaks and found 0 that are none",
        "slow": "takes longer than 5 s",
        "failing": "ended with 1: no such position",
    }
    assert "wrong is left out: is wrong: missed 1 breaks and found 0 that are none." in list(tables([outcome]))
