"""`python -m loadtests.transactions`: what an order's transactions cost, in microseconds of Python and of PostgreSQL.

Orders are carried through the four databases of the running native stack in batches, by the services' own rules and
statements, without HTTP, a carrier and other processes. The figures are for one order: the CPU of this process, and of
the four PostgreSQL processes that serve it. Of all rounds, the one with the least counts.

Settings: BATCH (100), ROUNDS (30; the first eight are not counted). Exit status 0, or 2 if no stack is running.
"""

import asyncio
import gc
import os
import random
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple, cast

import uvloop
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from checkout.catalogue import CATALOGUE
from checkout.messages import Address, Checkout, Line, Money, PlaceOrder
from checkout.topology import SUBSCRIPTIONS
from inventory_service.store import InventoryRows
from order_service.store import rows as order_rows
from payment_service.store import ROWS as PAYMENTS
from quartet_stack import api
from quartet_stack.errors import StackError
from quartet_stack.settings import SERVICES
from sagakit import envelope
from sagakit.engine.batch import apply_batch, claims
from sagakit.modes.styles import Choreography
from sagakit.ports import Changes, Mode, OutboxRow, StoreUnavailable
from sagakit.postgres.connection import engine_for
from sagakit.postgres.rows import Rows
from sagakit.postgres.store import SqlStore
from sagakit.provider import ProviderOutcome
from sagakit.service import Service
from sagakit.work import Execute, Item
from shipping_service.store import ROWS as SHIPMENTS

WARM: Final = 8  # rounds in which statements are prepared and planned
ROWS: Final[Mapping[str, Rows]] = {
    "order": order_rows(5),
    "payment": PAYMENTS,
    "inventory": InventoryRows(),
    "shipping": SHIPMENTS,
}
SKUS: Final = [product.sku for product in CATALOGUE if product.stock > 1000]
OK: Final = ProviderOutcome("ok")


class Cost(NamedTuple):
    """Microseconds for an order of what a service did: a command, or the deletion of published messages."""

    service: str
    what: str
    python: float
    postgres: float


@dataclass(slots=True)
class Door:
    """One service on its database. `python` and `postgres`: microseconds by the name of what was done."""

    service: Service
    mode: Choreography
    engine: AsyncEngine
    store: SqlStore
    backend: int
    python: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    postgres: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @classmethod
    async def open(cls, name: str, url: str) -> "Door":
        """Connect to the database of that service."""
        service: Service = import_module(f"{name}_service.service").SERVICE
        engine = engine_for(url, 1, 0)
        async with engine.connect() as connection:
            backend: int = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        return cls(service, Choreography(service), engine, SqlStore(engine, service.vocabulary, ROWS[name]), backend)

    async def execute(self, items: Sequence[Item]) -> Sequence[OutboxRow]:
        """Execute a batch of commands, and delete the messages that it leads to as if they were published."""
        began = self._used()
        changes = await self._transaction(items)
        name = type(items[0].command).__name__ if isinstance(items[0], Execute) else ""
        began = self._count(name, began)
        rows = list(changes.outbox.values())
        await self.store.delete(rows)
        self._count("delete", began)
        return rows

    async def _transaction(self, items: Sequence[Item]) -> Changes:
        commands = [item.command for item in items if isinstance(item, Execute)]
        async with self.store.transaction() as transaction:
            fresh, working = await transaction.claim_and_load(claims(items), commands, [])
            token = random.getrandbits(62)
            _, changes = apply_batch(
                self.service, cast(Mode, self.mode), items, fresh, working, {}, lambda call: OK, token
            )
            await transaction.save(working, changes)
        return changes

    def _used(self) -> tuple[float, float]:
        ran = Path(f"/proc/{self.backend}/schedstat").read_text().split()[0]
        return time.process_time() * 1e6, int(ran) / 1e3

    def _count(self, name: str, began: tuple[float, float]) -> tuple[float, float]:
        now = self._used()
        self.python[name] += now[0] - began[0]
        self.postgres[name] += now[1] - began[1]
        return now


def orders(number: int) -> list[Item]:
    """Commands to place so many orders."""
    address = Address("A. Customer", "1 Main St", "Riga", "LV-1010", "LV")
    items: list[Item] = []
    for sku in random.choices(SKUS, k=number):
        lines = (Line(sku, 1, Money(1999, "EUR")),)
        checkout = Checkout("a-customer", lines, lines[0].unit_price, "tok_visa", address)
        identity = str(uuid.uuid4())
        items.append(Execute(PlaceOrder(identity, identity, "0" * 64, checkout)))
    return items


async def carry(doors: dict[str, Door], rows: Sequence[OutboxRow]) -> None:
    """Give messages to the services that subscribe to them, and so on, until none is left."""
    for name, kinds in SUBSCRIPTIONS.items():
        wanted, door = {kind.__name__ for kind in kinds}, doors[name]
        read = [envelope.decode(row.body, door.service.wire) for row in rows if row.type in wanted]
        if items := [item for one in read if (item := door.mode.accept(one)) is not None]:
            await carry(doors, await door.execute(items))


async def measure(databases: Mapping[str, str], batch: int, rounds: int) -> list[Cost]:
    """What the transactions of an order cost: those of the round with the least of PostgreSQL's time."""
    doors = {name: await Door.open(name, url) for name, url in databases.items()}
    best: list[Cost] = []
    for number in range(WARM + rounds):
        for door in doors.values():
            door.python.clear()
            door.postgres.clear()
        await carry(doors, await doors["order"].execute(orders(batch)))
        costs = [
            Cost(name, what, door.python[what] / batch, used / batch)
            for name, door in doors.items()
            for what, used in door.postgres.items()
        ]
        if number >= WARM and (not best or total(costs).postgres < total(best).postgres):
            best = costs
    for door in doors.values():
        await door.engine.dispose()
    return best


def total(costs: Sequence[Cost]) -> Cost:
    """All of it."""
    return Cost("all", "", sum(cost.python for cost in costs), sum(cost.postgres for cost in costs))


def main() -> int:
    """Measure the running stack; returns the exit status."""
    try:
        stack = api.stack_environment()
        databases = {name: stack[f"{name.upper()}_DATABASE_URL"] for name in SERVICES}
        batch, rounds = int(os.environ.get("BATCH", "100")), int(os.environ.get("ROUNDS", "30"))
        gc.set_threshold(20_000, 20, 50)  # as in the services
        uvloop.install()
        costs = asyncio.run(measure(databases, batch, rounds))
    except (StackError, StoreUnavailable, OSError, KeyError) as error:
        print(
            f"nothing was measured: {error}; start a stack with: make up MODE=kafka PROVIDERS=instant", file=sys.stderr
        )
        return 2
    for cost in (*costs, total(costs)):
        print(f"{cost.service:10} {cost.what:24} Python {cost.python:6.1f} µs, PostgreSQL {cost.postgres:6.1f} µs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
