"""What is fuzzed: each parser as a function of bytes that raises what must never happen, and the bytes that it begins with.

A parser may refuse with the errors of recon_core.errors, and with nothing else. What it returns is looked at, too: the same bytes
are read to the same values again, a feed that is COMPLETE is of a time and names no position twice, texts can be stored.

Where one input has to be several things they are parted by a NUL: the answers of a broker in the order of the questions, or the
files of a statement. Where a parser has options, the first byte chooses among some.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any
from zlib import crc32

import seeds

from recon_core.brokers import Broker
from recon_core.collect import BrokerAnswer
from recon_core.columns import PAIR_COLUMNS
from recon_core.config.load import load_policy, load_settings
from recon_core.config.rates import read_rates
from recon_core.config.settings import BrokerSettings
from recon_core.dated_files import DATE_PLACE, date_shape, read_date, resolve_path
from recon_core.documents import Document
from recon_core.engine import connect
from recon_core.errors import BrokerError, ConfigError, MalformedError, RequestError
from recon_core.evidence import Evidence
from recon_core.expressions import check_expression
from recon_core.feeds import prove, unique
from recon_core.host import load_host
from recon_core.http import Answer, Http, Received
from recon_core.model import Ask, Feed, FeedStatus, Position
from recon_core.recording import Replay, read_recording
from recon_core.records import Record
from recon_core.scratch import scratch_folder
from recon_core.strict_json import read_json
from recon_core.strict_xml import read_xml
from recon_core.symbols import forms_of, key_of
from recon_core.syntax import ExpressionError
from recon_core.tables.delimited import read_delimited
from recon_core.tables.file_options import FILE_OPTIONS
from recon_core.tables.framing import Frame, Refusal
from recon_core.tables.json_records import read_records
from recon_core.written_numbers import read_number

HOST = load_host()
NOW = datetime(2026, 11, 20, 22, tzinfo=UTC)
Read = Callable[[bytes], object]


@dataclass(frozen=True)
class Target:
    """A parser to fuzz, with inputs of up to ``most_bytes``. ``slow`` says how many times fewer runs it gets than the others."""

    read: Read
    seeds: Callable[[], Iterable[bytes]]
    slow: int = 1
    most_bytes: int = 2000


@cache
def folder() -> Path:
    """Where this process may write what a parser reads from a file."""
    return Path(tempfile.mkdtemp(dir=Path.cwd()))


@cache
def loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def refusing(read: Read, *errors: type[Exception]) -> Read:
    """The same, where a refusal is an answer as good as any."""

    refusals = errors or (BrokerError,)

    def attempt(raw: bytes) -> object:
        try:
            return read(raw)
        except refusals:
            return None

    return attempt


def chosen(raw: bytes, choices: Sequence[Any]) -> tuple[Any, bytes]:
    """The choice that the first byte makes, and the rest."""
    return choices[(raw[0] if raw else 0) % len(choices)], raw[1:]


def twice(read: Read) -> Read:
    """The same, where what is read from the same bytes again must be the same: looked at for one input of 32."""

    def attempt(raw: bytes) -> object:
        found = read(raw)
        assert crc32(raw) % 32 or read(raw) == found, "the same bytes were read to something else"
        return found

    return attempt


def sound(feed: object, *, keyed: bool = True) -> None:
    """Raise unless a feed is what an adapter may return. ``keyed``: it refuses a position that is named twice by itself."""
    assert isinstance(feed, Feed)
    texts = [feed.reason, *feed.notes, *feed.accounts, *(total.account or "" for total in feed.control_totals)]
    for position in feed.positions:
        texts += [value for entry in fields(position) if isinstance(value := getattr(position, entry.name), str)]
    "".join(texts).encode()  # half a surrogate pair cannot be stored
    if feed.status is not FeedStatus.COMPLETE:
        assert feed.reason, "why it is not complete is not said"
        return
    assert feed.as_of is not None
    keys = [(position.account, position.symbol, position.leg) for position in feed.positions]
    assert feed.lots or not keyed or len(set(keys)) == len(keys), f"a position is named twice: {keys}"


def told(evidence: object) -> None:
    """Raise unless evidence is what an adapter may return."""
    assert isinstance(evidence, Evidence)
    assert evidence.complete or evidence.reason, "why it is not complete is not said"
    "".join([evidence.reason, *evidence.notes, *(entry.said for entry in evidence.movements)]).encode()


class Answered(Http):
    """Answers every question with the next of some bodies, without a network and its loop. Heads have a target of their own."""

    def __init__(self, bodies: Iterable[bytes]) -> None:
        super().__init__(0)  # no time for a second attempt
        self.bodies = list(bodies)

    async def _get(self, form: Any, url: str, headers: Any, params: Any) -> Answer:
        if not self.bodies:
            raise RequestError("no answer is left")
        raw = self.bodies.pop(0)
        return Answer(form.read(raw, f"GET {url}"), raw, hashlib.sha256(raw).hexdigest(), NOW)


def broker(name: str, choices: Sequence[tuple[dict[str, Any], Ask]], *, evidence: bool = False, keyed: bool = True) -> Read:
    """What an adapter makes of answers or files that are the parts of the bytes."""
    installed = HOST.brokers[name]
    defaults = {option: spec.get("default") for option, spec in installed.options.items()}

    class Adapter(installed):
        def documents(self, ask: Ask, **_: Any) -> list[Document]:
            return [
                Document(Path(f"{number}.file"), raw, hashlib.sha256(raw).hexdigest(), NOW) for number, raw in enumerate(self.parts)
            ]

    def read(raw: bytes) -> object:
        (options, ask), rest = chosen(raw, choices)
        parts = rest.split(b"\0")
        adapter: Broker = Adapter(
            "b",
            settings=defaults | options,
            secret=lambda _: "secret",
            folder=folder(),
            clock=lambda: NOW,
            http=Answered(parts),
            given=("token",),
        )
        adapter.parts = parts
        found = adapter.evidence(ask) if evidence else adapter.positions(ask)
        if asyncio.iscoroutine(found):
            found = loop().run_until_complete(found)
        told(found) if evidence else sound(found, keyed=keyed)
        return found

    return refusing(twice(read))


def framed(read: Read) -> Read:
    """The same, over FIX messages whose length and checksum are made to hold."""

    def attempt(raw: bytes) -> object:
        messages = []
        for body in raw[1:].split(b"\0"):
            text = b"8=FIX.4.4\x019=%d\x01%s" % (len(body), body)
            messages.append(text + b"10=%03d\x01" % (sum(text) % 256))
        return read(raw[:1] + b"".join(messages))

    return attempt


def exact_json(raw: bytes) -> object:
    body = read_json(raw, "fuzz")

    def look(value: object) -> None:
        assert isinstance(value, dict | list | str | int | Decimal | None), type(value)
        assert not isinstance(value, Decimal) or value.is_finite()
        if isinstance(value, str):
            value.encode()
        for inner in (*value, *value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ():
            look(inner)

    with suppress(RecursionError):  # the C parser can follow what this cannot
        look(body)
    return body


def record(raw: bytes) -> object:
    found = Record(read_json(raw, "fuzz"), "fuzz")
    for name in (*found.value, "missing"):
        for ask in ("has", "text", "text_or_none", "identifier", "number", "number_or_none", "flag", "day", "day_or_none", "moment",
                    "record", "records"):  # fmt: skip
            try:
                value = getattr(found, ask)(name)
            except MalformedError:
                continue
            assert not isinstance(value, Decimal) or value.is_finite()
            assert not isinstance(value, datetime) or value.tzinfo is not None
            assert ask != "day" or isinstance(value, date)
    return found.value


WRITTEN = [
    {"decimal": decimal, "thousands": thousands, "negative": negative, "money": money}
    for (decimal, thousands), negative, money in product(
        [(".", None), (",", None), (".", ","), (",", "."), (".", " "), (",", "'")],
        [(), ("parentheses",), ("trailing_minus",), ("parentheses", "trailing_minus")],
        [False, True],
    )
]


def number(raw: bytes) -> object:
    options, rest = chosen(raw, WRITTEN)
    found = read_number(rest.decode("utf-8", "replace"), "fuzz", **options)
    assert found.is_finite()
    assert read_number(f"{found:f}") == found
    return found


def symbol(raw: bytes) -> object:
    text = raw.decode("utf-8", "replace")
    key = key_of(text)
    for form, spelt in forms_of(text).items():
        assert key_of(spelt) == key, f"{text!r} is {key!r}, and its spelling {spelt!r} ({form}) is {key_of(spelt)!r}"
    return key


class Engine:
    """What the engine makes of feeds. One database serves many: to open one takes longer than to read a small file."""

    MOST = 500

    def __init__(self) -> None:
        self.number = 0

    def proven(self, feed: Feed) -> object:
        """How far a feed is believed, and the rows of one that is."""
        if self.number % self.MOST == 0:
            self.opened = ExitStack()
            self.connection = self.opened.enter_context(connect())
        self.number += 1
        name = f"feed{self.number}"
        try:
            return self._rows(feed, name)
        finally:
            if self.number % self.MOST == 0:
                self.opened.close()

    def _rows(self, feed: Feed, name: str) -> object:
        answer = BrokerAnswer(BrokerSettings("b", "statement"), HOST.brokers["statement"], feed)
        judged = prove(self.connection, answer, name=name, book=(), as_of=NOW, asked=False, now=NOW, delivered={})
        judged = unique(self.connection, judged)
        if judged.mounted is None:
            assert judged.reason, "why it is not believed is not said"
            return judged.status, judged.reason
        rows = self.connection.execute(f"SELECT account, symbol, leg, quantity FROM {name} ORDER BY ALL").fetchall()
        assert all(row[1] and row[3].is_finite() for row in rows)
        return judged.status, judged.reason, rows


ENGINE = Engine()


def positions(raw: bytes) -> object:
    """Positions of any kind through the engine: what is faulty is said, and nothing raises."""
    names = ("symbol", "quantity", "account", "leg", "asset_class", "currency", "avg_price", "market_price", "multiplier", "isin",
             "cusip", "updated_at", "raw_symbol")  # fmt: skip
    found = []
    for line in raw.decode("utf-8", "replace").split("\n"):
        values: dict[str, Any] = {name: text for name, text in zip(names, line.split("|"), strict=False) if text}
        try:
            for name in ("quantity", "avg_price", "market_price", "multiplier"):
                values |= {name: Decimal(values[name])} if name in values else {}
            values |= {"updated_at": datetime.fromisoformat(values["updated_at"])} if "updated_at" in values else {}
        except (ArithmeticError, ValueError):
            continue
        if "quantity" in values and "symbol" in values:
            found.append(Position(**values))
    return ENGINE.proven(Feed.complete(found, as_of=NOW))


SECTIONS = {
    "preamble": "Open Positions,Header,",
    "rows_start_with": "Open Positions,Data,",
    "skip_rows": {"DataDiscriminator": "Lot"},
    "thousands": ",",
}
EUROPEAN = {"decimal": ",", "thousands": ".", "negative": ["parentheses", "trailing_minus"]}
FACTS = {"records": "balances", "as_of": {"line": "generated_at: (.*)"}, "row_count": {"footer": "count: (\\d+)"}}


def statement() -> Read:
    """Files through the adapter and the engine's own reader, by the options of real ones."""
    from test_statement_files import FIDELITY_OPTIONS, SCHWAB_OPTIONS

    told = json.loads((seeds.RECORDINGS / "statement" / "recording.json").read_text())["options"]
    told |= {"path": "s.csv"}
    installed = HOST.brokers["statement"]
    defaults = {option: spec.get("default") for option, spec in installed.options.items()}
    choices: list[tuple[str, dict[str, Any]]] = [
        ("s.csv", {**FIDELITY_OPTIONS, "skip_rows": {"Symbol": "SPAXX[*][*]"}, "footer": ["Z123,Pending"]}),
        ("s.csv", SCHWAB_OPTIONS),
        ("s.csv", SECTIONS),
        ("s.csv", told),
        ("s.json", FACTS),
        ("s.json", {}),
        ("s.tsv", EUROPEAN),
        ("s.csv", {"as_of": {"column": "day", "format": "%d.%m.%y"}, "lots": True}),
    ]

    def read(raw: bytes) -> object:
        (name, options), rest = chosen(raw, choices)
        (folder() / name).write_bytes(rest)
        filled = defaults | {"path": name, "as_of": "2026-11-20T21:00:00Z", **options}
        adapter = installed("b", settings=filled, secret=lambda _: "", folder=folder(), clock=lambda: NOW)
        return ENGINE.proven(adapter.positions(SOME))

    return refusing(read)


