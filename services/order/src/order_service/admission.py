"""Admission: whether a new order is taken, by how many are in flight in this process. `in_flight_limit` has the rule.

An order is in flight from its admission until it is settled. This process's commits tell of both; orders that another
process has settled are found by asking the database at each tick.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from itertools import islice
from typing import Final, Self

from prometheus_client import Counter, Gauge
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from checkout.messages import CancellationSettled, OrderCompleted, OrderPlaced
from order_service.in_flight_limit import LEAST, TICK, InFlightLimit
from sagakit import modes
from sagakit.app.host import ServiceContext
from sagakit.ports import Changes, RowsLocked, StoreUnavailable
from sagakit.postgres.connection import connected
from sagakit.settings import Settings
from sagakit.telemetry import Metrics
from sagakit.web.problems import Problem

log = logging.getLogger(__name__)

REMIND: Final = 10.0  # seconds between two warnings
STILL_OPEN: Final = text("SELECT order_id FROM orders WHERE order_id = ANY(CAST(:ids AS text[])) AND NOT settled")

Unsettled = Callable[[Collection[str]], Awaitable[Collection[str]]]
"""Which of these orders are not settled."""


class Overloaded(Problem):
    """503: too many orders are in flight; the same request may succeed after `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        detail = f"As many orders are in flight as can be served. Repeat the same request in {retry_after} s."
        super().__init__(503, "overloaded", detail, headers={"Retry-After": str(retry_after)})


class Admission:
    """`admitted` around each new order, `committed` after each commit of this process; `run` adjusts the limit."""

    def __init__(
        self,
        limit: InFlightLimit,
        unsettled: Unsettled,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit, self._unsettled, self._clock = limit, unsettled, clock
        self._placing: dict[str, float] = {}  # admitted and not committed yet; the times are those of the admission
        self._open: dict[str, float] = {}  # placed and not settled, oldest first
        self._ended = self._refused = 0  # since the last tick
        self._ticked = clock()
        self._warned = self._ticked - REMIND
        self._start: Callable[[], None] | None = None
        registry = metrics.registry
        in_flight = Gauge("admission_in_flight", "Orders admitted by this process and not settled", registry=registry)
        in_flight.set_function(lambda: self.in_flight)
        most = Gauge("admission_limit", "Orders that may be in flight in this process", registry=registry)
        most.set_function(lambda: limit.limit)
        self._refusals = Counter("admission_refused", "Orders refused with 503 because of overload", registry=registry)

    @classmethod
    def of(cls, context: ServiceContext) -> Self:
        """The admission of a process; its task starts with the first order."""
        settings, engine = context.settings, context.engine
        admission = cls(limit_of(settings), unsettled_in(context.database), context.metrics)
        engine.on_commit.append(admission.committed)
        admission._start = lambda: engine.background.start("admission", admission.run)
        return admission

    @property
    def in_flight(self) -> int:
        """Orders admitted by this process and not settled."""
        return len(self._placing) + len(self._open)

    @property
    def full(self) -> bool:
        """Whether a new order would be refused."""
        return self.in_flight >= self._limit.limit

    @asynccontextmanager
    async def admitted(self, order_id: str) -> AsyncIterator[None]:
        """Place the new order in this block; one that is not placed takes no room.

        Raises:
            Overloaded: There is no room.
        """
        if self._start is not None:
            self._start()
            self._start = None
        if self.full:
            self._refused += 1
            self._refusals.inc()
            raise Overloaded(self._limit.retry_after(self._clock()))
        self._placing[order_id] = self._clock()
        try:
            yield
        finally:
            self._placing.pop(order_id, None)

    def committed(self, changes: Changes) -> None:
        """Note which orders were placed and settled; to be called after every commit of this process."""
        for entry in changes.journal:
            match entry.event:
                case OrderPlaced(order_id):
                    if (admitted := self._placing.pop(order_id, None)) is not None:
                        self._open[order_id] = admitted
                case OrderCompleted(order_id) | CancellationSettled(order_id):
                    self._end(order_id)

    async def run(self) -> None:
        """Adjust the limit at each tick, until cancelled."""
        while True:
            await asyncio.sleep(TICK)
            try:
                await self.find_settled()
            except (StoreUnavailable, RowsLocked) as error:
                log.info("orders settled by other processes are looked for later: %s", error)
            self.tick()

    async def find_settled(self) -> None:
        """Find the orders that other processes have settled."""
        if asked := list(self._open):
            still_open = await self._unsettled(asked)
            for order_id in set(asked).difference(still_open):
                self._end(order_id)

    def tick(self) -> None:
        """Adjust the limit to what has ended since the last tick, and log a warning where orders were refused."""
        now = self._clock()
        median = next(islice(self._open.values(), len(self._open) // 2, None), now)
        self._limit.observe(self._ended, max(now - self._ticked, TICK), now - median)
        self._ended, self._ticked = 0, now
        if self._refused and now - self._warned >= REMIND:
            log.warning(
                "overload: %d new orders were refused with 503; %d are in flight, the limit is %d, %.0f end a second",
                self._refused,
                self.in_flight,
                self._limit.limit,
                self._limit.rate,
            )
            self._warned, self._refused = now, 0

    def _end(self, order_id: str) -> None:
        if self._open.pop(order_id, None) is not None:
            self._ended += 1


def limit_of(settings: Settings) -> InFlightLimit:
    """The limit before anything is measured: that of the settings, or of the mode."""
    free = settings.admission_free or modes.MODES[modes.resolve(settings.coordination_mode)].in_flight
    least = min(LEAST, settings.admission_free or LEAST)
    return InFlightLimit(free, settings.admission_latency, settings.saga_deadline, least)


def unsettled_in(database: AsyncEngine) -> Unsettled:
    """Asks the order database."""

    async def unsettled(order_ids: Collection[str]) -> Collection[str]:
        async with connected(database) as connection:
            return set(await connection.scalars(STILL_OPEN, {"ids": list(order_ids)}))

    return unsettled
