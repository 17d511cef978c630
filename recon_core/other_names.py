"""One position under another name than before: its episode goes on although the name that it had is gone from book and broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import duckdb

from recon_core.pairs import Comparison, derived, joined, narrowed
from recon_core.state.lifecycle import OpenBreak, Position, Seen
from recon_core.state.names import Names
from recon_core.symbols import cusip_of, isin_of


class OtherNames:
    """What each position is called otherwise, from the pairs of ``names`` that runs found."""

    def __init__(self, names: Iterable[Names]) -> None:
        self._others: dict[tuple[str, str, str], dict[str, Names]] = {}
        for pair in names:
            for one, other in ((pair.ours, pair.theirs), (pair.theirs, pair.ours)):
                self._others.setdefault((pair.broker, pair.account, one), {})[other] = pair

    @property
    def positions(self) -> set[tuple[str, str, str]]:
        """What has another name: broker, account, symbol."""
        return set(self._others)

    def each(self, entry: OpenBreak) -> Iterator[OpenBreak]:
        """A break under its own name, and under every other one of its position."""
        yield entry
        for other in self._others.get((entry.broker, entry.account, entry.symbol), ()):
            yield entry._replace(symbol=other)

    def continued(
        self, connection: duckdb.DuckDBPyConnection, comparison: Comparison, seen: Sequence[Seen]
    ) -> dict[Position, Position]:
        """Positions that a run found broken (the table ``breaks``), each with the same one under the name that it had before.

        Only where that name is on neither side of the comparison, so that nothing else can be meant, no identifier says that it
        is another instrument, and one name leads to one other.
        """
        asked = [
            (*entry[1:5], other, pair.isin, pair.cusip)
            for entry in seen
            for other, pair in self._others.get(entry[1:4], {}).items()
        ]
        if not asked:
            return {}
        columns = ("broker", "account", "now", "leg", "symbol", "isin", "cusip")
        unnested = ", ".join(f"unnest(CAST(? AS VARCHAR[])) AS {name}" for name in columns)
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE former AS SELECT {unnested}", [list(column) for column in zip(*asked, strict=True)]
        )
        narrow = narrowed(comparison, "former")
        rows = connection.execute(
            f"""SELECT DISTINCT f.broker, f.account, now, f.leg, f.symbol, f.isin, f.cusip, b.isin, b.cusip
                FROM former f JOIN full_breaks b ON (b.broker, b.account, b.symbol, b.leg) = (f.broker, f.account, now, f.leg)
                WHERE (f.broker, f.account, f.symbol, f.leg) NOT IN (
                    SELECT (broker, account, symbol, leg) FROM ({derived(narrow, joined(narrow))}))"""
        ).fetchall()
        found = [
            ((broker, account, now, leg), (broker, account, before, leg))
            for broker, account, now, leg, before, isin, cusip, *given in rows
            if not _contradict(isin, isin_of(given[0])) and not _contradict(cusip, cusip_of(*given))
        ]
        times = Counter(position for pair in found for position in pair)
        return {now: before for now, before in found if times[now] == times[before] == 1}


def _contradict(one: str | None, other: str | None) -> bool:
    return bool(one and other and one != other)
