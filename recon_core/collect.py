"""Asks brokers, several at the same time, for positions and for evidence; what goes wrong at one is its own answer's status."""

from __future__ import annotations

import hashlib
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from recon_core.brokers import Broker
from recon_core.config.settings import BrokerSettings
from recon_core.documents import Document, read_documents
from recon_core.errors import BrokerError, IncompleteError, NotReadyError, TransientError
from recon_core.evidence import CorporateAction, Evidence, Fill, Movement
from recon_core.model import Ask, Feed, FeedStatus
from recon_core.recording import Recording
from recon_core.redaction import redacted

if TYPE_CHECKING:
    from recon_core.http import Answering, Http, Received

DEADLINE_SECONDS = 300.0
"""How long an adapter that reads files may take; one that has not answered by then is FAILED, and the others are judged."""

GRACE_SECONDS = 0.5
"""How much longer an adapter that asks the network is waited for than its deadline: what it says of itself is better."""

MOST_RECORDED = 1 << 30
"""Bytes of a file up to which a recording holds it."""

TELLING = frozenset(("fills", "movements", "corporate_actions"))
"""The capabilities of which an adapter has one, or more, that tells evidence."""

_Returned = TypeVar("_Returned")
_Answer = TypeVar("_Answer")


class EvidenceAnswer(NamedTuple):
    """What one broker told of what happened ``since`` a time; ``received`` and ``documents`` are where it was read.

    ``digests`` are by the place of rows what the adapter itself knows of that.
    """

    evidence: Evidence
    since: datetime
    received: tuple[Received, ...] = ()
    documents: tuple[Document, ...] = ()
    digests: Mapping[str, str] = {}


class BrokerAnswer(NamedTuple):
    """What one broker answered, and whom we asked; ``received`` and ``documents`` are the evidence of it.

    ``day`` is the day that a feed names which names no time, as its source writes it: in UTC it may be another. ``told`` is what
    it told of what happened, where it was asked.
    """

    settings: BrokerSettings
    adapter: type[Broker]
    feed: Feed
    received: tuple[Received, ...] = ()
    documents: tuple[Document, ...] = ()
    day: date | None = None
    told: EvidenceAnswer | None = None


Make = Callable[[BrokerSettings, type[Broker]], Broker]
"""Makes the adapter of a broker, ready to be asked once."""


@dataclass(frozen=True)
class Asked(Generic[_Answer]):
    """Brokers that are being asked; ``answers`` waits for them."""

    asking: Sequence[Asking[_Answer]]
    since: float

    def answers(self) -> list[_Answer]:
        """The answer of every broker, in the order given. Never raises for a broker: a failure is an answer that says why."""
        return [asking.answer(self.since) for asking in self.asking]


def maker(*, folder: Path, clock: Callable[[], datetime], secret: Callable[[str], str]) -> Make:
    """Makes adapters that ask the network. ``secret`` turns a reference (``env:NAME``, ``file:PATH``) into its value."""
    return lambda settings, adapter: make_broker(settings, adapter, folder=folder, clock=clock, secret=secret)


def begin(asking: Iterable[Asking[_Answer]]) -> Asked[_Answer]:
    """Begin to ask all of them, and do not wait."""
    threads = list(asking)
    for thread in threads:
        thread.start()
    return Asked(threads, time.monotonic())


def ask(
    brokers: Iterable[BrokerSettings], adapters: Mapping[str, type[Broker]], as_of: datetime | None, make: Make
) -> Asked[BrokerAnswer]:
    """Begin to ask every broker for its positions. ``as_of`` is the time that a person asked for, None: now."""
    return begin(AskingPositions(settings, adapters[settings.adapter], as_of, make) for settings in brokers)


def make_broker(
    settings: BrokerSettings,
    adapter: type[Broker],
    *,
    folder: Path,
    clock: Callable[[], datetime],
    secret: Callable[[str], str],
    answering: Answering | None = None,
    keep_raw: bool = False,
) -> Broker:
    """The adapter of one broker, ready to be asked once. ``answering`` answers in place of the network."""

    def http() -> Http:
        from recon_core.http import Http

        return Http(
            float(settings.deadline_seconds or adapter.deadline_seconds),
            keep_raw=keep_raw or settings.keep_raw,
            answering=answering,
        )

    return adapter(
        settings.alias,
        settings={name: spec.get("default") for name, spec in adapter.options.items()} | dict(settings.options),
        secret=lambda name: secret(settings.secrets[name]),
        folder=folder,
        clock=clock,
        http=http,
        given=settings.secrets,
    )


