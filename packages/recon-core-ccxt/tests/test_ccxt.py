"""The adapter ccxt against a real server: what four exchanges hold, and what is not believed."""

import asyncio
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import urlsplit

import payloads as venue
import pytest
from canaries import found
from conftest import SECRETS
from loopback import Reply, as_json
from recon_core_ccxt import fills

from recon_core import (
    Ask,
    AuthError,
    BrokerError,
    FeedStatus,
    MalformedError,
    NotReadyError,
    RequestError,
    ThrottledError,
    TransientError,
)
from recon_core.recording import Recording, Replay, read_recording, write_recording

SPOT = {  # exchange: wallets, all answers, the path of the one that tells what is held
    "binance": (["spot"], venue.binance, "/api/v3/account"),
    "kraken": (["spot"], venue.kraken, "/0/private/BalanceEx"),
    "bybit": (["unified"], venue.bybit, "/v5/account/wallet-balance"),
    "okx": (["trading"], venue.okx, "/api/v5/account/balance"),
}
CONTRACTS = {
    "binance": (["swap:linear"], venue.binance, "/fapi/v3/positionRisk"),
    "bybit": (["swap:linear:USDT"], venue.bybit, "/v5/position/list"),
    "okx": (["swap"], venue.okx, "/api/v5/account/positions"),
}
EVERY = [pytest.param(name, *rest, id=f"{name}-{rest[0][0]}") for table in (SPOT, CONTRACTS) for name, rest in table.items()]


def held(feed):
    return [(each.symbol, each.leg, each.quantity) for each in feed.positions]


def test_plugin_is_installed_from_this_distribution(host):
    assert host.plugin_of("ccxt").origin.startswith("distribution recon-core-ccxt ")


def test_spot_coins_are_all_that_is_owned_locked_or_free_with_every_digit(read):
    feed = read("binance", ["spot"], venue.binance())
    assert feed.status is FeedStatus.COMPLETE
    assert feed.as_of == datetime(2026, 11, 20, 21, 5, tzinfo=UTC)
    assert held(feed) == [("BTC", "NET", Decimal("1.123456789012345678")), ("LDO", "NET", Decimal(0))]
    assert {each.currency for each in feed.positions} == {None}
    assert [(each.currency, each.amount) for each in feed.cash] == [("USD", Decimal("12.34"))]
    assert feed.coverage == ("crypto",)


def test_legs_of_hedge_mode_stay_apart_and_shorts_are_negative(read):
    feed = read("binance", ["swap:linear"], venue.binance(), account="DESK")
    assert feed.status is FeedStatus.COMPLETE
    assert held(feed) == [
        ("BTC/USDT:USDT", "LONG", Decimal("0.005")),
        ("BTC/USDT:USDT", "SHORT", Decimal("-0.003")),
        ("ETH/USDT:USDT", "NET", Decimal("-2.5")),
    ]
    first = feed.positions[0]
    assert (first.raw_symbol, first.currency, first.multiplier, first.account) == ("BTCUSDT", "USDT", Decimal(1), "DESK")
    assert (first.avg_price, first.market_price) == (Decimal("91000.5"), Decimal("92000.12345678"))


def test_kraken_names_become_codes_and_fiat_is_cash(read):
    feed = read("kraken", ["spot"], venue.kraken())
    assert feed.status is FeedStatus.COMPLETE
    assert held(feed) == [("BTC", "NET", Decimal("1.2345678901")), ("ETH", "NET", Decimal(0))]
    assert feed.positions[0].raw_symbol == "XXBT"
    assert [(each.currency, each.amount) for each in feed.cash] == [("USD", Decimal("25435.21"))]


def test_bybit_side_signs_an_unsigned_size_and_flat_rows_are_kept(read):
    feed = read("bybit", ["swap:linear:USDT", "unified"], venue.bybit())
    assert feed.status is FeedStatus.COMPLETE
    assert sorted(held(feed)) == [
        ("BTC", "NET", Decimal("1.500000000000000001")),
        ("BTC/USDT:USDT", "NET", Decimal(0)),
        ("ETH/USDT:USDT", "NET", Decimal("-0.1")),
    ]


def test_okx_contracts_have_their_size_as_multiplier(read):
    feed = read("okx", ["swap"], venue.okx())
    assert feed.status is FeedStatus.COMPLETE
    [position] = feed.positions
    assert (position.quantity, position.multiplier, position.currency) == (Decimal("-2.5"), Decimal("0.01"), "USDT")
    assert position.avg_price == Decimal("91000.123456789")


