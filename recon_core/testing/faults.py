"""All faults, by name: what a broker's answer is distorted with, in the order of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from recon_core.testing.content_faults import content_faults
from recon_core.testing.fault import Fault
from recon_core.testing.transport_faults import transport_faults

EVERYWHERE = {
    *("closed", "truncated", "unauthorized-401", "not-found-404", "throttled-429", "trouble-500", "html", "empty-body"),
    *("null", "null-in-words", "empty-list", "empty-object", "empty-root", "another-document", "nan", "error-in-200"),
    *("error-beside-data", "page-refused", "page-fails", "page-repeated", "total-mismatch", "short-page"),
}
"""What an adapter may take for an answer by its own code, so that every question that it asks is tried."""

FAULTS: Mapping[str, Fault] = {
    fault.name: replace(fault, everywhere=fault.name in EVERYWHERE) for fault in (*transport_faults(), *content_faults())
}
