"""The SQL functions that rules and policies may call, and the two of our own."""

from __future__ import annotations

from recon_core.columns import EXACT

MACROS = f"""
CREATE OR REPLACE TEMP MACRO exact_product(a, b) AS TRY(
    TRY_CAST(trunc(a) AS DECIMAL(19,0)) * TRY_CAST(b AS {EXACT})
    + (a % 1)::DECIMAL(18,18) * TRY_CAST(trunc(b) AS DECIMAL(19,0))
    + trunc((a % 1)::DECIMAL(18,18) * (b % 1)::DECIMAL(18,18), 18)::{EXACT});
CREATE OR REPLACE TEMP MACRO plain_text(x) AS
    CASE WHEN x IS NULL THEN 'unknown'
         WHEN typeof(x) LIKE 'DECIMAL%' AND typeof(x) NOT LIKE '%,0)' THEN rtrim(rtrim(x::VARCHAR, '0'), '.')
         WHEN typeof(x) = 'DOUBLE' THEN regexp_replace(x::VARCHAR, '\\.0+$|(\\.[0-9]*[1-9])0+$', '\\1') ELSE x::VARCHAR END;
"""
"""``exact_product`` is exact to 18 decimals (more are cut) and NULL past 10^20; ``plain_text`` prints a number as written.

A macro repeats its arguments, and planning time grows with them: each stands three times, and products are nested as little
as can be. The optimizer takes what two expressions share out of their TRY: so a cast that may fail is a TRY_CAST, and a product
that may overflow has a TRY of its own.
"""

_OPERATORS = ("+", "-", "*", "/", "//", "%", "^", "**", "||", "~~", "!~~", "~~*", "!~~*", "~~~")
_OF_NUMBERS = ("abs", "round", "floor", "ceil", "ceiling", "trunc", "sign", "mod", "isnan", "isfinite", "exact_product")
_OF_TEXTS = ("lower", "upper", "trim", "ltrim", "rtrim", "length", "left", "right", "substr", "substring", "replace", "concat")
_IN_TEXTS = ("strip_accents", "split_part", "starts_with", "ends_with", "prefix", "suffix", "contains", "strpos", "position")
_PATTERNS = ("like_escape", "not_like_escape", "regexp_matches", "regexp_full_match", "regexp_replace", "regexp_extract")
_SPANS = ("date_diff", "datediff", "date_part", "datepart", "date_trunc", "epoch", "make_date")
_OF_TIMES = ("year", "month", "day", "hour", "minute", "dayofweek", "isodow")
_OF_ANYTHING = ("greatest", "least", "nullif", "if", "ifnull", "coalesce", "plain_text")

ALLOWED_FUNCTIONS = frozenset((*_OPERATORS, *_OF_NUMBERS, *_OF_TEXTS, *_IN_TEXTS, *_PATTERNS, *_SPANS, *_OF_TIMES, *_OF_ANYTHING))
"""What an expression over one pair may call: nothing that reaches a file, the clock or chance."""

_COUNTS = ("count", "count_star", "count_if", "sum", "min", "max", "avg", "median")
AGGREGATES = frozenset((*_COUNTS, "any_value", "bool_and", "bool_or", "list", "first", "string_agg", "arg_min", "arg_max"))
"""What a rule's ``select`` may call beside them."""
