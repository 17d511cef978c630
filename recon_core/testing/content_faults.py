"""Faults of what an answer says: of another type, no document, numbers that are none, errors that look well, pages that lie."""

from __future__ import annotations

import gzip
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache

from recon_core.testing.bodies import Body, JsonBody, read_body
from recon_core.testing.fault import Fault, json_only, later_page, xml_only
from recon_core.testing.fault_server import Act, Exchange, Talk, pages

LOGIN = b"<!DOCTYPE html><html><head><title>Log in</title></head><body><form action='/login'></form></body></html>"
BOMB_BYTES = 200 * 1024 * 1024
DEPTH = 200_000
COUNT_NAMES = re.compile(
    r"^(count|total|totals|rows|records|numberof[a-z]+|tot[a-z]*rpts)$|count$|^total(items|rows|records|count)$"
)

Change = Callable[[Talk], bytes]


def content_faults() -> Iterator[Fault]:
    """All of them."""
    yield from _of_type()
    yield from _of_emptiness()
    yield from _of_json()
    yield from _of_xml()
    yield from _of_errors()
    yield from _of_pages()


def _of_type() -> Iterator[Fault]:
    page = "A login page or a proxy's page is not an account without positions."
    yield Fault("html", "Answers 200 with a login page.", page, _as(LOGIN, "text/html; charset=utf-8"))
    yield Fault("html-as-data", "Answers 200 with a login page that calls itself data.", page, _with(lambda talk: LOGIN))
    yield Fault(
        "plain-text",
        "Answers 200 with a sentence.",
        page,
        _as(b"The service is down for maintenance.", "text/plain"),
    )
    yield Fault(
        "no-content-type",
        "Leaves out what type its answer is of.",
        "What sends no type is no API: somebody stands between.",
        lambda talk: talk.answer(headers={"Content-Type": None}),
        believable=True,
    )
    yield Fault(
        "utf-16",
        "Sends its body in UTF-16, as it says.",
        "Bytes read in another encoding become other symbols.",
        lambda talk: talk.answer(_in_utf_16(talk.body), headers={"Content-Type": f"{_type(talk)}; charset=utf-16"}),
        believable=True,
    )
    yield Fault(
        "bytes-of-no-text",
        "Has a byte in its body that no text holds.",
        "A damaged answer may be damaged elsewhere, too.",
        _with(lambda talk: _inside_a_text(talk.body, b"\xff")),
    )
    yield Fault(
        "compressed-unasked",
        "Sends its body compressed, without being asked.",
        "What is not asked for is not bounded.",
        lambda talk: talk.answer(gzip.compress(talk.body), headers={"Content-Encoding": "gzip"}),
        believable=True,
    )
    yield Fault(
        "gzip-bomb",
        f"Sends a body of a few kilobytes that unpacks to {BOMB_BYTES // 1024**2} MB of blanks in an empty list.",
        "One answer may not take the memory of the whole run.",
        lambda talk: talk.answer(_bomb(), headers={"Content-Encoding": "gzip"}),
        heavy=True,
    )


def _of_emptiness() -> Iterator[Fault]:
    empty = "Nothing is not the same as an account that holds nothing: read as flat, every holding becomes a break."
    yield Fault("empty-body", "Answers 200 with no body.", empty, _with(lambda talk: b""))
    yield Fault("blank-body", "Answers 200 with blanks.", empty, _with(lambda talk: b" \r\n \r\n"))
    yield Fault("null", "Answers 200 with null.", empty, _with(lambda talk: b"null"), applies=json_only)
    yield Fault("null-in-words", 'Answers 200 with the text "null".', empty, _with(lambda talk: b'"null"'), applies=json_only)
    yield Fault("empty-list", "Answers 200 with [].", empty, _with(lambda talk: b"[]"), applies=json_only)
    yield Fault("empty-object", "Answers 200 with {}.", empty, _with(lambda talk: b"{}"), applies=json_only)
    yield Fault("empty-root", "Answers 200 with the outermost element alone.", empty, _with(_empty_root), applies=xml_only)
    yield Fault(
        "another-document",
        "Answers 200 with a document of another kind.",
        "A sound document that is not the one asked for says nothing of what is held.",
        _with(lambda talk: b'{"status": "ok", "version": 3}' if _is_json(talk.body) else b"<pong version='3'/>"),
    )


