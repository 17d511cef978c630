"""ACME Prime: the nightly position file, text fields between bars, with a header and a trailer."""

import hashlib
from datetime import datetime
from decimal import Decimal, InvalidOperation

from recon_core import Ask, Broker, Feed, IncompleteError, MalformedError, NotReadyError, Position, hookimpl


class AcmePrime(Broker):
    """Positions from ACME Prime's nightly file::

        HDR|ACME-PRIME|2026-11-20T21:00:00Z
        POS|A-77|AAPL|100|189.34|USD
        TRL|1

    Proof     the trailer counts the positions; a file without one is still being written, and PARTIAL
    As of     the time in the header
    Basis     trade date
    Quirks    a short position has a trailing minus: ``25-``
    """

    name = "acme-prime"
    options = {
        "path": {
            "type": "string",
            "minLength": 1,
            "description": "The position file; a relative path starts at the folder of recon.yaml.",
        },
    }
    required = ("path",)
    coverage = ("equity",)

    def positions(self, ask: Ask) -> Feed:
        path = self.folder / str(self.settings["path"])
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise NotReadyError(f"{path} is not there yet") from error
        except OSError as error:
            raise NotReadyError(f"{path} cannot be read: {error.strerror}") from error
        rows = [line.split("|") for line in _text(content, str(path)).splitlines() if line]
        if not rows or rows[0][:2] != ["HDR", "ACME-PRIME"] or len(rows[0]) != 3:
            raise MalformedError(f"{path}, line 1: not the header of a position file of ACME Prime")
        as_of = _time(rows[0][2], f"{path}, line 1")
        body = rows[1:-1] if rows[-1][0] == "TRL" else rows[1:]
        positions = [_position(row, f"{path}, line {number}") for number, row in enumerate(body, start=2)]
        sha256 = hashlib.sha256(content).hexdigest()
        if rows[-1][0] != "TRL":
            reason = f"{path} has no trailer: it is still being written, or was cut"
            return Feed.partial(positions, reason=reason, as_of=as_of, basis="trade", sha256=sha256)
        if rows[-1] != ["TRL", str(len(positions))]:
            raise IncompleteError(
                f"{path}: the trailer {'|'.join(rows[-1])} does not count the {len(positions)} positions above it"
            )
        return Feed.complete(positions, as_of=as_of, basis="trade", sha256=sha256)


def _text(content: bytes, place: str) -> str:
    try:
        return content.decode("ascii")
    except UnicodeDecodeError as error:
        raise MalformedError(f"{place}: byte {error.start} is not ASCII, and the format is") from error


def _time(text: str, place: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise MalformedError(f"{place}: {text!r} is not a time") from error
    if time.tzinfo is None:
        raise MalformedError(f"{place}: {text!r} has no time zone")
    return time


def _position(row: list[str], place: str) -> Position:
    if len(row) != 6 or row[0] != "POS":
        raise MalformedError(f"{place}: {'|'.join(row)!r} is not POS and five fields")
    _, account, symbol, quantity, price, currency = row
    if not account or not symbol:
        raise MalformedError(f"{place}: a position needs an account and a symbol")
    return Position(
        account=account,
        symbol=symbol,
        asset_class="equity",
        quantity=_number(quantity, place),
        avg_price=_number(price, place) if price else None,
        currency=currency or None,
    )


def _number(text: str, place: str) -> Decimal:
    digits = text.removesuffix("-")
    try:
        if not digits.replace(".", "", 1).isdigit():
            raise InvalidOperation
        value = Decimal(digits)
    except InvalidOperation as error:
        raise MalformedError(f"{place}: {text!r} is not a number") from error
    return -value if text.endswith("-") else value


@hookimpl
def recon_register_brokers() -> list[type[Broker]]:
    return [AcmePrime]
