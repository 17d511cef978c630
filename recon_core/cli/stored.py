"""What the commands that read or change the store have in common: where it is, and who acts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from recon_core.state.store import Store

config_option: Callable[[Any], Any] = click.option(
    "--config", type=click.Path(path_type=Path), default=Path("recon.yaml"), show_default=True, help="The deployment."
)
by_option: Callable[[Any], Any] = click.option("--by", metavar="NAME", help="Who says so, for the audit record.")


@contextmanager
def opened(config: Path) -> Iterator[Store]:
    """The store of a deployment. Raises StateError where there is none yet."""
    from recon_core.config.state_place import load_place
    from recon_core.errors import StateError
    from recon_core.state.store import has_store, open_store

    place = load_place(config)
    if not has_store(place.store, place.state_dir):
        raise StateError(f"{place.state_dir}: nothing is recorded yet: `recon-core run` records")
    with open_store(place.store, place.state_dir, create=False) as store:
        yield store
