"""One row of a table written as the book spells it, in every shape that a book may have."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from recon_core.book.change import Change
from recon_core.book.statements import proposed
from recon_core.book.writable import open_writable
from recon_core.book.writer import Writer
from recon_core.config.settings import BookSettings
from recon_core.engine import connect
from recon_core.errors import BookError, BookSetupError, CorrectionError

NOW = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
URL = "sqlite:///book.sqlite"


def table(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "book.sqlite")) as database, database:
        for statement in statements:
            database.execute(statement)


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "book.sqlite")) as database:
        return database.execute(query).fetchall()


def change(symbol: str = "AAPL", leg: str = "NET", account: str = "MAIN", **sides: Any) -> Change:
    before, after = sides.get("before"), sides.get("after")
    kind = "insert" if before is None else "delete" if after is None else "update"
    return Change(
        id="C1",
        key=("prime", account, symbol, leg),  # type: ignore[arg-type]
        kind=kind,
        before=before,
        after=after,
        netted=sides.get("netted", False),
    )


def write(folder: Path, wanted: Change, brokers: Sequence[str] = ("prime",), **settings: Any) -> None:
    with open_writable(URL, folder) as writable, connect() as engine:
        writer = Writer(engine, writable, BookSettings(database=URL, **settings), "positions", "journal", brokers)
        writer.write(wanted, by="ann", now=NOW)


def test_a_symbol_is_found_and_added_by_the_books_own_name_of_it(tmp_path: Path) -> None:
    table(tmp_path, "CREATE TABLE positions (symbol TEXT, quantity)", "INSERT INTO positions VALUES (' XBT% ', '1.50')")
    options = {"aliases": {"XBT%": "BTC", "XETH": "ETH"}}
    account = "DEFAULT"
    write(tmp_path, change("BTC", account=account, before={"quantity": "1.5"}, after={"quantity": "2.25"}), options=options)
    added = Change(id="C2", key=("prime", account, "ETH", "NET"), kind="insert", before=None, after={"quantity": "3"})
    write(tmp_path, added, options=options)
    assert rows(tmp_path, "SELECT symbol, quantity FROM positions") == [(" XBT% ", "2.25"), ("XETH", "3")]


def test_a_column_that_is_not_there_is_what_recon_yaml_says_it_is(tmp_path: Path) -> None:
    table(
        tmp_path,
        "CREATE TABLE positions (symbol TEXT, quantity INT, account TEXT)",
        "INSERT INTO positions VALUES ('A', 1, 'MAIN')",
    )
    wanted = change("A", before={"quantity": "1", "currency": "USD"}, after={"quantity": "2", "currency": "USD"})
    write(tmp_path, wanted, defaults={"broker": "prime"}, brokers=("prime", "other"))
    assert rows(tmp_path, "SELECT quantity FROM positions") == [(2,)]
    other = Change(id="C2", key=("other", "MAIN", "B", "NET"), kind="insert", before=None, after={"quantity": "3"})
    with pytest.raises(CorrectionError, match="would not hold other/MAIN B by that name; nothing was changed"):
        write(tmp_path, other, defaults={"broker": "prime"}, brokers=("prime", "other"))
    assert rows(tmp_path, "SELECT count(*) FROM positions") == [(1,)]


def test_the_leg_that_is_meant_is_corrected(tmp_path: Path) -> None:
    table(
        tmp_path,
        "CREATE TABLE positions (broker TEXT, account TEXT, symbol TEXT, leg TEXT, quantity NUMERIC)",
        "INSERT INTO positions VALUES ('prime', 'MAIN', 'AAPL', 'long', 5), ('prime', 'MAIN', 'AAPL', 'short', -5)",
    )
    write(tmp_path, change(leg="SHORT", before={"quantity": "-5"}, after={"quantity": "-7"}))
    assert rows(tmp_path, "SELECT leg, quantity FROM positions") == [("long", 5), ("short", -7)]
    netted = Change(
        id="C2", key=("prime", "MAIN", "AAPL", "NET"), kind="delete", before={"quantity": "-2"}, after=None, netted=True
    )
    with pytest.raises(CorrectionError, match="2 rows of the book are prime/MAIN AAPL: which of them"):
        write(tmp_path, netted)


def test_a_row_of_another_broker_account_or_longer_symbol_is_never_taken_for_it(tmp_path: Path) -> None:
    table(
        tmp_path,
        "CREATE TABLE positions (broker TEXT, account TEXT, symbol TEXT, quantity NUMERIC)",
        "INSERT INTO positions VALUES ('other', 'MAIN', 'A', 5), ('prime', 'IRA', 'A', 5), ('prime', 'MAIN', 'AA', 5), "
        "('prime', 'MAIN', 'a', 5)",
    )
    with pytest.raises(CorrectionError, match="prime/MAIN A was in the book when it was reconciled, and is not now"):
        write(tmp_path, change("A", before={"quantity": "5"}, after=None), brokers=("prime", "other"))
    assert rows(tmp_path, "SELECT count(*) FROM positions") == [(4,)]


@pytest.mark.parametrize(
    ("held", "timezone", "written"),
    [
        ("2026-11-20", None, "2026-11-20"),
        ("2026-11-20T14:00:00-05:00", None, "2026-11-20T21:00:00Z"),
        ("2026-11-20 14:00:00+00", None, "2026-11-20 21:00:00Z"),
        ("2026-11-20 14:00", "America/New_York", "2026-11-20 16:00:00"),
        ("2026-11-20T14:00:00.5", "Asia/Tokyo", "2026-11-21T06:00:00"),
        ("2026-11-20", "Asia/Tokyo", "2026-11-21"),
        (None, None, "2026-11-20T21:00:00Z"),
    ],
)
def test_when_it_was_confirmed_is_written_as_it_was_before(
    tmp_path: Path, held: str | None, timezone: str | None, written: str
) -> None:
    table(tmp_path, "CREATE TABLE positions (account TEXT, symbol TEXT, quantity NUMERIC, updated_at TEXT)")
    with closing(sqlite3.connect(tmp_path / "book.sqlite")) as database, database:
        database.execute("INSERT INTO positions VALUES ('MAIN', 'AAPL', 1, ?)", (held,))
    write(tmp_path, change(before={"quantity": "1"}, after={"quantity": "2"}), timezone=timezone)
    assert rows(tmp_path, "SELECT quantity, updated_at FROM positions") == [(2, written)]


@pytest.mark.parametrize(
    ("kind", "held", "new", "kept"),
    [("", 1, "2", 2), ("", 1.5, "2.25", 2.25), ("", "1", "2.10", "2.10"),
     ("TEXT", "1.0", "0.123456789012345678", "0.123456789012345678"),
     ("REAL", 1, "2", 2.0), ("INTEGER", 1, "2.5", 2.5), ("DECIMAL(20,4)", 1, "-12345678.9012", -12345678.9012)],
)  # fmt: skip
def test_a_number_is_kept_as_the_column_keeps_numbers(tmp_path: Path, kind: str, held: Any, new: str, kept: Any) -> None:
    table(tmp_path, f"CREATE TABLE positions (account TEXT, symbol TEXT, quantity {kind})")
    with closing(sqlite3.connect(tmp_path / "book.sqlite")) as database, database:
        database.execute("INSERT INTO positions VALUES ('MAIN', 'AAPL', ?)", (held,))
    write(tmp_path, change(before={"quantity": str(held)}, after={"quantity": new}))
    [(found,)] = rows(tmp_path, "SELECT quantity FROM positions")
    assert (found, type(found)) == (kept, type(kept))


def test_a_book_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(BookError, match=r"there is no SQLite database .*; nothing was changed"):
        write(tmp_path, change(after={"quantity": "1"}))
    assert list(tmp_path.iterdir()) == []
    table(tmp_path, "CREATE TABLE other (x)")
    with pytest.raises(CorrectionError, match="no such table: positions; nothing was changed"):
        write(tmp_path, change(after={"quantity": "1"}))
    with (
        pytest.raises(BookSetupError, match=r"book.corrections.database: 'sqlite://' names no file"),
        open_writable("sqlite://", tmp_path),
    ):
        pass


def test_what_is_printed_concerns_no_row_that_moved(tmp_path: Path) -> None:
    settings = BookSettings(database=URL, table="it's.positions", columns={"quantity": 'q"ty'}, defaults={"broker": "prime"})
    key = ("prime", "MAIN", "O'X", "LONG")
    before = {"quantity": "1", "avg_price": None, "currency": "USD"}
    after = {"quantity": "2.50", "avg_price": "3", "currency": "USD"}
    assert str(proposed(settings, "it's.positions", key, before, after, NOW)) == (
        'UPDATE "it\'s"."positions" SET "q""ty" = 2.50, "avg_price" = 3 WHERE "account" = \'MAIN\' AND "symbol" = \'O\'\'X\' '
        'AND "leg" = \'LONG\' AND "q""ty" = 1 AND "avg_price" IS NULL'
    )
    assert str(proposed(settings, "p", key, before, None, NOW)).startswith('DELETE FROM "p" WHERE')
