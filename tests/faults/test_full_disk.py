"""A disk that is full, or gets full on the way: the state on a file system of its own, with so much room left and no more."""

import hashlib
import os

import pytest
from deployment import Deployment, book_row, feed_row
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


@pytest.fixture
def large(tmp_path):
    """Book and statement of more rows than its memory holds: what does not fit goes to ``spill``."""
    made = Deployment(tmp_path)
    symbols = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(150_000)]
    made.book([book_row(symbol, "5") for symbol in symbols])
    made.feed([feed_row(symbol, "5") for symbol in reversed(symbols)])
    made.config(more="limits: {memory: 40MB, threads: 2, temp_dir: spill}")
    return made


def test_a_run_spills_to_the_folder_that_is_named_and_without_room_there_it_decides_nothing(large):
    need_root()
    with tmpfs(large.folder / "spill", megabytes=1):
        done = large.run("--json")
        assert list((large.folder / "spill").iterdir()) == []
    assert done.returncode == 3, done.stderr
    assert done.stdout == ""
    assert "the temporary folder gave out, nothing was decided: " in done.stderr
    assert "limits.temp_dir" in done.stderr
    assert [entry.name for entry in (large.folder / ".state").iterdir()] == ["run.lock"]
    (large.folder / "spill").rmdir()
    with tmpfs(large.folder / "spill", megabytes=500):
        assert large.run().returncode == 0


def test_a_copy_that_does_not_fit_in_the_temporary_folder_is_no_fault_of_the_file(tmp_path):
    need_root()
    made = Deployment(tmp_path)
    made.book([book_row(f"SYMBOL{number:08}", "5") for number in range(50_000)])
    (tmp_path / "book.csv").write_text((tmp_path / "book.csv").read_text(), encoding="utf-16")
    made.write(
        "recon.yaml", (tmp_path / "recon.yaml").read_text().replace("{file: book.csv}", "{file: book.csv, encoding: utf-16}")
    )
    with tmpfs(tmp_path / "small", megabytes=1):
        done = made.run(TMPDIR=str(tmp_path / "small"))
    assert done.returncode == 3, done.stderr
    assert "the temporary folder gave out, nothing was decided: [Errno 28] No space left on device" in done.stderr
    assert [entry.name for entry in (tmp_path / ".state").iterdir()] == ["run.lock"]


def test_a_folder_for_spilling_that_is_not_there_is_named(tmp_path):
    made = Deployment(tmp_path)
    made.config(more="limits: {temp_dir: nowhere}")
    done = made.run()
    assert done.returncode == 3
    assert f"no temporary folder can be made in {tmp_path / 'nowhere'} (No such file or directory)" in done.stderr
    assert "limits.temp_dir" in done.stderr


def test_memory_that_gives_out_is_named(tmp_path):
    made = Deployment(tmp_path)
    made.config(more="limits: {memory: 1MB}")
    done = made.run()
    assert done.returncode == 3
    assert "out of memory: " in done.stderr
    assert "limits.memory" in done.stderr
