"""A broker in memory that keeps the promises of the real ones, without a process, a thread or a clock of its own."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from sagakit.modes.delayed import MOST, Delayed
from sagakit.ports import DeadDelivery, Delivery, OutboxRow, Retry
from sagakit.tasks import set_within
from sagakit.topology import Subscription, Topology

POLL = 0.5  # seconds that `receive` waits for a message


@dataclass(slots=True)
class _Queue:
    """What waits for one consumer, oldest first."""

    waiting: deque[Delivery] = field(default_factory=deque)
    filled: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, delivery: Delivery) -> None:
        self.waiting.append(delivery)
        self.filled.set()


class InMemoryBroker:
    """A broker that the transports of one event loop share. Deterministic: queues are first in, first out.

    `up` may be switched off and on. `dead_letters` maps each consumer to its (body, cause), oldest first.
    """

    def __init__(self) -> None:
        self.up = True
        self.dead_letters: dict[str, list[tuple[bytes, str]]] = {}
        self._queues: dict[str, _Queue] = {}
        self._subscriptions: dict[str, set[Subscription]] = {}

    def forget(self) -> None:
        """Lose all messages and the whole topology, as a broker without storage does when it restarts."""
        self._queues.clear()
        self._subscriptions.clear()

    def ensure(self, topology: Topology) -> None:
        """Make the queues of the topology that are missing."""
        self.check()
        for subscription in topology.subscriptions:
            self._subscriptions.setdefault(subscription.channel, set()).add(subscription)
            self._queues.setdefault(subscription.consumer, _Queue())

    def publish(self, rows: Sequence[OutboxRow]) -> None:
        """Put each row into the queues of its subscribers: all rows or none.

        Raises:
            LookupError: A channel is unknown to the broker.
        """
        self.check()
        unknown = {row.channel for row in rows} - self._subscriptions.keys()
        if unknown:
            raise LookupError(f"no such channel: {', '.join(sorted(unknown))}")
        for row in rows:
            for consumer in sorted(s.consumer for s in self._subscriptions[row.channel] if row.type in s.types):
                self._queues[consumer].put(Delivery(row.body))

    def queue(self, consumer: str) -> _Queue:
        """The queue of a consumer.

        Raises:
            LookupError: The consumer is unknown to the broker.
        """
        self.check()
        if consumer not in self._queues:
            raise LookupError(f"no such consumer: {consumer}")
        return self._queues[consumer]

    def check(self) -> None:
        """Return while the broker is up.

        Raises:
            ConnectionError: The broker is down.
        """
        if not self.up:
            raise ConnectionError("the broker is down")


class InMemoryTransport:
    """One service's end of an InMemoryBroker. What was received and not settled comes again with the next `receive`."""

    def __init__(
        self,
        broker: InMemoryBroker,
        consumer: str,
        topology: Topology,
        *,
        batch: int = 500,
        retry_initial: float = 0.1,
        retry_max: float = 5.0,
    ) -> None:
        self._broker, self._consumer, self._topology = broker, consumer, topology
        self._batch = batch
        self._in_hand: dict[int, Delivery] = {}
        self._delayed = Delayed(retry_initial, retry_max)

    async def start(self) -> None:
        """As Transport.start."""
        while not self._broker.up:  # noqa: ASYNC110 - the switch belongs to a test, in any thread
            await asyncio.sleep(0.05)
        self._broker.ensure(self._topology)

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        """As Transport.publish: all rows or none."""
        self._broker.ensure(self._topology)
        self._broker.publish(rows)

    async def receive(self) -> Sequence[Delivery]:
        """As Transport.receive; returns nothing while the broker is down."""
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

    async def settle(self, done: Sequence[Delivery], retry: Sequence[Retry], dead: Sequence[DeadDelivery]) -> None:
        """As Transport.settle. A retry that counts goes to the end of the queue."""
        queue, now = self._broker.queue(self._consumer), asyncio.get_running_loop().time()
        for delivery in done:
            self._in_hand.pop(id(delivery), None)
            self._delayed.drop([id(delivery)])
        for letter in dead:
            if self._release(letter.delivery):
                self._broker.dead_letters.setdefault(self._consumer, []).append((letter.delivery.body, letter.cause))
        for one in retry:
            delivery = one.delivery
            if one.counts:
                if self._release(delivery):
                    queue.put(Delivery(delivery.body, attempt=delivery.attempt + 1))
            elif self._in_hand.pop(id(delivery), None) is not None:
                self._delayed.keep(id(delivery), delivery, now)

    async def close(self) -> None:
        """As Transport.close."""
        if self._broker.up:
            self._in_hand |= {id(delivery): delivery for delivery in self._delayed.clear()}
            self._give_back()

    async def probe(self) -> None:
        """Raise unless the broker is up."""
        self._broker.check()

    def _release(self, delivery: Delivery) -> bool:
        """Whether the delivery was in hand; it no longer is."""
        if self._in_hand.pop(id(delivery), None) is None:
            return False
        self._delayed.drop([id(delivery)])
        return True

    def _give_back(self) -> None:
        self._broker.ensure(self._topology)
        queue = self._broker.queue(self._consumer)
        queue.waiting.extendleft(reversed(self._in_hand.values()))
        self._delayed.drop(self._in_hand)
        self._in_hand = {}
        if queue.waiting:
            queue.filled.set()
