"""Nothing but loopback: while adapters are on trial, this process connects to no other machine."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_guards = 0
_installed = False


class NotLoopbackError(OSError):
    """Somebody asked another machine."""


@contextmanager
def loopback_only() -> Iterator[None]:
    """Inside, whoever looks up or connects to another machine gets NotLoopbackError."""
    global _guards, _installed
    if not _installed:
        sys.addaudithook(_refuse)  # it stays for the life of the process, and does nothing where no trial runs
        _installed = True
    _guards += 1
    try:
        yield
    finally:
        _guards -= 1


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if not _guards or event not in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        return
    host = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
    if isinstance(host, tuple):
        host = host[0]
    elif event != "socket.getaddrinfo":
        return  # a socket of this machine, with a path
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "localhost")
    if not _is_loopback(name):
        raise NotLoopbackError(
            f"{name} is not loopback: a trial asks nothing else; does the adapter take its address from its options?"
        )


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
