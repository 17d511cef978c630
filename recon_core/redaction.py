"""The secrets that this process has read, and texts without them: what is printed, logged or reported passes here."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TextIO

MASK = "***"
SHORT = 6
"""Secrets shorter than this are masked only where they stand as a word: others would make every message unreadable."""

PART = 4
"""Parts of a secret between blanks are masked as words, too, where they are at least so long."""

_URL_PASSWORD = re.compile(r"(?P<before>://[^/\s:@'\"]*:)(?P<password>[^/\s'\"]+)(?=@)")
_known: set[str] = set()


def keep_secret(value: str) -> None:
    """Never show ``value`` again, nor the password in it where it is a URL. Secrets are kept for the life of the process."""
    _known.add(value)
    keep_url_passwords(value)


def keep_url_passwords(text: str) -> None:
    """Never show the password of any URL in ``text`` again."""
    _known.update(found["password"] for found in _URL_PASSWORD.finditer(text))


def redacted(text: str) -> str:
    """``text`` with ``***`` in place of every secret, however it is escaped, and of every password in a URL."""
    for form, word in _forms(frozenset(_known)):
        if form in text:
            text = _as_word(form).sub(MASK, text) if word else text.replace(form, MASK)
    return _URL_PASSWORD.sub(rf"\g<before>{MASK}", text) if "://" in text else text


@cache
def _forms(secrets: frozenset[str]) -> tuple[tuple[str, bool], ...]:
    """How a secret may be written: as it is, in parts, and as Python, JSON and URLs escape it; the longest first.

    With each goes whether it is masked only where it stands as a word.
    """
    if not secrets:
        return ()
    import json
    from urllib.parse import quote, quote_plus, unquote

    plain = {part for secret in secrets for part in (secret, secret.strip())}
    plain |= {line.strip() for secret in secrets for line in secret.splitlines() if len(line.strip()) >= SHORT}
    plain |= {unquote(part) for part in plain}
    forms = set(plain)
    for part in plain:
        forms |= {repr(part)[1:-1], json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1]}
        forms |= {quote(part, safe="", errors="replace"), quote(part, errors="replace"), quote_plus(part, errors="replace")}
        forms.add(part.encode("utf-8", "backslashreplace").decode())
    parts = {part for secret in secrets for part in secret.split() if len(part) >= PART} - forms
    found = [(form, len(form) < SHORT) for form in forms if form.strip()] + [(part, True) for part in parts]
    return tuple(sorted(found, key=lambda entry: (-len(entry[0]), entry[0])))


@cache
def _as_word(form: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(form)}(?!\w)")


@contextmanager
def masked_stderr() -> Iterator[None]:
    """Within this block nothing is written to ``sys.stderr`` with a secret in it: no message, no plugin's print, no traceback."""
    before = sys.stderr
    if before is not None:
        sys.stderr = _Masked(before)
    try:
        yield
    finally:
        sys.stderr = before


class _Masked:
    """A text stream before which secrets are masked; all else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write ``text`` without secrets; returns its own length, as print expects."""
        self._stream.write(redacted(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write each of ``lines`` without secrets."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
