"""Files that cannot grow beyond a size: the write that reaches it is short, and the next one fails."""

from scenes import Done, Reconciling, judge, look, run

SIZES = 400


def test_writes_that_are_cut_short_at_any_size_are_told(tmp_path, picked, tell):
    scene = Reconciling()
    scene.make(tmp_path / "made")
    before = look(tmp_path / "made")
    whole = scene.copy(tmp_path / "made", tmp_path / "whole")
    run(whole, *scene.command)
    largest = max(path.stat().st_size for path in (whole / ".state").rglob("*") if path.is_file())
    sizes = [place * (largest + 4096) // (SIZES - 1) for place in range(SIZES)]
    told = 0
    chosen = picked(sizes)
    for size in chosen:
        folder = scene.copy(tmp_path / "made", tmp_path / f"size-{size}")
        done = run(folder, *scene.command, limit=size)
        found = Done(done.returncode, done.stdout, done.stderr, fault=f"no file beyond {size} bytes")
        judge(scene, folder, before, found)
        told += not scene.succeeded(found)
    tell(
        f"{len(chosen)} sizes from {chosen[0]} to {chosen[-1]} bytes: {told} ended the run, {len(chosen) - told} were large enough"
    )
    assert told
    assert told < len(chosen)
