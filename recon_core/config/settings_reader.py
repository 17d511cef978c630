"""recon.yaml, checked against its schema and against what a schema cannot say, as typed Settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from recon_core.brokers import Broker
from recon_core.config.config_schema import STATE_DIR, broker_options, config_schema
from recon_core.config.credentials import book_url, secret_value, store_url
from recon_core.config.halt_entry import check_halt, read_halt
from recon_core.config.limits_entry import read_limits
from recon_core.config.metrics_entry import read_metrics
from recon_core.config.problems import Path as PlacePath
from recon_core.config.problems import quote
from recon_core.config.rates import RATE, read_rates
from recon_core.config.reader import Document, Node
from recon_core.config.recalculate_entry import check_recalculate, read_recalculate
from recon_core.config.schedule_entry import check_timezone, read_schedule
from recon_core.config.settings import (
    BookSettings,
    BrokerSettings,
    CorrectionSettings,
    ExplainSettings,
    OwnRowsSettings,
    RecheckSettings,
    Settings,
)
from recon_core.config.spark_entry import read_spark
from recon_core.config.validation import Checked, check, exact, filled
from recon_core.errors import ConfigError
from recon_core.halts import HaltAction

_BOOK_KEYS = (
    "database",
    "table",
    "query",
    "file",
    "columns",
    "defaults",
    "timezone",
    "lots",
    "float_places",
    "basis",
    "corrections",
    "fills",
    "orders",
)
_BOTH_KINDS_OF_BOOK = ("aliases",)
CORRECTED = ("book", "corrections", "database")
_PLUGINS = (("brokers",), ("halt", "actions"))
"""The maps whose entries have secrets."""


def read_settings(
    document: Document,
    brokers: Mapping[str, type[Broker]],
    halts: Mapping[str, type[HaltAction]],
    *,
    folder: Path,
    policy: Path,
    drop_ins: Path | None,
    environment: Mapping[str, str] | None,
) -> Settings | None:
    """The settings of a document, None when it has problems (in ``document.problems``).

    ``brokers`` are the installed adapters by name, ``halts`` the halt actions by type. Secrets are tried against
    ``environment``, or not at all when it is None.
    """
    root = document.root
    if root is None:
        return None
    adapters = {name: _text_at(root, "brokers", name, "adapter") for name in _entries(root, "brokers")}
    actions = {name: _text_at(root, "halt", "actions", name, "action") for name in _entries(root, "halt", "actions")}
    _conceal_secrets(document, root)
    checked = check(document, root, exact(config_schema(brokers, halts, adapters, actions)), secret=is_secret)
    _check_book(checked)
    check_halt(checked, halts)
    check_recalculate(checked)
    fx = _rates(checked, folder)
    schedule = read_schedule(checked)
    for name in _entries(root, "brokers") if "schedule" not in checked.value else ():
        if checked.sound("brokers", name) and "due" in checked.value["brokers"][name]:
            checked.problem("a broker that is due by itself needs a `schedule`, for its time zone and days", "brokers", name, "due")
    if environment is not None:
        _check_secrets(checked, folder, environment)
    if document.problems:
        return None
    value = checked.value
    state_dir = folder / value.get("state_dir", STATE_DIR)
    return Settings(
        path=document.problems.name,
        folder=folder,
        sha256=document.sha256,
        policy=policy,
        state_dir=state_dir,
        drop_ins=drop_ins,
        disabled=tuple(value.get("plugins", {}).get("disabled", ())),
        store=value.get("store"),
        book=_book(value["book"]),
        brokers={
            name: _broker(name, entry, brokers[entry["adapter"]], value.get("recheck", {}))
            for name, entry in value["brokers"].items()
        },
        fx=fx,
        schedule=schedule,
        match_symbols=value.get("symbols", {}).get("match", "forms"),
        explain=ExplainSettings(**value.get("explain", {})),
        halt=read_halt(value.get("halt", {}), halts),
        metrics=read_metrics(value["metrics"], folder, state_dir) if "metrics" in value else None,
        recalculate=read_recalculate(value["recalculate"]) if "recalculate" in value else None,
        limits=read_limits(value.get("limits", {}), folder),
        spark=read_spark(value["spark"], folder) if "spark" in value else None,
    )


def _entries(root: Node, *path: str) -> list[str]:
    node = root.get(*path)
    return list(node.entries or {}) if node is not None else []


def _text_at(root: Node, *path: str) -> str | None:
    node = root.get(*path)
    return node.text if node is not None else None


def is_secret(path: PlacePath) -> bool:
    """Whether no message may quote what stands at a path of recon.yaml."""
    if path in (("store",), CORRECTED, ("metrics", "pushgateway")):
        return True
    return any(path[: len(plugins)] == plugins and path[len(plugins) + 1 :][:1] == ("secrets",) for plugins in _PLUGINS)


def _conceal_secrets(document: Document, root: Node) -> None:
    for place in (("store",), CORRECTED):
        url = root.get(*place)
        if url is not None and not (url.text or "").startswith(("env:", "file:")):
            document.problems.conceal(url.place.line)
    for plugins in _PLUGINS:
        for name in _entries(root, *plugins):
            secrets = root.get(*plugins, name, "secrets")
            for scalar in secrets.scalars() if secrets is not None else ():
                if not (scalar.text or "").startswith(("env:", "file:")):
                    document.problems.conceal(scalar.place.line)

    pushgateway = root.get("metrics", "pushgateway")
    if pushgateway is not None and "@" in (pushgateway.text or ""):
        document.problems.conceal(pushgateway.place.line)


def _check_book(checked: Checked) -> None:
    """Exactly one of database and file, of table and query, each with what belongs to it."""
    book = checked.value.get("book")
    if not isinstance(book, dict) or not book:
        return
    if "database" in book and "file" in book:
        checked.problem("a book is a database or a file, not both", "book", "file", key=True)
    elif "database" not in book and "file" not in book:
        checked.problem("'database' or 'file' is missing", "book", key=True)
    elif "file" in book:
        for name in ("table", "query", "corrections", "fills", "orders"):
            if name in book:
                checked.problem("belongs to a database, and this book is a file", "book", name, key=True)
    else:
        if "table" in book and "query" in book:
            checked.problem("a book is read by table or by query, not both", "book", "query", key=True)
        elif "table" not in book and "query" not in book:
            checked.problem("'table' or 'query' is missing: which rows of the database are the book?", "book", "database", key=True)
        for name in ("fills", "orders"):
            own = book.get(name)
            if isinstance(own, dict) and own and ("table" in own) == ("query" in own):
                checked.problem("a table or a query says which rows they are: one of the two", "book", name, key=True)
        corrections = book.get("corrections")
        if "query" in book and isinstance(corrections, dict) and "table" not in corrections:
            checked.problem("'table' is missing: a query cannot be written to", "book", "corrections", key=True)
        for name in book:
            if name not in (*_BOOK_KEYS, *_BOTH_KINDS_OF_BOOK) and checked.sound("book", name):
                checked.problem("belongs to a file, and this book is a database", "book", name, key=True)
    check_timezone(checked, "book", book)


def _rates(checked: Checked, folder: Path) -> dict[str, Decimal]:
    fx = checked.value.get("fx", {})
    if not checked.sound("fx") or not isinstance(fx, dict):
        return {}
    if "file" not in fx:
        rates = {currency: Decimal(rate) for currency, rate in fx.items()}
        for currency, rate in rates.items():
            if rate <= 0:
                checked.problem(f"{quote(str(fx[currency]))} is not above 0", "fx", currency)
            elif not re.fullmatch(RATE, f"{rate:f}"):
                checked.problem(f"{rate:f} has more than 12 digits before or after the point", "fx", currency)
        return rates
    if len(fx) > 1:
        checked.problem("rates stand here or in a file, not both", "fx", "file", key=True)
        return {}
    try:
        return read_rates(folder / fx["file"], fx["file"])
    except ConfigError as error:
        for problem in error.problems:
            checked.problem(problem, "fx", "file")
        return {}


def _check_secrets(checked: Checked, folder: Path, environment: Mapping[str, str]) -> None:
    if "store" in checked.value and checked.sound("store"):
        try:
            store_url(checked.value["store"], folder, environment)
        except ConfigError as error:
            checked.problem(str(error), "store")
    if checked.sound(*CORRECTED) and (corrected := _text_at(checked.root, *CORRECTED)) is not None:
        try:
            book_url(corrected, folder, environment)
        except ConfigError as error:
            checked.problem(str(error), *CORRECTED)
    for plugins in _PLUGINS:
        for name in _entries(checked.root, *plugins):
            place = (*plugins, name, "secrets")
            for secret in _entries(checked.root, *place):
                reference = _text_at(checked.root, *place, secret)
                if reference is not None and checked.sound(*place, secret):
                    try:
                        secret_value(reference, folder, environment)
                    except ConfigError as error:
                        checked.problem(str(error), *place, secret)


def _book(value: Mapping[str, Any]) -> BookSettings:
    from recon_core.tables.file_options import FILE_OPTIONS

    rest = {name: option for name, option in value.items() if name not in _BOOK_KEYS}
    if "file" in value:
        rest = filled(rest, {"properties": {name: schema for name, schema in FILE_OPTIONS.items() if name not in _BOOK_KEYS}})
    given = {name: value[name] for name in _BOOK_KEYS if name in value}
    if "corrections" in given:
        given["corrections"] = CorrectionSettings(**given["corrections"])
    given |= {name: OwnRowsSettings(**given[name]) for name in ("fills", "orders") if name in given}
    return BookSettings(**given, options=rest)


def _recheck(value: Mapping[str, Any]) -> RecheckSettings:
    default = RecheckSettings()
    return RecheckSettings(int(value.get("times", default.times)), Decimal(value.get("wait_seconds", default.wait_seconds)))


def _broker(alias: str, entry: Mapping[str, Any], broker: type[Broker], recheck: Mapping[str, Any]) -> BrokerSettings:
    return BrokerSettings(
        alias=alias,
        adapter=entry["adapter"],
        accounts=entry.get("accounts", {}),
        expect_accounts=tuple(entry.get("expect_accounts", ())),
        legs=entry.get("legs", "keep"),
        unchanged=entry.get("unchanged", "refuse"),
        deadline_seconds=entry.get("deadline_seconds"),
        keep_raw=entry.get("keep_raw", False),
        aliases=entry.get("aliases", {}),
        recheck=_recheck({**recheck, **entry.get("recheck", {})}),
        due=time.fromisoformat(entry["due"]) if "due" in entry else None,
        options=filled(entry.get("options", {}), broker_options(broker)),
        secrets=entry.get("secrets", {}),
    )
