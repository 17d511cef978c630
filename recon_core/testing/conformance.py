"""The conformance kit: an adapter against its own recorded answers, undistorted, under every fault and as hostile feeds."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from recon_core.brokers import Broker
from recon_core.errors import BrokerError, ConfigError
from recon_core.recording import Recording, read_recording
from recon_core.regular_file import read_regular
from recon_core.scratch import scratch_folder
from recon_core.strict_json import read_json
from recon_core.testing import certificates
from recon_core.testing.fault import Fault
from recon_core.testing.fault_server import Exchange
from recon_core.testing.faults import FAULTS
from recon_core.testing.hostile_feeds import Hostile, hostile_answers, hostile_documents, never
from recon_core.testing.judgement import Judge, Judged, judging
from recon_core.testing.loopback_only import loopback_only
from recon_core.testing.memory import grown
from recon_core.testing.reading import GRACE_SECONDS, Reading, Setting, Told, read

DEADLINE_SECONDS = 2.0
AT_ONCE = 8
MOST_MEMORY = 100 * 1024 * 1024
SHORTEST_SECRET = 6
SECRETS = "secrets.json"

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


@dataclass(frozen=True, slots=True)
class Conformance:
    """All trials of one adapter."""

    adapter: str
    trials: tuple[Trial, ...]

    @property
    def ok(self) -> bool:
        """Whether no trial failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Trial, ...]:
        """Those that failed."""
        return tuple(trial for trial in self.trials if trial.outcome == "failed")

    def report(self) -> str:
        """What failed and why it matters, in plain text; then how many passed, and what could not be tried."""
        lines = []
        for trial in self.failed:
            lines += [
                f"FAILED  {trial.name}",
                f"        {trial.does}",
                f"        {trial.why}",
                f"        Why it matters: {trial.matters}",
            ]
        idle = [trial for trial in self.trials if trial.outcome == "not applicable"]
        reasons: dict[str, list[str]] = {}
        for trial in idle:
            reasons.setdefault(trial.why, []).append(trial.name)
        lines += [f"not applicable: {why}: {_some(names)}" for why, names in reasons.items()]
        passed = len(self.trials) - len(self.failed) - len(idle)
        lines.append(f"{self.adapter}: {passed} passed, {len(self.failed)} failed, {len(idle)} not applicable")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {"adapter": self.adapter, "ok": self.ok, "trials": [asdict(trial) for trial in self.trials]}


def broker_conformance(
    adapter: type[Broker],
    recording: Path | Recording,
    *,
    options: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] | None = None,
    deadline_seconds: float = DEADLINE_SECONDS,
    only: Sequence[str] = (),
) -> Conformance:
    """Try ``adapter`` against a recording of its broker: undistorted, under every fault that applies, and as hostile feeds.

    ``options`` add to those of the recording. ``secrets`` are made-up values where the adapter needs them in a form of its own (a
    key, say), or where it needs an optional one; never real ones, for trials repeat them. A file ``secrets.json`` beside the
    recording may hold them. ``only`` are the trials to make, by how their names begin; empty is all. Addresses among the options
    are turned to a server on loopback, and nothing else can be asked meanwhile.

    What passes is a feed that no run would believe, or an error of ``recon_core.errors``, or, where a trial cannot change what is
    held, the undistorted feed; in time, and without a secret in anything said.
    """
    recorded = recording if isinstance(recording, Recording) else read_recording(recording)
    told = _told(recorded)
    setting = Setting(
        adapter=adapter,
        options={**recorded.options, **(options or {})},
        secrets={**{name: f"canary-{name}-5e1f0c9a" for name in adapter.secrets}, **_made_up(recording), **(secrets or {})},
        at=recorded.at,
        as_of=recorded.as_of,
        deadline_seconds=deadline_seconds,
    )
    with loopback_only(), _recorded_output() as output, judging(adapter, recorded.at) as judge:
        trials = list(_Trials(setting, told, judge, tuple(only) or ("",)).run())
    leaked = _leaks(output.getvalue(), setting)
    what = (
        "nothing secret printed",
        "Searches all that was printed and logged during the trials.",
        "What is printed is kept in logs.",
    )
    trials.append(Trial(*what, "failed" if leaked else "passed", leaked))
    return Conformance(adapter.name, tuple(trials))