TABLE = {option: schema.get("default") for option, schema in FILE_OPTIONS.items()}
REFUSAL = Refusal(MalformedError, MalformedError)
LINES: list[dict[str, Any]] = [
    {},
    {"preamble": "symbol", "footer": ["Total", "count:"]},
    {"preamble": 2, "delimiter": ";", "quote": "'", "footer": ["end"]},
    {"preamble": "Open Positions,Header,", "rows_start_with": "Open Positions,Data,", "rows_end_with": "^Trades,"},
    {"skip_lines": ["^#", "^(Sub)?total"], "quote": ""},
    {"encoding": "utf-16"},
    {"encoding": "latin-1", "delimiter": "|"},
    {"delimiter": "\t", "preamble": 1},
]
RECORDS: list[dict[str, Any]] = [
    {},
    {"records": "balances"},
    {"records": "data.rows", "columns": {"symbol": "instrument.symbol"}, "sign": {"column": "side", "short": ["S"]}},
    {"encoding": "utf-16"},
]


def table(choices: Sequence[dict[str, Any]], take_apart: Callable[[Path, dict[str, Any]], Frame]) -> Read:
    """What a file is taken apart to, before the engine reads its rows."""

    def read(raw: bytes) -> object:
        options, rest = chosen(raw, choices)
        place = folder() / "table"
        place.write_bytes(rest)
        try:
            frame = take_apart(place, TABLE | options)
        finally:
            for copy in filter(Path.is_file, scratch_folder().iterdir()):
                copy.unlink()
        assert len(frame.header) == len(frame.references) == len(frame.types)
        "".join((*frame.header, frame.source, *frame.skipped, *(line.text for line in (*frame.head, *frame.tail)))).encode()
        return frame.header

    return refusing(read)


