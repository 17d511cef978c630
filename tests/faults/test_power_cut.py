"""The power goes the moment a command has said that it is done, or in its middle: nothing that was said is lost."""

import shutil
import subprocess
from functools import partial

import pytest
from injection import attempts, changing_calls, inject, need_strace
from mounts import Disk, need_root
from scenes import Done, judge, look, started

MIDDLE = 25


def after_power_cut(scene, tmp_path, made, name, command):
    """What the scene's command said, and the folder as it is on the disk after a power cut at once; ``command`` runs it."""
    disk = Disk(tmp_path / f"{name}.image", tmp_path / name)
    with disk.plugged() as place:
        folder = scene.copy(made, place / "deployment")
        subprocess.run(["sync", "-f", str(place)], check=True)
        done = command(folder)
        disk.cut()
    with disk.plugged() as place:
        return done, shutil.copytree(place / "deployment", tmp_path / f"{name}.after")


def plainly(scene, tmp_path, *before):
    def command(folder):
        done = started(folder, *scene.command, before=before, TMPDIR=str(tmp_path))
        return Done(done.returncode, done.stdout, done.stderr, fault="a power cut at its end")

    return command


def test_what_a_command_said_is_there_after_a_power_cut(scene, tmp_path, tell):
    need_root()
    scene.make(tmp_path / "made")
    done, folder = after_power_cut(scene, tmp_path, tmp_path / "made", "disk", plainly(scene, tmp_path))
    assert scene.succeeded(done), done.err
    judge(scene, folder, look(tmp_path / "made"), done)
    tell("1 power cut after its last word: all that it said is there")


def test_without_syncs_the_same_power_cut_does_lose_it(scene, tmp_path, tell):
    need_root()
    if shutil.which("eatmydata") is None:
        pytest.skip("eatmydata is not installed (make services)")
    scene.make(tmp_path / "made")
    before = look(tmp_path / "made")
    lost = []
    for attempt in range(3):  # whoever else calls sync() on the machine may save it
        command = plainly(scene, tmp_path, "eatmydata")
        done, folder = after_power_cut(scene, tmp_path, tmp_path / "made", f"disk-{attempt}", command)
        assert scene.succeeded(done), done.err
        try:
            judge(scene, folder, before, done, again=False)
        except AssertionError as error:
            lost.append(error)
            break
    assert lost
    tell("1 power cut under eatmydata: lost, so that the test without it proves something")


def test_a_power_cut_in_the_middle_leaves_a_state_that_can_be_read(scene, tmp_path, picked, tell):
    need_root()
    need_strace()
    scene.make(tmp_path / "made")
    before = look(tmp_path / "made")
    calls = changing_calls(scene, scene.copy(tmp_path / "made", tmp_path / "traced"))
    spread = [calls[round(place * (len(calls) - 1) / (MIDDLE - 1))] for place in range(MIDDLE)]
    chosen, hit = picked(spread, 2), 0
    for number, call in enumerate(chosen):
        for attempt, place in enumerate(attempts(scene, tmp_path / "made", tmp_path / f"cut-{number}", call)):
            killed = partial(inject, scene, call=place, fault="signal=KILL")
            done, folder = after_power_cut(scene, tmp_path, tmp_path / "made", f"disk-{number}-{attempt}", killed)
            if done is not None:
                done.fault += ", and a power cut then"
                judge(scene, folder, before, done)
                hit += 1
                break
    tell(f"{hit} of {len(chosen)} power cuts came at a change of the state; every invariant held in each")
    assert hit == len(chosen)
