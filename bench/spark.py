"""The Spark kernel against the same join in Spark SQL: `python bench/spark.py --rows 10000000`; needs Java and the extra `spark`.

Both in one session on this machine, in turn, on the same two Parquet files; the first pair is not counted. Spark SQL only joins,
and collects the pairs that differ in quantity or stand on one side; the kernel runs every rule of the policy.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measure import elsewhere
from positions import AS_OF, Shape, write
from pyspark.sql import SparkSession

from recon_core.config.load import load_configuration
from recon_core.config.settings import LimitSettings, SparkSettings
from recon_core.engine import connect
from recon_core.host import load_host
from recon_core.recall import Known
from recon_core.reconcile import Request, reconcile
from recon_core.spark.bucket import Runtime
from recon_core.spark.kernel import SparkKernel, spark_kernel
from recon_core.spark.session import session

CONFIG = f"""
version: 1
book: {{file: book.parquet}}
brokers:
  prime:
    adapter: statement
    unchanged: accept
    options: {{path: feed.parquet, as_of: "{AS_OF}"}}
"""
SQL = """
SELECT coalesce(b.account, f.account) AS account, coalesce(b.symbol, f.symbol) AS symbol, b.quantity AS ours, f.quantity AS theirs
FROM book b FULL JOIN feed f ON b.account = f.account AND b.symbol = f.symbol
WHERE b.quantity IS NULL OR f.quantity IS NULL OR b.quantity <> f.quantity
"""


class Timed:
    """A kernel, and how many seconds its scans took."""

    def __init__(self, kernel: SparkKernel) -> None:
        self._kernel, self.seconds = kernel, 0.0

    def scan(self, *arguments: Any, **named: Any) -> Any:
        """What the kernel finds."""
        with timed() as took:
            found = self._kernel.scan(*arguments, **named)
        self.seconds += took[0]
        return found


def main() -> None:
    """Measure, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000_000, help="positions a side")
    parser.add_argument("--times", type=int, default=3, help="pairs of runs")
    parser.add_argument("--master", default="local[2]", help="the cluster")
    parser.add_argument("--positions", type=int, default=SparkSettings("").positions_per_bucket, help="positions per bucket")
    parser.add_argument("--memory", default="4g", help="of the driver, which in local mode is the whole cluster")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recon-bench-") as name:
        os.chdir(name)
        Path("recon.yaml").write_text(CONFIG, encoding="utf-8")
        elsewhere(write, Path(name), Shape(arguments.rows))
        conf = {"spark.driver.memory": arguments.memory}
        settings = SparkSettings(arguments.master, conf, positions_per_bucket=arguments.positions)
        with session(settings) as spark:
            pairs = [(kernel(settings), joined(spark)) for _ in range(arguments.times + 1)][1:]
    whole, scans, joins = ([*column] for column in zip(*((*ours, theirs) for ours, theirs in pairs), strict=True))
    print(f"{arguments.rows:,} x {arguments.rows:,} positions on {arguments.master}, {arguments.positions:,} positions per bucket")
    for label, seconds in (("whole verdict", whole), ("  of it the kernel", scans), ("join in Spark SQL", joins)):
        print(f"  {label:20} {statistics.median(seconds):7.1f} s  ({min(seconds):.1f} to {max(seconds):.1f})")
    print(f"  kernel / Spark SQL   {statistics.median(ours / theirs for ours, theirs in zip(scans, joins, strict=True)):7.2f}")


@contextmanager
def timed() -> Iterator[list[float]]:
    """The seconds that the block took, once it is over."""
    took = [time.perf_counter()]
    yield took
    took[0] = time.perf_counter() - took[0]


def kernel(settings: SparkSettings) -> tuple[float, float]:
    """The seconds of a verdict, and of the kernel in it."""
    configuration = load_configuration("recon.yaml", load_host)
    runtime = Runtime.of(configuration.host.plugins, None, ())
    with timed() as took, connect() as connection, spark_kernel(settings, LimitSettings(), runtime) as made:
        judge = Timed(made)
        reconcile(connection, configuration, Request(), clock=lambda: datetime.now(UTC), known=Known(), output=None, kernel=judge)
    return took[0], judge.seconds


def joined(spark: SparkSession) -> float:
    """The seconds of the same join in Spark SQL."""
    with timed() as took:
        for side in ("book", "feed"):
            spark.read.parquet(str(Path(f"{side}.parquet").absolute())).createOrReplaceTempView(side)
        spark.sql(SQL).toArrow()
    return took[0]


if __name__ == "__main__":
    main()
