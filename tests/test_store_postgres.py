"""The store in a real PostgreSQL: the same as in SQLite, and what is of the server alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from canaries import PASSWORD
from deployment import Deployment, ago, book_row, feed_row
from services import postgres
from week import AAPL, MSFT, Week, age, feed

from recon_core import following, guard
from recon_core.errors import LockedError, StateError
from recon_core.state import audit
from recon_core.state.actor import Actor
from recon_core.state.history import faults
from recon_core.state.postgres import SCHEMA, hold_runs, open_postgres
from recon_core.state.schema import STEPS, VERSION
from recon_core.state.store import open_store

ANALYST = Actor("recon", "host-1", "ann")
NOWHERE = Path("/nowhere")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture
def url(server: str) -> str:
    with open_postgres(server) as database:
        database.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    return server.replace("postgresql:", "postgresql+psycopg:")


def test_a_break_lives_in_postgresql_as_it_does_in_sqlite(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECON_TEST_STORE", url)
    told = []
    for name, config in (("sqlite", ""), ("postgres", "store: env:RECON_TEST_STORE")):
        (tmp_path / name).mkdir()
        week = Week(tmp_path / name, config=config)
        first = week.day(16, feed(("AAPL", "90"), MSFT))
        story = [age(first)]
        found = first["discrepancies"][0]["id"]
        for arguments in (("assign", found, "--to", "ann"), ("note", found, "asked"), ("suppress", found, *_accepted())):
            assert week.command("breaks", *arguments).exit_code == 0
        story += [week.day(17, feed(("AAPL", "91"), MSFT))["suppressed_count"], week.listed()]
        story += [age(week.day(18, feed(("AAPL", "80"), MSFT))), week.day(19, None)["verdict"]]
        story += [week.day(20, feed(AAPL, MSFT))["verdict"], age(week.day(21, feed(MSFT))), week.listed()]
        shown = json.loads(week.command("breaks", "show", found, "--json").stdout)
        for entry in shown["notes"] + shown["suppressions"] + shown["episodes"]:
            entry.pop("at", None), entry.pop("ended_at", None), entry.pop("resolved_run", None)
        story.append(shown)
        verified = week.command("audit", "verify")
        assert verified.exit_code == 0, verified.output
        story.append(verified.output.partition(":")[0])
        told.append(story)
    assert told[0] == told[1]
    assert not (tmp_path / "postgres" / ".state" / "recon.sqlite").exists()
    assert (tmp_path / "postgres" / ".state" / "eod_recon_breaks.json").is_file()


def test_a_break_that_is_followed_in_bulk_lives_there_too(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECON_TEST_STORE", url)
    monkeypatch.setattr(following, "FOLLOWED", 1)
    week = Week(tmp_path, config="store: env:RECON_TEST_STORE")
    week.day(16, feed(("AAPL", "90"), ("MSFT", "49")))
    report = week.day(17, feed(("AAPL", "90"), ("MSFT", "49")))
    assert age(report, "AAPL") == age(report, "MSFT") == (1, "2026-11-16", 1)
    assert week.listed() == [("AAPL", "open", 1), ("MSFT", "open", 1)]
    assert week.day(18, feed(("AAPL", "90"), MSFT))["since_last"]["cleared_count"] == 1
    (gone,) = json.loads(week.command("breaks", "list", "--status", "resolved", "--json").stdout)
    assert week.command("breaks", "note", gone["id"], "seen").exit_code == 0


def _accepted() -> tuple[str, ...]:
    return ("--until", "2099-12-31", "--reason", "known", "--by", "risk")


def test_any_past_report_is_printed_byte_for_byte(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECON_TEST_STORE", url)
    week = Week(tmp_path, config="store: env:RECON_TEST_STORE")
    report = week.day(16, feed(("AAPL", "90"), MSFT))
    printed = week.command("report", report["run_id"], "--json").stdout
    assert printed == Path(report["outputs"]["report"]).read_text(encoding="utf-8")


def test_records_are_never_changed_or_deleted(url: str) -> None:
    with open_store(url, NOWHERE) as store:
        head = store.append("note", ANALYST, "first")
        for change in ("UPDATE audit SET body = 'x'", "DELETE FROM audit", "TRUNCATE audit CASCADE"):
            with pytest.raises(StateError, match="never changed"):
                store.database.execute(change)
        assert store.head() == head


def test_a_later_version_is_refused(url: str) -> None:
    with open_store(url, NOWHERE) as store:
        store.database.execute("UPDATE store SET version = ?", (VERSION + 1,))
    with pytest.raises(StateError, match="made by a later recon-core"), open_store(url, NOWHERE):
        pass


def test_a_migration_is_one_transaction(url: str) -> None:
    with open_postgres(url) as database, database.transaction():
        database.execute(f"CREATE SCHEMA {SCHEMA}")
        database.execute("CREATE TABLE store (version BIGINT NOT NULL, since TEXT NOT NULL)")
        for statement in (*STEPS[0], "CREATE TABLE notes (of_somebody_else TEXT)"):
            database.execute(statement.format(blob=database.blob, clustered=database.clustered))
        database.execute("INSERT INTO store VALUES (1, 'then')")
        audit.append(database, "note", ANALYST, "of version 1")
    with pytest.raises(StateError, match="notes"), open_store(url, NOWHERE):
        pass
    with open_postgres(url) as database:
        assert database.execute("SELECT version FROM store") == [(1,)]
        assert not database.has_table("episodes")
        database.execute("DROP TABLE notes")
    with open_store(url, NOWHERE) as store:
        assert store.head().seq == 1
        assert store.database.execute("SELECT version FROM store") == [(VERSION,)]


def test_writers_wait_for_one_another(url: str) -> None:
    def write(name: str) -> None:
        for _ in range(10):
            with open_store(url, NOWHERE) as store:
                store.append("note", ANALYST, name)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, "abcd"))
    with open_store(url, NOWHERE) as store:
        assert store.head().seq == 40
        assert list(audit.faults(store.database)) == faults(store.database) == []


def test_a_store_that_cannot_be_reached_is_damaged_state_without_its_password(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in (url.replace(PASSWORD, "canary-wrong"), "postgresql+psycopg://recon:canary-absent@127.0.0.1:9/x"):
        monkeypatch.setenv("RECON_TEST_STORE", wrong)
        with pytest.raises(StateError, match=r"postgresql://recon:\*\*\*@127.0.0.1") as refused:
            Week(tmp_path, config="store: env:RECON_TEST_STORE").day(16, feed(AAPL, MSFT))
        assert "canary" not in str(refused.value)
    assert not [path for path in (tmp_path / ".state").rglob("*") if path.name != "run.lock"]


def test_one_run_at_a_time_holds_the_lock_of_the_store(url: str) -> None:
    with hold_runs(url):
        with pytest.raises(LockedError) as error, hold_runs(url):
            pass
        assert f"another run holds the lock (process {os.getpid()} on {os.uname().nodename} since 20" in str(error.value)
        assert PASSWORD not in str(error.value)
    with hold_runs(url):
        pass


def test_runs_on_two_hosts_exclude_each_other(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECON_TEST_STORE", url)
    weeks = [
        Week(tmp_path / name, config="store: env:RECON_TEST_STORE") for name in ("one", "two") if (tmp_path / name).mkdir() is None
    ]
    with hold_runs(url), pytest.raises(LockedError):
        weeks[0].day(16, feed(AAPL, MSFT))
    assert weeks[0].day(16, feed(AAPL, MSFT))["verdict"] == "clean"
    assert weeks[1].day(17, feed(AAPL, MSFT))["verdict"] == "clean"


def test_a_lock_whose_connection_ended_is_free_and_its_holder_is_told(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with open_postgres(url) as other, hold_runs(url):
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        with hold_runs(url):
            pass
    assert "the connection ended that held the lock" in caplog.text


def test_a_store_that_cannot_be_asked_for_its_lock_keeps_no_run_from_halting(caplog: pytest.LogCaptureFixture) -> None:
    entered = False
    with hold_runs(f"postgresql://recon:{PASSWORD}@127.0.0.1:1/postgres"):
        entered = True
    assert entered
    assert "the store's lock was not taken" in caplog.text
    assert PASSWORD not in caplog.text


def test_the_guard_holds_a_permit_against_the_store(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECON_TEST_STORE", url)
    hosts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        hosts.append(Deployment(tmp_path / name))
        stamp = ago(minutes=1)
        hosts[-1].book([book_row("AAPL", "100", updated_at=stamp)])
        hosts[-1].feed([feed_row("AAPL", "100")])
        hosts[-1].config(as_of=stamp, broker="unchanged: accept", more="store: env:RECON_TEST_STORE")
    config = hosts[0].folder / "recon.yaml"
    assert "no permit" in guard(config).reason
    assert hosts[0].run().returncode == 0
    assert guard(config)
    assert hosts[0].command("guard", "--account", "MAIN").returncode == 0
    assert hosts[1].command("halt", "raise", "--reason", "prices look wrong", "--by", "ann").returncode == 0
    assert "not of the store's newest of this scope" in guard(config).reason, "a halt on another host is in the store"
    assert hosts[0].run().returncode == 0
    assert guard(config)


@pytest.mark.parametrize("wrong", ["password", "server"])
def test_the_guard_refuses_where_the_store_cannot_be_asked(
    wrong: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECON_TEST_STORE", url)
    deployment, stamp = Deployment(tmp_path), ago(minutes=1)
    deployment.book([book_row("AAPL", "100", updated_at=stamp)])
    deployment.feed([feed_row("AAPL", "100")])
    deployment.config(as_of=stamp, more="store: env:RECON_TEST_STORE")
    assert deployment.run().returncode == 0
    port = str(urlsplit(url).port)
    monkeypatch.setenv("RECON_TEST_STORE", url.replace(PASSWORD, "no-password") if wrong == "password" else url.replace(port, "1"))
    answer = guard(tmp_path / "recon.yaml")
    assert (bool(answer), answer.damaged) == (False, True)
    assert "postgresql://recon:***@127.0.0.1" in answer.reason
    assert deployment.command("guard").returncode == 5
