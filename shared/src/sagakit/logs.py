"""The log of a process: JSON lines on stderr.

Guarantee: only chosen values are logged. A line holds the message as it is written in the code, and of its arguments
names, ids and numbers; an error appears as its type, place and code (`sagakit.wording`), any other object as its type.
What still looks like a secret is redacted. Lines are bounded; a logger that repeats itself is limited, and its next
line says how many were suppressed.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import PurePath
from types import TracebackType
from typing import Final, TextIO
from uuid import UUID

from sagakit.telemetry import request_id, traceparent
from sagakit.wording import stated, trace_of

NOISY = ("aiokafka", "kafka", "botocore", "aiobotocore", "google", "temporalio", "sqlalchemy.pool")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_SECRET_KEY = re.compile(r"token|secret|password|authorization|cookie|jwt", re.IGNORECASE)
_SECRET_TEXT = (
    (re.compile(r"(?i)\bbearer\s+[\w.~+/=-]+"), "Bearer [redacted]"),
    (re.compile(r"(?<![\w-])eyJ[\w-]+\.[\w-]+\.[\w-]*"), "[redacted]"),
    (re.compile(r"(://[^:/@\s]+):[^@/\s]+@"), r"\1:[redacted]@"),
    (re.compile(r"\btok_\w+"), "[redacted]"),
)
TEXT_MAX: Final = 8192  # characters of a field's name, and of either end of a text that is longer than two of them
_SHOWN_TYPES: Final = (str, int, float, bool, type(None), Enum, PurePath, UUID, date)


def redact(text: str) -> str:
    """Remove bearer tokens, JWTs, payment tokens and passwords in URLs from the text."""
    for pattern, replacement in _SECRET_TEXT:
        text = pattern.sub(replacement, text)
    return text


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: time, level, logger, message, service, mode, and the fields of `extra`."""

    def __init__(self, service: str, mode: str) -> None:
        super().__init__()
        self._common = {"service": service, "mode": mode}

    def format(self, record: logging.LogRecord) -> str:
        """Format the record; the value of a field whose name suggests a secret is replaced by `[redacted]`."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _bounded(redact(_message(record))),
            **self._common,
        }
        if current := request_id.get():
            line["request_id"] = current
        if current := traceparent.get():
            line["trace_id"] = current[3:35]
        for key, value in vars(record).items():
            if key not in _STANDARD and not key.startswith("_"):
                line[key] = "[redacted]" if _SECRET_KEY.search(key[:TEXT_MAX]) else _field(value)
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = _bounded(redact(trace_of(record.exc_info[1])))
        return json.dumps(line, default=str, ensure_ascii=False)


def _message(record: logging.LogRecord) -> str:
    """The message with its arguments. Of asyncio's messages only the first line: the others describe objects."""
    text, arguments = str(_shown(record.msg)), record.args
    if arguments:
        named = isinstance(arguments, dict)
        shown = {name: _shown(value) for name, value in arguments.items()} if named else tuple(map(_shown, arguments))  # type: ignore[union-attr]
        try:
            text = text % shown
        except (TypeError, ValueError):
            text = f"{text} (its arguments do not fit it)"
    return text.partition("\n")[0] if record.name == "asyncio" else text


class _Words(str):
    """Text that `%r` shows like `%s`, without quotes."""

    def __repr__(self) -> str:
        return str(self)


def _shown(value: object) -> object:
    """The value if its type holds no secrets; else the words for an error, or the name of the type."""
    if isinstance(value, BaseException):
        return _Words(stated(value))
    return value if isinstance(value, _SHOWN_TYPES) else _Words(f"<{type(value).__name__}>")


def _field(value: object, depth: int = 3) -> object:
    if isinstance(value, str):
        return _bounded(redact(value))
    if isinstance(value, dict) and depth:
        return {str(key): _field(inner, depth - 1) for key, inner in list(value.items())[:50]}
    if isinstance(value, list | tuple | set | frozenset) and depth:
        return [_field(inner, depth - 1) for inner in list(value)[:50]]
    return _shown(value)


def _bounded(text: str) -> str:
    """The text, or its beginning and end if it is long; a traceback names the innermost frame at its end."""
    if len(text) <= 2 * TEXT_MAX:
        return text
    return f"{text[:TEXT_MAX]} … {len(text) - 2 * TEXT_MAX} characters … {text[-TEXT_MAX:]}"


class RateLimit(logging.Filter):
    """Limits each message of the named loggers to `burst` records per `period` seconds.

    The first record of a period carries `suppressed`, the number of records dropped in the period before.
    """

    def __init__(
        self,
        prefixes: tuple[str, ...] = NOISY,
        *,
        burst: int = 3,
        period: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._prefixes = tuple(f"{prefix}." for prefix in prefixes)
        self._burst, self._period, self._clock = burst, period, clock
        self._windows: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is logged."""
        if not f"{record.name}.".startswith(self._prefixes):
            return True
        key, now = (record.name, record.levelno, str(record.msg)[:120]), self._clock()
        start, count = self._windows.get(key, (now, 0))
        if now - start >= self._period:
            if count > self._burst:
                record.suppressed = count - self._burst
            start, count = now, 0
        if len(self._windows) >= 1000 and key not in self._windows:
            self._windows.clear()
        self._windows[key] = (start, count + 1)
        return count < self._burst


def configure_logging(service: str, mode: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send all logging of this process to `stream` (stderr) as JSON lines; may be called again."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(service, mode))
    handler.addFilter(RateLimit())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    if stream is None:
        sys.excepthook = _uncaught
        threading.excepthook = lambda raised: _uncaught(raised.exc_type, raised.exc_value, raised.exc_traceback)
        sys.unraisablehook = lambda raised: _uncaught(raised.exc_type, raised.exc_value, raised.exc_traceback)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = name != "uvicorn.access"
    for name in ("httpx", "httpcore", *NOISY):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """Log an error that ends a process or a thread like any other; Python's own report would show values."""
    if error is not None and issubclass(kind, Exception):
        logging.getLogger("sagakit").critical("an error that nobody handled", exc_info=(kind, error, trace))
