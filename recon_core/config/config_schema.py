"""The JSON Schema of recon.yaml, with the options that the installed brokers add to it."""

from __future__ import annotations

from collections.abc import Mapping

from recon_core.brokers import Broker
from recon_core.config.credentials import BOOK_URL, STORE_URL
from recon_core.config.halt_entry import halt_schema
from recon_core.config.limits_entry import limits_schema
from recon_core.config.metrics_entry import metrics_schema
from recon_core.config.plugin_schema import SECRET_REFERENCE, chosen_by, options_schema, secret, secrets_schema
from recon_core.config.rates import RATE
from recon_core.config.recalculate_entry import recalculate_schema
from recon_core.config.schedule_entry import due_schema, schedule_schema
from recon_core.config.schema import DIALECT, NOT_EMPTY, Schema, choice, list_of, text
from recon_core.config.settings import CorrectionSettings, ExplainSettings, RecheckSettings
from recon_core.config.spark_entry import spark_schema
from recon_core.halts import HaltAction
from recon_core.model import FILL_COLUMNS, ORDER_COLUMNS, POSITION_COLUMNS

STATE_DIR = ".state"


def config_schema(
    brokers: Mapping[str, type[Broker]],
    halts: Mapping[str, type[HaltAction]],
    adapters: Mapping[str, str | None] | None = None,
    actions: Mapping[str, str | None] | None = None,
) -> Schema:
    """The schema of recon.yaml where ``brokers`` (adapter name: class) and ``halts`` (action type: class) are installed.

    With ``adapters`` (broker's name: adapter name, of the file at hand) and ``actions`` (its name: action type) each has its own
    plugin's options, so that messages are exact; without them the schema is the one for editors, where the plugin's name
    chooses the options.
    """
    if adapters is None:
        any_broker = chosen_by("adapter", _broker_entry(brokers, None), {name: _broker_entry(brokers, name) for name in brokers})
        entries: Schema = {"additionalProperties": any_broker}
    else:
        entries = {
            "properties": {alias: _broker_entry(brokers, adapter) for alias, adapter in adapters.items()},
            "additionalProperties": _broker_entry(brokers, None),
        }
    return {
        "$schema": DIALECT,
        "title": "recon-core deployment (recon.yaml)",
        "description": "Where the book, the brokers, the policy and the state are. Relative paths start from this file's folder.",
        "type": "object",
        "required": ["version", "book", "brokers"],
        "additionalProperties": False,
        "properties": {
            "version": {"type": "integer", "const": 1, "description": "Version of this file's format."},
            "policy": text("Path of the policy; policies.yaml beside this file, or else the one that comes with recon-core."),
            "state_dir": text("Folder of everything that is kept between runs.", default=STATE_DIR),
            "store": store_schema(),
            "plugins": plugins_schema(),
            "book": _book(),
            "brokers": {
                "type": "object",
                "minProperties": NOT_EMPTY,
                "description": "The brokers, by their names in the book's broker column.",
                **entries,
            },
            "fx": _rates(),
            "schedule": schedule_schema(),
            "recheck": recheck_schema(),
            "explain": _explain(),
            "recalculate": recalculate_schema(),
            "symbols": {
                "type": "object",
                "description": "How instruments are known again that book and broker call by different names.",
                "additionalProperties": False,
                "properties": {
                    "match": choice(
                        ["forms", "exact"],
                        "forms: what is left over on both sides is matched by ISIN, by CUSIP, and by the forms of symbols (BRK.B "
                        "and BRK/B, padded and compact options, pairs of currencies). exact: by equal symbols alone.",
                        default="forms",
                    ),
                },
            },
            "halt": halt_schema(halts, actions),
            "metrics": metrics_schema(),
            "limits": limits_schema(),
            "spark": spark_schema(),
        },
    }


def store_schema() -> Schema:
    """The schema of ``store``."""
    return {
        "type": "string",
        "pattern": rf"^({SECRET_REFERENCE[2:-2]}|{STORE_URL})$",
        "patternErrorMessage": "write postgresql+psycopg://user@host/name, or env:NAME or file:PATH that holds such a URL",
        "description": "Database of the state, in place of recon.sqlite in state_dir: "
        "postgresql+psycopg://user@host/name, or env:NAME or file:PATH that holds such a URL.",
    }


