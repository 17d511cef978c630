"""Exchange rates from a CSV file with the columns ``currency`` and ``rate`` (base currency for one unit)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from recon_core.errors import ConfigError
from recon_core.regular_file import read_regular

_CURRENCY = re.compile(r"[A-Z][A-Z0-9]{1,9}")
RATE = r"[0-9]{1,12}(\.[0-9]{1,12})?"
"""How a rate is written: at most 12 digits before and 12 after the point, which is what is computed exactly."""


def read_rates(path: Path, display: str) -> dict[str, Decimal]:
    """The rates of a file, each above 0. Raises ConfigError with every problem, each with its line; ``display`` names the file."""
    try:
        text = read_regular(path).decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{display}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{display}: cannot be read: {error.strerror or error}") from None
    except ValueError:  # a name with a NUL, or bytes that are not UTF-8
        raise ConfigError(f"{display!r} is no CSV file in UTF-8") from None
    rates: dict[str, Decimal] = {}
    problems: list[str] = []
    for line, currency, rate in _rows(text, display):
        if not _CURRENCY.fullmatch(currency):
            problems.append(f"{display}:{line}: currency {currency!r} is no currency code, such as EUR")
        elif currency in rates:
            problems.append(f"{display}:{line}: {currency} has a rate already")
        elif not re.fullmatch(RATE, rate) or not Decimal(rate):
            problems.append(f"{display}:{line}: rate {rate!r} of {currency} is no decimal number above 0, such as 1.0832")
        else:
            rates[currency] = Decimal(rate)
    if problems:
        raise ConfigError(problems)
    if not rates:
        raise ConfigError(f"{display}: no rates below the header")
    return rates


def _rows(text: str, display: str) -> Iterator[tuple[int, str, str]]:
    import csv

    reader = csv.reader(text.splitlines())
    try:
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in ("currency", "rate") if header.count(name) != 1]
        if missing:
            raise ConfigError(
                f"{display}:1: column {missing[0]!r} is due once in the header, which is: {', '.join(header) or 'empty'}"
            )
        currency, rate = header.index("currency"), header.index("rate")
        for row in reader:
            if len(row) not in (0, len(header)):
                raise ConfigError(f"{display}:{reader.line_num}: {len(row)} fields, and the header has {len(header)}")
            if row:
                yield reader.line_num, row[currency].strip(), row[rate].strip()
    except csv.Error as error:
        raise ConfigError(f"{display}:{reader.line_num}: not CSV: {error}") from None