def dated(raw: bytes) -> object:
    """A name with a date in it: which file it means, of a day or the newest."""
    pattern, name = (part.decode("utf-8", "replace") for part in [*raw[1:].split(b"\0"), b""][:2])
    day = NOW.date() if raw[:1] == b"1" else None
    (form,) = DATE_PLACE.findall(pattern)[:1] or [pattern]
    with suppress(ValueError):
        assert date_shape(form)
        read_date(name, form)
    with suppress(ValueError):
        return resolve_path(pattern, folder(), day) or name
    return None


def settings(raw: bytes) -> object:
    form, rest = chosen(raw, ("settings", "policy", "rates"))
    place = folder() / f"{form}.yaml"
    place.write_bytes(rest)
    if form == "settings":
        return load_settings(place, lambda *_: HOST, environment=None)[0]
    return load_policy(place, HOST.rules, today=NOW.date()) if form == "policy" else read_rates(place, "rates.csv")


def expression(raw: bytes) -> object:
    text = raw.decode("utf-8", "replace")
    check_expression(text, PAIR_COLUMNS, want="BOOLEAN", params={"tolerance": Decimal(0)})
    return text


def recording(raw: bytes) -> object:
    (folder() / "recording.json").write_bytes(raw)
    (folder() / "body").write_bytes(b"{}")
    found = read_recording(folder())
    for exchange in found.exchanges:
        assert Replay(found)(exchange.method, exchange.url, exchange.params).url
    return found


