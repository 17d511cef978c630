"""The conformance kit: an adapter against its own recorded answers, undistorted, under every fault and as hostile feeds."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from recon_core.brokers import Broker
from recon_core.errors import ConfigError
from recon_core.recording import Recording, read_recording
from recon_core.regular_file import read_regular
from recon_core.strict_json import read_json
from recon_core.testing.fault_server import Exchange
from recon_core.testing.judgement import judging
from recon_core.testing.loopback_only import loopback_only
from recon_core.testing.reading import Setting, Told
from recon_core.testing.trials import Trial, Trials, leak

DEADLINE_SECONDS = 2.0
SECRETS = "secrets.json"


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
    key, say); never real ones, for trials repeat them. A file ``secrets.json`` beside the
    recording may hold them. ``only`` are the trials to make, by how their names begin; empty is all. Addresses among the options
    are turned to a server on loopback, and nothing else can be asked meanwhile.

    What passes is a feed that no run would believe, or an error of ``recon_core.errors``, or, where a trial cannot change what is
    held, the undistorted feed; in time, and without a secret in anything said.
    """
    recorded = recording if isinstance(recording, Recording) else read_recording(recording)
    told = told_of(recorded)
    canaries = {name: f"canary-{name}-5e1f0c9a" for name in (*adapter.secrets, *adapter.optional_secrets)}
    setting = Setting(
        adapter=adapter,
        options={**recorded.options, **(options or {})},
        secrets=canaries | _made_up(recording) | dict(secrets or {}),
        at=recorded.at,
        as_of=recorded.as_of,
        deadline_seconds=deadline_seconds,
    )
    with loopback_only(), _recorded_output() as output, judging(adapter, recorded.at) as judge:
        trials = list(Trials(setting, told, judge, tuple(only) or ("",)).run())
    leaked = leak(output.getvalue(), setting)
    what = (
        "nothing secret printed",
        "Searches all that was printed and logged during the trials.",
        "What is printed is kept in logs.",
    )
    trials.append(Trial(*what, "failed" if leaked else "passed", leaked))
    return Conformance(adapter.name, tuple(trials))


def told_of(recorded: Recording) -> Told:
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
def _recorded_output() -> Iterator[io.StringIO]:
    """All that is printed and logged meanwhile, by whichever thread."""
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    root = logging.getLogger()
    level, others = root.level, list(root.handlers)
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG)
    try:
        with redirect_stdout(output), redirect_stderr(output):
            yield output
    finally:
        root.handlers[:] = others
        root.setLevel(level)
