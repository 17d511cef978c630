"""semt.002, the ISO 20022 custody report that custodians send, and semt.003, its accounting sister (read 2026-11)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from recon_core import Ask, Broker, Feed, IncompleteError, MalformedError, Position, hookimpl, read_number, read_xml

from ._custody import MOST_DIGITS, OPTIONS, Holding, Page, custody_feed, described, zone_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

REPORTS = ("SctiesBalCtdyRpt", "SctiesBalAcctgRpt")
KINDS = {"Unit": "units", "DgtlTknUnit": "units", "FaceAmt": "face amount", "AmtsdVal": "amortised value"}
FLAGS = {"true": True, "1": True, "false": False, "0": False}


class Semt002(Broker):
    """Balances in ISO 20022 custody reports (semt.002) or accounting reports (semt.003), in any version and wrapping.

    Credentials   none; the files are where ``path`` says, one or more messages each
    Proof         Pgntn: pages 1, 2, ... of one statement, LastPgInd on the last alone; UpdTp COMP (DELT is refused); the page and
                  statement totals (AcctBaseCcyTtlAmts) against the values of the balances. ActvtyInd false says flat
    As of         StmtDtTm. A bare date is a day without a time; a time without a zone is of ``timezone``
    Basis         StmtBsis: TRAD is trade date; SETT and CONT are settlement, and differ from a book of trades by what is unsettled
    Quirks        elements are found by name, whatever the version nests them in; quantities have no sign, ShrtLngInd SHOR makes
                  them short; only the aggregate balance counts, never the available one or breakdowns; a sub-account is an account
                  of its own (``sub_accounts``). A rate is per cent of a face amount: the price stays as written and the multiplier
                  is 0.01, so that quantity x price x multiplier is money. A price that fits neither way is left out, with a note.
                  A document with a DTD or entities is refused
    """

    name = "semt002"
    capabilities = ("positions", "control_totals")
    options = {
        **OPTIONS,
        "sub_accounts": {
            "type": "string",
            "enum": ["separate", "breakdown"],
            "description": "Whether sub-accounts hold balances of their own, or break down those of the account and are left out."
            " Only needed where a report has the same instrument in both.",
        },
    }
    required = ("path",)

    def positions(self, ask: Ask) -> Feed:
        """All balances. PARTIAL where a page is missing or a total does not hold."""
        documents = self.documents(ask)
        return custody_feed([page for document in documents for page in read_pages(document.raw, document.name, self.settings)])


def read_pages(raw: bytes, place: str, settings: Mapping[str, Any]) -> list[Page]:
    """The reports of a document. Raises MalformedError for what is none, IncompleteError for a statement of changes."""
    found = [element for element in read_xml(raw, place).iter() if _name(element) in REPORTS]
    if not found:
        raise MalformedError(f"{place}: no {REPORTS[0]} is in the document; nothing was compared")
    return [_page(body, f"{place}: report {number}", settings) for number, body in enumerate(found, 1)]


def _page(body: Element, place: str, settings: Mapping[str, Any]) -> Page:
    general, paging = _child(body, "StmtGnlDtls"), _child(body, "Pgntn", "MsgPgntn")
    update = _text(general, "UpdTp")
    if general is None or update != "COMP":
        raise IncompleteError(f"{place}: UpdTp is {update[:20] or 'missing'!r}, so it is no full statement: ask for COMP")
    number, basis = _text(paging, "PgNb"), _text(general, "StmtBsis")
    as_of, date_only = _stamp(_text(general, "StmtDtTm"), place, settings)
    page = Page(
        place=place,
        account=_text(_child(body, "SfkpgAcct", "BlckChainAddrOrWllt"), "Id") or settings.get("account"),
        statement=(_text(general, "StmtId"),),
        number=int(number) if number.isascii() and number.isdigit() and len(number) < 6 else 0,
        last=_flag(paging, "LastPgInd", place) is True,
        as_of=as_of,
        date_only=date_only,
        basis=basis,
        holds_nothing=_flag(general, "ActvtyInd", place) is False,
    )
    parts = [(_sub_account(part) or page.account, part) for part in _children(body, "SubAcctDtls")]
    own = list(_holdings(_children(body, "BalForAcct"), page.account, page, settings))
    theirs = [holding for owner, part in parts for holding in _holdings(_children(part, "BalForSubAcct"), owner, page, settings)]
    symbols, theirs_alone = {holding.position.symbol for holding in own}, {holding.position.symbol for holding in theirs}
    both, theirs_alone = symbols & theirs_alone, theirs_alone - symbols
    if both and not settings.get("sub_accounts"):
        said = f"{min(both)[:40]} stands in account {page.account} and in a sub-account"
        raise MalformedError(f"{place}: {said}: say in `sub_accounts` whether one is a part of the other")
    if theirs_alone and settings.get("sub_accounts") == "breakdown":
        said = f"{min(theirs_alone)[:40]} stands in a sub-account and not in account {page.account}"
        raise MalformedError(f"{place}: {said}: sub-accounts are no breakdown of it (`sub_accounts`)")
    page.holdings = own if settings.get("sub_accounts") == "breakdown" else own + theirs
    page.flat_parts = [owner for owner, part in parts if owner and _flag(part, "ActvtyInd", place) is False]
    total = _child(body, "AcctBaseCcyTtlAmts")
    page.page_worth, page.statement_worth = (_worth(total, name, place) for name in ("TtlHldgsValOfPg", "TtlHldgsValOfStmt"))
    return page


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _children(element: Element | None, *names: str) -> list[Element]:
    """The children of these names. Elements are matched without their namespace, which differs by version."""
    return [] if element is None else [child for child in element if _name(child) in names]


def _child(element: Element | None, *names: str) -> Element | None:
    return next(iter(_children(element, *names)), None)


def _text(element: Element | None, *names: str) -> str:
    """What a child says, however deep its choice is nested (``UpdTp/Cd``, ``StmtDtTm/Dt``); '' where it is not there."""
    child = _child(element, *names)
    return next((text.strip() for text in child.itertext() if text.strip()), "") if child is not None else ""


def _flag(element: Element | None, name: str, place: str) -> bool | None:
    text = _text(element, name)
    if text and text not in FLAGS:
        raise MalformedError(f"{place}: {name} is {text[:20]!r}, and true or false is due; nothing was compared")
    return FLAGS.get(text)


def _stamp(text: str, place: str, settings: Mapping[str, Any]) -> tuple[datetime, bool]:
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError:
        raise MalformedError(f"{place}: StmtDtTm is {text[:40]!r}, and the statement's date is due; nothing was compared") from None
    bare = len(text) <= 10
    return zone_of(settings, stamp, bare=bare, place=place), bare


def _sub_account(part: Element) -> str:
    """A sub-account's name: its own Id, or that of the account that is inside."""
    return _text(_child(part, "SfkpgAcct"), "Id") or _text(part, "Id")


