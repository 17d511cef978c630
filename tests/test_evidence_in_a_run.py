"""What brokers tell of what happened, in a whole run: who is asked, from when on, and what of it reaches the report."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
import test_ofx as ofx
from deployment import Deployment, book_row

from recon_core.recording import read_recording

AAPL = "037833100"
SECURITIES = ofx.security(AAPL, "AAPL")


def bought(fitid: str, units: object, traded: str, price: str = "187.20", *, sells: bool = False) -> str:
    """A purchase (or a sale) of AAPL in an OFX statement."""
    kind = "SELL" if sells else "BUY"
    head = f"<INVTRAN><FITID>{fitid}<DTTRADE>{traded}<DTSETTLE>20261123<MEMO>as agreed</INVTRAN>"
    money = f"<UNITS>{units}<UNITPRICE>{price}<COMMISSION>1.50<TOTAL>-9361.5<SUBACCTSEC>CASH<SUBACCTFUND>CASH"
    return f"<{kind}STOCK><INV{kind}>{head}{ofx.secid(AAPL)}{money}</INV{kind}><{kind}TYPE>{kind}</{kind}STOCK>"


class Statements(Deployment):
    """A deployment whose broker ``prime`` delivers an OFX statement a day."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.deployed()

    def deployed(self, *, broker: str = "", more: str = "") -> None:
        """Write recon.yaml."""
        lines = "".join(f"    {line}\n" for line in broker.splitlines())
        self.write(
            "recon.yaml",
            "version: 1\nbook: {file: book.csv}\nbrokers:\n  prime:\n    adapter: ofx\n"
            f"    options: {{path: statement.ofx, basis: trade}}\n{lines}{more}\n",
        )

    def day(self, day: int, book: str, broker: str, *transactions: str, start: str = "20261101") -> None:
        """What both sides hold of AAPL at the close of a day of November, and what the statement lists."""
        self.book([book_row("AAPL", book, "187.25", updated_at=f"2026-11-{day}T20:00:00Z")])
        told = ofx.statement(
            ofx.holding(units=broker), account="MAIN", as_of=f"202611{day}210000",
            transactions=ofx.listed(*transactions, start=start),
        )  # fmt: skip
        (self.folder / "statement.ofx").write_bytes(ofx.document(told, securities=SECURITIES))


@pytest.fixture
def deployment(tmp_path: Path) -> Statements:
    return Statements(tmp_path)


def explanation(report: dict[str, Any]) -> dict[str, Any]:
    """That of the only break."""
    (found,) = report["discrepancies"]
    return found["explanation"]


def test_a_fill_that_the_book_missed_explains_the_break(deployment: Statements) -> None:
    deployment.day(19, "100", "100")
    assert deployment.report()["verdict"] == "clean"
    deployment.day(20, "100", "150", bought("F1", 50, "20261120143100"))
    report = deployment.report()
    found = explanation(report)
    assert (found["status"], found["cause"], found["residual"], found["ties"]) == ("EXPLAINED", "MISSED_FILL", "0", 0)
    assert (found["last_agreed"], found["diverged_on"]) == ("2026-11-19T21:00:00Z", "2026-11-20")
    (term,) = found["evidence"]
    (told,) = report["evidence"]
    (read,) = told["received"]
    assert {name: term[name] for name in ("id", "kind", "quantity", "effect", "at", "price", "fee", "currency")} == {
        "id": "F1", "kind": "fill", "quantity": "50", "effect": "-50", "at": "2026-11-20T14:31:00Z", "price": "187.2", "fee": "1.5",
        "currency": "USD",
    }  # fmt: skip
    assert term["source"] == "statement.ofx: statement 1: BUYSTOCK F1"
    assert term["sha256"] == read["sha256"] == report["feeds"][0]["sha256"]
    assert (told["broker"], told["complete"], told["fills"], told["movements"]) == ("prime", True, 1, 0)
    assert told["since"] == "2026-11-17T21:00:00Z", "two days before the last proven run"


def test_quantities_agreed_on_a_day_on_which_only_the_row_was_old(deployment: Statements) -> None:
    fills = [bought("F0", 50, "20261118143100"), bought("F1", 50, "20261120143100")]
    deployment.day(17, "100", "100")
    deployment.report()
    for day in (18, 19):
        deployment.day(day, "150", "150", fills[0])
        deployment.book([book_row("AAPL", "150", "187.25", updated_at="2026-11-15T20:00:00Z")])
        assert [found["type"] for found in deployment.report()["discrepancies"]] == ["STALE_POSITION"]
    for day in (20, 21):
        deployment.day(day, "150", "200", *fills)
        deployment.book([book_row("AAPL", "150", "187.25", updated_at="2026-11-15T20:00:00Z")])
        (found, stale) = deployment.report()["discrepancies"]
        assert stale["type"] == "STALE_POSITION"
        assert found["explanation"]["last_agreed"] == "2026-11-19T21:00:00Z"
        assert ([term["id"] for term in found["explanation"]["evidence"]], found["explanation"]["ties"]) == (["F1"], 0)


