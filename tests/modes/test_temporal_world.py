"""Four services in one process, each with its own store in memory, around a Temporal server; and tests of that."""

import asyncio
import contextlib
import json
import os
import re
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

import inventory_service.service
import order_service.service
import payment_service.service
import shipping_service.service
from checkout.messages import Address, CancelOrder, Checkout, Line, Money, PlaceOrder, ReserveStock
from checkout.saga import CHECKOUT
from checkout.topology import topology_of
from inventory_service.domain import Reservation, StockItem, StockState
from order_service.domain import Order
from payment_service.domain import Payment
from sagakit.dead_letters import MemoryDeadLetters
from sagakit.engine.engine import ServiceEngine
from sagakit.message import Command, Event, message_id
from sagakit.modes.temporal import TemporalMode
from sagakit.modes.temporal.connection import connect
from sagakit.ports import CALLS, Changes, Claim, OutboxRow, RowRejected, StoreUnavailable
from sagakit.provider import ProviderCall, ProviderOutcome
from sagakit.service import Service
from sagakit.settings import Settings
from sagakit.telemetry import Metrics
from shipping_service.domain import Shipment
from tests.keys import PUBLIC_KEY

HISTORIES = Path(__file__).parents[1] / "unit" / "modes_temporal" / "histories"
SERVICES: Mapping[str, Service] = {
    module.SERVICE.name: module.SERVICE
    for module in (order_service.service, inventory_service.service, payment_service.service, shipping_service.service)
}
BLANK: Mapping[str, Callable[[str], Any]] = {
    "order": Order,
    "inventory": Reservation,
    "payment": Payment,
    "shipping": Shipment,
}


class MemoryStore:
    """A ports.Store: all tables are dicts, a transaction is a lock. `down` makes it unavailable.

    `rejects`: names of commands that it refuses, as a database refuses a row that it cannot hold.
    """

    def __init__(self, name: str) -> None:
        self.name, self.down = name, False
        self.rejects: set[str] = set()
        self.states: dict[str, Any] = {}
        self.items = {"TEA": StockItem("TEA", 10**9, 10**9)} if name == "inventory" else {}
        self.inbox: dict[str, Claim] = {}
        self.events: dict[str, Event] = {}
        self.counts: dict[str, int] = {}
        self.outbox: dict[str, tuple[OutboxRow, float]] = {}
        self._lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator["Transaction"]:
        async with self._lock:
            self.check()
            await asyncio.sleep(0)
            yield Transaction(self)

    def check(self) -> None:
        if self.down:
            raise StoreUnavailable(f"the database of {self.name} is down")

    async def recorded(self, event_ids: Sequence[str]) -> dict[str, Event]:
        self.check()
        return {key: self.events[key] for key in event_ids if key in self.events}

    async def lease_due(self, calls: bool, limit: int) -> Sequence[OutboxRow]:
        self.check()
        now = time.monotonic()
        due = [row for row, at in self.outbox.values() if at <= now and (row.channel == CALLS) == calls][:limit]
        for row in due:
            self.outbox[row.id] = (replace(row, attempts=row.attempts + 1), now + 5)
        return due

    async def delete(self, rows: Sequence[OutboxRow]) -> None:
        for row in rows:
            if row.id in self.outbox and self.outbox[row.id][0].token == row.token:
                del self.outbox[row.id]

    async def postpone(self, rows: Sequence[OutboxRow], seconds: float) -> None:
        for row in rows:
            if row.id in self.outbox:
                again = replace(row, attempts=row.attempts + 1)
                self.outbox[row.id] = (again, time.monotonic() + seconds)