def test_okx_holdings_are_without_open_profit(read):
    feed = read("okx", ["trading"], venue.okx())
    assert held(feed) == [("USDT", "NET", Decimal("101.75"))]
    assert "cashBal 101.75 is what is held" in feed.notes[0]


def test_number_that_is_no_text_keeps_every_digit(read):
    raw = json.dumps(venue.BINANCE_SPOT).replace('"0.023456789012345678"', "0.023456789012345678")
    feed = read("binance", ["spot"], venue.binance() | {"/api/v3/account": Reply(raw)})
    assert held(feed)[0] == ("BTC", "NET", Decimal("1.123456789012345678"))


def test_inverse_contract_has_no_multiplier(read):
    replies = venue.okx([venue.okx_position("3", instId="BTC-USD-SWAP")])
    market = json.loads(replies["/api/v5/public/instruments"].body)
    market["data"][0] |= {
        "instId": "BTC-USD-SWAP",
        "uly": "BTC-USD",
        "instFamily": "BTC-USD",
        "settleCcy": "BTC",
        "ctType": "inverse",
        "ctVal": "100",
    }
    feed = read("okx", ["swap"], replies | {"/api/v5/public/instruments": as_json(market)})
    [position] = feed.positions
    assert (position.quantity, position.multiplier, position.currency) == (Decimal(3), None, "USD")
    assert "inverse contract" in feed.notes[0]


def test_questions_are_signed_as_they_are_sent(read):
    read("binance", ["spot"], venue.binance())
    query, _, signature = urlsplit(read.requests[-1].path).query.partition("&signature=")
    assert signature == hmac.new(SECRETS["secret"].encode(), query.encode(), hashlib.sha256).hexdigest()


# What is not believed

FAULTS = {
    "page for browsers": (
        Reply("<html>Log in</html>", headers={"Content-Type": "text/html"}),
        MalformedError,
        "not JSON .*text/html",
    ),
    "empty body": (Reply(""), MalformedError, "empty body"),
    "half a document": (Reply('{"code":"0","retCode":0,"error":[],"result":{"list":['), MalformedError, "not JSON"),
    "a bare word": (Reply('"maintenance"'), MalformedError, "an object or an array is due"),
    "a number that is none": (Reply('{"code":"0","data":[],"result":NaN}'), MalformedError, "NaN is no number"),
    "body shorter than promised": (Reply('{"a":', promised=500), MalformedError, "cut off after 5 bytes"),
    "body longer than promised": (Reply('{"code":"0","data":[]}', promised=9), MalformedError, "not JSON"),
    "an empty object": (Reply("{}"), BrokerError, None),
    "a proxy's error in 200": (as_json({"error": "upstream", "data": []}), BrokerError, None),
    "401": (as_json({"msg": "who?"}, 401), AuthError, "401"),
    "403 page": (Reply("<html>no</html>", 403), AuthError, "403"),
    "429": (as_json({"msg": "slow down"}, 429, Retry_After="30"), ThrottledError, "asks to wait 30 s"),
    "502 page": (Reply("<html>Bad gateway</html>", 502), TransientError, "502"),
    "503": (as_json({}, 503), TransientError, "503"),
    "redirect": (Reply("", 302, {"Location": "http://127.0.0.1:1/"}), RequestError, "points elsewhere"),
    "compressed": (Reply(b"\x1f\x8b", headers={"Content-Encoding": "gzip"}), MalformedError, "Content-Encoding gzip"),
    "no date": (None, MalformedError, "no Date header"),
}


# What only the wire sees is tried with one exchange, what the code of each exchange may take otherwise with every one.
WIRE_ONLY = ("a bare word", "a number that is none", "body longer than promised", "403 page", "503", "redirect", "compressed")


@pytest.mark.parametrize(
    ("exchange", "wallets", "answers", "path", "fault"),
    [
        pytest.param(*each.values, fault, id=f"{each.id}-{fault}")
        for number, each in enumerate(EVERY)
        for fault in FAULTS
        if number == 1 or fault not in WIRE_ONLY
    ],
)
def test_fault_in_the_answer_is_never_an_empty_account(read, exchange, wallets, answers, path, fault):
    reply, error, said = FAULTS[fault]
    replies = answers()
    whole = replies[path][0] if isinstance(replies[path], list) else replies[path]
    replies[path] = reply or Reply(whole.body, headers={"Date": None})
    with pytest.raises(error, match=said) as raised:
        read(exchange, wallets, replies)
    assert not found(str(raised.value))


