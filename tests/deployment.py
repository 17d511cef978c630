"""A deployment in a folder: two CSV files and a recon.yaml, and the real command run on it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import canaries
import warmed

COMMAND = Path(sys.executable).with_name("recon-core")
AS_OF = "2026-11-20T21:00:00Z"
BOOK_COLUMNS = ("broker", "account", "symbol", "quantity", "avg_price", "currency", "updated_at")
FEED_COLUMNS = ("account", "symbol", "quantity", "avg_price", "market_price", "currency")

Row = tuple[Any, ...]


def book_row(
    symbol: str, quantity: str, avg_price: str = "10", *, account: str = "MAIN", broker: str = "prime", **more: str
) -> Row:
    """A row of the book, confirmed an hour before the close."""
    return (
        broker, account, symbol, quantity, avg_price, more.get("currency", "USD"), more.get("updated_at", "2026-11-20T20:00:00Z")
    )  # fmt: skip


def feed_row(symbol: str, quantity: str, avg_price: str = "10", *, account: str = "MAIN", **more: str) -> Row:
    """A row of the statement, priced in the market as it was bought unless said otherwise."""
    return (account, symbol, quantity, avg_price, more.get("market_price", avg_price), more.get("currency", "USD"))


def ago(**much: float) -> str:
    """The time of so many ``days``, ``hours`` or ``minutes`` ago, as files have it."""
    return f"{datetime.now(UTC) - timedelta(**much):%Y-%m-%dT%H:%M:%SZ}"


class Deployment:
    """Files in ``folder``; each method changes one of them, ``run`` runs the command there."""

    from_nothing = False
    """Whether a command starts as a user's does, with nothing loaded and hashes of its own; else see ``warmed``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.book([])
        self.feed([])
        self.config()

    def book(self, rows: Sequence[Row]) -> None:
        """Write the book."""
        self._csv("book.csv", BOOK_COLUMNS, rows)

    def feed(self, rows: Sequence[Row], name: str = "feed.csv") -> None:
        """Write the statement of broker ``prime``."""
        self._csv(name, FEED_COLUMNS, rows)

    def config(self, *, broker: str = "", options: str = "", more: str = "", as_of: str = AS_OF) -> None:
        """Write recon.yaml; ``broker`` are further lines of the broker, ``options`` of its options, ``more`` of the top level."""
        lines = [
            "version: 1",
            "book: {file: book.csv}",
            "brokers:",
            "  prime:",
            "    adapter: statement",
            *(f"    {line}" for line in broker.splitlines()),
            "    options:",
            "      path: feed.csv",
            *([f'      as_of: "{as_of}"'] if as_of else []),
            *(f"      {line}" for line in options.splitlines()),
            *more.splitlines(),
        ]
        self.write("recon.yaml", "\n".join(lines) + "\n")

    def write_drop_in(self, kind: str, name: str, body: str) -> None:
        """Write a broker plugin as a drop-in, and a recon.yaml whose only broker it is; ``body`` defines one class."""
        folder = self.folder / "drop_ins" / kind
        folder.mkdir(parents=True)
        code = textwrap.dedent(body)
        found = re.search(r"class (\w+)", code)
        assert found
        path = folder / f"{name}.py"
        path.write_text(
            f'"""A plugin of the tests."""\nfrom recon_core import Broker, Feed, Position, hookimpl\n{code}\n'
            f"@hookimpl\ndef recon_register_{kind}():\n    return [{found[1]}]\n",
            encoding="utf-8",
        )
        for made in (folder.parent, folder, path):
            made.chmod(0o755)
        self.write(
            "recon.yaml",
            f"version: 1\nplugins: {{drop_ins: drop_ins}}\nbook: {{file: book.csv}}\nbrokers: {{prime: {{adapter: {name}}}}}\n",
        )

    def policy(self, text: str) -> None:
        """Write policies.yaml; the runbook's policy holds where there is none."""
        self.write("policies.yaml", text)

    def write(self, name: str, text: str) -> Path:
        """Write any file."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run ``recon-core run`` with the arguments; output and exit code."""
        return self.command("run", *arguments, **environment)

    def command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run any ``recon-core`` command in the folder, in a process of its own."""
        settings = {**os.environ, "COLUMNS": "120", **environment}
        if self.from_nothing:
            done = subprocess.run(
                [str(COMMAND), *arguments],
                cwd=self.folder,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
                stdin=subprocess.DEVNULL,
                env=settings,
            )
        else:
            done = warmed.command(self.folder, arguments, settings)
        assert not canaries.found(done.stdout + done.stderr), "no secret of the tests in any output"
        return done

    def report(self, *arguments: str) -> dict[str, Any]:
        """Run with --json; the report. Fails where the command had none."""
        done = self.run("--json", *arguments)
        assert done.returncode in (0, 3, 4, 10), done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        assert found["exit_code"] == done.returncode
        return found

    def _csv(self, name: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        self.write(name, "\n".join(",".join(map(str, row)) for row in (columns, *rows)) + "\n")


def types(report: dict[str, Any]) -> list[str]:
    """The types of the breaks that a report lists, in its order."""
    return [entry["type"] for entry in report["discrepancies"]]


def assert_nothing_ugly(done: subprocess.CompletedProcess[str]) -> None:
    """No traceback, and no exit code that reads as a verdict."""
    assert "Traceback" not in done.stderr + done.stdout
    assert "internal error" not in done.stderr
    assert done.returncode not in (0, 1, 10)
