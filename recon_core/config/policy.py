"""A policy as the engine reads it: typed, exact, and every part knows its line in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal

from recon_core.model import Scope

Value = Decimal | str | bool

DEFAULT_POLICY_DISPLAY = "recon_core/policies.yaml"
"""What messages and reports call the policy that comes with recon-core, which holds where a deployment has none."""


@dataclass(frozen=True, slots=True)
class Halt:
    """When a break of a rule halts. ``always`` and ``never`` stand alone; of the others, all that are given must hold."""

    text: str
    always: bool = False
    never: bool = False
    above_pct: Decimal | None = None
    above_impact: Decimal | None = None
    when: str | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """Which positions (and rules) an override or a suppression means: glob patterns, None is any."""

    account: str | None = None
    broker: str | None = None
    symbol: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a rule's entry, or an override of it, sets; None is not set here."""

    severity: str | None = None
    halt: Halt | None = None
    counts: bool | None = None
    undetermined: Literal["ignore", "break"] | None = None
    params: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ActiveRule:
    """A rule that the policy lists: its definition, from a plugin or from the policy itself, as the policy tunes it."""

    type: str
    title: str
    severity: str
    halt: Halt
    counts: bool
    undetermined: Literal["ignore", "break"]
    params: Mapping[str, Value]
    when: str
    select: str
    among: str
    impact: str
    measure: tuple[str, str] | None
    detail: str
    supersedes: tuple[str, ...]
    declared: bool
    line: int


@dataclass(frozen=True, slots=True)
class Override:
    """Settings for the positions that match; later overrides win. ``rules`` keys are types or glob patterns of types."""

    match: Match
    rules: Mapping[str, Tuning]
    on_incomplete: Literal["halt", "warn"] | None
    line: int


@dataclass(frozen=True, slots=True)
class Suppression:
    """Breaks that are known and accepted: until the end of ``until`` (UTC), up to ``max_impact`` each (None: any known impact)."""

    match: Match
    until: date
    reason: str
    approved_by: str | None
    max_impact: Decimal | None
    line: int


@dataclass(frozen=True, slots=True)
class Escalation:
    """A predicate over the totals of a firm, a broker or an account, and what follows where it holds or is unknown."""

    name: str
    when: str
    then: Literal["halt", "warn"]
    require: str | None
    per: Scope
    line: int


@dataclass(frozen=True, slots=True)
class CorrectionPolicy:
    """How corrections of the book are reckoned, and whether a second person must approve each."""

    pnl: Literal["average", "fifo"] = "average"
    two_person: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """policies.yaml, read and checked. ``warnings`` are printable remarks that do not stop a run."""

    path: str
    sha256: str
    base_currency: str
    price_fallback: bool
    count: Literal["positions", "incidents"]
    scope: Scope
    rules: Mapping[str, ActiveRule]
    escalation: tuple[Escalation, ...]
    on_incomplete: Literal["halt", "warn"]
    on_incomplete_line: int
    overrides: tuple[Override, ...]
    suppress: tuple[Suppression, ...]
    corrections: CorrectionPolicy = CorrectionPolicy()
    not_listed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
