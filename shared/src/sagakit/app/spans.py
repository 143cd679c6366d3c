"""Where the spans of a process go: to a file of JSON lines (TRACE_FOLDER), to a collector (OTEL_…), or nowhere."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from sagakit.tracing import tracing

QUIET: Final = frozenset({"GET /metrics", "GET /health/live", "GET /health/ready"})
FILE_MAX: Final = 64 * 1024 * 1024  # bytes; the file before is kept, as `.1`


def export_spans(folder: str, service: str, mode: str, system: str) -> TracerProvider:
    """Make spans, and write them to `<folder>/<service>.jsonl`; shut the provider down at the end."""
    resource = Resource.create({"service.name": service, "service.namespace": "quartet", "quartet.mode": mode})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(FileExporter(Path(folder) / f"{service}.jsonl")))
    trace.set_tracer_provider(provider)  # FastAPI makes spans of requests then
    tracing.start(provider.get_tracer("sagakit"), system)
    return provider


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
