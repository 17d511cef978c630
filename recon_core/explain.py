"""Why book and broker differ, by arithmetic: which rows of the broker's own evidence add up to the difference, exactly.

Pure: no clock, no network, no disk. The order in which evidence came decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal, localcontext

from recon_core.explanation import Difference, Explanation, Key, Term
from recon_core.terms import Told, terms_of

PRECISION = 120
"""Digits that sums are made with: more than any two quantities of 38 digits have, so that nothing is rounded."""


def explain(differences: Sequence[Difference], told: Mapping[str, Told], *, as_of: datetime) -> dict[Key, Explanation]:
    """An explanation of each difference, by what its broker told (by the broker's name in the book); nothing later than ``as_of``
    counts."""
    with localcontext() as context:
        context.prec = PRECISION
        found: dict[Key, Explanation] = {}
        for broker in sorted({difference.broker for difference in differences}):
            theirs = [difference for difference in differences if difference.broker == broker]
            terms = terms_of(told[broker], theirs, as_of=as_of)[0] if broker in told else {}
            found |= {difference.key: _explained(difference, terms.get(difference.key, ())) for difference in theirs}
        return found


def _explained(difference: Difference, terms: Sequence[Term]) -> Explanation:
    wanted = difference.quantity_difference
    fitting = [term for term in terms if term.effect == wanted]
    if not fitting:
        return Explanation(status="UNEXPLAINED", cause="UNEXPLAINED", residual=wanted, causes=("UNEXPLAINED",))
    term = fitting[-1]
    return Explanation(
        status="EXPLAINED",
        cause=term.cause,
        residual=Decimal(0),
        terms=(term,),
        causes=(term.cause,),
        ties=len(fitting) - 1,
        diverged_on=term.on,
    )
