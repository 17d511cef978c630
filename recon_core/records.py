"""One object of a broker's answer, read field by field, so that a field that is missing or another kind is refused by name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from recon_core.errors import MalformedError, excerpt
from recon_core.written_numbers import read_number

_DAY = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})", re.ASCII)


class Record:
    """The fields of one object: of JSON, or the attributes of an XML element.

    ``place`` says where it stands (``GET /v2/positions: row 3``) and opens every message. Each method raises MalformedError for a
    field that is missing or of another kind.
    """

    def __init__(self, value: object, place: str) -> None:
        if not isinstance(value, Mapping):
            raise MalformedError(f"{place}: an object is due, got {_kind(value)}; nothing was compared")
        self.value: Mapping[str, Any] = value
        self.place = place

    @classmethod
    def each(cls, values: object, place: str) -> list[Record]:
        """The objects of an array, each with its row in its place."""
        if not isinstance(values, list):
            raise MalformedError(f"{place}: an array is due, got {_kind(values)}; nothing was compared")
        return [cls(value, f"{place}: row {number}") for number, value in enumerate(values, 1)]

    @property
    def raw(self) -> str:
        """The object as JSON, as the broker sent it; a number that is not whole stands as a text, so that it stays exact."""
        return json.dumps(self.value, default=str, ensure_ascii=False)

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.value.get(name) is not None

    def text(self, name: str) -> str:
        """A text that is not blank, without the blanks around it."""
        found = self.text_or_none(name)
        if found is None:
            raise self.wrong(name, "a text")
        return found

    def text_or_none(self, name: str) -> str | None:
        """The same, None where the field is missing, null or blank."""
        value = self.value.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not value.isprintable():
            raise self.wrong(name, "a text")
        return value.strip() or None

    def identifier(self, name: str) -> str:
        """A text, or a whole number as it is written: what names a thing at brokers that number them."""
        value = self.value.get(name)
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else self.text(name)

    def number(self, name: str) -> Decimal:
        """A number, exactly: of JSON, or written as text by the rules of ``read_number``."""
        value = self.value.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return Decimal(value)
        if isinstance(value, Decimal) and value.is_finite() and -60 < value.adjusted() < 60:
            return Decimal(f"{value:f}")
        try:
            return read_number(value)
        except MalformedError as error:
            raise (
                self.wrong(name, "a number")
                if not isinstance(value, str)
                else MalformedError(f"{self.place}: field {name}: {error}; nothing was compared")
            ) from None

    def number_or_none(self, name: str) -> Decimal | None:
        """The same, None where the field is missing, null or blank."""
        value = self.value.get(name)
        return None if value is None or (isinstance(value, str) and not value.strip()) else self.number(name)

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.value.get(name)
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def day(self, name: str) -> date:
        """A date: ``2026-11-20`` or ``20261120``."""
        found = _DAY.fullmatch(self.text(name))
        try:
            return date(*map(int, found.groups())) if found else date(0, 0, 0)
        except ValueError:
            raise self.wrong(name, "a date (2026-11-20)") from None

    def day_or_none(self, name: str) -> date | None:
        """The same, None where the field is missing, null or blank."""
        return None if self.text_or_none(name) is None else self.day(name)

    def moment(self, name: str) -> datetime:
        """A time with its zone (RFC 3339), in UTC; what is finer than a microsecond is cut off."""
        text = re.sub(r"(\.\d{6})\d+", r"\1", self.text(name))
        try:
            found = datetime.fromisoformat(text)
            if found.tzinfo is None:
                raise ValueError
            return found.astimezone(UTC)
        except (ValueError, OverflowError):
            raise self.wrong(name, "a time with its zone (2026-11-20T21:00:00Z)") from None

    def record(self, name: str) -> Record:
        """An object within this one."""
        if name not in self.value:
            raise self.wrong(name, "an object")
        return Record(self.value[name], f"{self.place}: {name}")

    def records(self, name: str) -> list[Record]:
        """The objects of an array within this one. A section that is missing is not an empty one."""
        if name not in self.value:
            raise self.wrong(name, "an array")
        return Record.each(self.value[name], f"{self.place}: {name}")

    def wrong(self, name: str, due: str) -> MalformedError:
        """The error to raise for a field that is not what is due."""
        found = f"is {excerpt(repr(self.value[name]), 40)}" if name in self.value else "is missing"
        return MalformedError(f"{self.place}: field {name} {found} where {due} is due; nothing was compared")


def _kind(value: object) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {excerpt(repr(value), 40)}"
