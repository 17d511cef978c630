"""Polars: a full join with its streaming engine, all types of breaks in one expression. BOOK FEED FOUND"""

import sys

import polars as pl

KEYS = ["account", "symbol"]

book, feed = (pl.scan_parquet(path).select(*KEYS, "quantity", "avg_price") for path in sys.argv[1:3])
pairs = book.join(feed, on=KEYS, how="full", coalesce=True, suffix="_broker")
apart = (pl.col("avg_price") - pl.col("avg_price_broker")).abs() * 100 > pl.col("avg_price_broker").abs()
kind = (
    pl.when(pl.col("quantity_broker").is_null()).then(pl.lit("MISSING_AT_BROKER"))
    .when(pl.col("quantity").is_null()).then(pl.lit("MISSING_IN_DB"))
    .when(pl.col("quantity") != pl.col("quantity_broker")).then(pl.lit("QUANTITY_MISMATCH"))
    .when(apart).then(pl.lit("PRICE_MISMATCH"))
)  # fmt: skip
broken = pairs.select(*KEYS, kind.alias("type")).filter(pl.col("type").is_not_null())
broken.collect(engine="streaming").write_parquet(sys.argv[3])
