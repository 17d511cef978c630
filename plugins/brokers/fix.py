"""FIX: positions in PositionReport messages, 35=AP as tag=value or PosRpt as FIXML (FIX 4.4 and later, read 2026-11)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from recon_core import (
    Ask,
    AuthError,
    Broker,
    ControlTotal,
    Feed,
    IncompleteError,
    MalformedError,
    Position,
    RequestError,
    hookimpl,
)

from ._fix_messages import Message, read_messages

ASSET_CLASSES = {"E": "equity", "O": "option", "F": "future", "D": "bond", "CS": "equity", "OPT": "option", "FUT": "future"}
MONTHS = "FGHJKMNQUVXZ"
PER_CENT = Decimal("0.01")
EXACT = Context(prec=200)


class Fix(Broker):
    """Positions in FIX PositionReport messages that a broker or clearer left in a file.

    Credentials   none; the file is where ``path`` says. There is no session: the broker, or a program of yours, writes the file
    Proof         body length and checksum of every message; as many reports of a request (710) as 727 states, whatever file they
                  stand in. 728=2 with 727=0 says flat. FIXML: TotRpts, or TotMsg of the batch. Unsolicited updates (325=Y) are no
                  snapshot and are left out
    As of         the clearing business date (715), a day without a time; without it, the earliest sending time (52)
    Basis         trade date
    Quirks        fields are parted by SOH, ``|`` or ``^A``, and a log's own words may stand between messages; of the quantities of
                  a report (702) one type is taken, never their sum; quantity is long (704) less short (705); a report whose
                  quantity has no type is one ticket of several, and tickets are added up; 730 is the settlement price, and at
                  some brokers the price paid (``price_is``); a price in per cent (423=1) has a multiplier of 0.01, so that
                  quantity x price x multiplier is money; options are named by OCC's symbol without blanks
    """

    name = "fix"
    capabilities = ("positions", "control_totals")
    options = {
        "path": {
            "type": "string",
            "description": "The file; {date:%Y%m%d} in its name is the day asked for, and * stands for several files.",
        },
        "account": {"type": "string", "minLength": 1, "description": "Name of the account where a report names none."},
        "position_types": {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "minItems": 1,
            "default": ["FIN", "TQ"],
            "description": "Types of quantity (703) in the order in which they are wanted: the first that is there is taken.",
        },
        "legs": {
            "type": "string",
            "enum": ["net", "split"],
            "default": "net",
            "description": "Whether long and short of a report are one net position, or legs of their own.",
        },
        "price_is": {
            "type": "string",
            "enum": ["market", "average"],
            "default": "market",
            "description": "What 730 says: the settlement price, or what was paid on average.",
        },
        "symbol": {
            "type": "string",
            "enum": ["symbol", "isin"],
            "default": "symbol",
            "description": "What names the instrument where both are there: 55, or the ISIN.",
        },
        "timezone": {"type": "string", "description": "IANA time zone of the business date; by default UTC."},
    }
    required = ("path",)

    def positions(self, ask: Ask) -> Feed:
        """The positions of all messages. PARTIAL where a count is not met or not stated."""
        messages = [message for document in self.documents(ask) for message in read_messages(document.raw, document.name)]
        return snapshot(messages, self.settings)


def snapshot(messages: Sequence[Message], settings: Mapping[str, Any]) -> Feed:
    """The feed that the messages are, proven request by request. Raises for refusals, and for what cannot be believed."""
    requests: dict[str, list[Message]] = {}
    notes: list[str] = []
    reasons: list[str] = []
    updates = 0
    for message in messages:
        if message.kind in ("3", "j") or message.said(728) not in ("", "0", "2"):
            refused = AuthError if message.said(728) == "3" else RequestError
            said = f"728={message.said(728)[:20]} {message.said(58)[:200]!r}"
            raise refused(f"{message.place}: the broker refused the request: 35={message.kind[:20]} {said}")
        if message.kind in ("AP", "AO") and message.said(325) == "Y":
            updates += 1
        elif message.kind in ("AP", "AO"):
            requests.setdefault(message.said(710), []).append(message)
    if updates:
        notes.append(f"{updates} unsolicited updates (325=Y) left out")
    if not requests:
        raise IncompleteError(f"no report answers a request ({len(messages)} messages, {updates} unsolicited): that is no snapshot")
    reports: list[Message] = []
    totals: list[ControlTotal] = []
    asked: dict[str | None, str] = {}
    for request, answers in requests.items():
        found, stated = _counted(answers, notes)
        its = sorted({_account(answer, settings) for answer in answers}, key=str)
        named = f"request {request!r}" if request else "the reports without a request (710)"
        if stated is None:
            reasons.append(f"{named}: no report states how many there are (727)")
        elif stated != len(found):
            reasons.append(f"{named}: 727 states {stated:f} reports, {len(found)} are there: wait for the rest, or fetch again")
        elif not found and not any(answer.said(728) == "2" for answer in answers):
            reasons.append(f"{named}: 727=0 without 728=2: it does not say that nothing is held")
        elif not found:
            totals += [ControlTotal("rows", Decimal(0), account=account, source="728=2, 727=0") for account in its]
        for account in its:
            if request and not request.startswith("batch ") and asked.setdefault(account, request) != request:
                both = f"requests {asked[account]!r} and {request!r}"
                raise MalformedError(f"account {account} is reported for {both}; one snapshot is due (does `path` fit old files?)")
        reports += found
    positions, lots = _held(reports, settings, reasons, notes)
    answers = [answer for each in requests.values() for answer in each]
    as_of, date_only = _as_of(answers, settings)
    more: dict[str, Any] = {"as_of": as_of, "date_only": date_only, "basis": "trade", "lots": lots, "notes": tuple(notes)}
    if reasons:
        return Feed.partial(positions, reason="; ".join(reasons), control_totals=tuple(totals), **more)
    if reports and len(positions) == len(reports):
        totals.append(ControlTotal("rows", Decimal(len(reports)), source="727"))
    proven = {position.account for position in positions} | {total.account for total in totals}
    accounts = tuple(sorted(account for account in proven if account))
    return Feed.complete(positions, accounts=accounts, control_totals=tuple(totals), **more)


def _counted(answers: Sequence[Message], notes: list[str]) -> tuple[list[Message], Decimal | None]:
    """The reports of one request, each once, and how many the broker states."""
    reports: dict[str, Message] = {}
    for answer in answers:
        name = answer.said(721) or f"the report {len(reports) + 1}"
        if answer.kind == "AO" or answer.said(728) == "2":
            continue
        if reports.setdefault(name, answer) is not answer:
            if not answer.same_as(reports[name]):
                raise MalformedError(f"{answer.place}: report {name!r} (721) came twice and differs; nothing was compared")
            notes.append(f"report {name!r} came twice and counts once")
    stated = {count for answer in answers if (count := answer.number(727)) is not None}
    if len(stated) > 1 or (reports and any(answer.said(728) == "2" for answer in answers)):
        raise MalformedError(f"{answers[-1].place}: 727 and 728 of one request contradict each other; nothing was compared")
    return list(reports.values()), stated.pop() if stated else None


def _held(
    reports: Sequence[Message], settings: Mapping[str, Any], reasons: list[str], notes: list[str]
) -> tuple[list[Position], bool]:
    """The positions of the reports, each of one type of quantity; second, whether they are tickets to be added up."""
    held = [report for report in reports if report.said(724) in ("", "0")]
    if len(held) < len(reports):
        notes.append(f"{len(reports) - len(held)} reports are no positions (724) and are left out")
    types = {quantity.get(703, "") for report in held for quantity in report.quantities} - {""}
    wanted = next((kind for kind in settings.get("position_types") or ("FIN", "TQ") if kind in types), "")
    if types and not wanted:
        raise MalformedError(f"quantities are of the types {', '.join(sorted(types))[:80]}: say which one in `position_types`")
    positions: list[Position] = []
    tickets = False
    for report in held:
        chosen = [quantity for quantity in report.quantities if quantity.get(703, "") in ("", wanted)]
        if len(chosen) > 1:
            raise MalformedError(f"{report.place}: {len(chosen)} quantities of type {wanted!r}; which one is held is not known")
        if not chosen or not {704, 705} & set(chosen[0]):
            reasons.append(f"{report.place} ({_symbol(report, settings)}): no quantity of type {wanted or 'any'}")
            continue
        tickets = tickets or not chosen[0].get(703)
        long, short = (report.number(tag, chosen[0].get(tag, "").strip()) or Decimal(0) for tag in (704, 705))
        if long < 0:
            raise MalformedError(f"{report.place}: 704={long} is a long quantity below zero; nothing was compared")
        common, short = _described(report, settings), short.copy_abs()  # a short is short whatever its sign
        if settings.get("legs") != "split":
            positions.append(Position(quantity=EXACT.subtract(long, short), **common))
            continue
        if long or not short:
            positions.append(Position(quantity=long, leg="LONG", **common))
        if short:
            positions.append(Position(quantity=short.copy_negate(), leg="SHORT", **common))
    return positions, tickets


def _described(report: Message, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a position but its quantity."""
    identifiers = {**report.identifiers, report.said(22): report.said(48)}
    price, multiplier, symbol = report.number(730), report.number(231), _symbol(report, settings)
    if report.said(423) == "1":
        multiplier = PER_CENT if multiplier is None else EXACT.multiply(PER_CENT, multiplier)
    kind, cfi = report.said(167), report.said(461)
    return {
        "account": _account(report, settings),
        "symbol": symbol,
        "raw_symbol": report.said(55) if report.said(55) not in ("", "[N/A]", symbol) else None,
        "asset_class": ASSET_CLASSES.get(kind) or ASSET_CLASSES.get(cfi[:1]) or kind or cfi or None,
        "currency": report.said(15) or None,
        "avg_price" if settings.get("price_is") == "average" else "market_price": price,
        "multiplier": multiplier,
        "isin": identifiers.get("4") or None,
        "cusip": identifiers.get("1") or None,
    }


