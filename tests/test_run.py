"""``recon-core run`` through the real command: verdicts, exit codes, files, and what bad input leaves behind."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import jsonschema
import pytest
from deployment import COMMAND, Deployment, assert_nothing_ugly, book_row, feed_row, types

from recon_core import NoVerdictError, PositionReconciler, reconcile
from recon_core.report import schema_text

HELD = [book_row("AAPL", "100"), book_row("MSFT", "50", "400"), book_row("TSLA", "-30", "250")]
REPORTED = [feed_row("AAPL", "100"), feed_row("MSFT", "50", "400"), feed_row("TSLA", "-30", "250")]


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    made = Deployment(tmp_path)
    made.book(HELD)
    made.feed(REPORTED)
    return made


@pytest.fixture
def from_nothing(deployment: Deployment) -> None:
    deployment.from_nothing = True


@pytest.mark.usefixtures("from_nothing")
def test_agreement_is_clean_and_exits_0(deployment: Deployment) -> None:
    done = deployment.run()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("CLEAN")


@pytest.mark.usefixtures("from_nothing")
def test_a_break_that_does_not_halt_exits_10(deployment: Deployment) -> None:
    deployment.feed([*REPORTED[:2], feed_row("TSLA", "-31", "250")])
    report = deployment.report()
    assert report["exit_code"] == 10
    assert types(report) == ["QUANTITY_MISMATCH"]
    assert report["decision"]["halt"] is False


@pytest.mark.usefixtures("from_nothing")
def test_a_break_that_halts_exits_4_and_names_the_policy_line(deployment: Deployment) -> None:
    deployment.feed(REPORTED[1:])
    report = deployment.report()
    assert report["exit_code"] == 4
    reason = report["decision"]["reasons"][0]
    assert re.search(r"policies\.yaml:\d+: rules\.MISSING_AT_BROKER\.halt: always", reason["policy"])
    assert reason["breaks"] == [report["discrepancies"][0]["id"]]


@pytest.mark.usefixtures("from_nothing")
def test_an_unproven_feed_exits_4_and_3_where_the_policy_only_warns(deployment: Deployment) -> None:
    (deployment.folder / "feed.csv").unlink()
    report = deployment.report()
    assert (report["exit_code"], report["verdict"], report["break_count"]) == (4, "incomplete", 0)
    default = (Path(__file__).parent.parent / "policies.yaml").read_text(encoding="utf-8")
    deployment.policy(default.replace("on_incomplete: halt ", "on_incomplete: warn "))
    report = deployment.report()
    assert (report["exit_code"], report["verdict"]) == (3, "incomplete")


@pytest.mark.usefixtures("from_nothing")
def test_a_wrong_configuration_exits_2(deployment: Deployment) -> None:
    deployment.config(more="polcy: x.yaml")
    done = deployment.run()
    assert done.returncode == 2
    assert "recon.yaml:" in done.stderr
    assert "did you mean 'policy'" in done.stderr


@pytest.mark.usefixtures("from_nothing")
def test_usage_errors_exit_2(deployment: Deployment) -> None:
    for arguments in (
        ["--as-of", "yesterday"],
        ["--as-of", "2026-11-20"],
        ["--brokr", "x"],
        ["--broker", "nobody"],
        ["--config", "no"],
    ):
        done = deployment.run(*arguments)
        assert done.returncode == 2, arguments
        assert_nothing_ugly(done)


@pytest.mark.parametrize(
    "text",
    [
        '{"version": 1, "runs": [',
        '{"version": 1, "runs": [{"feeds": 5}]}',
        '{"version": 1, "runs": 5}',
        '{"version": 2}',
        "[" * 100_000,
        "",
    ],
)
@pytest.mark.case("J01")
def test_a_damaged_history_is_kept_aside_and_written_anew_from_the_store(deployment: Deployment, text: str) -> None:
    first = deployment.report()
    history = deployment.folder / ".state" / "eod_recon_breaks.json"
    whole = json.loads(history.read_text(encoding="utf-8"))
    history.write_text(text, encoding="utf-8")
    second = deployment.report()
    assert "it is kept beside" in second["warnings"][0]
    assert history.with_name(f"{history.name}.kept").read_text(encoding="utf-8") == text
    again = json.loads(history.read_text(encoding="utf-8"))
    assert [run["run_id"] for run in again["runs"]] == [first["run_id"], second["run_id"]]
    assert again["runs"][0] == whole["runs"][0]


def test_a_deleted_history_is_written_anew_whole(deployment: Deployment) -> None:
    runs = [deployment.report()["run_id"] for _ in range(2)]
    (deployment.folder / ".state" / "eod_recon_breaks.json").unlink()
    runs.append(deployment.report()["run_id"])
    history = json.loads((deployment.folder / ".state" / "eod_recon_breaks.json").read_text(encoding="utf-8"))
    assert [run["run_id"] for run in history["runs"]] == runs


@pytest.mark.case("J01")
def test_a_store_that_lost_runs_which_the_history_tells_of_exits_5(deployment: Deployment) -> None:
    deployment.report()
    state = deployment.folder / ".state"
    earlier = (state / "recon.sqlite").read_bytes()
    lost = deployment.report()["run_id"]
    before = (state / "eod_recon_breaks.json").read_bytes()
    (state / "recon.sqlite").write_bytes(earlier)
    done = deployment.run()
    assert done.returncode == 5
    assert f"does not have run {lost}" in done.stderr
    (state / "recon.sqlite").unlink()
    done = deployment.run()
    assert done.returncode == 5
    assert "there is no store" in done.stderr
    assert (state / "eod_recon_breaks.json").read_bytes() == before
    (state / "eod_recon_breaks.json").unlink()
    assert deployment.run().returncode == 0


@pytest.mark.case("J01")
@pytest.mark.usefixtures("from_nothing")
def test_a_damaged_store_exits_5_and_stays_as_it_is(deployment: Deployment) -> None:
    deployment.report()
    store = deployment.folder / ".state" / "recon.sqlite"
    store.write_bytes(b"X" * store.stat().st_size)
    before = store.read_bytes()
    done = deployment.run()
    assert done.returncode == 5
    assert "keep a copy of it" in done.stderr
    assert_nothing_ugly(done)
    assert store.read_bytes() == before


def test_a_state_folder_that_cannot_be_written_exits_5(deployment: Deployment) -> None:
    (deployment.folder / ".state").write_text("a file where a folder is due", encoding="utf-8")
    done = deployment.run()
    assert done.returncode == 5
    assert_nothing_ugly(done)


def test_the_report_fits_its_schema(deployment: Deployment) -> None:
    deployment.feed([feed_row("AAPL", "90", "12"), feed_row("PFE", "9")])
    report = deployment.report()
    jsonschema.Draft202012Validator(json.loads(schema_text())).validate(report)


def test_every_output_is_written_and_says_the_same(deployment: Deployment) -> None:
    deployment.feed(REPORTED[1:])
    report = deployment.report("--output", "out")
    out = deployment.folder / "out"
    assert json.loads((out / "report.json").read_text(encoding="utf-8")) == report
    assert "MISSING_AT_BROKER" in (out / "report.html").read_text(encoding="utf-8")
    rows = duckdb.sql(f"SELECT id, type, symbol, quantity_difference FROM '{out}/breaks.parquet'").fetchall()
    assert [(row[0], row[1], row[2], str(row[3])) for row in rows] == [
        (report["discrepancies"][0]["id"], "MISSING_AT_BROKER", "AAPL", "100.000000000000000000")
    ]
    assert sorted(path.name for path in out.iterdir()) == ["breaks.parquet", "report.html", "report.json"]


def test_history_keeps_the_runs_newest_last(deployment: Deployment) -> None:
    first = deployment.report()
    deployment.feed(REPORTED[1:])
    second = deployment.report()
    history = json.loads((deployment.folder / ".state" / "eod_recon_breaks.json").read_text(encoding="utf-8"))
    assert history["version"] == 1
    assert [run["run_id"] for run in history["runs"]] == [first["run_id"], second["run_id"]]
    assert [run["break_count"] for run in history["runs"]] == [0, 1]
    assert history["runs"][1]["breaks"][0]["type"] == "MISSING_AT_BROKER"
    assert (deployment.folder / history["runs"][1]["report"]).is_file()


@pytest.mark.parametrize("padded", ["symbol", "account", "broker", ""])
def test_padded_keys_of_parquet_are_read_as_those_of_csv(deployment: Deployment, padded: str) -> None:
    deployment.book([book_row("AAPL", "3"), book_row("GONE", "7"), book_row("SAP", "1")])
    deployment.feed([feed_row("AAPL", "2"), feed_row("NEW", "5"), feed_row("SAP", "1")])
    told = deployment.report("--output", "out")["discrepancies"]
    for table, figures in (("book", ("quantity", "avg_price")), ("feed", ("quantity", "avg_price", "market_price"))):
        typed = ", ".join(f"{name}::DECIMAL(18,2) AS {name}" for name in figures)
        spaced = f", ' ' || {padded} || '  ' AS {padded}" if padded and (table == "book" or padded != "broker") else ""
        source = f"read_csv('{deployment.folder}/{table}.csv', all_varchar = true)"
        duckdb.sql(f"COPY (SELECT * REPLACE ({typed}{spaced}) FROM {source}) TO '{deployment.folder}/{table}.parquet'")
    lines = (deployment.folder / "recon.yaml").read_text(encoding="utf-8").replace(".csv", ".parquet")
    deployment.write("recon.yaml", lines)
    found = deployment.report("--output", "out")["discrepancies"]
    for entry in (*told, *found):
        entry["first_seen"] = entry["episode"] = entry["open_days"] = None
    assert found == told


def test_parquet_whose_statistics_show_one_currency_gives_the_same_breaks_as_csv(deployment: Deployment) -> None:
    deployment.book([book_row("AAPL", "3"), book_row("GONE", "7"), book_row("SAP", "1")])
    deployment.feed([feed_row("AAPL", "2", market_price="12"), feed_row("NEW", "5"), feed_row("SAP", "1")])
    told = deployment.report("--output", "out")["discrepancies"]
    assert {entry["currency"] for entry in told} == {"USD"}
    for table in ("book", "feed"):
        duckdb.sql(f"COPY (FROM '{deployment.folder}/{table}.csv') TO '{deployment.folder}/{table}.parquet'")
    lines = (deployment.folder / "recon.yaml").read_text(encoding="utf-8").replace(".csv", ".parquet")
    deployment.write("recon.yaml", lines)
    assert deployment.report("--output", "out")["discrepancies"] == told
    deployment.feed([feed_row("AAPL", "2", market_price="12", currency="EUR"), feed_row("SAP", "1", currency="EUR")])
    duckdb.sql(f"COPY (FROM '{deployment.folder}/feed.csv') TO '{deployment.folder}/feed.parquet'")
    later = {entry["symbol"]: entry["currency"] for entry in deployment.report("--output", "out")["discrepancies"]}
    assert later == {"AAPL": "EUR", "GONE": "USD"}


@pytest.mark.case("J08")
@pytest.mark.usefixtures("from_nothing")
def test_shuffled_rows_give_the_same_bytes(deployment: Deployment) -> None:
    book = [book_row(f"S{number}", str(number + 1)) for number in range(60)]
    feed = [feed_row(f"S{number}", str(number + (number % 7 == 0))) for number in range(5, 65)]
    seen = set()
    for seed in range(3):
        random.Random(seed).shuffle(book)
        random.Random(seed + 9).shuffle(feed)
        deployment.book(book)
        deployment.feed(feed)
        seen.add(_stable(deployment.report("--output", "out")))
    assert len(seen) == 1


def _stable(report: dict[str, Any]) -> str:
    for key in ("run_id", "started_at", "finished_at", "duration_seconds", "audit"):
        report.pop(key)
    report["book"].pop("sha256")
    for feed in report["feeds"]:
        feed.pop("sha256")
    return json.dumps(report)


def test_breaks_are_told_by_account_and_type_however_many_are_listed(deployment: Deployment) -> None:
    deployment.book([*HELD, book_row("NVDA", "7", account="HEDGE"), book_row("KO", "9", "", account="HEDGE")])
    deployment.feed([feed_row("AAPL", "90"), feed_row("MSFT", "50", "400"), feed_row("ES", "1", account="HEDGE")])
    report = deployment.report()
    assert [tuple(entry.values()) for entry in report["breaks_by_account"]] == [
        ("prime", "HEDGE", "MISSING_AT_BROKER", 2, None),
        ("prime", "HEDGE", "MISSING_IN_DB", 1, "10.0000"),
        ("prime", "MAIN", "MISSING_AT_BROKER", 1, "7500.0000"),
        ("prime", "MAIN", "QUANTITY_MISMATCH", 1, "100.0000"),
    ]
    assert sum(entry["break_count"] for entry in report["breaks_by_account"]) == report["break_count"]


@pytest.mark.case("I10")
@pytest.mark.usefixtures("from_nothing")
def test_the_same_run_again_gives_the_same_break_ids(deployment: Deployment) -> None:
    deployment.feed(REPORTED[1:])
    ids = [[entry["id"] for entry in deployment.report()["discrepancies"]] for _ in range(2)]
    assert ids[0] == ids[1] != []


@pytest.mark.case("A06")
def test_an_empty_statement_is_not_an_empty_account(deployment: Deployment) -> None:
    deployment.feed([])
    report = deployment.report()
    assert report["break_count"] == 0
    assert report["feeds"][0]["status"] == "PARTIAL"
    assert "silence proves nothing" in report["feeds"][0]["reason"]
    assert report["exit_code"] == 4


@pytest.mark.case("A06")
def test_an_empty_statement_with_a_row_count_of_0_proves_flat(deployment: Deployment) -> None:
    deployment.feed([])
    deployment.config(options="row_count: 0")
    report = deployment.report()
    assert report["feeds"][0]["status"] == "COMPLETE"
    assert types(report) == ["MISSING_AT_BROKER"] * 3


@pytest.mark.case("A09")
def test_one_account_of_two_missing_is_scoped_to_it(deployment: Deployment) -> None:
    deployment.book([*HELD, book_row("NVDA", "7", account="OTHER"), book_row("KO", "5")])
    deployment.config(broker="expect_accounts: [MAIN, OTHER]")
    report = deployment.report()
    assert report["feeds"][0]["status"] == "PARTIAL"
    assert report["feeds"][0]["unproven_accounts"] == ["OTHER"]
    assert [(entry["type"], entry["symbol"]) for entry in report["discrepancies"]] == [("MISSING_AT_BROKER", "KO")]


@pytest.mark.case("A07")
def test_a_torn_statement_gives_no_verdict_and_leaves_earlier_reports(deployment: Deployment) -> None:
    before = deployment.report()
    kept = (deployment.folder / before["outputs"]["report"]).read_bytes()
    deployment.write("feed.csv", "account,symbol,quantity,avg_price,market_price,currency\nMAIN,AAPL,1O0,10,10,USD\n")
    report = deployment.report()
    assert report["feeds"][0]["status"] == "FAILED"
    assert "row 2, column quantity: '1O0'" in report["feeds"][0]["reason"]
    assert report["break_count"] == 0
    assert (deployment.folder / before["outputs"]["report"]).read_bytes() == kept


@pytest.mark.case("I03")
def test_three_hundred_missing_from_a_dead_feed_is_one_cause(deployment: Deployment) -> None:
    deployment.book([book_row(f"S{number}", "1") for number in range(300)])
    (deployment.folder / "feed.csv").unlink()
    report = deployment.report()
    assert report["missing_count"] == 0
    assert len(report["decision"]["reasons"]) == 1


@pytest.mark.case("I04")
def test_an_empty_feed_after_a_halt_does_not_read_as_clean(deployment: Deployment) -> None:
    deployment.feed(REPORTED[1:])
    assert deployment.run().returncode == 4
    deployment.feed([])
    assert deployment.run().returncode == 4


@pytest.mark.case("G03")
def test_a_feed_of_yesterday_against_a_book_of_today_is_stale(deployment: Deployment) -> None:
    deployment.config(as_of="2026-11-19T21:00:00Z")
    deployment.feed([feed_row("AAPL", "1")])
    report = deployment.report()
    assert report["feeds"][0]["status"] == "NOT_READY"
    assert "stale" in report["feeds"][0]["reason"]
    assert report["break_count"] == 0


@pytest.mark.case("G05")
def test_a_feed_dated_in_the_future_is_not_believed(deployment: Deployment) -> None:
    deployment.config(as_of="2999-01-01T00:00:00Z")
    report = deployment.report()
    assert report["feeds"][0]["status"] == "NOT_READY"


@pytest.mark.case("G07")
def test_yesterdays_file_delivered_again_is_refused(deployment: Deployment) -> None:
    assert deployment.run().returncode == 0
    deployment.book([book_row(row[2], row[3], row[4], updated_at="2026-11-21T20:00:00Z") for row in HELD])
    deployment.config(as_of="2026-11-21T21:00:00Z")
    report = deployment.report()
    assert report["feeds"][0]["status"] == "NOT_READY"
    assert "delivered for 2026-11-20" in report["feeds"][0]["reason"]
    deployment.config(as_of="2026-11-21T21:00:00Z", broker="unchanged: accept")
    assert deployment.run().returncode == 0


@pytest.mark.case("E01")
def test_a_duplicate_row_in_the_statement_is_a_feed_fault_that_names_the_rows(deployment: Deployment) -> None:
    deployment.feed([*REPORTED, REPORTED[0]])
    report = deployment.report()
    assert report["feeds"][0]["status"] == "FAILED"
    assert "2, 5" in report["feeds"][0]["reason"]
    assert report["break_count"] == 0


@pytest.mark.case("E01")
def test_a_duplicate_row_in_the_book_stops_the_run(deployment: Deployment) -> None:
    deployment.book([*HELD, HELD[0]])
    done = deployment.run()
    assert done.returncode in (2, 3)
    assert "AAPL" in done.stderr
    assert "2, 5" in done.stderr
    assert_nothing_ugly(done)


@pytest.mark.case("E02")
def test_lots_are_summed_where_the_source_declares_them(deployment: Deployment) -> None:
    deployment.feed([feed_row("AAPL", "60", "9"), feed_row("AAPL", "40", "11.5"), *REPORTED[1:]])
    deployment.config(options="lots: true")
    report = deployment.report()
    assert report["verdict"] == "clean"


def test_bad_input_never_shows_a_traceback_and_leaves_every_file_as_it_was(deployment: Deployment) -> None:
    deployment.run()
    state = {path: path.read_bytes() for path in (deployment.folder / ".state").rglob("*") if path.is_file()}
    good = {name: (deployment.folder / name).read_bytes() for name in ("book.csv", "recon.yaml")}
    bad: list[tuple[str, bytes]] = [
        ("book.csv", b""),
        ("book.csv", b"\x00\x01\x02\xff\xfe"),
        ("book.csv", b"broker,account,symbol,quantity\nprime,MAIN,AAPL,NaN\n"),
        ("book.csv", b"broker,account,symbol,quantity\nprime,MAIN,AAPL,1,000\n"),
        ("book.csv", b"broker,account,ticker,quantity\nprime,MAIN,AAPL,1\n"),
        ("book.csv", b"broker,account,symbol,quantity\nnobody,MAIN,AAPL,1\n"),
        ("book.csv", b"broker,account,symbol,quantity,updated_at\nprime,MAIN,AAPL,1,2026-11-20T20:00:00\n"),
        ("recon.yaml", b""),
        ("recon.yaml", b"\xff\xfe\x00"),
        ("recon.yaml", b"version: 1\nbook: [\n"),
        ("recon.yaml", b"- 1\n- 2\n"),
        (
            "recon.yaml",
            b"version: 1\nbook: {file: missing.csv}\nbrokers: {prime: {adapter: statement, options: {path: feed.csv}}}\n",
        ),
    ]
    for name, content in bad:
        (deployment.folder / name).write_bytes(content)
        done = deployment.run()
        assert_nothing_ugly(done)
        assert done.returncode in (2, 3), (name, content, done.stderr)
        assert done.stderr.strip()
        (deployment.folder / name).write_bytes(good[name])
    assert {path: path.read_bytes() for path in (deployment.folder / ".state").rglob("*") if path.is_file()} == state


def test_the_runbooks_way_in_only_looks(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(deployment.folder)
    deployment.feed(REPORTED[1:])
    report = PositionReconciler().reconcile()
    assert report.get("break_count", 0) == 1
    for found in report.get("discrepancies", []):
        assert (found["type"], found["symbol"]) == ("MISSING_AT_BROKER", "AAPL")
        assert found["detail"] == "book holds 100, broker reports none; valued at the average price"
    assert not (deployment.folder / ".state").exists()


def test_the_runbooks_way_in_raises_where_there_is_no_verdict(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(deployment.folder)
    (deployment.folder / "feed.csv").unlink()
    with pytest.raises(NoVerdictError, match=r"feed prime is NOT_READY"):
        PositionReconciler().reconcile()


def test_only_the_chosen_broker_is_reconciled(deployment: Deployment) -> None:
    deployment.config(more="")
    text = (deployment.folder / "recon.yaml").read_text(encoding="utf-8")
    deployment.write("recon.yaml", text + "  second: {adapter: statement, options: {path: nowhere.csv}}\n")
    deployment.book([*HELD, book_row("KO", "5", broker="second")])
    assert deployment.run("--broker", "prime").returncode == 0
    assert deployment.run().returncode == 4


def test_suppression_silences_until_it_expires_and_within_its_bound(deployment: Deployment) -> None:
    default = (Path(__file__).parent.parent / "policies.yaml").read_text(encoding="utf-8")
    entry = "suppress:\n  - {match: {symbol: AAPL}, until: %s, reason: known, approved_by: risk, max_impact: %s}\n"
    deployment.feed(REPORTED[1:])
    for until, bound, count in (("2026-11-20", "1000", 0), ("2026-11-19", "1000", 1), ("2026-12-31", "999.9999", 1)):
        deployment.policy(default.replace("suppress: []", entry % (until, bound)))
        report = deployment.report()
        assert (report["break_count"], report["suppressed_count"]) == (count, 1 - count), (until, bound)
        assert len(report["discrepancies"]) == 1


def test_a_rule_declared_in_the_policy_runs_without_python(deployment: Deployment) -> None:
    default = (Path(__file__).parent.parent / "policies.yaml").read_text(encoding="utf-8")
    when = "at_broker and abs(broker_quantity) > 40"
    rule = f'  TOO_LARGE: {{when: "{when}", severity: high, halt: never, detail: "holds {{broker_quantity}}"}}\n'
    deployment.policy(default.replace("rules:\n", "rules:\n" + rule, 1))
    report = deployment.report()
    assert [(entry["type"], entry["symbol"], entry["detail"]) for entry in report["discrepancies"]] == [
        ("TOO_LARGE", "AAPL", "holds 100"),
        ("TOO_LARGE", "MSFT", "holds 50"),
    ]


def test_a_clean_run_says_zero_for_every_listed_rule(deployment: Deployment) -> None:
    assert set(deployment.report()["counts"].values()) == {0}


def test_output_is_plain_when_it_is_not_a_terminal(deployment: Deployment) -> None:
    done = deployment.run()
    assert "\x1b" not in done.stdout + done.stderr


def test_a_reader_that_stops_early_does_not_change_the_verdict(deployment: Deployment) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        code = subprocess.run([str(COMMAND), "run"], cwd=deployment.folder, stdout=closed, check=False, timeout=60).returncode
    assert code == 0


@pytest.mark.case("A10")
def test_an_asset_class_that_the_adapter_does_not_report_is_not_absent(deployment: Deployment) -> None:
    deployment.write_drop_in(
        "brokers",
        "narrow",
        """
        class Narrow(Broker):
            \"\"\"Shares only.\"\"\"
            name = "narrow"
            coverage = ("us_equity",)

            def positions(self, ask):
                return Feed.complete([Position(account="MAIN", symbol="AAPL", quantity=1)], as_of=self.clock())
        """,
    )
    deployment.write(
        "book.csv",
        "account,symbol,quantity,asset_class\nMAIN,AAPL,1,stock\nMAIN,OPT,5,option\nMAIN,GONE,5,equity\n",
    )
    report = deployment.report()
    assert [(entry["type"], entry["symbol"]) for entry in report["discrepancies"]] == [("MISSING_AT_BROKER", "GONE")]
    assert report["pairs"]["unproven"] == 1
    assert any("option" in note for note in report["feeds"][0]["notes"])


@pytest.mark.case("J04")
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise RuntimeError('boom')", "RuntimeError: boom"),
        ("raise SystemExit(0)", "SystemExit"),
        ("return None", "NoneType, not a Feed"),
        ("return Feed(status='OK')", "status 'OK'"),
        ("return Feed.complete([1], as_of=self.clock())", "positions is not a sequence of Position"),
        ("return Feed.complete([Position(symbol=5, quantity=1)], as_of=self.clock())", "the symbol is not text"),
        ("return Feed.complete([Position(symbol='A', quantity=0.5)], as_of=self.clock())", "not a finite Decimal"),
        ("return Feed.complete([], as_of=self.clock().replace(tzinfo=None))", "not a time with its zone"),
        ("return Feed.complete([], as_of=self.clock(), control_totals=('x',))", "control_totals"),
    ],
)
def test_a_broker_plugin_that_misbehaves_is_a_failed_feed_and_never_a_verdict(
    deployment: Deployment, body: str, reason: str
) -> None:
    deployment.write_drop_in(
        "brokers",
        "odd",
        f"""
        class Odd(Broker):
            \"\"\"Misbehaves.\"\"\"
            name = "odd"

            def positions(self, ask):
                {body}
        """,
    )
    report = deployment.report()
    assert (report["exit_code"], report["feeds"][0]["status"], report["break_count"]) == (4, "FAILED", 0)
    assert reason in report["feeds"][0]["reason"]


@pytest.mark.case("J04")
@pytest.mark.parametrize(
    "how", ["def positions(self, ask):\n                time", "async def positions(self, ask):\n                await asyncio"]
)
def test_a_broker_plugin_that_hangs_ends_at_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    from recon_core import collect

    deployment = Deployment(tmp_path)
    deployment.write_drop_in(
        "brokers",
        "slow",
        f"""
        import asyncio, time

        class Slow(Broker):
            \"\"\"Never answers.\"\"\"
            name = "slow"
            deadline_seconds = 0.3

            {how}.sleep(600)
        """,
    )
    monkeypatch.setattr(collect, "DEADLINE_SECONDS", 0.3)
    with pytest.raises(NoVerdictError, match=r"no answer within 0\.3 seconds"):
        PositionReconciler(tmp_path / "recon.yaml").reconcile()


def test_a_torn_parquet_book_is_one_clear_error(deployment: Deployment) -> None:
    path = deployment.folder / "book.parquet"
    duckdb.sql(
        f"COPY (SELECT 'prime' AS broker, 'MAIN' AS account, 'S' || i AS symbol, i::DECIMAL(18,2) AS quantity "
        f"FROM range(50000) t(i)) TO '{path}'"
    )
    data = bytearray(path.read_bytes())
    data[2000:40000] = os.urandom(38000)
    path.write_bytes(data)
    deployment.write(
        "recon.yaml", (deployment.folder / "recon.yaml").read_text(encoding="utf-8").replace("book.csv", "book.parquet")
    )
    done = deployment.run()
    assert_nothing_ugly(done)
    assert done.returncode in (2, 3)


@pytest.mark.case("E03")
def test_lots_and_their_summary_together_are_refused_and_the_summary_can_be_left_out(deployment: Deployment) -> None:
    lots = [feed_row("AAPL", "60"), feed_row("AAPL", "40"), feed_row("AAPL", "100", account="MAIN TOTAL")]
    deployment.book([book_row("AAPL", "100")])
    deployment.feed([*lots[:2], feed_row("AAPL", "100")])
    assert deployment.report()["feeds"][0]["status"] == "FAILED"
    deployment.feed(lots)
    deployment.config(options='lots: true\nskip_rows: {account: "*TOTAL"}')
    assert deployment.report()["verdict"] == "clean"


@pytest.mark.case("E04")
def test_an_all_account_beside_the_accounts_is_left_out_where_configured(deployment: Deployment) -> None:
    deployment.feed([*REPORTED, feed_row("AAPL", "100", account="All")])
    assert types(deployment.report()) == ["MISSING_IN_DB"]
    deployment.config(options="skip_rows: {account: All}")
    assert deployment.report()["verdict"] == "clean"


def test_an_escalation_that_only_warns_is_said(deployment: Deployment) -> None:
    default = (Path(__file__).parent.parent / "policies.yaml").read_text(encoding="utf-8")
    deployment.policy(default.replace("escalation:\n", "escalation:\n  seen: {when: break_count > 0, then: warn}\n"))
    deployment.feed([*REPORTED[:2], feed_row("TSLA", "-31", "250")])
    report = deployment.report()
    assert report["exit_code"] == 10
    assert any("escalation.seen" in warning for warning in report["warnings"])


def test_of_runs_begun_together_those_that_reach_a_verdict_are_in_the_history(deployment: Deployment) -> None:
    running = [subprocess.Popen([str(COMMAND), "run"], cwd=deployment.folder, stdout=subprocess.DEVNULL) for _ in range(4)]
    codes = [process.wait(timeout=120) for process in running]
    assert set(codes) <= {0, 75}
    history = json.loads((deployment.folder / ".state" / "eod_recon_breaks.json").read_text(encoding="utf-8"))
    assert len(history["runs"]) == codes.count(0) >= 1


@pytest.mark.parametrize("column", ["multiplier", "currency"])
def test_lots_that_differ_in_their_units_are_not_added_up(deployment: Deployment, column: str) -> None:
    values = {"multiplier": ("1", "100"), "currency": ("USD", "EUR")}[column]
    deployment.book([book_row("AAPL", "100")])
    deployment.write("feed.csv", f"account,symbol,quantity,{column}\nMAIN,AAPL,60,{values[0]}\nMAIN,AAPL,40,{values[1]}\n")
    deployment.config(options="lots: true")
    report = deployment.report()
    assert (report["feeds"][0]["status"], report["exit_code"]) == ("FAILED", 4)
    assert f"AAPL: its rows to be added up differ in their {column.replace('y', 'ie')}s" in report["feeds"][0]["reason"]


def test_the_dearest_price_of_lots_values_a_break(deployment: Deployment) -> None:
    deployment.book([book_row("AAPL", "100", "500")])
    deployment.feed([feed_row("AAPL", "60", "500"), feed_row("AAPL", "35", "500", market_price="0")])
    deployment.config(options="lots: true")
    report = deployment.report()
    assert report["total_impact"] == "2500.0000"
    assert report["exit_code"] == 4


def test_a_price_of_0_prices_nothing(deployment: Deployment) -> None:
    deployment.feed([feed_row("AAPL", "95", "0"), *REPORTED[1:]])
    assert deployment.report()["total_impact"] == "50.0000"


def test_arithmetic_that_gives_out_is_a_break_and_not_silence(deployment: Deployment) -> None:
    deployment.feed([feed_row("AAPL", "100", "9" * 26), *REPORTED[1:]])
    report = deployment.report()
    assert report["verdict"] == "breaks"
    assert types(report) == ["PRICE_MISMATCH"]


@pytest.mark.parametrize(
    ("select", "complaint"),
    [
        ("SELECT broker, account, 'ZZZ' AS symbol, leg FROM pairs", "no pair that it saw"),
        ("SELECT broker, account, symbol, leg FROM pairs p, (VALUES (1), (2)) v(n)", "one row a pair is due"),
        ("SELECT broker, account, symbol, leg, 'X' AS type FROM pairs", "which the engine sets"),
        ("SELECT broker, account, symbol, leg FROM pairs WHERE symbol::INTEGER > 1", "rule ODD"),
    ],
)
def test_a_rule_whose_select_returns_nonsense_stops_the_run_and_is_named(
    deployment: Deployment, select: str, complaint: str
) -> None:
    folder = deployment.folder / "drop_ins" / "rules"
    folder.mkdir(parents=True)
    path = folder / "odd.py"
    path.write_text(
        '"""A rule of the tests."""\nfrom recon_core import Rule, hookimpl\n\n\nclass Odd(Rule):\n    """Odd."""\n\n'
        f'    type = "ODD"\n    title = "Odd"\n    select = """{select}"""\n    detail = "odd"\n\n\n'
        "@hookimpl\ndef recon_register_rules():\n    return [Odd]\n",
        encoding="utf-8",
    )
    for made in (folder.parent, folder, path):
        made.chmod(0o755)
    deployment.config(more="plugins: {drop_ins: drop_ins}")
    deployment.policy("version: 1\nbase_currency: USD\nrules: {ODD: {}}\n")
    done = deployment.run()
    assert done.returncode == 2, done.stdout + done.stderr
    assert complaint in done.stderr
    assert_nothing_ugly(done)


def test_a_dangling_policy_is_missing_and_not_the_default(deployment: Deployment) -> None:
    (deployment.folder / "policies.yaml").symlink_to("/nonexistent/strict.yaml")
    done = deployment.run()
    assert done.returncode == 2
    assert "policies.yaml" in done.stderr


def test_output_that_cannot_be_written_does_not_change_the_verdict(deployment: Deployment) -> None:
    deployment.feed(REPORTED[1:])
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [str(COMMAND), "run"], cwd=deployment.folder, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    assert done.returncode == 4
    assert "could not be printed" in done.stderr
    closed = subprocess.run(["sh", "-c", f"{COMMAND} run >&-"], cwd=deployment.folder, check=False, timeout=60)
    assert closed.returncode == 4


def test_a_report_is_the_same_whichever_way_its_pairs_were_joined(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    symbols = [f"{letter}{number}" for letter in "ABC" for number in range(40)]
    deployment.book([book_row(symbol, 100 + place % 3) for place, symbol in enumerate(symbols) if place % 11])
    deployment.feed([feed_row(symbol, 100 + place % 2) for place, symbol in enumerate(symbols) if place % 13])
    deployment.write(
        "policies.yaml",
        """
        version: 1
        base_currency: USD
        rules:
          MISSING_AT_BROKER: {}
          MISSING_IN_DB: {}
          QUANTITY_MISMATCH: {}
          UNMAPPED_SYMBOL: {}
          STRANGE_FUND: {when: "symbol < 'B' and not in_book and asset_class = 'fund'", severity: info, halt: never}
        overrides:
          - match: {symbol: "A*"}
            rules: {MISSING_IN_DB: {halt: never}, QUANTITY_MISMATCH: {tolerance: 2}}
        suppress:
          - match: {type: MISSING_IN_DB, symbol: "B1*"}
            until: 2027-01-31
            reason: known
            approved_by: ann
            max_impact: 1000000
        """,
    )
    monkeypatch.chdir(tmp_path)
    reports = []
    for least in (0, 10**12):
        monkeypatch.setattr(reconcile, "BY_HASH", least)
        reports.append(PositionReconciler().reconcile())
        for of_itself in ("run_id", "started_at", "finished_at", "duration_seconds"):
            del reports[-1][of_itself]
    assert reports[0] == reports[1]
    assert {"MISSING_AT_BROKER", "MISSING_IN_DB", "QUANTITY_MISMATCH"} <= {each["type"] for each in reports[0]["discrepancies"]}
    assert reports[0]["suppressed_count"]
    of_a_fund = [rule["undetermined"] for rule in reports[0]["rules"] if rule["type"] == "STRANGE_FUND"]
    only_at_broker = [place for place, symbol in enumerate(symbols) if symbol < "B" and place % 11 == 0 and place % 13]
    assert of_a_fund == [len(only_at_broker)]


@pytest.mark.parametrize("in_book", ["M", None])
@pytest.mark.parametrize("at_broker", ["M", None])
@pytest.mark.parametrize("least", [0, 10**12], ids=["by hash", "by name"])
def test_positions_without_an_account_are_of_the_only_one_that_the_other_side_names(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_book: str | None, at_broker: str | None, least: int
) -> None:
    def rows(account: str | None, *positions: tuple[str, int]) -> str:
        named, value = ("account,", f"{account},") if account else ("", "")
        lines = [f"prime,{value}{symbol},{quantity},10,USD" for symbol, quantity in positions]
        return "\n".join((f"broker,{named}symbol,quantity,avg_price,currency", *lines)) + "\n"

    (tmp_path / "b.csv").write_text(rows(in_book, ("A", 1), ("B", 2), ("Z", 0)), encoding="utf-8")
    (tmp_path / "f.csv").write_text(rows(at_broker, ("A", 1), ("B", 3), ("C", 3), ("Z", 0)), encoding="utf-8")
    deployment.write(
        "recon.yaml",
        """
        version: 1
        book: {file: b.csv}
        brokers: {prime: {adapter: statement, options: {path: f.csv, as_of: "2026-11-20T21:00:00Z"}}}
        """,
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reconcile, "BY_HASH", least)
    report = PositionReconciler().reconcile()
    account = in_book or at_broker or report["discrepancies"][0]["account"]
    assert {(each["type"], each["account"], each["symbol"]) for each in report["discrepancies"]} == {
        ("MISSING_IN_DB", account, "C"),
        ("QUANTITY_MISMATCH", account, "B"),
    }
    assert report["pairs"] == {"matched": 2, "in_book": 2, "at_broker": 3, "unproven": 0}
