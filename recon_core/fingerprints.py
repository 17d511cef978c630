"""The sha256 of the files that a run reads, and proof that they stayed as they were while it read them.

Hashing takes a core for as long as comparing does, so it is begun when the other core has nothing left to do.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from pathlib import Path

from recon_core.errors import NoVerdictError
from recon_core.regular_file import open_regular

_Identity = tuple[int, int, int, int]


class Fingerprint:
    """Of the files that one source was read from, as they are when this is made; names of no file are passed over."""

    def __init__(self, names: Iterable[str]) -> None:
        found = {_identity(path): path for path in sorted(map(Path, names)) if path.is_file()}
        self._files = {path: identity for identity, path in found.items()}
        self._thread: threading.Thread | None = None
        self._digest: str | None = None
        self._trouble: OSError | None = None

    def begin(self) -> None:
        """Take the fingerprint in a thread of its own."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._take, name="fingerprint", daemon=True)
            self._thread.start()

    def sha256(self) -> str | None:
        """Of the file, or of its files' own sha256 in the order of their names; None where there is no file.

        Raises NoVerdictError where a file is not what it was any more.
        """
        self.begin()
        if self._thread is not None:
            self._thread.join()
        for path, before in self._files.items():
            try:
                same = self._trouble is None and _identity(path) == before
            except OSError:
                same = False
            if not same:
                raise NoVerdictError(f"{path} was changed while it was read; nothing was decided: run again when it is whole")
        return self._digest

    def _take(self) -> None:
        try:
            digests = [sha256_of(path) for path in self._files]
        except OSError as error:
            self._trouble = error
            return
        if len(digests) > 1:
            digests = [hashlib.sha256("\n".join(digests).encode()).hexdigest()]
        self._digest = digests[0] if digests else None


def _identity(path: Path) -> _Identity:
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def sha256_of(path: Path) -> str:
    """The sha256 of the file at ``path``. Raises OSError for one that cannot be read, and for what is no regular file."""
    digest, piece = hashlib.sha256(), memoryview(bytearray(1 << 23))
    with open_regular(path) as handle:  # in pieces so large that a thread need not ask for the interpreter between them
        while size := handle.readinto(piece):
            digest.update(piece[:size])
    return digest.hexdigest()
