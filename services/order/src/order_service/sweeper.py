"""The sweeper: no order is forgotten, whatever a broker or a coordinator has lost.

Orders that are still undecided at their deadline are cancelled; unfinished ones without progress have what they owe
sent again, each time after twice as long, those first that were reminded least, and no more than does good (see
`pace`). Several sweepers share the work by skipping each other's locked rows, and nobody's lock holds a sweep up.
Times are the database's; what a step of its clock would do to orders in flight is told from time in `clock`.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from checkout.messages import CancelOrder
from order_service.clock import Ahead, Look, Steps
from order_service.domain import TIMED_OUT
from order_service.nudge_rate import NudgeRate
from sagakit.engine.engine import ServiceEngine
from sagakit.ports import RowsLocked, StoreUnavailable
from sagakit.postgres.connection import connected
from sagakit.work import Execute, Item, Nudge

log = logging.getLogger(__name__)

NUDGE_MAX = 8.0  # after an outage everything settles within seconds
AHEAD_MAX = 10_000

# ARRAY(): the rows are looked for and locked once. One whose next nudge is further away than any nudge is due: the
# clock was set back.
RESET_NUDGES = text(
    "UPDATE orders SET nudges = 0, nudge_at = now() + make_interval(secs => :after) "
    "WHERE order_id = ANY(ARRAY(SELECT order_id FROM orders WHERE NOT settled AND status <> 'NEW' "
    "AND nudge_at > now() + make_interval(secs => :after) ORDER BY order_id FOR UPDATE SKIP LOCKED))"
)
LATE = text(
    "SELECT count(*) AS late, count(*) FILTER (WHERE created_at > now() + interval '1 second') AS ahead, "
    "CAST(extract(epoch FROM clock_timestamp()) AS float8) AS clock FROM orders WHERE NOT settled AND status <> 'NEW' "
    "AND (created_at < now() - make_interval(secs => :late) OR created_at > now() + interval '1 second')"
)
AHEAD = text(
    "SELECT order_id FROM orders WHERE NOT settled AND status = 'PENDING' "
    "AND (created_at > now() + interval '1 second' OR order_id = ANY(CAST(:seen AS text[]))) "
    "ORDER BY created_at LIMIT :most_orders"
)
OVERDUE = text(
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
    "ORDER BY nudges, nudge_at, order_id LIMIT :most_orders FOR UPDATE SKIP LOCKED)) RETURNING order_id"
)


@dataclass(slots=True)
class Sweeper:
    database: AsyncEngine
    engine: ServiceEngine
    deadline: float
    nudge_after: float
    rate: int
    period: float = 0.5
    pace: NudgeRate = field(init=False)
    steps: Steps = field(init=False)
    ahead: Ahead = field(init=False)

    def __post_init__(self) -> None:
        self.pace = NudgeRate(self.rate)
        self.steps, self.ahead = Steps(self.deadline), Ahead(self.deadline)

    async def run(self) -> None:
        """Sweep until cancelled. At the start nudges begin anew: what has changed may have lost what was under way."""
        started = False
        while True:
            try:
                if started:
                    await self.sweep()
                else:
                    await self.begin()
                    started = True
            except (StoreUnavailable, RowsLocked) as error:
                log.warning("the sweep is put off: %s", error)
            await asyncio.sleep(self.period)

    async def begin(self) -> None:
        """Let no unfinished order wait for its next nudge longer than for its first."""
        async with connected(self.database) as connection, connection.begin():
            await connection.execute(RESET_NUDGES, {"after": self.nudge_after})

    async def sweep(self) -> int:
        """One sweep; how many orders it found."""
        async with connected(self.database) as connection, connection.begin():
            before = time.monotonic()
            seen = (await connection.execute(LATE, {"late": 2 * self.nudge_after})).one()
            overdue = await self._overdue(connection, Look(before, seen.clock, time.monotonic()), seen.ahead)
            nudges = {
                "after": self.nudge_after,
                "most": max(NUDGE_MAX, self.nudge_after),
                "most_orders": self.pace.allowed(seen.late),
            }
            nudged = await connection.scalars(LEASE_DUE_NUDGES, nudges) if nudges["most_orders"] else ()
        items: dict[str, Item] = {order_id: Nudge(order_id) for order_id in nudged}
        items |= {order_id: Execute(CancelOrder(order_id, TIMED_OUT)) for order_id in overdue}
        if items:
            log.info("nudging %d of %d late orders", len(items), seen.late)
            for answer in await self.engine.dispatcher.do_all(list(items.values())):
                if isinstance(answer, BaseException):
                    log.warning("a nudge failed: %s", answer)
        return len(items)

    async def _overdue(self, connection: AsyncConnection, look: Look, ahead: int) -> Iterable[str]:
        """Undecided orders past their deadline, `rate` at most; `ahead`: how many say that they are yet to be made."""
        step = self.steps.noticed(look)
        values = {"deadline": self.deadline + step, "most_orders": self.rate}
        overdue: set[str] = set(await connection.scalars(OVERDUE, values))
        if ahead or self.ahead.seen:
            known = await connection.scalars(AHEAD, {"seen": self.ahead.seen, "most_orders": AHEAD_MAX})
            overdue.update(self.ahead.overdue(look.after, known))
        return sorted(overdue)[: self.rate]