class _Trials:
    """The trials of one adapter, in the order of the report."""

    def __init__(self, setting: Setting, told: Told, judge: Judge, only: tuple[str, ...]) -> None:
        self._setting, self._told, self._judge, self._only = setting, told, judge, only

    def run(self) -> Iterator[Trial]:
        first, base = self._undistorted()
        yield first
        if base is None:
            return
        self._judge.base = base
        faults = [(fault, target) for turn, fault in enumerate(FAULTS.values()) for target in self._targets(fault, turn)]
        hostile = [
            *(hostile_answers(self._told, base, live=self._setting.adapter.live) if self._told.exchanges else ()),
            *hostile_documents(self._told, base),
        ]
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
            reading = read(self._setting, self._told, folder)
            why = _misconduct(reading, self._setting)
            if not why and reading.feed is None:
                why = reading.message() or f"it returned {reading.answered}, not a Feed"
                if missing := next((asked for asked in reading.asked if not asked.recorded), None):
                    why += f" (it asked {missing.method} {missing.path}, which the recording does not have)"
            judged = self._judge.judged(reading.feed) if reading.feed and not why else None
        if judged and not judged.complete:
            why = f"{judged.status}: {judged.reason}"
        elif judged and not judged.rows:
            why = "COMPLETE without positions: record an account that holds some"
        return Trial(*what, "failed" if why else "passed", why, round(reading.seconds, 3)), None if why else judged

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

    def _of_fault(self, fault: Fault, target: int | None) -> _Plan:
        name = fault.name
        if target is None:
            reasons = {fault.applies(self._told.exchanges, place) for place in range(len(self._told.exchanges))}
            return _Plan(name, fault.does, fault.matters, self._told, never, skipped="; ".join(sorted(reasons)))
        exchange = self._told.exchanges[target]
        if fault.over_tls and not certificates.available():
            return _Plan(name, fault.does, fault.matters, self._told, never, skipped=certificates.MISSING)
        if len(self._told.exchanges) > 1 and fault.listens and not fault.greets and not fault.over_tls:
            name += f" at {exchange.method} {exchange.path}" + (f" ({target + 1})" if target else "")
        expects = _equal if fault.believable or fault.control else never
        told = replace(self._told, fault=fault, target=target)
        return _Plan(name, fault.does, fault.matters, told, expects, control=fault.control, heavy=fault.heavy)

    def _of_hostile(self, hostile: Hostile) -> _Plan:
        return _Plan(hostile.name, hostile.does, hostile.matters, hostile.told, hostile.expects, skipped=hostile.skipped)

    def _together(self, plans: Sequence[_Plan]) -> Iterator[Trial]:
        """The trials of these plans, several at once, for most of them wait; in their order."""
        with ThreadPoolExecutor(AT_ONCE) as pool, _folder() as folder:
            asked = {}
            for number, plan in enumerate(plans):
                if not plan.skipped:
                    (folder / str(number)).mkdir()
                    asked[pool.submit(_measured, self._setting, plan, folder / str(number))] = number
            done = {asked[future]: self._trial(plans[asked[future]], *future.result()) for future in as_completed(asked)}
        for number, plan in enumerate(plans):
            skipped = Trial(plan.name, plan.does, plan.matters, "not applicable", plan.skipped)
            yield done.get(number, skipped)

    def _trial(self, plan: _Plan, reading: Reading, memory: int) -> Trial:
        why = f"memory grew by {memory // 1024**2} MB" if memory > MOST_MEMORY else ""
        why = why or _misconduct(reading, self._setting) or self._wrong(plan, reading)
        return Trial(plan.name, plan.does, plan.matters, "failed" if why else "passed", why, round(reading.seconds, 3))

    def _wrong(self, plan: _Plan, reading: Reading) -> str:
        base = self._judge.base
        assert base is not None  # noqa: S101  # the undistorted reading comes first
        if reading.feed is None:
            return f"no fault at all, and it said {reading.message()}" if plan.control else ""
        judged = self._judge.judged(reading.feed, self._setting.at + plan.told.clock_ahead)
        if not judged.complete:
            return f"no fault at all, and the feed is {judged.status}: {judged.reason}" if plan.control else ""
        return plan.expects(judged, base)


