"""Breaks that a person accepted by id, held against the breaks of a run: silenced while they are what was accepted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import duckdb

from recon_core.sql import quoted
from recon_core.state.suppressions import Accepted


def in_force(known: Sequence[Accepted], today: date) -> tuple[tuple[Accepted, ...], tuple[tuple[Accepted, str], ...]]:
    """The suppressions that hold on a day, and those whose last day is over, with that reason."""
    holding = tuple(entry for entry in known if entry.since <= today <= entry.until)
    return holding, tuple((entry, f"it was accepted until {entry.until}") for entry in known if entry.until < today)


def accept(
    connection: duckdb.DuckDBPyConnection, accepted: Sequence[Accepted], first_place: int
) -> tuple[tuple[Accepted, str], ...]:
    """Set ``suppressed_by`` in ``marked`` for the breaks that are still as accepted: ``first_place`` + place in ``accepted``.

    Returns the suppressions whose break outgrew them, and why.
    """
    if not accepted:
        return ()
    ids = ", ".join(quoted(entry.id) for entry in accepted)
    rows = connection.execute(f"SELECT id, quantity_difference, impact FROM marked WHERE id IN ({ids})").fetchall()
    found = {row[0]: row[1:] for row in rows}
    ended = []
    for place, entry in enumerate(accepted, first_place):
        if entry.id not in found:
            continue
        if why := entry.outgrown(*found[entry.id]):
            ended.append((entry, why))
        else:
            connection.execute(f"UPDATE marked SET suppressed_by = {place} WHERE id = {quoted(entry.id)} AND suppressed_by IS NULL")
    return tuple(ended)
