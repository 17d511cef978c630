"""Flex statements of Interactive Brokers: the XML as statements, sections and rows, or as the error that it tells of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING

from recon_core import (
    AuthError,
    BrokerError,
    MalformedError,
    NotReadyError,
    Record,
    RequestError,
    ThrottledError,
    TransientError,
)

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

CLOSE = time(16)
"""The time of day that a bare date stands for: a statement is of the close."""

_BLANK = ("--", "-", "N/A")
_STAMP = re.compile(
    r"(\d{4})-?(\d{2})-?(\d{2})(?:(?:[;T ]|, ?) ?(\d{2}):?(\d{2})(?::?(\d{2}))?)?(?: ?(EST|EDT|UTC|GMT|Z|[+-]\d{2}:?\d{2}))?",
    re.ASCII,
)
_AMBIGUOUS = re.compile(r"\d{1,2}[-/.](\d{1,2}|[A-Za-z]{3})[-/.]\d{2,4}\b.*", re.ASCII)
_ZONES = {"EST": -5, "EDT": -4, "UTC": 0, "GMT": 0, "Z": 0}
_LATER = "run again later"
_MEANING: dict[str, tuple[type[BrokerError], bool, str]] = {
    "1001": (TransientError, True, f"{_LATER}, and check base_url: a host that was retired answers this to every token"),
    "1003": (
        NotReadyError,
        False,
        "the statement of that period is not available yet: run again later, or change the query's period",
    ),
    "1004": (NotReadyError, True, _LATER),
    "1005": (NotReadyError, True, _LATER),
    "1006": (NotReadyError, True, _LATER),
    "1007": (NotReadyError, True, _LATER),
    "1008": (NotReadyError, True, _LATER),
    "1009": (TransientError, True, _LATER),
    "1010": (AuthError, False, "a legacy Flex query: make it anew as an Activity Flex query, and name that in query_id"),
    "1011": (AuthError, False, "the service account is inactive: enable the Flex Web Service in Client Portal"),
    "1012": (AuthError, False, "the token has expired: make a new one in Client Portal and put it into the secret token"),
    "1013": (AuthError, False, "the token is limited to other addresses: add this machine's to it in Client Portal"),
    "1014": (RequestError, False, "there is no such query: check query_id against the list of Flex queries in Client Portal"),
    "1015": (AuthError, False, "the token is not valid (a newer one ends it): put the current one into the secret token"),
    "1016": (RequestError, False, "the query names an account that the token's owner may not see: check the query's accounts"),
    "1017": (RequestError, False, "the reference to the statement is not known any more: run again"),
    "1018": (ThrottledError, True, "one request a second and ten a minute are allowed to a token: see what else uses it"),
    "1019": (NotReadyError, True, "the statement is still being made: run again later, or raise deadline_seconds"),
    "1020": (RequestError, False, "check query_id and the secret token; a token that was just made works after some minutes"),
    "1021": (TransientError, True, _LATER),
}
"""What each code of the Flex Web Service is: the error, whether it is worth another try, and what a person should do."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is an error, whatever its root is called; ``again`` says that another try may help."""

    error: BrokerError
    again: bool


class Row(Record):
    """The attributes of one element. IBKR writes what it does not know as "", "--" or not at all."""

    def __init__(self, element: Element, place: str, zone: tzinfo) -> None:
        super().__init__(dict(element.attrib), place)
        self.zone = zone

    def said(self, *names: str) -> str | None:
        """The first of these attributes that says something."""
        texts = (self.text_or_none(name) for name in names)
        return next((text for text in texts if text is not None and text not in _BLANK), None)

    def due(self, name: str, what: str) -> str:
        """A text without which a row means nothing. An attribute that is not there is the query's fault, not the row's."""
        if name not in self.value:
            raise RequestError(
                f"{self.place}: there is no attribute {name}: tick it ({what}) in the Flex query; nothing was compared"
            )
        return self.text(name)

    def amount(self, *names: str) -> Decimal | None:
        """The first of these attributes that is a number, exactly; None where none says any."""
        for name in names:
            if self.said(name) is not None:
                number = self.number(name)
                exponent = number.as_tuple().exponent
                if number.adjusted() > 30 or not isinstance(exponent, int) or exponent < -30:
                    raise self.wrong(name, "a number of at most 30 digits")
                return number
        return None

    def moment_or_none(self, name: str) -> tuple[datetime, bool] | None:
        """A time, and whether only its day is written (its close, then); of the option ``timezone`` unless it says another."""
        text = self.said(name)
        if text is None:
            return None
        found = _STAMP.fullmatch(text)
        if found is None and _AMBIGUOUS.fullmatch(text):
            raise RequestError(
                f"{self.place}: field {name} is {text[:30]!r}, which is read as another day elsewhere: set the Date Format of the"
                " Flex query to yyyyMMdd or yyyy-MM-dd; nothing was compared"
            )
        try:
            if found is None:
                raise ValueError
            year, month, day, hour, minute, second, said_zone = found.groups()
            bare = hour is None
            clock = CLOSE if bare else time(int(hour), int(minute), int(second or 0))
            stamp = datetime.combine(date(int(year), int(month), int(day)), clock, _zone_of(said_zone) or self.zone)
            if not 1970 <= stamp.year <= 2200:
                raise ValueError
        except ValueError:
            raise self.wrong(name, "a date (20261120, or 2026-11-20;160000)") from None
        return stamp.astimezone(self.zone), bare

    def day_of(self, *names: str) -> date | None:
        """The day that the first of these attributes says."""
        for name in names:
            found = self.moment_or_none(name)
            if found is not None:
                return found[0].date()
        return None


