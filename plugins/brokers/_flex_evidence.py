"""What Flex statements say happened: executions, transfers, corporate actions and cash, each counted once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal, localcontext

from recon_core import CorporateAction, Evidence, Fill, Movement

from ._flex_positions import symbol_of
from ._flex_reader import Row, Statement
from ._flex_trades import Numbering, trade

SECTIONS = ("Trades", "Transfers", "CorporateActions")
"""Without one of these, something may have moved a position unseen."""

_ACTIONS = {
    "FS": "split",
    "FI": "split",
    "CS": "split",
    "RS": "reverse_split",
    "CC": "reverse_split",
    "SO": "spin_off",
    "CO": "spin_off",
    "SD": "stock_dividend",
    "HI": "stock_dividend",
    "HD": "stock_dividend",
    "TC": "merger",
    "TO": "merger",
    "TI": "merger",
    "IC": "symbol_change",
    "DW": "removal",
    "BM": "expiry",
    "TM": "expiry",
}
"""IBKR's types of corporate action. Rights (RI, SR) and all others stay unclassified, with what IBKR says of them."""

_SPLIT = re.compile(
    r"(?P<symbol>[^\s(]+)\((?P<isin>[A-Z0-9]*)\) SPLIT (?P<new>\d{1,9}(\.\d{1,9})?) FOR (?P<old>\d{1,9}(\.\d{1,9})?)\b"
)


def evidence_in(statements: Sequence[Statement], since: datetime | None, until: date | None, trouble: Sequence[str]) -> Evidence:
    """All that the statements say happened from ``since`` on. Not complete unless they have all sections and reach from
    there to ``until``; ``trouble`` is why some may be missing."""
    with localcontext() as context:
        context.prec = 120  # as in held_in: turning a sign would round a long number, too
        return _evidence_in(statements, since, until, trouble)


def _evidence_in(statements: Sequence[Statement], since: datetime | None, until: date | None, trouble: Sequence[str]) -> Evidence:
    seen: set[tuple[str | None, str]] = set()
    fills: list[Fill] = []
    movements: list[Movement] = []
    actions: dict[str, CorporateAction] = {}
    for statement in sorted(statements, key=lambda statement: (statement.until, statement.account or "")):
        known = frozenset(seen)  # of earlier statements: a period may overlap with another, but no row of one repeats another
        for event in _events(statement):
            if isinstance(event, CorporateAction):
                actions.setdefault(event.id, event)
                continue
            if (event.account, event.id) in known:
                continue
            seen.add((event.account, event.id))
            if isinstance(event, Fill):
                if since is None or event.traded_at >= since:
                    fills.append(event)
            elif since is None or event.occurred_on >= since.astimezone(statement.zone).date():
                movements.append(event)
    reasons = [*trouble, *_gaps(statements, since, until)]
    return Evidence(
        fills=tuple(fills),
        movements=tuple(movements),
        corporate_actions=tuple(actions.values()),
        since=since,
        complete=not reasons,
        reason="; ".join(reasons),
    )


def _gaps(statements: Sequence[Statement], since: datetime | None, until: date | None) -> Iterator[str]:
    for section in SECTIONS:
        without = sorted({statement.account or "?" for statement in statements if not statement.has(section)})
        if without:
            yield f"the Flex query has no section {section} for account {', '.join(without)}: tick it"
    for account in sorted({statement.account or "" for statement in statements}):
        theirs = sorted((s for s in statements if (s.account or "") == account), key=lambda s: s.since or s.day)
        reached = None
        for statement in theirs:
            begin = statement.since or statement.day
            if reached is not None and (begin - reached).days > 1:
                yield f"account {account or '?'}: nothing is said of the days between {reached} and {begin}"
            reached = max(reached or statement.day, statement.day)
        first = theirs[0].since or theirs[0].day
        if since is not None and first > since.astimezone(theirs[0].zone).date():
            yield f"account {account or '?'}: the statements begin on {first}: give the query a longer period"
        if until is not None and reached is not None and reached < until:
            yield f"account {account or '?'}: the statements end on {reached}, before {until}"
    for statement in statements:
        levels: set[str | None] = {row.said("levelOfDetail") for row in statement.rows("Trades", "Trade")}
        others = any(child.tag != "Trade" for part in statement.element.findall("Trades") for child in part)
        if (levels or others) and not levels & {"EXECUTION", None}:
            yield f"{statement.place}: Trades has no executions: tick Executions in the Trades of the Flex query"


