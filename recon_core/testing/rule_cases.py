"""A rule case through the real policy reader and the real kernel: what a run would find, without files or network."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import Any

import duckdb

from recon_core.book.survey import Survey, survey
from recon_core.brokers import Broker
from recon_core.class_checks import expression_problems, rule_problems
from recon_core.collect import BrokerAnswer
from recon_core.config.policy import Policy
from recon_core.config.policy_reader import read_policy
from recon_core.config.problems import Problems
from recon_core.config.settings import BrokerSettings
from recon_core.engine import connect
from recon_core.errors import BookError, ConfigError, PluginError
from recon_core.feeds import ProvenFeed, prove
from recon_core.listing import worst
from recon_core.match import find
from recon_core.model import Feed, FeedStatus, Relation
from recon_core.rules import Rule
from recon_core.scan import scan
from recon_core.sides import compare
from recon_core.silence import silence
from recon_core.sql import identifier
from recon_core.tables.mounting import Mounted, duplicate_rows, load_texts, mount
from recon_core.testing.case_files import AMOUNTS, BREAK_KEYS, UNKNOWN, Row, RuleCase

Break = Mapping[str, str | bool | None]

_LIMIT = 10_000
"""Breaks of a case that are looked at; what a case is not meant to reach."""


def check_rule_case(case: RuleCase, rules: Iterable[type[Rule]]) -> None:
    """Raise AssertionError, with what differs, unless ``case`` gives exactly the breaks that it expects.

    ``rules`` are the installed ones, of which the case's rule and those of its ``with`` run. Raises PluginError for a rule
    that cannot be meant, ConfigError where the case's settings or rows cannot. Not for several threads at once: all cases of
    a process share one database.
    """
    policy = _policy_of(case, {rule.type: rule for rule in rules})
    outcome = _outcome(_connection(), case, policy)
    lines = list(_differences(case.breaks, outcome.breaks))
    if outcome.undetermined != case.undetermined:
        lines.append(f"undetermined: {case.undetermined} expected, {outcome.undetermined} found")
    if lines:
        raise AssertionError("\n".join([f"{case.path}:{case.line}: {case.rule}, case {case.name}:", *lines]))


@dataclass(frozen=True, slots=True)
class _Outcome:
    breaks: Sequence[Break]
    undetermined: int


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    """One for all cases of the process: making one costs more than a case does."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(connect())


def _policy_of(case: RuleCase, rules: Mapping[str, type[Rule]]) -> Policy:
    _require_sound(rule_problems, rules)
    said = case.policy.problems
    document = replace(case.policy, problems=Problems(said.name, "\n".join(said.lines)))  # of this reading alone
    policy = read_policy(document, rules, today=case.as_of.date())
    if policy is None:
        raise ConfigError(document.problems.texts())
    _require_sound(expression_problems, {name: rule for name, rule in rules.items() if name in policy.rules})
    return policy


_sound: set[tuple[Callable[[type[Rule]], list[str]], type[Rule]]] = set()
"""What has been checked in this process and was in order: a class does not change, and a check costs as much as a case."""


def _require_sound(check: Callable[[type[Rule]], list[str]], rules: Mapping[str, type[Rule]]) -> None:
    problems = []
    for name, rule in rules.items():
        if (check, rule) not in _sound:
            found = check(rule)
            problems += [f"{name}.{problem}" for problem in found]
            if not found:
                _sound.add((check, rule))
    if problems:
        raise PluginError("\n".join(problems))


def _outcome(connection: duckdb.DuckDBPyConnection, case: RuleCase, policy: Policy) -> _Outcome:
    """What a run finds at ``case.as_of``; the same steps as recon_core.reconcile takes."""
    brokers = sorted({str(row["broker"]) for row in (*case.book, *case.broker)}) or ["prime"]
    relation = _relation(connection, "case book", case.book, "broker", "symbol", "quantity")
    book = mount(connection, "book_rows", relation, book=True, keyed=True)
    held = _survey(connection, case, book, brokers)
    feeds = [_feed(connection, case, held, alias, f"feed_{number}") for number, alias in enumerate(brokers)]
    comparison = compare(book, held, feeds, policy, book_lots=False, fx=case.fx, as_of=case.as_of, now=case.as_of)
    rows = (held.positions_at(brokers), sum(feed.positions for feed in feeds))
    scanned = scan(connection, comparison, policy, rows)
    if scanned.duplicates:
        sides = [(book, True), *((feed.mounted, False) for feed in feeds if feed.mounted)]
        raise _wrong(case, "; ".join(text for side, is_book in sides for text in duplicate_rows(connection, side, book=is_book)))
    find(connection, comparison, policy)
    silence(connection, policy, case.as_of.date())
    breaks = [{key: row[key] for key in BREAK_KEYS} for row in worst(connection, _LIMIT)]
    return _Outcome(breaks, scanned.undetermined[case.rule])


