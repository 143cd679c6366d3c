"""A backlog in the broker, however long, does not become one in the service."""

import asyncio
from collections.abc import Sequence

from checkout import messages as m
from checkout.messages import PUBLIC
from inventory_service.service import SERVICE
from sagakit.envelope import Envelope, encode
from sagakit.message import Command, Event
from sagakit.modes.broker import BrokerMode
from sagakit.modes.styles import Choreography
from sagakit.ports import DeadDelivery, Delivery, OutboxRow, Retry
from sagakit.work import Execute, Item

BATCH, BATCHES = 500, 40


class Backlog:
    """A transport with BATCHES batches waiting; it counts the deliveries that are received and not settled."""

    def __init__(self) -> None:
        self.received = self.settled = self.most = 0
        self.empty = asyncio.Event()

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def publish(self, rows: Sequence[OutboxRow]) -> None: ...

    async def receive(self) -> Sequence[Delivery]:
        if self.received == BATCH * BATCHES:
            self.empty.set()
            await asyncio.Event().wait()
        numbers = range(self.received, self.received + BATCH)
        self.received += BATCH
        self.most = max(self.most, self.received - self.settled)
        return [Delivery(encode(Envelope(m.OrderConfirmed(f"o{number}"), "order"), PUBLIC)) for number in numbers]

    async def settle(self, done: Sequence[Delivery], retry: Sequence[Retry], dead: Sequence[DeadDelivery]) -> None:
        self.settled += len(done)


class SlowInlet:
    """An Inlet that lets other tasks run before it answers, and counts the items that it was given at a time."""

    service = SERVICE

    def __init__(self) -> None:
        self.in_hand = self.most = 0

    async def do_until_stored(self, items: Sequence[Item]) -> Sequence[Event | BaseException | None]:
        self.in_hand += len(items)
        self.most = max(self.most, self.in_hand)
        for _ in range(10):
            await asyncio.sleep(0)
        self.in_hand -= len(items)
        assert all(isinstance(item, Execute) for item in items)
        return [m.StockCommitted(item.subject) for item in items]

    async def do(self, command: Command, cause: str | None = None, traceparent: str | None = None) -> Event | None:
        raise AssertionError("brokers hand over batches")

    async def conclude(
        self, command: Command, cause: str | None, seconds: float, traceparent: str | None = None
    ) -> Event | None:
        raise AssertionError("brokers hand over batches")

    async def dead_letter(self, body: bytes, cause: str, subject: str | None = None) -> None:
        raise AssertionError(cause)


async def test_one_batch_at_a_time_is_taken_from_a_backlog() -> None:
    transport, inlet = Backlog(), SlowInlet()
    mode = BrokerMode(Choreography(SERVICE), transport, frozenset({"inventory"}))
    await mode.start(inlet)
    task = asyncio.create_task(mode.run())
    await transport.empty.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert transport.settled == BATCH * BATCHES
    assert (transport.most, inlet.most) == (BATCH, BATCH)