def test_all_that_was_told_is_kept_beside_the_breaks(deployment: Statements) -> None:
    deployment.day(20, "100", "150", bought("F1", 50, "20261120143100"), bought("F0", 7, "20261119143100"))
    report = deployment.report("--output", "out")
    assert report["outputs"]["evidence"] == "out/evidence.parquet"
    rows = duckdb.sql(
        """SELECT broker, "row", id, account, symbol, quantity, "at", explains, sha256, raw
           FROM read_parquet($file) ORDER BY id""",
        params={"file": str(deployment.folder / "out" / "evidence.parquet")},
    ).fetchall()
    assert [row[:8] for row in rows] == [
        ("prime", "fill", "F0", "MAIN", "AAPL", "7", "2026-11-19T14:31:00Z", None),
        ("prime", "fill", "F1", "MAIN", "AAPL", "50", "2026-11-20T14:31:00Z", "MAIN AAPL"),
    ]
    assert {row[8] for row in rows} == {report["evidence"][0]["received"][0]["sha256"]}
    assert all(row[9].startswith("<BUYSTOCK>") and f"<FITID>{row[2]}</FITID>" in row[9] for row in rows)


def test_what_was_told_is_kept_byte_for_byte_beside_what_is_held(deployment: Statements) -> None:
    deployment.day(20, "100", "150", bought("F1", 50, "20261120143100"))
    config = (deployment.folder / "recon.yaml").read_text()
    deployment.write("recon.yaml", config.replace("adapter: ofx", "adapter: ofx\n    keep_raw: true"))
    report = deployment.report("--output", "out")
    (told,), (feed,) = report["evidence"], report["feeds"]
    assert told["raw"] == f"{feed['raw']}.evidence"
    recording = read_recording(deployment.folder / told["raw"])
    assert [document.sha256 for document in recording.documents] == [each["sha256"] for each in told["received"]]
    assert recording.documents[0].raw == (deployment.folder / "statement.ofx").read_bytes()
    deployment.day(21, "150", "150")
    clean = deployment.report("--output", "out")
    assert (clean["evidence"], (deployment.folder / f"{clean['feeds'][0]['raw']}.evidence").exists()) == ([], False)


def test_evidence_of_an_earlier_run_in_a_folder_is_not_taken_for_that_of_the_next(deployment: Statements) -> None:
    deployment.day(20, "100", "150", bought("F1", 50, "20261120143100"))
    deployment.report("--output", "out")
    deployment.day(20, "150", "150", bought("F1", 50, "20261120143100"))
    deployment.report("--output", "out")
    (count,) = duckdb.sql(f"SELECT count(*) FROM '{deployment.folder}/out/evidence.parquet'").fetchall()
    assert count == (0,)


FIRST_OF_ALL_TIMES = "datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))"


@pytest.mark.parametrize(
    "fills",
    ["1, 'two', None", f"Fill(id='1', symbol='AAPL', quantity=Decimal(50), price=Decimal(1), traded_at={FIRST_OF_ALL_TIMES})"],
)
def test_evidence_that_is_none_leaves_the_verdict_as_it_is(fills: str, tmp_path: Path) -> None:
    made = Deployment(tmp_path)
    made.book([book_row("AAPL", "100")])
    made.write_drop_in(
        "brokers",
        "odd",
        f"""
        from datetime import UTC, datetime, timedelta, timezone
        from decimal import Decimal
        from recon_core import Evidence, Fill


        class Odd(Broker):
            \"\"\"Tells nonsense.\"\"\"

            name = "odd"
            capabilities = ("positions", "fills")

            def positions(self, ask):
                held = Position(symbol="AAPL", quantity=Decimal(150), account="MAIN", avg_price=Decimal(10))
                return Feed.complete([held], as_of=datetime(2026, 11, 20, 21, tzinfo=UTC))

            def evidence(self, ask):
                return Evidence(fills=({fills},))
        """,
    )
    report = made.report()
    assert report["decision"]["halt"]
    (found,) = [entry for entry in report["discrepancies"] if entry["type"] == "QUANTITY_MISMATCH"]
    assert (found["explanation"]["status"], found["explanation"]["residual"]) == ("UNEXPLAINED", "-50")
    assert ("OverflowError" in "".join(report["warnings"])) == (FIRST_OF_ALL_TIMES in fills)


