"""A broker in memory: what the others promise, without a process, a thread or a clock of its own."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from sagakit.modes.delayed import MOST, Delayed
from sagakit.ports import Delivery, Failure, OutboxRow
from sagakit.tasks import set_within
from sagakit.topology import Subscription, Topology

POLL = 0.5


@dataclass(slots=True)
class _Queue:
    """What waits for one consumer, oldest first."""

    waiting: deque[Delivery] = field(default_factory=deque)
    filled: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, delivery: Delivery) -> None:
        self.waiting.append(delivery)
        self.filled.set()


class InMemoryBroker:
    """Shared by the transports of one event loop. Deterministic: queues are first in, first out.

    `up` may be switched off and on; `forget` is what a restart of a forgetful broker does.
    `dead_letters`: consumer -> (body, cause), oldest first.
    """

    def __init__(self) -> None:
        self.up = True
        self.dead_letters: dict[str, list[tuple[bytes, str]]] = {}
        self._queues: dict[str, _Queue] = {}
        self._subscriptions: dict[str, set[Subscription]] = {}

    def forget(self) -> None:
        """Lose all messages and the whole topology."""
        self._queues.clear()
        self._subscriptions.clear()

    def ensure(self, topology: Topology) -> None:
        self.check()
        for one in topology.subscriptions:
            self._subscriptions.setdefault(one.channel, set()).add(one)
            self._queues.setdefault(one.consumer, _Queue())

    def publish(self, rows: Sequence[OutboxRow]) -> None:
        """All rows or none: ConnectionError while down, LookupError for a channel that nobody ensured."""
        self.check()
        unknown = {row.channel for row in rows} - self._subscriptions.keys()
        if unknown:
            raise LookupError(f"no such channel: {', '.join(sorted(unknown))}")
        for row in rows:
            for consumer in sorted(s.consumer for s in self._subscriptions[row.channel] if row.type in s.types):
                self._queues[consumer].put(Delivery(row.body))

    def queue(self, consumer: str) -> _Queue:
        self.check()
        if consumer not in self._queues:
            raise LookupError(f"no such consumer: {consumer}")
        return self._queues[consumer]

    def waiting(self, consumer: str) -> int:
        """How many deliveries lie in the consumer's queue."""
        return len(self._queues[consumer].waiting) if consumer in self._queues else 0

    def check(self) -> None:
        """ConnectionError while down."""
        if not self.up:
            raise ConnectionError("the broker is down")


class InMemoryTransport:
    """What was received and not settled comes again with the next `receive`."""

    def __init__(
        self,
        broker: InMemoryBroker,
        consumer: str,
        topology: Topology,
        *,
        attempts: int = 5,
        batch: int = 500,
        retry_initial: float = 0.1,
        retry_max: float = 5.0,
    ) -> None:
        self._broker, self._consumer, self._topology = broker, consumer, topology
        self._attempts, self._batch = attempts, batch
        self._in_hand: dict[int, Delivery] = {}
        self._delayed = Delayed(retry_initial, retry_max)

    async def start(self) -> None:
        while not self._broker.up:  # noqa: ASYNC110 - the switch belongs to a test, in any thread
            await asyncio.sleep(0.05)
        self._broker.ensure(self._topology)

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        self._broker.ensure(self._topology)
        self._broker.publish(rows)

    async def receive(self) -> Sequence[Delivery]:
        if not self._broker.up:
            await asyncio.sleep(POLL)
            return []
        self._give_back()
        queue, now = self._broker.queue(self._consumer), asyncio.get_running_loop().time
        room = self._batch if len(self._delayed) < MOST * self._batch else 0
        if not (queue.waiting and room):
            queue.filled.clear()
            await set_within(queue.filled, self._delayed.wait(now(), POLL))
        batch = self._delayed.due(now())
        batch += [queue.waiting.popleft() for _ in range(min(len(queue.waiting), room))]
        self._in_hand = {id(delivery): delivery for delivery in batch}
        return batch

    async def settle(self, done: Sequence[Delivery], failed: Sequence[Failure]) -> None:
        queue = self._broker.queue(self._consumer)
        for delivery in done:
            self._in_hand.pop(id(delivery), None)
            self._delayed.drop([id(delivery)])
        for failure in failed:
            delivery = failure.delivery
            if self._in_hand.pop(id(delivery), None) is None:
                continue
            if not failure.counts:
                self._delayed.keep(id(delivery), delivery, asyncio.get_running_loop().time())
                continue
            self._delayed.drop([id(delivery)])
            if failure.poison or delivery.attempt >= self._attempts:
                self._broker.dead_letters.setdefault(self._consumer, []).append((delivery.body, failure.cause))
            else:
                queue.put(Delivery(delivery.body, attempt=delivery.attempt + 1))

    async def close(self) -> None:
        if self._broker.up:
            self._in_hand |= {id(delivery): delivery for delivery in self._delayed.clear()}
            self._give_back()

    async def probe(self) -> None:
        self._broker.check()

    def _give_back(self) -> None:
        self._broker.ensure(self._topology)
        queue = self._broker.queue(self._consumer)
        queue.waiting.extendleft(reversed(self._in_hand.values()))
        self._delayed.drop(self._in_hand)
        self._in_hand = {}
        if queue.waiting:
            queue.filled.set()
