"""``pairs``: the full outer join of book and brokers that every rule sees, as SQL.

Only the columns that a source really has travel through the join, in the types that it has them in; what no source has is a
constant above it. At ten million positions a side that is the difference between one gigabyte and three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from recon_core.columns import EXACT, MULTIPLIER, PRICE, QUANTITY, RATE
from recon_core.elapsed import Intervals, microseconds, microseconds_sql
from recon_core.expressions import literal
from recon_core.sql import identifier, named_in, over, quoted
from recon_core.tables.mounting import Mounted

VALUE_COLUMNS: dict[str, str] = {
    "quantity": QUANTITY,
    "avg_price": PRICE,
    "market_price": PRICE,
    "multiplier": MULTIPLIER,
    "asset_class": "VARCHAR",
    "currency": "VARCHAR",
    "isin": "VARCHAR",
    "cusip": "VARCHAR",
    "updated_at": "TIMESTAMP",
}
CARRIED = VALUE_COLUMNS | {"updated_at": "BIGINT"}
"""As which type each goes through the join: a time as microseconds since 1970, whatever its source has."""

MINOR_UNITS = {"GBX": "GBP", "GBp": "GBP", "ILA": "ILS", "ZAC": "ZAR", "ZAc": "ZAR"}
"""Currencies that are hundredths of another: prices in pence, agorot and cents."""

HASH = "key_hash"

DERIVED_CLASSES = "regexp_matches(lower(asset_class), 'option|future|^opt$|^fut$|^fop$')"


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the join: a query, and the columns of VALUE_COLUMNS that it really has besides its keys.

    The keys are account and symbol, broker where ``brokers`` are several, and leg where ``legs``.
    """

    query: str
    columns: frozenset[str]
    legs: bool
    constants: Mapping[str, str] = field(default_factory=dict)
    """Columns that every row of this side holds with one and the same text: never joined, only said again above the join."""


