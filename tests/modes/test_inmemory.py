"""The in-memory transport keeps what the real ones promise, as a durable and as a forgetful broker."""

import pytest

from sagakit.modes.inmemory.transport import InMemoryBroker, InMemoryTransport
from sagakit.ports import Delivery, Transport
from sagakit.topology import Topology
from tests.modes.conformance import ATTEMPTS, TransportConformance
from tests.modes.corner import Corner


class BrokerSwitch:
    """The broker as if it were a process."""

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


class TestInMemory(TransportConformance):
    redelivery = 0.6

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> BrokerSwitch:
        return BrokerSwitch(forgetful=not cls.survives)

    def connect(self, server: BrokerSwitch, consumer: str, topology: Topology) -> Transport:
        return InMemoryTransport(
            server.address, consumer, topology, attempts=ATTEMPTS, retry_initial=0.05, retry_max=0.5
        )

    async def dead_letters(self, server: BrokerSwitch, consumer: str) -> list[tuple[bytes, str]]:
        return server.address.dead_letters.get(consumer, [])

    async def publish_as_a_stranger(self, server: BrokerSwitch, corner: Corner) -> int:
        for body in (b"", b"\xff" * 300_000):
            server.address.queue(corner.alpha).put(Delivery(body))
        return 2


class TestForgetfulInMemory(TestInMemory):
    survives = frozenset()
