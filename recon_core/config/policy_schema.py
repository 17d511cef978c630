"""The JSON Schema of policies.yaml, with the parameters that the installed rules add to it."""

from __future__ import annotations

from collections.abc import Mapping

from recon_core.config.policy import CorrectionPolicy
from recon_core.config.schema import DIALECT, NOT_EMPTY, Schema, choice, list_of, money, text
from recon_core.model import SEVERITIES
from recon_core.rules import Rule, halt_text


def policy_schema(rules: Mapping[str, type[Rule]]) -> Schema:
    """The schema of policies.yaml where ``rules`` (type: class) are installed; each rule's ``params`` are keys of its entry."""
    return {
        "$schema": DIALECT,
        "title": "recon-core policy (policies.yaml)",
        "description": "What makes a break, how grave it is, and when trading halts.",
        "type": "object",
        "required": ["version", "rules"],
        "additionalProperties": False,
        "properties": {
            "version": {"type": "integer", "const": 1, "description": "Version of this file's format."},
            "base_currency": {
                "type": "string",
                "pattern": "^[A-Z][A-Z0-9]{2,9}$",
                "patternErrorMessage": "a currency code in capitals is due, such as USD",
                "default": "USD",
                "description": "Currency of every impact and limit.",
            },
            "scope": choice(["firm", "broker", "account"], "What a halt stops.", default="firm"),
            "price_fallback": choice(
                ["average", "none"],
                "What prices a position without a market price: its average price, or none, and then its impact is unknown.",
                default="average",
            ),
            "count": choice(
                ["positions", "incidents"],
                "What break_count and missing_count of an escalation count: every break, or breaks with one cause as one.",
                default="positions",
            ),
            "on_incomplete": choice(["halt", "warn"], "What a feed or book that is not proven complete does.", default="halt"),
            "rules": {
                "type": "object",
                "minProperties": NOT_EMPTY,
                "description": "The break types that are looked for; one that is not listed is not looked for.",
                "properties": {name: _rule_entry(rule) for name, rule in sorted(rules.items())},
                "additionalProperties": _declared_rule(),
            },
            "escalation": {
                "type": "object",
                "description": "Predicates over the totals, by name; each that holds, or is unknown, adds a reason.",
                "additionalProperties": _escalation(),
            },
            "overrides": {
                "type": "array",
                "description": "Settings for the positions that match; later ones win.",
                "items": _override(rules),
            },
            "suppress": {
                "type": "array",
                "description": "Known and accepted breaks: shown, but neither counted nor halting.",
                "items": _suppression(),
            },
            "corrections": _corrections(),
        },
    }


def _halt() -> Schema:
    return {
        "type": ["string", "object"],
        "pattern": "^(always|never)$",
        "patternErrorMessage": "always, never, or a map of above_pct, above_impact or when is due",
        "description": "When a break halts trading. Of a map, all that is given must hold.",
        "minProperties": NOT_EMPTY,
        "additionalProperties": False,
        "properties": {
            "above_pct": {"type": "number", "minimum": 0, "description": "Percent of the broker's quantity; strictly above halts."},
            "above_impact": money("Base currency; strictly above halts, and so does an unknown impact."),
            "when": text("SQL predicate over the break; unknown halts."),
        },
    }


def _tuning() -> Schema:
    """The keys that every rule's entry, and every override of it, may hold."""
    return {
        "severity": choice(list(SEVERITIES), "How grave a break of this type is; it orders the report."),
        "halt": _halt(),
        "counts": {"type": "boolean", "description": "Whether its breaks count towards total_impact and missing_count."},
        "undetermined": choice(["ignore", "break"], "What a pair is whose inputs the rule cannot know.", default="ignore"),
    }


def _rule_entry(rule: type[Rule]) -> Schema:
    description = f"{rule.title}. By default {rule.severity}; halt: {halt_text(rule)}."
    properties = {**{name: dict(schema) for name, schema in rule.params.items()}, **_tuning()}
    return {"type": "object", "description": description, "additionalProperties": False, "properties": properties}


def _declared_rule() -> Schema:
    return {
        "type": "object",
        "description": "A rule that this policy declares itself, without a plugin.",
        "required": ["when"],
        "additionalProperties": False,
        "properties": {
            "title": text("A few words for a heading."),
            "when": text("SQL predicate over pairs: true is a break, NULL is undetermined."),
            "impact": text("SQL number in base currency, NULL where unknown.", default="0"),
            "measure": {
                "type": "array",
                "minItems": 2,
                "maxItems": 2,
                "items": text("SQL number over pairs."),
                "description": "The two SQL terms that above_pct compares.",
            },
            "detail": text("A sentence with {column} places."),
            "supersedes": list_of(text("A break type."), "Types that it silences on the same pair, while it halts no less."),
            **_tuning(),
        },
    }


def _escalation() -> Schema:
    return {
        "type": "object",
        "required": ["when", "then"],
        "additionalProperties": False,
        "properties": {
            "when": text("SQL predicate over total_impact, missing_count, break_count, halting_count and count_<TYPE>."),
            "then": choice(["halt", "warn"], "What follows where it holds."),
            "require": text("What must be done before trading goes on."),
            "per": choice(["firm", "account", "broker"], "Whose totals are looked at.", default="firm"),
        },
    }


def _match() -> Schema:
    return {
        "type": "object",
        "minProperties": NOT_EMPTY,
        "additionalProperties": False,
        "description": "Which positions are meant: glob patterns (* ? [...]), all of which must fit.",
        "properties": {
            "account": text("Account, as the book names it."),
            "broker": text("Broker, as recon.yaml names it."),
            "symbol": text("Symbol, as the book names it."),
            "type": text("Break type."),
        },
    }


def _override(rules: Mapping[str, type[Rule]]) -> Schema:
    common = {"type": "object", "minProperties": NOT_EMPTY, "additionalProperties": False, "properties": _tuning()}
    return {
        "type": "object",
        "required": ["match"],
        "additionalProperties": False,
        "properties": {
            "match": _match(),
            "rules": {
                "type": "object",
                "minProperties": NOT_EMPTY,
                "description": "By type, or by a pattern of types, which takes no parameters of a single rule.",
                "properties": {name: {**_rule_entry(rule), "minProperties": NOT_EMPTY} for name, rule in sorted(rules.items())},
                "additionalProperties": common,
            },
            "on_incomplete": choice(["halt", "warn"], "What an unproven feed does to the positions that match."),
        },
    }


def _corrections() -> Schema:
    default = CorrectionPolicy()
    return {
        "type": "object",
        "minProperties": NOT_EMPTY,
        "additionalProperties": False,
        "description": "How corrections of the book are reckoned, and who may make them.",
        "properties": {
            "pnl": choice(
                ["average", "fifo"],
                "What closing a part of a position realises: against the average cost of all of it, or first in, first out.",
                default=default.pnl,
            ),
            "two_person": {
                "type": "boolean",
                "default": default.two_person,
                "description": "Whether a second person must approve each correction before it is made.",
            },
        },
    }


def _suppression() -> Schema:
    return {
        "type": "object",
        "required": ["match", "until", "reason"],
        "additionalProperties": False,
        "properties": {
            "match": _match(),
            "until": text("Last day on which it holds, UTC (YYYY-MM-DD)."),
            "reason": text("Why these breaks are accepted."),
            "approved_by": text("Who accepts them."),
            "max_impact": money("Base currency, each break; one above it is not suppressed."),
        },
    }
