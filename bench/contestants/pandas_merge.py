"""pandas: an outer merge with an indicator, exact decimals (Arrow's) and a filter for each type of break. BOOK FEED FOUND"""

import sys
from decimal import Decimal

import pandas as pd

KEYS = ["account", "symbol"]

book, feed = (pd.read_parquet(path, columns=[*KEYS, "quantity", "avg_price"], dtype_backend="pyarrow") for path in sys.argv[1:3])
pairs = book.merge(feed, on=KEYS, how="outer", suffixes=("_book", "_broker"), indicator=True)
both = pairs["_merge"] == "both"
apart = (pairs["avg_price_book"] - pairs["avg_price_broker"]).abs() > pairs["avg_price_broker"].abs() * Decimal("0.01")
broken = {
    "MISSING_AT_BROKER": pairs["_merge"] == "left_only",
    "MISSING_IN_DB": pairs["_merge"] == "right_only",
    "QUANTITY_MISMATCH": both & (pairs["quantity_book"] != pairs["quantity_broker"]),
    "PRICE_MISMATCH": both & apart,
}
pd.concat([pairs.loc[where.fillna(False), KEYS].assign(type=kind) for kind, where in broken.items()]).to_parquet(sys.argv[3])
