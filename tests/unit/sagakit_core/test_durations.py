"""How long sagas take, by event and outcome."""

from collections.abc import Sequence

from opentelemetry.trace import NoOpTracer

from checkout.messages import (
    CancellationSettled,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderPlaced,
)
from order_service.domain import StockSettled
from order_service.service import SERVICE
from sagakit.engine.durations import Durations
from sagakit.message import Event
from sagakit.ports import Changes, JournalRow
from sagakit.telemetry import Metrics
from sagakit.tracing import tracing
from tests.service_process import basket


class Measured:
    def __init__(self, most: int = 10) -> None:
        self.metrics, self.now = Metrics(), 0.0
        self.durations = Durations(SERVICE, self.metrics.saga_seconds, lambda: self.now, most)

    def record(self, at: float, *events: Event) -> None:
        self.now = at
        self.durations.committed(Changes([JournalRow(event, "command") for event in events]))

    def sums(self, events: Sequence[str], outcome: str) -> list[float | None]:
        value = self.metrics.registry.get_sample_value
        return [value("saga_seconds_sum", {"event": name, "outcome": outcome}) for name in events]


def placed(order_id: str) -> OrderPlaced:
    return OrderPlaced(order_id, basket(), "key", "fingerprint")


def test_each_event_of_the_owner_is_measured_from_the_start() -> None:
    this = Measured()
    this.record(1, placed("o1"))
    this.record(3, OrderConfirmed("o1"))
    this.record(4, StockSettled("o1"))
    this.record(6, OrderCompleted("o1"))
    assert this.sums(["OrderConfirmed", "StockSettled", "OrderCompleted"], "CONFIRMED") == [2, 3, 5]


def test_a_cancelled_saga_is_measured_under_its_reason() -> None:
    this = Measured()
    this.record(1, placed("o1"))
    this.record(2, OrderCancelled("o1", "OUT_OF_STOCK"))
    this.record(5, CancellationSettled("o1"))
    assert this.sums(["OrderCancelled", "CancellationSettled"], "OUT_OF_STOCK") == [1, 4]


def test_a_saga_that_was_started_elsewhere_or_has_ended_or_is_too_old_is_not_measured() -> None:
    this = Measured(most=1)
    this.record(1, OrderConfirmed("elsewhere"), placed("old"), placed("new"))
    this.record(2, OrderConfirmed("old"), OrderConfirmed("new"))
    this.record(3, OrderCompleted("new"))
    this.record(4, OrderCompleted("new"))
    assert this.sums(["OrderConfirmed", "OrderCompleted"], "CONFIRMED") == [1, 2]


def test_while_spans_are_made_a_duration_names_its_trace() -> None:
    traced = JournalRow(OrderConfirmed("o1"), "command", f"00-{'a' * 32}-{'b' * 16}-01")
    shown = {}
    for on in (False, True):
        this = Measured()
        this.record(1, placed("o1"))
        if on:
            tracing.start(NoOpTracer(), "none")
        try:
            this.durations.committed(Changes([traced]))
        finally:
            tracing.stop()
        shown[on] = this.metrics.exposition("application/openmetrics-text; version=1.0.0, text/plain")[0].decode()
    assert f'# {{trace_id="{"a" * 32}"}}' in shown[True]
    assert "trace_id" not in shown[False]