def head(raw: bytes) -> object:
    """An answer with any status and headers, through the guarded client."""
    xml, rest = chosen(raw, (False, True))
    lines, _, body = rest.partition(b"\0")
    status, *named = lines.decode("latin-1").split("\n")
    if not (status.isascii() and status.isdigit() and len(status) == 3 and status[0] in "12345"):
        return None
    headers = {
        name.strip(): value.strip() for name, colon, value in (line.partition(":") for line in named) if colon and name.strip()
    }
    received = Received("GET", "https://broker.example/x", {}, int(status), headers, body, "", len(body))
    http = Http(0.5, backoff_seconds=0, answering=lambda *_: received)
    return loop().run_until_complete((http.get_xml if xml else http.get_json)("https://broker.example/x"))


SOME, ASKED = Ask(), Ask(as_of=NOW, since=datetime(2026, 11, 18, tzinfo=UTC))
KEPT = {"path": "x"}
MESSAGES = [({**KEPT, "account": "A"}, SOME), ({**KEPT, "symbol": "isin", "timezone": "America/New_York", "account": "A"}, ASKED)]
FIX = [*MESSAGES, ({**KEPT, "legs": "split", "price_is": "average", "position_types": ["TQ", "FIN"]}, SOME)]
MT535 = [*MESSAGES, ({**KEPT, "assume_complete": True}, SOME)]
SEMT002 = [*MESSAGES, ({**KEPT, "sub_accounts": "separate"}, SOME), ({**KEPT, "sub_accounts": "breakdown"}, SOME)]
OFX = [(KEPT, SOME), ({**KEPT, "symbol": "isin", "timezone": "America/New_York"}, ASKED), ({**KEPT, "lots": True}, SOME)]
FLEX = [(KEPT, SOME), ({**KEPT, "value_tolerance_pct": 5}, ASKED), ({**KEPT, "timezone": "UTC"}, SOME)]
FLEX_WEB = [({"query_id": "1", "poll_seconds": 0}, SOME)]
TRADIER = [({}, SOME), ({"account": "6YA00001"}, ASKED)]
OANDA = [({}, SOME), ({"account": "001-001-1234567-001"}, ASKED)]
REST = [({}, SOME), ({"account": "A1"}, ASKED)]

