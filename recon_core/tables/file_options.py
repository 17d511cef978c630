"""How a file of positions is written: JSON Schema properties, shared by book files and the statement adapter."""

from __future__ import annotations

from typing import Any

from recon_core.model import POSITION_COLUMNS

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}

FILE_OPTIONS: dict[str, dict[str, Any]] = {
    "format": {
        "type": "string",
        "enum": ["csv", "tsv", "json", "parquet"],
        "description": "How the file is written; by default what its name ends in says.",
    },
    "encoding": {
        "type": "string",
        "enum": ["utf-8", "utf-16", "cp1252", "latin-1"],
        "default": "utf-8",
        "description": "How the text of a CSV, TSV or JSON file is encoded; utf-8 may begin with a byte order mark.",
    },
    "delimiter": {
        "type": "string",
        "minLength": 1,
        "maxLength": 1,
        "description": "What stands between two fields; by default a comma (csv) or a tab (tsv).",
    },
    "quote": {
        "type": "string",
        "maxLength": 1,
        "default": '"',
        "description": "What a field may be wrapped in, doubled inside it; empty: nothing.",
    },
    "decimal": {
        "type": "string",
        "enum": [".", ","],
        "default": ".",
        "description": "What stands before the decimals of a number.",
    },
    "thousands": {
        "type": "string",
        "enum": [",", ".", "'", " ", "_"],
        "description": "What groups the digits of a number; by default nothing does, and 1,000 is refused.",
    },
    "negative": {
        "type": "array",
        "items": {"type": "string", "enum": ["parentheses", "trailing_minus"]},
        "default": [],
        "description": "What means minus beside a leading one: (100), 100- or both. Neither is understood unasked.",
    },
    "null_values": {
        **_TEXTS,
        "default": ["--", "N/A", "n/a"],
        "description": "Texts that mean no value. Never in a symbol, account or broker: NA and TRUE are tickers.",
    },
    "preamble": {
        "type": ["number", "string"],
        "default": 0,
        "description": "Lines before the header line: how many, or the text that the header line begins with.",
    },
    "footer": {
        **_TEXTS,
        "default": [],
        "description": "Texts with which the first footer line may begin; it and all lines after it are no positions.",
    },
    "rows_start_with": {
        "type": "string",
        "minLength": 1,
        "description": "Of the lines after the header only those that begin with this are positions (a file of several sections).",
    },
    "rows_end_with": {
        "type": "string",
        "minLength": 1,
        "description": (
            "A regular expression that a line after the last row has; without such a line the file was cut short, and is refused."
        ),
    },
    "skip_lines": {
        **_TEXTS,
        "default": [],
        "description": (
            "Regular expressions, searched for in each line between header and footer as the file writes it: a line that has one "
            "is no position. With rows_start_with, a line that neither begins so nor has one of these is an error."
        ),
    },
    "account_line": {
        "type": "string",
        "description": (
            "A regular expression for a line outside the rows; its first group is the account of every row, where the file has no "
            "such column."
        ),
    },
    "skip_rows": {
        "type": "object",
        "additionalProperties": _TEXT,
        "default": {},
        "description": "Rows that are no positions: a column of the file, and a pattern of its value (* any text, ? one letter).",
    },
    "records": {
        "type": "string",
        "description": "JSON: where the array of positions is, such as data.items; by default the file is the array.",
    },
    "columns": {
        "type": "object",
        "properties": {column: {"type": ["string", "array"], "items": _TEXT, "minItems": 1} for column in POSITION_COLUMNS},
        "additionalProperties": False,
        "default": {},
        "description": "Our column: the file's name of it, where they differ in more than case, or names of which it has one.",
    },
    "defaults": {
        "type": "object",
        "properties": {column: _TEXT for column in POSITION_COLUMNS if column not in ("symbol", "quantity")},
        "additionalProperties": False,
        "default": {},
        "description": "Our column: the value of every row, where the file has no such column.",
    },
    "aliases": {
        "type": "object",
        "additionalProperties": _TEXT,
        "default": {},
        "description": "The file's symbol: ours. The file's own is kept as raw_symbol.",
    },
    "sign": {
        "type": "object",
        "properties": {
            "column": {"type": "string", "description": "The column that says which side the quantity is on."},
            "long": {
                "type": ["array", "string"],
                "items": _TEXT,
                "description": "With column, its values for long; without, the column of the long quantity.",
            },
            "short": {
                "type": ["array", "string"],
                "items": _TEXT,
                "description": "With column, its values for short; without, the column of the short quantity.",
            },
        },
        "required": ["long", "short"],
        "additionalProperties": False,
        "description": "How the file tells long from short, where the quantity itself has no sign.",
    },
    "lots": {
        "type": "boolean",
        "default": False,
        "description": "Whether several rows of one position are lots to be added up; otherwise they are a fault.",
    },
    "timezone": {
        "type": "string",
        "description": "Where times without an offset are, such as America/New_York; without it they are refused.",
    },
    "timestamp_format": {
        "type": "string",
        "description": "How times are written where not as 2026-11-20T21:00:00Z, such as %m/%d/%Y %H:%M.",
    },
}
