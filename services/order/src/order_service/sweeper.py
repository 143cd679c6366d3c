"""The sweeper: no order is forgotten, whatever a broker or a coordinator has lost.

It cancels orders that are undecided at their deadline. It nudges unsettled orders that make no progress, which
publishes again what they owe: each time after twice the delay, orders with the fewest nudges first, and no more than
`nudge_rate` allows. While the system is slow, an order is as slow as the others and has lost nothing: it is nudged no
sooner than after twice the time that others take now, as a packet is sent again on a slow network. Several sweepers
share the work; each skips the rows that others have locked, so none ever waits.
Times are the database's; `clock` corrects them after a step of its clock.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from checkout.messages import CancelOrder
from order_service.clock import ClockReading, ClockSteps, FutureOrders
from order_service.domain import TIMED_OUT
from order_service.nudge_rate import NudgeRate
from order_service.queries import trace_contexts
from order_service.usual_time import UsualTime
from sagakit.engine.engine import ServiceEngine
from sagakit.ports import RowsLocked, StoreUnavailable
from sagakit.postgres.connection import connected
from sagakit.work import Execute, Item, Nudge

log = logging.getLogger(__name__)

NUDGE_MAX = 8.0  # seconds between nudges; bounded, so that everything settles within seconds after an outage
FUTURE_MAX = 10_000  # orders

# ARRAY() makes PostgreSQL find and lock the rows once. A row whose next nudge is further away than any delay is due as
# well: the clock was set back.
RESET_NUDGES = text(
    "UPDATE orders SET nudges = 0, nudge_at = now() + make_interval(secs => :after) "
    "WHERE order_id = ANY(ARRAY(SELECT order_id FROM orders WHERE NOT settled AND status <> 'NEW' "
    "AND nudge_at > now() + make_interval(secs => :after) ORDER BY order_id FOR UPDATE SKIP LOCKED))"
)
COUNT_LATE = text(
    "SELECT count(*) AS late, count(*) FILTER (WHERE created_at > now() + interval '1 second') AS ahead, "
    "CAST(extract(epoch FROM clock_timestamp()) AS float8) AS clock FROM orders WHERE NOT settled AND status <> 'NEW' "
    "AND (created_at < now() - make_interval(secs => :late) OR created_at > now() + interval '1 second')"
)
SETTLED_LATELY = text(
    "SELECT order_id, CAST(extract(epoch FROM now() - created_at) AS float8), "
    "CAST(extract(epoch FROM now() - updated_at) AS float8) FROM "
    "(SELECT order_id, created_at, updated_at, settled FROM orders ORDER BY created_at DESC LIMIT 500) AS newest "
    "WHERE settled AND updated_at > now() - interval '5 seconds' LIMIT 100"
)
FIND_FUTURE = text(
    "SELECT order_id FROM orders WHERE NOT settled AND status = 'PENDING' "
    "AND (created_at > now() + interval '1 second' OR order_id = ANY(CAST(:known AS text[]))) "
    "ORDER BY created_at LIMIT :most_orders"
)
LOCK_OVERDUE = text(
    "SELECT order_id FROM orders WHERE NOT settled AND status = 'PENDING' "
    "AND created_at < now() - make_interval(secs => :deadline) "
    "AND (updated_at < now() - interval '1 second' OR updated_at > now() + interval '1 second') "
    "ORDER BY created_at LIMIT :most_orders FOR UPDATE SKIP LOCKED"
)
LEASE_DUE_NUDGES = text(
    "UPDATE orders SET nudges = nudges + 1, "
    "nudge_at = now() + make_interval(secs => least(:after * power(2, least(nudges + 1, 20)), :most)) "
    "WHERE order_id = ANY(ARRAY(SELECT order_id FROM orders WHERE NOT settled AND status <> 'NEW' "
    "AND (nudge_at < now() OR nudge_at > now() + make_interval(secs => :most + 1)) "
    "AND (created_at < now() - make_interval(secs => :patience) OR created_at > now()) "
    "ORDER BY nudges, nudge_at, order_id LIMIT :most_orders FOR UPDATE SKIP LOCKED)) RETURNING order_id"
)


@dataclass(slots=True)
class Sweeper:
    """Sweeps the order database.

    `deadline`, `nudge_after` and `period` are seconds: within which an order has to be decided, after which an order
    without progress is nudged first, and between sweeps. `rate` bounds the nudges, and the cancellations, of a sweep.
    """

    database: AsyncEngine
    engine: ServiceEngine
    deadline: float
    nudge_after: float
    rate: int
    period: float = 0.5
    nudge_rate: NudgeRate = field(init=False)
    usual_time: UsualTime = field(init=False)
    clock_steps: ClockSteps = field(init=False)
    future_orders: FutureOrders = field(init=False)

    def __post_init__(self) -> None:
        self.nudge_rate, self.usual_time = NudgeRate(self.rate), UsualTime(self.deadline)
        self.clock_steps, self.future_orders = ClockSteps(self.deadline), FutureOrders(self.deadline)

    async def run(self) -> None:
        """Sweep until cancelled; retry while the store is unavailable.

        The first round resets the delays of all nudges, for messages under way before a restart may be lost.
        """
        started = False
        while True:
            try:
                if started:
                    await self.sweep()
                else:
                    await self.begin()
                    started = True
            except (StoreUnavailable, RowsLocked) as error:
                log.warning("the sweep is postponed: %s", error)
            await asyncio.sleep(self.period)

    async def begin(self) -> None:
        """Let no unsettled order wait longer for its next nudge than for its first."""
        async with connected(self.database) as connection, connection.begin():
            await connection.execute(RESET_NUDGES, {"after": self.nudge_after})

    async def sweep(self) -> int:
        """Cancel overdue orders and nudge late ones; return how many orders were handled."""
        async with connected(self.database) as connection, connection.begin():
            before = time.monotonic()
            counts = (await connection.execute(COUNT_LATE, {"late": 2 * self.nudge_after})).one()
            reading = ClockReading(before, counts.clock, time.monotonic())
            overdue = await self._overdue(connection, reading, counts.ahead)
            nudges = {
                "after": self.nudge_after,
                "most": max(NUDGE_MAX, self.nudge_after),
                "most_orders": self.nudge_rate.allowed(counts.late),
            }
            nudged = list(await self._late(connection, nudges)) if nudges["most_orders"] else []
            traces = await trace_contexts(connection, {*nudged, *overdue})
        items: dict[str, Item] = {order_id: Nudge(order_id, traces.get(order_id)) for order_id in nudged}
        items |= {
            order_id: Execute(CancelOrder(order_id, TIMED_OUT), None, traces.get(order_id)) for order_id in overdue
        }
        if items:
            log.info("nudging %d of %d late orders", len(items), counts.late)
            for answer in await self.engine.dispatcher.do_all(list(items.values())):
                if isinstance(answer, BaseException):
                    log.warning("a nudge failed: %s", answer)
        return len(items)

    async def _late(self, connection: AsyncConnection, nudges: dict[str, float]) -> Iterable[str]:
        """Lease the orders that are to be nudged now."""
        settled = (await connection.execute(SETTLED_LATELY)).all()
        patience = self.usual_time.patience(((row[0], row[1], row[2]) for row in settled), time.monotonic())
        nudged = list(await connection.scalars(LEASE_DUE_NUDGES, {**nudges, "patience": patience}))
        self.usual_time.nudged(nudged, time.monotonic())
        return nudged

    async def _overdue(self, connection: AsyncConnection, reading: ClockReading, future: int) -> Iterable[str]:
        """At most `rate` undecided orders past their deadline; `future` is how many have a creation time to come."""
        excess = self.clock_steps.excess(reading)
        values = {"deadline": self.deadline + excess, "most_orders": self.rate}
        overdue: set[str] = set(await connection.scalars(LOCK_OVERDUE, values))
        if future or self.future_orders.ids:
            parameters = {"known": self.future_orders.ids, "most_orders": FUTURE_MAX}
            undecided = await connection.scalars(FIND_FUTURE, parameters)
            overdue.update(self.future_orders.overdue(reading.after, undecided))
        return sorted(overdue)[: self.rate]