TARGETS = {
    "json": Target(refusing(twice(exact_json)), seeds.json_documents),
    "xml": Target(refusing(lambda raw: read_xml(raw, "fuzz")), seeds.xml_documents),
    "number": Target(refusing(number), seeds.numbers, most_bytes=200),
    "record": Target(refusing(record), seeds.records, most_bytes=1000),
    "symbol": Target(symbol, seeds.symbols, most_bytes=40),
    "recording": Target(refusing(recording, ConfigError), seeds.recordings, slow=4),
    "head": Target(refusing(head), seeds.heads, slow=4, most_bytes=1000),
    # The targets of one adapter share its runs. These three are what `statement` does before the engine.
    "delimited": Target(table(LINES, partial(read_delimited, refusal=REFUSAL, tabs=False)), seeds.delimited_files, slow=3),
    "json-table": Target(table(RECORDS, partial(read_records, refusal=REFUSAL)), seeds.json_tables, slow=3),
    "dated": Target(dated, seeds.dated_names, slow=3, most_bytes=80),
    "alpaca": Target(broker("alpaca", REST), seeds.alpaca_positions, slow=2),
    "alpaca-evidence": Target(broker("alpaca", REST, evidence=True), seeds.alpaca_evidence, slow=2),
    "tradier": Target(broker("tradier", TRADIER), seeds.tradier, slow=2),
    "tradier-evidence": Target(broker("tradier", TRADIER, evidence=True), seeds.tradier_evidence, slow=2),
    "oanda": Target(broker("oanda", OANDA), seeds.oanda, slow=2),
    "oanda-evidence": Target(broker("oanda", OANDA, evidence=True), seeds.oanda_evidence, slow=2),
    "ibkr_flex": Target(broker("ibkr_flex", FLEX), seeds.flex, slow=2),
    "ibkr_flex-evidence": Target(broker("ibkr_flex", FLEX, evidence=True), seeds.flex_evidence, slow=2),
    "ibkr_flex-web": Target(broker("ibkr_flex", [*FLEX_WEB]), seeds.flex_web, slow=2),
    "fix": Target(broker("fix", FIX, keyed=False), seeds.fix, slow=2),
    "fix-fields": Target(framed(broker("fix", FIX, keyed=False)), seeds.fix_fields, most_bytes=1000, slow=2),
    "mt535": Target(broker("mt535", MT535), seeds.mt535),
    "semt002": Target(broker("semt002", SEMT002), seeds.semt002),
    "ofx": Target(broker("ofx", OFX), seeds.ofx, slow=2),
    "ofx-evidence": Target(broker("ofx", OFX, evidence=True), seeds.ofx_evidence, slow=2),
    # Those that go through the database engine, or the checks of a whole configuration, take milliseconds each.
    "statement": Target(statement(), seeds.statements, slow=80, most_bytes=1000),
    "positions": Target(refusing(positions), seeds.positions, slow=100, most_bytes=500),
    "settings": Target(refusing(settings, ConfigError), seeds.settings_files, slow=20, most_bytes=3000),
    "expression": Target(refusing(expression, ExpressionError), seeds.expressions, slow=10, most_bytes=300),
}
