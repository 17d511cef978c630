"""MT535: the SWIFT statement of holdings (ISO 15022) that custodians send (read 2026-11)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from recon_core import Ask, Broker, Feed, IncompleteError, MalformedError, Position, hookimpl, read_number

from ._custody import MOST_DIGITS, OPTIONS, Holding, Page, custody_feed, described, zone_of

KIND = re.compile(r"\{2:[IO](\d{3})")
REST = re.compile(r":16[RS]:|\{[12]:")
FIELD = re.compile(r"^:(\d\d[A-Z]?):", re.MULTILINE)
NUMBER = re.compile(r"(N?)(\d+(?:,\d*)?)", re.ASCII)
AMOUNT = re.compile(r"(N?)([A-Z]{3})(\d+(?:,\d*)?)", re.ASCII)
STAMP = re.compile(r"(\d{8})(?:(\d{6})(?:,\d{1,3})?(?:/(N?)(\d\d)(\d\d)?)?)?", re.ASCII)
PAGE = re.compile(r"(\d{1,5})/(ONLY|MORE|LAST)", re.ASCII)
ISIN = re.compile(r"ISIN ([A-Z]{2}[A-Z0-9]{9}\d)", re.ASCII)
CODED = re.compile(r"/([A-Z]{2})/(\S.*)", re.ASCII)
CUSIP = re.compile(r"[A-Z0-9*@#]{8}\d", re.ASCII)
KINDS = {"UNIT": "units", "FAMT": "face amount", "AMOR": "amortised value"}
MOST_DEPTH = 20


class Mt535(Broker):
    """Holdings in SWIFT MT535 statements, of one or several safekeeping accounts.

    Credentials   none; the files are where ``path`` says, one or more messages each, as they came ({1:..}{2:..}{4:...-})
    Proof         28E: pages 1, 2, ... of one reference (20C SEME), MORE on all but the last, which says LAST, or ONLY on page 1;
                  22F CODE//COMP (DELT is refused); every sequence closed; the page and statement totals (19A HOLP, HOLS) against
                  the values of the holdings (19A HOLD). 17B ACTI//N says flat
    As of         98a STAT. A bare date is a day without a time; a time without a zone is of ``timezone``
    Basis         22F STBA: TRAD is trade date; SETT and CONT are settlement, and differ from a book of trades by what is unsettled
    Quirks        decimal comma, N before a number below zero; only 93B AGGR of a holding counts, never its balances AVAI and NAVL
                  or the sub-balances (SUBBAL) that AGGR is broken down into; a sub-safekeeping account that is named is an
                  account of its own; FAMT is a face amount, priced per cent: the price stays as written and the multiplier is
                  0.01, so that quantity x price x multiplier is money. A price that fits neither way is left out, with a note
    """

    name = "mt535"
    capabilities = ("positions", "control_totals")
    options = {
        **OPTIONS,
        "assume_complete": {
            "type": "boolean",
            "default": False,
            "description": "Whether a statement that says neither COMP nor DELT is a full one: ask the custodian.",
        },
    }
    required = ("path",)

    def positions(self, ask: Ask) -> Feed:
        """All holdings. PARTIAL where a page is missing or a total does not hold."""
        messages = [found for document in self.documents(ask) for found in read_messages(document.raw, document.name)]
        return custody_feed([_page(message, self.settings) for message in messages])


@dataclass
class Block:
    """What stands between 16R and 16S: fields as tag and content, and the blocks inside."""

    name: str
    place: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    inside: list[Block] = field(default_factory=list)

    def all(self, name: str) -> list[Block]:
        return [block for block in self.inside if block.name == name]

    def bare(self, tag: str) -> str:
        """The content of the only field of that tag; '' where there is none."""
        return self._only(tag, [content.strip() for written, content in self.fields if written == tag]) or ""

    def values(self, tag: str, qualifier: str) -> list[tuple[str, str]]:
        """Of each ``:QUAL//value`` or ``:QUAL/ISSUER/value``: who issued the code ('': SWIFT), and the value."""
        found = []
        for written, content in self.fields:
            if re.fullmatch(tag, written) and content.startswith(f":{qualifier}/"):
                issuer, _, value = content[len(qualifier) + 2 :].partition("/")
                found.append((issuer, value.strip()))
        return found

    def value(self, tag: str, qualifier: str) -> tuple[str, str]:
        """The only such value; '' where there is none."""
        return self._only(f"{tag} {qualifier}", self.values(tag, qualifier)) or ("", "")

    def code(self, tag: str, qualifier: str) -> str:
        """The value of a standard code; '' where it is missing or some issuer's own."""
        issuer, value = self.value(tag, qualifier)
        return "" if issuer else value

    def _only(self, what: str, found: list[Any]) -> Any:
        if len(found) > 1:
            raise MalformedError(f"{self.place}: {what} stands in {self.name} {len(found)} times; nothing was compared")
        return found[0] if found else None


