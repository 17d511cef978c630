"""Answers of four exchanges in the shapes that they document, small; written for these tests."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from loopback import Reply, as_json


def binance_market(symbol: str, base: str, **more: Any) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "status": "TRADING",
        "contractStatus": "TRADING",
        "baseAsset": base,
        "quoteAsset": "USDT",
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "isSpotTradingAllowed": True,
        "permissions": ["SPOT"],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"},
        ],
        **more,
    }


BINANCE_SPOT = {
    "makerCommission": 10,
    "canTrade": True,
    "updateTime": 1795208700000,
    "accountType": "SPOT",
    "balances": [
        {"asset": "BTC", "free": "0.023456789012345678", "locked": "1.10000000"},
        {"asset": "LDO", "free": "0.00000000", "locked": "0.00000000"},
        {"asset": "USD", "free": "12.34000000", "locked": "0.00000000"},
    ],
    "permissions": ["SPOT"],
}


def um_position(symbol: str, side: str, amount: str, **more: Any) -> dict[str, Any]:
    sign = "-" if amount.startswith("-") else ""
    return {
        "symbol": symbol,
        "positionSide": side,
        "positionAmt": amount,
        "entryPrice": "91000.5",
        "breakEvenPrice": "91010.1",
        "markPrice": "92000.12345678",
        "unRealizedProfit": "1.5",
        "liquidationPrice": "0",
        "isolatedMargin": "0",
        "notional": f"{sign}500.25",
        "marginAsset": "USDT",
        "isolatedWallet": "0",
        "initialMargin": "10",
        "maintMargin": "1",
        "positionInitialMargin": "10",
        "openOrderInitialMargin": "0",
        "adl": 2,
        "bidNotional": "0",
        "askNotional": "0",
        "updateTime": 1795208700000,
        **more,
    }


BINANCE_UM = [
    um_position("BTCUSDT", "LONG", "0.005"),
    um_position("BTCUSDT", "SHORT", "-0.003"),
    um_position("ETHUSDT", "BOTH", "-2.500"),
]
PERPETUAL = {
    "contractType": "PERPETUAL",
    "marginAsset": "USDT",
    "pair": "BTCUSDT",
    "onboardDate": 1569398400000,
    "deliveryDate": 4133404800000,
}


def binance(spot: Any = None, um: Any = None) -> dict[str, Reply]:
    return {
        "/api/v3/exchangeInfo": as_json({"timezone": "UTC", "symbols": [binance_market("BTCUSDT", "BTC")]}),
        "/fapi/v1/exchangeInfo": as_json(
            {"symbols": [binance_market("BTCUSDT", "BTC", **PERPETUAL), binance_market("ETHUSDT", "ETH", **PERPETUAL)]}
        ),
        "/api/v3/account": as_json(deepcopy(BINANCE_SPOT) if spot is None else spot),
        "/fapi/v3/account": as_json({"totalInitialMargin": "20.0", "totalPositionInitialMargin": "20.0", "assets": []}),
        "/fapi/v3/positionRisk": as_json(deepcopy(BINANCE_UM) if um is None else um),
    }


KRAKEN_BALANCES = {
    "XXBT": {"balance": "1.2345678901", "hold_trade": "0.2000000000"},
    "XETH": {"balance": "0.0000000000", "hold_trade": "0.0000000000"},
    "ZUSD": {"balance": "25435.2100", "hold_trade": "0.0000"},
}


def kraken_asset(name: str) -> dict[str, Any]:
    return {"aclass": "currency", "altname": name, "decimals": 10, "display_decimals": 5, "status": "enabled"}


def kraken(balances: Any = None) -> dict[str, Reply]:
    market = {
        "altname": "XBTUSD",
        "wsname": "XBT/USD",
        "aclass_base": "currency",
        "base": "XXBT",
        "aclass_quote": "currency",
        "quote": "ZUSD",
        "pair_decimals": 1,
        "cost_decimals": 5,
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "leverage_buy": [2, 3],
        "leverage_sell": [2, 3],
        "fees": [[0, 0.4]],
        "fees_maker": [[0, 0.25]],
        "ordermin": "0.00005",
        "costmin": "0.5",
        "tick_size": "0.1",
        "status": "online",
    }
    assets = {"XXBT": kraken_asset("XBT"), "XETH": kraken_asset("ETH"), "ZUSD": kraken_asset("USD"), "XBT.F": kraken_asset("XBT.F")}
    trade = {
        "ordertxid": "OQCLML-BW3P3-BUCMWZ",
        "pair": "XXBTZUSD",
        "time": 1795208700.1234,
        "type": "sell",
        "ordertype": "limit",
        "price": "91000.10000",
        "cost": "910.00100",
        "fee": "2.36600",
        "vol": "0.01000000",
        "margin": "0.00000",
        "misc": "",
    }
    return {
        "/0/public/Assets": as_json({"error": [], "result": assets}),
        "/0/public/AssetPairs": as_json({"error": [], "result": {"XXBTZUSD": market}}),
        "/0/private/BalanceEx": as_json({"error": [], "result": deepcopy(KRAKEN_BALANCES) if balances is None else balances}),
        "/0/private/TradeBalance": as_json({"error": [], "result": {"eb": "137782.8900", "tb": "25435.2100", "m": "0.0000"}}),
        "/0/private/TradesHistory": as_json({"error": [], "result": {"trades": {"THVRQM-33VKH-UCI7BS": trade}, "count": 1}}),
    }


def bybit_answer(result: Any, code: int = 0, said: str = "OK") -> Reply:
    return as_json({"retCode": code, "retMsg": said, "result": result, "retExtInfo": {}, "time": 1795208700000})


def bybit_position(symbol: str, side: str, size: str, index: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "positionIdx": index,
        "riskId": 1,
        "riskLimitValue": "150",
        "symbol": symbol,
        "side": side,
        "size": size,
        "avgPrice": "" if size == "0" else "3400.11",
        "positionValue": "340.011",
        "tradeMode": 0,
        "positionStatus": "Normal",
        "autoAddMargin": 0,
        "adlRankIndicator": 2,
        "leverage": "10",
        "positionBalance": "0",
        "markPrice": "3399.99",
        "liqPrice": "",
        "bustPrice": "0.00",
        "positionMM": "1.5",
        "positionIM": "34",
        "takeProfit": "",
        "stopLoss": "",
        "unrealisedPnl": "-0.012",
        "cumRealisedPnl": "-1.1",
        "createdTime": "1676538056258",
        "updatedTime": "1697673600012",
        **more,
    }


def bybit_market(symbol: str, base: str) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": base,
        "quoteCoin": "USDT",
        "launchTime": "1585526400000",
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": "2",
        "settleCoin": "USDT",
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": "0.10", "maxPrice": "199999.80", "tickSize": "0.10"},
        "lotSizeFilter": {"maxOrderQty": "1500", "minOrderQty": "0.001", "qtyStep": "0.001"},
        "fundingInterval": 480,
    }


BYBIT_POSITIONS = [bybit_position("ETHUSDT", "Sell", "0.10"), bybit_position("BTCUSDT", "", "0")]


def bybit(pages: list[Reply] | None = None, coins: Any = None) -> dict[str, Any]:
    markets = {"category": "linear", "list": [bybit_market("BTCUSDT", "BTC"), bybit_market("ETHUSDT", "ETH")], "nextPageCursor": ""}
    coin = {
        "coin": "BTC",
        "equity": "1.5",
        "usdValue": "1",
        "walletBalance": "1.500000000000000001",
        "locked": "0.5",
        "borrowAmount": "0",
        "accruedInterest": "0",
        "totalOrderIM": "0",
        "totalPositionIM": "34",
        "availableToWithdraw": "",
    }
    wallet = {"list": [{"accountType": "UNIFIED", "totalEquity": "1", "coin": [coin] if coins is None else coins}]}
    page = bybit_answer({"nextPageCursor": "", "category": "linear", "list": deepcopy(BYBIT_POSITIONS)})
    return {
        "/v5/market/instruments-info": bybit_answer(markets),
        "/v5/user/query-api": bybit_answer({"unified": 0, "uta": 1}),
        "/v5/account/info": bybit_answer({"unifiedMarginStatus": 6}),
        "/v5/account/wallet-balance": bybit_answer(wallet),
        "/v5/position/list": [page] if pages is None else pages,
    }


def okx_position(pos: str, side: str = "net", **more: Any) -> dict[str, Any]:
    return {
        "instType": "SWAP",
        "mgnMode": "cross",
        "posId": "1",
        "posSide": side,
        "pos": pos,
        "baseBal": "",
        "quoteBal": "",
        "posCcy": "",
        "availPos": "",
        "avgPx": "91000.123456789",
        "upl": "-1",
        "uplRatio": "-0.1",
        "instId": "BTC-USDT-SWAP",
        "lever": "10",
        "liqPx": "",
        "markPx": "92000.5",
        "imr": "1",
        "margin": "",
        "mgnRatio": "11",
        "mmr": "0.1",
        "notionalUsd": "1840",
        "ccy": "USDT",
        "last": "92001",
        "cTime": "1795208600000",
        "uTime": "1795208700000",
        **more,
    }


def okx(positions: Any = None, details: Any = None) -> dict[str, Reply]:
    swap = {
        "instType": "SWAP",
        "instId": "BTC-USDT-SWAP",
        "uly": "BTC-USDT",
        "instFamily": "BTC-USDT",
        "category": "1",
        "baseCcy": "",
        "quoteCcy": "",
        "settleCcy": "USDT",
        "ctVal": "0.01",
        "ctMult": "1",
        "ctValCcy": "BTC",
        "optType": "",
        "stk": "",
        "listTime": "1573557408000",
        "expTime": "",
        "lever": "100",
        "tickSz": "0.1",
        "lotSz": "0.01",
        "minSz": "0.01",
        "ctType": "linear",
        "state": "live",
    }
    coin = {
        "ccy": "USDT",
        "eq": "100.75",
        "cashBal": "101.75",
        "availEq": "90.75",
        "frozenBal": "10",
        "availBal": "91",
        "uTime": "1",
    }
    account = {"uTime": "1795208700000", "totalEq": "101", "details": [coin] if details is None else details}
    return {
        "/api/v5/public/instruments": as_json({"code": "0", "msg": "", "data": [swap]}),
        "/api/v5/account/balance": as_json({"code": "0", "msg": "", "data": [account]}),
        "/api/v5/account/account-position-risk": as_json(
            {"code": "0", "msg": "", "data": [{"adjEq": "", "balData": [], "posData": [{"instType": "SWAP", "pos": "-2.5"}]}]}
        ),
        "/api/v5/asset/balances": as_json({"code": "0", "msg": "", "data": []}),
        "/api/v5/asset/asset-valuation": as_json(
            {"code": "0", "msg": "", "data": [{"details": {"funding": "0", "trading": "101"}, "totalBal": "101", "ts": "1"}]}
        ),
        "/api/v5/account/positions": as_json(
            {"code": "0", "msg": "", "data": [okx_position("-2.5")] if positions is None else positions}
        ),
    }
