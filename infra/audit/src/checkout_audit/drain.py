"""Draining: waiting until the four databases show nothing in flight."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, and_, exists, func, literal, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from checkout.messages import SERVICES
from checkout_audit.commands import ENDED_CALL
from checkout_audit.errors import DatabaseUnreachable, Unreachable
from checkout_audit.loading import engine_of
from checkout_audit.snapshot import PLACEHOLDER
from checkout_audit.tables import METADATA
from order_service.store import ORDERS
from sagakit.postgres.tables import WAITING

PAUSE: Final = 0.25  # seconds
QUIET_LOOKS: Final = 2
"""Looks in a row that must find nothing, for a message on its way between two outboxes is in neither."""


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
    outbox, inbox = WAITING.c, METADATA[service].tables["inbox"].c
    subject = func.split_part(outbox.id, "/", 1)
    ends = [and_(outbox.type == operation, inbox.id == subject + f"/{name}") for name, operation in ENDED_CALL.items()]
    open_calls = and_(outbox.is_call, ~exists().where(or_(*ends)))
    waiting = select(func.count().filter(~outbox.is_call), func.count().filter(open_calls)).subquery()
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
        raise DatabaseUnreachable(f"the {service} database", error) from error


async def drain(
    databases: Mapping[str, str], seconds: float, on_wait: Callable[[InFlight], None] = lambda in_flight: None
) -> InFlight:
    """Wait, at most `seconds`, until nothing is in flight; return what was in flight at the last look.

    Raises:
        Unreachable: A database cannot be read.
    """
    if missing := [service for service in SERVICES if service not in databases]:
        raise Unreachable(
            f"the address of the {missing[0]} database is not known; set {missing[0].upper()}_DATABASE_URL"
        )
    engines = {service: engine_of(databases[service]) for service in SERVICES}
    deadline = time.monotonic() + seconds
    quiet = 0
    try:
        while True:
            looks = await asyncio.gather(*(_look(service, engine) for service, engine in engines.items()))
            in_flight = sum(looks, InFlight())
            on_wait(in_flight)
            quiet = 0 if in_flight else quiet + 1
            if quiet >= QUIET_LOOKS or time.monotonic() >= deadline:
                return in_flight
            await asyncio.sleep(PAUSE)
    finally:
        for engine in engines.values():
            await engine.dispose()
