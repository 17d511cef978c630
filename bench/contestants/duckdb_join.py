"""The floor: one bare full outer join in DuckDB that counts what differs and does nothing with it. BOOK FEED [LOTS]"""

import json
import sys

import duckdb

book, feed, *lots = sys.argv[1:]
held = f"(SELECT account, symbol, sum(quantity) AS quantity FROM '{book}' GROUP BY ALL)" if lots else f"'{book}'"
counted = (
    duckdb.connect()
    .execute(
        f"""SELECT count(*) - count(f.quantity), count(*) - count(b.quantity), count_if(b.quantity <> f.quantity)
            FROM {held} b FULL JOIN '{feed}' f ON b.account = f.account AND b.symbol = f.symbol"""
    )
    .fetchone()
)
print(json.dumps(dict(zip(("MISSING_AT_BROKER", "MISSING_IN_DB", "QUANTITY_MISMATCH"), counted, strict=True))))
