"""policies.yaml, checked against its schema, its predicates and its own names, as a typed Policy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

from recon_core.config.expression_checks import ExpressionChecks
from recon_core.config.policy import (
    ActiveRule,
    CorrectionPolicy,
    Escalation,
    Halt,
    Match,
    Override,
    Policy,
    Suppression,
    Tuning,
    Value,
)
from recon_core.config.policy_schema import policy_schema
from recon_core.config.problems import Path as PlacePath
from recon_core.config.problems import did_you_mean, quote
from recon_core.config.reader import Document, Node
from recon_core.config.validation import check, exact
from recon_core.rules import Rule

TYPE_NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_COMMON_KEYS = ("severity", "halt", "counts", "undetermined")


def read_policy(document: Document, rules: Mapping[str, type[Rule]], *, today: date) -> Policy | None:
    """The policy of a document, None when it has problems (in ``document.problems``). ``rules`` are the installed ones by type.

    ``today`` (UTC) decides which suppressions have ended.
    """
    if document.root is None:
        return None
    return _PolicyReader(document, document.root, rules, today).policy()


class _PolicyReader:
    """One pass over one policy; the parts that are wrong are reported and left out, so that all the others are checked, too."""

    def __init__(self, document: Document, root: Node, rules: Mapping[str, type[Rule]], today: date) -> None:
        self._rules = rules
        self._today = today
        self._warnings: list[str] = []
        self._document = replace(document, wrong=document.wrong | _unknown_types(document, root, rules))
        self._checked = check(self._document, root, exact(policy_schema(rules)))
        self._expressions = ExpressionChecks(self._checked, self._warn)
        listed = self._checked.value.get("rules")
        self._listed: list[str] = list(listed) if isinstance(listed, dict) else []

    def policy(self) -> Policy | None:
        value = self._checked.value
        active = {name: self._active(name) for name in self._listed if self._checked.sound("rules", name)}
        for name in active:
            self._check_supersedes(name)
        escalation = self._escalation()
        overrides = [self._override(index, active) for index in self._indices("overrides")]
        suppress = [self._suppression(index) for index in self._indices("suppress")]
        self._warn_of_fractions(value, ())
        if self._document.problems:
            return None
        return Policy(
            path=self._document.problems.name,
            sha256=self._document.sha256,
            base_currency=value.get("base_currency", "USD"),
            price_fallback=value.get("price_fallback", "average") == "average",
            count=value.get("count", "positions"),
            scope=value.get("scope", "firm"),
            rules=active,
            escalation=tuple(escalation),
            on_incomplete=value.get("on_incomplete", "halt"),
            on_incomplete_line=self._checked.line("on_incomplete"),
            overrides=tuple(overrides),
            suppress=tuple(suppress),
            corrections=CorrectionPolicy(**value.get("corrections", {})),
            not_listed=tuple(sorted(set(self._rules) - set(active))),
            warnings=tuple(self._warnings),
        )

    def _active(self, name: str) -> ActiveRule:
        entry = self._checked.value["rules"][name]
        rule = self._rules.get(name)
        where: PlacePath = ("rules", name)
        line = self._checked.line(*where)
        active = _declared(name, entry, line) if rule is None else _installed(rule, entry, line)
        if rule is None:
            self._expressions.declared_rule(active, where)
        self._check_halt(active.halt, where, {name: active})
        return active

    def _check_supersedes(self, name: str) -> None:
        known = {*self._rules, *self._listed}
        for index, other in enumerate(self._checked.value["rules"][name].get("supersedes", ())):
            if other == name:
                self._checked.problem("a rule cannot supersede itself", "rules", name, "supersedes", index)
            elif other not in known:
                message = f"unknown rule {quote(other)}{did_you_mean(other, known)}"
                self._checked.problem(message, "rules", name, "supersedes", index)

    def _check_halt(self, halt: Halt | None, where: PlacePath, rules: Mapping[str, ActiveRule]) -> None:
        """``rules`` are those that the halt is for; several where an override names a pattern."""
        if halt is None:
            return
        if halt.above_pct is not None:
            for name, rule in rules.items():
                if rule.measure is None and self._checked.sound(*where, "halt", "above_pct"):
                    message = f"{name} has no measure, so nothing to take a percentage of: use above_impact or when"
                    self._checked.problem(message, *where, "halt", "above_pct", key=True)
        if halt.when is not None:
            self._expressions.halt(halt.when, [rule.params for rule in rules.values()], (*where, "halt", "when"))

    def _escalation(self) -> list[Escalation]:
        given = self._checked.value.get("escalation")
        found = []
        for name in given if isinstance(given, dict) else ():
            if self._checked.sound("escalation", name):
                entry = given[name]
                self._expressions.escalation(entry["when"], self._listed, ("escalation", name, "when"))
                line = self._checked.line("escalation", name)
                found.append(Escalation(name, entry["when"], entry["then"], entry.get("require"), entry.get("per", "firm"), line))
        return found

    def _indices(self, name: str) -> list[int]:
        given = self._checked.value.get(name)
        return [index for index in range(len(given)) if self._checked.sound(name, index)] if isinstance(given, list) else []

    def _override(self, index: int, active: Mapping[str, ActiveRule]) -> Override:
        where: PlacePath = ("overrides", index)
        entry = self._checked.value["overrides"][index]
        tunings: dict[str, Tuning] = {}
        if "rules" not in entry and "on_incomplete" not in entry:
            self._checked.problem("sets nothing: give rules or on_incomplete", *where)
        for pattern, settings in entry.get("rules", {}).items():
            meant = self._meant(pattern, *where, "rules", pattern, named=True)
            tunings[pattern] = _tuning(settings)
            self._check_halt(
                tunings[pattern].halt, (*where, "rules", pattern), {name: active[name] for name in meant if name in active}
            )
        return Override(self._match(entry, where), tunings, entry.get("on_incomplete"), self._checked.line(*where))

    def _suppression(self, index: int) -> Suppression:
        where: PlacePath = ("suppress", index)
        entry = self._checked.value["suppress"][index]
        until = _date(entry["until"])
        if until is None:
            self._checked.problem(f"{quote(entry['until'])} is no date: write YYYY-MM-DD", *where, "until")
        elif until < self._today:
            self._warn((*where, "until"), f"{until} is past: nothing is suppressed any more; renew it or take it out")
        return Suppression(
            match=self._match(entry, where),
            until=until or date.min,
            reason=entry["reason"],
            approved_by=entry.get("approved_by"),
            max_impact=entry.get("max_impact"),
            line=self._checked.line(*where),
        )

    def _match(self, entry: Mapping[str, Any], where: PlacePath) -> Match:
        match = Match(**entry["match"])
        if match.type is not None:
            self._meant(match.type, *where, "match", "type")
        return match

    def _meant(self, pattern: str, *where: str | int, named: bool = False) -> list[str]:
        """The listed rules that a type or a pattern means; none is a problem, for then it does nothing."""
        meant = [name for name in self._listed if fnmatchcase(name, pattern)]
        if not meant:
            if any(char in pattern for char in "*?["):
                message = f"{quote(pattern)} fits none of the listed rules: {', '.join(self._listed)}"
            elif pattern in self._rules:
                message = f"{pattern} is not listed under rules, so this does nothing"
            else:
                message = f"unknown rule {quote(pattern)}{did_you_mean(pattern, self._listed, 'listed')}"
            self._checked.problem(message, *where, named=named)
        return meant

    def _warn(self, path: PlacePath, message: str) -> None:
        warning = self._document.problems.headline(self._checked.root.place_of(path), message, path)
        if warning not in self._warnings:
            self._warnings.append(warning)

    def _warn_of_fractions(self, value: Any, path: PlacePath) -> None:
        """A percentage below one is most often a fraction by mistake, which makes a limit a hundred times as tight."""
        if isinstance(value, dict):
            for name, part in value.items():
                if str(name).endswith("_pct") and isinstance(part, Decimal) and 0 < part < 1:
                    self._warn((*path, name), f"{part} means {part} percent; did you mean {(part * 100).normalize():f}?")
                self._warn_of_fractions(part, (*path, name))
        elif isinstance(value, list):
            for index, part in enumerate(value):
                self._warn_of_fractions(part, (*path, index))


def _unknown_types(document: Document, root: Node, rules: Mapping[str, type[Rule]]) -> set[PlacePath]:
    """Report the entries under ``rules`` that no plugin provides and that declare no rule, either; returns their paths."""
    listed = root.get("rules")
    unknown: set[PlacePath] = set()
    for name, entry in (listed.entries or {}).items() if listed is not None else ():
        if name in rules or ("rules", name) in document.wrong:
            continue
        path: PlacePath = ("rules", name)
        if "when" not in (entry.entries or {}):
            near = did_you_mean(name, rules, "installed")
            message = f"unknown rule {quote(name)}: no plugin provides it{near}"
        elif not TYPE_NAME.fullmatch(name):
            message = f"{quote(name)} is no break type: capitals, digits and underscores, such as CURRENCY_SWAP"
        else:
            continue
        document.problems.add(root.place_of(path, key=True), message, ("rules",))
        unknown.add(path)
    return unknown


def _declared(name: str, entry: Mapping[str, Any], line: int) -> ActiveRule:
    title = entry.get("title", name.replace("_", " ").capitalize())
    measure = entry.get("measure")
    return ActiveRule(
        type=name,
        title=title,
        severity=entry.get("severity", Rule.severity),
        halt=halt_of(entry.get("halt", Rule.halt)),
        counts=entry.get("counts", Rule.counts),
        undetermined=entry.get("undetermined", "ignore"),
        params={},
        when=entry["when"],
        select="",
        among="",
        impact=entry.get("impact", Rule.impact),
        measure=(measure[0], measure[1]) if measure else None,
        detail=entry.get("detail", title),
        supersedes=tuple(entry.get("supersedes", ())),
        declared=True,
        line=line,
    )


def _installed(rule: type[Rule], entry: Mapping[str, Any], line: int) -> ActiveRule:
    defaults: dict[str, Value] = {name: parameter(schema["default"]) for name, schema in rule.params.items()}
    tuned = _tuning(entry)
    return ActiveRule(
        type=rule.type,
        title=rule.title,
        severity=tuned.severity or rule.severity,
        halt=tuned.halt or halt_of(rule.halt),
        counts=rule.counts if tuned.counts is None else tuned.counts,
        undetermined=tuned.undetermined or "ignore",
        params={**defaults, **tuned.params},
        when=rule.when,
        select=rule.select,
        among=rule.among,
        impact=rule.impact,
        measure=rule.measure,
        detail=rule.detail,
        supersedes=rule.supersedes,
        declared=False,
        line=line,
    )


def _tuning(entry: Mapping[str, Any]) -> Tuning:
    return Tuning(
        severity=entry.get("severity"),
        halt=halt_of(entry["halt"]) if "halt" in entry else None,
        counts=entry.get("counts"),
        undetermined=entry.get("undetermined"),
        params={name: parameter(value) for name, value in entry.items() if name not in _COMMON_KEYS},
    )


def parameter(value: Any) -> Value:
    """A parameter as the engine takes it: numbers are Decimal."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Decimal(repr(value))
    return value  # type: ignore[no-any-return]  # the schema allows text, booleans and numbers alone


def halt_of(value: str | Mapping[str, Any]) -> Halt:
    """A rule's ``halt``, from its class or from the policy."""
    if isinstance(value, str):
        return Halt(value, always=value == "always", never=value == "never")
    above_pct, above_impact = (_limit(value.get(name)) for name in ("above_pct", "above_impact"))
    parts = (("above_pct", above_pct), ("above_impact", above_impact), ("when", value.get("when")))
    text = " and ".join(f"{name} {part}" for name, part in parts if part is not None)
    return Halt(text, above_pct=above_pct, above_impact=above_impact, when=value.get("when"))


def _limit(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII) else None
    except ValueError:
        return None
