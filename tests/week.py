"""A deployment that is reconciled day after day, by real runs and commands in this process."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import canaries
from click.testing import CliRunner, Result
from deployment import Deployment, Row, book_row, feed_row

from recon_core.cli import main
from recon_core.run import Request, run
from recon_core.state import breaks
from recon_core.state.actor import Actor
from recon_core.state.store import open_store

AAPL, MSFT = ("AAPL", "100"), ("MSFT", "50")


class Week:
    """A deployment that is reconciled day after day."""

    def __init__(self, folder: Path, *, config: str = "") -> None:
        self.deployment = Deployment(folder)
        self.held = [AAPL, MSFT]
        self.more = config  # further lines of recon.yaml

    def day(
        self, day: int, feed: list[Row] | None, *, options: str = "", as_of: str | None = None, brokers: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """The report of one day; without ``feed`` the broker's file is not there."""
        stamp = f"2026-11-{day:02}"
        self.deployment.book([book_row(*entry, updated_at=f"{stamp}T20:00:00Z") for entry in self.held])
        self.deployment.config(
            as_of=f"{stamp}T21:00:00Z", broker="unchanged: accept\nexpect_accounts: [MAIN]", options=options, more=self.more
        )
        if feed is None:
            (self.deployment.folder / "feed.csv").unlink(missing_ok=True)
        else:
            self.deployment.feed(feed)
        return self.run(as_of=as_of, brokers=brokers)

    def run(self, *, as_of: str | None = None, brokers: tuple[str, ...] = ()) -> dict[str, Any]:
        """The report of a run on the files as they are."""
        return run(Request(self.deployment.folder / "recon.yaml", None, as_of and datetime.fromisoformat(as_of), brokers))

    def command(self, *arguments: str) -> Result:
        """What a command of the deployment prints."""
        done = CliRunner().invoke(main, [*arguments, "--config", str(self.deployment.folder / "recon.yaml")])
        assert not canaries.found(done.output), "no secret of the tests in any output"
        return done

    def listed(self) -> list[tuple[str, str, int]]:
        """Symbol, status and episode of the open breaks."""
        found = json.loads(self.command("breaks", "list", "--json").stdout)
        return [(entry["symbol"], entry["status"], entry["episode"]) for entry in found]


def feed(*entries: tuple[str, str]) -> list[Row]:
    return [feed_row(*entry) for entry in entries]


def age(report: dict[str, Any], symbol: str = "AAPL") -> tuple[int | None, str | None, int | None]:
    (found,) = [entry for entry in report["discrepancies"] if entry["symbol"] == symbol]
    return found["episode"], found["first_seen"] and found["first_seen"][:10], found["open_days"]


def suppress(week: Week, report: dict[str, Any], *, until: date = date(2099, 12, 31)) -> str:
    """Accept the one break of a report; its id."""
    name: str = report["discrepancies"][0]["id"]
    with open_store(None, week.deployment.folder / ".state") as store:
        breaks.suppress(store.database, Actor("u", "h", "risk"), name, until=until, reason="known", approved_by="risk")
    return name