@pytest.mark.parametrize("fault", ["page for browsers", "empty body", "an empty object"])
@pytest.mark.parametrize(("exchange", "wallets", "answers", "path"), EVERY)
def test_fault_in_the_list_of_markets_is_a_fault(read, exchange, wallets, answers, path, fault):
    replies = answers()
    markets = next(
        name for name in replies if name.split("/")[-1].lower() in ("exchangeinfo", "assetpairs", "instruments-info", "instruments")
    )
    if wallets[0].startswith("swap") and exchange == "binance":
        markets = "/fapi/v1/exchangeInfo"
    with pytest.raises(BrokerError):
        read(exchange, wallets, replies | {markets: FAULTS[fault][0]})


CODES = {
    "kraken": (as_json({"error": ["EAPI:Invalid key"], "result": {}}), AuthError),
    "kraken limit": (as_json({"error": ["EAPI:Rate limit exceeded"]}), ThrottledError),
    "kraken maintenance": (as_json({"error": ["EService:Unavailable"], "result": {}}), TransientError),
    "bybit": (venue.bybit_answer({}, 10003, "API key is invalid."), AuthError),
    "bybit list": (venue.bybit_answer({"list": []}, 10016, "Server error."), BrokerError),
    "okx": (as_json({"code": "50113", "msg": "Invalid Sign", "data": []}), AuthError),
    "okx unknown": (as_json({"code": "59999", "msg": "?", "data": []}), BrokerError),
    "binance": (as_json({"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}), AuthError),
    "binance 400": (as_json({"code": -1121, "msg": "Invalid symbol."}, 400), RequestError),
}


@pytest.mark.parametrize("case", CODES)
def test_error_code_under_a_status_of_200_is_that_error(read, case):
    exchange = case.partition(" ")[0]
    wallets, answers, path = SPOT[exchange]
    reply, error = CODES[case]
    with pytest.raises(error):
        read(exchange, wallets, answers() | {path: reply})


@pytest.mark.parametrize("stall", ["before", "within", "drip"])
@pytest.mark.parametrize(("exchange", "wallets", "answers", "path"), EVERY[1::4])
def test_slow_answer_ends_at_the_deadline(read, exchange, wallets, answers, path, stall):
    body = answers()[path]
    body = (body[0] if isinstance(body, list) else body).body
    began = time.monotonic()
    with pytest.raises(TransientError, match=r"within the feed's deadline of 0\.6 s"):
        read(exchange, wallets, answers() | {path: Reply(body, stall=stall)}, deadline=0.6)
    assert time.monotonic() - began < 1.6


@pytest.mark.parametrize(
    ("reply", "error"),
    [(Reply('{"a":', promised=500), MalformedError), (Reply('{"a":1}', stall="within"), TransientError)],
    ids=["cut off", "late"],
)
def test_what_came_of_a_body_that_was_cut_is_kept_and_is_no_answer_later(read, tmp_path, reply, error):
    with pytest.raises(error):
        read("kraken", ["spot"], venue.kraken() | {"/0/private/BalanceEx": reply}, deadline=2, keep_raw=True)
    kept = read.http.received
    came = kept[-1]
    assert (came.cut, came.size, came.raw) == (True, len(came.raw), reply.body.encode()[: len(came.raw)])
    assert came.raw
    assert sum(each.cut for each in kept) == 1
    write_recording(tmp_path / "kept", Recording("ccxt", datetime(2026, 11, 20, 21, 6, tzinfo=UTC), exchanges=tuple(kept)))
    with pytest.raises(MalformedError, match="cut off after"):
        read("kraken", ["spot"], {}, answering=Replay(read_recording(tmp_path / "kept")))


def test_server_that_is_not_there_is_a_network_failure(read):
    with pytest.raises(TransientError, match="the network failed"):
        read("kraken", ["spot"], {}, base_url="http://127.0.0.1:9")


def test_server_error_that_passes_is_asked_again_signed_anew(read):
    replies = venue.kraken()
    replies["/0/private/BalanceEx"] = [as_json({}, 502), replies["/0/private/BalanceEx"]]
    assert read("kraken", ["spot"], replies).status is FeedStatus.COMPLETE
    first, second = (each.body for each in read.requests if each.path == "/0/private/BalanceEx")
    assert first != second


# What is not proven


def lists_nothing(exchange, figure):
    """Wallets and answers of an exchange that lists no coin, or no contract, and states ``figure`` beside it."""
    bybit = venue.bybit(coins=[])
    wallet = json.loads(bybit["/v5/account/wallet-balance"].body)
    wallet["result"]["list"][0]["totalEquity"] = figure
    margin = [{"coin": "USDC", "totalPositionIM": "9"}, {"coin": "USDT", "totalPositionIM": figure}]
    of_contracts = {"/v5/account/wallet-balance": venue.bybit_answer({"list": [{"accountType": "UNIFIED", "coin": margin}]})}
    balance = as_json({"error": [], "result": {"eb": figure, "m": figure}})
    risk = [] if figure == "0" else [{"instType": "SWAP"}]
    return {
        "binance contracts": (
            ["swap:linear"],
            venue.binance(um=[]) | {"/fapi/v3/account": as_json({"totalPositionInitialMargin": figure})},
        ),
        "binance inverse contracts": (
            ["swap:inverse"],
            {
                "/dapi/v1/exchangeInfo": as_json({"symbols": [venue.binance_market("BTCUSD_PERP", "BTC", **venue.PERPETUAL)]}),
                "/dapi/v1/positionRisk": as_json([]),
                "/dapi/v1/account": as_json({"assets": [{"positionInitialMargin": figure}], "positions": []}),
            },
        ),
        "kraken coins": (["spot"], venue.kraken({}) | {"/0/private/TradeBalance": balance}),
        "bybit coins": (["unified"], bybit | {"/v5/account/wallet-balance": as_json(wallet)}),
        "bybit contracts": (
            ["swap:linear:USDT"],
            venue.bybit([venue.bybit_answer({"nextPageCursor": "", "list": []})]) | of_contracts,
        ),
        "okx coins": (
            ["trading"],
            venue.okx()
            | {"/api/v5/account/balance": as_json({"code": "0", "msg": "", "data": [{"totalEq": figure, "details": []}]})},
        ),
        "okx funding": (
            ["funding"],
            venue.okx()
            | {"/api/v5/asset/asset-valuation": as_json({"code": "0", "msg": "", "data": [{"details": {"funding": figure}}]})},
        ),
        "okx contracts": (
            ["swap"],
            venue.okx([])
            | {"/api/v5/account/account-position-risk": as_json({"code": "0", "msg": "", "data": [{"posData": risk}]})},
        ),
    }[exchange]


EMPTY = [
    *("binance contracts", "binance inverse contracts", "kraken coins", "bybit coins", "bybit contracts"),
    *("okx coins", "okx funding", "okx contracts"),
]


@pytest.mark.parametrize("exchange", EMPTY)
def test_wallet_that_lists_nothing_is_empty_where_another_figure_says_so_too(read, exchange):
    feed = read(exchange.partition(" ")[0], *lists_nothing(exchange, "0"))
    assert (feed.status, feed.positions, feed.accounts) == (FeedStatus.COMPLETE, (), (exchange.partition(" ")[0],))


@pytest.mark.parametrize("exchange", EMPTY)
def test_wallet_that_lists_nothing_is_refused_where_another_figure_tells_of_more(read, exchange):
    with pytest.raises(MalformedError, match=r"lists nothing, and .* tells of (20|1) more"):
        read(exchange.partition(" ")[0], *lists_nothing(exchange, "20"))


@pytest.mark.parametrize(("worth", "expected"), [("25435.2101", FeedStatus.COMPLETE), ("25435.2300", None)])
def test_wallet_of_money_alone_is_that_where_its_worth_is_no_more(read, worth, expected):
    balances = {"ZUSD": venue.KRAKEN_BALANCES["ZUSD"]}
    replies = venue.kraken(balances) | {"/0/private/TradeBalance": as_json({"error": [], "result": {"eb": worth}})}
    if expected is None:
        with pytest.raises(MalformedError, match=r"eb tells of 0\.0200 more"):
            read("kraken", ["spot"], replies)
        return
    feed = read("kraken", ["spot"], replies)
    assert (feed.status, feed.positions, len(feed.cash)) == (expected, (), 1)
    assert b"asset=ZUSD" in read.requests[-1].body


def test_empty_list_of_coins_of_binance_proves_nothing_for_it_lists_those_that_are_not_held(read):
    feed = read("binance", ["spot"], venue.binance(spot=venue.BINANCE_SPOT | {"balances": []}))
    assert feed.status is FeedStatus.PARTIAL
    assert "nothing else that binance says proves it" in feed.reason


def test_list_of_coins_that_is_none_is_refused_for_names_hang_on_it(read):
    with pytest.raises(MalformedError, match=r"/0/public/Assets: not the list that is due"):
        read("kraken", ["spot"], venue.kraken() | {"/0/public/Assets": as_json({"status": "ok", "version": 3})})


def test_text_with_an_exponent_is_a_number_only_where_it_is_small(read):
    def spot(free):
        balances = [{"asset": "BTC", "free": free, "locked": "0"}]
        return venue.binance(spot=venue.BINANCE_SPOT | {"balances": balances})

    assert held(read("binance", ["spot"], spot("1E-8"))) == [("BTC", "NET", Decimal("0.00000001"))]
    with pytest.raises(BrokerError):
        read("binance", ["spot"], spot("1e3"))


def bitvavo(balances):
    market = {"market": "BTC-EUR", "status": "trading", "base": "BTC", "quote": "EUR", "pricePrecision": "5", "tickSize": "0.1",
              "minOrderInBaseAsset": "0.0001", "minOrderInQuoteAsset": "5", "orderTypes": ["market", "limit"]}  # fmt: skip
    asset = {"symbol": "BTC", "name": "Bitcoin", "decimals": 8, "depositFee": "0", "withdrawalFee": "0", "depositStatus": "OK",
             "withdrawalStatus": "OK", "networks": ["BTC"], "message": ""}  # fmt: skip
    return {"/v2/markets": as_json([market]), "/v2/assets": as_json([asset]), "/v2/balance": as_json(balances)}


def test_exchange_of_which_nothing_is_known_is_read_and_its_silence_proves_nothing(read):
    feed = read("bitvavo", ["spot"], bitvavo([{"symbol": "BTC", "available": "1.57593193", "inOrder": "0.74832374"}]))
    assert (feed.status, held(feed)) == (FeedStatus.COMPLETE, [("BTC", "NET", Decimal("2.32425567"))])
    feed = read("bitvavo", ["spot"], bitvavo([]))
    assert feed.status is FeedStatus.PARTIAL
    assert "nothing else that bitvavo says proves it" in feed.reason


UNRECOGNISED = {
    "binance other fields": ("binance", ["spot"], "/api/v3/account", {"holdings": [{"asset": "BTC", "free": "1"}]}),
    "binance none": ("binance", ["spot"], "/api/v3/account", {"message": "scheduled maintenance"}),
    "kraken no result": ("kraken", ["spot"], "/0/private/BalanceEx", {"error": []}),
    "bybit other list": (
        "bybit",
        ["swap:linear:USDT"],
        "/v5/position/list",
        {"retCode": 0, "result": {"positions": [{"size": "1"}]}},
    ),
    "okx no data": ("okx", ["swap"], "/api/v5/account/positions", {"code": "0", "msg": ""}),
}


@pytest.mark.parametrize("case", UNRECOGNISED)
def test_answer_that_ccxt_takes_for_empty_is_refused(read, case):
    exchange, wallets, path, body = UNRECOGNISED[case]
    with pytest.raises(MalformedError):
        read(
            exchange,
            wallets,
            {"kraken": venue.kraken, "okx": venue.okx, "bybit": venue.bybit, "binance": venue.binance}[exchange]()
            | {path: as_json(body)},
        )


def test_position_that_ccxt_drops_is_missed(read):
    dropped = venue.um_position("BTCUSDT", "BOTH", "0.5", entryPrice="0")
    with pytest.raises(MalformedError, match="row 2 of the answer is not among the positions"):
        read("binance", ["swap:linear"], venue.binance(um=[venue.um_position("ETHUSDT", "BOTH", "1"), dropped]))
    with pytest.raises(MalformedError, match="row 1 of the answer is not among the positions"):
        read("binance", ["swap:linear"], venue.binance(um=[dropped]))


def test_side_that_contradicts_the_row_is_refused(read):
    with pytest.raises(MalformedError, match=r"ccxt says long, and the row says -0\.5"):
        read("binance", ["swap:linear"], venue.binance(um=[venue.um_position("BTCUSDT", "BOTH", "-0.5", notional="46000")]))


def test_one_wallet_that_fails_makes_the_whole_partial(read):
    replies = venue.binance() | {"/api/v3/account": as_json({"code": -2015, "msg": "Invalid API-key"}, 401)}
    feed = read("binance", ["swap:linear", "spot"], replies)
    assert feed.status is FeedStatus.PARTIAL
    assert feed.reason.startswith("spot: binance: GET ")
    assert len(feed.positions) == 3


def test_wallets_that_are_one_are_not_counted_twice(read):
    feed = read("bybit", ["spot", "margin"], venue.bybit())
    assert feed.status is FeedStatus.PARTIAL
    assert "is asked the same as for spot: leave one of them out" in feed.reason
    assert held(feed) == [("BTC", "NET", Decimal("1.500000000000000001"))]


def test_coins_of_one_name_that_ccxt_overwrites_are_partial(read):
    balances = venue.KRAKEN_BALANCES | {"XBT": {"balance": "5", "hold_trade": "0"}}
    feed = read("kraken", ["spot"], venue.kraken(balances))
    assert feed.status is FeedStatus.PARTIAL
    assert "XXBT and XBT are one coin to ccxt" in feed.reason


def test_coin_that_stands_in_two_rows_is_partial(read):
    twice = venue.BINANCE_SPOT | {"balances": [*venue.BINANCE_SPOT["balances"], {"asset": "BTC", "free": "7", "locked": "0"}]}
    feed = read("binance", ["spot"], venue.binance(spot=twice))
    assert feed.status is FeedStatus.PARTIAL
    assert "BTC: 2 rows of the answer are one coin" in feed.reason


def bybit_page(cursor, *positions):
    return venue.bybit_answer({"nextPageCursor": cursor, "category": "linear", "list": list(positions)})


def test_every_page_is_read(read):
    pages = [
        bybit_page("two", venue.bybit_position("ETHUSDT", "Buy", "1")),
        bybit_page("", venue.bybit_position("BTCUSDT", "Sell", "2")),
    ]
    feed = read("bybit", ["swap:linear:USDT"], venue.bybit(pages))
    assert feed.status is FeedStatus.COMPLETE
    assert held(feed) == [("ETH/USDT:USDT", "NET", Decimal(1)), ("BTC/USDT:USDT", "NET", Decimal(-2))]
    assert "cursor=two" in read.requests[-1].path


def test_cursor_that_repeats_is_partial(read):
    pages = [
        bybit_page("one", venue.bybit_position("ETHUSDT", "Buy", "1")),
        bybit_page("one", venue.bybit_position("BTCUSDT", "Buy", "1")),
    ]
    feed = read("bybit", ["swap:linear:USDT"], venue.bybit(pages))
    assert feed.status is FeedStatus.PARTIAL
    assert "says that more follows (nextPageCursor 'one')" in feed.reason


def test_question_that_ccxt_narrows_by_itself_is_partial(read):
    feed = read("bybit", ["swap:linear"], venue.bybit())
    assert feed.status is FeedStatus.PARTIAL
    assert "ccxt asked for settleCoin USDT alone" in feed.reason


def test_another_day_is_not_ready(read):
    with pytest.raises(NotReadyError, match="tells only what is held now"):
        read("kraken", ["spot"], venue.kraken(), ask=Ask(datetime(2026, 11, 19, 21, tzinfo=UTC)))


def test_exchange_that_ccxt_does_not_know_is_named(read):
    for name in ("alpacca", "base", "../binance"):
        with pytest.raises(RequestError, match="ccxt knows no"):
            read(name, ["spot"], {})


def test_keys_go_to_no_plain_address(read):
    with pytest.raises(RequestError, match="http would send the credentials in the clear"):
        read("kraken", ["spot"], {}, base_url="http://192.0.2.1")


# Evidence


def test_fills_are_signed_and_complete_where_kraken_counts_them(read):
    evidence = read.evidence("kraken", ["spot"], venue.kraken(), since=datetime(2026, 11, 20, tzinfo=UTC))
    assert evidence.complete
    [fill] = evidence.fills
    assert (fill.id, fill.symbol, fill.quantity, fill.price) == (
        "THVRQM-33VKH-UCI7BS",
        "BTC/USD",
        Decimal("-0.01"),
        Decimal("91000.1"),
    )
    history = venue.kraken()["/0/private/TradesHistory"].body
    assert (fill.source, read.digests) == (
        "kraken fills: row 1",
        {"kraken fills": hashlib.sha256(history if isinstance(history, bytes) else history.encode()).hexdigest()},
    )
    assert (fill.fee, fill.fee_currency, fill.currency, fill.order_id) == (
        Decimal("2.366"),
        "USD",
        "USD",
        "OQCLML-BW3P3-BUCMWZ",
    )


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"cost": "0.002", "currency": "BNB"}, (Decimal("0.002"), "BNB")),
        ({"cost": "0.002", "currency": None}, (Decimal("0.002"), "")),
        ({"cost": None, "currency": "BNB"}, (None, "BNB")),
        (None, (None, None)),
    ],
)
def test_fee_is_told_with_its_currency_and_with_none_where_nobody_says_which(told, expected):
    info = {"qty": "0.01", "price": "91000.1", "commission": "0.002"}
    entry = {"id": "1", "symbol": "BTC/USDT", "side": "buy", "timestamp": 0, "amount": "0.01", "price": "91000.1", "info": info}
    made = fills.fill(entry | {"fee": told}, {"BTC/USDT": {"quote": "USDT", "type": "spot"}}, "trades", "spot")
    assert (made.fee, made.fee_currency, made.currency) == (*expected, "USDT")


