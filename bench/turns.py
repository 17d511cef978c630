"""Programs that are measured in turn with one another, so that a noisy machine is noisy for all of them, and what came of it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from measure import LeftOutError, Measured, elsewhere, measure
from positions import found_otherwise

Figure = Literal["wall", "processor", "memory"]


@dataclass(frozen=True)
class Entrant:
    """A program: what it is called, how it is run and where, and which of its exit codes are good.

    ``found`` is the file in its folder with the breaks that it finds, of ``types``; without one nothing is checked.
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    exits: tuple[int, ...] = (0,)
    found: str = ""
    types: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """What takes turns; the first is what the others are compared with. ``limit`` is the most that recon-core's ratio may be."""

    title: str
    entrants: tuple[Entrant, ...]
    limit: float | None = None
    short: bool = False
    """Whether a run takes less than a second, so that more of them are needed, and cost nothing."""


@dataclass(frozen=True)
class Outcome:
    """The runs of each entrant, by name, in the order that they were made; or why one has none."""

    group: Group
    runs: Mapping[str, list[Measured]]
    left_out: Mapping[str, str]

    def median(self, name: str, figure: Figure) -> float:
        """Of an entrant's runs."""
        return statistics.median(getattr(run, figure) for run in self.runs[name])

    def ratio(self, name: str, figure: Figure) -> tuple[float, float, float] | None:
        """Median, least and greatest of the ratios to the first entrant, round by round; None where that has no figures."""
        first = self.group.entrants[0].name
        if first not in self.runs:
            return None
        ratios = sorted(
            getattr(own, figure) / getattr(floor, figure)
            for own, floor in zip(self.runs[name], self.runs[first], strict=True)
            if getattr(floor, figure)
        )
        return (statistics.median(ratios), ratios[0], ratios[-1]) if ratios else None


def take_turns(group: Group, times: int, seconds: float, say: Callable[[str], None]) -> Outcome:
    """Run each once unmeasured and look at what it found, then all of them in turn, ``times`` over.

    An entrant that fails, finds other breaks than were planted, or needs more memory or time than there is, is left out.
    """
    runs: dict[str, list[Measured]] = {entrant.name: [] for entrant in group.entrants}
    left_out: dict[str, str] = {}
    for turn in range(times + 1):
        for place, entrant in enumerate(group.entrants):
            if entrant.name in left_out:
                continue
            say(f"{group.title}: {entrant.name}, {f'run {turn} of {times}' if turn else 'once to warm up'}")
            try:
                measured = _once(entrant, place, seconds, look=not turn)
            except LeftOutError as error:
                left_out[entrant.name] = str(error)
            else:
                runs[entrant.name] += [measured] if turn else []
    return Outcome(group, {name: made for name, made in runs.items() if name not in left_out}, left_out)


def _once(entrant: Entrant, place: int, seconds: float, *, look: bool) -> Measured:
    output = entrant.folder / (entrant.found if entrant.found.endswith(".json") else f"said-{place}")
    measured = measure(
        entrant.command, entrant.folder, output=output, exits=entrant.exits, seconds=seconds, environment=entrant.environment
    )
    if look and entrant.found and (wrong := elsewhere(found_otherwise, entrant.folder, entrant.found, entrant.types)):
        raise LeftOutError(f"is wrong: {wrong}")
    return measured


def names(outcomes: Sequence[Outcome]) -> list[str]:
    """Every entrant of these, each once."""
    return list(dict.fromkeys(entrant.name for outcome in outcomes for entrant in outcome.group.entrants))