class Transaction:
    """A ports.Transaction and its WorkingSet; `save` is the commit."""

    def __init__(self, store: MemoryStore) -> None:
        self._store, self._claims = store, list[Claim]()
        self._states: dict[str, Any] = {}
        self._items: dict[str, StockItem] = {}

    async def claim_and_load(
        self, claims: Sequence[Claim], commands: Sequence[Command], nudged: Sequence[str]
    ) -> tuple[set[str], "Transaction"]:
        for command in commands:
            if type(command).__name__ in self._store.rejects:
                raise RowRejected(f"{type(command).__name__} is refused")
        self._claims = list(claims)
        return {claim.id for claim in claims if claim.id not in self._store.inbox}, self

    async def recorded(self, event_ids: Iterable[str]) -> dict[str, Event]:
        return await self._store.recorded(list(event_ids))

    async def save(self, working: Any, changes: Changes) -> None:
        store = self._store
        store.check()
        store.states.update(self._states)
        store.items.update(self._items)
        for claim in self._claims:
            store.inbox.setdefault(claim.id, claim)
        for entry in changes.journal:
            key = message_id(entry.event)
            store.events.setdefault(key, entry.event)
            store.counts[key] = store.counts.get(key, 0) + 1
        for row in changes.outbox.values():
            token = time.monotonic_ns()
            changes.outbox[row.id] = leased = replace(row, token=token)
            store.outbox[row.id] = (leased, time.monotonic() + 5)

    def get(self, subject: str, command: Command | None) -> Any:
        name = self._store.name
        state = self._states.get(subject) or self._store.states.get(subject) or BLANK[name](subject)
        if name != "inventory":
            return state
        skus = set(state.lines)
        if isinstance(command, ReserveStock):
            skus |= {line.sku for line in command.checkout.lines}
        items = {**self._store.items, **self._items}
        return StockState(state, {sku: items[sku] for sku in sorted(skus & set(items))})

    def put(self, subject: str, state: Any) -> None:
        if isinstance(state, StockState):
            self._items.update(state.items)
            state = state.reservation
        self._states[subject] = state


class Outside:
    """Payment provider and carrier: says no to `no_…` tokens, at once unless `slow`."""

    def __init__(self) -> None:
        self.slow: dict[str, float] = {}
        self.silent: set[str] = set()
        self.calls: list[str] = []

    def decide_now(self, call: ProviderCall) -> ProviderOutcome | None:
        if call.operation in self.slow or call.operation in self.silent:
            return None
        return self._decide(call)

    async def call(self, call: ProviderCall) -> ProviderOutcome:
        while call.operation in self.silent:  # noqa: ASYNC110 - a test's patience
            await asyncio.sleep(0.05)
        await asyncio.sleep(self.slow.get(call.operation, 0))
        return self._decide(call)

    async def close(self) -> None: ...

    def _decide(self, call: ProviderCall) -> ProviderOutcome:
        self.calls.append(call.key)
        text = repr(call.payload)
        if call.operation == "authorize" and "no_money" in text:
            return ProviderOutcome("declined", "insufficient_funds")
        if call.operation == "book" and "XX" in text:
            return ProviderOutcome("refused", "unknown_country")
        return ProviderOutcome("ok")


