"""Spans of OpenTelemetry around what a process does for a message: handling, publishing, calls to a provider.

The trace of a checkout begins with its request and goes on with the `traceparent` of each message. Handling a command
is a span of its own, and what it leads to are children of that span, in every mode. A transaction that handles several
commands is a span in a trace of its own, which is linked to theirs.

Guarantee: while no tracer is set, each of these costs one comparison. A span that is not exported is nobody's parent.

Source: OpenTelemetry's semantic conventions for messaging, 1.37.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from sagakit import telemetry
from sagakit.message import UNREADABLE, message_id
from sagakit.ports import OutboxRow
from sagakit.provider import ProviderCall
from sagakit.wording import stated
from sagakit.work import Execute, Item, Nudge

SPANS: Final[Mapping[str, str]] = {
    "{method} {route}": "a request, by FastAPI",
    "{Command}": "a command is handled, from its arrival until its commit; named after the command",
    "{Event}": "a foreign event continues an orchestrated saga; named after the event",
    "nudge": "an order sends again what it owes",
    "transaction": "commands that were committed together; linked to their spans, or below each (`TRACE_BATCHES`)",
    "publish {Message}": "a message is given to the broker or the coordinator",
    "call {operation}": "one attempt at a call to a provider",
    "activity {Command}": "one attempt at an activity of Temporal; the command is handled in it",
    "workflow {Type}": "one run of a workflow of Temporal",
}
"""The names of spans, and what they are."""


class Tracing:
    """The tracer of this process; `on` is false until one is set."""

    def __init__(self) -> None:
        self.on = False
        self._children = False
        self._tracer: trace.Tracer = trace.NoOpTracer()
        self._common: dict[str, Any] = {}

    def start(self, tracer: trace.Tracer, system: str, *, children: bool = False) -> None:
        """Make spans from now on; `system` is what carries messages.

        `children`: a transaction of several commands is a child of each, instead of one span that is linked to them.
        """
        self._tracer, self._common, self.on = tracer, {"messaging.system": system}, True
        self._children = children

    def stop(self) -> None:
        """Make no spans any more."""
        self._tracer, self._common, self.on = trace.NoOpTracer(), {}, False

    def follow(
        self, items: Sequence[Item], service: str, answered: asyncio.Future[None], answers: Sequence[Any]
    ) -> Sequence[Item]:
        """Begin the spans of items that were asked for together; the items with these spans as their trace contexts.

        The spans end when all are `answered`. A request that asks for something in another trace is linked.
        """
        spans = [
            self._begin(_name(item), item.traceparent, SpanKind.CONSUMER, _about(item, service) | self._common)
            for item in items
        ]
        answered.add_done_callback(lambda done: _end(spans, done, answers))
        return [
            msgspec.structs.replace(item, traceparent=traceparent_of(span))
            for item, span in zip(items, spans, strict=True)
        ]

    def joined(self, items: Sequence[Item], seconds: float) -> None:
        """Several items were committed in one transaction, which took `seconds` until now."""
        if len(items) < 2:
            return
        now = time.time_ns()
        attributes = {"messaging.batch.message_count": len(items)}
        began = now - int(seconds * 1e9)
        if self._children:
            for item in items:
                self._begin("transaction", item.traceparent, SpanKind.INTERNAL, attributes, began).end(now)
            return
        links = [Link(context) for item in items if (context := _context(item.traceparent)) is not None]
        span = self._tracer.start_span("transaction", Context(), attributes=attributes, links=links, start_time=began)
        span.end(now)

    def published(self, rows: Sequence[OutboxRow], seconds: float) -> None:
        """The rows were published together, which took `seconds` until now."""
        now = time.time_ns()
        for row in rows:
            attributes = {
                "messaging.operation.name": "publish",
                "messaging.operation.type": "send",
                "messaging.destination.name": row.channel,
                "messaging.message.id": row.id,
                "messaging.message.conversation_id": row.key,
                "messaging.message.body.size": len(row.body),
                "messaging.batch.message_count": len(rows),
            } | self._common
            began = now - int(seconds * 1e9)
            self._begin(f"publish {row.type}", _carried(row.body), SpanKind.PRODUCER, attributes, began).end(now)

    @contextmanager
    def doing(self, name: str, parent: str | None, attributes: Mapping[str, Any]) -> Iterator[str]:
        """Around something that a coordinator has asked for: its span; yields the trace context to go on with."""
        span = self._begin(name, parent, SpanKind.INTERNAL, {**attributes, **self._common})
        try:
            yield traceparent_of(span)
        except BaseException as error:
            span.set_status(Status(StatusCode.ERROR, stated(error)))
            raise
        finally:
            span.end()

    def done(self, name: str, parent: str | None, attributes: Mapping[str, Any], began: int) -> None:
        """Something that began at this time (nanoseconds) has ended now."""
        self._begin(name, parent, SpanKind.INTERNAL, {**attributes, **self._common}, began).end()

    @contextmanager
    def calling(self, call: ProviderCall, attempt: int) -> Iterator[None]:
        """Around one attempt at a call: its span, which the request carries on."""
        attributes = {
            "saga.subject": call.subject,
            "saga.provider": call.provider,
            "saga.call.key": call.key,
            "saga.call.attempt": attempt,
        }
        span = self._begin(f"call {call.operation}", call.traceparent, SpanKind.CLIENT, attributes)
        token = telemetry.traceparent.set(traceparent_of(span))
        try:
            yield
        except BaseException as error:
            span.set_status(Status(StatusCode.ERROR, stated(error)))
            raise
        finally:
            telemetry.traceparent.reset(token)
            span.end()

    def _begin(
        self, name: str, parent: str | None, kind: SpanKind, attributes: Mapping[str, Any], began: int | None = None
    ) -> Span:
        context, request = _context(parent), _context(telemetry.traceparent.get())
        inside = Context() if context is None else trace.set_span_in_context(NonRecordingSpan(context), Context())
        elsewhere = request is not None and (context is None or context.trace_id != request.trace_id)
        links = [Link(request)] if request is not None and elsewhere else []
        return self._tracer.start_span(name, inside, kind, attributes, links, start_time=began)


tracing: Final = Tracing()
"""The tracing of this process."""


def traceparent_of(span: Span) -> str:
    """The W3C traceparent of a span."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _context(traceparent: str | None) -> SpanContext | None:
    """The span that a traceparent names; None if it names none."""
    if traceparent is None or not telemetry.is_traceparent(traceparent):
        return None
    flags = TraceFlags(int(traceparent[53:55], 16))
    return SpanContext(int(traceparent[3:35], 16), int(traceparent[36:52], 16), is_remote=True, trace_flags=flags)