def plugins_schema() -> Schema:
    """The schema of ``plugins``, which is read before anything else."""
    return {
        "type": "object",
        "description": "Plugins besides those that are installed.",
        "additionalProperties": False,
        "properties": {
            "drop_ins": text("Folder whose brokers/, rules/ and halts/ hold plugin files."),
            "disabled": list_of(text("Name of a plugin."), "Installed plugins that are not loaded."),
        },
    }


def broker_options(broker: type[Broker]) -> Schema:
    """The schema of the ``options`` of one adapter."""
    return options_schema(broker.options, broker.required, f"Options of the adapter {broker.name}.")


def _book() -> Schema:
    from recon_core.tables.file_options import FILE_OPTIONS

    ours = ("broker", *POSITION_COLUMNS)
    own: Schema = {
        "database": text("SQLAlchemy URL, such as sqlite:///book.sqlite, or env:NAME or file:PATH that holds one."),
        "file": text("CSV, TSV, JSON or Parquet file; {date:%Y-%m-%d} stands for the day."),
        "table": text("Table or view of the database."),
        "query": text("One SELECT, in place of a table."),
        "columns": _by_column(ours, "Ours: theirs, where the source names a column otherwise."),
        "defaults": _by_column(ours, "Ours: a constant, for a column that the source does not have."),
        "timezone": text("IANA time zone of times that have none, such as America/New_York."),
        "lots": {"type": "boolean", "default": False, "description": "Whether several rows of one key are lots, to be summed."},
        "basis": choice(
            ["trade", "settlement"],
            "From which date a trade counts in the book. A feed of the other basis is compared all the same, and its notes say so.",
            default="trade",
        ),
        "float_places": {
            "type": "integer",
            "minimum": 0,
            "maximum": 18,
            "default": 9,
            "description": "Decimals to which binary floats are rounded.",
        },
        "corrections": _corrections(),
        "fills": _own_rows(
            FILL_COLUMNS, "The book's own fills, by the broker's ids: then a fill that was missed is found by its id."
        ),
        "orders": _own_rows(
            ORDER_COLUMNS, "The firm's own orders, by the broker's ids: a fill of no such order is a manual trade."
        ),
    }
    return {
        "type": "object",
        "minProperties": NOT_EMPTY,
        "description": "Where the firm's own positions are: a database with a table or a query, or a file.",
        "additionalProperties": False,
        "properties": own | {name: option for name, option in FILE_OPTIONS.items() if name not in own},
    }


def _corrections() -> Schema:
    return {
        "type": "object",
        "required": ["database"],
        "additionalProperties": False,
        "description": "Where `recon-core correct` writes; without it the book is only ever read, and corrections are printed.",
        "properties": {
            "database": {
                "type": "string",
                "pattern": rf"^({SECRET_REFERENCE[2:-2]}|{BOOK_URL})$",
                "patternErrorMessage": "write sqlite:///book.sqlite or postgresql+psycopg://user@host/name, or env:NAME or "
                "file:PATH that holds such a URL",
                "description": "SQLite or PostgreSQL, as a user who may write: sqlite:///book.sqlite, "
                "postgresql+psycopg://user@host/name, or env:NAME or file:PATH that holds such a URL.",
            },
            "table": text("The table that holds the rows; by default the one that is read. Its columns have the same names."),
            "journal": text(
                "Table of the same database in which each correction leaves its entry; it is made where there is none.",
                default=CorrectionSettings("").journal,
            ),
        },
    }


def _own_rows(ours: tuple[str, ...], description: str) -> Schema:
    return {
        "type": "object",
        "minProperties": NOT_EMPTY,
        "additionalProperties": False,
        "description": f"{description} A table or a query of the same database.",
        "properties": {
            "table": text("Table or view that holds them."),
            "query": text("One SELECT in place of a table; it is to reach as far back as brokers are asked (`explain`)."),
            "columns": _by_column(ours, "Ours: theirs, where the source names a column otherwise."),
        },
    }


