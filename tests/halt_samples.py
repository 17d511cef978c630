"""Halt orders and deployments with halt actions, for tests: actions come from the host, as a run gets them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recon_core.actions.halts import ActionResult, carry_out, resume
from recon_core.config.load import load_settings
from recon_core.config.settings import Settings
from recon_core.halts import HaltAction, HaltOrder
from recon_core.host import load_host

NOW = datetime(2026, 11, 20, 21, 5, tzinfo=UTC)
HEAD = "version: 1\nbook: {file: book.csv}\nbrokers:\n  prime: {adapter: statement, options: {path: feed.csv}}\n"
ORDER = HaltOrder(
    scopes=("account prime/MAIN",),
    reasons=("MISSING_AT_BROKER: 1 break halts (KO)",),
    as_of=NOW,
    run_id="20261120T210501Z-0a1b2c3d",
    accounts=(("prime", "MAIN"),),
    order_id="00ff00ff00ff00ff",
)


def deployed(folder: Path, actions: str, *, drop_in: str = "") -> tuple[Settings, Mapping[str, type[HaltAction]]]:
    """The settings of a deployment in ``folder`` with these ``actions`` (YAML), and the installed kinds; one more as a drop-in."""
    more = ""
    if drop_in:
        path = folder / "plugins" / "halts" / "sample.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(drop_in), encoding="utf-8")
        for each in (path, path.parent, path.parent.parent):
            each.chmod(0o755)
        more = "plugins: {drop_ins: plugins}\n"
    text = f"{HEAD}{more}halt:\n  actions:\n{textwrap.indent(textwrap.dedent(actions), '    ')}"
    (folder / "recon.yaml").write_text(text, encoding="utf-8")
    settings, host = load_settings(folder / "recon.yaml", load_host)
    return settings, host.halts


def halted(folder: Path, actions: str, order: HaltOrder = ORDER, **more: Any) -> tuple[ActionResult, ...]:
    """What comes of halting by these actions."""
    return carry_out(*deployed(folder, actions, **more), order, clock=lambda: NOW)


def resumed(folder: Path, actions: str, order: HaltOrder = ORDER, *, remaining: tuple[str, ...] = (), **more: Any) -> Any:
    """What comes of resuming by these actions."""
    return resume(*deployed(folder, actions, **more), order, remaining=remaining, clock=lambda: NOW)
