"""What the tests of adapters that read messages share: the adapter as the host gives it, files for it, and bytes gone wrong."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recon_core.brokers import Broker
from recon_core.errors import BrokerError
from recon_core.host import load_host
from recon_core.model import Ask, Feed, FeedStatus

BROKERS = load_host().brokers


def adapter(name: str, folder: Path, *payloads: bytes, **options: Any) -> Broker:
    """The adapter over files of these payloads, with its options as the engine gives them."""
    for number, payload in enumerate(payloads, 1):
        (folder / f"page-{number}.msg").write_bytes(payload)
    found = BROKERS[name]
    defaults = {option: spec.get("default") for option, spec in found.options.items()}
    return found(
        "custodian",
        settings={**defaults, "path": "page-*.msg", **options},
        secret=lambda _: "",
        folder=folder,
        clock=lambda: datetime(2031, 1, 1, tzinfo=UTC),
    )


def feed_of(name: str, folder: Path, *payloads: bytes, **options: Any) -> Feed:
    """What the adapter makes of files of these payloads."""
    feed = adapter(name, folder, *payloads, **options).positions(Ask())
    assert isinstance(feed, Feed)
    return feed


def held(feed: Feed) -> dict[tuple[str | None, str], str]:
    """Quantities by account and symbol, as written."""
    return {(position.account, position.symbol): f"{position.quantity:f}" for position in feed.positions}


def outcome(read: Callable[[bytes], Feed], raw: bytes) -> Feed | None:
    """The feed of these bytes, None where they were refused. Anything else that is raised fails the test."""
    try:
        return read(raw)
    except BrokerError:
        return None


def no_cut_is_complete(read: Callable[[bytes], Feed], raw: bytes) -> None:
    """Every beginning of ``raw`` is refused, PARTIAL, or has every position."""
    whole = read(raw)
    assert whole.status is FeedStatus.COMPLETE
    for end in range(len(raw)):
        feed = outcome(read, raw[:end])
        assert feed is None or feed.status is not FeedStatus.COMPLETE or feed.positions == whole.positions, end


def mangled(raw: bytes, *, seed: int, count: int) -> Iterator[bytes]:
    """``count`` payloads that are ``raw`` with bytes changed, taken out, put in or doubled; the same ones each time."""
    chance = random.Random(seed)
    tokens = [
        b"\x01",
        b"|",
        b"<",
        b">",
        b"</",
        b"&",
        b":",
        b"\r\n:16R:",
        b"\r\n:16S:",
        b"/",
        b"=",
        b"\x00",
        b"\xff",
        b"N",
        b",",
        b"9" * 50,
    ]
    for _ in range(count):
        changed = bytearray(raw)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(changed) + 1)
            kind = chance.randrange(5)
            if kind == 0 and at < len(changed):
                changed[at] = chance.randrange(256)
            elif kind == 1:
                del changed[at : at + chance.randint(1, 40)]
            elif kind == 2:
                changed[at:at] = chance.choice(tokens)
            elif kind == 3:
                begin = chance.randrange(len(changed) + 1)
                changed[at:at] = changed[begin : begin + chance.randint(1, 200)]
            else:
                changed[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 8)))
        yield bytes(changed)


def nothing_escapes(read: Callable[[bytes], object], raw: bytes, *, seed: int, count: int = 400) -> None:
    """Whatever the bytes are, only BrokerErrors are raised."""
    chance = random.Random(seed)
    for changed in (b"", b"\x00", b"<", b"{4:", b"8=FIX.4.4\x01", *mangled(raw, seed=seed, count=count)):
        try:
            read(changed)
        except BrokerError:
            pass
        except Exception as error:
            raise AssertionError(f"{type(error).__name__} {error} of {changed!r}") from error
    for _ in range(50):
        outcome(read, chance.randbytes(chance.randint(0, 300)))
