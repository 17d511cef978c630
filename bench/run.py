"""Time and memory of the whole command, as ratios that hold on any machine: `make bench`, or `python bench/run.py --rows 1000000`.

Two questions, each against a floor measured in turn with it, so that a noisy machine is noisy for both:
how long does `recon-core run` take on N x N positions in Parquet, against a bare DuckDB full outer join of the same files;
and how long on fifty positions, against the bare imports. Every run is a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

IMPORTS = "import duckdb, yaml, jsonschema, click"
FLOOR = """
import duckdb, sys
print(duckdb.connect().execute(
    "SELECT count(*), count(b.quantity), count(f.quantity), count_if(b.quantity <> f.quantity) "
    f"FROM '{sys.argv[1]}' b FULL JOIN '{sys.argv[2]}' f ON b.account = f.account AND b.symbol = f.symbol").fetchone())
"""
CONFIG = """
version: 1
book: {file: book.parquet}
brokers:
  prime:
    adapter: statement
    unchanged: accept
    options: {path: feed.parquet, as_of: "2026-11-20T21:00:00Z"}
"""


@dataclass(frozen=True)
class Measured:
    """One run of a process: wall seconds, processor seconds, peak memory in MB."""

    wall: float
    processor: float
    memory: float


def main() -> None:
    """Measure, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000_000, help="positions a side")
    parser.add_argument("--times", type=int, default=5, help="runs of each, in turn")
    arguments = parser.parse_args()
    command = Path(sys.executable).with_name("recon-core")
    with tempfile.TemporaryDirectory(prefix="recon-bench-") as name:
        folder = Path(name)
        os.chdir(folder)
        Path("recon.yaml").write_text(CONFIG, encoding="utf-8")
        in_a_process(generate, 50)
        run = [str(command), "run", "--output", "out"]
        compare("50 positions, against the bare imports", run, [sys.executable, "-c", IMPORTS], max(arguments.times, 9))
        in_a_process(generate, arguments.rows)
        floor = [sys.executable, "-c", FLOOR, "book.parquet", "feed.parquet"]
        compare(f"{arguments.rows:,} x {arguments.rows:,} positions, against the bare join", run, floor, arguments.times)


def in_a_process(work: Callable[[int], None], rows: int) -> None:
    """Do the work elsewhere: a process that is started here is charged with the peak memory that this one had by then."""
    worker = multiprocessing.get_context("spawn").Process(target=work, args=(rows,))
    worker.start()
    worker.join()
    if worker.exitcode:
        raise SystemExit(f"{work.__name__} ended with {worker.exitcode}")


def generate(rows: int) -> None:
    """A book, and a feed in another order in which one position in a thousand is missing and one has another quantity."""
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    lot = "(hash(i) % 10000 + 1)::INTEGER"
    accounts = max(rows // 10_000, 1)
    connection.execute(
        f"""COPY (
            SELECT 'prime' AS broker, 'ACC' || lpad((i % {accounts})::VARCHAR, 6, '0') AS account,
                'SYM' || (i // {accounts}) AS symbol,
                (CASE WHEN i % 10 = 0 THEN -{lot} ELSE {lot} END)::DECIMAL(18,6) AS quantity,
                ((hash(i * 7) % 100000) / 100.0 + 0.01)::DECIMAL(18,6) AS avg_price, 'USD' AS currency,
                TIMESTAMPTZ '2026-11-20 20:00:00Z' AS updated_at
            FROM generate_series(0, {rows} - 1) t(i)) TO 'book.parquet'"""
    )
    draw = "hash(symbol || account) % 1000"
    connection.execute(
        f"""COPY (
            SELECT account, symbol, CASE WHEN {draw} = 1 THEN quantity + 5 ELSE quantity END::DECIMAL(18,6) AS quantity,
                avg_price, avg_price AS market_price, currency
            FROM 'book.parquet' WHERE {draw} <> 0 ORDER BY hash(symbol || account || 'x')) TO 'feed.parquet'"""
    )


def compare(title: str, command: Sequence[str], floor: Sequence[str], times: int) -> None:
    """Run both in turn, once unmeasured, and print the medians and the ratio of each pair."""
    measure(floor)
    measure(command)
    pairs = [(measure(command), measure(floor)) for _ in range(times)]
    ours, theirs = zip(*pairs, strict=True)
    print(f"\n{title} ({times} pairs)")
    for label, runs in (("recon-core run", ours), ("floor", theirs)):
        wall, processor, memory = (
            statistics.median(getattr(run, name) for run in runs) for name in ("wall", "processor", "memory")
        )
        print(f"  {label:16} {wall:7.2f} s wall  {processor:7.2f} s processor  {memory:7.0f} MB")
    for name in ("wall", "processor"):
        ratios = sorted(getattr(one, name) / getattr(other, name) for one, other in pairs)
        print(f"  ratio {name:10} {statistics.median(ratios):5.2f}  ({ratios[0]:.2f} to {ratios[-1]:.2f})")


def measure(command: Sequence[str]) -> Measured:
    """One run as a process of its own, by the operating system's own account of it."""
    silent = os.open(os.devnull, os.O_WRONLY)
    before = time.perf_counter()
    child = os.posix_spawn(command[0], list(command), os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, silent, 1)])
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - before
    os.close(silent)
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 3, 4, 10):
        raise SystemExit(f"{' '.join(command)} ended with {code}")
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


if __name__ == "__main__":
    main()