def test_page_of_fills_that_counts_more_is_not_complete(read):
    replies = venue.kraken()
    body = json.loads(replies["/0/private/TradesHistory"].body)
    body["result"]["count"] = 51
    evidence = read.evidence("kraken", ["spot"], replies | {"/0/private/TradesHistory": as_json(body)})
    assert (evidence.complete, len(evidence.fills)) == (False, 1)


def test_exchange_that_tells_fills_market_by_market_says_so(read):
    evidence = read.evidence("binance", ["spot"], venue.binance())
    assert (evidence.complete, evidence.reason[:44]) == (False, "binance tells fills only market by market: b")


def test_every_answer_is_kept_and_can_be_read_again_without_the_network(read, tmp_path):
    feed = read("binance", ["spot", "swap:linear"], venue.binance(), keep_raw=True)
    assert [each.status for each in read.http.received] == [200] * 4
    assert read.http.received[-1].sha256 == hashlib.sha256(read.http.received[-1].raw).hexdigest()
    assert not found(repr([(each.url, each.params, each.headers) for each in read.http.received]))
    recording = Recording("ccxt", datetime(2026, 11, 20, 21, 6, tzinfo=UTC), exchanges=tuple(read.http.received))
    write_recording(tmp_path / "kept", recording)
    again = read("binance", ["spot", "swap:linear"], {}, answering=Replay(read_recording(tmp_path / "kept")))
    assert again == feed
    assert read.requests == []


