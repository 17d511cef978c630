"""Control totals: what a broker states beside its positions, against what they add up to."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import duckdb

from recon_core.model import ControlTotal
from recon_core.sql import identifier, quoted
from recon_core.tables.mounting import Mounted
from recon_core.written_numbers import plain

SHOWN = 5
"""How many positions without a price are named."""


@dataclass(frozen=True, slots=True)
class CheckedTotal:
    """A control total beside what the positions add up to."""

    total: ControlTotal
    computed: Decimal | None
    ok: bool
    unpriced: tuple[str, ...] = ()
    """Symbols of positions without a price, for want of which the sum is not known; six at most."""


def checked_total(connection: duckdb.DuckDBPyConnection, mounted: Mounted, total: ControlTotal) -> CheckedTotal:
    """A stated total beside the sum of the mounted positions (of its account, where it is of one); unknown is not ok."""
    sums = {
        "rows": "count(*)::DECIMAL(38,0)",
        "quantity": "sum(quantity)",
        "market_value": "sum(exact_product(exact_product(quantity, market_price), coalesce(multiplier, 1)))",
    }
    where = f" WHERE account = {quoted(total.account)}" if total.account else ""
    priced = "quantity = 0 OR market_price IS NOT NULL" if total.kind == "market_value" else "true"
    row = connection.execute(
        f"SELECT CASE WHEN bool_and({priced}) THEN {sums[total.kind]} END, count(*) FROM {identifier(mounted.name)}{where}"
    ).fetchone() or (None, 0)
    computed = Decimal(0) if not row[1] else None if row[0] is None else Decimal(row[0])
    if computed is None:
        rows = f"FROM {identifier(mounted.name)}{where or ' WHERE true'} AND NOT ({priced})"
        bare = connection.execute(f"SELECT symbol {rows} ORDER BY symbol LIMIT {SHOWN + 1}").fetchall()
        return CheckedTotal(total, None, False, tuple(symbol for (symbol,) in bare))
    return CheckedTotal(total, computed, abs(computed - total.stated) <= total.tolerance)


def disagreement(entry: CheckedTotal) -> str:
    """What the broker states and what its positions add up to, in a sentence."""
    what = {"rows": "rows", "quantity": "quantity", "market_value": "market value"}[entry.total.kind]
    where = f" of account {entry.total.account}" if entry.total.account else ""
    source = f" ({entry.total.source})" if entry.total.source else ""
    stated = f"the broker states {what}{where} {plain(entry.total.stated)}{source}"
    if entry.unpriced:
        more = " and more" if len(entry.unpriced) > SHOWN else ""
        return f"{stated}, which cannot be compared: no price for {', '.join(entry.unpriced[:SHOWN])}{more}"
    return f"{stated}, its positions add up to {plain(entry.computed)}"
