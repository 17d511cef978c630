"""The one strict YAML reader: every value knows its line and column, and nothing is guessed.

YAML's habits that lose money are errors here: a key set twice, merge keys, tags, keys that are not text, aliases that explode.
What a scalar means is not decided here but by the schema (see ``validation``): ``ON``, ``16:30`` and ``023135106`` stay as written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath

import yaml

from recon_core.config.problems import Path, Place, Problems, quote
from recon_core.errors import ConfigError
from recon_core.redaction import keep_url_passwords
from recon_core.regular_file import open_regular

MAX_BYTES = 4 << 20
MAX_NODES = 100_000
MAX_DEPTH = 50

_SYNTAX = (
    (
        "mapping values are not allowed",
        "a ':' where none can be: indent by the lines above, and put text that holds ': ' in quotes",
    ),
    ("could not find expected ':'", "a ':' is missing after the key, or the indentation does not fit the lines above"),
    ("expected <block end>", "the indentation does not fit the lines above"),
    ("expected ',' or '}'", "a ',' or the closing '}' is missing before this"),
    ("expected ',' or ']'", "a ',' or the closing ']' is missing before this"),
    ("unexpected end of stream", "a quote is opened here and never closed"),
    ("undefined alias", "an alias to an anchor that no line above sets; put text that starts with '*' in quotes"),
    ("duplicate anchor", "an anchor of this name is already set above"),
    ("undefined tag handle", "tags (!name) are not allowed"),
)


@dataclass(slots=True)
class Node:
    """One value of the file: a scalar (``text``), a map (``entries``) or a list (``items``); the other two are None.

    ``plain`` is a scalar without quotes. ``keys`` are the places of a map's keys.
    """

    place: Place
    text: str | None = None
    plain: bool = False
    entries: dict[str, Node] | None = None
    keys: dict[str, Place] = field(default_factory=dict)
    items: list[Node] | None = None

    def get(self, *path: str | int) -> Node | None:
        """The value at a path below this one, if it is there."""
        node: Node | None = self
        for part in path:
            if node is None:
                return None
            if isinstance(part, int):
                node = node.items[part] if node.items is not None and 0 <= part < len(node.items) else None
            else:
                node = (node.entries or {}).get(part)
        return node

    def place_of(self, path: Path, *, key: bool = False) -> Place:
        """Where the value at ``path`` stands, or (``key``) the key that names it; the nearest holder when it is not there."""
        for end in range(len(path), 0, -1):
            node, holder = self.get(*path[:end]), self.get(*path[: end - 1])
            if node is None or holder is None:
                continue
            name = path[end - 1]
            if (key or end < len(path)) and isinstance(name, str):
                return holder.keys[name]
            return node.place
        return self.place

    def scalars(self) -> Iterator[Node]:
        """This value, if it is a scalar, and all scalars below it."""
        if self.text is not None:
            yield self
        for child in [*(self.entries or {}).values(), *(self.items or [])]:
            yield from child.scalars()


@dataclass(frozen=True, slots=True)
class Document:
    """A file as read: ``root`` is None where it is not YAML or not a map (``problems`` then say why).

    ``wrong`` are the paths of values that have been reported, so that nobody complains of them twice.
    """

    root: Node | None
    problems: Problems
    sha256: str
    wrong: frozenset[Path] = frozenset()


def read_document(path: FilePath, display: str) -> Document:
    """Read a YAML file that holds one map; ``display`` is its name in messages.

    All problems of its structure are collected in the document. Raises ConfigError when the file cannot be read at all.
    """
    try:
        with open_regular(path) as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{display}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{display}: cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise ConfigError(f"{display!r} is no file name") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{display}: larger than {MAX_BYTES >> 20} MiB: that is no configuration file")
    digest = hashlib.sha256(data).hexdigest()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Document(None, _undecodable(display, data, error), digest)
    keep_url_passwords(text)
    problems = Problems(display, text)
    converter = _Converter(problems)
    tree = _compose(text, problems)
    root = converter.document(tree) if tree is not None else None
    return Document(root, problems, digest, frozenset(converter.wrong))


def _undecodable(display: str, data: bytes, error: UnicodeDecodeError) -> Problems:
    before = data[: error.start].decode("utf-8", errors="replace").removeprefix("\ufeff")
    problems = Problems(display, before)
    kind = "UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else f"byte 0x{data[error.start]:02X} is not UTF-8"
    what = f"the file is {kind}" if kind == "UTF-16" else kind
    problems.add(Place(len(problems.lines), len(problems.lines[-1]) + 1), f"{what}: save the file as UTF-8")
    return problems


class _Loader(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser, yaml.composer.Composer, yaml.resolver.BaseResolver):
    """PyYAML up to its nodes. An untagged node has an empty tag, so that an explicit one shows."""

    def __init__(self, text: str) -> None:
        yaml.reader.Reader.__init__(self, text)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)
        yaml.composer.Composer.__init__(self)
        yaml.resolver.BaseResolver.__init__(self)

    def resolve(self, *_: object) -> str:
        return ""


def _compose(text: str, problems: Problems) -> yaml.Node | None:
    """PyYAML's tree of the one document of a file; None is reported."""
    loader = None
    try:
        loader = _Loader(text)
        loader.get_event()  # type: ignore[no-untyped-call]  # the types of PyYAML leave it out
        root: yaml.Node | None = None if loader.check_event(yaml.StreamEndEvent) else loader.compose_document()
        if root is not None and not loader.check_event(yaml.StreamEndEvent):
            second = loader.peek_event()  # type: ignore[no-untyped-call]  # as above
            problems.add(_place(second.start_mark), "a second document starts here: one file holds one")
            return None
    except yaml.reader.ReaderError as error:
        before = Problems("", text[: error.position])
        character = error.character if isinstance(error.character, int) else ord(error.character)
        place = Place(len(before.lines), len(before.lines[-1]) + 1)
        problems.add(place, f"character U+{character:04X} is not allowed in YAML")
        return None
    except yaml.MarkedYAMLError as error:
        problems.add(*_syntax_problem(error, problems.lines))
        return None
    except RecursionError:
        line, column = (loader.line + 1, loader.column + 1) if loader else (1, 1)
        problems.add(Place(line, column), f"nested deeper than {MAX_DEPTH} levels")
        return None
    if root is None or (isinstance(root, yaml.ScalarNode) and not root.value and not root.style and not root.tag):
        problems.add(Place(1, 1), "the file is empty")
        return None
    return root


