"""What a process tells about itself: JSON logs on stderr, Prometheus metrics, W3C trace context.

Guarantee: what is logged is chosen: a line holds the text that stands in the code, and of its arguments names, ids and
numbers; an error is told by its type, its place and its code (`sagakit.wording`), an object by its type. What still
looks like a secret is redacted. A line is bounded; a logger that repeats itself is limited, and says how often it was
silenced.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import sys
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import PurePath
from types import TracebackType
from typing import Final, TextIO
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from sagakit.wording import stated, trace_of

NOISY = ("aiokafka", "kafka", "botocore", "aiobotocore", "google", "temporalio", "sqlalchemy.pool")

traceparent: ContextVar[str] = ContextVar("traceparent", default="")
request_id: ContextVar[str] = ContextVar("request_id", default="")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_SECRET_KEY = re.compile(r"token|secret|password|authorization|cookie|jwt", re.IGNORECASE)
_SECRET_TEXT = (
    (re.compile(r"(?i)\bbearer\s+[\w.~+/=-]+"), "Bearer [redacted]"),
    (re.compile(r"(?<![\w-])eyJ[\w-]+\.[\w-]+\.[\w-]*"), "[redacted]"),
    (re.compile(r"(://[^:/@\s]+):[^@/\s]+@"), r"\1:[redacted]@"),
    (re.compile(r"\btok_\w+"), "[redacted]"),
)
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
TEXT_MAX: Final = 8192  # characters of a message, of a field, and of either end of a traceback
_SHOWN: Final = (str, int, float, bool, type(None), Enum, PurePath, UUID, date)


def redact(text: str) -> str:
    """The text without bearer tokens, JWTs, payment tokens and passwords in URLs."""
    for pattern, replacement in _SECRET_TEXT:
        text = pattern.sub(replacement, text)
    return text


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, service, mode, and whatever stands in `extra`."""

    def __init__(self, service: str, mode: str) -> None:
        super().__init__()
        self._common = {"service": service, "mode": mode}

    def format(self, record: logging.LogRecord) -> str:
        """Render the record; a field whose name smells of a secret is replaced by `[redacted]`."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _bounded(redact(_message(record))),
            **self._common,
        }
        if current := request_id.get():
            line["request_id"] = current
        for key, value in vars(record).items():
            if key not in _STANDARD and not key.startswith("_"):
                line[key] = "[redacted]" if _SECRET_KEY.search(key[:TEXT_MAX]) else _field(value)
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = _bounded(redact(trace_of(record.exc_info[1])))
        return json.dumps(line, default=str, ensure_ascii=False)


def _message(record: logging.LogRecord) -> str:
    """The text in the code with its arguments. asyncio's own text describes objects from its second line on."""
    text, arguments = str(_chosen(record.msg)), record.args
    if arguments:
        named = isinstance(arguments, dict)
        chosen = {name: _chosen(one) for name, one in arguments.items()} if named else tuple(map(_chosen, arguments))  # type: ignore[union-attr]
        try:
            text = text % chosen
        except (TypeError, ValueError):
            text = f"{text} (its arguments do not fit it)"
    return text.partition("\n")[0] if record.name == "asyncio" else text


class _Words(str):
    """Words that are shown as they are, also where the text asks for %r."""

    def __repr__(self) -> str:
        return str(self)


def _chosen(value: object) -> object:
    if isinstance(value, BaseException):
        return _Words(stated(value))
    return value if isinstance(value, _SHOWN) else _Words(f"<{type(value).__name__}>")


def _field(value: object, depth: int = 3) -> object:
    if isinstance(value, str):
        return _bounded(redact(value))
    if isinstance(value, dict) and depth:
        return {str(key): _field(one, depth - 1) for key, one in list(value.items())[:50]}
    if isinstance(value, list | tuple | set | frozenset) and depth:
        return [_field(one, depth - 1) for one in list(value)[:50]]
    return _chosen(value)


