"""JSON as it must be to be believed: every digit kept, one value a key, no NaN, nothing but UTF-8."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import Any

from recon_core.errors import MalformedError


def read_json(raw: bytes, place: str) -> Any:
    """The document in ``raw``: fractions are Decimal with every digit written, integers int. ``place`` opens the message.

    Raises MalformedError for what JSON allows loosely or Python too readily: duplicate keys, NaN and Infinity, an empty body,
    bytes that are not UTF-8, a half surrogate pair (no database stores it).
    """
    if not raw.strip():
        raise MalformedError(f"{place}: answered with an empty body, which proves nothing")
    try:
        text = raw.decode("utf-8")
        body = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_unique)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(body, ensure_ascii=False, default=str).encode()
    except MalformedError as error:
        raise MalformedError(f"{place}: {error}") from None
    except UnicodeError as error:
        raise MalformedError(f"{place}: the body is not UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise MalformedError(f"{place}: not JSON at character {error.pos} of {len(text)}: {error.msg}") from error
    except RecursionError as error:
        raise MalformedError(f"{place}: JSON nested too deep to be data") from error
    except (ValueError, ArithmeticError) as error:
        raise MalformedError(f"{place}: a number too large to be data") from error
    return body


def _refuse_constant(name: str) -> Any:
    raise MalformedError(f"{name} is no number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise MalformedError(f"key {twice[:80]!r} stands twice in one object; which value holds is not known")
    return record
