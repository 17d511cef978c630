"""A folder, a pipe or a device where a file is due: no run waits for it, and none takes it for a file that is merely late."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from deployment import Deployment, assert_nothing_ugly, book_row, feed_row

KINDS = {"pipe": os.mkfifo, "folder": Path.mkdir, "device": lambda path: path.symlink_to("/dev/zero")}


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    made = Deployment(tmp_path)
    made.book([book_row("AAPL", "100")])
    made.feed([feed_row("AAPL", "100")])
    made.policy((Path(__file__).parent.parent / "policies.yaml").read_text(encoding="utf-8"))
    return made


def replaced(deployment: Deployment, name: str, kind: str) -> None:
    """Put something of another kind where the file ``name`` is, or is due."""
    (deployment.folder / name).unlink(missing_ok=True)
    KINDS[kind](deployment.folder / name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["recon.yaml", "policies.yaml", "book.csv"])
def test_what_a_run_needs_must_be_a_file(deployment: Deployment, name: str, kind: str) -> None:
    replaced(deployment, name, kind)
    done = deployment.run()
    assert done.returncode in (2, 3)
    assert name in done.stderr
    assert f"cannot be read: it is a {kind}, and a file is due" in done.stderr
    assert_nothing_ugly(done)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["feed.csv", "feed-{date:%Y-%m-%d}.csv"])
def test_a_statement_that_is_no_file_has_failed_and_is_not_merely_late(deployment: Deployment, name: str, kind: str) -> None:
    deployment.write("feed-2026-11-19.csv", (deployment.folder / "feed.csv").read_text(encoding="utf-8"))
    deployment.write("recon.yaml", (deployment.folder / "recon.yaml").read_text(encoding="utf-8").replace("feed.csv", f'"{name}"'))
    replaced(deployment, name.replace("{date:%Y-%m-%d}", "2026-11-20"), kind)
    feed = deployment.report()["feeds"][0]
    assert feed["status"] == "FAILED"
    assert f"it is a {kind}, and a file is due" in feed["reason"]


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_rates_secrets_drop_ins_and_history_must_be_files(deployment: Deployment, kind: str) -> None:
    plain = (deployment.folder / "recon.yaml").read_text(encoding="utf-8")
    secret = "  alpaca: {adapter: alpaca, secrets: {key_id: file:key, secret_key: file:key}}\n"
    (deployment.folder / "drop_ins" / "rules").mkdir(parents=True)
    for folder in ("drop_ins", "drop_ins/rules"):
        (deployment.folder / folder).chmod(0o755)
    (deployment.folder / ".state").mkdir()
    for name, config, code in (
        ("fx.csv", plain + "fx: {file: fx.csv}\n", 2),
        ("key", plain + secret, 2),
        ("drop_ins/rules/odd.py", plain + "plugins: {drop_ins: drop_ins}\n", 2),
        (".state/eod_recon_breaks.json", plain, 0),  # kept beside, and written anew
    ):
        deployment.write("recon.yaml", config)
        replaced(deployment, name, kind)
        done = deployment.run()
        assert done.returncode == code, (name, done.stderr)
        assert f"it is a {kind}, and a file is due" in done.stderr
        if code:
            assert_nothing_ugly(done)