def _relation(connection: duckdb.DuckDBPyConnection, name: str, rows: Sequence[Row], *always: str) -> Relation:
    """The rows as texts, as a file would give them. A column that is neither in ``always`` nor in a row is one that the source
    does not have."""
    columns = list(dict.fromkeys([*always, *(column for row in rows for column in row)]))
    load_texts(connection, name, columns, [[[row.get(column) for row in rows] for column in columns]])
    return Relation(f"SELECT * FROM {identifier(name)}")


def _survey(connection: duckdb.DuckDBPyConnection, case: RuleCase, book: Mounted, brokers: Sequence[str]) -> Survey:
    try:
        return survey(connection, book, brokers, "rows", case.as_of)
    except BookError as error:
        raise _wrong(case, str(error)) from None


def _feed(connection: duckdb.DuckDBPyConnection, case: RuleCase, held: Survey, alias: str, name: str) -> ProvenFeed:
    """The rows of one broker as its feed, which answers for every account that either side names."""
    accounts = {row["account"] for row in (*case.book, *case.broker) if row["broker"] == alias}
    rows = [{key: value for key, value in row.items() if key != "broker"} for row in case.broker if row["broker"] == alias]
    feed = Feed(
        FeedStatus.PARTIAL if case.unproven else FeedStatus.COMPLETE,
        reason="the case says that it is unproven" if case.unproven else "",
        relation=_relation(connection, f"case {name}", rows, "symbol", "quantity"),
        as_of=case.as_of,
        accounts=tuple(sorted(account for account in accounts if account)),
    )
    proven = prove(
        connection,
        BrokerAnswer(BrokerSettings(alias, "case"), Broker, feed),
        name=name,
        book=held.accounts.get(alias, ()),
        as_of=case.as_of,
        asked=False,
        now=case.as_of,
        delivered={},
    )
    if proven.mounted is None:
        raise _wrong(case, f"broker rows: {proven.reason}")
    return proven


def _wrong(case: RuleCase, message: str) -> ConfigError:
    return ConfigError([f"{case.path}:{case.line}: case {case.name}: {line}" for line in message.splitlines()])


def _differences(expected: Sequence[Break], found: Sequence[Break]) -> Iterator[str]:
    """What differs, a line each. The expected break that says most chooses first among the found ones that fit it."""
    left = list(found)
    unmet = []
    for wanted in sorted(expected, key=len, reverse=True):
        fitting = next((row for row in left if not _unlike(wanted, row)), None)
        if fitting is None:
            unmet.append(wanted)
        else:
            left.remove(fitting)
    for wanted in unmet:
        near = next((row for row in left if not _unlike({key: wanted[key] for key in ("type", "symbol")}, row)), None)
        if near is None:
            yield f"- expected, not found: {_shown(wanted)}"
            continue
        left.remove(near)
        for key in _unlike(wanted, near):
            yield f"! {wanted['type']} {wanted['symbol']}: {key} {_text(wanted[key])} expected, {_text(near[key])} found"
    for row in left:
        yield f"+ found, not expected: {_shown(row)}"


def _unlike(wanted: Break, row: Break) -> list[str]:
    """The keys that ``wanted`` names and in which ``row`` differs."""
    return [key for key, value in wanted.items() if _value(key, value) != _value(key, row[key])]


def _value(key: str, value: Any) -> Any:
    if key not in AMOUNTS:
        return value
    return None if value in (None, UNKNOWN) else Decimal(value)


def _shown(row: Break) -> str:
    return ", ".join(f"{key} {_text(row[key])}" for key in BREAK_KEYS if key in row and (row[key] is not None or key in AMOUNTS))


def _text(value: str | bool | None) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return UNKNOWN if value is None else f"'{value}'" if " " in value else value
