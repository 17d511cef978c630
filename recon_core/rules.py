"""The base class of rules: what makes a break, in expressions over ``pairs`` that the engine runs all at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class Rule:
    """One break type. A subclass is one file in ``plugins/rules/``; its docstring is its documentation page.

    Class attributes
        type        the break type, in capitals: the name in policies.yaml, reports and metrics
        title       a few words for a heading
        severity    info, warning, high or critical, unless the policy says otherwise
        halt        ``"always"``, ``"never"``, ``{"above_pct": N}``, ``{"above_impact": N}`` or ``{"when": "<SQL>"}``
        counts      whether its breaks count towards ``total_impact`` and ``missing_count``
        params      JSON Schema properties of what the policy may tune, each described and with a default
        when        SQL predicate over ``pairs``: true is a break, NULL is undetermined; ``$name`` is a parameter
        select      in place of ``when``, for a rule that looks at several pairs at once: a SELECT over ``pairs`` within one
                    account that returns ``broker, account, symbol, leg`` of each broken pair, and may return ``related``
                    (the symbol of a second pair that the break concerns) and further columns for ``impact`` and ``detail``
        among       with ``select``: a predicate that narrows the ``pairs`` which it sees
        impact      SQL: money in base currency, NULL where unknown; products are exact
        measure     the two SQL terms that ``above_pct`` compares
        detail      a sentence with ``{column}`` places
        supersedes  types that it silences on the same pair, where it is not suppressed and halts no less
    """

    type: ClassVar[str] = ""
    title: ClassVar[str] = ""
    severity: ClassVar[str] = "warning"
    halt: ClassVar[str | Mapping[str, Any]] = "never"
    counts: ClassVar[bool] = True
    params: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    when: ClassVar[str] = ""
    select: ClassVar[str] = ""
    among: ClassVar[str] = ""
    impact: ClassVar[str] = "0"
    measure: ClassVar[tuple[str, str] | None] = None
    detail: ClassVar[str] = ""
    supersedes: ClassVar[tuple[str, ...]] = ()


def halt_text(rule: type[Rule]) -> str:
    """When a rule's breaks halt, as the policy would write it."""
    halt = rule.halt
    return " and ".join(f"{key} {value}" for key, value in halt.items()) if isinstance(halt, Mapping) else halt
