"""A disk that is full, or gets full on the way: the state on a file system of its own, with so much room left and no more."""

import os

from mounts import need_root, tmpfs
from scenes import Done, judge, look, run

ROOM = [kib << 10 for kib in (0, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 320, 384, 512, 640, 768, 1024)]


def test_a_disk_that_gets_full_at_any_point_loses_nothing(scene, tmp_path, picked, tell):
    need_root()
    scene.make(tmp_path / "made")
    before = look(tmp_path / "made")
    chosen, told = picked(ROOM), 0
    for room in chosen:
        folder = tmp_path / f"room-{room}"
        with tmpfs(folder, megabytes=8):
            scene.copy(tmp_path / "made", folder / "deployment")
            filler = folder / "filler"
            free = os.statvfs(folder)
            filler.write_bytes(b"\0" * max(free.f_bavail * free.f_bsize - room, 0))
            done = run(folder / "deployment", *scene.command, TMPDIR=str(tmp_path))
            filler.unlink()
            found = Done(done.returncode, done.stdout, done.stderr, fault=f"{room} bytes left on the disk")
            judge(scene, folder / "deployment", before, found)
        told += not scene.succeeded(found)
    tell(f"{len(chosen)} disks with {chosen[0]} to {chosen[-1]} bytes left: {told} ended the command, nothing was lost on any")
    assert told < len(chosen)
