"""The book's own fills and orders, where its database keeps them: by the broker's ids, read as strictly as the positions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from recon_core.book.database import read_texts
from recon_core.config.settings import BookSettings, OwnRowsSettings
from recon_core.errors import BookError, MalformedError
from recon_core.evidence import Fill
from recon_core.model import FILL_COLUMNS, ORDER_COLUMNS
from recon_core.written_numbers import read_number

_DUE = ("id", "symbol", "quantity", "price", "traded_at")


def own_fills(settings: BookSettings, folder: Path, brokers: Sequence[str]) -> dict[str, list[Fill]] | None:
    """The book's fills by broker; None where ``book.fills`` is not configured. Raises BookError for a row that is none."""
    if settings.fills is None:
        return None
    found: defaultdict[str, list[Fill]] = defaultdict(list)
    aliases = settings.options.get("aliases") or {}
    for number, row in enumerate(_rows(settings, settings.fills, folder, FILL_COLUMNS, _DUE), 1):
        try:
            found[_broker(row, settings, brokers)].append(_fill(row, settings.timezone, aliases))
        except (MalformedError, ValueError, OverflowError) as error:
            raise BookError(f"book.fills, row {number}: {error}") from None
    return dict(found)


def own_orders(settings: BookSettings, folder: Path, brokers: Sequence[str]) -> dict[str, frozenset[str]] | None:
    """The ids of the firm's own orders by broker; None where ``book.orders`` is not configured."""
    if settings.orders is None:
        return None
    found: defaultdict[str, set[str]] = defaultdict(set)
    for number, row in enumerate(_rows(settings, settings.orders, folder, ORDER_COLUMNS, ("id",)), 1):
        try:
            found[_broker(row, settings, brokers)].add(_text(row, "id"))
        except MalformedError as error:
            raise BookError(f"book.orders, row {number}: {error}") from None
    return {broker: frozenset(ids) for broker, ids in found.items()}


def _rows(
    settings: BookSettings, own: OwnRowsSettings, folder: Path, columns: Sequence[str], due: Sequence[str]
) -> list[dict[str, str | None]]:
    return read_texts(replace(settings, table=own.table, query=own.query, columns=own.columns), folder, columns, due)


def _fill(row: Mapping[str, str | None], timezone: str | None, aliases: Mapping[str, str]) -> Fill:
    symbol = _text(row, "symbol")
    when = datetime.fromisoformat(_text(row, "traded_at"))
    if when.tzinfo is None:
        when = when.replace(tzinfo=ZoneInfo(timezone) if timezone else UTC)
    return Fill(
        id=_text(row, "id"),
        symbol=aliases.get(symbol, symbol),
        quantity=read_number(row["quantity"], "quantity"),
        price=read_number(row["price"], "price"),
        traded_at=when.astimezone(UTC),
        account=(row.get("account") or "").strip() or None,
        order_id=(row.get("order_id") or "").strip() or None,
        source="book.fills",
    )


def _broker(row: Mapping[str, str | None], settings: BookSettings, brokers: Sequence[str]) -> str:
    """Whose row it is: as it says, else as ``book.defaults`` says, else the only broker's."""
    named = (row.get("broker") or "").strip() or settings.defaults.get("broker")
    if named is None and len(brokers) == 1:
        return brokers[0]
    if named is None or named not in brokers:
        raise MalformedError(f"broker {named or 'not stated'} is not in recon.yaml, which has {', '.join(brokers)}")
    return named


def _text(row: Mapping[str, str | None], name: str) -> str:
    text = (row[name] or "").strip()
    if not text:
        raise MalformedError(f"{name} is empty")
    return text