def _of_json() -> Iterator[Fault]:
    number = "What is no number must not become a quantity, nor 0."
    twice = "Two values under one name: which one is held is not known."
    deep = "A document may not end the process that reads it."
    for name, text, said in (
        ("nan", b"NaN", "NaN"),
        ("infinity", b"-Infinity", "-Infinity"),
        ("huge-number", b"9" * 6000, "a number of 6000 digits"),
        ("huge-exponent", b"1e99999999999999999999", "a number with an exponent past all counting"),
    ):
        yield Fault(name, f"Writes {said} where a value is due.", number, _with(_value_replaced(text)), applies=_with_value)
    keys = _with(lambda talk: _key_twice(talk.body))
    yield Fault("duplicate-key", "Writes a key twice, with two values.", twice, keys, applies=_with_value)
    yield Fault(
        "half-character",
        "Writes half of a character as text.",
        "No database stores it: the run would fail after the verdict.",
        _with(lambda talk: _inside_a_text(talk.body, rb"\ud800")),
        applies=_with_text,
    )
    yield Fault(
        "two-documents", "Sends its document twice in one body.", twice, _with(lambda talk: talk.body.strip() + talk.body.strip())
    )
    yield Fault(
        "words-after-the-document",
        "Adds a line of words to its document.",
        "A proxy or a crash wrote into the answer; what else did it change?",
        _with(lambda talk: talk.body + b"\nWarning: upstream timed out"),
    )
    yield Fault(
        "nested-without-end", f"Opens {DEPTH} lists.", deep, _with(lambda talk: b"[" * DEPTH), applies=json_only, heavy=True
    )


def _of_xml() -> Iterator[Fault]:
    outside = "Whoever writes the answer reads this machine's files, or takes its memory."
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY e0 "0123456789">{levels}]><r>&e9;</r>'
    file = '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY f SYSTEM "file:///etc/hostname">]><r>&f;</r>'
    unfolds, names = _with(lambda talk: bomb.encode()), _with(lambda talk: file.encode())
    yield Fault("entity-bomb", "Sends an entity that unfolds to ten gigabytes.", outside, unfolds, applies=xml_only, heavy=True)
    yield Fault("entity-of-a-file", "Sends an entity that names a local file.", outside, names, applies=xml_only)


def _of_errors() -> Iterator[Fault]:
    well = "An error that arrives as a success, read as data, is an account without positions."
    yield Fault("error-in-200", "Answers 200 with an error in place of data.", well, _with(_error_instead))
    yield Fault(
        "error-beside-data",
        "Answers 200 with its data and an error beside them.",
        "A part of the answer failed, and what is missing looks flat.",
        _with(lambda talk: b'{"errors": [{"message": "some accounts could not be read"}], ' + talk.body.strip()[1:]),
        applies=_is_record,
    )


def _of_pages() -> Iterator[Fault]:
    lost = "One page of several, read as all, makes the positions of the others look flat."
    for name, status in (("page-refused", 404), ("page-fails", 500)):
        yield Fault(name, f"Answers {status} to a later page.", lost, _status(status), applies=later_page)
    yield Fault(
        "page-repeated",
        "Answers the question for a later page with the page before, as it was.",
        "A reader that follows it goes round for ever, or counts rows twice.",
        lambda talk: talk.answer(talk.server.exchanges[_before(talk)].body),
        applies=later_page,
    )
    yield Fault(
        "total-mismatch",
        "States one record more than it lists, on every page.",
        "A count that does not fit is the only sign of a page that is missing.",
        _with(lambda talk: _counts_changed(talk.server.exchanges, talk.place)),
        applies=_with_count,
        all_pages=True,
    )
    yield Fault(
        "short-page",
        "Leaves out half of the records, and states the count of all.",
        lost,
        _with(lambda talk: _tree(talk.body).halved()),
        applies=_with_count,
    )


def stated_counts(exchanges: Sequence[Exchange], target: int) -> list[tuple[str | int, ...]]:
    """Where an answer states how many records it lists, or all of its pages do."""
    body = read_body(exchanges[target].body, exchanges[target].header("Content-Type"))
    if body is None:
        return []
    here = {len(rows) for rows in body.lists()}
    of_pages = [read_body(exchanges[place].body) for place in pages(exchanges, target)]
    here.add(sum(len(rows) for page in of_pages if page for rows in page.lists()))
    here.discard(0)
    return [
        path for path, text in body.leaves() if text.isdecimal() and int(text) in here and COUNT_NAMES.search(_name(body, path))
    ]


