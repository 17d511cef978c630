"""A halt that a moment made is none: live brokers are asked again before it stands."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from deployment import Deployment, ago, book_row, types

from recon_core import guard
from recon_core.reconcile import Request
from recon_core.run import run

MOVING = """
import json

class Moving(Broker):
    \"\"\"A live account: each time it is asked, the next line of the file is what it holds.\"\"\"

    name = "moving"
    live = True
    options = {"path": {"type": "string", "default": "held.json", "description": "The answers."}}

    def positions(self, ask):
        from decimal import Decimal
        asked = self.folder / "asked"
        number = len(asked.read_text()) if asked.exists() else 0
        asked.write_text("x" * (number + 1))
        if number and (self.folder / "booked_later.sql").exists():
            import sqlite3
            sqlite3.connect(self.folder / "book.sqlite").executescript((self.folder / "booked_later.sql").read_text())
        answers = json.loads((self.folder / "held.json").read_text())
        held = answers[min(number, len(answers) - 1)]
        rows = [Position(account="MAIN", symbol=s, quantity=Decimal(q), market_price=Decimal(10)) for s, q in held.items()]
        if (self.folder / "partial").exists():
            return Feed.partial(rows, reason="page 2 is missing", as_of=self.clock(), accounts=("MAIN",))
        return Feed.complete(rows, as_of=self.clock(), accounts=("MAIN",))
