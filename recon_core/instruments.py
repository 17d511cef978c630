"""Which broken position a row of evidence is about: by account, by leg, and by all that may name its instrument.

An identifier goes before a name, but for the name of a position that is held and not broken: the row is about that one. Where two
positions could be meant, none is: no row bears on more than one position.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from recon_core.evidence import Fill, Movement
from recon_core.explanation import Difference, Key
from recon_core.symbols import cusip_of, differ, form_of, isin_of


class Named(NamedTuple):
    """How a row of evidence names an instrument."""

    symbol: str | None
    raw_symbol: str | None = None
    isin: str | None = None
    cusip: str | None = None
    currency: str | None = None
    leg: str = "NET"

    @classmethod
    def of(cls, row: Fill | Movement) -> Named:
        """How a row does."""
        leg = row.leg if isinstance(row, Fill) else "NET"
        return cls(row.symbol, row.raw_symbol, row.isin, row.cusip, row.currency, leg)

    @property
    def symbols(self) -> list[str]:
        """Its names, each once."""
        return [symbol for symbol in dict.fromkeys((self.symbol, self.raw_symbol)) if symbol]


Held = tuple[str, str, str]
"""A position that is not broken: the book's account, one of its names, and its leg."""


class Instruments:
    """The broken positions of one broker, found by what evidence calls them; ``net`` where legs are summed on both sides.

    ``held`` are those beside them that either side has, as far as rows may name them.
    """

    def __init__(
        self,
        differences: Sequence[Difference],
        aliases: Mapping[str, str],
        *,
        net: bool = False,
        held: Collection[Held] = (),
    ) -> None:
        self._aliases = aliases
        self._held: dict[tuple[str, str], set[str]] = {}
        for account, symbol, leg in held:
            self._held.setdefault((account, form_of(symbol)), set()).add(leg)
        self._net = net
        self._identities = {difference.key: _identities(difference) for difference in differences}
        self._by: dict[tuple[str, str, str], list[Difference]] = {}
        self._found: dict[tuple[str, Named], list[Difference]] = {}
        self.accounts = sorted({difference.account for difference in differences})
        for difference in sorted(differences, key=lambda difference: difference.key):
            for way, values in self._identities[difference.key].items():
                for value in values:
                    self._by.setdefault((way, difference.account, value), []).append(difference)

    def position(self, account: str, name: Named, moves: int) -> Difference | None:
        """The position that a row moves; ``moves`` has the sign of its quantity."""
        return self._leg(self.named(account, name), name.leg, moves)

    def named(self, account: str, name: Named) -> Sequence[Difference]:
        """The positions of one instrument: one, or its legs; empty where none, or more than one instrument, is meant."""
        asked = (account, name)
        if asked not in self._found:  # of many rows few names
            self._found[asked] = self._named(account, name)
        return self._found[asked]

    @property
    def asked(self) -> set[Key]:
        """The positions that were meant so far."""
        return {each.key for found in self._found.values() for each in found}

    def is_held_besides(self, account: str, symbols: Sequence[str]) -> bool:
        """Whether the first of these names that an account knows is that of a position which is not broken."""
        for symbol in symbols:
            if ("symbol", account, symbol) in self._by:
                return False
            if (account, form_of(symbol)) in self._held:
                return ("form", account, form_of(symbol)) not in self._by
        return False

    def called(self, position: Difference, name: Named) -> str:
        """By which name a row calls a position that is none of its own; empty where it is one, or an alias, in any spelling."""
        if position.symbol in (name.symbol, name.raw_symbol):  # nearly always
            return ""
        symbols, known = name.symbols, self._identities[position.key]
        if any(symbol in known["symbol"] or symbol in self._aliases or form_of(symbol) in known["form"] for symbol in symbols):
            return ""
        return symbols[0] if symbols else ""

    def doubt(self, position: Difference, name: Named) -> str:
        """Why a row that names no leg may have moved another leg than the broken one; empty where none could be."""
        if self._net or name.leg != "NET" or position.leg == "NET":
            return ""
        others = sorted(self._held.get((position.account, form_of(position.symbol)), set()) - {position.leg})
        return f"a row that names no leg may be of the {' or '.join(others)} one, which agrees" if others else ""

    def spells(self, name: Named, symbol: str) -> bool:
        """Whether a row's name is a spelling of ``symbol``."""
        ours = [self._aliases.get(theirs, theirs) for theirs in name.symbols]
        return any(each == symbol or (form_of(each) == form_of(symbol) and not differ(each, symbol)) for each in ours)

    def _named(self, account: str, name: Named) -> list[Difference]:
        symbols = name.symbols
        if alias := next((self._aliases[symbol] for symbol in symbols if symbol in self._aliases), None):
            return [each for each in self._by.get(("symbol", account, alias), []) if each.symbol == alias]
        if self.is_held_besides(account, symbols):
            return []
        known = {"isin": isin_of(name.isin), "cusip": cusip_of(name.isin, name.cusip)}
        for way, value in known.items():
            found = self._by.get((way, account, value), []) if value else []
            if meant := _meant([each for each in found if _may_be(each, name)], symbols):
                return meant
        for symbol in symbols:
            found = [each for each in self._by.get(("symbol", account, symbol), []) if not self._contradicts(each, known)]
            if found:
                return _meant(found, [symbol])
        for symbol in symbols:
            found = self._by.get(("form", account, form_of(symbol)), [])
            if meant := _meant([each for each in found if not (differ(symbol, each.symbol) or self._contradicts(each, known))], ()):
                return meant
        return []

    def _leg(self, found: Sequence[Difference], leg: str, moves: int) -> Difference | None:
        """A row that names no leg moves the one that must move its way to become what the broker reports, if that is but one."""
        leg = "NET" if self._net else leg
        if len(found) == 1 and found[0].leg == leg:  # nearly always
            return found[0]
        stated = [each for each in found if each.leg == leg]
        if stated or leg != "NET":
            return stated[0] if stated else None
        ways = [each for each in found if (each.quantity_difference < 0) == (moves > 0)]
        return ways[0] if len(ways) == 1 else None

    def _contradicts(self, difference: Difference, known: Mapping[str, str | None]) -> bool:
        """Whether row and position both have an identifier, and another one."""
        identities = self._identities[difference.key]
        return any(value and identities[way] and value not in identities[way] for way, value in known.items())


