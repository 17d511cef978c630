"""Hostile feeds: answers and documents that are sound in form and wrong in what they say. Made from a recording."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime, parsedate_to_datetime

from recon_core.model import POSITION_COLUMNS
from recon_core.testing.bodies import Body, Path, TextBody, read_body, read_document, same_number
from recon_core.testing.fault_server import Exchange, pages
from recon_core.testing.judgement import Judged
from recon_core.testing.reading import Told

MOST_PLACES = 6
"""How many quantities of a recording are replaced in turn; more prove nothing new."""

SIDES = {"short": re.compile("short|shor|sell|sold", re.IGNORECASE), "long": re.compile("long|buy|bought", re.IGNORECASE)}
OLDER = timedelta(days=5)

Expects = Callable[[Judged, Judged], str]
"""Why a feed that a run would believe is wrong, given the undistorted one; empty where it is not."""


@dataclass(frozen=True, slots=True)
class Hostile:
    """One hostile feed. ``skipped`` says why it cannot be made of this recording; ``now`` is how far the clock is moved."""

    name: str
    does: str
    matters: str
    told: Told
    expects: Expects
    skipped: str = ""


def never(found: Judged, base: Judged) -> str:
    """No such feed may be believed."""
    return f"a run would believe it: COMPLETE, with {len(found.rows)} positions where {len(base.rows)} are held"


def same_holdings(found: Judged, base: Judged) -> str:
    """It may be believed where it tells the same holdings."""
    return "" if found.holdings() == base.holdings() else f"COMPLETE, with other holdings: {_difference(found, base)}"


def same_time(found: Judged, base: Judged) -> str:
    """It may be believed where its time is the payload's, as before."""
    if found.feed.as_of == base.feed.as_of:
        return ""
    return f"COMPLETE, as of {found.feed.as_of}: not what the broker says ({base.feed.as_of})"


def other_time(found: Judged, base: Judged) -> str:
    """It may be believed only where it tells what is held at the moment of asking."""
    return "COMPLETE, as of the same time as before: the adapter does not read of what day the answer says it is"


def wrong_signs(told: Told, base: Judged) -> str:
    """Which position is long in the feed and short in what the broker wrote beside it, or the other way round; empty for none."""
    for source in _sources(told, base):
        rows = [row for _, _, row in source.held]
        for names, quantity, row in source.held:
            beside = [text.strip() for path, text in source.leaves if path[: len(row)] == row]
            said = {side for side, words in SIDES.items() if any(words.fullmatch(text) for text in beside)}
            if not said and all(text.startswith("-") for text in beside if same_number(text, quantity)):
                said = {"short"}
            wrong = "short" if quantity > 0 else "long"
            if said == {wrong} and rows.count(row) == 1:
                return f"{min(names)}: the feed says {quantity.normalize():f}, and the recording that it is {wrong}"
    return ""


def hostile_feeds(told: Told, base: Judged, *, live: bool) -> Iterator[Hostile]:
    """What can be made of the recorded answers and documents, given what the undistorted feed told."""
    sources = _sources(told, base)
    yield from _absences(told, sources)
    yield from _numbers(told, sources)
    yield from _repeated(told, base, sources)
    if told.exchanges:
        yield from _dates(told, base, live=live)
    for name, raw in told.documents.items():
        yield from _of_document(told, base, name, raw)


def _sources(told: Told, base: Judged) -> list[_Source]:
    return [
        *(_Source(f"answer {place + 1}", each.body, _answered(place), base) for place, each in enumerate(told.exchanges)),
        *(_Source(name, raw, _delivered(name), base) for name, raw in told.documents.items()),
    ]


def _answered(place: int) -> Callable[[Told, bytes], Told]:
    def put(told: Told, raw: bytes) -> Told:
        exchanges = list(told.exchanges)
        exchanges[place] = replace(exchanges[place], body=raw)
        return replace(told, exchanges=exchanges)

    return put


def _delivered(name: str) -> Callable[[Told, bytes], Told]:
    return lambda told, raw: replace(told, documents={**told.documents, name: raw})