"""


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    made = Deployment(tmp_path)
    made.write_drop_in("brokers", "moving", MOVING)
    made.book([book_row("MSFT", "100", updated_at=ago(hours=1)), book_row("AAPL", "5", updated_at=ago(hours=1))])
    recheck(made, times=2)
    return made


def recheck(deployment: Deployment, *, times: int, book: str = "{file: book.csv}") -> None:
    deployment.write(
        "recon.yaml",
        f"version: 1\nplugins: {{drop_ins: drop_ins}}\nbook: {book}\nrecheck: {{times: {times}, wait_seconds: 0.01}}\n"
        "brokers: {prime: {adapter: moving}}\n",
    )


def held(deployment: Deployment, *answers: dict[str, str]) -> None:
    deployment.write("held.json", json.dumps(answers))


def asked(deployment: Deployment) -> int:
    return len((deployment.folder / "asked").read_text())


def report(deployment: Deployment, *arguments: str) -> dict[str, Any]:
    return deployment.report(*arguments)


def test_a_fill_in_between_is_no_break(deployment: Deployment) -> None:
    held(deployment, {"MSFT": "60", "AAPL": "5"}, {"MSFT": "100", "AAPL": "5"})
    found = report(deployment)
    assert (found["verdict"], found["exit_code"], asked(deployment)) == ("clean", 0, 2)
    (again,) = found["asked_again"]
    assert again["brokers"] == ["prime"]
    assert len(again["breaks"]) == 1
    assert not (deployment.folder / ".state" / "HALT.json").exists()


def test_a_break_that_stays_halts_after_it_was_asked_as_often_as_said(deployment: Deployment) -> None:
    held(deployment, {"MSFT": "60", "AAPL": "5"})
    found = report(deployment)
    assert (found["exit_code"], asked(deployment), len(found["asked_again"])) == (4, 3, 2)
    assert types(found) == ["QUANTITY_MISMATCH"]


def test_nothing_is_asked_again_where_nothing_would_halt(deployment: Deployment) -> None:
    held(deployment, {"MSFT": "99", "AAPL": "5"})
    assert (report(deployment)["exit_code"], asked(deployment)) == (10, 1)


def test_times_0_asks_once(deployment: Deployment) -> None:
    recheck(deployment, times=0)
    held(deployment, {"MSFT": "60", "AAPL": "5"}, {"MSFT": "100", "AAPL": "5"})
    assert (report(deployment)["exit_code"], asked(deployment)) == (4, 1)


def test_a_broker_may_have_its_own(deployment: Deployment) -> None:
    config = (deployment.folder / "recon.yaml").read_text()
    deployment.write("recon.yaml", config.replace("{adapter: moving}", "{adapter: moving, recheck: {times: 1}}"))
    held(deployment, {"MSFT": "60", "AAPL": "5"})
    assert (report(deployment)["exit_code"], asked(deployment)) == (4, 2)


def test_the_past_is_asked_once(deployment: Deployment) -> None:
    plugin = deployment.folder / "drop_ins" / "brokers" / "moving.py"
    plugin.write_text(plugin.read_text().replace("as_of=self.clock()", "as_of=ask.as_of or self.clock()"))
    deployment.book([book_row("MSFT", "100"), book_row("AAPL", "5")])
    held(deployment, {"MSFT": "60", "AAPL": "5"}, {"MSFT": "100", "AAPL": "5"})
    done = deployment.run("--as-of", "2026-11-20T21:00:00Z")
    assert (done.returncode, asked(deployment)) == (4, 1)


@pytest.mark.parametrize("how", ["raise RuntimeError('gone')", "return Feed.partial([], reason='half')"])
def test_a_halt_stands_where_the_broker_cannot_be_asked_again(deployment: Deployment, how: str) -> None:
    plugin = deployment.folder / "drop_ins" / "brokers" / "moving.py"
    plugin.write_text(
        plugin.read_text().replace("        answers = json", f"        if number:\n            {how}\n        answers = json")
    )
    deployment.policy(
        "version: 1\nbase_currency: USD\non_incomplete: warn\nrules: {QUANTITY_MISMATCH: {severity: high, halt: always}}\n"
    )
    held(deployment, {"MSFT": "60", "AAPL": "5"})
    found = report(deployment)
    assert (found["exit_code"], types(found)) == (4, ["QUANTITY_MISMATCH"])
    assert found["feeds"][0]["status"] == "COMPLETE"
    assert any("the breaks stand as they were found first" in warning for warning in found["warnings"])
    assert (deployment.folder / ".state" / "HALT.json").exists()


def test_a_halt_stands_where_the_book_cannot_be_read_again(deployment: Deployment) -> None:
    plugin = deployment.folder / "drop_ins" / "brokers" / "moving.py"
    gone = "        if number:\n            (self.folder / 'book.csv').unlink(missing_ok=True)\n        answers = json"
    plugin.write_text(plugin.read_text().replace("        answers = json", gone))
    held(deployment, {"MSFT": "60", "AAPL": "5"})
    assert report(deployment)["exit_code"] == 4


def test_nobody_trades_at_a_broker_while_it_is_asked_again(deployment: Deployment) -> None:
    held(deployment, {"MSFT": "100", "AAPL": "5"})
    assert report(deployment)["verdict"] == "clean"
    config = deployment.folder / "recon.yaml"
    assert guard(config, broker="prime", account="MAIN")
    (deployment.folder / "asked").unlink()
    held(deployment, {"MSFT": "60", "AAPL": "5"}, {"MSFT": "100", "AAPL": "5"})
    permitted = []

    def sleep(_: float) -> None:
        permitted.append(bool(guard(config, broker="prime", account="MAIN")))

    assert run(Request(config), sleep=sleep)["verdict"] == "clean"
    assert permitted == [False]
    assert guard(config, broker="prime", account="MAIN")


def test_a_halt_stands_whatever_fails_while_brokers_are_asked_again(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    held(deployment, {"MSFT": "60", "AAPL": "5"})

    def lost(*_: object, **__: object) -> None:
        raise AttributeError("'NoneType' object has no attribute 'sc'")

    found = run(
        Request(deployment.folder / "recon.yaml"), sleep=lambda _: monkeypatch.setattr("recon_core.recheck.reconcile", lost)
    )
    assert (found["exit_code"], found["halting"]["raised"]) == (4, ["firm"])
    assert any("could not be asked about again: AttributeError" in warning for warning in found["warnings"])
    assert not guard(deployment.folder / "recon.yaml", broker="prime", account="MAIN")


EVIDENCE = """
    capabilities = ("positions", "fills")

    def evidence(self, ask):
        from datetime import timedelta
        from decimal import Decimal
        from recon_core import Evidence, Fill, guard
        permitted = bool(guard(self.folder / "recon.yaml", broker="prime", account="MAIN"))
        (self.folder / "meanwhile").write_text(str(permitted))
        traded_at = self.clock() - timedelta(hours=1)
        fill = Fill(id="F1", symbol="MSFT", quantity=Decimal(-40), price=Decimal(10), traded_at=traded_at, account="MAIN")
        return Evidence(fills=[fill])