@dataclass(frozen=True, slots=True)
class Statement:
    """One FlexStatement: of one account (None where only its rows name any) up to ``until``, the end of its period."""

    element: Element
    place: str
    zone: tzinfo
    account: str | None
    since: date | None
    until: datetime
    date_only: bool
    generated: datetime | None

    @property
    def day(self) -> date:
        """The last day of the period."""
        return self.until.date()

    @property
    def early(self) -> bool:
        """Whether it was made on its last day before the close: it is of that time, then."""
        return self.generated is not None and self.date_only and self.generated < self.until and self.generated.date() == self.day

    def has(self, section: str) -> bool:
        """Whether the query has a section, be it empty."""
        return self.element.find(section) is not None

    def rows(self, section: str, tag: str) -> Iterator[Row]:
        """The rows of a section that are called ``tag``, numbered among all of it."""
        for part in self.element.findall(section):
            for number, element in enumerate(part, 1):
                if element.tag == tag:
                    symbol = element.get("symbol", "").strip()[:40]
                    shown = f" ({symbol})" if symbol and symbol.isprintable() else ""
                    yield Row(element, f"{self.place}: {tag} {number}{shown}", self.zone)


def refusal(root: Element, place: str) -> Refusal | None:
    """The error that an answer tells of, None where it is none. HTTP says 200 to both, and the root's name proves nothing."""
    code = _text_of(root, "ErrorCode")
    status = _text_of(root, "Status")
    if code is None and root.find("FlexStatements/FlexStatement") is None:
        code = next((found.text.strip() for found in root.iter("ErrorCode") if found.text and found.text.strip()), None)
    if code is None and (status or "").lower() not in ("fail", "error"):
        return None
    words = next((found.text for found in root.iter("ErrorMessage") if found.text), "") or ""
    message = _printable(words).rstrip(".") or "without a message"
    kind, again, advice = _MEANING.get(code or "", (TransientError, False, "a code that is not documented: ask IBKR if it stays"))
    return Refusal(kind(f"{place}: IBKR answers {_printable(code or 'Fail without a code')}: {message}; {advice}"), again)


def statements_in(root: Element, place: str, zone: tzinfo) -> tuple[list[Statement], str]:
    """The statements of an answer; second, why some may be missing. Raises BrokerError for an answer that is none."""
    refused = refusal(root, place)
    if refused is not None:
        raise refused.error
    if root.tag != "FlexQueryResponse":
        raise MalformedError(f"{place}: the root is <{_printable(root.tag)}>, and <FlexQueryResponse> is due; nothing was compared")
    kind = root.get("type", "AF").strip()
    if kind.upper() == "TCF":
        raise RequestError(
            f"{place}: a Trade Confirmation query has no positions: make an Activity Flex query, and name that in query_id or path"
        )
    found = root.findall("FlexStatements/FlexStatement")
    if not found:
        raise MalformedError(f"{place}: there is no FlexStatement in it, which proves nothing: check the query's accounts")
    statements = [_statement(element, f"{place}: statement {number}", zone) for number, element in enumerate(found, 1)]
    promised = {part.get("count", "").strip() for part in root.findall("FlexStatements")} - {""}
    counted = sum(int(text) for text in promised if re.fullmatch(r"\d{1,9}", text, re.ASCII)) if len(promised) == 1 else 0
    if counted > len(found):
        return statements, f"{place}: {counted} statements are announced and {len(found)} are there: it may have been cut short"
    return statements, ""


def weekday_before(day: date) -> date:
    """The day itself, or the Friday before a weekend."""
    return day - timedelta(days=max(day.weekday() - 4, 0))


def _statement(element: Element, place: str, zone: tzinfo) -> Statement:
    row = Row(element, place, zone)
    account = row.said("accountId")
    row.place = f"{place} (account {account})" if account else place
    until = row.moment_or_none("toDate")
    if until is None:
        raise row.wrong("toDate", "the last day of the statement")
    try:
        generated = row.moment_or_none("whenGenerated")
    except BrokerError:  # it proves nothing that toDate does not
        generated = None
    since = row.day_of("fromDate")
    return Statement(
        element, row.place, zone, account, since, *until, generated[0] if generated is not None and not generated[1] else None
    )


def _zone_of(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    if text in _ZONES:
        return timezone(timedelta(hours=_ZONES[text])) if _ZONES[text] else UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _text_of(root: Element, tag: str) -> str | None:
    found = root.find(tag)
    return found.text.strip() or None if found is not None and found.text else None


def _printable(text: object) -> str:
    line = "".join(sign if sign.isprintable() else "?" for sign in " ".join(str(text).split()))
    return line if len(line) <= 200 else f"{line[:199]}…"
