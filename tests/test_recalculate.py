"""Profit and loss reckoned anew where the book was corrected: by a program or SQL, on record, and not twice without need."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from corrected import ALL, DELETE, PERSON, UPDATE, Corrected, copied, with_proposals

from recon_core.book.writable import PLACE
from recon_core.recalculation import bound
from recon_core.state import audit
from recon_core.state.store import open_store

CAT = "recalculate: {command: [sh, -c, 'cat > order.json; echo done for two desks'], deadline_seconds: 20}\n"
SQL = "recalculate: {sql: \"INSERT INTO reckoned VALUES (:symbol, :broker || '/' || :account, ':leg')\"}\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Corrected:
    """A book that was corrected in two positions of three."""
    desk = with_proposals(tmp_path_factory.mktemp("made"))
    assert desk.correct(UPDATE["id"], DELETE["id"], *PERSON).returncode == 0
    return desk


@pytest.fixture
def desk(made: Corrected, tmp_path: Path) -> Corrected:
    return copied(made, tmp_path)


def hooked(desk: Corrected, hook: str) -> None:
    """Add a hook to recon.yaml."""
    place = desk.folder / "recon.yaml"
    place.write_text(place.read_text() + hook)


def recorded(desk: Corrected) -> list[dict[str, Any]]:
    """What the audit records of recalculations hold."""
    with open_store(None, desk.folder / ".state") as store:
        return [record["after"] for record in audit.records(store.database) if record["kind"] == "recalculation"]


def test_without_a_hook_what_corrections_mean_in_money_is_printed_and_nothing_recorded(desk: Corrected) -> None:
    done = desk.command("recalculate")
    assert done.returncode == 0, done.stderr
    assert "prime/MAIN AAPL\n" in done.stdout
    assert f"{UPDATE['id']} update, applied " in done.stdout
    assert "P&L by average: realised 0, cash in lieu 0, fees 1.5, total -1.5 USD" in done.stdout
    assert done.stdout.endswith("together -3 USD\nprinted only: recon.yaml has no recalculate, so that nothing was done\n")
    assert recorded(desk) == []
    assert desk.command("recalculate").stdout == done.stdout


def test_a_program_gets_the_corrected_positions_and_what_it_says_is_on_record(desk: Corrected) -> None:
    hooked(desk, CAT)
    done = desk.command("recalculate", "--by", "ann")
    assert done.returncode == 0, done.stderr
    assert "reckoned anew by command: 2 positions: done for two desks\n" in done.stdout
    order = json.loads((desk.folder / "order.json").read_text())
    assert [(each["broker"], each["account"], each["symbol"], each["leg"]) for each in order["positions"]] == [
        ("prime", "MAIN", "AAPL", "NET"), ("prime", "MAIN", "OLD", "NET"),
    ]  # fmt: skip
    (correction,) = order["positions"][0]["corrections"]
    assert (correction["id"], correction["state"], correction["after"]["quantity"]) == (UPDATE["id"], "applied", "150")
    assert correction["pnl"]["total"] == "-1.5"
    (record,) = recorded(desk)
    assert (record["how"], record["done"], record["said"]) == ("command", True, "done for two desks")
    assert sorted(record["corrections"]) == sorted([UPDATE["id"], DELETE["id"]])
    assert desk.command("audit", "verify").returncode == 0


def test_what_was_done_is_not_done_again_unless_asked_for_or_taken_back(desk: Corrected) -> None:
    hooked(desk, CAT)
    assert desk.command("recalculate").returncode == 0
    assert desk.command("recalculate").stdout == "nothing was corrected since\n"
    assert "2 positions" in desk.command("recalculate", "--all").stdout
    assert desk.correct("--revert", UPDATE["id"], *PERSON).returncode == 0
    done = desk.command("recalculate", "--json")
    told = json.loads(done.stdout)
    (position,) = told["positions"]
    assert sorted((each["state"], each["reverts"]) for each in position["corrections"]) == [
        ("applied", UPDATE["id"]), ("reverted", None),
    ]  # fmt: skip
    assert told["totals"] == {}, "what was taken back means nothing in money"
    assert desk.command("recalculate").stdout == "nothing was corrected since\n"


@pytest.mark.parametrize("reverts", [1, 2, 3, 4])
def test_a_correction_that_stands_counts_once_whatever_was_taken_back(desk: Corrected, reverts: int) -> None:
    name = UPDATE["id"]
    for _ in range(reverts):
        assert desk.correct("--revert", name, *PERSON).returncode == 0
        name = desk.records()[-1]["after"]["reverted_by"]
    told = json.loads(desk.command("recalculate", "--json").stdout)
    assert told["totals"] == {"USD": "-1.5" if reverts % 2 else "-3"}
    page = desk.command("recalculate").stdout
    assert f"{UPDATE['id']} update, applied " in page
    assert page.count("total -1.5 USD") == (1 if reverts % 2 else 2)
    if reverts % 2 == 0:
        assert "P&L by average: realised 0, cash in lieu 0, fees 1.5, total -1.5 USD" in page[page.index(name) :]


def test_since_a_run_is_what_was_corrected_after_it(desk: Corrected) -> None:
    report = desk.propose(ALL)
    assert desk.command("recalculate", "--since", report["run_id"]).stdout == "nothing was corrected since\n"
    run_id = json.loads(desk.command("history", "--json").stdout)[0]["run_id"]
    assert "prime/MAIN AAPL" in desk.command("recalculate", "--since", run_id).stdout
    unknown = desk.command("recalculate", "--since", "nosuch")
    assert (unknown.returncode, unknown.stderr) == (2, "recon-core: no run nosuch is recorded: `recon-core history` lists them\n")


def test_a_program_that_fails_is_said_and_asked_again(desk: Corrected) -> None:
    hooked(desk, "recalculate: {command: [sh, -c, 'echo no prices; test -e ready']}\n")
    done = desk.command("recalculate")
    assert (done.returncode, done.stderr) == (3, "recon-core: recalculate: sh ended with 1: no prices\n")
    (record,) = recorded(desk)
    assert (record["done"], record["said"]) == (False, "recalculate: sh ended with 1: no prices")
    (desk.folder / "ready").touch()
    assert "2 positions" in desk.command("recalculate").stdout


def test_a_program_that_is_not_there_is_said(desk: Corrected) -> None:
    hooked(desk, "recalculate: {command: [./nosuch]}\n")
    done = desk.command("recalculate")
    assert (done.returncode, done.stderr) == (3, "recon-core: recalculate: ./nosuch cannot be started: No such file or directory\n")


def test_a_program_that_does_not_end_is_ended_with_what_it_started(desk: Corrected) -> None:
    hooked(desk, "recalculate: {command: [sh, -c, '(sleep 4; touch late) & echo waiting; wait'], deadline_seconds: 1}\n")
    done = desk.command("recalculate")
    assert (done.returncode, done.stderr) == (3, "recon-core: recalculate: sh did not end within 1 s and was ended: waiting\n")
    time.sleep(4)
    assert not (desk.folder / "late").exists()


def test_sql_runs_once_for_each_position_in_the_database_of_corrections(desk: Corrected) -> None:
    desk.sql("CREATE TABLE reckoned (symbol TEXT UNIQUE, place TEXT, leg TEXT)")
    hooked(desk, SQL)
    done = desk.command("recalculate")
    assert done.returncode == 0, done.stderr
    assert desk.sql("SELECT * FROM reckoned ORDER BY symbol") == [("AAPL", "prime/MAIN", ":leg"), ("OLD", "prime/MAIN", ":leg")]
    assert "reckoned anew by sql: 2 positions" in done.stdout
    assert "2 rows\n" in done.stdout


def test_sql_that_fails_for_one_position_is_undone_for_all(desk: Corrected) -> None:
    desk.sql("CREATE TABLE reckoned (symbol TEXT UNIQUE, place TEXT, leg TEXT)")
    desk.sql("INSERT INTO reckoned VALUES ('OLD', '', '')")
    hooked(desk, SQL)
    done = desk.command("recalculate")
    assert done.returncode == 3
    assert "UNIQUE constraint failed: reckoned.symbol; nothing was changed" in done.stderr
    assert desk.sql("SELECT symbol FROM reckoned") == [("OLD",)]
    assert [record["done"] for record in recorded(desk)] == [False]


@pytest.mark.parametrize(
    ("sql", "expected", "names"),
    [
        ("SELECT f(:broker, :account)", f"SELECT f({PLACE}, {PLACE})", ["broker", "account"]),
        ("SELECT :symbol::text, ':leg' -- :leg", f"SELECT {PLACE}::text, ':leg' -- :leg", ["symbol"]),
        ('SELECT ":leg", /* :leg */ :legs, x[1:2], :leg;', f'SELECT ":leg", /* :leg */ :legs, x[1:2], {PLACE}', ["leg"]),
    ],
)  # fmt: skip
def test_a_name_stands_for_its_value_outside_of_quotes_and_comments_alone(sql: str, expected: str, names: list[str]) -> None:
    assert bound(sql) == (expected, names)
