"""What a halt stops and a permit covers: the firm, one broker, or one account at a broker."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Scope:
    """The firm (neither is named), all accounts at ``broker``, or one of them. In a question ``account`` may stand alone."""

    broker: str | None = None
    account: str | None = None

    def __str__(self) -> str:
        """As a decision writes it: ``firm``, ``broker NAME``, ``account BROKER/NAME``."""
        if self.broker is None:
            return "firm" if self.account is None else f"account {self.account}"
        return f"broker {self.broker}" if self.account is None else f"account {self.broker}/{self.account}"

    def covers(self, other: Scope) -> bool:
        """Whether ``other`` lies within this one."""
        return self.broker in (None, other.broker) and self.account in (None, other.account)

    def overlaps(self, other: Scope) -> bool:
        """Whether the two may have an account in common; what one of them leaves open may be anything."""
        same_broker = None in (self.broker, other.broker) or self.broker == other.broker
        return same_broker and (None in (self.account, other.account) or self.account == other.account)

    def as_dict(self) -> dict[str, str | None]:
        """The same as a file holds it."""
        return {"broker": self.broker, "account": self.account}


FIRM = Scope()


def scope_of(entry: Any) -> Scope:
    """The scope that a file holds. Raises ValueError for what is none."""
    broker, account = entry["broker"], entry["account"]
    if not isinstance(broker, str | None) or not isinstance(account, str | None) or (broker is None and account is not None):
        raise ValueError("a scope that is none")
    return Scope(broker, account)


def parse_scope(text: str, brokers: Iterable[str]) -> Scope:
    """The scope that a decision writes, where these brokers are known; what cannot be told apart stops the whole firm."""
    known = list(brokers)
    kind, _, name = text.partition(" ")
    if kind == "broker" and name in known:
        return Scope(name)
    holders = [broker for broker in known if kind == "account" and name.startswith(f"{broker}/")]
    return Scope(holders[0], name[len(holders[0]) + 1 :]) if len(holders) == 1 else FIRM
