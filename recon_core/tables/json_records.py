"""JSON: an array of objects as a table of texts. Numbers keep their digits; NaN and a key given twice are refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from recon_core.errors import excerpt
from recon_core.sql import quoted
from recon_core.tables.delimited import as_utf8
from recon_core.tables.framing import Frame, Line, Refusal, scratch_file


def read_records(path: Path, options: Mapping[str, Any], refusal: Refusal) -> Frame:
    """The frame of a JSON file: objects inside a record are reached by dots (``instrument.symbol``)."""
    try:
        return _framed(_parsed(path, options["encoding"], refusal), path, options, refusal)
    except RecursionError:
        raise refusal.content(f"{path}: nested too deep to be positions") from None


def _framed(document: Any, path: Path, options: Mapping[str, Any], refusal: Refusal) -> Frame:
    records, facts = _records(document, options["records"], path, refusal)
    header: dict[str, int] = {} if records else _header_of_nothing(options)
    rows = []
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise refusal.content(f"{path}: record {number} is {_kind(record)}, not an object")
        said = list(_flattened(record))
        flat = dict(said)
        if len(flat) != len(said):
            twice = excerpt(_twice(said))
            raise refusal.content(f"{path}: record {number} says {twice!r} twice; which one counts cannot be told")
        for name in flat:
            header.setdefault(name, len(header))
        rows.append(flat)
    body = scratch_file(".csv")
    with body.open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(["header"])
        for flat in rows:
            writer.writerow(["", *(flat.get(name, "") for name in header)])  # a field of its own: no row is a blank line
    names = tuple(f"c{place}" for place in range(len(header)))
    columns = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in ("record", *names))
    return Frame(
        source=f"read_csv({quoted(str(body))}, columns = {{{columns}}}, auto_detect = false, header = false, skip = 1, "
        "delim = ',', quote = '\"', escape = '\"', nullstr = '', allow_quoted_nulls = true, strict_mode = true)",
        header=tuple(header),
        references=names,
        types=("VARCHAR",) * len(names),
        row="row_number() OVER ()",
        first_row=1,
        files=(str(body),),
        head=tuple(Line(number, fact, (fact,)) for number, fact in enumerate(facts)),
    )


def _parsed(path: Path, encoding: str, refusal: Refusal) -> Any:
    plain = as_utf8(path, encoding, refusal)

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            raise refusal.content(
                f"{path}: the key {excerpt(_twice(items))!r} stands twice in one object; which one counts cannot be told"
            )
        return found

    def constant(text: str) -> Any:
        raise refusal.content(f"{path}: {excerpt(text)} is no number")

    try:
        text = plain.read_text(encoding="utf-8-sig")
        found = json.loads(text, parse_float=_plain, parse_int=str, parse_constant=constant, object_pairs_hook=pairs)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(found, ensure_ascii=False).encode()
        return found
    except UnicodeEncodeError:
        raise refusal.content(f"{path}: a text in it is half a surrogate pair, which is no character") from None
    except UnicodeDecodeError:
        raise refusal.content(f"{path} is not utf-8; set `encoding`") from None
    except json.JSONDecodeError as error:
        raise refusal.content(f"{path}:{error.lineno}:{error.colno}: not JSON: {error.msg}; was it written to the end?") from None


def _twice(items: Sequence[tuple[str, Any]]) -> str:
    names = [name for name, _ in items]
    return next(name for name in names if names.count(name) > 1)


def _header_of_nothing(options: Mapping[str, Any]) -> dict[str, int]:
    """An array without records has no position, whatever its columns would be called."""
    mapped, sign = options["columns"], options["sign"] or {}
    sides = [name for name in sign.values() if isinstance(name, str)]
    names = [*mapped.values(), *(ours for ours in ("symbol", "quantity") if ours not in mapped), *sides, *options["skip_rows"]]
    return {name: place for place, name in enumerate(dict.fromkeys(names))}


def _plain(text: str) -> str:
    """A JSON number without its exponent, digit for digit: unlike a spreadsheet's, it has lost none."""
    try:
        number = Decimal(text)
    except ArithmeticError:  # an exponent of twenty digits
        return text
    return f"{number:f}" if -60 < number.adjusted() < 60 else text


def _records(document: Any, where: str | None, path: Path, refusal: Refusal) -> tuple[list[Any], tuple[str, ...]]:
    """The array of positions, and the facts beside it as lines ``key: value``."""
    found = document
    for step in where.split(".") if where else ():
        if not isinstance(found, dict) or step not in found:
            known = ", ".join(found) if isinstance(found, dict) else _kind(found)
            raise refusal.setup(f"{path}: there is no {where!r} (option `records`): looking for {step!r} among {known}")
        found = found[step]
    if not isinstance(found, list):
        arrays = [name for name, value in found.items() if isinstance(value, list)] if isinstance(found, dict) else []
        hint = f"; say `records: {arrays[0]}`" if arrays else ""
        raise refusal.setup(f"{path}: {where or 'the file'} is {_kind(found)}, not an array of positions{hint}")
    return found, tuple(f"{name}: {value}" for name, value in _flattened(_without_lists(document)))


def _without_lists(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {}
    kept = {name: part for name, part in value.items() if not isinstance(part, list)}
    return {name: _without_lists(part) if isinstance(part, dict) else part for name, part in kept.items()}


def _flattened(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{prefix}{name}.")
        elif value is None or isinstance(value, str):
            yield prefix + name, value or ""
        else:
            yield prefix + name, json.dumps(value)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a text or number", bool: "true or false", type(None): "null"}
    return names[type(value)]
