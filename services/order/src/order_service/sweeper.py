"""The sweeper: no order is forgotten, whatever a broker or a coordinator has lost.

Orders that are still undecided at their deadline are cancelled; unfinished ones without progress have what they owe
sent again, each time after twice as long, at most so many per sweep. Several sweepers share the work by skipping
each other's locked rows.
"""

import asyncio
import logging
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from checkout.messages import CancelOrder
from order_service.domain import TIMED_OUT
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
DUE = text(
    "UPDATE orders SET nudges = nudges + 1, "
    "nudge_at = now() + make_interval(secs => least(:after * power(2, least(nudges + 1, 20)), :most)) "
    "WHERE order_id IN (SELECT order_id FROM orders WHERE NOT settled AND status <> 'NEW' "
    "AND (nudge_at < now() OR (status = 'PENDING' AND created_at < now() - make_interval(secs => :deadline) "
    "AND updated_at < now() - interval '1 second')) "
    "ORDER BY created_at LIMIT :most_orders FOR UPDATE SKIP LOCKED) "
    "RETURNING order_id, status = 'PENDING' AND created_at < now() - make_interval(secs => :deadline) AS overdue"
)


@dataclass(slots=True)
class Sweeper:
    engine: AsyncEngine
    participant: Participant
    deadline: float
    nudge_after: float
    rate: int
    period: float = 0.5

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
            rows = (
                await connection.execute(
                    DUE,
                    {
                        "after": self.nudge_after,
                        "most": max(NUDGE_MAX, self.nudge_after),
                        "deadline": self.deadline,
                        "most_orders": self.rate,
                    },
                )
            ).all()
        items: list[Item] = [
            Do(CancelOrder(row.order_id, TIMED_OUT)) if row.overdue else Forward(row.order_id) for row in rows
        ]
        if items:
            log.info("nudging %d orders, %d of them overdue", len(items), sum(row.overdue for row in rows))
            for answer in await self.participant.dispatcher.do_all(items):
                if isinstance(answer, BaseException):
                    log.warning("a nudge failed: %s", answer)
        return len(items)
