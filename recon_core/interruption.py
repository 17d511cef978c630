"""TERM, INT and HUP end the process in order: what was begun is undone or finished, temporary files go, and nothing is torn."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import ExtensionFileLoader
from types import FrameType

ASKED_TO_END = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PATIENCE_SECONDS = 5.0
"""For so long after a first signal others are ignored, so that cleaning up is not interrupted; then the next one counts again."""

_POLL_SECONDS = 0.02


class Interrupted(BaseException):
    """The process was asked to end. No ``except Exception`` stops it; ``exit_code`` is 128 and the signal's number."""

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number
        super().__init__(f"interrupted by {signal.Signals(number).name}")


class _Signals:
    """What came so far, and what must not be, or can be, interrupted."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.at = float("-inf")
        self.early: int | None = None
        self.over = False
        self.deferrals = 0
        self.waiting = False
        self.stops: list[Callable[[], None]] = []
        self.lock = threading.Lock()

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Python's handler: it runs in the main thread, between two of its instructions."""
        now = time.monotonic()
        if now - self.at < PATIENCE_SECONDS:
            return
        if _loading_library(frame):
            self.early = number
            return
        self.number, self.at = number, now
        if self.deferrals:
            self.waiting = True
        else:
            raise Interrupted(number)

    def watch(self, reader: int) -> None:
        """Stop what the main thread is waiting for: a query would keep it for minutes.

        Until all is over, not only until the handler ran: a library that called back into Python may lose what the handler raised.
        Where the handler could not raise, it is called again.
        """
        while came := os.read(reader, 1):
            while came[0] in ASKED_TO_END and self._stop(came[0]):
                time.sleep(_POLL_SECONDS)
        os.close(reader)

    def _stop(self, number: int) -> bool:
        """Stop what can be stopped; whether there is anything left to do."""
        with self.lock:
            if self.over:
                return False
            if self.number is None:
                os.kill(os.getpid(), number)
            for stop in () if self.deferrals else tuple(self.stops):
                with suppress(Exception):  # what cannot be stopped now is asked again
                    stop()
        return True


def _loading_library(frame: FrameType | None) -> bool:
    """Whether a library in C or C++ is being loaded: some abort the process where what they call back raises."""
    while frame and not isinstance(frame.f_locals.get("self"), ExtensionFileLoader):
        frame = frame.f_back
    return frame is not None


_signals = _Signals()


@contextmanager
def heeded() -> Iterator[None]:
    """Within this block a signal raises Interrupted in the main thread. One that the parent process ignores stays ignored."""
    global _signals
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what becomes of signals
        return
    earlier = {number: signal.getsignal(number) for number in ASKED_TO_END}
    mine = {number: handler for number, handler in earlier.items() if handler not in (signal.SIG_IGN, None)}
    _signals = _Signals()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    threading.Thread(target=_signals.watch, args=(reader,), name="signals", daemon=True).start()
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        for number in mine:
            signal.signal(number, _signals.receive)
        yield
        if _signals.early and _signals.number is None:
            raise Interrupted(_signals.early)
    finally:
        with _signals.lock:
            _signals.over = True
        for number, handler in mine.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        os.close(writer)
        _signals = _Signals()


@contextmanager
def stopped_by(stop: Callable[[], None]) -> Iterator[None]:
    """A signal calls ``stop``, from another thread and perhaps more than once, to end a long call into a library in the block."""
    signals = _signals  # one that is closed late, by the garbage collector, may find another in its place
    signals.stops.append(stop)
    try:
        yield
    finally:
        with signals.lock:  # not while it is being called: what it stops may be closed next
            signals.stops.remove(stop)


@contextmanager
def deferred() -> Iterator[None]:
    """Within this block a signal waits: the block is finished first, and then Interrupted is raised. Keep it short.

    Raises Interrupted at once where a signal came before, and somebody caught what was raised for it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals interrupt the main thread only
        return
    if earlier := asked_to_end():
        raise earlier
    _signals.deferrals += 1
    try:
        yield
    finally:
        _signals.deferrals -= 1
    if _signals.waiting and not _signals.deferrals:
        _signals.waiting = False
        raise interruption()


def asked_to_end() -> Interrupted | None:
    """The signal that came and did not have to wait, whatever became of what was raised for it: libraries make errors of it."""
    return Interrupted(_signals.number) if _signals.number and not _signals.waiting else None


def interruption() -> BaseException:
    """What to raise where a library noticed a signal but lost what was raised for it."""
    return Interrupted(_signals.number) if _signals.number else KeyboardInterrupt()
