"""Telemetry: one JSON object a line, no secrets, no floods, traces that continue."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import asyncpg
import httpx
import msgspec
import pytest
from opentelemetry import trace

from sagakit.logs import RateLimit, configure_logging, redact
from sagakit.ports import StoreUnavailable
from sagakit.telemetry import Metrics, child_traceparent, new_traceparent, request_traceparent


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("order", "kafka-choreography", "DEBUG", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_is_one_json_object_with_the_fields_of_extra(log: io.StringIO) -> None:
    logging.getLogger("x").info("handled\n%s", "it", extra={"order_id": "o1", "message_id": "o1/PlaceOrder"})
    line = json.loads(log.getvalue())
    assert line["message"] == "handled\nit"
    assert (line["service"], line["mode"]) == ("order", "kafka-choreography")
    assert (line["order_id"], line["message_id"]) == ("o1", "o1/PlaceOrder")
    assert log.getvalue().count("\n") == 1


def test_secrets_never_reach_the_log(log: io.StringIO) -> None:
    logger = logging.getLogger("x")
    logger.info("Authorization: Bearer abc.def paid with tok_visa", extra={"payment_token": "hunter2"})
    logger.error("cannot reach postgresql://quartet:hunter2@db/order with eyJhbGci.eyJzdWIi.c2ln")
    try:
        raise RuntimeError("hunter2")
    except RuntimeError:
        logger.exception("failed", extra={"url": "http://a:hunter2@b"})
    for secret in ("abc.def", "tok_visa", "hunter2", "eyJ"):
        assert secret not in log.getvalue()
    assert "quartet:[redacted]@db/order" in log.getvalue()


@dataclass
class Card:
    number: str


async def _fails() -> None:
    raise ValueError("4 Elm Street")


VALUES: tuple[Any, ...] = (
    Card("4 Elm Street"),
    [Card("4 Elm Street")],
    {"card": Card("4 Elm Street")},
    b"4 Elm Street",
    ValueError("4 Elm Street"),
    KeyError("4 Elm Street"),
    msgspec.ValidationError("Invalid enum value '4 Elm Street'"),
    json.JSONDecodeError("bad", "4 Elm Street", 0),
    UnicodeEncodeError("ascii", "4 Elm Street", 0, 1, "odd"),
    ConnectionError("4 Elm Street"),
    ExceptionGroup("4 Elm Street", [ValueError("4 Elm Street")]),
    asyncpg.exceptions.DataError("invalid input for query argument $1: '4 Elm Street'"),
    aiohttp.ClientPayloadError("4 Elm Street"),
    httpx.RequestError("4 Elm Street"),
)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_an_object_or_an_error_is_logged_by_its_type_and_no_value(log: io.StringIO, value: Any) -> None:
    logger = logging.getLogger("x")
    for text in ("it was %s", "it was %r"):
        logger.warning(text, value, extra={"thing": value})
    logger.warning(value)
    logger.warning("it was %(thing)s", {"thing": value})
    try:
        try:
            raise value if isinstance(value, Exception) else ValueError(value)
        except Exception as error:
            raise RuntimeError(f"because of {error}") from error
    except RuntimeError:
        logger.exception("failed")
    assert "Elm" not in log.getvalue()
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert {"dict": "Card"}.get(kind := type(value).__name__, kind) in lines[0]["message"]
    assert "RuntimeError" in lines[-1]["exception"]
    assert "test_telemetry.py:" in lines[-1]["exception"]


def test_our_own_words_and_codes_are_logged(log: io.StringIO) -> None:
    logger = logging.getLogger("x")
    logger.warning("why: %s", StoreUnavailable("the pool is empty"))
    logger.warning("why: %r", ConnectionRefusedError(111, "refused"))
    violation = asyncpg.exceptions.UniqueViolationError("Key (street)=(4 Elm Street) exists")
    violation.constraint_name = "orders_pkey"
    logger.warning("why: %s", violation)
    said = [json.loads(line)["message"] for line in log.getvalue().splitlines()]
    assert said == [
        "why: the pool is empty",
        "why: ConnectionRefusedError: Connection refused",
        "why: UniqueViolationError (sqlstate=23505, constraint_name=orders_pkey)",
    ]


async def test_a_message_of_asyncio_about_a_task_shows_no_value(log: io.StringIO) -> None:
    task = asyncio.ensure_future(_fails())
    await asyncio.wait({task})
    said = f"Task exception was never retrieved\nfuture: {task!r}"
    logging.getLogger("asyncio").error(said, exc_info=task.exception())
    assert "Elm" not in log.getvalue()
    assert "never retrieved" in log.getvalue()


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("fails()", 1),
        ("import threading; one = threading.Thread(target=fails); one.start(); one.join()", 0),
        ("type('Odd', (), {'__del__': lambda self: fails()})()", 0),
        ("import asyncio; asyncio.run(asyncio.to_thread(fails))", 1),
    ],
)
def test_an_error_that_nobody_handles_is_logged_like_any_other(end: str, status: int) -> None:
    program = (
        "from sagakit.logs import configure_logging\n"
        "configure_logging('order', 'kafka')\n"
        "def fails():\n"
        "    raise ValueError(' '.join(['4', 'Elm', 'Street']))\n"
    )
    words = [sys.executable, "-c", program + end]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == status
    assert "4 Elm" not in done.stderr
    assert json.loads(done.stderr)["exception"].endswith("ValueError")


def test_a_value_that_json_cannot_hold_does_not_lose_the_line(log: io.StringIO) -> None:
    logging.getLogger("x").warning("odd", extra={"thing": object()})
    assert json.loads(log.getvalue())["message"] == "odd"


def test_a_noisy_logger_is_limited_and_reports_how_many_lines_were_suppressed() -> None:
    now = [0.0]
    limit = RateLimit(("aiokafka",), burst=2, period=10, clock=lambda: now[0])

    def let_through(name: str) -> logging.LogRecord | None:
        record = logging.makeLogRecord({"name": name, "msg": "cannot connect", "levelno": logging.ERROR})
        return record if limit.filter(record) else None

    assert [let_through("aiokafka.conn") is not None for _ in range(5)] == [True, True, False, False, False]
    assert all(let_through("aiokafkaesque") for _ in range(5))
    now[0] = 10.0
    record = let_through("aiokafka.conn")
    assert record is not None
    assert vars(record)["suppressed"] == 3


def test_a_child_span_stays_in_its_trace() -> None:
    parent = new_traceparent()
    child = child_traceparent(parent)
    assert child[:36] == parent[:36]
    assert child[36:52] != parent[36:52]
    unsampled = f"00-{'a' * 32}-{'b' * 16}-00"
    assert child_traceparent(unsampled).endswith("-00")


@pytest.mark.parametrize("bad", [None, "", "garbage", f"ff-{'a' * 32}-{'b' * 16}-01", f"00-{'0' * 32}-{'b' * 16}-01"])
def test_a_malformed_parent_starts_a_new_trace(bad: str | None) -> None:
    assert len(child_traceparent(bad)) == 55
    assert "0" * 32 not in child_traceparent(bad)


def test_a_request_continues_the_span_of_the_framework() -> None:
    context = trace.SpanContext(0xA, 0xB, is_remote=False, trace_flags=trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(context)):
        assert request_traceparent(new_traceparent()) == f"00-{'a':0>32}-{'b':0>16}-01"


def test_a_request_without_a_tracer_continues_the_header() -> None:
    parent = new_traceparent()
    assert request_traceparent(parent)[:36] == parent[:36]


def test_entropy_can_be_injected() -> None:
    assert new_traceparent(lambda n: "ab" * n) == f"00-{'ab' * 16}-{'ab' * 8}-01"


def test_redact_keeps_what_is_no_secret() -> None:
    assert redact("order 7 at http://host:80/x") == "order 7 at http://host:80/x"


def test_two_services_in_one_process_keep_their_metrics_apart() -> None:
    one, two = Metrics(), Metrics()
    one.commands.labels("PlaceOrder", "ok").inc()
    assert b'saga_commands_total{name="PlaceOrder",outcome="ok"} 1.0' in one.exposition()[0]
    assert b'name="PlaceOrder"' not in two.exposition()[0]


def test_whoever_accepts_openmetrics_gets_it_and_all_others_prometheus_text() -> None:
    metrics = Metrics()
    content, media_type = metrics.exposition("application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5")
    assert media_type.startswith("application/openmetrics-text")
    assert content.endswith(b"# EOF\n")
    for accept in ("", "*/*", "text/html"):
        assert metrics.exposition(accept)[1].startswith("text/plain; version=0.0.4")
