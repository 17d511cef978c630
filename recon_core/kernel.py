"""Where pairs are judged: by this process, or by others that each have some of the accounts. All that differs between the two."""

from __future__ import annotations

from typing import Protocol

import duckdb

from recon_core.config.policy import Policy
from recon_core.pairs import Comparison
from recon_core.scan import Scan, scan


class Kernel(Protocol):
    """What looks at all pairs. What it finds is left in the connection: no more than is broken."""

    def scan(
        self,
        connection: duckdb.DuckDBPyConnection,
        comparison: Comparison,
        policy: Policy,
        rows: tuple[int, int] | None,
        *,
        by_hash: bool,
    ) -> Scan:
        """Judge every pair, and make ``hits``: see ``scan.scan``."""


class _Here:
    scan = staticmethod(scan)


HERE: Kernel = _Here()
"""This process, by DuckDB."""
