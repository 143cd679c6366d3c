"""The four services in one process, with their engines, modes and applications, and neither sockets nor disks.

Databases and the broker are in memory. All that is left of an order is the Python that the services run for it: from
the door of the order service to the last commit, with batches as large as the groups in which orders are placed.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from itertools import count
from typing import Any, Final, cast
from unittest.mock import Mock

from uvicorn.server import ServerState

from checkout.messages import OrderCompleted, PlaceOrder
from checkout.saga import CHECKOUT
from checkout.topology import topology_of
from inventory_service.domain import StockItem
from loadtests.door import Transport
from quartet_stack.settings import SERVICES
from sagakit.app.host import ServiceDefinition
from sagakit.app.operations import operations_router
from sagakit.app.server import Server
from sagakit.engine.durations import Durations
from sagakit.engine.engine import ServiceEngine
from sagakit.message import Command, Event, id_of
from sagakit.modes.broker import BrokerMode
from sagakit.modes.inmemory import InMemoryBroker, InMemoryTransport
from sagakit.modes.styles import style_of
from sagakit.ports import Changes, Claim, OutboxRow
from sagakit.provider import InstantProvider, ProviderCall, ProviderOutcome
from sagakit.settings import Settings
from sagakit.telemetry import Metrics, new_traceparent
from sagakit.tokens import new_signing_key, public_half
from sagakit.topology import CHOREOGRAPHY
from sagakit.web.app import create_app, issue_token
from tests.simulation.memory import Database, Working
from tests.simulation.scenario import order
from tests.simulation.sealed import decide_opened
from tests.waits import until

STOCK: Final = 10**9


class MemoryStore:
    """`ports.Store` and `ports.Transaction` over tables in memory; what is asked of it takes a turn of the loop."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.forget()

    def forget(self) -> None:
        """Begin anew, with all the stock."""
        self._database = Database(self._name)
        if self._name == "inventory":
            self._database.items = {"cup": StockItem("cup", received=STOCK, available=STOCK)}

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["MemoryStore"]:
        """A transaction; the dispatcher has one at a time."""
        await asyncio.sleep(0)
        yield self
        await asyncio.sleep(0)

    async def claim_and_load(
        self, claims: Sequence[Claim], commands: Sequence[Command], nudged: Sequence[str]
    ) -> tuple[set[str], Working]:
        """As Transaction.claim_and_load."""
        self._claims = claims
        return self._database.unclaimed(claims), self._database.working()

    async def recorded(self, event_ids: Iterable[str]) -> dict[str, Event]:
        """As Transaction.recorded and Store.recorded."""
        return self._database.recorded(event_ids)

    async def save(self, working: Any, changes: Changes) -> None:
        """As Transaction.save."""
        self._database.save(working, self._claims, changes, 0)

    async def lease_due(self, calls: bool, limit: int) -> Sequence[OutboxRow]:
        """As Store.lease_due: nothing is left behind."""
        return ()

    async def delete(self, rows: Sequence[OutboxRow]) -> None:
        """As Store.delete."""
        for row in rows:
            self._database.outbox.pop(row.id, None)

    async def postpone(self, rows: Sequence[OutboxRow], seconds: float) -> None:
        """As Store.postpone: nothing fails here."""


class CalledProvider(InstantProvider):
    """A provider that has to be called, as over HTTP; it answers after a turn of the loop."""

    async def call(self, call: ProviderCall) -> ProviderOutcome:
        """The outcome."""
        await asyncio.sleep(0)
        return await super().call(call)

    def decide_now(self, call: ProviderCall) -> ProviderOutcome | None:
        """None."""
        return None


class Reader(Transport):
    """The other end of a connection, which counts the events that it gets."""

    events = 0

    def write(self, data: Any) -> None:
        """Take a part of the answer."""
        self.events += bytes(data).count(b"\ndata: ")