class _Source:
    """One answer or document, and where in it the positions of the undistorted feed stand; ``put`` tells another in its place."""

    def __init__(self, name: str, raw: bytes, put: Callable[[Told, bytes], Told], base: Judged) -> None:
        self.name, self.put = name, put
        self.body: Body | None = read_document(raw)
        self.rows: list[Path] = []
        self.quantities: list[Path] = []
        self.held: list[tuple[set[str], Decimal, Path]] = []
        self.leaves: list[tuple[Path, str]] = []
        if self.body is None:
            return
        self.leaves = leaves = list(self.body.leaves())
        entries = sorted((path for paths in self.body.lists() for path in paths), key=len, reverse=True)
        for names, quantity in _held(base):
            symbols = [path for path, text in leaves if text.strip() in names] + _keyed(leaves, names)
            amounts = [path for path, text in leaves if same_number(text, quantity)]
            row = max((_shared(one, other) for one in symbols for other in amounts), key=len, default=())
            if row:
                self.held.append((names, quantity, row))
            elif symbols:  # the quantity is worked out: the row is the record that names the instrument
                row = next((entry for entry in entries if symbols[0][: len(entry)] == entry), ())
            if row:
                self.rows += [row] if row not in self.rows else []
            if row or (symbols and isinstance(self.body, TextBody)):
                self.quantities += [path for path in amounts if path[: len(row)] == row and path not in self.quantities]


def _absences(told: Told, sources: Sequence[_Source]) -> Iterator[Hostile]:
    name, does = "A06 emptied lists", "Every list of positions is there, and empty."
    matters = "An empty answer and an empty account look the same; read as flat, every holding becomes a break."
    emptied = told
    for source in sources:
        if source.body and source.rows:
            emptied = source.put(emptied, source.body.without(_outermost(source.rows)))
    why = "" if emptied is not told else "no position of the feed is found in a list of the recording"
    yield Hostile(name, does, matters, emptied, never, why)
    name, does = "A08 last page missing", "The last of several pages is not there."
    matters = "One page of several, read as all, makes the positions of the others look flat."
    last = next((found[-1] for place in range(len(told.exchanges)) if (found := pages(told.exchanges, place))), None)
    rest = [exchange for place, exchange in enumerate(told.exchanges) if place != last]
    why = "" if last is not None else "the recording has no second page"
    yield Hostile(name, does, matters, replace(told, exchanges=rest), never, why)