def _account(message: Message, settings: Mapping[str, Any]) -> str | None:
    """Account (1), else the party that is a position account (38) or customer account (24), else what the options say."""
    return message.said(1) or message.parties.get("38") or message.parties.get("24") or settings.get("account")


def _symbol(report: Message, settings: Mapping[str, Any]) -> str:
    """The instrument's name. Series of options and futures that share a root are told apart, or two would look like one."""
    isin = {**report.identifiers, report.said(22): report.said(48)}.get("4", "")
    root = report.said(55) if report.said(55) != "[N/A]" else ""
    if isin and (settings.get("symbol") == "isin" or not root):
        return isin
    root = root or report.said(48)
    if not root:
        raise MalformedError(f"{report.place}: neither a symbol (55) nor an identifier (48); nothing was compared")
    expiry, strike, cfi = (report.said(541) or report.said(200)).replace("-", "")[:8], report.number(202), report.said(461)
    dated = re.fullmatch(r"(\d{4})(0[1-9]|1[0-2])(\d\d)?", expiry, re.ASCII)
    if strike is not None and expiry:
        right = {"0": "P", "1": "C"}.get(report.said(201)) or (cfi[1:2] if cfi[:1] == "O" else "")
        thousandths = EXACT.multiply(strike, Decimal(1000))
        standard = dated and dated[3] and right in ("P", "C") and re.fullmatch("[A-Z0-9]{1,6}", root)
        if standard and 0 < thousandths < 10**8 and thousandths == int(thousandths):
            return f"{root}{expiry[2:]}{right}{int(thousandths):08}"
        return f"{root} {expiry} {right}{strike:f}"
    if dated and re.fullmatch("[A-Z]+", root) and (cfi[:1] == "F" or report.said(167) == "FUT"):
        return f"{root}{MONTHS[int(dated[2]) - 1]}{dated[1][3]}"
    return root


