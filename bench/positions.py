"""Positions to reconcile, as Parquet files in one folder, and which breaks are planted in them: the same every time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

AS_OF = "2026-11-20 21:00:00Z"
PLANTED = ("MISSING_AT_BROKER", "MISSING_IN_DB", "QUANTITY_MISMATCH", "PRICE_MISMATCH", "STALE_POSITION")
ACCOUNT_SIZE = 10_000
PREFIX = "SEC"  # no future: of SYM2 and SYM42 nobody knows whether they are one (June of a year that ends in 2)


@dataclass(frozen=True)
class Shape:
    """What positions look like: ``rows`` of them, one in ten short, one in five a fraction.

    Of ``one_in`` positions one has a break of each type (0: none has); ``all_differ`` breaks the quantity of every position.
    ``accounts`` they are spread over (0: one for each ``ACCOUNT_SIZE``). The book has each as so many ``lots``.
    """

    rows: int
    one_in: int = 1000
    all_differ: bool = False
    accounts: int = 0
    lots: int = 1


def write(folder: Path, shape: Shape) -> None:
    """Write ``book.parquet``, ``feed.parquet`` (in another order) and ``planted.parquet`` (account, symbol, type)."""
    import duckdb

    folder.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")
    connection.execute(f"CREATE TABLE held AS {_held(shape)}")
    connection.execute(f"COPY ({_book(shape)}) TO '{folder}/book.parquet'")
    connection.execute(f"COPY ({_FEED}) TO '{folder}/feed.parquet'")
    connection.execute(f"COPY (SELECT account, symbol, type FROM held WHERE type IS NOT NULL) TO '{folder}/planted.parquet'")


def _held(shape: Shape) -> str:
    """SQL of the positions of both sides, each with the ``type`` of its break."""
    accounts = shape.accounts or max(shape.rows // ACCOUNT_SIZE, 1)
    cases = " ".join(f"WHEN {draw} THEN '{kind}'" for draw, kind in enumerate(PLANTED))
    drawn = f"CASE hash(i, 'break') % {shape.one_in} {cases} END" if shape.one_in else "CAST(NULL AS VARCHAR)"
    return f"""
        SELECT 'ACC' || lpad((i % {accounts})::VARCHAR, 6, '0') AS account, '{PREFIX}' || (i // {accounts}) AS symbol,
            (CASE WHEN i % 10 = 0 THEN -1 ELSE 1 END * (hash(i) % 10000 + 1 + CASE WHEN i % 5 = 1 THEN 0.125 ELSE 0 END))
                ::DECIMAL(18,6) AS quantity,
            ((hash(i * 7) % 100000) / 100.0 + 0.01)::DECIMAL(18,6) AS avg_price,
            {"'QUANTITY_MISMATCH'" if shape.all_differ else drawn} AS type
        FROM generate_series(0, {shape.rows} - 1) t(i)"""


def _book(shape: Shape) -> str:
    lots = f"unnest(range({shape.lots})) AS lot, " if shape.lots > 1 else ""
    first = f"CASE WHEN lot = 0 THEN quantity - sign(quantity) * {shape.lots - 1} ELSE sign(quantity) END::DECIMAL(18,6)"
    return f"""
        SELECT 'prime' AS broker, account, symbol, {first if lots else "quantity"} AS quantity, avg_price, 'USD' AS currency,
            TIMESTAMPTZ '{AS_OF}' - CASE type WHEN 'STALE_POSITION' THEN INTERVAL 30 HOUR ELSE INTERVAL 1 HOUR END AS updated_at
        FROM (SELECT {lots}* FROM held WHERE type IS DISTINCT FROM 'MISSING_IN_DB')"""


_FEED = """
    SELECT account, symbol,
        (CASE type WHEN 'QUANTITY_MISMATCH' THEN quantity + 5 * sign(quantity) ELSE quantity END)::DECIMAL(18,6) AS quantity,
        CASE type WHEN 'PRICE_MISMATCH' THEN avg_price * 1.05 ELSE avg_price END::DECIMAL(18,6) AS avg_price,
        avg_price AS market_price, 'USD' AS currency
    FROM held WHERE type IS DISTINCT FROM 'MISSING_AT_BROKER' ORDER BY hash(account, symbol, 'order')"""


def found_otherwise(folder: Path, found: str, types: tuple[str, ...]) -> str:
    """How what was ``found`` differs from what was planted of these types, in words; empty where it is the same.

    ``found`` is a Parquet file of (account, symbol, type), or a JSON file with the number of each type.
    """
    import duckdb

    connection = duckdb.connect()
    chosen = f"WHERE type IN ({', '.join(repr(name) for name in types)})"
    planted = f"SELECT account, symbol, type FROM '{folder}/planted.parquet' {chosen}"
    if found.endswith(".json"):
        counted = connection.execute(f"SELECT {', '.join(types)} FROM '{folder}/{found}'").fetchone()
        due = connection.execute(
            f"SELECT {', '.join(f'count(*) FILTER (type = {name!r})' for name in types)} FROM ({planted})"
        ).fetchone()
        return "" if counted == due else f"counted {counted} where {due} are"
    broken = f"SELECT account, symbol, type FROM '{folder}/{found}' {chosen}"
    missed, wrong = (
        connection.execute(f"SELECT count(*) FROM ({one} EXCEPT ALL {other})").fetchone()[0]
        for one, other in ((planted, broken), (broken, planted))
    )
    return f"missed {missed:,} breaks and found {wrong:,} that are none" if missed or wrong else ""