def _worth(element: Element | None, name: str, place: str) -> dict[str, Decimal]:
    """An amount by its currency; Sgn false is below zero. Empty where it is not there."""
    outer = _child(element, name)
    amount = outer if outer is None or outer.get("Ccy") else _child(outer, "Amt")
    if outer is None or amount is None:
        return {}
    number = _number(amount.text or "", f"{place}: {name}")
    return {amount.get("Ccy", ""): number.copy_negate() if number and _flag(outer, "Sgn", place) is False else number}


def _number(text: str, place: str) -> Decimal:
    if len(text) > MOST_DIGITS:
        raise MalformedError(f"{place}: {text[:MOST_DIGITS]!r}... is no number of this world; nothing was compared")
    return read_number(text.strip(), place)


def _holdings(balances: list[Element], account: str | None, page: Page, settings: Mapping[str, Any]) -> Iterator[Holding]:
    for balance in balances:
        kept = "".join(text.strip() for place in _children(balance, "SfkpgPlc") for text in place.itertext())
        worth = _worth(_child(balance, "AcctBaseCcyAmts"), "HldgVal", page.place)
        yield Holding(_position(balance, account, page, settings), kept, worth)


def _position(balance: Element, account: str | None, page: Page, settings: Mapping[str, Any]) -> Position:
    isin, ticker, cusip, other = _instrument(balance)
    symbol = (isin or ticker if settings.get("symbol") == "isin" else ticker or isin) or cusip or other
    place = f"{page.place}: {symbol[:40] or 'a balance without an instrument'}"
    aggregate = _children(balance, "AggtBal")
    written = [(_name(leaf), leaf.text or "") for part in aggregate for leaf in part.iter() if _name(leaf) in KINDS]
    written = [entry for entry in written if entry[0] != "AmtsdVal"] or written  # an amortised value may stand beside the face
    side = _text(aggregate[0], "ShrtLngInd") if aggregate else ""
    if not symbol or len(aggregate) != 1 or len(written) != 1 or side not in ("LONG", "SHOR"):
        said = f"{len(aggregate)} aggregate balances with {len(written)} quantities and ShrtLngInd {side[:20]!r}"
        raise MalformedError(f"{place}: {said}, and one, LONG or SHOR, is due; nothing was compared")
    kind, text = written[0]
    quantity = _number(text, f"{place}: {kind}")
    if quantity < 0:
        raise MalformedError(f"{place}: {kind} {text[:40]} has a sign of its own beside {side}; nothing was compared")
    attributes = _child(balance, "FinInstrmAttrbts")
    prices = {_text(details, "Tp"): details for details in reversed(_children(balance, "PricDtls"))}
    value = _child(next((prices[name] for name in ("MRKT", "INDC", "NAVL") if name in prices), None), "Val")
    money, rate, size = _worth(value, "Amt", place), _text(value, "Rate"), _text(attributes, "CtrctSz")
    return Position(
        account=account,
        symbol=symbol,
        raw_symbol=raw if (raw := isin or cusip or other) != symbol else None,
        asset_class=_text(attributes, "ClssfctnTp") or None,
        currency=next(iter(money), "") or _text(attributes, "DnmtnCcy") or None,
        quantity=quantity.copy_negate() if quantity and side == "SHOR" else quantity,
        isin=isin or None,
        cusip=cusip or None,
        **described(
            place=place,
            kind=KINDS[kind],
            per_cent=_number(rate, f"{place}: price") if rate else None,
            money=next(iter(money.values()), None),
            multiplier=_number(size, f"{place}: CtrctSz") if size else None,
            notes=page.notes,
        ),
    )


def _instrument(balance: Element) -> tuple[str, str, str, str]:
    """ISIN, ticker, CUSIP and any other identification; '' where not given."""
    named = _child(balance, "FinInstrmId")
    others = {_text(other, "Tp"): _text(other, "Id") for other in _children(named, "OthrId")}
    return (
        _text(named, "ISIN"),
        others.get("TIKR", ""),
        others.get("CUSP", ""),
        next(iter(others.values()), "") or _text(named, "Desc"),
    )


@hookimpl
def recon_register_brokers() -> list[type[Broker]]:
    """The adapter of this file."""
    return [Semt002]
