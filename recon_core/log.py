"""What a run says while it works: lines on stderr, JSON for machines, plain on a terminal, every secret masked.

The core logs through the standard library, to the logger ``recon_core``, so that an embedding program decides what becomes of it.
The command line shows it with structlog, together with what plugins and libraries log. structlog takes a sixth of a second to
import, so that a run that has nothing to say does not import it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from recon_core.redaction import redacted

LEVELS = ("debug", "info", "warning", "error")
DEFAULT_LEVEL = "warning"

_logger = logging.getLogger("recon_core")
_bound: dict[str, object] = {}


def info(event: str, **fields: object) -> None:
    """A step that went as it should."""
    _logger.info(event, extra={"fields": fields})


def warning(event: str, **fields: object) -> None:
    """What a person should look at, though the run goes on."""
    _logger.warning(event, extra={"fields": fields})


def error(event: str, **fields: object) -> None:
    """What went wrong."""
    _logger.error(event, extra={"fields": fields})


def bind(**fields: object) -> None:
    """Say ``fields`` on every line from now on, plugins' and libraries' included. None takes one away."""
    _bound.update(fields)
    for name in [name for name, value in _bound.items() if value is None]:
        del _bound[name]


@contextmanager
def shown(level: str = DEFAULT_LEVEL) -> Iterator[None]:
    """Show on stderr, until the block ends, what is at least as grave as ``level`` (see ``set_level``)."""
    root, handler = logging.getLogger(), _Lines()
    before = (root.level, _logger.level)
    root.addHandler(handler)
    set_level(level)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        root.setLevel(before[0])
        _logger.setLevel(before[1])
        _bound.clear()


def set_level(level: str) -> None:
    """One of ``LEVELS``. Libraries are shown from warnings upward, unless all is to be seen: ``debug``."""
    number = logging.getLevelName(level.upper())
    _logger.setLevel(number)
    logging.getLogger().setLevel(number if number == logging.DEBUG else max(number, logging.WARNING))


class _Lines(logging.Handler):
    """Writes a line for each record to what stderr is at that moment: a progress display puts itself there, and stays whole."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            stream = sys.stderr
            if stream is not None:
                stream.write(self._line(record, stream.isatty()) + "\n")
                stream.flush()
        except Exception:  # a line that cannot be written changes no verdict
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the standard library's name
        """Say nothing: where a line cannot be written, neither can a complaint about it."""

    def _line(self, record: logging.LogRecord, terminal: bool) -> str:
        if self.formatter is None:
            self.formatter = _formatter(terminal)
        return self.formatter.format(record)


def _formatter(terminal: bool) -> logging.Formatter:
    import structlog

    renderer: Any = structlog.processors.JSONRenderer(default=str, ensure_ascii=False)
    if terminal:
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=True),
            _with_fields,
            structlog.processors.format_exc_info,
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _without_secrets, renderer],
    )


def _with_fields(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What the record carries, what is bound, and where it comes from when that is not recon_core."""
    record: logging.LogRecord = event["_record"]
    event.update(_bound)
    event.update(getattr(record, "fields", {}))
    if record.name != _logger.name:
        event["logger"] = record.name
    return event


def _without_secrets(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {redacted(name): _masked(value) for name, value in event.items()}


def _masked(value: object) -> object:
    """``value`` as JSON knows it, each text in it without secrets."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, dict):
        return {redacted(str(name)): _masked(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(each) for each in value]
    return redacted(str(value))
