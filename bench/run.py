"""Time and memory of whole runs, each a process of its own: against others, and where it could be slow. `make bench`.

All that is compared takes turns, so that the ratios hold on any machine, and on a noisy one. See docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from report import circumstances, tables, write
from scenes import BENCH, CONTESTANTS, OTHERS, SCENES, Scale
from turns import Outcome, names, take_turns

SHORT_RUNS = 15
QUICK = Scale(sizes=(10_000, 100_000), positions=100_000, pairs=(100, 10_000))


def main() -> None:
    """Measure what is asked for, print it, and write it to a page where one is named."""
    asked = _arguments()
    scale = QUICK if asked.quick else Scale()
    sizes, contestants = asked.sizes or scale.sizes, asked.against if asked.against is not None else scale.contestants
    if contestants and not OTHERS.exists():
        print("only recon-core is measured: `make bench/.venv/.ready` installs the others", file=sys.stderr)
        contestants = ()
    scale = Scale(sizes, asked.positions or scale.positions, scale.pairs, contestants)
    said = circumstances(asked.times, OTHERS.parents[1])
    print(said)
    for name in asked.only or SCENES:
        outcomes = _measured(name, scale, asked.times, asked.seconds)
        lines = list(tables(outcomes))
        print(f"\n{name}\n", *lines, sep="\n", flush=True)
        if asked.page:
            write(asked.page, {name: [*lines, said]})
            if name == "contest" and OTHERS.exists():
                _draw(outcomes, asked.page.with_name("performance.svg"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=SCENES, help="these scenes")
    parser.add_argument("--against", nargs="*", choices=CONTESTANTS, help="these contestants beside the bare join")
    parser.add_argument("--sizes", nargs="+", type=int, help="positions a side in the contest")
    parser.add_argument("--positions", type=int, help="positions a side in the other scenes")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--times", type=int, default=5, help="runs of each")
    parser.add_argument("--seconds", type=float, default=600, help="what takes longer is left out")
    parser.add_argument("--page", type=Path, help="write the tables between the marks of this page, and the plot beside it")
    return parser.parse_args()


def _measured(name: str, scale: Scale, times: int, seconds: float) -> list[Outcome]:
    def say(what: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[K{name}: {what}", end="", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="recon-bench-") as folder:
        groups = SCENES[name](Path(folder), scale)
        outcomes = [take_turns(group, max(times, SHORT_RUNS) if group.short else times, seconds, say) for group in groups]
    say("")
    return outcomes


def _draw(outcomes: Sequence[Outcome], path: Path) -> None:
    """The plot, drawn by a library that the project itself does without."""
    points = {
        figure: {
            name: [
                (int(outcome.group.title.partition(" ")[0].replace(",", "")), outcome.median(name, figure))
                for outcome in outcomes
                if name in outcome.runs
            ]
            for name in names(outcomes)
        }
        for figure in ("wall", "memory")
    }
    subprocess.run([OTHERS, BENCH / "plot.py", path], input=json.dumps(points), text=True, check=True)


if __name__ == "__main__":
    main()
