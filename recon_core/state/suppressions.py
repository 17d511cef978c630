"""Breaks that a person accepted by id: as they were then, until a day, and no longer than they stay so.

A suppression silences what halts, so each is sealed: one whose row was changed by anything but this program is refused.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from recon_core.errors import NotRecordedError, StateError
from recon_core.state.actor import Actor
from recon_core.state.audit import append, canonical, fingerprint
from recon_core.state.database import Database
from recon_core.state.times import stored


@dataclass(frozen=True, slots=True)
class Accepted:
    """One suppression. ``quantity_difference`` is what was accepted (book - broker), ``impact`` what it was worth (None: unknown).

    It holds for runs as of ``since`` to ``until``, both days in UTC included. ``seq`` is the number of its audit record.
    """

    seq: int
    id: str
    type: str
    broker: str
    account: str
    symbol: str
    leg: str
    quantity_difference: Decimal
    impact: Decimal | None
    since: date
    until: date
    reason: str
    approved_by: str

    def outgrown(self, quantity_difference: Decimal | None, impact: Decimal | None) -> str:
        """Why a break of such a difference and impact is no longer the one that was accepted; empty where it still is."""
        accepted = self.quantity_difference
        if quantity_difference is None:
            return "its difference can no longer be told"
        if quantity_difference * accepted < 0:
            return f"its difference changed sign, from {_plain(accepted)} to {_plain(quantity_difference)}"
        if abs(quantity_difference) > abs(accepted):
            return f"it grew from {_plain(accepted)} to {_plain(quantity_difference)}"
        if accepted or self.impact is None:
            return ""
        if impact is None:
            return "its impact can no longer be told"
        return f"its impact grew from {_plain(self.impact)} to {_plain(impact)}" if impact > self.impact else ""

    def __str__(self) -> str:
        return f"{self.id} ({self.type} {self.broker}/{self.account} {self.symbol})"


def accept(
    database: Database,
    actor: Actor,
    *,
    of: dict[str, Any],
    since: date,
    until: date,
    reason: str,
    approved_by: str,
) -> int:
    """Suppress the break ``of`` (id, type, broker, account, symbol, leg, quantity_difference, impact), in place of an earlier
    suppression of it. Returns the number of its audit record. Raises NotRecordedError where the difference is unknown."""
    if of["quantity_difference"] is None:
        raise NotRecordedError(
            f"{of['id']}: its difference is unknown, so that nobody can say what is accepted; nothing was changed"
        )
    content = {
        **{name: of[name] for name in ("id", "type", "broker", "account", "symbol", "leg", "quantity_difference", "impact")},
        "since": since.isoformat(),
        "until": until.isoformat(),
        "reason": reason,
        "approved_by": approved_by,
    }
    with database.transaction():
        earlier = [entry for entry in active(database) if entry.id == of["id"]]
        for entry in earlier:
            _end(database, entry, "another took its place")
        seq, _ = append(
            database,
            "suppression",
            actor,
            f"{of['type']} of {of['broker']}/{of['account']} {of['symbol']} accepted until {until}: {reason}",
            before=[_content(entry) for entry in earlier] or None,
            after=content,
        )
        row = (seq, of["id"], of["broker"], canonical(content), fingerprint({**content, "seq": seq}))
        database.execute("INSERT INTO suppressions (seq, id, broker, content, seal) VALUES (?, ?, ?, ?, ?)", row)
    return seq


def active(database: Database) -> list[Accepted]:
    """The suppressions that have not ended, oldest first. Raises StateError for one that was tampered with."""
    rows = database.execute("SELECT seq, id, content, seal FROM suppressions WHERE ended_at IS NULL ORDER BY seq")
    return [_read(database, *row) for row in rows]


def end(database: Database, actor: Actor, ended: Iterable[tuple[Accepted, str]], *, run_id: str, at: datetime) -> None:
    """End suppressions, each for the reason beside it, with a record each. In a transaction."""
    for entry, why in ended:
        append(
            database,
            "suppression",
            actor,
            f"suppression of {entry} ended: {why}",
            before=_content(entry),
            after={"ended": why, "run_id": run_id},
            at=at,
        )
        _end(database, entry, why, at)


def past(database: Database, ids: Collection[str]) -> list[tuple[Accepted, str | None, str | None]]:
    """All suppressions of these breaks, oldest first, with when and why each ended."""
    return [
        (_read(database, *row[:4]), row[4], row[5])
        for name in ids
        for row in database.execute(
            "SELECT seq, id, content, seal, ended_at, ended_why FROM suppressions WHERE id = ? ORDER BY seq", (name,)
        )
    ]


def _end(database: Database, entry: Accepted, why: str, at: datetime | None = None) -> None:
    from datetime import UTC

    when = stored(at or datetime.now(UTC))
    database.execute("UPDATE suppressions SET ended_at = ?, ended_why = ? WHERE seq = ?", (when, why, entry.seq))


def _read(database: Database, seq: int, name: str, content: str, seal: str) -> Accepted:
    try:
        found = json.loads(content)
        if fingerprint({**found, "seq": seq}) != seal or found["id"] != name:
            raise ValueError("its seal does not fit")
        impact = found.pop("impact")
        return Accepted(
            seq=seq,
            impact=None if impact is None else Decimal(impact),
            quantity_difference=Decimal(found.pop("quantity_difference")),
            since=date.fromisoformat(found.pop("since")),
            until=date.fromisoformat(found.pop("until")),
            **found,
        )
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError) as error:
        raise StateError(
            f"{database.name}: suppression {seq} was changed ({error}); `recon-core audit verify` says more: restore a backup"
        ) from None


def _content(entry: Accepted) -> dict[str, Any]:
    return {
        "id": entry.id,
        "quantity_difference": _plain(entry.quantity_difference),
        "until": entry.until.isoformat(),
        "reason": entry.reason,
        "approved_by": entry.approved_by,
    }


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
