"""The SQL of a correction: the statement that is carried out, and the same as a person reads it or runs it elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from recon_core.book.writable import PLACE
from recon_core.config.settings import BookSettings
from recon_core.explanation import Key
from recon_core.sql import identifier, quoted

NUMBERS = ("quantity", "avg_price", "market_price", "multiplier")
"""Our columns of a row of the book that are numbers."""


class Statement(NamedTuple):
    """SQL with ``PLACE`` where a value goes, and the values."""

    sql: str
    values: Sequence[Any]

    def __str__(self) -> str:
        head, *rest = self.sql.split(PLACE)
        return head + "".join(_literal(value) + part for value, part in zip(self.values, rest, strict=True))


def insert(table: str, row: Mapping[str, Any]) -> Statement:
    """Add a row. ``table`` stands in its quotes; the names of columns do not, here and below."""
    places = ", ".join(PLACE for _ in row)
    return Statement(f"INSERT INTO {table} ({', '.join(map(identifier, row))}) VALUES ({places})", list(row.values()))


def update(table: str, changed: Mapping[str, Any], where: Mapping[str, Any]) -> Statement:
    """Change the row that holds what ``where`` says."""
    named = ", ".join(f"{identifier(name)} = {PLACE}" for name in changed)
    condition, values = _where(where)
    return Statement(f"UPDATE {table} SET {named} WHERE {condition}", [*changed.values(), *values])


def delete(table: str, where: Mapping[str, Any]) -> Statement:
    """Remove the row that holds what ``where`` says."""
    condition, values = _where(where)
    return Statement(f"DELETE FROM {table} WHERE {condition}", values)


def proposed(
    settings: BookSettings,
    table: str,
    key: Key,
    before: Mapping[str, str | None] | None,
    after: Mapping[str, str | None] | None,
    now: datetime,
) -> Statement:
    """What would be carried out, by what recon.yaml says of the book alone, for a person or another system.

    It concerns one row where the book is still as it was reconciled, and none where it is not.
    """
    places = dict(zip(("broker", "account", "symbol", "leg"), key, strict=True))
    told = {name: text for name, text in places.items() if name not in settings.defaults and (name, text) != ("leg", "NET")}

    def theirs(row: Mapping[str, str | None]) -> dict[str, Any]:
        return {
            settings.columns.get(name, name): Decimal(text) if text is not None and name in NUMBERS else text
            for name, text in row.items()
        }

    quoted_table = ".".join(map(identifier, table.split(".")))
    if before is None:
        given = {
            name: text for name, text in (after or {}).items() if text is not None and name not in (*places, *settings.defaults)
        }
        return insert(quoted_table, theirs(told | given))
    where = theirs(told | {name: before.get(name) for name in ("quantity", "avg_price") if name in before})
    if after is None:
        return delete(quoted_table, where)
    changed = changes(before, after)
    if before.get("updated_at") is not None:
        changed["updated_at"] = confirmed(before, after, now)
    return update(quoted_table, theirs(changed), where)


def changes(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> dict[str, str | None]:
    """Of ``after`` what is not as in ``before``, but for when the row was confirmed, which is a matter of the change itself."""
    return {
        name: text
        for name, text in after.items()
        if name not in ("broker", "account", "symbol", "leg", "raw_symbol", "updated_at")
        and comparable(name, text) != comparable(name, before.get(name))
    }


def confirmed(before: Mapping[str, str | None] | None, after: Mapping[str, str | None], now: datetime) -> str:
    """When a corrected row was last confirmed: at the time of the run that proposed it, and never before it was."""
    times = [text for text in (after.get("updated_at"), (before or {}).get("updated_at")) if text is not None]
    return max(times, key=datetime.fromisoformat) if after.get("updated_at") else f"{now:%Y-%m-%dT%H:%M:%SZ}"


def comparable(name: str, text: str | None) -> Any:
    """A value of our column ``name``, so that two which mean the same are equal."""
    if text is None:
        return None
    if name in NUMBERS:
        return Decimal(text)
    return datetime.fromisoformat(text) if name.endswith("_at") else text


def _where(where: Mapping[str, Any]) -> tuple[str, list[Any]]:
    terms = (f"{identifier(name)} IS NULL" if value is None else f"{identifier(name)} = {PLACE}" for name, value in where.items())
    return " AND ".join(terms), [value for value in where.values() if value is not None]


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return repr(value) if isinstance(value, int | float) else quoted(str(value))
