"""The trials of one adapter: each a reading under a fault or of a hostile feed, and what may be made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from recon_core.errors import BrokerError
from recon_core.scratch import scratch_folder
from recon_core.testing import certificates
from recon_core.testing.fault import Fault
from recon_core.testing.fault_server import Exchange, pages
from recon_core.testing.faults import FAULTS
from recon_core.testing.hostile_feeds import Hostile, hostile_feeds, never, wrong_signs
from recon_core.testing.judgement import Judge, Judged
from recon_core.testing.memory import grown
from recon_core.testing.reading import GRACE_SECONDS, Reading, Setting, Told, read

AT_ONCE = 8
MOST_MEMORY = 100 * 1024 * 1024
SHORTEST_SECRET = 6
UNHURRIED_SECONDS = 30.0
"""The deadline where nothing is distorted: what is tried there is not how long it takes."""
ALONE = 2
"""How often a trial that was late is made again, alone."""
MOST_LATE = 3
"""After how many that were late even so no more are made again."""

Outcome = Literal["passed", "failed", "not applicable"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial: what was done to the answers, why it matters, and what came of it; ``why`` is empty where it passed."""

    name: str
    does: str
    matters: str
    outcome: Outcome
    why: str = ""
    seconds: float = 0.0


class Trials:
    """The trials of one adapter, in the order of the report."""

    def __init__(self, setting: Setting, told: Told, judge: Judge, only: tuple[str, ...]) -> None:
        self._setting, self._told, self._judge, self._only = setting, told, judge, only
        self._late = 0
        self._unread: list[Exchange] = []

    def run(self) -> Iterator[Trial]:
        first, base = self._undistorted()
        yield first
        if base is None:
            return
        self._judge.base = base
        yield self._pages()
        yield self._signs(base)
        faults = [(fault, target) for turn, fault in enumerate(FAULTS.values()) for target in self._targets(fault, turn)]
        hostile = hostile_feeds(self._told, base, live=self._setting.adapter.live)
        plans = [*(self._of_fault(*each) for each in faults), *map(self._of_hostile, hostile)]
        plans = [plan for plan in plans if plan.name.startswith(self._only)]
        yield from self._together([plan for plan in plans if not plan.heavy])
        for plan in plans:
            if plan.heavy:  # one at a time, or whose memory is it?
                yield from self._together([plan])

    def _undistorted(self) -> tuple[Trial, Judged | None]:
        what = (
            "undistorted",
            "Gives the recorded answers as they are.",
            "An adapter that cannot read its own broker proves nothing.",
        )
        with _folder() as folder:
            plan = Plan(*what, self._told, never, control=True)
            reading, _ = self._again(plan, folder, *_measured(self._setting, plan, folder))
            self._give_time(plan, folder, reading)
            why = _misconduct(reading, self._setting)
            if not why and reading.feed is None:
                why = reading.message() or f"it returned {reading.answered}, not a Feed"
                if missing := next((asked for asked in reading.asked if not asked.recorded), None):
                    why += f" (it asked {missing.method} {missing.path}, which the recording does not have)"
            judged = self._judge.judged(reading.feed) if reading.feed and not why else None
        exchanges = self._told.exchanges
        served = {page for place in reading.served for page in (place, *pages(exchanges, place))}
        self._unread = [exchanges[place] for place in sorted(served - reading.served)]
        # What was not asked for positions (evidence, what is asked only where something is odd) is answered, and never distorted.
        asked, beside = ([each for place, each in enumerate(exchanges) if (place in served) is so] for so in (True, False))
        self._told = replace(self._told, exchanges=asked, beside=beside)
        if judged and not judged.complete:
            why = f"{judged.status}: {judged.reason}"
        elif judged and not judged.rows:
            why = "COMPLETE without positions: record an account that holds some"
        return Trial(*what, "failed" if why else "passed", why, round(reading.seconds, 3)), None if why else judged

    def _give_time(self, plan: Plan, folder: Path, reading: Reading) -> None:
        """A longer deadline for an adapter that takes its time, for it paces its questions: faults on the last are tried, too."""
        given = self._setting.deadline_seconds
        if reading.feed is not None and 2 * reading.seconds > given:  # the first loads libraries; a second tells
            seconds = _measured(self._setting, plan, folder)[0].seconds
            self._setting = replace(self._setting, deadline_seconds=max(given, 2 * seconds))

    def _pages(self) -> Trial:
        what = (
            "pages",
            "Looks which recorded pages were asked for.",
            "One page of several, read as all, makes the others look flat.",
        )
        left = next(iter(self._unread), None)
        why = left and f"it did not ask {left.method} {left.path} with {dict(left.params)}, which was recorded"
        return Trial(*what, "failed" if why else "passed", why or "")

    def _signs(self, base: Judged) -> Trial:
        what = (
            "signs",
            "Compares each position with what stands beside it: a minus, or a side.",
            "A short read as long doubles the loss.",
        )
        why = wrong_signs(self._told, base)
        return Trial(*what, "failed" if why else "passed", why)

    def _targets(self, fault: Fault, turn: int) -> list[int | None]:
        """Which answers a fault is done to: of each address the first and the last, or one of these. None: it does not apply."""
        exchanges = self._told.exchanges
        of_address: dict[tuple[str, str], list[int]] = {}
        for place, exchange in enumerate(exchanges):
            of_address.setdefault((exchange.method, exchange.path), []).append(place)
        if not fault.listens or fault.greets or fault.over_tls:
            return [0] if exchanges else []
        chosen = sorted({place for places in of_address.values() for place in (places[0], places[-1])})
        fitting = [place for place in chosen if not fault.applies(exchanges, place)]
        if not fitting:
            return [None] if exchanges else []
        return [*fitting] if fault.everywhere else [fitting[turn % len(fitting)]]

    def _of_fault(self, fault: Fault, target: int | None) -> Plan:
        name = fault.name
        if target is None:
            reasons = {fault.applies(self._told.exchanges, place) for place in range(len(self._told.exchanges))}
            return Plan(name, fault.does, fault.matters, self._told, never, skipped="; ".join(sorted(reasons)))
        exchange = self._told.exchanges[target]
        if fault.over_tls and not certificates.available():
            return Plan(name, fault.does, fault.matters, self._told, never, skipped=certificates.MISSING)
        if len(self._told.exchanges) > 1 and fault.listens and not fault.greets and not fault.over_tls:
            name += f" at {exchange.method} {exchange.path}" + (f" ({target + 1})" if target else "")
        expects = _equal if fault.believable or fault.control else _without_it
        told = replace(self._told, fault=fault, target=target)
        return Plan(name, fault.does, fault.matters, told, expects, control=fault.control, heavy=fault.heavy)

    def _of_hostile(self, hostile: Hostile) -> Plan:
        return Plan(hostile.name, hostile.does, hostile.matters, hostile.told, hostile.expects, skipped=hostile.skipped)

    def _together(self, plans: Sequence[Plan]) -> Iterator[Trial]:
        """The trials of these plans, several at once, for most of them wait; in their order."""
        with ThreadPoolExecutor(AT_ONCE) as pool, _folder() as folder:
            asked = {}
            for number, plan in enumerate(plans):
                if not plan.skipped:
                    (folder / str(number)).mkdir()
                    asked[pool.submit(_measured, self._setting, plan, folder / str(number))] = number
            readings = {asked[future]: future.result() for future in as_completed(asked)}
            done = {
                number: self._trial(plans[number], *self._again(plans[number], folder / str(number), *each))
                for number, each in sorted(readings.items())
            }
        for number, plan in enumerate(plans):
            skipped = Trial(plan.name, plan.does, plan.matters, "not applicable", plan.skipped)
            yield done.get(number, skipped)

    def _again(self, plan: Plan, folder: Path, reading: Reading, memory: int) -> tuple[Reading, int]:
        """The reading; where it was late, one that was made alone: a busy machine is no adapter's fault."""
        for _ in range(ALONE):
            if (reading.late or _unmet(plan.told, reading)) and self._late < MOST_LATE:
                reading, memory = _measured(self._setting, plan, folder)
        self._late += reading.late or _unmet(plan.told, reading)
        return reading, memory

    def _trial(self, plan: Plan, reading: Reading, memory: int) -> Trial:
        why = f"memory grew by {memory // 1024**2} MB" if memory > MOST_MEMORY else ""
        why = why or _misconduct(reading, self._setting)
        if not why and _unmet(plan.told, reading):
            why = f"it never asked for what is distorted, so nothing was tried: {reading.message()}"
        why = why or self._wrong(plan, reading)
        return Trial(plan.name, plan.does, plan.matters, "failed" if why else "passed", why, round(reading.seconds, 3))

    def _wrong(self, plan: Plan, reading: Reading) -> str:
        base = self._judge.base
        assert base is not None  # noqa: S101  # the undistorted reading comes first
        if reading.feed is None:
            return f"no fault at all, and it said {reading.message()}" if plan.control else ""
        judged = self._judge.judged(reading.feed, self._setting.at + plan.told.clock_ahead)
        if not judged.complete:
            return f"no fault at all, and the feed is {judged.status}: {judged.reason}" if plan.control else ""
        return plan.expects(judged, base)


