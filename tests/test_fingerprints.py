"""What a run read is named by its sha256, and a file that changes on the way decides nothing."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deployment import Deployment, book_row, feed_row

from recon_core.errors import NoVerdictError
from recon_core.fingerprints import Fingerprint
from recon_core.run import Request, run


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_file_is_named_by_its_sha256_and_several_by_all_of_theirs(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"1" * (1 << 23) + b"2")
    other.write_bytes(b"")
    assert Fingerprint([str(one), str(tmp_path / "." / "one")]).sha256() == sha256(one.read_bytes())
    both = "\n".join(map(sha256, (one.read_bytes(), b""))).encode()
    assert Fingerprint([str(other), str(one)]).sha256() == sha256(both)
    assert Fingerprint(["no such file", str(tmp_path)]).sha256() is None


def written(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def gone(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


@pytest.mark.parametrize("change", [written, replaced, gone])
def test_a_file_that_is_not_what_it_was_has_no_fingerprint(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = tmp_path / "feed.csv"
    path.write_text("symbol,quantity\n", encoding="utf-8")
    for taken in (False, True):
        found = Fingerprint([str(path)])
        if taken:
            assert found.sha256()
        change(path)
        with pytest.raises(NoVerdictError, match=r"feed.csv was changed while it was read; nothing was decided"):
            found.sha256()
        path.write_text("symbol,quantity\n", encoding="utf-8")


@pytest.mark.parametrize("name", ["book.csv", "feed.csv"])
def test_a_run_whose_files_change_on_the_way_decides_nothing(tmp_path: Path, name: str) -> None:
    deployment = Deployment(tmp_path)
    deployment.book([book_row("AAPL", "100")])
    deployment.feed([feed_row("AAPL", "100")])
    asked = 0

    def clock() -> datetime:
        nonlocal asked
        asked += 1
        if asked == 2:  # the sides are known, and not yet read
            os.utime(tmp_path / name, (0, 0))
        return datetime(2026, 11, 20, 22, tzinfo=UTC)

    with pytest.raises(NoVerdictError, match=f"{name} was changed"):
        run(Request(tmp_path / "recon.yaml"), clock=clock)
    assert not (tmp_path / ".state" / "recon.sqlite").exists()
    assert not (tmp_path / ".state" / "HALT.json").exists()
    (tmp_path / "feed.csv").write_bytes((tmp_path / "feed.csv").read_text(encoding="utf-8").encode("utf-16"))
    deployment.config(options="encoding: utf-16")
    asked = 2
    report = run(Request(tmp_path / "recon.yaml"), clock=clock)
    assert report["feeds"][0]["sha256"] == sha256((tmp_path / "feed.csv").read_bytes())
    assert report["book"]["sha256"] == sha256((tmp_path / "book.csv").read_bytes())
