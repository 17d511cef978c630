"""The book is corrected while faults happen: it is as it was or corrected once, and the next start says which."""

from __future__ import annotations

import json
from pathlib import Path

from corrected import DELETE, UPDATE, Corrected, with_doubt, with_proposals
from scenes import Done, Scene, Seen, look, run

AS_IT_WAS = [("AAPL", 100.0, 10), ("MSFT", 50.0, 20), ("OLD", 7.0, 5)]
ONCE = [("AAPL", 150.0, 12), ("MSFT", 50.0, 20), ("OLD", 7.0, 5)]
PERSON = ("--by", "ann", "--yes")


class Correcting(Scene):
    """A run proposed to correct a row; a person makes the correction."""

    name = "correct"
    command = ("correct", UPDATE["id"], *PERSON)
    books = (AS_IT_WAS, ONCE)
    """What the book may hold afterwards, by how many entries its journal has more than before."""

    earlier = 0
    """How many entries the journal has before the command."""

    def kept(self, folder: Path) -> list[str]:
        return [*super().kept(folder), str(folder / "book.sqlite")]

    def make(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        with_proposals(folder)

    def holds(self, before: Seen, done: Done, after: Seen) -> None:
        told = [record["kind"] for record in after.records[len(before.records) :]]
        assert told.count("correction-applied") <= 1
        if done.code == 0:
            assert told.count("correction-applied") == 1, "what is acknowledged is on record"

    def whole(self, folder: Path, before: Seen, done: Done, after: Seen) -> None:
        book = at(folder)
        assert (held(book), len(book.journal())) == (self.books[1], self.earlier + 1)

    def again(self, folder: Path, before: Seen, after: Seen) -> None:
        book = at(folder)
        made = len(book.journal()) - self.earlier
        assert held(book) == self.books[made], "the book and its journal agree: as it was, or corrected once"
        steps = [record["kind"].removeprefix("correction-") for record in after.records[len(before.records) :]]
        steps = [step for step in steps if step != "reverted"]
        settled = not steps or steps[-1] != "intent"
        assert made == 0 or "intent" in steps, "nothing is changed without an intent"
        done = run(folder, *self.command, "--json")
        if not settled:
            said = json.loads(done.stdout)["settled"] if done.stdout else []
            assert (
                not said or ("was interrupted, and the book was corrected" if made else "was begun and not made") in said[0]["said"]
            )
        assert done.returncode == (2 if made else 0), done.stderr
        assert made == 0 or self.closed in done.stderr
        assert (held(book), len(book.journal())) == (self.books[1], self.earlier + 1), "corrected, and once"
        told = [record for record in look(folder).records[len(before.records) :] if record["kind"] == "correction-applied"]
        assert len(told) == 1, "its outcome is on record, once"

    closed = "is applied once"
    """What is said of the command where it was carried out already."""


class TakingBack(Correcting):
    """A correction was made; a person takes it back."""

    name = "correct --revert"
    command = ("correct", "--revert", DELETE["id"], *PERSON)
    books = (AS_IT_WAS[:2], AS_IT_WAS)
    earlier = 1
    closed = "only what is applied can be taken back"

    def make(self, folder: Path) -> None:
        super().make(folder)
        assert run(folder, "correct", DELETE["id"], *PERSON).returncode == 0


class Settling(Correcting):
    """A correction was made, and the process did not live to record it; a run says so and goes on."""

    name = "run in doubt"
    command = ("run",)

    def make(self, folder: Path) -> None:
        super().make(folder)
        assert run(folder, "correct", UPDATE["id"], *PERSON).returncode == 0
        with_doubt(at(folder))

    def succeeded(self, done: Done) -> bool:
        return done.code in (4, 10)

    def holds(self, before: Seen, done: Done, after: Seen) -> None:
        told = [record["kind"] for record in after.records[len(before.records) :]]
        assert told.count("correction-applied") <= 1
        if self.succeeded(done):
            assert told.index("correction-applied") < told.index("run"), "a run goes on from what it knows"

    def whole(self, folder: Path, before: Seen, done: Done, after: Seen) -> None:
        assert "was interrupted, and the book was corrected" in done.err

    def again(self, folder: Path, before: Seen, after: Seen) -> None:
        assert held(at(folder)) == ONCE
        done = run(folder, "run")
        assert self.succeeded(Done(done.returncode, done.stdout, done.stderr)), done.stderr
        told = [record["kind"] for record in look(folder).records[len(before.records) :]]
        assert told.count("correction-applied") == 1
        assert len(at(folder).journal()) == 1


CORRECTING = {scene.name: scene for scene in (Correcting(), TakingBack(), Settling())}


def at(folder: Path) -> Corrected:
    """The deployment in a folder, as it is."""
    found = Corrected.__new__(Corrected)
    found.folder = folder
    return found


def held(book: Corrected) -> list[tuple[object, ...]]:
    """Symbol, quantity and price of each row."""
    return [row[:3] for row in book.book_rows()]
