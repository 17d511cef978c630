"""Files that adapters read whole: which ones a pattern means, and what is refused."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest

from recon_core.documents import read_documents
from recon_core.errors import MalformedError, NotReadyError


def names(folder: Path, pattern: str, day: date | None = None) -> list[str]:
    return [document.name for document in read_documents(pattern, folder, day)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("s-20261119-1.fin", "s-20261120-1.fin", "s-20261120-2.fin", "s-2026112x-3.fin", "plain.fin"):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_a_plain_name_is_one_file(folder: Path) -> None:
    assert names(folder, "plain.fin") == ["plain.fin"]


def test_a_date_is_the_day_asked_for_or_the_newest(folder: Path) -> None:
    assert names(folder, "s-{date:%Y%m%d}-1.fin") == ["s-20261120-1.fin"]
    assert names(folder, "s-{date:%Y%m%d}-1.fin", date(2026, 11, 19)) == ["s-20261119-1.fin"]


def test_a_star_is_all_that_match(folder: Path) -> None:
    assert names(folder, "s-20261120-*.fin") == ["s-20261120-1.fin", "s-20261120-2.fin"]


def test_a_star_and_a_date_are_all_of_one_day(folder: Path) -> None:
    assert names(folder, "s-{date:%Y%m%d}-*.fin") == ["s-20261120-1.fin", "s-20261120-2.fin"]
    assert names(folder, "s-{date:%Y%m%d}-*.fin", date(2026, 11, 19)) == ["s-20261119-1.fin"]


@pytest.mark.parametrize("pattern", ["none.fin", "none-*.fin", "none-{date:%Y%m%d}.fin", "nowhere/x-{date:%Y%m%d}-*.fin"])
def test_a_file_that_is_not_there_is_not_ready(folder: Path, pattern: str) -> None:
    with pytest.raises(NotReadyError, match="it may not have been delivered yet"):
        names(folder, pattern)


def test_what_is_no_whole_file_is_refused(folder: Path) -> None:
    (folder / "empty.fin").touch()
    os.mkfifo(folder / "pipe.fin")
    (folder / "folder.fin").mkdir()
    for name, said in (("empty.fin", "0 bytes"), ("pipe.fin", "pipe"), ("folder.fin", "folder"), ("{date:%Q}*.fin", "date format")):
        with pytest.raises(MalformedError, match=said):
            names(folder, name)
    with pytest.raises(MalformedError, match="larger than the limit of 4 bytes"):
        read_documents("plain.fin", folder, None, most_bytes=4)
