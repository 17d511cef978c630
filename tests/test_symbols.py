"""One instrument under two names: forms of symbols, identifiers, aliases; and two instruments that stay two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from deployment import Deployment, types
from hypothesis import given
from hypothesis import strategies as st

from recon_core.symbols import KRAKEN, cusip_of, forms_of, key_of

FAMILIES = [
    ("BRK.B", "BRK B", "BRK/B", "BRK-B", "brk.b", " BRK  B "),
    ("AAPL  241213C00250000", "AAPL241213C00250000", "O:AAPL241213C00250000", ".AAPL241213C250", "AAPL 13DEC24 250 C"),
    ("ANET 24APR26 115 P", "ANET  260424P00115000"),
    ("SPXW  261120P05000500", ".SPXW261120P5000.5", "SPXW 20NOV26 5000.5 P"),
    ("BTC/USD", "BTC-USD", "BTC_USD", "BTCUSD", "XBT/USD", "XXBTZUSD", "XBTUSD"),
    ("EUR_USD", "EUR/USD", "EUR.USD", "EURUSD"),
    ("BTC", "XBT", "XXBT"),
    ("DOGE", "XDG", "XXDG"),
    ("ESZ25", "/ESZ25", "ESZ2025"),
    ("ESZ5", "/ESZ5"),
]


@pytest.mark.case("D01")
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family[0])
def test_all_spellings_of_an_instrument_have_one_key(family: tuple[str, ...]) -> None:
    assert len({key_of(symbol) for symbol in family}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("BRK.A", "BRK.B"),
        ("BRKB", "BRK.B"),
        ("AAPL1241213C00250000", "AAPL241213C00250000"),
        ("AAPL241213C00250000", "AAPL241213P00250000"),
        ("AAPL241213C00250000", "AAPL241213C00025000"),
        ("BTCUSD", "BTCUSDT"),
        ("XTZ", "TZ"),
        ("XTSTCUR", "TSTCUR"),
        ("BTC.M", "BTC"),
        ("ESZ5", "ESZ6"),
        ("ESZ5", "ESH5"),
        ("EQQQ.L", "EQQQ"),
        ("AAPL241399C00250000", "AAPL 241399C00250000"),
    ],
)
def test_what_is_another_instrument_has_another_key(one: str, other: str) -> None:
    assert key_of(one) != key_of(other)


@pytest.mark.parametrize("symbol", [symbol for family in FAMILIES for symbol in family] + ["MSFT", "US0378331005", "Ω", ""])
def test_every_form_is_read_back_as_the_same_instrument(symbol: str) -> None:
    for form in forms_of(symbol).values():
        assert key_of(form) == key_of(symbol)


def test_a_pair_of_one_coin_is_never_written_as_what_is_no_pair() -> None:
    assert "joined" not in forms_of("BTC-BTC")
    assert forms_of("BTC-USD")["joined"] == "BTCUSD"


@given(
    st.from_regex(r"[A-Z]{1,5}", fullmatch=True),
    st.dates(),
    st.sampled_from("CP"),
    st.integers(min_value=1, max_value=99_999_999),
)
def test_any_option_is_the_same_in_all_its_forms(root: str, day: Any, right: str, thousandths: int) -> None:
    symbol = f"{root:<6}{day:%y%m%d}{right}{thousandths:08}"
    forms = forms_of(symbol)
    if f"{day:%m%d}" == "0229":  # the year 2000 + yy may have no such day
        return
    assert forms["padded"] == symbol
    assert {key_of(form) for form in forms.values()} == {key_of(symbol)}


@given(st.text(max_size=24))
def test_no_text_is_too_odd_for_a_key(text: str) -> None:
    assert all(key_of(form) == key_of(text) for form in forms_of(text).values())


def test_krakens_names_stand_for_one_thing_each() -> None:
    assert all(key_of(name) == plain for name, plain in KRAKEN.items())


@pytest.mark.case("D02")
def test_a_cusip_is_found_in_an_isin_with_its_zeros() -> None:
    assert cusip_of("US0378331005", None) == "037833100"
    assert cusip_of("GB0002634946", None) is None
    assert cusip_of(None, "037833100") == "037833100"


HEAD_BOOK = "broker,account,symbol,quantity,isin,cusip"
HEAD_FEED = "account,symbol,quantity,isin,cusip"


def deployed(folder: Path, book: list[str], feed: list[str], *, broker: str = "", more: str = "") -> Deployment:
    made = Deployment(folder)
    made.config(broker=broker, more=more)
    made.write("book.csv", "\n".join([HEAD_BOOK, *(f"prime,{row}" for row in book)]) + "\n")
    made.write("feed.csv", "\n".join([HEAD_FEED, *feed]) + "\n")
    return made


def matched(report: dict[str, Any]) -> tuple[int, int, int]:
    return report["pairs"]["matched"], report["pairs"]["in_book"], report["pairs"]["at_broker"]


@pytest.mark.case("D01")
def test_class_shares_options_and_pairs_match_in_any_form(tmp_path: Path) -> None:
    book = ["M,BRK.B,5,,", "M,AAPL241213C00250000,2,,", "M,BTC/USD,0.5,,", "M,ESZ5,1,,", "M,MSFT,3,,"]
    feed = ["M,BRK B,5,,", "M,AAPL  241213C00250000,2,,", "M,BTCUSD,0.5,,", "M,/ESZ5,1,,", "M,MSFT,3,,"]
    report = deployed(tmp_path, book, feed).report()
    assert (types(report), matched(report)) == ([], (5, 5, 5))
    (note,) = report["feeds"][0]["notes"]
    assert note.startswith("the book's by the form of the symbol: ")
    assert "BRK B is BRK.B" in note


@pytest.mark.case("D03")
def test_a_renamed_instrument_is_known_by_its_isin(tmp_path: Path) -> None:
    report = deployed(tmp_path, ["M,FB,5,US30303M1027,"], ["M,META,4,US30303M1027,"]).report()
    assert types(report) == ["QUANTITY_MISMATCH"]
    assert report["discrepancies"][0]["symbol"] == "FB"
    assert report["feeds"][0]["notes"] == ["the book's by ISIN: META is FB"]


@pytest.mark.case("D02")
def test_a_cusip_matches_an_isin_that_holds_it(tmp_path: Path) -> None:
    report = deployed(tmp_path, ["M,AAPL,5,US0378331005,"], ["M,APPLE INC,5,,037833100"]).report()
    assert (types(report), report["feeds"][0]["notes"]) == ([], ["the book's by CUSIP: APPLE INC is AAPL"])


@pytest.mark.case("D04")
def test_an_isin_that_changes_in_a_split_leaves_one_position(tmp_path: Path) -> None:
    report = deployed(tmp_path, ["M,NVDA,10,US67066G1040,"], ["M,NVDA,100,US0231351067,"]).report()
    assert (types(report), matched(report)) == (["QUANTITY_MISMATCH"], (1, 1, 1))


def test_forms_never_join_what_identifiers_hold_apart(tmp_path: Path) -> None:
    report = deployed(tmp_path, ["M,BRK.B,5,US0846707026,"], ["M,BRK/B,5,US0378331005,"]).report()
    assert sorted(types(report)) == ["MISSING_AT_BROKER", "MISSING_IN_DB"]


@pytest.mark.parametrize(
    ("book", "feed"),
    [
        (["M,ACME,5,-,"], ["M,ZETA,5,-,"]),
        (["M,ACME,5,XXXXXXXXXXXX,"], ["M,ZETA,5,XXXXXXXXXXXX,"]),
        (["M,ACME,5,,000000000"], ["M,ZETA,5,,000000000"]),
        (["M,ACME,5,US0378331006,"], ["M,ZETA,5,US0378331006,"]),
        (["M,ACME,5,US0378331005,594918104"], ["M,ZETA,5,US5949181045,594918104"]),
        (["M,ESZ25,5,,"], ["M,ESZ2035,5,,"]),
        (["M,CHF10,5,,"], ["M,CHF20,5,,"]),
    ],
    ids=["dash", "crosses", "zeros", "check digit", "other ISIN", "decade", "no futures"],
)
def test_what_may_be_two_instruments_stays_two(tmp_path: Path, book: list[str], feed: list[str]) -> None:
    assert sorted(types(deployed(tmp_path, book, feed).report())) == ["MISSING_AT_BROKER", "MISSING_IN_DB"]


def test_a_future_without_its_decade_is_the_one_with_it(tmp_path: Path) -> None:
    assert types(deployed(tmp_path, ["M,ESZ25,5,,"], ["M,/ESZ5,5,,"]).report()) == []


def test_a_name_that_the_feed_uses_for_another_leg_is_not_taken_twice(tmp_path: Path) -> None:
    made = deployed(tmp_path, [], [])
    made.write("book.csv", "broker,account,symbol,leg,quantity\nprime,M,EURUSD,LONG,1\nprime,M,EURUSD,SHORT,-2\n")
    made.write("feed.csv", "account,symbol,leg,quantity\nM,EURUSD,LONG,1\nM,EUR/USD,LONG,3\nM,EUR/USD,SHORT,-2\n")
    report = made.report()
    assert report["feeds"][0]["status"] == "COMPLETE"
    assert sorted(types(report)) == ["MISSING_AT_BROKER", "MISSING_IN_DB", "MISSING_IN_DB"]


@pytest.mark.case("D06")
def test_two_ids_for_one_instrument_are_told_and_not_guessed(tmp_path: Path) -> None:
    book = ["M,AAPL-1,5,US0378331005,", "M,AAPL-2,5,US0378331005,"]
    report = deployed(tmp_path, book, ["M,AAPL,10,US0378331005,"]).report()
    assert sorted(types(report)) == ["MISSING_AT_BROKER", "MISSING_AT_BROKER", "MISSING_IN_DB"]
    assert "ISIN US0378331005 is AAPL-1 and AAPL-2 in the book, AAPL here" in report["feeds"][0]["notes"][0]


@pytest.mark.case("D06")
def test_aliases_and_lots_make_two_ids_one(tmp_path: Path) -> None:
    made = deployed(tmp_path, ["M,AAPL-1,5,,", "M,AAPL-2,5,,"], ["M,AAPL,10,,"])
    config = (tmp_path / "recon.yaml").read_text()
    made.write(
        "recon.yaml", config.replace("{file: book.csv}", "{file: book.csv, lots: true, aliases: {AAPL-1: AAPL, AAPL-2: AAPL}}")
    )
    assert matched(made.report()) == (1, 1, 1)


@pytest.mark.case("D07")
def test_a_venue_is_known_by_isin_or_alias_and_never_guessed(tmp_path: Path) -> None:
    by_isin = deployed(tmp_path, ["M,EQQQ,5,IE0032077012,"], ["M,EQQQ.L,5,IE0032077012,"]).report()
    assert types(by_isin) == []
    guessed = deployed(tmp_path, ["M,EQQQ,5,,"], ["M,EQQQ.L,5,,"]).report()
    assert sorted(types(guessed)) == ["MISSING_AT_BROKER", "MISSING_IN_DB"]
    named = deployed(tmp_path, ["M,EQQQ,5,,"], ["M,EQQQ.L,5,,"], broker="aliases: {EQQQ.L: EQQQ}").report()
    assert types(named) == []


@pytest.mark.case("D05")
def test_what_is_only_alike_is_unmapped_once(tmp_path: Path) -> None:
    made = deployed(tmp_path, ["M,BRK.B,5,,"], ["M,BRKB,5,,"])
    made.policy("version: 1\nbase_currency: USD\nrules: {MISSING_AT_BROKER: {}, MISSING_IN_DB: {}, UNMAPPED_SYMBOL: {}}\n")
    assert types(made.report()) == ["UNMAPPED_SYMBOL"]


def test_exact_matches_by_equal_symbols_alone(tmp_path: Path) -> None:
    report = deployed(tmp_path, ["M,BRK.B,5,US0846707026,"], ["M,BRK/B,5,US0846707026,"], more="symbols: {match: exact}").report()
    assert sorted(types(report)) == ["MISSING_AT_BROKER", "MISSING_IN_DB"]


def test_accounts_are_matched_apart(tmp_path: Path) -> None:
    report = deployed(tmp_path, ["A,BRK.B,5,,", "B,BRK B,7,,"], ["A,BRK/B,5,,", "B,BRK/B,7,,"]).report()
    assert (types(report), matched(report)) == ([], (2, 2, 2))


def test_one_name_that_could_be_two_is_left_alone(tmp_path: Path) -> None:
    report = deployed(tmp_path, ["M,BTC/USD,5,,"], ["M,BTC-USD,3,,", "M,BTCUSD,2,,"]).report()
    assert len(types(report)) == 3


def test_a_partial_feed_is_matched_too(tmp_path: Path) -> None:
    report = deployed(tmp_path, ["M,BRK.B,5,,", "N,MSFT,1,,"], ["M,BRK/B,5,,"], broker="expect_accounts: [M, N]", more="").report()
    assert report["feeds"][0]["status"] == "PARTIAL"
    assert (types(report), report["pairs"]["matched"]) == ([], 1)


def test_both_ways_of_joining_match_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recon_core import PositionReconciler, reconcile

    deployed(tmp_path, ["M,BRK.B,5,,", "M,KO,1,,", "M,PEP,2,,"], ["M,BRK/B,5,,", "M,KO,1,,", "M,PEP,2,,"])
    for least in (1, 1000):
        monkeypatch.setattr(reconcile, "BY_HASH", least)
        assert PositionReconciler(tmp_path / "recon.yaml").reconcile()["pairs"]["matched"] == 3