@dataclass(frozen=True, slots=True)
class Plan:
    """One trial to be made: what the adapter is told, and what is expected of a feed that a run would believe."""

    name: str
    does: str
    matters: str
    told: Told
    expects: Callable[[Judged, Judged], str]
    skipped: str = ""
    control: bool = False
    heavy: bool = False


def _equal(found: Judged, base: Judged) -> str:
    if found.stated() == base.stated() or not _without_it(found, base):
        return ""
    return "COMPLETE, and not what it is without the fault"


def _without_it(found: Judged, base: Judged) -> str:
    """Why the feed may not be believed: unless it can do without the distorted answer, and a note says that it had to.

    An answer that only describes what is held (its name, its class) may be missing; one that proves it may not.
    """
    noted = set(found.feed.notes) - set(base.feed.notes)
    return "" if noted and found.proof() == base.proof() else never(found, base)


def _measured(setting: Setting, plan: Plan, folder: Path) -> tuple[Reading, int]:
    """A reading, and by how many bytes the process grew at the most meanwhile; 0 where that is not measured."""
    if plan.control:
        setting = replace(setting, deadline_seconds=UNHURRIED_SECONDS)
    if not plan.heavy:
        return read(setting, plan.told, folder), 0
    with grown() as growth:
        reading = read(setting, plan.told, folder)
    return reading, growth()