def _name(body: Body, path: tuple[str | int, ...]) -> str:
    """What a leaf is called, in lower case and without what stands between words."""
    if path and path[-1] == "#":
        return body.tag(path[:-1])
    return re.sub(r"[^a-z]", "", next((key for key in reversed(path) if isinstance(key, str)), "").lower())


def _as(body: bytes, content_type: str) -> Act:
    return lambda talk: talk.answer(body, headers={"Content-Type": content_type})


def _with(change: Change) -> Act:
    return lambda talk: talk.answer(change(talk))


def _status(status: int) -> Act:
    return lambda talk: talk.answer(b'{"message": "not this page"}', status=status)


def _type(talk: Talk) -> str:
    return talk.exchange.header("Content-Type").partition(";")[0] or "application/json"


def _tree(raw: bytes) -> Body:
    body = read_body(raw)
    if body is None:
        raise ValueError("neither JSON nor XML")
    return body


def _is_json(raw: bytes) -> bool:
    return isinstance(read_body(raw), JsonBody)


def _is_record(exchanges: Sequence[Exchange], target: int) -> str:
    inside = exchanges[target].body.strip()
    return json_only(exchanges, target) or ("" if inside.startswith(b"{") and inside != b"{}" else "the answer is no object")


def _with_value(exchanges: Sequence[Exchange], target: int) -> str:
    found = _VALUE.search(exchanges[target].body)
    return json_only(exchanges, target) or ("" if found else "no object in the answer has a value")


def _with_text(exchanges: Sequence[Exchange], target: int) -> str:
    found = _TEXT.search(exchanges[target].body)
    return json_only(exchanges, target) or ("" if found else "no object in the answer has a text")


def _with_count(exchanges: Sequence[Exchange], target: int) -> str:
    return "" if stated_counts(exchanges, target) else "the answer does not state how many records there are"


_VALUE = re.compile(rb'("(?:[^"\\]|\\.)*"\s*:\s*)("(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null)')
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"\s*:\s*"()')
_XML_TEXT = re.compile(rb"""<[A-Za-z][^>]*?(?:=\s*["']|[^/]>)()""")


def _value_replaced(text: bytes) -> Change:
    return lambda talk: _VALUE.sub(lambda found: found[1] + text, talk.body, count=1)


def _key_twice(raw: bytes) -> bytes:
    return _VALUE.sub(lambda found: found[1] + b'"0", ' + found[1] + found[2], raw, count=1)


def _inside_a_text(raw: bytes, insert: bytes) -> bytes:
    found = (_TEXT if _is_json(raw) else _XML_TEXT).search(raw)
    place = found.start(1) if found else len(raw)
    return raw[:place] + insert + raw[place:]


def _in_utf_16(raw: bytes) -> bytes:
    return re.sub(r"encoding=(['\"])[^'\"]*\1", 'encoding="UTF-16"', raw.decode("utf-8", "replace"), count=1).encode("utf-16")


def _empty_root(talk: Talk) -> bytes:
    root = _tree(talk.body).root
    return f"<{root.tag.rpartition('}')[2]}/>".encode()


def _error_instead(talk: Talk) -> bytes:
    if _is_json(talk.body):
        return json.dumps({"error": {"code": "server_error", "message": "could not be read"}}).encode()
    return b"<fault><faultstring>could not be read</faultstring></fault>"


def _before(talk: Talk) -> int:
    found = pages(talk.server.exchanges, talk.place)
    return found[found.index(talk.place) - 1]


def _counts_changed(exchanges: Sequence[Exchange], target: int) -> bytes:
    raw = exchanges[target].body
    for path in stated_counts(exchanges, target):
        body = _tree(raw)
        raw = body.with_number(path, str(int(dict(body.leaves())[path]) + 1))
    return raw


@cache
def _bomb() -> bytes:
    """One megabyte is packed and repeated: after a full flush the same bytes are packed alike."""
    blanks = b" " * 1024 * 1024
    times = BOMB_BYTES // len(blanks)
    packer = zlib.compressobj(9, wbits=-15)
    first = packer.compress(b"[") + packer.flush(zlib.Z_FULL_FLUSH)
    middle = packer.compress(blanks) + packer.flush(zlib.Z_FULL_FLUSH)
    last = packer.compress(b"]") + packer.flush()
    check = zlib.crc32(b"[")
    for _ in range(times):
        check = zlib.crc32(blanks, check)
    size = (BOMB_BYTES + 2) % 2**32
    return gzip.compress(b"")[:10] + first + middle * times + last + struct.pack("<II", zlib.crc32(b"]", check), size)
