"""kill -9 at every system call that changes the state: the state is readable, old or new, and nothing acknowledged is lost."""

import pytest
from injection import attempts, changing_calls, changing_calls_from_the_start, inject, need_strace
from scenes import judge, look

LEAST = 25


@pytest.mark.case("J02")
def test_a_kill_at_any_change_of_the_state_loses_nothing(scene, tmp_path, picked, tell):
    need_strace()
    scene.make(tmp_path / "made")
    before = look(tmp_path / "made")
    calls = changing_calls(scene, scene.copy(tmp_path / "made", tmp_path / "traced"))
    assert len(calls) >= LEAST
    chosen, hit = picked(calls), 0
    for number, call in enumerate(chosen):
        for attempt, place in enumerate(attempts(scene, tmp_path / "made", tmp_path / f"kill-{number}", call)):
            folder = scene.copy(tmp_path / "made", tmp_path / f"kill-{number}-{attempt}")
            done = inject(scene, folder, place, "signal=KILL")
            if done is not None:
                judge(scene, folder, before, done)
                hit += 1
                break
    tell(f"{hit} of {len(chosen)} kills came at a change of the state ({len(calls)} changes in all); every invariant held in each")
    assert hit == len(chosen)


def test_a_command_that_is_forked_changes_the_state_as_one_that_is_started_does(scene, tmp_path):
    need_strace()
    scene.make(tmp_path / "made")
    forked = changing_calls(scene, scene.copy(tmp_path / "made", tmp_path / "forked"))
    started = changing_calls_from_the_start(scene, scene.copy(tmp_path / "made", tmp_path / "started"))
    assert names(forked) == names(started)


def names(calls):
    """What is called, without how often SQLite and DuckDB write: that differs by a few from time to time."""
    found = [call.name for call in calls]
    return [name for place, name in enumerate(found) if name != found[place - 1] or not place]
