"""What is wrong with a file, and where: ``file:line:column: path: message``, the source line and a caret. Secrets stay unseen."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

Path = tuple[str | int, ...]

_SHOWN = 60
_WINDOW = 160
_PLAIN_KEY = re.compile(r"[\w-]+")
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_URL_PASSWORD = re.compile(r"(://[^/\s:@]*:)([^/\s]+)(@)")
_REFERENCE = r"""["']?(?:env|file):"""
_REVEALING = "secret|token|passw|api_?key|private_?key|key_id|credential"
_SECRET_WORD = re.compile(_REVEALING, re.IGNORECASE)
_SECRET_VALUE = re.compile(rf"(?i)(?:{_REVEALING})\w*[\"']?\s*:\s*(?!{_REFERENCE}|[\s{{\[]|$)")
_OTHER_VALUE = re.compile(rf":\s+(?!{_REFERENCE})[^\s{{\[]")
_SECRETS_KEY = re.compile(r"""(?:^|[\s{,])["']?secrets["']?\s*:""")


class Place(NamedTuple):
    """A place in a file: ``line`` and ``column`` count from 1, ``width`` is how many characters a caret line marks."""

    line: int
    column: int
    width: int = 1


class Problems:
    """Everything that is wrong with one file. ``name`` is the file as the user wrote it, ``text`` what it holds."""

    def __init__(self, name: str, text: str = "") -> None:
        self.name = name
        self.lines = _LINE_BREAK.split(text)
        self._secretive = _SECRET_WORD.search(text) is not None
        self._found: dict[tuple[Place, str], None] = {}
        self._concealed: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, place: Place, message: str, path: Path = ()) -> None:
        """Note a problem; the same message at the same place is noted once."""
        self._found[place, _harmless(f"{path_text(path)}: {message}" if path else message)] = None

    def conceal(self, line: int) -> None:
        """Never show this source line: it holds a secret."""
        self._concealed.add(line)

    def texts(self) -> list[str]:
        """Each problem as one printable text, in the order of the file."""
        return [self._text(place, message) for place, message in sorted(self._found)]

    def headline(self, place: Place, message: str, path: Path = ()) -> str:
        """A remark in one line, as a problem's first line is printed."""
        return _harmless(f"{self.name}:{place.line}:{place.column}: {path_text(path)}: {message}")

    def _text(self, place: Place, message: str) -> str:
        head = f"{self.name}:{place.line}:{place.column}: {message}"
        index = place.line - 1
        if not 0 <= index < len(self.lines) or not self.lines[index].strip():
            return head
        if place.line in self._concealed or (self._secretive and _may_hold_secret(self.lines, index)):
            return f"{head}\n    (the line is not shown: it may hold a secret)"
        line, start = self.lines[index], 0
        if len(line) > _WINDOW:
            start = max(0, place.column - _WINDOW // 2)
        shown = _without_passwords(line)[start : start + _WINDOW]
        shown = "".join(char if char.isprintable() or char == "\t" else "\ufffd" for char in shown)
        blank = "".join("\t" if char == "\t" else " " for char in line[start : place.column - 1])
        width = max(1, min(place.width, start + _WINDOW - place.column, len(line) - place.column + 1))
        return f"{head}\n    {shown}\n    {blank}{'^' * width}"


def path_text(path: Iterable[str | int]) -> str:
    """A path as people write it: ``overrides[0].rules.QUANTITY_MISMATCH`` (an odd key in quotes)."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{quote(part)}]"
    return text


def quote(text: str) -> str:
    """A text of the user in a message: in quotes, harmless, and cut where it is long."""
    shown = _without_passwords(text)
    return "'" + _harmless(shown if len(shown) <= _SHOWN else shown[: _SHOWN - 3] + "...") + "'"


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known name that a misspelt one most likely means, if any is near."""
    import difflib

    candidates = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), candidates, n=1, cutoff=0.65)
    return candidates[near[0]] if near else None


def did_you_mean(word: str, known: Collection[str], otherwise: str = "known") -> str:
    """The end of a message about an unknown name: the likely one, or all that are known."""
    near = closest(word, known)
    if near is not None:
        return f"; did you mean {quote(near)}?"
    names = sorted(known)
    listed = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"; {otherwise}: {listed}" if names else ""


def _harmless(text: str) -> str:
    return text if text.isprintable() else "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def _without_passwords(line: str) -> str:
    return _URL_PASSWORD.sub(lambda match: match[1] + "*" * len(match[2]) + match[3], line)


def _may_hold_secret(lines: list[str], index: int) -> bool:
    """Whether a line may hold a literal secret, judged by its text alone, so that it holds for files that are not YAML, too."""
    line = lines[index]
    if _SECRET_VALUE.search(line):
        return True
    below = _SECRETS_KEY.search(line)
    if below is not None:
        return _OTHER_VALUE.search(line, below.end() - 1) is not None
    indent = len(line) - len(line.lstrip())
    for number in range(index - 1, -1, -1):
        above = lines[number]
        depth = len(above) - len(above.lstrip())
        if above.strip() and depth < indent:
            indent = depth
            if _SECRETS_KEY.search(above) or _SECRET_VALUE.search(above):
                return _OTHER_VALUE.search(line) is not None or ":" not in line
    return False
