"""OFX documents, taken apart: a tree of SGML 1.x or XML 2.x, the answers in it, and what a value may look like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from html import unescape
from typing import Any
from xml.etree.ElementTree import Element
from zoneinfo import ZoneInfo

from recon_core import AuthError, MalformedError, RequestError, read_number, read_xml

TOKEN = re.compile(r"<(/?)([A-Za-z0-9_.:-]{1,64})\s*>|<!\[CDATA\[(.*?)\]\]>|([^<]+)|<", re.DOTALL)
EMPTY = {"MEMO", "MESSAGE", "NAME", "SECNAME", "TICKER", "FIID", "RATING", "ORG", "FID", "CHECKNUM", "REFNUM", "CLTCOOKIE", "YIELD"}
STAMP = re.compile(r"(\d{8})(\d{4}(?:\d\d)?)?(?:\.\d{1,6})?(?:\[([+-]?\d{1,2}(?:\.\d{1,2})?)(?::[^\]]*)?\])?", re.ASCII)
DEPTH, MOST_DIGITS = 50, 60


@dataclass(frozen=True)
class Statement:
    """One INVSTMTRS; ``refused`` says why there is none. ``securities`` are the SECLIST of its document by UNIQUEID and type."""

    place: str
    body: Element | None
    refused: str
    securities: Mapping[tuple[str, str], Element]


def read_ofx(raw: bytes, place: str) -> Element:
    """The OFX element of a document. Raises MalformedError for what is not whole to its last tag."""
    start = raw.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith((b"<?xml", b"<?OFX")):
        root = read_xml(start, place)
    else:
        head = raw[: max(raw.find(b"<"), 0)].upper()
        try:
            unicode = b"UTF" in head or b"UNICODE" in head or raw.startswith(b"\xef\xbb\xbf")
            text = raw.decode("utf-8-sig") if unicode else raw.decode("cp1252", "replace")
        except UnicodeDecodeError as error:
            raise MalformedError(f"{place}: it says that it is UTF-8 and is not, at byte {error.start}") from None
        root = _sgml(text[max(text.find("<"), 0) :], place)
    if root.tag != "OFX":
        raise MalformedError(f"{place}: no OFX document is in it; nothing was compared")
    return root


def _sgml(text: str, place: str) -> Element:
    """The tree of SGML tags. A tag with a value needs no end; a tag without must have one, but for texts that may be empty."""
    top = Element("document")
    stack = [top]
    for token in TOKEN.finditer(text):
        ends, name, literal, value = token.groups()
        here = stack[-1]
        if literal is not None or value is not None:
            said = literal if literal is not None else unescape(value)
            if said.strip() and (len(here) or here is top):
                raise MalformedError(f"{place}: {said.strip()[:40]!r} stands in {here.tag} beside other tags; nothing was compared")
            here.text = (here.text or "") + said
            continue
        if name is None or len(stack) > DEPTH:
            raise MalformedError(f"{place}: {text[token.start() : token.start() + 40]!r} is no OFX; nothing was compared")
        valued = here is not top and not len(here) and ((here.text or "").strip() or here.tag in EMPTY)
        if valued and not (ends and name.upper() == here.tag):
            stack.pop()
        if not ends:
            stack[-1].append(Element(name.upper()))
            stack.append(stack[-1][-1])
        elif stack[-1].tag != name.upper() or len(stack) == 1:
            raise MalformedError(f"{place}: {stack[-1].tag} is open where {name[:40]} ends; nothing was compared")
        else:
            stack.pop()
    if len(stack) > 1 or len(top) != 1:
        raise MalformedError(f"{place}: {stack[-1].tag} does not end: cut short? nothing was compared")
    return top[0]


def find(element: Element | None, name: str) -> Element | None:
    """The first of that name inside, however deep."""
    return None if element is None else next((found for found in element.iter(name) if found is not element), None)


def said(element: Element | None, name: str) -> str:
    found = find(element, name)
    return (found.text or "").strip() if found is not None else ""


def number(element: Element, name: str, place: str) -> Decimal | None:
    text = said(element, name)
    if len(text) > MOST_DIGITS:
        raise MalformedError(f"{place}: {name} {text[:40]!r}... is no number of this world; nothing was compared")
    return read_number(text, f"{place}: {name}") if text else None


def read_statements(raw: bytes, place: str) -> list[Statement]:
    """The investment statements of a document. Raises AuthError and RequestError where the broker refused to give any."""
    root = read_ofx(raw, place)
    status = find(find(root, "SONRS"), "STATUS")
    _accepted(status, f"{place}: sign-on")
    securities: dict[tuple[str, str], Element] = {}
    for info in children(find(root, "SECLIST")):
        known = securities.setdefault(identity(info), info)
        if said(known, "TICKER") != said(info, "TICKER"):
            securities[identity(info)] = Element(info.tag)  # which of two tickers it has is not known
    answers = [answer for group in root.iter("INVSTMTMSGSRSV1") for answer in group.iter("INVSTMTTRNRS")]
    if not answers:
        raise MalformedError(f"{place}: it has no investment statement (INVSTMTTRNRS); nothing was compared")
    found = []
    for number, answer in enumerate(answers, 1):
        where = f"{place}: statement {number}"
        body = answer.find("INVSTMTRS")
        code = said(answer.find("STATUS"), "CODE")
        if code == "0" and body is None:
            raise MalformedError(f"{where}: status 0, and no INVSTMTRS; nothing was compared")
        if code != "0" and len(answers) == 1:
            _accepted(answer.find("STATUS"), where)
        refused = "" if code == "0" else f"{where}: refused with status {code[:20] or 'missing'} {said(answer, 'MESSAGE')[:200]!r}"
        found.append(Statement(where, None if refused else body, refused, securities))
    return found


def _accepted(status: Element | None, place: str) -> None:
    code = said(status, "CODE")
    if not code:
        raise MalformedError(f"{place}: no status, so it is not known whether the broker answered; nothing was compared")
    if code != "0":
        refused = AuthError if code.startswith("155") or code == "15000" else RequestError
        raise refused(f"{place}: refused with status {code[:20]} {said(status, 'MESSAGE')[:200]!r}")


def children(element: Element | None) -> list[Element]:
    return [] if element is None else list(element)


def identity(element: Element) -> tuple[str, str]:
    return said(element, "UNIQUEID"), said(element, "UNIQUEIDTYPE").upper()


def stamp_of(text: str, place: str, settings: Mapping[str, Any]) -> tuple[datetime, bool]:
    """A time, in the zone that it names, and whether it is a bare date."""
    shape = STAMP.fullmatch(text)
    name = settings.get("timezone")
    try:
        if shape is None:
            raise ValueError
        zone: Any = ZoneInfo(name) if name else UTC
        if shape[3]:
            zone = timezone(timedelta(hours=float(shape[3])))
        stamp = datetime.strptime(shape[1] + (shape[2] or "").ljust(6, "0"), "%Y%m%d%H%M%S").replace(tzinfo=zone)
        if not 1900 < stamp.year < 9999:
            raise ValueError
    except (ValueError, KeyError, OSError):
        raise MalformedError(f"{place}: {text[:40]!r} is no OFX time, or timezone {name!r} is no IANA time zone") from None
    return stamp, not shape[2]
