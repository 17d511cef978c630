"""The pages of documentation, taken apart: their blocks of code, their commands, their tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [
    README,
    *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted(DOCS.glob("*.md")),
    ROOT / "examples" / "recon-core-acme" / "README.md",
]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE_NAME = re.compile(r"`([\w./-]+\.(?:py|csv|yaml|toml))`")
_SPAN = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A block of code; ``name`` is the file that the paragraph above it names last, empty where it names none."""

    page: Path
    line: int
    language: str
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}-{self.line}"


def blocks(page: Path, language: str = "") -> list[Block]:
    """The blocks of a page in their order, of one language or of all."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        paragraph = text[: match.start()].rstrip().rsplit("\n\n", 1)[-1]
        names = _FILE_NAME.findall(paragraph)
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(page, line, match[1], names[-1] if names else "", match[2]))
    return [block for block in found if language in ("", block.language)]


def block(page: Path, name: str) -> str:
    """The text of the first block of a page that is the file ``name``."""
    languages = {"py": "python", "csv": "csv", "yaml": "yaml"}
    return next(each.text for each in blocks(page, languages[name.rpartition(".")[2]]) if each.name == name)


def drop_ins(page: Path, folder: Path) -> Path:
    """Write the plugin files of a page below ``folder``, as the page says; the drop-in folder."""
    plugins = folder / "plugins"
    for part in ("brokers", "rules", "halts"):
        (plugins / part).mkdir(parents=True, exist_ok=True)
        (plugins / part).chmod(0o755)
    plugins.chmod(0o755)
    for each in blocks(page, "python"):
        if each.name.startswith("plugins/"):
            write_private(folder / each.name, each.text)
    return plugins


def write_private(path: Path, text: str) -> None:
    """Write a plugin file that only its owner can write, whatever the umask is."""
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)


def commands(page: Path) -> Iterator[str]:
    """What stands after ``recon-core`` in the code of a page: in spans, and in blocks of what a person types."""
    text = page.read_text(encoding="utf-8")
    typed = "\n".join(each.text for each in blocks(page, "console"))
    for code in (*_SPAN.findall(_FENCE.sub("", text)), *(line.removeprefix("$ ") for line in typed.splitlines())):
        found = re.match(r"(?:\S*/)?recon-core\s+([^#(]+)", code)
        if found:
            yield found[1].strip()


def tables(page: Path) -> list[list[list[str]]]:
    """The tables of a page: each a list of rows, each a list of cells, the header first."""
    found: list[list[list[str]]] = []
    within = False
    for line in _FENCE.sub("", page.read_text(encoding="utf-8")).splitlines():
        if not line.startswith("|"):
            within = False
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not within:
            found.append([])
        within = True
        if not all(set(cell) <= {"-"} for cell in cells):
            found[-1].append(cells)
    return found


def table(page: Path, first: str) -> list[list[str]]:
    """The rows, without the header, of the one table of a page whose header begins with ``first`` and has a row of it."""
    (found,) = [each[1:] for each in tables(page) if each[0][0] == first]
    return found
