"""Where the spans of a process go: a file of JSON lines (TRACE_FOLDER), a collector (OTLP), both, or nowhere."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from sagakit.settings import Settings
from sagakit.tracing import tracing

QUIET: Final = frozenset({"GET /metrics", "GET /health/live", "GET /health/ready"})
DELAY: Final = 1000  # milliseconds until a span is written
FILE_MAX: Final = 64 * 1024 * 1024  # bytes; the file before is kept, as `.1`


def export_spans(settings: Settings, system: str) -> TracerProvider:
    """Make spans; write them to `<TRACE_FOLDER>/<service>.jsonl`, send them to OTEL_EXPORTER_OTLP_ENDPOINT, or both.

    `system` is what carries messages. Shut the provider down at the end.
    """
    name = settings.service
    about = {"service.name": name, "service.namespace": "quartet", "quartet.mode": settings.coordination_mode}
    provider = TracerProvider(resource=Resource.create(about))
    for exporter in _exporters(settings):
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=DELAY))
    trace.set_tracer_provider(provider)  # FastAPI makes spans of requests then
    tracing.start(provider.get_tracer("sagakit"), system, children=settings.trace_batches == "children")
    return provider


def _exporters(settings: Settings) -> Iterator[SpanExporter]:
    if settings.trace_folder:
        yield FileExporter(Path(settings.trace_folder) / f"{settings.service}.jsonl")
    if settings.otel_exporter_otlp_endpoint:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        yield Requested(OTLPSpanExporter(f"{settings.otel_exporter_otlp_endpoint.rstrip('/')}/v1/traces"))


class Requested(SpanExporter):
    """Leaves out the spans of probes and scrapes, and gives the others to another exporter."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export the spans."""
        return self._exporter.export([span for span in spans if span.name not in QUIET])

    def shutdown(self) -> None:
        """Close the other exporter."""
        self._exporter.shutdown()


class FileExporter(SpanExporter):
    """Appends a line of JSON for each span. Everybody may read the file: spans hold names, ids and times."""

    def __init__(self, path: Path, most: int = FILE_MAX) -> None:
        self._path, self._most = path, most

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Append the spans, in one write."""
        lines = b"".join(msgspec.json.encode(line(span)) + b"\n" for span in spans if span.name not in QUIET)
        try:
            file = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
            try:
                os.fchmod(file, 0o644)
                os.write(file, lines)
                full = os.fstat(file).st_size > self._most
            finally:
                os.close(file)
            if full:
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        except OSError:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS


def line(span: ReadableSpan) -> dict[str, Any]:
    """The span as the file has it; times are nanoseconds since the epoch."""
    context = span.get_span_context()
    assert context is not None
    return {
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "parent_id": f"{span.parent.span_id:016x}" if span.parent is not None else None,
        "name": span.name,
        "kind": span.kind.name.lower(),
        "service": span.resource.attributes.get("service.name"),
        "mode": span.resource.attributes.get("quartet.mode"),
        "start": span.start_time,
        "end": span.end_time,
        "status": span.status.status_code.name.lower(),
        "detail": span.status.description,
        "attributes": dict(span.attributes or {}),
        "links": [
            {"trace_id": f"{link.context.trace_id:032x}", "span_id": f"{link.context.span_id:016x}"}
            for link in span.links
        ],
    }
