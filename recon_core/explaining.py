"""Why quantities differ, asked for in a run: the broken positions, what their brokers say happened, and what that explains.

Nothing is asked where nothing is broken, nor of a broker that tells only what is held. What goes wrong here leaves positions
unexplained, and says so: it makes no feed worse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import duckdb

from recon_core import log
from recon_core.book import Book
from recon_core.collect import AskingEvidence, EvidenceAnswer, Make, begin, tells
from recon_core.columns import EXPLAINED_COLUMNS, KEY_COLUMNS, PRICE
from recon_core.config.settings import ExplainSettings
from recon_core.engine import named_rows
from recon_core.errors import BookError, BookSetupError, StateError
from recon_core.evidence import Fill
from recon_core.feeds import ProvenFeed
from recon_core.model import Position
from recon_core.pairs import VALUE_COLUMNS, Comparison, derived, side_column
from recon_core.redaction import redacted
from recon_core.sql import identifier, quoted
from recon_core.state.agreements import Agreements
from recon_core.tables.mounting import Mounted
from recon_core.written_numbers import plain

if TYPE_CHECKING:  # what explains is loaded where something is broken
    from recon_core.explanation import Difference, Explanation, Key, Proposal
    from recon_core.lots import Method
    from recon_core.terms import Told

MOST = 10_000
"""How many positions of a run are looked into, the greatest differences in money first."""

Agreed = Callable[[Sequence[str], datetime], Agreements]
"""What earlier runs know of the positions of some brokers, at a time."""


Fills = Mapping[str, Sequence[Fill]]
Orders = Mapping[str, frozenset[str]]
Own = tuple[Callable[[], Fills | None], Callable[[], Orders | None]]
"""Read the book's own fills and orders, by broker: None where they are not configured, BookError where they cannot be read."""


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
) -> Explained:
    """Explain the differences among ``hits`` (see ``scan``) from what their brokers tell, which are asked all at the same time.

    Where any is looked into it makes the table ``explained`` for ``match.find``. ``asked_as_of`` is the time that a person asked
    for. Evidence that an answer has from before is not asked for again where it reaches as far.
    """
    telling = {feed.alias: feed for feed in feeds if feed.mounted is not None and tells(feed.answer.adapter)}
    broken = telling and connection.execute("SELECT 1 FROM hits LIMIT 1").fetchone()
    rows = _differing(connection, comparison, list(telling)) if broken else []
    if not rows:
        return Explained(feeds)
    from recon_core.explain import explain

    asked = {alias: telling[alias] for alias in sorted({row["broker"] for row in rows})}
    warnings: list[str] = []
    try:
        known = agreed(list(asked), comparison.as_of)
    except StateError as error:
        known = Agreements()
        warnings.append(f"since when positions differ is not known: {error}")
    differences = _differences(connection, rows, asked, book, known, book_basis)
    periods = {alias: _period(differences, alias, comparison.as_of, settings) for alias in asked}
    answers = _answers(asked, periods, asked_as_of, make, progress)
    fills, orders = _own(own, warnings)
    told = {
        alias: _told(
            asked[alias],
            answer,
            periods[alias][0],
            None if fills is None else fills.get(alias, ()),
            None if orders is None else orders.get(alias, frozenset()),
        )
        for alias, answer in answers.items()
    }
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


def _differing(connection: duckdb.DuckDBPyConnection, comparison: Comparison, brokers: Sequence[str]) -> list[dict[str, Any]]:
    """Hits of some brokers whose quantities differ: keys, rate, and the columns of both sides as ``b_...`` and ``f_...``.

    What nobody can price is first, then by money. ``found`` is how many there are; up to MOST are returned.
    """
    sides = ", ".join(f"{side_column(comparison, side, name)} AS {side}_{name}" for side in "bf" for name in VALUE_COLUMNS)
    worth = "TRY(abs(quantity_difference)::DOUBLE * unit_value::DOUBLE)"
    return named_rows(
        connection.execute(
            f"""SELECT {", ".join(KEY_COLUMNS)}, fx_rate, {sides}, count(*) OVER () AS found
                FROM ({derived(comparison, "SELECT * FROM hits")})
                WHERE quantity_difference <> 0 AND broker IN ({", ".join(map(quoted, brokers))})
                ORDER BY {worth} DESC NULLS FIRST, {", ".join(KEY_COLUMNS)} LIMIT {MOST}"""
        )
    )


