"""The entry ``metrics`` of recon.yaml, which is read even where the rest of the file is wrong: its schema, and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recon_core.config.schema import Schema, text
from recon_core.config.settings import MetricsSettings

METRIC_LABELS = ("job", "broker", "account", "type", "currency", "head")
"""Labels that the metrics themselves have."""


def metrics_schema() -> Schema:
    """The schema of ``metrics``, which a run that fails on the rest of the file still reads."""
    return {
        "type": "object",
        "description": "Metrics of every verdict, for Prometheus. Without this entry there are none; {} takes all defaults.",
        "additionalProperties": False,
        "properties": {
            "textfile": text(
                "File for the textfile collector of the node exporter; recon.prom in state_dir by default.",
                pattern=r"\.prom$",
                patternErrorMessage="the textfile collector reads only files whose name ends in .prom",
            ),
            "pushgateway": text(
                "Address of a Pushgateway to which the same metrics are pushed, such as http://127.0.0.1:9091.",
                pattern=r"^https?://[^/@?#\s]+(/[^@?#\s]*)?$",
                patternErrorMessage="an address is due, such as http://127.0.0.1:9091, without user, password or query",
            ),
            "job": text("The job label at the Pushgateway.", default="recon-core"),
            "labels": {
                "type": "object",
                "description": "Labels of every series, at the Pushgateway as the group: they keep several deployments apart.",
                "propertyNames": {
                    "pattern": f"^(?!__)(?!({'|'.join(METRIC_LABELS)})$)[A-Za-z_][A-Za-z0-9_]*$",
                    "patternErrorMessage": f"a label of letters, digits and _ is due, and none of {', '.join(METRIC_LABELS)}",
                },
                "additionalProperties": text("value"),
            },
            "deadline_seconds": {
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": 60,
                "default": 5,
                "description": "How long a push may take; a gateway that is down or slow changes no verdict.",
            },
        },
    }


def read_metrics(value: Mapping[str, Any], folder: Path, state_dir: Path) -> MetricsSettings:
    """The settings of an entry that fits the schema."""
    given: dict[str, Any] = {name: value[name] for name in ("pushgateway", "job", "labels") if name in value}
    if "deadline_seconds" in value:
        given["deadline_seconds"] = float(value["deadline_seconds"])
    textfile = folder / value["textfile"] if "textfile" in value else state_dir / "recon.prom"
    return MetricsSettings(textfile, **given)
