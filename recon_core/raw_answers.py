"""What brokers answered, kept beside a report where ``keep_raw`` says so: of positions and of evidence, byte for byte."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from recon_core.collect import recording_of
from recon_core.errors import BrokerError, ConfigError, StateError
from recon_core.feeds import ProvenFeed
from recon_core.recording import Recording, write_recording


@dataclass(frozen=True, slots=True)
class Kept:
    """By broker, the folder of what its feed was made of, and of what it told of what happened."""

    feeds: dict[str, str] = field(default_factory=dict)
    evidence: dict[str, str] = field(default_factory=dict)


def keep_raw(folder: Path, feeds: Sequence[ProvenFeed], *, at: datetime, as_of: datetime | None) -> Kept:
    """Keep what was answered in ``folder``: each as a recording that ``brokers fetch --replay`` reads again.

    Raises StateError where one cannot be kept, or a file is not what was compared any more.
    """
    kept = Kept()
    for number, feed in enumerate(feeds, 1):
        settings, told = feed.answer.settings, feed.answer.told
        if not settings.keep_raw:
            continue
        place = folder / f"{number}-{re.sub(r'[^A-Za-z0-9.-]+', '_', feed.alias)}"
        try:
            recording = recording_of(feed.answer, at=at, as_of=as_of)
            _check_compared(recording, feed)
            write_recording(place, recording)
            kept.feeds[feed.alias] = str(place)
            if told is not None:
                beside = place.with_name(f"{place.name}.evidence")
                write_recording(beside, Recording(settings.adapter, at, as_of, settings.options, told.received, told.documents))
                kept.evidence[feed.alias] = str(beside)
        except (BrokerError, ConfigError) as error:
            raise StateError(f"what broker {feed.alias} answered cannot be kept: {error}") from None
    return kept


def _check_compared(recording: Recording, feed: ProvenFeed) -> None:
    """Raise StateError where the file that the engine read itself is another by now."""
    if feed.feed.relation is not None and len(recording.documents) == 1 and recording.documents[0].sha256 != feed.feed.sha256:
        raise StateError(f"{recording.documents[0].path} is not what it was when it was compared: it cannot be kept as that")
