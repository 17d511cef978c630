"""FIX messages, taken apart: tag=value, with body length and checksum held to, and FIXML, by the same tags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from recon_core import MalformedError, read_number, read_xml

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

START = re.compile(rb"8=FIXT?\.\d[^\x01|^\r\n]{0,8}(\x01|\||\^A)")
LENGTH = re.compile(rb"9=(\d{1,9})\x01")
CHECKSUM = re.compile(rb"10=(\d{3})(?:\x01|(?=[\r\n])|\Z)")
PIECE = re.compile(rb"(?:^|[\x01\s])\d{1,5}=")
RESENT = (34, 43, 52, 97, 122)  # what differs where a message is sent again
ONCE = {1, 15, 22, 35, 48, 52, 55, 58, 167, 200, 201, 202, 231, 325, 423, 461, 541, 702, 710, 715, 721, 724, 727, 728, 730}
KINDS = {"PosRpt": "AP", "ReqForPossAck": "AO"}
REPORT = {"RptID": 721, "ReqID": 710, "ReqTyp": 724, "TotRpts": 727, "Rslt": 728, "Unsol": 325, "BizDt": 715, "Acct": 1, "Ccy": 15}
REPORT |= {"SetPx": 730, "PxTyp": 423, "Txt": 58}
INSTRUMENT = {"Sym": 55, "ID": 48, "Src": 22, "IDSrc": 22, "CFI": 461, "SecTyp": 167, "MMY": 200, "MatDt": 541, "Mat": 541}
INSTRUMENT |= {"PutCall": 201, "StrkPx": 202, "Strk": 202, "Mult": 231}
NAMES = {"Instrmt": INSTRUMENT, "Hdr": {"Snt": 52}}
MOST_DIGITS = 60


@dataclass
class Message:
    """One message: its fields by FIX tag, its quantities likewise, other identifiers by their source, parties by their role."""

    kind: str
    place: str
    fields: dict[int, str] = field(default_factory=dict)
    quantities: list[dict[int, str]] = field(default_factory=list)
    identifiers: dict[str, str] = field(default_factory=dict)
    parties: dict[str, str] = field(default_factory=dict)

    def said(self, tag: int) -> str:
        return self.fields.get(tag, "").strip()

    def number(self, tag: int, text: str | None = None) -> Decimal | None:
        text = self.said(tag) if text is None else text
        if len(text) > MOST_DIGITS:
            raise MalformedError(f"{self.place}: {tag}={text[:40]}... is no number of this world; nothing was compared")
        return read_number(text, f"{self.place}: {tag}") if text else None

    def same_as(self, other: Message) -> bool:
        mine, theirs = ({tag: value for tag, value in each.fields.items() if tag not in RESENT} for each in (self, other))
        return (mine, self.quantities) == (theirs, other.quantities)


def read_messages(raw: bytes, place: str) -> list[Message]:
    """The messages of a file, tag=value or FIXML. Raises MalformedError for one that is cut short or damaged."""
    if raw.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return _fixml(raw, place)
    first = START.search(raw)
    if first is None:
        raise MalformedError(f"{place}: no FIX message is in it; nothing was compared")
    bodies = _bodies(raw if first[1] == b"\x01" else raw.replace(first[1], b"\x01"), place)
    return [_message(body, f"{place}: message {number}") for number, body in enumerate(bodies, 1)]


def _bodies(raw: bytes, place: str) -> Iterator[bytes]:
    """What stands between body length and checksum of each message, where both hold."""
    end = 0
    while True:
        start = START.search(raw, end)
        if PIECE.search(raw[end : start.start() if start else len(raw)]):
            raise MalformedError(f"{place}: after byte {end} stand fields of no message (cut short?); nothing was compared")
        if start is None:
            return
        length = LENGTH.match(raw, start.end())
        stop = length.end() + int(length[1]) if length else 0
        trailer = CHECKSUM.match(raw, stop) if length and raw[stop - 1 : stop] == b"\x01" else None
        if length is None or trailer is None:
            raise MalformedError(f"{place}: the message at byte {start.start()} is not as long as its body length (9) says")
        if sum(raw[start.start() : stop]) % 256 != int(trailer[1]):
            raise MalformedError(f"{place}: the message at byte {start.start()} does not have the checksum (10) that it states")
        yield raw[length.end() : stop]
        end = trailer.end()


def _message(body: bytes, place: str) -> Message:
    message = Message("", place)
    previous = first_of_group = 0
    before = ""
    try:
        text = body[:-1].decode("utf-8")
    except UnicodeDecodeError:
        text = body[:-1].decode("latin-1")
    for item in text.split("\x01"):
        number, equals, value = item.partition("=")
        if not equals or not re.fullmatch(r"[1-9]\d{0,8}", number, re.ASCII):
            raise MalformedError(f"{place}: {item[:40]!r} is no field; nothing was compared")
        tag = int(number)
        first_of_group = tag if previous == 702 else first_of_group
        previous = tag
        if tag in (703, 704, 705):
            if not message.quantities or tag == first_of_group or tag in message.quantities[-1]:
                message.quantities.append({})
            message.quantities[-1][tag] = value
        elif tag in ONCE and tag in message.fields:
            raise MalformedError(f"{place}: field {tag} stands in it twice; nothing was compared")
        elif tag in (448, 455):
            before = value
        elif tag in (452, 456):
            (message.parties if tag == 452 else message.identifiers)[value] = before
        else:
            message.fields.setdefault(tag, value)
    if message.said(702) not in ("", str(len(message.quantities))):
        raise MalformedError(f"{place}: 702 states {message.said(702)[:20]} quantities, {len(message.quantities)} are there")
    message.kind = message.said(35)
    return message


def _fixml(raw: bytes, place: str) -> list[Message]:
    """The messages of a FIXML document. A batch that states how many it has (TotMsg) is a request of its own."""
    root = read_xml(raw, place)
    if _local(root) != "FIXML":
        raise MalformedError(f"{place}: the document is {_local(root)[:40]!r}, and FIXML is due")
    messages: list[Message] = []
    for number, batch in enumerate([root, *(child for child in root if _local(child) == "Batch")]):
        found = [_posting(each, f"{place}: batch {number}") for each in batch if _local(each) not in ("Batch", "Hdr")]
        reports = [message for message in found if message.kind == "AP" and not message.said(710)]
        if batch.get("TotMsg") is not None:
            count = read_number(batch.get("TotMsg"), f"{place}: TotMsg") - (len(found) - len(reports))
            for message in reports:
                message.fields = {727: f"{count:f}", **message.fields, 710: f"batch {number} of {place}"}
        messages += found
    return messages


def _local(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _posting(element: Element, place: str) -> Message:
    message = Message(KINDS.get(_local(element), _local(element)), f"{place}, {element.get('RptID', 'no RptID')[:40]}")
    for part in (element, *element):
        name = _local(part)
        if name == "Qty":
            pairs = {703: part.get("Typ"), 704: part.get("Long"), 705: part.get("Short")}
            message.quantities.append({tag: value for tag, value in pairs.items() if value})
        elif name == "Pty":
            message.parties[part.get("R", "")] = part.get("ID", "")
        elif part is element or name in NAMES:
            tags = REPORT if part is element else NAMES[name]
            message.fields |= {tags[key]: value for key, value in part.attrib.items() if key in tags}
            message.identifiers |= {each.get("AltIDSrc", ""): each.get("AltID", "") for each in part if _local(each) == "AID"}
    return message
