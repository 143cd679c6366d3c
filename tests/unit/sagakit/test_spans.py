"""Spans as lines of a file."""

import json
from pathlib import Path
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.trace import Link

from sagakit.app.spans import FileExporter


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
