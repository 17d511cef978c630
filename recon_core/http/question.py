"""What is asked over HTTP: an address and headers that can be sent safely, and how they are printed without what is secret."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, urlsplit

from recon_core.errors import RequestError

MESSAGE_LENGTH = 200
MASKED_LENGTH = 6  # shorter values ("1", "true") are no secrets, and masking them would make messages unreadable
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")


@dataclass(frozen=True, slots=True)
class Question:
    """One request. Refuses an address or header that cannot be sent safely; prints without anything that was sent."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes | None = field(default=None, repr=False)
    place: str = field(init=False)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            where = without_query(parts)
        except ValueError as error:
            raise RequestError(f"{self.method}: not an address (a bad port or bracket); give https://host") from error
        object.__setattr__(self, "place", f"{self.method} {where}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RequestError(f"{self.place}: not an https address; give https://host")
        if parts.username is not None or parts.password is not None:
            raise RequestError(f"{self.place}: an address may not hold a user or password; name them under secrets")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise RequestError(f"{self.place}: http would send the credentials in the clear; use https (http is for loopback only)")
        for name, value in self.headers.items():
            if not _HEADER_VALUE.fullmatch(value):
                raise RequestError(
                    f"{self.place}: header {name} can not carry its value, which is empty or holds a line end, a space at an end"
                    " or a character outside ASCII; check the secret that it comes from"
                )

    def query(self) -> dict[str, str]:
        """What is asked beside the path: the query of the address, and ``params`` over it."""
        given = parse_qsl(urlsplit(self.url).query, keep_blank_values=True)
        return {**dict(given), **self.params} if self.params else {}

    def printable(self, text: str) -> str:
        """``text`` from outside in one line of at most 200 characters, without control characters or any value that was sent."""
        sent = {word for value in (*self.headers.values(), *self.params.values()) for word in (value, *value.split())}
        for word in sorted((word for word in sent if len(word) >= MASKED_LENGTH), key=len, reverse=True):
            text = text.replace(word, "***")
        line = "".join(sign if sign.isprintable() else "?" for sign in " ".join(text.split()))
        return line if len(line) <= MESSAGE_LENGTH else line[: MESSAGE_LENGTH - 1] + "…"


def without_query(parts: SplitResult) -> str:
    """Host, port and path: what a message may show of an address."""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{host}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
