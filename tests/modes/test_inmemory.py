"""The in-memory transport keeps the promises of the real ones, as a durable and as a forgetful broker."""

import pytest

from sagakit.modes.delayed import MOST
from sagakit.modes.inmemory.transport import InMemoryBroker, InMemoryTransport
from sagakit.ports import Delivery, Retry, Transport
from sagakit.topology import Topology
from tests.modes.broker_namespace import BrokerNamespace, bodies
from tests.modes.conformance import TransportConformance
from tests.modes.restarts import RestartConformance


class BrokerSwitch:
    """The broker as a process that can be stopped."""

    def __init__(self, forgetful: bool) -> None:
        self.address, self._forgetful = InMemoryBroker(), forgetful

    def start(self) -> None:
        self.address.up = True

    def stop(self) -> None:
        self.address.up = False
        if self._forgetful:
            self.address.forget()

    kill = stop

    def freeze(self) -> None:
        self.address.up = False

    thaw = start


class InMemory(RestartConformance):
    redelivery = 0.6

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> BrokerSwitch:
        return BrokerSwitch(forgetful=not cls.survives)

    def connect(self, server: BrokerSwitch, consumer: str, topology: Topology) -> Transport:
        return InMemoryTransport(server.address, consumer, topology, retry_initial=0.05, retry_max=0.5)

    async def dead_letters(self, server: BrokerSwitch, consumer: str) -> list[tuple[bytes, str]]:
        return server.address.dead_letters.get(consumer, [])


@pytest.mark.thorough
class TestInMemory(InMemory, TransportConformance):
    async def publish_as_a_stranger(self, server: BrokerSwitch, namespace: BrokerNamespace) -> int:
        for body in (b"", b"\xff" * 300_000):
            server.address.queue(namespace.alpha).put(Delivery(body))
        return 2


async def test_at_most_ten_batches_are_kept_and_others_wait_only_then() -> None:
    broker = InMemoryBroker()
    namespace = BrokerNamespace(
        lambda consumer, topology: InMemoryTransport(
            broker, consumer, topology, batch=1, retry_initial=0.001, retry_max=0.01
        ),
        10,
    )
    alpha = await namespace.open(namespace.alpha)
    await alpha.publish(rows := namespace.rows(namespace.one, MOST + 1))
    received = set[bytes]()
    for _ in range(5 * MOST):
        batch = await alpha.receive()
        received |= bodies(batch)
        await alpha.settle([], [Retry(one, counts=False) for one in batch], [])
    assert received == bodies(rows[:MOST])
    await namespace.collect(alpha, rows)


@pytest.mark.thorough
class TestForgetfulInMemory(InMemory):
    """Its broker forgets everything when it stops, so only that is tested again."""

    survives = frozenset()
