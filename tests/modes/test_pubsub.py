"""Pub/Sub keeps what every transport promises, as Google's emulator plays it, which forgets all when it ends."""

from collections.abc import Iterator

import pytest

from sagakit.modes.pubsub.client import Client
from sagakit.modes.pubsub.topology import Names
from sagakit.modes.pubsub.transport import PubSubTransport
from sagakit.ports import Transport
from sagakit.topology import Topology
from tests.modes.conformance import TransportConformance, settings
from tests.modes.servers import ProcessServer, running


class TestPubSub(TransportConformance):
    survives = frozenset()

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Iterator[ProcessServer]:
        with running("pubsub") as server:
            yield server

    def connect(self, server: ProcessServer, consumer: str, topology: Topology) -> Transport:
        return PubSubTransport(settings(pubsub_emulator_host=server.address), consumer, topology)

    async def dead_letters(self, server: ProcessServer, consumer: str) -> list[tuple[bytes, str]]:
        client = Client(server.address)
        await client.open()
        name = Names("quartet").subscription(f"quartet-test-{consumer}-dead-letters")
        try:
            found = await client.pull(name, 10)
            await client.extend(name, [one.ack_id for one in found], 0)
            return [(one.message.data, one.message.attributes["cause"]) for one in found]
        finally:
            await client.close()