LISTINGS = """
from datetime import UTC, datetime
from decimal import Decimal
from recon_core import Evidence, Fill

AS_OF = datetime(2026, 11, 20, 21, tzinfo=UTC)
ISIN = "DE0007164600"

class Listings(Broker):
    \"\"\"One share on two exchanges: 100 in Paris, 70 in Frankfurt, where 50 were sold.\"\"\"

    name = "listings"
    capabilities = ("positions", "fills")

    def positions(self, ask):
        held = {"SAP.PA": 100, "SAP.DE": 70}
        return Feed.complete([
            Position(symbol=symbol, quantity=Decimal(quantity), account="MAIN", avg_price=Decimal(10), isin=ISIN, currency="EUR")
            for symbol, quantity in held.items()
        ], as_of=AS_OF)

    def evidence(self, ask):
        return Evidence(fills=[Fill(
            id="F1", symbol="SAP.DE", quantity=Decimal(-50), price=Decimal(10), traded_at=AS_OF, account="MAIN", isin=ISIN,
            currency="EUR",
        )])
"""


@pytest.mark.parametrize(("name", "status"), [("SAP.DE", "UNEXPLAINED"), ("SAPG", "EXPLAINED")])
def test_a_fill_of_a_listing_that_agrees_explains_no_other(name: str, status: str, tmp_path: Path) -> None:
    made = Deployment(tmp_path)
    made.write_drop_in("brokers", "listings", LISTINGS.replace('id="F1", symbol="SAP.DE"', f'id="F1", symbol="{name}"'))
    made.book([book_row("SAP.PA", "150"), book_row("SAP.DE", "70")])
    found = next(each["explanation"] for each in made.report()["discrepancies"] if each["explanation"])
    assert found["status"] == status


def test_a_run_without_breaks_asks_nobody_what_happened(deployment: Statements) -> None:
    deployment.day(20, "100", "100", bought("F1", 50, "20261120143100"))
    report = deployment.report()
    assert (report["verdict"], report["evidence"], report["outputs"]["evidence"]) == ("clean", [], None)


def test_a_break_tells_its_story_with_every_row_and_its_hash(deployment: Statements) -> None:
    deployment.day(19, "100", "100")
    deployment.report()
    deployment.day(20, "100", "150", bought("F1", 50, "20261120143100"))
    report = deployment.report()
    (found,) = report["discrepancies"]
    done = deployment.command("breaks", "explain", found["id"][:6])
    assert done.returncode == 0, done.stderr
    story = " ".join(done.stdout.split())
    for part in (
        f"{found['id']} QUANTITY_MISMATCH prime/MAIN AAPL, as of 2026-11-20T21:00:00Z",
        "The book has 100, the broker 150.",
        "They parted on 2026-11-20 (between 2026-11-19T21:00:00Z, when they last agreed, and 2026-11-20T21:00:00Z, when it",
        "Explained (MISSED_FILL)",
        "2026-11-20T14:31:00Z fill F1: 50 at 187.2 USD, fee 1.5, settles on 2026-11-23; effect -50",
        "read in statement.ofx: statement 1: BUYSTOCK F1",
        f"sha256 {report['feeds'][0]['sha256']}",
        "The broker was asked from 2026-11-17T21:00:00Z on, and told all that happened.",
    ):
        assert part in story
    told = json.loads(deployment.command("breaks", "explain", found["id"], "--json").stdout)
    assert (told["run_id"], told["break"]["explanation"]) == (report["run_id"], found["explanation"])


def test_no_evidence_says_so_and_names_no_day(deployment: Statements) -> None:
    deployment.config()
    deployment.feed([("MAIN", "AAPL", "150", "10", "10", "USD")])
    deployment.book([book_row("AAPL", "100")])
    (found,) = [each for each in deployment.report()["discrepancies"] if each["type"] == "QUANTITY_MISMATCH"]
    told = found["explanation"]
    assert (told["status"], told["residual"], told["last_agreed"], told["diverged_on"]) == ("UNEXPLAINED", "-50", None, None)
    assert told["why"] == "the adapter statement of prime tells of no fills, movements or corporate actions"
    story = deployment.command("breaks", "explain", found["id"]).stdout
    assert "no earlier run proved that they agreed" in story


@pytest.mark.parametrize(("units", "exit_code"), [(50, 10), (49, 4)])
def test_a_policy_may_halt_only_on_what_is_not_explained(deployment: Statements, units: int, exit_code: int) -> None:
    deployment.policy('version: 1\nrules: {QUANTITY_MISMATCH: {severity: high, halt: {when: "not explained and residual <> 0"}}}\n')
    deployment.day(20, "100", "150", bought("F1", units, "20261120143100"))
    assert deployment.report()["exit_code"] == exit_code