def _identities(difference: Difference) -> dict[str, set[str]]:
    sides = [side for side in (difference.book, difference.reported) if side is not None]
    symbols = {difference.symbol, *(side.symbol for side in sides), *(side.raw_symbol for side in sides if side.raw_symbol)}
    return {
        "isin": {isin for side in sides if (isin := isin_of(side.isin))},
        "cusip": {cusip for side in sides if (cusip := cusip_of(side.isin, side.cusip))},
        "symbol": symbols,
        "form": {form_of(symbol) for symbol in symbols},
    }


def _meant(found: Sequence[Difference], symbols: Sequence[str]) -> list[Difference]:
    """Those that bear the very symbol, else all where they are one instrument."""
    exact = [each for each in found if each.symbol in symbols]
    chosen = exact or list(found)
    return chosen if len({each.symbol for each in chosen}) == 1 else []


def _may_be(difference: Difference, name: Named) -> bool:
    """Whether one identifier may mean one thing: not another listing's money, nor the share that an option is written on."""
    sides = (difference.reported, difference.book)
    currency = next((side.currency for side in sides if side is not None and side.currency), None)
    if difference.symbol in (name.symbol, name.raw_symbol):
        return True
    if name.currency and currency and name.currency != currency:
        return False
    forms = {form_of(symbol) for symbol in (difference.symbol, name.symbol) if symbol}
    return len(forms) == 1 or not any(form.startswith("option:") for form in forms)
