"""The runbook's page, typed by a person: each command in its order, against the account of its day, prints what the page shows."""

import re
import shlex
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from canaries import ALPACA
from corrected import with_doubt
from doc_pages import DOCS, ROOT, Block, blocks, table
from fake_alpaca import living
from test_runbook_day import Day, book_in

from recon_core.explanation import CAUSES
from recon_core.host import load_host

PAGE = DOCS / "runbook.md"
LEFT_OUT = "..."
PHANTOM = "Cc0e3f917c20c39d9"
"""The page's correction of the row that nothing made."""
YES = "[y/N]: y"
OWN = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?Z?|\d{4}-\d\d-\d\d)"
    r"|(?P<run>\d{8}T\d{6}Z-[0-9a-f]{8}|, \d+\.\d+ s\))"
    r"|(?P<id>\b[CI][0-9a-f]{16}\b)"
    r"|(?P<source>\b[0-9a-f]{64}\b|\b\d{17}(?=::)|127\.0\.0\.1:\d+)"
)
"""What differs from day to day: times, runs, ids of corrections and incidents, and where a row was read."""


def masked(line: str) -> str:
    return OWN.sub(lambda found: f"<{found.lastgroup}>", line.rstrip())


class Reader:
    """Types what the page has a person type, and holds what is printed against what the page shows."""

    def __init__(self, day: Day) -> None:
        self.day = day
        self.ids: dict[str, str] = {}
        self.printed: list[str] = []
        self.typed: list[str] = []

    def read(self, block: Block) -> None:
        """A block of the page: commands with their output, or a part of the last output of ``run``."""
        if block.language == "text":
            self.hold([LEFT_OUT, *block.text.splitlines()], self.printed)
            return
        for part in re.split(r"^\$ recon-core ", block.text, flags=re.MULTILINE)[1:]:
            command, *shown = part.splitlines()
            asked = [line for line in shown if line.endswith(YES)]
            said = self.type(command, yes=bool(asked))
            self.hold([line for line in shown if line not in asked], said)

    def type(self, command: str, *, yes: bool = False) -> list[str]:
        """What a command prints; ids of the page are those of today."""
        words = [self.ids.get(word, word) for word in shlex.split(command)] + (["--yes"] if yes else [])
        environment = {**ALPACA, "BOOK_URL": self.day.book.url, "COLUMNS": "100", **self.meanwhile(words)}
        done = self.day.deployment.command(*words, **environment)
        assert "Traceback" not in done.stderr
        return done.stdout.splitlines()

    def meanwhile(self, words: list[str]) -> dict[str, str]:
        """What happened in the page's world before a command; what of the environment is another."""
        again = self.typed.count(" ".join(words[:2]))
        self.typed.append(" ".join(words[:2]))
        match words[:2]:
            case ["correct", "--revert"]:
                policy = (ROOT / "recon_core" / "policies.yaml").read_text(encoding="utf-8")
                self.day.deployment.policy(f"{policy}corrections: {{two_person: true}}\n")
            case ["correct", "--all-explained"] if again == 1:
                with_doubt(self.day.deployment, self.ids[PHANTOM])
            case ["run"] if again == 2:
                self.not_all_is_told()
            case ["run"] if again == 3:
                return {"ALPACA_KEY_ID": "AKEXPIRED12345"}
        return {}

    def not_all_is_told(self) -> None:
        """The account moves, and the broker tells only a part of it."""
        time.sleep(1.1)  # as-of times are of whole seconds: what happens now is after the run that was clean
        account = self.day.alpaca
        account.held["F"].quantity += 60
        account.held["MSFT"].quantity += 3
        account.trade("MSFT", "10", "402", datetime.now(UTC).replace(microsecond=0), order="o-msft")
        time.sleep(1.1)  # as-of times are of whole seconds

    def hold(self, shown: list[str], printed: list[str]) -> None:
        """Every line of the page was printed, in this order, and without a gap but where it has dots."""
        at, within = 0, True
        for line in shown:
            if line == LEFT_OUT:
                within = False
                continue
            later = range(at, len(printed) if not within else min(at + 1, len(printed)))
            found = next((place for place in later if masked(printed[place]) == masked(line)), None)
            assert found is not None, f"the page shows what is not printed here: {line}\n" + "\n".join(printed[at:])
            self.ids |= dict(zip(named(line), named(printed[found]), strict=True))
            at, within = found + 1, True


def named(line: str) -> Iterator[str]:
    return (found["id"] for found in OWN.finditer(line) if found["id"])


def test_the_day_of_the_page_is_what_the_program_prints(tmp_path):
    with living() as alpaca, book_in("sqlite", tmp_path) as book:
        day = Day(tmp_path, alpaca, book, fills=True)
        day.happens(day.begin())
        reader = Reader(day)
        reader.printed = reader.type("run")
        for block in blocks(PAGE):
            reader.read(block)
        assert len(reader.typed) == 1 + len(re.findall(r"^\$ ", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
        assert book.rows()["AMD"] == (25, 100)


def test_what_is_not_printed_would_be_noticed():
    reader = Reader(None)
    printed = ["one", "two", "run 20261123T202155Z-9958e27b", "three"]
    reader.hold(["...", "run 20250101T000000Z-00000000", "three"], printed)
    for wrong in (["one", "three"], ["three", "...", "one"], ["four"]):
        with pytest.raises(AssertionError, match="the page shows what is not printed"):
            reader.hold(wrong, printed)


def test_every_break_type_and_every_cause_has_its_part():
    text = PAGE.read_text(encoding="utf-8")
    headings = {name for line in re.findall(r"^### (.+)$", text, re.MULTILINE) for name in line.split(", ")}
    host = load_host()
    assert headings == {name for name in host.rules if host.plugin_of(name, "rule").origin.startswith("recon-core ")}
    assert [name for row in table(PAGE, "cause") for name in row[0].split(", ")] == list(CAUSES)


def test_words_of_the_program_that_the_page_quotes_are_its_words():
    program = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "recon_core").rglob("*.py")).lower()
    quoted = re.findall(r"(?<!\*)\*([^*`\n]+)\*(?!\*)", PAGE.read_text(encoding="utf-8"))
    assert len(quoted) >= 10
    parts = [part.strip(" :").lower() for phrase in quoted for part in phrase.split("...")]
    assert [part for part in parts if part not in program] == []
