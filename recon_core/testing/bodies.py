"""Bodies of answers as trees, so that one value, row or list can be changed and all else stays as the broker wrote it.

JSON and XML are read alike: a leaf is a path and the text that stands there. Numbers of JSON keep the digits they were written
with. What is neither is None.
"""

from __future__ import annotations

import copy
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar
from xml.etree.ElementTree import Element, tostring

from recon_core.strict_xml import read_xml

Path = tuple[str | int, ...]

_NUMBER = "\ue000"
_WORD = re.compile(r"[^\x01,;|<>=\"/:\s]+")
_QUOTED_NUMBER = re.compile(f'"{_NUMBER}([^"]*)"')


class Body(ABC):
    """One document. Changes are made on a copy, and give bytes."""

    hostile_numbers: ClassVar[tuple[str | None, ...]] = ("NaN", None, "", "1,000", "(100)", "1e3", "None")
    """What is no number, where one is due."""

    def __init__(self, root: Any) -> None:
        self.root = root

    @abstractmethod
    def leaves(self) -> Iterator[tuple[Path, str]]:
        """Every text and number with its path, in the order of the document."""

    @abstractmethod
    def with_leaf(self, path: Path, text: str | None) -> bytes:
        """The document with ``text`` in place of a leaf; None is null in JSON, in XML nothing at all."""

    def with_number(self, path: Path, text: str) -> bytes:
        """The document with a number in place of a leaf, written as that is: with quotes only where it has them."""
        return self.with_leaf(path, text)

    @abstractmethod
    def without(self, paths: Sequence[Path]) -> bytes:
        """The document without these rows."""

    @abstractmethod
    def twice(self, path: Path) -> bytes | None:
        """The document with a row doubled; None where what stands there cannot stand twice."""

    @abstractmethod
    def lists(self) -> list[list[Path]]:
        """Every list of records in the document: the paths of its entries."""

    def tag(self, path: Path) -> str:
        """The name of the element at a path, in lower case; JSON has none."""
        return ""

    def emptied(self) -> bytes:
        """The document with every list of records empty."""
        return self.without([path for paths in self.lists() for path in paths])

    def halved(self) -> bytes:
        """The document with half of every list gone (of one entry: that)."""
        return self.without([path for paths in self.lists() for path in paths[len(paths) // 2 :]])


class JsonBody(Body):
    """JSON; null, true and false are no leaves."""

    def leaves(self) -> Iterator[tuple[Path, str]]:
        yield from _json_leaves(self.root, ())

    def with_leaf(self, path: Path, text: str | None) -> bytes:
        return self._changed(path, lambda parent, key: parent.__setitem__(key, text))

    def with_number(self, path: Path, text: str) -> bytes:
        return self.with_leaf(path, (_NUMBER if str(_at(self.root, path)).startswith(_NUMBER) else "") + text)

    def without(self, paths: Sequence[Path]) -> bytes:
        root = copy.deepcopy(self.root)
        for path in sorted(paths, key=_order, reverse=True):
            del _at(root, path[:-1])[path[-1]]
        return _written(root)

    def twice(self, path: Path) -> bytes | None:
        if not path or not isinstance(_at(self.root, path[:-1]), list):
            return None
        return self._changed(path, lambda parent, key: parent.insert(key, copy.deepcopy(parent[key])))

    def lists(self) -> list[list[Path]]:
        return list(_json_lists(self.root, ()))

    def _changed(self, path: Path, change: Any) -> bytes:
        root = copy.deepcopy(self.root)
        change(_at(root, path[:-1]), path[-1])
        return _written(root)


class XmlBody(Body):
    """XML; a leaf is an attribute (``@name``) or the text of an element (``#``)."""

    def tag(self, path: Path) -> str:
        return str(_element(self.root, path).tag).rpartition("}")[2].lower()

    def leaves(self) -> Iterator[tuple[Path, str]]:
        yield from _xml_leaves(self.root, ())

    def with_leaf(self, path: Path, text: str | None) -> bytes:
        root = copy.deepcopy(self.root)
        element, last = _element(root, path[:-1]), str(path[-1])
        if last == "#":
            element.text = text
        elif text is None:
            del element.attrib[last[1:]]
        else:
            element.set(last[1:], text)
        return _xml_written(root)

    def without(self, paths: Sequence[Path]) -> bytes:
        root = copy.deepcopy(self.root)
        for path in sorted(paths, key=_order, reverse=True):
            parent = _element(root, path[:-1])
            parent.remove(parent[int(path[-1])])
        return _xml_written(root)

    def twice(self, path: Path) -> bytes | None:
        if not path or isinstance(path[-1], str):
            return None
        root = copy.deepcopy(self.root)
        parent = _element(root, path[:-1])
        parent.insert(path[-1], copy.deepcopy(parent[path[-1]]))
        return _xml_written(root)

    def lists(self) -> list[list[Path]]:
        return list(_xml_lists(self.root, ()))


class TextBody(Body):
    """Lines of text; a leaf is a word between what formats put between fields, at its line and place."""

    hostile_numbers = ("NaN", "", "1e3", "None")  # what "1,000" and "(100)" are is the format's own affair

    def leaves(self) -> Iterator[tuple[Path, str]]:
        for line, text in enumerate(self.root):
            for place, word in enumerate(_WORD.findall(text)):
                yield (line, place), word

    def with_leaf(self, path: Path, text: str | None) -> bytes:
        line, place = int(path[0]), int(path[1])
        words = list(_WORD.finditer(self.root[line]))
        start, end = words[place].span()
        changed = self.root[line][:start] + (text or "") + self.root[line][end:]
        return self._joined([*self.root[:line], changed, *self.root[line + 1 :]])

    def without(self, paths: Sequence[Path]) -> bytes:
        gone = {path[0] for path in paths}
        return self._joined([text for line, text in enumerate(self.root) if line not in gone])

    def twice(self, path: Path) -> bytes | None:
        line = int(path[0])
        return self._joined([*self.root[: line + 1], *self.root[line:]])

    def lists(self) -> list[list[Path]]:
        return []

    def _joined(self, lines: Sequence[str]) -> bytes:
        return "".join(lines).encode("latin-1")


def read_document(raw: bytes) -> Body | None:
    """The tree of a file: as of an answer, or its lines; None where it is no text."""
    found = read_body(raw)
    return found or (None if b"\0" in raw else TextBody(raw.decode("latin-1").splitlines(keepends=True)))


def read_body(raw: bytes, content_type: str = "") -> Body | None:
    """The tree of an answer; None where it is neither JSON nor XML."""
    start = raw.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    try:
        if start == b"<" and "html" not in content_type:
            return XmlBody(read_xml(raw, "recording"))
        if start and start in b'[{"':
            keep = _NUMBER.__add__
            return JsonBody(json.loads(raw.decode("utf-8-sig"), parse_float=keep, parse_int=keep))
    except Exception:  # an answer that was broken when it was recorded is served as it is
        return None
    return None


def same_number(text: str, number: Decimal) -> bool:
    """Whether a text is this number, whatever its sign and however many zeros it ends in."""
    try:
        return abs(Decimal(text.strip().replace(",", "."))) == abs(number)
    except InvalidOperation:
        return False


def _json_leaves(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from _json_leaves(entry, (*path, key))
    elif isinstance(value, list):
        for place, entry in enumerate(value):
            yield from _json_leaves(entry, (*path, place))
    elif isinstance(value, str):
        yield path, value.removeprefix(_NUMBER)


def _json_lists(value: Any, path: Path) -> Iterator[list[Path]]:
    if isinstance(value, list):
        if value and isinstance(value[0], dict):
            yield [(*path, place) for place in range(len(value))]
            return  # what stands in a row goes with it
        entries: Any = enumerate(value)
    else:
        entries = value.items() if isinstance(value, dict) else ()
    for key, entry in entries:
        yield from _json_lists(entry, (*path, key))


def _xml_leaves(element: Element, path: Path) -> Iterator[tuple[Path, str]]:
    for name, value in element.attrib.items():
        yield (*path, f"@{name}"), value
    if element.text and element.text.strip():
        yield (*path, "#"), element.text
    for place, child in enumerate(element):
        yield from _xml_leaves(child, (*path, place))


def _xml_lists(element: Element, path: Path) -> Iterator[list[Path]]:
    """Children of one name that are records: several of it, or one below a parent that says by its own name that it lists it."""
    names = [child.tag for child in element]
    rows = [
        (*path, place)
        for place, child in enumerate(element)
        if (len(child) or len(child.attrib) > 2) and (names.count(child.tag) > 1 or str(element.tag) == f"{child.tag}s")
    ]
    if rows:
        yield rows
    for place, child in enumerate(element):
        if (*path, place) not in rows:
            yield from _xml_lists(child, (*path, place))


def _at(root: Any, path: Path) -> Any:
    for key in path:
        root = root[key]
    return root


def _element(root: Element, path: Path) -> Element:
    for place in path:
        root = root[int(place)]
    return root


def _order(path: Path) -> list[tuple[bool, int, str]]:
    return [(isinstance(key, str), 0 if isinstance(key, str) else key, str(key)) for key in path]


def _written(root: Any) -> bytes:
    return _QUOTED_NUMBER.sub(r"\1", json.dumps(root, ensure_ascii=False)).encode()


def _xml_written(root: Element) -> bytes:
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + bytes(tostring(root, encoding="UTF-8", xml_declaration=False))
