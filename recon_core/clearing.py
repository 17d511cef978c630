"""Which breaks of earlier runs a run proves gone: absence from its list is not enough."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from recon_core.config.policy import Policy
from recon_core.expressions import compile_expression
from recon_core.feeds import ProvenFeed
from recon_core.other_names import OtherNames
from recon_core.pairs import Comparison, derived, joined, narrowed
from recon_core.sql import quoted
from recon_core.state.lifecycle import OpenBreak
from recon_core.tuning import tuned


def proven_gone(
    connection: duckdb.DuckDBPyConnection,
    comparison: Comparison,
    policy: Policy,
    feeds: Sequence[ProvenFeed],
    earlier: Sequence[OpenBreak],
    names: OtherNames,
) -> set[str]:
    """The ids of those of ``earlier`` (breaks that the run did not find) that the run proves gone.

    The account must have answered; then either neither side holds the position, or the pair was judged and the rule's
    predicate is false for it, under each of the ``names`` that it is known by. A predicate that lacks a value proves nothing. A
    rule that the policy no longer lists finds nothing.
    """
    answered = {feed.alias: feed for feed in feeds}
    asked = [entry for entry in earlier if entry.broker in answered and answers_for(answered[entry.broker], entry.account)]
    if not asked:
        return set()
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE asked AS SELECT unnest($1) AS id, unnest($2) AS type, unnest($3) AS broker, "
        "unnest($4) AS account, unnest($5) AS symbol, unnest($6) AS leg",
        [list(column) for column in zip(*(each for entry in asked for each in names.each(entry)), strict=True)],
    )
    narrow = narrowed(comparison, "asked")
    cases = "".join(
        f" WHEN {quoted(rule.type)} THEN coalesce(NOT TRY({compile_expression(rule.when, tuned(policy, rule).literals)}), false)"
        for rule in policy.rules.values()
        if rule.when and any(entry.type == rule.type for entry in asked)
    )
    false = f"CASE a.type{cases} ELSE true END" if cases else "true"
    rows = connection.execute(
        f"""SELECT a.id FROM asked a LEFT JOIN ({derived(narrow, joined(narrow))}) p USING (broker, account, symbol, leg)
            GROUP BY a.id HAVING bool_and(p.in_book IS NULL OR (p.at_broker IS NOT NULL AND {false}))"""
    ).fetchall()
    return {row[0] for row in rows}


def answers_for(feed: ProvenFeed, account: str) -> bool:
    """Whether a feed proves what an account holds, also where it holds nothing: silence does not."""
    if feed.mounted is None or feed.everywhere or account in feed.unproven_accounts:
        return False
    if account in feed.accounts:
        return True
    names = feed.answer.settings.accounts
    return any(
        entry.ok
        and not entry.total.stated
        and (feed.positions == 0 if entry.total.account is None else names.get(entry.total.account, entry.total.account) == account)
        for entry in feed.totals
    )