class Asking(threading.Thread, Generic[_Answer]):
    """One broker being asked, in a thread of its own: what it raises, or that it never ends, harms no other."""

    def __init__(self, settings: BrokerSettings, adapter: type[Broker], as_of: datetime | None, make: Make) -> None:
        super().__init__(name=f"broker {settings.alias}", daemon=True)
        self._settings, self._adapter, self._as_of, self._make = settings, adapter, as_of, make
        self._answer: _Answer | None = None
        self.broker: Broker | None = None
        """The adapter, once it is made."""

    def answer(self, since: float) -> _Answer:
        """The answer, waited for until its deadline, which began at ``since`` (monotonic seconds)."""
        seconds = self._patience()
        self.join(max(since + seconds + GRACE_SECONDS - time.monotonic(), 0))
        return self._failed(TransientError(f"no answer within {seconds:g} seconds")) if self._answer is None else self._answer

    def run(self) -> None:
        try:
            self.broker = self._make(self._settings, self._adapter)
            self._answer = self._asked(self.broker)
        except BaseException as error:  # whatever an adapter does, sys.exit included, is its own answer's failure
            self._answer = self._failed(error)

    def _asked(self, broker: Broker) -> _Answer:
        """What the adapter answers."""
        raise NotImplementedError

    def _failed(self, error: BaseException) -> _Answer:
        """The answer of one that raised ``error``."""
        raise NotImplementedError

    def _patience(self) -> float:
        """Within how many seconds it is to have answered."""
        raise NotImplementedError


class AskingPositions(Asking[BrokerAnswer]):
    """One broker being asked for its positions."""

    def _asked(self, broker: Broker) -> BrokerAnswer:
        given = awaited(broker, broker.positions(Ask(self._as_of, asked_accounts(self._settings))))
        return self._told(checked(given), _bare_day(given))

    def _failed(self, error: BaseException) -> BrokerAnswer:
        return self._told(unavailable(error), None)

    def _patience(self) -> float:
        return patience(self._settings, self._adapter, self._adapter.positions)

    def _told(self, feed: Feed, day: date | None) -> BrokerAnswer:
        received, documents = evidence_of(self.broker)
        if feed.sha256 is None and feed.relation is None:
            feed = feed.but(
                sha256=_together([*(each.sha256 for each in received if not each.cut), *(each.sha256 for each in documents)])
            )
        return BrokerAnswer(self._settings, self._adapter, feed, received, documents, day)


class AskingEvidence(Asking[EvidenceAnswer]):
    """One broker being asked what happened since a time, by an adapter made for it: with a deadline of its own."""

    def __init__(
        self, settings: BrokerSettings, adapter: type[Broker], as_of: datetime | None, make: Make, *, since: datetime
    ) -> None:
        super().__init__(settings, adapter, as_of, make)
        self._since = since

    def _asked(self, broker: Broker) -> EvidenceAnswer:
        given = awaited(broker, broker.evidence(Ask(self._as_of, asked_accounts(self._settings), self._since)))
        return self._told(checked_evidence(given))

    def _failed(self, error: BaseException) -> EvidenceAnswer:
        return self._told(no_evidence(error))

    def _patience(self) -> float:
        return patience(self._settings, self._adapter, self._adapter.evidence)

    def _told(self, evidence: Evidence) -> EvidenceAnswer:
        return EvidenceAnswer(evidence, self._since, *evidence_of(self.broker), self.broker.digests if self.broker else {})


def tells(adapter: type[Broker]) -> bool:
    """Whether an adapter tells of what happened, and not only of what is held."""
    return not TELLING.isdisjoint(adapter.capabilities)


def _together(digests: Sequence[str]) -> str | None:
    """One sha256 of all that came: its own where it is one, else of the others' in their order."""
    if len(digests) > 1:
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()
    return digests[0] if digests else None


