"""A service as one process runs it, on a real database, with a mode in memory."""

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
        self.refused: set[str] = set()  # keys of rows that cannot be published
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
    """A ServiceContext, and shortcuts for tests."""

    mode: MemoryMode

    async def rows(self, statement: str, **values: Any) -> list[Any]:
        async with self.database.connect() as connection:
            return list(await connection.execute(text(statement), values))

    async def execute(self, statement: str) -> None:
        async with self.database.begin() as connection:
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
        await self.until("SELECT count(*) FROM outbox_waiting", 0, seconds)

    async def count(self, table: str) -> int:
        rows = await self.rows(f"SELECT count(*) FROM {table}")
        return int(rows[0][0])


def assembled(config: Settings, provider: Provider | None = None, chatty: bool = True) -> ServiceProcess:
    """The service that the settings name, with a mode in memory; nothing is opened or started."""
    defined = definition(config.service)
    database = engine_for(config.database_url, config.db_pool)
    lease, pause = config.outbox_lease, config.retry_max
    store = SqlStore(database, defined.service.vocabulary, defined.rows(config), lease=lease, pause=pause)
    mode, metrics = MemoryMode(chatty), Metrics()
    letters, outside = SqlDeadLetters(database), provider or InstantProvider(decide, defined.opened(config))
    engine = ServiceEngine(defined.service, store, mode, outside, letters, config, metrics)
    attention = Attention(database, engine, defined.concerns, period=0.1)
    process = ServiceProcess(config, database, store, letters, engine, attention, metrics, defined.final_rows)
    object.__setattr__(process, "mode", mode)
    return process


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
    """A service over `url`; with `started` off only its dispatcher runs."""
    config = Settings(
        token_public_keys=PUBLIC_KEY, service=service, database_url=url, **{"providers": "instant", **settings}
    )
    replica = assembled(config, provider, chatty)
    engine, database = replica.engine, replica.database
    dispatching = asyncio.create_task(engine.dispatcher.run()) if not started else None
    if started:
        await engine.start()
    try:
        yield replica
    finally:
        if dispatching is not None:
            dispatching.cancel()
            await asyncio.gather(dispatching, return_exceptions=True)
        await engine.stop()
        await database.dispose()


async def settled(
    service: ServiceProcess, items: Sequence[Item], seconds: float = 30
) -> list[Event | BaseException | None]:
    """The answers to all items; those whose rows another replica has locked are sent again, as a consumer does."""
    answers: list[Event | BaseException | None] = list(await service.engine.do_until_stored(items))
    async with asyncio.timeout(seconds):
        while again := [at for at, answer in enumerate(answers) if isinstance(answer, RowsLocked)]:
            await asyncio.sleep(0.01)
            for at, answer in zip(
                again, await service.engine.do_until_stored([items[at] for at in again]), strict=True
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
