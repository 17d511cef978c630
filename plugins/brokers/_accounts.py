"""Several accounts of one token, asked one after the other: one that cannot be read does not hide what the others hold."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from recon_core import BrokerError, NotReadyError

Account = TypeVar("Account")


async def each_account(names: Iterable[str], read: Callable[[str], Awaitable[Account]]) -> tuple[list[Account], dict[str, str]]:
    """What ``read`` gives of each account, and by name why others could not be read.

    Raises where none could, and what is not ready.
    """
    found: list[Account] = []
    unread: dict[str, str] = {}
    first: BrokerError | None = None
    for name in names:
        try:
            found.append(await read(name))
        except NotReadyError:
            raise
        except BrokerError as error:
            first = first or error
            unread[name] = f"account {name}: {error}"
    if first is not None and not found:
        raise first
    return found, unread
