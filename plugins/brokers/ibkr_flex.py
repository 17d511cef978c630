"""IBKR Flex: positions in Flex statements of Interactive Brokers, asked of the Flex Web Service v3 or delivered as files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from recon_core import Ask, AuthError, Broker, Evidence, Feed, MalformedError, NotReadyError, RequestError, hookimpl, read_xml

from ._flex_evidence import evidence_in
from ._flex_positions import Held, held_in
from ._flex_reader import CLOSE, Statement, refusal, statements_in, weekday_before

if TYPE_CHECKING:
    from recon_core.http import Answer

HOSTS = ("*.interactivebrokers.com",)
"""Where IBKR may say that a statement is; the token is sent nowhere else."""

STATEMENT = "Flex statement"
ONE_OF = "say exactly one of query_id (the Flex Web Service is asked) and path (a file that was delivered is read)"


class IbkrFlex(Broker):
    """Positions in the Flex statements of one or several accounts at Interactive Brokers.

    Credentials   ``token`` of the Flex Web Service, with ``query_id``; none with ``path``. In Client Portal, Performance & Reports
                  > Flex Queries: enable the Flex Web Service and make a token (it lives 6 hours unless told otherwise, a year at
                  most; a newer one ends it). Make an Activity Flex query in XML of the last business day, date format yyyyMMdd,
                  and tick Open Positions (Summary, or Lots), Net Asset Value (NAV) in Base and Cash Report; for evidence Trades
                  (Executions), Transfers, Corporate Actions and Cash Transactions, with all fields. The query's number is
                  ``query_id``
    Proof         the section OpenPositions must be there: without it what is held is not said, and that is a fault, no empty
                  account. Empty, it proves the account flat. Each position against its own value, all of them against the net
                  asset value (long and short, in base currency), and as many statements as are announced
    As of         16:00 of the day that the statement ends with (``timezone``). IBKR makes statements once a day, in the night after
                  the close: give the broker a ``due`` of its own for the next morning. One of another day than the one asked for is
                  not ready. For a weekend Friday's is taken; for a holiday ask for the business day before it
    Basis         trade date
    Quirks        errors come with a status of 200; a statement takes some seconds to be made and is asked for again until the
                  deadline; SUMMARY and LOT rows are never added up together, and lots of one instrument are one position; prices
                  of bonds are turned from per cent into money per unit of par; options are named by their OCC symbol without
                  blanks (``raw_symbol`` keeps them); Trade Confirmation queries have no positions and are refused; dates such as
                  20/11/2026 are refused, for 11/20/2026 may be meant. Statements of several accounts may come together: where
                  their days differ, only those of the newest are used, and the feed is PARTIAL
    """

    name = "ibkr_flex"
    options = {
        "base_url": {
            "type": "string",
            "pattern": "^https?://",
            "default": "https://ndcdyn.interactivebrokers.com/AccountManagement/FlexWebService",
            "description": "Where the Flex Web Service is, up to and without /SendRequest.",
        },
        "query_id": {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "Number of the Activity Flex query, in quotes; in place of path.",
        },
        "path": {
            "type": "string",
            "description": "A Flex statement as XML that was delivered, in place of query_id; {date:%Y%m%d} in its name is the day"
            " asked for, else the newest day there, and * stands for the files of several accounts.",
        },
        "timezone": {
            "type": "string",
            "default": "America/New_York",
            "description": "The IANA time zone of the days and times in the statement.",
        },
        "poll_seconds": {
            "type": "number",
            "minimum": 0,
            "default": 5,
            "description": "Seconds until a statement that is still being made is asked for again; each pause is longer than the"
            " one before by as much. IBKR allows ten questions a minute.",
        },
        "value_tolerance_pct": {
            "type": "number",
            "minimum": 0,
            "maximum": 100,
            "default": 0.1,
            "description": "How far the positions may be from the net asset value that the statement has of them, in percent of it."
            " Both are of the same prices, and rates of exchange are rounded to five digits.",
        },
    }
    optional_secrets = ("token",)
    capabilities = ("positions", "cash", "fills", "movements", "corporate_actions", "control_totals")
    deadline_seconds = 120

    _found: tuple[list[Statement], list[str], str | None] | None = None

    async def positions(self, ask: Ask) -> Feed:
        """All positions of the newest day, or of the day asked for. PARTIAL where accounts are missing or do not add up."""
        statements, trouble, sha256 = await self._statements(ask)
        asked = ask.as_of.astimezone(self._zone).date() if ask.as_of else None
        held = [held_in(statement, Decimal(str(self.settings["value_tolerance_pct"]))) for statement in _newest(statements, asked)]
        return _feed(held, asked, trouble, sha256)

    async def evidence(self, ask: Ask) -> Evidence:
        """Executions, transfers, corporate actions and cash of all days that the statements have, from ``ask.since`` on."""
        statements, trouble, _ = await self._statements(ask)
        asked = ask.as_of.astimezone(self._zone).date() if ask.as_of else None
        return evidence_in(statements, ask.since, asked and weekday_before(asked), trouble)

    async def _statements(self, ask: Ask) -> tuple[list[Statement], list[str], str | None]:
        """The statements, why some may be missing, and the hash of what they stand in; had once and kept."""
        if self._found is None:
            if bool(self.settings.get("query_id")) == bool(self.settings.get("path")):
                raise RequestError(f"{self.alias}: options: {ONE_OF}")
            self._found = self._delivered(ask) if self.settings.get("path") else await self._asked()
        return self._found

    def _delivered(self, ask: Ask) -> tuple[list[Statement], list[str], str | None]:
        documents = self.documents(ask)
        statements: list[Statement] = []
        trouble: list[str] = []
        for document in documents:
            found, missing = statements_in(read_xml(document.raw, str(document.path)), str(document.path), self._zone)
            statements += found
            trouble += [missing] if missing else []
        return statements, trouble, documents[0].sha256 if len(documents) == 1 else None

    async def _asked(self) -> tuple[list[Statement], list[str], str | None]:
        import asyncio

        if not self.has_secret("token"):
            raise AuthError(f"{self.alias}: secrets: query_id needs token, the token of the Flex Web Service (Client Portal)")
        ends = asyncio.get_running_loop().time() + self.http.deadline_seconds
        base = str(self.settings["base_url"]).rstrip("/")
        begun = await self._until_made(f"{base}/SendRequest", str(self.settings["query_id"]), ends)
        reference = (begun.body.findtext("ReferenceCode") or "").strip()
        if not reference:
            raise MalformedError(f"{base}/SendRequest: the answer has neither a ReferenceCode nor an error: a proxy's?")
        url = (begun.body.findtext("Url") or "").strip() or f"{base}/GetStatement"
        await asyncio.sleep(min(float(self.settings["poll_seconds"]), 1))  # a second question within a second is refused
        answer = await self._until_made(self.http.handed(url, hosts=HOSTS, like=base), reference, ends)
        self.digests[STATEMENT] = answer.sha256
        statements, missing = statements_in(answer.body, STATEMENT, self._zone)
        return statements, [missing] if missing else [], answer.sha256

    async def _until_made(self, url: str, asked_for: str, ends: float) -> Answer:
        """The first answer that is no error. One that may pass is asked again, after longer and longer pauses, until ``ends``."""
        import asyncio

        token = self.secret("token").strip()
        clock, tries = asyncio.get_running_loop().time, 0
        while True:
            answer = await self.http.get_xml(url, params={"t": token, "q": asked_for, "v": "3"})
            refused = refusal(answer.body, "Flex Web Service")
            if refused is None:
                return answer
            tries += 1
            pause = float(self.settings["poll_seconds"]) * tries
            if not refused.again or clock() + pause >= ends:
                often = f" (asked {tries} times within {self.http.deadline_seconds:g} s)" if refused.again else ""
                raise type(refused.error)((str(refused.error) + often).replace(token, "***"))
            await asyncio.sleep(pause)

    @property
    def _zone(self) -> ZoneInfo:
        name = self.settings["timezone"]
        try:
            return ZoneInfo(name)
        except (ValueError, KeyError, OSError):
            raise MalformedError(f"timezone: {name!r} is no IANA time zone such as America/New_York") from None


def _newest(statements: Sequence[Statement], asked: date | None) -> list[Statement]:
    """Of each account the newest statement, or the newest that is not of a later day than the one asked for."""
    found: dict[str | None, Statement] = {}
    for statement in sorted(statements, key=lambda statement: statement.until):
        other = found.get(statement.account)
        if asked is not None and statement.day > asked:
            continue
        if other is not None and other.day == statement.day:
            raise MalformedError(
                f"{statement.place}: {other.place} is of the same account and day ({other.day}): leave one out;"
                " nothing was compared"
            )
        found[statement.account] = statement
    if not found:
        days = sorted({statement.day for statement in statements})
        raise NotReadyError(f"no statement of {asked}: those that are there end on {', '.join(map(str, days))}")
    later = [statement for statement in statements if statement.account not in found]
    return [*found.values(), *{statement.account: statement for statement in later}.values()]


def _feed(held: Sequence[Held], asked: date | None, trouble: Sequence[str], sha256: str | None) -> Feed:
    """The positions of all accounts that are of the same day."""
    last = asked or max(each.day for each in held)
    first = weekday_before(asked) if asked else last
    used = [each for each in held if first <= each.day <= last]
    if not used:
        days = ", ".join(sorted({str(each.day) for each in held}))
        raise NotReadyError(
            f"the Flex statement is of {days}, and {asked} was asked for: IBKR makes it in the night after the close; run again"
            " later, and check that the query's period is the last business day"
        )
    day = max(each.day for each in used)
    reasons = [*trouble, *(line for each in used for line in each.trouble)]
    for each in held:
        if each.day != day:
            name = each.statement.account or "without a name"
            reasons.append(f"account {name}: its statement is of {each.day}, the others' of {day}: its positions are left out")
    used = [each for each in used if each.day == day]
    accounts = [account for each in used for account in each.accounts]
    twice = sorted({account for account in accounts if accounts.count(account) > 1})
    if twice:
        raise MalformedError(f"account {', '.join(twice)} is in several statements of {day}; nothing was compared")
    times = [_time(each) for each in used]
    more: dict[str, Any] = {
        "as_of": min(time for time, _ in times),
        "date_only": all(date_only for _, date_only in times),
        "basis": "trade",
        "sha256": sha256,
        "cash": [cash for each in used for cash in each.cash],
        "notes": [note for each in used for note in each.notes],
    }
    positions = [position for each in used for position in each.positions]
    if reasons:
        return Feed.partial(positions, reason="; ".join(reasons), **more)
    totals = [total for each in used for total in each.totals]
    return Feed.complete(positions, accounts=accounts, control_totals=totals, **more)


def _time(held: Held) -> tuple[datetime, bool]:
    """The time that positions are of, and whether only their day is known."""
    statement = held.statement
    if statement.early and statement.generated is not None and held.day == statement.day:
        return statement.generated, False
    if held.day == statement.day:
        return statement.until, statement.date_only
    return datetime.combine(held.day, CLOSE, statement.zone), True


@hookimpl
def recon_register_brokers() -> list[type[Broker]]:
    """The adapter of this file."""
    return [IbkrFlex]