class Letters(MemoryDeadLetters):
    """Remembers what it was given: bytes and cause, and how often. A step of a workflow may be done twice."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[bytes, str] = {}
        self.times: Counter[bytes] = Counter()

    async def add(self, body: bytes, cause: str, subject: str | None = None) -> None:
        self.times[body] += 1
        self.kept[body] = cause
        await super().add(body, cause, subject)


class World:
    """The four services under one style; a service may be stopped and started again with what its store holds."""

    def __init__(self, address: str, style: str = "orchestration", **changes: Any) -> None:
        values: dict[str, Any] = {"token_public_keys": PUBLIC_KEY, "temporal_address": address, "saga_deadline": 20.0}
        self.settings = Settings(**(values | changes))
        self.style, self.outside = style, Outside()
        self.stores = {name: MemoryStore(name) for name in SERVICES}
        self.letters = {name: Letters() for name in SERVICES}
        self.services: dict[str, ServiceEngine] = {}

    async def __aenter__(self) -> "World":
        await self.start(*SERVICES)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop(*self.services)

    async def start(self, *names: str) -> None:
        for name in names:
            service = SERVICES[name]
            mode = TemporalMode(self.style, self.settings, service, CHECKOUT, topology_of(self.style))
            self.services[name] = ServiceEngine(
                service, self.stores[name], mode, self.outside, self.letters[name], self.settings, Metrics()
            )
        await asyncio.gather(*(self.services[name].start() for name in names))

    async def stop(self, *names: str) -> None:
        await asyncio.gather(*(self.services.pop(name).stop() for name in names))

    async def place(self, **how: str) -> str:
        """A new order. `sku` NONE is not in stock, `token` no_money is declined, `country` XX is not served."""
        order_id = str(uuid.uuid4())
        line = Line(how.get("sku", "TEA"), 2, Money(450, "EUR"))
        address = Address("A. Customer", "1 Road", "Cork", "T12", how.get("country", "IE"))
        checkout = Checkout("c1", (line,), Money(900, "EUR"), how.get("token", "tok_ok"), address)
        await self.services["order"].dispatcher.do(PlaceOrder(order_id, f"k-{order_id}", "f", checkout))
        return order_id

    async def cancel(self, order_id: str, reason: str = "CUSTOMER_REQUESTED") -> Event | None:
        return await self.services["order"].dispatcher.do(CancelOrder(order_id, reason))

    def order(self, order_id: str) -> Order:
        order: Order = self.stores["order"].states[order_id]
        return order

    async def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s"
            await asyncio.sleep(0.005)

    async def settled(self, order_id: str, seconds: float = 20) -> str:
        """Wait for the final state; tells it as `COMPLETED` or the cancellation's reason, and checks the others."""
        await self.until(lambda: self.order(order_id).settled, seconds)
        return self.verdict(order_id)

    def verdict(self, order_id: str) -> str:
        order = self.order(order_id)
        kept = order.status == "COMPLETED"
        states = {name: self.stores[name].states[order_id].status for name in ("inventory", "payment", "shipping")}
        if kept:
            assert states == {"inventory": "COMMITTED", "payment": "CAPTURED", "shipping": "DISPATCHED"}
        else:
            assert states["inventory"] in ("RELEASED", "REJECTED")
            assert states["payment"] in ("VOIDED", "DECLINED")
            assert states["shipping"] in ("CANCELLED", "REFUSED")
        for store in self.stores.values():
            for key, count in store.counts.items():
                assert count == 1 or key.endswith(("/OrderConfirmed", "/OrderCancelled")), (key, count)
        assert kept or order.cancellation_reason
        return order.status if kept else str(order.cancellation_reason)


async def ended(world: World, workflow_id: str) -> str:
    """Wait for the workflow's own end; what it returned."""
    client = await connect(world.settings)
    async with asyncio.timeout(20):
        return str(await client.get_workflow_handle(workflow_id).result())


async def keep(world: World, workflow_id: str, name: str) -> None:
    """Store the history if RECORD_HISTORIES is set, without what identifies the machine."""
    await ended(world, workflow_id)
    if "RECORD_HISTORIES" in os.environ:
        history = await (await connect(world.settings)).get_workflow_handle(workflow_id).fetch_history()
        text = re.sub(r"\d+@[\w.-]+", "worker", history.to_json())
        text = json.dumps(_anonymous(json.loads(text)), indent=1)
        (HISTORIES / f"{name}.json").write_text(text + "\n")


def _anonymous(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _anonymous(value) for key, value in tree.items() if key not in ("identity", "workerVersion")}
    return [_anonymous(value) for value in tree] if isinstance(tree, list) else tree


async def test_a_transaction_that_fails_leaves_no_trace() -> None:
    store = MemoryStore("order")
    with contextlib.suppress(ZeroDivisionError):
        async with store.transaction() as transaction:
            transaction.put("o1", Order("o1", status="PENDING"))
            raise ZeroDivisionError
    assert not store.states
