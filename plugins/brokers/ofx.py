"""OFX: investment statements in OFX or QFX files, SGML 1.x and XML 2.x (ofx.net specification 2.3, read 2026-11)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import tostring

from recon_core import (
    Ask,
    Broker,
    Cash,
    Evidence,
    Feed,
    Fill,
    MalformedError,
    Movement,
    Position,
    RequestError,
    hookimpl,
)

from ._ofx_document import Statement, find, identity, number, read_statements, said, stamp_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

OPTION = re.compile(r"([A-Z0-9]{1,6}) +(\d{6}[CP]\d{8})", re.ASCII)
CLASSES = {"STOCK": "equity", "MF": "fund", "OPT": "option", "DEBT": "bond", "OTHER": "other"}
MULTIPLIERS = {"STOCK": Decimal(1), "MF": Decimal(1), "DEBT": Decimal("0.01")}
FEES = ("COMMISSION", "TAXES", "FEES", "LOAD")
CASH = ("INVBANKTRAN", "INCOME", "INVEXPENSE", "MARGININTEREST", "RETOFCAP")
CLOSURES = {"ASSIGN": ("assignment", 1), "EXERCISE": ("exercise", -1), "EXPIRE": ("expiry", 0)}
EXACT = Context(prec=200)
MOST_BYTES = 16 * 1024 * 1024  # a year of a busy account has a tenth of it, and its tree takes five times as much memory


class Ofx(Broker):
    """Positions, cash and transactions in OFX and QFX investment statements.

    Credentials   none; the file is where ``path`` says
    Proof         the document is whole to its last tag, sign-on and every statement have status 0, and each has a position list
                  (INVPOSLIST): one that is there and empty is flat, one that is missing proves nothing
    As of         DTASOF of the statement, the oldest where there are several. A bare date is a day without a time
    Basis         as ``basis`` says: the format does not
    Quirks        a row of POSTYPE SHORT is short whatever the sign of UNITS; a security held both long and short has two legs;
                  rows of one security that differ in HELDINACCT or 401(k) source are added up. UNITPRICE is the current price
                  and no cost; of debt it is per cent of the face amount, so the multiplier is 0.01, of options per share, so it
                  is SHPERCTRCT. Tickers come from the security list; one that is not there is named by ISIN, CUSIP or UNIQUEID
    """

    name = "ofx"
    capabilities = ("positions", "cash", "fills", "movements")
    options = {
        "path": {
            "type": "string",
            "description": "The file; {date:%Y%m%d} in its name is the day asked for, and * stands for one file an account.",
        },
        "basis": {
            "type": "string",
            "enum": ["trade", "settlement", "unknown"],
            "default": "unknown",
            "description": "Whether the positions count trades from trade date or from settlement: ask the broker.",
        },
        "lots": {
            "type": "boolean",
            "default": False,
            "description": "Whether rows of one security that nothing tells apart are lots, to be added up.",
        },
        "symbol": {
            "type": "string",
            "enum": ["ticker", "isin"],
            "default": "ticker",
            "description": "What names the security where a statement has both.",
        },
        "timezone": {"type": "string", "description": "IANA time zone of times that name none; by the format's own rule UTC."},
    }
    required = ("path",)

    def positions(self, ask: Ask) -> Feed:
        """The positions of all statements. PARTIAL where a statement is refused or has no position list."""
        return snapshot(self._statements(ask), self.settings)

    def evidence(self, ask: Ask) -> Evidence:
        """The transactions of all statements since ``ask.since``."""
        return transactions(self._statements(ask), self.settings, ask.since)

    def _statements(self, ask: Ask) -> list[Statement]:
        documents = self.documents(ask, most_bytes=MOST_BYTES)
        return [found for document in documents for found in read_statements(document.raw, document.name)]


def snapshot(statements: Sequence[Statement], settings: Mapping[str, Any]) -> Feed:
    """The feed that the statements are."""
    reasons = [statement.refused for statement in statements if statement.refused]
    notes: list[str] = []
    positions: list[Position] = []
    cash: list[Cash] = []
    stamps: dict[str, tuple[datetime, bool]] = {}
    lots = bool(settings.get("lots"))
    for statement in statements:
        body = statement.body
        if body is None:
            continue
        account = _account(statement)
        if account in stamps:
            raise MalformedError(
                f"{statement.place}: account {account} has two statements; one is due (does `path` fit old files?)"
            )
        stamps[account] = stamp_of(body.findtext("DTASOF", "").strip(), f"{statement.place}: DTASOF", settings)
        available = find(body, "INVBAL")
        amount = None if available is None else number(available, "AVAILCASH", statement.place)
        currency = body.findtext("CURDEF", "").strip()
        if amount is not None and currency:
            cash.append(Cash(currency=currency, amount=amount, account=account))
        listed = body.find("INVPOSLIST")
        if listed is None:
            reasons.append(f"account {account}: the statement has no position list (INVPOSLIST): ask for one with positions")
            continue
        rows = [(_position(row, statement, settings, notes), row) for row in listed]
        sides = {(position.symbol, said(row, "POSTYPE")) for position, row in rows}
        parts: set[tuple[str, ...]] = set()
        keys: set[tuple[str, str]] = set()
        for position, row in rows:
            side = said(row, "POSTYPE")
            both = {(position.symbol, "LONG"), (position.symbol, "SHORT")} <= sides
            part = (position.symbol, side, said(row, "HELDINACCT"), said(row, "INV401KSOURCE"))
            if part in parts and not settings.get("lots"):
                raise MalformedError(
                    f"{statement.place}: {position.symbol} stands in account {account} twice, and nothing tells the rows apart"
                    " (say `lots: true` if they are lots)"
                )
            lots = lots or (position.symbol, side) in keys
            parts.add(part)
            keys.add((position.symbol, side))
            positions.append(replace(position, leg="LONG" if side == "LONG" else "SHORT") if both else position)
    if not stamps:
        raise RequestError("; ".join(reasons))
    as_of, date_only = min(stamps.values(), key=lambda stamp: stamp[0])
    more: dict[str, Any] = {"as_of": as_of, "date_only": date_only, "basis": settings.get("basis") or "unknown", "lots": lots}
    more |= {"cash": tuple(cash), "notes": tuple(notes)}
    if reasons:
        return Feed.partial(positions, reason="; ".join(reasons), **more)
    return Feed.complete(positions, accounts=tuple(sorted(stamps)), **more)


def _account(statement: Statement) -> str:
    account = said(find(statement.body, "INVACCTFROM"), "ACCTID")
    if not account:
        raise MalformedError(f"{statement.place}: ACCTID is missing; nothing was compared")
    return account


def _described(row: Element, statement: Statement, settings: Mapping[str, Any], place: str) -> dict[str, Any]:
    """What a position and a transaction say alike: account, security, currency, and the money that a unit of price is."""
    unique, kind = identity(row)
    if not unique:
        raise MalformedError(f"{place}: no security is named (UNIQUEID); nothing was compared")
    info = statement.securities.get((unique, kind))
    ticker, isin = said(info, "TICKER"), unique if kind == "ISIN" else None
    raw = (isin if settings.get("symbol") == "isin" else None) or ticker or unique
    option = OPTION.fullmatch(raw)
    symbol = option[1] + option[2] if option else raw
    sort = next((sort for sort in CLASSES if row.tag.endswith(sort) or (info is not None and info.tag == f"{sort}INFO")), "")
    return {
        "account": _account(statement),
        "symbol": symbol,
        "raw_symbol": raw if raw != symbol else unique if unique != symbol else None,
        "isin": isin,
        "cusip": unique if kind == "CUSIP" else None,
        "currency": _currency(row, statement),
        "asset_class": CLASSES.get(sort) or row.tag.lower().removeprefix("pos"),
        "multiplier": MULTIPLIERS.get(sort) if sort != "OPT" or info is None else number(info, "SHPERCTRCT", place),
    }


def _currency(row: Element, statement: Statement) -> str | None:
    """CURRENCY of a row, else CURDEF of the statement. ORIGCURRENCY is where amounts came from: they are in CURDEF already."""
    default = "" if statement.body is None else statement.body.findtext("CURDEF", "").strip()
    return said(row.find(".//CURRENCY"), "CURSYM") or default or None


def _position(row: Element, statement: Statement, settings: Mapping[str, Any], notes: list[str]) -> Position:
    place = f"{statement.place}: {row.tag} {said(row, 'UNIQUEID')[:20]}"
    side = said(row, "POSTYPE")
    units = number(row, "UNITS", place)
    if row.find("INVPOS") is None or units is None:
        raise MalformedError(f"{place}: no position with UNITS (INVPOS); nothing was compared")
    if side not in ("LONG", "SHORT") or (side == "LONG" and units < 0):
        raise MalformedError(f"{place}: POSTYPE {side[:20]!r} with {units} UNITS is neither long nor short; nothing was compared")
    if side == "SHORT" and units:
        units = units.copy_abs().copy_negate()
    price, value = number(row, "UNITPRICE", place), number(row, "MKTVAL", place)
    common = _described(row, statement, settings, place)
    if price is not None and value is not None and common["multiplier"] is not None:
        computed = EXACT.multiply(EXACT.multiply(units, price), common["multiplier"]).copy_abs()
        if EXACT.subtract(computed, value.copy_abs()).copy_abs() > max(value.copy_abs() / 100, Decimal(1)):
            said_of = f"UNITS x UNITPRICE x {common['multiplier']} is {computed:f}"
            notes.append(f"{place}: MKTVAL is {value:f}, and {said_of}: is the price what the multiplier is of?")
    return Position(quantity=units, market_price=price, **common)


def transactions(statements: Sequence[Statement], settings: Mapping[str, Any], since: datetime | None) -> Evidence:
    """The evidence that the transaction lists are. Not complete where a list is missing or begins after ``since``."""
    fills: list[Fill] = []
    movements: list[Movement] = []
    reasons = [statement.refused for statement in statements if statement.refused]
    begins: list[datetime] = []
    for statement in statements:
        listed = None if statement.body is None else statement.body.find("INVTRANLIST")
        if statement.body is None or listed is None:
            reasons += [] if statement.refused else [f"{statement.place}: it has no transaction list (INVTRANLIST)"]
            continue
        start, _ = stamp_of(listed.findtext("DTSTART", "").strip(), f"{statement.place}: DTSTART", settings)
        begins.append(start)
        if since is not None and start > since:
            reasons.append(f"{statement.place}: its transactions begin on {start:%Y-%m-%d}, later than asked for")
        for row in listed:
            if row.tag in ("DTSTART", "DTEND"):
                continue
            place = f"{statement.place}: {row.tag} {said(row, 'FITID')[:40]}"
            stamp, bare = stamp_of(said(row, "DTTRADE") or said(row, "DTPOSTED"), place, settings)
            if since is not None and (stamp.date() < since.date() if bare else stamp < since):
                continue
            entry = _transaction(row, stamp, statement, settings, place)
            (fills if isinstance(entry, Fill) else movements).append(entry)  # type: ignore[arg-type]  # to those of its kind
    return Evidence(
        fills=tuple(fills),
        movements=tuple(movements),
        since=since or max(begins, default=None),
        complete=not reasons,
        reason="; ".join(reasons),
    )


def _transaction(row: Element, stamp: datetime, statement: Statement, settings: Mapping[str, Any], place: str) -> Fill | Movement:
    units, price, total = (number(row, name, place) for name in ("UNITS", "UNITPRICE", "TOTAL"))
    settles = said(row, "DTSETTLE")
    security: dict[str, Any] = {"account": _account(statement), "currency": _currency(row, statement)}
    if row.find(".//SECID") is not None:
        security = _described(row, statement, settings, place)
    common: dict[str, Any] = {
        "id": said(row, "FITID"),
        "settles_on": stamp_of(settles, place, settings)[0].date() if settles else None,
        "price": price,
        "source": place,
        "raw": tostring(row, encoding="unicode").strip(),
    }
    if not common["id"]:
        raise MalformedError(f"{place}: FITID is missing; nothing was compared")
    reverses = said(row, "REVERSALFITID")
    sign = 1 if row.tag.startswith(("BUY", "REINVEST")) else -1 if row.tag.startswith("SELL") else 0
    if sign and units is not None and price is not None and "symbol" in security and not reverses:
        paid = [amount for name in FEES if (amount := number(row, name, place)) is not None]
        fee = Decimal(0)
        for amount in paid:
            fee = EXACT.add(fee, amount)
        return Fill(quantity=_signed(units, sign), traded_at=stamp, fee=fee if paid else None, **security, **common)
    moved = {name: value for name, value in security.items() if name not in ("asset_class", "multiplier")}
    words = " ".join(filter(None, (row.tag, *(said(row, name) for name in ("OPTACTION", "TFERACTION", "TRNTYPE", "MEMO")))))
    kind, quantity, amount = "unclassified", None, total
    if row.tag in CASH:
        kind, quantity, amount = "cash", None, total if total is not None else number(row, "TRNAMT", place)
    elif row.tag == "SPLIT":
        old, new = number(row, "OLDUNITS", place), number(row, "NEWUNITS", place)
        kind = "reverse_split" if (number(row, "NUMERATOR", place) or 0) < (number(row, "DENOMINATOR", place) or 0) else "split"
        quantity = EXACT.subtract(new, old) if old is not None and new is not None else None
        amount = number(row, "FRACCASH", place)
    elif row.tag == "TRANSFER" and units is not None and said(row, "TFERACTION") in ("IN", "OUT"):
        inwards, long = said(row, "TFERACTION") == "IN", said(row, "POSTYPE") != "SHORT"
        kind, quantity = "transfer", _signed(units, 1 if inwards == long else -1)
    elif row.tag == "CLOSUREOPT" and said(row, "OPTACTION") in CLOSURES:
        kind, sign = CLOSURES[said(row, "OPTACTION")]  # who is assigned was short, who exercises was long
        quantity = units if units is None or not sign else _signed(units, sign)
    elif sign and units is not None:
        quantity = _signed(units, -sign if reverses else sign)
    group = reverses or said(row, "RELFITID") or None
    changed: dict[str, Any] = {"kind": kind, "quantity": quantity, "amount": amount, "group": group}
    return Movement(occurred_on=stamp.date(), **changed, said=words[:200], **moved, **common)


def _signed(units: Decimal, sign: int) -> Decimal:
    return units.copy_abs() if sign > 0 or not units else units.copy_abs().copy_negate()


@hookimpl
def recon_register_brokers() -> list[type[Broker]]:
    """The adapter of this file."""
    return [Ofx]
