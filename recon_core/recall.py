"""What earlier runs left that bears on the next one, as the store knows it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime

from recon_core import snapshots
from recon_core.config.credentials import store_url
from recon_core.config.settings import Settings
from recon_core.errors import StateError
from recon_core.explaining import Agreed
from recon_core.snapshots import Snapshot
from recon_core.state import corrections, suppressions
from recon_core.state.agreements import Agreements, agreements
from recon_core.state.corrections import Correction
from recon_core.state.history import inspect
from recon_core.state.lifecycle import Position
from recon_core.state.runs import delivered
from recon_core.state.store import Store, has_store, open_store
from recon_core.state.suppressions import Accepted


def _none_known(positions: Collection[Position], as_of: datetime) -> Agreements:
    """Nothing is known of any position."""
    return Agreements()


@dataclass(frozen=True, slots=True)
class Known:
    """What earlier runs left that bears on a verdict: files taken, by broker, sha256 and last day; breaks accepted by id; the book
    of earlier days. ``agreed`` asks the store until when positions agreed, and raises StateError where it cannot be read.

    ``begun`` are corrections of the book whose outcome is not on record. ``trouble`` is why the store cannot be read. The run then
    goes on as if nothing were known, so that what halts does halt, and raises it when the verdict is to be recorded.
    """

    delivered: Mapping[str, Mapping[str, date]] = field(default_factory=dict)
    accepted: tuple[Accepted, ...] = ()
    warnings: tuple[str, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    begun: tuple[Correction, ...] = ()
    trouble: StateError | None = None
    agreed: Agreed = _none_known


def recall(settings: Settings) -> Known:
    """What the store knows; nothing where there is no store yet. Never raises StateError: see ``Known.trouble``."""
    url = store_url(settings.store, settings.folder)
    try:
        if not has_store(url, settings.state_dir):
            return Known(warnings=_rebuilt(inspect(settings.state_dir, None)))
        with open_store(url, settings.state_dir) as store:
            damage = inspect(settings.state_dir, store)
            accepted, kept = tuple(suppressions.active(store.database)), snapshots.known(store.database)
            begun = tuple(corrections.in_state(store.database, "intended"))
            return Known(delivered(store.database), accepted, _rebuilt(damage), kept, begun, agreed=agreed_by(settings))
    except StateError as error:
        return Known(trouble=error)


def agreed_by(settings: Settings) -> Agreed:
    """Asks the store, only once something is broken, until when positions agreed."""

    def asked(positions: Collection[Position], as_of: datetime) -> Agreements:
        url = store_url(settings.store, settings.folder)
        if not has_store(url, settings.state_dir):
            return Agreements()
        with open_store(url, settings.state_dir, create=False, check=False) as store:
            return agreements(store.database, positions, as_of)

    return asked


def kept_snapshots(settings: Settings) -> tuple[Snapshot, ...]:
    """The snapshots of the book that the store knows, for one who only looks. Raises StateError where it cannot be read."""
    with _looked_into(settings) as store:
        return snapshots.known(store.database) if store else ()


def taken_files(settings: Settings, broker: str) -> Mapping[str, date]:
    """The files of a broker that earlier runs took, by sha256, for one who only looks. Raises as ``kept_snapshots``."""
    with _looked_into(settings) as store:
        return delivered(store.database).get(broker, {}) if store else {}


@contextmanager
def _looked_into(settings: Settings) -> Iterator[Store | None]:
    """The store, None where there is none yet: it is not made."""
    url = store_url(settings.store, settings.folder)
    if not has_store(url, settings.state_dir):
        yield None
        return
    with open_store(url, settings.state_dir, create=False, check=False) as store:
        yield store


def _rebuilt(damage: str) -> tuple[str, ...]:
    return (f"{damage}; it is kept beside, and written anew from the store",) if damage else ()
