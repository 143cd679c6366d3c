"""The disowner: no money, stock or parcel stays held for an order that was never placed.

A message about an order that is not here cannot be handled, and becomes a dead letter that names its subject. If the
order is still not here after SAGA_DEADLINE, it never will be: the other services are told that it is cancelled, and
undo what they did for it. The dead letter stays, so that a human can see where the message came from.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from order_service.domain import DisownOrder
from sagakit.engine.dispatcher import Dispatcher
from sagakit.ports import RowRejected, RowsLocked, StoreUnavailable
from sagakit.postgres.connection import connected
from sagakit.work import Execute, HandlerFailed, Item

log = logging.getLogger(__name__)

LIMIT: Final = 100  # orders per look
REFUSED_MAX: Final = 1000
SHOWN: Final = 100  # characters of a subject in the log: it comes from a message, and may be anything

NEVER_PLACED: Final = text(
    "SELECT DISTINCT subject FROM dead_letter AS letter WHERE subject IS NOT NULL "
    "AND at < now() - make_interval(secs => :deadline) AND subject <> ALL(CAST(:refused AS text[])) "
    "AND NOT EXISTS (SELECT 1 FROM orders WHERE order_id = letter.subject AND status <> 'NEW') LIMIT :limit"
)


@dataclass(slots=True)
class Disowner:
    """Looks for orders that were never placed.

    `deadline`: seconds, by the database's clock, within which an order may still arrive; `period`: seconds between
    looks. A subject that cannot be disowned, such as one that is too long to be stored, is tried once per process.
    """

    database: AsyncEngine
    dispatcher: Dispatcher
    deadline: float
    period: float = 1.0
    _refused: list[str] = field(default_factory=list, init=False)

    async def run(self) -> None:
        """Look until cancelled; retry while the store is unavailable."""
        while True:
            await asyncio.sleep(self.period)
            try:
                await self.look()
            except (StoreUnavailable, RowsLocked) as error:
                log.warning("the look for orders that were never placed is postponed: %s", error)

    async def look(self) -> int:
        """Disown the orders that were never placed, at most LIMIT of them; return how many there were.

        Raises:
            StoreUnavailable: The store did not answer.
            RowsLocked: It did not answer in time.
        """
        values = {"deadline": self.deadline, "limit": LIMIT, "refused": self._refused}
        async with connected(self.database) as connection:
            order_ids = await connection.scalars(NEVER_PLACED, values)
        items: list[Item] = [Execute(DisownOrder(order_id)) for order_id in order_ids]
        answers = await self.dispatcher.do_all(items) if items else []
        for item, answer in zip(items, answers, strict=True):
            self._note(item.subject, answer)
        return len(items)

    def _note(self, order_id: str, answer: object) -> None:
        if not isinstance(answer, BaseException):
            log.warning("order %.*s was never placed; what was done for it is undone", SHOWN, order_id)
            return
        log.warning("order %.*s was never placed, and cannot be disowned: %.300s", SHOWN, order_id, answer)
        if isinstance(answer, HandlerFailed | RowRejected):
            self._refused = [*self._refused[1 - REFUSED_MAX :], order_id]
