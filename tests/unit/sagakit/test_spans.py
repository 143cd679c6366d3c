"""Spans as lines of a file."""

import gzip
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.trace import Link

from sagakit.app.spans import FileExporter, export_spans
from sagakit.settings import Settings
from sagakit.tracing import tracing
from sagakit.web.app import create_app
from tests.keys import PUBLIC_KEY


def provider(exporter: FileExporter) -> TracerProvider:
    made = TracerProvider(resource=Resource({"service.name": "order", "quartet.mode": "kafka-choreography"}))
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_span_is_a_line_with_its_trace_its_parent_and_its_links(tmp_path: Path) -> None:
    path = tmp_path / "order.jsonl"
    tracer = provider(FileExporter(path)).get_tracer("test")
    with tracer.start_as_current_span("outer") as outer, tracer.start_as_current_span("inner"):
        pass
    tracer.start_span("linked", links=[Link(outer.get_span_context())]).end()
    inner, told, linked = lines(path)
    assert (told["name"], told["service"], told["mode"], told["parent_id"]) == (
        "outer",
        "order",
        "kafka-choreography",
        None,
    )
    assert (inner["trace_id"], inner["parent_id"]) == (told["trace_id"], told["span_id"])
    assert told["start"] <= inner["start"] <= inner["end"] <= told["end"]
    assert linked["links"] == [{"trace_id": told["trace_id"], "span_id": told["span_id"]}]
    assert path.stat().st_mode & 0o777 == 0o644


def test_probes_and_scrapes_are_left_out_and_a_full_file_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "order.jsonl"
    tracer = provider(FileExporter(path, most=10)).get_tracer("test")
    tracer.start_span("GET /metrics").end()
    assert lines(path) == []
    tracer.start_span("one").end()
    tracer.start_span("two").end()
    assert [line["name"] for line in lines(tmp_path / "order.jsonl.1")] == ["two"]


def test_a_folder_that_cannot_be_written_is_a_failure_and_no_error(tmp_path: Path) -> None:
    assert FileExporter(tmp_path / "none" / "order.jsonl").export([]) is SpanExportResult.FAILURE


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """A collector on a port of its own; yields its URL and what it has got."""
    got: list[ExportTraceServiceRequest] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            assert self.path == "/v1/traces"
            got.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_collector_gets_the_spans_over_otlp_and_the_folder_has_them_too(tmp_path: Path) -> None:
    settings = {
        "token_public_keys": PUBLIC_KEY,
        "coordination_mode": "kafka-choreography",
        "trace_folder": str(tmp_path),
    }
    with collector() as (url, got):
        made = export_spans(Settings(service="order", otel_exporter_otlp_endpoint=url, **settings), "kafka")
        try:
            made.get_tracer("test").start_span("PlaceOrder").end()
            made.get_tracer("test").start_span("GET /metrics").end()
        finally:
            tracing.stop()
            made.shutdown()
    (sent,) = [spans for request in got for spans in request.resource_spans]
    about = {one.key: one.value.string_value for one in sent.resource.attributes}
    assert (about["service.name"], about["quartet.mode"]) == ("order", "kafka-choreography")
    assert [span.name for scope in sent.scope_spans for span in scope.spans] == ["PlaceOrder"]
    assert [line["name"] for line in lines(tmp_path / "order.jsonl")] == ["PlaceOrder"]


def test_without_a_collector_neither_the_sdk_nor_the_exporter_is_imported() -> None:
    code = "import sys, order_service.main; print([name for name in sys.modules if 'opentelemetry.exporter' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("folder", ["", "spans"])
async def test_a_request_looks_for_a_tracer_only_where_spans_are_made(
    monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    looked = list[str]()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: looked.append("looked") or TracerProvider())

    async def ready() -> Mapping[str, Any]:
        return {}

    app = create_app("order", Settings(token_public_keys=PUBLIC_KEY, trace_folder=folder), ready)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.get("/health/live")).status_code == 200
    assert bool(looked) is bool(folder)
