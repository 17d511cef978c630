"""Why quantities differ, asked for in a run: the broken positions, what their brokers say happened, and what that explains.

Nothing is asked where nothing is broken, nor of a broker that tells only what is held. What goes wrong here leaves positions
unexplained, and says so: it makes no feed worse.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb

from recon_core import log
from recon_core.book import Book
from recon_core.collect import Make, tells
from recon_core.columns import EXPLAINED_COLUMNS, KEY_COLUMNS
from recon_core.config.settings import ExplainSettings
from recon_core.errors import StateError
from recon_core.evidence import Fill
from recon_core.feeds import ProvenFeed
from recon_core.pairs import Comparison
from recon_core.redaction import redacted
from recon_core.state.agreements import Agreements
from recon_core.state.lifecycle import Position

if TYPE_CHECKING:  # what explains is loaded where something is broken
    from recon_core.explanation import Difference, Explanation, Key, Proposal
    from recon_core.inquiry import Fills, Own
    from recon_core.lots import Method

Agreed = Callable[[Collection[Position], datetime], Agreements]
"""What earlier runs know of some positions, at a time."""


@dataclass(frozen=True, slots=True)
class Explained:
    """Why positions differ. ``feeds`` are those of the run, with what their brokers told, ``began`` since when they differ.

    ``fills`` are the book's own by broker, where they are configured.
    """

    feeds: list[ProvenFeed]
    differences: Mapping[Key, Difference] = field(default_factory=dict)
    explanations: Mapping[Key, Explanation] = field(default_factory=dict)
    began: Mapping[Key, datetime] = field(default_factory=dict)
    fills: Fills | None = None
    warnings: tuple[str, ...] = ()

    def of(self, breaks: Iterable[Mapping[str, Any]]) -> dict[Key, Explanation]:
        """The explanations of those breaks whose quantities differ, both sides proven: of what was not looked into, why."""
        found: dict[Key, Explanation] = {}
        for entry in breaks:
            if residual := Decimal(entry["quantity_difference"] or 0):
                key = (entry["broker"], entry["account"], entry["symbol"], entry["leg"])
                found[key] = self.explanations.get(key) or _unexplained(residual, self._untold(key[0]))
        return found

    def proposals(self, keys: Iterable[Key], *, method: Method, book_lots: bool, as_of: datetime) -> dict[Key, Proposal]:
        """What would mend the book at those positions that are explained."""
        if not self.explanations:
            return {}
        from recon_core.propose import propose

        netted = {feed.alias for feed in self.feeds if feed.answer.settings.legs == "net"}
        own = self._own_fills()
        found = {}
        for key in keys:
            if key in self.differences and key in self.explanations:
                try:
                    proposal = propose(
                        self.differences[key],
                        self.explanations[key],
                        method=method,
                        fills=own.get(key),
                        lots=book_lots or key[0] in netted,
                        episode_first_seen=self.began.get(key),
                        as_of=as_of,
                    )
                except (ArithmeticError, ValueError) as error:  # figures of no market: no reason to decide nothing
                    log.error(f"no correction of {' '.join(key)} can be proposed: {type(error).__name__}")
                    continue
                if proposal is not None:
                    found[key] = proposal
        return found

    def _own_fills(self) -> dict[Key, list[Fill]]:
        """The book's own fills of each position; of one that is kept in legs they do not say which leg they changed."""
        found: dict[Key, list[Fill]] = {}
        accounts = {feed.alias: feed.accounts[0] for feed in self.feeds if len(feed.accounts) == 1}
        for broker, fills in (self.fills or {}).items():
            for fill in fills:
                found.setdefault((broker, fill.account or accounts.get(broker, ""), fill.symbol, "NET"), []).append(fill)
        return found

    def _untold(self, broker: str) -> str:
        adapter = next(feed.answer.adapter for feed in self.feeds if feed.alias == broker)
        if not tells(adapter):
            return f"the adapter {adapter.name} of {broker} tells of no fills, movements or corporate actions"
        from recon_core.differences import MOST

        if not self.differences:
            return "what its broker told could not be used: the warnings say why"
        return f"only the {MOST:,} greatest differences of a run are looked into"


