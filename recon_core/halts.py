"""The base class of halt actions, and the order that they carry out. An action stops trading outside this program."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from recon_core.http import Writer


@dataclass(frozen=True, slots=True)
class HaltOrder:
    """What an action is to do, and why.

    ``event`` is ``halt`` or ``resume``. ``scopes`` are what stops, in the words of the report: ``firm``, ``broker NAME``,
    ``account BROKER/NAME``; ``accounts`` the (broker, account) pairs below them that the run knows of, empty where it knows
    none. ``reasons`` are for people. ``run_id`` is None where a person gave the order. ``as_of`` (aware) is the time of what was
    compared, or of the person's order. In a ``drill`` nothing may stop: an action only proves that it could have. ``order_id``
    is of this order alone; an action that is tried again carries the same.
    """

    scopes: tuple[str, ...]
    reasons: tuple[str, ...]
    as_of: datetime
    run_id: str | None = None
    accounts: tuple[tuple[str, str], ...] = ()
    drill: bool = False
    event: Literal["halt", "resume"] = "halt"
    order_id: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def title(self) -> str:
        """``halt``, ``resume``, ``drill-halt`` or ``drill-resume``: a drill never reads as the real thing."""
        return f"drill-{self.event}" if self.drill else self.event

    @property
    def message_id(self) -> str:
        """Unique to this order and event, the same whenever it is sent again."""
        return f"{self.title}-{self.order_id}"

    def as_json(self) -> dict[str, Any]:
        """The order as programs outside read it; ``event`` is the ``title``, so that no drill is taken for a halt."""
        return {
            "version": 1,
            "id": self.message_id,
            "event": self.title,
            "drill": self.drill,
            "run_id": self.run_id,
            "as_of": self.as_of.isoformat(),
            "scopes": list(self.scopes),
            "reasons": list(self.reasons),
            "accounts": [{"broker": broker, "account": account} for broker, account in self.accounts],
        }


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What was read back: whether what the order asks has come true, and in ``detail`` how that was seen."""

    confirmed: bool
    detail: str


class HaltAction:
    """One way to stop trading outside this program. A subclass is one file in ``plugins/halts/``.

    Class attributes
        type              what ``action:`` in recon.yaml says
        title             a few words for a heading
        options           JSON Schema properties of the action's ``options:``, each described, with defaults
        required          which of them must be given
        secrets           names of the credentials that must stand under ``secrets:``
        optional_secrets  names, or regular expressions of names, of those that may

    On an instance, ``name`` is what recon.yaml calls it, ``settings`` its options with defaults filled in, ``given`` the names
    of the secrets that are there and ``secret(name)`` the value of one, ``folder`` what relative paths start from, ``clock`` the
    time, ``http`` a guarded client that may write, and ``seconds_left()`` how long the call at hand may still take.

    Each method may be ``async def``. It raises, best an error of recon_core.errors, where it cannot do what it is for. All three
    are called again where an earlier try failed: they must mean the same then.
    """

    type: ClassVar[str] = ""
    title: ClassVar[str] = ""
    options: ClassVar[Mapping[str, Any]] = {}
    required: ClassVar[tuple[str, ...]] = ()
    secrets: ClassVar[tuple[str, ...]] = ()
    optional_secrets: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        name: str,
        *,
        settings: Mapping[str, Any],
        secret: Callable[[str], str],
        given: Collection[str],
        folder: Path,
        clock: Callable[[], datetime],
    ) -> None:
        self.name = name
        self.settings = settings
        self.secret = secret
        self.given = given
        self.folder = folder
        self.clock = clock
        self._ends = float("inf")

    @property
    def http(self) -> Writer:
        """A guarded HTTP client for the call at hand: its deadline is what is left of the action's."""
        from recon_core.http import Writer

        return Writer(deadline_seconds=self.seconds_left())

    def seconds_left(self) -> float:
        """Seconds until the call at hand is given up, 0 or more."""
        return max(self._ends - time.monotonic(), 0.0)

    def allow(self, seconds: float) -> None:
        """Let the next call take ``seconds``; the engine says so before each."""
        self._ends = time.monotonic() + seconds

    def halt(self, order: HaltOrder) -> Awaitable[None] | None:
        """Stop trading as the order says; of a drill, only prove that it could be done."""
        raise TypeError(f"halt action {self.type!r} does not say how to halt")

    def confirm(self, order: HaltOrder) -> Awaitable[Confirmation] | Confirmation:
        """Read back, by another way than the one that wrote, whether what the order asks (halt or resume) has come true."""
        raise TypeError(f"halt action {self.type!r} does not say how to confirm")

    def resume(self, order: HaltOrder) -> Awaitable[None] | None:
        """Undo a halt. An action that does not define this can not be configured with ``resume: true``."""
        raise TypeError(f"halt action {self.type!r} can not resume")


def can_resume(action: type[HaltAction]) -> bool:
    """Whether an action knows how to undo its halt."""
    return action.resume is not HaltAction.resume
