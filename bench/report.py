"""What was measured as tables in Markdown, and into the page that shows them."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import distributions, version
from pathlib import Path

from turns import Outcome

HEADER = ("", "wall", "processor", "peak memory", "wall, ratio", "processor, ratio")
OTHERS = ("polars", "pandas", "datacompy", "fastrecon")


def tables(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Lines of a table for each group, under what it is of."""
    for outcome in outcomes:
        floor = outcome.group.entrants[0].name
        limit = "" if outcome.group.limit is None else f", recon-core's limit {outcome.group.limit:g}"
        yield f"**{outcome.group.title}** (ratios to {floor}{limit})"
        yield ""
        yield from (_line(HEADER), _line(["---"] + ["---:"] * (len(HEADER) - 1)))
        for entrant in outcome.group.entrants:
            yield _line(_row(outcome, entrant.name))
        yield ""
        for name, why in outcome.left_out.items():
            yield f"{name} is left out: {_plain(why)}."
            yield ""


def _row(outcome: Outcome, name: str) -> list[str]:
    if name not in outcome.runs:
        return [name, *["–"] * (len(HEADER) - 1)]
    wall, processor, memory = (outcome.median(name, figure) for figure in ("wall", "processor", "memory"))
    ratios = [_ratio(outcome.ratio(name, figure)) for figure in ("wall", "processor")]
    return [name, f"{_seconds(wall)} s", f"{_seconds(processor)} s", f"{memory:,.0f} MB", *ratios]


def _ratio(found: tuple[float, float, float] | None) -> str:
    return "–" if found is None else "{:.2f} ({:.2f} to {:.2f})".format(*found)


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Something that a program said, of this machine's paths and of what Markdown would take for markup nothing but a blank."""
    return re.sub(r"[|<>`*_]|/\S+/", " ", text)[:200].strip().rstrip(".")


def circumstances(times: int, others: Path) -> str:
    """How it was measured, on which machine, with which versions and when, in three sentences."""
    installed = {found.name.lower(): found.version for found in distributions(path=map(str, others.glob("lib/*/site-packages")))}
    beside = ", ".join(f"{name} {installed[name]}" for name in OTHERS if name in installed)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    kernel = f"{platform.system()} {platform.release().partition('-')[0]}"
    own = f"recon-core {version('recon-core')}, duckdb {version('duckdb')}"
    return (
        f"Median of {times} runs, and in brackets the least and the greatest ratio of a round. "
        f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GB, {kernel}, Python {platform.python_version()}. "
        f"{own}{f'; {beside}' if beside else ''}. Measured on {datetime.now(UTC):%Y-%m-%d}."
    )


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def write(page: Path, sections: Mapping[str, Sequence[str]]) -> None:
    """Put each section between its two marks on the page; raises SystemExit where it has no such marks."""
    text = page.read_text(encoding="utf-8")
    for name, lines in sections.items():
        begin, end = f"<!-- measured: {name} -->\n", "<!-- end -->"
        before, found, rest = text.partition(begin)
        if not found or end not in rest:
            raise SystemExit(f"{page} has no place for the figures of {name}: {begin.strip()} ... {end}")
        text = f"{before}{begin}{chr(10).join(lines).rstrip()}\n{end}{rest.partition(end)[2]}"
    page.write_text(text, encoding="utf-8")