def _bounded(text: str) -> str:
    """The text, or its two ends; where an error was raised stands at the end."""
    if len(text) <= 2 * TEXT_MAX:
        return text
    return f"{text[:TEXT_MAX]} … {len(text) - 2 * TEXT_MAX} characters … {text[-TEXT_MAX:]}"


class RateLimit(logging.Filter):
    """Lets `burst` records per `period` seconds through for each message of the named loggers.

    The first record after a silence carries `suppressed`, the number of records that were dropped.
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
        """Say whether the record is let through."""
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
        threading.excepthook = lambda told: _uncaught(told.exc_type, told.exc_value, told.exc_traceback)
        sys.unraisablehook = lambda told: _uncaught(told.exc_type, told.exc_value, told.exc_traceback)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = name != "uvicorn.access"
    for name in ("httpx", "httpcore", *NOISY):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """An error that ends a process or a thread is told as any other, in place of Python's words, which hold values."""
    if error is not None and issubclass(kind, Exception):
        logging.getLogger("sagakit").critical("an error that nobody handled", exc_info=(kind, error, trace))


def new_traceparent(entropy: Callable[[int], str] = secrets.token_hex) -> str:
    """A sampled W3C traceparent that starts a trace; `entropy(n)` gives n bytes in hexadecimal."""
    return f"00-{entropy(16)}-{entropy(8)}-01"


def child_traceparent(parent: str | None, entropy: Callable[[int], str] = secrets.token_hex) -> str:
    """A new span in the parent's trace; a missing or malformed parent starts a new trace, as W3C demands."""
    if parent is None or not _TRACEPARENT.fullmatch(parent):
        return new_traceparent(entropy)
    return f"00-{parent[3:35]}-{entropy(8)}-{parent[53:55]}"


_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The metrics all services share, in a registry of their own: several services fit into a process."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = r = registry or CollectorRegistry()
        ProcessCollector(registry=r)
        GCCollector(registry=r)
        self.commands = Counter("saga_commands", "Commands handled", ("name", "outcome"), registry=r)
        self.batch_size = Histogram("saga_batch_size", "Commands per transaction", buckets=_SIZES, registry=r)
        self.transaction_seconds = Histogram(
            "saga_transaction_seconds", "Transactions at the door", buckets=_SECONDS, registry=r
        )
        self.outbox_published = Counter("saga_outbox_published", "Outbox rows published", ("name",), registry=r)
        self.outbox_published_bytes = Counter(
            "saga_outbox_published_bytes", "Bytes in the bodies of outbox rows published", ("name",), registry=r
        )
        self.dead_letters = Counter("saga_dead_letters", "Messages given up", ("source",), registry=r)
        self.provider_calls = Counter(
            "saga_provider_calls",
            "Calls to the outside world",
            ("provider", "operation", "outcome"),
            registry=r,
        )
        self.provider_seconds = Histogram(
            "saga_provider_seconds",
            "Calls to the outside world",
            ("provider", "operation"),
            buckets=_SECONDS,
            registry=r,
        )
        self.attention = Gauge(
            "saga_attention", "What needs a human in this service; each replica counts all of it", ("kind",), registry=r
        )
        self.background_restarts = Counter("background_restarts", "Background tasks restarted", ("task",), registry=r)
        self.background_failing = Gauge(
            "background_failing", "Whether a background task has failed and is not well again", ("task",), registry=r
        )
        self.dependency_up = Gauge(
            "dependency_up", "Whether what the service depends on answers", ("name",), registry=r
        )
        self.http_requests = Counter("http_requests", "HTTP requests", ("method", "route", "status"), registry=r)
        self.http_seconds = Histogram(
            "http_request_seconds", "HTTP requests", ("method", "route"), buckets=_SECONDS, registry=r
        )
        self.http_in_flight = Gauge("http_in_flight", "HTTP requests under way", registry=r)

    def exposition(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self.registry)
