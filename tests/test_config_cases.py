"""Every file of tests/cases/config is refused with the message that its first line expects."""

from pathlib import Path

import pytest
from config_samples import CASES, complaint

BAD_FILES = sorted((CASES / "config").glob("*.yaml"))


@pytest.mark.parametrize("path", BAD_FILES, ids=lambda path: path.stem)
def test_bad_file_is_refused_with_exactly_the_message_it_expects(path, tmp_path):
    data = path.read_bytes()
    expected = data.split(b"\n", 1)[0].decode().removeprefix("# expect: ")
    assert complaint(path.stem, data, tmp_path).partition("\n")[0] == expected


@pytest.mark.parametrize("path", BAD_FILES, ids=lambda path: path.stem)
def test_one_mistake_is_reported_once(path, tmp_path):
    said = complaint(path.stem, path.read_bytes(), tmp_path)
    heads = [line for line in said.split("\n") if line.startswith(("policies.yaml:", "recon.yaml:"))]
    assert len(heads) == 1, said


@pytest.mark.parametrize("path", [path for path in BAD_FILES if b"hunter2" in path.read_bytes()], ids=lambda path: path.stem)
def test_no_message_shows_a_secret(path, tmp_path):
    assert "hunter2" not in complaint(path.stem, path.read_bytes(), tmp_path)


@pytest.mark.case("J06")
def test_an_unknown_policy_key_is_refused():
    assert {path.stem for path in BAD_FILES} >= {
        "policy-unknown-top-level-key",
        "policy-unknown-key-in-rule",
        "policy-unknown-rule",
    }


def test_the_catalogue_is_as_large_as_promised():
    assert len(BAD_FILES) >= 60
    assert all(path.read_bytes().startswith(b"# expect: ") for path in BAD_FILES), "each names its message on its first line"
    assert {Path(path).name.partition("-")[0] for path in BAD_FILES} == {"policy", "config"}
