"""Flex statements in the shapes that Interactive Brokers documents, made by small functions, and the adapter that reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from canaries import TOKEN

from recon_core.brokers import Broker
from recon_core.host import load_host
from recon_core.http import Http

ADAPTER = load_host().brokers["ibkr_flex"]
DAY = "20261120"


def tag(name: str, *inner: str, **attributes: Any) -> str:
    """An element; an attribute set to ... is left out."""
    said = "".join(f" {key}={quoteattr(str(value))}" for key, value in attributes.items() if value is not ...)
    return f"<{name}{said}>{''.join(inner)}</{name}>"


def position(symbol: Any = "MSFT", quantity: str = "10", price: str = "410", value: str | None = None, **more: Any) -> str:
    """An OpenPosition of SUMMARY; its value is that of a stock unless it is given."""
    full = {
        "accountId": "U1",
        "currency": "USD",
        "fxRateToBase": "1",
        "assetCategory": "STK",
        "symbol": symbol,
        "description": f"{symbol} INC",
        "conid": str(sum(map(ord, str(symbol)))),
        "isin": "",
        "cusip": "",
        "multiplier": "1",
        "strike": "",
        "reportDate": DAY,
        "position": quantity,
        "markPrice": price,
        "positionValue": value if value is not None else f"{Decimal(quantity) * Decimal(price):f}",
        "costBasisPrice": "400.25",
        "side": "Short" if quantity.startswith("-") else "Long",
        "levelOfDetail": "SUMMARY",
        "openDateTime": "",
        **more,
    }
    return tag("OpenPosition", **full)


def worth(stock: str = "4100", options: str = "0", **more: Any) -> str:
    """The account's net asset value of the day."""
    full = {"accountId": "U1", "reportDate": DAY, "cash": "900.5", "stock": stock, "options": options, **more}
    return tag("EquitySummaryInBase", tag("EquitySummaryByReportDateInBase", **full))


def open_positions(*rows: str) -> str:
    return tag("OpenPositions", *rows)


def statement(*sections: str, account: Any = "U1", day: Any = DAY, since: Any = DAY, **more: Any) -> str:
    """A FlexStatement of one account that ends with ``day``."""
    made = {"period": "LastBusinessDay", "whenGenerated": "20261121;033012", **more}
    return tag("FlexStatement", *sections, accountId=account, fromDate=since, toDate=day, **made)


def response(*statements: str, count: Any = None, kind: str = "AF") -> str:
    """The document that holds the statements."""
    held = tag("FlexStatements", *statements, count=len(statements) if count is None else count)
    return tag("FlexQueryResponse", held, queryName="recon", type=kind)


def begun(url: str, reference: str = "7788990011") -> str:
    """What SendRequest answers, with single quotes as IBKR has them."""
    return (
        "<FlexStatementResponse timestamp='21 November, 2026 03:30 AM EST'><Status>Success</Status>"
        f"<ReferenceCode>{reference}</ReferenceCode><Url>{url}</Url></FlexStatementResponse>"
    )


def refused(code: str, message: str = "as documented", status: str = "Fail") -> str:
    """An error of the Flex Web Service."""
    return (
        f"<FlexStatementResponse timestamp='21 November, 2026 03:30 AM EST'><Status>{status}</Status>"
        f"<ErrorCode>{code}</ErrorCode><ErrorMessage>{message}</ErrorMessage></FlexStatementResponse>"
    )


def trade(symbol: str = "MSFT", quantity: str = "10", **more: Any) -> str:
    """An execution."""
    full = {
        "accountId": "U1",
        "currency": "USD",
        "assetCategory": "STK",
        "symbol": symbol,
        "conid": "272093",
        "multiplier": "1",
        "tradeID": "5001",
        "transactionID": "9001",
        "ibExecID": "0000e1a7.6740a1b2.01.01",
        "ibOrderID": "31",
        "dateTime": "20261120;101502",
        "tradeDate": DAY,
        "reportDate": DAY,
        "settleDateTarget": "20261123",
        "transactionType": "ExchTrade",
        "quantity": quantity,
        "tradePrice": "405.5",
        "ibCommission": "-1.005",
        "ibCommissionCurrency": "USD",
        "buySell": "SELL" if quantity.startswith("-") else "BUY",
        "notes": "P",
        "levelOfDetail": "EXECUTION",
        **more,
    }
    return tag("Trade", **full)


def corporate_action(symbol: str, quantity: str, kind: Any, description: str, **more: Any) -> str:
    full = {
        "accountId": "U1",
        "currency": "USD",
        "assetCategory": "STK",
        "symbol": symbol,
        "conid": "4815",
        "reportDate": DAY,
        "dateTime": "20261119;202500",
        "quantity": quantity,
        "proceeds": "0",
        "type": kind,
        "description": description,
        "transactionID": "",
        **more,
    }
    return tag("CorporateAction", **full)


def transfer(symbol: str, quantity: str, direction: str = "IN", **more: Any) -> str:
    full = {
        "accountId": "U1",
        "currency": "USD",
        "assetCategory": "STK",
        "symbol": symbol,
        "date": DAY,
        "type": "ACATS",
        "direction": direction,
        "company": "--",
        "account": "12345678",
        "quantity": quantity,
        "cashTransfer": "0",
        **more,
    }
    return tag("Transfer", **full)


def adapter(folder: Path = Path(), http: Http | None = None, given: tuple[str, ...] = ("token",), **options: Any) -> Broker:
    """The adapter as the engine makes it."""
    defaults = {name: schema.get("default") for name, schema in ADAPTER.options.items()}
    return ADAPTER(
        "ibkr",
        settings={**defaults, "poll_seconds": 0, **options},
        secret={"token": TOKEN}.__getitem__,
        folder=folder,
        clock=lambda: datetime.now(UTC),
        http=http or Http(deadline_seconds=5, backoff_seconds=0.001),
        given=given,
    )