def _events(statement: Statement) -> Iterator[Fill | Movement | CorporateAction]:
    number = Numbering()
    for row in statement.rows("Trades", "Trade"):
        level = (row.said("levelOfDetail") or "").upper()
        if level == "EXECUTION" or (not level and row.said("ibExecID", "tradeID", "transactionID")):
            yield trade(row, statement, number)
    for row in statement.rows("Transfers", "Transfer"):
        if (row.said("levelOfDetail") or "").upper() != "LOT":
            yield _transfer(row, statement, number)
    for row in _detailed(
        statement.rows("CorporateActions", "CorporateAction"), lambda row: (*_of(row), row.said("actionID", "dateTime"))
    ):
        yield from _corporate_action(row, statement, number)
    for row in _detailed(statement.rows("CashTransactions", "CashTransaction"), lambda row: ()):
        yield _cash(row, statement, number)


def _detailed(rows: Iterable[Row], key: Callable[[Row], tuple[object, ...]]) -> list[Row]:
    """The rows without those that sum up others: DETAIL where there is any of the same event."""
    found = list(rows)
    details = {key(row) for row in found if (row.said("levelOfDetail") or "").upper() == "DETAIL"}
    return [row for row in found if (row.said("levelOfDetail") or "").upper() == "DETAIL" or key(row) not in details]


def _of(row: Row) -> tuple[str | None, ...]:
    return row.said("accountId"), row.said("conid", "symbol"), row.said("type")


def _transfer(row: Row, statement: Statement, number: Numbering) -> Movement:
    category = (row.said("assetCategory") or "").upper()
    direction, quantity = (row.said("direction") or "").upper(), row.amount("quantity")
    symbol, raw = symbol_of(row, category, "Symbol") if row.said("symbol") else (None, None)
    amount = row.amount("cashTransfer")
    if direction == "OUT" and quantity is not None and quantity > 0:
        quantity = -quantity  # some statements leave the sign to the direction
    return Movement(
        id=number(row, "transactionID"),
        kind="transfer",
        occurred_on=_day(row, "reportDate", "date", "dateTime"),
        symbol=symbol,
        raw_symbol=raw,
        quantity=quantity if symbol and category != "CASH" else None,
        amount=amount or None,
        price=row.amount("transferPrice") or None,
        account=row.said("accountId") or statement.account,
        currency=row.said("currency"),
        isin=row.said("isin"),
        cusip=row.said("cusip"),
        said=" ".join(filter(None, (row.said("type"), direction, row.said("company"), row.said("account")))),
        source=row.place,
        raw=row.raw,
    )


def _corporate_action(row: Row, statement: Statement, number: Numbering) -> Iterator[Movement | CorporateAction]:
    category, code, words = (row.said("assetCategory") or "").upper(), row.said("type") or "", row.said("description") or ""
    symbol, raw = symbol_of(row, category, "Symbol")
    split = _SPLIT.match(words)
    kind = _ACTIONS.get(code.upper(), "unclassified") if code else _kind_of(words, split)
    day = _day(row, "reportDate", "dateTime")
    about = re.match(r"([^\s(]+)\(", words)
    event = row.said("actionID") or f"{day} {words.rpartition(' (')[0] or words or symbol}"
    said = " ".join(filter(None, (code, words)))
    yield Movement(
        id=number(row, "transactionID"),
        kind=kind,
        occurred_on=day,
        symbol=symbol,
        raw_symbol=raw,
        quantity=row.amount("quantity"),
        amount=row.amount("proceeds") or None,
        account=row.said("accountId") or statement.account,
        currency=row.said("currency"),
        related=about[1] if about and about[1] != symbol else None,
        group=event,
        isin=row.said("isin"),
        cusip=row.said("cusip"),
        said=said,
        source=row.place,
        raw=row.raw,
    )
    if split is not None and kind in ("split", "reverse_split") and Decimal(split["old"]) and Decimal(split["new"]):
        yield CorporateAction(
            id=event,
            kind=kind,
            symbol=split["symbol"],
            isin=split["isin"] or None,
            ex_date=day,
            old_rate=Decimal(split["old"]),
            new_rate=Decimal(split["new"]),
            said=said,
            source=row.place,
            raw=row.raw,
        )


def _kind_of(words: str, split: re.Match[str] | None) -> str:
    """The kind of a corporate action by IBKR's own words, where the query leaves its type out."""
    if split is not None:
        return "split" if Decimal(split["new"]) >= Decimal(split["old"]) else "reverse_split"
    return "merger" if re.search(r"\) (TENDERED TO|MERGED)\b", words) else "unclassified"


def _cash(row: Row, statement: Statement, number: Numbering) -> Movement:
    return Movement(
        id=number(row, "transactionID"),
        kind="cash",
        occurred_on=_day(row, "reportDate", "dateTime"),
        symbol=row.said("symbol"),
        amount=row.amount("amount"),
        account=row.said("accountId") or statement.account,
        currency=row.said("currency"),
        isin=row.said("isin"),
        cusip=row.said("cusip"),
        said=" ".join(filter(None, (row.said("type"), row.said("description")))),
        source=row.place,
        raw=row.raw,
    )


def _day(row: Row, *names: str) -> date:
    found = row.day_of(*names)
    if found is None:
        raise row.wrong(names[0], "a date")
    return found
