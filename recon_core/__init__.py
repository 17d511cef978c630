"""recon-core: compares a firm's positions with what its brokers report, and decides whether trading halts.

These are the public names, for plugin authors and embedders; everything else may change. They are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recon_core.brokers import Broker
    from recon_core.dated_files import resolve_path
    from recon_core.documents import Document
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
    from recon_core.evidence import MOVEMENT_KINDS, Cash, CorporateAction, Evidence, Fill, Movement
    from recon_core.halts import Confirmation, HaltAction, HaltOrder
    from recon_core.hookspecs import hookimpl
    from recon_core.model import Ask, ControlTotal, Feed, FeedStatus, Position
    from recon_core.permission import Permission, guard
    from recon_core.records import Record
    from recon_core.rules import Rule
    from recon_core.run import PositionReconciler
    from recon_core.strict_json import read_json
    from recon_core.strict_xml import read_xml
    from recon_core.tables.file_options import FILE_OPTIONS
    from recon_core.tables.files import SourceFile, read_file
    from recon_core.written_numbers import read_number

_HOME = {
    "Ask": "model",
    "AuthError": "errors",
    "BookError": "errors",
    "Broker": "brokers",
    "BrokerError": "errors",
    "Cash": "evidence",
    "ConfigError": "errors",
    "Confirmation": "halts",
    "ControlTotal": "model",
    "CorporateAction": "evidence",
    "Document": "documents",
    "Evidence": "evidence",
    "FILE_OPTIONS": "tables.file_options",
    "Feed": "model",
    "FeedStatus": "model",
    "Fill": "evidence",
    "HaltAction": "halts",
    "HaltOrder": "halts",
    "IncompleteError": "errors",
    "MOVEMENT_KINDS": "evidence",
    "MalformedError": "errors",
    "Movement": "evidence",
    "NoVerdictError": "errors",
    "NotReadyError": "errors",
    "Permission": "permission",
    "PluginError": "errors",
    "Position": "model",
    "PositionReconciler": "run",
    "ReconError": "errors",
    "Record": "records",
    "RequestError": "errors",
    "Rule": "rules",
    "SourceFile": "tables.files",
    "ThrottledError": "errors",
    "TransientError": "errors",
    "guard": "permission",
    "hookimpl": "hookspecs",
    "read_file": "tables.files",
    "read_json": "strict_json",
    "read_number": "written_numbers",
    "read_xml": "strict_xml",
    "resolve_path": "dated_files",
}

__all__ = [  # noqa: RUF022  # in plain order, capitals first, which is what a reader looks names up by
    "Ask",
    "AuthError",
    "BookError",
    "Broker",
    "BrokerError",
    "Cash",
    "ConfigError",
    "Confirmation",
    "ControlTotal",
    "CorporateAction",
    "Document",
    "Evidence",
    "FILE_OPTIONS",
    "Feed",
    "FeedStatus",
    "Fill",
    "HaltAction",
    "HaltOrder",
    "IncompleteError",
    "MOVEMENT_KINDS",
    "MalformedError",
    "Movement",
    "NoVerdictError",
    "NotReadyError",
    "Permission",
    "PluginError",
    "Position",
    "PositionReconciler",
    "ReconError",
    "Record",
    "RequestError",
    "Rule",
    "SourceFile",
    "ThrottledError",
    "TransientError",
    "guard",
    "hookimpl",
    "read_file",
    "read_json",
    "read_number",
    "read_xml",
    "resolve_path",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'recon_core' has no attribute {name!r}")
    value = getattr(import_module(f"recon_core.{_HOME[name]}"), name)
    globals()[name] = value
    return value