class _Carried(msgspec.Struct):
    traceparent: str | None = None


_decode = msgspec.json.Decoder(_Carried).decode


def _carried(body: bytes) -> str | None:
    """The traceparent that a message carries."""
    try:
        return _decode(body).traceparent
    except UNREADABLE:
        return None


def _name(item: Item) -> str:
    match item:
        case Execute(command):
            return type(command).__name__
        case Nudge():
            return "nudge"
        case _:
            return type(item.event).__name__


def _about(item: Item, service: str) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.message.conversation_id": item.subject,
        "saga.subject": item.subject,
        "saga.service": service,
    }
    if isinstance(item, Execute):
        attributes["messaging.message.id"] = message_id(item.command)
        if item.cause is not None:
            attributes["saga.cause"] = item.cause
    return attributes


def _end(spans: Sequence[Span], answered: asyncio.Future[None], answers: Sequence[Any]) -> None:
    for span, answer in zip(spans, answers, strict=True):
        if answered.cancelled():
            span.set_status(Status(StatusCode.ERROR, "nobody waits for the answer any longer"))
        elif isinstance(answer, BaseException):
            span.set_status(Status(StatusCode.ERROR, stated(answer)))
        else:
            span.set_attribute("saga.outcome", type(answer).__name__)
        span.end()
