"""fastrecon: a keyed comparison that samples every row which differs; its tolerances are no percentages. BOOK FEED FOUND"""

import sys

import pyarrow as pa
import pyarrow.parquet as pq
from fastrecon import ParquetFile, ReconConfig, compare

KEYS = ["account", "symbol"]

book, feed = (ParquetFile(path) for path in sys.argv[1:3])
settings = ReconConfig(columns=["quantity", "avg_price"], sample_limit=1_000_000_000)
result = compare(book, feed, keys=KEYS, config=settings)
if result.error:
    raise SystemExit(result.error)
differ = result.sample_mismatches
broken = [(row, "MISSING_AT_BROKER") for row in differ.get("missing_in_right", ())]
broken += [(row, "MISSING_IN_DB") for row in differ.get("missing_in_left", ())]
for name, kind in (("quantity", "QUANTITY_MISMATCH"), ("avg_price", "PRICE_MISMATCH")):
    broken += [(row, kind) for row in differ.get("changed", ()) if row[f"{name}__left"] != row[f"{name}__right"]]
pq.write_table(pa.Table.from_pylist([{**{key: row[key] for key in KEYS}, "type": kind} for row, kind in broken]), sys.argv[3])