def recorded(deployment: Statements, *fills: tuple[str, ...], avg_price: str = "187.25") -> None:
    """A SQLite book that holds 100 AAPL, and fills and orders of its own."""
    with closing(sqlite3.connect(deployment.folder / "book.sqlite")) as database, database:
        database.executescript(
            """DROP TABLE IF EXISTS positions; DROP TABLE IF EXISTS fills; DROP TABLE IF EXISTS orders;
            CREATE TABLE positions (broker TEXT, account TEXT, symbol TEXT, quantity TEXT, avg_price TEXT, updated_at TEXT);
            CREATE TABLE fills (exec_id TEXT, account TEXT, symbol TEXT, quantity TEXT, price TEXT, traded_at TEXT);
            CREATE TABLE orders (id TEXT);"""
        )
        database.executemany("INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?)", fills)
        row = ("prime", "MAIN", "AAPL", "100", avg_price, "2026-11-20T20:00:00Z")
        database.execute("INSERT INTO positions VALUES (?, ?, ?, ?, ?, ?)", row)
    deployment.write(
        "recon.yaml",
        "version: 1\nbook:\n  database: sqlite:///book.sqlite\n  table: positions\n"
        "  fills: {table: fills, columns: {id: exec_id}}\n"
        "  orders: {query: select id from orders}\n"
        "brokers: {prime: {adapter: ofx, options: {path: statement.ofx, basis: trade}}}\n",
    )


OWN = ("F1", "MAIN", "AAPL", "50", "187.20", "2026-11-20T14:31:00Z")


def test_a_fill_that_the_book_has_explains_nothing_and_the_one_that_it_lacks_does(deployment: Statements) -> None:
    deployment.day(20, "100", "150", bought("F1", 50, "20261120143100"), bought("F2", 50, "20261120153100"))
    recorded(deployment, OWN)
    found = explanation(deployment.report())
    assert (found["status"], [term["id"] for term in found["evidence"]], found["ties"]) == ("EXPLAINED", ["F2"], 0)


def test_a_book_that_has_no_fill_of_a_broker_knows_none_to_be_missed(deployment: Statements) -> None:
    rows = [bought("F1", 50, "20261120143100"), bought("F2", 20, "20261120153100")]
    deployment.day(20, "100", "150", *rows, bought("F3", -20, "20261120163100", sells=True))
    recorded(deployment)
    found = explanation(deployment.report())
    assert ([term["id"] for term in found["evidence"]], found["ties"]) == (["F1"], 1)


def test_fills_of_the_book_that_cannot_be_read_are_said_and_decide_nothing(deployment: Statements) -> None:
    deployment.day(20, "100", "150", bought("F1", 50, "20261120143100"))
    recorded(deployment, (*OWN[:3], "fifty", *OWN[4:]))
    report = deployment.report()
    assert explanation(report)["cause"] == "MISSED_FILL"
    assert any(warning.startswith("book.fills, row 1: ") and "'fifty' is not a number" in warning for warning in report["warnings"])


@pytest.mark.parametrize("own", ["{}", "{table: fills, query: select 1}"])
def test_fills_are_read_by_a_table_or_a_query(deployment: Statements, own: str) -> None:
    deployment.write(
        "recon.yaml",
        f"version: 1\nbook: {{database: sqlite:///b.sqlite, table: p, fills: {own}}}\n"
        "brokers: {prime: {adapter: ofx, options: {path: statement.ofx}}}\n",
    )
    done = deployment.run()
    assert (done.returncode, "book.fills" in done.stderr) == (2, True)


@pytest.mark.parametrize(("method", "realised"), [("fifo", "10000"), ("average", "8000")])
def test_profit_is_reckoned_from_the_fills_that_the_book_has(deployment: Statements, method: str, realised: str) -> None:
    deployment.day(20, "100", "50", bought("F3", -50, "20261120143100", "300", sells=True))
    own = [("F1", "MAIN", "AAPL", "60", "100", "2026-11-02T14:31:00Z"), ("F2", "MAIN", "AAPL", "40", "200", "2026-11-03T14:31:00Z")]
    recorded(deployment, *own, avg_price="140")
    deployment.policy(
        f"version: 1\nrules: {{QUANTITY_MISMATCH: {{severity: high, halt: never}}}}\ncorrections: {{pnl: {method}}}\n"
    )
    (found,) = deployment.report()["discrepancies"]
    assert [term["id"] for term in found["explanation"]["evidence"]] == ["F3"]
    assert (found["correction"]["pnl"]["method"], found["correction"]["pnl"]["realised"]) == (method, realised)
