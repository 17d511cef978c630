"""recon-core: compares a firm's positions with what its brokers report, and decides whether trading halts.

These are the public names, for plugin authors and embedders; everything else may change. They are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recon_core.brokers import Broker
    from recon_core.errors import (
        AuthError,
        BookError,
        BrokerError,
        ConfigError,
        IncompleteError,
        MalformedError,
        NotReadyError,
        NoVerdictError,
        PluginError,
        ReconError,
        RequestError,
        ThrottledError,
        TransientError,
    )
    from recon_core.halts import Confirmation, HaltAction, HaltOrder
    from recon_core.hookspecs import hookimpl
    from recon_core.model import Ask, ControlTotal, Feed, FeedStatus, Position
    from recon_core.permission import Permission, guard
    from recon_core.rules import Rule
    from recon_core.run import PositionReconciler
    from recon_core.tables.dated_files import resolve_path
    from recon_core.tables.file_options import FILE_OPTIONS
    from recon_core.tables.files import SourceFile, read_file
    from recon_core.tables.written_numbers import read_number

_HOME = {
    "Ask": "model",
    "AuthError": "errors",
    "BookError": "errors",
    "Broker": "brokers",
    "BrokerError": "errors",
    "ConfigError": "errors",
    "Confirmation": "halts",
    "ControlTotal": "model",
    "FILE_OPTIONS": "tables.file_options",
    "Feed": "model",
    "FeedStatus": "model",
    "HaltAction": "halts",
    "HaltOrder": "halts",
    "IncompleteError": "errors",
    "MalformedError": "errors",
    "NoVerdictError": "errors",
    "NotReadyError": "errors",
    "Permission": "permission",
    "PluginError": "errors",
    "Position": "model",
    "PositionReconciler": "run",
    "ReconError": "errors",
    "RequestError": "errors",
    "Rule": "rules",
    "SourceFile": "tables.files",
    "ThrottledError": "errors",
    "TransientError": "errors",
    "guard": "permission",
    "hookimpl": "hookspecs",
    "read_file": "tables.files",
    "read_number": "tables.written_numbers",
    "resolve_path": "tables.dated_files",
}

__all__ = [  # noqa: RUF022  # in plain order, capitals first, which is what a reader looks names up by
    "Ask",
    "AuthError",
    "BookError",
    "Broker",
    "BrokerError",
    "ConfigError",
    "Confirmation",
    "ControlTotal",
    "FILE_OPTIONS",
    "Feed",
    "FeedStatus",
    "HaltAction",
    "HaltOrder",
    "IncompleteError",
    "MalformedError",
    "NoVerdictError",
    "NotReadyError",
    "Permission",
    "PluginError",
    "Position",
    "PositionReconciler",
    "ReconError",
    "RequestError",
    "Rule",
    "SourceFile",
    "ThrottledError",
    "TransientError",
    "guard",
    "hookimpl",
    "read_file",
    "read_number",
    "resolve_path",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'recon_core' has no attribute {name!r}")
    value = getattr(import_module(f"recon_core.{_HOME[name]}"), name)
    globals()[name] = value
    return value