@pytest.mark.parametrize(("exchange", "wallets", "answers", "path"), EVERY)
def test_secrets_that_a_venue_repeats_are_in_no_message(read, exchange, wallets, answers, path):
    echo = as_json({"code": "1", "msg": f"bad key {SECRETS['api_key']} {SECRETS['password']}", "retCode": 1, "error": ["E"]}, 400)
    with pytest.raises(BrokerError) as raised:
        read(exchange, wallets, answers() | {path: echo})
    assert SECRETS["api_key"] not in str(raised.value)


def test_concurrent_readings_do_not_mix(host):
    from conftest import Reader

    first, second = Reader(host), Reader(host)

    async def both():
        with first.adapter("kraken", ["spot"], venue.kraken()) as kraken, second.adapter("okx", ["swap"], venue.okx()) as okx:
            return await asyncio.gather(kraken.positions(Ask()), okx.positions(Ask()))

    kraken, okx = asyncio.run(both())
    assert (kraken.positions[0].symbol, okx.positions[0].symbol) == ("BTC", "BTC/USDT:USDT")


@pytest.mark.unhurried
def test_questions_are_paced_as_the_venue_asks(read):
    began = time.monotonic()
    read("kraken", ["spot"], venue.kraken())
    assert time.monotonic() - began > 1
