"""UNIT_MISMATCH: the two sides count in different units."""

from recon_core import Rule, hookimpl


class UnitMismatch(Rule):
    """Book and broker differ by a factor that says units, not trades: x100, the multiplier, a split, the sign.

    What it looks for
        Quantities that differ in the sign alone, by 100 or by the multiplier; average prices that do so on equal
        quantities; and a whole ratio of 2 to ``max_ratio`` between quantities (or prices) that several positions of one
        account share, or that the prices show the other way round, as after a split.
    Why it matters
        A wrong unit is wrong everywhere at once; judged as trades, it would be corrected in the wrong place.
    What to do
        Check pence against pounds, contracts against shares, and corporate actions of the day; mend the mapping.
    """

    type = "UNIT_MISMATCH"
    title = "Different units"
    severity = "critical"
    halt = "always"
    params = {
        "max_ratio": {"type": "integer", "minimum": 2, "default": 100, "description": "The largest split ratio looked for."},
        "price_tolerance_pct": {
            "type": "number",
            "minimum": 0,
            "default": 1,
            "description": "How far, in percent, prices may be from the exact factor.",
        },
    }
    among = """in_book and at_broker and (quantity_difference <> 0
        or abs(book_avg_price - broker_avg_price) * 100 > $price_tolerance_pct * abs(broker_avg_price))"""
    select = """
        WITH sized AS (
            SELECT *,
                greatest(abs(book_quantity), abs(broker_quantity)) AS more,
                least(abs(book_quantity), abs(broker_quantity)) AS less,
                greatest(abs(book_avg_price), abs(broker_avg_price)) AS dear,
                least(abs(book_avg_price), abs(broker_avg_price)) AS cheap,
                quantity_difference = 0 AS level, coalesce(multiplier, 1) AS lot,
                sign(book_quantity) = sign(broker_quantity) AS one_way,
                (abs(book_quantity) > abs(broker_quantity)) = (abs(book_avg_price) < abs(broker_avg_price)) AS inverse
            FROM pairs
        ), ratios AS (
            SELECT *, round(CASE WHEN level THEN dear ELSE more END / nullif(CASE WHEN level THEN cheap ELSE less END, 0), 0) AS k
            FROM sized
        ), judged AS (
            SELECT *,
                abs(dear - exact_product(cheap, k)) * 100 <= $price_tolerance_pct * dear AS price_k,
                CASE WHEN level THEN abs(book_avg_price) > abs(broker_avg_price)
                     ELSE abs(book_quantity) > abs(broker_quantity) END AS book_larger,
                one_way AND k BETWEEN 2 AND $max_ratio
                    AND CASE WHEN level THEN abs(dear - exact_product(cheap, k)) * 100 <= $price_tolerance_pct * dear
                             ELSE exact_product(less, k) = more END AS whole
            FROM ratios
        ), counted AS (
            SELECT *, count(*) FILTER (WHERE whole) OVER (PARTITION BY broker, account, level, book_larger, k) AS alike FROM judged
        ), named AS (
            SELECT *, CASE
                WHEN book_quantity = -broker_quantity THEN 'the sign alone differs'
                WHEN NOT level AND one_way AND exact_product(less, 100) = more THEN 'quantities differ by a factor of 100'
                WHEN NOT level AND one_way AND lot <> 1 AND exact_product(less, lot) = more
                    THEN 'quantities differ by the multiplier'
                WHEN level AND abs(dear - exact_product(cheap, 100)) * 100 <= $price_tolerance_pct * dear
                    THEN 'prices differ by a factor of 100'
                WHEN level AND lot <> 1 AND abs(dear - exact_product(cheap, lot)) * 100 <= $price_tolerance_pct * dear
                    THEN 'prices differ by the multiplier'
                WHEN whole AND alike > 1 THEN 'a ratio of ' || k::BIGINT || ':1, as on other positions of the account'
                WHEN whole AND NOT level AND inverse AND price_k
                    THEN 'a ratio of ' || k::BIGINT || ':1, and the inverse in the prices'
                END AS finding
            FROM counted
        )
        SELECT broker, account, symbol, leg, finding FROM named WHERE finding IS NOT NULL
    """
    impact = "abs(quantity_difference) * unit_value"
    detail = "{finding}: book {book_quantity} at {book_avg_price}, broker {broker_quantity} at {broker_avg_price}"
    supersedes = ("QUANTITY_MISMATCH", "PRICE_MISMATCH")


@hookimpl
def recon_register_rules() -> list[type[Rule]]:
    return [UnitMismatch]
