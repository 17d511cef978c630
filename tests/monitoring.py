"""A real Prometheus and a real Pushgateway on loopback, started from Debian's binaries and gone afterwards."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import pytest
from services import free_port

ROOT = Path(__file__).parent.parent
RULES = ROOT / "ops" / "prometheus" / "recon-core.rules.yml"

Found = TypeVar("Found")


def binary(name: str) -> str:
    """Where a program is. Skips, and says why, where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (make services)")
    return found


def promtool(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool with the arguments, and ``given`` on its standard input."""
    return subprocess.run(
        [binary("promtool"), *arguments], input=given or "", capture_output=True, text=True, timeout=60, check=False
    )


def eventually(ask: Callable[[], Found], until: Callable[[Found], bool], seconds: float = 30) -> Found:
    """The first answer that ``until`` takes, asked for again and again; fails with the last one when time is up."""
    deadline = time.monotonic() + seconds
    while True:
        found = ask()
        if until(found):
            return found
        assert time.monotonic() < deadline, f"after {seconds:g} s still {found!r}"
        time.sleep(0.1)


def fetched(url: str) -> str:
    """What a server on loopback answers, asked without any proxy; empty while it does not."""
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=5) as answer:
            return str(answer.read().decode())
    except URLError:
        return ""


class Prometheus:
    """A running Prometheus with the rules of this project."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The instant vector that an expression has now."""
        answer = json.loads(fetched(f"{self.url}/api/v1/query?{urlencode({'query': expression})}"))
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def firing(self) -> dict[str, int]:
        """The alerts that fire now, and how many of each."""
        found = self.query('count by (alertname) (ALERTS{alertstate="firing"})')
        return {entry["metric"]["alertname"]: int(entry["value"][1]) for entry in found}


@contextmanager
def pushgateway(folder: Path) -> Iterator[str]:
    """The URL of a fresh Pushgateway."""
    port = free_port()
    with _running("pushgateway", [binary("prometheus-pushgateway"), f"--web.listen-address=127.0.0.1:{port}"], folder):
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: fetched(f"{url}/-/ready"), bool)
        yield url


@contextmanager
def prometheus(folder: Path, gateway: str) -> Iterator[Prometheus]:
    """A fresh Prometheus that scrapes the gateway, and evaluates the rules, every second."""
    port = free_port()
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {
                "job_name": "pushgateway",
                "honor_labels": True,
                "static_configs": [{"targets": [gateway.removeprefix("http://")]}],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(configuration), encoding="utf-8")  # JSON is YAML
    command = [
        binary("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with _running("prometheus", command, folder):
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: fetched(f"{url}/-/ready"), bool)
        yield Prometheus(url)


@contextmanager
def _running(name: str, command: Sequence[str], folder: Path) -> Iterator[None]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder)
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)
