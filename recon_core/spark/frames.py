"""What Spark reads, and how it is dealt out: the rows of both sides, each with the bucket of its account.

A Parquet file is read by the cluster as it is. Anything else (a database, a text file, what an API answered) is mounted in the
run's own DuckDB already, in canonical columns: it is written as Parquet where every machine can read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from recon_core.errors import EngineError
from recon_core.model import ParquetScan, Relation
from recon_core.pairs import Comparison, Source
from recon_core.spark.bucket import BOOK, FEEDS, SOURCE, Rows
from recon_core.sql import identifier, quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

BUCKET = "bucket"
_OWNER: tuple[str, ...] = ("broker", "account")
_SPACES = r"^\p{Zs}+|\p{Zs}+$"
"""What DuckDB's trim takes off, as a pattern of Java's."""


@dataclass(frozen=True, slots=True)
class _File:
    """A Parquet file of a source: by name the DuckDB types of the columns to be read, which of them are broker and account.

    What is no column is one and the same in every row, and stands in ``constants``.
    """

    path: str
    types: Mapping[str, str]
    columns: Mapping[str, str]
    constants: Mapping[str, str | None]


class Frames:
    """The two DataFrames of a comparison, dealt out to so many buckets, and the rows of each source in them."""

    def __init__(
        self, spark: SparkSession, connection: duckdb.DuckDBPyConnection, comparison: Comparison, buckets: int, folder: Path | None
    ) -> None:
        self._spark, self._connection, self._folder, self._buckets = spark, connection, folder, buckets
        self.rows: list[Rows] = []
        self._brokers = comparison.brokers
        book, *feeds = comparison.sources
        self.book = self._frame(0, book, {})
        slots: dict[tuple[str, str], str] = {}
        frames = [self._frame(place, feed, slots) for place, feed in enumerate(feeds, 1)]
        empty = spark.createDataFrame([], f"{BUCKET} int, {SOURCE} int")
        self.feeds: DataFrame = reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), frames or [empty])

    def _frame(self, place: int, source: Source, slots: dict[tuple[str, str], str]) -> DataFrame:
        """The rows of one source; columns of one name and type share one of ``slots`` with those of other sources."""
        from pyspark.sql import functions

        file, rows = self._readable(place, source)
        read = self._spark.read.parquet(f"file://{_escaped(file.path)}")
        if missing := [name for name in file.types if name not in read.columns]:
            raise EngineError(f"{file.path}: Spark finds no column {', '.join(missing)}, and DuckDB does; nothing was decided")
        own = {name: f"`{name.replace('`', '``')}`" for name in file.types}
        kinds = {field.name: field.dataType.simpleString() for field in read.schema.fields}
        chosen = {name: slots.setdefault((name, kinds[name]), f"c{len(slots)}") for name in file.types}
        columns = [functions.col(own[name]).alias(slot) for name, slot in chosen.items()]
        columns.append(functions.lit(place).alias(SOURCE))
        broker, account = (self._key(file, ours, source.mounted.padded) for ours in ("broker", "account"))
        broker = functions.lit(source.broker) if source.broker is not None else broker
        owner = functions.coalesce(_mapped(account, source.accounts), account, _by_broker(broker, source.unnamed))
        bucket = functions.pmod(functions.xxhash64(broker, owner), functions.lit(self._buckets)).cast("int")
        if source.broker is None:
            read = read.where(broker.isin(list(self._brokers)))
        table = BOOK if place == 0 else f"(FROM {FEEDS} WHERE {SOURCE} = {place})"
        types = {name: (chosen[name], kind) for name, kind in file.types.items()}
        self.rows.append(Rows(rows.name, table, types | dict(rows.columns), rows.views, source.owned))
        return read.select(*columns, bucket.alias(BUCKET))

    def _key(self, file: _File, ours: str, padded: bool) -> Column:
        """The broker or the account of a row, as the source calls it."""
        from pyspark.sql import functions

        theirs = file.columns.get(ours)
        if theirs is None:
            return functions.lit(file.constants.get(ours)).cast("string")
        text = functions.col(f"`{theirs.replace('`', '``')}`").cast("string")
        return functions.nullif(functions.regexp_replace(text, _SPACES, "") if padded else text, functions.lit(""))

    def _readable(self, place: int, source: Source) -> tuple[_File, Rows]:
        """The file that the cluster reads a source from; second, what its rows are called in a bucket, and the views over them."""
        mounted, scan = source.mounted, source.mounted.relation.parquet
        if scan is not None and mounted.relation.typed:
            name = f"source {place}"
            views = tuple((view, query.replace(scan.sql, identifier(name))) for view, query in mounted.views)
            types = self._types(scan)
            same = self._same(mounted.relation, types)
            read = {
                theirs: kind for theirs, kind in types.items() if identifier(theirs) in mounted.views[0][1] and theirs not in same
            }
            given = {theirs: (quoted(text), "VARCHAR") for theirs, text in same.items()}
            if "file_row_number" not in map(str.lower, types):
                given["file_row_number"] = ("0", "BIGINT")
            keys = {ours: theirs for ours in _OWNER if (theirs := mounted.relation.columns.get(ours)) and theirs not in same}
            constants = self._constants(mounted.views[0][0], [ours for ours in _OWNER if ours not in keys])
            return _File(str(Path(scan.path).absolute()), read, keys, constants), Rows(name, "", given, views, "")
        base = mounted.views[0][0] if mounted.relation.typed else mounted.name
        views = mounted.views[1:] if mounted.relation.typed else mounted.views
        path = self._written(place, base, source)
        found = self._connection.execute(f"DESCRIBE {identifier(base)}").fetchall()
        types = {str(row[0]): str(row[1]) for row in found if row[0] != "fault"}
        keys = {ours: ours for ours in _OWNER if ours in types}
        return _File(str(path), types, keys, {}), Rows(base, "", {}, views, "")

    def _same(self, relation: Relation, types: Mapping[str, str]) -> dict[str, str]:
        """Columns of a file that hold one text in every row, and that text: nothing of them need travel."""
        known = {relation.columns[ours]: text for ours, text in relation.constants.items() if ours in relation.columns}
        broker = relation.columns.get("broker", "")
        if types.get(broker) == "VARCHAR" and relation.parquet:
            each = f"min({identifier(broker)}), max({identifier(broker)}), count(*) = count({identifier(broker)})"
            (found,) = self._connection.execute(f"SELECT {each} FROM {relation.parquet.sql}").fetchall()
            if found[0] == found[1] and found[2] and found[0] is not None:
                known[broker] = found[0]
        return known

    def _types(self, scan: ParquetScan) -> dict[str, str]:
        """Of a file's own columns."""
        found = self._connection.execute(f"DESCRIBE SELECT * FROM {scan.sql}").fetchall()
        numbered = "file_row_number = true" in scan.sql
        return {str(row[0]): str(row[1]) for row in found if not (numbered and row[0] == "file_row_number")}

    def _constants(self, view: str, names: Sequence[str]) -> dict[str, str | None]:
        """What stands in every row in columns that the file does not have."""
        present = {str(row[0]) for row in self._connection.execute(f"DESCRIBE {identifier(view)}").fetchall()}
        asked = [name for name in names if name in present]
        if not asked:
            return {}
        found = self._connection.execute(f"SELECT {', '.join(asked)} FROM {identifier(view)} LIMIT 1").fetchone()
        return dict(zip(asked, found or [None] * len(asked), strict=True))

    def _written(self, place: int, view: str, source: Source) -> Path:
        """The rows of a source that the cluster cannot read by itself, in a file that it can. EngineError without a folder."""
        import pyarrow.parquet

        if self._folder is None:
            what = "the book" if source.broker is None else f"the feed of {source.broker}"
            raise EngineError(
                f"{what} is no Parquet file that the cluster could read: name under `spark: {{folder: ...}}` a folder that every "
                "machine sees, for a copy; nothing was compared"
            )
        path = self._folder / f"source-{place}.parquet"
        columns = "* EXCLUDE (fault)" if view == source.mounted.name else "*"
        reader = self._connection.sql(f"SELECT {columns} FROM {identifier(view)}").to_arrow_reader()
        with reader, pyarrow.parquet.ParquetWriter(path, reader.schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch)
        return path


def _mapped(account: Column, names: Mapping[str, str]) -> Column:
    from pyspark.sql import functions

    if not names:
        return account
    entries = [functions.lit(text) for pair in names.items() for text in pair]
    return functions.create_map(*entries)[account]


def _by_broker(broker: Column, names: Mapping[str, str]) -> Column:
    from pyspark.sql import functions

    different = set(names.values())
    return functions.lit(different.pop()) if len(different) == 1 else _mapped(broker, names)


def _escaped(path: str) -> str:
    """A path in which nothing is a pattern to Hadoop."""
    return "".join(f"\\{letter}" if letter in r"\*?[]{}," else letter for letter in path)