class Shop:
    """The services, started; `place` has orders run to their end."""

    def __init__(self, providers: str, style: str = CHOREOGRAPHY) -> None:
        self._numbers, self._key, self.latest = count(), new_signing_key(), ""
        self._stores = {name: MemoryStore(name) for name in SERVICES}
        self._broker, self._topology = InMemoryBroker(), topology_of(style)
        self._style, self._providers = style, providers
        self.engines: dict[str, ServiceEngine] = {}
        self._servers: dict[str, Server] = {}
        for name in SERVICES:
            self._add(name)

    def _add(self, name: str) -> None:
        definition: ServiceDefinition = import_module(f"{name}_service.main").DEFINITION
        service, metrics = definition.service, Metrics()
        given = {"TOKEN_PUBLIC_KEYS": public_half(self._key), "SERVICE": name, "COORDINATION_MODE": "kafka"}
        # a call for which there is no room would wait until its lease ends, and no lease ends here
        settings = Settings.from_env({**given, "PROVIDER_CONCURRENCY": "1000"})
        transport = InMemoryTransport(self._broker, name, self._topology)
        mode = BrokerMode(style_of(self._style, service, CHECKOUT), transport, frozenset(self._topology.channels))
        made = CalledProvider if self._providers == "sandbox" else InstantProvider
        store: Any = self._stores[name]
        engine = ServiceEngine(service, store, mode, made(decide_opened), Mock(), settings, metrics)
        if service.progress is not None:
            engine.on_commit.append(Durations(service, metrics.saga_seconds).committed)
        context = Mock(settings=settings, engine=engine, metrics=metrics, final_rows=definition.final_rows)
        routers = [operations_router(cast(Any, context), _nobody)]
        server = Server(create_app(name, settings, _ready, routers=routers, metrics=metrics), settings)
        server.config.load()
        self.engines[name], self._servers[name] = engine, server

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Shop"]:
        """Start the services, and stop them."""
        async with AsyncExitStack() as closing:
            for engine in self.engines.values():
                await engine.start()
                closing.push_async_callback(engine.stop)
            await until(lambda: all(engine.connected for engine in self.engines.values()))
            yield self

    async def place(self, orders: int) -> None:
        """Place that many orders at once, as requests do, and wait for their ends.

        Raises:
            TimeoutError: One has not completed.
        """
        made = [order(f"order-{next(self._numbers)}") for _ in range(orders)]
        self.latest = made[-1].order_id
        await asyncio.gather(*map(self._checkout, made))

    async def _checkout(self, command: PlaceOrder) -> None:
        engine = self.engines["order"]
        await engine.dispatcher.do(command, traceparent=new_traceparent())
        if await engine.watcher.wait([id_of(command.order_id, OrderCompleted)], 20) is None:
            raise TimeoutError(f"{command.order_id} has not completed")

    def forget(self) -> None:
        """Empty the tables, so that their size does not grow."""
        for store in self._stores.values():
            store.forget()

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[Sequence[Reader]]:
        """An operator follows /activity of each service, by its own protocol of HTTP."""
        token, connections = issue_token(self._key, "operator", "admin"), []
        head = ("GET /activity HTTP/1.1", "Host: 127.0.0.1:8001", f"Authorization: Bearer {token}")
        for server in self._servers.values():
            make = cast(Any, server.config.http_protocol_class)
            protocol = make(config=server.config, server_state=ServerState(), app_state={})
            reader = Reader()
            protocol.connection_made(reader)
            protocol.data_received("\r\n".join((*head, "", "")).encode())
            connections.append((protocol, reader))
        await until(lambda: all(engine.activity.followed for engine in self.engines.values()))
        try:
            yield [reader for _, reader in connections]
        finally:
            for protocol, _ in connections:
                protocol.connection_lost(None)
            await until(lambda: not any(engine.activity.followed for engine in self.engines.values()))


async def _nobody(order_id: str) -> str | None:
    return None


async def _ready() -> Mapping[str, Any]:
    return {}