def _differences(
    connection: duckdb.DuckDBPyConnection,
    rows: Sequence[Mapping[str, Any]],
    feeds: Mapping[str, ProvenFeed],
    book: Book,
    known: Agreements,
    book_basis: str,
) -> list[Difference]:
    from recon_core.explanation import Difference

    netted = [alias for alias, feed in feeds.items() if feed.answer.settings.legs == "net"]
    unnamed = " ".join(f"WHEN {quoted(alias)} THEN {quoted(feed.book_account)}" for alias, feed in feeds.items())
    ours = _described(connection, book.mounted, "broker", f"coalesce(account, CASE broker {unnamed} END)", netted, rows)
    theirs: dict[Key, dict[str, Any]] = {}
    for alias, feed in feeds.items():
        if feed.mounted is not None:
            its = [row for row in rows if row["broker"] == alias]
            theirs |= _described(connection, feed.mounted, quoted(alias), feed.account_sql, netted, its)
    places = {alias: _price_places(connection, feed.mounted) for alias, feed in feeds.items() if feed.mounted is not None}
    return [
        Difference(
            broker=row["broker"],
            account=row["account"],
            symbol=row["symbol"],
            leg=row["leg"],
            book=_position(row, "b", ours),
            reported=_position(row, "f", theirs),
            fx_rate=row["fx_rate"],
            agreed_at=known.last(_key(row)),
            settlement_lag=_lag(feeds[row["broker"]].feed.basis, book_basis),
            price_places=places.get(row["broker"]),
        )
        for row in rows
    ]


def _key(row: Mapping[str, Any]) -> Key:
    return row["broker"], row["account"], row["symbol"], row["leg"]


def _described(
    connection: duckdb.DuckDBPyConnection,
    mounted: Mounted,
    broker: str,
    account: str,
    netted: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
) -> dict[Key, dict[str, Any]]:
    """What the join does not carry of positions of a source: since when they are held, and its own name of each."""
    wanted = [name for name in ("opened_at", "raw_symbol") if name in mounted.columns_present]
    if not wanted:
        return {}
    leg = f"CASE WHEN {broker} IN ({', '.join(map(quoted, netted))}) THEN 'NET' ELSE leg END" if netted else "leg"
    first = ", ".join(f"min({name}) AS {name}" for name in wanted)
    found = named_rows(
        connection.execute(
            f"""SELECT {broker} AS broker, {account} AS account, symbol, {leg} AS leg, {first} FROM {identifier(mounted.lean)}
                WHERE quantity <> 0 AND symbol IN (SELECT unnest(CAST(? AS VARCHAR[]))) GROUP BY ALL""",
            [list({row["symbol"] for row in rows})],
        )
    )
    return {_key(row): {name: row[name] for name in wanted} for row in found}


def _price_places(connection: duckdb.DuckDBPyConnection, mounted: Mounted) -> int | None:
    """How many decimals the entry prices of a feed have at most: types and files keep zeros, or drop them. None: it has none."""
    if "avg_price" not in mounted.columns_present:
        return None
    decimals = f"rtrim(split_part(CAST(CAST(avg_price AS {PRICE}) AS VARCHAR), '.', 2), '0')"
    found = connection.execute(f"SELECT max(length({decimals})) FROM {identifier(mounted.lean)}").fetchone()
    return found[0] if found else None


def _position(row: Mapping[str, Any], side: str, described: Mapping[Key, Mapping[str, Any]]) -> Position | None:
    """One side of a difference; None where it does not hold the position."""
    if row[f"{side}_quantity"] is None:
        return None
    values = {name: row[f"{side}_{name}"] for name in VALUE_COLUMNS} | dict(described.get(_key(row), {}))
    return Position(
        account=row["account"],
        symbol=row["symbol"],
        leg=row["leg"],
        **{name: _value(value) for name, value in values.items()},
    )


