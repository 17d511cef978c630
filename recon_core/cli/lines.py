"""Lines of text for people: on a terminal as wide as it is, elsewhere whole, so that other programs find them so."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence

import click

NAMED = 4
"""How many things alike a line names."""


def wrapped(text: str, *, indent: str = "    ") -> list[str]:
    """A text as lines that fit the terminal, each after the first set in further; one line where there is no terminal."""
    if sys.stdout is None or not sys.stdout.isatty():
        return [indent + text]
    from recon_core.report.layout import wrap

    first, *others = wrap(text, max(shutil.get_terminal_size().columns - len(indent) - 4, 20))
    return [indent + first, *(f"{indent}    {line}" for line in others)]


def say(text: str) -> None:
    """Print a text, wrapped."""
    for line in wrapped(text, indent=""):
        click.echo(line)


def described(heading: str, entries: Sequence[tuple[str, str]]) -> Iterator[str]:
    """A part of a page: each entry and what it means below it, or that there is none."""
    yield heading if entries else f"{heading:<12}none"
    for entry, meaning in entries:
        yield from (f"    {entry}", f"        {meaning}")


def several(things: Sequence[object]) -> str:
    """The first of some things by name, and how many others there are."""
    more = f" and {len(things) - NAMED} more" if len(things) > NAMED else ""
    return ", ".join(map(str, things[:NAMED])) + more