@dataclass(frozen=True, slots=True)
class Source:
    """What rows of a side come from: the book, or the feed of one ``broker`` (None: a column says whose each row is).

    ``owned`` is SQL of the broker and the account (as the book calls it) of each row of it that is compared, of which there are
    ``positions``. That account is of the source's own: by ``accounts`` where they name it, by ``unnamed`` (of a broker) where it
    has none.
    """

    mounted: Mounted
    broker: str | None
    owned: str
    positions: int
    accounts: Mapping[str, str]
    unnamed: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that ``pairs`` depends on beside the two sides.

    ``brokers`` are those compared; ``unproven`` is an SQL condition over broker, account and asset_class: true where an
    absence at the broker proves nothing (empty: nowhere). ``assumed_currency`` are brokers for which neither side has a
    currency column, so that the base currency is meant. ``closed`` are hours before ``as_of`` that do not count. ``sources`` are
    what the queries of the two sides read, the book first.
    """

    book: Side
    feeds: Side
    brokers: tuple[str, ...]
    as_of: datetime
    now: datetime
    base_currency: str
    fx: Mapping[str, Decimal]
    price_fallback: bool
    unproven: str
    assumed_currency: tuple[str, ...]
    closed: Intervals = ()
    sources: tuple[Source, ...] = ()


def keys(comparison: Comparison) -> list[str]:
    """What identifies a pair in this comparison; a key that is one and the same everywhere is left to ``derived``."""
    names = ["account", "symbol"]
    if len(comparison.brokers) != 1:
        names.insert(0, "broker")
    if comparison.book.legs or comparison.feeds.legs:
        names.append("leg")
    return names


def joined(comparison: Comparison) -> str:
    """SQL of the bare join: the keys and the value columns of each side, as ``b_...`` and ``f_...``."""
    condition = " AND ".join(f"b.{key} = f.{key}" for key in keys(comparison))
    return f"SELECT {_both(comparison)} FROM ({comparison.book.query}) b FULL JOIN ({comparison.feeds.query}) f ON {condition}"


def joined_by_hash(comparison: Comparison) -> str:
    """SQL of the join by 64 bits of hash of the keys: names of what only brokers have are NULL, and ``HASH`` is the broker's hash.

    The names of one side stay out of the hash table, which takes a quarter off the whole pass at ten million pairs. Two keys of
    one hash on the same side seem to repeat, which ``scan`` looks into. With u positions that only the book has and v that only
    brokers have, the chance that two of them are taken for one is uv / 2^64: for 10,000 of each, 1 in 10^11.
    """
    names = keys(comparison)
    digest = f"{key_hash(names)} AS {HASH}"
    unnamed = ", ".join((digest, *(name for name in VALUE_COLUMNS if name in comparison.feeds.columns)))
    chosen = ", ".join(
        f"CAST(NULL AS VARCHAR) AS {name}" if name[0] == "f" and name[2:] in names else f"{name[0]}.{name[2:]} AS {name}"
        for name in raw_columns(comparison)
    )
    return f"""SELECT {chosen}, f.{HASH} FROM (SELECT *, {digest} FROM ({comparison.book.query})) b
        FULL JOIN (SELECT {unnamed} FROM ({comparison.feeds.query})) f ON b.{HASH} = f.{HASH}"""


def key_hash(names: Sequence[str]) -> str:
    """SQL of the hash of a key."""
    return f"hash({', '.join(names)})"


def only_at_broker(comparison: Comparison, hashes: str) -> str:
    """SQL of positions of the brokers, named, as ``joined`` returns what the book does not have: those of ``hashes`` (a query)."""
    lone = f"SELECT * FROM ({comparison.feeds.query}) WHERE {key_hash(keys(comparison))} IN ({hashes})"
    return f"SELECT {_both(comparison)} FROM ({lone}) f LEFT JOIN (SELECT * FROM ({comparison.book.query}) WHERE false) b ON true"


def _both(comparison: Comparison) -> str:
    """SQL of the columns of a join of ``b`` and ``f``."""
    return ", ".join(f"{name[0]}.{name[2:]} AS {name}" for name in raw_columns(comparison))


def raw_columns(comparison: Comparison) -> list[str]:
    """The names of the columns that ``joined`` returns."""
    sides = (("b", comparison.book.columns), ("f", comparison.feeds.columns))
    names = [*keys(comparison), *VALUE_COLUMNS]
    return [f"{side}_{name}" for side, has in sides for name in names if name in has or name not in VALUE_COLUMNS]


def key_columns(comparison: Comparison) -> dict[str, str]:
    """SQL of the keys over what ``joined`` returns, by name."""
    return {key: f"coalesce(b_{key}, f_{key})" for key in keys(comparison)}


def narrowed(comparison: Comparison, table: str) -> Comparison:
    """The comparison of those positions alone whose keys (broker, account, symbol, leg) are in a ``table``."""

    def only(side: Side) -> Side:
        same = " AND ".join(f"s.{key} = a.{key}" for key in keys(comparison))
        return replace(side, query=f"SELECT s.* FROM ({side.query}) s SEMI JOIN {table} a ON {same}")

    return replace(comparison, book=only(comparison.book), feeds=only(comparison.feeds))


def side_column(comparison: Comparison, side: str, name: str, *, as_carried: bool = False) -> str:
    """SQL of a value column of one side (``b`` or ``f``) over what ``joined`` returns; NULL where it has no such position."""
    of = comparison.book if side == "b" else comparison.feeds
    if name in of.constants:
        return f"CASE WHEN {side}_quantity IS NOT NULL THEN {quoted(of.constants[name])} END"
    if name not in of.columns:
        return f"CAST(NULL AS {VALUE_COLUMNS[name]})"
    if name == "updated_at":
        return f"make_timestamp({side}_{name})"
    return f"{side}_{name}" if as_carried else f"CAST({side}_{name} AS {VALUE_COLUMNS[name]})"


def derived(comparison: Comparison, relation: str, *, as_carried: bool = False, asked: str | None = None) -> str:
    """SQL that turns ``relation`` (what ``joined`` returns, or rows of it) into ``pairs``, raw columns kept beside.

    Nested, so that each step is computed once and only where something asks for it. ``as_carried`` leaves figures in the
    narrower types that the join carried, for predicates: as exact, and at ten million pairs a fifth of the whole pass. Their
    arithmetic gives out at 18 digits, with an error: then ask again without. ``asked`` is SQL over the pairs: columns that it
    does not name are left out, for to plan them all takes longer than to compare a small book.
    """

    def column(side: str, name: str) -> str:
        return side_column(comparison, side, name, as_carried=as_carried)

    def either(name: str, *, broker_first: bool = True) -> str:
        order = ("f", "b") if broker_first else ("b", "f")
        return f"coalesce({column(order[0], name)}, {column(order[1], name)})"

    # A price of 0 is what a transfer without cost or a missing quote looks like: it prices nothing.
    market = f"coalesce(nullif({column('f', 'market_price')}, 0), nullif({column('b', 'market_price')}, 0))"
    average = f"coalesce(nullif({column('f', 'avg_price')}, 0), nullif({column('b', 'avg_price')}, 0))"
    average = average if comparison.price_fallback else "NULL"
    touched = "b_updated_at" if "updated_at" in comparison.book.columns else "CAST(NULL AS BIGINT)"
    idle = microseconds_sql(touched, comparison.as_of, comparison.closed)
    identified = {
        **key_columns(comparison),
        **({"broker": quoted(comparison.brokers[0])} if len(comparison.brokers) == 1 else {}),
        **({} if comparison.book.legs or comparison.feeds.legs else {"leg": "'NET'"}),
        "asset_class": either("asset_class"),
        "isin": either("isin", broker_first=False),
        "cusip": either("cusip", broker_first=False),
        "in_book": "b_quantity IS NOT NULL",
        **{
            f"{whose}_{name}": column(side, name)
            for name in ("quantity", "avg_price", "currency", "multiplier", "updated_at")
            for side, whose in (("b", "book"), ("f", "broker"))
        },
        "price": f"coalesce({market}, {average})",
        "at_average": f"{market} IS NULL",
        "as_of": f"TIMESTAMP {quoted(f'{comparison.as_of:%Y-%m-%d %H:%M:%S.%f}')}",
        "hours_untouched": f"CASE WHEN {touched} <= {microseconds(comparison.now)} THEN {idle} / 3.6e9 END",
    }
    present, difference = "f_quantity IS NOT NULL", "coalesce(book_quantity, 0) - coalesce(broker_quantity, 0)"
    if comparison.unproven:
        present = f"CASE WHEN {present} THEN true WHEN {comparison.unproven} THEN NULL ELSE false END"
        difference = f"CASE WHEN at_broker IS NOT NULL THEN {difference} END"
    derivatives = f"CASE WHEN {DERIVED_CLASSES} THEN NULL ELSE 1 END"
    proven = {
        "at_broker": present,
        "currency": f"coalesce(broker_currency, book_currency{_assumed(comparison)})",
        "multiplier": f"coalesce(broker_multiplier, book_multiplier, {derivatives})::{MULTIPLIER}",
    }
    sized = {"quantity_difference": difference, "fx_rate": _rates(comparison)}
    ratio = "abs(quantity_difference)::DOUBLE / nullif(abs(broker_quantity), 0)::DOUBLE"
    valued = {"unit_value": _unit_value(comparison), "near_pct": f"TRY(round({ratio} * 100, 4)::DECIMAL(24,4))"}
    hundredfold = f"TRY(abs(quantity_difference)::{QUANTITY} * 100)"
    percent = f"""CASE
                WHEN {hundredfold} > exact_product(abs(broker_quantity), near_pct) THEN near_pct + 0.0001
                WHEN {hundredfold} <= exact_product(abs(broker_quantity), near_pct - 0.0001) THEN near_pct - 0.0001
                ELSE near_pct END::DECIMAL(38,4)"""
    steps = (identified, proven, sized, valued, {"difference_pct": percent})
    if asked is not None:
        return over(relation, named_in(asked, steps))
    return f"SELECT * EXCLUDE (near_pct) FROM ({over(relation, steps)})"


def _unit_value(comparison: Comparison) -> str:
    """SQL of price x multiplier x rate, cut at 18 decimals; without foreign rates the rate is 1 or unknown."""
    priced = f"TRY(price::{PRICE} * multiplier)"  # 12 and 6 decimals: exact as it is
    if comparison.fx or comparison.base_currency in MINOR_UNITS.values():
        return f"exact_product({priced}, fx_rate)"
    return f"CASE WHEN fx_rate IS NOT NULL THEN {priced} END"


def _assumed(comparison: Comparison) -> str:
    if not comparison.assumed_currency:
        return ""
    base = quoted(comparison.base_currency)
    if set(comparison.assumed_currency) >= set(comparison.brokers):
        return f", {base}"
    return f", CASE WHEN broker IN ({', '.join(map(quoted, comparison.assumed_currency))}) THEN {base} END"


def _rates(comparison: Comparison) -> str:
    rates = {comparison.base_currency: Decimal(1), **comparison.fx}
    rates |= {minor: rates[major] / 100 for minor, major in MINOR_UNITS.items() if major in rates and minor not in rates}
    cases = " ".join(f"WHEN {quoted(name)} THEN {literal(rate)}" for name, rate in rates.items())
    return f"CAST(CASE currency {cases} END AS {RATE})"


def side_query(
    relation: str,
    columns: Sequence[str],
    *,
    broker: str | None,
    keys_from: Mapping[str, str],
    legs: bool,
    summed: bool,
    where: Sequence[str],
) -> str:
    """SQL of one source's rows as a side: keys, value columns; ``summed`` adds up rows of one key.

    Rows of quantity 0 are none of it: ``where`` is SQL that every row fulfils. ``broker`` is an SQL expression for the broker key,
    None where the side has no such key; ``keys_from`` gives the SQL of account and leg. A summed price is weighted by quantity and
    exact to 12 decimals.
    """
    keys = {"broker": broker} if broker else {}
    keys |= {"account": keys_from["account"], "symbol": "symbol"}
    if legs:
        keys["leg"] = keys_from["leg"]
    chosen = [f"{sql} AS {name}" for name, sql in keys.items()]
    chosen += [f"epoch_us({name}) AS {name}" if name == "updated_at" else name for name in columns]
    rows = f"SELECT {', '.join(chosen)} FROM {identifier(relation)} WHERE {' AND '.join(where) or 'true'}"
    if not summed:
        return rows
    # The dearest market price, so that no impact is understated; of the rest, lots agree (``uneven_lots``) or the least is
    # taken: of times that is the lot which was confirmed longest ago.
    folded = {"quantity": f"sum(quantity)::{QUANTITY} AS quantity", "market_price": "max(market_price) AS market_price"}
    values = [folded.get(name, f"min({name}) AS {name}") for name in columns if name != "avg_price"]
    if "avg_price" in columns:
        one_way = "min(sign(quantity)) = max(sign(quantity))"  # of lots that offset each other there is no average
        level = f"{one_way} AND count(avg_price) = count(*) AND min(avg_price) = max(avg_price)"
        rows = f"SELECT *, exact_product(quantity, avg_price) AS worth FROM ({rows})"
        values.append(f"CASE WHEN {level} THEN min(avg_price) END AS level")
        # In two sums, whole and rest: that of a DECIMAL raises an error past 10^20, where a sum that large is just unknown.
        values.append(f"CASE WHEN {one_way} AND count(worth) = count(*) THEN sum(trunc(worth)::HUGEINT) END AS whole")
        values.append("sum((worth % 1)::DECIMAL(18,18)) AS rest")
        values.append("sum(quantity)::DOUBLE AS about")
    names = ", ".join(keys)
    grouped = f"SELECT {names}, {', '.join(values)} FROM ({rows}) GROUP BY {names} HAVING sum(quantity) <> 0"
    if "avg_price" not in columns:
        return grouped
    # DuckDB divides through DOUBLE: divide roughly, then add the quotient of what is left over.
    valued = f"SELECT *, TRY(TRY_CAST(whole AS {EXACT}) + rest) AS worth FROM ({grouped})"
    guess = f"SELECT *, (worth::DOUBLE / about)::{PRICE} AS guess FROM ({valued})"
    mended = f"coalesce(level, (guess + ((worth - exact_product(guess, quantity))::DOUBLE / about)::{PRICE})::{PRICE}) AS avg_price"
    ordered = ", ".join(mended if name == "avg_price" else name for name in columns)  # sides are united by place, not by name
    return f"SELECT {names}, {ordered} FROM ({guess})"