def _numbers(told: Told, sources: Sequence[_Source]) -> Iterator[Hostile]:
    matters = "What is no number must not become a quantity, nor 0, nor a row left out."
    found = [(source, source.body, path) for source in sources if source.body for path in source.quantities]
    step = max(1, -(-len(found) // MOST_PLACES))
    if not found:
        why = "no text of the recording is a quantity of the feed: it is worked out of several"
        yield Hostile("B09 quantities that are none", "A quantity is no number.", matters, told, never, why)
    for source, body, path in found[::step]:
        for text in body.hostile_numbers:
            place = f"{_shown(path)} of {source.name}"
            does = f"The quantity at {place} is {_written(text)}."
            yield Hostile(
                f"B09 {_written(text)} at {place}", does, matters, source.put(told, body.with_leaf(path, text)), same_holdings
            )


def _repeated(told: Told, base: Judged, sources: Sequence[_Source]) -> Iterator[Hostile]:
    name, does = "E01 doubled row", "The first position stands twice."
    matters = "Added up, it doubles a holding; overwritten, it hides that the answer is wrong."
    for source in sources:
        raw = source.body.twice(source.rows[0]) if source.body and source.rows else None
        if raw is not None:
            why = "the feed declares lots, of which two may be alike" if base.feed.lots else ""
            yield Hostile(name, does, matters, source.put(told, raw), same_holdings, why)
            return
    yield Hostile(name, does, matters, told, same_holdings, "no position stands in a list of the recording")


def _dates(told: Told, base: Judged, *, live: bool) -> Iterator[Hostile]:
    stale = "Yesterday's positions against today's book are breaks that are none, and hide those that are."
    moved = [_with_date(exchange, -OLDER) for exchange in told.exchanges]
    yield Hostile(
        "G03 older Date header", "The Date header is of five days before.", stale, replace(told, exchanges=moved), same_time
    )
    older = [replace(exchange, body=_older(exchange.body, base.feed.as_of)) for exchange in told.exchanges]
    why = "" if older != list(told.exchanges) else "no date of the feed stands in the recorded bodies"
    expects = same_holdings if live else other_time
    yield Hostile(
        "G03 older answer", "The answers are dated five days before.", stale, replace(told, exchanges=older), expects, why
    )
    made_up = "A time that the broker did not say makes an old answer look fresh."
    none = [replace(each, headers=_without(each.headers, "date")) for each in told.exchanges]
    yield Hostile("G04 no Date header", "There is no Date header.", made_up, replace(told, exchanges=none), same_time)
    ahead = [_with_date(exchange, timedelta(days=30)) for exchange in told.exchanges]
    yield Hostile("G05 Date to come", "The Date header is of next month.", made_up, replace(told, exchanges=ahead), same_time)
    late = replace(told, clock_ahead=timedelta(days=3))
    yield Hostile("G04 another clock", "Our own clock is three days ahead.", made_up, late, same_time)


def _of_document(told: Told, base: Judged, name: str, raw: bytes) -> Iterator[Hostile]:
    cut = "A file that is still being written, or was cut on its way, looks like a smaller account."
    lines = _is_lines(raw) and not base.feed.control_totals
    unmarked = "lines of text without an end mark or a total: nobody can tell that some are missing" if lines else ""
    for offset in sorted({max(1, len(raw) * part // 25) for part in range(1, 25)} | {len(raw.rstrip()) - 1}):
        does = f"{name} ends after {offset} of {len(raw)} bytes."
        yield Hostile(f"cut at {offset}: {name}", does, cut, _document(told, name, raw[:offset]), same_holdings, unmarked)
    empty = "A file without content is not an account without positions."
    yield Hostile(f"empty: {name}", f"{name} has no bytes.", empty, _document(told, name, b""), never)
    yield Hostile(f"blank: {name}", f"{name} has blank lines alone.", empty, _document(told, name, b"\n\n"), never)
    rest = {other: content for other, content in told.documents.items() if other != name}
    yield Hostile(f"missing: {name}", f"{name} is not there.", empty, replace(told, documents=rest), same_holdings)
    page = b"<!DOCTYPE html><html><body>Session expired</body></html>"
    yield Hostile(f"html: {name}", f"{name} is a page for browsers.", empty, _document(told, name, page), never)
    twice = "A delivery that was appended to the one before counts every position twice."
    why = "the feed declares lots, of which two may be alike" if base.feed.lots else ""
    yield Hostile(
        f"doubled: {name}", f"{name} stands in the file twice.", twice, _document(told, name, raw + raw), same_holdings, why
    )
    stale = "Yesterday's positions against today's book are breaks that are none, and hide those that are."
    older = _older(raw, base.feed.as_of)
    why = "" if older != raw else "no date of the feed stands in the document"
    yield Hostile(f"G03 older: {name}", f"{name} is dated five days before.", stale, _document(told, name, older), other_time, why)


def _held(base: Judged) -> Iterator[tuple[set[str], Decimal]]:
    """The names of each position, as the broker may write them, and its quantity."""
    at = POSITION_COLUMNS.index
    for row in base.rows:
        texts = {row[at(name)] for name in ("symbol", "raw_symbol", "isin", "cusip")}
        yield {text.strip() for text in texts if text}, row[at("quantity")]


def _keyed(leaves: Sequence[tuple[Path, str]], names: set[str]) -> list[Path]:
    """The records that stand under one of these names, not in a list."""
    return list(dict.fromkeys(path[: depth + 1] for path, _ in leaves for depth, key in enumerate(path[:-1]) if key in names))


def _shared(one: Path, other: Path) -> Path:
    length = next(
        (place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), min(len(one), len(other))
    )
    return one[:length]


def _outermost(paths: Sequence[Path]) -> list[Path]:
    return [path for path in paths if not any(other != path and path[: len(other)] == other for other in paths)]


def _document(told: Told, name: str, raw: bytes) -> Told:
    return replace(told, documents={**told.documents, name: raw})


def _with_date(exchange: Exchange, shift: timedelta) -> Exchange:
    try:
        moment = parsedate_to_datetime(exchange.header("Date")) + shift
    except (TypeError, ValueError):
        return exchange
    return replace(exchange, headers={**_without(exchange.headers, "date"), "Date": format_datetime(moment, usegmt=True)})


def _without(headers: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key.lower() != name}


def _older(raw: bytes, as_of: datetime | None) -> bytes:
    for shape in ("%Y-%m-%d", "%Y%m%d", "%d/%m/%Y", "%m/%d/%Y"):
        if as_of is not None:
            before, after = (f"{moment:{shape}}".encode() for moment in (as_of, as_of - OLDER))
            raw = re.sub(rb"(?<![0-9])" + before + rb"(?![0-9]{2,5}(?![0-9]))", after, raw)
    return raw


def _is_lines(raw: bytes) -> bool:
    """Whether a document is records of a line each with nothing that ends them: CSV and its like."""
    return (
        read_body(raw) is None
        and b"\0" not in raw
        and not raw.lstrip().startswith((b"{1:", b"8=FIX", b"OFXHEADER", b"PAR1", b":16R:"))
    )


def _shown(path: Path) -> str:
    return "".join(f"[{key + 1}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")


def _written(text: str | None) -> str:
    return "null" if text is None else f'"{text}"'


def _difference(found: Judged, base: Judged) -> str:
    there, here = set(found.holdings()), set(base.holdings())
    said = [f"{' '.join(map(str, row[:2]))} {row[3]}" for row in sorted(there - here)[:3]]
    lost = [f"{' '.join(map(str, row[:2]))} {row[3]} is not there" for row in sorted(here - there)[:3]]
    return ", ".join(said + lost) or f"{len(found.rows)} rows where {len(base.rows)} are due"
