"""Carries out a halt by every action that it concerns: all are tried at once, each is read back, none waits for another.

The caller makes the halt durable first, and exits with 5 where a result is not confirmed.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from recon_core.config.credentials import secret_value
from recon_core.config.settings import HaltActionSettings, Settings
from recon_core.errors import ReconError, ThrottledError, TransientError
from recon_core.halts import Confirmation, HaltAction, HaltOrder
from recon_core.redaction import redacted
from recon_core.state.scope import Scope, parse_scope

WRITING_SHARE = 0.6
"""How much of its deadline an action may take to halt; the rest is for reading back, which a halt that hung needs, too."""
GRACE_SECONDS = 2.0
"""How much longer an action is waited for that keeps its own deadline: what it says of itself is better than our silence."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 2.0
DETAIL_LENGTH = 400

Kinds = Mapping[str, type[HaltAction]]
Clock = Callable[[], datetime]
_Returned = TypeVar("_Returned")


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What came of one action: ``done``, it took the order; ``confirmed``, it was read back to be so. Holds no secret.

    ``name`` is the action's name in recon.yaml, ``action`` its type, ``seconds`` how long it took. Only ``confirmed`` counts.
    """

    name: str
    action: str
    done: bool
    confirmed: bool
    detail: str
    seconds: float


def _now() -> datetime:
    return datetime.now(UTC)


def carry_out(settings: Settings, kinds: Kinds, order: HaltOrder, *, clock: Clock = _now) -> tuple[ActionResult, ...]:
    """Halt by every action of ``settings`` that the order concerns, in their order. Never raises for an action.

    ``kinds`` are the installed halt actions by type. Takes as long as the slowest action, and no longer than its deadline.
    """
    concerned = [action for action in settings.halt.actions.values() if concerns(action, order.scopes, settings.brokers)]
    return _tried(settings, kinds, concerned, replace(order, event="halt"), clock)


def resume(
    settings: Settings, kinds: Kinds, order: HaltOrder, *, remaining: Iterable[str] = (), clock: Clock = _now
) -> tuple[ActionResult, ...]:
    """Undo the halt by the actions that say ``resume: true``; those that ``remaining`` halted scopes concern stay as they are."""
    still = tuple(remaining)
    concerned = [
        action
        for action in settings.halt.actions.values()
        if action.resume and concerns(action, order.scopes, settings.brokers) and not concerns(action, still, settings.brokers)
    ]
    return _tried(settings, kinds, concerned, replace(order, event="resume"), clock)


def concerns(action: HaltActionSettings, scopes: Iterable[str], brokers: Collection[str]) -> bool:
    """Whether one of the scopes (``firm``, ``broker NAME``, ``account BROKER/NAME``) is one that the action is there for.

    ``brokers`` are all that are configured. A scope that cannot be told concerns every action: more is stopped, not less.
    """
    own = [Scope(broker, account) for broker in action.brokers or (None,) for account in action.accounts or (None,)]
    return any(parse_scope(scope, brokers).overlaps(each) for scope in scopes for each in own)


def _tried(
    settings: Settings, kinds: Kinds, actions: Iterable[HaltActionSettings], order: HaltOrder, clock: Clock
) -> tuple[ActionResult, ...]:
    attempts = [_Attempt(settings, action, kinds[action.action], order, clock) for action in actions]
    for attempt in attempts:
        attempt.start()
    return tuple(attempt.result() for attempt in attempts)


class _Attempt:
    """One action at work, in a thread of its own: what it raises, or that it never ends, harms no other."""

    def __init__(
        self, settings: Settings, action: HaltActionSettings, kind: type[HaltAction], order: HaltOrder, clock: Clock
    ) -> None:
        self._settings, self._action, self._kind, self._order, self._clock = settings, action, kind, order, clock
        self._started = time.monotonic()
        self._until = self._started + action.deadline_seconds
        self._done = False
        self._said = ""
        self._result: ActionResult | None = None
        self._thread = threading.Thread(target=self._run, name=f"halt action {action.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        try:
            self._thread.start()
        except RuntimeError as error:  # the machine has no thread left
            self._result = self._outcome(False, _words(error))

    def result(self) -> ActionResult:
        """What came of it, waited for until its deadline."""
        if self._result is None:
            self._thread.join(max(self._until + GRACE_SECONDS - time.monotonic(), 0))
        if self._result is not None:
            return self._result
        said = self._said or ("took the order" if self._done else f"was asked to {self._order.event}")
        return self._outcome(False, f"gave no answer within {self._action.deadline_seconds:g} seconds: {said}")

    def _run(self) -> None:
        try:
            self._result = self._outcome(*self._attempted())
        except BaseException as error:  # whatever an action does, sys.exit included, is its own failure
            self._result = self._outcome(False, _words(error))

    def _attempted(self) -> tuple[bool, str]:
        """Whether the action is confirmed, and what is to be said of it."""
        action = self._made()
        failure = ""
        try:
            action.allow(self._action.deadline_seconds * WRITING_SHARE)
            _awaited(action.halt(self._order) if self._order.event == "halt" else action.resume(self._order), action)
            self._done = True
        except BaseException as error:  # it may have come true all the same: only reading back tells
            failure = self._said = _words(error)
        confirmed, said = self._read_back(action)
        if self._done:
            return confirmed, said if confirmed else f"took the order, not confirmed: {said}"
        return confirmed, f"{failure}; read back: {said}"

    def _read_back(self, action: HaltAction) -> tuple[bool, str]:
        """Ask until it is confirmed, fails for good or time is up; once only where the order was not taken."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            final = not self._done
            try:
                action.allow(max(self._until - time.monotonic(), 0))
                reading = _awaited(action.confirm(self._order), action)
                if not isinstance(reading, Confirmation):
                    return False, f"confirm() returned {type(reading).__name__}, not a Confirmation"
                confirmed, said = reading.confirmed is True, str(reading.detail)
            except (TransientError, ThrottledError, TimeoutError) as error:
                confirmed, said = False, _words(error)
            except BaseException as error:
                confirmed, said, final = False, _words(error), True
            self._said = said
            if confirmed or final or time.monotonic() + pause >= self._until:
                return confirmed, said
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _made(self) -> HaltAction:
        action = self._action
        return self._kind(
            action.name,
            settings=action.options,
            secret=self._secret,
            given=tuple(action.secrets),
            folder=self._settings.folder,
            clock=self._clock,
        )

    def _secret(self, name: str) -> str:
        return secret_value(self._action.secrets[name], self._settings.folder)

    def _outcome(self, confirmed: bool, detail: str) -> ActionResult:
        seconds = round(time.monotonic() - self._started, 3)
        return ActionResult(self._action.name, self._action.action, self._done, confirmed, self._printable(detail), seconds)

    @staticmethod
    def _printable(text: str) -> str:
        """``text`` in one line without control characters or any secret."""
        line = "".join(sign if sign.isprintable() else "?" for sign in " ".join(redacted(text).split()))
        return line if len(line) <= DETAIL_LENGTH else line[: DETAIL_LENGTH - 1] + "…"


def _awaited(returned: Awaitable[_Returned] | _Returned, action: HaltAction) -> _Returned:
    """What a method returned, run to its end where it is ``async def``. Raises TimeoutError at the deadline of the call."""
    if not inspect.isawaitable(returned):
        return returned
    import asyncio

    from recon_core.http.loop import run

    seconds = action.seconds_left()

    async def within() -> _Returned:
        async with asyncio.timeout(seconds + GRACE_SECONDS / 2):  # the client's own deadline comes first, and says more
            return await returned

    return run(within())


def _words(error: BaseException) -> str:
    try:
        said = str(error).encode("utf-8", "backslashreplace").decode()
    except Exception:  # an exception that cannot even be printed
        said = "(no message)"
    if isinstance(error, ReconError):
        return said
    return f"{type(error).__name__}: {said}".removesuffix(": ")