def _syntax_problem(error: yaml.MarkedYAMLError, lines: list[str]) -> tuple[Place, str]:
    problem = error.problem or "not valid"
    mark = error.problem_mark or error.context_mark
    if "end of stream" in problem and error.context_mark is not None:
        mark = error.context_mark
    place = _place(mark) if mark is not None else Place(1, 1)
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    if "'\\t'" in problem or "\t" in line[: len(line) - len(line.lstrip())]:
        return place, "a tab in the indentation: YAML takes spaces only"
    if "cannot start any token" in problem:
        return place, f"{quote(line[place.column - 1 : place.column])} cannot start a value: put the text in quotes"
    for known, message in _SYNTAX:
        if known in problem:
            return place, message
    return place, f"not valid YAML: {problem}"


def _place(start: yaml.Mark, end: yaml.Mark | None = None) -> Place:
    width = end.column - start.column if end is not None and end.line == start.line else 1
    return Place(start.line + 1, start.column + 1, max(width, 1))


class _Converter:
    """Turns PyYAML's nodes into ours, and notes what is not allowed."""

    def __init__(self, problems: Problems) -> None:
        self.wrong: set[Path] = set()
        self._problems = problems
        self._count = 0
        self._open: list[yaml.Node] = []

    def document(self, root: yaml.Node) -> Node | None:
        try:
            node = self._node(root, ())
        except _TooMuchError as error:
            self._problems.add(error.place, error.message, error.path)
            return None
        if node.entries is None:
            given = "a list" if node.items is not None else f"the text {quote(node.text or '')}"
            self._problems.add(node.place, f"the file must be a map (name: value), not {given}")
            return None
        return node

    def _node(self, node: yaml.Node, path: Path) -> Node:
        place = _place(node.start_mark, node.end_mark)
        self._count += 1
        if self._count > MAX_NODES:
            raise _TooMuchError(place, f"aliases expand to more than {MAX_NODES:,} values", path[:1])
        if any(node is holder for holder in self._open):
            raise _TooMuchError(place, "an alias refers to what holds it", path[:1])
        if len(self._open) >= MAX_DEPTH:
            raise _TooMuchError(place, f"nested deeper than {MAX_DEPTH} levels", path[:1])
        if node.tag:
            self._report(place, "tags (!name) are not allowed: what a value means is decided by its key", path)
        if isinstance(node, yaml.ScalarNode):
            return Node(place, text=node.value, plain=not node.style)
        self._open.append(node)
        try:
            if isinstance(node, yaml.SequenceNode):
                return Node(place, items=[self._node(child, (*path, index)) for index, child in enumerate(node.value)])
            return self._map(node, place, path)
        finally:
            self._open.pop()

    def _map(self, node: yaml.Node, place: Place, path: Path) -> Node:
        entries: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        for key_node, value_node in node.value:
            key_place = _place(key_node.start_mark, key_node.end_mark)
            plain = isinstance(key_node, yaml.ScalarNode) and not key_node.style
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag:
                self._report(key_place, "a key must be plain text", path)
            elif not key_node.value:
                self._report(key_place, "a key is empty", path)
            elif key_node.value == "<<" and plain:
                self._report(key_place, "merge keys (<<) are not allowed: write the values out", path)
            elif key_node.value in keys:
                first = keys[key_node.value].line
                self._problems.add(key_place, f"already set on line {first}", (*path, key_node.value))
            else:
                keys[key_node.value] = key_place
                entries[key_node.value] = self._node(value_node, (*path, key_node.value))
        return Node(place, entries=entries, keys=keys)

    def _report(self, place: Place, message: str, path: Path) -> None:
        self._problems.add(place, message, path)
        if path:
            self.wrong.add(path)


class _TooMuchError(Exception):
    def __init__(self, place: Place, message: str, path: Path) -> None:
        super().__init__(message)
        self.place, self.message, self.path = place, message, path
