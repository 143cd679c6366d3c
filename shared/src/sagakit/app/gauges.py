"""Metrics that only the database knows, counted every few seconds: the outbox, and what is not settled.

Each replica counts all of it, so queries take the maximum over replicas. While the store is unavailable the gauges
keep their last values, and `saga_counted_at_seconds` shows how old they are.
"""

import asyncio
import logging
import time
from typing import Final

from prometheus_client import Gauge
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sagakit.ports import Mode, RowsLocked, StoreUnavailable
from sagakit.postgres.connection import connected
from sagakit.telemetry import Metrics

log = logging.getLogger(__name__)

PERIOD: Final = 5.0  # seconds
_OUTBOX: Final = (
    "SELECT CASE WHEN is_call THEN 'call' ELSE 'message' END AS label, count(*) AS number, "
    "CAST(extract(epoch FROM clock_timestamp() - min(created_at)) AS float8) AS age "
    "FROM outbox_waiting GROUP BY is_call"
)


class Gauges:
    """Counts until cancelled. `unsettled`: a SELECT of label, number and age in seconds; empty for none."""

    def __init__(self, database: AsyncEngine, metrics: Metrics, unsettled: str = "", period: float = PERIOD) -> None:
        self._single = database.execution_options(isolation_level="AUTOCOMMIT")
        self._period, self._counted_at = period, metrics.counted_at
        self._counts = [(text(_OUTBOX), metrics.outbox_rows, metrics.outbox_oldest, {"call", "message"})]
        if unsettled:
            self._counts.append((text(unsettled), metrics.unsettled, metrics.unsettled_oldest, set()))

    async def run(self) -> None:
        """Count every `period` seconds until cancelled."""
        while True:
            try:
                await self.count()
            except (StoreUnavailable, RowsLocked) as error:
                log.info("the gauges keep their values: %s", error)
            await asyncio.sleep(self._period)

    async def count(self) -> None:
        """Count once; a label that was seen before, and has no rows now, becomes 0."""
        async with connected(self._single) as connection:
            for statement, numbers, ages, labels in self._counts:
                rows = {row.label: row for row in await connection.execute(statement)}
                labels.update(rows)
                for label in labels:
                    row = rows.get(label)
                    numbers.labels(label).set(row.number if row else 0)
                    ages.labels(label).set(max(0.0, row.age) if row else 0.0)
        self._counted_at.set(time.time())


def watch_lag(gauge: Gauge, mode: Mode) -> None:
    """Show the lag of a mode that knows it (`sagakit.modes.broker`)."""
    lag = getattr(mode, "lag", None)
    if lag is not None:
        gauge.set_function(lag)
