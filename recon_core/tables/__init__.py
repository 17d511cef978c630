"""Positions as tables: how files of them are read, how values may be written, and what each row is worth in DuckDB."""
