"""The kernel of a run with ``--engine spark``: deals out whole accounts to the cluster, and gathers what their buckets found."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import duckdb

from recon_core import errors
from recon_core.config.policy import Policy
from recon_core.config.settings import LimitSettings, SparkSettings
from recon_core.errors import EngineError
from recon_core.pairs import Comparison, Side
from recon_core.scan import Scan, scan
from recon_core.scratch import scratch_folder
from recon_core.spark.bucket import RESULT, Counts, Runtime, Task, count, judge, total
from recon_core.spark.frames import BUCKET, Frames
from recon_core.spark.session import in_our_words, session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LEAST = 10_000
"""A bucket of fewer positions than this is not worth a task of its own."""


@contextmanager
def spark_kernel(settings: SparkSettings, limits: LimitSettings, runtime: Runtime) -> Iterator[SparkKernel]:
    """A kernel for one run. The cluster is asked for when there is something to judge, and let go afterwards."""
    with ExitStack() as stack:
        yield SparkKernel(settings, limits, runtime, stack)


class SparkKernel:
    """Judges pairs on a cluster: what ``kernel.Kernel`` describes."""

    def __init__(self, settings: SparkSettings, limits: LimitSettings, runtime: Runtime, stack: ExitStack) -> None:
        self._settings, self._limits, self._runtime, self._stack = settings, limits, runtime, stack
        self._local = settings.master.startswith("local")
        self._session: SparkSession | None = None

    def scan(
        self,
        connection: duckdb.DuckDBPyConnection,
        comparison: Comparison,
        policy: Policy,
        rows: tuple[int, int] | None,
        *,
        by_hash: bool,
    ) -> Scan:
        """Every pair judged, and ``hits``. Raises EngineError unless each row was judged once, among all rows of its account."""
        nothing = scan(connection, _of_nothing(comparison), policy, None)
        with in_our_words(self._settings):
            counted = self._judged(connection, comparison, policy, summed=rows is None, by_hash=by_hash)
        return total([nothing, *(Scan(**counts.scan) for counts in counted)])

    def _judged(
        self, connection: duckdb.DuckDBPyConnection, comparison: Comparison, policy: Policy, *, summed: bool, by_hash: bool
    ) -> list[Counts]:
        """What the buckets counted; the rows that they found are added to ``hits``, which is there."""
        spark = self._spark()
        buckets = self._buckets(sum(source.positions for source in comparison.sources), spark.sparkContext.defaultParallelism)
        spark.conf.set("spark.sql.shuffle.partitions", str(buckets))
        frames = Frames(spark, connection, comparison, buckets, self._folder())
        task = Task(
            number=secrets.token_hex(8),
            runtime=self._runtime,
            limits=replace(self._limits, threads=1, temp_dir=self._limits.temp_dir if self._local else None),
            comparison=replace(comparison, sources=()),
            policy=policy,
            sources=tuple(frames.rows),
            tables=_tables(connection, comparison),
            summed=summed,
            by_hash=by_hash,
        )
        schema = ", ".join(f"{name} {kind}" for name, kind in RESULT.items())
        together = frames.book.groupBy(BUCKET).cogroup(frames.feeds.groupBy(BUCKET))
        found = together.applyInArrow(partial(judge, task), schema).toArrow()
        counted = [_counts(text) for text in found.column("counts").to_pylist()]
        _check(connection, comparison, counted)
        for stream in found.column("rows"):
            _load(connection, stream.as_buffer())
        return counted

    def _spark(self) -> SparkSession:
        if self._session is None:
            self._session = self._stack.enter_context(session(self._settings))
        return self._session

    def _folder(self) -> Path | None:
        """Where copies of what is no Parquet file go."""
        parent = self._settings.folder or (scratch_folder(self._limits.temp_dir) if self._local else None)
        if parent is None:
            return None
        made = TemporaryDirectory(prefix="recon-core-", dir=parent, ignore_cleanup_errors=True)
        return Path(self._stack.enter_context(made))

    def _buckets(self, positions: int, parallelism: int) -> int:
        wanted = -(-positions // self._settings.positions_per_bucket)
        return max(1, wanted, min(parallelism, positions // LEAST))


def _of_nothing(comparison: Comparison) -> Comparison:
    """The same comparison without any row: what is made of it has the right columns."""

    def empty(side: Side) -> Side:
        return replace(side, query=f"SELECT * FROM ({side.query}) WHERE false")

    return replace(comparison, book=empty(comparison.book), feeds=empty(comparison.feeds))


def _tables(connection: duckdb.DuckDBPyConnection, comparison: Comparison) -> dict[str, Any]:
    """The temporary tables that views of the sources read, as Arrow tables by name."""
    names = {name for source in comparison.sources for name in source.mounted.tables}
    return {name: connection.table(name).to_arrow_table() for name in sorted(names)}


def _counts(text: str) -> Counts:
    """What a bucket counted. Raises what it told of."""
    told: Mapping[str, Any] = json.loads(text)
    if told["trouble"]:
        kind, message = told["trouble"]
        raise getattr(errors, kind, EngineError)(message)
    return Counts(told["scan"], told["accounts"], tuple(told["rows"]))


def _check(connection: duckdb.DuckDBPyConnection, comparison: Comparison, counted: list[Counts]) -> None:
    """Raise EngineError unless the buckets had every row that this process counted, once, and no account lay in two of them."""
    owned = [source.owned for source in comparison.sources]
    for place, source in enumerate(comparison.sources):
        if (judged := sum(counts.rows[place] for counts in counted)) != source.positions:
            what = "the book" if source.broker is None else f"the feed of {source.broker}"
            raise EngineError(
                f"the cluster judged {judged:,} rows of {what}, and there are {source.positions:,}: nothing was decided"
            )
    accounts = count(connection, " UNION ".join(owned))
    if (parts := sum(counts.accounts for counts in counted)) != accounts:
        raise EngineError(f"{accounts:,} accounts came as {parts:,} to the cluster: one was torn apart, nothing was decided")


def _load(connection: duckdb.DuckDBPyConnection, stream: Any) -> None:
    """Add the rows of an Arrow stream to ``hits``, which has the same columns."""
    import pyarrow

    if stream.size:
        with pyarrow.ipc.open_stream(stream) as reader:
            connection.register("came", reader.read_all())
        connection.execute("INSERT INTO hits BY NAME FROM came")
        connection.unregister("came")
