"""What plugins print is no part of a command's answer, and may hold what they should not say."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress


@contextmanager
def stdout_spared() -> Iterator[None]:
    """What plugins print, and the programs that they start, goes to stderr, where secrets are masked: stdout is for the answer."""
    with ExitStack() as stack:
        with suppress(OSError, ValueError, AttributeError):  # stdout or stderr is closed, or no file
            stdout = sys.stdout.fileno()
            kept = os.dup(stdout)
            stack.callback(os.close, kept)
            os.dup2(sys.stderr.fileno(), stdout)
            stack.callback(os.dup2, kept, stdout)
            stack.callback(sys.stdout.flush)
        with redirect_stdout(sys.stderr):
            yield