def _as_of(answers: Sequence[Message], settings: Mapping[str, Any]) -> tuple[datetime, bool]:
    """The business date, else the earliest time of sending; second, whether it is a bare date."""
    tag = 715 if any(answer.said(715) for answer in answers) else 52
    stamps = set()
    for answer in answers:
        if text := re.sub(r"^(\d{8})-", r"\1T", answer.said(tag)):
            try:
                stamp = datetime.fromisoformat(text[:10].partition("T")[0] if tag == 715 else text)
                zone = ZoneInfo(settings.get("timezone") or "UTC") if tag == 715 else UTC
                if not 1900 < stamp.year < 9999:
                    raise ValueError
                stamps.add((stamp if stamp.tzinfo else stamp.replace(tzinfo=zone)).astimezone(zone))
            except (ValueError, KeyError, OSError):
                raise MalformedError(f"{answer.place}: {tag}={text[:40]!r} is no time, or `timezone` no IANA time zone") from None
    if not stamps:
        raise MalformedError(f"{answers[0].place}: neither a business date (715) nor a sending time (52); nothing was compared")
    if tag == 715 and len(stamps) > 1:
        days = ", ".join(f"{stamp:%Y-%m-%d}" for stamp in sorted(stamps))
        raise MalformedError(f"reports are of several business dates ({days}); those of one are due")
    return min(stamps), tag == 715


@hookimpl
def recon_register_brokers() -> list[type[Broker]]:
    """The adapter of this file."""
    return [Fix]
