"""Every error that recon-core raises on purpose, and the exit code each maps to.

    ReconError
    ├── ConfigError         2   recon.yaml or policies.yaml says something that cannot be meant
    ├── PluginError         2   a plugin that cannot be trusted to run
    ├── BookError           3   the book cannot be read or believed; nothing was compared
    │   └── BookSetupError  2   the book is read with the wrong table, columns or options
    ├── BrokerError             a feed cannot be had; the run goes on, the feed is FAILED
    │   ├── AuthError           refused credentials; a person must act
    │   ├── ThrottledError      asked too often, or too early
    │   ├── TransientError      network, timeout, 5xx; worth another try
    │   ├── RequestError        the broker says that the question is wrong
    │   ├── MalformedError      an answer that cannot be believed
    │   ├── IncompleteError     part of an answer (the feed is PARTIAL)
    │   └── NotReadyError       not there yet, or of another day (the feed is NOT_READY)
    ├── EngineError         3   memory, disk or the database engine gave out
    ├── NoVerdictError      3   raised to embedders where there is no verdict to return
    ├── HaltedError         4   a halt is not lifted, and why
    ├── CorrectionError     3   the book is not corrected: its row moved, or its database refused
    ├── NotRecordedError    2   a run or a break was asked for that the store does not have
    ├── StateError          5   state that cannot be read or written
    └── LockedError         75  another run holds the lock

The command line prints the message of any of them, never a traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What ``recon-core run`` returns. The first that holds of 5, 4, 3, 10, 0; 1 is left to Python's own crashes."""

    CLEAN = 0
    USAGE = 2
    NO_VERDICT = 3
    HALTED = 4
    DAMAGED = 5
    BREAKS = 10
    LOCKED = 75


EXIT_MEANING = {
    ExitCode.CLEAN: "clean: book and brokers agree",
    ExitCode.USAGE: "usage, configuration, policy or plugin error; nothing was compared",
    ExitCode.NO_VERDICT: "no verdict: a feed or the book is unproven",
    ExitCode.HALTED: "trading halted by this run",
    ExitCode.DAMAGED: "state damaged or not wholly written, or a halt not confirmed: it says what was recorded",
    ExitCode.LOCKED: "another run holds the lock; this one did nothing",
    ExitCode.BREAKS: "breaks found, trading goes on",
}


def excerpt(text: str, most: int = 80) -> str:
    """A text of the world as a message repeats it: cut where it is long."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"


class ReconError(Exception):
    """Base of all errors that recon-core raises on purpose; its text is meant for a person."""

    exit_code: ClassVar[ExitCode] = ExitCode.USAGE


class ConfigError(ReconError):
    """One or more problems in the files that the user writes; ``problems`` holds each as one printable text."""

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class PluginError(ReconError):
    """A plugin that fails to load stops the run: the message names plugin, distribution, version, file and cause."""


class BookError(ReconError):
    """The book cannot be read, or holds something that is no position; names table, row and column."""

    exit_code = ExitCode.NO_VERDICT


class BookSetupError(BookError):
    """The book is there, but not as recon.yaml describes it (a missing table, column or file option)."""

    exit_code = ExitCode.USAGE


class BrokerError(ReconError):
    """A feed cannot be had. Adapters raise one of the subclasses; the run goes on without this broker."""

    exit_code = ExitCode.NO_VERDICT


class AuthError(BrokerError):
    """The broker refused the credentials (401, 403). Never retried."""


class ThrottledError(BrokerError):
    """The broker asks to be left alone for a while (429)."""


class TransientError(BrokerError):
    """The network, a timeout or the broker's own trouble (5xx)."""


class RequestError(BrokerError):
    """The broker says that the request itself is wrong (4xx): a fault of the adapter or its options."""


class MalformedError(BrokerError):
    """An answer that cannot be believed: wrong type, a number that is none, a duplicate key, a truncated body."""


class IncompleteError(BrokerError):
    """Only part of an answer; the feed is PARTIAL and its absences prove nothing."""


class NotReadyError(BrokerError):
    """The statement is not there yet, or is of another day than the one asked for."""


class EngineError(ReconError):
    """Memory, disk or the database engine gave out in the middle; nothing was recorded."""

    exit_code = ExitCode.NO_VERDICT


class NoVerdictError(ReconError):
    """There is no verdict: a feed is unproven. ``0 breaks`` is never reported for a broker that was not read."""

    exit_code = ExitCode.NO_VERDICT


class HaltedError(ReconError):
    """Trading stays halted: what was asked for to lift it does not suffice."""

    exit_code = ExitCode.HALTED


class CorrectionError(ReconError):
    """The book is left as it was: the row is not as it was reconciled, or its database refused the change."""

    exit_code = ExitCode.NO_VERDICT


class NotRecordedError(ReconError):
    """A run or a break was asked for that is not recorded, or that what was asked for cannot be done to."""


class StateError(ReconError):
    """The state directory holds something that cannot be read, or cannot be written."""

    exit_code = ExitCode.DAMAGED


class LockedError(ReconError):
    """Another run is at work on the same state; this one did nothing, and may be tried again (75 is EX_TEMPFAIL)."""

    exit_code = ExitCode.LOCKED
