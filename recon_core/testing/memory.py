"""How much memory the process took for a while, at its peak."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_STATE = Path("/proc/self/statm")


@contextmanager
def grown() -> Iterator[Callable[[], int]]:
    """Gives a function that says, after the block, by how many bytes the process had grown at most; 0 where that is not known."""
    before, peak, over = _resident(), [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            peak[0] = max(peak[0], _resident())

    watcher = threading.Thread(target=watch, name="memory of a trial", daemon=True)
    watcher.start()
    try:
        yield lambda: max(0, max(peak[0], _resident()) - before)
    finally:
        over.set()
        watcher.join()


def _resident() -> int:
    """Bytes in memory now; 0 where /proc does not say."""
    try:
        return int(_STATE.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
