"""Telemetry of a process: W3C trace context and Prometheus metrics; `sagakit.logs` has the log.

Guarantee: a malformed traceparent is never passed on.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from opentelemetry import trace
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.process_collector import ProcessCollector

traceparent: ContextVar[str] = ContextVar("traceparent", default="")
request_id: ContextVar[str] = ContextVar("request_id", default="")

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def is_traceparent(text: str) -> bool:
    """Whether the text is a valid W3C traceparent."""
    return _TRACEPARENT.fullmatch(text) is not None


def random_hex(size: int) -> str:
    """`size` random bytes in hexadecimal: for ids, which have to be unique, but may be guessed."""
    return f"{random.getrandbits(8 * size):0{2 * size}x}"


def new_traceparent(entropy: Callable[[int], str] = random_hex) -> str:
    """Start a trace: return a sampled W3C traceparent; `entropy(n)` returns n random bytes in hexadecimal."""
    return f"00-{entropy(16)}-{entropy(8)}-01"


def child_traceparent(parent: str | None, entropy: Callable[[int], str] = random_hex) -> str:
    """Start a span in the parent's trace; a missing or malformed parent starts a new trace, as W3C demands."""
    if parent is None or not _TRACEPARENT.fullmatch(parent):
        return new_traceparent(entropy)
    return f"00-{parent[3:35]}-{entropy(8)}-{parent[53:55]}"


def request_traceparent(header: str | None) -> str:
    """The traceparent of a request: of FastAPI's span if a tracer provider is set, else a child of the header's."""
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
    return child_traceparent(header)


def innermost(carried: str | None) -> str | None:
    """The trace context of what goes on here, such as a request or an activity; else the one that a message carries."""
    return traceparent.get() or carried


def traced(carried: str | None) -> dict[str, str]:
    """The field of a log line about something in a trace, for code that handles many traces at a time."""
    return {"trace_id": carried[3:35]} if carried else {}


def name_request(method: str, route: str) -> None:
    """Name FastAPI's span of the current request, if there is one, for a request that passed by its router."""
    span = trace.get_current_span()
    if span.is_recording():
        span.update_name(f"{method} {route}")
        span.set_attribute("http.route", route)


OPENMETRICS: Final = "application/openmetrics-text"
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The metrics that all services share, in their own registry, so that one process can hold several services."""

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
        self.inbox_hits = Counter(
            "saga_inbox_hits", "Commands that had been handled before, and had no effect again", ("name",), registry=r
        )
        self.saga_seconds = Histogram(
            "saga_seconds",
            "From the start of a saga to an event of its owner",
            ("event", "outcome"),
            buckets=(*_SECONDS, 30, 60),
            registry=r,
        )
        self.unsettled = Gauge("saga_unsettled", "Sagas that are not settled", ("status",), registry=r)
        self.unsettled_oldest = Gauge(
            "saga_unsettled_oldest_seconds", "Age of the oldest saga that is not settled", ("status",), registry=r
        )
        self.outbox_rows = Gauge("saga_outbox_rows", "Messages and calls in the outbox", ("kind",), registry=r)
        self.outbox_oldest = Gauge(
            "saga_outbox_oldest_seconds", "Age of the oldest message or call in the outbox", ("kind",), registry=r
        )
        self.counted_at = Gauge(
            "saga_counted_at_seconds", "When the outbox and the unsettled sagas were counted last", registry=r
        )
        self.delivery_lag = Gauge(
            "saga_delivery_lag_seconds",
            "Age of the first message in the last batch that came from the broker; 0 after a pause",
            registry=r,
        )
        self.process_info = Gauge(
            "saga_process_info", "What this process is: always 1", ("service", "mode", "style", "role"), registry=r
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

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics and their media type: OpenMetrics, with exemplars, if `accept` names it; else Prometheus'."""
        if OPENMETRICS in accept:
            return openmetrics.generate_latest(self.registry), openmetrics.CONTENT_TYPE_LATEST  # type: ignore[no-untyped-call]
        return generate_latest(self.registry), "text/plain; version=0.0.4; charset=utf-8"
