"""Why book and broker differ, by arithmetic: which rows of the broker's own evidence add up to the difference, exactly.

Pure: no clock, no network, no disk. The order in which evidence came decides nothing. A row bears on one position alone, so it is
consumed once in a run; an announced event that moves two positions explains both, or neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal, localcontext

from recon_core import inferences, reasons
from recon_core.announced import Announced, announced
from recon_core.combining import Found, combined, partly
from recon_core.evidence import digest_of
from recon_core.explanation import EXACT, Difference, Explanation, Key, Term
from recon_core.instruments import Instruments
from recon_core.subsets import EFFORT, adding_up
from recon_core.terms import Bearing, Told, last_day, since, terms_of

EFFORT_OF_A_RUN = 1 << 32
"""Bits of sums in all that is looked for (see subsets): some seconds."""


def explain(differences: Sequence[Difference], told: Mapping[str, Told], *, as_of: datetime) -> dict[Key, Explanation]:
    """An explanation of each difference of a quantity, by what its broker told (by the book's name of the broker).

    Nothing later than ``as_of`` counts, and what the last agreement covers only where nothing later explains it.
    """
    with localcontext(EXACT):
        found: dict[Key, Explanation] = {}
        wanted = sorted((each for each in differences if each.quantity_difference), key=lambda each: each.key)
        effort = min(EFFORT, EFFORT_OF_A_RUN // max(len(wanted), 1))
        for broker in sorted({each.broker for each in wanted}):
            theirs = [each for each in wanted if each.broker == broker]
            found |= _Desk(theirs, told.get(broker), as_of, effort).explanations()
        return found


class _Desk:
    """The differences of one broker, and all that it told of them."""

    def __init__(self, differences: Sequence[Difference], told: Told | None, as_of: datetime, effort: int) -> None:
        self._differences = differences
        self._told = told
        self._as_of = as_of
        self._effort = effort
        self._bearing = terms_of(told, differences, as_of=as_of) if told else Bearing()
        self._announced: dict[Key, list[Announced]] = {}
        if told and told.evidence.corporate_actions:
            instruments = Instruments(differences, told.aliases, net=told.legs == "net")
            actions = told.evidence.corporate_actions
            self._announced = announced(actions, instruments, self._bearing.terms, as_of=last_day(as_of))
        self._on_file = {key for key, events in self._announced.items() if events}

    def explanations(self) -> dict[Key, Explanation]:
        """Each difference explained, as far as it goes."""
        found = {each.key: self._explained(each) for each in self._differences}
        while alone := [each for each in self._differences if self._stands_alone(each.key, found)]:
            for each in alone:  # an event that must explain another position, too, and does not
                used = {term.id for term in found[each.key].terms}
                self._announced[each.key] = [event for event in self._announced[each.key] if event.term.id not in used]
            found |= {each.key: self._explained(each) for each in alone}
        return found

    def _stands_alone(self, key: Key, found: Mapping[Key, Explanation]) -> bool:
        ids = {term.id for term in found[key].terms if term.kind == "announced"}
        events = [event for event in self._announced.get(key, ()) if event.term.id in ids]
        return any(
            not any(term.kind == "announced" and term.id == event.term.id for term in found[other].terms)
            for event in events
            for other in event.also
        )

    def _explained(self, difference: Difference) -> Explanation:
        terms = self._bearing.terms.get(difference.key, [])
        agreed = difference.agreed_at
        later = [term for term in terms if agreed is None or since(term, agreed)]
        events = self._announced.get(difference.key, [])
        later_events = [event for event in events if agreed is None or since(event.term, agreed)]
        exhaustive = True
        for some, some_events, early in ((later, later_events, False), (terms, events, True)):
            if early and len(some) == len(later) and len(some_events) == len(later_events):
                continue
            found = combined(difference, some, some_events, by_id=self._bearing.by_id, effort=self._effort)
            exhaustive = exhaustive and found.exhaustive
            if found.terms:
                return self._story(difference, found, early=early)
        return (
            self._of_no_record(difference)
            or self._partly(difference, later, events, exhaustive=exhaustive)
            or self._unexplained(difference, terms, exhaustive=exhaustive)
        )

    def _story(self, difference: Difference, found: Found, *, early: bool) -> Explanation:
        """The explanation that a set of terms gives."""
        terms = self._stamped(self._of_parts(difference.key, found.terms))
        why = reasons.of(terms, lag=difference.settlement_lag)
        doubts = [reasons.early(terms, difference)] if early else []
        if found.ties:
            doubts.append(reasons.ties(found.ties))
        if not found.exhaustive:
            doubts.append(reasons.NOT_ALL_TRIED)
        doubts += dict.fromkeys(term.doubt for term in terms if term.doubt)
        doubts += self._unread(difference.key)
        inferred = any(term.kind == "book_fill" for term in terms)
        return _explanation(difference, terms, why, ties=found.ties, inferred=inferred, doubts=doubts)

    def _unread(self, key: Key) -> list[str]:
        """What the broker may have told of a position besides, and what of it cannot be used."""
        incomplete = self._told is not None and not self._told.evidence.complete
        return [*([self._incomplete()] if incomplete else []), *self._bearing.aside.get(key, ())]

    def _incomplete(self) -> str:
        why = self._told.evidence.reason if self._told else ""
        return f"evidence is not complete: {why or 'the broker does not say why'}"

    def _of_parts(self, key: Key, terms: Sequence[Term]) -> list[Term]:
        """Fills of an order of which the book seems to have others: where it is not known by id which ones the book has."""
        if self._bearing.by_id:
            return list(terms)
        chosen = {(term.kind, term.id) for term in terms}
        others = {
            term.order_id for term in self._bearing.terms.get(key, ()) if term.kind == "fill" and (term.kind, term.id) not in chosen
        } - {None}
        return [
            replace(term, cause="PARTIAL_FILL") if term.cause == "MISSED_FILL" and term.order_id in others else term
            for term in terms
        ]

    def _stamped(self, terms: Sequence[Term]) -> tuple[Term, ...]:
        """The terms, with the digest of the bytes that each was read from."""
        digests = self._told.digests if self._told else {}
        return tuple(replace(term, sha256=_digest(term.source, digests)) if term.source else term for term in terms)

    def _of_no_record(self, difference: Difference) -> Explanation | None:
        """What no record of the broker's states: a split that only quantities and prices tell, and what nothing made."""
        key, bearing, told = difference.key, self._bearing, self._told
        announced = key in self._on_file
        ratio = inferences.ratio_of(difference)
        booked = any(term.kind in reasons.RATIO_KINDS for term in bearing.terms.get(key, ()))
        if ratio is not None and not announced and not booked:
            term = inferences.split(difference, ratio, on=last_day(self._as_of))
            found = _explanation(difference, (term,), reasons.inferred_split(difference, term.said), inferred=True)
            return replace(found, diverged_on=None)  # no record says when
        if told is None or announced or key in bearing.touched or bearing.notes:
            return None
        row = inferences.phantom(difference, told.evidence, told.since)
        return _explanation(difference, (row,), reasons.phantom(difference, told.since), inferred=True) if row else None

    def _partly(
        self, difference: Difference, terms: Sequence[Term], events: Sequence[Announced], *, exhaustive: bool
    ) -> Explanation | None:
        found = partly(difference, terms, events, by_id=self._bearing.by_id)
        if not found.terms:
            return None
        chosen = self._stamped(self._of_parts(difference.key, found.terms))
        why = reasons.of(chosen, lag=difference.settlement_lag)
        whole = _explanation(difference, chosen, why, ties=found.ties, inferred=any(term.kind == "book_fill" for term in chosen))
        more = self._more(difference, exhaustive=exhaustive)
        return replace(whole, why="; ".join((f"{why}: that leaves {reasons.number(whole.residual)}", *more)))

    def _unexplained(self, difference: Difference, terms: Sequence[Term], *, exhaustive: bool) -> Explanation:
        known = self._bearing.by_id and difference.key in self._bearing.touched
        why = "; ".join(
            (reasons.nothing(difference, terms, self._told, known=known), *self._more(difference, exhaustive=exhaustive))
        )
        return _explanation(difference, (), why)

    def _more(self, difference: Difference, *, exhaustive: bool) -> list[str]:
        """What else a person should know who looks for the rest."""
        more = [] if exhaustive else [reasons.NOT_ALL_TRIED]
        overdue = self._bearing.overdue.get(difference.key, [])
        late = adding_up([term.quantity for term in overdue], difference.quantity_difference.copy_negate(), effort=self._effort)
        if late.places:
            more.append(reasons.overdue([overdue[place] for place in late.places]))
        if self._told is not None and not self._told.evidence.complete:
            more.append(self._incomplete())
        return more + self._bearing.notes[: reasons.SHOWN]


def _explanation(
    difference: Difference, terms: Sequence[Term], why: str, *, ties: int = 0, inferred: bool = False, doubts: Sequence[str] = ()
) -> Explanation:
    """What the terms explain of the difference; nothing where there are none. ``doubts`` are those that no cause tells."""
    residual = difference.quantity_difference - sum((term.effect for term in terms), Decimal(0)) or Decimal(0)
    if not terms:
        return Explanation(status="UNEXPLAINED", cause="UNEXPLAINED", causes=("UNEXPLAINED",), residual=residual, why=why)
    greatest = max(terms, key=lambda term: abs(term.quantity))
    causes = tuple(sorted({term.cause for term in terms}))
    settling = [term.settles_on for term in terms if term.cause == "UNSETTLED" and term.settles_on]
    return Explanation(
        status="PARTLY" if residual else "EXPLAINED",
        cause=greatest.cause,
        residual=residual,
        terms=tuple(terms),
        causes=causes,
        inferred=inferred,
        ties=ties,
        why=why,
        doubt="" if residual else "; ".join([*reasons.doubts(causes, inferred=inferred), *doubts]),
        clears_on=max(settling, default=None),
        diverged_on=_parted(terms, difference.agreed_at),
        event=next((term.event for term in (greatest, *terms) if term.event), None),
    )


def _parted(terms: Sequence[Term], agreed: datetime | None) -> date | None:
    """The first day on which a term moved one side alone; None where only rows from before the last agreement would say it."""
    if agreed is None:
        return min(term.on for term in terms)
    first = agreed.astimezone(UTC).date()
    return min((max(term.on, first) for term in terms if since(term, agreed)), default=None)


def _digest(source: str, digests: Mapping[str, str]) -> str | None:
    """The digest of the longest place that begins ``source``; page 1 does not begin page 10."""
    if found := digest_of(source, digests):  # nearly always, and at once, however many pages there are
        return found
    places = [place for place in digests if source.startswith(place) and not source[len(place) : len(place) + 1].isalnum()]
    return digests[max(places, key=len)] if places else None
