"""Rules that look at several pairs at once: what their ``select`` names, checked, as a table."""

from __future__ import annotations

import duckdb

from recon_core.columns import FOUND_COLUMNS, KEY_COLUMNS, PAIR_COLUMNS
from recon_core.config.policy import ActiveRule
from recon_core.engine import deadline
from recon_core.errors import PluginError
from recon_core.expressions import compile_select
from recon_core.scratch import machine_gave_out
from recon_core.sql import identifier
from recon_core.tuning import Tuned

SELECT_SECONDS = 120.0
"""How long the ``select`` of one rule may take, which is many times what a self-join of ten million pairs does."""


def selection(place: int) -> str:
    """The table of what the rule at this place of the policy selects."""
    return f"selection_{place}"


def selected(connection: duckdb.DuckDBPyConnection, seen: str, place: int, rule: ActiveRule, tuning: Tuned) -> None:
    """Make ``selection``: the pairs (``seen``: SQL of those that it sees) that a rule's ``select`` names, with what it returns.

    Raises PluginError for a ``select`` that fails, takes too long, or names anything but pairs that it saw, once each.
    """
    keys_of = ", ".join(KEY_COLUMNS)
    connection.execute(f"CREATE OR REPLACE TEMP VIEW pairs AS SELECT {', '.join(PAIR_COLUMNS)} FROM ({seen})")
    late = PluginError(f"rule {rule.type}: its select ran longer than {SELECT_SECONDS:g} seconds")
    try:
        with deadline(connection, SELECT_SECONDS, late):
            connection.execute(f"CREATE OR REPLACE TEMP TABLE named AS {compile_select(rule.select, tuning.literals)}")
        count, distinct = connection.execute(f"SELECT count(*), count(DISTINCT ({keys_of})) FROM named").fetchone() or (0, 0)
        known = f"SELECT count(*) FROM (SELECT DISTINCT {keys_of} FROM named) s SEMI JOIN pairs p USING ({keys_of})"
        (found,) = connection.execute(known).fetchone() or (0,)
    except duckdb.Error as error:
        if gave_out := machine_gave_out(error):
            raise gave_out from None
        raise PluginError(f"rule {rule.type}: its select fails: {str(error).partition(chr(10))[0]}") from None
    if found != distinct:
        raise PluginError(f"rule {rule.type}: its select returns {distinct - found} keys of no pair that it saw")
    if count != distinct:
        raise PluginError(f"rule {rule.type}: its select returns {count} rows for {distinct} pairs; one row a pair is due")
    own = [row[0] for row in connection.execute("DESCRIBE named").fetchall()]
    taken = sorted(set(own) & ((set(FOUND_COLUMNS) | {"pair_row", "unjudged", "found_row"}) - set(PAIR_COLUMNS) - {"related"}))
    if taken:
        raise PluginError(f"rule {rule.type}: its select returns {', '.join(taken)}, which the engine sets")
    extra = ", ".join(f"s.{identifier(name)}" for name in own if name not in PAIR_COLUMNS)
    related = "" if "related" in own else ", NULL AS related"
    same = " AND ".join(f"p.{key} = s.{key}" for key in KEY_COLUMNS)
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE {selection(place)} AS
            SELECT p.*{", " + extra if extra else ""}{related} FROM ({seen}) p JOIN named s ON {same}"""
    )