def read_messages(raw: bytes, place: str) -> list[Block]:
    """The messages of a file, each as a tree. Raises MalformedError for one that is cut short."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    messages: list[Block] = []
    end = 0
    while (start := text.find("{4:", end)) >= 0:
        where = f"{place}: message {len(messages) + 1}"
        head, stop = text[end:start], text.find("\n-}", start)
        kinds = KIND.findall(head)
        if kinds and kinds[-1] != "535":
            raise MalformedError(f"{where} is an MT{kinds[-1]}, and MT535 is due; nothing was compared")
        if stop < 0 or text.find("{4:", start + 3, stop) >= 0 or ":16R:" in head:
            break
        messages.append(_tree(text[start + 3 : stop], where))
        end = stop + 3
    if not messages or start >= 0 or REST.search(text, end):
        raise MalformedError(f"{place}: message {len(messages) + 1} is not whole ({{4: to -}}): cut short? nothing was compared")
    return messages


def _tree(text: str, place: str) -> Block:
    stack = [Block("message", place)]
    parts = FIELD.split(text)
    if parts[0].strip():
        raise MalformedError(f"{place}: {parts[0].strip()[:40]!r} is no field; nothing was compared")
    for tag, content in zip(parts[1::2], parts[2::2], strict=True):
        name = content.strip()
        if tag == "16R" and len(stack) < MOST_DEPTH:
            stack.append(Block(name, place))
            stack[-2].inside.append(stack[-1])
        elif tag == "16S" and len(stack) > 1 and stack[-1].name == name:
            stack.pop()
        elif tag in ("16R", "16S"):
            raise MalformedError(
                f"{place}: sequence {stack[-1].name[:20]} is open where {tag} {name[:20]!r} stands; nothing was compared"
            )
        else:
            stack[-1].fields.append((tag, content.rstrip("\r\n")))
    if len(stack) > 1 or len(stack[0].all("GENL")) != 1:
        raise MalformedError(f"{place}: sequence {stack[-1].name[:20]} does not end, or there is no GENL; nothing was compared")
    return stack[0]


def _page(message: Block, settings: Mapping[str, Any]) -> Page:
    general, place = message.all("GENL")[0], message.place
    paging = PAGE.fullmatch(general.bare("28E"))
    if paging is None or not general.bare("23G").startswith("NEWM"):
        said = f"28E {general.bare('28E')[:20]!r}, 23G {general.bare('23G')[:20]!r}"
        raise MalformedError(
            f"{place}: {said} where page/ONLY, MORE or LAST of a new statement (NEWM) is due; nothing was compared"
        )
    update = general.code("22F", "CODE")
    if update == "DELT":
        raise IncompleteError(f"{place}: a statement of changes only (22F CODE//DELT) is no full one: ask for COMP")
    if update != "COMP" and (update or not settings.get("assume_complete")):
        raise IncompleteError(f"{place}: 22F CODE is {update[:20] or 'missing'!r}, so it may not be a full one (`assume_complete`)")
    if paging[2] == "ONLY" and int(paging[1]) != 1:
        raise MalformedError(f"{place}: 28E says that page {paging[1]} is the only one; nothing was compared")
    as_of, date_only = _stamp(general.value("98[ACE]", "STAT")[1], place, settings)
    page = Page(
        place=place,
        account=_account(general) or settings.get("account"),
        statement=(general.code("20C", "SEME"), paging[2] == "ONLY"),
        number=int(paging[1]),
        last=paging[2] != "MORE",
        as_of=as_of,
        date_only=date_only,
        basis=general.code("22F", "STBA"),
        holds_nothing=general.code("17B", "ACTI") == "N",
    )
    for part in message.all("SUBSAFE"):
        owner = _account(part) or page.account
        kept = f"{owner} {part.value('94[A-Z]', 'SAFE')}"
        holdings = [Holding(_position(each, owner, settings, page.notes), kept, _worth([each], "HOLD")) for each in part.all("FIN")]
        if part.code("17B", "ACTI") == "N":
            if holdings:
                raise MalformedError(
                    f"{place}: account {owner} says that nothing is held, and lists holdings; nothing was compared"
                )
            page.flat_parts += [owner] if owner and owner != page.account else []
        page.holdings += holdings
    page.page_worth, page.statement_worth = (_worth(message.all("ADDINFO"), qualifier) for qualifier in ("HOLP", "HOLS"))
    return page


def _account(block: Block) -> str | None:
    """97A SAFE is the account; 97B has issuer and type of the account before it."""
    issuer, text = block.value("97[AB]", "SAFE")
    return (text.partition("/")[2] if issuer else text).strip() or None


def _stamp(text: str, place: str, settings: Mapping[str, Any]) -> tuple[datetime, bool]:
    shape = STAMP.fullmatch(text)
    try:
        if shape is None:
            raise ValueError
        stamp = datetime.strptime(shape[1] + (shape[2] or "000000"), "%Y%m%d%H%M%S")  # noqa: DTZ007  # 98A and 98C name no zone
        if shape[4]:
            ahead = timedelta(hours=int(shape[4]), minutes=int(shape[5] or 0))
            stamp = stamp.replace(tzinfo=timezone(-ahead if shape[3] else ahead))
    except ValueError:
        raise MalformedError(f"{place}: 98a STAT is {text[:40]!r}, and the statement's date is due; nothing was compared") from None
    return zone_of(settings, stamp, bare=not shape[2], place=place), not shape[2]


def _worth(blocks: Sequence[Block], qualifier: str) -> dict[str, Decimal]:
    """The amounts (19A) of the blocks, by currency."""
    amounts: dict[str, Decimal] = {}
    for block in blocks:
        for _, text in block.values("19A", qualifier):
            shape = AMOUNT.fullmatch(text)
            if shape is None or shape[2] in amounts:
                raise MalformedError(f"{block.place}: 19A {qualifier} {text[:40]!r} is no amount, or the second of its currency")
            amounts[shape[2]] = _number(shape[1] + shape[3], f"{block.place}: 19A {qualifier}")
    return amounts


def _number(text: str, place: str) -> Decimal:
    """A SWIFT number: decimal comma, N before it below zero."""
    shape = NUMBER.fullmatch(text)
    if shape is None or len(text) > MOST_DIGITS:
        raise MalformedError(
            f"{place} is {text[:MOST_DIGITS]!r}, and a number such as 1234,5 or N1234,5 is due; nothing was compared"
        )
    number = read_number(shape[2], place, decimal=",")
    return number.copy_negate() if shape[1] and number else number


def _position(holding: Block, account: str | None, settings: Mapping[str, Any], notes: list[str]) -> Position:
    isin, ticker, cusip, raw = _instrument(holding)
    symbol = (isin or ticker if settings.get("symbol") == "isin" else ticker or isin) or cusip or raw
    place = f"{holding.place}: {symbol[:40]}"
    balances = [value.partition("/") for issuer, value in holding.values("93B", "AGGR") if not issuer]
    balances = [entry for entry in balances if entry[0] != "AMOR"] or balances  # an amortised value may stand beside the face
    if len(balances) != 1:
        raise MalformedError(f"{place}: {len(balances)} aggregate balances (93B AGGR), and one is due; nothing was compared")
    kind, _, written = balances[0]
    attributes = holding.all("FIA")[0] if holding.all("FIA") else Block("FIA", place)
    size = attributes.code("36B", "SIZE").partition("/")[2]
    priced = next((name for name in ("MRKT", "INDC") if holding.values("90[AB]", name)), "MRKT")
    form, _, rate = holding.code("90A", priced).partition("/")
    money_form, _, money = holding.code("90B", priced).partition("/")
    currency = attributes.code("11A", "DENO")
    if form not in ("", "PRCT") or money_form not in ("", "ACTU"):
        notes.append(f"{place}: price left out: what {form or money_form} is of is not known")
        rate = money = ""
    return Position(
        account=account,
        symbol=symbol,
        raw_symbol=raw if raw != symbol else None,
        asset_class=attributes.value("12[ABC]", "CLAS")[1] or None,
        currency=(money[:3] if money else currency) or None,
        quantity=_number(written, f"{place}: 93B AGGR"),
        isin=isin or None,
        cusip=cusip or None,
        **described(
            place=place,
            kind=KINDS.get(kind, kind[:20]),
            per_cent=_number(rate, f"{place}: 90A") if rate else None,
            money=_number(money[3:], f"{place}: 90B") if money else None,
            multiplier=_number(size, f"{place}: 36B SIZE") if size else None,
            notes=notes,
        ),
    )


def _instrument(holding: Block) -> tuple[str, str, str, str]:
    """ISIN, ticker and CUSIP ('' where not given), and the identification as written, of 35B."""
    lines = [line.strip() for line in holding.bare("35B").splitlines() if line.strip()]
    if not lines:
        raise MalformedError(f"{holding.place}: a holding names no instrument (35B); nothing was compared")
    isin = ISIN.fullmatch(lines[0])
    coded = {found[1]: found[2] for line in lines[bool(isin) :][:1] if (found := CODED.fullmatch(line))}
    cusip = coded.get("US", "") if CUSIP.fullmatch(coded.get("US", "")) else ""
    return isin[1] if isin else "", coded.get("TS", ""), cusip, isin[1] if isin else next(iter(coded.values()), lines[0])


@hookimpl
def recon_register_brokers() -> list[type[Broker]]:
    """The adapter of this file."""
    return [Mt535]
