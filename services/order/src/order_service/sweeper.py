"""The sweeper: no order is forgotten, whatever a broker or a coordinator has lost.

Orders that are still undecided at their deadline are cancelled; unfinished ones without progress have what they owe
sent again, each time after twice as long, those first that were reminded least, and no more than does good (see
`pace`). Several sweepers share the work by skipping each other's locked rows.
"""

import asyncio
import logging
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from checkout.messages import CancelOrder
from order_service.domain import TIMED_OUT
from order_service.pace import Pace
from sagakit.database import connected
from sagakit.door import Do, Forward, Item
from sagakit.participant import Participant
from sagakit.ports import StoreUnavailable

log = logging.getLogger(__name__)

NUDGE_MAX = 8.0  # after an outage everything settles within seconds

STARTED = text(
    "UPDATE orders SET nudges = 0, nudge_at = now() + make_interval(secs => :after) "
    "WHERE NOT settled AND status <> 'NEW' AND nudge_at > now() + make_interval(secs => :after)"
)
OVERDUE = text(
    "SELECT order_id FROM orders WHERE NOT settled AND status = 'PENDING' "
    "AND created_at < now() - make_interval(secs => :deadline) AND updated_at < now() - interval '1 second' "
    "ORDER BY created_at LIMIT :most_orders"
)
LATE = text(
    "SELECT count(*) FROM orders "
    "WHERE NOT settled AND status <> 'NEW' AND created_at < now() - make_interval(secs => :late)"
)
DUE = text(
    "UPDATE orders SET nudges = nudges + 1, "
    "nudge_at = now() + make_interval(secs => least(:after * power(2, least(nudges + 1, 20)), :most)) "
    "WHERE order_id IN (SELECT order_id FROM orders WHERE NOT settled AND status <> 'NEW' AND nudge_at < now() "
    "ORDER BY nudges, nudge_at, order_id LIMIT :most_orders FOR UPDATE SKIP LOCKED) RETURNING order_id"
)


@dataclass(slots=True)
class Sweeper:
    engine: AsyncEngine
    participant: Participant
    deadline: float
    nudge_after: float
    rate: int
    period: float = 0.5
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self.pace = Pace(self.rate)

    async def run(self) -> None:
        """Sweep until cancelled. At the start nudges begin anew: what has changed may have lost what was under way."""
        async with connected(self.engine) as connection, connection.begin():
            await connection.execute(STARTED, {"after": self.nudge_after})
        while True:
            await asyncio.sleep(self.period)
            try:
                await self.sweep()
            except StoreUnavailable as error:
                log.warning("the sweep is put off: %s", error)

    async def sweep(self) -> int:
        """One sweep; how many orders it found."""
        async with connected(self.engine) as connection, connection.begin():
            overdue = await connection.scalars(OVERDUE, {"deadline": self.deadline, "most_orders": self.rate})
            late = await connection.scalar(LATE, {"late": 2 * self.nudge_after})
            nudges = {
                "after": self.nudge_after,
                "most": max(NUDGE_MAX, self.nudge_after),
                "most_orders": self.pace.allowed(late),
            }
            nudged = await connection.scalars(DUE, nudges) if nudges["most_orders"] else ()
        items: dict[str, Item] = {order_id: Forward(order_id) for order_id in nudged}
        items |= {order_id: Do(CancelOrder(order_id, TIMED_OUT)) for order_id in overdue}
        if items:
            log.info("nudging %d of %d late orders", len(items), late)
            for answer in await self.participant.dispatcher.do_all(list(items.values())):
                if isinstance(answer, BaseException):
                    log.warning("a nudge failed: %s", answer)
        return len(items)