def _misconduct(reading: Reading, setting: Setting) -> str:
    """What an adapter may never do, whatever it is told."""
    if reading.crashed:
        return f"the kit itself failed, not the adapter: {reading.crashed}"
    if leaked := leak(reading.said(), setting):
        return leaked
    if reading.late:
        most = setting.deadline_seconds + GRACE_SECONDS
        return f"it had not ended {most:g} s after it was asked, with a deadline of {setting.deadline_seconds:g} s"
    if reading.strayed:
        return f"it followed to another host and asked {reading.strayed[0].path} there, with its keys"
    if writes := [asked for asked in reading.asked if not asked.recorded and asked.method not in ("GET", "HEAD", *reading.methods)]:
        return f"it sent {writes[0].method} {writes[0].path}: an adapter reads, and this was not recorded"
    if reading.answered:
        return f"it returned {reading.answered}, not a Feed"
    if reading.error is not None and not isinstance(reading.error, BrokerError):
        return f"it raised {reading.message()}: raise an error of recon_core.errors, which says what a person can do"
    return ""


def _unmet(told: Told, reading: Reading) -> bool:
    """Whether the adapter failed before it asked for what is distorted: nothing was tried then."""
    fault = told.fault
    answers = fault is not None and fault.listens and not fault.greets and not fault.over_tls
    return answers and reading.feed is None and told.target not in reading.served


def leak(text: str, setting: Setting) -> str:
    """Which secret a text holds, if any."""
    found = [name for name, value in setting.secrets.items() if len(value) >= SHORTEST_SECRET and value in text]
    return f"the secret {found[0]} stands in what it said" if found else ""


@contextmanager
def _folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="conformance-", dir=scratch_folder(), ignore_cleanup_errors=True) as folder:
        yield Path(folder)
