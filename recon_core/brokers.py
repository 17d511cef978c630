"""The base class of broker adapters. An adapter reads; it never writes at a broker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from recon_core.documents import MOST_BYTES, Document, read_documents
from recon_core.errors import MalformedError
from recon_core.evidence import Evidence
from recon_core.model import Ask, Feed

if TYPE_CHECKING:
    from recon_core.http import Http

CAPABILITIES = ("positions", "cash", "fills", "movements", "corporate_actions", "control_totals")
"""What an adapter may be able to tell."""


class Broker:
    """One account, or several, at one broker. A subclass is one file in ``plugins/brokers/``.

    Class attributes
        name              what ``adapter:`` in recon.yaml says
        options           JSON Schema properties of the adapter's ``options:``, each described, with defaults
        required          which of them must be given
        secrets           names of the credentials it takes from ``secrets:``
        optional_secrets  names of those that may be left out
        coverage          asset classes that it reports; a book row of another class is not absent. Empty: all
        capabilities      what it can tell, of CAPABILITIES
        live              whether it tells what is held at the moment of asking, so that it races with the book
        deadline_seconds  how long a feed may take, where ``deadline_seconds:`` does not say otherwise

    On an instance, ``alias`` is the broker's name in the book, ``settings`` its options with defaults filled in, ``folder``
    what relative paths start from, ``http`` the guarded client and ``clock`` the time; nothing else may be asked of the world.
    """

    name: ClassVar[str] = ""
    options: ClassVar[Mapping[str, Any]] = {}
    required: ClassVar[tuple[str, ...]] = ()
    secrets: ClassVar[tuple[str, ...]] = ()
    optional_secrets: ClassVar[tuple[str, ...]] = ()
    coverage: ClassVar[tuple[str, ...]] = ()
    capabilities: ClassVar[tuple[str, ...]] = ("positions",)
    live: ClassVar[bool] = False
    deadline_seconds: ClassVar[float] = 30

    def __init__(
        self,
        alias: str,
        *,
        settings: Mapping[str, Any],
        secret: Callable[[str], str],
        folder: Path,
        clock: Callable[[], datetime],
        http: Http | Callable[[], Http] | None = None,
        given: Collection[str] | None = None,
    ) -> None:
        self.alias = alias
        self.settings = settings
        self.secret = secret
        self.folder = folder
        self.clock = clock
        self.read: list[Document] = []
        """The files that ``documents`` read, in order: the evidence."""
        self.digests: dict[str, str] = {}
        """By the place that the source of a row begins with, the sha256 of the bytes read there: where no address or file says."""
        self._http = http
        self.given = tuple(self.secrets if given is None else given)

    @property
    def http(self) -> Http:
        """The guarded HTTP client of this feed: GET only, one deadline over all its requests."""
        if self._http is None:
            from recon_core.http import Http

            self._http = Http(self.deadline_seconds)
        elif callable(self._http):
            self._http = self._http()
        return self._http

    @property
    def asked_network(self) -> bool:
        """Whether ``http`` was used."""
        return self._http is not None and not callable(self._http)

    def has_secret(self, name: str) -> bool:
        """Whether a credential is given: one of ``optional_secrets`` may not be."""
        return name in self.given

    def documents(self, ask: Ask, *, most_bytes: int = MOST_BYTES) -> list[Document]:
        """The bytes of the files that the option ``path`` names: of the day of ``ask.as_of``, or the newest.

        Raises NotReadyError where there is none, MalformedError for what is no file, empty, or larger than ``most_bytes``.
        """
        day = ask.as_of.astimezone(_zone(self.settings.get("timezone"))).date() if ask.as_of else None
        found = read_documents(self.settings["path"], self.folder, day, most_bytes=most_bytes)
        self.read += found
        return found

    def positions(self, ask: Ask) -> Feed | Awaitable[Feed]:
        """The positions at ``ask.as_of``; ``async def`` where the network is asked.

        Raises only errors of recon_core.errors. What cannot be proven whole is returned as ``Feed.partial``.
        """
        raise TypeError(f"broker adapter {self.name!r} does not say how to get positions")

    def evidence(self, ask: Ask) -> Evidence | Awaitable[Evidence]:
        """What happened since ``ask.since``: fills, movements, corporate actions; ``async def`` where the network is asked.

        Raises as ``positions`` does. What is not known to be whole says ``complete=False`` and why.
        """
        return Evidence(since=ask.since, complete=False, reason=f"the adapter {self.name} tells of no fills or movements")


def _zone(name: str | None) -> tzinfo:
    """The zone of the option ``timezone``, in which a file's day is meant."""
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name) if name else UTC
    except (ValueError, KeyError, OSError):
        raise MalformedError(f"timezone: {name!r} is no IANA time zone such as America/New_York") from None
