"""The disowner: no money, stock or parcel stays held for an order that was never placed.

A message about an order that is not here cannot be handled, and becomes a dead letter that names its subject. Once
SAGA_DEADLINE has passed since then, an order that still is not here will never be: those who act for it are told that
it is cancelled, and undo what they did. The dead letter stays, for a human to see where the message came from.
"""

import asyncio
import logging
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from order_service.domain import DisownOrder
from sagakit.engine.dispatcher import Dispatcher
from sagakit.ports import StoreUnavailable
from sagakit.postgres.connection import connected
from sagakit.work import Execute, Item

log = logging.getLogger(__name__)

MOST = 100  # orders in one look

NOWHERE = text(
    "SELECT DISTINCT subject FROM dead_letter AS letter WHERE subject IS NOT NULL "
    "AND at < now() - make_interval(secs => :deadline) "
    "AND NOT EXISTS (SELECT 1 FROM orders WHERE order_id = letter.subject AND status <> 'NEW') LIMIT :most"
)


@dataclass(slots=True)
class Disowner:
    """`deadline`: seconds, by the database's clock, for which an order may still turn up; `period`: between looks."""

    database: AsyncEngine
    dispatcher: Dispatcher
    deadline: float
    period: float = 1.0

    async def run(self) -> None:
        """Look for such orders until cancelled."""
        while True:
            await asyncio.sleep(self.period)
            try:
                await self.look()
            except StoreUnavailable as error:
                log.warning("the look for orders that never were is put off: %s", error)

    async def look(self) -> int:
        """One look; how many orders it disowned."""
        async with connected(self.database) as connection:
            found = await connection.scalars(NOWHERE, {"deadline": self.deadline, "most": MOST})
        items: list[Item] = [Execute(DisownOrder(order_id)) for order_id in found]
        answers = await self.dispatcher.do_all(items) if items else []
        for item, answer in zip(items, answers, strict=True):
            log.warning("order %s was never placed; what was done for it is undone: %r", item.subject, answer)
        return len(items)
