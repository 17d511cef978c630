"""The one DuckDB connection of a run: exact, in UTC, and shut off from every file that the run did not name."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from recon_core.config.settings import LimitSettings
from recon_core.errors import EngineError, ReconError
from recon_core.interruption import interruption, stopped_by
from recon_core.scratch import machine_gave_out, scratch_folder
from recon_core.sql import quoted
from recon_core.sql_functions import MACROS

DEFAULT_LIMITS = LimitSettings()
"""The limits of what is connected for no deployment; a run on 10^7 x 10^7 positions stays under 2 GB as a process."""


@contextmanager
def connect(limits: LimitSettings = DEFAULT_LIMITS) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection for one run, its spill directory removed afterwards.

    Raises EngineError where memory or disk give out inside.
    """
    folder = scratch_folder(limits.temp_dir)
    with TemporaryDirectory(prefix="spill-", dir=folder, ignore_cleanup_errors=True) as spill:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": limits.memory,
            "temp_directory": spill,
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "preserve_insertion_order": "false",
            "ieee_floating_point_ops": "false",  # x / 0 is an error, so that a TRY makes it unknown, not Infinity or NaN
            "disabled_optimizers": "partial_aggregate_pushdown",  # half the planning time of a scan, and of no use to it
        }
        if limits.threads:
            settings["threads"] = limits.threads
        connection = duckdb.connect(":memory:", config=settings)
        try:
            connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
            connection.execute(MACROS)
            with stopped_by(connection.interrupt):
                yield connection
        except duckdb.InterruptException:
            raise interruption() from None
        except RuntimeError as error:
            if "interrupted" in str(error):  # what DuckDB makes of a signal in the middle of a query
                raise interruption() from None
            raise
        except duckdb.Error as error:
            if gave_out := machine_gave_out(error):
                raise gave_out from None
            what = "disk" if isinstance(error, duckdb.IOException) else "the database engine gave up, nothing was decided"
            raise EngineError(f"{what}: {str(error).partition(chr(10))[0]}") from None
        finally:
            connection.close()


@contextmanager
def deadline(connection: duckdb.DuckDBPyConnection, seconds: float, late: ReconError) -> Iterator[None]:
    """Raise ``late`` where the queries inside take longer than ``seconds``."""
    over = threading.Event()

    def end() -> None:
        over.set()
        connection.interrupt()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (duckdb.Error, RuntimeError):
        if over.is_set():
            raise late from None
        raise
    finally:
        timer.cancel()


def shut_off(connection: duckdb.DuckDBPyConnection, files: Sequence[str], folders: Sequence[Path]) -> None:
    """From here on the connection opens ``files``, and what lies in ``folders``, and nothing else."""
    allowed = ", ".join(quoted(name) for name in files)
    below = ", ".join(quoted(f"{folder}/") for folder in folders)
    connection.execute(f"SET allowed_paths = [{allowed}]")
    connection.execute(f"SET allowed_directories = [{below}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def named_rows(cursor: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """The rows of the query that ``cursor`` executed, by the names of its columns."""
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
