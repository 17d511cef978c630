"""Files of rule cases: read by the reader of policies.yaml, and as strict."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from recon_core.config.problems import Problems, quote
from recon_core.config.reader import Document, Node, read_document
from recon_core.config.schema import NOT_EMPTY, Schema, list_of, text
from recon_core.config.validation import Checked, check
from recon_core.errors import ConfigError
from recon_core.model import POSITION_COLUMNS

AS_OF = "2026-11-20T21:00:00Z"
ROW_DEFAULTS: Mapping[str, str] = {"broker": "prime", "account": "MAIN", "currency": "USD"}

UNKNOWN = "unknown"
AMOUNTS = ("impact", "quantity_difference", "difference_pct")
BREAK_KEYS = ("type", "broker", "account", "symbol", "leg", "related", "severity", "halts", *AMOUNTS, "detail")
"""What a case may expect of a break. ``AMOUNTS`` are compared as numbers, the rest as written."""

Row = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class RuleCase:
    """One case: the rows of both sides by position column (as text, defaults filled in), and what must come of them.

    ``id`` is the case's place in a catalogue of the author's own. ``breaks`` are the expected breaks, each with the keys of
    BREAK_KEYS that are compared; ``undetermined`` is how many pairs the rule cannot judge. ``fx`` is money of base currency
    for one unit of each currency. ``unproven`` says that the feed proves no absence. ``policy`` is the policy that the case
    means, with its places in the case file; it is read when the rules are known. ``str(case)`` is its name.
    """

    rule: str
    name: str
    path: str
    line: int
    id: str | None
    book: tuple[Row, ...]
    broker: tuple[Row, ...]
    breaks: tuple[Mapping[str, str | bool], ...]
    undetermined: int
    as_of: datetime
    fx: Mapping[str, Decimal]
    unproven: bool
    policy: Document = field(repr=False, compare=False)

    def __str__(self) -> str:
        return self.name


def load_rule_cases(path: Path | str) -> list[RuleCase]:
    """The cases of a file, in its order. Raises ConfigError with every mistake, each with file, line and column.

    A file is about one rule::

        rule: QUANTITY_MISMATCH
        cases:
          exactly-ten-percent-does-not-halt:
            settings: {tolerance: 0}       # the rule's entry in the policy; without it, the rule's own defaults
            book:   [{symbol: AAPL, quantity: 110}]
            broker: [{symbol: AAPL, quantity: 100, market_price: 10}]
            breaks: [{symbol: AAPL, halts: false, impact: 100}]

    A row has the columns of a position, and ``broker``: by default prime, account MAIN, currency USD; ``~`` is no value. A
    break is of the file's rule unless its ``type`` says otherwise, and only the keys that it names are compared (an impact
    that nobody knows is ``unknown``), but there must be no break more and none less, superseded ones left out.

    Optional: ``id``; ``with``, a list of other rules that run, too; ``undetermined``, how many pairs the rule cannot judge
    (0); ``unproven: true``, the feed proves no absence; ``as_of`` (2026-11-20T21:00:00Z), which is also the time of the run;
    ``base_currency`` (USD); ``fx``, base currency for one unit of each currency.
    """
    document = read_document(Path(path), str(path))
    cases: list[RuleCase] = []
    if document.root is not None:
        checked = check(document, document.root, _schema())
        if not document.problems:
            cases = list(_cases(document, checked))
    if document.problems:
        raise ConfigError(document.problems.texts())
    return cases


def _cases(document: Document, checked: Checked) -> Iterator[RuleCase]:
    rule = checked.value["rule"]
    for name, given in checked.value["cases"].items():
        where = ("cases", name)
        if rule in given.get("with", ()):
            checked.problem(f"{rule} is the rule of this file and runs anyway", *where, "with", given["with"].index(rule))
        yield RuleCase(
            rule=rule,
            name=name,
            path=document.problems.name,
            line=checked.line(*where),
            id=given.get("id"),
            book=_rows(given["book"]),
            broker=_rows(given["broker"]),
            breaks=tuple({"type": rule, **each} for each in given["breaks"]),
            undetermined=int(given.get("undetermined", 0)),
            as_of=_time(checked, given.get("as_of", AS_OF), *where, "as_of"),
            fx={currency: Decimal(rate) for currency, rate in given.get("fx", {}).items()},
            unproven=given.get("unproven", False),
            policy=_policy(document, checked.root, name),
        )


def _rows(given: list[dict[str, str | None]]) -> tuple[Row, ...]:
    return tuple({**ROW_DEFAULTS, **row} for row in given)


def _time(checked: Checked, given: str, *where: str) -> datetime:
    try:
        stamp = datetime.fromisoformat(given)
        if stamp.tzinfo is not None:
            return stamp.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    checked.problem(f"{quote(given)} is no time with its offset, such as {AS_OF}", *where)
    return datetime.max.replace(tzinfo=UTC)  # of a file that is refused


def _policy(document: Document, root: Node, name: str) -> Document:
    """The policy of one case as a document: what the case says stays where it stands, what it leaves out stands at its name."""
    case = root.get("cases", name)
    rule = root.get("rule")
    assert case is not None and rule is not None and rule.text is not None  # noqa: S101, PT018  # the schema requires them
    place = document.root.place_of(("cases", name), key=True) if document.root else case.place
    beside = (case.get("with") or Node(place, items=[])).items or []
    listed = {rule.text: case.get("settings") or Node(rule.place, entries={})}
    listed |= {other.text or "": Node(other.place, entries={}) for other in beside}
    rules = Node(place, entries=listed, keys={rule.text: rule.place} | {other.text or "": other.place for other in beside})
    entries = {
        "version": Node(place, text="1", plain=True),
        "base_currency": case.get("base_currency") or Node(place, text="USD", plain=True),
        "rules": rules,
    }
    policy = Node(place, entries=entries, keys=dict.fromkeys(entries, place))
    digest = hashlib.sha256(f"{document.sha256} {name}".encode()).hexdigest()
    return Document(policy, Problems(document.problems.name, "\n".join(document.problems.lines)), digest)


def _schema() -> Schema:
    return {
        "type": "object",
        "required": ["rule", "cases"],
        "additionalProperties": False,
        "properties": {
            "rule": text("The break type that the cases are about."),
            "cases": {"type": "object", "minProperties": NOT_EMPTY, "additionalProperties": _case(), "description": "By name."},
        },
    }


def _case() -> Schema:
    return {
        "type": "object",
        "required": ["book", "broker", "breaks"],
        "additionalProperties": False,
        "properties": {
            "id": text("The case's place in a catalogue."),
            "settings": {"type": "object", "description": "The rule's entry in the policy."},
            "with": list_of(text("A break type."), "Other rules that run, too, with their defaults."),
            "book": {"type": "array", "items": _row(), "description": "Positions of the book."},
            "broker": {"type": "array", "items": _row(), "description": "Positions of the feeds."},
            "breaks": {"type": "array", "items": _break(), "description": "The breaks to be found; [] for none."},
            "undetermined": {"type": "integer", "minimum": 0, "default": 0, "description": "Pairs that the rule cannot judge."},
            "unproven": {"type": "boolean", "default": False, "description": "Whether the feed proves no absence."},
            "as_of": text("Time of the run, with its offset.", default=AS_OF),
            "base_currency": text("Currency of impact.", default="USD"),
            "fx": {
                "type": "object",
                "description": "Base currency for one unit of each currency.",
                "additionalProperties": {"type": "number", "exclusiveMinimum": 0},
            },
        },
    }


def _row() -> Schema:
    columns: dict[str, Any] = {name: {"type": ["string", "null"]} for name in POSITION_COLUMNS}
    columns |= {name: text("In every row.") for name in ("broker", "symbol", "quantity")}
    return {"type": "object", "required": ["symbol", "quantity"], "additionalProperties": False, "properties": columns}


def _break() -> Schema:
    keys: dict[str, Any] = {name: text("As the report prints it.") for name in BREAK_KEYS}
    amount = {
        "pattern": rf"^({UNKNOWN}|-?[0-9]+(\.[0-9]+)?)$",
        "patternErrorMessage": f"a number such as 100.25 is due, or {UNKNOWN}",
    }
    keys |= {name: text("A number.", **amount) for name in AMOUNTS}
    keys["halts"] = {"type": "boolean", "description": "Whether the break halts."}
    return {"type": "object", "required": ["symbol"], "additionalProperties": False, "properties": keys}
