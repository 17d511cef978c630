"""One bucket of whole accounts, judged in a worker: Arrow tables in, what is broken and what was counted out.

Nothing here knows Spark: a bucket is a function of its task and its rows.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from recon_core.config.policy import Policy
from recon_core.config.settings import LimitSettings
from recon_core.engine import connect
from recon_core.errors import EngineError, PluginError, ReconError
from recon_core.host import Plugin, load_host
from recon_core.pairs import Comparison
from recon_core.scan import Scan, scan
from recon_core.sql import identifier

if TYPE_CHECKING:
    import pyarrow

BOOK, FEEDS = "bucket_of_book", "bucket_of_feeds"
"""What the two Arrow tables of a bucket are called in its DuckDB."""
SOURCE = "source"
"""The column of ``FEEDS`` that says which feed a row is of: its place among the task's sources."""
RESULT = {"counts": "string", "rows": "binary"}
"""What a bucket returns, by Spark's types: one row of ``Counts`` as JSON, beside it an Arrow stream of what is broken."""


@lru_cache(maxsize=1)
def core_sha256() -> str:
    """The sha256 of the core's own modules by their names: one release may have been changed by hand on one machine."""
    root = Path(__file__).parents[1]
    files = {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*.py")}
    return hashlib.sha256("\n".join(f"{name} {digest}" for name, digest in sorted(files.items())).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Runtime:
    """What must be the same in every process of a run: plugins (name, origin, sha256), the core, and the engine that judges."""

    plugins: tuple[tuple[str, str, str], ...]
    drop_ins: str | None
    disabled: tuple[str, ...]
    engine: str = duckdb.__version__
    core: str = field(default_factory=core_sha256)

    @classmethod
    def of(cls, plugins: Sequence[Plugin], drop_ins: Path | None, disabled: Sequence[str]) -> Runtime:
        """Of the plugins that a process has loaded."""
        told = tuple((plugin.name, plugin.origin, plugin.sha256) for plugin in plugins)
        return cls(told, str(drop_ins.absolute()) if drop_ins else None, tuple(disabled))


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one source as they come in a bucket, and what is made of them there.

    ``table`` is the Arrow table that they come in; ``columns`` are, by the name that ``views`` read them by, the column there and
    the DuckDB type. ``name`` is the view that gives them so, ``owned`` SQL of broker and account of each that is compared.
    """

    name: str
    table: str
    columns: Mapping[str, tuple[str, str]]
    views: tuple[tuple[str, str], ...]
    owned: str


@dataclass(frozen=True, slots=True)
class Task:
    """All that a bucket is to know beside its rows.

    ``number`` tells one job from the next; ``summed`` says that rows are added up, ``tables`` are further ones that views read.
    """

    number: str
    runtime: Runtime
    limits: LimitSettings
    comparison: Comparison
    policy: Policy
    sources: tuple[Rows, ...]
    tables: Mapping[str, pyarrow.Table]
    summed: bool
    by_hash: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """What a bucket counted: as ``Scan`` does, accounts, and the compared rows of each source. ``trouble``: why it did not."""

    scan: Mapping[str, Any] = field(default_factory=dict)
    accounts: int = 0
    rows: tuple[int, ...] = ()
    trouble: tuple[str, str] | None = None


def judge(task: Task, _: object, book: pyarrow.Table, feeds: pyarrow.Table) -> pyarrow.Table:
    """Judge the rows of one bucket. What goes wrong in a way that no other try would mend is told, not raised."""
    import pyarrow

    try:
        _refuse_another(task.number, task.runtime)
        counts, found = _judged(task, book, feeds)
    except ReconError as error:
        counts, found = Counts(trouble=(type(error).__name__, str(error))), b""
    columns = {"counts": pyarrow.array([json.dumps(asdict(counts))], pyarrow.string()), "rows": [found]}
    return pyarrow.table(columns, schema=pyarrow.schema([("counts", pyarrow.string()), ("rows", pyarrow.binary())]))


@lru_cache(maxsize=1)
def _refuse_another(number: str, runtime: Runtime) -> None:
    """Load the plugins as this machine has them. Raises PluginError where they are not those of the run, EngineError for DuckDB."""
    where = f"a Spark worker on {platform.node()}"
    if duckdb.__version__ != runtime.engine:
        raise EngineError(f"{where} has DuckDB {duckdb.__version__}, and the run {runtime.engine}: install the same there")
    if core_sha256() != runtime.core:
        raise EngineError(f"{where} has another recon-core than the run: install the same there; nothing was compared")
    folder = Path(runtime.drop_ins) if runtime.drop_ins else None
    here = Runtime.of(load_host(folder, runtime.disabled).plugins, folder, runtime.disabled)
    if differing := sorted({plugin[0] for plugin in set(runtime.plugins) ^ set(here.plugins)}):
        raise PluginError(f"{where} has other plugins than the run: {', '.join(differing)}; nothing was compared")


def _judged(task: Task, book: pyarrow.Table, feeds: pyarrow.Table) -> tuple[Counts, bytes]:
    with connect(task.limits) as connection:
        for name, table in {BOOK: book, FEEDS: feeds, **task.tables}.items():
            connection.register(name, table)
        for source in task.sources:
            _mount(connection, source)
        owned = [source.owned for source in task.sources]
        rows = tuple(count(connection, each) for each in owned)
        sides = None if task.summed else (rows[0], sum(rows[1:]))
        found = scan(connection, task.comparison, task.policy, sides, by_hash=task.by_hash)
        accounts = count(connection, " UNION ".join(owned))
        return Counts(asdict(found), accounts, rows), _stream(connection)


def count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    """How many rows a query returns."""
    ((found,),) = connection.execute(f"SELECT count(*) FROM ({query})").fetchall()  # all: or nothing can be registered after it
    return int(found)


def total(scans: Sequence[Scan]) -> Scan:
    """What several scans counted together."""
    return Scan(
        pairs=sum(each.pairs for each in scans),
        in_book=sum(each.in_book for each in scans),
        at_broker=sum(each.at_broker for each in scans),
        unproven=sum(each.unproven for each in scans),
        undetermined={name: sum(each.undetermined[name] for each in scans) for name in scans[0].undetermined},
        duplicates=any(each.duplicates for each in scans),
    )


def _mount(connection: duckdb.DuckDBPyConnection, source: Rows) -> None:
    chosen = ", ".join(f"CAST({column} AS {kind}) AS {identifier(name)}" for name, (column, kind) in source.columns.items())
    connection.execute(f"CREATE TEMP VIEW {identifier(source.name)} AS SELECT {chosen} FROM {source.table}")
    for name, query in source.views:
        connection.execute(f"CREATE TEMP VIEW {identifier(name)} AS {query}")


def _stream(connection: duckdb.DuckDBPyConnection) -> bytes:
    """The ``hits`` as a compressed Arrow stream; b'' where there are none."""
    import pyarrow

    if not count(connection, "FROM hits"):
        return b""
    sink = pyarrow.BufferOutputStream()
    options = pyarrow.ipc.IpcWriteOptions(compression="zstd")
    reader = connection.table("hits").to_arrow_reader()
    with reader, pyarrow.ipc.new_stream(sink, reader.schema, options=options) as writer:
        for batch in reader:
            writer.write_batch(batch)
    return bytes(sink.getvalue())
