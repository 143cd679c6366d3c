"""A floor: the services' own handlers without coordination, in one process: an event is a call to whom it concerns.

The dispatchers, stores and tables are the real ones, so each step is a transaction with inbox, journal and state. There
is no outbox, no carrier, no HTTP interface, and after a crash nobody goes on. What a mode costs beyond this is what
coordination costs.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import uvloop

from checkout.messages import Address, Checkout, Line, Money, PlaceOrder
from checkout.provider_rules import decide
from inventory_service.main import DEFINITION as INVENTORY
from loadtests.bench.peers.asynchronous import address
from loadtests.bench.peers.driver import drive
from loadtests.bench.peers.work import Order
from order_service.main import DEFINITION as ORDER
from payment_service.main import DEFINITION as PAYMENT
from sagakit.app.host import ServiceDefinition
from sagakit.engine.dispatcher import Dispatcher
from sagakit.message import Event, message_id
from sagakit.modes import MODES
from sagakit.postgres.connection import engine_for
from sagakit.postgres.store import SqlStore
from sagakit.settings import Settings
from sagakit.telemetry import Metrics
from sagakit.tokens import new_signing_key, public_half
from shipping_service.main import DEFINITION as SHIPPING

SERVICES: Final = (ORDER, INVENTORY, PAYMENT, SHIPPING)
PRICE: Final = 1200


class Nobody:
    """The mode of a service that tells nobody anything."""

    def outgoing(self, event: Event, *, again: bool = False) -> Sequence[tuple[str, Any]]:
        """No message."""
        return ()


class Checkouts:
    """The dispatchers of the four services, each of whose answers is passed on to those who react to it."""

    def __init__(self) -> None:
        self._open = AsyncExitStack()
        self._doors: dict[str, Dispatcher] = {}

    async def __aenter__(self) -> "Checkouts":
        for definition in SERVICES:
            await self._add(definition)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def _add(self, definition: ServiceDefinition) -> None:
        name = definition.service.name
        url = address(name).replace("postgresql", "postgresql+asyncpg", 1)
        given = {"SERVICE": name, "DATABASE_URL": url, "COORDINATION_MODE": next(iter(MODES))}
        settings = Settings.from_env({**given, "TOKEN_PUBLIC_KEYS": public_half(new_signing_key())})
        database = engine_for(settings.database_url, settings.db_pool)
        self._open.push_async_callback(database.dispose)
        store = SqlStore(
            database,
            definition.service.vocabulary,
            definition.rows(settings),
            settings.outbox_lease,
            settings.retry_max,
        )
        mode: Any = Nobody()
        door = Dispatcher(definition.service, store, mode, decide, lambda changes: None, Metrics())
        self._doors[name] = door
        running = asyncio.create_task(door.run())
        self._open.callback(running.cancel)

    async def buy(self, order: Order) -> None:
        """Place an order, and do all that follows from it."""
        price = Money(PRICE, "EUR")
        name, _, number = order.sku.rpartition("-")
        lines = (Line(f"{name}-{number:0>4}", order.quantity, price),)
        where = Address("A. Shopper", order.address, "Riga", "LV-1010", "LV")
        checkout = Checkout("shopper", lines, Money(PRICE * order.quantity, "EUR"), "tok_visa", where)
        placed = PlaceOrder(order.order_id, order.order_id, str(time.time_ns()), checkout)
        await self._passed_on(await self._doors["order"].do(placed))

    async def _passed_on(self, event: Any) -> None:
        reactions = [(one.service.name, one.service.reactions.get(type(event))) for one in SERVICES]
        cause = message_id(event)
        await asyncio.gather(*(self._react(name, react(event), cause) for name, react in reactions if react))

    async def _react(self, name: str, command: Any, cause: str) -> None:
        await self._passed_on(await self._doors[name].do(command, cause))


async def main() -> None:
    """Run until standard input ends."""
    async with Checkouts() as checkouts:
        await drive(checkouts.buy)


if __name__ == "__main__":
    uvloop.run(main())
