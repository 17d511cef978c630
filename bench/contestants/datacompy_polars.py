"""datacompy on Polars: compares the frames, and is asked for the rows that differ. BOOK FEED FOUND"""

import sys

import polars as pl
from datacompy import PolarsCompare

KEYS = ["account", "symbol"]

book, feed = (pl.read_parquet(path, columns=[*KEYS, "quantity", "avg_price"]) for path in sys.argv[1:3])
compared = PolarsCompare(book, feed, join_columns=KEYS, rel_tol={"avg_price": 0.01, "default": 0.0})
broken = {
    "MISSING_AT_BROKER": compared.df1_unq_rows,
    "MISSING_IN_DB": compared.df2_unq_rows,
    "QUANTITY_MISMATCH": compared.intersect_rows.filter(~pl.col("quantity_match")),
    "PRICE_MISMATCH": compared.intersect_rows.filter(~pl.col("avg_price_match")),
}
pl.concat([rows.select(*KEYS, pl.lit(kind).alias("type")) for kind, rows in broken.items()]).write_parquet(sys.argv[3])
