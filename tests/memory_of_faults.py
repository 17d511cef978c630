"""How much memory an adapter takes at its peak while it reads what is made to take it. Run it in a process of its own.

    python tests/memory_of_faults.py RECORDING...

prints, a line each: adapter, what was told, megabytes above idle at the peak, and what the adapter made of it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from recon_core import documents
from recon_core.host import load_host
from recon_core.http import client
from recon_core.recording import read_recording
from recon_core.testing import conformance, content_faults, reading
from recon_core.testing.faults import FAULTS

RESET = Path("/proc/self/clear_refs")
DEPTH = content_faults.DEPTH


def peaks(folder: Path) -> Iterator[tuple[str, str, int, str]]:
    """Under each heavy fault that applies to the recording in ``folder``, with the limits of a real run."""
    recorded = read_recording(folder)
    told = conformance.told_of(recorded)
    adapter = load_host().brokers[recorded.adapter]
    made_up = dict.fromkeys((*adapter.secrets, *adapter.optional_secrets), "made-up-secret-of-a-test")
    setting = conformance.Setting(adapter, recorded.options, made_up, recorded.at, recorded.as_of, deadline_seconds=20)
    plans: list[tuple[str, reading.Told, int]] = [("undistorted", told, 0)]  # loads what is loaded once
    if told.exchanges:
        plans += [
            (name, replace(told, fault=fault), 0)
            for name, fault in FAULTS.items()
            if fault.heavy and not fault.applies(told.exchanges, 0)
        ]
    for name, raw in told.documents.items():
        plans.append(("huge-file", told, documents.MOST_BYTES + 1))
        plans += [(kind, replace(told, documents={name: content}), 0) for kind, content in _contents(raw).items()]
    content_faults._bomb()
    for name, plan, size in plans:
        with TemporaryDirectory() as place, mock.patch.object(reading, "MOST_BYTES", 64 * client.MEBIBYTE):
            for file, raw in plan.documents.items():
                (Path(place) / file).write_bytes(raw)
                with (Path(place) / file).open("r+b") as grown:
                    grown.truncate(max(len(raw), size))
            RESET.write_text("5")
            before = _megabytes("VmRSS")
            found = reading.read(setting, replace(plan, documents={}), Path(place))
            if name != "undistorted":
                yield adapter.name, name, _megabytes("VmHWM") - before, found.message() or f"{found.feed and found.feed.reason}"


def _contents(raw: bytes) -> Mapping[str, bytes]:
    """What a file of this form may hold that takes memory."""
    if raw.startswith(b"{1:"):
        return {"nested": raw.replace(b":16R:FIN", b":16R:SUBSAFE\r\n" * DEPTH + b":16R:FIN", 1)}
    if raw.startswith(b"8=FIX"):
        return {"nested": b"8=FIX.4.4\x01" * DEPTH}
    if b"<" not in raw:
        return {}
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY e0 "0123456789">{levels}]><r>&e9;</r>'
    return {"entity-bomb": bomb.encode(), "nested": b'<?xml version="1.0"?>' + b"<Document>" * DEPTH}


def _megabytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    for each in sys.argv[1:]:
        for found in peaks(Path(each)):
            sys.stdout.write("\t".join(map(str, found)) + "\n")