def look_into(
    connection: duckdb.DuckDBPyConnection,
    comparison: Comparison,
    feeds: list[ProvenFeed],
    book: Book,
    *,
    book_basis: str,
    settings: ExplainSettings,
    asked_as_of: datetime | None,
    agreed: Agreed,
    own: Own,
    make: Make,
    progress: Callable[[str], None],
    before_asking: Callable[[], None],
) -> Explained:
    """Explain the differences among ``hits`` (see ``scan``) from what their brokers tell, which are asked all at the same time.

    Where any is looked into it makes the table ``explained`` for ``match.find``. ``asked_as_of`` is the time that a person asked
    for. Evidence that an answer has from before is not asked for again where it reaches as far. Before anybody is waited for
    ``before_asking`` is called: it keeps what may halt from being traded on meanwhile.
    """
    telling = {feed.alias: feed for feed in feeds if feed.mounted is not None and tells(feed.answer.adapter)}
    if not telling or connection.execute("SELECT 1 FROM hits LIMIT 1").fetchone() is None:
        return Explained(feeds)
    from recon_core import inquiry
    from recon_core.differences import MOST, differences_of, differing, held_besides

    rows = differing(connection, comparison, list(telling))
    if not rows:
        return Explained(feeds)
    from recon_core.explain import explain

    asked = {alias: telling[alias] for alias in sorted({row["broker"] for row in rows})}
    warnings: list[str] = []
    try:
        known = agreed([(row["broker"], row["account"], row["symbol"], row["leg"]) for row in rows], comparison.as_of)
    except StateError as error:
        known = Agreements()
        warnings.append(f"since when positions differ is not known: {error}")
    differences = differences_of(connection, rows, asked, book, known, book_basis)
    periods = {alias: inquiry.period_of(differences, alias, comparison.as_of, settings) for alias in asked}
    before_asking()
    answers = inquiry.answers_of(asked, periods, asked_as_of, make, progress)
    fills, orders = inquiry.own_rows(own, warnings)
    told = {}
    for alias, answer in answers.items():
        feed, own_fills = asked[alias], None if fills is None else fills.get(alias)  # None: it has none there
        held = held_besides(connection, book, feed, rows, inquiry.named_by(feed, answer, own_fills))
        own_orders = None if orders is None else orders.get(alias, frozenset())
        told[alias] = inquiry.told_by(feed, answer, periods[alias][0], own_fills, own_orders, held)
    explanations = explain(differences, told, as_of=comparison.as_of)
    if rows[0]["found"] > MOST:
        warnings.append(f"of {rows[0]['found']:,} differences the {MOST:,} greatest in money were looked into")
    _load(connection, explanations)
    return Explained(
        [replace(feed, answer=feed.answer._replace(told=answers.get(feed.alias))) for feed in feeds],
        {difference.key: difference for difference in differences},
        explanations,
        {key: known.began[key][0] for difference in differences if (key := difference.key) in known.began},
        fills,
        tuple(warnings),
    )


def or_unexplained(look: Callable[[], Explained], feeds: list[ProvenFeed]) -> Explained:
    """What ``look`` finds. Where it fails nothing is explained, and a warning says why: that is no reason to decide nothing."""
    try:
        return look()
    except Exception as error:  # whatever a broker told, and whatever the book's own fills hold
        return Explained(feeds, warnings=(f"no difference could be explained: {type(error).__name__}: {redacted(str(error))}",))


def _load(connection: duckdb.DuckDBPyConnection, explanations: Mapping[Key, Explanation]) -> None:
    """The table that ``match.find`` joins."""
    columns = dict.fromkeys(KEY_COLUMNS, "VARCHAR") | EXPLAINED_COLUMNS
    rows = [(*key, found.certain, f"{found.residual:f}", found.cause) for key, found in explanations.items()]
    values = [[row[place] for row in rows] for place in range(len(columns))]
    typed = ", ".join(f"unnest(CAST(? AS {kind}[])) AS {name}" for name, kind in columns.items())
    connection.execute(f"CREATE OR REPLACE TEMP TABLE explained AS SELECT {typed}", values)


def _unexplained(residual: Decimal, why: str) -> Explanation:
    from recon_core.explanation import Explanation

    return Explanation(status="UNEXPLAINED", cause="UNEXPLAINED", residual=residual, causes=("UNEXPLAINED",), why=why)
