"""State files cut at every byte, and with single bits turned: no wrong verdict, no traceback, no halt lost."""

import json
import random
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import chain, islice

import pytest
from scenes import PERSON, deployed, run

from recon_core.errors import NotRecordedError, StateError
from recon_core.halting import raise_halts
from recon_core.permission import permitted
from recon_core.run import Request
from recon_core.run import run as reconciled
from recon_core.state import audit
from recon_core.state.history import NAME as HISTORY
from recon_core.state.history import faults as run_faults
from recon_core.state.history import write_history
from recon_core.state.latch import Halt, read_latch
from recon_core.state.permit import NAME as PERMIT
from recon_core.state.runs import report_text, runs
from recon_core.state.scope import FIRM
from recon_core.state.store import open_store

LATCH, STORE, LOCK = "HALT.json", "recon.sqlite", "run.lock"
FLIPS = 1000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A deployment with two clean runs, one of them after a halt that stands."""
    made = tmp_path_factory.mktemp("damage") / "made"
    deployed(made)
    assert run(made, "run").returncode == 0
    assert run(made, "halt", "raise", *PERSON).returncode == 0
    assert run(made, "run").returncode == 0
    return made


@pytest.fixture
def damaged(folder):
    """``damaged(name, data)`` puts ``data`` in place of a state file; all are put back at the end."""
    state = folder / ".state"
    kept = {path: path.read_bytes() for path in state.iterdir() if path.is_file()}

    def put(name, data):
        for path, content in kept.items():
            if path.name != name and (not path.exists() or path.read_bytes() != content):
                path.write_bytes(content)
        for path in [path for path in state.iterdir() if path.is_file() and path not in kept]:
            path.unlink()
        if (state / name).exists():
            (state / name).chmod(0o600)
        (state / name).write_bytes(data)

    yield put
    for path, content in kept.items():
        path.write_bytes(content)


def cuts(data, picked, sample=12):
    """``data`` cut at every byte, but for nothing cut off; one at a time, for all at once may be some gigabytes."""
    for place in picked(range(len(data)), sample):
        yield data[:place]


def flips(data, count, seed=1):
    """``data`` with one bit turned, each time another."""
    drawn = random.Random(seed)
    for _ in range(count):
        place, bit = drawn.randrange(len(data)), drawn.randrange(8)
        yield data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


def damages(path, picked, whole, sample=12):
    """What a state file becomes: cut, and with bits turned."""
    data = path.read_bytes()
    yield from cuts(data, picked, sample)
    yield from flips(data, FLIPS if whole else 25)


def allowed(folder):
    """What the guard says of the whole firm."""
    state = folder / ".state"
    with suppress(StateError):
        return bool(permitted(state, FIRM, now=datetime.now(UTC), store=partial(open_store, None, state, create=False)))
    return False


def test_a_damaged_latch_still_halts_and_a_halt_on_top_of_it_is_kept(folder, damaged, picked, whole, tell):
    made = 0
    for data in damages(folder / ".state" / LATCH, picked, whole):
        made += 1
        damaged(LATCH, data)
        assert read_latch(folder / ".state") is not None
        assert not allowed(folder)
        now = datetime.now(UTC)
        raise_halts(folder / ".state", [Halt(FIRM, ("another",), now, now, "tests")])
        reasons = [reason for halt in read_latch(folder / ".state").halts for reason in halt.reasons]
        assert "another" in reasons
        assert len(reasons) > 1
        assert not allowed(folder)
    tell(f"{made} damaged latches: trading was halted under each")


def test_a_damaged_permit_permits_nothing(folder, damaged, picked, whole, tell):
    assert run(folder, "halt", "lift", "--override", *PERSON).returncode == 0
    try:
        assert allowed(folder)
        path = folder / ".state" / PERMIT
        data = path.read_bytes()
        made = 0
        for each in damages(path, picked, whole):
            if each.rstrip() == data.rstrip():
                continue
            made += 1
            path.write_bytes(each)
            assert not allowed(folder)
        path.write_bytes(data)
        assert allowed(folder)
        tell(f"{made} damaged permits: trading was permitted under none")
    finally:
        assert run(folder, "halt", "raise", *PERSON).returncode == 0


def test_a_damaged_history_is_written_anew_or_refused(folder, damaged, picked, whole, tell):
    state = folder / ".state"
    refused, anew, runs_done = 0, 0, 0
    for number, data in enumerate(damages(state / HISTORY, picked, whole, 4)):
        damaged(HISTORY, data)
        try:
            if number % 20 == 0:  # the way that all go, from its very beginning
                report = reconciled(Request(folder / "recon.yaml"))
                assert report["verdict"] == "clean"
                runs_done += 1
            else:
                with open_store(None, state, create=False) as store:
                    write_history(state, store)
        except StateError:
            refused += 1
            continue
        with open_store(None, state, create=False) as store:
            recorded = [entry.run_id for entry in runs(store.database, limit=1000)]
        assert [entry["run_id"] for entry in json.loads((state / HISTORY).read_text())["runs"]] == recorded
        anew += 1
    tell(f"{refused + anew} damaged histories: {anew} were written anew ({runs_done} by a run), {refused} were refused")


def test_a_damaged_store_is_refused_or_says_what_it_said_before(folder, damaged, picked, whole, tell):
    path = folder / ".state" / STORE
    data = path.read_bytes()
    before = _contents(folder)
    told, same = 0, 0
    for each in chain(cuts(data, picked, 40), flips(data, FLIPS if whole else 60)):
        damaged(STORE, each)
        assert not allowed(folder)
        try:
            found = _contents(folder)
        except StateError:
            told += 1
            continue
        if not found[1]:  # an empty file is what a killed first run leaves; that it was more, the history knows
            with pytest.raises(StateError, match="the store was lost"):
                reconciled(Request(folder / "recon.yaml"))
        else:
            assert found == before or found[0], "what reads otherwise than before is found by audit verify"
        told, same = told + (found != before), same + (found == before)
    tell(f"{told + same} damaged stores: {told} were refused or found by audit verify, {same} lost nothing that is read")


def test_a_run_on_a_damaged_store_has_the_right_verdict_or_none(folder, damaged, picked, whole, tell):
    data = (folder / ".state" / STORE).read_bytes()
    refused, right = 0, 0
    cut = islice(cuts(data, picked, 4), None, None, 1000 if whole else 1)
    for each in chain(cut, flips(data, FLIPS if whole else 8, seed=2)):
        damaged(STORE, each)
        try:
            report = reconciled(Request(folder / "recon.yaml"))
        except StateError:
            refused += 1
            continue
        assert (report["verdict"], report["exit_code"], report["break_count"]) == ("clean", 0, 0)
        right += 1
    tell(f"{refused + right} runs on damaged stores: {refused} were refused (exit 5), {right} had the right verdict")


def test_a_damaged_run_lock_hinders_nobody(folder, damaged, tell):
    made = [b"", b"{", b"\0" * 4096, b"[" * 100_000, *flips(b'{"pid": 1, "host": "h", "since": "2026-11-23T21:00:00+00:00"}', 5)]
    for data in made:
        damaged(LOCK, data)
        assert reconciled(Request(folder / "recon.yaml"))["verdict"] == "clean"
    tell(f"{len(made)} damaged locks: every run went on")


def _contents(folder):
    """What audit verify finds, and everything that is read of the store. Raises StateError where it is refused."""
    with open_store(None, folder / ".state", create=False) as store:
        found = runs(store.database, limit=1000)
        return (
            [*audit.faults(store.database), *run_faults(store.database)],
            list(audit.records(store.database)),
            found,
            [_report(store, entry.run_id) for entry in found],
        )


def _report(store, run_id):
    with suppress(NotRecordedError):  # an index that no longer leads to its row
        return report_text(store.database, run_id)
