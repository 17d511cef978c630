"""``recon-core brokers``: what adapters can tell, and a feed as the engine sees it, from the broker and from a recording."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from canaries import ALPACA
from deployment import Deployment, assert_nothing_ugly, book_row, feed_row
from loopback import Reply, as_json, serving

CONFIG = """version: 1
book: {{file: book.csv}}
brokers:
  paper:
    adapter: alpaca
    accounts: {{PA3X7: MAIN}}
    options: {{base_url: "{url}"}}
    secrets: {{key_id: env:ALPACA_KEY_ID, secret_key: env:ALPACA_SECRET_KEY}}
"""


def position(symbol: str, qty: str, **more: str | None) -> dict[str, str | None]:
    return {
        "asset_id": f"id-{symbol}",
        "symbol": symbol,
        "asset_class": "us_equity",
        "qty": qty,
        "side": "short" if qty.startswith("-") else "long",
        "avg_entry_price": "10.5",
        "current_price": "11",
        **more,
    }


HELD = [position("AAPL ", "0.000000001"), position("MSFT", "-3")]
ACCOUNT = {
    "account_number": "PA3X7",
    "status": "ACTIVE",
    "currency": "USD",
    "cash": "100.25",
    "long_market_value": "0.00",
    "short_market_value": "-33",
}
ANSWERS = {"/v2/positions": as_json(HELD), "/v2/account": as_json(ACCOUNT)}


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    made = Deployment(tmp_path)
    made.book([book_row("MSFT", "-3", broker="paper")])
    return made


def fetched(deployment: Deployment, *arguments: str, code: int = 0) -> dict[str, object]:
    done = deployment.command("brokers", "fetch", "paper", "--json", *arguments, **ALPACA)
    assert done.returncode == code, done.stderr + done.stdout
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_feed_is_shown_as_the_engine_sees_it(deployment: Deployment) -> None:
    with serving(ANSWERS) as server:
        deployment.write("recon.yaml", CONFIG.format(url=server.url))
        found = fetched(deployment)
    assert (found["status"], found["reason"], found["as_of"]) == ("COMPLETE", "", "2026-11-20T21:05:00Z")
    assert found["positions"] == [
        {
            "account": "MAIN",
            "symbol": symbol,
            "raw_symbol": raw,
            "leg": "NET",
            "quantity": quantity,
            "avg_price": "10.5",
            "market_price": "11",
            "multiplier": "1",
            "currency": "USD",
            "asset_class": "us_equity",
            "isin": None,
            "cusip": None,
            "updated_at": None,
            "opened_at": None,
        }
        for symbol, raw, quantity in (("AAPL", "AAPL", "0.000000001"), ("MSFT", "MSFT", "-3"))
    ]
    assert found["totals"] == [
        {"account": "MAIN", "currency": "USD", "positions": 2, "long_value": "0.000000011", "short_value": "-33"}
    ]
    assert [each["status"] for each in found["received"]] == [200, 200]
    assert not (deployment.folder / ".state").exists()


@pytest.mark.case("A06")
def test_an_empty_answer_is_no_empty_account(deployment: Deployment) -> None:
    with serving(ANSWERS | {"/v2/positions": as_json([])}) as server:
        deployment.write("recon.yaml", CONFIG.format(url=server.url))
        found = fetched(deployment, code=3)
    assert found["status"] == "PARTIAL"
    assert found["positions"] == []


def test_a_broker_that_cannot_be_reached_is_told_and_exits_3(deployment: Deployment) -> None:
    with serving({"/v2/positions": as_json({"message": "forbidden"}, 403)}) as server:
        deployment.write("recon.yaml", CONFIG.format(url=server.url))
        done = deployment.command("brokers", "fetch", "paper", **ALPACA)
    assert done.returncode == 3
    assert done.stdout.startswith("FAILED  paper (alpaca), 0 positions\n  why: GET ")
    assert "no positions" in done.stdout


def test_a_saved_feed_is_read_again_without_the_network(deployment: Deployment) -> None:
    with serving(ANSWERS) as server:
        deployment.write("recon.yaml", CONFIG.format(url=server.url))
        first = fetched(deployment, "--save", "kept")
    kept = {path.name for path in (deployment.folder / "kept").iterdir()}
    assert len(kept) == 3
    again = fetched(deployment, "--replay", "kept")
    for key in ("status", "as_of", "positions", "totals", "control_totals", "sha256", "cash", "asked_at"):
        assert again[key] == first[key], key
    nobody = deployment.command("brokers", "fetch", "paper", "--replay", "kept", ALPACA_KEY_ID="", ALPACA_SECRET_KEY="")
    assert nobody.returncode == 0, nobody.stderr
    (deployment.folder / "recon.yaml").unlink()
    bare = fetched(deployment, "--replay", "kept")
    assert [each["quantity"] for each in bare["positions"]] == ["0.000000001", "-3"]


def test_a_saved_failure_fails_again(deployment: Deployment) -> None:
    with serving(ANSWERS | {"/v2/account": Reply("<html>login</html>", headers={"Content-Type": "text/html"})}) as server:
        deployment.write("recon.yaml", CONFIG.format(url=server.url))
        first = fetched(deployment, "--save", "kept", code=3)
    again = fetched(deployment, "--replay", "kept", code=3)
    assert "text/html" in str(first["reason"])
    assert again["status"] == first["status"] == "FAILED"
    assert "text/html" in str(again["reason"])


def test_a_statement_is_saved_and_read_again(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    deployment.book([book_row("MSFT", "7")])
    deployment.feed([feed_row("MSFT", "7")])
    done = deployment.command("brokers", "fetch", "prime", "--json", "--save", "kept")
    assert done.returncode == 0, done.stderr
    (tmp_path / "feed.csv").unlink()
    again = deployment.command("brokers", "fetch", "prime", "--json", "--replay", "kept")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["positions"] == json.loads(done.stdout)["positions"]


def test_evidence_that_an_adapter_does_not_tell_is_said_to_be_incomplete(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    deployment.feed([feed_row("MSFT", "7")])
    done = deployment.command("brokers", "fetch", "prime", "--json", "--evidence")
    assert json.loads(done.stdout)["evidence"]["complete"] is False
    assert "INCOMPLETE" in deployment.command("brokers", "fetch", "prime", "--evidence").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fetch", "papre"), "no broker 'papre' in recon.yaml, which has prime"),
        (("fetch", "prime", "--replay", "nowhere"), "recording.json: cannot be read"),
        (("fetch", "prime", "--replay", "a", "--save", "b"), "--save and --replay exclude each other"),
        (("fetch", "prime", "--since", "yesterday"), "is not an ISO 8601 time"),
        (("show", "alpacca"), "no broker and no adapter 'alpacca'; did you mean"),
    ],
)
def test_what_cannot_be_fetched_is_said(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = Deployment(tmp_path).command("brokers", *arguments)
    assert_nothing_ugly(done)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_missing_credential_is_a_configuration_error(deployment: Deployment) -> None:
    deployment.write("recon.yaml", CONFIG.format(url="http://127.0.0.1:9"))
    done = deployment.command("brokers", "fetch", "paper", ALPACA_KEY_ID="", ALPACA_SECRET_KEY="")
    assert done.returncode == 2
    assert "ALPACA_KEY_ID" in done.stderr


def test_brokers_and_adapters_are_listed_and_shown(deployment: Deployment) -> None:
    deployment.write("recon.yaml", CONFIG.format(url="http://127.0.0.1:9"))
    listed = deployment.command("brokers", "list")
    assert listed.returncode == 0
    assert "paper   alpaca" in listed.stdout
    told = json.loads(deployment.command("brokers", "list", "--json").stdout)
    assert told["brokers"] == [{"name": "paper", "adapter": "alpaca"}]
    assert {"alpaca", "statement"} <= {each["adapter"] for each in told["adapters"]}
    shown = deployment.command("brokers", "show", "paper")
    assert "env:ALPACA_SECRET_KEY" in shown.stdout
    assert "account PA3X7 is MAIN in the book" in shown.stdout
    assert json.loads(deployment.command("brokers", "show", "statement", "--json").stdout)["required"] == ["path"]


def test_a_feed_is_printed_for_people(deployment: Deployment) -> None:
    with serving(ANSWERS) as server:
        deployment.write("recon.yaml", CONFIG.format(url=server.url))
        done = deployment.command("brokers", "fetch", "paper", **ALPACA)
    assert "MAIN     AAPL    0.000000001" in done.stdout
    assert "total of MAIN: 2 positions, long 0.000000011, short -33 USD" in done.stdout


def test_an_adapter_that_hangs_ends_at_its_deadline(deployment: Deployment) -> None:
    with serving({"/v2/positions": Reply("[]", stall="within"), "/v2/account": as_json(ACCOUNT)}) as server:
        deployment.write(
            "recon.yaml", CONFIG.format(url=server.url).replace("adapter: alpaca", "adapter: alpaca\n    deadline_seconds: 0.4")
        )
        started = time.monotonic()
        found = fetched(deployment, code=3)
    assert found["status"] == "FAILED"
    assert time.monotonic() - started < 10


def test_what_a_broker_repeats_of_a_credential_is_masked(deployment: Deployment) -> None:
    echo = [position(ALPACA["ALPACA_KEY_ID"], "1", current_price=None)]
    with serving(ANSWERS | {"/v2/positions": as_json(echo)}) as server:
        deployment.write("recon.yaml", CONFIG.format(url=server.url))
        found = deployment.command("brokers", "fetch", "paper", "--json", "--evidence", **ALPACA)
        text = deployment.command("brokers", "fetch", "paper", "--evidence", **ALPACA)
    assert "***" in found.stdout
    assert "***" in text.stdout


def test_a_run_keeps_the_bytes_again_in_the_same_output_folder(deployment: Deployment) -> None:
    with serving(ANSWERS) as server:
        config = CONFIG.format(url=server.url).replace("adapter: alpaca", "adapter: alpaca\n    keep_raw: true")
        deployment.write("recon.yaml", config + "recheck: {times: 0}\n")
        kept = [json.loads(deployment.run("--json", "--output", "out", **ALPACA).stdout)["feeds"][0]["raw"] for _ in range(2)]
    assert len({*kept}) == 2
    assert all((deployment.folder / folder / "recording.json").exists() for folder in kept)


def test_the_evidence_has_a_deadline_of_its_own(deployment: Deployment) -> None:
    with serving({"/v2/positions": Reply("[]", stall="drip"), "/v2/account": as_json(ACCOUNT)}) as server:
        config = CONFIG.format(url=server.url).replace("adapter: alpaca", "adapter: alpaca\n    deadline_seconds: 2")
        deployment.write("recon.yaml", config)
        found = fetched(deployment, "--evidence", code=3)
        asked = [request.path.partition("?")[0] for request in server.requests]
    assert "within the feed's deadline of 2 s" in str(found["reason"])
    assert any(path.startswith("/v2/account/activities") for path in asked), "what came after the time of the positions was up"
    assert "deadline" not in found["evidence"]["reason"]


def test_a_file_that_an_earlier_run_took_is_known_again(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    deployment.book([book_row("MSFT", "7", updated_at="2026-11-19T20:00:00Z")])
    deployment.config(as_of="2026-11-19T21:00:00Z")
    deployment.feed([feed_row("MSFT", "7")])
    assert deployment.run().returncode == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / ".state").iterdir() if path.is_file()}
    assert deployment.command("brokers", "fetch", "prime").returncode == 0, "of the same day it is no old file"
    deployment.book([book_row("MSFT", "7", updated_at="2026-11-20T20:00:00Z")])
    deployment.config()
    again = deployment.command("brokers", "fetch", "prime", "--json")
    assert (again.returncode, json.loads(again.stdout)["status"]) == (3, "NOT_READY")
    assert "the very bytes that were delivered for 2026-11-19" in json.loads(again.stdout)["reason"]
    assert {path.name: path.read_bytes() for path in (tmp_path / ".state").iterdir() if path.is_file()} == before
    (tmp_path / ".state" / "recon.sqlite").write_bytes(b"no store")
    damaged = deployment.command("brokers", "fetch", "prime")
    assert "the store could not be asked which files earlier runs took" in damaged.stdout
