"""Each row of evidence has the hash of the bytes that it was read from, of whatever page of whatever broker."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from hashlib import sha256

import flex_samples as flex
import test_alpaca_evidence as alpaca
import test_ibkr_flex as flex_service
import test_oanda as oanda
import test_tradier as tradier
from alpaca_samples import alpaca as alpaca_adapter
from loopback import Reply, as_json, serving

from recon_core.brokers import Broker
from recon_core.collect import AskingEvidence, EvidenceAnswer
from recon_core.config.settings import BrokerSettings
from recon_core.evidence import digest_of
from recon_core.inquiry import digests

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def told(broker: Broker) -> EvidenceAnswer:
    """What a broker tells, as a run asks for it."""
    asking = AskingEvidence(BrokerSettings("prime", broker.name), type(broker), None, lambda *_: broker, since=SINCE)
    asking.start()
    return asking.answer(time.monotonic())


def digests_of(answer: EvidenceAnswer) -> Counter[str | None]:
    """How many rows have which digest."""
    known = digests(answer)
    rows = [*answer.evidence.fills, *answer.evidence.movements, *answer.evidence.corporate_actions]
    return Counter(digest_of(row.source, known) for row in rows)


def of_pages(*rows: tuple[int, Reply]) -> Counter[str | None]:
    """The same of answers that hold so many rows each."""
    return Counter(
        {sha256(reply.body if isinstance(reply.body, bytes) else reply.body.encode()).hexdigest(): count for count, reply in rows}
    )


def test_rows_of_a_flex_statement_that_was_asked_for_twice() -> None:
    statement = flex.response(flex.statement(flex.tag("Trades", flex.trade()), flex.tag("Transfers"), flex.tag("CorporateActions")))
    stack, server = flex_service.service(flex.refused("1019", status="Warn"), statement)
    with stack:
        found = digests_of(told(flex.adapter(base_url=f"{server.url}/flex", query_id="4711", poll_seconds=0)))
    assert found == of_pages((1, Reply(statement)))


def test_rows_of_all_pages_of_activities_and_corporate_actions_of_alpaca() -> None:
    pages = [as_json([alpaca.fill(number) for number in range(1, 101)]), as_json([alpaca.fill(101)])]
    actions = [
        as_json({"corporate_actions": {"stock_dividends": [{"id": name, "symbol": "AAPL", "rate": 1}]}, "next_page_token": token})
        for name, token in (("ca-1", "more"), ("ca-2", None))
    ]
    with alpaca.broker(*pages, actions=tuple(actions)) as server:
        found = digests_of(told(alpaca_adapter(server)))
    assert found == of_pages((100, pages[0]), (1, pages[1]), (1, actions[0]), (1, actions[1]))


def test_rows_of_all_pages_of_oanda() -> None:
    rows = [[oanda.other("7", "DAILY_FINANCING", financing="-1")], [oanda.other("8", "DAILY_FINANCING", financing="-2")]]
    pages = [as_json({"transactions": page, "lastTransactionID": "9"}) for page in rows]
    path = f"/accounts/{oanda.ACCOUNT}/transactions"
    replies = {
        "/accounts": as_json({"accounts": [{"id": oanda.ACCOUNT}]}),
        f"/accounts/{oanda.ACCOUNT}/summary": as_json(oanda.summary(0, hedgingEnabled=False)),
        f"{path}/idrange": list(pages),
    }
    with serving(replies) as server:
        addresses = [f"{server.url}{path}/idrange?from={number}&to={number}" for number in (7, 8)]
        server.replies[path] = [as_json({"pages": addresses, "count": 2, "pageSize": 1000, "lastTransactionID": "9"})]
        found = digests_of(told(oanda.adapter(server.url)))
    assert found == of_pages((1, pages[0]), (1, pages[1]))


def test_rows_of_all_pages_of_tradier() -> None:
    rows = [
        {"event": [tradier.trade("GE", number, 10, -10) for number in range(1, 101)]},
        {"event": tradier.trade("F", 7, 10, -70)},
    ]
    pages = [as_json({"history": page}) for page in rows]
    with serving({"/user/profile": as_json(tradier.profile("A1")), "/accounts/A1/history": list(pages)}) as server:
        found = digests_of(told(tradier.adapter(server.url)))
    assert found == of_pages((100, pages[0]), (1, pages[1]))
