"""The book corrected by what a run proposes: one row, once, only while it is as it was reconciled, and taken back as it was."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from corrected import (
    ALL,
    DELETE,
    INSERT,
    LATER,
    PERSON,
    STAMP,
    UPDATE,
    Corrected,
    copied,
    ids,
    proposed,
    with_doubt,
    with_proposals,
)

from recon_core import applying, corrections, proposals
from recon_core.state.actor import current_actor

AAPL, MSFT, OLD = (
    ("AAPL", 100.0, 10, "USD", "momentum"), ("MSFT", 50.0, 20, "USD", "momentum"), ("OLD", 7.0, 5, "USD", "momentum")
)  # fmt: skip
AS_IT_WAS = [AAPL, MSFT, OLD]
TWO = "version: 1\nbase_currency: USD\nrules: {QUANTITY_MISMATCH: {}}\ncorrections: {two_person: true}\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Corrected:
    return with_proposals(tmp_path_factory.mktemp("made"))


@pytest.fixture
def desk(made: Corrected, tmp_path: Path) -> Corrected:
    return copied(made, tmp_path)


def whole(desk: Corrected) -> list[tuple[object, ...]]:
    """Every column of every row of the book."""
    return desk.sql("SELECT * FROM positions ORDER BY id")


def test_an_update_changes_one_row_and_leaves_an_intent_an_entry_and_an_outcome(desk: Corrected) -> None:
    done = desk.correct(UPDATE["id"], *PERSON)
    assert done.returncode == 0, done.stderr
    assert desk.book_rows() == [("AAPL", 150.0, 12, "USD", "momentum"), MSFT, OLD]
    assert desk.journal() == [(UPDATE["id"], "ann")]
    intent, outcome = desk.records()
    assert [intent["kind"], outcome["kind"]] == ["correction-intent", "correction-applied"]
    assert intent["after"]["state"], intent["after"]["sql"].startswith('UPDATE "positions" SET "qty" = 150, "price" = 12')
    assert (outcome["after"]["by"], outcome["after"]["reason"]) == ("ann", "a missed fill")
    assert outcome["after"]["journal"]["before"]["columns"]["qty"] == 100
    assert outcome["after"]["journal"]["after"]["columns"]["qty"] == 150
    assert f"{UPDATE['id']} prime/MAIN AAPL: applied" in done.stdout
    assert "realised 0, cash in lieu 0, fees 1.5, total -1.5 USD" in done.stdout
    assert desk.command("audit", "verify").returncode == 0


def test_the_row_is_touched_in_the_spelling_of_the_book(desk: Corrected) -> None:
    desk.sql("UPDATE positions SET touched = replace(touched, 'T', ' ') WHERE ticker = 'AAPL'")
    assert desk.correct(UPDATE["id"], *PERSON).returncode == 0
    assert desk.sql("SELECT touched FROM positions WHERE ticker = 'AAPL'") == [(LATER.replace("T", " "),)]


def test_insert_update_and_delete_end_the_breaks(desk: Corrected) -> None:
    done = desk.correct("--all-explained", *PERSON)
    assert done.returncode == 0, done.stderr
    assert desk.book_rows() == [("AAPL", 150.0, 12, "USD", "momentum"), MSFT, ("NEW", 3.0, 40, "USD", "none")]
    assert sorted(name for name, _ in desk.journal()) == sorted(ids(UPDATE, INSERT, DELETE))
    assert desk.steps() == ["intent", "applied"] * 3
    report = desk.reconciled()
    assert report["verdict"] == "clean", report["discrepancies"]
    told = {(entry["symbol"], entry["correction"]) for entry in report["since_last"]["cleared"]}
    assert told == {("AAPL", UPDATE["id"]), ("NEW", INSERT["id"]), ("OLD", DELETE["id"])}


def test_the_break_tells_of_its_correction_and_of_the_run_that_cleared_it(desk: Corrected) -> None:
    desk.correct("--all-explained", *PERSON)
    report = desk.reconciled()
    found = json.loads(desk.command("breaks", "list", "--status", "resolved", "--json").stdout)
    name = next(entry["id"] for entry in found if entry["symbol"] == "OLD")
    told = json.loads(desk.command("breaks", "show", name, "--json").stdout)
    (correction,) = told["corrections"]
    assert (correction["id"], correction["state"], correction["by"]) == (DELETE["id"], "applied", "ann")
    assert correction["cleared_by"] == report["run_id"]
    page = desk.command("breaks", "show", name).stdout
    assert f"{DELETE['id']}  delete, applied at" in page
    assert "7 at 5 becomes nothing; made by ann: a missed fill" in page
    assert f"cleared by run {report['run_id']}" in page


def test_a_break_or_the_beginning_of_either_id_names_a_correction(desk: Corrected) -> None:
    listed = json.loads(desk.command("breaks", "list", "--json").stdout)
    name = next(entry["id"] for entry in listed if entry["symbol"] == "AAPL")
    assert desk.correct(name[:9], UPDATE["id"][:9], UPDATE["id"], *PERSON).returncode == 0
    assert desk.journal() == [(UPDATE["id"], "ann")]


def test_without_a_yes_nothing_is_changed(desk: Corrected) -> None:
    done = desk.correct(UPDATE["id"], "--by", "ann")
    assert done.returncode == 3
    assert "nobody said yes: nothing was changed" in done.stderr
    assert "quantity 100 becomes 150, avg_price 10 becomes 12" in done.stdout
    assert (desk.book_rows(), desk.journal(), desk.steps()) == (AS_IT_WAS, [], [])


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        ("qty = 101", "quantity from 100 to 101"),
        ("price = 10.5", "avg_price from 10 to 10.5"),
        ("currency = 'EUR'", "currency from USD to EUR"),
        ("touched = '2026-01-02T03:04:05Z'", "updated_at from {STAMP} to 2026-01-02T03:04:05Z"),
        ("qty = 99, price = 11", "quantity from 100 to 99; avg_price from 10 to 11"),
        ("price = NULL", "avg_price from 10 to nothing"),
    ],
)
def test_a_row_that_moved_since_is_not_corrected_and_what_moved_is_named(desk: Corrected, change: str, moved: str) -> None:
    desk.sql(f"UPDATE positions SET {change} WHERE ticker = 'AAPL'")
    before = whole(desk)
    done = desk.correct(UPDATE["id"], *PERSON)
    assert done.returncode == 3
    moved = moved.replace("{STAMP}", STAMP)
    assert f"prime/MAIN AAPL is not as it was reconciled: {moved}; nothing was changed" in done.stderr
    assert (whole(desk), desk.journal()) == (before, [])
    assert desk.steps() == ["intent", "refused"]


def test_a_row_that_is_spelled_otherwise_but_means_the_same_is_as_it_was(desk: Corrected) -> None:
    desk.sql("UPDATE positions SET ticker = ' AAPL ', price = '10.00', touched = replace(touched, 'Z', '+00:00') WHERE id = 1")
    assert desk.correct(UPDATE["id"], *PERSON).returncode == 0
    assert desk.sql("SELECT ticker, qty, price FROM positions WHERE id = 1") == [(" AAPL ", 150.0, 12)]


def test_a_row_that_came_or_went_since_is_named(desk: Corrected) -> None:
    desk.sql("DELETE FROM positions WHERE ticker = 'OLD'")
    desk.sql("INSERT INTO positions (broker, account, ticker, qty, price) VALUES ('prime', 'MAIN', 'NEW', 1, 2)")
    done = desk.correct(DELETE["id"], INSERT["id"], *PERSON)
    assert done.returncode == 3
    assert "prime/MAIN OLD was in the book when it was reconciled, and is not now; nothing was changed" in done.stderr
    assert "prime/MAIN NEW was not in the book when it was reconciled, and is now: quantity 1, avg_price 2" in done.stderr
    assert desk.journal() == []


def test_what_was_refused_may_be_tried_again_and_what_was_made_may_not(desk: Corrected) -> None:
    desk.sql("UPDATE positions SET qty = 101 WHERE ticker = 'AAPL'")
    assert desk.correct(UPDATE["id"], *PERSON).returncode == 3
    desk.sql("UPDATE positions SET qty = 100 WHERE ticker = 'AAPL'")
    assert desk.correct(UPDATE["id"], *PERSON).returncode == 0
    for arguments in ((UPDATE["id"],), ("--all-explained",)):
        desk.sql("UPDATE positions SET qty = 100, price = 10, touched = ? WHERE ticker = 'AAPL'", STAMP)
        done = desk.correct(*arguments, *PERSON)
        assert desk.sql("SELECT qty FROM positions WHERE ticker = 'AAPL'") == [(100,)], "it is made once"
    done = desk.correct(UPDATE["id"], *PERSON)
    assert done.returncode == 2
    assert "is applied once" in done.stderr
    assert desk.steps().count("applied") == 3
    assert [name for name, _ in desk.journal()].count(UPDATE["id"]) == 1


def test_the_journal_alone_keeps_a_correction_from_being_made_twice(desk: Corrected) -> None:
    with_row = desk.sql("CREATE TABLE recon_corrections (id TEXT PRIMARY KEY, applied_at TEXT, by TEXT, before TEXT, after TEXT)")
    assert with_row == []
    desk.sql("INSERT INTO recon_corrections VALUES (?, '2026-11-20T00:00:00Z', 'bob', NULL, NULL)", UPDATE["id"])
    done = desk.correct(UPDATE["id"], *PERSON)
    assert done.returncode == 3
    assert "was made at 2026-11-20T00:00:00Z already, by bob; nothing was changed" in done.stderr
    assert desk.book_rows() == AS_IT_WAS


def in_doubt(desk: Corrected, *said: str) -> None:
    """Neither command settles what was begun: one ends with 5, a run warns, and both say these."""
    steps, before = desk.steps(), desk.book_rows()
    done = desk.correct(DELETE["id"], *PERSON)
    assert done.returncode == 5, done.stdout + done.stderr
    warnings = " ".join(desk.reconciled()["warnings"])
    for part in (f"correction {UPDATE['id']} of prime/MAIN AAPL is in doubt", *said):
        assert part in done.stderr
        assert part in warnings
    assert (desk.steps(), desk.book_rows()) == (steps, before)


@pytest.mark.case("J02")
@pytest.mark.parametrize("again", [False, True], ids=["gone", "made anew by hand"])
def test_a_journal_that_is_lost_says_nothing_of_what_was_made(desk: Corrected, again: bool) -> None:
    assert desk.correct(UPDATE["id"], *PERSON).returncode == 0
    with_doubt(desk)
    desk.sql("ALTER TABLE recon_corrections RENAME TO kept")
    if again:
        desk.sql('CREATE TABLE recon_corrections (id TEXT PRIMARY KEY, applied_at TEXT, "by" TEXT, before TEXT, after TEXT)')
    in_doubt(desk, "put that table back as it was; docs/corrections.md")
    desk.sql("DROP TABLE IF EXISTS recon_corrections")
    desk.sql("ALTER TABLE kept RENAME TO recon_corrections")
    assert "was interrupted, and the book was corrected at" in desk.correct(DELETE["id"], *PERSON).stdout
    assert desk.steps()[-3:] == ["applied", "intent", "applied"]


@pytest.mark.case("J02")
def test_a_journal_that_recon_yaml_names_otherwise_is_not_the_one(desk: Corrected) -> None:
    assert desk.correct(UPDATE["id"], *PERSON).returncode == 0
    with_doubt(desk)
    named = (desk.folder / "recon.yaml").read_text()
    desk.write("recon.yaml", named.replace("corrections: {", "corrections: {journal: elsewhere, "))
    in_doubt(desk, "it was begun with the journal recon_corrections, and recon.yaml names elsewhere")
    assert desk.sql("SELECT name FROM sqlite_master WHERE name = 'elsewhere'") == []


@pytest.mark.case("J02")
def test_one_in_doubt_keeps_no_other_from_being_settled(desk: Corrected) -> None:
    assert desk.correct(UPDATE["id"], DELETE["id"], *PERSON).returncode == 0
    with_doubt(desk)
    with_doubt(desk, DELETE["id"])
    desk.sql("UPDATE recon_corrections SET before = 'torn' WHERE id = ?", UPDATE["id"])
    warnings = desk.reconciled()["warnings"]
    assert any("prime/MAIN AAPL is in doubt" in told and "is damaged" in told for told in warnings)
    assert any("prime/MAIN OLD was interrupted, and the book was corrected at" in told for told in warnings)
    assert desk.steps()[-1] == "applied"


@pytest.mark.case("J02")
def test_what_the_journal_has_and_the_store_does_not_is_recorded_and_can_be_taken_back(desk: Corrected, tmp_path: Path) -> None:
    shutil.copytree(desk.folder / ".state", tmp_path / "backup")
    assert desk.correct(UPDATE["id"], *PERSON).returncode == 0
    shutil.rmtree(desk.folder / ".state")
    shutil.move(tmp_path / "backup", desk.folder / ".state")
    done = desk.correct(UPDATE["id"], "--by", "bob", "--yes")
    assert done.returncode == 0, done.stderr
    assert re.search(r"was applied at \S+ already, by ann: now recorded", done.stdout)
    assert (desk.steps(), desk.records()[-1]["after"]["by"]) == (["intent", "applied"], "ann")
    assert len(desk.journal()) == 1
    assert desk.correct("--revert", UPDATE["id"], *PERSON).returncode == 0
    assert desk.book_rows() == AS_IT_WAS


@pytest.mark.case("J02")
def test_what_another_began_while_a_person_was_asked_is_settled_first(desk: Corrected) -> None:
    """Between the two times that the lock is held another process may begin a correction, and die."""
    asking = desk.asking(UPDATE["id"], "--by", "bob")
    assert desk.correct(UPDATE["id"], *PERSON).returncode == 0
    with_doubt(desk)
    out, err = asking.communicate("y\n", timeout=60)
    assert asking.returncode == 2, out + err
    assert "was interrupted, and the book was corrected at" in out
    assert "is applied once" in err
    assert desk.steps() == ["intent", "applied", "intent", "applied"]


def test_several_rows_of_one_position_are_left_alone(desk: Corrected) -> None:
    desk.sql("INSERT INTO positions (broker, account, ticker, qty, price) VALUES ('prime', 'MAIN', 'AAPL', 1, 1)")
    done = desk.correct(UPDATE["id"], *PERSON)
    assert done.returncode == 3
    assert "2 rows of the book are prime/MAIN AAPL: which of them to correct cannot be told" in done.stderr


def test_a_row_of_quantity_0_is_used_where_one_is_to_be_added(desk: Corrected) -> None:
    desk.sql("INSERT INTO positions (broker, account, ticker, qty, strategy) VALUES ('prime', 'MAIN', 'NEW', 0, 'swing')")
    assert desk.correct(INSERT["id"], *PERSON).returncode == 0
    assert desk.sql("SELECT qty, price, currency, strategy FROM positions WHERE ticker = 'NEW'") == [(3, 40, "USD", "swing")]
    assert desk.correct("--revert", INSERT["id"], *PERSON).returncode == 0
    assert desk.sql("SELECT qty, price, currency, strategy FROM positions WHERE ticker = 'NEW'") == [(0, None, None, "swing")]


def test_a_value_that_the_column_cannot_keep_exactly_is_not_written(desk: Corrected) -> None:
    fine = proposed("AAPL", {"quantity": "100", "avg_price": "10"}, {"quantity": "150.1234567890123456", "avg_price": "12"})
    desk.propose({"AAPL": fine})
    done = desk.correct(fine["id"], *PERSON)
    assert done.returncode == 3
    assert "does not keep what is written to quantity of prime/MAIN AAPL exactly; nothing was changed" in done.stderr
    assert (desk.book_rows(), desk.journal()) == (AS_IT_WAS, [])


def test_what_the_database_refuses_is_said_and_changes_nothing(desk: Corrected) -> None:
    desk.sql("CREATE TRIGGER guarded BEFORE UPDATE ON positions BEGIN SELECT RAISE(ABORT, 'closed for the day'); END")
    done = desk.correct(UPDATE["id"], *PERSON)
    assert done.returncode == 3
    assert "refuses it: closed for the day; nothing was changed" in done.stderr
    assert (desk.book_rows(), desk.journal(), desk.steps()) == (AS_IT_WAS, [], ["intent", "refused"])


def test_a_book_that_another_holds_is_left_alone(desk: Corrected) -> None:
    with closing(sqlite3.connect(desk.folder / "book.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        done = desk.correct(UPDATE["id"], *PERSON)
        other.execute("ROLLBACK")
    assert done.returncode == 3
    assert "database is locked; nothing was changed" in done.stderr
    assert desk.correct(UPDATE["id"], *PERSON).returncode == 0


@pytest.mark.parametrize("change", [UPDATE, INSERT, DELETE], ids=["update", "insert", "delete"])
def test_what_is_taken_back_is_as_it_was_to_the_last_column(desk: Corrected, change: dict[str, object]) -> None:
    desk.sql("UPDATE positions SET touched = ' ' || touched WHERE ticker = 'OLD'")
    before, name = whole(desk), str(change["id"])
    assert desk.correct(name, *PERSON).returncode == 0
    assert whole(desk) != before
    done = desk.correct("--revert", name, "--by", "bob", "--reason", "wrong fill", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert whole(desk) == before
    assert desk.steps() == ["intent", "applied", "intent", "applied", "reverted"]
    assert {by for _, by in desk.journal()} == {"ann", "bob"}
    again = desk.correct("--revert", name, *PERSON)
    assert again.returncode == 2
    assert "only what is applied can be taken back" in again.stderr
    once_more = desk.correct(name, *PERSON)
    assert once_more.returncode == 2
    taken_back_by = next(name for name, by in desk.journal() if by == "bob")
    assert f"`recon-core correct --revert {taken_back_by}` makes it again" in once_more.stderr
    assert desk.correct("--revert", taken_back_by, *PERSON).returncode == 0
    assert whole(desk) != before
    assert desk.command("audit", "verify").returncode == 0


def test_a_row_that_moved_after_its_correction_is_not_taken_back(desk: Corrected) -> None:
    assert desk.correct(UPDATE["id"], *PERSON).returncode == 0
    desk.sql("UPDATE positions SET qty = 160 WHERE ticker = 'AAPL'")
    done = desk.correct("--revert", UPDATE["id"], *PERSON)
    assert done.returncode == 3
    assert "quantity from 150 to 160; nothing was changed" in done.stderr
    assert desk.sql("SELECT qty FROM positions WHERE ticker = 'AAPL'") == [(160,)]
    assert json.loads(desk.command("audit", "export").stdout.splitlines()[-1])["kind"] == "correction-refused"


def test_taking_back_leaves_what_others_wrote_beside_it(desk: Corrected) -> None:
    assert desk.correct(UPDATE["id"], *PERSON).returncode == 0
    desk.sql("UPDATE positions SET strategy = 'swing' WHERE ticker = 'AAPL'")
    assert desk.correct("--revert", UPDATE["id"], *PERSON).returncode == 0
    assert desk.book_rows()[0] == ("AAPL", 100.0, 10, "USD", "swing")


@pytest.mark.case("H06")
def test_a_newer_runs_proposal_takes_the_place_of_an_older_one(desk: Corrected) -> None:
    newer = proposed("AAPL", {"quantity": "100", "avg_price": "10"}, {"quantity": "160", "avg_price": "12"})
    report = desk.propose({"AAPL": newer})
    done = desk.correct(UPDATE["id"], *PERSON)
    assert done.returncode == 2
    assert f"superseded: run {report['run_id']} proposes {newer['id']} in its place; nothing was changed" in done.stderr
    assert desk.book_rows() == AS_IT_WAS
    assert desk.correct(newer["id"], *PERSON).returncode == 0
    assert desk.sql("SELECT qty FROM positions WHERE ticker = 'AAPL'") == [(160,)]


@pytest.mark.case("H06")
def test_a_proposal_that_the_newest_run_does_not_make_any_more_is_refused(desk: Corrected) -> None:
    desk.propose({})
    done = desk.correct(UPDATE["id"], *PERSON)
    assert done.returncode == 2
    assert "the newest run of prime/MAIN AAPL does not propose it any more" in done.stderr
    everything = desk.correct("--all-explained", *PERSON)
    assert everything.returncode == 0
    assert "nothing to correct" in everything.stdout
    assert desk.book_rows() == AS_IT_WAS


def test_all_explained_takes_only_what_needs_no_look(desk: Corrected) -> None:
    desk.propose({**ALL, "OLD": {**DELETE, "automatic": False, "review": "PHANTOM"}})
    assert desk.correct("--all-explained", *PERSON).returncode == 0
    assert desk.book_rows() == [("AAPL", 150.0, 12, "USD", "momentum"), MSFT, ("NEW", 3.0, 40, "USD", "none"), OLD]
    named = desk.correct(DELETE["id"], *PERSON)
    assert named.returncode == 0
    assert "look first: PHANTOM" in named.stdout


def test_many_corrections_take_one_reading_of_the_reports_and_one_opening_of_the_book(
    desk: Corrected, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def counted(name: str, real: Callable[..., object]) -> Callable[..., object]:
        return lambda *given, **more: asked.append(name) or real(*given, **more)

    monkeypatch.setattr(proposals, "sealed_report", counted("report", proposals.sealed_report))
    for name in ("open_writable", "connect"):
        monkeypatch.setattr(applying, name, counted(name, getattr(applying, name)))
    with corrections.opened(desk.folder / "recon.yaml", current_actor("ann"), locked=True) as opened:
        for offer in opened.offers(None):
            assert opened.make(offer.correction, "a missed fill").error is None
    assert len(desk.journal()) == 3
    assert sorted(asked) == ["connect", "open_writable", "report"]


def test_one_that_is_refused_keeps_no_other_from_being_made(desk: Corrected) -> None:
    desk.sql("UPDATE positions SET qty = 101 WHERE ticker = 'AAPL'")
    done = desk.correct("--all-explained", *PERSON)
    assert done.returncode == 3
    assert sorted(name for name, _ in desk.journal()) == sorted(ids(INSERT, DELETE))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("B0000000000000000",), "there is no break B0000000000000000"),
        (("C0000000000000000",), "there is no correction C0000000000000000 in the last 90 runs"),
        (("--revert", "C0000000000000000"), "there is no correction C0000000000000000 on record"),
        (("--approve", "C0000000000000000", "--by", "bob"), "nobody has asked for it"),
        (("--approve", "C0000000000000000"), "--by NAME is due"),
        ((), "name breaks or corrections, or one of"),
        (("--all-explained", "--revert", "C0"), "name breaks or corrections, or one of"),
    ],
)
def test_what_cannot_be_meant_is_said(desk: Corrected, arguments: tuple[str, ...], said: str) -> None:
    done = desk.correct(*arguments, "--yes")
    assert done.returncode == 2
    assert said in done.stderr
    assert desk.book_rows() == AS_IT_WAS


def test_a_break_without_a_proposal_says_where_to_look(desk: Corrected) -> None:
    desk.propose({"AAPL": UPDATE})
    listed = json.loads(desk.command("breaks", "list", "--json").stdout)
    name = next(entry["id"] for entry in listed if entry["symbol"] == "OLD")
    done = desk.correct(name, *PERSON)
    assert done.returncode == 2
    assert f"{name} has no proposal: `recon-core breaks explain {name}`" in done.stderr


def test_without_a_place_to_write_it_is_printed_for_another_system(tmp_path: Path) -> None:
    desk = with_proposals(tmp_path, corrections="")
    done = desk.correct("--all-explained", *PERSON)
    assert done.returncode == 0
    assert "printed only: recon.yaml has no book.corrections, so that nothing was changed" in done.stdout
    printed = json.loads(desk.correct("--all-explained", "--json").stdout)["corrections"]
    assert [entry["id"] for entry in printed] == ids(UPDATE, INSERT, DELETE)
    assert (desk.book_rows(), desk.journal(), desk.steps()) == (AS_IT_WAS, [], [])
    for entry in printed:
        desk.sql(entry["sql"])
        desk.sql(entry["sql"]) if entry["kind"] != "insert" else None
    assert desk.book_rows() == [("AAPL", 150.0, 12, "USD", "momentum"), MSFT, ("NEW", 3.0, 40, "USD", "none")]
    for arguments in (("--revert", UPDATE["id"]), ("--approve", UPDATE["id"], "--by", "bob")):
        assert "book.corrections is not in recon.yaml" in desk.correct(*arguments).stderr


def test_a_book_that_is_a_query_or_a_file_is_printed(tmp_path: Path) -> None:
    desk = with_proposals(tmp_path, corrections="")
    query = "SELECT broker, account, ticker AS symbol, qty AS quantity, price AS avg_price, currency FROM positions"
    desk.configure(f"database: 'sqlite:///book.sqlite', query: '{query}'")
    assert 'UPDATE "positions" SET "quantity" = 150' in desk.correct(UPDATE["id"]).stdout
    desk.corrections = "{database: 'sqlite:///book.sqlite'}"
    desk.configure(f"database: 'sqlite:///book.sqlite', query: '{query}'")
    done = desk.correct(UPDATE["id"], *PERSON)
    assert done.returncode == 2
    assert "book.corrections: 'table' is missing: a query cannot be written to" in done.stderr


def test_json_says_what_came_of_each(desk: Corrected) -> None:
    looked = json.loads(desk.correct(UPDATE["id"], "--json").stdout)
    assert [(entry["id"], entry["state"], entry["said"]) for entry in looked["corrections"]] == [(UPDATE["id"], "proposed", None)]
    assert desk.book_rows() == AS_IT_WAS
    done = desk.correct(UPDATE["id"], "--json", *PERSON)
    (made,) = json.loads(done.stdout)["corrections"]
    assert (done.returncode, made["state"], made["said"], made["pnl"]["total"]) == (0, "applied", "applied", "-1.5")


def test_a_run_waits_for_no_correction_and_no_correction_for_a_run(desk: Corrected) -> None:
    from datetime import UTC, datetime

    from recon_core.state.lock import hold

    with hold(desk.folder / ".state", datetime.now(UTC)):
        done = desk.correct(UPDATE["id"], *PERSON)
    assert done.returncode == 75
    assert desk.book_rows() == AS_IT_WAS


def test_a_correction_on_record_that_was_tampered_with_is_found(desk: Corrected) -> None:
    assert desk.correct(UPDATE["id"], *PERSON).returncode == 0
    with closing(sqlite3.connect(desk.folder / ".state" / "recon.sqlite")) as database, database:
        database.execute("UPDATE corrections SET state = 'refused'")
    verified = desk.command("audit", "verify")
    assert verified.returncode == 5
    done = desk.correct("--revert", UPDATE["id"], *PERSON)
    assert done.returncode == 5
    assert f"correction {UPDATE['id']} was changed" in done.stderr


def test_a_report_that_was_tampered_with_proposes_nothing(desk: Corrected) -> None:
    import zlib

    with closing(sqlite3.connect(desk.folder / ".state" / "recon.sqlite")) as database, database:
        [(run_id, packed)] = database.execute("SELECT run_id, report FROM runs ORDER BY seq DESC LIMIT 1").fetchall()
        text = zlib.decompress(packed).decode().replace('"quantity": "150"', '"quantity": "950"')
        database.execute("UPDATE runs SET report = ? WHERE run_id = ?", (zlib.compress(text.encode()), run_id))
    done = desk.correct(UPDATE["id"], *PERSON)
    assert done.returncode == 5
    assert f"the report of run {run_id} is not the one that its audit record tells of" in done.stderr
    assert desk.book_rows() == AS_IT_WAS


@pytest.fixture
def two(desk: Corrected) -> Corrected:
    """Two people must sign."""
    desk.policy(TWO)
    return desk


@pytest.mark.case("H07")
def test_one_person_asks_and_another_approves(two: Corrected) -> None:
    asked = two.correct(UPDATE["id"], *PERSON)
    assert asked.returncode == 3
    assert f"recon-core correct --approve {UPDATE['id']} --by NAME" in asked.stdout
    assert (two.book_rows(), two.journal(), two.steps()) == (AS_IT_WAS, [], ["requested"])
    for name in ("ann", "ANN", " Ann ", "\uff41\uff4e\uff4e"):
        refused = two.correct("--approve", UPDATE["id"], "--by", name, "--yes")
        assert refused.returncode == 2
        assert "was asked for by ann, so another person must approve it; nothing was changed" in refused.stderr
    assert two.book_rows() == AS_IT_WAS
    done = two.correct("--approve", UPDATE["id"], "--by", "bob", "--yes")
    assert done.returncode == 0, done.stderr
    assert "asked for by ann: a missed fill" in done.stdout
    assert two.book_rows()[0] == ("AAPL", 150.0, 12, "USD", "momentum")
    assert two.steps() == ["requested", "approved", "intent", "applied"]
    user = current_actor().user
    assert f"the user {user} of the operating system asked for it and approved it, under two names" in done.stderr
    assert f"approved by bob; the user {user} of the operating system asked" in two.records()[1]["what"]
    assert [two.records()[-1]["after"][name] for name in ("requested_as", "approved_as")] == [user, user]
    made = two.records()[-1]["after"]
    assert [made[name] for name in ("by", "requested_by", "approved_by", "reason")] == ["ann", "ann", "bob", "a missed fill"]
    assert two.correct("--approve", UPDATE["id"], "--by", "cid", "--yes").returncode == 2


@pytest.mark.case("H07")
def test_nobody_signs_without_a_name_and_taking_back_takes_two_as_well(two: Corrected) -> None:
    nameless = two.correct(UPDATE["id"], "--yes")
    assert (nameless.returncode, two.steps()) == (2, [])
    assert "--by NAME is due: two people correct the book here" in nameless.stderr
    two.correct(UPDATE["id"], *PERSON)
    two.correct("--approve", UPDATE["id"], "--by", "bob", "--yes")
    asked = two.correct("--revert", UPDATE["id"], "--by", "bob", "--reason", "wrong", "--yes")
    assert asked.returncode == 3
    taking_back = two.records()[-1]["after"]["id"]
    assert two.correct("--approve", taking_back, "--by", "bob", "--yes").returncode == 2
    assert two.book_rows()[0] == ("AAPL", 150.0, 12, "USD", "momentum")
    assert two.correct("--approve", taking_back, "--by", "ann", "--yes").returncode == 0
    assert two.book_rows() == AS_IT_WAS


@pytest.mark.case("H06")
def test_what_was_asked_for_gives_way_to_a_newer_proposal(two: Corrected) -> None:
    two.correct(UPDATE["id"], *PERSON)
    newer = proposed("AAPL", {"quantity": "100", "avg_price": "10"}, {"quantity": "160", "avg_price": "12"})
    report = two.propose({"AAPL": newer})
    done = two.correct("--approve", UPDATE["id"], "--by", "bob", "--yes")
    assert done.returncode == 2
    assert f"superseded: run {report['run_id']} proposes {newer['id']} in its place; nothing was changed" in done.stderr
    two.correct(newer["id"], *PERSON)
    assert two.steps() == ["requested", "superseded", "requested"]
    again = two.correct("--approve", UPDATE["id"], "--by", "bob", "--yes")
    assert f"{UPDATE['id']} is superseded: run {report['run_id']} proposes {newer['id']}" in again.stderr
    assert two.book_rows() == AS_IT_WAS


def test_what_was_asked_for_is_made_as_the_newest_run_proposes_it(two: Corrected) -> None:
    two.correct(UPDATE["id"], *PERSON)
    two.sql("UPDATE positions SET touched = '2026-01-02T03:04:05Z' WHERE ticker = 'AAPL'")
    refused = two.correct("--approve", UPDATE["id"], "--by", "bob", "--yes")
    assert refused.returncode == 3
    seen = {**UPDATE, "before": {**UPDATE["before"], "updated_at": "2026-01-02T03:04:05Z"}}
    two.propose({"AAPL": seen})
    assert two.correct("--approve", UPDATE["id"], "--by", "bob", "--yes").returncode == 0
