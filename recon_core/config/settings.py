"""recon.yaml as the engine reads it: typed, paths resolved against the file's folder, secrets still unread references."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from recon_core.schedule import Schedule


@dataclass(frozen=True, slots=True)
class CorrectionSettings:
    """Where corrections of the book are written: a URL or a reference to one, a table (None: the one that is read), a journal."""

    database: str
    table: str | None = None
    journal: str = "recon_corrections"


@dataclass(frozen=True, slots=True)
class OwnRowsSettings:
    """A ``table`` or ``query`` of the book's database beside the positions: its own fills, or its own orders."""

    table: str | None = None
    query: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BookSettings:
    """Where the book is: a database (``table`` or ``query``) or a file; ``options`` is the rest, by its schema.

    Without ``corrections`` it is only ever read.
    """

    database: str | None = None
    table: str | None = None
    query: str | None = None
    file: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    timezone: str | None = None
    lots: bool = False
    float_places: int = 9
    basis: Literal["trade", "settlement"] = "trade"
    corrections: CorrectionSettings | None = None
    fills: OwnRowsSettings | None = None
    orders: OwnRowsSettings | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecheckSettings:
    """How often a broker that tells what is held now is asked again before a halt stands, and after how long each time."""

    times: int = 2
    wait_seconds: Decimal = Decimal(5)


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """One broker: which adapter, how its accounts map to the book's, and what must be there for the feed to be whole.

    ``deadline_seconds`` is None where the adapter's own holds. ``keep_raw`` keeps what it answered beside the report. ``due`` is
    the time of day of a broker that is due by itself, with statements of an earlier close.
    """

    alias: str
    adapter: str
    accounts: Mapping[str, str] = field(default_factory=dict)
    expect_accounts: tuple[str, ...] = ()
    legs: Literal["keep", "net"] = "keep"
    unchanged: Literal["refuse", "accept"] = "refuse"
    deadline_seconds: Decimal | None = None
    keep_raw: bool = False
    due: time | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    recheck: RecheckSettings = field(default_factory=RecheckSettings)
    options: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExplainSettings:
    """From when on a broker is asked what happened: ``margin_days`` before its broken positions were last proven without a break,
    or ``lookback_days`` before the run where one of them never was."""

    lookback_days: int = 30
    margin_days: int = 2


@dataclass(frozen=True, slots=True)
class RecalculateSettings:
    """What reckons the firm's own profit and loss anew for corrected positions: a program and its arguments, or SQL."""

    command: tuple[str, ...] = ()
    sql: str | None = None
    deadline_seconds: Decimal = Decimal(300)


@dataclass(frozen=True, slots=True)
class HaltActionSettings:
    """One halt action: which plugin, which halts concern it (empty: all), whether a lift undoes it, how long it may take."""

    name: str
    action: str
    brokers: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    resume: bool = False
    deadline_seconds: float = 30
    options: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HaltSettings:
    """What a halting decision does. ``mode`` shadow only reports; ``allow`` reduce lets bots reduce positions under a halt."""

    mode: Literal["armed", "shadow"] = "armed"
    two_person: bool = False
    allow: Literal["nothing", "reduce"] = "nothing"
    actions: Mapping[str, HaltActionSettings] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Where metrics go: a textfile always, a Pushgateway too where one is named. ``labels`` stand on every series."""

    textfile: Path
    pushgateway: str | None = None
    job: str = "recon-core"
    labels: Mapping[str, str] = field(default_factory=dict)
    deadline_seconds: float = 5


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What the engine may take of the machine: how much memory before it spills to ``temp_dir``, and how many threads.

    None: the system's temporary folder, a thread for each core.
    """

    memory: str = "4GB"
    threads: int | None = None
    temp_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class SparkSettings:
    """The cluster of ``--engine spark``: its ``master``, and ``conf`` of the session.

    ``folder`` (every machine sees it) is for what is no Parquet file, ``positions_per_bucket`` what one worker is to take at once.
    """

    master: str
    conf: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    positions_per_bucket: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Settings:
    """recon.yaml, read and checked. ``fx`` is money of base currency for one unit of each currency.

    ``match_symbols`` says whether instruments are known by identifiers and forms of symbols, or by their exact symbols alone.
    ``store`` is the URL of the state's database, or a reference to one; None is a file in ``state_dir``.
    """

    path: str
    folder: Path
    sha256: str
    policy: Path
    state_dir: Path
    drop_ins: Path | None
    disabled: tuple[str, ...]
    book: BookSettings
    brokers: Mapping[str, BrokerSettings]
    store: str | None = None
    fx: Mapping[str, Decimal] = field(default_factory=dict)
    schedule: Schedule | None = None
    match_symbols: Literal["forms", "exact"] = "forms"
    explain: ExplainSettings = field(default_factory=ExplainSettings)
    halt: HaltSettings = field(default_factory=HaltSettings)
    metrics: MetricsSettings | None = None
    recalculate: RecalculateSettings | None = None
    limits: LimitSettings = field(default_factory=LimitSettings)
    spark: SparkSettings | None = None

    def schedule_of(self, alias: str) -> Schedule | None:
        """When a broker is due: by itself, or with all others."""
        due = self.brokers[alias].due
        return replace(self.schedule, due=due) if self.schedule and due else self.schedule
