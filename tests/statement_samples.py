"""Statement files and the adapter on them, mounted as a run mounts them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from recon_core.brokers import Broker
from recon_core.engine import connect
from recon_core.host import load_host
from recon_core.model import Ask, Feed
from recon_core.tables.faults import FAULT_BITS
from recon_core.tables.mounting import Mounted, mount

NOW = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
AS_OF = "2026-11-20T21:00:00Z"

Statement = Callable[..., Feed]


def adapter(folder: Path, **options: Any) -> Broker:
    """The adapter with ``options``, its other ones at their defaults."""
    made = load_host().brokers["statement"]
    settings = {name: schema.get("default") for name, schema in made.options.items()} | options
    return made("prime", settings=settings, secret=lambda name: "", folder=folder, clock=lambda: NOW)


def feed_of(folder: Path, content: bytes | str, *, name: str = "statement.csv", ask: Ask | None = None, **options: Any) -> Feed:
    """What the adapter makes of a file with this content."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    answer = adapter(folder, **{"path": name, "as_of": AS_OF, **options}).positions(ask or Ask())
    assert isinstance(answer, Feed)
    return answer


@contextmanager
def mounted(feed: Feed) -> Iterator[tuple[duckdb.DuckDBPyConnection, Mounted]]:
    """The feed as the view ``feed``."""
    assert feed.relation is not None
    with connect() as connection:
        yield connection, mount(connection, "feed", feed.relation, book=False)


def rows(feed: Feed, columns: str = "symbol, quantity") -> list[tuple[Any, ...]]:
    """The rows of a feed that has no fault, in the file's order; numbers without trailing zeros."""
    with mounted(feed) as (connection, source):
        assert source.describe_faults(connection) == []
        found = connection.execute(f"SELECT {columns} FROM feed").fetchall()
    return [tuple(plain(value) for value in row) for row in found]


def faults(feed: Feed) -> list[str]:
    """What is wrong with the rows of a feed."""
    with mounted(feed) as (connection, source):
        described = source.describe_faults(connection)
        faulty = connection.execute(f"SELECT count(*) FROM feed WHERE fault & {FAULT_BITS} <> 0").fetchone()
        assert bool(described) == (faulty != (0,))
    return described


def plain(value: Any) -> Any:
    """A number as a person writes it."""
    if not isinstance(value, Decimal):
        return value
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def csv(*lines: str, header: str = "symbol,quantity") -> str:
    """A CSV file."""
    return "\n".join((header, *lines)) + "\n"


Options = Mapping[str, Any]
