"""Which breaks of earlier runs a run proves gone: absence from its list is not enough."""

from __future__ import annotations

from collections.abc import Collection, Sequence

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
    rows = connection.execute(_gone(comparison, policy, {entry.type for entry in asked})).fetchall()
    return {row[0] for row in rows}


def tail_gone(
    connection: duckdb.DuckDBPyConnection,
    comparison: Comparison,
    policy: Policy,
    feeds: Sequence[ProvenFeed],
    brokers: Collection[str],
) -> None:
    """Make ``ended``: by the same proof the ids of the ``unseen`` breaks (see ``tail``) of ``brokers`` that the run proves gone."""
    answered = {feed.alias: feed for feed in feeds if feed.alias in brokers}
    accounts = connection.execute("SELECT DISTINCT broker, account FROM unseen WHERE is_open").fetchall()
    silent = [at for at in accounts if at[0] not in answered or not answers_for(answered[at[0]], at[1])]
    connection.execute(
        """CREATE OR REPLACE TEMP TABLE asked AS
            SELECT id, type, broker, account, symbol, leg FROM unseen
            ANTI JOIN (SELECT unnest($1::VARCHAR[]) AS broker, unnest($2::VARCHAR[]) AS account) USING (broker, account)
            WHERE is_open""",
        [[broker for broker, _ in silent], [account for _, account in silent]],
    )
    types = {row[0] for row in connection.execute("SELECT DISTINCT type FROM asked").fetchall()}
    none = "SELECT CAST(NULL AS VARCHAR) AS id WHERE false"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE ended AS {_gone(comparison, policy, types) if types else none}")


def _gone(comparison: Comparison, policy: Policy, types: Collection[str]) -> str:
    """SQL of the ids of the breaks in ``asked`` that the run proves gone, under every name that they are there with."""
    narrow = narrowed(comparison, "asked")
    cases = "".join(
        f" WHEN {quoted(rule.type)} THEN coalesce(NOT TRY({compile_expression(rule.when, tuned(policy, rule).literals)}), false)"
        for rule in policy.rules.values()
        if rule.when and rule.type in types
    )
    false = f"CASE a.type{cases} ELSE true END" if cases else "true"
    return f"""SELECT a.id FROM asked a LEFT JOIN ({derived(narrow, joined(narrow))}) p USING (broker, account, symbol, leg)
        GROUP BY a.id HAVING bool_and(p.in_book IS NULL OR (p.at_broker IS NOT NULL AND {false}))"""


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
