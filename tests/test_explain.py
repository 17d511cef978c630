"""Why book and broker differ: evidence of the broker's, and the explanation that it must give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from explain_samples import AS_OF, difference, explained, fill


@pytest.mark.case("F01")
def test_one_missed_fill_explains_the_break_exactly():
    missed = fill("50", id="f2", at=AS_OF - timedelta(hours=5))
    found = explained(difference("100", "150"), fills=[fill("100", id="f1", at=AS_OF - timedelta(days=3)), missed])
    assert (found.status, found.cause, found.residual) == ("EXPLAINED", "MISSED_FILL", Decimal(0))
    assert [term.id for term in found.terms] == ["f2"]
    assert found.diverged_on == datetime(2026, 11, 20, tzinfo=UTC).date()
