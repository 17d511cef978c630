"""The conformance kit: every adapter that has a recording passes it, and adapters that are broken are caught for what they do."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from memory_of_faults import RESET

from recon_core import Ask, Broker, BrokerError, ControlTotal, Feed, Position, Record, read_json
from recon_core.documents import Document
from recon_core.host import load_host
from recon_core.http import Received
from recon_core.recording import Recording, write_recording
from recon_core.testing import Conformance, broker_conformance, faults
from recon_core.testing.loopback_only import NotLoopbackError, loopback_only

RECORDINGS = Path(__file__).parent / "cases" / "brokers"
RECORDED = sorted(path.parent.name for path in RECORDINGS.glob("*/recording.json"))
BUILT_IN = load_host().brokers
AT = datetime(2026, 11, 20, 21, 5, tzinfo=UTC)
DEADLINE = 1.0


@pytest.mark.case("A06", "A07", "A08", "B09", "E01", "G03", "G04", "G05")
@pytest.mark.parametrize("name", RECORDED)
def test_no_fault_and_no_hostile_feed_of_a_built_in_adapter_is_believed(name):
    found = broker_conformance(BUILT_IN[name], RECORDINGS / name, deadline_seconds=DEADLINE)
    assert found.ok, found.report()
    assert len(found.trials) > 60 or not any(trial.name == "truncated" for trial in found.trials)


class Depot(Broker):
    """A sound adapter of a broker that was made up: two pages, a count, a cursor, and the account beside them."""

    name = "depot"
    options = {"base_url": {"type": "string", "default": "https://api.depot.example", "description": "Where the API is."}}
    secrets = ("token",)
    live = True

    async def positions(self, ask: Ask) -> Feed:
        body = await self.pages()
        count = ControlTotal("rows", Decimal(body["count"]), source="GET /holdings")
        positions = [self.position(row) for row in Record.each(body["holdings"], "GET /holdings: holdings")]
        if body["trouble"]:
            return Feed.partial(positions, reason=body["trouble"], as_of=body["date"])
        return Feed.complete(positions, as_of=body["date"], basis="trade", control_totals=(count,))

    async def pages(self) -> dict[str, Any]:
        read = await self.http.get_pages(self.url(), self.following, headers=self.headers(), params=self.params())
        rows = [row for page in read.answers for row in Record(page.body, "GET /holdings").value["holdings"]]
        return {"holdings": rows, "count": read.answers[-1].body["count"], "date": self.dated(read), "trouble": read.trouble}

    def dated(self, read: Any) -> datetime:
        if read.answers[-1].date is None:
            raise BrokerError("GET /holdings: no Date header")
        return read.answers[-1].date

    def following(self, page: Any) -> dict[str, str] | None:
        record = Record(page.body, "GET /holdings")
        record.number("count")
        record.records("holdings")
        cursor = record.text_or_none("next")
        return {"cursor": cursor} if cursor else None

    def url(self) -> str:
        return self.settings["base_url"] + "/holdings"

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret('token')}"}

    def params(self) -> dict[str, str]:
        return {}

    def position(self, row: Record) -> Position:
        sign = {"long": 1, "short": -1}.get(row.text("side"))
        if sign is None:
            raise BrokerError(f"{row.place}: neither long nor short")
        return Position(symbol=row.text("asset"), account="W-1", quantity=sign * row.number("amount"), currency="USD")


def answer(rows: list[tuple[str, Any, str]], cursor: str | None, following: str | None) -> Received:
    body = {"count": 4, "next": following, "holdings": [{"asset": a, "amount": q, "side": side} for a, q, side in rows]}
    raw = json.dumps(body).encode()
    headers = {"Date": "Fri, 20 Nov 2026 21:05:00 GMT", "Content-Type": "application/json"}
    params = {"cursor": cursor} if cursor else {}
    return Received("GET", "https://api.depot.example/holdings", params, 200, headers, raw, "", len(raw))


RECORDING = Recording(
    adapter="depot",
    at=AT,
    exchanges=(
        answer([("BTC", "0.123456789012345678", "long"), ("ETH", "12", "short")], None, "c2"),
        answer([("SOL", "7", "long"), ("ADA", "8.5", "long")], "c2", None),
    ),
)


def tried(adapter: type[Broker], recording: Recording = RECORDING, *only: str) -> Conformance:
    return broker_conformance(adapter, recording, deadline_seconds=DEADLINE, only=only)


def whys(found: Conformance) -> dict[str, str]:
    """The reason of each failure, by the name of the trial without the place."""
    return {trial.name.partition(" at GET")[0]: trial.why for trial in found.failed}


def test_a_sound_adapter_passes_all_that_applies():
    found = tried(Depot)
    assert found.ok, found.report()
    tried_names = {trial.name.partition(" at ")[0] for trial in found.trials if trial.outcome == "passed"}
    assert {
        "undistorted",
        "page-repeated",
        "total-mismatch",
        "short-page",
        "tls-good",
        "A06 emptied lists",
        "E01 doubled row",
    } <= tried_names
    assert {trial.name for trial in found.trials if trial.outcome == "not applicable"} == {
        *("empty-root", "entity-bomb", "entity-of-a-file", "G03 older answer"),
    }
    assert found.report().endswith("passed, 0 failed, 4 not applicable")


class ErrorsAreNothing(Depot):
    """Takes every error for an account without positions."""

    async def positions(self, ask: Ask) -> Feed:
        try:
            return await super().positions(ask)
        except BrokerError:
            return Feed.complete([], as_of=self.clock(), accounts=("W-1",))


class OnePage(Depot):
    """Reads the first page and does not look at the count."""

    async def positions(self, ask: Ask) -> Feed:
        page = await self.http.get_json(self.url(), headers=self.headers())
        positions = [self.position(row) for row in Record.each(page.body["holdings"], "GET /holdings")]
        return Feed.complete(positions, as_of=page.date)


class NoSign(Depot):
    """Drops the sign, and takes what is no number for nothing."""

    def position(self, row: Record) -> Position:
        try:
            quantity = row.number("amount")
        except BrokerError:
            quantity = Decimal(0)
        return Position(symbol=row.text("asset"), account="W-1", quantity=abs(quantity))


class Floats(Depot):
    """Reads quantities as Python does."""

    def position(self, row: Record) -> Position:
        text = str(row.value["amount"]).replace(",", "")
        return Position(symbol=row.text("asset"), account="W-1", quantity=Decimal(repr(float(text))))


class Follows(Depot):
    """Brings a client of its own, which follows redirects."""

    async def pages(self) -> dict[str, Any]:
        async with httpx.AsyncClient(follow_redirects=True, timeout=self.http.deadline_seconds / 3, trust_env=False) as client:
            body: dict[str, Any] = {"holdings": [], "trouble": ""}
            cursor: str | None = ""
            while cursor is not None:
                asked = {"cursor": cursor} if cursor else {}
                try:
                    page = await client.get(self.url(), headers=self.headers(), params=asked)
                except httpx.HTTPError:
                    raise BrokerError("GET /holdings: the network failed") from None
                if page.status_code != 200:
                    raise BrokerError(f"GET /holdings: {page.status_code}")
                read = Record(read_json(page.content, "GET /holdings"), "GET /holdings")
                body["holdings"] += read.value["holdings"]
                body |= {"count": read.number("count"), "date": AT}
                cursor = read.text_or_none("next")
        return body


class Tells(Depot):
    """Puts what it sent into its message."""

    async def positions(self, ask: Ask) -> Feed:
        try:
            return await super().positions(ask)
        except BrokerError as error:
            raise BrokerError(f"{error} (sent {self.headers()})") from error


class Prints(Depot):
    """Logs what it sends."""

    async def positions(self, ask: Ask) -> Feed:
        logging.getLogger("depot").warning("asking with %s", self.headers())
        return await super().positions(ask)


class Tireless(Depot):
    """Asks again by itself until it is answered."""

    async def positions(self, ask: Ask) -> Feed:
        while True:
            try:
                return await super().positions(ask)
            except BrokerError:
                await asyncio.sleep(0.2)


class OurClock(Depot):
    """Says that the answer is of the time at which it was read."""

    def dated(self, read: Any) -> datetime:
        return self.clock()


class Crashes(Depot):
    """Reads what is there without asking whether it is."""

    def following(self, page: Any) -> dict[str, str] | None:
        return {"cursor": page.body["next"]} if page.body["next"] else None


class AddsUp(Depot):
    """Adds rows of one name up, and does not look at the count."""

    async def positions(self, ask: Ask) -> Feed:
        feed = await super().positions(ask)
        held: dict[str, Position] = {}
        for position in feed.positions:
            before = held.get(position.symbol)
            held[position.symbol] = replace(position, quantity=position.quantity + before.quantity) if before else position
        return feed.but(positions=tuple(held.values()), control_totals=())


@pytest.mark.parametrize(
    ("adapter", "expected"),
    [
        (
            ErrorsAreNothing,
            {
                "refused": "COMPLETE, with 0 positions where 4 are held",
                "unauthorized-401": "COMPLETE, with 0 positions where 4 are held",
                "html": "COMPLETE, with 0 positions where 4 are held",
            },
        ),
        (
            OnePage,
            {
                "pages": "it did not ask GET /holdings with {'cursor': 'c2'}",
                "A08 last page missing": "COMPLETE",
                "page-refused": "COMPLETE",
                "total-mismatch": "COMPLETE",
            },
        ),
        (Floats, {'B09 "1e3"': "other holdings: W-1", 'B09 "1,000"': "other holdings: W-1"}),
        (NoSign, {"signs": "ETH: the feed says 12, and the recording that it is short", 'B09 "NaN"': "other holdings: W-1"}),
        (
            Follows,
            {
                "redirect-302-elsewhere": "it followed to another host and asked /holdings there, with its keys",
            },
        ),
        (Tells, {"truncated": "the secret token stands in what it said", "closed": "the secret token stands in what it said"}),
        (Prints, {"nothing secret printed": "the secret token stands in what it said"}),
        (Tireless, {"refused": "it had not ended 2 s after it was asked, with a deadline of 1 s"}),
        (OurClock, {"G04 another clock": "not what the broker says"}),
        (Crashes, {"empty-object": "it raised KeyError: 'next'", "empty-list": "it raised TypeError"}),
        (AddsUp, {"E01 doubled row": "other holdings: W-1 BTC", "total-mismatch": "COMPLETE"}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_broken_adapter_is_caught_for_what_it_does(adapter, expected):
    found = tried(adapter, RECORDING, *expected)
    assert not found.ok
    failures = whys(found)
    wrong = {
        name: why for name, why in expected.items() if why not in next((w for n, w in failures.items() if n.startswith(name)), "")
    }
    assert not wrong, found.report()
    assert all(f"FAILED  {name}" in found.report() for name in expected)
    assert "Why it matters: " in found.report()


def test_an_adapter_that_unpacks_whatever_it_gets_is_caught_by_the_memory_that_it_takes():
    found = broker_conformance(Follows, RECORDING, deadline_seconds=20, only=("gzip-bomb",))
    assert whys(found)["gzip-bomb"].startswith("memory grew by ")


def test_an_adapter_that_cannot_read_its_own_broker_is_told_so_and_tried_no_further():
    class Asks(Depot):
        def url(self) -> str:
            return self.settings["base_url"] + "/elsewhere"

    found = tried(Asks)
    assert [trial.name for trial in found.trials] == ["undistorted", "nothing secret printed"]
    assert "it asked GET /elsewhere, which the recording does not have" in found.report()


def test_an_adapter_that_does_not_take_its_address_from_its_options_reaches_no_other_machine():
    class Fixed(Depot):
        def url(self) -> str:
            return "https://api.depot.example/holdings"

    assert "api.depot.example is not loopback" in tried(Fixed).report()


def test_a_token_that_a_broker_takes_in_its_addresses_is_neither_logged_nor_told():
    class InTheAddress(Depot):
        def params(self) -> dict[str, str]:
            return {"t": self.secret("token")}

    masked = tuple(replace(each, params={**each.params, "t": "***"}) for each in RECORDING.exchanges)
    found = tried(InTheAddress, replace(RECORDING, exchanges=masked), "closed", "unauthorized", "redirect", "html", "refused")
    assert found.ok, found.report()
    assert len(found.trials) > 6


def test_answers_that_positions_do_not_ask_for_are_left_alone():
    fills = replace(RECORDING.exchanges[0], url="https://api.depot.example/fills")
    found = tried(Depot, replace(RECORDING, exchanges=(fills, *RECORDING.exchanges)), "trouble-500", "empty-list")
    assert found.ok, found.report()
    assert [trial.name for trial in found.trials if "fills" in trial.name] == []


def test_a_fault_that_fails_itself_is_no_pass(monkeypatch):
    def fail(_: object) -> None:
        raise ZeroDivisionError("of the kit")

    monkeypatch.setitem(faults.FAULTS, "closed", replace(faults.FAULTS["closed"], act=fail))
    assert (
        "the kit itself failed, not the adapter: closed: ZeroDivisionError: of the kit"
        in tried(Depot, RECORDING, "closed").report()
    )


def test_an_adapter_that_writes_is_caught():
    class Writes(Depot):
        async def positions(self, ask: Ask) -> Feed:
            async with httpx.AsyncClient(trust_env=False) as client:
                await client.post(self.url(), json={"close": "all"})
            return await super().positions(ask)

    assert "it sent POST /holdings: an adapter reads, and this was not recorded" in tried(Writes).report()


class Keyed(Broker):
    """Asks by POST, with a form; rows stand under the names of what is held, and nothing else proves them."""

    name = "keyed"
    options = {"base_url": {"type": "string", "description": "In place of the broker's own address."}}

    async def positions(self, ask: Ask) -> Feed:
        body = await self.asked("/held")
        if not body["held"] and (await self.asked("/worth"))["worth"] != "0":
            raise BrokerError("nothing is listed, and it is worth something")
        rows = [Record({"symbol": name, **row}, f"held: {name}") for name, row in body["held"].items()]
        positions = [Position(symbol=row.text("symbol"), account="W", quantity=row.number("amount")) for row in rows]
        return Feed.complete(positions, as_of=AT, accounts=("W",))

    async def asked(self, path: str) -> dict[str, Any]:
        address = (self.settings["base_url"] or "https://api.keyed.example") + path
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(address, data={"nonce": "7"})
        if answer.status_code != 200:
            raise BrokerError(f"POST {path}: {answer.status_code}")
        return dict(read_json(answer.content, path))


def keyed(path: str, body: bytes) -> Received:
    headers = {"Date": "Fri, 20 Nov 2026 21:05:00 GMT", "Content-Type": "application/json"}
    return Received("POST", f"https://api.keyed.example{path}", {"nonce": "***"}, 200, headers, body, "", len(body))


def test_questions_may_be_forms_and_rows_may_stand_under_names():
    held = keyed("/held", b'{"held": {"BTC": {"amount": "1.5"}, "ETH": {"amount": "-2"}}}')
    alone = Recording(adapter="keyed", at=AT, exchanges=(held,))
    found = tried(Keyed, alone, "A06", "B09")
    assert found.ok, found.report()
    assert {'B09 "NaN" at held.BTC.amount of answer 1', "A06 emptied lists"} <= {trial.name for trial in found.trials}
    for worth, ok in (("9", True), ("0", False)):  # what is asked only where nothing is listed is answered, too
        beside = keyed("/worth", json.dumps({"worth": worth}).encode())
        found = tried(Keyed, replace(alone, exchanges=(held, beside)), "A06", "trouble-500")
        assert found.ok is ok
        assert not [trial.name for trial in found.trials if "/worth" in trial.name]


def test_a_fault_that_the_adapter_never_came_to_is_no_pass():
    class Once(Depot):
        readings = 0

        async def positions(self, ask: Ask) -> Feed:
            type(self).readings += 1
            if self.readings > 1:
                raise BrokerError("asked too often")
            return await super().positions(ask)

    assert "it never asked for what is distorted, so nothing was tried: BrokerError: asked too often" in (
        tried(Once, RECORDING, "closed").report()
    )


def test_an_adapter_that_paces_its_questions_is_given_time_for_all_of_them():
    class Paced(Depot):
        async def positions(self, ask: Ask) -> Feed:
            try:
                async with asyncio.timeout(self.http.deadline_seconds):
                    return await super().positions(ask)
            except TimeoutError:
                raise BrokerError("no time left") from None

        async def pages(self) -> dict[str, Any]:
            await asyncio.sleep(0.8)  # the pause that its broker asks for
            return await super().pages()

    found = broker_conformance(Paced, RECORDING, deadline_seconds=0.5, only=("page-fails",))
    assert found.ok, found.report()


def test_a_word_in_a_question_asks_for_another_list_and_a_cursor_for_the_next_page():
    first, second = RECORDING.exchanges
    names = [trial.name for trial in tried(Depot, RECORDING, "page-repeated").trials]
    assert "page-repeated at GET /holdings (2)" in names

    class Lists(Depot):
        async def pages(self) -> dict[str, Any]:
            body = await super().pages()
            await self.http.get_json(self.url(), headers=self.headers(), params={"status": "closed"})
            return body

    one = replace(first, raw=first.raw.replace(b'"c2"', b"null").replace(b'"count": 4', b'"count": 2'))
    closed = replace(second, params={"status": "closed"})
    found = tried(Lists, replace(RECORDING, exchanges=(one, closed)), "page-repeated")
    assert {trial.name: trial.why for trial in found.trials}["page-repeated"] == "the answer is no second page"


def test_an_empty_recording_of_a_flat_account_is_not_enough_to_try_anything_with():
    flat = answer([], None, None)
    flat = replace(flat, raw=flat.raw.replace(b'"count": 4', b'"count": 0'))
    assert "record an account that holds some" in tried(Depot, replace(RECORDING, exchanges=(flat,))).report()


class Xml(Depot):
    """The same over XML."""

    name = "depot-xml"

    async def positions(self, ask: Ask) -> Feed:
        page = await self.http.get_xml(self.url(), headers=self.headers())
        if page.body.tag != "Holdings" or page.date is None:
            raise BrokerError("GET /holdings: not the holdings")
        rows = [Record(dict(row.attrib), f"row {number}") for number, row in enumerate(page.body.iter("Holding"), 1)]
        count = ControlTotal("rows", Record(dict(page.body.attrib), "Holdings").number("count"))
        return Feed.complete([self.position(row) for row in rows], as_of=page.date, control_totals=(count,))


XML = b"""<?xml version="1.0" encoding="UTF-8"?>
<Holdings count="2"><List>
<Holding asset="BTC" amount="0.5" side="long"/><Holding asset="ETH" amount="3" side="short"/></List></Holdings>
"""


def test_answers_in_xml_are_distorted_as_those_in_json_are():
    first = replace(RECORDING.exchanges[0], raw=XML, headers={**RECORDING.exchanges[0].headers, "Content-Type": "text/xml"})
    recording = replace(RECORDING, exchanges=(first,))
    found = tried(Xml, recording)
    assert found.ok, found.report()
    passed = {trial.name for trial in found.trials if trial.outcome == "passed"}
    assert {"entity-bomb", "entity-of-a-file", "empty-root", "short-page", "A06 emptied lists", "E01 doubled row"} <= passed

    class Lenient(Xml):
        async def positions(self, ask: Ask) -> Feed:
            return (await super().positions(ask)).but(control_totals=(), accounts=("W-1",))

    caught = ("short-page", "A06 emptied lists", "total-mismatch")
    assert set(whys(tried(Lenient, recording, *caught))) == set(caught)


class Papers(Broker):
    """Positions in a file of lines that ends with the number of them."""

    name = "papers"
    options = {"path": {"type": "string", "description": "The file."}}
    required = ("path",)

    def positions(self, ask: Ask) -> Feed:
        (document,) = self.documents(ask)
        lines = document.raw.decode("ascii", "replace").splitlines(keepends=True)
        if len(lines) < 2 or not lines[0].startswith("AS OF "):
            raise BrokerError("papers: no head")
        place = f"{document.name}: line"
        ends = self.ended(lines)
        rows = [
            Record(dict(zip(("symbol", "quantity"), line.split(), strict=False)), place) for line in lines[1:-1] if line.count(" ")
        ]
        as_of = datetime.strptime(lines[0].strip(), "AS OF %Y-%m-%d").replace(hour=21, tzinfo=UTC)
        positions = [Position(symbol=row.text("symbol"), account="A", quantity=self.quantity(row)) for row in rows]
        return Feed.complete(positions, as_of=as_of, control_totals=(ControlTotal("rows", ends),) if ends is not None else ())

    def quantity(self, row: Record) -> Decimal:
        return row.number("quantity")

    def ended(self, lines: list[str]) -> Decimal | None:
        if not lines[-1].startswith("END ") or not lines[-1].endswith("\n"):
            raise BrokerError("papers: no end")
        return Record({"count": lines[-1].split()[1]}, "papers: END").number("count")


class Careless(Papers):
    """Does not look at how the file ends, and takes any number."""

    def ended(self, lines: list[str]) -> Decimal | None:
        return None

    def quantity(self, row: Record) -> Decimal:
        return Decimal(repr(abs(float(row.text_or_none("quantity") or 0))))


def of_papers() -> Recording:
    raw = b"AS OF 2026-11-20\nMSFT 100\nTSLA -5\nSPY 12\nEND 3\n"
    document = Document(Path("/in/papers.txt"), raw, "", AT)
    return Recording(adapter="papers", at=AT, options={"path": "in/papers.txt"}, documents=(document,))


def test_documents_are_cut_emptied_doubled_and_replaced():
    found = tried(Papers, of_papers())
    assert found.ok, found.report()
    names = [trial.name for trial in found.trials if trial.outcome == "passed"]
    assert sum(name.startswith("cut at") for name in names) >= 20
    assert {"empty: papers.txt", "missing: papers.txt", "html: papers.txt", "doubled: papers.txt", "G03 older: papers.txt"} <= set(
        names
    )


def test_a_file_adapter_that_does_not_look_for_the_end_is_caught_or_its_format_said_to_have_none():
    found = tried(Careless, of_papers(), "cut", "B09", "signs", "doubled")
    reasons = {trial.name: (trial.outcome, trial.why) for trial in found.trials}
    assert reasons["cut at 20: papers.txt"][0] == "not applicable"
    assert "nobody can tell that some are missing" in found.report()
    assert "TSLA: the feed says 5, and the recording that it is short" in found.report()
    assert {'B09 "1e3"', 'B09 ""'} <= {trial.name.partition(" at ")[0] for trial in found.failed}


def test_the_guard_lets_nothing_but_loopback_be_asked():
    import socket

    with loopback_only(), pytest.raises(NotLoopbackError, match=r"192\.0\.2\.1 is not loopback"):
        socket.create_connection(("192.0.2.1", 80), timeout=0.1)
    with loopback_only(), pytest.raises(NotLoopbackError, match=r"broker\.example is not loopback"):
        socket.getaddrinfo("broker.example", 443)


def test_verify_says_what_failed_and_returns_two_or_nothing_and_zero(tmp_path):
    drop_in = tmp_path / "plugins" / "brokers" / "swallows.py"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text(
        "from recon_core import Broker, BrokerError, Feed, Position, hookimpl\nfrom plugins_of_nobody import nothing\n".replace(
            "from plugins_of_nobody import nothing\n", ""
        )
        + "class Swallows(Broker):\n"
        "    'Believes everything.'\n"
        "    name = 'swallows'\n"
        "    options = {'base_url': {'type': 'string', 'default': 'https://api.depot.example', 'description': 'Where.'}}\n"
        "    async def positions(self, ask):\n"
        "        try:\n"
        "            page = await self.http.get_json(self.settings['base_url'] + '/holdings')\n"
        "            held = [Position(symbol=row['asset'], account='W', quantity=1) for row in page.body['holdings']]\n"
        "        except Exception:\n"
        "            held = []\n"
        "        return Feed.complete(held, as_of=self.clock(), accounts=('W',))\n"
        "@hookimpl\n"
        "def recon_register_brokers():\n"
        "    return [Swallows]\n"
    )
    for path in (drop_in, drop_in.parent, drop_in.parent.parent):
        path.chmod(0o755)
    (tmp_path / "recon.yaml").write_text("version: 1\nplugins: {drop_ins: plugins}\n")
    write_recording(tmp_path / "recording", replace(RECORDING, adapter="swallows", exchanges=RECORDING.exchanges[:1]))
    command = (
        [sys.executable, "-m", "recon_core.cli"] if False else [sys.executable, "-c", "from recon_core.cli import main; main()"]
    )
    verify = [*command, "plugins", "verify", "swallows", "--recording", "recording", "--only", "refused", "--only", "html"]
    done = subprocess.run(verify, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "FAILED  refused" in done.stdout
    assert "Why it matters: An outage must be an unproven feed" in done.stdout
    done = subprocess.run([*command, "plugins", "verify", "nobody"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "no broker adapter 'nobody'" in done.stderr) == (2, True)


def test_verify_of_a_sound_adapter_returns_zero_and_json_for_programs():
    command = [
        sys.executable,
        "-c",
        "from recon_core.cli import main; main()",
        "plugins",
        "verify",
        "alpaca",
        "--json",
        "--only",
        "truncated",
    ]
    done = subprocess.run(command, cwd=RECORDINGS.parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert (told["adapter"], told["ok"]) == ("alpaca", True)
    assert {"name", "does", "matters", "outcome", "why", "seconds"} == set(told["trials"][0])


@pytest.mark.skipif(not RESET.exists(), reason="the peak of memory is read from /proc")
def test_what_is_made_to_take_memory_takes_less_than_100_mb_of_any_adapter_with_the_limits_of_a_real_run(tmp_path):
    """In a process of its own: memory that an earlier test freed would hide what is taken."""
    script = Path(__file__).with_name("memory_of_faults.py")
    done = subprocess.run(
        [sys.executable, script, *(RECORDINGS / name for name in RECORDED)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    found = {
        (adapter, what): (int(grown), said) for adapter, what, grown, said in (row.split("\t") for row in done.stdout.splitlines())
    }
    assert {adapter for adapter, _ in found} == set(RECORDED)
    assert all(grown < 100 for grown, _ in found.values()), found
    assert all(said.startswith(("MalformedError", "TransientError")) for _, said in found.values()), found
    for (adapter, what), (grown, said) in found.items():
        if what == "endless-body" or (what == "huge-file" and adapter not in ("statement", "ofx")):  # row by row; a lower limit
            assert grown > 50, f"{adapter}: {what} was not read up to the limit"
            assert "larger than the limit of" in said
