"""Real servers for tests: a private PostgreSQL, started from Debian's binaries and gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest
from canaries import PASSWORD

NO_RIGHTS = "no rights here: "
"""How the reason begins of a skip that is none's fault: nothing that can be installed lets a container trace or mount."""


def postgres_binaries() -> Path | None:
    """The folder with initdb and pg_ctl: of the newest version installed, or on the path."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = versions[-1] if versions else shutil.which("initdb")
    return Path(found).parent if found else None


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a fresh PostgreSQL on loopback, with a password. Skips, and says why, where it cannot be started."""
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed: initdb is neither in /usr/lib/postgresql nor on the path (make services)")
    user = _unprivileged()
    folder = Path(mkdtemp(prefix="recon-core-postgres-"))
    port = free_port()
    try:
        (folder / "password").write_text(PASSWORD)
        if user:
            shutil.chown(folder, user)
            shutil.chown(folder / "password", user)
        data = folder / "data"
        secure = ["--auth=scram-sha-256", f"--pwfile={folder / 'password'}"]
        _run([str(binaries / "initdb"), "-D", str(data), "-U", "recon", "-E", "UTF8", "--no-sync", *secure], user, folder)
        options = f"-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories={folder} -c fsync=off"
        control = [str(binaries / "pg_ctl"), "-D", str(data), "-w", "-t", "60", "-l", str(folder / "log")]
        _run([*control, "-o", options, "start"], user, folder)
        try:
            yield f"postgresql://recon:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            _run([*control, "-m", "immediate", "stop"], user, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged() -> str | None:
    """Whom to run the server as: PostgreSQL refuses root. None: as we are."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")


def _run(command: Sequence[str], user: str | None, folder: Path) -> None:
    drop = {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
    # Output goes to a file: the server inherits it, and a pipe would be waited for until it ends.
    with (folder / "output").open("ab") as output:
        done = subprocess.run(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=folder, check=False, **drop)
    if done.returncode != 0:
        logs = [(folder / name).read_text(errors="replace")[-2000:] for name in ("output", "log") if (folder / name).is_file()]
        pytest.skip(f"PostgreSQL does not start: {' '.join(command[:1])} returned {done.returncode}: {' '.join(logs)}")


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
