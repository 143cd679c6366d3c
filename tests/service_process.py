"""One process's worth of a service on a real database, with a mode that stays in memory."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text

from checkout.messages import Address, Checkout, Line, Money, PlaceOrder, ReserveStock
from checkout.provider_rules import decide
from sagakit.app.attention import Attention
from sagakit.app.host import ServiceContext
from sagakit.engine.engine import ServiceEngine
from sagakit.message import Event, message_id
from sagakit.ports import Inlet, OutboxRow, Redeliver, RowsLocked
from sagakit.postgres.connection import engine_for
from sagakit.postgres.dead_letters import SqlDeadLetters
from sagakit.postgres.store import SqlStore
from sagakit.provider import InstantProvider, Provider
from sagakit.settings import Settings
from sagakit.telemetry import Metrics
from sagakit.work import Item
from tests.keys import PUBLIC_KEY
from tests.postgres import definition


class MemoryMode:
    """Publishes into a list; with `chatty` off there is nothing to publish."""

    def __init__(self, chatty: bool = True) -> None:
        self.chatty = chatty
        self.published: list[OutboxRow] = []
        self.failing = False
        self.refused: set[str] = set()  # keys of rows that no broker takes
        self.pause = 0.0

    def outgoing(self, event: Event, *, again: bool = False) -> Sequence[tuple[str, Any]]:
        return (("events", event),) if self.chatty else ()

    async def start(self, inlet: Inlet) -> Redeliver:
        async def redeliver(body: bytes) -> str | None:
            return "this mode stays in memory"

        return redeliver

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        await asyncio.sleep(self.pause)
        if self.failing:
            raise ConnectionError("no broker")
        if self.refused.intersection(row.key for row in rows):
            raise ValueError("too large")
        self.published.extend(rows)

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        pass


class ServiceProcess(ServiceContext):
    """One process of a service, with shortcuts for tests."""

    mode: MemoryMode

    async def rows(self, statement: str, **values: Any) -> list[Any]:
        async with self.engine.connect() as connection:
            return list(await connection.execute(text(statement), values))

    async def execute(self, statement: str) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(text(statement))

    async def until(self, statement: str, value: object, seconds: float = 15) -> None:
        """Wait until the first column of the first row has that value."""
        async with asyncio.timeout(seconds):
            while True:
                rows = await self.rows(statement)
                if rows[0][0] == value:
                    return
                await asyncio.sleep(0.05)

    async def drained(self, seconds: float = 15) -> None:
        await self.until("SELECT count(*) FROM outbox", 0, seconds)

    async def count(self, table: str) -> int:
        rows = await self.rows(f"SELECT count(*) FROM {table}")
        return int(rows[0][0])


@asynccontextmanager
async def service_process(
    service: str,
    url: str,
    *,
    provider: Provider | None = None,
    started: bool = True,
    chatty: bool = True,
    **settings: Any,
) -> AsyncIterator[ServiceProcess]:
    """A service over the database at `url`; without `started` only its dispatcher runs."""
    chosen = Settings(
        token_public_keys=PUBLIC_KEY, service=service, database_url=url, **{"providers": "instant", **settings}
    )
    service_definition = definition(service)
    engine = engine_for(url, chosen.db_pool)
    lease, pause = chosen.outbox_lease, chosen.retry_max
    store = SqlStore(
        engine, service_definition.service.vocabulary, service_definition.rows(chosen), lease=lease, pause=pause
    )
    mode, metrics = MemoryMode(chatty), Metrics()
    letters, outside = SqlDeadLetters(engine), provider or InstantProvider(decide, service_definition.opened(chosen))
    participant = ServiceEngine(service_definition.service, store, mode, outside, letters, chosen, metrics)
    attention = Attention(engine, participant, service_definition.concerns, period=0.1)
    this = ServiceProcess(chosen, engine, store, letters, participant, attention, metrics)
    object.__setattr__(this, "mode", mode)
    door = asyncio.create_task(participant.dispatcher.run()) if not started else None
    if started:
        await participant.start()
    try:
        yield this
    finally:
        if door is not None:
            door.cancel()
            await asyncio.gather(door, return_exceptions=True)
        await participant.stop()
        await engine.dispose()


async def settled(
    service: ServiceProcess, items: Sequence[Item], seconds: float = 30
) -> list[Event | BaseException | None]:
    """The answers to all items; items whose rows another replica has locked are sent again, as a consumer does."""
    answers: list[Event | BaseException | None] = list(await service.participant.do_until_stored(items))
    async with asyncio.timeout(seconds):
        while again := [at for at, answer in enumerate(answers) if isinstance(answer, RowsLocked)]:
            await asyncio.sleep(0.01)
            for at, answer in zip(
                again, await service.participant.do_until_stored([items[at] for at in again]), strict=True
            ):
                answers[at] = answer
    return answers


def basket(*skus: str, customer: str = "alice", country: str = "LV") -> Checkout:
    price = Money(100, "EUR")
    lines = tuple(Line(sku, 1, price) for sku in skus or ("espresso-cup",))
    address = Address("A. Customer", "1 Main St", "Riga", "LV-1010", country)
    return Checkout(customer, lines, Money(100 * len(lines), "EUR"), "tok_visa", address)


def place(order_id: str, customer: str = "alice") -> PlaceOrder:
    return PlaceOrder(order_id, f"key-{order_id}", "fingerprint", basket(customer=customer))


def reserve(order_id: str, *skus: str) -> ReserveStock:
    return ReserveStock(order_id, basket(*skus))


def names(events: Sequence[object]) -> list[str]:
    return [type(event).__name__ for event in events]


__all__ = [
    "MemoryMode",
    "ServiceProcess",
    "basket",
    "message_id",
    "names",
    "place",
    "reserve",
    "service_process",
    "settled",
]
