"""Who acts: what every audit record says beside what was done."""

from __future__ import annotations

import os
import pwd
import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """The operating system's user and host, and the person that ``--by`` names (None: nobody was named)."""

    user: str
    host: str
    by: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """The same as an audit record holds it."""
        return {"user": self.user, "host": self.host, "by": self.by}

    def __str__(self) -> str:
        return f"{self.by} ({self.user}@{self.host})" if self.by else f"{self.user}@{self.host}"


def current_actor(by: str | None = None) -> Actor:
    """Who runs this process, on behalf of ``by``; a blank name is none."""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container's user that has no name
        user = str(os.geteuid())
    return Actor(user, os.uname().nodename, (by or "").strip() or None)


def same_person(one: str, other: str) -> bool:
    """Whether two names are one: however they are spaced, cased or composed of characters."""
    return _folded(one) == _folded(other)


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).split()).casefold()
