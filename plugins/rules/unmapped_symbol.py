"""UNMAPPED_SYMBOL: one instrument that book and broker spell differently."""

from recon_core import Rule, hookimpl


class UnmappedSymbol(Rule):
    """One holding that looks like two missing ones, because the two sides name the instrument differently.

    What it looks for
        In one account, a position only in the book and one only at the broker, with equal quantities, that share an
        ISIN, a CUSIP or a spelling but for its signs (BRK.B and BRKB). What identifiers and known forms of symbols tell
        is matched before (``symbols`` in recon.yaml), and is no break. Equal quantities alone prove nothing, and where one
        could be either of two others, nothing is guessed: all of them stay missing.
    Why it matters
        Two missing positions cause two false alarms and hide that the mapping is what needs mending.
    What to do
        Add the broker's spelling to `aliases`, or the identifier to the book.
    """

    type = "UNMAPPED_SYMBOL"
    title = "One instrument under two names"
    severity = "high"
    halt = "always"
    counts = False
    among = "in_book <> at_broker"
    select = r"""
        WITH named AS (
            SELECT *, nullif(upper(regexp_replace(symbol, '[^\p{L}\p{N}]', '', 'g')), '') AS spelling FROM pairs
        ), alike AS (
            SELECT b.broker, b.account, b.symbol, b.leg, f.symbol AS related, b.book_quantity AS held,
                count(*) OVER (PARTITION BY b.broker, b.account, b.leg, b.symbol) AS candidates,
                count(*) OVER (PARTITION BY b.broker, b.account, b.leg, f.symbol) AS claimants
            FROM named b
            JOIN named f
              ON b.in_book AND f.at_broker
             AND b.broker = f.broker AND b.account = f.account AND b.leg = f.leg
             AND b.book_quantity = f.broker_quantity
             AND (b.isin = f.isin OR b.cusip = f.cusip OR b.spelling = f.spelling)
        )
        SELECT broker, account, symbol, leg, related, held FROM alike WHERE candidates = 1 AND claimants = 1
    """
    detail = "book {symbol} and broker {related} look like one instrument: both hold {held}"
    supersedes = ("MISSING_AT_BROKER", "MISSING_IN_DB")


@hookimpl
def recon_register_rules() -> list[type[Rule]]:
    return [UnmappedSymbol]
