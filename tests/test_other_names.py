"""A break keeps its age when book and broker call its position differently and one of the two names goes. Real runs."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from deployment import types
from week import Week, age

APPLE, META = "US0378331005", "US30303M1027"


class Named(Week):
    """Days on which book and statement have their own names, and perhaps an ISIN."""

    def on(self, day: int, book: list[str], feed: list[str]) -> dict[str, Any]:
        """The report of a day; a row is ``symbol,quantity,isin``."""
        self.deployment.config(as_of=f"2026-11-{day:02}T21:00:00Z", broker="unchanged: accept", more=self.more)
        self.deployment.write(
            "book.csv", "\n".join(["broker,account,symbol,quantity,isin", *(f"prime,MAIN,{row}" for row in book)])
        )
        self.deployment.write("feed.csv", "\n".join(["account,symbol,quantity,isin", *(f"MAIN,{row}" for row in feed)]))
        return self.run()

    def remembered(self) -> list[tuple[str, str]]:
        with closing(sqlite3.connect(self.deployment.folder / ".state" / "recon.sqlite")) as database:
            return database.execute("SELECT theirs, ours FROM names ORDER BY 1, 2").fetchall()


OTHERS = "MSFT,50,"


@pytest.fixture
def week(tmp_path: Path) -> Named:
    return Named(tmp_path)


@pytest.mark.case("D03", "H03")
def test_a_break_keeps_its_age_when_the_books_row_goes(week: Named) -> None:
    first = week.on(16, [f"FB,5,{META}", OTHERS], [f"META,4,{META}", OTHERS])
    assert (types(first), age(first, "FB")) == (["QUANTITY_MISMATCH"], (1, "2026-11-16", 0))
    week.command("breaks", "assign", first["discrepancies"][0]["id"], "--to", "ann", "--by", "bob")
    second = week.on(17, [OTHERS], [f"META,4,{META}", OTHERS])
    assert (types(second), age(second, "META")) == (["MISSING_IN_DB"], (1, "2026-11-16", 1))
    shown = json.loads(week.command("breaks", "show", second["discrepancies"][0]["id"], "--json").stdout)
    assert (shown["symbol"], shown["assignee"], len(shown["episodes"])) == ("FB", "ann", 1)
    assert [(each["type"], each["status"]) for each in shown["breaks"]] == [
        ("QUANTITY_MISMATCH", "resolved"),
        ("MISSING_IN_DB", "open"),
    ]
    assert age(week.on(18, [OTHERS], [f"META,4,{META}", OTHERS]), "META") == (1, "2026-11-16", 2)
    assert age(week.on(19, [f"FB,5,{META}", OTHERS], [f"META,4,{META}", OTHERS]), "FB") == (1, "2026-11-16", 3)


@pytest.mark.case("D01")
def test_a_name_that_is_known_by_its_form_keeps_the_age_too(week: Named) -> None:
    week.on(16, ["BRK.B,5,", OTHERS], ["BRK B,4,", OTHERS])
    assert age(week.on(17, [OTHERS], ["BRK B,4,", OTHERS]), "BRK B") == (1, "2026-11-16", 1)


def test_a_break_keeps_its_age_when_the_books_row_comes_later(week: Named) -> None:
    assert age(week.on(16, [OTHERS], [f"META,4,{META}", OTHERS]), "META") == (1, "2026-11-16", 0)
    report = week.on(17, [f"FB,5,{META}", OTHERS], [f"META,4,{META}", OTHERS])
    assert (types(report), age(report, "FB")) == (["QUANTITY_MISMATCH"], (1, "2026-11-16", 1))
    assert week.listed() == [("META", "open", 1)]


def test_when_both_names_are_gone_the_break_is_closed_and_its_names_are_forgotten(week: Named) -> None:
    week.on(16, [f"FB,5,{META}", OTHERS], [f"META,4,{META}", OTHERS])
    week.on(17, [OTHERS], [f"META,4,{META}", OTHERS])
    assert week.remembered() == [("META", "FB")]
    assert week.on(18, [OTHERS], [OTHERS])["verdict"] == "clean"
    assert (week.listed(), week.remembered()) == ([], [])
    assert age(week.on(19, [OTHERS], [f"META,4,{META}", OTHERS]), "META") == (1, "2026-11-19", 0)


def test_a_matched_position_without_a_break_leaves_no_name(week: Named) -> None:
    assert week.on(16, [f"FB,5,{META}", OTHERS], [f"META,5,{META}", OTHERS])["verdict"] == "clean"
    assert week.remembered() == []


@pytest.mark.case("D05")
def test_another_instrument_under_the_brokers_name_is_a_break_of_its_own(week: Named) -> None:
    week.on(16, [f"FB,5,{META}", OTHERS], [f"META,4,{META}", OTHERS])
    assert age(week.on(17, [OTHERS], [f"META,4,{APPLE}", OTHERS]), "META") == (1, "2026-11-17", 0)


def test_two_positions_stay_two_while_both_names_are_held(week: Named) -> None:
    week.on(16, [f"FB,5,{META}", OTHERS], [f"META,4,{META}", OTHERS])
    report = week.on(17, [f"FB,5,{APPLE}", OTHERS], [f"META,4,{META}", OTHERS])
    assert sorted(types(report)) == ["MISSING_AT_BROKER", "MISSING_IN_DB"]
    assert age(report, "FB") == (1, "2026-11-16", 1)
    assert age(report, "META") == (1, "2026-11-17", 0)


def test_a_break_that_is_open_under_the_former_name_is_not_gone_while_it_holds_under_the_other(week: Named) -> None:
    """The rule cannot be judged under the new name, for it lacks a value there: that no side has the old name proves nothing."""
    week.deployment.write("policies.yaml", POLICY)
    rows = [f"META,4,{META},4", "MSFT,50,,1"]
    assert age(_priced(week, 16, ["MSFT,50,,1"], rows), "META") == (1, "2026-11-16", 0)
    _priced(week, 17, [f"FB,4,{META},1", "MSFT,50,,1"], rows)
    assert _priced(week, 18, [f"FB,4,{META},", "MSFT,50,,1"], rows)["break_count"] == 0
    assert week.listed() == [("META", "open", 1)]
    assert age(_priced(week, 19, [f"FB,4,{META},1", "MSFT,50,,1"], rows), "FB") == (1, "2026-11-16", 3)


POLICY = "version: 1\nbase_currency: USD\nrules: {MISSING_IN_DB: {}, PRICE_MISMATCH: {}}\n"


def _priced(week: Named, day: int, book: list[str], feed: list[str]) -> dict[str, Any]:
    """A day with average prices behind the ISIN."""
    week.deployment.config(as_of=f"2026-11-{day:02}T21:00:00Z", broker="unchanged: accept")
    week.deployment.write(
        "book.csv", "\n".join(["broker,account,symbol,quantity,isin,avg_price", *(f"prime,MAIN,{row}" for row in book)])
    )
    week.deployment.write("feed.csv", "\n".join(["account,symbol,quantity,isin,avg_price", *(f"MAIN,{row}" for row in feed)]))
    return week.run()
