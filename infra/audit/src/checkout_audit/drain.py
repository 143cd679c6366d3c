"""Draining: wait until nothing is in flight, as far as the four databases know."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, and_, exists, func, literal, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from checkout.messages import SERVICES
from checkout_audit.errors import Unreachable
from checkout_audit.loading import engine_of, unreachable
from checkout_audit.snapshot import PLACEHOLDER
from checkout_audit.state_machines import ENDED_CALL
from checkout_audit.tables import METADATA
from order_service.store import ORDERS

PAUSE: Final = 0.25
QUIET_LOOKS: Final = 2
"""So many looks in a row must find nothing: between two outboxes a message is in neither."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """How many orders are unsettled, messages unpublished, and calls to providers open."""

    orders: int = 0
    messages: int = 0
    calls: int = 0

    def __bool__(self) -> bool:
        return bool(self.orders or self.messages or self.calls)

    def __add__(self, other: "InFlight") -> "InFlight":
        return InFlight(self.orders + other.orders, self.messages + other.messages, self.calls + other.calls)

    def __str__(self) -> str:
        return f"{self.orders} orders unsettled, {self.messages} messages and {self.calls} provider calls waiting"


def _statement(service: str) -> Select[Any]:
    outbox, inbox = METADATA[service].tables["outbox"].c, METADATA[service].tables["inbox"].c
    subject = func.split_part(outbox.id, "/", 1)
    ends = [and_(outbox.type == operation, inbox.id == subject + f"/{name}") for name, operation in ENDED_CALL.items()]
    wanted = and_(outbox.is_call, ~exists().where(or_(*ends)))
    waiting = select(func.count().filter(~outbox.is_call), func.count().filter(wanted)).subquery()
    open_orders: Any = literal(0)
    if service == "order":
        unsettled = select(func.count()).where(~ORDERS.c.settled, ORDERS.c.status != PLACEHOLDER)
        open_orders = unsettled.scalar_subquery()
    return select(open_orders, waiting)


async def _look(service: str, engine: AsyncEngine) -> InFlight:
    try:
        async with engine.connect() as connection:
            return InFlight(*(await connection.execute(_statement(service))).one())
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        raise unreachable(service, error) from error


async def drain(
    databases: Mapping[str, str], seconds: float, progress: Callable[[InFlight], None] = lambda found: None
) -> InFlight:
    """Wait, at most `seconds`; what was in flight at the last look, falsy if nothing. Raises Unreachable."""
    if missing := [service for service in SERVICES if service not in databases]:
        raise Unreachable(
            f"the address of the {missing[0]} database is not known; set {missing[0].upper()}_DATABASE_URL"
        )
    engines = {service: engine_of(databases[service]) for service in SERVICES}
    give_up = time.monotonic() + seconds
    quiet = 0
    try:
        while True:
            looks = await asyncio.gather(*(_look(service, engine) for service, engine in engines.items()))
            found = sum(looks, InFlight())
            progress(found)
            quiet = 0 if found else quiet + 1
            if quiet >= QUIET_LOOKS or time.monotonic() >= give_up:
                return found
            await asyncio.sleep(PAUSE)
    finally:
        for engine in engines.values():
            await engine.dispose()
