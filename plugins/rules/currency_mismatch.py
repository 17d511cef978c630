"""CURRENCY_MISMATCH: both sides hold the position, in different currencies."""

from recon_core import Rule, hookimpl


class CurrencyMismatch(Rule):
    """Book and broker name different currencies for one position.

    What it looks for
        Both sides state a currency and the two differ; pence (GBX) against pounds (GBP) included. GBp and
        GBX are two spellings of pence, and no break; so are ZAc and ZAC of cents.
    Why it matters
        No price or value can be compared before this is settled: 100 EUR against 100 USD looks like agreement.
    What to do
        Find which listing or account currency each side means, and correct the book or the symbol's mapping.
    """

    type = "CURRENCY_MISMATCH"
    title = "Currencies disagree"
    severity = "high"
    halt = "always"
    counts = False
    when = """in_book and at_broker and book_currency <> broker_currency
        and replace(replace(book_currency, 'GBp', 'GBX'), 'ZAc', 'ZAC')
         <> replace(replace(broker_currency, 'GBp', 'GBX'), 'ZAc', 'ZAC')"""
    detail = "book in {book_currency}, broker in {broker_currency}"
    supersedes = ("PRICE_MISMATCH",)


@hookimpl
def recon_register_rules() -> list[type[Rule]]:
    return [CurrencyMismatch]
