"""What a fault is: a name, what it does, why that matters, and the function that does it to an answer."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recon_core.testing.bodies import JsonBody, XmlBody, read_body
from recon_core.testing.fault_server import Act, Exchange, Talk, pages

Applies = Callable[[Sequence[Exchange], int], str]
"""Why a fault cannot be done to the answer at a place of a recording; empty where it can."""


def always(exchanges: Sequence[Exchange], target: int) -> str:
    """Any answer."""
    return ""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which a broker's server, or what stands before it, goes wrong.

    ``does`` and ``matters`` are a sentence each. ``act`` answers the chosen question. ``believable`` says that the answer may
    still say truly what is held: a feed equal to the undistorted one is then no failure. ``control`` is none at all: the feed
    must be equal. ``over_tls`` is asked over https, with ``certificate`` for the server. ``greets`` is done to a connection
    before it is read, ``listens`` says whether there is anything to connect to. ``heavy`` may cost memory, which is measured.
    ``everywhere`` is done to every answer of a recording, what only tests the client to one of them; ``all_pages`` is done to the
    other pages of the same list, too.
    """

    name: str
    does: str
    matters: str
    act: Act
    believable: bool = False
    control: bool = False
    applies: Applies = always
    over_tls: bool = False
    certificate: Callable[[], ssl.SSLContext] | None = None
    greets: Callable[[socket.socket], None] | None = None
    listens: bool = True
    heavy: bool = False
    everywhere: bool = False
    all_pages: bool = False


def plainly(talk: Talk) -> None:
    """The recorded answer; the fault is elsewhere."""
    talk.answer()


def json_only(exchanges: Sequence[Exchange], target: int) -> str:
    """Answers in JSON."""
    return "" if isinstance(_body(exchanges, target), JsonBody) else "the answer is no JSON"


def xml_only(exchanges: Sequence[Exchange], target: int) -> str:
    """Answers in XML."""
    return "" if isinstance(_body(exchanges, target), XmlBody) else "the answer is no XML"


def later_page(exchanges: Sequence[Exchange], target: int) -> str:
    """Second and later pages."""
    found = pages(exchanges, target)
    return "" if found and target != found[0] else "the answer is no second page"


def _body(exchanges: Sequence[Exchange], target: int) -> JsonBody | XmlBody | None:
    found = read_body(exchanges[target].body, exchanges[target].header("Content-Type"))
    return found if isinstance(found, JsonBody | XmlBody) else None
