"""Certificates of a made-up authority, good and bad ones, for the faults of TLS. Made anew in every process, by trustme."""

from __future__ import annotations

import atexit
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache, wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    import trustme

HOST = "127.0.0.1"
MISSING = "trustme is not installed, which makes the certificates: pip install 'recon-core[testing]'"

Certificate = Callable[[], ssl.SSLContext]

Making = ParamSpec("Making")
Made = TypeVar("Made")
_making = threading.RLock()


def _once(make: Callable[Making, Made]) -> Callable[Making, Made]:
    """Made once for all threads: two authorities of one name would not know each other's certificates."""
    kept = cache(make)

    @wraps(make)
    def made(*arguments: Making.args, **named: Making.kwargs) -> Made:
        with _making:
            return kept(*arguments, **named)  # type: ignore[arg-type]  # hashable, as the names of authorities are

    return made


@_once
def available() -> bool:
    """Whether certificates can be made."""
    try:
        import trustme  # noqa: F401  # imported to see whether it can be
    except ImportError:
        return False
    return True


@_once
def _authority(name: str) -> trustme.CA:
    import trustme

    return trustme.CA(organization_name=f"recon-core test authority {name}")


@_once
def authority_file() -> Path:
    """The file of the authority that a client is told to trust, alone."""
    folder = TemporaryDirectory(prefix="recon-core-authority-")
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "authority.pem"
    _authority("trusted").cert_pem.write_to_path(str(path))
    return path


@_once
def good() -> ssl.SSLContext:
    """Of the trusted authority, for this host, of today."""
    return _context(_authority("trusted").issue_cert(HOST))


@_once
def expired() -> ssl.SSLContext:
    """Ended yesterday."""
    now = datetime.now(UTC)
    return _context(_authority("trusted").issue_cert(HOST, not_before=now - timedelta(days=9), not_after=now - timedelta(days=1)))


@_once
def not_yet_valid() -> ssl.SSLContext:
    """Begins tomorrow."""
    now = datetime.now(UTC)
    return _context(_authority("trusted").issue_cert(HOST, not_before=now + timedelta(days=1), not_after=now + timedelta(days=9)))


@_once
def wrong_host() -> ssl.SSLContext:
    """Of the trusted authority, for another host."""
    return _context(_authority("trusted").issue_cert("broker.example"))


@_once
def unknown_authority() -> ssl.SSLContext:
    """For this host, by an authority that nobody trusts."""
    return _context(_authority("unknown").issue_cert(HOST))


@_once
def self_signed() -> ssl.SSLContext:
    """By nobody but itself."""
    import trustme

    own = trustme.CA(organization_name="recon-core self-signed")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with own.cert_pem.tempfile() as certificate, own.private_key_pem.tempfile() as key:
        context.load_cert_chain(certificate, key)
    return context


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
