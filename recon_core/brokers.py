"""The base class of broker adapters. An adapter reads; it never writes at a broker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from recon_core.model import Ask, Feed

if TYPE_CHECKING:
    from recon_core.http import Http


class Broker:
    """One account, or several, at one broker. A subclass is one file in ``plugins/brokers/``.

    Class attributes
        name        what ``adapter:`` in recon.yaml says
        options     JSON Schema properties of the adapter's ``options:``, each described, with defaults
        required    which of them must be given
        secrets     names of the credentials it takes from ``secrets:``
        coverage    asset classes that it reports; a book row of another class is not absent. Empty: all

    On an instance, ``alias`` is the broker's name in the book, ``settings`` its options with defaults filled in, ``folder``
    what relative paths start from, ``http`` the guarded client and ``clock`` the time; nothing else may be asked of the world.
    """

    name: ClassVar[str] = ""
    options: ClassVar[Mapping[str, Any]] = {}
    required: ClassVar[tuple[str, ...]] = ()
    secrets: ClassVar[tuple[str, ...]] = ()
    coverage: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        alias: str,
        *,
        settings: Mapping[str, Any],
        secret: Callable[[str], str],
        folder: Path,
        clock: Callable[[], datetime],
        http: Http | None = None,
    ) -> None:
        self.alias = alias
        self.settings = settings
        self.secret = secret
        self.folder = folder
        self.clock = clock
        self._http = http

    @property
    def http(self) -> Http:
        """The guarded HTTP client of this feed: GET only, one deadline over all its requests."""
        if self._http is None:
            from recon_core.http import Http

            self._http = Http()
        return self._http

    def positions(self, ask: Ask) -> Feed | Awaitable[Feed]:
        """The positions at ``ask.as_of``; ``async def`` where the network is asked.

        Raises only errors of recon_core.errors. What cannot be proven whole is returned as ``Feed.partial``.
        """
        raise TypeError(f"broker adapter {self.name!r} does not say how to get positions")
