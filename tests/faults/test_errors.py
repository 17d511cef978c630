"""EIO, ENOSPC, EDQUOT, EACCES and EINTR at every system call that changes the state: none is swallowed.

A further scene of a command (its very first run, its lift by override) gets one of them at each call, in turn.
"""

from injection import attempts, changing_calls, inject, need_strace
from scenes import SAMPLED, judge, look

ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EACCES", "EINTR")


def test_an_error_at_any_change_of_the_state_is_told_or_made_good(scene, tmp_path, picked, tell):
    need_strace()
    scene.make(tmp_path / "made")
    before = look(tmp_path / "made")
    calls = changing_calls(scene, scene.copy(tmp_path / "made", tmp_path / "traced"))
    kinds = len(ERRORS) if scene.name in SAMPLED else 1
    faults = [
        (call, error, turn == 0) for place, call in enumerate(calls) for turn, error in enumerate(turned(ERRORS, place)[:kinds])
    ]
    chosen, hit, told = picked(faults), 0, 0
    for number, (call, error, again) in enumerate(chosen):
        for attempt, place in enumerate(attempts(scene, tmp_path / "made", tmp_path / f"error-{number}", call)):
            folder = scene.copy(tmp_path / "made", tmp_path / f"error-{number}-{attempt}")
            done = inject(scene, folder, place, f"error={error}")
            if done is not None:
                judge(scene, folder, before, done, again=again)
                hit, told = hit + 1, told + (not scene.succeeded(done))
                break
    tell(f"{hit} of {len(chosen)} errors came at a change of the state: {told} ended the command, {hit - told} were made good")
    assert hit == len(chosen)


def turned(things, places):
    """The same in another order, so that each is the first as often: at each call the command is tried again after one error."""
    return things[places % len(things) :] + things[: places % len(things)]
