"""What only the database knows, as metrics."""

import asyncio
from collections.abc import Callable

from checkout.messages import CancelOrder
from order_service.unsettled import UNSETTLED_BY_STATUS
from sagakit.app.gauges import Gauges
from sagakit.telemetry import Metrics
from tests.service_process import ServiceProcess, place, service_process
from tests.waits import until

Database = Callable[[str], str]


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


async def test_the_outbox_and_unsettled_orders_are_counted_with_their_ages(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        gauges = Gauges(order.database, order.metrics, UNSETTLED_BY_STATUS)
        await gauges.count()
        assert value(order.metrics, "saga_outbox_rows", kind="message") == 0
        assert value(order.metrics, "saga_unsettled", status="PENDING") is None
        for number in range(3):
            await order.engine.dispatcher.do(place(f"o{number}"))
        await order.execute("UPDATE orders SET created_at = now() - interval '1 hour' WHERE order_id = 'o1'")
        await order.execute("UPDATE outbox_batch SET created_at = now() - interval '1 minute' WHERE 'o1' = ANY(keys)")
        await gauges.count()
        assert value(order.metrics, "saga_outbox_rows", kind="message") == 3
        assert 60 <= (value(order.metrics, "saga_outbox_oldest_seconds", kind="message") or 0) < 100
        assert value(order.metrics, "saga_unsettled", status="PENDING") == 3
        assert 3600 <= (value(order.metrics, "saga_unsettled_oldest_seconds", status="PENDING") or 0) < 3700
        for number in range(3):
            await order.engine.dispatcher.do(CancelOrder(f"o{number}", "TIMED_OUT"))
        await gauges.count()
        assert value(order.metrics, "saga_unsettled", status="PENDING") == 0
        assert value(order.metrics, "saga_unsettled_oldest_seconds", status="PENDING") == 0
        assert value(order.metrics, "saga_unsettled", status="CANCELLED") == 3


async def test_gauges_keep_their_values_while_the_database_is_away(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        gauges = Gauges(order.database, order.metrics, "SELECT 1 FROM no_such_table_label", period=0.01)
        running = asyncio.create_task(gauges.run())
        await asyncio.wait({running}, timeout=10)
        assert running.done()  # a defect of the statement is no outage
        assert running.exception() is not None
        await _counts_again(order)


async def _counts_again(order: ServiceProcess) -> None:
    running = asyncio.create_task(Gauges(order.database, order.metrics, period=0.01).run())
    try:
        await until(lambda: value(order.metrics, "saga_counted_at_seconds"))
        first = value(order.metrics, "saga_counted_at_seconds")
        await until(lambda: value(order.metrics, "saga_counted_at_seconds") != first)
    finally:
        running.cancel()
