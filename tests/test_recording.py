"""Recordings and kept evidence: what a broker answered, byte for byte, read again without it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from canaries import TOKEN as CANARY
from deployment import Deployment, book_row, feed_row
from loopback import Reply, as_json, serving

from recon_core.documents import Document
from recon_core.errors import BrokerError, ConfigError, MalformedError, RequestError
from recon_core.http import Http, Received
from recon_core.recording import Recording, Replay, read_recording, write_recording
from recon_core.redaction import keep_secret

AT = datetime(2026, 11, 20, 21, 5, tzinfo=UTC)


def recorded(server_replies, *questions) -> Http:
    http = Http(deadline_seconds=5, backoff_seconds=0.001, keep_raw=True)

    async def ask(url: str) -> None:
        for path, params in questions:
            with suppress(MalformedError):
                await http.get_json(url + path, headers={"Authorization": CANARY}, params=params)

    with serving(server_replies) as server:
        asyncio.run(ask(server.url))
    return http


def test_a_recording_answers_again_what_was_answered(tmp_path: Path) -> None:
    http = recorded({"/a": as_json([1]), "/b": [as_json([2]), as_json([3])]}, ("/a", {}), ("/b", {"n": "1"}), ("/b", {"n": "1"}))
    document = Document(Path("s.csv"), b"a,b\n", hashlib.sha256(b"a,b\n").hexdigest(), AT)
    write_recording(tmp_path, Recording("alpaca", AT, None, {"x": "y"}, tuple(http.received), (document,)))
    found = read_recording(tmp_path)
    assert (found.adapter, found.at, found.options) == ("alpaca", AT, {"x": "y"})
    assert found.exchanges == tuple(http.received)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert found.documents == (document,)
    replayed = Http(answering=Replay(found))

    async def again() -> list[object]:
        async with replayed:
            return [(await replayed.get_json(f"https://elsewhere.example{path}", params=params)).body for path, params in asked]

    asked = [("/b", {"n": "1"}), ("/a", {}), ("/b", {"n": "1"}), ("/b", {"n": "1"})]
    assert asyncio.run(again()) == [[2], [1], [3], [3]]
    with pytest.raises(RequestError, match="the recording has no answer"):
        asyncio.run(replayed.get_json("https://elsewhere.example/b", params={"n": "2"}))


def test_a_header_that_is_not_ascii_is_replayed(tmp_path: Path) -> None:
    header = {"Content-Type": "application/json", "X-Request-ID": "é7"}
    again = Recording("alpaca", AT, exchanges=(Received("GET", "https://broker.example/a", {}, 200, header, b"[1]", "", 3),))
    http = Http(answering=Replay(again))
    assert asyncio.run(http.get_json("https://broker.example/a")).body == [1]


def test_a_recorded_address_that_is_none_answers_no_question() -> None:
    recording = Recording("alpaca", AT, exchanges=(Received("GET", "http://[", {}, 200, {}, b"1", "", 1),))
    with pytest.raises(RequestError, match="the recording has no answer"):
        Replay(recording)("GET", "https://broker.example/a", {})


def test_what_is_refused_is_recorded_and_refused_again(tmp_path: Path) -> None:
    http = recorded({"/a": Reply("<html>", headers={"Content-Type": "text/html"})}, ("/a", {}))
    write_recording(tmp_path, Recording("x", AT, None, {}, tuple(http.received)))
    with pytest.raises(MalformedError, match="answered text/html where JSON is due"):
        asyncio.run(Http(answering=Replay(read_recording(tmp_path))).get_json("https://x.example/a"))


def test_a_recording_holds_no_secret(tmp_path: Path) -> None:
    keep_secret(CANARY)
    http = recorded({"/a": as_json({"echo": CANARY, "account": "A1"})}, ("/a", {"t": CANARY, "q": "7"}))
    folder = tmp_path / ".state"
    write_recording(folder, Recording("x", AT, None, {"note": CANARY}, tuple(http.received)))
    assert all(CANARY.encode() not in path.read_bytes() for path in folder.iterdir())
    found = read_recording(folder)
    answer = asyncio.run(Http(answering=Replay(found)).get_json("https://x.example/a", params={"t": "another", "q": "7"}))
    assert answer.body == {"echo": "***", "account": "A1"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "recording.json").unlink(), "cannot be read"),
        (lambda folder: (folder / "recording.json").write_text("{"), "not a recording"),
        (lambda folder: (folder / "recording.json").write_text("[]"), "not a recording"),
        (lambda folder: (folder / "001-a.body").write_bytes(b"[2]"), "not the bytes that were recorded"),
        (lambda folder: (folder / "001-a.body").unlink(), "cannot be read"),
        (lambda folder: rewritten(folder, version=2), "version 2"),
        (lambda folder: rewritten(folder, at="yesterday"), "not a recording"),
        (lambda folder: rewritten(folder, exchanges=[{"url": "x", "body": "../../etc/passwd"}]), "no file of this folder"),
    ],
)
def test_a_damaged_recording_is_refused(tmp_path: Path, change, said) -> None:
    write_recording(tmp_path, Recording("x", AT, None, {}, tuple(recorded({"/a": as_json([1])}, ("/a", {})).received)))
    change(tmp_path)
    with pytest.raises(ConfigError, match=said):
        read_recording(tmp_path)


def rewritten(folder: Path, **changes: object) -> None:
    place = folder / "recording.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | changes))


def test_a_recording_is_not_written_over_another(tmp_path: Path) -> None:
    write_recording(tmp_path, Recording("x", AT))
    with pytest.raises(ConfigError, match="holds a recording already"):
        write_recording(tmp_path, Recording("x", AT))


def test_keep_raw_keeps_the_bytes_beside_the_report(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    deployment.book([book_row("MSFT", "1")])
    deployment.feed([feed_row("MSFT", "1")])
    deployment.run()
    assert not list(tmp_path.rglob("recording.json"))
    deployment.config(broker="keep_raw: true")
    report = deployment.report()
    kept = read_recording(Path(report["feeds"][0]["raw"]))
    (document,) = kept.documents
    assert document.raw == (tmp_path / "feed.csv").read_bytes()
    assert document.sha256 == report["feeds"][0]["sha256"]


def test_an_adapter_reads_the_bytes_of_files_and_the_report_names_them(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    deployment.book([book_row("MSFT", "1")])
    deployment.write_drop_in(
        "brokers",
        "whole",
        """
        class Whole(Broker):
            \"\"\"Reads files whole.\"\"\"

            name = "whole"
            options = {"path": {"type": "string", "description": "The file."}}

            def positions(self, ask):
                documents = self.documents(ask)
                held = [Position(symbol=d.raw.decode().strip(), quantity=__import__("decimal").Decimal(1)) for d in documents]
                return Feed.complete(held, as_of=self.clock())
        """,
    )
    config = (tmp_path / "recon.yaml").read_text()
    deployment.write("recon.yaml", config.replace("{adapter: whole}", "{adapter: whole, options: {path: 'p*.txt'}}"))
    absent = deployment.report()["feeds"][0]
    assert (absent["status"], absent["received"]) == ("NOT_READY", [])
    deployment.write("p1.txt", "MSFT")
    deployment.write("p2.txt", "")
    empty = deployment.report()["feeds"][0]
    assert empty["status"] == "FAILED"
    assert "0 bytes" in empty["reason"]
    deployment.write("p2.txt", "AAPL")
    feed = deployment.report()["feeds"][0]
    assert (feed["status"], feed["positions"]) == ("COMPLETE", 2)
    assert [Path(each["from"]).name for each in feed["received"]] == ["p1.txt", "p2.txt"]


@pytest.mark.parametrize(
    ("reply", "limit", "came", "said"),
    [
        (Reply(b'[{"a": 1}', promised=5000), 1000, b'[{"a": 1}', "the body was cut off after 9 bytes"),
        (Reply(b"[1, 2, 3, 4, 5]"), 4, b"[1, 2, 3, 4, 5]", "the body is larger than the limit of 4 bytes"),
        (Reply(b"[1, 2, 3, 4]", stall="within"), 1000, b"[1, 2,", "no whole answer within the feed's deadline of 1 s"),
    ],
)
def test_what_came_of_a_body_that_is_not_whole_is_kept_and_marked(
    tmp_path: Path, reply: Reply, limit: int, came: bytes, said: str
) -> None:
    def asked(http: Http) -> str:
        with pytest.raises(BrokerError) as caught:
            asyncio.run(http.get_json(url))
        return str(caught.value)

    with serving({"/v1/held": reply}) as server:
        url = f"{server.url}/v1/held"
        http = Http(1, limit, backoff_seconds=0.001, keep_raw=True)
        assert said in asked(http)
    first = http.received[0]
    assert (first.status, first.cut, first.raw) == (200, True, came)
    write_recording(tmp_path / "kept", Recording("alpaca", AT, exchanges=tuple(http.received)))
    recording = read_recording(tmp_path / "kept")
    assert [(each.cut, each.raw) for each in recording.exchanges] == [(True, came)] * len(http.received)
    again = asked(Http(1, limit, backoff_seconds=0.001, answering=Replay(recording)))
    assert ("larger than the limit" in again) == (limit == 4), "and replayed it is no whole answer either"
    assert "cut off after" in again or limit == 4