def _value(value: Any) -> Any:
    """A value of DuckDB's: a number without the zeros of its type, a time in UTC."""
    if isinstance(value, Decimal):
        return Decimal(plain(value))
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def _lag(reported: str, book: str) -> Literal["book", "broker"] | None:
    """Which side counts a trade only once it is settled, where the other has it at once."""
    if reported == "unknown" or reported == book:
        return None
    return "book" if book == "settlement" else "broker"


def _period(differences: Sequence[Difference], alias: str, as_of: datetime, settings: ExplainSettings) -> tuple[datetime, datetime]:
    """From when something may have parted the sides at a broker, and from when it is asked what happened."""
    agreed = [difference.agreed_at for difference in differences if difference.broker == alias]
    earliest = as_of - timedelta(days=settings.lookback_days)
    known = [each for each in agreed if each is not None]
    if len(known) == len(agreed):
        return min(known), min(known) - timedelta(days=settings.margin_days)
    since = min(known, default=earliest)
    return min(since, earliest), min(since - timedelta(days=settings.margin_days), earliest)


def _answers(
    feeds: Mapping[str, ProvenFeed],
    periods: Mapping[str, tuple[datetime, datetime]],
    asked_as_of: datetime | None,
    make: Make,
    progress: Callable[[str], None],
) -> dict[str, EvidenceAnswer]:
    """What each broker tells, as it told it before where that reaches as far."""
    answers = {
        alias: feed.answer.told
        for alias, feed in feeds.items()
        if feed.answer.told is not None and feed.answer.told.since <= periods[alias][1]
    }
    rest = [alias for alias in feeds if alias not in answers]
    if rest:
        progress(f"asking {', '.join(rest)} what happened")
        asked = begin(
            AskingEvidence(feeds[alias].answer.settings, feeds[alias].answer.adapter, asked_as_of, make, since=periods[alias][1])
            for alias in rest
        )
        answers |= dict(zip(rest, asked.answers(), strict=True))
    return answers


def _own(own: Own, warnings: list[str]) -> tuple[Fills | None, Orders | None]:
    """What the book itself knows of fills and orders; what cannot be read is not known, and said."""
    found: list[Any] = []
    for read in own:
        try:
            found.append(read())
        except (BookError, BookSetupError) as error:
            found.append(None)
            warnings.append(f"{error} (differences are explained without it)")
    return found[0], found[1]


def _told(
    feed: ProvenFeed, answer: EvidenceAnswer, since: datetime, fills: Sequence[Fill] | None, orders: frozenset[str] | None
) -> Told:
    from recon_core.terms import Told

    settings = feed.answer.settings
    account = feed.accounts[0] if len(feed.accounts) == 1 else None
    return Told(
        broker=feed.alias,
        evidence=answer.evidence,
        since=since,
        accounts=settings.accounts,
        account=account,
        aliases=settings.aliases,
        legs=settings.legs,
        digests=digests(answer),
        book_fills=None if fills is None else [replace(fill, account=fill.account or account) for fill in fills],
        book_orders=orders,
    )


def digests(answer: EvidenceAnswer) -> dict[str, str]:
    """By the place that a row's source begins with, the sha256 of the bytes read there: a file by its name, a page by its number.

    The adapter knows an address without the beginning that ``base_url`` gives it.
    """
    found = {place: document.sha256 for document in answer.documents for place in (document.name, str(document.path))}
    pages: dict[str, list[str]] = {}
    for received in answer.received:
        parts = urlsplit(received.url).path.rstrip("/").split("/")
        for start in range(1, len(parts)) if received.status == 200 else ():
            pages.setdefault(f"{received.method} /{'/'.join(parts[start:])}", []).append(received.sha256)
    for place, each in pages.items():
        found |= {f"{place}: page {number}": digest for number, digest in enumerate(each, 1)}
        if len(each) == 1:
            found[place] = each[0]
    return found


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