"""


@pytest.mark.parametrize(
    ("when", "meanwhile", "after"),
    [
        ("residual <> 0", "False", True),  # explained, so that it does not halt in the end
        ("true", "False", False),
        ("abs(quantity_difference) > 50", "True", True),
    ],
)
def test_nobody_trades_on_what_would_halt_while_evidence_is_waited_for(
    deployment: Deployment, when: str, meanwhile: str, after: bool
) -> None:
    plugin = deployment.folder / "drop_ins" / "brokers" / "moving.py"
    head, hook = plugin.read_text().split("@hookimpl")
    plugin.write_text(f"{head.rstrip()}\n{EVIDENCE}\n\n@hookimpl{hook}")
    recheck(deployment, times=0)
    deployment.policy(f'version: 1\nrules: {{QUANTITY_MISMATCH: {{severity: high, halt: {{when: "{when}"}}}}}}\n')
    held(deployment, {"MSFT": "100", "AAPL": "5"}, {"MSFT": "60", "AAPL": "5"})
    config = deployment.folder / "recon.yaml"
    assert report(deployment)["verdict"] == "clean"
    assert guard(config, broker="prime", account="MAIN")
    report(deployment)
    assert (deployment.folder / "meanwhile").read_text() == meanwhile
    assert bool(guard(config, broker="prime", account="MAIN")) == after


def test_nor_on_what_a_broker_whose_feed_is_unproven_would_halt(deployment: Deployment) -> None:
    plugin = deployment.folder / "drop_ins" / "brokers" / "moving.py"
    head, hook = plugin.read_text().split("@hookimpl")
    plugin.write_text(f"{head.rstrip()}\n{EVIDENCE}\n\n@hookimpl{hook}")
    recheck(deployment, times=0)
    held(deployment, {"MSFT": "100", "AAPL": "5"}, {"MSFT": "60", "AAPL": "5"})
    assert report(deployment)["verdict"] == "clean"
    deployment.write("partial", "")
    found = report(deployment)
    assert (found["feeds"][0]["status"], found["decision"]["halt"]) == ("PARTIAL", True)
    assert (deployment.folder / "meanwhile").read_text() == "False"


def test_the_book_is_read_again_once_the_broker_has_answered(deployment: Deployment) -> None:
    """The bot books a fill a moment after the broker has it."""
    path = deployment.folder / "book.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE positions (broker, account, symbol, quantity)")
        database.execute("INSERT INTO positions VALUES ('prime', 'MAIN', 'MSFT', '100')")
    deployment.write("booked_later.sql", "UPDATE positions SET quantity = '60';")
    recheck(deployment, times=1, book="{database: 'sqlite:///book.sqlite', table: positions}")
    held(deployment, {"MSFT": "60"})
    found = report(deployment)
    assert (found["verdict"], asked(deployment)) == ("clean", 2)


@pytest.mark.parametrize(
    ("entry", "said"), [("{times: -1}", "-1 is less than"), ("{tries: 1}", "tries"), ("{wait_seconds: x}", "number")]
)
def test_a_recheck_that_cannot_be_meant_is_refused(deployment: Deployment, entry: str, said: str) -> None:
    config = (deployment.folder / "recon.yaml").read_text().replace("{times: 2, wait_seconds: 0.01}", entry)
    deployment.write("recon.yaml", config)
    done = deployment.run()
    assert done.returncode == 2
    assert said in done.stderr
