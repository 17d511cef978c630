"""Runs what waits for the network, so that no look-up of a name holds it past its deadline, nor the process at its end.

asyncio looks names up in a pool of threads that ``asyncio.run`` and the interpreter wait for. Where no name server answers, one
look-up takes minutes, and nothing can end it: here each has a thread that nobody waits for.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

_Returned = TypeVar("_Returned")


def run(waiting: Coroutine[Any, Any, _Returned]) -> _Returned:
    """What a coroutine returns, as ``asyncio.run``."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(waiting)


class _Loop(asyncio.SelectorEventLoop):
    async def getaddrinfo(self, host: Any, port: Any, **how: int) -> Any:
        found: asyncio.Future[Any] = self.create_future()

        def settle(addresses: Any, error: BaseException | None) -> None:
            if found.done():  # given up meanwhile
                return
            if error is None:
                found.set_result(addresses)
            else:
                found.set_exception(error)

        def look_up() -> None:
            addresses: Any = None
            trouble: BaseException | None = None
            try:
                addresses = socket.getaddrinfo(host, port, **how)
            except BaseException as error:  # it is raised where it is waited for
                trouble = error
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self.call_soon_threadsafe(settle, addresses, trouble)

        threading.Thread(target=look_up, name=f"look-up of {host}", daemon=True).start()
        return await found