def _by_column(ours: tuple[str, ...], description: str) -> Schema:
    return {
        "type": "object",
        "description": description,
        "additionalProperties": False,
        "properties": {name: text(name) for name in ours},
    }


def _broker_entry(brokers: Mapping[str, type[Broker]], adapter: str | None) -> Schema:
    broker = brokers.get(adapter or "")
    required = ["adapter"]
    options: Schema = {"type": "object", "description": "Options of the adapter."}
    secrets: Schema = {"type": "object", "additionalProperties": secret(), "description": "Credentials of the adapter."}
    if broker is not None:
        options = broker_options(broker)
        required += ["options"] if broker.required else []
        required += ["secrets"] if broker.secrets else []
        secrets = secrets_schema(broker.secrets, broker.optional_secrets, str(secrets["description"]))
    return {
        "type": "object",
        "required": required,
        "additionalProperties": False,
        "properties": {
            "adapter": choice(sorted(brokers), "The plugin that reads this broker."),
            "accounts": {
                "type": "object",
                "additionalProperties": text("The book's name."),
                "description": "The broker's name of an account: the book's name.",
            },
            "expect_accounts": list_of(text("The book's name of an account."), "Accounts without which the feed is not complete."),
            "legs": choice(["keep", "net"], "net: long and short legs are summed on both sides.", default="keep"),
            "unchanged": choice(
                ["refuse", "accept"], "What the same bytes as in an earlier run are: an old delivery, or today's.", default="refuse"
            ),
            "aliases": {
                "type": "object",
                "additionalProperties": text("The book's name."),
                "description": "The broker's name of an instrument: the book's name.",
            },
            "deadline_seconds": {
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": 3600,
                "description": "How long the feed may take in all; by default what the adapter says, 30 for most.",
            },
            "due": due_schema(
                "Time of day, such as 08:30, at which this broker's statement of the close before is there: it is reconciled by "
                "itself (`recon-core run --broker NAME`) with the snapshot of the book of its own day."
            ),
            "recheck": recheck_schema(),
            "keep_raw": {
                "type": "boolean",
                "default": False,
                "description": "Whether what the broker answered, or the files read, are kept in the run's folder, byte for byte.",
            },
            "options": options,
            "secrets": secrets,
        },
    }


def recheck_schema() -> Schema:
    """The schema of ``recheck``, for all brokers or for one."""
    default = RecheckSettings()
    return {
        "type": "object",
        "description": "Before a halt stands, brokers that tell what is held now are asked again, and the book is read again: "
        "a fill in between is no break.",
        "additionalProperties": False,
        "properties": {
            "times": {
                "type": "integer",
                "minimum": 0,
                "maximum": 20,
                "default": default.times,
                "description": "How often, at most; 0: never.",
            },
            "wait_seconds": {
                "type": "number",
                "minimum": 0,
                "maximum": 600,
                "default": int(default.wait_seconds),
                "description": "How long is waited before each time.",
            },
        },
    }


def _explain() -> Schema:
    default = ExplainSettings()
    return {
        "type": "object",
        "description": "How far back brokers of which positions are broken are asked what happened: fills, movements, corporate "
        "actions.",
        "additionalProperties": False,
        "properties": {
            "lookback_days": {
                "type": "integer",
                "minimum": 1,
                "maximum": 3660,
                "default": default.lookback_days,
                "description": "Days before the run, where no earlier run has proven a broken position without a break.",
            },
            "margin_days": {
                "type": "integer",
                "minimum": 0,
                "maximum": 366,
                "default": default.margin_days,
                "description": "Days before that, for what was booked late: when something was booked is not when it was traded.",
            },
        },
    }


def _rates() -> Schema:
    rate = {
        "type": ["string", "number"],
        "pattern": f"^{RATE}$",
        "patternErrorMessage": "a decimal number is due, such as 1.0832, with at most 12 decimals",
        "exclusiveMinimum": 0,
        "description": "Base currency for one unit of this currency.",
    }
    return {
        "type": "object",
        "description": "Exchange rates by currency code, or the file that holds them.",
        "properties": {"file": text("CSV file with the columns currency and rate.")},
        "patternProperties": {"^[A-Z][A-Z0-9]{1,9}$": rate},
        "additionalProperties": False,
    }