def patience(settings: BrokerSettings, adapter: type[Broker], asked: Callable[..., object]) -> float:
    """Within how many seconds a broker is to have answered; ``asked`` is the adapter's method."""
    if settings.deadline_seconds is not None:
        return float(settings.deadline_seconds)
    return adapter.deadline_seconds if inspect.iscoroutinefunction(asked) else DEADLINE_SECONDS


def evidence_of(broker: Broker | None) -> tuple[tuple[Received, ...], tuple[Document, ...]]:
    """What an adapter got, from the network and from files; nothing where it was never asked."""
    if broker is None:
        return (), ()
    return tuple(broker.http.received) if broker.asked_network else (), tuple(broker.read)


def recording_of(answer: BrokerAnswer, *, at: datetime, as_of: datetime | None) -> Recording:
    """All that one broker answered, as a recording; of files that the engine reads itself, too. Raises BrokerError for those."""
    documents = list(answer.documents)
    relation = answer.feed.relation
    for name in (relation.origins or relation.files) if relation is not None else ():
        documents += read_documents(name, Path(), None, most_bytes=MOST_RECORDED)
    return Recording(answer.settings.adapter, at, as_of, answer.settings.options, answer.received, tuple(documents))


def awaited(broker: Broker, answer: _Returned | Awaitable[_Returned]) -> _Returned:
    """What an adapter's method returns, once it is there."""
    if not inspect.isawaitable(answer):
        return answer
    from recon_core.http.loop import run

    async def of_it() -> _Returned:
        async with broker.http:
            return await answer

    return run(of_it())


def asked_accounts(settings: BrokerSettings) -> tuple[str, ...]:
    """The accounts that the book expects, as the broker names them."""
    theirs = {ours: name for name, ours in settings.accounts.items()}
    return tuple(theirs.get(name, name) for name in settings.expect_accounts) or tuple(settings.accounts)


def _bare_day(answer: object) -> date | None:
    """The day of a feed that names no time."""
    return answer.as_of.date() if isinstance(answer, Feed) and answer.as_of is not None and answer.date_only else None


def checked(answer: object) -> Feed:
    """What an adapter returned, its time in UTC; a FAILED feed where it is none."""
    if not isinstance(answer, Feed):
        return Feed.unavailable(FeedStatus.FAILED, f"the adapter returned {type(answer).__name__}, not a Feed")
    as_of = answer.as_of and answer.as_of.astimezone(UTC)
    return answer.but(as_of=as_of, reason=redacted(answer.reason), notes=tuple(map(redacted, answer.notes)))


def checked_evidence(answer: object) -> Evidence:
    """What an adapter returned, evidence of nothing where it is none. No secret is in what it says of itself."""
    if not isinstance(answer, Evidence):
        return Evidence(complete=False, reason=f"the adapter returned {type(answer).__name__}, not Evidence")
    for name, kind in (("fills", Fill), ("movements", Movement), ("corporate_actions", CorporateAction)):
        wrong = next((row for row in getattr(answer, name) if not isinstance(row, kind)), None)
        if wrong is not None:
            return Evidence(complete=False, reason=f"the adapter returned {name} of which one is a {type(wrong).__name__}")
    return replace(answer, reason=redacted(answer.reason), notes=tuple(map(redacted, answer.notes)))


def no_evidence(error: BaseException) -> Evidence:
    """The evidence of an adapter that raised ``error``: nothing, and why."""
    return Evidence(complete=False, reason=unavailable(error).reason)


def unavailable(error: BaseException) -> Feed:
    """The feed of an adapter that raised ``error``."""
    try:
        said = redacted(str(error).encode("utf-8", "backslashreplace").decode())
    except Exception:  # an exception that cannot even be printed
        said = "(no message)"
    if isinstance(error, NotReadyError):
        return Feed.unavailable(FeedStatus.NOT_READY, said)
    if isinstance(error, IncompleteError):
        return Feed.partial((), reason=said)
    if isinstance(error, BrokerError):
        return Feed.unavailable(FeedStatus.FAILED, said)
    return Feed.unavailable(FeedStatus.FAILED, f"the adapter raised {type(error).__name__}: {said}")
