"""What a run found, before anyone is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from recon_core.book.survey import Survey
from recon_core.config.policy import Policy
from recon_core.errors import ExitCode
from recon_core.feeds import ProvenFeed
from recon_core.identity import Identity
from recon_core.incidents import Incident
from recon_core.model import Decision, Tally, Total
from recon_core.pairs import Comparison
from recon_core.scan import Scan
from recon_core.state.suppressions import Accepted

if TYPE_CHECKING:
    from recon_core.explanation import Difference, Explanation, Key, Proposal


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """Brokers that were asked again, ``at`` what time, and the ids of their ``breaks`` that would have halted."""

    at: datetime
    brokers: tuple[str, ...]
    breaks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of comparing, judging and deciding. ``worst`` are the breaks to list, ``listed`` how many there are.

    ``incidents`` are those breaks' common causes, ``incident_of`` the incident of each listed break that is in one, by id.
    ``accepted`` are the suppressions by id that were held against the breaks, ``ended`` those that are over, and why.
    ``identities`` are the positions of brokers that the book has under another name.
    ``explanations`` are of those of ``worst`` whose quantities differ, ``differences`` what was looked into,
    ``proposals`` what would mend the book.
    """

    as_of: datetime
    policy: Policy
    config_path: str
    config_sha256: str
    book_source: str
    book_sha256: str | None
    book_notes: tuple[str, ...]
    survey: Survey
    feeds: tuple[ProvenFeed, ...]
    scan: Scan
    totals: tuple[Total, ...]
    decision: Decision
    mode: Literal["armed", "shadow"]
    worst: tuple[Mapping[str, Any], ...]
    listed: int
    suppressed_count: int
    superseded_count: int
    suppressed_impact: Decimal
    rule_impacts: Mapping[str, Decimal | None]
    tallies: tuple[Tally, ...]
    warnings: tuple[str, ...]
    plugins: tuple[tuple[str, str, str], ...]
    comparison: Comparison
    accepted: tuple[Accepted, ...]
    ended: tuple[tuple[Accepted, str], ...]
    identities: tuple[Identity, ...]
    explanations: Mapping[Key, Explanation]
    differences: Mapping[Key, Difference]
    proposals: Mapping[Key, Proposal]
    incidents: tuple[Incident, ...] = ()
    incident_of: Mapping[str, str] = field(default_factory=dict)
    asked_again: tuple[AskedAgain, ...] = ()

    @property
    def firm(self) -> Total:
        """The totals of the whole firm."""
        return self.totals[0]

    @property
    def word(self) -> str:
        """``clean``, ``breaks`` or ``incomplete``: an unproven feed is never clean."""
        if not all(feed.proven for feed in self.feeds):
            return "incomplete"
        return "breaks" if self.firm.break_count else "clean"

    @property
    def halts(self) -> bool:
        """Whether this verdict stops trading: not in shadow mode, whatever was decided."""
        return self.decision.halt and self.mode == "armed"

    @property
    def exit_code(self) -> ExitCode:
        """The first that holds: halted, no verdict, breaks, clean."""
        if self.halts:
            return ExitCode.HALTED
        return {"incomplete": ExitCode.NO_VERDICT, "breaks": ExitCode.BREAKS, "clean": ExitCode.CLEAN}[self.word]
