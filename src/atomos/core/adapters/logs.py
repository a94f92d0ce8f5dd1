"""Logs: structlog and the standard library's loggers in one form, one line each, to standard error."""

from __future__ import annotations

import logging
import sys
import traceback
from contextlib import suppress
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor

from ..service.concealing import concealed, hide, known_secrets

QUIET = ("alembic", "amqp", "httpcore2", "httpx2", "sqlalchemy")
"""Libraries that are heard from `warning` on; `database.echo` shows statements all the same."""

FROM_LIBRARIES = "library.logged"
"""The `action`, in JSON, of what the standard library's loggers say; the sentence is in `message`."""


def configure(level: str = "info", format: Literal["console", "json"] = "console") -> None:  # noqa: A002
    """Set logging up for this process; a second call replaces the first one.

    `level` is the least one that is logged, as `log.level` has it. `format` is `console`, for people, or
    `json`, one object a line. What is logged carries `action`, `level`, `logger`, `timestamp` (UTC) and
    whatever ids were given.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            _AS_ACTION,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [each for each in root.handlers if each.name == _OWN]:
        root.removeHandler(handler)
    root.addHandler(_handler(format))
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
    # SQLAlchemy gives its logger a handler of its own where there is none, and each statement would be said twice.
    statements = logging.getLogger("sqlalchemy.engine.Engine")
    statements.handlers[:] = [logging.NullHandler()]


_OWN = "atomos"
_AS_ACTION = structlog.processors.EventRenamer("action")

_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
)


def _from_library(_logger: Any, _method: str, event: EventDict) -> EventDict:
    event["message"], event["action"] = event.pop("event"), FROM_LIBRARIES
    return event


class _StandardError:
    """Standard error as it is when something is logged: tests and tools put others in its place."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


class _Handler(logging.StreamHandler[_StandardError]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Say which line could not be written; the standard library's report shows whatever was in it."""
        place = f"{record.name} ({record.pathname}:{record.lineno})"
        text = f"A line of {place} could not be written: {traceback.format_exc()}"
        with suppress(OSError, ValueError):
            self.stream.write(concealed(text, _error_in(record.exc_info)))


def _handler(form: str) -> logging.Handler:
    handler = _Handler(_StandardError())
    handler.name = _OWN
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, _from_library if form == "json" else _AS_ACTION],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(form)],
        )
    )
    return handler


def _renderers(form: str) -> list[Processor]:
    if form == "json":
        return [_conceal, structlog.processors.JSONRenderer(sort_keys=True)]
    # Plain, because a traceback with the values of variables in it would show secrets.
    plain = structlog.dev.plain_traceback
    colors = sys.stderr.isatty()
    return [
        _conceal,
        structlog.dev.ConsoleRenderer(colors=colors, event_key="action", exception_formatter=plain),
    ]


def _conceal(logger: Any, method: str, event: EventDict) -> EventDict:
    """Turn an error into its traceback, and hide what is sensitive in whatever is said."""
    error = _error_in(event.get("exc_info"))
    said = structlog.processors.format_exc_info(logger, method, event)
    secrets = known_secrets(error)
    return _without(secrets, said) if secrets else said


def _error_in(given: Any) -> BaseException | None:
    if isinstance(given, BaseException):
        return given
    return given[1] if isinstance(given, tuple) else sys.exc_info()[1] if given else None


def _without(secrets: frozenset[str], value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return hide(value, secrets)
    if isinstance(value, dict):
        # A key as text: JSON has no others, and what is hidden in a tuple could not be a key.
        return {hide(str(key), secrets): _without(secrets, each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_without(secrets, each) for each in value]
    # As whoever writes the line would show it: nobody knows what an object says of itself.
    shown = [hide(text, secrets) for text in (str(value), repr(value))]
    return value if shown == [str(value), repr(value)] else shown[0]
