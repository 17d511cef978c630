"""The kernel on a Spark cluster: each worker judges the pairs of some whole accounts, by the same SQL in a DuckDB of its own.

``kernel`` begins and ends it in the run's process, ``frames`` says what Spark reads and how it is dealt out, ``bucket`` is what
runs in the workers, ``session`` the connection to the cluster.
"""
