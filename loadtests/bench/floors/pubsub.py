"""`python -m loadtests.bench.floors.pubsub [SECONDS]`: what the emulator of Pub/Sub can carry at most.

The stack is up in a mode over Pub/Sub, has carried orders and is quiet (`make up MODE=pubsub`, `make load`). Messages
of the same kinds and sizes then go through topics and subscriptions of the same wiring and other names, with Google's
client as the services use it and nothing else. Figures go to standard output as JSON.
"""

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import Any, Final

from loadtests.bench.floors.saturation import ALONE, PUBLISHERS, UnderWay, cancelled, command, saturated
from loadtests.bench.floors.shape import Kind, apart, body, hops, recorded, stream
from loadtests.bench.measure import Stopwatch
from loadtests.bench.record import Usage
from sagakit.modes.pubsub.client import Client
from sagakit.modes.pubsub.topology import Names, ensure, subscription_of, topic_of
from sagakit.modes.pubsub.wire import new_message
from sagakit.settings import Settings
from sagakit.topology import Topology

BATCH: Final = 100  # messages that one request publishes or pulls
PULLS: Final = 2  # requests at a time for each subscription
IN_FLIGHT: Final = 5_000  # messages


@dataclass(frozen=True, slots=True)
class Figures:
    """What went through, in the orders and messages of one second; CPU of the emulator; one message alone."""

    orders: float
    messages: float
    emulator_cpu_ms_per_order: float
    emulator_cores: float
    message_alone_ms: float
    order_alone_ms: float


class Floor:
    """Publishers and consumers of one wiring."""

    def __init__(self, client: Client, names: Names, topology: Topology, kinds: list[Kind]) -> None:
        self._client, self._names, self._topology, self._kinds = client, names, topology, kinds
        self._batches = self._hundreds()
        self._under_way = UnderWay(IN_FLIGHT)

    def _hundreds(self) -> Iterator[tuple[dict[str, list[Any]], int]]:
        """The messages of some orders by topic, and how many are to be received of them."""
        messages = stream(self._kinds)
        while True:
            batch, expected = defaultdict[str, list[Any]](list), 0
            for kind in islice(messages, BATCH):
                batch[self._topic(kind)].append(_message(kind))
                expected += self._receivers(kind)
            yield batch, expected

    def _topic(self, kind: Kind) -> str:
        return self._names.topic(topic_of(f"floor-{kind.channel}"))

    def _receivers(self, kind: Kind) -> int:
        """The subscriptions that get it: the emulator applies no filters."""
        return sum(one.channel == f"floor-{kind.channel}" for one in self._topology.subscriptions)

    async def publish(self) -> None:
        """Publish until cancelled, with at most IN_FLIGHT messages waiting to be received."""
        while True:
            await self._under_way.room()
            batch, expected = next(self._batches)
            self._under_way.publish(expected)
            await self._client.publish_all(batch)

    async def consume(self, subscription: str) -> None:
        """Pull and acknowledge until cancelled."""
        while True:
            if received := await self._client.pull(subscription, BATCH):
                await self._client.acknowledge(subscription, [one.ack_id for one in received])
                self._under_way.receive(len(received))

    async def alone(self) -> float:
        """Milliseconds from publishing one message to having received it, with nothing else under way."""
        kind = next(kind for kind in self._kinds if self._receivers(kind) == 1)
        one = next(one for one in self._topology.subscriptions if one.channel == f"floor-{kind.channel}")
        subscription = self._names.subscription(subscription_of(one))
        pulls = [asyncio.create_task(self.consume(subscription)) for _ in range(PULLS)]
        durations = []
        for _ in range(ALONE):
            before, began = self._under_way.received, time.perf_counter()
            self._under_way.arrived.clear()
            await self._client.publish_all({self._topic(kind): [_message(kind)]})
            await self._under_way.arrived.wait()
            durations.append(time.perf_counter() - began)
            assert self._under_way.received == before + 1
        await cancelled(pulls)
        return median(durations) * 1000

    async def saturated(self, watch: Stopwatch, seconds: float) -> tuple[Usage, float]:
        """Publish and consume for that long: CPU used meanwhile, and messages received."""
        names = [self._names.subscription(subscription_of(one)) for one in self._topology.subscriptions]
        works = [self.publish() for _ in range(PUBLISHERS)]
        works += [self.consume(name) for name in names for _ in range(PULLS)]
        used, (received,) = await saturated(works, watch, seconds, lambda: (self._under_way.received,))
        return used, received


def _message(kind: Kind) -> Any:
    return new_message(data=body(kind), attributes={"type": kind.type, "id": "0" * 36})


async def _removed(client: Client, project: str) -> None:
    """Delete the topics and subscriptions of the project with what is left in them, which would slow the emulator."""
    async for subscription in await client.subscriber.list_subscriptions(project=project):
        await client.subscriber.delete_subscription(subscription=subscription.name)
    async for topic in await client.publisher.list_topics(project=project):
        await client.publisher.delete_topic(topic=topic.name)


async def measured(stack: dict[str, str], seconds: float) -> Figures:
    """Measure the emulator of the stack with this environment."""
    topology, kinds = recorded(stack, "pubsub")
    wiring = apart(topology)
    address, project = stack["PUBSUB_EMULATOR_HOST"], "floor"
    settings = Settings.model_construct(
        pubsub_emulator_host=address, pubsub_project=project, retry_initial=0.1, retry_max=5.0
    )
    client = Client(address, lambda client: ensure(client, settings, wiring))
    await client.open()
    try:
        floor = Floor(client, Names(project), wiring, kinds)
        alone = await floor.alone()
        used, received = await floor.saturated(Stopwatch(stack["STACK_DIR"]), seconds)
    finally:
        await _removed(client, f"projects/{project}")
        await client.close()
    each = sum(kind.each * floor._receivers(kind) for kind in kinds)
    orders = received / each
    return Figures(
        round(orders / used.seconds, 1),
        round(received / used.seconds),
        round(used.cpu["pubsub"] / orders, 2),
        round(used.cpu["pubsub"] / used.seconds / 1000, 2),
        round(alone, 1),
        round(alone * hops(topology), 1),
    )


if __name__ == "__main__":
    sys.exit(command(measured, sys.argv[1:]))