@dataclass(frozen=True, slots=True)
class _Plan:
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
    return "" if found.stated() == base.stated() else "COMPLETE, and not what it is without the fault"


def _measured(setting: Setting, plan: _Plan, folder: Path) -> tuple[Reading, int]:
    """A reading, and by how many bytes the process grew at the most meanwhile; 0 where that is not measured."""
    if not plan.heavy:
        return read(setting, plan.told, folder), 0
    with grown() as growth:
        reading = read(setting, plan.told, folder)
    return reading, growth()


def _misconduct(reading: Reading, setting: Setting) -> str:
    """What an adapter may never do, whatever it is told."""
    if leaked := _leaks(reading.said(), setting):
        return leaked
    if reading.late:
        most = setting.deadline_seconds + GRACE_SECONDS
        return f"it had not ended {most:g} s after it was asked, with a deadline of {setting.deadline_seconds:g} s"
    if reading.strayed:
        return f"it followed to another host and asked {reading.strayed[0].path} there, with its keys"
    if writes := [asked for asked in reading.asked if not asked.recorded and asked.method not in ("GET", "HEAD")]:
        return f"it sent {writes[0].method} {writes[0].path}: an adapter reads, and this was not recorded"
    if reading.answered:
        return f"it returned {reading.answered}, not a Feed"
    if reading.error is not None and not isinstance(reading.error, BrokerError):
        return f"it raised {reading.message()}: raise an error of recon_core.errors, which says what a person can do"
    return ""


def _leaks(text: str, setting: Setting) -> str:
    """Which secret a text holds, if any."""
    found = [name for name, value in setting.secrets.items() if len(value) >= SHORTEST_SECRET and value in text]
    return f"the secret {found[0]} stands in what it said" if found else ""


def _told(recorded: Recording) -> Told:
    """The recording as it is served and laid out."""
    exchanges = [
        Exchange(
            url=each.url.partition("?")[0],
            body=each.raw,
            method=each.method,
            params={**dict(parse_qsl(urlsplit(each.url).query, keep_blank_values=True)), **each.params},
            status=each.status,
            headers=dict(each.headers),
        )
        for each in recorded.exchanges
    ]
    documents = {document.name: document.raw for document in recorded.documents}
    return Told(exchanges, documents, {document.name: document.modified for document in recorded.documents})


def _made_up(recording: Path | Recording) -> dict[str, str]:
    """The secrets that lie beside a recording, made up for it."""
    if isinstance(recording, Recording) or not (recording / SECRETS).exists():
        return {}
    place = recording / SECRETS
    written = read_json(read_regular(place), str(place))
    if not isinstance(written, dict) or not all(isinstance(value, str) for value in written.values()):
        raise ConfigError(f"{place}: an object of names and texts is due")
    return written


def _some(names: Iterable[str]) -> str:
    listed = list(dict.fromkeys(names))
    return ", ".join(listed[:6]) + (f" and {len(listed) - 6} more" if len(listed) > 6 else "")


@contextmanager
def _folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="conformance-", dir=scratch_folder(), ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def _recorded_output() -> Iterator[io.StringIO]:
    """All that is printed and logged meanwhile, by whichever thread."""
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with redirect_stdout(output), redirect_stderr(output):
            yield output
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
