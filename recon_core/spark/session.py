"""The connection to a Spark cluster: begun for a run, ended with it, and its errors in our words."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from recon_core import log
from recon_core.config.settings import SparkSettings
from recon_core.errors import ConfigError, EngineError
from recon_core.interruption import asked_to_end, stopped_by

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MISSING = "pyspark and pyarrow are not installed: pip install 'recon-core[spark]'"

_DEFAULTS = {
    "spark.app.name": "recon-core",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "100000",
}
"""What ``spark.conf`` may set otherwise."""
_HERE = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
"""The same, where all of the cluster is this machine: nobody else is to reach it."""
_MEANT = {"spark.sql.session.timeZone": "UTC", "spark.sql.caseSensitive": "true"}
"""What the rows mean: never to be set otherwise."""


@contextmanager
def session(settings: SparkSettings) -> Iterator[SparkSession]:
    """A session at ``settings.master``, ended afterwards, or one of the Spark that this process has already, which goes on.

    Raises ConfigError where Spark is not installed, EngineError where it does not start.
    """
    try:
        import pyarrow  # noqa: F401  # in both halves of the work: better missed now than in every worker
        from pyspark.sql import SparkSession
    except ImportError:
        raise ConfigError(f"--engine spark: {MISSING}") from None
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)  # of which nothing is used
    started = SparkSession.getActiveSession()
    with in_our_words(settings):
        made = started.newSession() if started else _begun(settings)
        for name, value in _MEANT.items():
            made.conf.set(name, value)
        cancel = made.sparkContext.cancelAllJobs
    try:
        with stopped_by(cancel):
            yield made
    finally:
        if started is None:
            _end(made)


@contextmanager
def in_our_words(settings: SparkSettings) -> Iterator[None]:
    """Raise EngineError for what Spark raises inside."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (Py4JError, PySparkException) as error:
        if interrupted := asked_to_end():
            raise interrupted from None
        raise EngineError(f"Spark ({settings.master}): {_told(error)}; nothing was decided") from None


def _end(made: SparkSession) -> None:
    """End a session; one that is broken has ended, and what was found with it stands."""
    try:
        made.stop()
    except Exception as error:
        log.warning(f"Spark did not end as it should: {type(error).__name__}: {_told(error)}")


def _begun(settings: SparkSettings) -> SparkSession:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(settings.master)
    local = _HERE if settings.master.startswith("local") else {}
    for name, value in {**_DEFAULTS, **local, **settings.conf}.items():
        builder = builder.config(name, value)
    python = os.environ.get("PYSPARK_PYTHON", sys.executable)
    os.environ["PYSPARK_PYTHON"] = settings.conf.get("spark.pyspark.python", python)  # a session begun in Python asks only here
    handler = signal.getsignal(signal.SIGINT)
    made = builder.getOrCreate()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, handler)  # Spark takes it for itself, and what it means is this program's to say
    return made


def _told(error: Exception) -> str:
    """The line of an error that says what happened: of one in a worker, the last of its traceback."""
    told = str(getattr(error, "java_exception", "") or error)
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("Caused by: ")]
    return (causes[-1].removeprefix("Caused by: ") if causes else lines[0] if lines else type(error).__name__)[:500]
