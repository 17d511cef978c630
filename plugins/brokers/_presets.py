"""How the position files of well-known brokers are written: options of the adapter ``statement``, by the name of a preset.

Seen in files as they were in 2026-11. Each pattern of ``skip_lines`` says exactly which lines are no positions; whatever else a
file has is read as a position, or refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FIELD = r'(?:"[^"]*"|[^",]*)'
_MERGED = ("columns", "defaults", "aliases", "skip_rows")

PRESETS: dict[str, dict[str, Any]] = {
    "fidelity": {
        # Rows end in a comma that the header has not; the sweep row has no quantity, a pending one not even all its fields.
        "preamble": "Account ",
        "footer": ["The data and information in this spreadsheet", "Brokerage services are provided", "Date downloaded"],
        "require_footer": True,
        "skip_lines": [
            rf'^{_FIELD},{_FIELD},"?\s*[A-Z0-9]+\*\*"?,{_FIELD},"?\s*"?,',
            rf'^{_FIELD},{_FIELD},"?\s*(?i:pending activity)\s*"?,',
        ],
        "thousands": ",",
        "negative": ["parentheses"],
        "columns": {
            "account": "Account Number",
            "symbol": "Symbol",
            "quantity": "Quantity",
            "market_price": "Last Price",
            "avg_price": ["Average Cost Basis", "Cost Basis Per Share"],
        },
        "defaults": {"currency": "USD"},
        "as_of": {
            "line": r"Date downloaded ((?:\d{1,2}/\d{1,2}/|[A-Z][a-z]{2}-\d{1,2}-)\d{4})",
            "format": ["%m/%d/%Y", "%b-%d-%Y"],
        },
        "timezone": "America/New_York",
    },
    "schwab": {
        # Everything is quoted; the account is masked (...843) and stands in the line above the header, as does the time.
        "preamble": "Symbol",
        "footer": ["Positions Total", "Account Total"],
        "require_footer": True,
        "skip_lines": [r'^"?(?:Cash & Cash Investments|Futures Cash|Futures Positions Market Value)"?,'],
        "thousands": ",",
        "negative": ["parentheses"],
        "columns": {
            "symbol": "Symbol",
            "quantity": ["Qty (Quantity)", "Quantity", "Qty"],
            "market_price": "Price",
            "asset_class": ["Asset Type", "Security Type"],
        },
        "defaults": {"currency": "USD"},
        "account_line": r"Positions for (?:account )?(.+?) as of ",
        "as_of": {
            "line": r"as of (\d{1,2}:\d{2} [AP]M ET, \d{4}/\d{2}/\d{2})",
            "format": "%I:%M %p ET, %Y/%m/%d",
        },
        "timezone": "America/New_York",
    },
    "ibkr_activity": {
        # One file of many sections, each with a header of its own, this never the last; lots repeat what the summary says.
        "preamble": "Open Positions,Header,",
        "rows_start_with": "Open Positions,Data,",
        "rows_end_with": r'^(?!"?Open Positions"?,).*,',
        "skip_lines": [
            r'^(?!"?Open Positions"?,)',
            r"^Open Positions,(?:Total|SubTotal|Notes),",
            r"^Open Positions,Data,Lot,",
        ],
        "thousands": ",",
        "columns": {
            "symbol": "Symbol",
            "quantity": "Quantity",
            "multiplier": ["Mult", "Multiplier"],
            "avg_price": "Cost Price",
            "market_price": "Close Price",
            "currency": "Currency",
            "asset_class": "Asset Category",
        },
        "account_line": r'^Account Information,Data,Account,"?([^",]+)',
        "as_of": {
            "line": r'^Statement,Data,Period,"?(?:[^"]* - )?([A-Z][a-z]+ \d{1,2}, \d{4})',
            "format": "%B %d, %Y",
        },
        "basis": "trade",
    },
}


def with_preset(settings: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, with those of their preset where nothing but the default of ``options`` is given.

    What maps names (``columns`` and the like) is taken together, name by name.
    """
    preset = PRESETS.get(settings.get("preset") or "", {})
    filled = dict(settings)
    for name, value in preset.items():
        given = settings.get(name)
        if name in _MERGED:
            filled[name] = {**value, **(given or {})}
        elif given is None or given == options[name].get("default"):
            filled[name] = value
    return filled
