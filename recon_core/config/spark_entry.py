"""``spark`` in recon.yaml: its schema, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recon_core.config.schema import Schema, text
from recon_core.config.settings import SparkSettings


def spark_schema() -> Schema:
    """The schema of ``spark``."""
    return {
        "type": "object",
        "required": ["master"],
        "additionalProperties": False,
        "description": "The cluster on which `recon-core run --engine spark` compares; without that option nothing of it is used.",
        "properties": {
            "master": text("The cluster: spark://HOST:7077, yarn, k8s://..., or local[N] for N threads of this machine."),
            "conf": {
                "type": "object",
                "description": "Settings of the Spark session, such as spark.executor.memory: 4g. A credential belongs into "
                "Spark's own spark-defaults.conf.",
                "propertyNames": {
                    "pattern": "^spark[.]",
                    "patternErrorMessage": "the name of a Spark setting is due, such as spark.executor.memory",
                },
                "additionalProperties": {"type": ["string", "number", "boolean"]},
            },
            "folder": text(
                "Folder that every machine of the cluster sees at the same path: what is no Parquet file (a book in a database, "
                "what a broker's API answered) is written there for the run."
            ),
            "positions_per_bucket": {
                "type": "integer",
                "minimum": 1,
                "default": SparkSettings("").positions_per_bucket,
                "description": "Positions of both sides that one worker is to hold at once, on the average: whole accounts.",
            },
        },
    }


def read_spark(value: Mapping[str, Any], folder: Path) -> SparkSettings:
    """What it says; a relative ``folder`` starts from this one."""
    return SparkSettings(
        master=value["master"],
        conf={name: _written(setting) for name, setting in value.get("conf", {}).items()},
        folder=folder / value["folder"] if "folder" in value else None,
        positions_per_bucket=int(value.get("positions_per_bucket", SparkSettings("").positions_per_bucket)),
    )


def _written(setting: Any) -> str:
    """As Spark reads it."""
    return str(setting).lower() if isinstance(setting, bool) else str(setting)
